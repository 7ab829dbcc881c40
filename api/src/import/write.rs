//! Writes a programme: what is new is made, what differs is changed, and each of the two is told to everybody.

use std::collections::HashMap;

use domain::{
    CategoryId, ChangeKind, EventId, EventPlan, EventStatus, Language, LocalizedText, PerformerId, Timestamp,
    VenueId, conflicts_within,
};
use store::categories::CategoryPlan;
use store::events::Event;
use store::performers::PerformerPlan;
use store::venues::VenuePlan;
use store::{StoreError, Tx, categories, events, outbox, performers, venues};

use super::plan::{PlannedEvent, Programme, merged};
use super::{Counts, ImportReport, Options};
use crate::ops::author::Author;

/// An import under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    /// What is imported.
    pub(super) programme: &'a Programme,
    /// Who imports.
    pub(super) author: &'a Author,
    /// How.
    pub(super) options: Options,
    /// When.
    pub(super) now: Timestamp,
}

/// The ids behind the keys of the programme.
struct Ids {
    venues: HashMap<String, VenueId>,
    categories: HashMap<String, CategoryId>,
    performers: HashMap<String, PerformerId>,
}

/// Writes the programme and tells what was done.
pub(super) async fn programme(tx: &mut Tx, run: Run<'_>) -> Result<ImportReport, StoreError> {
    let programme = run.programme;
    let (venue_ids, venues) = write_venues(tx, run).await?;
    let (category_ids, categories) = write_categories(tx, run).await?;
    let (performer_ids, performers) = write_performers(tx, run).await?;
    let ids = Ids { venues: venue_ids, categories: category_ids, performers: performer_ids };
    let (events, written) = write_events(tx, run, &ids).await?;
    let bookings: Vec<_> = written.iter().map(Event::booking).collect();
    Ok(ImportReport {
        title: programme.title.clone(),
        time_zone: programme.zone.name().to_owned(),
        venues,
        categories,
        performers,
        events,
        conflicts: conflicts_within(&bookings),
    })
}

async fn write_venues(tx: &mut Tx, run: Run<'_>) -> Result<(HashMap<String, VenueId>, Counts), StoreError> {
    let Run { programme, now, .. } = run;
    let guids: Vec<_> = programme.rooms.keys().cloned().collect();
    let found = venues::by_guids(tx, &guids).await?;
    let known: Vec<_> = found.iter().map(|venue| venue.id).collect();
    venues::lock(tx, &known).await?; // against writers who look for a free slot there
    let mut counts = Counts { unchanged: found.len(), ..Counts::default() };
    let mut ids: HashMap<_, _> =
        found.into_iter().filter_map(|venue| venue.guid.map(|guid| (guid, venue.id))).collect();
    for (guid, name) in &programme.rooms {
        if ids.contains_key(guid) {
            continue; // an organizer may have renamed it since
        }
        let plan = VenuePlan {
            name: LocalizedText::english(name.as_str()),
            capacity: None,
            position: None,
            zone: programme.zone.clone(),
            setup_seconds: 0,
            turnaround_seconds: 0,
        };
        let venue = venues::insert(tx, Some(guid), &plan, now).await?;
        let kind = ChangeKind::Venue { venue: venue.snapshot(), deleted: false };
        outbox::append(tx, &run.author.change(run.now, kind)).await?;
        ids.insert(guid.clone(), venue.id);
        counts.new += 1;
    }
    Ok((ids, counts))
}

async fn write_categories(
    tx: &mut Tx,
    run: Run<'_>,
) -> Result<(HashMap<String, CategoryId>, Counts), StoreError> {
    let Run { programme, now, .. } = run;
    let slugs: Vec<_> = programme.tracks.keys().cloned().collect();
    let found = categories::by_slugs(tx, &slugs).await?;
    let mut counts = Counts { unchanged: found.len(), ..Counts::default() };
    let mut ids: HashMap<_, _> =
        found.into_iter().map(|category| (category.plan.slug, category.id)).collect();
    for (slug, name) in &programme.tracks {
        if !ids.contains_key(slug) {
            let name = LocalizedText::english(name.as_str());
            let plan = CategoryPlan { slug: slug.clone(), name, color: None };
            ids.insert(slug.clone(), categories::insert(tx, &plan, now).await?.id);
            counts.new += 1;
        }
    }
    for id in ids.values() {
        categories::hold(tx, *id).await?;
    }
    Ok((ids, counts))
}

