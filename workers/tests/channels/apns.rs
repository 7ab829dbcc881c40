//! APNs: answers, tokens, connections, payloads.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Lane, ManualClock};
use secrecy::SecretString;
use testkit::apns::{Apns as StandIn, ApnsOptions, Script};
use testkit::ca::Ca;
use workers::channels::apns::{Apns, Config};
use workers::gateway::{Gateway as _, Outcome};

use crate::fixture::{clock, message, now, send_all, word};

struct Stage {
    stand_in: StandIn,
    apns: Arc<Apns>,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    async fn with(change: impl FnOnce(&mut ApnsOptions, &mut Config)) -> Self {
        let clock = clock();
        let mut options = ApnsOptions { clock: clock.clone(), ..ApnsOptions::default() };
        let mut config =
            Config { request_timeout_ms: 20_000, connect_timeout_ms: 10_000, ..Config::default() };
        change(&mut options, &mut config);
        let ca = Ca::generate();
        let folder = tempfile::tempdir().unwrap();
        let stand_in = StandIn::start(&ca, options).await.unwrap();
        config.base_url = stand_in.base_url();
        config.ca_file = Some(ca.write(folder.path()).unwrap());
        config.key_pem.get_or_insert_with(|| SecretString::from(stand_in.signing_key_pem()));
        config.key_id.clone_from(&stand_in.options().key_id);
        config.team_id.clone_from(&stand_in.options().team_id);
        if config.topic.is_empty() {
            config.topic.clone_from(&stand_in.options().topic);
        }
        let apns = Arc::new(Apns::new(&config, clock.clone() as Arc<dyn Clock>).unwrap());
        Self { stand_in, apns, clock, _folder: folder }
    }

    async fn push(&self, token: &str) -> Outcome {
        self.apns.send(&message(1, Lane::Standard, "apns", token)).await
    }
}

/// Every row of the answer table, in one go over one stand-in.
#[tokio::test]
async fn every_answer_becomes_its_action() {
    let stage = Stage::with(|_, config| config.request_timeout_ms = 2_000).await;
    let before = now() - Duration::from_hours(1);
    let long_ago = now() - Duration::from_hours(48);
    // what may be about one target or about our own app counts as the target's when others get through
    for _ in 0..5 {
        assert_eq!(word(&stage.push("aabb").await), "accepted");
    }
    let rows = [
        (Script::Ok, "accepted", "accepted"),
        (Script::Refuse(400, "BadCollapseId"), "fix_message", "BadCollapseId"),
        (Script::Refuse(400, "BadExpirationDate"), "fix_message", "BadExpirationDate"),
        (Script::Refuse(400, "BadMessageId"), "fix_message", "BadMessageId"),
        (Script::Refuse(400, "BadPriority"), "fix_message", "BadPriority"),
        (Script::Refuse(400, "InvalidPushType"), "fix_message", "InvalidPushType"),
        (Script::Refuse(400, "DuplicateHeaders"), "fix_message", "DuplicateHeaders"),
        (Script::Refuse(400, "PayloadEmpty"), "fix_message", "PayloadEmpty"),
        (Script::Refuse(400, "BadTopic"), "fix_config", "BadTopic"),
        (Script::Refuse(400, "MissingTopic"), "fix_config", "MissingTopic"),
        (Script::Refuse(400, "TopicDisallowed"), "fix_config", "TopicDisallowed"),
        (Script::Refuse(400, "BadDeviceToken"), "quarantine", "BadDeviceToken"),
        (Script::Refuse(400, "DeviceTokenNotForTopic"), "quarantine", "DeviceTokenNotForTopic"),
        (Script::Refuse(400, "MissingDeviceToken"), "fix_message", "MissingDeviceToken"),
        (Script::Refuse(400, "IdleTimeout"), "retry", "IdleTimeout"),
        (Script::Refuse(403, "BadCertificate"), "fix_config", "BadCertificate"),
        (Script::Refuse(403, "BadCertificateEnvironment"), "fix_config", "BadCertificateEnvironment"),
        (Script::Refuse(403, "InvalidProviderToken"), "fix_config", "InvalidProviderToken"),
        (Script::Refuse(403, "MissingProviderToken"), "fix_config", "MissingProviderToken"),
        (Script::Refuse(403, "Forbidden"), "fix_config", "Forbidden"),
        (Script::Refuse(403, "ExpiredProviderToken"), "fix_config", "ExpiredProviderToken"),
        (Script::Refuse(403, "UnrelatedKeyIdInToken"), "fix_config", "UnrelatedKeyIdInToken"),
        (Script::Refuse(403, "BadEnvironmentKeyIdInToken"), "fix_config", "BadEnvironmentKeyIdInToken"),
        (Script::Refuse(403, "BadEnvironmentKeyInToken"), "fix_config", "BadEnvironmentKeyInToken"),
        (Script::Refuse(404, "BadPath"), "fix_message", "BadPath"),
        (Script::Refuse(405, "MethodNotAllowed"), "fix_message", "MethodNotAllowed"),
        (Script::Unregistered(before), "drop_target", "Unregistered"),
        (Script::Unregistered(long_ago), "retry", "Unregistered"),
        (Script::Refuse(410, "ExpiredToken"), "drop_target", "ExpiredToken"),
        (Script::Refuse(413, "PayloadTooLarge"), "fix_message", "PayloadTooLarge"),
        (Script::Refuse(429, "TooManyRequests"), "retry", "TooManyRequests"),
        (Script::Refuse(429, "TooManyProviderTokenUpdates"), "retry", "TooManyProviderTokenUpdates"),
        (Script::Refuse(500, "InternalServerError"), "retry", "InternalServerError"),
        (Script::Refuse(503, "ServiceUnavailable"), "retry", "ServiceUnavailable"),
        (Script::Refuse(503, "Shutdown"), "retry", "Shutdown"),
        (Script::Refuse(400, "NobodyKnowsThis"), "fix_message", "other"),
        (Script::Refuse(418, "NobodyKnowsThis"), "fix_message", "other"),
        (Script::Refuse(403, "NobodyKnowsThis"), "fix_config", "other"),
        (Script::Garbage(502), "retry", "other"),
        (Script::Garbage(302), "fix_config", "other"),
        (Script::Hang, "unknown", "timeout"),
        (Script::AcceptThenDrop, "unknown", "connection_lost"),
        (Script::Reset, "unknown", "connection_lost"),
    ];
    for (index, (script, action, reason)) in rows.into_iter().enumerate() {
        let token = format!("{index:064x}");
        stage.stand_in.script(&token, [script.clone()]);
        let outcome = stage.push(&token).await;
        assert_eq!((word(&outcome), outcome.reason.as_str()), (action, reason), "{script:?}: {outcome:?}");
        assert!(outcome.bytes_left, "{script:?}");
    }
    assert_eq!(stage.stand_in.gate_violations(), 0);
}

