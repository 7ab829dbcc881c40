//! The life of an event: made, found, changed, moved, cancelled, and what is told of it.

use reqwest::Method;
use serde_json::{Value, json};
use store::Engine;

use crate::festival::Festival;
use crate::support::{both_engines, send};

both_engines!(
    an_event_is_shown_as_promised,
    every_change_is_told_to_its_topics,
    a_draft_is_for_organizers_only,
    a_write_needs_the_version_it_has_seen,
    a_renamed_venue_is_not_served_from_a_cache,
    conflicts_are_named_and_can_be_overridden_or_tried,
    only_one_of_many_writers_gets_a_slot,
    a_performer_is_booked_once_by_many_writers,
    illegal_steps_name_the_legal_ones,
    a_repeated_request_makes_one_event,
    lists_are_filtered_and_paged_while_others_write,
    a_star_is_given_and_taken,
    what_is_referred_to_cannot_go,
    a_taken_slug_is_refused,
);

async fn an_event_is_shown_as_promised(engine: Engine) {
    let festival = Festival::start(engine).await;
    let mut body = festival.event("23:00", "23:59");
    body["category_id"] = festival.category.into();
    body["performer_ids"] = json!([festival.performer]);
    body["capacity"] = 400.into();
    let reply = festival.make(&body).await;
    let id = reply.data(201)["id"].as_i64().unwrap();
    assert_eq!(reply.header("location"), format!("/api/v1/events/{id}"));

    let path = format!("/api/v1/events/{id}");
    let event = festival.api.get(&path, None).await;
    let expected = json!({
        "id": id, "title": "Concert", "description": "", "status": "published", "language": "", "capacity": 400,
        "start_time": "2026-07-15T20:00:00Z", "end_time": "2026-07-15T20:59:00Z", "timezone": "Africa/Cairo",
        "start_local": "2026-07-15T23:00:00+03:00", "end_local": "2026-07-15T23:59:00+03:00",
        "venue": {"id": festival.main, "name": "Main stage", "capacity": 500},
        "category": {"id": festival.category, "slug": "concert", "name": "Concert", "color": null},
        "performers": [{"id": festival.performer, "name": "Cairokee"}], "version": 1,
        "created_at": "2026-07-15T12:00:00Z", "updated_at": "2026-07-15T12:00:00Z",
    });
    let mut shown = event.data(200).clone();
    assert!(shown.as_object_mut().unwrap().remove("guid").unwrap().as_str().unwrap().len() == 36);
    assert_eq!(shown, expected);

    let arabic = festival.api.request(Method::GET, &path).header("accept-language", "ar");
    let arabic = send(arabic).await;
    assert_eq!(arabic.data(200)["title"], "حفل");
    assert_eq!(arabic.data(200)["venue"]["name"], "المسرح الرئيسي");
    assert_ne!(arabic.header("etag"), event.header("etag"));
    let every = festival.api.get(&format!("{path}?expand=i18n"), None).await;
    assert_eq!(every.data(200)["title"], json!({"ar": "حفل", "en": "Concert"}));
}

