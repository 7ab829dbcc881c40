//! Alerts: the second person, drills, updates, recalls, the CAP document and the coverage board.

use std::time::Duration;

use domain::{Audience, ChangeKind, Lane, MessageType, Role};
use reqwest::Method;
use serde_json::{Value, json};
use store::Engine;

use crate::support::{TestApi, authorized, both_engines};

both_engines!(
    an_emergency_waits_for_a_second_person,
    a_drill_is_told_to_the_staff_and_marked,
    an_update_refers_to_what_is_public,
    a_recall_tells_whom_it_may_have_reached_and_what_it_cannot_do,
    the_board_is_shown_before_anybody_is_planned,
);

fn form(more: &Value) -> Value {
    let mut form = json!({ "title": { "en": "Storm & hail", "ar": "عاصفة" }, "body": { "en": "Go to <hall B>" },
        "lane": "emergency", "audience": { "kind": "everyone" }, "ttl_seconds": 600 });
    form.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    form
}

async fn changes(api: &TestApi) -> Vec<ChangeKind> {
    let waiting = store::outbox::read(&api.store, 100).await.unwrap();
    waiting.into_iter().map(|one| one.change.kind).collect()
}

async fn an_emergency_waits_for_a_second_person(engine: Engine) {
    let api = TestApi::with(engine, |config| {
        config.announcements.second_person_lanes = vec![Lane::Emergency];
        config.announcements.confirm_secs_max = 60;
    })
    .await;
    let first = api.token_of("first", &[Role::Organizer]).await;
    let second = api.token_of("second", &[Role::Admin]).await;
    let made = api.post("/api/v1/announcements", Some(&first), &form(&json!({}))).await;
    let made = made.data(202);
    assert_eq!(
        (&made["phase"], &made["confirm_before"]),
        (&json!("awaits_confirmation"), &json!("2026-07-15T12:01:00Z"))
    );
    assert!(
        matches!(changes(&api).await[..], [ChangeKind::AnnouncementAwaits { .. }]),
        "only the staff hears"
    );
    let confirm = format!("/api/v1/announcements/{}/confirm", made["id"]);
    api.post(&confirm, Some(&first), &Value::Null).await.refused(403, "second_person_required");
    let confirmed = api.post(&confirm, Some(&second), &Value::Null).await;
    assert_eq!(confirmed.data(202)["phase"], "published");
    assert!(confirmed.data(202)["confirmed_by"].is_i64());
    let all = changes(&api).await;
    let [_, ChangeKind::Announcement(announced)] = &all[..] else { panic!("{all:?}") };
    assert_eq!(json!(announced.notification_id), made["notification_id"]);
    api.post(&confirm, Some(&second), &Value::Null).await.refused(409, "announcement_not_awaiting");

    let late =
        api.post("/api/v1/announcements", Some(&first), &form(&json!({}))).await.data(202)["id"].clone();
    api.clock.advance(Duration::from_secs(61));
    let path = format!("/api/v1/announcements/{late}");
    assert_eq!(api.get(&path, Some(&first)).await.data(200)["phase"], "unconfirmed");
    let confirm = format!("{path}/confirm");
    api.post(&confirm, Some(&second), &Value::Null).await.refused(409, "announcement_not_published");
    api.post(&format!("{path}/recall"), Some(&second), &json!({}))
        .await
        .refused(409, "announcement_not_published");
    let heard = changes(&api).await.len();
    api.post(&format!("{path}/cancel"), Some(&first), &Value::Null).await.data(200);
    assert_eq!(changes(&api).await.len(), heard, "nobody heard of it, nobody hears of its end");
    api.post("/api/v1/announcements/99/confirm", Some(&second), &Value::Null).await.refused(404, "not_found");
}

