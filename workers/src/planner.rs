//! The planner: from changes in the log to notifications, and from notifications to deliveries.
//!
//! This file follows the log and decides; `expand` turns audiences into deliveries, page by page. Both may run again
//! over the same input: ids are derived, rows are inserted if absent, items are pushed if absent.

mod decide;
mod expand;
mod wishes;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::{Change, Lane};
use store::StoreError;
use store::log_cursors::{self, LogCursor};
use store::notifications::Notification;
use store::{deliveries, notifications};
use streams::{Cursor, Epoch, ReadBatch, StreamsError};
use tokio::time::Instant;
use tracing::{error, warn};

use crate::app::App;
use crate::backoff::Backoff;
use crate::failure::chain;
use crate::leader::Leader;
use crate::{metrics, webhooks};

use decide::Decision;
pub(crate) use expand::run as run_expander;
pub(crate) use expand::{Due, delivery_queue, push_page};

/// The planner's name among the consumers of the log.
const CONSUMER: &str = "planner";

/// Why planning was interrupted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Streams(#[from] StreamsError),
}

/// Follows the log until the process drains.
pub(crate) async fn run(app: App) {
    let mut leader = Leader::new(&app, "planner");
    let mut backoff = Backoff::new(
        Duration::from_millis(app.config.relay.backoff_min_ms),
        Duration::from_millis(app.config.relay.backoff_max_ms),
    );
    let mut reader: Option<Reader> = None;
    while leader.holds().await {
        match step(&app, &mut reader).await {
            Ok(()) => backoff.reset(),
            Err(cause) => {
                reader = None; // what it had read but not noted is read again
                let wait = backoff.after_failure(rand::random());
                warn!(
                    cause = chain(&cause),
                    wait_ms = wait.as_millis(),
                    "the planner was interrupted; it tries again"
                );
                app.pause(wait).await;
            }
        }
    }
    if let Some(mut reader) = reader
        && let Err(cause) = reader.save(&app).await
    {
        warn!(
            cause = chain(&cause),
            "the planner's place in the log was not noted; some of it is read again"
        );
    }
}

/// Where the planner is in each partition, and what of it is noted in the database.
struct Reader {
    cursors: BTreeMap<u16, Cursor>,
    unsaved: bool,
    saved_at: Instant,
}

async fn step(app: &App, reader: &mut Option<Reader>) -> Result<(), PlanError> {
    if reader.is_none() {
        *reader = Some(Reader::load(app).await?);
    }
    let reader = reader.as_mut().expect("it was just loaded");
    let rules = &app.config.planner;
    let cursors: Vec<Cursor> = reader.cursors.values().cloned().collect();
    let wait = Duration::from_millis(rules.read_wait_ms);
    let mut decided = false;
    for batch in app.log.read(&cursors, rules.read_entries, wait).await? {
        decided |= reader.take(app, batch).await?;
    }
    if decided || (reader.unsaved && reader.saved_at.elapsed() >= Duration::from_millis(rules.cursor_ms)) {
        reader.save(app).await?;
    }
    Ok(())
}

impl Reader {
    /// Takes up where the last planner stopped; partitions never read before are read from their oldest entry.
    async fn load(app: &App) -> Result<Self, PlanError> {
        let mut cursors = BTreeMap::new();
        for known in log_cursors::load(&app.store, CONSUMER).await? {
            let cursor =
                Cursor { partition: known.partition, epoch: Epoch(known.epoch.into()), after: known.offset };
            cursors.insert(known.partition, cursor);
        }
        cursors.retain(|partition, _| *partition < app.log.partitions());
        for partition in 0..app.log.partitions() {
            if let Entry::Vacant(place) = cursors.entry(partition) {
                let state = app.log.state(partition).await?;
                place.insert(Cursor { partition, epoch: state.epoch, after: state.trimmed });
            }
        }
        Ok(Self { cursors, unsaved: false, saved_at: Instant::now() })
    }

