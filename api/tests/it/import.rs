//! Importing a programme: all of it, again, changed, and broken in many ways.

use api::import::{self, Counts, ImportError, ImportReport, Options};
use serde_json::{Value, json};
use store::Engine;
use store::events::{Event, EventFilter};

use crate::festival::Festival;
use crate::support::{TestApi, both_engines};

both_engines!(
    a_file_is_imported_completely_and_again_without_effect,
    a_changed_file_changes_what_differs,
    what_organizers_decided_stays,
    a_file_with_a_fault_changes_nothing,
    conflicts_within_a_file_are_reported,
    a_file_is_imported_over_http_by_organizers,
    the_real_file_is_imported_completely,
);

const OPTIONS: Options = Options { draft: false, bytes_max: 1 << 20 };

fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/schedule.json")).unwrap()
}

async fn try_import(
    festival: &Festival,
    file: &Value,
    options: Options,
) -> Result<ImportReport, ImportError> {
    let bytes = serde_json::to_vec(file).unwrap();
    import::schedule(&festival.api.store, &*festival.api.clock, &bytes, options).await
}

async fn import(festival: &Festival, file: &Value) -> ImportReport {
    try_import(festival, file, OPTIONS).await.unwrap()
}

async fn all(festival: &Festival) -> Vec<Event> {
    store::events::list(&festival.api.store, &EventFilter::default(), None, 1_000).await.unwrap()
}

fn counts(new: usize, changed: usize, unchanged: usize) -> Counts {
    Counts { new, changed, unchanged }
}

async fn a_file_is_imported_completely_and_again_without_effect(engine: Engine) {
    let festival = Festival::start(engine).await;
    let report = import(&festival, &fixture()).await;
    assert_eq!((report.title.as_str(), report.time_zone.as_str()), ("Dunes 2026", "Africa/Cairo"));
    assert_eq!(report.events, counts(4, 0, 0));
    assert_eq!(report.venues, counts(2, 0, 0)); // an empty hall is no venue
    assert_eq!(report.categories, counts(3, 0, 0));
    assert_eq!(report.performers, counts(3, 0, 0));
    assert_eq!(report.conflicts, []);
    let told = festival.told().await;
    assert_eq!(told.len(), 6, "{told:?}");
    assert!(told[..2].iter().all(|line| line.starts_with("venue.changed: venue:")));
    assert!(told[2..].iter().all(|line| line.starts_with("event.published: event:")));

    let events = all(&festival).await;
    let opening = &events[0];
    assert_eq!(opening.guid, "00000000-0000-4000-8000-000000000001");
    assert_eq!(opening.plan.description.en.as_deref(), Some("of it all\n\nThe beginning.\n\nLoud.\nLong."));
    assert_eq!(opening.plan.slot.ends_at.to_string(), "2026-07-15T18:30:00Z");
    assert_eq!(opening.venue.plan.name.en.as_deref(), Some("Main stage"));
    assert_eq!(opening.category.as_ref().unwrap().plan.slug, "music");
    let names: Vec<_> = opening.performers.iter().map(|one| one.name.en.clone().unwrap()).collect();
    assert_eq!(names, ["The Band", "The Choir"]);
    let night = events.iter().find(|event| event.guid.ends_with('2')).unwrap();
    assert_eq!((night.plan.title.ar.as_deref(), night.plan.title.en.as_deref()), (Some("ليلة"), None));

    let again = import(&festival, &fixture()).await;
    assert_eq!((again.events, again.venues), (counts(0, 0, 4), counts(0, 0, 2)));
    assert_eq!((again.categories, again.performers), (counts(0, 0, 3), counts(0, 0, 3)));
    assert_eq!(festival.told().await, [] as [&str; 0]);
    assert_eq!(all(&festival).await, events);
}

async fn a_changed_file_changes_what_differs(engine: Engine) {
    let festival = Festival::start(engine).await;
    import(&festival, &fixture()).await;
    let before = all(&festival).await;
    festival.changes().await;

    let mut file = fixture();
    let rooms = &mut file["schedule"]["conference"]["days"][0]["rooms"];
    rooms["Main stage"][0]["date"] = "2026-07-15T20:30:00+03:00".into();
    let moved = rooms["Main stage"].as_array_mut().unwrap().remove(1);
    rooms["Beach"] = json!([moved]);
    rooms["Tent"][0]["persons"][0]["name"] = "Prof. Sand".into();
    let report = import(&festival, &file).await;
    assert_eq!(report.events, counts(0, 2, 2));
    assert_eq!((report.venues, report.performers), (counts(1, 0, 2), counts(0, 1, 2)));
    let told = festival.told().await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("event.venue_changed: event:")), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("event.moved: event:")), "{told:?}");
    let after = all(&festival).await;
    let versions: Vec<_> = after.iter().map(|event| event.version).collect();
    assert_eq!((versions.iter().sum::<i64>(), after.len()), (6, before.len()));

    // drafts, when asked for; and what is not in the file stays
    let mut more = fixture();
    let days = more["schedule"]["conference"]["days"].as_array_mut().unwrap();
    days.remove(0);
    days[0]["rooms"]["Tent"][0]["guid"] = "another".into();
    let drafts = try_import(&festival, &more, Options { draft: true, ..OPTIONS }).await.unwrap();
    assert_eq!(drafts.events, counts(1, 0, 0));
    assert_eq!(festival.told().await, ["event.created: staff:programme"]);
    assert_eq!(all(&festival).await.len(), 5);
}

