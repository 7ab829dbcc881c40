//! Takes the Centrifuge SDK for the page at `/live` into the binary, if there is one (ADR 0010).
//!
//! It is looked for in `MUNADI_SDK_DIR`, then in `web/live/sdk`, where `scripts/sdk.sh` puts it. Nothing is downloaded
//! here: a build gives the same from the same files, with or without internet.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const BUILDS: [&str; 2] = ["centrifuge.js", "centrifuge.protobuf.js"];

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=MUNADI_SDK_DIR");
    println!("cargo:rerun-if-changed=../web/live");
    let chosen = env::var_os("MUNADI_SDK_DIR").map(PathBuf::from);
    let dir = chosen.clone().unwrap_or_else(|| PathBuf::from("../web/live/sdk"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for build in BUILDS {
        let bytes = match fs::read(dir.join(build)) {
            Ok(bytes) => bytes,
            Err(error) if chosen.is_none() && error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(told(&dir.join(build), &error)),
        };
        fs::write(out.join(build), bytes)?;
    }
    Ok(())
}

fn told(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("MUNADI_SDK_DIR: {}: {error}", path.display()))
}