async fn every_change_is_told_to_its_topics(engine: Engine) {
    let festival = Festival::start(engine).await;
    let (main, beach) = (festival.main, festival.beach);
    let draft = json!({"title": "Rehearsal", "venue_id": main, "start_time": "2026-07-16T10:00",
        "end_time": "2026-07-16T11:00"});
    let (draft_id, etag) = festival.made(&draft).await;
    assert_eq!(festival.told().await, ["event.created: staff:programme"]);
    festival
        .api
        .delete(&format!("/api/v1/events/{draft_id}"), Some(&festival.organizer), &etag)
        .await
        .data(200);
    assert_eq!(festival.told().await, ["event.deleted: staff:programme"]);

    let (id, etag) = festival.made(&festival.event("20:00", "21:00")).await;
    assert_eq!(festival.told().await, [format!("event.published: event:{id} venue:{main} festival")]);

    // moved, by a client that names its mutation
    let path = format!("/api/v1/events/{id}");
    let request = festival.api.request(Method::PUT, &path).bearer_auth(&festival.organizer);
    let request = request.header("if-match", &etag).header("x-mutation-id", "m-1");
    let mut body = festival.event("20:30", "21:30");
    body.as_object_mut().unwrap().remove("status");
    let moved = send(request.json(&body)).await;
    assert_eq!(moved.data(200)["version"], 2);
    let changes = festival.changes().await;
    let message = changes[0].message();
    assert_eq!((changes.len(), message["type"].as_str().unwrap()), (1, "event.moved"));
    assert_eq!(message["mutation"], "m-1");
    assert_eq!(message["previous"]["starts_at"], "2026-07-15T17:00:00Z");
    assert_eq!(message["event"]["starts_at"], "2026-07-15T17:30:00Z");

    body["venue_id"] = beach.into();
    let elsewhere = festival.replace(id, moved.header("etag"), &body).await;
    assert_eq!(elsewhere.data(200)["venue"]["id"], beach);
    let told = festival.told().await;
    assert_eq!(told, [format!("event.venue_changed: event:{id} venue:{beach} venue:{main} festival")]);

    // the same again is no change
    let same = festival.replace(id, elsewhere.header("etag"), &body).await;
    assert_eq!(same.data(200)["version"], 3);
    assert_eq!(festival.told().await, [] as [&str; 0]);

    for (to, kind) in [("live", "status"), ("postponed", "postponed"), ("cancelled", "cancelled")] {
        assert_eq!(festival.step(id, to).await.data(200)["status"], to);
        assert_eq!(festival.told().await, [format!("event.{kind}: event:{id} venue:{beach} festival")]);
    }
    let venue = festival.api.get(&format!("/api/v1/venues/{beach}"), None).await;
    let renamed = json!({"name": "North beach"});
    let path = format!("/api/v1/venues/{beach}");
    festival.api.put(&path, Some(&festival.organizer), venue.header("etag"), &renamed).await.data(200);
    assert_eq!(festival.told().await, [format!("venue.changed: venue:{beach} festival")]);
}

async fn a_draft_is_for_organizers_only(engine: Engine) {
    let festival = Festival::start(engine).await;
    let mut body = festival.event("20:00", "21:00");
    body["status"] = "draft".into();
    let (id, _) = festival.made(&body).await;
    let path = format!("/api/v1/events/{id}");
    for nobody in [None, Some(festival.attendee.as_str())] {
        festival.api.get(&path, nobody).await.refused(404, "not_found");
        assert_eq!(festival.api.get("/api/v1/events", nobody).await.data(200), &json!([]));
        festival.api.get("/api/v1/events?status=draft", nobody).await.refused(400, "invalid_query");
    }
    let star = festival.api.request(Method::PUT, &format!("{path}/star")).bearer_auth(&festival.attendee);
    send(star).await.refused(404, "not_found");
    let organizer = Some(festival.organizer.as_str());
    assert_eq!(festival.api.get(&path, organizer).await.data(200)["status"], "draft");
    assert_eq!(
        festival.api.get("/api/v1/events?status=draft", organizer).await.data(200).as_array().unwrap().len(),
        1
    );
    festival.api.post("/api/v1/events", Some(&festival.attendee), &body).await.refused(403, "forbidden");
    festival.api.post("/api/v1/events", None, &body).await.refused(401, "token_missing");
}

async fn a_write_needs_the_version_it_has_seen(engine: Engine) {
    let festival = Festival::start(engine).await;
    let (id, etag) = festival.made(&festival.event("20:00", "21:00")).await;
    let path = format!("/api/v1/events/{id}");
    let mut body = festival.event("20:00", "21:30");
    body.as_object_mut().unwrap().remove("status");
    let blind = festival.api.request(Method::PUT, &path).bearer_auth(&festival.organizer);
    send(blind.json(&body)).await.refused(428, "precondition_required");
    let nonsense = festival.replace(id, "event-1", &body).await;
    nonsense.refused(400, "invalid_header");

    let weak = format!("W/{etag}"); // as a compressing proxy hands it on
    let changed = festival.replace(id, &weak, &body).await;
    assert_eq!(changed.data(200)["version"], 2);
    let stale = festival.replace(id, &etag, &body).await;
    stale.refused(412, "precondition_failed");
    assert_eq!(stale.body["data"]["version"], 2);
    assert_eq!(stale.header("etag"), changed.header("etag"));
    festival.api.delete(&path, Some(&festival.organizer), &etag).await.refused(412, "precondition_failed");
    body["start_time"] = "2026-07-15T20:10".into();
    assert_eq!(festival.replace(id, "*", &body).await.data(200)["version"], 3);
    festival.replace(404, "*", &body).await.refused(404, "not_found");
}

