//! Deliveries and their attempts: notification x recipient x channel x target, from queued to their one final state.
//!
//! Every change of state goes through one place (`row`), which keeps the first time of each rank and moves the
//! notification's and its people's counts in the same transaction: audience = sum of states at all times.

mod begin;
mod redrive;
mod row;
mod settle;
mod sweep;
#[cfg(test)]
mod tests;

use domain::{
    Channel, DeliveryId, DeliveryState, DeviceId, Ended, Lane, Language, NotificationId, Reach, Timestamp,
    UserId,
};
use sea_orm::{ConnectionTrait, Value};

use crate::binds::Binds;
use crate::recipients::{self, NewRecipient, PersonMove};
use crate::sql::{at, at_null, get, statement};
use crate::{StoreError, Tx};

pub use begin::{Begin, Begun, Sending, begin};
pub use redrive::{DeadFilter, DeadGroup, DeadLetter, dead_groups, dead_letters, redrive};
pub use settle::{Settled, Settlement, settle};
pub use sweep::{Orphan, cancel, cancellable, end_overdue, orphans, overdue, supersede};

pub(crate) use row::{lock, reach_of, write};

/// A delivery to be.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// `DeliveryId::of` its parts.
    pub id: DeliveryId,
    /// Of which notification.
    pub notification_id: NotificationId,
    /// To whom.
    pub user_id: UserId,
    /// How.
    pub channel: Channel,
    /// To which device, for push.
    pub device_id: Option<DeviceId>,
    /// Token, address, or the user's id for sockets.
    pub target: String,
    /// How urgent.
    pub lane: Lane,
    /// In which language.
    pub language: Language,
    /// Why it will not be sent; `None`: it is queued.
    pub suppressed: Option<&'static str>,
    /// When it was planned.
    pub queued_at: Timestamp,
    /// When its first attempt is due: later than `queued_at` for a later step of an escalation.
    pub due_at: Timestamp,
    /// When it is of no more use.
    pub expires_at: Timestamp,
}

/// A delivery that went from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Of which notification.
    pub notification_id: NotificationId,
    /// Its channel.
    pub channel: Channel,
    /// Its lane.
    pub lane: Lane,
    /// `None` for a new delivery.
    pub from: Option<DeliveryState>,
    /// The state now.
    pub to: DeliveryState,
    /// How long the delivery waited since it was queued.
    pub age: std::time::Duration,
}

/// Rows of one insert; keeps the values of a statement far below what the engines allow.
const INSERT_ROWS: usize = 500;

/// Writes those that do not exist yet, with their people where these are new, and counts both. Repeating the call
/// changes nothing. `people` are those of the deliveries, each at most once for a notification.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn insert(
    tx: &mut Tx,
    people: &[NewRecipient],
    deliveries: &[NewDelivery],
) -> Result<Vec<Move>, StoreError> {
    let mut moves = Vec::with_capacity(deliveries.len());
    let mut people_moves = Vec::with_capacity(deliveries.len());
    for page in deliveries.chunks(INSERT_ROWS) {
        for one in insert_page(tx, page).await? {
            moves.push(first_move(one));
            people_moves.push(first_person_move(one));
        }
    }
    recipients::insert(tx, people, people_moves).await?;
    if let Some(first) = deliveries.first() {
        row::count_moves(tx, &moves, first.queued_at).await?;
    }
    Ok(moves)
}

/// The deliveries of the page that were new.
async fn insert_page<'a>(tx: &mut Tx, page: &'a [NewDelivery]) -> Result<Vec<&'a NewDelivery>, StoreError> {
    let mut values = Binds::default();
    let rows = page.iter().map(|one| values.row(columns(one))).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO deliveries (id, notification_id, user_id, channel, device_id, target, lane, language, state, \
         reason, attempts, fence, queued_at, next_attempt_at, ended_at, expires_at) \
         VALUES {rows} ON CONFLICT (id) DO NOTHING RETURNING id"
    );
    let engine = tx.engine();
    let inserted = tx.connection().query_all_raw(statement(engine, sql, values.take())).await?;
    let mut ids = std::collections::HashSet::with_capacity(inserted.len());
    for row in &inserted {
        ids.insert(DeliveryId(get(row, "id")?));
    }
    Ok(page.iter().filter(|one| ids.contains(&one.id)).collect())
}

fn first_move(one: &NewDelivery) -> Move {
    Move {
        notification_id: one.notification_id,
        channel: one.channel,
        lane: one.lane,
        from: None,
        to: first_state(one),
        age: std::time::Duration::ZERO,
    }
}

fn first_person_move(one: &NewDelivery) -> PersonMove {
    PersonMove {
        notification_id: one.notification_id,
        user_id: one.user_id,
        from: None,
        to: Reach::of(one.channel, first_state(one), Ended::Otherwise),
        cause: one.suppressed.map(str::to_owned),
        proven_at: None,
    }
}

fn first_state(delivery: &NewDelivery) -> DeliveryState {
    if delivery.suppressed.is_some() { DeliveryState::Suppressed } else { DeliveryState::Queued }
}

fn columns(one: &NewDelivery) -> [Value; 16] {
    let queued = one.suppressed.is_none();
    [
        one.id.0.into(),
        one.notification_id.0.into(),
        one.user_id.0.into(),
        one.channel.as_str().into(),
        one.device_id.map(|id| id.0).into(),
        one.target.clone().into(),
        one.lane.as_str().into(),
        one.language.as_str().into(),
        first_state(one).as_str().into(),
        one.suppressed.map(str::to_owned).into(),
        0_i64.into(),
        0_i64.into(),
        at(one.queued_at),
        at_null(queued.then_some(one.due_at)),
        at_null((!queued).then_some(one.queued_at)),
        at(one.expires_at),
    ]
}
