#!/usr/bin/env bash
# Feeds every decoder of strangers' bytes with noise and damaged messages: scripts/fuzz.sh [MINUTES for each, 10].
# Needs no nightly compiler: the targets are the property tests, run again and again with new seeds, optimized, with
# 1 GiB of memory each, so that an announced length that is believed shows. FUZZ_ONLY names the targets to run, by a part
# of their names, FUZZ_PROFILE how they are built, FUZZ_CASES how many cases a run has. A failure prints the smallest input that was found. Ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

minutes=${1:-10}
only=${FUZZ_ONLY:-}
cases=${FUZZ_CASES:-20000} # of one run; proptest seeds each run anew
memory_kib=1048576
profile=${FUZZ_PROFILE:-quick}

# package and test target (`lib` for the tests beside the code), then the tests in it
targets=(
    "protocol --test arbitrary: frames_are_read_or_refused noise_is_read_or_refused damaged_messages_are_read_or_refused"
    "protocol --test pusher: arbitrary::"
    "protocol --lib: ws::decode::"
    "hub --test it: bodies::"
    "service --lib: tls::tests::noise_does_no_harm"
    "service --test arbitrary: tokens_are_believed damaged_tokens_are_refused signed_nonsense"
)

# The test executable of a package: `cargo test --no-run` says where it is.
executable() {
    cargo test --locked --profile "$profile" --no-run --message-format json "$@" 2>/dev/null |
        sed -nE 's/.*"executable":"([^"]+)".*/\1/p' | tail -n 1
}

target_log=$(mktemp)
trap 'rm -f "$target_log"' EXIT
passed=0
failed=0
broken=()
for target in "${targets[@]}"; do
    read -r package selector <<<"${target%%:*}"
    # shellcheck disable=SC2086 # selector is one or two words
    binary=$(executable -p "$package" $selector)
    [ -x "$binary" ] || { echo "fuzz: $package $selector does not build" >&2; failed=$((failed + 1)); continue; }
    for name in ${target#*: }; do
        [[ -z $only || "$package $name" == *"$only"* ]] || continue
        runs=0
        end=$((SECONDS + minutes * 60))
        while :; do
            if ! (ulimit -v $memory_kib && PROPTEST_CASES=$cases PROPTEST_MAX_SHRINK_ITERS=100000 "$binary" --quiet "$name"); then
                broken+=("$package $name")
                failed=$((failed + 1))
                break
            fi
            runs=$((runs + 1))
            if [ $SECONDS -ge $end ]; then
                passed=$((passed + 1))
                echo "fuzz: $package $name: $((runs * cases)) cases clean"
                break
            fi
        done >"$target_log" 2>&1
        tail -n 40 "$target_log" | grep -E '^fuzz:|panicked|minimal failing' || true
    done
done
[ ${#broken[@]} -eq 0 ] || echo "fuzz: failed: ${broken[*]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
