//! What people want to be told, how and when not.

use domain::{EventId, Role, UserId};
use reqwest::Method;
use serde_json::{Value, json};
use store::Engine;
use store::preferences;

use crate::festival::Festival;
use crate::support::{TestApi, authorized, both_engines, send};

both_engines!(
    preferences_are_replaced_as_a_whole_and_every_wrong_value_is_named,
    a_consent_and_its_withdrawal_are_on_record,
    a_star_has_lead_times_of_its_own,
);

async fn put(api: &TestApi, path: &str, token: &str, body: &Value) -> crate::support::Reply {
    send(authorized(api.request(Method::PUT, path), Some(token)).json(body)).await
}

async fn preferences_are_replaced_as_a_whole_and_every_wrong_value_is_named(engine: Engine) {
    let api = TestApi::start(engine).await;
    let token = api.token_of("amina", &[Role::Attendee]).await;
    let path = "/api/v1/me/preferences";
    let first = api.get(path, Some(&token)).await;
    assert_eq!(first.data(200)["time_zone"], "Africa/Cairo");
    assert_eq!(first.data(200)["reminder_choices"], json!([5, 10, 30, 60]));
    let wanted = json!({
        "language": "ar", "time_zone": "Europe/London", "quiet_hours": { "from": "23:00", "to": "07:30" },
        "categories": { "programme": { "email": false }, "promotions": { "apns": false } },
        "caps": { "promotional": 1 }, "reminder_minutes": [60, 5], "digest": "09:00",
    });
    let kept = put(&api, path, &token, &wanted).await;
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(&kept.data(200)[field], value, "{field}");
    }
    assert_eq!(kept.data(200)["digest_at"], "2026-07-16T08:00:00Z", "09:00 in London in summer");
    assert_eq!(api.get(path, Some(&token)).await.data(200), kept.data(200));
    assert_eq!(api.get("/api/v1/me", Some(&token)).await.data(200)["language"], "ar");
    let less = put(&api, path, &token, &json!({})).await;
    assert_eq!((&less.data(200)["quiet_hours"], &less.data(200)["digest_at"]), (&Value::Null, &Value::Null));

    let wrong = json!({
        "time_zone": "Mars/Base", "quiet_hours": { "from": "7:00", "to": "25:00" },
        "caps": { "emergency": 1, "standard": 0 }, "reminder_minutes": [7], "digest": "noon",
    });
    let refused = put(&api, path, &token, &wrong).await;
    refused.refused(422, "validation_failed");
    let mut pointers: Vec<&str> = refused.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["pointer"].as_str().unwrap())
        .collect();
    pointers.dedup();
    let expected = [
        "/time_zone",
        "/quiet_hours/from",
        "/quiet_hours/to",
        "/caps/standard",
        "/caps/emergency",
        "/reminder_minutes",
        "/digest",
    ];
    assert_eq!(pointers, expected);
    put(&api, path, &token, &json!({ "categories": { "concerts": {} } })).await.refused(422, "invalid_body");
    assert_eq!(api.get(path, Some(&token)).await.data(200), less.data(200), "nothing was changed");
    api.get(path, None).await.refused(401, "token_missing");
}

async fn a_consent_and_its_withdrawal_are_on_record(engine: Engine) {
    let api = TestApi::start(engine).await;
    let user = api.user("amina", &[Role::Attendee]).await;
    let token = api.token(user, &[Role::Attendee]);
    let path = "/api/v1/me/promotions";
    let say = async |granted: bool| {
        let body = json!({ "granted": granted, "wording_version": "2026-07", "means": "app" });
        api.post(path, Some(&token), &body).await.data(200).clone()
    };
    let given = say(true).await;
    assert_eq!(given["at"], "2026-07-15T12:00:00Z");
    let since = api.get("/api/v1/me/preferences", Some(&token)).await;
    assert_eq!(since.data(200)["promotions_since"], "2026-07-15T12:00:00Z");
    put(&api, "/api/v1/me/preferences", &token, &json!({})).await.data(200);
    let still = api.get("/api/v1/me/preferences", Some(&token)).await;
    assert_eq!(
        still.data(200)["promotions_since"],
        "2026-07-15T12:00:00Z",
        "a consent is not lost by the way"
    );
    let withdrawn = say(false).await;
    assert_eq!(api.get(path, Some(&token)).await.data(200), &json!([withdrawn, given]));
    let none = api.get("/api/v1/me/preferences", Some(&token)).await;
    assert_eq!(none.data(200)["promotions_since"], Value::Null);
    say(true).await;
    let link = format!("/api/v1/unsubscribe/{}", domain::unsubscribe_token(&api.receipt_key, user));
    for _ in 0..2 {
        api.post(&link, None, &Value::Null).await.data(200);
    }
    let record = api.get(path, Some(&token)).await;
    assert_eq!(record.data(200).as_array().unwrap().len(), 4, "the second click changes nothing");
    assert_eq!(record.data(200)[0]["means"], "mail link");
    api.post("/api/v1/unsubscribe/1.forged", None, &Value::Null).await.refused(404, "not_found");
    let body = json!({ "granted": true, "wording_version": "", "means": "x".repeat(65) });
    let refused = api.post(path, Some(&token), &body).await;
    refused.refused(422, "validation_failed");
    assert_eq!(refused.body["errors"].as_array().unwrap().len(), 2);
}

async fn a_star_has_lead_times_of_its_own(engine: Engine) {
    let festival = Festival::start(engine).await;
    let (event, _) = festival.made(&festival.event("20:00", "21:00")).await;
    let (api, event) = (&festival.api, EventId(event));
    let user: UserId = api.user("salma", &[Role::Attendee]).await;
    let token = api.token(user, &[Role::Attendee]);
    let path = format!("/api/v1/events/{event}/star/reminders");
    put(api, &path, &token, &json!({ "minutes": [60] })).await.refused(404, "not_found");
    send(authorized(api.request(Method::PUT, &format!("/api/v1/events/{event}/star")), Some(&token)))
        .await
        .data(200);
    put(api, &path, &token, &json!({ "minutes": [60, 10] })).await.data(200);
    let chosen = preferences::star_minutes(&api.store, event, &[user]).await.unwrap();
    assert_eq!(chosen[&user], [60, 10]);
    put(api, &path, &token, &json!({ "minutes": [10, 10] })).await.refused(422, "validation_failed");
    put(api, &path, &token, &json!({ "minutes": null })).await.data(200);
    assert!(preferences::star_minutes(&api.store, event, &[user]).await.unwrap().is_empty());
}
