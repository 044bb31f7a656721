#!/usr/bin/env bash
# Coverage-guided fuzzing of every reader of foreign bytes (tests/fuzz), one after the other. Needs a C++ compiler.
#
#   tools/long/fuzz.sh [SECONDS_EACH] [READER...]
#
# What breaks a reader is left in tests/fuzz/found/READER, where `cargo test --test readers` finds it ever after.
# Exit code 0 only if nothing broke.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-600}
shift || true
root=$PWD
out=$root/target/fuzz
# Coverage counters and comparisons, without a sanitizer: there is none in a stable toolchain.
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing"
host=$(rustc -vV | sed -n 's/^host: //p')
# Named, so that build scripts and macros are built without them.
RUSTFLAGS=$flags cargo build --release --locked --manifest-path tests/fuzz/Cargo.toml --target "$host" --target-dir "$out" --bin fuzz
cargo build --release --locked --manifest-path tests/fuzz/Cargo.toml --target-dir "$out" --bin seeds
readers=$("$out/release/seeds" "$out/corpus")

failed=0
for reader in ${*:-$readers}; do
  mkdir -p "tests/fuzz/found/$reader"
  CONTANGO_TARGET=$reader "$out/$host/release/fuzz" "$out/corpus/$reader" -max_total_time="$seconds" -max_len=8192 \
    -rss_limit_mb=4096 -timeout=10 -artifact_prefix="$root/tests/fuzz/found/$reader/" >"$out/$reader.log" 2>&1 || failed=1
  tail -n 1 "$out/$reader.log" | sed "s/^/$reader: /"
  rmdir --ignore-fail-on-non-empty "tests/fuzz/found/$reader" tests/fuzz/found
done
exit "$failed"