async fn a_renamed_venue_is_not_served_from_a_cache(engine: Engine) {
    let festival = Festival::start(engine).await;
    let (id, _) = festival.made(&festival.event("20:00", "21:00")).await;
    let path = format!("/api/v1/events/{id}");
    let etag = festival.api.get(&path, None).await.header("etag").to_owned();
    let again = async || {
        send(festival.api.request(Method::GET, &path).header("if-none-match", &etag)).await.status.as_u16()
    };
    assert_eq!(again().await, 304);
    let venue = format!("/api/v1/venues/{}", festival.main);
    let renamed = json!({"name": "Great stage", "capacity": 500});
    festival.api.put(&venue, Some(&festival.organizer), "*", &renamed).await.data(200);
    assert_eq!(again().await, 200);
    let mut body = festival.event("20:00", "21:10");
    body.as_object_mut().unwrap().remove("status");
    festival.replace(id, &etag, &body).await.data(200); // the event itself is the same version
}

async fn conflicts_are_named_and_can_be_overridden_or_tried(engine: Engine) {
    let festival = Festival::start(engine).await;
    let mut first = festival.event("20:00", "21:00");
    first["performer_ids"] = json!([festival.performer]);
    let (first_id, _) = festival.made(&first).await;
    festival.changes().await;

    let overlapping = festival.event("20:30", "21:30");
    let refused = festival.make(&overlapping).await;
    refused.refused(409, "schedule_conflict");
    assert_eq!(
        refused.body["data"]["conflicts"],
        json!([{"rule": "venue_overlap", "severity": "error", "event_id": null, "other_id": first_id,
            "venue_id": festival.main, "performer_id": null, "minutes": 30}])
    );
    let tried =
        festival.api.post("/api/v1/events?dry_run=true", Some(&festival.organizer), &overlapping).await;
    assert_eq!(tried.data(200)["allowed"], false);
    assert_eq!(tried.data(200)["conflicts"][0]["other_id"], first_id);

    let mut elsewhere = festival.event("20:30", "21:30");
    elsewhere["venue_id"] = festival.beach.into();
    elsewhere["performer_ids"] = json!([festival.performer]);
    let refused = festival.make(&elsewhere).await;
    refused.refused(409, "schedule_conflict");
    assert_eq!(refused.body["data"]["conflicts"][0]["rule"], "performer_double_booking");
    assert_eq!(refused.body["data"]["conflicts"][0]["performer_id"], festival.performer);

    let mut crowded = festival.event("12:00", "13:00");
    crowded["capacity"] = 501.into();
    let refused = festival.make(&crowded).await;
    assert_eq!(refused.body["data"]["conflicts"][0]["rule"], "capacity_above_venue");
    assert_eq!(festival.told().await, [] as [&str; 0], "nothing was written so far");

    let close = festival.make(&festival.event("21:05", "21:30")).await;
    assert_eq!(close.data(201)["conflicts"][0]["rule"], "turnaround_too_short");
    assert_eq!(close.data(201)["conflicts"][0]["severity"], "warning");

    let mut draft = overlapping.clone();
    draft["status"] = "draft".into();
    let draft = festival.make(&draft).await;
    let draft_id = draft.data(201)["id"].as_i64().unwrap();
    assert_eq!(draft.data(201)["conflicts"][0]["severity"], "warning");
    festival.step(draft_id, "published").await.refused(409, "schedule_conflict");
    let path = format!("/api/v1/events/{draft_id}/transitions");
    let forced = json!({"to": "published", "override_reason": "both play together"});
    let forced = festival.api.post(&path, Some(&festival.organizer), &forced).await;
    assert_eq!(forced.data(200)["conflicts"][0]["minutes"], 30);
    // what was accepted once does not hold up its own life
    assert_eq!(festival.step(draft_id, "live").await.data(200)["status"], "live");

    // a cancelled show frees its slot
    festival.step(draft_id, "cancelled").await.data(200);
    festival.step(first_id, "cancelled").await.data(200);
    festival.make(&festival.event("20:00", "20:40")).await.data(201);
}

