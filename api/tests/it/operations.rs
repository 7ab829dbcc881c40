//! Schedules, dead letters and paused lanes.

use std::time::Duration;

use domain::{
    Action, Audience, Channel, DeliveryId, Lane, Language, LocalizedText, NotificationId, NotificationKind,
    Role, UserId,
};
use serde_json::{Value, json};
use store::Engine;
use store::deliveries::{self, Begin, NewDelivery, Settled, Settlement};
use store::notifications::{self, Notification};
use store::preferences::{self, Kept};
use store::recipients::NewRecipient;
use uuid::Uuid;

use crate::support::{TestApi, both_engines};

both_engines!(
    schedules_are_planned_in_local_time_and_stopped,
    dead_letters_are_grouped_and_redriven_by_who_may,
    lanes_are_paused_and_resumed_with_a_reason_on_record,
);

fn form() -> Value {
    json!({ "title": "Gates", "body": { "ar": "فُتحت الأبواب" }, "lane": "standard", "audience": { "kind": "everyone" },
        "ttl_seconds": 600, "at": "2026-07-18T18:00:00", "recurrence": "FREQ=DAILY;UNTIL=20260720T200000Z" })
}

async fn schedules_are_planned_in_local_time_and_stopped(engine: Engine) {
    let api = TestApi::start(engine).await;
    let token = api.token_of("organizer", &[Role::Organizer]).await;
    let made = api.post("/api/v1/schedules", Some(&token), &form()).await;
    assert_eq!(made.data(201)["next_at"], "2026-07-18T15:00:00Z", "18:00 in Cairo");
    assert_eq!(made.data(201)["recurrence"], "FREQ=DAILY;INTERVAL=1;UNTIL=20260720T200000Z");
    let path = format!("/api/v1/schedules/{}", made.data(201)["id"]);
    assert_eq!(api.get(&path, Some(&token)).await.data(200), made.data(201));
    assert_eq!(api.get("/api/v1/schedules", Some(&token)).await.data(200), &json!([made.data(201)]));
    for _ in 0..2 {
        let stopped = api.post(&format!("{path}/cancel"), Some(&token), &Value::Null).await;
        assert_eq!(stopped.data(200)["next_at"], Value::Null);
        assert_eq!(stopped.data(200)["cancelled_at"], "2026-07-15T12:00:00Z");
    }
    let wrong = [
        ("lane", json!("emergency"), "/lane", "lane"),
        ("ttl_seconds", json!(0), "/ttl_seconds", "out_of_range"),
        ("at", json!("2026-07-15T14:59:00"), "/at", "out_of_range"),
        ("at", json!("soon"), "/at", "malformed"),
        ("time_zone", json!("Mars/Base"), "/time_zone", "unknown"),
        ("recurrence", json!("FREQ=HOURLY;UNTIL=20260720T200000Z"), "/recurrence", "malformed"),
        ("recurrence", json!("FREQ=DAILY;UNTIL=20260717T200000Z"), "/recurrence", "malformed"),
    ];
    for (field, value, pointer, code) in wrong {
        let mut body = form();
        body[field] = value;
        let refused = api.post("/api/v1/schedules", Some(&token), &body).await;
        refused.refused(422, "validation_failed");
        let first = &refused.body["errors"][0];
        assert_eq!(
            (&first["pointer"], &first["code"]),
            (&json!(pointer), &json!(code)),
            "{:#}",
            refused.body
        );
    }
    // on 24 April 2026 there is no midnight in Cairo
    let skipped = json!({ "title": "x", "body": "x", "lane": "standard", "audience": { "kind": "everyone" },
        "ttl_seconds": 600, "at": "2027-04-30T00:30:00" });
    let refused = api.post("/api/v1/schedules", Some(&token), &skipped).await;
    refused.refused(422, "validation_failed");
    let attendee = api.token_of("amina", &[Role::Attendee]).await;
    api.post("/api/v1/schedules", Some(&attendee), &form()).await.refused(403, "forbidden");
}

/// A notification with a delivery to each of `users` that ended as `settled`.
async fn dead(api: &TestApi, users: &[UserId], settled: Settled, reason: &str) -> NotificationId {
    let now = api.clock_now();
    let id = NotificationId(Uuid::new_v5(&Uuid::nil(), reason.as_bytes()));
    let about = Notification {
        id,
        kind: NotificationKind::Announcement,
        lane: Lane::Standard,
        title: LocalizedText::english("Storm"),
        body: LocalizedText::english("Go in"),
        data: Value::Null,
        audience: Audience::Everyone,
        event_id: None,
        announcement_id: None,
        thread_id: id,
        created_at: now,
        expires_at: now + Duration::from_hours(1),
    };
    let ids: Vec<DeliveryId> =
        users.iter().map(|user| DeliveryId::of(about.id, *user, Channel::Email, "x")).collect();
    let mut tx = api.store.begin().await.unwrap();
    notifications::insert(&mut tx, &about).await.unwrap();
    let planned: Vec<NewDelivery> = users
        .iter()
        .zip(&ids)
        .map(|(user, id)| NewDelivery {
            id: *id,
            notification_id: about.id,
            user_id: *user,
            channel: Channel::Email,
            device_id: None,
            target: "x".to_owned(),
            lane: about.lane,
            language: Language::Ar,
            suppressed: None,
            queued_at: now,
            due_at: now,
            expires_at: about.expires_at,
        })
        .collect();
    let people: Vec<NewRecipient> = users
        .iter()
        .map(|user| NewRecipient {
            notification_id: about.id,
            user_id: *user,
            language: Language::Ar,
            venue_id: None,
            notified_at: now,
        })
        .collect();
    deliveries::insert(&mut tx, &people, &planned).await.unwrap();
    let rules = Begin { ids: &ids, now, busy_until: now, resend_unknown: true, attempts_max: 3 };
    let begun = deliveries::begin(&mut tx, rules).await.unwrap();
    let settlements: Vec<Settlement> = begun
        .sending
        .iter()
        .map(|one| Settlement {
            id: one.id,
            attempt: one.attempt,
            fence: one.fence,
            settled,
            provider_id: None,
            status_code: None,
            reason: reason.to_owned(),
        })
        .collect();
    assert_eq!(settlements.len(), users.len());
    deliveries::settle(&mut tx, &settlements, now).await.unwrap();
    tx.commit().await.unwrap();
    about.id
}

