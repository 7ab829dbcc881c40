//! Dead letters: deliveries that ended without having arrived, grouped by their cause, and opened again once the cause is
//! gone.

use domain::{Channel, DeliveryId, DeliveryState, Lane, NotificationId, NotificationKind, Timestamp, UserId};
use sea_orm::{ConnectionTrait, QueryResult};

use super::Move;
use super::row::{lock, write};
use crate::binds::Binds;
use crate::notifications::kind_of;
use crate::sql::{at, count, get, get_at, get_at_null, get_word, statement};
use crate::{Store, StoreError, Tx};

/// Which dead letters are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadFilter {
    /// Those that ended after this.
    pub since: Timestamp,
    /// Of one cause.
    pub cause: Option<String>,
    /// On one channel.
    pub channel: Option<Channel>,
    /// In one lane.
    pub lane: Option<Lane>,
}

/// Dead letters of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadGroup {
    /// The channel.
    pub channel: Channel,
    /// The lane.
    pub lane: Lane,
    /// `failed`: refused for good; `dead`: every attempt is spent.
    pub state: DeliveryState,
    /// The last refusal's reason.
    pub cause: String,
    /// How many.
    pub deliveries: u64,
    /// When the first of them ended.
    pub first_at: Timestamp,
    /// When the last one did.
    pub last_at: Timestamp,
    /// Whose notification is still of use.
    pub redrivable: u64,
}

/// A dead letter, with what decides whether it may go again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which.
    pub id: DeliveryId,
    /// Of which notification.
    pub notification_id: NotificationId,
    /// Of which kind.
    pub kind: NotificationKind,
    /// To whom.
    pub user_id: UserId,
    /// How.
    pub channel: Channel,
    /// How urgent.
    pub lane: Lane,
    /// When it ended.
    pub ended_at: Timestamp,
    /// When it is of no more use.
    pub expires_at: Timestamp,
    /// Whether its notification was withdrawn.
    pub cancelled: bool,
    /// Whether its device can be pushed to; true without a device.
    pub target_active: bool,
}

const DEAD: &str = "d.state IN ('failed', 'dead')";

/// The dead letters by channel, lane, state and cause, the most first.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn dead_groups(
    store: &Store,
    filter: &DeadFilter,
    now: Timestamp,
) -> Result<Vec<DeadGroup>, StoreError> {
    let mut values = Binds::default();
    let now = values.one(at(now));
    let conditions = conditions(filter, &mut values);
    let sql = format!(
        "SELECT d.channel, d.lane, d.state, COALESCE(d.reason, '') AS cause, COUNT(*) AS deliveries, \
         MIN(d.ended_at) AS first_at, MAX(d.ended_at) AS last_at, \
         SUM(CASE WHEN d.expires_at > {now} AND n.cancelled_at IS NULL THEN 1 ELSE 0 END) AS redrivable \
         FROM deliveries d JOIN notifications n ON n.id = d.notification_id WHERE {conditions} \
         GROUP BY d.channel, d.lane, d.state, d.reason ORDER BY deliveries DESC, d.channel, d.lane, cause LIMIT 1000"
    );
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, values.take())).await?;
    rows.iter().map(read_group).collect()
}

/// A page of dead letters that ended after `after` (an instant and an id), the oldest first.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn dead_letters(
    store: &Store,
    filter: &DeadFilter,
    after: Option<(Timestamp, DeliveryId)>,
    rows_max: u64,
) -> Result<Vec<DeadLetter>, StoreError> {
    let mut values = Binds::default();
    let conditions = conditions(filter, &mut values);
    let later = after.map_or_else(String::new, |(ended_at, id)| {
        let (ended_at, id) = (values.one(at(ended_at)), values.one(id.0));
        format!(" AND (d.ended_at > {ended_at} OR (d.ended_at = {ended_at} AND d.id > {id}))")
    });
    let limit = values.one(count(rows_max));
    let sql = format!(
        "SELECT d.id, d.notification_id, n.kind, d.user_id, d.channel, d.lane, d.ended_at, d.expires_at, \
         n.cancelled_at, d.device_id, v.state AS device_state FROM deliveries d \
         JOIN notifications n ON n.id = d.notification_id LEFT JOIN devices v ON v.id = d.device_id \
         WHERE {conditions}{later} ORDER BY d.ended_at, d.id LIMIT {limit}"
    );
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, values.take())).await?;
    rows.iter().map(read_letter).collect()
}

/// Opens dead letters again: due at once, with the next attempt number. Those that are dead no more are left alone, so
/// that repeating the call changes nothing.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn redrive(tx: &mut Tx, ids: &[DeliveryId], now: Timestamp) -> Result<Vec<Move>, StoreError> {
    let mut rows = lock(tx, ids).await?;
    rows.retain(|row| {
        matches!(row.state, DeliveryState::Failed | DeliveryState::Dead)
            && row.expires_at > now
            && !row.cancelled
    });
    for row in &mut rows {
        row.state = DeliveryState::Waiting;
        row.reason = Some("redriven".to_owned());
        // due since it ended, so that the sweeper finds it at once: it is in no queue
        row.next_attempt_at = row.ended_at.take();
        row.fence += 1;
    }
    write(tx, &rows, now).await
}

fn conditions(filter: &DeadFilter, values: &mut Binds) -> String {
    let mut conditions = vec![DEAD.to_owned(), format!("d.ended_at > {}", values.one(at(filter.since)))];
    if let Some(cause) = &filter.cause {
        conditions.push(format!("d.reason = {}", values.one(cause.clone())));
    }
    if let Some(channel) = filter.channel {
        conditions.push(format!("d.channel = {}", values.one(channel.as_str())));
    }
    if let Some(lane) = filter.lane {
        conditions.push(format!("d.lane = {}", values.one(lane.as_str())));
    }
    conditions.join(" AND ")
}

fn read_group(row: &QueryResult) -> Result<DeadGroup, StoreError> {
    let number = |column| Ok::<_, StoreError>(u64::try_from(get::<i64>(row, column)?).unwrap_or(0));
    Ok(DeadGroup {
        channel: get_word(row, "channel")?,
        lane: get_word(row, "lane")?,
        state: get_word(row, "state")?,
        cause: get(row, "cause")?,
        deliveries: number("deliveries")?,
        first_at: get_at(row, "first_at")?,
        last_at: get_at(row, "last_at")?,
        redrivable: number("redrivable")?,
    })
}

fn read_letter(row: &QueryResult) -> Result<DeadLetter, StoreError> {
    let device_state: Option<String> = get(row, "device_state")?;
    let has_device = get::<Option<i64>>(row, "device_id")?.is_some();
    Ok(DeadLetter {
        id: DeliveryId(get(row, "id")?),
        notification_id: NotificationId(get(row, "notification_id")?),
        kind: kind_of(row)?,
        user_id: UserId(get(row, "user_id")?),
        channel: get_word(row, "channel")?,
        lane: get_word(row, "lane")?,
        ended_at: get_at(row, "ended_at")?,
        expires_at: get_at(row, "expires_at")?,
        cancelled: get_at_null(row, "cancelled_at")?.is_some(),
        target_active: !has_device || device_state.as_deref() == Some("active"),
    })
}
