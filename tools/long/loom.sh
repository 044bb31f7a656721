#!/usr/bin/env bash
# Tries the queues and cells between threads in every order that the memory model allows (tests/loom).
set -euo pipefail
cd "$(dirname "$0")/../.."
RUSTFLAGS="--cfg loom" cargo run --release --manifest-path tests/loom/Cargo.toml --target-dir target/loom
