//! Bad input for the programme's routes: each row gets its documented error, and nothing changes.

use serde_json::{Value, json};
use store::Engine;
use store::events::EventFilter;

use crate::festival::Festival;
use crate::support::{authorized, both_engines, send};

both_engines!(every_bad_body_gets_its_error_and_changes_nothing, every_bad_query_gets_its_error);

/// A good body with one field changed (`null`: removed), what names the fault, and the rule.
fn event_rows() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let long = "x".repeat(301);
    vec![
        ("title", json!(""), "/title", "required"),
        ("title", json!({"ar": " "}), "/title", "required"),
        ("title", json!(long), "/title/en", "too_long"),
        ("title", json!({"fr": "x"}), "/title", "wrong_type"),
        ("title", json!("a\u{7}b"), "/title/en", "character"),
        ("title", json!("a\u{0}b"), "/title", "character"),
        ("title", json!(7), "/title", "wrong_type"),
        ("title", Value::Null, "/title", "required"),
        ("description", json!("x".repeat(20_001)), "/description/en", "too_long"),
        ("venue_id", json!(404), "/venue_id", "unknown"),
        ("venue_id", json!(-1), "/venue_id", "unknown"),
        ("venue_id", json!("5"), "/venue_id", "wrong_type"),
        ("venue_id", json!(1.5), "/venue_id", "wrong_type"),
        ("venue_id", Value::Null, "/venue_id", "required"),
        ("category_id", json!(404), "/category_id", "unknown"),
        ("performer_ids", json!([404]), "/performer_ids", "unknown"),
        ("performer_ids", json!([1, 1]), "/performer_ids/1", "duplicate"),
        ("performer_ids", json!((1..=101).collect::<Vec<i64>>()), "/performer_ids", "too_long"),
        ("start_time", json!("2026-07-15T22:00"), "/end_time", "not_after_start"),
        ("end_time", json!("2026-07-15T20:00"), "/end_time", "not_after_start"),
        ("end_time", json!("2026-09-15T20:00"), "/end_time", "too_long_after_start"),
        ("end_time", json!("9999-12-31T20:00:00Z"), "/end_time", "malformed"),
        ("start_time", json!("1969-07-15T20:00"), "/end_time", "out_of_range"),
        ("start_time", json!("15/07/2026 20:00"), "/start_time", "malformed"),
        ("start_time", json!("2026-02-30T20:00"), "/start_time", "malformed"),
        ("start_time", json!(1_784_145_600), "/start_time", "wrong_type"),
        ("start_time", json!("2026-04-24T00:30"), "/start_time", "skipped_time"),
        ("timezone", json!("Cairo"), "/timezone", "unknown"),
        ("timezone", json!("+03:00"), "/timezone", "unknown"),
        ("language", json!("a_b"), "/language", "malformed"),
        ("capacity", json!(0), "/capacity", "out_of_range"),
        ("capacity", json!(-5), "/capacity", "out_of_range"),
        ("capacity", json!(10_000_001), "/capacity", "out_of_range"),
        ("capacity", json!("many"), "/capacity", "wrong_type"),
        ("status", json!("live"), "/status", "malformed"),
        ("status", json!("finished"), "/status", "wrong_type"),
        ("override_reason", json!(""), "/override_reason", "required"),
        ("override_reason", json!("x".repeat(501)), "/override_reason", "too_long"),
        ("id", json!(1), "/id", "unknown_field"),
        ("colour", json!("red"), "/colour", "unknown_field"),
    ]
}

fn resource_rows() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let (venues, categories, performers) = ("/api/v1/venues", "/api/v1/categories", "/api/v1/performers");
    vec![
        (venues, json!({}), "/name", "required"),
        (venues, json!({"name": ""}), "/name", "required"),
        (venues, json!({"name": "x".repeat(201)}), "/name/en", "too_long"),
        (venues, json!({"name": "x", "capacity": 0}), "/capacity", "out_of_range"),
        (venues, json!({"name": "x", "latitude": 91, "longitude": 0}), "/latitude", "out_of_range"),
        (venues, json!({"name": "x", "latitude": 1}), "/longitude", "required"),
        (venues, json!({"name": "x", "longitude": 181}), "/longitude", "out_of_range"),
        (venues, json!({"name": "x", "timezone": "Nowhere/Here"}), "/timezone", "unknown"),
        (venues, json!({"name": "x", "setup_seconds": 86_401}), "/setup_seconds", "out_of_range"),
        (venues, json!({"name": "x", "turnaround_seconds": -1}), "/turnaround_seconds", "wrong_type"),
        (venues, json!({"name": "x", "size": 1}), "/size", "unknown_field"),
        (categories, json!({"slug": "", "name": "x"}), "/slug", "required"),
        (categories, json!({"slug": "Big Show", "name": "x"}), "/slug", "malformed"),
        (categories, json!({"slug": "x".repeat(65), "name": "x"}), "/slug", "too_long"),
        (categories, json!({"slug": "x", "name": "x", "color": "red"}), "/color", "malformed"),
        (performers, json!({"name": {"ar": ""}}), "/name", "required"),
        (performers, json!({"name": "x", "biography": "x".repeat(20_001)}), "/biography/en", "too_long"),
    ]
}

