#!/usr/bin/env bash
# Sessions under drawn faults by the hundred: the fixed list, and as many fresh ones, each lived through twice; then every
# enumerated cell (tools/long/cells.sh). The committed page of all faults is made from the first run and the cells; with
# another number of sessions than the default it goes to target/long. What breaks is shrunk and left in
# target/long/rehearsed.
#
#   tools/long/rehearse.sh [SESSIONS]
set -euo pipefail
cd "$(dirname "$0")/../.."

sessions=${1:-2000}
out=target/long/rehearsed
page=tests/rehearsal.md
[ "$sessions" = 2000 ] || page=$out/page.md
mkdir -p "$out"
failed=0
tools/long/cells.sh || failed=1
python3 tools/rehearse_gate.py --fixed "$sessions" --fresh "$sessions" --out "$out" --page "$page" \
  --cells target/long/cells-aimed.json --cells target/long/cells-small.json || failed=1
exit "$failed"
