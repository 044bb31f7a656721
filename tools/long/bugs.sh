#!/usr/bin/env bash
# Every mistake of the bug bank, each in up to 2,000 sessions of drawn faults, until an invariant catches it; and the
# committed table of what caught it. Without an argument it begins at seed 1, as that table does.
#
#   tools/long/bugs.sh [SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."

seed=${1:-1}
page=tests/bugbank.md
[ "$seed" = 1 ] || page=target/long/bugbank.md
mkdir -p target/long
cargo build --profile quick --features bugbank --target-dir target/bank --locked
python3 tools/bug_bank.py --seed "$seed" --out target/long/bugbank.json --page "$page"
