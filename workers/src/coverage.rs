//! The coverage board as it moves: kept at each mark, and published while it changes.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use domain::{AnnouncementId, COVERAGE_MARKS_SECONDS, Lane, NotificationId, PublicationId, Timestamp, Topic};
use serde_json::json;
use store::StoreError;
use store::coverage::{self, Board, Mark, Recent};
use store::notifications::{self, Notification};
use streams::{NewPublication, StreamsError};
use tracing::warn;

use crate::app::App;
use crate::failure::chain;
use crate::leader::Leader;
use crate::metrics;

/// How long after its last mark a notification's marks are still kept: nobody may have been there to look.
const MARK_LATE_MAX: Duration = Duration::from_mins(5);

/// How far back changes are looked for again: clocks of processes differ, and commits come late.
const LOOK_BACK: Duration = Duration::from_secs(5);

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum CoverageError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Streams(#[from] StreamsError),
}

/// What was published last of each notification that changed lately.
type Published = HashMap<NotificationId, Bytes>;

/// Looks until the process drains.
pub(crate) async fn run(app: App) {
    let topic = Topic::staff("coverage").expect("the name is valid");
    let mut leader = Leader::new(&app, "coverage");
    let mut published = Published::new();
    while leader.holds().await {
        if let Err(cause) = round(&app, &topic, &mut published).await {
            warn!(cause = chain(&cause), "coverage could not be looked at; the next round does");
        }
        app.pause(Duration::from_millis(app.config.counts_ms)).await;
    }
}

async fn round(app: &App, topic: &Topic, published: &mut Published) -> Result<(), CoverageError> {
    let now = app.now();
    let last = Duration::from_secs(COVERAGE_MARKS_SECONDS.into_iter().max().unwrap_or(0).into());
    for one in coverage::recent(&app.store, now - last - MARK_LATE_MAX).await? {
        keep_marks(app, &one, now).await?;
    }
    let look_back = LOOK_BACK + Duration::from_millis(app.config.counts_ms);
    let changed = notifications::counted_since(&app.store, now - look_back).await?;
    published.retain(|id, _| changed.iter().any(|(changed, _)| changed == id));
    let mut news = Vec::new();
    for (id, _) in changed {
        let Some(progress) = notifications::find(&app.store, id).await? else { continue };
        let Some(announcement_id) = progress.notification.announcement_id else { continue };
        let board = Board::of(&coverage::board(&app.store, id).await?);
        if progress.notification.lane == Lane::Emergency {
            metrics::covered(announcement_id, &board);
        }
        let data = Bytes::from(message(announcement_id, &progress.notification, &board).to_string());
        if published.get(&id) != Some(&data) {
            news.push((id, data));
        }
    }
    if news.is_empty() {
        return Ok(());
    }
    let publications: Vec<NewPublication> =
        news.iter().map(|(_, data)| publication(topic, data.clone(), now)).collect();
    app.log.append(&publications).await?;
    published.extend(news);
    Ok(())
}

/// Keeps the board at each mark that has come since the last one kept.
async fn keep_marks(app: &App, one: &Recent, now: Timestamp) -> Result<(), StoreError> {
    let age = now.since(one.created_at);
    let due: Vec<u32> = COVERAGE_MARKS_SECONDS
        .into_iter()
        .filter(|mark| *mark > one.kept_seconds && age >= Duration::from_secs(u64::from(*mark)))
        .collect();
    if due.is_empty() {
        return Ok(());
    }
    let people = json!(Board::of(&coverage::board(&app.store, one.id).await?).people);
    let mut tx = app.store.begin().await?;
    for after_seconds in due {
        let mark = Mark { after_seconds, taken_at: now, people: people.clone() };
        coverage::keep_mark(&mut tx, one.id, &mark).await?;
    }
    tx.commit().await
}

fn message(announcement_id: AnnouncementId, about: &Notification, board: &Board) -> serde_json::Value {
    json!({
        "type": "announcement.coverage",
        "announcement_id": announcement_id,
        "notification_id": about.id,
        "notified_at": about.created_at,
        "coverage": board,
    })
}

fn publication(topic: &Topic, data: Bytes, now: Timestamp) -> NewPublication {
    NewPublication {
        id: PublicationId(uuid::Uuid::from_u128(rand::random())),
        topic: topic.clone(),
        data,
        lane: Lane::Standard,
        change: None,
        attributes: None,
        at: now,
    }
}
