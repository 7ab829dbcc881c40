//! What operators did to the delivery, and why: only ever added to.

use domain::Timestamp;
use sea_orm::ConnectionTrait;

use crate::sql::{at, count, get, get_at, statement};
use crate::{Store, StoreError, Tx};

/// Something that an operator did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorAction {
    /// `user:4`, or `cli` for the command line.
    pub actor: String,
    /// `lane_paused`, `lane_resumed`, `redriven`.
    pub action: String,
    /// To what: `apns.standard`, or the filter and the number of deliveries.
    pub subject: String,
    /// Why, in their words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Adds an action.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn insert(tx: &mut Tx, one: &OperatorAction) -> Result<(), StoreError> {
    let sql = "INSERT INTO operator_actions (actor, action, subject, reason, at) VALUES ($1, $2, $3, $4, $5)";
    let values = [
        one.actor.clone().into(),
        one.action.clone().into(),
        one.subject.clone().into(),
        one.reason.clone().into(),
        at(one.at),
    ];
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// The newest actions.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn list(store: &Store, rows_max: u64) -> Result<Vec<OperatorAction>, StoreError> {
    let sql =
        "SELECT actor, action, subject, reason, at FROM operator_actions ORDER BY at DESC, id DESC LIMIT $1";
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, [count(rows_max)])).await?;
    rows.iter()
        .map(|row| {
            Ok(OperatorAction {
                actor: get(row, "actor")?,
                action: get(row, "action")?,
                subject: get(row, "subject")?,
                reason: get(row, "reason")?,
                at: get_at(row, "at")?,
            })
        })
        .collect()
}
