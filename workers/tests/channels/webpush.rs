//! Web Push: answers, signatures, encryption, and where it refuses to go.

use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Lane, ManualClock};
use secrecy::SecretString;
use testkit::ca::Ca;
use testkit::webpush::{Script, Webpush as StandIn, WebpushOptions};
use workers::channels::webpush::{Config, Webpush, public_key};
use workers::gateway::{Gateway as _, Outcome, Outgoing};

use crate::fixture::{clock, message, now, send_all, word};

struct Stage {
    stand_in: StandIn,
    webpush: Arc<Webpush>,
    config: Config,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = clock();
        let ca = Ca::generate();
        let folder = tempfile::tempdir().unwrap();
        let options = WebpushOptions { clock: clock.clone(), ..WebpushOptions::default() };
        let stand_in = StandIn::start(&ca, options).await.unwrap();
        let mut config = Config {
            key_pem: Some(SecretString::from(stand_in.key_pem())),
            contact: "mailto:ops@festival.example".to_owned(),
            hosts: vec!["127.0.0.1".to_owned()],
            inside_permitted: true,
            ca_file: Some(ca.write(folder.path()).unwrap()),
            ..Config::default()
        };
        change(&mut config);
        let webpush = Arc::new(Webpush::new(&config, clock.clone() as Arc<dyn Clock>).unwrap());
        Self { stand_in, webpush, config, clock, _folder: folder }
    }

    fn message(&self, name: &str) -> Outgoing {
        message(1, Lane::Standard, "webpush", &self.stand_in.subscribe(name).to_string())
    }

    async fn push(&self, name: &str) -> Outcome {
        self.webpush.send(&self.message(name)).await
    }
}

