//! Writing events: under the locks of the venues and performers concerned, after looking for conflicts.
//!
//! Locks are taken in one order (venues, category, performers, each by id, then the event), so that writers wait for
//! each other and never in a circle.

use domain::{
    Booking, CategoryId, ChangeKind, Conflict, EventId, EventPlan, EventStatus, IllegalTransition,
    PerformerId, Severity, Timestamp, VenueId, conflicts_of,
};
use store::events::{self, Event};
use store::{StoreError, Tx, categories, outbox, performers, venues};
use tracing::info;

use super::author::Author;

/// An event after a write.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// How it is now.
    pub(crate) event: Event,
    /// What it conflicts with, and was written all the same.
    pub(crate) conflicts: Vec<Conflict>,
}

/// What a writer wants an event to be.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// What it is.
    pub(crate) plan: EventPlan,
    /// Why conflicts are to be accepted; `None`: they are not.
    pub(crate) override_reason: Option<String>,
}

/// Why an event was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventError {
    /// There is no such event.
    #[error("event {0} does not exist")]
    NotFound(EventId),
    /// It was changed since it was seen.
    #[error("the event is at version {}", .0.version)]
    Stale(Box<Event>),
    /// It refers to something that does not exist.
    #[error("{noun} {id} does not exist")]
    Unknown {
        /// Where the request says so.
        pointer: &'static str,
        /// What kind of thing.
        noun: &'static str,
        /// Which.
        id: i64,
    },
    /// The timetable does not allow it.
    #[error("{} conflicts", .0.len())]
    Conflicts(Vec<Conflict>),
    /// Its life does not have that step.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// Only drafts are removed.
    #[error("an event that is {0} is not removed, but cancelled")]
    NotDraft(EventStatus),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes an event.
///
/// # Errors
/// [`EventError`]: unknown references, conflicts.
pub(crate) async fn create(
    tx: &mut Tx,
    author: &Author,
    now: Timestamp,
    wanted: &Wanted,
    status: EventStatus,
) -> Result<Written, EventError> {
    let conflicts = examine(tx, None, &wanted.plan, status).await?;
    let guid = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    refuse(&conflicts, wanted.override_reason.is_some())?;
    let id = events::insert(tx, &guid, &wanted.plan, status, now).await?;
    audit(id, author, &conflicts, wanted.override_reason.as_deref());
    let event = publish(tx, author, now, id, None).await?;
    Ok(Written { event, conflicts })
}

/// Replaces what organizers decided about the event with `id`, if `accept` accepts how it is now.
///
/// # Errors
/// [`EventError`]: gone, stale, unknown references, conflicts.
pub(crate) async fn replace(
    tx: &mut Tx,
    author: &Author,
    now: Timestamp,
    (id, wanted): (EventId, &Wanted),
    accept: impl FnOnce(&Event) -> Result<(), EventError>,
) -> Result<Written, EventError> {
    let before = find(tx, id).await?;
    accept(&before)?;
    let conflicts = examine(tx, Some(&before), &wanted.plan, before.status).await?;
    let current = lock_as_seen(tx, before).await?;
    if current.plan == wanted.plan {
        return Ok(Written { event: current, conflicts }); // nothing to tell anybody
    }
    refuse(&conflicts, wanted.override_reason.is_some())?;
    write(tx, &current, &wanted.plan, current.status, now).await?;
    audit(id, author, &conflicts, wanted.override_reason.as_deref());
    let event = publish(tx, author, now, id, Some(&current)).await?;
    Ok(Written { event, conflicts })
}

/// The conflicts that [`replace`] would meet.
///
/// # Errors
/// As [`replace`], apart from the conflicts.
pub(crate) async fn examine_change(
    tx: &mut Tx,
    id: EventId,
    plan: &EventPlan,
    accept: impl FnOnce(&Event) -> Result<(), EventError>,
) -> Result<Vec<Conflict>, EventError> {
    let before = find(tx, id).await?;
    accept(&before)?;
    examine(tx, Some(&before), plan, before.status).await
}

/// Takes the event with `id` to another status.
///
/// # Errors
/// [`EventError`]: gone, no such step, conflicts that did not count before.
pub(crate) async fn transition(
    tx: &mut Tx,
    author: &Author,
    now: Timestamp,
    id: EventId,
    (to, override_reason): (EventStatus, Option<String>),
) -> Result<Written, EventError> {
    let before = find(tx, id).await?;
    before.status.step(to)?;
    let conflicts = examine(tx, Some(&before), &before.plan, to).await?;
    refuse(&conflicts, override_reason.is_some() || before.status.is_public() && before.status.occupies())?;
    let current = lock_as_seen(tx, before).await?;
    current.status.step(to)?;
    write(tx, &current, &current.plan, to, now).await?;
    audit(id, author, &conflicts, override_reason.as_deref());
    let event = publish(tx, author, now, id, Some(&current)).await?;
    Ok(Written { event, conflicts })
}