    /// Handles what was read of one partition. Whether there was something to decide.
    async fn take(&mut self, app: &App, batch: ReadBatch) -> Result<bool, PlanError> {
        let mut decided = false;
        match batch {
            ReadBatch::Entries(entries) => {
                for entry in entries {
                    decided |= handle(app, &entry).await?;
                    if let Some(cursor) = self.cursors.get_mut(&entry.partition) {
                        cursor.after = entry.offset;
                        self.unsaved = true;
                    }
                }
            }
            ReadBatch::Trimmed { partition, state } | ReadBatch::Reset { partition, state } => {
                self.lost(partition, &state);
                self.cursors
                    .insert(partition, Cursor { partition, epoch: state.epoch, after: state.trimmed });
                self.unsaved = true;
            }
        }
        Ok(decided)
    }

    /// Changes that the log forgot before the planner read them cause no notifications: nobody else keeps them, as
    /// the outbox lets go of what the log has taken. It happens only when the planner was away for longer than the
    /// log's retention, or when the log itself was lost.
    fn lost(&self, partition: u16, state: &streams::PartitionState) {
        let after = self.cursors.get(&partition).map_or(0, |cursor| cursor.after);
        metrics::planner_lost(partition);
        error!(
            log.partition = partition,
            read.offset = after,
            trimmed.offset = state.trimmed,
            "the log has lost entries of partition {partition} that the planner had not read: changes in them \
             notify nobody"
        );
    }

    async fn save(&mut self, app: &App) -> Result<(), StoreError> {
        let cursors: Vec<LogCursor> = self
            .cursors
            .values()
            .map(|cursor| LogCursor {
                partition: cursor.partition,
                epoch: cursor.epoch.0.to_string(),
                offset: cursor.after,
            })
            .collect();
        let mut tx = app.store.begin().await?;
        log_cursors::save(&mut tx, CONSUMER, &cursors).await?;
        tx.commit().await?;
        (self.unsaved, self.saved_at) = (false, Instant::now());
        Ok(())
    }
}

/// Decides about one entry. Whether it carried a change at all.
async fn handle(app: &App, entry: &streams::Entry) -> Result<bool, PlanError> {
    let Some(change) = &entry.publication.change else { return Ok(false) };
    let change: Change = match serde_json::from_slice(change) {
        Ok(change) => change,
        Err(cause) => {
            let (partition, offset) = (entry.partition, entry.offset);
            error!(
                cause = chain(&cause),
                "the change at {offset} of partition {partition} cannot be read; it notifies nobody"
            );
            return Ok(true);
        }
    };
    webhooks::announce(app, &change).await?;
    match decide::decide(&app.templates, &change, app.config.planner.event_hours_max) {
        Decision::Notify(notification) => notify(app, &notification).await?,
        Decision::Replace(earlier, notification) => {
            cancel(app, earlier).await?;
            notify(app, &notification).await?;
        }
        Decision::Cancel(id) => cancel(app, id).await?,
        Decision::Nothing => {}
    }
    Ok(true)
}

/// Writes a notification and has it planned.
async fn notify(app: &App, notification: &Notification) -> Result<(), PlanError> {
    let mut tx = app.store.begin().await?;
    notifications::insert(&mut tx, notification).await?;
    tx.commit().await?;
    if notification.lane == Lane::Emergency {
        app.promotions_held.store(true, Ordering::Relaxed); // the sampler lets them go on
    }
    app.to_plan.notify_one();
    Ok(())
}

/// Stops the planning of a notification and withdraws what has not left, page by page.
pub(crate) async fn cancel(app: &App, id: domain::NotificationId) -> Result<(), PlanError> {
    let mut tx = app.store.begin().await?;
    notifications::cancel(&mut tx, id, app.now()).await?;
    tx.commit().await?;
    loop {
        let page = deliveries::cancellable(&app.store, id, app.config.sweeper.batch).await?;
        if page.is_empty() {
            return Ok(());
        }
        let mut tx = app.store.begin().await?;
        let moves = deliveries::cancel(&mut tx, &page, app.now()).await?;
        tx.commit().await?;
        metrics::moved(&moves);
    }
}
