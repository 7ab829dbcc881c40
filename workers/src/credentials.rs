//! Credentials that change while the process runs: files are watched, and an adapter is built anew from them.
//!
//! A new adapter has new connections, as Apple asks for after a change of keys; what is under way ends on the old ones. A
//! file that cannot be used changes nothing but the log.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Channel, Lane};
use tracing::{error, info, warn};

use crate::app::App;
use crate::channels::GatewayError;
use crate::deliver::probe_now;
use crate::failure::chain;
use crate::gateway::{Gateway, Outcome, Outgoing};

/// Builds an adapter from what the files hold now.
type Build = Box<dyn Fn() -> Result<Arc<dyn Gateway>, GatewayError> + Send + Sync>;

/// An adapter whose credentials are in files.
pub(crate) struct Renewable {
    channel: Channel,
    files: Vec<PathBuf>,
    build: Build,
    current: RwLock<Arc<dyn Gateway>>,
    /// A hash of what the files held when they were last looked at.
    seen: Mutex<u64>,
}

/// What a look at the files found.
#[derive(Debug)]
enum Look {
    Unchanged,
    Renewed,
    Unusable(GatewayError),
}

impl Renewable {
    /// Builds the adapter of `channel` for the first time.
    ///
    /// # Errors
    /// [`GatewayError`] when its credentials cannot be used.
    pub(crate) fn new(
        channel: Channel,
        files: Vec<PathBuf>,
        build: impl Fn() -> Result<Arc<dyn Gateway>, GatewayError> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, GatewayError> {
        let seen = hash(&files);
        let current = RwLock::new(build()?);
        Ok(Arc::new(Self { channel, files, build: Box::new(build), current, seen: Mutex::new(seen) }))
    }

    fn current(&self) -> Arc<dyn Gateway> {
        Arc::clone(&self.current.read().expect("no holder of this lock panics"))
    }

    fn look(&self) -> Look {
        let found = hash(&self.files);
        let seen = std::mem::replace(&mut *self.seen.lock().expect("no holder of this lock panics"), found);
        if seen == found {
            return Look::Unchanged;
        }
        match (self.build)() {
            Ok(gateway) => {
                *self.current.write().expect("no holder of this lock panics") = gateway;
                Look::Renewed
            }
            Err(cause) => Look::Unusable(cause),
        }
    }
}

impl fmt::Debug for Renewable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewable")
            .field("channel", &self.channel)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Gateway for Renewable {
    async fn send(&self, message: &Outgoing) -> Outcome {
        self.current().send(message).await
    }
}

/// What the files hold; a file that is not there counts as empty.
fn hash(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}

/// Looks at the files until the process drains.
pub(crate) async fn run(app: App) {
    while !app.draining() {
        app.pause(Duration::from_millis(app.config.credentials_ms)).await;
        for renewable in &app.gateways.renewable.0 {
            // a few small files, and signing keys to be read: too long for a thread that serves others
            let looked = tokio::task::spawn_blocking({
                let renewable = Arc::clone(renewable);
                let runtime = tokio::runtime::Handle::current();
                move || {
                    let _entered = runtime.enter(); // an adapter may begin tasks
                    renewable.look()
                }
            });
            match looked.await {
                Ok(Look::Unchanged) => {}
                Ok(Look::Renewed) => renewed(&app, renewable.channel).await,
                Ok(Look::Unusable(cause)) => {
                    let channel = renewable.channel;
                    error!(cause = chain(&cause), %channel, "the new credentials of {channel} cannot be used; the old ones stay");
                }
                Err(cause) => warn!(cause = chain(&cause), "credentials could not be looked at"),
            }
        }
    }
}

/// Lanes that stand still because of the old credentials try the new ones now.
async fn renewed(app: &App, channel: Channel) {
    info!(%channel, "the credentials of {channel} were read again");
    for lane in Lane::ALL {
        if let Err(cause) = probe_now(app, channel, lane).await {
            warn!(cause = chain(&cause), %channel, %lane, "the lane {lane} of {channel} tries the new credentials later");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Verdict;

    /// Answers with what the file held when it was built.
    struct Echo(String);

    #[async_trait]
    impl Gateway for Echo {
        async fn send(&self, _: &Outgoing) -> Outcome {
            Outcome {
                verdict: Verdict::Accepted,
                provider_id: None,
                status_code: None,
                reason: self.0.clone(),
                retry_after: None,
                bytes_left: true,
            }
        }
    }

    #[test]
    fn a_changed_file_renews_the_adapter_and_an_unusable_one_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "one").unwrap();
        let path = file.clone();
        let build = move || -> Result<Arc<dyn Gateway>, GatewayError> {
            match std::fs::read_to_string(&path) {
                Ok(text) if !text.is_empty() => Ok(Arc::new(Echo(text))),
                _ => Err(GatewayError::NoSecret),
            }
        };
        let renewable = Renewable::new(Channel::Apns, vec![file.clone()], build).unwrap();
        let first = renewable.current();
        assert!(matches!(renewable.look(), Look::Unchanged) && Arc::ptr_eq(&renewable.current(), &first));
        std::fs::write(&file, "").unwrap();
        assert!(matches!(renewable.look(), Look::Unusable(GatewayError::NoSecret)));
        assert!(Arc::ptr_eq(&renewable.current(), &first));
        assert!(matches!(renewable.look(), Look::Unchanged), "said once");
        std::fs::write(&file, "two").unwrap();
        assert!(matches!(renewable.look(), Look::Renewed));
        assert!(!Arc::ptr_eq(&renewable.current(), &first));
    }
}
