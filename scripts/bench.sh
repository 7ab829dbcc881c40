#!/usr/bin/env bash
# Measures this build of Munadi beside the floor, and writes docs/performance.md. Arguments go to `loadtest bench`:
# --full for the million, --only 1,4 for single rows, --resume to leave out what was measured with this commit.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

cargo build --locked --release -p munadi -p loadtest --bins
ulimit -n "$(ulimit -H -n)"
exec "$target/release/loadtest" bench --results "$target/bench-results" "$@"
