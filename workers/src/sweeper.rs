//! The sweeper: every delivery ends, and none is forgotten.
//!
//! A delivery past its deadline ends as `DeliveryState::at_deadline` says: accepted without proof is `expired`
//! (`unseen`) for push and sockets, and stays `accepted` for mail; everything else that is open is `expired`. A delivery
//! that is due but in no queue, because a crash came between the database and the queue, is queued again.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{Channel, Lane, Timestamp};
use store::StoreError;
use store::deliveries::{self, Orphan};
use streams::StreamsError;
use tracing::{info, warn};

use crate::app::App;
use crate::failure::chain;
use crate::leader::Leader;
use crate::metrics;
use crate::planner::{Due, delivery_queue, push_page};

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Streams(#[from] StreamsError),
}

/// Sweeps until the process drains.
pub(crate) async fn run(app: App) {
    let mut leader = Leader::new(&app, "sweeper");
    while leader.holds().await {
        if let Err(cause) = sweep(&app).await {
            warn!(cause = chain(&cause), "a sweep was interrupted; the next one goes on");
        }
        app.pause(Duration::from_millis(app.config.sweeper.every_ms)).await;
    }
}

async fn sweep(app: &App) -> Result<(), SweepError> {
    let rules = &app.config.sweeper;
    loop {
        let before = app.now() - Duration::from_millis(rules.grace_ms);
        let page = deliveries::overdue(&app.store, before, rules.batch).await?;
        if page.is_empty() {
            break;
        }
        let mut tx = app.store.begin().await?;
        let moves = deliveries::end_overdue(&mut tx, &page, app.now()).await?;
        tx.commit().await?;
        metrics::moved(&moves);
        if app.draining() {
            return Ok(());
        }
    }
    let due_before = app.now() - Duration::from_millis(rules.orphan_ms);
    let orphans = deliveries::orphans(&app.store, due_before, rules.batch).await?;
    adopt(app, orphans, due_before).await
}

/// Queues again what is due in lanes whose queue has nothing to do. In a busy lane nothing is an orphan for sure: its
/// turn may just not have come.
async fn adopt(app: &App, orphans: Vec<Orphan>, due_before: Timestamp) -> Result<(), SweepError> {
    let mut lanes: BTreeMap<(Channel, Lane), Vec<Orphan>> = BTreeMap::new();
    for orphan in orphans {
        lanes.entry((orphan.channel, orphan.lane)).or_default().push(orphan);
    }
    for ((channel, lane), orphans) in lanes {
        let stats = app.queue.stats(&delivery_queue(channel, lane)).await?;
        let paused = app.pauses.until(channel, lane).is_some();
        if stats.ready + stats.claimed > 0 || paused || !app.gateways.reach(channel) {
            continue;
        }
        info!(%channel, %lane, deliveries = orphans.len(), "deliveries that were in no queue are queued again");
        metrics::orphans(channel, orphans.len());
        let name = format!("orphans:{}", due_before.as_second());
        let due = orphans.into_iter().map(|one| Due { id: one.id, channel: one.channel, not_before: None });
        push_page(app, lane, &name, due).await?;
    }
    Ok(())
}
