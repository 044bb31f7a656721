#!/usr/bin/env bash
# The crash grid of FAULTS 7.5, whole: one round trip dies at each named point, whatever both its legs met, by a kill and
# with the power, and the next process starts at once, after 30 s, or after three days. The table goes to
# target/long/grid.json as well.
set -euo pipefail
cd "$(dirname "$0")/../.."

mkdir -p target/long
cargo test --locked --features crashpoints --test grid -- --json target/long/grid.json
