//! The schedule: festival days, zones, and what takes place now.

use reqwest::Method;
use serde_json::{Value, json};
use store::Engine;

use crate::festival::Festival;
use crate::support::{both_engines, send};

both_engines!(
    a_show_after_midnight_belongs_to_the_evening_before,
    days_follow_the_clocks_of_their_zone,
    a_venue_knows_now_and_next,
    a_schedule_can_be_kept_until_it_changes,
    too_much_for_one_answer_is_said,
);

/// Makes an event with these times.
async fn show(festival: &Festival, venue: i64, start: &str, end: &str) -> i64 {
    let body = json!({"title": format!("Show {start}"), "venue_id": venue, "status": "published",
        "start_time": start, "end_time": end});
    festival.made(&body).await.0
}

fn ids(day: &Value) -> Vec<i64> {
    let venues = day["venues"].as_array().unwrap().iter();
    venues
        .flat_map(|venue| venue["events"].as_array().unwrap())
        .map(|event| event["id"].as_i64().unwrap())
        .collect()
}

async fn a_show_after_midnight_belongs_to_the_evening_before(engine: Engine) {
    let festival = Festival::start(engine).await;
    let evening = show(&festival, festival.main, "2026-07-15T23:00", "2026-07-16T01:30").await;
    let night = show(&festival, festival.beach, "2026-07-16T01:30", "2026-07-16T04:00").await;
    let morning = show(&festival, festival.main, "2026-07-16T06:00", "2026-07-16T07:00").await;
    let hidden = json!({"title": "Draft", "venue_id": festival.beach, "start_time": "2026-07-15T12:00",
        "end_time": "2026-07-15T13:00"});
    festival.made(&hidden).await;

    let today = async |at: &str| {
        let path = format!("/api/v1/schedule/today?at={at}");
        festival.api.get(&path, Some(&festival.organizer)).await.data(200).clone()
    };
    for at in ["2026-07-15T06:00", "2026-07-15T23:59", "2026-07-16T01:45", "2026-07-16T05:59:59"] {
        let day = today(at).await;
        assert_eq!((day["date"].as_str().unwrap(), ids(&day)), ("2026-07-15", vec![evening, night]), "{at}");
        assert_eq!(day["starts_at"], "2026-07-15T03:00:00Z");
    }
    let day = today("2026-07-16T06:00").await;
    assert_eq!((day["date"].as_str().unwrap(), ids(&day)), ("2026-07-16", vec![morning]));
    assert_eq!(today("2026-07-20T12:00").await["venues"], json!([]));

    let whole = festival.api.get("/api/v1/schedule", None).await;
    let days = whole.data(200)["days"].as_array().unwrap();
    assert_eq!((days.len(), &whole.data(200)["complete"]), (2, &json!(true)));
    assert_eq!((ids(&days[0]), ids(&days[1])), (vec![evening, night], vec![morning]));
    let one = festival.api.get("/api/v1/schedule?day=2026-07-16", None).await;
    assert_eq!(ids(&one.data(200)["days"][0]), [morning]);
    // now is the clock's: 15:00 in Cairo
    assert_eq!(festival.api.get("/api/v1/schedule/today", None).await.data(200)["date"], "2026-07-15");
}

