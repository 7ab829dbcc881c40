//! Calendars and schedule files: the same programme in the formats of other programs.

use api::import::{self, Options};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use store::Engine;
use store::events::{Event, EventFilter};

use crate::festival::Festival;
use crate::support::both_engines;

both_engines!(
    a_calendar_tells_of_moves_and_cancellations,
    a_calendar_is_the_same_bytes_until_something_changes,
    a_feed_shows_the_part_that_was_asked_for,
    a_schedule_file_can_be_imported_again,
    a_calendar_of_ones_own_is_at_a_secret_address,
);

struct File {
    status: StatusCode,
    headers: header::HeaderMap,
    text: String,
}

async fn get(festival: &Festival, path: &str, if_none_match: Option<&str>) -> File {
    let mut request = festival.api.request(Method::GET, path);
    if let Some(tag) = if_none_match {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    File { status, headers, text: response.text().await.unwrap() }
}

/// The lines of the entry with `title`, unfolded.
fn entry(calendar: &str, title: &str) -> Vec<String> {
    let lines: Vec<String> = calendar.replace("\r\n ", "").lines().map(ToOwned::to_owned).collect();
    let entries = lines.split(|line| line == "BEGIN:VEVENT");
    let wanted = format!("SUMMARY;LANGUAGE=en:{title}");
    let mut entries = entries.map(<[String]>::to_vec);
    entries.find(|entry| entry.contains(&wanted)).unwrap_or_else(|| panic!("no {wanted} in {calendar}"))
}

fn value<'a>(entry: &'a [String], name: &str) -> &'a str {
    let found = entry.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("no {name} in {entry:#?}"))
}

async fn a_calendar_tells_of_moves_and_cancellations(engine: Engine) {
    let festival = Festival::start(engine).await;
    let (id, tag) = festival.made(&festival.event("20:00", "21:30")).await;
    let look = async || get(&festival, "/api/v1/schedule.ics", None).await.text;
    let first = look().await;
    assert!(first.starts_with("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n") && first.ends_with("END:VCALENDAR\r\n"));
    let shown = entry(&first, "Concert");
    let uid = value(&shown, "UID").to_owned();
    assert_eq!(value(&shown, "DTSTART"), "20260715T170000Z");
    assert_eq!(value(&shown, "DTEND"), "20260715T183000Z");
    assert_eq!(value(&shown, "LOCATION;LANGUAGE=en"), "Main stage");
    assert_eq!((value(&shown, "SEQUENCE"), value(&shown, "STATUS")), ("0", "CONFIRMED"));

    // another title is no other time
    let mut renamed = festival.event("20:00", "21:30");
    renamed.as_object_mut().unwrap().remove("status");
    renamed["title"] = "Great concert; with a comma, and more".into();
    let reply = festival.replace(id, &tag, &renamed).await;
    reply.data(200);
    let tag = reply.header("etag").to_owned();
    let shown = entry(&look().await, "Great concert\\; with a comma\\, and more");
    assert_eq!((value(&shown, "SEQUENCE"), value(&shown, "UID")), ("0", uid.as_str()));

    renamed["start_time"] = "2026-07-15T20:30".into();
    festival.replace(id, &tag, &renamed).await.data(200);
    let shown = entry(&look().await, "Great concert\\; with a comma\\, and more");
    assert_eq!((value(&shown, "SEQUENCE"), value(&shown, "DTSTART")), ("1", "20260715T173000Z"));

    festival.step(id, "cancelled").await.data(200);
    let shown = entry(&look().await, "Great concert\\; with a comma\\, and more");
    assert_eq!((value(&shown, "SEQUENCE"), value(&shown, "STATUS")), ("2", "CANCELLED"));
    assert_eq!(value(&shown, "UID"), uid);
    let arabic = get(&festival, "/api/v1/schedule.ics?lang=ar", None).await.text;
    assert!(arabic.contains("LOCATION;LANGUAGE=ar:المسرح الرئيسي\r\n"), "{arabic}");
}

