//! A delivery under lock, and the one way in which its state changes.

use std::collections::BTreeMap;

use domain::{
    Channel, DeliveryId, DeliveryState, Ended, EvidenceKind, Lane, NotificationId, Reach, Timestamp, UserId,
};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::Move;
use crate::binds::Binds;
use crate::recipients::{self, PersonMove};
use crate::sql::{at_null, get, get_at, get_at_null, get_word, statement};
use crate::{Engine, StoreError, Tx};

/// What may change about a delivery, and what that depends on.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: DeliveryId,
    pub(crate) notification_id: NotificationId,
    pub(crate) user_id: UserId,
    pub(crate) channel: Channel,
    pub(crate) lane: Lane,
    pub(crate) state: DeliveryState,
    pub(crate) reason: Option<String>,
    pub(crate) attempts: i64,
    pub(crate) fence: i64,
    pub(crate) provider_id: Option<String>,
    pub(crate) queued_at: Timestamp,
    pub(crate) next_attempt_at: Option<Timestamp>,
    pub(crate) sending_at: Option<Timestamp>,
    pub(crate) accepted_at: Option<Timestamp>,
    pub(crate) delivered_at: Option<Timestamp>,
    pub(crate) opened_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    /// Whether its notification was withdrawn.
    pub(crate) cancelled: bool,
    was: DeliveryState,
    reached: Option<Reach>,
    proven_at: Option<Timestamp>,
}

impl Row {
    /// Takes note of evidence from `at`: raises the state, keeps the first time of each rank, whatever the order of arrival.
    pub(crate) fn learn(&mut self, evidence: EvidenceKind, at: Timestamp, now: Timestamp) {
        let first = match evidence {
            EvidenceKind::Accepted => Some(&mut self.accepted_at),
            EvidenceKind::Delivered => Some(&mut self.delivered_at),
            EvidenceKind::Opened => Some(&mut self.opened_at),
            EvidenceKind::Bounced | EvidenceKind::Refused | EvidenceKind::NoVerdict => None,
        };
        if let Some(first) = first {
            *first = Some(first.map_or(at, |known| known.min(at)));
        }
        let raised = self.state.after(evidence);
        if raised == self.state {
            return;
        }
        self.state = raised;
        if raised.rank() >= DeliveryState::Accepted.rank() {
            self.next_attempt_at = None;
        }
        if raised.is_end() {
            self.ended_at.get_or_insert(now);
        }
        if raised.is_proof() || raised == DeliveryState::Accepted {
            self.reason = None;
        }
    }

    /// What it contributes to how far its person was reached.
    fn reach(&self) -> Option<Reach> {
        reach_of(self.channel, self.state, self.accepted_at, self.reason.as_deref())
    }

    /// When the recipient's side had it, as far as is known.
    fn first_proof(&self) -> Option<Timestamp> {
        [self.delivered_at, self.opened_at].into_iter().flatten().min()
    }

    /// Ends it as `state`, unless it has ended.
    pub(crate) fn end(&mut self, state: DeliveryState, reason: &str, now: Timestamp) {
        if self.ended_at.is_none() {
            self.state = state;
            self.reason = (!reason.is_empty()).then(|| reason.to_owned());
            self.next_attempt_at = None;
            self.ended_at = Some(now);
        }
    }
}

/// What a delivery contributes to how far its person was reached.
pub(crate) fn reach_of(
    channel: Channel,
    state: DeliveryState,
    accepted_at: Option<Timestamp>,
    reason: Option<&str>,
) -> Option<Reach> {
    let ended = match (accepted_at, reason) {
        (Some(_), _) => Ended::AfterAcceptance,
        (None, Some(recipients::UNVERIFIED)) => Ended::WithoutVerdict,
        _ => Ended::Otherwise,
    };
    Reach::of(channel, state, ended)
}

const COLUMNS: &str = "d.id, d.notification_id, d.user_id, d.channel, d.lane, d.state, d.reason, d.attempts, d.fence, \
    d.provider_id, d.queued_at, d.next_attempt_at, d.sending_at, d.accepted_at, d.delivered_at, d.opened_at, \
    d.ended_at, d.expires_at, n.cancelled_at";

/// Loads deliveries for a change, in the order of their ids, so that two transactions never wait for each other in
/// a circle. Unknown ids are left out.
pub(crate) async fn lock(tx: &mut Tx, ids: &[DeliveryId]) -> Result<Vec<Row>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let engine = tx.engine();
    let mut values = Binds::default();
    let places = values.all(ids.iter().map(|id| id.0));
    let lock = match engine {
        Engine::Sqlite => "", // the transaction is the only writer
        Engine::Postgres => "FOR UPDATE OF d",
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries d JOIN notifications n ON n.id = d.notification_id \
         WHERE d.id IN ({places}) ORDER BY d.id {lock}"
    );
    let rows = tx.connection().query_all_raw(statement(engine, sql, values.take())).await?;
    rows.iter().map(read).collect()
}

