//! Devices registered for push.

use std::time::Duration;

use domain::{DeviceId, Role, Timestamp, UserId};
use serde_json::{Value, json};
use store::Engine;
use store::audience::{self, RefusedTarget, TargetFate};
use store::devices::{self, Ages, Pruned};

use crate::support::{TestApi, both_engines};

both_engines!(
    a_device_is_registered_replaced_and_removed_by_its_owner,
    a_token_moves_with_its_phone_and_registration_revives_it,
    the_oldest_devices_beyond_the_limit_are_retired,
    a_browser_subscribes_where_it_is_permitted,
    a_token_is_set_aside_then_retired_then_forgotten_unless_it_registers_again,
);

fn form(installation: &str, token: &str) -> Value {
    json!({ "installation_id": installation, "platform": "android", "token_kind": "fcm_token", "token": token,
        "locale": "ar-EG", "app_version": "1.0" })
}

async fn a_device_is_registered_replaced_and_removed_by_its_owner(engine: Engine) {
    let api = TestApi::start(engine).await;
    let amina = api.token_of("amina", &[Role::Attendee]).await;
    let omar = api.token_of("omar", &[Role::Attendee]).await;
    let made = api.post("/api/v1/devices", Some(&amina), &form("installation-1", "token-00001")).await;
    assert_eq!((&made.data(201)["state"], made.data(201).get("token")), (&json!("active"), None));
    let (path, etag) = (made.header("location").to_owned(), made.header("etag").to_owned());

    api.get(&path, Some(&omar)).await.refused(404, "not_found");
    api.delete(&path, Some(&omar), "*").await.refused(404, "not_found");
    let new = form("installation-1", "token-00002");
    let replaced = api.put(&path, Some(&amina), &format!("W/{etag}"), &new).await;
    assert_eq!(replaced.data(200)["id"], made.data(201)["id"]);
    let stale = api.put(&path, Some(&amina), &etag, &new).await;
    stale.refused(412, "precondition_failed");
    assert_eq!((&stale.body["data"], stale.header("etag")), (replaced.data(200), replaced.header("etag")));
    let another = api.put(&path, Some(&amina), "*", &form("installation-2", "token-00002")).await;
    another.refused(422, "validation_failed");

    assert_eq!(api.get("/api/v1/devices", Some(&amina)).await.data(200).as_array().unwrap().len(), 1);
    api.delete(&path, Some(&amina), replaced.header("etag")).await.data(200);
    api.get(&path, Some(&amina)).await.refused(404, "not_found");
    api.delete(&path, Some(&amina), "*").await.refused(404, "not_found");
}

async fn a_token_moves_with_its_phone_and_registration_revives_it(engine: Engine) {
    let api = TestApi::start(engine).await;
    let amina = api.token_of("amina", &[Role::Attendee]).await;
    let omar = api.token_of("omar", &[Role::Attendee]).await;
    let first = api.post("/api/v1/devices", Some(&amina), &form("installation-1", "token-00001")).await;
    let path = first.header("location").to_owned();
    // the same phone after a restore: another installation, the same token
    api.post("/api/v1/devices", Some(&omar), &form("installation-2", "token-00001")).await.data(201);
    let moved = api.get(&path, Some(&amina)).await;
    assert_eq!(
        (&moved.data(200)["state"], &moved.data(200)["state_reason"]),
        (&json!("retired"), &json!("token_moved"))
    );
    let again = api.post("/api/v1/devices", Some(&amina), &form("installation-1", "token-00003")).await;
    assert_eq!(
        (&again.data(200)["state"], &again.data(200)["state_reason"]),
        (&json!("active"), &Value::Null)
    );
    // another person signs in on the same phone
    api.post("/api/v1/devices", Some(&omar), &form("installation-1", "token-00003")).await.data(200);
    api.get(&path, Some(&amina)).await.refused(404, "not_found");
    api.get(&path, Some(&omar)).await.data(200);
}