async fn what_organizers_decided_stays(engine: Engine) {
    let festival = Festival::start(engine).await;
    import(&festival, &fixture()).await;
    let opening = all(&festival).await.remove(0);
    let id = opening.id.0;
    let body = json!({"title": {"ar": "الافتتاح", "en": "Opening"}, "description": opening.plan.description,
        "venue_id": opening.venue.id, "category_id": opening.plan.category_id, "language": "en", "capacity": 50,
        "performer_ids": opening.plan.performers, "start_time": "2026-07-15T20:00", "end_time": "2026-07-15T21:30"});
    festival.replace(id, "*", &body).await.data(200);
    festival.step(id, "cancelled").await.data(200);
    festival.changes().await;
    assert_eq!(import(&festival, &fixture()).await.events, counts(0, 0, 4));
    let now = all(&festival).await.remove(0);
    assert_eq!((now.status.as_str(), now.plan.capacity, now.version), ("cancelled", Some(50), 3));
    assert_eq!(now.plan.title.ar.as_deref(), Some("الافتتاح"));
}

/// The first event of the good file.
fn event(file: &mut Value) -> &mut Value {
    file.pointer_mut("/schedule/conference/days/0/rooms/Main stage/0").unwrap()
}

/// A change to the good file, and where the fault is named.
type Row = (&'static str, fn(&mut Value), &'static str);

async fn a_file_with_a_fault_changes_nothing(engine: Engine) {
    let festival = Festival::start(engine).await;
    for (name, spoil, named) in rows() {
        let mut file = fixture();
        spoil(&mut file);
        let error = try_import(&festival, &file, OPTIONS).await.unwrap_err();
        assert!(matches!(error, ImportError::Faults(_)), "{name}: {error}");
        assert!(error.to_string().contains(named), "{name}: {error}");
    }
    let raw = async |bytes: &[u8]| {
        import::schedule(&festival.api.store, &*festival.api.clock, bytes, OPTIONS).await.unwrap_err()
    };
    for bytes in [&b""[..], b"<schedule/>", b"{\"schedule\": {", b"\xff\xfe\x00", b"{} {}"] {
        let error = raw(bytes).await;
        assert!(matches!(error, ImportError::NotJson(_) | ImportError::Faults(_)), "{error}");
    }
    let small = Options { bytes_max: 100, ..OPTIONS };
    let error = try_import(&festival, &fixture(), small).await.unwrap_err();
    assert!(matches!(error, ImportError::TooLarge { permitted: 100, .. }), "{error}");

    // every fault is named, not only the first
    let mut file = fixture();
    event(&mut file)["title"] = "".into();
    event(&mut file)["duration"] = "x".into();
    let Err(ImportError::Faults(faults)) = try_import(&festival, &file, OPTIONS).await else { panic!() };
    assert_eq!(faults.len(), 2);

    assert_eq!(all(&festival).await, []);
    assert_eq!(store::venues::list(&festival.api.store, None, 10).await.unwrap().len(), 2);
    assert_eq!(festival.told().await, [] as [&str; 0]);
}