async fn every_bad_body_gets_its_error_and_changes_nothing(engine: Engine) {
    let festival = Festival::start(engine).await;
    let organizer = Some(festival.organizer.as_str());
    let good = festival.event("20:00", "21:00");
    let (id, etag) = festival.made(&good).await;
    let path = format!("/api/v1/events/{id}");
    let before = festival.api.get(&path, None).await.body["data"].clone();
    festival.changes().await;

    let mut elsewhere = good.clone();
    elsewhere["venue_id"] = festival.beach.into();
    for (field, value, pointer, rule) in event_rows() {
        let mut body = elsewhere.clone();
        body[field] = value.clone();
        if value.is_null() {
            body.as_object_mut().unwrap().remove(field);
        }
        let made = festival.make(&body).await;
        check(&made.body, made.status.as_u16(), pointer, rule, &format!("POST {field}={value}"));
        if field != "status" {
            body.as_object_mut().unwrap().remove("status");
            let changed = festival.replace(id, &etag, &body).await;
            check(&changed.body, changed.status.as_u16(), pointer, rule, &format!("PUT {field}={value}"));
        }
    }
    let changed = festival.replace(id, &etag, &good).await;
    check(&changed.body, changed.status.as_u16(), "/status", "use_transitions", "PUT with a status");
    for (path, body, pointer, rule) in resource_rows() {
        let reply = festival.api.post(path, organizer, &body).await;
        check(&reply.body, reply.status.as_u16(), pointer, rule, &format!("{path} {body}"));
    }
    let step = festival.step(id, "gone").await;
    check(&step.body, step.status.as_u16(), "/to", "wrong_type", "an unknown status");
    for (body, content_type, status, code) in [
        ("{", "application/json", 400, "malformed_json"),
        ("\u{fffd}\u{0}", "application/json", 400, "malformed_json"),
        ("[]", "application/json", 422, "invalid_body"),
        ("{}", "text/plain", 415, "unsupported_media_type"),
    ] {
        let request = authorized(festival.api.request(reqwest::Method::POST, "/api/v1/events"), organizer);
        let reply = send(request.header("content-type", content_type).body(body)).await;
        reply.refused(status, code);
    }
    for header in ["", "x".repeat(65).as_str()] {
        let request = authorized(festival.api.request(reqwest::Method::POST, "/api/v1/events"), organizer);
        send(request.header("x-mutation-id", header).json(&elsewhere)).await.refused(400, "invalid_header");
    }

    assert_eq!(festival.told().await, [] as [&str; 0]);
    assert_eq!(festival.api.get(&path, None).await.body["data"], before);
    let all = store::events::list(&festival.api.store, &EventFilter::default(), None, 10).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(store::venues::list(&festival.api.store, None, 10).await.unwrap().len(), 2);
}

/// 422, and the first fault is this one.
fn check(body: &Value, status: u16, pointer: &str, rule: &str, what: &str) {
    let found = (status, body["errors"][0]["pointer"].as_str(), body["errors"][0]["code"].as_str());
    assert_eq!(found, (422, Some(pointer), Some(rule)), "{what}: {body:#}");
}

async fn every_bad_query_gets_its_error(engine: Engine) {
    let festival = Festival::start(engine).await;
    for (path, status, code) in [
        ("/api/v1/events?limit=0", 400, "invalid_query"),
        ("/api/v1/events?limit=201", 400, "invalid_query"),
        ("/api/v1/events?limit=x", 400, "invalid_query"),
        ("/api/v1/events?cursor=x", 400, "invalid_cursor"),
        ("/api/v1/events?status=over", 400, "invalid_query"),
        ("/api/v1/events?status=", 400, "invalid_query"),
        ("/api/v1/events?day=2026-02-30", 400, "invalid_query"),
        ("/api/v1/events?day=today", 400, "invalid_query"),
        ("/api/v1/events?day=0001-01-01", 400, "invalid_query"),
        ("/api/v1/events?from=now", 400, "invalid_query"),
        ("/api/v1/events?venue=main", 400, "invalid_query"),
        ("/api/v1/events?q=", 400, "invalid_query"),
        ("/api/v1/events?q=%00", 400, "invalid_query"),
        ("/api/v1/events?colour=red", 400, "invalid_query"),
        ("/api/v1/events?expand=all", 400, "invalid_query"),
        ("/api/v1/events/first", 400, "invalid_path"),
        ("/api/v1/events/99999999999999999999", 400, "invalid_path"),
        ("/api/v1/events/-1", 404, "not_found"),
        ("/api/v1/venues?after=1", 400, "invalid_query"),
        ("/api/v1/venues/0", 404, "not_found"),
        ("/api/v1/schedule?day=x", 400, "invalid_query"),
        ("/api/v1/schedule?tz=Mars/Base", 400, "invalid_query"),
        ("/api/v1/schedule/today?at=x", 400, "invalid_query"),
        ("/api/v1/schedule/today?at=2026-04-24T00:30", 400, "invalid_query"),
        ("/api/v1/schedule/venue/x", 400, "invalid_path"),
    ] {
        let reply = festival.api.get(path, None).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (status, code), "{path}: {:#}", reply.body);
    }
}