async fn a_drill_is_told_to_the_staff_and_marked(engine: Engine) {
    let api = TestApi::with(engine, |config| {
        config.announcements.second_person_lanes = vec![Lane::Emergency];
    })
    .await;
    let token = api.token_of("organizer", &[Role::Organizer]).await;
    let made = api.post("/api/v1/announcements", Some(&token), &form(&json!({ "drill": true }))).await;
    assert_eq!(made.data(202)["phase"], "published", "a drill needs nobody else");
    assert_eq!(made.data(202)["alert"]["drill"], true);
    let all = changes(&api).await;
    let [ChangeKind::Announcement(announced)] = &all[..] else { panic!("{all:?}") };
    assert_eq!(announced.audience, Audience::Staff);
    assert_eq!(announced.title.en.as_deref(), Some("[DRILL] Storm & hail"));
    assert_eq!(announced.title.ar.as_deref(), Some("[تدريب] عاصفة"));
    let change = &store::outbox::read(&api.store, 1).await.unwrap()[0].change;
    let topics: Vec<String> = change.topics().iter().map(ToString::to_string).collect();
    assert_eq!(topics, ["staff:announcements"]);
    let staff = store::audience::page(&api.store, &Audience::Staff, domain::UserId(0), 10).await.unwrap();
    api.user("amina", &[Role::Attendee]).await;
    api.user("steward", &[Role::Steward]).await;
    let with_steward =
        store::audience::page(&api.store, &Audience::Staff, domain::UserId(0), 10).await.unwrap();
    assert_eq!((staff.len(), with_steward.len()), (1, 2), "attendees are left out");
}

