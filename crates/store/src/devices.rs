//! Phones and browsers registered for push: one token for each installation and channel.

use std::fmt;
use std::str::FromStr;

use domain::{Channel, DeviceId, Timestamp, UserId};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use serde::{Deserialize, Serialize};

use crate::sql::{get, get_at, get_word, statement};
use crate::{Engine, Store, StoreError, Tx};

const COLUMNS: &str = "id, user_id, installation_id, platform, channel, token_kind, locale, app_version, state, \
                       state_reason, registered_at, version";

/// `$1`: channel, `$2`: token, `$3`: the installation that has it now, `$4`: now.
pub(crate) const TAKE_OVER: &str = "UPDATE devices SET state = 'retired', state_reason = 'token_moved', state_at = $4, \
    version = version + 1 WHERE channel = $1 AND token = $2 AND installation_id <> $3 AND state <> 'retired'";

/// Declares an enum of words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$one:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $($(#[$one])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// The word in JSON and SQL.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = WordUnknown;

            fn from_str(word: &str) -> Result<Self, WordUnknown> {
                match word { $($word => Ok(Self::$variant),)+ _ => Err(WordUnknown) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// A word that is none of the documented ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the word is not known")]
pub struct WordUnknown;

words! {
    /// What the app runs on.
    Platform {
        /// An iPhone or iPad.
        Ios = "ios",
        /// An Android phone.
        Android = "android",
        /// A browser.
        Web = "web",
    }
}

words! {
    /// Who gave the token, and of which form it is.
    TokenKind {
        /// Apple: hexadecimal.
        Apns = "apns",
        /// Firebase Cloud Messaging: a registration token.
        FcmToken = "fcm_token",
        /// Firebase Cloud Messaging: an installation id.
        FcmFid = "fcm_fid",
        /// A browser's push service: the subscription as JSON.
        Webpush = "webpush",
    }
}

words! {
    /// Whether a token is used.
    DeviceState {
        /// It is.
        Active = "active",
        /// Not until a second signal or a new registration.
        Quarantined = "quarantined",
        /// Gone, until it is registered again.
        Retired = "retired",
    }
}

impl TokenKind {
    /// The channel that uses such tokens.
    pub fn channel(self) -> Channel {
        match self {
            Self::Apns => Channel::Apns,
            Self::FcmToken | Self::FcmFid => Channel::Fcm,
            Self::Webpush => Channel::Webpush,
        }
    }
}

/// What an app registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// Whose phone it is.
    pub user_id: UserId,
    /// Made by the app at its first start.
    pub installation_id: String,
    /// What it runs on.
    pub platform: Platform,
    /// What the token is.
    pub token_kind: TokenKind,
    /// Where to push to; a secret.
    pub token: String,
    /// BCP 47.
    pub locale: String,
    /// As the app calls it.
    pub app_version: String,
}

/// A registered device. Its token stays in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Whose it is.
    pub user_id: UserId,
    /// Made by the app at its first start.
    pub installation_id: String,
    /// What it runs on.
    pub platform: Platform,
    /// How it is reached.
    pub channel: Channel,
    /// What the token is.
    pub token_kind: TokenKind,
    /// BCP 47.
    pub locale: String,
    /// As the app calls it.
    pub app_version: String,
    /// Whether the token is used.
    pub state: DeviceState,
    /// Why it is not.
    pub state_reason: Option<String>,
    /// When the token was last registered.
    pub registered_at: Timestamp,
    /// Rises with each change.
    pub version: i64,
}

/// Registers a device, or registers it again: then its token is used again, whatever had become of the old one. A
/// token that another installation had registered moves here, so that nobody gets another's messages. Whether the
/// device is new comes with it.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn register(tx: &mut Tx, new: &NewDevice, now: Timestamp) -> Result<(Device, bool), StoreError> {
    let engine = tx.engine();
    let channel = new.token_kind.channel();
    let values = [
        Value::from(channel.as_str()),
        Value::from(new.token.as_str()),
        Value::from(new.installation_id.as_str()),
        Value::from(now.as_microsecond()),
    ];
    tx.connection().execute_raw(statement(engine, TAKE_OVER, values)).await?;
    let sql = format!(
        "INSERT INTO devices (user_id, installation_id, platform, channel, token, token_kind, locale, app_version, \
         state, registered_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'active', $9, 1) \
         ON CONFLICT (installation_id, channel) DO UPDATE SET user_id = excluded.user_id, \
         platform = excluded.platform, token = excluded.token, token_kind = excluded.token_kind, \
         locale = excluded.locale, app_version = excluded.app_version, state = 'active', state_reason = NULL, state_at = NULL, \
         registered_at = excluded.registered_at, version = devices.version + 1 RETURNING {COLUMNS}"
    );
    let values = [
        Value::from(new.user_id.0),
        Value::from(new.installation_id.as_str()),
        Value::from(new.platform.as_str()),
        Value::from(channel.as_str()),
        Value::from(new.token.as_str()),
        Value::from(new.token_kind.as_str()),
        Value::from(new.locale.as_str()),
        Value::from(new.app_version.as_str()),
        Value::from(now.as_microsecond()),
    ];
    let row = tx.connection().query_one_raw(statement(engine, sql, values)).await?;
    let row = row.ok_or(StoreError::Corrupt { column: "devices.id", value: "no row returned".to_owned() })?;
    let device = read(&row)?;
    let is_new = device.version == 1;
    Ok((device, is_new))
}

