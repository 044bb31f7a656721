#!/usr/bin/env bash
# Small changes in what decides, remembers and is read back (desk, intent records, journal), one at a time: does a test
# notice? Each costs a build and tests, so all of them take most of a day on two cores; a sample is every Nth.
#
#   tools/long/mutants.sh [SAMPLE] [JOBS]     one in SAMPLE of them (1: all), JOBS at a time (2)
#
# The unit tests of those rooms look first; what they miss is tried with the whole library's, the stories and the kept
# sessions. Needs cargo-mutants, which is installed beside the other build results if it is not there. Everyone's fate is
# in target/long/mutants/first and second; the share is printed, and left in target/long/mutants/share.json. Exit code 0
# only if every one was noticed.
set -euo pipefail
cd "$(dirname "$0")/../.."

sample=${1:-1} jobs=${2:-2}
tools=$PWD/target/tools out=$PWD/target/long/mutants
[ -x "$tools/bin/cargo-mutants" ] || cargo install cargo-mutants --locked --root "$tools" --quiet
rm -rf "$out"
mkdir -p "$out"
# Building is what takes the time, so nothing is optimised.
export CARGO_PROFILE_DEV_OPT_LEVEL=0 PATH="$tools/bin:$PATH"
what=(--no-shuffle --baseline skip --jobs "$jobs" --file 'src/desk/*.rs' --file src/metal/intents.rs --file src/store/journal.rs)
cargo mutants "${what[@]}" --output "$out/first" --shard "0/$sample" --sharding round-robin --timeout 120 \
  --cargo-arg=--locked --cargo-arg=--lib -- -- desk:: metal::intents store::journal || true
missed=$out/first/mutants.out/missed.txt
if [ -s "$missed" ]; then
  # By their names, as a pattern of nothing but themselves.
  names=$(python3 -c 'import re, sys; print("^(" + "|".join(re.escape(line.strip()) for line in open(sys.argv[1])) + ")$")' "$missed")
  cargo mutants "${what[@]}" --output "$out/second" --re "$names" --timeout 600 \
    --cargo-arg=--locked --cargo-arg=--lib --cargo-arg=--test=story || true
fi
python3 - "$out" <<'PY'
import json, pathlib, sys
out = pathlib.Path(sys.argv[1])
lines = lambda turn, name: (path := out / turn / "mutants.out" / f"{name}.txt").exists() and path.read_text().split("\n")[:-1] or []
first = {name: lines("first", name) for name in ("caught", "timeout", "missed", "unviable")}
# What nobody has been seen to notice is left: also where the second turn did not come to its end, or not to be.
seen = {line for name in ("caught", "timeout") for line in lines("second", name)}
left = [line for line in first["missed"] if line not in seen]
tried = len(first["caught"] + first["timeout"] + first["missed"])
noticed = tried - len(left)
share = {"tried": tried, "noticed": noticed, "by the rooms' own tests": len(first["caught"] + first["timeout"]), "unviable": len(first["unviable"]), "missed": left}
(out / "share.json").write_text(json.dumps(share, indent=1) + "\n")
print(json.dumps(share, indent=1), f"\nnoticed {noticed} of {tried}, {100 * noticed / max(tried, 1):.1f} %")
sys.exit(noticed < tried or tried == 0)
PY
