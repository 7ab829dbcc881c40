//! TLS on the public port: certificates that are exchanged while it runs, and connections that cost little.
//!
//! [`Tls`] accepts; [`TlsStream`] is what HTTP reads and writes; [`Session`] is the state of one connection apart from
//! its socket, for whoever drives sockets in another way (the hub's shards). An idle session keeps keys and no buffer.

mod identity;
mod session;
mod stream;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, describe_counter};
use rustls::crypto::ring;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::{Faults, Lifecycle};
pub use identity::IdentityError;
use identity::{Identity, Reader};
pub use session::{RECORD_BYTES, Session};
pub use stream::TlsStream;

/// Handshakes, by `outcome`: `done`, `failed`.
const HANDSHAKES: &str = "http_tls_handshakes_total";
/// Certificates that were read again, by `outcome`: `done`, `failed` (the old ones stay).
const RELOADS: &str = "http_tls_reloads_total";
/// The protocols over TLS, the one that we like best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Session tickets for a new connection: a phone comes back with one.
const TICKETS: usize = 1;

/// TLS of the public port: `[http.tls]`. Without files it speaks plain HTTP.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// PEM file with the certificate of this server and those that vouch for it, its own first. Given, every address of
    /// `http.listen` speaks TLS (1.2 or 1.3) and nothing else.
    pub certificate_file: Option<PathBuf>,
    /// PEM file with its private key.
    pub key_file: Option<PathBuf>,
    /// Milliseconds between looks at whether the files have changed; SIGHUP has them read at once. 100 to 86,400,000. Bad
    /// files are reported, and the old ones stay. Too low: idle work. Too high: an exchanged certificate comes late.
    pub reload_ms: u64,
    /// Milliseconds for a handshake. 100 to 120,000. Too low: weak networks fail. Too high: half-made connections pile up.
    pub handshake_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { certificate_file: None, key_file: None, reload_ms: 10_000, handshake_timeout_ms: 10_000 }
    }
}

impl Config {
    /// Notes what is wrong, the files included.
    pub fn check(&self, faults: &mut Faults) {
        faults.range("reload_ms", self.reload_ms, 100..=86_400_000);
        faults.range("handshake_timeout_ms", self.handshake_timeout_ms, 100..=120_000);
        match (&self.certificate_file, &self.key_file) {
            (None, None) => {}
            (Some(_), None) => faults.add("key_file", "is needed with certificate_file"),
            (None, Some(_)) => faults.add("certificate_file", "is needed with key_file"),
            (Some(certificate), Some(key)) => {
                if let Err(error) = Reader::new(certificate, key).read() {
                    faults.add(error.field(), error.to_string());
                }
            }
        }
    }
}

/// What accepts connections. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<rustls::ServerConfig>,
    timeout: Duration,
}

impl Tls {
    /// As `config` says, with files that are read again as a task of `life`; `None` when it names no files.
    ///
    /// # Errors
    /// [`IdentityError`] when the files cannot be used.
    pub fn open(config: &Config, life: &Lifecycle) -> Result<Option<Self>, IdentityError> {
        let (Some(certificate), Some(key)) = (&config.certificate_file, &config.key_file) else {
            return Ok(None);
        };
        describe_counter!(HANDSHAKES, "TLS handshakes, by outcome");
        describe_counter!(RELOADS, "Certificates read again, by outcome");
        for outcome in ["done", "failed"] {
            counter!(HANDSHAKES, "outcome" => outcome).absolute(0);
            counter!(RELOADS, "outcome" => outcome).absolute(0);
        }
        let reader = Reader::new(certificate, key);
        let stamp = reader.stamp();
        let identity = Arc::new(Identity::new(reader.read()?));
        let timeout = Duration::from_millis(config.handshake_timeout_ms);
        let tls = Self { config: server_config(Arc::clone(&identity)), timeout };
        identity.watch(reader, stamp, Duration::from_millis(config.reload_ms), life)?;
        Ok(Some(tls))
    }

    /// Makes a connection secret.
    ///
    /// # Errors
    /// Whatever ended it before it was.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream> {
        let handshake = TlsStream::accept(stream, Arc::clone(&self.config));
        let result = match tokio::time::timeout(self.timeout, handshake).await {
            Ok(result) => result,
            Err(late) => Err(late.into()),
        };
        counter!(HANDSHAKES, "outcome" => if result.is_ok() { "done" } else { "failed" }).increment(1);
        result
    }
}

fn server_config(identity: Arc<Identity>) -> Arc<rustls::ServerConfig> {
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(identity);
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    config.send_tls13_tickets = TICKETS;
    match ring::Ticketer::new() {
        Ok(ticketer) => config.ticketer = ticketer,
        // connections are made without tickets then, which costs a full handshake each
        Err(cause) => tracing::warn!("no session tickets: {cause}"),
    }
    Arc::new(config)
}

#[cfg(test)]
mod tests;
