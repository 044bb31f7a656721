#!/usr/bin/env bash
# The quote decoder and the order's template against slow twins, over ten million cases each. CI runs a million, always
# the same ones.
#
#   tools/long/twins.sh [COUNT [SEED]]        default 10000000, and a seed of today's date
set -euo pipefail
cd "$(dirname "$0")/../.."

seed=${2:-$(date -u +%Y%m%d)}
echo "seed $seed"
CONTANGO_TWINS=${1:-10000000} CONTANGO_TWINS_SEED=$seed cargo test --profile quick --locked --test twins
