//! FCM: answers, access tokens, pace, messages.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Lane, ManualClock};
use secrecy::SecretString;
use service::Lifecycle;
use store::devices::Platform;
use testkit::ca::Ca;
use testkit::fcm::{Fcm as StandIn, FcmOptions, Script};
use workers::channels::fcm::{Config, Fcm};
use workers::gateway::{Gateway as _, Outcome};

use crate::fixture::{clock, message, send_all, wait_until, word};

struct Stage {
    stand_in: StandIn,
    fcm: Arc<Fcm>,
    config: Config,
    clock: Arc<ManualClock>,
    lifecycle: Lifecycle,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_, _| {}, |_| {}).await
    }

    async fn with(change: impl FnOnce(&mut FcmOptions, &mut Config), prepare: impl FnOnce(&StandIn)) -> Self {
        let clock = clock();
        let mut options = FcmOptions { clock: clock.clone(), ..FcmOptions::default() };
        let mut config =
            Config { request_timeout_ms: 20_000, token_retry_max_ms: 2_000, ..Config::default() };
        change(&mut options, &mut config);
        let ca = Ca::generate();
        let folder = tempfile::tempdir().unwrap();
        let stand_in = StandIn::start(&ca, options).await.unwrap();
        prepare(&stand_in);
        config.base_url = stand_in.base_url();
        config.ca_file = Some(ca.write(folder.path()).unwrap());
        config
            .service_account_json
            .get_or_insert_with(|| SecretString::from(stand_in.service_account().to_string()));
        let lifecycle = Lifecycle::new();
        let fcm = Arc::new(Fcm::start(&config, clock.clone() as Arc<dyn Clock>, &lifecycle).unwrap());
        Self { stand_in, fcm, config, clock, lifecycle, _folder: folder }
    }

    async fn push(&self, target: &str) -> Outcome {
        self.fcm.send(&message(1, Lane::Standard, "fcm_token", target)).await
    }
}

/// Every row of the answer table, in one go over one stand-in.
#[tokio::test]
async fn every_answer_becomes_its_action() {
    let stage = Stage::with(|_, config| config.request_timeout_ms = 2_000, |_| {}).await;
    let refuse = |status, word, code| Script::Refuse(status, word, code, None);
    let rows = [
        (Script::Ok, "accepted", "accepted"),
        (refuse(400, "INVALID_ARGUMENT", None), "fix_message", "invalid_request"),
        (refuse(400, "INVALID_ARGUMENT", Some("INVALID_ARGUMENT")), "quarantine", "INVALID_ARGUMENT"),
        (refuse(401, "UNAUTHENTICATED", None), "fix_config", "unauthenticated"),
        (refuse(401, "UNAUTHENTICATED", Some("THIRD_PARTY_AUTH_ERROR")), "retry", "THIRD_PARTY_AUTH_ERROR"),
        (refuse(403, "PERMISSION_DENIED", Some("SENDER_ID_MISMATCH")), "quarantine", "SENDER_ID_MISMATCH"),
        (refuse(403, "PERMISSION_DENIED", None), "fix_config", "permission_denied"),
        (refuse(404, "NOT_FOUND", Some("UNREGISTERED")), "drop_target", "UNREGISTERED"),
        (refuse(404, "NOT_FOUND", None), "fix_config", "not_found"),
        (refuse(429, "RESOURCE_EXHAUSTED", Some("QUOTA_EXCEEDED")), "retry", "QUOTA_EXCEEDED"),
        (refuse(429, "RESOURCE_EXHAUSTED", None), "retry", "resource_exhausted"),
        (refuse(500, "INTERNAL", Some("INTERNAL")), "retry", "INTERNAL"),
        (refuse(503, "UNAVAILABLE", Some("UNAVAILABLE")), "unknown", "UNAVAILABLE"),
        (Script::UnavailableDelivered, "unknown", "UNAVAILABLE"),
        (refuse(400, "INVALID_ARGUMENT", Some("NEW_CODE")), "fix_message", "invalid_request"),
        (refuse(418, "TEAPOT", None), "fix_message", "other"),
        (refuse(302, "MOVED", None), "fix_config", "other"),
        (refuse(200, "OK", None), "unknown", "other"),
        (Script::Html502, "unknown", "server_error"),
        (Script::Hang, "unknown", "timeout"),
        (Script::Reset, "unknown", "connection_lost"),
    ];
    for (index, (script, action, reason)) in rows.into_iter().enumerate() {
        let target = format!("device-{index}");
        stage.stand_in.script(&target, [script]);
        let outcome = stage.push(&target).await;
        assert_eq!((word(&outcome), outcome.reason.as_str()), (action, reason), "{script:?}: {outcome:?}");
        assert!(outcome.bytes_left, "{script:?}");
    }
}

