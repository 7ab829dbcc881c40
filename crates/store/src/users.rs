//! People with accounts.

use domain::{Language, Role, Timestamp, UserId};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use crate::sql::{at, at_null, get, get_at, get_at_null, get_json, json_text, statement};
use crate::{Engine, Store, StoreError, Tx};

/// Rows of one INSERT; each has eight values, and SQLite takes at most 32,766 of them.
const INSERT_ROWS: usize = 500;

const COLUMNS: &str = "id, email, name, roles_json, language, version, created_at, updated_at, blocked_at";

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their address, in lower case; unique.
    pub email: String,
    /// Their name.
    pub name: String,
    /// What they are.
    pub roles: Vec<Role>,
    /// What they read.
    pub language: Language,
    /// Rises with each change.
    pub version: i64,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Since when they may not sign in.
    pub blocked_at: Option<Timestamp>,
}

/// An account to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Their address, in lower case.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Argon2id as a PHC string; `None`: they cannot sign in with a password.
    pub password_hash: Option<String>,
    /// What they are.
    pub roles: Vec<Role>,
    /// What they read.
    pub language: Language,
}

/// Makes accounts; the ids are in the order of `users`.
///
/// # Errors
/// [`StoreError::Database`]; [`StoreError::is_unique_violation`] when an address has an account.
pub async fn insert(tx: &mut Tx, users: &[NewUser], now: Timestamp) -> Result<Vec<UserId>, StoreError> {
    let engine = tx.engine();
    let mut ids = Vec::with_capacity(users.len());
    for page in users.chunks(INSERT_ROWS) {
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        for (index, user) in page.iter().enumerate() {
            let first = index * 8;
            let places: Vec<String> = (1..=8).map(|place| format!("${}", first + place)).collect();
            rows.push(format!("({})", places.join(", ")));
            values.extend([
                Value::from(user.email.as_str()),
                Value::from(user.name.as_str()),
                Value::from(user.password_hash.clone()),
                Value::from(json_text(&user.roles)),
                Value::from(user.language.as_str()),
                Value::from(1_i64),
                Value::from(now.as_microsecond()),
                Value::from(now.as_microsecond()),
            ]);
        }
        let sql = format!(
            "INSERT INTO users (email, name, password_hash, roles_json, language, version, created_at, updated_at) \
             VALUES {} RETURNING id",
            rows.join(", ")
        );
        // both engines return the rows of one INSERT in the order of its values, and give rising ids in that order
        let mut made = Vec::with_capacity(page.len());
        for row in tx.connection().query_all_raw(statement(engine, sql, values)).await? {
            made.push(UserId(get(&row, "id")?));
        }
        made.sort_unstable();
        ids.extend(made);
    }
    Ok(ids)
}

/// The user with this id.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn find(store: &Store, id: UserId) -> Result<Option<User>, StoreError> {
    let row = store.reader().query_one_raw(statement(store.engine(), by_id(), [Value::from(id.0)])).await?;
    row.as_ref().map(read).transpose()
}

/// As [`find`], within a transaction.
///
/// # Errors
/// As [`find`].
pub async fn find_in(tx: &mut Tx, id: UserId) -> Result<Option<User>, StoreError> {
    let engine = tx.engine();
    let row = tx.connection().query_one_raw(statement(engine, by_id(), [Value::from(id.0)])).await?;
    row.as_ref().map(read).transpose()
}

/// As [`find_in`], locked until the transaction ends.
///
/// # Errors
/// As [`find`].
pub async fn lock(tx: &mut Tx, id: UserId) -> Result<Option<User>, StoreError> {
    let engine = tx.engine();
    let lock = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => " FOR UPDATE",
    };
    let sql = format!("{}{lock}", by_id());
    let row = tx.connection().query_one_raw(statement(engine, sql, [Value::from(id.0)])).await?;
    row.as_ref().map(read).transpose()
}

/// The password hash of a user; `None` when there is no such user, or they have no password.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn password_hash(store: &Store, id: UserId) -> Result<Option<String>, StoreError> {
    let sql = "SELECT password_hash FROM users WHERE id = $1";
    let row = store.reader().query_one_raw(statement(store.engine(), sql, [Value::from(id.0)])).await?;
    row.map_or(Ok(None), |row| get(&row, "password_hash"))
}

/// The user with this address, and their password hash.
///
/// # Errors
/// As [`find`].
pub async fn find_by_email(store: &Store, email: &str) -> Result<Option<(User, Option<String>)>, StoreError> {
    let row =
        store.reader().query_one_raw(statement(store.engine(), by_email(), [Value::from(email)])).await?;
    row.map(|row| Ok((read(&row)?, get(&row, "password_hash")?))).transpose()
}

/// Which of these ids are users'.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn existing(store: &Store, ids: &[UserId]) -> Result<Vec<UserId>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for page in ids.chunks(INSERT_ROWS) {
        let places: Vec<String> = (1..=page.len()).map(|place| format!("${place}")).collect();
        let sql = format!("SELECT id FROM users WHERE id IN ({})", places.join(", "));
        let values = page.iter().map(|id| Value::from(id.0));
        for row in store.reader().query_all_raw(statement(store.engine(), sql, values)).await? {
            found.push(UserId(get(&row, "id")?));
        }
    }
    Ok(found)
}

/// Replaces the password hash, when it still is `before`: after a sign-in with an outdated cost.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn rehash(tx: &mut Tx, id: UserId, before: &str, after: &str) -> Result<(), StoreError> {
    let sql = "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3";
    let values = [Value::from(after), Value::from(id.0), Value::from(before)];
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// Sets what they are and whether they may sign in; the version rises. Call it on a row that is locked.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn set_standing(
    tx: &mut Tx,
    id: UserId,
    (roles, blocked_at): (&[Role], Option<Timestamp>),
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE users SET roles_json = $1, blocked_at = $2, updated_at = $3, version = version + 1 \
               WHERE id = $4";
    let values = [Value::from(json_text(&roles)), at_null(blocked_at), at(now), Value::from(id.0)];
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// Sets another password; `before` is the hash that must still be there (`None`: whichever). Whether it was.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn set_password(
    tx: &mut Tx,
    id: UserId,
    before: Option<&str>,
    hash: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut sql = "UPDATE users SET password_hash = $1, updated_at = $2, version = version + 1 WHERE id = $3"
        .to_owned();
    let mut values = vec![Value::from(hash), at(now), Value::from(id.0)];
    if let Some(before) = before {
        sql.push_str(" AND password_hash = $4");
        values.push(Value::from(before));
    }
    let engine = tx.engine();
    let done = tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(done.rows_affected() == 1)
}

/// `$1`: id.
pub(crate) fn by_id() -> String {
    format!("SELECT {COLUMNS} FROM users WHERE id = $1")
}

/// `$1`: address.
pub(crate) fn by_email() -> String {
    format!("SELECT {COLUMNS}, password_hash FROM users WHERE email = $1")
}

fn read(row: &QueryResult) -> Result<User, StoreError> {
    let language: String = get(row, "language")?;
    Ok(User {
        id: UserId(get(row, "id")?),
        email: get(row, "email")?,
        name: get(row, "name")?,
        roles: get_json(row, "roles_json")?,
        language: Language::of_tag(&language)
            .ok_or(StoreError::Corrupt { column: "users.language", value: language })?,
        version: get(row, "version")?,
        created_at: get_at(row, "created_at")?,
        updated_at: get_at(row, "updated_at")?,
        blocked_at: get_at_null(row, "blocked_at")?,
    })
}