fn rows() -> [Row; 17] {
    [
        ("no date", |file| drop(event(file).as_object_mut().unwrap().remove("date")), "missing field `date`"),
        (
            "bad date",
            |file| event(file)["date"] = "2026-02-30T20:00:00+03:00".into(),
            ".rooms.Main stage[0].date: ",
        ),
        ("local date", |file| event(file)["date"] = "2026-07-15T20:00:00".into(), "[0].date: "),
        ("negative", |file| event(file)["duration"] = "-01:00".into(), "[0].duration: "),
        ("zero", |file| event(file)["duration"] = "00:00".into(), "[0].duration: must be longer"),
        ("too long", |file| event(file)["duration"] = "745:00".into(), "[0].duration: "),
        ("number", |file| event(file)["duration"] = 90.into(), "[0].duration: invalid type"),
        ("blank title", |file| event(file)["title"] = "  ".into(), "[0].title: must not be blank"),
        (
            "no title",
            |file| drop(event(file).as_object_mut().unwrap().remove("title")),
            "missing field `title`",
        ),
        (
            "long title",
            |file| event(file)["title"] = "x".repeat(301).into(),
            "[0].title: must have at most 300",
        ),
        (
            "same guid",
            |file| event(file)["guid"] = "00000000-0000-4000-8000-000000000003".into(),
            "rooms.Tent[0].guid: is the guid of $.schedule.conference.days[0].rooms.Main stage[0]",
        ),
        ("blank guid", |file| event(file)["guid"] = "".into(), "[0].guid: "),
        ("nameless", |file| event(file)["persons"][0]["public_name"] = "".into(), "persons[0].public_name: "),
        ("language", |file| event(file)["language"] = "a b".into(), "[0].language: "),
        (
            "zone",
            |file| file["schedule"]["conference"]["time_zone_name"] = "Dunes".into(),
            "time_zone_name: \"Dunes\"",
        ),
        (
            "no zone",
            |file| drop(file["schedule"]["conference"].as_object_mut().unwrap().remove("time_zone_name")),
            "time_zone_name: must name",
        ),
        (
            "no days",
            |file| file["schedule"]["conference"]["days"] = Value::Null,
            "conference.days: invalid type",
        ),
    ]
}

async fn conflicts_within_a_file_are_reported(engine: Engine) {
    let festival = Festival::start(engine).await;
    let mut file = fixture();
    file["schedule"]["conference"]["days"][0]["rooms"]["Main stage"][1]["date"] =
        "2026-07-15T21:00:00+03:00".into();
    let report = import(&festival, &file).await;
    assert_eq!(report.events, counts(4, 0, 0));
    let [only] = &report.conflicts[..] else { panic!("{:?}", report.conflicts) };
    assert_eq!((only.rule, only.minutes), (domain::ConflictRule::VenueOverlap, 30));
}

async fn a_file_is_imported_over_http_by_organizers(engine: Engine) {
    let api = TestApi::with(engine, |config| {
        config.limits.body_bytes_max = 1_024; // the file is larger
        config.limits.import_bytes_max = 8_192;
    });
    let festival = Festival::of(api.await).await;
    let path = "/api/v1/schedule/import";
    let organizer = Some(festival.organizer.as_str());
    festival.api.post(path, Some(&festival.attendee), &fixture()).await.refused(403, "forbidden");
    let tried = festival.api.post(&format!("{path}?dry_run=true"), organizer, &fixture()).await;
    assert_eq!(tried.data(200)["events"], json!({"new": 4, "changed": 0, "unchanged": 0}));
    assert_eq!(all(&festival).await, []);
    festival.api.post(path, organizer, &json!({"schedule": {}})).await.refused(422, "invalid_body");
    festival.api.post(path, organizer, &json!("x".repeat(9_000))).await.refused(413, "body_too_large");
    let done = festival.api.post(path, organizer, &fixture()).await;
    assert_eq!(done.data(200)["events"]["new"], 4);
    assert_eq!(festival.changes().await[0].actor.map(|actor| actor.0), Some(1));
    let again = festival.api.post(path, organizer, &fixture()).await;
    assert_eq!(again.data(200)["events"]["unchanged"], 4);
}

/// Goal: every event of a real festival arrives. `MUNADI_SCHEDULE` names its file; without it there is none to read.
async fn the_real_file_is_imported_completely(engine: Engine) {
    #[expect(clippy::disallowed_methods, reason = "the file is not ours to keep in the repository")]
    let Ok(path) = std::env::var("MUNADI_SCHEDULE") else { return };
    let bytes = std::fs::read(path).unwrap();
    let file: Value = serde_json::from_slice(&bytes).unwrap();
    let days = file["schedule"]["conference"]["days"].as_array().unwrap().iter();
    let rooms = days.flat_map(|day| day["rooms"].as_object().unwrap().values());
    let guids: std::collections::BTreeSet<_> = rooms
        .flat_map(|events| events.as_array().unwrap())
        .map(|event| event["guid"].as_str().unwrap().to_owned())
        .collect();
    let festival = Festival::start(engine).await;
    let report = import(&festival, &file).await;
    assert_eq!(report.events, counts(guids.len(), 0, 0));
    let rows: std::collections::BTreeSet<_> =
        all(&festival).await.into_iter().map(|event| event.guid).collect();
    assert_eq!(rows, guids);
    assert_eq!(festival.changes().await.len(), guids.len() + report.venues.new);
    assert_eq!(import(&festival, &file).await.events, counts(0, 0, guids.len()));
    assert_eq!(festival.changes().await.len(), 0);
}
