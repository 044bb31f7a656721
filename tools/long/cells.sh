#!/usr/bin/env bash
# Rehearsed sessions that are enumerated, not drawn, all of them: every fault in every state of each leg's order, in and
# out; and one entry in every order of up to six events, a death among them, whatever both its legs meet. Counts, cells
# ruled out with the reason, and fault × state go to target/long/cells-*.json.
set -euo pipefail
cd "$(dirname "$0")/../.."

mkdir -p target/long
cargo build --release --locked
failed=0
for list in aimed small; do
  target/release/contango rehearse --cells "$list" --sessions 1000000 --out target/long/cells --json \
    >"target/long/cells-$list.json" || failed=1
  python3 - "target/long/cells-$list.json" <<'PY'
import json, sys
told = json.load(open(sys.argv[1]))
cells = told["cells"]
print({key: value if isinstance(value, int) else len(value) for key, value in cells.items()}, told["event_hash"])
for row in cells["broken"] + cells["unmet"]:
    print(row["cell"], row["why"])
PY
done
exit "$failed"
