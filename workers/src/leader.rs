//! Jobs that only one process may do at a time: they stand under a lease in the database.

use std::time::Duration;

use store::{StoreError, leases};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::app::App;
use crate::failure::chain;

/// This process's claim to one job.
pub(crate) struct Leader {
    app: App,
    name: &'static str,
    /// When the lease was last taken or renewed, while it is held.
    held_since: Option<Instant>,
}

impl Leader {
    /// A claim to the job `name`, not yet made good.
    pub(crate) fn new(app: &App, name: &'static str) -> Self {
        Self { app: app.clone(), name, held_since: None }
    }

    /// Completes with `true` when this process may do the job for at least half a lease; with `false` when it is on
    /// its way out, and the lease was given back.
    pub(crate) async fn holds(&mut self) -> bool {
        let span = Duration::from_millis(self.app.config.lease_ms);
        loop {
            if self.app.draining() {
                self.release().await;
                return false;
            }
            if self.held_since.is_some_and(|since| since.elapsed() < span / 2) {
                return true;
            }
            match self.acquire(span).await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(cause) => {
                    warn!(
                        cause = chain(&cause),
                        job = self.name,
                        "the lease of {} could not be renewed",
                        self.name
                    );
                }
            }
            self.app.pause(span / 4).await;
        }
    }

    async fn acquire(&mut self, span: Duration) -> Result<bool, StoreError> {
        let asked_at = Instant::now();
        let mut tx = self.app.store.begin().await?;
        let lease = leases::acquire(&mut tx, self.name, &self.app.holder, span).await?;
        tx.commit().await?;
        if let (Some(lease), None) = (lease, self.held_since) {
            info!(
                job = self.name,
                fence = lease.fence,
                "this process does the job {} from now on",
                self.name
            );
        }
        self.held_since = lease.map(|_| asked_at);
        Ok(lease.is_some())
    }

    async fn release(&mut self) {
        if self.held_since.take().is_some()
            && let Err(cause) = self.give_back().await
        {
            warn!(
                cause = chain(&cause),
                job = self.name,
                "the lease of {} was not given back; it runs out by itself",
                self.name
            );
        }
    }

    async fn give_back(&self) -> Result<(), StoreError> {
        let mut tx = self.app.store.begin().await?;
        leases::release(&mut tx, self.name, &self.app.holder).await?;
        tx.commit().await
    }
}