async fn an_update_refers_to_what_is_public(engine: Engine) {
    let api = TestApi::start(engine).await;
    let token = api.token_of("organizer", &[Role::Organizer]).await;
    let post = async |more: Value| api.post("/api/v1/announcements", Some(&token), &form(&more)).await;
    let first =
        post(json!({ "severity": "extreme", "category": "met", "instructions": { "en": "Walk" } })).await;
    let first = first.data(202).clone();
    assert_eq!(first["alert"]["severity"], "extreme");
    assert_eq!(first["alert"]["urgency"], "immediate", "what an emergency is unless it says otherwise");
    for (more, pointer) in [
        (json!({ "message_type": "update" }), "/references"),
        (json!({ "references": first["id"] }), "/references"),
        (json!({ "message_type": "update", "references": 99 }), "/references"),
        (json!({ "message_type": "recall", "references": first["id"] }), "/message_type"),
        (json!({ "venue_ids": [77] }), "/venue_ids/0"),
        (json!({ "instructions": {} }), "/instructions"),
    ] {
        let refused = post(more.clone()).await;
        refused.refused(422, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{more}");
    }
    post(json!({ "severity": "terrible" })).await.refused(422, "invalid_body");
    let clear = post(json!({ "message_type": "all_clear", "references": first["id"] })).await;
    let clear = clear.data(202).clone();
    let all = changes(&api).await;
    let [_, ChangeKind::Announcement(cleared)] = &all[..] else { panic!("{all:?}") };
    assert_eq!(json!(cleared.thread_id), first["notification_id"], "it takes the place of the first");
    assert_eq!(json!(cleared.replaces), first["notification_id"]);
    let cap =
        authorized(api.request(Method::GET, &format!("/api/v1/announcements/{}", clear["id"])), Some(&token));
    let cap = cap.header("accept", "application/cap+xml").send().await.unwrap();
    assert_eq!(cap.headers()["content-type"], "application/cap+xml");
    let cap = cap.text().await.unwrap();
    for part in [
        "<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">",
        "<sent>2026-07-15T12:00:00-00:00</sent>",
        "<msgType>Cancel</msgType>",
        &format!(
            "<references>munadi,{},2026-07-15T12:00:00-00:00</references>",
            first["notification_id"].as_str().unwrap()
        ),
        "<language>ar</language>",
        "<headline>Storm &amp; hail</headline>",
        "<description>Go to &lt;hall B&gt;</description>",
        "<responseType>AllClear</responseType>",
    ] {
        assert!(cap.contains(part), "{part} is not in\n{cap}");
    }
    api.post(&format!("/api/v1/announcements/{}/cancel", first["id"]), Some(&token), &Value::Null)
        .await
        .data(200);
    let refused = post(json!({ "message_type": "update", "references": first["id"] })).await;
    assert_eq!(refused.body["errors"][0]["code"], "not_public");
}

async fn a_recall_tells_whom_it_may_have_reached_and_what_it_cannot_do(engine: Engine) {
    let api = TestApi::start(engine).await;
    let organizer = api.user("organizer", &[Role::Organizer]).await;
    let token = api.token(organizer, &[Role::Organizer]);
    let made = api.post("/api/v1/announcements", Some(&token), &form(&json!({}))).await.data(202).clone();
    crate::announcements::plan(&api, &made, organizer).await;
    let path = format!("/api/v1/announcements/{}/recall", made["id"]);
    let bad = api.post(&path, Some(&token), &json!({ "title": { "en": "Sorry" } })).await;
    bad.refused(422, "validation_failed");
    assert_eq!(bad.body["errors"][0]["pointer"], "/body");
    let recall = api.post(&path, Some(&token), &json!({})).await;
    let view = recall.data(202);
    assert_eq!(
        (&view["withdrawn"], &view["mails_not_recallable"], &view["replaced"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert_eq!(view["recall"]["title"]["en"], "Recalled: Storm & hail");
    assert_eq!(view["recall"]["alert"]["message_type"], "recall");
    let all = changes(&api).await;
    let [_, ChangeKind::AnnouncementCancelled { .. }, ChangeKind::Announcement(told)] = &all[..] else {
        panic!("{all:?}")
    };
    assert_eq!(json!(told.thread_id), made["notification_id"]);
    let Audience::Reached { notification_id } = told.audience else { panic!("{told:?}") };
    assert_eq!(json!(notification_id), made["notification_id"]);
    assert_eq!(told.alert.as_ref().unwrap().message_type, MessageType::Recall);
    api.post(&path, Some(&token), &json!({})).await.refused(409, "announcement_cancelled");
}

async fn the_board_is_shown_before_anybody_is_planned(engine: Engine) {
    let api = TestApi::start(engine).await;
    let organizer = api.user("organizer", &[Role::Organizer]).await;
    let token = api.token(organizer, &[Role::Organizer]);
    let made = api.post("/api/v1/announcements", Some(&token), &form(&json!({}))).await.data(202).clone();
    let path = format!("/api/v1/announcements/{}/coverage", made["id"]);
    let empty = api.get(&path, Some(&token)).await;
    assert_eq!((&empty.data(200)["planned"], &empty.data(200)["audience"]), (&json!(false), &json!(0)));
    let delivery = crate::announcements::plan(&api, &made, organizer).await;
    let open = api.get(&path, Some(&token)).await;
    assert_eq!(open.data(200)["people"], json!({ "open": 1 }));
    let receipt =
        json!({ "delivery_id": delivery, "code": api.receipt_key.code(delivery), "state": "opened" });
    api.post("/api/v1/receipts", None, &json!({ "receipts": [receipt] })).await.data(200);
    let board = api.get(&path, Some(&token)).await;
    let board = board.data(200);
    assert_eq!(board["people"], json!({ "proven": 1 }));
    assert_eq!(board["proven_within"], json!({ "5": 1, "30": 1, "60": 1, "300": 1 }));
    assert_eq!(board["by_language"], json!({ "en": { "proven": 1 } }));
    assert_eq!(board["by_venue"], json!([{ "venue_id": null, "people": { "proven": 1 } }]));
    let attendee = api.token_of("amina", &[Role::Attendee]).await;
    api.get(&path, Some(&attendee)).await.refused(403, "forbidden");
    api.get("/api/v1/announcements/99/coverage", Some(&token)).await.refused(404, "not_found");
}
