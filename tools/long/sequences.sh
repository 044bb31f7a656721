#!/usr/bin/env bash
# A million orders, each told of in an order of its own: its report, the answer, events and trades of the private
# stream, a query's answer and its trades, some twice or thrice. The books must end the same every time. A test run
# tells ten thousand, and every permutation without repeats.
#
#   tools/long/sequences.sh [COUNT]
set -euo pipefail
cd "$(dirname "$0")/../.."

CONTANGO_SEQUENCES=${1:-1000000} cargo test --profile quick --locked --lib -- --nocapture \
  agents::shadow::streams::tests::facts_told_again_and_again_are_booked_once