async fn write_performers(
    tx: &mut Tx,
    run: Run<'_>,
) -> Result<(HashMap<String, PerformerId>, Counts), StoreError> {
    let Run { programme, now, .. } = run;
    let guids: Vec<_> = programme.persons.keys().cloned().collect();
    let found = performers::by_guids(tx, &guids).await?;
    let known: Vec<_> = found.iter().map(|performer| performer.id).collect();
    let found = performers::lock(tx, &known).await?;
    let found: HashMap<_, _> =
        found.into_iter().filter_map(|one| one.guid.clone().map(|guid| (guid, one))).collect();
    let (mut ids, mut counts) = (HashMap::new(), Counts::default());
    for (guid, name) in &programme.persons {
        let Some(current) = found.get(guid) else {
            let name = LocalizedText::english(name.as_str());
            let plan = PerformerPlan { name, biography: LocalizedText::default() };
            ids.insert(guid.clone(), performers::insert(tx, Some(guid), &plan, now).await?.id);
            counts.new += 1;
            continue;
        };
        ids.insert(guid.clone(), current.id);
        let name = merged(Some(&current.plan.name), Language::En, name);
        if name == current.plan.name {
            counts.unchanged += 1;
        } else {
            let plan = PerformerPlan { name, ..current.plan.clone() };
            performers::update(tx, current.id, current.version, &plan, now).await?;
            counts.changed += 1;
        }
    }
    Ok((ids, counts))
}

async fn write_events(tx: &mut Tx, run: Run<'_>, ids: &Ids) -> Result<(Counts, Vec<Event>), StoreError> {
    let Run { programme, options, now, .. } = run;
    let guids: Vec<_> = programme.events.iter().map(|event| event.guid.clone()).collect();
    let found = events::lock_by_guids(tx, &guids).await?;
    let found: HashMap<_, _> = found.into_iter().map(|event| (event.guid.clone(), event)).collect();
    let status = if options.draft { EventStatus::Draft } else { EventStatus::Published };
    let mut counts = Counts::default();
    let mut touched = HashMap::new();
    let mut all = Vec::with_capacity(guids.len());
    for planned in &programme.events {
        let before = found.get(&planned.guid);
        let plan = plan_of(planned, programme, ids, before);
        let id = match before {
            None => {
                counts.new += 1;
                let id = events::insert(tx, &planned.guid, &plan, status, now).await?;
                touched.insert(id, None);
                id
            }
            Some(event) if event.plan == plan => {
                counts.unchanged += 1;
                event.id
            }
            Some(event) => {
                counts.changed += 1;
                events::update(tx, (event.id, event.version), &plan, event.status, now).await?;
                touched.insert(event.id, Some(event));
                event.id
            }
        };
        all.push(id);
    }
    let written = events::by_ids(tx, &all).await?;
    tell(tx, run, &written, &touched).await?;
    Ok((counts, written))
}

/// What an event of the file is to be, given how it is.
fn plan_of(planned: &PlannedEvent, programme: &Programme, ids: &Ids, before: Option<&Event>) -> EventPlan {
    let language = planned.text_language();
    let before = before.map(|event| &event.plan);
    EventPlan {
        title: merged(before.map(|plan| &plan.title), language, &planned.title),
        description: merged(before.map(|plan| &plan.description), language, &planned.description),
        language: planned.language.clone(),
        venue_id: ids.venues[&planned.room],
        category_id: planned.track.as_ref().map(|track| ids.categories[track]),
        performers: planned.persons.iter().map(|person| ids.performers[person]).collect(),
        slot: planned.slot,
        zone: programme.zone.clone(),
        capacity: before.and_then(|plan| plan.capacity),
    }
}

/// One change in the outbox per event that is new or changed, in the order of the file.
async fn tell(
    tx: &mut Tx,
    run: Run<'_>,
    written: &[Event],
    touched: &HashMap<EventId, Option<&Event>>,
) -> Result<(), StoreError> {
    for event in written {
        let Some(before) = touched.get(&event.id) else { continue };
        let kind = event.change_since(*before);
        outbox::append(tx, &run.author.change(run.now, kind)).await?;
    }
    Ok(())
}