#[tokio::test]
async fn what_the_stand_in_refuses_by_itself_is_refused() {
    let stage = Stage::with(|_, config| config.topic = "app.somebody.else".to_owned()).await;
    let outcome = stage.push("aa").await;
    assert_eq!((word(&outcome), outcome.reason.as_str()), ("fix_config", "TopicDisallowed"));
    let other = testkit::apns::signing_key();
    let stage = Stage::with(|_, config| config.key_pem = Some(SecretString::from(other))).await;
    assert_eq!(stage.push("aa").await.reason, "InvalidProviderToken");
    for token in ["", "xyz", "../../4/broadcasts", "aa/bb"] {
        let outcome = stage.push(token).await;
        assert_eq!((word(&outcome), outcome.bytes_left), ("quarantine", false), "{token}");
    }
}

#[tokio::test]
async fn headers_and_payload_are_as_apple_wants_them() {
    let stage = Stage::new().await;
    for (number, lane) in (1..).zip(Lane::ALL) {
        let outcome = stage.apns.send(&message(number, lane, "apns", "aabb")).await;
        assert_eq!(word(&outcome), "accepted");
        assert_eq!(outcome.provider_id.unwrap(), stage.stand_in.received(0).last().unwrap().apns_id);
    }
    let received = stage.stand_in.received(0);
    let shown: Vec<_> = received
        .iter()
        .map(|push| serde_json::json!({ "headers": push.headers, "payload": push.payload }))
        .map(|mut value| {
            value.sort_all_objects();
            value
        })
        .collect();
    insta::assert_json_snapshot!(shown);
}

