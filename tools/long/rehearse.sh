#!/usr/bin/env bash
# Sessions under drawn faults by the hundred: the fixed list, and as many fresh ones, each lived through twice; the page
# of all faults is made from the first run. What breaks is shrunk and left in target/long/rehearsed.
#
#   tools/long/rehearse.sh [SESSIONS]
set -euo pipefail
cd "$(dirname "$0")/../.."

sessions=${1:-2000}
out=target/long/rehearsed
mkdir -p "$out"
cargo build --release --locked
python3 tools/rehearse_gate.py --fixed "$sessions" --fresh "$sessions" --out "$out" --page "$out/page.md"
