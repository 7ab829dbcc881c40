//! Venues, categories, performers, events and stars.

use std::collections::BTreeSet;

use domain::{
    EventId, EventPlan, EventStatus, LocalizedText, PerformerId, Slot, Timestamp, UserId, VenueId, Zone,
};
use store::categories::CategoryPlan;
use store::events::{EventFilter, Referred};
use store::performers::PerformerPlan;
use store::venues::VenuePlan;
use store::{Store, StoreError, Tx, categories, events, performers, stars, venues};

on_both_engines!(
    a_venue_is_written_read_changed_by_version_and_removed,
    a_category_and_a_performer_too,
    an_event_comes_with_all_that_belongs_to_it,
    each_filter_finds_what_it_names_and_nothing_else,
    pages_follow_each_other_while_others_write,
    what_occupies_a_venue_or_a_performer_is_found_across_midnight,
    two_writers_of_one_version_have_one_winner,
    a_locked_timetable_makes_the_second_writer_wait,
    what_is_referred_to_is_named_and_cannot_go,
    a_star_is_set_once,
    a_dropped_transaction_has_done_nothing,
);

pub(crate) fn at(minute: i64) -> Timestamp {
    Timestamp::from_microsecond((29_000_000 + minute) * 60_000_000).unwrap()
}

fn slot(from: i64, to: i64) -> Slot {
    Slot::new(at(from), at(to)).unwrap()
}

fn cairo() -> Zone {
    Zone::new("Africa/Cairo").unwrap()
}

fn venue_plan(name: &str) -> VenuePlan {
    VenuePlan {
        name: LocalizedText { ar: Some("المسرح".to_owned()), en: Some(name.to_owned()) },
        capacity: Some(500),
        position: Some((30.83, 28.95)),
        zone: cairo(),
        setup_seconds: 600,
        turnaround_seconds: 900,
    }
}

fn performer_plan(name: &str) -> PerformerPlan {
    PerformerPlan { name: LocalizedText::english(name), biography: LocalizedText::default() }
}

fn category_plan(slug: &str) -> CategoryPlan {
    CategoryPlan { slug: slug.to_owned(), name: LocalizedText::english(slug), color: None }
}

pub(crate) fn plan(venue: VenueId, from: i64, to: i64) -> EventPlan {
    EventPlan {
        title: LocalizedText { ar: Some("افتتاح".to_owned()), en: Some("Opening".to_owned()) },
        description: LocalizedText::english("50% of it_ is \"music\""),
        language: "ar".to_owned(),
        venue_id: venue,
        category_id: None,
        performers: Vec::new(),
        slot: slot(from, to),
        zone: cairo(),
        capacity: None,
    }
}

pub(crate) async fn new_venue(tx: &mut Tx, name: &str) -> VenueId {
    venues::insert(tx, None, &venue_plan(name), at(0)).await.unwrap().id
}

pub(crate) async fn new_event(tx: &mut Tx, plan: &EventPlan) -> EventId {
    let guid = format!("guid-{}-{}-{}", plan.venue_id, plan.slot.starts_at, plan.slot.ends_at);
    events::insert(tx, &guid, plan, EventStatus::Published, at(0)).await.unwrap()
}

