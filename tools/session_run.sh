#!/usr/bin/env bash
# Records demos, one for each layout, and plays them again: the decisions must be the same, a changed threshold
# must change them, a session must play at least twenty times as fast as it was lived, and a damaged or cut file must
# be refused.
#
#   tools/session_run.sh OUT_DIR [SECONDS [FLAG...]]
#
# The flags are the demo's, such as --orders ws. OUT_DIR must not exist yet. CONTANGO names the program to run: a
# release build.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -lt 1 ]; then
  sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
top=$1 seconds=${2:-10}
shift "$(($# < 2 ? $# : 2))"
contango=${CONTANGO:-target/release/contango}
[ -e "$contango" ] || { echo "session_run: $contango does not exist" >&2; exit 2; }
[ ! -e "$top" ] || { echo "session_run: $top exists already; give a new folder" >&2; exit 2; }
mkdir -p "$top"

fail() {
  echo "session_run: $*" >&2
  exit 1
}

# of FILE FIELD...: one value of a JSON file.
of() {
  python3 -c '
import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2:]:
    value = value[key]
print(value)' "$@"
}

for layout in fused single; do
  file=$top/$layout.session
  "$contango" demo --for "${seconds}s" --seed 3 --layout "$layout" --record "$file" --json --out "$top/$layout" "$@" \
    >"$top/$layout.json"
  [ "$(of "$top/$layout.json" session complete)" = True ] || fail "$layout: incomplete"
  "$contango" replay "$file" --json >"$top/$layout-again.json" || fail "$layout: other decisions"
  then=$(of "$top/$layout.json" decisions_sha256)
  again=$(of "$top/$layout-again.json" decisions_sha256)
  [ "$then" = "$again" ] || fail "$layout: $then was decided, and $again again"
  decisions=$(of "$top/$layout-again.json" session decisions)
  [ "$decisions" -ge 20 ] || fail "$layout: $decisions decisions prove too little"
  times=$(of "$top/$layout-again.json" session times_real_time)
  [ "${times%.*}" -ge 20 ] || fail "$layout: played only $times times as fast as it was lived; 20 are wanted"
  echo "$layout: $decisions decisions, $times times real time"

  "$contango" replay "$file" --json --min-basis 60bps >"$top/$layout-if.json" || fail "$layout: the what-if failed"
  [ "$(of "$top/$layout-if.json" decisions_sha256)" != "$then" ] || fail "$layout: a changed threshold changed nothing"
  [ "$(of "$top/$layout-if.json" session what_if min-basis)" = 60bps ] || fail "$layout: the what-if is not told"
  echo "$layout, at 60 bp at least: $(of "$top/$layout-if.json" session decisions) decisions"

  head -c "$(($(stat -c %s "$file") - 7))" "$file" >"$top/cut.session"
  if "$contango" replay "$top/cut.session" >/dev/null 2>"$top/cut.err"; then fail "a cut file was played"; fi
  grep -q "session incomplete" "$top/cut.err" || fail "a cut file was refused in other words: $(cat "$top/cut.err")"
done
