#!/usr/bin/env bash
# Measures this build of Munadi beside the floor. The first argument names a scenario of `loadtest` (`fanout` unless
# given), the others go to it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

cargo build --locked --release -p munadi -p loadtest -p testkit --bins
ulimit -n "$(ulimit -H -n)"
exec "$target/release/loadtest" "${@:-fanout}"