async fn only_one_of_many_writers_gets_a_slot(engine: Engine) {
    let festival = Festival::start(engine).await;
    let bodies: Vec<_> = (0..8).map(|n| festival.event(&format!("20:0{n}"), "21:00")).collect();
    let replies = futures(bodies.iter().map(|body| festival.make(body))).await;
    let made = replies.iter().filter(|reply| reply.status.as_u16() == 201).count();
    let refused = replies.iter().filter(|reply| reply.code() == "schedule_conflict").count();
    assert_eq!((made, refused), (1, 7));
    assert_eq!(festival.changes().await.len(), 1);
}

async fn a_performer_is_booked_once_by_many_writers(engine: Engine) {
    let festival = Festival::start(engine).await;
    let body = |venue: i64| {
        let mut body = festival.event("20:00", "21:00");
        body["venue_id"] = venue.into();
        body["performer_ids"] = json!([festival.performer]);
        body
    };
    let bodies = [body(festival.main), body(festival.beach)];
    let replies = futures(bodies.iter().map(|body| festival.make(body))).await;
    let made = replies.iter().filter(|reply| reply.status.as_u16() == 201).count();
    assert_eq!(made, 1);
}

/// Runs requests at the same time.
async fn futures<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(futures).await
}

async fn illegal_steps_name_the_legal_ones(engine: Engine) {
    let festival = Festival::start(engine).await;
    let (id, etag) = festival.made(&festival.event("20:00", "21:00")).await;
    let refused = festival.step(id, "completed").await;
    refused.refused(409, "illegal_transition");
    assert_eq!(refused.body["data"]["allowed"], json!(["live", "postponed", "cancelled", "draft"]));
    assert!(refused.body["detail"].as_str().unwrap().contains("cannot become completed"));
    let path = format!("/api/v1/events/{id}");
    let refused = festival.api.delete(&path, Some(&festival.organizer), &etag).await;
    refused.refused(409, "event_not_draft");
    assert_eq!(refused.body["data"]["suggestion"], "cancelled");
    festival.step(id, "live").await.data(200);
    festival.step(id, "completed").await.data(200);
    let refused = festival.step(id, "live").await;
    assert_eq!(refused.body["data"]["allowed"], json!([]));
    festival.step(404, "live").await.refused(404, "not_found");
}

async fn a_repeated_request_makes_one_event(engine: Engine) {
    let festival = Festival::start(engine).await;
    let body = festival.event("20:00", "21:00");
    let request = || {
        let request = festival.api.request(Method::POST, "/api/v1/events").bearer_auth(&festival.organizer);
        send(request.header("idempotency-key", "\"k1\"").json(&body))
    };
    let (first, second) = (request().await, request().await);
    assert_eq!(first.data(201), second.data(201));
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(festival.changes().await.len(), 1);
}

async fn lists_are_filtered_and_paged_while_others_write(engine: Engine) {
    let festival = Festival::start(engine).await;
    let mut ids = Vec::new();
    for hour in 10..20 {
        let mut body = festival.event(&format!("{hour}:00"), &format!("{hour}:30"));
        body["venue_id"] = if hour % 2 == 0 { festival.main } else { festival.beach }.into();
        ids.push(festival.made(&body).await.0);
    }
    let page = async |query: &str| festival.api.get(&format!("/api/v1/events?{query}"), None).await;
    let first = page("limit=4").await;
    assert_eq!(first.body["meta"]["has_more"], true);
    let mut seen: Vec<i64> = Vec::new();
    let mut next = first;
    loop {
        let items = next.data(200).as_array().unwrap();
        seen.extend(items.iter().map(|event| event["id"].as_i64().unwrap()));
        let Some(cursor) = next.body["meta"]["next_cursor"].as_str() else { break };
        let late = festival.event(&format!("08:{:02}", seen.len()), "09:59"); // before all of them
        let mut late = late;
        late["override_reason"] = "a test".into();
        festival.made(&late).await;
        next = page(&format!("limit=4&cursor={cursor}")).await;
    }
    assert_eq!(seen, ids);
    let cursor = page("limit=1").await.body["meta"]["next_cursor"].as_str().unwrap().to_owned();
    let other = format!("limit=1&venue={}&cursor={cursor}", festival.beach);
    page(&other).await.refused(400, "invalid_cursor");

    let count = async |query: &str| page(query).await.data(200).as_array().unwrap().len();
    assert_eq!(count(&format!("venue={}", festival.beach)).await, 5);
    assert_eq!(count("status=live,cancelled").await, 0);
    assert_eq!(count("day=2026-07-15&status=published&limit=200").await, 12);
    assert_eq!(count("day=2026-07-14").await, 0);
    assert_eq!(count("from=2026-07-15T18:00&to=2026-07-15T19:00").await, 1);
    assert_eq!(count("q=conc&from=2026-07-15T10:00").await, 10);
    assert_eq!(count(&format!("category={}", festival.category)).await, 0);
    assert_eq!(count(&format!("performer={}", festival.performer)).await, 0);
}

