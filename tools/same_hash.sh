#!/usr/bin/env bash
# The story world tells the same story under every build profile: the same seeds must give the same hash of
# all events in the dev and in the release profile. Prints both, and the events per second of each.
set -euo pipefail
cd "$(dirname "$0")/.."

tell() {
  cargo test --locked --quiet --test story "$@" the_same_seed -- --nocapture | grep '^seed '
}
dev=$(tell)
release=$(tell --release)
echo "dev:     $dev"
echo "release: $release"
hashes() { sed 's/.*hash //' <<<"$1"; }
[ -n "$dev" ] || { echo "no hash was told" >&2; exit 1; }
[ "$(hashes "$dev")" = "$(hashes "$release")" ] || { echo "the hashes differ" >&2; exit 1; }