#[tokio::test]
async fn the_message_is_as_google_wants_it() {
    let stage = Stage::new().await;
    for (number, lane) in (1..).zip(Lane::ALL) {
        let kind = if lane == Lane::Standard { "fcm_fid" } else { "fcm_token" };
        let outcome = stage.fcm.send(&message(number, lane, kind, "device-1")).await;
        assert_eq!(word(&outcome), "accepted", "{outcome:?}");
        assert!(outcome.provider_id.unwrap().starts_with("projects/munadi-rehearsal/messages/"));
    }
    let shown: Vec<_> = stage.stand_in.received(0).into_iter().map(|received| received.message).collect();
    let mut shown = serde_json::Value::from(shown);
    shown.sort_all_objects();
    insta::assert_json_snapshot!(shown);
}

/// Goal: an iPhone that registered through Firebase shows an emergency, which is a data message on Android.
#[tokio::test]
async fn an_iphone_behind_firebase_is_not_silent() {
    let stage = Stage::new().await;
    for lane in [Lane::Emergency, Lane::Standard, Lane::Promotional] {
        let mut phone = message(1, lane, "fcm_token", "device-1");
        phone.platform = Some(Platform::Ios);
        assert_eq!(word(&stage.fcm.send(&phone).await), "accepted");
    }
    let sent: Vec<_> =
        stage.stand_in.received(0).into_iter().map(|one| one.message["apns"].clone()).collect();
    let expected = message(1, Lane::Emergency, "fcm_token", "");
    assert_eq!(sent[0]["payload"]["aps"]["alert"]["title"], expected.title);
    assert_eq!(sent[0]["payload"]["aps"]["interruption-level"], "time-sensitive");
    assert_eq!(sent[0]["headers"]["apns-collapse-id"], expected.notification_id.to_string());
    assert!(sent[1]["payload"]["aps"].get("alert").is_none(), "the notification says it already");
    assert_eq!(sent[2]["headers"]["apns-expiration"], "0");
}

#[tokio::test]
async fn another_project_sets_nobody_aside() {
    let stage = Stage::new().await;
    for number in 0..20 {
        let target = format!("sender_mismatch-{number}");
        assert_eq!(word(&stage.push(&target).await), "fix_config", "nobody has got through");
    }
}

#[tokio::test]
async fn a_long_arabic_text_is_shortened_to_the_limit() {
    let stage = Stage::new().await;
    for lane in [Lane::Emergency, Lane::Standard] {
        let mut long = message(1, lane, "fcm_token", &"t".repeat(163));
        long.body = "إخلاء المنطقة \"فورًا\"\n".repeat(400);
        assert_eq!(word(&stage.fcm.send(&long).await), "accepted");
        let received = stage.stand_in.received(0).pop().unwrap();
        let mut bare = received.message;
        bare.as_object_mut().unwrap().remove("token");
        let bytes = bare.to_string().len();
        assert!((4_000..=4_096).contains(&bytes), "{bytes} bytes");
        assert_eq!(bare["data"]["body_shortened"], "true");
    }
}

#[tokio::test]
async fn two_hundred_senders_share_one_access_token() {
    let stage = Stage::new().await;
    let messages = (0..200).map(|n| message(n, Lane::Standard, "fcm_token", "device")).collect();
    let outcomes = send_all(&stage.fcm, messages).await;
    assert!(outcomes.iter().all(|outcome| word(outcome) == "accepted"), "{outcomes:?}");
    assert_eq!(stage.stand_in.token_requests(), 1);
    stage.stand_in.revoke_tokens();
    let messages = (0..200).map(|n| message(n, Lane::Standard, "fcm_token", "device")).collect();
    let outcomes = send_all(&stage.fcm, messages).await;
    assert!(outcomes.iter().all(|outcome| word(outcome) == "accepted"), "{outcomes:?}");
    assert_eq!(stage.stand_in.token_requests(), 2, "200 refusals ask for one new token");
    assert_eq!(stage.stand_in.connections().total(), 3, "two for the lane, one for tokens");
}

#[tokio::test]
async fn a_token_is_replaced_before_it_ends() {
    let stage = Stage::with(|options, _| options.token_life = Duration::from_secs(2), |_| {}).await;
    assert_eq!(word(&stage.push("device").await), "accepted");
    wait_until("a second token", || stage.stand_in.token_requests() == 2).await;
    // by the provider's clock the first one has ended now
    stage.clock.advance(Duration::from_millis(1_900));
    assert_eq!(word(&stage.push("device").await), "accepted");
    assert_eq!(stage.stand_in.received(0).len(), 2);
}