async fn a_star_is_given_and_taken(engine: Engine) {
    let festival = Festival::start(engine).await;
    let (id, _) = festival.made(&festival.event("20:00", "21:00")).await;
    let path = format!("/api/v1/events/{id}/star");
    let star = async |method: Method, token: &str| -> Value {
        send(festival.api.request(method, &path).bearer_auth(token)).await.data(200)["starred"].clone()
    };
    let starred = async || {
        let list = festival.api.get("/api/v1/events?starred=true", Some(&festival.attendee)).await;
        list.data(200).as_array().unwrap().len()
    };
    assert_eq!(starred().await, 0);
    for _ in 0..2 {
        assert_eq!(star(Method::PUT, &festival.attendee).await, true);
        assert_eq!(starred().await, 1);
    }
    for _ in 0..2 {
        assert_eq!(star(Method::DELETE, &festival.attendee).await, false);
        assert_eq!(starred().await, 0);
    }
    festival.api.get("/api/v1/events?starred=true", None).await.refused(400, "invalid_query");
    send(festival.api.request(Method::PUT, &path)).await.refused(401, "token_missing");
}

async fn what_is_referred_to_cannot_go(engine: Engine) {
    let festival = Festival::start(engine).await;
    let mut body = festival.event("20:00", "21:00");
    body["category_id"] = festival.category.into();
    body["performer_ids"] = json!([festival.performer]);
    body["status"] = "draft".into();
    let (id, etag) = festival.made(&body).await;
    let paths = [
        format!("/api/v1/venues/{}", festival.main),
        format!("/api/v1/categories/{}", festival.category),
        format!("/api/v1/performers/{}", festival.performer),
    ];
    let organizer = Some(festival.organizer.as_str());
    for path in &paths {
        let refused = festival.api.delete(path, organizer, "*").await;
        refused.refused(409, "in_use");
        assert_eq!(refused.body["data"]["events"], json!([id]));
        festival.api.delete(path, Some(&festival.attendee), "*").await.refused(403, "forbidden");
        festival.api.delete(path, organizer, "\"x-1-9\"").await.refused(412, "precondition_failed");
    }
    festival.api.delete(&format!("/api/v1/events/{id}"), organizer, &etag).await.data(200);
    festival.changes().await;
    for path in &paths {
        festival.api.delete(path, organizer, "*").await.data(200);
        festival.api.delete(path, organizer, "*").await.refused(404, "not_found");
        festival.api.get(path, None).await.refused(404, "not_found");
    }
    assert_eq!(festival.told().await, [format!("venue.deleted: venue:{} festival", festival.main)]);
}

async fn a_taken_slug_is_refused(engine: Engine) {
    let festival = Festival::start(engine).await;
    let organizer = Some(festival.organizer.as_str());
    let body = json!({"slug": "concert", "name": "Another"});
    festival.api.post("/api/v1/categories", organizer, &body).await.refused(409, "slug_taken");
    let other = json!({"slug": "talk", "name": "Talk", "color": "#00ff00"});
    let other = festival.api.post("/api/v1/categories", organizer, &other).await;
    let path = other.header("location").to_owned();
    festival.api.put(&path, organizer, "*", &body).await.refused(409, "slug_taken");
    assert_eq!(festival.api.get(&path, None).await.data(200)["slug"], "talk");
}