async fn days_follow_the_clocks_of_their_zone(engine: Engine) {
    let festival = Festival::start(engine).await;
    // the night in which summer time ends: 23:30 comes twice, the day is 25 hours long
    let twice = json!({"title": "Twice", "venue_id": festival.main, "status": "published",
        "start_time": "2026-10-29T23:30", "end_time": "2026-10-30T01:00"});
    let refused = festival.make(&twice).await;
    refused.refused(422, "validation_failed");
    assert_eq!(
        (&refused.body["errors"][0]["pointer"], &refused.body["errors"][0]["code"]),
        (&json!("/start_time"), &json!("repeated_time"))
    );
    let mut clear = twice.clone();
    clear["start_time"] = "2026-10-29T23:30+02:00".into();
    let made = festival.make(&clear).await;
    assert_eq!(made.data(201)["start_local"], "2026-10-29T23:30:00+02:00");
    let day = festival.api.get("/api/v1/schedule/today?at=2026-10-29T22:00:00Z", None).await;
    assert_eq!(day.data(200)["date"], "2026-10-29");
    assert_eq!(
        (&day.data(200)["starts_at"], &day.data(200)["ends_at"]),
        (&json!("2026-10-29T03:00:00Z"), &json!("2026-10-30T04:00:00Z"))
    );
    // the night in which it begins: 00:30 does not exist
    let mut gap = twice;
    gap["start_time"] = "2026-04-24T00:30".into();
    gap["end_time"] = "2026-04-24T02:00".into();
    assert_eq!(festival.make(&gap).await.body["errors"][0]["code"], "skipped_time");
    // the same instant is another day elsewhere
    let tokyo = festival.api.get("/api/v1/schedule/today?at=2026-10-29T22:00:00Z&tz=Asia/Tokyo", None).await;
    assert_eq!(tokyo.data(200)["date"], "2026-10-30");
    festival.api.get("/api/v1/schedule/today?tz=Cairo", None).await.refused(400, "invalid_query");
}

async fn a_venue_knows_now_and_next(engine: Engine) {
    let festival = Festival::start(engine).await;
    let first = show(&festival, festival.main, "2026-07-15T20:00", "2026-07-15T21:00").await;
    let second = show(&festival, festival.main, "2026-07-15T22:00", "2026-07-15T23:00").await;
    let third = show(&festival, festival.main, "2026-07-16T00:00", "2026-07-16T01:00").await;
    show(&festival, festival.beach, "2026-07-15T20:00", "2026-07-15T21:00").await;
    let venue = async |at: &str| {
        let path = format!("/api/v1/schedule/venue/{}?at=2026-07-15T{at}", festival.main);
        let view = festival.api.get(&path, None).await.data(200).clone();
        (view["now"]["id"].as_i64(), view["next"]["id"].as_i64())
    };
    assert_eq!(venue("19:00").await, (None, Some(first)));
    assert_eq!(venue("20:00").await, (Some(first), Some(second)));
    assert_eq!(venue("21:00").await, (None, Some(second)));
    festival.step(second, "cancelled").await.data(200);
    assert_eq!(venue("20:59").await, (Some(first), Some(third)));
    assert_eq!(venue("23:59").await, (None, Some(third)));
    let path = format!("/api/v1/schedule/venue/{}", festival.main);
    let view = festival.api.get(&path, None).await;
    assert_eq!(view.data(200)["venue"]["name"], "Main stage");
    assert_eq!(ids(&view.data(200)["days"][0]), [first, second, third]); // the cancelled one is still shown as such
    festival.api.get("/api/v1/schedule/venue/404", None).await.refused(404, "not_found");
}

async fn a_schedule_can_be_kept_until_it_changes(engine: Engine) {
    let festival = Festival::start(engine).await;
    let id = show(&festival, festival.main, "2026-07-15T20:00", "2026-07-15T21:00").await;
    let first = festival.api.get("/api/v1/schedule", None).await;
    assert_eq!(first.header("cache-control"), "public, max-age=15");
    let again = async || {
        let request = festival.api.request(Method::GET, "/api/v1/schedule");
        send(request.header("if-none-match", first.header("etag"))).await.status.as_u16()
    };
    assert_eq!(again().await, 304);
    festival.step(id, "live").await.data(200);
    assert_eq!(again().await, 200);
    let close = festival.api.get("/api/v1/schedule/today?at=2026-07-16T02:59:55Z", None).await;
    assert_eq!(close.header("cache-control"), "public, max-age=5");
}

async fn too_much_for_one_answer_is_said(engine: Engine) {
    let api = crate::support::TestApi::with(engine, |config| config.festival.schedule_events_max = 10).await;
    let festival = Festival::of(api).await;
    for hour in 8..19 {
        let (from, to) = (format!("2026-07-15T{hour:02}:00"), format!("2026-07-15T{hour:02}:30"));
        show(&festival, festival.beach, &from, &to).await;
    }
    let whole = festival.api.get("/api/v1/schedule", None).await;
    assert_eq!((&whole.data(200)["complete"], ids(&whole.data(200)["days"][0]).len()), (&json!(false), 10));
}
