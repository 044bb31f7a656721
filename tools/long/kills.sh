#!/usr/bin/env bash
# The long versions of what .ci/run proves in short: 10,000 kills with signal 9 and a restart after each, half of them
# at named crash points, 1,000 presses of `kill`, and the scan for secrets. Takes hours: the venue counts what a start
# asks of it by the minute, so kills come in several loops at a time, each with a box of its own.
#
#   tools/long/kills.sh [KILLS] [LOOPS]
#
# Leaves one line of JSON per loop in target/long. Exit code 0 only if nothing differed and all kills were made.
set -euo pipefail
cd "$(dirname "$0")/../.."

kills=${1:-10000} loops=${2:-2}
out=target/long
rm -rf "$out"
mkdir -p "$out"
cargo build --release --locked
cargo build --profile quick --features crashpoints --target-dir target/crash --locked

pids=()
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

each=$(((kills + loops - 1) / loops))
for n in $(seq "$loops"); do
  # Nine in ten with one second to settle, the last tenth below with the default.
  python3 tools/kill_loop.py --kills $((each - each / 10)) --seed "$((1000 + n))" --points all --settle 1s \
    --minutes 2880 --box-life 500 --out "$out/kills-$n" >"$out/kills-$n.json" &
  pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
pids=()
for n in $(seq "$loops"); do
  python3 tools/kill_loop.py --kills $((each / 10)) --seed "$((2000 + n))" --points all \
    --minutes 2880 --box-life 500 --out "$out/kills-default-$n" >"$out/kills-default-$n.json" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
pids=()
python3 tools/kill_presses.py --presses 1000 --restarts 30 --trade 0.4 --minutes 30 --seed 7 \
  >"$out/presses.json" || failed=1
python3 tools/canary.py >"$out/canary.json" || failed=1
cat "$out"/*.json
exit "$failed"
