//! Refresh tokens: kept as hashes, linked to their successors, in families that begin with a sign-in.

use domain::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::sql::{self, get, get_at, get_at_null, statement};
use crate::{Engine, Store, StoreError, Tx};

/// `$1`: now, `$2`: rows.
pub(crate) const SWEEP: &str = "DELETE FROM refresh_tokens WHERE hash IN \
                                (SELECT hash FROM refresh_tokens WHERE expires_at <= $1 LIMIT $2)";

/// SHA-256 of a refresh token.
pub type TokenHash = [u8; 32];

/// A refresh token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// Its hash.
    pub hash: TokenHash,
    /// The session it belongs to.
    pub family_id: Uuid,
    /// Whose session.
    pub user_id: UserId,
    /// What it was exchanged for.
    pub successor_hash: Option<TokenHash>,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
    /// When it is of no more use.
    pub expires_at: Timestamp,
}

/// Keeps a new token.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn insert(tx: &mut Tx, token: &RefreshToken, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO refresh_tokens (hash, family_id, user_id, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5)";
    let values = [
        Value::from(token.hash.to_vec()),
        Value::from(token.family_id),
        Value::from(token.user_id.0),
        Value::from(now.as_microsecond()),
        Value::from(token.expires_at.as_microsecond()),
    ];
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// Whose token it is; `None` for a token that is none.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn owner(tx: &mut Tx, hash: &TokenHash) -> Result<Option<UserId>, StoreError> {
    let sql = "SELECT user_id FROM refresh_tokens WHERE hash = $1";
    let engine = tx.engine();
    let row = tx.connection().query_one_raw(statement(engine, sql, [Value::from(hash.to_vec())])).await?;
    row.map(|row| Ok(UserId(get(&row, "user_id")?))).transpose()
}

/// The token with this hash, locked until the transaction ends: of two requests with it, one waits for the other.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn lock(tx: &mut Tx, hash: &TokenHash) -> Result<Option<RefreshToken>, StoreError> {
    let engine = tx.engine();
    let lock = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => " FOR UPDATE",
    };
    let sql = format!(
        "SELECT hash, family_id, user_id, successor_hash, revoked_at, expires_at \
         FROM refresh_tokens WHERE hash = $1{lock}"
    );
    let row = tx.connection().query_one_raw(statement(engine, sql, [Value::from(hash.to_vec())])).await?;
    let Some(row) = row else { return Ok(None) };
    let successor: Option<Vec<u8>> = get(&row, "successor_hash")?;
    Ok(Some(RefreshToken {
        hash: *hash,
        family_id: get(&row, "family_id")?,
        user_id: UserId(get(&row, "user_id")?),
        successor_hash: successor.map(to_hash).transpose()?,
        revoked_at: get_at_null(&row, "revoked_at")?,
        expires_at: get_at(&row, "expires_at")?,
    }))
}

/// Whether a session was ended: it had tokens, and all of them are withdrawn.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn has_ended(store: &Store, family_id: Uuid) -> Result<bool, StoreError> {
    // two looks, each of which ends at its first row: a long session has thousands
    for (withdrawn, ended) in [("IS NULL", false), ("IS NOT NULL", true)] {
        let sql = format!(
            "SELECT 1 AS one FROM refresh_tokens WHERE family_id = $1 AND revoked_at {withdrawn} LIMIT 1"
        );
        let found = statement(store.engine(), sql, [Value::from(family_id)]);
        if store.reader().query_one_raw(found).await?.is_some() {
            return Ok(ended);
        }
    }
    Ok(false)
}

/// Notes what a token was exchanged for.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn set_successor(tx: &mut Tx, hash: &TokenHash, successor: &TokenHash) -> Result<(), StoreError> {
    let sql = "UPDATE refresh_tokens SET successor_hash = $1 WHERE hash = $2";
    let values = [Value::from(successor.to_vec()), Value::from(hash.to_vec())];
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// Withdraws one token.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn revoke(tx: &mut Tx, hash: &TokenHash, now: Timestamp) -> Result<u64, StoreError> {
    revoke_where(tx, "hash", Value::from(hash.to_vec()), now).await
}

/// Withdraws every token of a session; returns how many were still good.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn revoke_family(tx: &mut Tx, family_id: Uuid, now: Timestamp) -> Result<u64, StoreError> {
    revoke_where(tx, "family_id", Value::from(family_id), now).await
}

/// Withdraws every token of a user; returns how many were still good.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn revoke_user(tx: &mut Tx, user_id: UserId, now: Timestamp) -> Result<u64, StoreError> {
    revoke_where(tx, "user_id", Value::from(user_id.0), now).await
}

/// Withdraws every token of a user but those of one session; returns how many were still good.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn revoke_user_but(
    tx: &mut Tx,
    user_id: UserId,
    family_id: Uuid,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = format!("{} AND family_id <> $3", revoking("user_id"));
    let values = [Value::from(now.as_microsecond()), Value::from(user_id.0), Value::from(family_id)];
    let engine = tx.engine();
    Ok(tx.connection().execute_raw(statement(engine, sql, values)).await?.rows_affected())
}

async fn revoke_where(tx: &mut Tx, column: &str, value: Value, now: Timestamp) -> Result<u64, StoreError> {
    let engine = tx.engine();
    let statement = statement(engine, revoking(column), [Value::from(now.as_microsecond()), value]);
    Ok(tx.connection().execute_raw(statement).await?.rows_affected())
}

/// Forgets tokens that have expired, a page at a time; returns how many went in this page.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    sql::sweep(store, SWEEP, now).await
}

/// `$1`: now, `$2`: what `column` holds.
pub(crate) fn revoking(column: &str) -> String {
    format!("UPDATE refresh_tokens SET revoked_at = $1 WHERE {column} = $2 AND revoked_at IS NULL")
}

fn to_hash(bytes: Vec<u8>) -> Result<TokenHash, StoreError> {
    let length = bytes.len();
    bytes.try_into().map_err(|_| StoreError::Corrupt {
        column: "refresh_tokens.successor_hash",
        value: format!("{length} bytes"),
    })
}
