#!/usr/bin/env bash
# Plays a recorded tape to the engine over real sockets, the box and the engine as two processes, and lets
# check_tape.py compare what the engine made of it with the tape itself.
#
#   tools/tape_run.sh TAPE_SPOT TAPE_USDM OUT_DIR [SECONDS]
#
# Twice: OUT_DIR/quiet at the defaults, where it decides on every quote and must not trade, and
# OUT_DIR/trade with real orders to the box, where it may enter one clip at a basis of -3 bp or better and
# keeps it. OUT_DIR must not exist yet. CONTANGO names the program to run.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -lt 3 ] || [ $# -gt 4 ]; then
  sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
spot=$1 usdm=$2 top=$3 seconds=${4:-50}
contango=${CONTANGO:-target/release/contango}
basis_bps=-3

for file in "$spot" "$usdm" "$contango"; do
  [ -e "$file" ] || { echo "tape_run: $file does not exist" >&2; exit 2; }
done
[ ! -e "$top" ] || { echo "tape_run: $top exists already; give a new folder" >&2; exit 2; }

sim='' engine=''
stop() {
  for pid in $engine $sim; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# play OUT ENGINE_ARGUMENT...: the box on the tapes, the engine against it, until the tape has ended.
play() {
  local out=$1 code=0
  shift
  mkdir -p "$out"
  # The box ends by itself should this script be killed hard.
  "$contango" sim --tape "$spot" --tape "$usdm" --out "$out/box" --for "$((seconds + 60))s" --json \
    >"$out/sim.json" 2>"$out/sim.log" &
  sim=$!
  for _ in $(seq 300); do
    [ "$(wc -l <"$out/sim.json")" -gt 0 ] && break
    kill -0 "$sim" 2>/dev/null || { echo "tape_run: the box ended:" >&2; cat "$out/sim.log" >&2; exit 1; }
    sleep 0.1
  done

  # The box's line as arguments of the engine, one a line. An empty or cut line fails here.
  python3 - "$out/sim.json" >"$out/arguments" <<'PYTHON'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as lines:
    told = json.loads(lines.readline())
print("--ca", told["ca"], sep="\n")
for venue, at in told["venues"].items():
    print("--key-file", f"{venue}={at['key_file']}", sep="\n")
    for name, url in at.items():
        if url.startswith(("https://", "wss://")):
            print("--endpoint", f"{venue}.{name}={url}", sep="\n")
PYTHON
  mapfile -t where <"$out/arguments"

  "$contango" run "${where[@]}" --for "${seconds}s" --json --out "$out" --data-dir "$out/journal" \
    --quotes-out "$out/quotes.csv" --pairs BTCUSDT "$@" >"$out/summary.json" 2>"$out/run.log" &
  engine=$!
  wait "$engine" || code=$?
  engine=''
  if [ "$code" -ne 0 ]; then
    echo "tape_run: the engine ended with exit code $code:" >&2
    tail -n 20 "$out/run.log" >&2
    exit 1
  fi
  stop
  sim=''
}

echo "== at the defaults: every quote decided on, nothing sent, and the summary says why"
mkdir -p "$top"
printf '[engine]\nlive = true\n' >"$top/live.toml"
play "$top/quiet" --config "$top/live.toml" --live
python3 tools/check_tape.py "$spot" "$usdm" "$top/quiet" --quiet

echo "== one clip at $basis_bps bp or better, kept"
play "$top/trade" --config "$top/live.toml" --live --direction short --min-net-apr off \
  "--min-basis=${basis_bps}bps" --exit-basis off --max-entries 1
python3 tools/check_tape.py "$spot" "$usdm" "$top/trade" --entries "$basis_bps"