/// Retires the oldest tokens of a user beyond `active_max`; returns how many.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn retire_beyond(
    tx: &mut Tx,
    user_id: UserId,
    active_max: u32,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = "UPDATE devices SET state = 'retired', state_reason = 'too_many', state_at = $3, version = version + 1 \
               WHERE user_id = $1 AND state = 'active' AND id NOT IN (SELECT id FROM devices WHERE user_id = $1 \
               AND state = 'active' ORDER BY registered_at DESC, id DESC LIMIT $2)";
    let values =
        [Value::from(user_id.0), Value::from(i64::from(active_max)), Value::from(now.as_microsecond())];
    let engine = tx.engine();
    Ok(tx.connection().execute_raw(statement(engine, sql, values)).await?.rows_affected())
}

/// How old what is in the registry may become.
#[derive(Debug, Clone, Copy)]
pub struct Ages {
    /// A token that was last registered before this is of no more use: its app was removed, or never opened again.
    pub registered_before: Timestamp,
    /// What was set aside before this, and heard of no more, is gone.
    pub quarantined_before: Timestamp,
    /// What is gone since before this is forgotten.
    pub retired_before: Timestamp,
}

/// What a look through the registry did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Tokens that are not used any more.
    pub retired: u64,
    /// Devices that are forgotten.
    pub deleted: u64,
}

/// Retires old tokens, and forgets those that were retired long ago; at most `rows_max` of each.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn prune(tx: &mut Tx, ages: Ages, rows_max: u32, now: Timestamp) -> Result<Pruned, StoreError> {
    let engine = tx.engine();
    let retire = "UPDATE devices SET state = 'retired', \
        state_reason = CASE WHEN state = 'active' THEN 'stale' ELSE state_reason END, state_at = $1, \
        version = version + 1 WHERE id IN (SELECT id FROM devices WHERE (state = 'active' AND registered_at < $2) \
        OR (state = 'quarantined' AND COALESCE(state_at, registered_at) < $3) ORDER BY id LIMIT $4)";
    let at = |instant: Timestamp| Value::from(instant.as_microsecond());
    let limit = Value::from(i64::from(rows_max));
    let values = [at(now), at(ages.registered_before), at(ages.quarantined_before), limit.clone()];
    let retired = tx.connection().execute_raw(statement(engine, retire, values)).await?.rows_affected();
    let delete = "DELETE FROM devices WHERE id IN (SELECT id FROM devices WHERE state = 'retired' \
        AND COALESCE(state_at, registered_at) < $1 ORDER BY id LIMIT $2)";
    let values = [at(ages.retired_before), limit];
    let deleted = tx.connection().execute_raw(statement(engine, delete, values)).await?.rows_affected();
    Ok(Pruned { retired, deleted })
}

/// The devices of a user, by id, after `after`.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn list(
    store: &Store,
    user_id: UserId,
    after: Option<DeviceId>,
    limit: u32,
) -> Result<Vec<Device>, StoreError> {
    let values =
        [Value::from(user_id.0), Value::from(after.map_or(0, |id| id.0)), Value::from(i64::from(limit))];
    let rows = store.reader().query_all_raw(statement(store.engine(), listing(), values)).await?;
    rows.iter().map(read).collect()
}

/// The device with this id, when it is this user's.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn find(store: &Store, user_id: UserId, id: DeviceId) -> Result<Option<Device>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM devices WHERE id = $1 AND user_id = $2");
    let values = [Value::from(id.0), Value::from(user_id.0)];
    let row = store.reader().query_one_raw(statement(store.engine(), sql, values)).await?;
    row.as_ref().map(read).transpose()
}

/// As [`find`], locked until the transaction ends.
///
/// # Errors
/// As [`find`].
pub async fn lock(tx: &mut Tx, user_id: UserId, id: DeviceId) -> Result<Option<Device>, StoreError> {
    let engine = tx.engine();
    let lock = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => " FOR UPDATE",
    };
    let sql = format!("SELECT {COLUMNS} FROM devices WHERE id = $1 AND user_id = $2{lock}");
    let values = [Value::from(id.0), Value::from(user_id.0)];
    let row = tx.connection().query_one_raw(statement(engine, sql, values)).await?;
    row.as_ref().map(read).transpose()
}

/// Removes a device.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn delete(tx: &mut Tx, id: DeviceId) -> Result<(), StoreError> {
    let engine = tx.engine();
    let sql = "DELETE FROM devices WHERE id = $1";
    tx.connection().execute_raw(statement(engine, sql, [Value::from(id.0)])).await?;
    Ok(())
}

/// `$1`: user, `$2`: last id seen, `$3`: rows.
pub(crate) fn listing() -> String {
    format!("SELECT {COLUMNS} FROM devices WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3")
}

fn read(row: &QueryResult) -> Result<Device, StoreError> {
    Ok(Device {
        id: DeviceId(get(row, "id")?),
        user_id: UserId(get(row, "user_id")?),
        installation_id: get(row, "installation_id")?,
        platform: get_word(row, "platform")?,
        channel: get_word(row, "channel")?,
        token_kind: get_word(row, "token_kind")?,
        locale: get(row, "locale")?,
        app_version: get(row, "app_version")?,
        state: get_word(row, "state")?,
        state_reason: get(row, "state_reason")?,
        registered_at: get_at(row, "registered_at")?,
        version: get(row, "version")?,
    })
}
