# Sourced: finds the Rust toolchain, or says how to get it.

rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
if ! command -v cargo >/dev/null && [ -f "${CARGO_HOME:-$HOME/.cargo}/env" ]; then
    # shellcheck source=/dev/null
    . "${CARGO_HOME:-$HOME/.cargo}/env"
fi
rust_found=$(rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9.]*\).*/\1/p')
if ! command -v cargo >/dev/null || [ -z "$rust_found" ] \
    || [ "$(printf '%s\n' "$rust_wanted" "$rust_found" | sort -V | head -1)" != "$rust_wanted" ]; then
    cat >&2 <<END
Munadi is built with Rust $rust_wanted or newer; found: ${rust_found:-none}. The packages of Debian are too old. Install it with
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y
  . "\$HOME/.cargo/env"
and a C compiler and make (Debian: apt-get install build-essential).
END
    exit 1
fi
target=${CARGO_TARGET_DIR:-target}