#[tokio::test]
async fn critical_alerts_are_for_emergencies_of_those_who_may() {
    let stage = Stage::with(|_, config| config.critical = true).await;
    for (number, lane) in (1..).zip(Lane::ALL) {
        assert_eq!(word(&stage.apns.send(&message(number, lane, "apns", "aabb")).await), "accepted");
    }
    let sent: Vec<_> =
        stage.stand_in.received(0).into_iter().map(|push| push.payload["aps"].clone()).collect();
    assert_eq!(sent[0]["interruption-level"], "critical");
    assert_eq!(sent[0]["sound"]["critical"], 1);
    assert!(sent[1..].iter().all(|aps| aps["interruption-level"] != "critical"), "{sent:?}");
}

/// Goal: tokens of the other environment, or of another app, empty no registry.
#[tokio::test]
async fn a_wrong_environment_sets_nobody_aside() {
    let stage = Stage::new().await;
    for number in 0..20 {
        let token = format!("dead0400{number:08x}");
        assert_eq!(word(&stage.push(&token).await), "fix_config", "nobody has got through");
    }
}

#[tokio::test]
async fn a_long_arabic_body_is_shortened_between_characters() {
    let stage = Stage::new().await;
    let mut long = message(1, Lane::Emergency, "apns", "aabb");
    long.body = "إخلاء المنطقة فورًا ".repeat(400);
    assert_eq!(word(&stage.apns.send(&long).await), "accepted");
    let push = stage.stand_in.received(0).remove(0);
    let bytes = serde_json::to_vec(&push.payload).unwrap().len();
    assert!((4_000..=4_096).contains(&bytes), "{bytes} bytes");
    assert_eq!(push.payload["body_shortened"], true);
    assert!(
        long.body.starts_with(push.payload["aps"]["alert"]["body"].as_str().unwrap().trim_end_matches('…'))
    );
    long.title = "إخلاء ".repeat(1_000);
    let outcome = stage.apns.send(&long).await;
    assert_eq!((word(&outcome), outcome.reason.as_str()), ("fix_message", "payload_too_large"));
    assert_eq!(stage.stand_in.received(1).len(), 0, "nothing was sent");
}

