#!/usr/bin/env bash
# Fetches the Centrifuge SDK for browsers into web/live/sdk, so that the page at /live needs no internet: the next build
# takes it into the binary. Its version and hash are pinned here; nothing is done when it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

version=5.8.0
sha512=ENH1jz6VeRuGb3yHNhgB0V0SqRKX+iYdtM9Du/E59m484epjNPfsgJw4UbmOmjgSXGEita1UoOXlZ6Ba1ooT1g==
sdk=web/live/sdk
[ "$(cat $sdk/version 2>/dev/null)" = $version ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if command -v npm >/dev/null; then
    (cd "$work" && npm pack --silent "centrifuge@$version" >/dev/null && mv centrifuge-*.tgz package.tgz)
else
    curl -fsSL --max-time 60 -o "$work/package.tgz" "https://registry.npmjs.org/centrifuge/-/centrifuge-$version.tgz"
fi
[ "$(openssl dgst -sha512 -binary "$work/package.tgz" | base64 -w0)" = $sha512 ] || {
    echo "sdk: what was fetched is not centrifuge $version as it was pinned" >&2
    exit 1
}
tar -xzf "$work/package.tgz" -C "$work"
mkdir -p $sdk
cp "$work"/package/dist/centrifuge.js "$work"/package/dist/centrifuge.protobuf.js "$work"/package/LICENSE $sdk/
echo $version >$sdk/version
