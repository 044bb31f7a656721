#!/usr/bin/env bash
# Small changes in what decides, remembers and is read back (desk, intent records, journal), one at a time: does a test
# notice? A sample is every Nth of them.
#
#   tools/long/mutants.sh [SAMPLE] [JOBS]     one in SAMPLE of them (1: all), JOBS at a time (2)
#
# Three turns, each of what the one before missed. The unit tests of those rooms look first, in a tree that is cut down to
# their rank, which is built in seconds (6 s each on one core of two); then the whole library's (half a minute each); then
# the stories and the kept sessions (minutes each). Needs cargo-mutants, which is installed beside the other build results
# if it is not there. Everyone's fate is in target/long/mutants/first, second and third; the share is printed, and left in
# target/long/mutants/share.json. Exit code 0 only if every one was noticed.
set -euo pipefail
cd "$(dirname "$0")/../.."

sample=${1:-1} jobs=${2:-2}
tools=$PWD/target/tools out=$PWD/target/long/mutants
[ -x "$tools/bin/cargo-mutants" ] || cargo install cargo-mutants --locked --root "$tools" --quiet
rm -rf "$out"
mkdir -p "$out/tree"
# Building is what takes the time, so nothing of ours is optimised.
export CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0 PATH="$tools/bin:$PATH"
what=(--no-shuffle --baseline skip --jobs "$jobs" --cargo-arg=--locked --cargo-arg=--lib)
what+=(--file 'src/desk/*.rs' --file src/metal/intents.rs --file src/store/journal.rs)

git ls-files -z | xargs -0 cp --parents -t "$out/tree"
for room in agents ops rehearse cli sim simnet; do
  rm -r "$out/tree/src/$room"
  sed -i "/^pub mod $room;/d" "$out/tree/src/lib.rs"
done
cargo mutants --dir "$out/tree" "${what[@]}" --output "$out/first" --shard "0/$sample" --sharding round-robin \
  --timeout 30 -- -- desk:: metal::intents store::journal || true

# again TURN BEFORE ARGUMENTS…: what the turn before missed.
again() {
  local missed=$out/$2/mutants.out/missed.txt names
  [ -s "$missed" ] || return 0
  # By their names, as a pattern of nothing but themselves.
  names=$(python3 -c 'import re, sys; print("^(" + "|".join(re.escape(line.strip()) for line in open(sys.argv[1])) + ")$")' "$missed")
  cargo mutants "${what[@]}" --output "$out/$1" --re "$names" --timeout 600 "${@:3}" || true
}
again second first
again third second --cargo-arg=--test=story

python3 - "$out" <<'PY'
import json, pathlib, sys
out = pathlib.Path(sys.argv[1])
lines = lambda turn, name: (path := out / turn / "mutants.out" / f"{name}.txt").exists() and path.read_text().split("\n")[:-1] or []
first = {name: lines("first", name) for name in ("caught", "timeout", "missed", "unviable")}
# What nobody has been seen to notice is left: also where a later turn did not come to its end, or not to be.
seen = {line for turn in ("second", "third") for name in ("caught", "timeout") for line in lines(turn, name)}
left = [line for line in first["missed"] if line not in seen]
tried = len(first["caught"] + first["timeout"] + first["missed"])
noticed = tried - len(left)
share = {"tried": tried, "noticed": noticed, "by the rooms' own tests": len(first["caught"] + first["timeout"]), "unviable": len(first["unviable"]), "missed": left}
(out / "share.json").write_text(json.dumps(share, indent=1) + "\n")
print(json.dumps(share, indent=1), f"\nnoticed {noticed} of {tried}, {100 * noticed / max(tried, 1):.1f} %")
sys.exit(noticed < tried or tried == 0)
PY