/// Every row of the answer table, in one go over one stand-in.
#[tokio::test]
async fn every_answer_becomes_its_action() {
    let stage = Stage::with(|config| config.request_timeout_ms = 1_000).await;
    let refuse = |status, body| Script::Refuse(status, body, None);
    let rows = [
        (Script::Ok, "accepted", "accepted"),
        (refuse(200, ""), "accepted", "accepted"),
        (refuse(202, ""), "accepted", "accepted"),
        (refuse(400, r#"{"reason":"BadTtl"}"#), "fix_message", "BadTtl"),
        (refuse(400, ""), "fix_message", "bad_request"),
        (refuse(401, r#"{"errno":109}"#), "fix_config", "unauthorized"),
        (refuse(403, r#"{"reason":"BadJwtToken"}"#), "fix_config", "BadJwtToken"),
        (refuse(404, ""), "drop_target", "gone"),
        (refuse(410, ""), "drop_target", "gone"),
        (refuse(413, ""), "fix_message", "too_large"),
        (Script::Refuse(429, "", Some(7)), "retry", "too_many_requests"),
        (refuse(500, ""), "retry", "server_error"),
        (refuse(503, ""), "retry", "server_error"),
        (Script::Redirect("https://127.0.0.1:1/".to_owned()), "fix_config", "other"),
        (Script::Hang, "unknown", "timeout"),
        (Script::Reset, "unknown", "connection_lost"),
    ];
    for (index, (script, action, reason)) in rows.into_iter().enumerate() {
        let name = format!("browser-{index}");
        stage.stand_in.script(&name, [script.clone()]);
        let outcome = stage.push(&name).await;
        assert_eq!((word(&outcome), outcome.reason.as_str()), (action, reason), "{script:?}: {outcome:?}");
        assert!(outcome.bytes_left, "{script:?}");
        if reason == "too_many_requests" {
            assert_eq!(outcome.retry_after, Some(Duration::from_secs(7)));
        }
    }
}

#[tokio::test]
async fn a_browser_reads_what_was_written_and_the_service_what_it_must_know() {
    let stage = Stage::new().await;
    for (number, lane) in (1..).zip(Lane::ALL) {
        let target = stage.stand_in.subscribe("browser").to_string();
        let outcome = stage.webpush.send(&message(number, lane, "webpush", &target)).await;
        assert_eq!(word(&outcome), "accepted", "{outcome:?}");
        assert_eq!(outcome.provider_id.unwrap(), number.to_string());
    }
    let received = stage.stand_in.received(0);
    let said: Vec<_> = received.iter().map(|push| (push.ttl, push.urgency.as_str())).collect();
    assert_eq!(said, [(7_200, "high"), (7_200, "high"), (7_200, "normal"), (0, "low")]);
    let first = &received[0];
    let expected = message(1, Lane::Emergency, "webpush", "");
    assert_eq!(first.topic.len(), 22, "the notification's id, so that a repeat replaces the first");
    assert_eq!(first.text["title"], expected.title);
    assert_eq!((&first.text["lang"], &first.text["dir"]), (&"ar".into(), &"rtl".into()));
    assert_eq!(first.text["tag"], expected.notification_id.to_string());
    assert_eq!(first.text["receipt_code"], expected.receipt_code);
    assert_eq!(first.text["data"]["event_id"], 17);
    assert_eq!(stage.stand_in.counts()["signatures"], 1, "one signature for the origin");
    assert_eq!(public_key(&stage.config).unwrap().unwrap(), stage.stand_in.public_key());
}

#[tokio::test]
async fn a_signature_is_renewed_in_time() {
    let stage = Stage::new().await;
    for hours in [0, 5, 2, 18] {
        stage.clock.advance(Duration::from_hours(hours));
        assert_eq!(word(&stage.push("browser").await), "accepted", "at {:?}", stage.clock.now().since(now()));
    }
    assert_eq!(stage.stand_in.counts()["signatures"], 3);
}

#[tokio::test]
async fn a_long_arabic_text_is_shortened_to_the_limit() {
    let stage = Stage::new().await;
    let mut long = stage.message("browser");
    long.body = "إخلاء المنطقة \"فورًا\"\n".repeat(400);
    assert_eq!(word(&stage.webpush.send(&long).await), "accepted");
    let text = stage.stand_in.received(0).pop().unwrap().text;
    assert!((3_900..=3_993).contains(&text.to_string().len()), "{}", text.to_string().len());
    assert_eq!(text["body_shortened"], true);
}

#[tokio::test]
async fn nothing_leaves_for_a_host_that_is_not_permitted() {
    let stage = Stage::with(|config| config.hosts = vec!["fcm.googleapis.com".to_owned()]).await;
    let outcome = stage.push("browser").await;
    assert_eq!(
        (word(&outcome), outcome.reason.as_str(), outcome.bytes_left),
        ("quarantine", "endpoint_not_permitted", false)
    );
    // on the list, but an address with a port: permitted in rehearsals alone
    let stage = Stage::with(|config| config.inside_permitted = false).await;
    let outcome = stage.push("browser").await;
    assert_eq!((word(&outcome), outcome.bytes_left), ("quarantine", false));
    // on the list and a name, which resolves to this machine
    let stage = Stage::with(|config| {
        config.inside_permitted = false;
        config.hosts = vec!["localhost".to_owned()];
    })
    .await;
    let mut inside = stage.stand_in.subscribe("browser");
    inside["endpoint"] = "https://localhost/push/browser".into();
    let outcome = stage.webpush.send(&message(1, Lane::Standard, "webpush", &inside.to_string())).await;
    assert_eq!(
        (word(&outcome), outcome.reason.as_str(), outcome.bytes_left),
        ("retry", "address_not_public", false)
    );
    assert_eq!(stage.stand_in.connections().total(), 0);
}

#[tokio::test]
async fn a_wrong_key_burns_nobody_and_a_wrong_subscription_only_itself() {
    let stage = Stage::new().await;
    let other = p256::SecretKey::random(&mut p256::elliptic_curve::rand_core::OsRng);
    let other = p256::pkcs8::EncodePrivateKey::to_pkcs8_pem(&other, p256::pkcs8::LineEnding::LF).unwrap();
    let config = Config { key_pem: Some(SecretString::from(other.to_string())), ..stage.config.clone() };
    let wrong = Webpush::new(&config, stage.clock.clone() as Arc<dyn Clock>).unwrap();
    for number in 0..20 {
        let outcome = wrong.send(&stage.message(&format!("browser-{number}"))).await;
        assert_eq!((word(&outcome), outcome.reason.as_str()), ("fix_config", "another_key"));
    }
    let messages = (0..40).map(|number| stage.message(&format!("browser-{number}"))).collect();
    assert!(send_all(&stage.webpush, messages).await.iter().all(|outcome| word(outcome) == "accepted"));
    let outdated = stage.stand_in.subscribe_with("stale", &public_key(&config).unwrap().unwrap()).to_string();
    let outcome = stage.webpush.send(&message(1, Lane::Standard, "webpush", &outdated)).await;
    assert_eq!((word(&outcome), outcome.reason.as_str()), ("quarantine", "another_key"));
}

#[tokio::test]
async fn a_malformed_subscription_never_leaves() {
    let stage = Stage::new().await;
    let mut no_point = stage.stand_in.subscribe("browser");
    no_point["keys"]["p256dh"] = format!("BA{}", "A".repeat(85)).into();
    for (target, reason) in
        [("rubbish".to_owned(), "subscription_malformed"), (no_point.to_string(), "key_malformed")]
    {
        let outcome = stage.webpush.send(&message(1, Lane::Standard, "webpush", &target)).await;
        assert_eq!(
            (word(&outcome), outcome.reason.as_str(), outcome.bytes_left),
            ("quarantine", reason, false)
        );
    }
}
