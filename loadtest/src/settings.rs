//! The configuration of an installation that a run starts: real limits where they matter, shorter times where a run
//! would only wait for them.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use service::TokenSigner;

use crate::standins::Standins;

/// Name of the file with the key that receipts are made with.
pub(crate) const RECEIPT_KEY: &str = "receipt.key";
/// Name of the file with the key that access tokens are signed with.
pub(crate) const SIGNING_KEY: &str = "signing-key.pem";

/// Pusher's application of a soak: its id, key and secret.
pub(crate) const SOAK_APP: (&str, &str, &str) = ("1", "soak-key", "a secret of the soak alone");

/// What differs from process to process and from run to run.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    /// The directory of the run.
    pub directory: &'a Path,
    /// Part of the installation that the process takes.
    pub role: &'a str,
    /// Where it serves.
    pub public: SocketAddr,
    /// Where it is asked whether it is ready.
    pub admin: SocketAddr,
    /// Instead of a SQLite file.
    pub postgres: Option<&'a str>,
    /// Instead of files.
    pub redis: Option<&'a str>,
    /// The providers.
    pub standins: &'a Standins,
}

/// Writes the keys that all processes of an installation share.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write_keys(directory: &Path) -> Result<()> {
    std::fs::write(directory.join(SIGNING_KEY), TokenSigner::generate_pem())?;
    let receipt_key = format!("{:032x}{:032x}\n", rand::random::<u128>(), rand::random::<u128>());
    std::fs::write(directory.join(RECEIPT_KEY), receipt_key).context("cannot write the keys")
}

/// The configuration file.
pub(crate) fn toml(settings: &Settings<'_>) -> String {
    let Settings { directory, role, public, admin, .. } = settings;
    let directory = directory.display();
    let redis = settings.redis.unwrap_or_default(); // empty: files
    let (soak_id, soak_key, soak_secret) = SOAK_APP;
    let mut toml = format!(
        r#"data_dir = "{directory}/{role}"

[http]
listen = ["{public}"]

[admin]
listen = ["{admin}"]

[auth]
signing_key_file = "{directory}/{SIGNING_KEY}"
receipt_key_file = "{directory}/{RECEIPT_KEY}"

# a client that was away while thousands of changes happened is to have them all
[hub.limits]
recovery_publications_max = 10000

[hub.history]
publications_max = 100000

# a log that has all that it keeps within minutes, so that memory reaches its level soon
[streams]
url = "{redis}"
retention_entries = 2000

[streams.embedded]
segment_bytes = 2097152
memory_entries = 256

# where the crowd of a soak talks to itself; kept short for the same reason
[hub.classes.soak]
history_size = 200
presence = true
read_presence = "anyone"
publish = "subscriber"

[hub.pusher.apps.{soak_id}]
key = "{soak_key}"
secret = "{soak_secret}"
shared = ["soak"]

# the crowd signs in and publishes from one address, as one organizer
[api.rate_limits]
auth = {{ requests = 1000000, window_secs = 1 }}
anonymous = {{ requests = 1000000, window_secs = 1 }}
staff = {{ requests = 1000000, window_secs = 1 }}

[workers.sweeper]
every_ms = 500
grace_ms = 5000
"#
    );
    if let Some(url) = settings.postgres {
        write!(toml, "\n[store]\nurl = \"{url}\"\n").expect("a String takes everything");
    }
    toml.push_str(settings.standins.toml());
    toml
}

/// What differs between the servers that are measured.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    /// The directory of the process.
    pub directory: &'a Path,
    /// Where it serves.
    pub public: SocketAddr,
    /// Where it tells its metrics.
    pub admin: SocketAddr,
    /// Threads that carry connections.
    pub shards: u32,
    /// Secret of the tokens, key of the HTTP API, and secret of Pusher's application.
    pub secret: &'a str,
    /// Id and key of that application.
    pub app: (&'a str, &'a str),
    /// URL of a Redis instead of files, and what the keys on it begin with.
    pub redis: Option<(&'a str, &'a str)>,
    /// Further lines of the section `hub`.
    pub hub: &'a str,
    /// Further sections.
    pub more: &'a str,
}

/// The configuration of a server that is measured: Munadi's own defaults, but for what keeps a load from one machine and
/// one publisher out.
pub(crate) fn bench_toml(bench: &Bench<'_>) -> String {
    let Bench { directory, public, admin, shards, secret, app: (app_id, app_key), redis, hub, more } = bench;
    let directory = directory.display();
    let streams = redis.map_or_else(String::new, |(url, prefix)| {
        format!("\n[streams]\nurl = \"{url}\"\nkey_prefix = \"{prefix}\"\n")
    });
    format!(
        r#"data_dir = "{directory}/data"

[http]
listen = ["{public}"]

[admin]
listen = ["{admin}"]

[auth]
signing_key_file = "{directory}/{SIGNING_KEY}"
receipt_key_file = "{directory}/{RECEIPT_KEY}"

[live]
enabled = false
{streams}
[hub]
shards = {shards}
{hub}
[hub.door]
connects_per_second = 1000000
connects_burst = 1000000
connects_per_second_per_address = 1000000
connects_burst_per_address = 1000000

[hub.limits]
commands_per_second = 100000
commands_burst = 100000
commands_per_second_per_user = 100000
commands_burst_per_user = 100000

[hub.tokens]
hmac_secret = "{secret}"

[hub.server_api]
key = "{secret}"

[hub.classes.bench]
publish = "user"

[hub.pusher.apps.{app_id}]
key = "{app_key}"
secret = "{secret}"
shared = ["bench", "festival"]
{more}"#
    )
}
