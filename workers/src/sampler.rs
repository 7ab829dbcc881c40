//! What the workers look at once a second: queues, the outbox, pauses of other processes, emergencies.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::{Channel, Lane};
use store::{StoreError, lane_pauses, notifications, outbox};
use streams::StreamsError;
use tracing::{info, warn};

use crate::app::App;
use crate::failure::chain;
use crate::metrics;
use crate::planner::delivery_queue;

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
enum SampleError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Streams(#[from] StreamsError),
}

/// Takes over the pauses that the database knows.
pub(crate) async fn load_pauses(app: &App) -> Result<(), StoreError> {
    let mut pauses = lane_pauses::list(&app.store).await?;
    let look_again = app.now() + Duration::from_millis(app.config.sample_ms);
    for held in pauses.iter_mut().filter(|one| one.held_by.is_some()) {
        held.retry_at = look_again; // what was claimed before waits that long, and is put back again
    }
    app.pauses.replace(pauses);
    Ok(())
}

/// Looks until the process drains.
pub(crate) async fn run(app: App) {
    while !app.draining() {
        if let Err(cause) = sample(&app).await {
            warn!(cause = chain(&cause), "queues and pauses could not be looked at");
        }
        app.pause(Duration::from_millis(app.config.sample_ms)).await;
    }
}

async fn sample(app: &App) -> Result<(), SampleError> {
    load_pauses(app).await?;
    let backlog = outbox::backlog(&app.store).await?;
    metrics::outbox(backlog.rows, backlog.oldest_at.map(|at| app.now().since(at)).unwrap_or_default());
    let mut emergencies = 0;
    for channel in Channel::ALL.into_iter().filter(|one| app.gateways.reach(*one)) {
        for lane in Lane::ALL {
            let stats = app.queue.stats(&delivery_queue(channel, lane)).await?;
            let age = stats.oldest_at.map(|at| app.now().since(at)).unwrap_or_default();
            metrics::queue(channel, lane, &stats, age);
            if lane == Lane::Emergency {
                emergencies += stats.ready + stats.claimed;
            }
        }
    }
    hold_promotions(app, emergencies > 0).await
}

/// Promotions stand still while emergencies are queued, or planned, or not proved to everybody yet.
async fn hold_promotions(app: &App, emergencies_queued: bool) -> Result<(), SampleError> {
    let now = app.now();
    let since = now - Duration::from_secs(app.config.deliver.promotions_hold_seconds);
    let hold = emergencies_queued || notifications::emergency_open(&app.store, since, now).await?;
    if app.promotions_held.swap(hold, Ordering::Relaxed) != hold {
        let what = if hold { "stand still for an emergency" } else { "go on" };
        info!(held = hold, "promotions {what}");
    }
    metrics::promotions_held(hold);
    Ok(())
}
