#!/usr/bin/env bash
# Measures fan-out against a Munadi of this build, started for the run in a directory of its own. Arguments go to
# `loadtest fanout`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

cargo build --locked --release -p munadi -p loadtest -p testkit --bins
ulimit -n "$(ulimit -H -n)"
exec "$target/release/loadtest" fanout --spawn "$@"
