//! Stars: the events that people want to see. They are whom a change of the event is told to.

use domain::{EventId, Timestamp, UserId};
use sea_orm::ConnectionTrait;

use crate::binds::Binds;
use crate::sql::statement;
use crate::{StoreError, Tx};

/// Stars `event` for `user`; whether it was not starred before.
///
/// # Errors
/// [`StoreError::is_foreign_key_violation`] when one of them does not exist.
pub async fn insert(tx: &mut Tx, user: UserId, event: EventId, now: Timestamp) -> Result<bool, StoreError> {
    let mut binds = Binds::default();
    let places = binds.all([user.0, event.0, now.as_microsecond()]);
    let sql = format!(
        "INSERT INTO event_stars (user_id, event_id, created_at) VALUES ({places}) ON CONFLICT (user_id, event_id) \
         DO NOTHING"
    );
    let engine = tx.engine();
    let done = tx.connection().execute_raw(statement(engine, sql, binds.take())).await?;
    Ok(done.rows_affected() == 1)
}

/// Takes the star of `user` from `event`; whether there was one.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(tx: &mut Tx, user: UserId, event: EventId) -> Result<bool, StoreError> {
    let mut binds = Binds::default();
    let (user, event) = (binds.one(user.0), binds.one(event.0));
    let sql = format!("DELETE FROM event_stars WHERE user_id = {user} AND event_id = {event}");
    let engine = tx.engine();
    let done = tx.connection().execute_raw(statement(engine, sql, binds.take())).await?;
    Ok(done.rows_affected() == 1)
}
