//! The registry's age: tokens that nobody registers any more are retired, and what was retired long ago is forgotten.

use std::time::Duration;

use store::devices::{self, Ages};
use store::{StoreError, mail_addresses};
use tracing::{info, warn};

use crate::app::App;
use crate::failure::chain;
use crate::leader::Leader;

/// Looks through the registry until the process drains.
pub(crate) async fn run(app: App) {
    let mut leader = Leader::new(&app, "registry");
    while leader.holds().await {
        if let Err(cause) = prune(&app).await {
            warn!(
                cause = chain(&cause),
                "the registry of devices could not be pruned; the next look goes on"
            );
        }
        app.pause(Duration::from_millis(app.config.registry.every_ms)).await;
    }
}

async fn prune(app: &App) -> Result<(), StoreError> {
    let rules = &app.config.registry;
    let now = app.now();
    let days_ago = |days: u32| now - Duration::from_hours(24 * u64::from(days));
    let ages = Ages {
        registered_before: days_ago(rules.stale_days),
        quarantined_before: days_ago(rules.quarantine_days),
        retired_before: days_ago(rules.retired_days),
    };
    loop {
        let mut tx = app.store.begin().await?;
        let pruned = devices::prune(&mut tx, ages, rules.batch, now).await?;
        tx.commit().await?;
        let (retired, deleted) = (pruned.retired, pruned.deleted);
        if retired + deleted > 0 {
            info!(retired, deleted, "retired {retired} old tokens and forgot {deleted} devices");
        }
        if (retired < rules.batch.into() && deleted < rules.batch.into()) || app.draining() {
            break;
        }
    }
    let mut tx = app.store.begin().await?;
    let forgotten = mail_addresses::forget(&mut tx, days_ago(rules.quarantine_days)).await?;
    tx.commit().await?;
    if forgotten > 0 {
        info!(addresses = forgotten, "mail addresses that were set aside are tried again");
    }
    Ok(())
}