async fn the_oldest_devices_beyond_the_limit_are_retired(engine: Engine) {
    let api = TestApi::with(engine, |config| config.limits.devices_per_user_max = 2).await;
    let user: UserId = api.user("amina", &[Role::Attendee]).await;
    let token = api.token(user, &[Role::Attendee]);
    for n in 1..=3 {
        let form = form(&format!("installation-{n}"), &format!("token-0000{n}"));
        api.post("/api/v1/devices", Some(&token), &form).await.data(201);
    }
    let first = api.get("/api/v1/devices?limit=2", Some(&token)).await;
    let cursor = first.body["meta"]["next_cursor"].as_str().unwrap();
    assert!(first.header("link").contains(cursor));
    let rest = api.get(&format!("/api/v1/devices?cursor={cursor}"), Some(&token)).await;
    let states: Vec<_> = [first.data(200), rest.data(200)]
        .into_iter()
        .flat_map(|page| page.as_array().unwrap().iter().map(|device| device["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, ["retired", "active", "active"]);
    assert_eq!(rest.body["meta"], json!({ "next_cursor": null, "has_more": false }));
    let other = api.token_of("omar", &[Role::Attendee]).await;
    let stolen = api.get(&format!("/api/v1/devices?cursor={cursor}"), Some(&other)).await;
    stolen.refused(400, "invalid_cursor");
}

async fn a_browser_subscribes_where_it_is_permitted(engine: Engine) {
    let api = TestApi::start(engine).await;
    let amina = api.token_of("amina", &[Role::Attendee]).await;
    let key = api.get("/api/v1/webpush", None).await;
    assert_eq!(key.data(200)["public_key"], "B".repeat(87));
    let subscription = |endpoint: &str, p256dh: &str| {
        let keys = json!({ "p256dh": p256dh, "auth": "BTBZMqHH6r4Tts7J_aSIgg" });
        let token = json!({ "endpoint": endpoint, "expirationTime": null, "keys": keys }).to_string();
        json!({ "installation_id": "browser-1", "platform": "web", "token_kind": "webpush", "token": token,
            "locale": "en", "app_version": "1.0" })
    };
    let point = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    let good = subscription("https://eu.push.example/v2/x", point);
    assert_eq!(api.post("/api/v1/devices", Some(&amina), &good).await.data(201)["channel"], "webpush");
    for (endpoint, p256dh) in [
        ("https://169.254.169.254/latest/meta-data", point),
        ("https://localhost:5432/", point),
        ("https://eu.push.example:6379/", point),
        ("https://eu.push.example.evil.example/", point),
        ("https://eu.push.example/v2/x", &point[2..]),
    ] {
        let refused = api.post("/api/v1/devices", Some(&amina), &subscription(endpoint, p256dh)).await;
        refused.refused(422, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], "/token", "{endpoint}");
    }
}

/// What a provider refused, as the workers record it.
async fn refuse(api: &TestApi, id: i64, registered_at: Timestamp) -> bool {
    let refused =
        RefusedTarget { device: DeviceId(id), token: "token-00001", registered_at: Some(registered_at) };
    let mut tx = api.store.begin().await.unwrap();
    let now = api.clock_now();
    let stopped =
        audience::stop_target(&mut tx, refused, TargetFate::Quarantined, "BadDeviceToken", now).await;
    tx.commit().await.unwrap();
    stopped.unwrap()
}

async fn prune(api: &TestApi) -> Pruned {
    let now = api.clock_now();
    let days_ago = |days: u64| now - Duration::from_hours(24 * days);
    let ages = Ages {
        registered_before: days_ago(270),
        quarantined_before: days_ago(30),
        retired_before: days_ago(30),
    };
    let mut tx = api.store.begin().await.unwrap();
    let pruned = devices::prune(&mut tx, ages, 100, now).await.unwrap();
    tx.commit().await.unwrap();
    pruned
}

async fn a_token_is_set_aside_then_retired_then_forgotten_unless_it_registers_again(engine: Engine) {
    let api = TestApi::start(engine).await;
    let amina = UserId(1);
    let token = api.token_of("amina", &[Role::Attendee]).await;
    let day = Duration::from_hours(24);
    // tokens of the API end after minutes, and this takes months
    let register = async |installation: &str, push_token: &str| {
        let user = api.token(amina, &[Role::Attendee]);
        api.post("/api/v1/devices", Some(&user), &form(installation, push_token)).await
    };
    let made = api.post("/api/v1/devices", Some(&token), &form("installation-1", "token-00001")).await;
    let id = made.data(201)["id"].as_i64().unwrap();
    let first_at = api.clock_now();
    api.clock.advance(Duration::from_mins(1));
    register("installation-1", "token-00001").await.data(200);
    assert!(
        !refuse(&api, id, first_at).await,
        "it has registered since the message left: the newer word wins"
    );
    assert!(refuse(&api, id, api.clock_now()).await);
    register("installation-2", "token-00002").await.data(201);

    assert_eq!(prune(&api).await, Pruned::default());
    api.clock.advance(31 * day);
    assert_eq!(
        prune(&api).await,
        Pruned { retired: 1, deleted: 0 },
        "nothing was heard of what was set aside"
    );
    api.clock.advance(31 * day);
    assert_eq!(prune(&api).await, Pruned { retired: 0, deleted: 1 });
    api.clock.advance(210 * day);
    assert_eq!(
        prune(&api).await,
        Pruned { retired: 1, deleted: 0 },
        "the other one has not registered for months"
    );
    let again = register("installation-2", "token-00002").await;
    assert_eq!(again.data(200)["state"], "active");
}
