//! The begin of attempts: written before bytes leave, so that a crash in between is seen as *unknown*, not as fresh.

use std::collections::HashMap;

use domain::{
    DeliveryId, DeliveryState, DeviceId, EvidenceKind, Language, NotificationId, Timestamp, UserId,
};
use sea_orm::{ConnectionTrait, QueryResult};

use super::row::{Row, lock, write};
use super::{Move, settle};
use crate::binds::Binds;
use crate::devices::Platform;
use crate::evidence::{NewEvidence, insert};
use crate::sql::{at, get, get_at_null, statement};
use crate::{StoreError, Tx};

/// Which attempts to begin, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Begin<'a> {
    /// At most a page of one channel and lane.
    pub ids: &'a [DeliveryId],
    /// The instant now.
    pub now: Timestamp,
    /// Until when nobody else may touch the deliveries: longer than any send takes.
    pub busy_until: Timestamp,
    /// Whether an attempt without verdict is repeated.
    pub resend_unknown: bool,
    /// Attempts in all.
    pub attempts_max: u32,
}

/// What was begun.
#[derive(Debug, Default)]
pub struct Begun {
    /// Attempts that are recorded and have to be made now.
    pub sending: Vec<Sending>,
    /// Deliveries whose time has not come, or that another worker has: not before the instant.
    pub later: Vec<(DeliveryId, Timestamp)>,
    /// Deliveries that went to another state.
    pub moves: Vec<Move>,
    /// Attempts of an earlier worker that ended without a verdict.
    pub lost: u32,
}

/// An attempt that is recorded and has to be made.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Of which delivery.
    pub id: DeliveryId,
    /// Of which notification.
    pub notification_id: NotificationId,
    /// To whom.
    pub user_id: UserId,
    /// To which device.
    pub device_id: Option<DeviceId>,
    /// Token or address: the device's newest, where it has one.
    pub target: String,
    /// `apns`, `fcm_token`, `fcm_fid`, `webpush`; empty when there is no device.
    pub target_kind: String,
    /// What the device runs on.
    pub platform: Option<Platform>,
    /// When the token was registered.
    pub registered_at: Option<Timestamp>,
    /// In which language.
    pub language: Language,
    /// When it is of no more use.
    pub expires_at: Timestamp,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// To be given back with the outcome; a newer one makes it stale.
    pub fence: i64,
}

/// What sending needs besides the state.
struct Facts {
    user_id: UserId,
    device_id: Option<DeviceId>,
    target: String,
    language: Language,
    /// Kind, newest token, registration; `None` without a device.
    device: Option<(String, String, Option<Timestamp>)>,
    platform: Option<Platform>,
    device_gone: bool,
    attempt_open: bool,
    /// Whether the person proved the notification on another channel.
    proven: bool,
}

/// Records an attempt for each delivery that is due, and says which those are. The caller commits before it sends.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn begin(tx: &mut Tx, rules: Begin<'_>) -> Result<Begun, StoreError> {
    let mut rows = lock(tx, rules.ids).await?;
    let mut facts = facts(tx, rules.ids).await?;
    let mut begun = Begun::default();
    let mut lost = Vec::new();
    let mut changed = Vec::new();
    for row in &mut rows {
        let Some(facts) = facts.remove(&row.id) else { continue };
        if row.ended_at.is_some() || row.state.rank() >= DeliveryState::Accepted.rank() {
            continue;
        }
        let Some(due) = row.next_attempt_at else { continue };
        if due > rules.now {
            begun.later.push((row.id, due));
            continue;
        }
        if facts.attempt_open {
            lost.push((row.id, row.attempts));
            row.learn(EvidenceKind::NoVerdict, rules.now, rules.now);
        }
        if let Some(sending) = decide(row, facts, &rules) {
            begun.sending.push(sending);
        }
        changed.push(row.clone());
    }
    begun.lost = u32::try_from(lost.len()).unwrap_or(u32::MAX);
    note_lost(tx, &lost, &changed, rules.now).await?;
    insert_attempts(tx, &begun.sending, rules.now).await?;
    begun.moves = write(tx, &changed, rules.now).await?;
    Ok(begun)
}

