//! Recipients: how far each notification has come with each person, as the best of their deliveries.
//!
//! A row counts a person's deliveries by reach. Whatever moves a delivery moves its person's row by the difference, and the
//! counts of the coverage board by the people that went from one place to another, in the same transaction.

use std::collections::{BTreeMap, HashMap};

use domain::{Language, NotificationId, PersonTally, Reach, Timestamp, UserId, VenueId, mark_of};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use crate::binds::Binds;
use crate::coverage::{self, Place};
use crate::sql::{at, at_null, get, get_at, get_at_null, get_word, statement};
use crate::{Engine, StoreError, Tx};

/// The reason of a delivery that passed its deadline after an attempt without verdict.
pub(crate) const UNVERIFIED: &str = "unverified";

/// The cause of a person who has a socket only, and has not confirmed from it.
pub(crate) const NOT_CONNECTED: &str = "not_connected";

/// People of one statement; keeps its values far below what the engines allow.
const ROWS: usize = 500;

/// A person of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRecipient {
    /// Of which notification.
    pub notification_id: NotificationId,
    /// Who.
    pub user_id: UserId,
    /// Their language.
    pub language: Language,
    /// Where they are expected, where that is known.
    pub venue_id: Option<VenueId>,
    /// When the notification was made: proofs are timed from here.
    pub notified_at: Timestamp,
}

/// A delivery that went from one reach to another, or was proved earlier than was known.
#[derive(Debug, Clone)]
pub(crate) struct PersonMove {
    pub(crate) notification_id: NotificationId,
    pub(crate) user_id: UserId,
    /// `None`: it is new, or counted for nothing.
    pub(crate) from: Option<Reach>,
    /// `None`: it counts for nothing.
    pub(crate) to: Option<Reach>,
    /// Why, when it failed or cannot be reached.
    pub(crate) cause: Option<String>,
    /// The first proof of this delivery.
    pub(crate) proven_at: Option<Timestamp>,
}

/// A person's row under lock.
struct Person {
    user_id: UserId,
    venue_id: i64,
    language: Language,
    tally: PersonTally,
    reach: Reach,
    detail: String,
    proven_at: Option<Timestamp>,
    notified_at: Timestamp,
}

impl Person {
    fn of(new: &NewRecipient) -> Self {
        Self {
            user_id: new.user_id,
            venue_id: new.venue_id.map_or(0, |id| id.0),
            language: new.language,
            tally: PersonTally::default(),
            reach: Reach::Unreachable,
            detail: String::new(),
            proven_at: None,
            notified_at: new.notified_at,
        }
    }

    fn take(&mut self, one: &PersonMove) {
        self.tally.shift(one.from, one.to);
        self.proven_at = [self.proven_at, one.proven_at].into_iter().flatten().min();
        let was = self.reach;
        self.reach = self.tally.reach();
        match self.reach {
            Reach::Proven => {
                let took = self.proven_at.unwrap_or(self.notified_at).since(self.notified_at);
                self.detail = mark_of(took);
            }
            Reach::Failed | Reach::Unreachable => {
                if was != self.reach || self.detail.is_empty() {
                    self.detail = one.cause.clone().unwrap_or_default();
                }
            }
            Reach::Withdrawn | Reach::Open | Reach::Unknown | Reach::Accepted => self.detail.clear(),
        }
    }

    fn place(&self, notification_id: NotificationId) -> Place {
        Place {
            notification_id,
            venue_id: self.venue_id,
            language: self.language,
            reach: self.reach,
            detail: self.detail.clone(),
        }
    }

    fn columns(&self) -> [Value; 11] {
        let [unreachable, withdrawn, failed, open, unknown, accepted, proven] = self.tally.numbers();
        [
            self.user_id.0.into(),
            unreachable.into(),
            withdrawn.into(),
            failed.into(),
            open.into(),
            unknown.into(),
            accepted.into(),
            proven.into(),
            self.reach.as_str().into(),
            self.detail.clone().into(),
            at_null(self.proven_at),
        ]
    }
}

/// Writes people that are new, with what `moves` say about them; moves those that were known.
pub(crate) async fn insert(
    tx: &mut Tx,
    people: &[NewRecipient],
    moves: Vec<PersonMove>,
) -> Result<(), StoreError> {
    let mut by_person: HashMap<(NotificationId, UserId), Vec<PersonMove>> = HashMap::new();
    for one in moves {
        by_person.entry((one.notification_id, one.user_id)).or_default().push(one);
    }
    let mut places: BTreeMap<Place, i64> = BTreeMap::new();
    let mut known = Vec::new();
    for page in people.chunks(ROWS) {
        let mut rows: Vec<(NotificationId, Person)> = Vec::with_capacity(page.len());
        for new in page {
            let mut person = Person::of(new);
            for one in by_person.get(&(new.notification_id, new.user_id)).into_iter().flatten() {
                person.take(one);
            }
            rows.push((new.notification_id, person));
        }
        let new = insert_page(tx, &rows).await?;
        for (notification, person) in rows {
            let key = (notification, person.user_id);
            if new.contains(&key) {
                *places.entry(person.place(notification)).or_default() += 1;
            } else {
                known.extend(by_person.remove(&key).unwrap_or_default());
            }
        }
    }
    move_known(tx, &known, &mut places).await?;
    coverage::count(tx, places).await
}

