//! Who a notification is for, in pages by user id, with the targets that reach them.

use std::collections::HashMap;

use domain::{Audience, Channel, DeviceId, Language, Role, Timestamp, UserId, VenueId};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::binds::Binds;
use crate::sql::{at, count, get, get_word, statement};
use crate::{Store, StoreError, Tx};

/// A person of an audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Who.
    pub user_id: UserId,
    /// Mail address; may be empty.
    pub email: String,
    /// Whether mail systems have refused it.
    pub email_quarantined: bool,
    /// Their language.
    pub language: Language,
    /// Their active devices, the one that registered last first.
    pub targets: Vec<Target>,
}

/// A device that can be pushed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which.
    pub device_id: DeviceId,
    /// Of which installation of the app; one phone may be reachable in several ways.
    pub installation_id: String,
    /// Through which provider.
    pub channel: Channel,
    /// The provider's token.
    pub token: String,
    /// The device's language; `None` when Munadi does not speak it.
    pub language: Option<Language>,
}

/// The next `users_max` people of `audience` with ids after `after`, in the order of their ids. Fewer than that:
/// there are no more.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn page(
    store: &Store,
    audience: &Audience,
    after: UserId,
    users_max: u64,
) -> Result<Vec<Recipient>, StoreError> {
    let mut values = Binds::default();
    let after = values.one(after.0);
    let limit = values.one(count(users_max));
    let (from, user) = match audience {
        Audience::Everyone => ("users u WHERE".to_owned(), "u.id"),
        Audience::Event { event_id } => {
            let event = values.one(event_id.0);
            let from =
                format!("event_stars s JOIN users u ON u.id = s.user_id WHERE s.event_id = {event} AND");
            (from, "s.user_id")
        }
        Audience::Venue { venue_id } => {
            let venue = values.one(venue_id.0);
            let starred = format!(
                "u.id IN (SELECT s.user_id FROM events e JOIN event_stars s ON s.event_id = e.id \
                 WHERE e.venue_id = {venue})"
            );
            (format!("users u WHERE {starred} AND"), "u.id")
        }
        Audience::Users { user_ids } if user_ids.is_empty() => return Ok(Vec::new()),
        Audience::Users { user_ids } => {
            let users = values.all(user_ids.iter().map(|id| id.0));
            (format!("users u WHERE u.id IN ({users}) AND"), "u.id")
        }
        Audience::Staff => (format!("users u WHERE ({}) AND", staff()), "u.id"),
        Audience::Reached { notification_id } => {
            let notification = values.one(notification_id.0);
            let from = format!(
                "recipients r JOIN users u ON u.id = r.user_id WHERE r.notification_id = {notification} \
                 AND r.reach IN ('open', 'unknown', 'accepted', 'proven') AND"
            );
            (from, "r.user_id")
        }
    };
    let sql = format!(
        "SELECT u.id, u.email, u.language, (SELECT m.state FROM mail_addresses m WHERE m.address = u.email) AS email_state \
         FROM {from} {user} > {after} ORDER BY {user} LIMIT {limit}"
    );
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, values.take())).await?;
    let mut recipients = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let mut targets = targets(store, &recipients).await?;
    for recipient in &mut recipients {
        recipient.targets = targets.remove(&recipient.user_id).unwrap_or_default();
    }
    Ok(recipients)
}

/// Who works here, as a condition.
fn staff() -> String {
    let of_role = |role: Role| format!("u.roles_json LIKE '%\"{}\"%'", role.as_str());
    [Role::Admin, Role::Organizer, Role::Supervisor, Role::Steward].map(of_role).join(" OR ")
}

fn read(row: &QueryResult) -> Result<Recipient, StoreError> {
    let language: String = get(row, "language")?;
    Ok(Recipient {
        user_id: UserId(get(row, "id")?),
        email: get(row, "email")?,
        email_quarantined: get::<Option<String>>(row, "email_state")?.as_deref() == Some("quarantined"),
        language: Language::of_tag(&language).unwrap_or_default(),
        targets: Vec::new(),
    })
}

