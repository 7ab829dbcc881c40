#!/usr/bin/env bash
# Installs what the tests need from the distribution, where that is possible without asking; else says what is missing.
# Starts and stops no service of the machine.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
need() { # package, then a command that succeeds when it is there
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
any() { for name in "$@"; do command -v "$name" && return 0; done; return 1; }
postgres() { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; }

need build-essential any cc gcc clang
need postgresql postgres
need redis-server command -v redis-server
need chromium any chromium chromium-browser google-chrome
need nodejs command -v node
need npm command -v npm
need python3 command -v python3
need python3-venv python3 -c 'import venv, ensurepip'
need prometheus command -v prometheus
need nginx any nginx /usr/sbin/nginx
need openssl command -v openssl

if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo -n)
fi
if command -v apt-get >/dev/null && { [ ${#as_root[@]} -eq 0 ] || sudo -n true 2>/dev/null; }; then
    echo "Installing ${missing[*]}"
    # packages must not start their services: ours are started by the tests, and end with them
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
        "${as_root[@]}" chmod 755 $policy
        trap '"${as_root[@]}" rm -f $policy' EXIT
    fi
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
    exit 0
fi
cat >&2 <<END
The tests need ${missing[*]}. On Debian or Ubuntu:
  sudo apt-get install --no-install-recommends ${missing[*]}
END
exit 1
