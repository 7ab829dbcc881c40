//! Announcements and the receipts of their deliveries.

use domain::{
    ChangeKind, Channel, DeliveryId, DeliveryState, Lane, Language, NotificationId, Role, Timestamp, UserId,
};
use serde_json::{Value, json};
use store::Engine;
use store::deliveries::NewDelivery;
use uuid::Uuid;

use crate::support::{TestApi, both_engines};

both_engines!(
    an_announcement_is_durable_with_its_change,
    a_cancelled_announcement_stays_cancelled,
    the_audience_has_to_exist,
    pages_hold_while_announcements_arrive,
    receipts_need_the_code_and_are_counted_once,
);

fn form(title: &str) -> Value {
    json!({ "title": { "en": title }, "body": { "en": "Go to hall B" }, "lane": "emergency",
        "audience": { "kind": "everyone" }, "ttl_seconds": 600 })
}

async fn an_announcement_is_durable_with_its_change(engine: Engine) {
    let api = TestApi::start(engine).await;
    let organizer = api.user("organizer", &[Role::Organizer]).await;
    let token = api.token(organizer, &[Role::Organizer]);
    let made = api.post("/api/v1/announcements", Some(&token), &form("Storm")).await;
    let made = made.data(202);
    assert_eq!(made["expires_at"], "2026-07-15T12:10:00Z");

    let waiting = store::outbox::read(&api.store, 10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    let change = &waiting[0].change;
    assert_eq!(change.actor, Some(organizer));
    let ChangeKind::Announcement(announced) = &change.kind else { panic!("{change:?}") };
    assert_eq!(json!(announced.announcement_id), made["id"]);
    assert_eq!(announced.notification_id, NotificationId::of(change.id));
    assert_eq!(json!(announced.notification_id), made["notification_id"]);

    let attendee = api.token_of("amina", &[Role::Attendee]).await;
    api.post("/api/v1/announcements", Some(&attendee), &form("x")).await.refused(403, "forbidden");
    let path = format!("/api/v1/announcements/{}", made["id"]);
    api.get(&path, Some(&attendee)).await.refused(403, "forbidden");
    let shown = api.get(&path, Some(&token)).await;
    assert_eq!(shown.data(200)["title"], json!({ "en": "Storm" }));
    assert_eq!(shown.data(200)["receipts"]["planned"], false);
    assert_eq!(store::outbox::read(&api.store, 10).await.unwrap().len(), 1);
}

async fn a_cancelled_announcement_stays_cancelled(engine: Engine) {
    let api = TestApi::start(engine).await;
    let token = api.token_of("organizer", &[Role::Organizer]).await;
    let made = api.post("/api/v1/announcements", Some(&token), &form("Storm")).await;
    let path = format!("/api/v1/announcements/{}/cancel", made.data(202)["id"]);
    let cancelled = api.post(&path, Some(&token), &Value::Null).await;
    assert_eq!(cancelled.data(200)["cancelled_at"], "2026-07-15T12:00:00Z");
    let again = api.post(&path, Some(&token), &Value::Null).await;
    again.refused(409, "announcement_cancelled");
    assert_eq!(&again.body["data"], cancelled.data(200));
    let waiting = store::outbox::read(&api.store, 10).await.unwrap();
    assert_eq!(waiting.len(), 2);
    assert!(matches!(waiting[1].change.kind, ChangeKind::AnnouncementCancelled { .. }));
    api.post("/api/v1/announcements/99/cancel", Some(&token), &Value::Null).await.refused(404, "not_found");
}

async fn the_audience_has_to_exist(engine: Engine) {
    let api = TestApi::start(engine).await;
    let organizer = api.user("organizer", &[Role::Organizer]).await;
    let token = api.token(organizer, &[Role::Organizer]);
    let mut body = form("Storm");
    for (audience, pointer) in [
        (json!({ "kind": "event", "event_id": 9 }), "/audience"),
        (json!({ "kind": "venue", "venue_id": 9 }), "/audience"),
        (json!({ "kind": "users", "user_ids": [organizer, 999] }), "/audience"),
        (json!({ "kind": "users", "user_ids": [] }), "/audience/user_ids"),
        (json!({ "kind": "users", "user_ids": (1..=1_001).collect::<Vec<_>>() }), "/audience/user_ids"),
    ] {
        body["audience"] = audience;
        let refused = api.post("/api/v1/announcements", Some(&token), &body).await;
        refused.refused(422, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
    }
    body["audience"] = json!({ "kind": "users", "user_ids": [organizer, organizer] });
    let made = api.post("/api/v1/announcements", Some(&token), &body).await;
    assert_eq!(made.data(202)["audience"]["user_ids"], json!([organizer]));
}

async fn pages_hold_while_announcements_arrive(engine: Engine) {
    let api = TestApi::start(engine).await;
    let token = api.token_of("organizer", &[Role::Organizer]).await;
    let publish = async |title: String| {
        api.post("/api/v1/announcements", Some(&token), &form(&title)).await.data(202);
    };
    for n in 0..7 {
        publish(n.to_string()).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/api/v1/announcements?limit=3{cursor}"), Some(&token)).await;
        for one in page.data(200).as_array().unwrap() {
            seen.push(one["title"]["en"].as_str().unwrap().to_owned());
        }
        publish("later".to_owned()).await;
        match page.body["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["6", "5", "4", "3", "2", "1", "0"]);
}

async fn receipts_need_the_code_and_are_counted_once(engine: Engine) {
    let api = TestApi::start(engine).await;
    let organizer = api.user("organizer", &[Role::Organizer]).await;
    let token = api.token(organizer, &[Role::Organizer]);
    let made = api.post("/api/v1/announcements", Some(&token), &form("Storm")).await.data(202).clone();
    let delivery = plan(&api, &made, organizer).await;
    let code = api.receipt_key.code(delivery);
    let send = async |items: Value| {
        let reply = api.post("/api/v1/receipts", None, &json!({ "receipts": items })).await;
        let results = reply.data(200)["results"].as_array().unwrap().clone();
        results.into_iter().map(|one| one["result"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let stranger = DeliveryId(Uuid::from_u128(7));
    let results = send(json!([
        { "delivery_id": delivery, "code": "AAAAAAAAAAAAAAAAAAAAAA", "state": "opened" },
        { "delivery_id": delivery, "code": code, "state": "delivered", "at": "2026-07-15T11:59:59Z" },
        { "delivery_id": stranger, "code": api.receipt_key.code(stranger), "state": "opened" },
    ]));
    assert_eq!(results.await, ["code_wrong", "recorded", "delivery_unknown"]);
    let again = json!([{ "delivery_id": delivery, "code": code, "state": "delivered" }]);
    assert_eq!(send(again).await, ["repeated"]);

    let path = format!("/api/v1/announcements/{}", made["id"]);
    let shown = api.get(&path, Some(&token)).await;
    assert_eq!(shown.data(200)["receipts"]["by_channel"], json!({ "fcm": { "delivered": 1 } }));
    assert_eq!(
        send(json!([{ "delivery_id": delivery, "code": code, "state": "opened" }])).await,
        ["recorded"]
    );
    let shown = api.get(&path, Some(&token)).await;
    assert_eq!(shown.data(200)["receipts"]["by_state"], json!({ "opened": 1 }));
    assert_eq!(shown.data(200)["receipts"]["deliveries"], 1);
}

/// Does the planner's part for one recipient.
pub(crate) async fn plan(api: &TestApi, made: &Value, user_id: UserId) -> DeliveryId {
    let waiting = store::outbox::read(&api.store, 1).await.unwrap();
    let ChangeKind::Announcement(announced) = &waiting[0].change.kind else { panic!("{waiting:?}") };
    let at: Timestamp = made["created_at"].as_str().unwrap().parse().unwrap();
    let notification = store::notifications::Notification {
        id: announced.notification_id,
        kind: domain::NotificationKind::Announcement,
        lane: announced.lane,
        title: announced.title.clone(),
        body: announced.body.clone(),
        data: json!({}),
        audience: announced.audience.clone(),
        event_id: None,
        announcement_id: Some(announced.announcement_id),
        thread_id: announced.notification_id,
        created_at: at,
        expires_at: announced.expires_at,
    };
    let id = DeliveryId::of(announced.notification_id, user_id, Channel::Fcm, "5");
    let delivery = NewDelivery {
        id,
        notification_id: announced.notification_id,
        user_id,
        channel: Channel::Fcm,
        device_id: None,
        target: "token".to_owned(),
        lane: Lane::Emergency,
        language: Language::En,
        suppressed: None,
        queued_at: at,
        due_at: at,
        expires_at: announced.expires_at,
    };
    let mut tx = api.store.begin().await.unwrap();
    store::notifications::insert(&mut tx, &notification).await.unwrap();
    let person = store::recipients::NewRecipient {
        notification_id: announced.notification_id,
        user_id,
        language: Language::En,
        venue_id: None,
        notified_at: at,
    };
    let moves = store::deliveries::insert(&mut tx, &[person], &[delivery]).await.unwrap();
    assert_eq!(moves[0].to, DeliveryState::Queued);
    tx.commit().await.unwrap();
    id
}