#[tokio::test]
async fn a_refused_account_is_a_matter_of_configuration_and_recovers() {
    let refusals = [(400, "invalid_grant"); 2];
    let stage = Stage::with(|_, _| {}, |stand_in| stand_in.fail_tokens(&refusals)).await;
    let outcome = stage.push("device").await;
    assert_eq!((word(&outcome), outcome.reason.as_str()), ("fix_config", "token_refused"));
    assert!(!outcome.bytes_left);
    wait_until("the third try", || stage.stand_in.token_requests() == 3).await;
    let mut outcome = stage.push("device").await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while word(&outcome) != "accepted" && tokio::time::Instant::now() < deadline {
        tokio::task::yield_now().await;
        outcome = stage.push("device").await;
    }
    assert_eq!(word(&outcome), "accepted");
}

#[tokio::test]
async fn a_broken_token_endpoint_is_a_retry() {
    let stage = Stage::with(|_, _| {}, |stand_in| stand_in.fail_tokens(&[(503, "down"); 20])).await;
    let outcome = stage.push("device").await;
    assert_eq!((word(&outcome), outcome.reason.as_str()), ("retry", "token_unavailable"));
    assert!(stage.stand_in.received(0).is_empty());
}

#[tokio::test]
async fn a_wrong_project_touches_no_target() {
    let stage = Stage::new().await;
    let mut account = stage.stand_in.service_account();
    account["project_id"] = "somebody-elses".into();
    let config = Config {
        service_account_json: Some(SecretString::from(account.to_string())),
        ..stage.config.clone()
    };
    let fcm = Fcm::start(&config, stage.clock.clone() as Arc<dyn Clock>, &stage.lifecycle).unwrap();
    let outcome = fcm.send(&message(1, Lane::Standard, "fcm_token", "device")).await;
    assert_eq!((word(&outcome), outcome.reason.as_str()), ("fix_config", "not_found"));
}

#[tokio::test]
async fn the_quota_names_its_wait() {
    let stage = Stage::with(|options, _| options.quota = 1, |_| {}).await;
    assert_eq!(word(&stage.push("device").await), "accepted");
    let outcome = stage.push("device").await;
    assert_eq!((word(&outcome), outcome.retry_after), ("retry", Some(Duration::from_secs(30))));
    let stage = Stage::new().await;
    stage
        .stand_in
        .script("device", [Script::Refuse(429, "RESOURCE_EXHAUSTED", Some("QUOTA_EXCEEDED"), None)]);
    assert_eq!(stage.push("device").await.retry_after, Some(Duration::from_mins(1)));
    stage.stand_in.script("device", [Script::Refuse(500, "INTERNAL", Some("INTERNAL"), None)]);
    assert_eq!(stage.push("device").await.retry_after, Some(Duration::from_secs(10)));
}

#[tokio::test]
async fn the_pace_and_the_streams_are_bounded() {
    let change = |options: &mut FcmOptions, config: &mut Config| {
        options.latency = Duration::from_millis(5);
        config.streams_per_lane = 10;
        config.bulk_per_second = 100;
    };
    let stage = Stage::with(change, |_| {}).await;
    let started = tokio::time::Instant::now();
    let messages = (0..60).map(|n| message(n, Lane::Standard, "fcm_token", "device")).collect();
    let outcomes = send_all(&stage.fcm, messages).await;
    assert!(outcomes.iter().all(|outcome| word(outcome) == "accepted"));
    // ten at once, the other fifty at 100 a second
    assert!(started.elapsed() >= Duration::from_millis(490), "{:?}", started.elapsed());
    assert!(stage.stand_in.open_max() <= 10);
    let connections: HashSet<_> = stage.stand_in.received(0).iter().map(|one| one.connection).collect();
    assert_eq!(connections.len(), 2);
}

#[tokio::test]
async fn nobody_listening_is_a_retry_and_nothing_left() {
    let stage = Stage::new().await;
    assert_eq!(word(&stage.push("device").await), "accepted");
    let Stage { stand_in, fcm, .. } = stage;
    drop(stand_in);
    let outcome = fcm.send(&message(1, Lane::Emergency, "fcm_token", "device")).await;
    assert_eq!((word(&outcome), outcome.reason.as_str(), outcome.bytes_left), ("retry", "connect", false));
}

#[tokio::test]
async fn the_refresher_ends_with_the_process() {
    let stage = Stage::new().await;
    assert_eq!(word(&stage.push("device").await), "accepted");
    stage.lifecycle.drain().cancel();
    tokio::time::timeout(Duration::from_secs(5), stage.lifecycle.finished()).await.unwrap();
    assert_eq!(word(&stage.push("device").await), "accepted", "what is open can still be sent");
}
