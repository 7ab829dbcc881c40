//! Who the server is: its certificate and key, read again when their files change or on SIGHUP.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use metrics::counter;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tracing::{error, info};

use super::RELOADS;
use crate::Lifecycle;

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file of the certificate cannot be read as such.
    #[error("{path} has no certificates in PEM: {cause}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: pem::Error,
    },
    /// The file of the key cannot be read as such.
    #[error("{path} has no private key in PEM: {cause}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: pem::Error,
    },
    /// They do not belong together, or are of a kind that we cannot sign with.
    #[error("{path} is not the key of the certificate: {cause}")]
    Mismatch {
        /// The file of the key.
        path: PathBuf,
        /// What is wrong with it.
        cause: rustls::Error,
    },
    /// SIGHUP cannot be listened for.
    #[error("cannot listen for SIGHUP: {0}")]
    Signal(io::Error),
}

impl IdentityError {
    /// The field of the configuration that is at fault.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::Certificate { .. } => "certificate_file",
            Self::Key { .. } | Self::Mismatch { .. } | Self::Signal(_) => "key_file",
        }
    }
}

/// The files.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    certificate: PathBuf,
    key: PathBuf,
}

/// What tells a file from what it was: when it was written, and its length. `None` when it is not there.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Reader {
    pub(super) fn new(certificate: &Path, key: &Path) -> Self {
        Self { certificate: certificate.to_owned(), key: key.to_owned() }
    }

    /// Certificate and key, which belong together.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub(super) fn read(&self) -> Result<CertifiedKey, IdentityError> {
        let path = &self.certificate;
        let bad = |cause| IdentityError::Certificate { path: path.clone(), cause };
        let chain: Vec<_> =
            CertificateDer::pem_file_iter(path).map_err(bad)?.collect::<Result<_, _>>().map_err(bad)?;
        if chain.is_empty() {
            return Err(bad(pem::Error::NoItemsFound));
        }
        let path = &self.key;
        let key = PrivateKeyDer::from_pem_file(path)
            .map_err(|cause| IdentityError::Key { path: path.clone(), cause })?;
        CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|cause| IdentityError::Mismatch { path: path.clone(), cause })
    }

    pub(super) fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len()))
        })
    }
}

/// What handshakes are signed with.
#[derive(Debug)]
pub(super) struct Identity(RwLock<Arc<CertifiedKey>>);

impl Identity {
    pub(super) fn new(key: CertifiedKey) -> Self {
        Self(RwLock::new(Arc::new(key)))
    }

    /// Reads the files again when they change, and when the process is asked to, until it drains.
    pub(super) fn watch(
        self: Arc<Self>,
        reader: Reader,
        mut stamp: Stamp,
        every: Duration,
        life: &Lifecycle,
    ) -> Result<(), IdentityError> {
        let mut asked = signal(SignalKind::hangup()).map_err(IdentityError::Signal)?;
        let drain = life.drain().clone();
        life.spawn("tls.reload", async move {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let forced = tokio::select! { // cancel-safe: a signal that is not taken is reported to the next call
                    () = drain.cancelled() => return Ok::<(), Infallible>(()),
                    _ = ticks.tick() => false,
                    _ = asked.recv() => true,
                };
                let (identity, files) = (Arc::clone(&self), reader.clone());
                let look = move || {
                    let now = files.stamp();
                    if forced || now != stamp {
                        identity.reload(&files);
                    }
                    now
                };
                // the look does not panic; and if it did, the next one would be as good
                stamp = tokio::task::spawn_blocking(look).await.unwrap_or(stamp);
            }
        });
        Ok(())
    }

    fn reload(&self, reader: &Reader) {
        let outcome = match reader.read() {
            Ok(key) => {
                *self.0.write().expect("no holder of this lock panics") = Arc::new(key);
                info!("the certificate was read again");
                "done"
            }
            Err(cause) => {
                error!("the certificate was not exchanged, the old one stays: {cause}");
                "failed"
            }
        };
        counter!(RELOADS, "outcome" => outcome).increment(1);
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().expect("no holder of this lock panics")))
    }
}