async fn a_venue_is_written_read_changed_by_version_and_removed(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let venue = venues::insert(&mut tx, Some("main"), &venue_plan("Main"), at(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((venue.version, venue.created_at, venue.updated_at), (1, at(1), at(1)));
    assert_eq!(venue.plan, venue_plan("Main"));
    assert_eq!(venues::get_by_id(&store, venue.id).await.unwrap().as_ref(), Some(&venue));
    assert_eq!(venues::list(&store, None, 10).await.unwrap(), std::slice::from_ref(&venue));
    assert_eq!(venues::list(&store, Some(venue.id), 10).await.unwrap(), []);

    let mut tx = store.begin().await.unwrap();
    let bare = VenuePlan { capacity: None, position: None, ..venue_plan("Bare") };
    let changed = venues::update(&mut tx, venue.id, 1, &bare, at(2)).await.unwrap().unwrap();
    assert_eq!((changed.version, changed.created_at, changed.updated_at), (2, at(1), at(2)));
    assert_eq!(changed.plan, bare);
    assert_eq!(venues::update(&mut tx, venue.id, 1, &bare, at(3)).await.unwrap(), None);
    let found = venues::by_guids(&mut tx, &["main".to_owned(), "other".to_owned()]).await.unwrap();
    assert_eq!(found, [changed]);
    assert!(!venues::delete(&mut tx, venue.id, 1).await.unwrap());
    assert!(venues::delete(&mut tx, venue.id, 2).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(venues::get_by_id(&store, venue.id).await.unwrap(), None);
}

async fn a_category_and_a_performer_too(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let concert = categories::insert(&mut tx, &category_plan("concert"), at(0)).await.unwrap();
    let colored = CategoryPlan { color: Some("#ff8800".to_owned()), ..category_plan("music") };
    let changed = categories::update(&mut tx, concert.id, 1, &colored, at(1)).await.unwrap().unwrap();
    assert_eq!((changed.version, &changed.plan), (2, &colored));
    assert_eq!(categories::hold(&mut tx, concert.id).await.unwrap(), Some(changed.clone()));
    assert_eq!(categories::lock(&mut tx, concert.id).await.unwrap(), Some(changed.clone()));
    assert_eq!(categories::by_slugs(&mut tx, &["music".to_owned()]).await.unwrap(), [changed]);

    let amr = performers::insert(&mut tx, Some("p1"), &performer_plan("Amr"), at(0)).await.unwrap();
    let plan = performer_plan("Amr Diab");
    let changed = performers::update(&mut tx, amr.id, 1, &plan, at(1)).await.unwrap().unwrap();
    assert_eq!((changed.version, &changed.plan), (2, &plan));
    let locked = performers::lock(&mut tx, &[amr.id, PerformerId(99)]).await.unwrap();
    assert_eq!(locked, std::slice::from_ref(&changed));
    assert_eq!(performers::by_guids(&mut tx, &["p1".to_owned()]).await.unwrap(), [changed]);
    tx.commit().await.unwrap();

    assert_eq!(categories::list(&store, None, 10).await.unwrap().len(), 1);
    assert_eq!(performers::list(&store, None, 10).await.unwrap().len(), 1);
    let mut tx = store.begin().await.unwrap();
    let refused = categories::insert(&mut tx, &category_plan("music"), at(2)).await.unwrap_err();
    assert!(refused.is_unique_violation());
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    assert!(categories::delete(&mut tx, concert.id, 2).await.unwrap());
    assert!(performers::delete(&mut tx, amr.id, 2).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(categories::get_by_id(&store, concert.id).await.unwrap(), None);
    assert_eq!(performers::get_by_id(&store, amr.id).await.unwrap(), None);
}

async fn an_event_comes_with_all_that_belongs_to_it(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let venue = new_venue(&mut tx, "Main").await;
    let category = categories::insert(&mut tx, &category_plan("concert"), at(0)).await.unwrap();
    let mut cast = Vec::new();
    for name in ["A", "B", "C"] {
        cast.push(performers::insert(&mut tx, None, &performer_plan(name), at(0)).await.unwrap().id);
    }
    cast.reverse();
    let full = EventPlan {
        category_id: Some(category.id),
        performers: cast.clone(),
        capacity: Some(400),
        ..plan(venue, 0, 60)
    };
    let id = events::insert(&mut tx, "g", &full, EventStatus::Draft, at(1)).await.unwrap();
    tx.commit().await.unwrap();

    let event = events::get_by_id(&store, id).await.unwrap().unwrap();
    assert_eq!((&event.plan, event.status, event.version), (&full, EventStatus::Draft, 1));
    assert_eq!(event.venue.id, venue);
    assert_eq!(event.category, Some(category));
    let names: Vec<_> = event.performers.iter().map(|one| one.name.pick(domain::Language::En)).collect();
    assert_eq!(names, ["C", "B", "A"]);
    assert_eq!(event.guid, "g");

    let mut tx = store.begin().await.unwrap();
    let less = EventPlan { performers: vec![cast[2]], category_id: None, ..full.clone() };
    assert!(events::update(&mut tx, (id, 1), &less, EventStatus::Published, at(2)).await.unwrap());
    let changed = events::lock(&mut tx, id).await.unwrap().unwrap();
    assert_eq!((changed.plan, changed.status, changed.version), (less, EventStatus::Published, 2));
    assert_eq!((changed.category, changed.created_at, changed.updated_at), (None, at(1), at(2)));
    assert_eq!(events::lock_by_guids(&mut tx, &["g".to_owned(), "h".to_owned()]).await.unwrap().len(), 1);
    assert_eq!(events::by_ids(&mut tx, &[id, EventId(77)]).await.unwrap().len(), 1);
    assert!(!events::delete(&mut tx, id, 1).await.unwrap());
    assert!(events::delete(&mut tx, id, 2).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(events::get_by_id(&store, id).await.unwrap(), None);
}

async fn each_filter_finds_what_it_names_and_nothing_else(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let (main, beach) = (new_venue(&mut tx, "Main").await, new_venue(&mut tx, "Beach").await);
    let category = categories::insert(&mut tx, &category_plan("concert"), at(0)).await.unwrap().id;
    let amr = performers::insert(&mut tx, None, &performer_plan("Amr"), at(0)).await.unwrap().id;
    let first = new_event(&mut tx, &plan(main, 0, 60)).await;
    let second = new_event(
        &mut tx,
        &EventPlan {
            category_id: Some(category),
            performers: vec![amr],
            title: LocalizedText { ar: Some("ليلة النيل".to_owned()), en: None },
            description: LocalizedText::default(),
            ..plan(beach, 30, 90)
        },
    )
    .await;
    let third = events::insert(&mut tx, "3", &plan(beach, 30, 50), EventStatus::Draft, at(0)).await.unwrap();
    tx.commit().await.unwrap();

    let find = async |filter: EventFilter| -> Vec<EventId> {
        let found = events::list(&store, &filter, None, 10).await.unwrap();
        found.iter().map(|event| event.id).collect()
    };
    let all = EventFilter::default();
    assert_eq!(find(all.clone()).await, [first, second, third]);
    let statuses = vec![EventStatus::Published, EventStatus::Live];
    assert_eq!(find(EventFilter { statuses, ..all.clone() }).await, [first, second]);
    assert_eq!(find(EventFilter { venue_id: Some(beach), ..all.clone() }).await, [second, third]);
    assert_eq!(find(EventFilter { category_id: Some(category), ..all.clone() }).await, [second]);
    assert_eq!(find(EventFilter { performer_id: Some(amr), ..all.clone() }).await, [second]);
    assert_eq!(find(EventFilter { starts_from: Some(at(1)), ..all.clone() }).await, [second, third]);
    assert_eq!(find(EventFilter { starts_before: Some(at(30)), ..all.clone() }).await, [first]);
    assert_eq!(find(EventFilter { ends_after: Some(at(50)), ..all.clone() }).await, [first, second]);
    for (words, expected) in [
        ("OPENING", vec![first, third]),
        ("النيل", vec![second]),
        ("50% of it_", vec![first, third]),
        ("50_ of", vec![]),
        ("\"music\"", vec![first, third]),
        ("\\", vec![]),
        ("en", vec![first, third]), // in the words, not in the JSON around them
        ("ar", vec![]),
        ("' OR 1=1 --", vec![]),
    ] {
        let filter = EventFilter { search: Some(words.to_owned()), ..all.clone() };
        assert_eq!(find(filter).await, expected, "{words}");
    }
    let filter = EventFilter {
        statuses: vec![EventStatus::Draft],
        venue_id: Some(beach),
        starts_from: Some(at(30)),
        starts_before: Some(at(31)),
        search: Some("open".to_owned()),
        ..all
    };
    assert_eq!(find(filter).await, [third]);
}

/// Goal: whatever was there throughout is seen once, whatever comes and goes between the pages.
async fn pages_follow_each_other_while_others_write(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let venue = new_venue(&mut tx, "Main").await;
    let mut stayed = BTreeSet::new();
    for minute in 0..30 {
        // three at a time start together, so that the id decides
        stayed.insert(new_event(&mut tx, &plan(venue, minute / 3, 100 + minute)).await);
    }
    tx.commit().await.unwrap();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = events::list(&store, &EventFilter::default(), after, 4).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.plan.slot.starts_at, last.id));
        seen.extend(page.iter().map(|event| event.id));
        let mut tx = store.begin().await.unwrap();
        let round = i64::try_from(seen.len()).unwrap();
        new_event(&mut tx, &plan(venue, 0, 200 + round)).await; // before
        let gone = new_event(&mut tx, &plan(venue, 9, 300 + round)).await; // behind
        if round % 8 == 0 {
            assert!(events::delete(&mut tx, gone, 1).await.unwrap());
        }
        tx.commit().await.unwrap();
        assert!(seen.len() < 100, "the list ends");
    }
    let distinct: BTreeSet<_> = seen.iter().copied().collect();
    assert_eq!(distinct.len(), seen.len(), "nothing twice");
    assert!(distinct.is_superset(&stayed), "nothing missed");
}

async fn what_occupies_a_venue_or_a_performer_is_found_across_midnight(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let (main, beach) = (new_venue(&mut tx, "Main").await, new_venue(&mut tx, "Beach").await);
    let amr = performers::insert(&mut tx, None, &performer_plan("Amr"), at(0)).await.unwrap().id;
    let days = 24 * 60;
    let exhibition = new_event(&mut tx, &plan(main, -20 * days, 10)).await;
    let late = new_event(&mut tx, &plan(main, 5, 50)).await;
    let ended = new_event(&mut tx, &plan(main, -60, 0)).await;
    let playing = EventPlan { performers: vec![amr], ..plan(beach, 5, 50) };
    let elsewhere = new_event(&mut tx, &playing).await;
    let cancelled =
        events::insert(&mut tx, "c", &plan(main, 0, 60), EventStatus::Cancelled, at(0)).await.unwrap();
    let mut found = async |performers: &[PerformerId], from, to| -> BTreeSet<EventId> {
        let events = events::occupying(&mut tx, main, performers, &slot(from, to)).await.unwrap();
        assert!(events.iter().all(|event| event.id != cancelled));
        events.iter().map(|event| event.id).collect()
    };
    assert_eq!(found(&[], 0, 6).await, BTreeSet::from([exhibition, late]));
    assert_eq!(found(&[], -1, 6).await, BTreeSet::from([exhibition, late, ended]));
    assert_eq!(found(&[amr], 10, 20).await, BTreeSet::from([late, elsewhere]));
    assert_eq!(found(&[amr], 50, 60).await, BTreeSet::new());
}

async fn two_writers_of_one_version_have_one_winner(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let venue = new_venue(&mut tx, "Main").await;
    let id = new_event(&mut tx, &plan(venue, 0, 60)).await;
    tx.commit().await.unwrap();
    let write = async |minute| -> Result<bool, StoreError> {
        let mut tx = store.begin().await?;
        let plan = plan(venue, minute, 60);
        let done = events::update(&mut tx, (id, 1), &plan, EventStatus::Published, at(1)).await?;
        tx.commit().await?;
        Ok(done)
    };
    let (one, other) = tokio::join!(write(1), write(2));
    assert!(one.unwrap() != other.unwrap());
    assert_eq!(events::get_by_id(&store, id).await.unwrap().unwrap().version, 2);
}

/// Goal: who looks for conflicts under the lock sees what the one before has written.
async fn a_locked_timetable_makes_the_second_writer_wait(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let venue = new_venue(&mut tx, "Main").await;
    tx.commit().await.unwrap();
    let book = async |minute: i64| -> bool {
        let mut tx = store.begin().await.unwrap();
        venues::lock(&mut tx, &[venue]).await.unwrap();
        let free =
            events::occupying(&mut tx, venue, &[], &slot(minute, minute + 60)).await.unwrap().is_empty();
        if free {
            new_event(&mut tx, &plan(venue, minute, minute + 60)).await;
        }
        tx.commit().await.unwrap();
        free
    };
    let booked = tokio::join!(book(0), book(10), book(20), book(30));
    let successes = [booked.0, booked.1, booked.2, booked.3].into_iter().filter(|free| *free).count();
    assert_eq!(successes, 1);
    assert_eq!(events::list(&store, &EventFilter::default(), None, 10).await.unwrap().len(), 1);
}

async fn what_is_referred_to_is_named_and_cannot_go(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let venue = new_venue(&mut tx, "Main").await;
    let category = categories::insert(&mut tx, &category_plan("concert"), at(0)).await.unwrap().id;
    let amr = performers::insert(&mut tx, None, &performer_plan("Amr"), at(0)).await.unwrap().id;
    let full = EventPlan { category_id: Some(category), performers: vec![amr], ..plan(venue, 0, 60) };
    let id = new_event(&mut tx, &full).await;
    tx.commit().await.unwrap();
    for what in [Referred::Venue(venue), Referred::Category(category), Referred::Performer(amr)] {
        let mut tx = store.begin().await.unwrap();
        assert_eq!(events::referring_to(&mut tx, what, 5).await.unwrap(), [id]);
        let refused = match what {
            Referred::Venue(id) => venues::delete(&mut tx, id, 1).await,
            Referred::Category(id) => categories::delete(&mut tx, id, 1).await,
            Referred::Performer(id) => performers::delete(&mut tx, id, 1).await,
        };
        assert!(refused.unwrap_err().is_foreign_key_violation());
    }
    let mut tx = store.begin().await.unwrap();
    assert_eq!(events::referring_to(&mut tx, Referred::Venue(VenueId(99)), 5).await.unwrap(), []);
}

async fn a_star_is_set_once(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let venue = new_venue(&mut tx, "Main").await;
    let id = new_event(&mut tx, &plan(venue, 0, 60)).await;
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let nobody = stars::insert(&mut tx, UserId(404), id, at(0)).await.unwrap_err();
    assert!(nobody.is_foreign_key_violation());
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    assert!(!stars::delete(&mut tx, UserId(404), id).await.unwrap());
}

async fn a_dropped_transaction_has_done_nothing(store: Store) {
    let mut tx = store.begin().await.unwrap();
    new_venue(&mut tx, "Main").await;
    drop(tx);
    assert_eq!(venues::list(&store, None, 10).await.unwrap(), []);
}