async fn targets(
    store: &Store,
    recipients: &[Recipient],
) -> Result<HashMap<UserId, Vec<Target>>, StoreError> {
    let mut targets: HashMap<UserId, Vec<Target>> = HashMap::new();
    if recipients.is_empty() {
        return Ok(targets);
    }
    let mut values = Binds::default();
    let users = values.all(recipients.iter().map(|one| one.user_id.0));
    let sql = format!(
        "SELECT id, user_id, installation_id, channel, token, locale FROM devices \
         WHERE user_id IN ({users}) AND state = 'active' ORDER BY registered_at DESC, id DESC"
    );
    for row in store.reader().query_all_raw(statement(store.engine(), sql, values.take())).await? {
        let locale: String = get(&row, "locale")?;
        targets.entry(UserId(get(&row, "user_id")?)).or_default().push(Target {
            device_id: DeviceId(get(&row, "id")?),
            installation_id: get(&row, "installation_id")?,
            channel: get_word(&row, "channel")?,
            token: get(&row, "token")?,
            language: Language::of_tag(&locale),
        });
    }
    Ok(targets)
}

/// Where people are expected at `now`: at the venue that the audience names, else where the public event is that they starred
/// and that is on, or comes next. Who has none is left out.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn expected_at(
    store: &Store,
    audience: &Audience,
    users: &[UserId],
    now: Timestamp,
) -> Result<HashMap<UserId, VenueId>, StoreError> {
    if let Audience::Venue { venue_id } = audience {
        return Ok(users.iter().map(|user| (*user, *venue_id)).collect());
    }
    let mut venues = HashMap::new();
    if users.is_empty() {
        return Ok(venues);
    }
    let mut values = Binds::default();
    let now = values.one(at(now));
    let users = values.all(users.iter().map(|user| user.0));
    let sql = format!(
        "SELECT s.user_id, e.venue_id FROM event_stars s JOIN events e ON e.id = s.event_id \
         WHERE s.user_id IN ({users}) AND e.ends_at > {now} AND e.status IN ('published', 'live') \
         ORDER BY e.starts_at, e.id"
    );
    for row in store.reader().query_all_raw(statement(store.engine(), sql, values.take())).await? {
        venues.entry(UserId(get(&row, "user_id")?)).or_insert(VenueId(get(&row, "venue_id")?));
    }
    Ok(venues)
}

/// What becomes of a target that a provider refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetFate {
    /// Gone for good.
    Retired,
    /// Not used until a second signal.
    Quarantined,
}

/// A token that a provider refused, as it was when it was used.
#[derive(Debug, Clone, Copy)]
pub struct RefusedTarget<'a> {
    /// Whose.
    pub device: DeviceId,
    /// The token.
    pub token: &'a str,
    /// When it had been registered last.
    pub registered_at: Option<Timestamp>,
}

/// Stops the use of a device's token, unless the device has registered since, this token or another one. Whether it was
/// in use.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn stop_target(
    tx: &mut Tx,
    refused: RefusedTarget<'_>,
    fate: TargetFate,
    reason: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let state = match fate {
        TargetFate::Retired => "retired",
        TargetFate::Quarantined => "quarantined",
    };
    let sql = "UPDATE devices SET state = $3, state_reason = $4, state_at = $5, version = version + 1 \
               WHERE id = $1 AND token = $2 AND state = 'active' AND registered_at <= $6";
    let engine = tx.engine();
    let registered_at = refused.registered_at.unwrap_or(now);
    let values = [
        refused.device.0.into(),
        refused.token.into(),
        state.into(),
        reason.into(),
        now.as_microsecond().into(),
        registered_at.as_microsecond().into(),
    ];
    let done = tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(done.rows_affected() > 0)
}