async fn insert_page(
    tx: &mut Tx,
    rows: &[(NotificationId, Person)],
) -> Result<std::collections::HashSet<(NotificationId, UserId)>, StoreError> {
    let mut values = Binds::default();
    let places = rows
        .iter()
        .map(|(notification, person)| {
            let first = [
                notification.0.into(),
                person.venue_id.into(),
                person.language.as_str().into(),
                at(person.notified_at),
            ];
            values.row(first.into_iter().chain(person.columns()))
        })
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "INSERT INTO recipients (notification_id, venue_id, language, notified_at, user_id, unreachable, withdrawn, \
         failed, open, unknown, accepted, proven, reach, detail, proven_at) VALUES {places} \
         ON CONFLICT (notification_id, user_id) DO NOTHING RETURNING notification_id, user_id"
    );
    let engine = tx.engine();
    let inserted = tx.connection().query_all_raw(statement(engine, sql, values.take())).await?;
    inserted
        .iter()
        .map(|row| Ok((NotificationId(get(row, "notification_id")?), UserId(get(row, "user_id")?))))
        .collect()
}

/// Moves people's rows and the coverage counts. People of notifications that were planned before there were rows are left
/// out.
pub(crate) async fn shift(tx: &mut Tx, moves: &[PersonMove]) -> Result<(), StoreError> {
    let mut places = BTreeMap::new();
    move_known(tx, moves, &mut places).await?;
    coverage::count(tx, places).await
}

/// Moves people's rows, and notes in `places` how the board moves. Counts come last in every transaction, so that two never
/// wait in a circle.
async fn move_known(
    tx: &mut Tx,
    moves: &[PersonMove],
    places: &mut BTreeMap<Place, i64>,
) -> Result<(), StoreError> {
    let mut by_notification: BTreeMap<NotificationId, BTreeMap<UserId, Vec<&PersonMove>>> = BTreeMap::new();
    for one in moves {
        let people = by_notification.entry(one.notification_id).or_default();
        people.entry(one.user_id).or_default().push(one);
    }
    for (notification, people) in by_notification {
        let ids: Vec<UserId> = people.keys().copied().collect();
        for page in ids.chunks(ROWS) {
            let mut rows = lock(tx, notification, page).await?;
            for person in &mut rows {
                let before = person.place(notification);
                for one in &people[&person.user_id] {
                    person.take(one);
                }
                let now = person.place(notification);
                if now != before {
                    *places.entry(before).or_default() -= 1;
                    *places.entry(now).or_default() += 1;
                }
            }
            write(tx, notification, &rows).await?;
        }
    }
    Ok(())
}

/// The rows of these people in the order of their ids, locked, so that two transactions never wait in a circle.
async fn lock(
    tx: &mut Tx,
    notification: NotificationId,
    people: &[UserId],
) -> Result<Vec<Person>, StoreError> {
    let engine = tx.engine();
    let lock = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => "FOR UPDATE",
    };
    let mut values = Binds::default();
    let notification = values.one(notification.0);
    let users = values.all(people.iter().map(|id| id.0));
    let sql = format!(
        "SELECT user_id, venue_id, language, unreachable, withdrawn, failed, open, unknown, accepted, proven, reach, \
         detail, proven_at, notified_at FROM recipients WHERE notification_id = {notification} \
         AND user_id IN ({users}) ORDER BY user_id {lock}"
    );
    let rows = tx.connection().query_all_raw(statement(engine, sql, values.take())).await?;
    rows.iter().map(read).collect()
}

fn read(row: &QueryResult) -> Result<Person, StoreError> {
    let mut numbers = [0; Reach::ALL.len()];
    for (number, reach) in numbers.iter_mut().zip(Reach::ALL) {
        *number = get(row, reach.as_str())?;
    }
    let language: String = get(row, "language")?;
    Ok(Person {
        user_id: UserId(get(row, "user_id")?),
        venue_id: get(row, "venue_id")?,
        language: Language::of_tag(&language).unwrap_or_default(),
        tally: PersonTally::new(numbers),
        reach: get_word(row, "reach")?,
        detail: get(row, "detail")?,
        proven_at: get_at_null(row, "proven_at")?,
        notified_at: get_at(row, "notified_at")?,
    })
}

async fn write(tx: &mut Tx, notification: NotificationId, people: &[Person]) -> Result<(), StoreError> {
    if people.is_empty() {
        return Ok(());
    }
    let mut values = Binds::default();
    let notification = values.one(notification.0);
    let rows = people.iter().map(|person| values.row(person.columns())).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "UPDATE recipients SET unreachable = v.column2, withdrawn = v.column3, failed = v.column4, open = v.column5, \
         unknown = v.column6, accepted = v.column7, proven = v.column8, reach = v.column9, detail = v.column10, \
         proven_at = v.column11 FROM (VALUES {rows}) AS v \
         WHERE recipients.notification_id = {notification} AND recipients.user_id = v.column1"
    );
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values.take())).await?;
    Ok(())
}