async fn a_calendar_is_the_same_bytes_until_something_changes(engine: Engine) {
    let festival = Festival::start(engine).await;
    let (id, _) = festival.made(&festival.event("20:00", "21:30")).await;
    for (extension, media_type) in [
        ("ics", "text/calendar; charset=utf-8"),
        ("json", "application/json"),
        ("xml", "application/xml; charset=utf-8"),
        ("jsonld", "application/ld+json"),
    ] {
        let path = format!("/api/v1/schedule.{extension}");
        let first = get(&festival, &path, None).await;
        assert_eq!(
            (first.status, &first.headers[header::CONTENT_TYPE]),
            (StatusCode::OK, &media_type.parse().unwrap())
        );
        assert_eq!(first.headers[header::CACHE_CONTROL], "public, max-age=15");
        let tag = first.headers[header::ETAG].to_str().unwrap().to_owned();
        let second = get(&festival, &path, None).await;
        assert_eq!(
            (&second.text, &second.headers[header::ETAG]),
            (&first.text, &first.headers[header::ETAG])
        );
        let same = get(&festival, &path, Some(&format!("\"other\", W/{tag}"))).await;
        assert_eq!((same.status, same.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{extension}");
        assert_eq!(same.headers[header::ETAG], tag.as_str());
    }
    let tag =
        get(&festival, "/api/v1/schedule.ics", None).await.headers[header::ETAG].to_str().unwrap().to_owned();
    festival.step(id, "cancelled").await.data(200);
    assert_eq!(get(&festival, "/api/v1/schedule.ics", Some(&tag)).await.status, StatusCode::OK);
}

async fn a_feed_shows_the_part_that_was_asked_for(engine: Engine) {
    let festival = Festival::start(engine).await;
    let make = async |title: &str, venue: i64, day: &str, more: Value| {
        let mut body = json!({"title": title, "venue_id": venue, "status": "published",
            "start_time": format!("2026-07-{day}T20:00"), "end_time": format!("2026-07-{day}T21:00")});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        festival.made(&body).await
    };
    make("Main", festival.main, "15", json!({})).await;
    make("Played", festival.beach, "16", json!({"performer_ids": [festival.performer]})).await;
    make("Hidden", festival.beach, "17", json!({"status": "draft"})).await;
    let titles = async |query: &str| {
        let text = get(&festival, &format!("/api/v1/schedule.ics?lang=en&{query}"), None).await.text;
        let titles =
            text.lines().filter_map(|line| line.strip_prefix("SUMMARY;LANGUAGE=en:").map(ToOwned::to_owned));
        titles.collect::<Vec<_>>()
    };
    assert_eq!(titles("").await, ["Main", "Played"]);
    assert_eq!(titles(&format!("venue_id={}", festival.main)).await, ["Main"]);
    assert_eq!(titles(&format!("performer_id={}", festival.performer)).await, ["Played"]);
    assert_eq!(titles("day=2026-07-16").await, ["Played"]);
    for (query, status, code) in [
        ("venue_id=999", 404, "not_found"),
        ("performer_id=999", 404, "not_found"),
        ("day=tomorrow", 400, "invalid_query"),
        ("lang=fr", 400, "invalid_query"),
        ("colour=red", 400, "invalid_query"),
    ] {
        let reply = festival.api.get(&format!("/api/v1/schedule.ics?{query}"), None).await;
        reply.refused(status, code);
    }
}

async fn a_schedule_file_can_be_imported_again(engine: Engine) {
    let options = Options { draft: false, bytes_max: 1 << 20 };
    let from = Festival::start(engine).await;
    let file: &[u8] = include_bytes!("../fixtures/schedule.json");
    import::schedule(&from.api.store, &*from.api.clock, file, options).await.unwrap();
    let written = get(&from, "/api/v1/schedule.json?lang=en", None).await.text;
    let to = Festival::start(engine).await;
    let report = import::schedule(&to.api.store, &*to.api.clock, written.as_bytes(), options).await.unwrap();
    assert_eq!((report.events.new, report.time_zone.as_str()), (4, "Africa/Cairo"));
    let facts = async |festival: &Festival| {
        let events =
            store::events::list(&festival.api.store, &EventFilter::default(), None, 100).await.unwrap();
        let fact = |event: Event| {
            let performers: Vec<_> = event.performers.into_iter().map(|one| one.name).collect();
            (event.guid, event.plan.title, event.plan.slot, event.venue.plan.name, performers)
        };
        events.into_iter().map(fact).collect::<Vec<_>>()
    };
    assert_eq!(facts(&from).await, facts(&to).await);
}

async fn a_calendar_of_ones_own_is_at_a_secret_address(engine: Engine) {
    let festival = Festival::start(engine).await;
    let (starred, _) = festival.made(&festival.event("20:00", "21:30")).await;
    let mut other = festival.event("22:00", "23:00");
    other["title"] = "Other".into();
    festival.made(&other).await;
    let token = Some(festival.attendee.as_str());
    let star = festival.api.request(Method::PUT, &format!("/api/v1/events/{starred}/star"));
    assert!(star.bearer_auth(&festival.attendee).send().await.unwrap().status().is_success());

    festival.api.post("/api/v1/me/calendar", None, &json!({})).await.refused(401, "token_missing");
    let open = async || {
        let reply = festival.api.post("/api/v1/me/calendar", token, &json!({})).await;
        reply.data(201)["path"].as_str().unwrap().to_owned()
    };
    let first = open().await;
    let calendar = get(&festival, &first, None).await;
    assert_eq!(
        (calendar.status, &calendar.headers[header::CACHE_CONTROL]),
        (StatusCode::OK, &"private, max-age=15".parse().unwrap())
    );
    assert_eq!(calendar.text.matches("BEGIN:VEVENT").count(), 1, "{}", calendar.text);
    let second = open().await;
    assert_ne!(first, second);
    assert_eq!(get(&festival, &first, None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&festival, &second, None).await.status, StatusCode::OK);
    let close = async || {
        let request = festival.api.request(Method::DELETE, "/api/v1/me/calendar");
        request.bearer_auth(&festival.attendee).send().await.unwrap().status()
    };
    assert_eq!(close().await, StatusCode::OK);
    assert_eq!(close().await, StatusCode::NOT_FOUND);
    for path in
        [second.as_str(), "/api/v1/calendars/x.ics", "/api/v1/calendars/00000000000000000000000000000000.ics"]
    {
        assert_eq!(get(&festival, path, None).await.status, StatusCode::NOT_FOUND);
    }
}
