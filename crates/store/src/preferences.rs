//! What people want to be told, how and when not; their consents to promotions, which are only ever added to.

use std::collections::{BTreeMap, HashMap};

use domain::{
    Choices, EventId, Lane, Language, NotificationId, Preferences, QuietHours, Timestamp, UserId, Zone,
};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::binds::Binds;
use crate::sql::{at, at_null, get, get_at, get_at_null, get_json, json_text, statement};
use crate::{Engine, Store, StoreError, Tx};

/// The preferences of one user, as they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// By category and channel, where it differs from everything.
    pub choices: Choices,
    /// First and last minute of the quiet hours.
    pub quiet: Option<(u16, u16)>,
    /// IANA zone of their clocks; empty: the festival's.
    pub time_zone: String,
    /// Notifications of a lane in 24 hours, at most.
    pub caps: BTreeMap<Lane, u32>,
    /// Minutes before the start of what they starred; `None`: the installation's.
    pub reminder_minutes: Option<Vec<u32>>,
    /// Since when they consent to promotions.
    pub promotions_since: Option<Timestamp>,
    /// When their next digest is due; `None`: they want none.
    pub digest_at: Option<Timestamp>,
    /// Minute of the day, on their clocks, at which digests are due.
    pub digest_minute: Option<u16>,
    /// Rises by one with each change; 0 when nothing was ever said.
    pub version: i64,
}

impl Kept {
    /// As the planner asks for it; `zone` is the festival's.
    pub fn preferences(&self, zone: &Zone) -> Preferences {
        let zone = self.zone(zone);
        Preferences {
            choices: self.choices.clone(),
            quiet: self.quiet.map(|(from, to)| QuietHours { from, to, zone }),
            caps: self.caps.clone(),
            promotions: self.promotions_since.is_some(),
            reminder_minutes: self.reminder_minutes.clone(),
        }
    }

    /// Their zone, or `default`.
    pub fn zone(&self, default: &Zone) -> Zone {
        Zone::new(&self.time_zone).unwrap_or_else(|_| default.clone())
    }
}

/// A consent to promotions, or its withdrawal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Whether it was given.
    pub granted: bool,
    /// Which wording they saw.
    pub wording_version: String,
    /// How: `app`, `web`, `paper`, …
    pub means: String,
    /// When.
    pub at: Timestamp,
}

const COLUMNS: &str = "p.user_id, p.choices_json, p.quiet_from, p.quiet_to, p.time_zone, p.caps_json, \
    p.reminder_minutes, p.promotions_since, p.digest_at, p.digest_minute, p.version";

/// The preferences of those of `users` who said something.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn of_users(store: &Store, users: &[UserId]) -> Result<HashMap<UserId, Kept>, StoreError> {
    if users.is_empty() {
        return Ok(HashMap::new());
    }
    let mut values = Binds::default();
    let places = values.all(users.iter().map(|user| user.0));
    let sql = format!("SELECT {COLUMNS} FROM user_preferences p WHERE p.user_id IN ({places})");
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, values.take())).await?;
    rows.iter().map(read).collect()
}

/// The preferences of a user, for a change.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn lock(tx: &mut Tx, user: UserId) -> Result<Kept, StoreError> {
    let engine = tx.engine();
    let lock = match engine {
        Engine::Sqlite => "", // the transaction is the only writer
        Engine::Postgres => "FOR UPDATE",
    };
    let sql = format!("SELECT {COLUMNS} FROM user_preferences p WHERE p.user_id = $1 {lock}");
    let row = tx.connection().query_one_raw(statement(engine, sql, [user.0.into()])).await?;
    Ok(row.as_ref().map(read).transpose()?.map(|(_, kept)| kept).unwrap_or_default())
}

/// Keeps the preferences of a user; gives their new version. `None`: somebody else was faster.
///
/// # Errors
/// [`StoreError::is_foreign_key_violation`] when the user is gone.
pub async fn keep(tx: &mut Tx, user: UserId, kept: &Kept, now: Timestamp) -> Result<Option<i64>, StoreError> {
    let mut values = Binds::default();
    let row = values.row([
        user.0.into(),
        json_text(&kept.choices).into(),
        kept.quiet.map(|(from, _)| i64::from(from)).into(),
        kept.quiet.map(|(_, to)| i64::from(to)).into(),
        kept.time_zone.clone().into(),
        json_text(&kept.caps).into(),
        kept.reminder_minutes.as_deref().map(minutes_text).into(),
        at_null(kept.promotions_since),
        at_null(kept.digest_at),
        kept.digest_minute.map(i64::from).into(),
        (kept.version + 1).into(),
        at(now),
    ]);
    let seen = values.one(kept.version);
    let sql = format!(
        "INSERT INTO user_preferences (user_id, choices_json, quiet_from, quiet_to, time_zone, caps_json, \
         reminder_minutes, promotions_since, digest_at, digest_minute, version, updated_at) VALUES {row} \
         ON CONFLICT (user_id) DO UPDATE SET choices_json = excluded.choices_json, \
         quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to, time_zone = excluded.time_zone, \
         caps_json = excluded.caps_json, reminder_minutes = excluded.reminder_minutes, \
         promotions_since = excluded.promotions_since, digest_at = excluded.digest_at, \
         digest_minute = excluded.digest_minute, \
         version = excluded.version, updated_at = excluded.updated_at WHERE user_preferences.version = {seen}"
    );
    let engine = tx.engine();
    let done = tx.connection().execute_raw(statement(engine, sql, values.take())).await?;
    Ok((done.rows_affected() == 1).then_some(kept.version + 1))
}