/// Begins an attempt of a due delivery, or ends it, or leaves it without a verdict.
fn decide(row: &mut Row, facts: Facts, begin: &Begin<'_>) -> Option<Sending> {
    let Begin { now, .. } = *begin;
    if row.cancelled {
        row.end(DeliveryState::Cancelled, "", now);
    } else if facts.proven {
        row.end(DeliveryState::Superseded, "", now);
    } else if row.expires_at <= now {
        row.end(DeliveryState::Expired, "deadline", now);
    } else if facts.device_gone {
        row.end(DeliveryState::Suppressed, "target_gone", now);
    } else if facts.attempt_open && (!begin.resend_unknown || row.attempts >= i64::from(begin.attempts_max)) {
        row.reason = Some("worker_lost".to_owned());
        row.next_attempt_at = None; // the deadline ends it, unless proof arrives
    }
    row.next_attempt_at?;
    row.attempts += 1;
    row.fence += 1;
    row.next_attempt_at = Some(begin.busy_until);
    row.sending_at.get_or_insert(now);
    if row.state.rank() < DeliveryState::Sending.rank() {
        row.state = DeliveryState::Sending;
    }
    let (target_kind, target, registered_at) =
        facts.device.unwrap_or_else(|| (String::new(), facts.target, None));
    Some(Sending {
        id: row.id,
        notification_id: row.notification_id,
        user_id: facts.user_id,
        device_id: facts.device_id,
        target,
        target_kind,
        platform: facts.platform,
        registered_at,
        language: facts.language,
        expires_at: row.expires_at,
        attempt: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        fence: row.fence,
    })
}

async fn facts(tx: &mut Tx, ids: &[DeliveryId]) -> Result<HashMap<DeliveryId, Facts>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut values = Binds::default();
    let places = values.all(ids.iter().map(|id| id.0));
    let sql = format!(
        "SELECT d.id, d.user_id, d.device_id, d.target, d.language, v.state AS device_state, v.token, \
         v.token_kind, v.platform, v.registered_at, a.started_at, a.finished_at, r.proven \
         FROM deliveries d LEFT JOIN devices v ON v.id = d.device_id \
         LEFT JOIN recipients r ON r.notification_id = d.notification_id AND r.user_id = d.user_id \
         LEFT JOIN attempts a ON a.delivery_id = d.id AND a.number = d.attempts \
         WHERE d.id IN ({places})"
    );
    let engine = tx.engine();
    let rows = tx.connection().query_all_raw(statement(engine, sql, values.take())).await?;
    rows.iter().map(|row| Ok((DeliveryId(get(row, "id")?), read_facts(row)?))).collect()
}

fn read_facts(row: &QueryResult) -> Result<Facts, StoreError> {
    let device_id = get::<Option<i64>>(row, "device_id")?.map(DeviceId);
    let state: Option<String> = get(row, "device_state")?;
    let (kind, token) = (get::<Option<String>>(row, "token_kind")?, get::<Option<String>>(row, "token")?);
    let registered_at = get_at_null(row, "registered_at")?;
    let language: String = get(row, "language")?;
    Ok(Facts {
        user_id: UserId(get(row, "user_id")?),
        device_id,
        target: get(row, "target")?,
        language: Language::of_tag(&language).unwrap_or_default(),
        platform: get::<Option<String>>(row, "platform")?.and_then(|word| word.parse().ok()),
        device: kind.zip(token).map(|(kind, token)| (kind, token, registered_at)),
        device_gone: device_id.is_some() && state.as_deref() != Some("active"),
        attempt_open: get_at_null(row, "started_at")?.is_some() && get_at_null(row, "finished_at")?.is_none(),
        proven: get::<Option<i64>>(row, "proven")?.unwrap_or(0) > 0,
    })
}

/// Closes the attempts of a worker that was lost, each with a fact that says so.
async fn note_lost(
    tx: &mut Tx,
    lost: &[(DeliveryId, i64)],
    rows: &[Row],
    now: Timestamp,
) -> Result<(), StoreError> {
    if lost.is_empty() {
        return Ok(());
    }
    let source: HashMap<DeliveryId, &str> = rows.iter().map(|row| (row.id, row.channel.as_str())).collect();
    let mut facts = Vec::with_capacity(lost.len());
    for (id, number) in lost {
        facts.push(NewEvidence {
            delivery_id: *id,
            kind: EvidenceKind::NoVerdict,
            source: source[id].to_owned(),
            code: format!("attempt {number}: worker_lost"),
            at: now,
        });
    }
    insert(tx, &facts, now).await?;
    let closed: Vec<_> = lost
        .iter()
        .map(|(id, number)| settle::Closed {
            id: *id,
            number: *number,
            action: "unknown",
            status_code: None,
            reason: "worker_lost".to_owned(),
        })
        .collect();
    settle::close_attempts(tx, &closed, now).await
}

async fn insert_attempts(tx: &mut Tx, sending: &[Sending], now: Timestamp) -> Result<(), StoreError> {
    if sending.is_empty() {
        return Ok(());
    }
    let mut values = Binds::default();
    let rows = sending
        .iter()
        .map(|one| values.row([one.id.0.into(), i64::from(one.attempt).into(), at(now)]))
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!("INSERT INTO attempts (delivery_id, number, started_at) VALUES {rows}");
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values.take())).await?;
    Ok(())
}
