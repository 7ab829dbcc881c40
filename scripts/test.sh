#!/usr/bin/env bash
# Runs everything that says whether this checkout is sound, and sums it up in its last line: "N passed, N failed".
# --check: format, lints and documentation only. Uses no server of the machine; writes to the target directory and to
# temporary directories only.
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

passed=0
failed=0
broken=()
logs=$target/test-logs
mkdir -p "$logs"

# step NAME COMMAND…: one thing that passes or fails as a whole
step() {
    local name=$1
    shift
    echo "== $name"
    if "$@" 2>&1 | tee "$logs/$name.log"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        broken+=("$name")
    fi
}

# suite NAME COMMAND…: many tests. Each "test result: …" of cargo counts, or else the last "N passed, N failed"
suite() {
    local name=$1 status good bad
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$logs/$name.log"
    status=${PIPESTATUS[0]}
    read -r good bad < <(awk '
        /^test result: / { good += $4; bad += $6 }
        /^[0-9]+ passed, [0-9]+ failed$/ { last_good = $1; last_bad = $3 }
        END { print good + last_good, bad + last_bad }' "$logs/$name.log")
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1 # it broke before or after its tests
    fi
    if [ "$good" -eq 0 ] && [ "$bad" -eq 0 ]; then
        bad=1 # a suite without tests has not tested anything
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    [ "$bad" -eq 0 ] || broken+=("$name")
}

has() { cargo "$1" --version >/dev/null 2>&1 || { echo "== no cargo $1 here: left out"; return 1; }; }

has fmt && step format cargo fmt --all --check
has clippy && step lints cargo clippy --workspace --all-targets --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" step documentation cargo doc --workspace --no-deps --document-private-items --locked
# The licences, bans and sources of the crates of every platform. cargo-deny ends with 1 when it could not look, which
# says nothing about them: without a network the crates that are never built here are missing. Else each fault has its bit.
licences() {
    local status=0
    cargo deny --locked check bans licenses sources || status=$?
    [ "$status" -ne 1 ] || { echo "== cargo deny could not look: licences left out"; return 0; }
    return "$status"
}

if has deny; then
    step licences licences
    # the list of advisories comes from the network, too
    if cargo deny --locked fetch db 2>"$logs/advisories.log"; then
        step advisories cargo deny --locked check advisories
    else
        echo "== the advisories cannot be fetched: left out"
    fi
fi

if [ "${1:-}" != --check ]; then
    if scripts/setup.sh; then
        # all binaries in one build, so that nothing is compiled once more for its own set of features
        step binaries cargo build --locked --workspace --bins
        # one PostgreSQL and one Redis for the whole run; they end with it
        suite tests "$target/debug/testkit-servers" -- cargo test --workspace --locked --no-fail-fast
        if [ -x e2e/run.sh ]; then
            MUNADI_BIN=$(realpath "$target")/debug/munadi suite end-to-end e2e/run.sh
        fi
    else
        failed=$((failed + 1))
        broken+=("setup")
    fi
fi

echo
if [ "$failed" -ne 0 ]; then
    # what failed early has long left the screen
    for name in "${broken[@]}"; do
        echo "== of $logs/$name.log"
        grep -E 'FAILED|panicked at|^error|^not ok|AssertionError' "$logs/$name.log" 2>/dev/null | tail -n 25
        tail -n 15 "$logs/$name.log" 2>/dev/null
    done
    echo "Failed: ${broken[*]} (logs in $logs)"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