async fn dead_letters_are_grouped_and_redriven_by_who_may(engine: Engine) {
    let api = TestApi::start(engine).await;
    let admin = api.token_of("admin", &[Role::Admin]).await;
    let organizer = api.token_of("organizer", &[Role::Organizer]).await;
    let mut users = Vec::new();
    for name in ["amina", "basel", "carim"] {
        users.push(api.user(name, &[Role::Attendee]).await);
    }
    let stalled = dead(&api, &users, Settled::Dead(Action::Retry), "timeout").await;
    dead(&api, &users[..1], Settled::Failed(Action::FixMessage), "bad_message").await;
    let choices = serde_json::from_str(r#"{"announcements":{"email":false}}"#).unwrap();
    let mut tx = api.store.begin().await.unwrap();
    let kept = Kept { choices, ..Kept::default() };
    preferences::keep(&mut tx, users[2], &kept, api.clock_now()).await.unwrap();
    tx.commit().await.unwrap();

    let groups = api.get("/api/v1/deliveries/dead", Some(&organizer)).await;
    let told: Vec<_> =
        groups.data(200).as_array().unwrap().iter().map(|one| (&one["cause"], &one["deliveries"])).collect();
    assert_eq!(told, [(&json!("timeout"), &json!(3)), (&json!("bad_message"), &json!(1))]);
    let one = api
        .get("/api/v1/deliveries/dead?cause=bad_message&channel=email&lane=standard", Some(&organizer))
        .await;
    assert_eq!(one.data(200)[0]["state"], "failed");
    api.get("/api/v1/deliveries/dead?channel=pigeon", Some(&organizer)).await.refused(400, "invalid_query");

    let redrive = async |dry_run: bool| {
        let body = json!({ "cause": "timeout", "dry_run": dry_run, "reason": "the relay was stalled" });
        api.post("/api/v1/deliveries/redrive", Some(&admin), &body).await.data(200).clone()
    };
    for (dry_run, redriven, found) in [(true, 2, 3), (false, 2, 3), (false, 0, 1)] {
        let done = redrive(dry_run).await;
        assert_eq!((&done["found"], &done["redriven"]), (&json!(found), &json!(redriven)), "{done}");
        assert_eq!(done["unwanted"], 1, "{done}");
    }
    let counts = notifications::counts(&api.store, stalled).await.unwrap();
    let told: Vec<_> = counts.iter().map(|one| (one.state.as_str(), one.deliveries)).collect();
    assert_eq!(told, [("dead", 1), ("waiting", 2)]);
    let body = json!({ "reason": "x" });
    api.post("/api/v1/deliveries/redrive", Some(&organizer), &body).await.refused(403, "forbidden");
    api.post("/api/v1/deliveries/redrive", Some(&admin), &json!({ "reason": "" }))
        .await
        .refused(422, "validation_failed");
    let lanes = api.get("/api/v1/lanes", Some(&organizer)).await;
    assert_eq!(lanes.data(200)["actions"].as_array().unwrap().len(), 1);
    assert_eq!(lanes.data(200)["actions"][0]["action"], "redriven");
}

async fn lanes_are_paused_and_resumed_with_a_reason_on_record(engine: Engine) {
    let api = TestApi::start(engine).await;
    let id = api.user("admin", &[Role::Admin]).await;
    let admin = api.token(id, &[Role::Admin]);
    let say = async |what: &str, reason: &str| {
        let path = format!("/api/v1/lanes/email/promotional/{what}");
        api.post(&path, Some(&admin), &json!({ "reason": reason })).await
    };
    assert_eq!(say("pause", "moving the relay").await.data(200)["held_by"], format!("user:{id}"));
    let lanes = api.get("/api/v1/lanes", Some(&admin)).await;
    assert_eq!(lanes.data(200)["paused"][0]["reason"], "moving the relay");
    say("resume", "it is moved").await.data(200);
    say("resume", "again").await.refused(404, "not_found");
    say("pause", "").await.refused(422, "validation_failed");
    api.post("/api/v1/lanes/pigeon/promotional/pause", Some(&admin), &json!({ "reason": "x" }))
        .await
        .refused(400, "invalid_path");
    let lanes = api.get("/api/v1/lanes", Some(&admin)).await;
    assert_eq!(lanes.data(200)["paused"], json!([]));
    let actions: Vec<_> =
        lanes.data(200)["actions"].as_array().unwrap().iter().map(|one| one["reason"].clone()).collect();
    assert_eq!(actions, [json!("it is moved"), json!("moving the relay")]);
}
