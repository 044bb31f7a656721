#!/usr/bin/env bash
# Small changes in what decides, remembers and is read back (desk, intent records, journal), one at a time: does a test
# notice? Each costs a build and the library's tests, so all of them take days on two cores; a sample is every Nth.
#
#   tools/long/mutants.sh [SAMPLE]        one in SAMPLE of them; 1, the default: all
#
# Needs cargo-mutants, which is installed beside the other build results if it is not there. Survivors, those caught and
# the share are in target/long/mutants.out. Exit code 0 only if every one was noticed.
set -euo pipefail
cd "$(dirname "$0")/../.."

sample=${1:-1}
tools=$PWD/target/tools
[ -x "$tools/bin/cargo-mutants" ] || cargo install cargo-mutants --locked --root "$tools" --quiet
mkdir -p target/long
# Rehearsals judge what unit tests leave: the kept sessions and a seed are among the tests that are run.
PATH="$tools/bin:$PATH" cargo mutants --shard "0/$sample" --sharding round-robin --output target/long --no-shuffle \
  --file 'src/desk/*.rs' --file src/metal/intents.rs --file src/store/journal.rs \
  --baseline skip --timeout 600 --profile quick -- --lib --test story || failed=$?
python3 - target/long/mutants.out <<'PY'
import pathlib, sys
count = {name: len((pathlib.Path(sys.argv[1]) / f"{name}.txt").read_text().splitlines())
         for name in ("caught", "timeout", "missed", "unviable")}
noticed, all_ = count["caught"] + count["timeout"], count["caught"] + count["timeout"] + count["missed"]
print(count, f"noticed {noticed} of {all_}, {100 * noticed / max(all_, 1):.1f} %")
PY
exit "${failed:-0}"