#[tokio::test]
async fn the_token_is_signed_once_and_renewed_in_time() {
    let stage = Stage::new().await;
    let tokens = |stage: &Stage| -> HashSet<String> {
        stage.stand_in.received(0).into_iter().map(|push| push.provider_token).collect()
    };
    let burst =
        |first: u8| (first..first + 100).map(|n| message(n, Lane::Standard, "apns", "aabb")).collect();
    let outcomes = send_all(&stage.apns, burst(0)).await;
    let again = send_all(&stage.apns, burst(100)).await;
    assert!(outcomes.iter().chain(&again).all(|outcome| word(outcome) == "accepted"));
    assert_eq!(tokens(&stage).len(), 1, "200 concurrent pushes share one token");
    stage.clock.advance(Duration::from_mins(41));
    let outcomes = send_all(&stage.apns, burst(0)).await;
    assert!(outcomes.iter().all(|outcome| word(outcome) == "accepted"));
    assert_eq!(tokens(&stage).len(), 2);
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_unless_it_is_young() {
    // the provider's clock is 31 minutes ahead of ours
    let theirs = Arc::new(ManualClock::new(now() + Duration::from_mins(31)));
    let stage = Stage::with(|options, _| options.clock = theirs.clone()).await;
    assert_eq!(word(&stage.push("aa").await), "accepted");
    stage.clock.advance(Duration::from_mins(30));
    theirs.advance(Duration::from_mins(30));
    assert_eq!(word(&stage.push("aa").await), "accepted", "61 minutes old for them, 30 for us: renewed");
    let outcomes: Vec<_> = stage.stand_in.received(0).into_iter().map(|push| push.outcome).collect();
    assert_eq!(outcomes, ["accepted", "ExpiredProviderToken", "accepted"]);
    theirs.advance(Duration::from_mins(45));
    let outcome = stage.push("aa").await;
    assert_eq!((word(&outcome), outcome.reason.as_str()), ("fix_config", "ExpiredProviderToken"));
    assert_eq!(stage.stand_in.received(3).len(), 1, "a young token is not renewed");
}

#[tokio::test]
async fn a_foreign_key_on_the_connection_is_tried_once_on_a_new_one() {
    let stage = Stage::new().await;
    stage.stand_in.script("aa", [Script::Refuse(403, "UnrelatedKeyIdInToken"), Script::Ok]);
    assert_eq!(word(&stage.push("aa").await), "accepted");
    let connections: Vec<_> = stage.stand_in.received(0).iter().map(|push| push.connection).collect();
    assert_eq!(connections.len(), 2);
    assert_ne!(connections[0], connections[1]);
}

#[tokio::test]
async fn a_connection_carries_one_request_until_its_first_answer() {
    let stage = Stage::with(|options, config| {
        options.latency = Duration::from_millis(20);
        config.connections_per_lane = 2;
        config.streams_per_connection = 30;
    })
    .await;
    let messages = (0..200).map(|n| message(n, Lane::Standard, "apns", "aabb")).collect();
    let outcomes = send_all(&stage.apns, messages).await;
    assert!(outcomes.iter().all(|outcome| word(outcome) == "accepted"));
    assert_eq!(stage.stand_in.gate_violations(), 0);
    assert_eq!(stage.stand_in.connections().total(), 2);
    let open = stage.stand_in.open_streams_max();
    assert!((10..=60).contains(&open), "{open} requests at once, 60 are allowed");
}

#[tokio::test]
async fn each_lane_has_its_own_connections() {
    let stage = Stage::with(|_, config| config.connections_per_lane = 1).await;
    for lane in Lane::ALL {
        stage.apns.send(&message(1, lane, "apns", "aabb")).await;
        stage.apns.send(&message(2, lane, "apns", "aabb")).await;
    }
    let pairs: Vec<_> = stage.stand_in.received(0).iter().map(|push| push.connection).collect();
    assert_eq!(pairs, [1, 1, 2, 2, 3, 3, 4, 4]);
}

#[tokio::test]
async fn an_emergency_passes_a_stuck_lane() {
    let stage = Stage::with(|_, config| config.connections_per_lane = 1).await;
    let stuck = Arc::clone(&stage.apns);
    let mut tasks = tokio::task::JoinSet::new();
    stage.stand_in.script("dd", [Script::Hang]);
    tasks.spawn(async move { stuck.send(&message(1, Lane::Promotional, "apns", "dd")).await });
    crate::fixture::wait_until("the stuck push", || stage.stand_in.received(0).len() == 1).await;
    let started = tokio::time::Instant::now();
    assert_eq!(word(&stage.apns.send(&message(2, Lane::Emergency, "apns", "aa")).await), "accepted");
    assert!(started.elapsed() < Duration::from_secs(10), "the stuck push waits for twenty");
}

#[tokio::test]
async fn a_lost_connection_is_replaced_and_gated_again() {
    let stage = Stage::with(|options, config| {
        options.latency = Duration::from_millis(10);
        config.connections_per_lane = 1;
    })
    .await;
    stage.push("aa").await;
    stage.stand_in.script("dd", [Script::AcceptThenDrop]);
    assert_eq!(word(&stage.push("dd").await), "unknown");
    let messages = (0..50).map(|n| message(n, Lane::Standard, "apns", "aabb")).collect();
    let outcomes = send_all(&stage.apns, messages).await;
    assert!(outcomes.iter().all(|outcome| word(outcome) == "accepted"), "{outcomes:?}");
    assert_eq!(stage.stand_in.gate_violations(), 0);
    assert_eq!(stage.stand_in.connections().total(), 2);
}

#[tokio::test]
async fn nobody_listening_is_a_retry_and_nothing_left() {
    let mut stage = Stage::new().await;
    let fresh = Stage::new().await;
    stage.apns = fresh.apns;
    drop(fresh.stand_in);
    let outcome = stage.push("aa").await;
    assert_eq!((word(&outcome), outcome.reason.as_str(), outcome.bytes_left), ("retry", "connect", false));
}

#[tokio::test]
async fn an_error_of_apple_waits_a_quarter_of_an_hour_but_not_for_an_emergency() {
    let stage = Stage::new().await;
    stage.stand_in.script("aa", [Script::Refuse(500, "InternalServerError")]);
    assert_eq!(stage.push("aa").await.retry_after, Some(Duration::from_mins(15)));
    let emergency = stage.apns.send(&message(2, Lane::Emergency, "apns", "aa")).await;
    assert_eq!(emergency.retry_after, None);
}

#[tokio::test]
async fn one_push_is_kept_for_a_phone_out_of_coverage_and_a_promotion_never_takes_its_place() {
    let stage = Stage::new().await;
    stage.stand_in.set_online("aabb", false);
    stage.apns.send(&message(1, Lane::Emergency, "apns", "aabb")).await;
    stage.apns.send(&message(2, Lane::Promotional, "apns", "aabb")).await;
    let kept = stage.stand_in.set_online("aabb", true).unwrap();
    assert_eq!(kept.payload["lane"], "emergency");
}
