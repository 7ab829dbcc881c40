//! The proof of the counts: what is kept by differences, counted again from the rows themselves.

use std::collections::BTreeMap;

use domain::{Channel, DeliveryState, NotificationId, PersonTally, Reach, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use crate::deliveries::reach_of;
use crate::sql::{get, get_at_null, get_word, statement};
use crate::{Engine, Store, StoreError, Tx};

/// People looked at in one statement.
const PEOPLE: i64 = 1_000;

/// Differences that are told at most; more are only counted.
const TOLD_MAX: usize = 20;

/// What a recount found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recount {
    /// Deliveries of the notification.
    pub deliveries: u64,
    /// People of the notification.
    pub people: u64,
    /// Differences between what is kept and what was counted: none, unless there is a bug.
    pub differences: u64,
    /// The first of them, in words.
    pub told: Vec<String>,
}

impl Recount {
    fn differs(&mut self, what: impl FnOnce() -> String) {
        self.differences += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(what());
        }
    }

    fn compare<K: Ord + std::fmt::Debug>(
        &mut self,
        what: &str,
        kept: &BTreeMap<K, i64>,
        counted: &BTreeMap<K, i64>,
    ) {
        for (key, number) in kept {
            let real = counted.get(key).copied().unwrap_or(0);
            if real != *number {
                self.differs(|| format!("{what} {key:?}: kept {number}, counted {real}"));
            }
        }
        for (key, real) in counted.iter().filter(|(key, _)| !kept.contains_key(key)) {
            self.differs(|| format!("{what} {key:?}: kept 0, counted {real}"));
        }
    }
}

/// Counts a notification again, in one view of the database: deliveries by channel and state, people's deliveries by reach, and
/// people by place on the coverage board. Reads every row of it.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn recount(store: &Store, id: NotificationId) -> Result<Recount, StoreError> {
    let mut tx = store.begin().await?;
    if tx.engine() == Engine::Postgres {
        let one_view = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
        tx.connection().execute_unprepared(one_view).await?;
    }
    let mut found = Recount::default();
    states(&mut tx, id, &mut found).await?;
    people(&mut tx, id, &mut found).await?;
    board(&mut tx, id, &mut found).await?;
    Ok(found)
}

async fn rows(tx: &mut Tx, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, StoreError> {
    let engine = tx.engine();
    Ok(tx.connection().query_all_raw(statement(engine, sql, values)).await?)
}

async fn states(tx: &mut Tx, id: NotificationId, found: &mut Recount) -> Result<(), StoreError> {
    let key = |row: &QueryResult| -> Result<(Channel, DeliveryState), StoreError> {
        Ok((get_word(row, "channel")?, get_word(row, "state")?))
    };
    let kept = "SELECT channel, state, deliveries AS number FROM notification_counts \
                WHERE notification_id = $1 AND deliveries <> 0";
    let counted = "SELECT channel, state, COUNT(*) AS number FROM deliveries WHERE notification_id = $1 \
                   GROUP BY channel, state";
    let (mut in_counts, mut in_rows) = (BTreeMap::new(), BTreeMap::new());
    for (sql, numbers) in [(kept, &mut in_counts), (counted, &mut in_rows)] {
        for row in rows(tx, sql, vec![id.0.into()]).await? {
            numbers.insert(key(&row)?, get::<i64>(&row, "number")?);
        }
    }
    found.deliveries = in_rows.values().sum::<i64>().unsigned_abs();
    found.compare("deliveries", &in_counts, &in_rows);
    Ok(())
}

async fn people(tx: &mut Tx, id: NotificationId, found: &mut Recount) -> Result<(), StoreError> {
    let page = "SELECT user_id, unreachable, withdrawn, failed, open, unknown, accepted, proven, reach, proven_at \
                FROM recipients WHERE notification_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3";
    let of_page = "SELECT user_id, channel, state, reason, accepted_at, delivered_at, opened_at FROM deliveries \
                   WHERE notification_id = $1 AND user_id > $2 AND user_id <= $3";
    let mut after = 0_i64;
    loop {
        let people = rows(tx, page, vec![id.0.into(), after.into(), PEOPLE.into()]).await?;
        let Some(last) = people.last() else { return Ok(()) };
        let through: i64 = get(last, "user_id")?;
        let mut real: BTreeMap<i64, (PersonTally, Option<Timestamp>)> = BTreeMap::new();
        for row in rows(tx, of_page, vec![id.0.into(), after.into(), through.into()]).await? {
            let (tally, proven_at) = real.entry(get(&row, "user_id")?).or_default();
            let reason: Option<String> = get(&row, "reason")?;
            let accepted_at = get_at_null(&row, "accepted_at")?;
            let (channel, state) = (get_word(&row, "channel")?, get_word(&row, "state")?);
            tally.shift(None, reach_of(channel, state, accepted_at, reason.as_deref()));
            let proofs = [*proven_at, get_at_null(&row, "delivered_at")?, get_at_null(&row, "opened_at")?];
            *proven_at = proofs.into_iter().flatten().min();
        }
        for row in &people {
            found.people += 1;
            let user: i64 = get(row, "user_id")?;
            let mut numbers = [0; Reach::ALL.len()];
            for (number, reach) in numbers.iter_mut().zip(Reach::ALL) {
                *number = get(row, reach.as_str())?;
            }
            let kept = (PersonTally::new(numbers), get_at_null(row, "proven_at")?);
            let counted = real.get(&user).copied().unwrap_or_default();
            let reach: Reach = get_word(row, "reach")?;
            if kept != counted || reach != counted.0.reach() {
                found.differs(|| format!("user {user}: kept {kept:?} as {reach}, counted {counted:?}"));
            }
        }
        after = through;
    }
}

async fn board(tx: &mut Tx, id: NotificationId, found: &mut Recount) -> Result<(), StoreError> {
    let kept = "SELECT venue_id, language, reach, detail, people AS number FROM coverage_counts \
                WHERE notification_id = $1 AND people <> 0";
    let counted = "SELECT venue_id, language, reach, detail, COUNT(*) AS number FROM recipients \
                   WHERE notification_id = $1 GROUP BY venue_id, language, reach, detail";
    let (mut in_counts, mut in_rows) = (BTreeMap::new(), BTreeMap::new());
    for (sql, numbers) in [(kept, &mut in_counts), (counted, &mut in_rows)] {
        for row in rows(tx, sql, vec![id.0.into()]).await? {
            let key: (i64, String, String, String) =
                (get(&row, "venue_id")?, get(&row, "language")?, get(&row, "reach")?, get(&row, "detail")?);
            numbers.insert(key, get::<i64>(&row, "number")?);
        }
    }
    found.compare("people", &in_counts, &in_rows);
    Ok(())
}