/// Adds to the record of a user's consents.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn add_consent(tx: &mut Tx, user: UserId, consent: &Consent) -> Result<(), StoreError> {
    let sql = "INSERT INTO promotion_consents (user_id, granted, wording_version, means, at) VALUES ($1, $2, $3, $4, $5)";
    let values = [
        user.0.into(),
        i64::from(consent.granted).into(),
        consent.wording_version.clone().into(),
        consent.means.clone().into(),
        at(consent.at),
    ];
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// The record of a user's consents, the newest first, at most 100.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn consents(store: &Store, user: UserId) -> Result<Vec<Consent>, StoreError> {
    let sql = "SELECT granted, wording_version, means, at FROM promotion_consents WHERE user_id = $1 \
               ORDER BY id DESC LIMIT 100";
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, [user.0.into()])).await?;
    rows.iter()
        .map(|row| {
            Ok(Consent {
                granted: get::<i64>(row, "granted")? == 1,
                wording_version: get(row, "wording_version")?,
                means: get(row, "means")?,
                at: get_at(row, "at")?,
            })
        })
        .collect()
}

/// How many notifications of `lane` each of `users` was planned to have since `since`, `besides` not counted.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn had(
    store: &Store,
    users: &[UserId],
    lane: Lane,
    since: Timestamp,
    besides: NotificationId,
) -> Result<HashMap<UserId, u32>, StoreError> {
    if users.is_empty() {
        return Ok(HashMap::new());
    }
    let mut values = Binds::default();
    let places = values.all(users.iter().map(|user| user.0));
    let (since, lane, besides) = (values.one(at(since)), values.one(lane.as_str()), values.one(besides.0));
    let sql = format!(
        "SELECT user_id, COUNT(DISTINCT notification_id) AS had FROM deliveries \
         WHERE user_id IN ({places}) AND queued_at > {since} AND lane = {lane} AND state <> 'suppressed' \
         AND notification_id <> {besides} GROUP BY user_id"
    );
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, values.take())).await?;
    rows.iter()
        .map(|row| {
            let had: i64 = get(row, "had")?;
            Ok((UserId(get(row, "user_id")?), u32::try_from(had).unwrap_or(u32::MAX)))
        })
        .collect()
}

/// The minutes before the start that those of `users` chose for this very event.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn star_minutes(
    store: &Store,
    event: EventId,
    users: &[UserId],
) -> Result<HashMap<UserId, Vec<u32>>, StoreError> {
    if users.is_empty() {
        return Ok(HashMap::new());
    }
    let mut values = Binds::default();
    let event = values.one(event.0);
    let places = values.all(users.iter().map(|user| user.0));
    let sql = format!(
        "SELECT user_id, reminder_minutes FROM event_stars WHERE event_id = {event} AND user_id IN ({places}) \
         AND reminder_minutes IS NOT NULL"
    );
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, values.take())).await?;
    rows.iter()
        .map(|row| Ok((UserId(get(row, "user_id")?), minutes_of(&get::<String>(row, "reminder_minutes")?))))
        .collect()
}

/// Chooses the minutes before the start of a starred event; `None`: as the user has it. Whether the event is starred.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn set_star_minutes(
    tx: &mut Tx,
    user: UserId,
    event: EventId,
    minutes: Option<&[u32]>,
) -> Result<bool, StoreError> {
    let sql = "UPDATE event_stars SET reminder_minutes = $3 WHERE user_id = $1 AND event_id = $2";
    let values = [user.0.into(), event.0.into(), minutes.map(minutes_text).into()];
    let engine = tx.engine();
    let done = tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(done.rows_affected() == 1)
}

/// Changes what a user reads.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn set_language(
    tx: &mut Tx,
    user: UserId,
    language: Language,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE users SET language = $2, version = version + 1, updated_at = $3 \
               WHERE id = $1 AND language <> $2";
    let values = [user.0.into(), language.as_str().into(), at(now)];
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// `,30,10,`: so that one of them is found by `LIKE '%,30,%'`.
pub(crate) fn minutes_text(minutes: &[u32]) -> String {
    minutes.iter().fold(",".to_owned(), |text, one| format!("{text}{one},"))
}

fn minutes_of(text: &str) -> Vec<u32> {
    text.split(',').filter_map(|one| one.parse().ok()).collect()
}

fn read(row: &QueryResult) -> Result<(UserId, Kept), StoreError> {
    let minute = |column| {
        Ok::<_, StoreError>(get::<Option<i64>>(row, column)?.and_then(|one| u16::try_from(one).ok()))
    };
    let kept = Kept {
        choices: get_json(row, "choices_json")?,
        quiet: minute("quiet_from")?.zip(minute("quiet_to")?),
        time_zone: get(row, "time_zone")?,
        caps: get_json(row, "caps_json")?,
        reminder_minutes: get::<Option<String>>(row, "reminder_minutes")?.map(|text| minutes_of(&text)),
        promotions_since: get_at_null(row, "promotions_since")?,
        digest_at: get_at_null(row, "digest_at")?,
        digest_minute: minute("digest_minute")?,
        version: get(row, "version")?,
    };
    Ok((UserId(get(row, "user_id")?), kept))
}