fn read(row: &QueryResult) -> Result<Row, StoreError> {
    let state = get_word(row, "state")?;
    let mut read = Row {
        id: DeliveryId(get(row, "id")?),
        notification_id: NotificationId(get(row, "notification_id")?),
        user_id: UserId(get(row, "user_id")?),
        channel: get_word(row, "channel")?,
        lane: get_word(row, "lane")?,
        state,
        reason: get(row, "reason")?,
        attempts: get(row, "attempts")?,
        fence: get(row, "fence")?,
        provider_id: get(row, "provider_id")?,
        queued_at: get_at(row, "queued_at")?,
        next_attempt_at: get_at_null(row, "next_attempt_at")?,
        sending_at: get_at_null(row, "sending_at")?,
        accepted_at: get_at_null(row, "accepted_at")?,
        delivered_at: get_at_null(row, "delivered_at")?,
        opened_at: get_at_null(row, "opened_at")?,
        ended_at: get_at_null(row, "ended_at")?,
        expires_at: get_at(row, "expires_at")?,
        cancelled: get_at_null(row, "cancelled_at")?.is_some(),
        was: state,
        reached: None,
        proven_at: None,
    };
    (read.reached, read.proven_at) = (read.reach(), read.first_proof());
    Ok(read)
}

/// Writes changed deliveries back and moves the counts of their notifications and people. All rows come from [`lock`].
pub(crate) async fn write(tx: &mut Tx, rows: &[Row], now: Timestamp) -> Result<Vec<Move>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = Binds::default();
    let places = rows.iter().map(|row| values.row(written(row))).collect::<Vec<_>>().join(", ");
    // both engines name the columns of VALUES column1, column2, …
    let sql = format!(
        "UPDATE deliveries SET state = v.column2, reason = v.column3, attempts = v.column4, fence = v.column5, \
         provider_id = v.column6, next_attempt_at = v.column7, sending_at = v.column8, accepted_at = v.column9, \
         delivered_at = v.column10, opened_at = v.column11, ended_at = v.column12 \
         FROM (VALUES {places}) AS v WHERE deliveries.id = v.column1"
    );
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values.take())).await?;
    let moves: Vec<Move> =
        rows.iter().filter(|row| row.was != row.state).map(|row| moved(row, now)).collect();
    recipients::shift(tx, &rows.iter().filter_map(person_moved).collect::<Vec<_>>()).await?;
    count_moves(tx, &moves, now).await?;
    Ok(moves)
}

/// What a changed delivery means for its person; `None`: nothing.
fn person_moved(row: &Row) -> Option<PersonMove> {
    let (to, proven_at) = (row.reach(), row.first_proof());
    (to != row.reached || proven_at != row.proven_at).then(|| PersonMove {
        notification_id: row.notification_id,
        user_id: row.user_id,
        from: row.reached,
        to,
        cause: Some(cause(row)),
        proven_at,
    })
}

fn cause(row: &Row) -> String {
    match row.state {
        DeliveryState::Accepted | DeliveryState::Expired if row.channel == Channel::Socket => {
            recipients::NOT_CONNECTED.to_owned()
        }
        state => row.reason.clone().unwrap_or_else(|| state.as_str().to_owned()),
    }
}

fn written(row: &Row) -> [Value; 12] {
    [
        row.id.0.into(),
        row.state.as_str().into(),
        row.reason.clone().into(),
        row.attempts.into(),
        row.fence.into(),
        row.provider_id.clone().into(),
        at_null(row.next_attempt_at),
        at_null(row.sending_at),
        at_null(row.accepted_at),
        at_null(row.delivered_at),
        at_null(row.opened_at),
        at_null(row.ended_at),
    ]
}

fn moved(row: &Row, now: Timestamp) -> Move {
    Move {
        notification_id: row.notification_id,
        channel: row.channel,
        lane: row.lane,
        from: Some(row.was),
        to: row.state,
        age: now.since(row.queued_at),
    }
}

/// Moves the counts of the notifications concerned, in the order of their keys.
pub(super) async fn count_moves(tx: &mut Tx, moves: &[Move], now: Timestamp) -> Result<(), StoreError> {
    let mut sums: BTreeMap<(NotificationId, Channel, DeliveryState), i64> = BTreeMap::new();
    for one in moves {
        *sums.entry((one.notification_id, one.channel, one.to)).or_default() += 1;
        if let Some(from) = one.from {
            *sums.entry((one.notification_id, one.channel, from)).or_default() -= 1;
        }
    }
    sums.retain(|_, sum| *sum != 0);
    if sums.is_empty() {
        return Ok(());
    }
    let mut values = Binds::default();
    let rows = sums
        .into_iter()
        .map(|((notification, channel, state), sum)| {
            values.row([
                notification.0.into(),
                channel.as_str().into(),
                state.as_str().into(),
                sum.into(),
                now.as_microsecond().into(),
            ])
        })
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "INSERT INTO notification_counts (notification_id, channel, state, deliveries, changed_at) VALUES {rows} \
         ON CONFLICT (notification_id, channel, state) DO UPDATE SET \
         deliveries = notification_counts.deliveries + excluded.deliveries, changed_at = excluded.changed_at"
    );
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values.take())).await?;
    Ok(())
}
