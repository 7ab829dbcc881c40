#!/usr/bin/env bash
# Runs every end-to-end suite against the built binaries. The last line is `N passed, N failed`.
#
# The binaries are those that MUNADI_BIN, MUNADI_STANDINS_BIN, LOADTEST_BIN and TESTKIT_SERVERS_BIN name; without
# MUNADI_BIN, all are built first. E2E_ONLY names the suites to run (js, python, smoke, crash, split, load; all of them by
# default). E2E_USERS and E2E_ROUNDS are the size of the smoke and crash runs, E2E_MOVE_MS what a move may take.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [ -z "${MUNADI_BIN:-}" ]; then
  cargo build --locked --bins -p munadi -p loadtest -p testkit || { echo "0 passed, 1 failed"; exit 1; }
  built=$(realpath "${CARGO_TARGET_DIR:-../target}/debug")
  MUNADI_BIN=$built/munadi
fi
built=$(dirname "$MUNADI_BIN")
export MUNADI_BIN
export MUNADI_STANDINS_BIN=${MUNADI_STANDINS_BIN:-$built/munadi-standins}
export LOADTEST_BIN=${LOADTEST_BIN:-$built/loadtest}
export TESTKIT_SERVERS_BIN=${TESTKIT_SERVERS_BIN:-$built/testkit-servers}

only=${E2E_ONLY:-js python smoke crash split load}
users=${E2E_USERS:-200}
rounds=${E2E_ROUNDS:-5}
# an idle machine shows a move within 20 ms; a busy one with a debug build still has to beat the relay's poll of 500 ms
move_ms=${E2E_MOVE_MS:-400}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
broken=()

# Adds up what a suite has counted; a suite that ends badly without a failed test has failed itself.
count() { # suite, exit code, passed, failed
  local suite=$1 code=$2 good=${3:-0} bad=${4:-0}
  [ "$code" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
  [ "$bad" -eq 0 ] || broken+=("$suite")
  passed=$((passed + good))
  failed=$((failed + bad))
}

wanted() { [[ " $only " == *" $1 "* ]]; }

# The same dependencies as in the lock files, once for each version of them.
js_dependencies() {
  [ js/node_modules/.package-lock.json -nt js/package-lock.json ] && return
  echo "e2e: installing the JavaScript dependencies"
  (cd js && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
}
python_dependencies() {
  [ python/.venv/complete -nt python/requirements.txt ] && return
  echo "e2e: installing the Python dependencies"
  rm -rf python/.venv && python3 -m venv python/.venv &&
    python/.venv/bin/pip install --quiet --disable-pip-version-check -r python/requirements.txt &&
    touch python/.venv/complete
}

run_js() {
  # the guides are run, too, and one of them is in Python; the SDK's conformance is asked of a Redis log as well
  js_dependencies && python_dependencies || { count js 1; return 0; }
  (cd js && "$TESTKIT_SERVERS_BIN" -- node --test --test-concurrency=2 \
    --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=tap --test-reporter-destination="$work/js.tap")
  local code=$?
  local good bad
  good=$(sed -n 's/^# pass //p' "$work/js.tap" | tail -n 1)
  bad=$(sed -nE 's/^# (fail|cancelled) //p' "$work/js.tap" | awk "{ sum += \$1 } END { print sum + 0 }")
  count js "$code" "$good" "$bad"
}

run_python() {
  python_dependencies || { count python 1; return 0; }
  (cd python && PYTHONDONTWRITEBYTECODE=1 .venv/bin/python -W ignore -m unittest -v 2>&1) | tee "$work/python.txt"
  local code=${PIPESTATUS[0]} ran bad
  ran=$(sed -nE 's/^Ran ([0-9]+) tests? in .*/\1/p' "$work/python.txt")
  bad=$(sed -nE 's/^FAILED \((.*)\)/\1/p' "$work/python.txt" | grep -oE '(failures|errors)=[0-9]+' | cut -d= -f2 | awk "{ sum += \$1 } END { print sum + 0 }")
  bad=${bad:-0}
  local good=$((${ran:-0} > bad ? ${ran:-0} - bad : 0))
  count python "$code" "$good" "$bad"
}

run_loadtest() { # suite, command…
  local suite=$1
  shift
  "$@" 2>&1 | tee "$work/$suite.txt"
  local code=${PIPESTATUS[0]} good all
  read -r good all < <(sed -nE 's/^([0-9]+) of ([0-9]+) checks hold$/\1 \2/p' "$work/$suite.txt")
  count "$suite" "$code" "${good:-0}" $((${all:-0} - ${good:-0}))
}

wanted js && run_js
wanted python && run_python
wanted smoke && run_loadtest smoke "$LOADTEST_BIN" smoke --spawn --users "$users" --move-p99-ms-max "$move_ms"
wanted crash && run_loadtest crash "$LOADTEST_BIN" crash --rounds "$rounds"
wanted split && run_loadtest split "$TESTKIT_SERVERS_BIN" -- bash -c '
  exec "$LOADTEST_BIN" crash --rounds "$0" --split --postgres "$TEST_DATABASE_URL" --redis "$TEST_REDIS_URL"' "$rounds"

# every scenario of the load test once, as small as it can be: that it runs, and loses nothing. What it measures here says
# nothing.
run_load() {
  local scenario
  small() { echo "== loadtest $*"; "$LOADTEST_BIN" "$@" 2>/dev/null; }
  for scenario in \
    "fanout --clients 100 --rate 20 --dialect centrifuge-protobuf --publish centrifugo" \
    "burst --clients 50 --at-once 20 --dialect pusher --publish pusher" \
    "topics --clients 100 --topics 10 --rate 50" \
    "mixed --clients 100 --messages 8 --rate 20" \
    "connect --clients 100 --own-tokens" \
    "idle --clients 50 --seconds 0.5" \
    "storm --nodes 2 --clients 50 --missed 5" \
    "emergency --clients 50 --at-once 10 --emergencies 2" \
    "million --clients 100 --per-process 50 --broadcasts 2" \
    "soak --users 60 --minutes 0.1 --cut-seconds 2"; do
    case $scenario in fanout* | burst* | topics*) scenario+=" --seconds 1 --warm-seconds 0.2 --rounds 1" ;; connect*) scenario+=" --rounds 1" ;; esac
    # shellcheck disable=SC2086
    run_loadtest "${scenario%% *}" small $scenario
  done
}
wanted load && run_load

[ "${#broken[@]}" -eq 0 ] || echo "e2e: failed suites: ${broken[*]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
