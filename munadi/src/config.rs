//! The whole configuration: a section for each room, and what only this binary knows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use service::config::Environment;
use service::{Faults, admin, http_server, telemetry};

use crate::keys;
use crate::live;
use crate::roles::Role;

/// Fields of earlier versions, and what took their place.
const MOVED: [(&str, &str); 2] = [
    ("hub.door.trusted_proxies", "is http.trusted_proxies now, for sockets and the API alike"),
    ("api.trusted_proxies", "is http.trusted_proxies now, for sockets and the API alike"),
];

/// Everything that can be configured: `config/munadi.toml` shows each field with its default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Directory of this process: its keys, and what the embedded database and streams store. Made when missing, for
    /// this user alone.
    pub(crate) data_dir: PathBuf,
    /// Milliseconds that a drain may take before what is left is dropped. 0 to 3,600,000. Too low: requests and
    /// sockets are cut off. Too high: a restart waits for whoever does not leave.
    pub(crate) shutdown_grace_ms: u64,
    /// Logs.
    pub(crate) telemetry: telemetry::Config,
    /// The public port.
    pub(crate) http: http_server::Config,
    /// The operators' port.
    pub(crate) admin: admin::Config,
    /// Keys and names of access tokens and receipts.
    pub(crate) auth: keys::Config,
    /// The database.
    pub(crate) store: store::Config,
    /// The change log and the work queues.
    pub(crate) streams: streams::Config,
    /// Sockets.
    pub(crate) hub: hub::Config,
    /// The page at `/live`.
    pub(crate) live: live::Config,
    /// HTTP.
    pub(crate) api: api::Config,
    /// Delivery.
    pub(crate) workers: workers::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            shutdown_grace_ms: 30_000,
            telemetry: telemetry::Config::default(),
            http: http_server::Config::default(),
            admin: admin::Config::default(),
            auth: keys::Config::default(),
            store: store::Config::default(),
            streams: streams::Config::default(),
            hub: hub::Config::default(),
            live: live::Config::default(),
            api: api::Config::default(),
            workers: workers::Config::default(),
        }
    }
}

impl Config {
    /// Reads and checks the configuration of a process that takes `role`.
    ///
    /// # Errors
    /// Every fault that was found.
    pub(crate) fn load(file: Option<&Path>, environment: &Environment, role: Role) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut config: Self = service::config::load(file, environment, &mut faults);
        for (field, rule) in MOVED {
            faults.reword(field, rule);
        }
        config.hub.door.trusted_proxies.clone_from(&config.http.trusted_proxies);
        config.api.trusted_proxies.clone_from(&config.http.trusted_proxies);
        config.check(role, &mut faults);
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    /// How long a drain may take.
    pub(crate) fn shutdown_grace(&self) -> Duration {
        Duration::from_millis(self.shutdown_grace_ms)
    }

    /// Whether the database is a file of this machine.
    pub(crate) fn has_embedded_store(&self) -> bool {
        self.store.url.is_empty() || self.store.url.starts_with("sqlite:")
    }

    /// Whether the change log is in files of this machine.
    pub(crate) fn has_embedded_streams(&self) -> bool {
        self.streams.url.is_empty()
    }

    fn check(&self, role: Role, faults: &mut Faults) {
        if self.data_dir.as_os_str().is_empty() {
            faults.add("data_dir", "must not be empty");
        }
        faults.range("shutdown_grace_ms", self.shutdown_grace_ms, 0..=3_600_000);
        faults.section("telemetry", |faults| self.telemetry.check(faults));
        faults.section("http", |faults| self.http.check(faults));
        faults.section("admin", |faults| self.admin.check(faults));
        faults.section("auth", |faults| self.auth.check(role, faults));
        faults.section("store", |faults| {
            add(faults, self.store.check());
            if role.is_split() && role.has_store() && self.has_embedded_store() {
                faults.add("url", format!("must be postgres://…: {}", split("a SQLite file belongs to")));
            }
        });
        faults.section("streams", |faults| {
            add(faults, self.streams.check());
            if role.is_split() && self.has_embedded_streams() {
                faults.add("url", format!("must be redis://…: {}", split("the embedded log belongs to")));
            }
        });
        faults.section("hub", |faults| self.hub.check(faults));
        faults.section("live", |faults| self.live.check(faults));
        faults.section("api", |faults| self.api.check(faults));
        faults.section("workers", |faults| self.workers.check(faults));
        if self.hub.revocations.keep_secs < self.api.sessions.access_secs {
            let lives = self.api.sessions.access_secs;
            let must = format!(
                "must be at least api.sessions.access_secs ({lives}), so that no revoked token outlives it"
            );
            faults.add("hub.revocations.keep_secs", must);
        }
        self.check_addresses(faults);
    }

    fn check_addresses(&self, faults: &mut Faults) {
        for address in &self.admin.listen {
            if address.port() != 0 && self.http.listen.contains(address) {
                faults.add("admin.listen", format!("{address} is the public port (http.listen), too"));
            }
        }
    }
}

fn split(what: &str) -> String {
    format!("{what} one process, and with --role the others are elsewhere; use --role all, or set this")
}

/// Adds what a room that does not know `service` has found.
fn add(faults: &mut Faults, found: Vec<(&'static str, String)>) {
    for (field, rule) in found {
        faults.add(field, rule);
    }
}

#[cfg(test)]
mod tests;