/// Removes the event with `id`, which has to be a draft, if `accept` accepts how it is now.
///
/// # Errors
/// [`EventError`]: gone, stale, not a draft.
pub(crate) async fn remove(
    tx: &mut Tx,
    author: &Author,
    now: Timestamp,
    id: EventId,
    accept: impl FnOnce(&Event) -> Result<(), EventError>,
) -> Result<(), EventError> {
    let event = events::lock(tx, id).await?.ok_or(EventError::NotFound(id))?;
    accept(&event)?;
    if event.status != EventStatus::Draft {
        return Err(EventError::NotDraft(event.status));
    }
    events::delete(tx, id, event.version).await?;
    let snapshot = Box::new(event.snapshot());
    let kind = ChangeKind::Event {
        event: snapshot.clone(),
        previous: Some(snapshot),
        aspects: vec![domain::Aspect::Deleted],
    };
    outbox::append(tx, &author.change(now, kind)).await?;
    Ok(())
}

/// The conflicts that an event of `plan` and `status` would have, and locks all that decides about it until the
/// transaction ends.
///
/// # Errors
/// [`EventError::Unknown`] when the plan refers to something that does not exist.
pub(crate) async fn examine(
    tx: &mut Tx,
    before: Option<&Event>,
    plan: &EventPlan,
    status: EventStatus,
) -> Result<Vec<Conflict>, EventError> {
    let mut venue_ids = vec![plan.venue_id];
    venue_ids.extend(before.map(|event| event.plan.venue_id));
    let venues = venues::lock(tx, &venue_ids).await?;
    let venue = venues.into_iter().find(|venue| venue.id == plan.venue_id);
    let VenueId(id) = plan.venue_id;
    let venue = venue.ok_or(EventError::Unknown { pointer: "/venue_id", noun: "venue", id })?;
    if let Some(category) = plan.category_id {
        let CategoryId(id) = category;
        let held = categories::hold(tx, category).await?;
        held.ok_or(EventError::Unknown { pointer: "/category_id", noun: "category", id })?;
    }
    let found = performers::lock(tx, &plan.performers).await?;
    if let Some(PerformerId(id)) =
        plan.performers.iter().find(|id| found.iter().all(|performer| performer.id != **id))
    {
        return Err(EventError::Unknown { pointer: "/performer_ids", noun: "performer", id: *id });
    }
    let rules = venue.rules();
    let buffers = rules.setup + rules.turnaround;
    let window = plan.slot.widened(buffers, buffers);
    let others = events::occupying(tx, plan.venue_id, &plan.performers, &window).await?;
    let candidate = Booking {
        event_id: before.map(|event| event.id),
        status,
        venue: rules,
        slot: plan.slot,
        performers: plan.performers.clone(),
        capacity: plan.capacity,
    };
    let others: Vec<_> = others.iter().map(Event::booking).collect();
    Ok(conflicts_of(&candidate, &others))
}

async fn find(tx: &mut Tx, id: EventId) -> Result<Event, EventError> {
    events::by_ids(tx, &[id]).await?.pop().ok_or(EventError::NotFound(id))
}

/// Locks the event, which has to be as it was when its locks were chosen.
async fn lock_as_seen(tx: &mut Tx, seen: Event) -> Result<Event, EventError> {
    let current = events::lock(tx, seen.id).await?.ok_or(EventError::NotFound(seen.id))?;
    if current.version == seen.version { Ok(current) } else { Err(EventError::Stale(Box::new(current))) }
}

async fn write(
    tx: &mut Tx,
    current: &Event,
    plan: &EventPlan,
    status: EventStatus,
    now: Timestamp,
) -> Result<(), EventError> {
    let written = events::update(tx, (current.id, current.version), plan, status, now).await?;
    if written { Ok(()) } else { Err(EventError::Stale(Box::new(current.clone()))) }
}

/// Appends the change to the outbox: how the event is now, and how it was.
async fn publish(
    tx: &mut Tx,
    author: &Author,
    now: Timestamp,
    id: EventId,
    before: Option<&Event>,
) -> Result<Event, EventError> {
    let event = find(tx, id).await?;
    outbox::append(tx, &author.change(now, event.change_since(before))).await?;
    Ok(event)
}

fn refuse(conflicts: &[Conflict], accepted: bool) -> Result<(), EventError> {
    let grave = conflicts.iter().any(|conflict| conflict.severity == Severity::Error);
    if grave && !accepted { Err(EventError::Conflicts(conflicts.to_vec())) } else { Ok(()) }
}

/// Who accepted conflicts, and why, is on record.
fn audit(id: EventId, author: &Author, conflicts: &[Conflict], reason: Option<&str>) {
    let grave = conflicts.iter().filter(|conflict| conflict.severity == Severity::Error).count();
    if let Some(reason) = reason.filter(|_| grave > 0) {
        let actor = author.actor.map(|actor| actor.0);
        info!(
            event.id = %id, user.id = actor, conflicts = grave, override.reason = reason,
            "{grave} conflicts of event {id} were overridden"
        );
    }
}
