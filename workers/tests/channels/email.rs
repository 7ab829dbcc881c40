//! Mail: replies, connections, content.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::{Action, Clock, Lane, Language};
use secrecy::SecretString;
use testkit::ca::Ca;
use testkit::smtp::{Relay, Smtp, SmtpOptions};
use workers::channels::email::{Config, Email, Tls};
use workers::gateway::{Gateway as _, Outcome, Verdict};

use crate::fixture::{clock, message, send_all, word};

struct Stage {
    stand_in: Smtp,
    email: Arc<Email>,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    async fn with(change: impl FnOnce(&mut SmtpOptions, &mut Config)) -> Self {
        let mut options = SmtpOptions::default();
        let mut config = Config {
            host: "127.0.0.1".to_owned(),
            username: "munadi".to_owned(),
            password: Some(SecretString::from("rehearsal")),
            from: "مهرجان العلمين <news@festival.example>".to_owned(),
            emergency_from: "Safety <safety@alert.festival.example>".to_owned(),
            envelope_from: "bounces@festival.example".to_owned(),
            command_timeout_ms: 10_000,
            connect_timeout_ms: 10_000,
            content_timeout_ms: 1_000,
            final_timeout_ms: 1_000,
            connections_per_lane: 2,
            ..Config::default()
        };
        change(&mut options, &mut config);
        let ca = Ca::generate();
        let folder = tempfile::tempdir().unwrap();
        config.ca_file.get_or_insert(ca.write(folder.path()).unwrap());
        let stand_in = Smtp::start(&ca, options).await.unwrap();
        config.port = stand_in.address().port();
        let email = Arc::new(Email::new(&config, clock() as Arc<dyn Clock>).unwrap());
        Self { stand_in, email, _folder: folder }
    }

    async fn mail(&self, target: &str) -> Outcome {
        self.email.send(&message(1, Lane::Standard, "email", target)).await
    }
}

/// Every row of the reply table, in one go over one stand-in and with few connections.
#[tokio::test]
async fn every_reply_becomes_its_action() {
    let stage = Stage::with(|_, config| config.connections_per_lane = 1).await;
    let rows = [
        ("somebody", "accepted", "accepted"),
        ("bounce-511", "drop_target", "mailbox_unknown"),
        ("reply-550-5.1.10", "drop_target", "mailbox_unknown"),
        ("reply-556-5.1.10", "drop_target", "mailbox_unknown"),
        ("reply-551", "drop_target", "mailbox_unknown"),
        ("reply-553", "drop_target", "mailbox_unknown"),
        ("reply-556", "drop_target", "mailbox_unknown"),
        ("full", "retry", "mailbox_full"),
        ("reply-552", "retry", "mailbox_full"),
        ("reply-550-5.2.2", "retry", "mailbox_full"),
        ("disabled", "quarantine", "mailbox_disabled"),
        ("reply-550", "quarantine", "mailbox_unavailable"),
        ("policy", "fix_config", "policy"),
        ("reply-550-5.7.1", "fix_config", "policy"),
        ("reply-554-5.7.25", "fix_config", "policy"),
        ("reply-554", "fix_config", "relay_refused"),
        ("defer", "retry", "deferred"),
        ("reply-450", "retry", "deferred"),
        ("reply-451", "retry", "deferred"),
        ("reply-452-4.2.2", "retry", "mailbox_full"),
        ("reply-455", "retry", "deferred"),
        ("reply-450-4.7.1", "retry", "greylisted"),
        ("grey", "retry", "greylisted"),
        ("grey", "accepted", "accepted"),
        ("reply-421-4.3.2", "retry", "service_closing"),
        ("reply-500", "fix_config", "protocol"),
        ("reply-501-5.5.4", "fix_config", "protocol"),
        ("reply-504", "fix_config", "protocol"),
        ("reply-530-5.7.0", "fix_config", "policy"),
        ("reply-530", "fix_config", "login_refused"),
        ("size", "fix_message", "too_large"),
        ("data-552", "fix_message", "too_large"),
        ("data-554-5.6.0", "fix_message", "content_refused"),
        ("data-554", "fix_message", "content_refused"),
        ("data-550-5.7.1", "fix_config", "policy"),
        ("data-550-5.1.1", "drop_target", "mailbox_unknown"),
        ("data-451-4.3.0", "retry", "deferred"),
        ("data-421-4.3.2", "retry", "service_closing"),
        // a reply that asks for more is no acceptance
        ("data-354", "unknown", "out_of_step"),
        ("silent", "unknown", "timeout"),
        ("drop", "unknown", "connection_lost"),
        ("somebody", "accepted", "accepted"),
    ];
    for (local, action, reason) in rows {
        let outcome = stage.mail(&format!("{local}@example.org")).await;
        assert_eq!((word(&outcome), outcome.reason.as_str()), (action, reason), "{local}: {outcome:?}");
    }
    let mut cut = message(1, Lane::Standard, "email", "cut@example.org");
    cut.body = "long ".repeat(1_000_000);
    let outcome = stage.email.send(&cut).await;
    assert_eq!(word(&outcome), "retry", "the connection was cut before the final dot: {outcome:?}");
}

#[tokio::test]
async fn a_refused_recipient_leaves_the_connection_usable() {
    let stage = Stage::with(|_, config| config.connections_per_lane = 1).await;
    for local in ["a", "bounce-511", "b", "full", "c", "size", "d", "disabled", "e"] {
        stage.mail(&format!("{local}@example.org")).await;
    }
    assert_eq!(stage.stand_in.connections().total(), 1);
    assert_eq!(stage.stand_in.received(0).len(), 5);
}

#[tokio::test]
async fn no_mail_is_ever_told_the_reply_of_another() {
    let stage = Stage::with(|options, config| {
        options.latency = Duration::from_millis(2);
        config.connections_per_lane = 3;
    })
    .await;
    let locals = ["ok", "bounce-511", "silent", "size", "drop", "full", "policy", "data-354"];
    let messages = (0..200_usize)
        .map(|n| {
            let kind = locals[n % locals.len()];
            // what times out is rare, or the test takes long
            let kind = if kind == "silent" && n % 40 != 2 { "ok" } else { kind };
            let target =
                if kind == "ok" { format!("ok.{n}@example.org") } else { format!("{kind}@x{n}.example.org") };
            message(u8::try_from(n).unwrap(), Lane::Standard, "email", &target)
        })
        .collect::<Vec<_>>();
    let mut tasks = tokio::task::JoinSet::new();
    for message in messages {
        let email = Arc::clone(&stage.email);
        tasks.spawn(async move { (message.target.clone(), email.send(&message).await) });
    }
    let mut queued = HashSet::new();
    for (target, outcome) in tasks.join_all().await {
        let expected = match target.split(['@', '.']).next().unwrap() {
            "ok" => "accepted",
            "bounce-511" => "drop_target",
            "size" => "fix_message",
            "full" => "retry",
            "policy" => "fix_config",
            _ => "unknown",
        };
        assert_eq!(word(&outcome), expected, "{target}: {outcome:?}");
        if outcome.verdict == Verdict::Accepted {
            assert!(queued.insert(outcome.provider_id.unwrap()), "two mails with one queue id");
        }
    }
    let taken = stage.stand_in.received(0);
    let ok = taken.iter().filter(|mail| mail.to[0].starts_with("ok.")).count();
    assert_eq!(ok, queued.len());
    assert_eq!(stage.stand_in.bare_line_ends(), 0);
}

#[tokio::test]
async fn the_bound_of_connections_is_a_bound_of_open_ones_and_per_lane() {
    let stage = Stage::with(|options, _| options.latency = Duration::from_millis(5)).await;
    let mails =
        |lane| (0..40).map(move |n| message(n, lane, "email", &format!("u{n}@example.org"))).collect();
    let outcomes = send_all(&stage.email, mails(Lane::Promotional)).await;
    assert!(outcomes.iter().all(|outcome| word(outcome) == "accepted"), "{outcomes:?}");
    assert_eq!(stage.stand_in.connections().open_max(), 2);
    assert_eq!(stage.stand_in.connections().total(), 2, "40 mails over two connections");
    send_all(&stage.email, mails(Lane::Emergency)).await;
    assert_eq!(stage.stand_in.connections().total(), 4, "an emergency has its own");
}

#[tokio::test]
async fn a_connection_is_retired_after_so_many_mails_or_when_the_relay_says_so() {
    let stage = Stage::with(|_, config| {
        config.connections_per_lane = 1;
        config.mails_per_connection = 3;
    })
    .await;
    for n in 0..9 {
        assert_eq!(word(&stage.mail(&format!("u{n}@example.org")).await), "accepted");
    }
    assert_eq!(stage.stand_in.connections().total(), 3);
    let stage = Stage::with(|options, config| {
        options.mails_max = Some(2);
        config.connections_per_lane = 1;
    })
    .await;
    for n in 0..6 {
        assert_eq!(
            word(&stage.mail(&format!("u{n}@example.org")).await),
            "accepted",
            "421 starts a new connection"
        );
    }
    assert_eq!(stage.stand_in.received(0).len(), 6);
}

#[tokio::test]
async fn every_way_of_encrypting_and_logging_in_works() {
    for (relay, tls, mechanisms) in [
        (Relay::StartTls, Tls::Starttls, "PLAIN LOGIN"),
        (Relay::StartTls, Tls::Starttls, "LOGIN"),
        (Relay::ImplicitTls, Tls::Implicit, "PLAIN"),
        (Relay::Plain, Tls::None, "PLAIN"),
    ] {
        let stage = Stage::with(|options, config| {
            options.relay = relay;
            mechanisms.clone_into(&mut options.mechanisms);
            config.tls = tls;
        })
        .await;
        assert_eq!(word(&stage.mail("a@example.org").await), "accepted", "{relay:?} {mechanisms}");
        assert_eq!(stage.stand_in.received(0)[0].encrypted, relay != Relay::Plain);
    }
}

#[tokio::test]
async fn a_relay_that_does_not_fit_the_configuration_pauses_the_lane() {
    type Change = Box<dyn FnOnce(&mut SmtpOptions, &mut Config)>;
    let folder = tempfile::tempdir().unwrap();
    let foreign = Ca::generate().write(folder.path()).unwrap();
    let rows: [(&str, Change); 6] = [
        ("login_refused", Box::new(|_, config| config.password = Some(SecretString::from("wrong")))),
        ("relay_refused", Box::new(|options, _| options.banner = "554 5.7.1 no service for you".to_owned())),
        ("relay_lacks_extension", Box::new(|options, _| options.relay = Relay::Plain)),
        ("relay_lacks_extension", Box::new(|options, _| options.mechanisms = "CRAM-MD5".to_owned())),
        ("untrusted", Box::new(move |_, config| config.ca_file = Some(foreign))),
        (
            "relay_refused",
            Box::new(|_, config| config.envelope_from = "forbidden@festival.example".to_owned()),
        ),
    ];
    for (reason, change) in rows {
        let stage = Stage::with(change).await;
        let outcome = stage.mail("a@example.org").await;
        let expected =
            if reason == "relay_refused" && outcome.reason == "policy" { "policy" } else { reason };
        assert_eq!((word(&outcome), outcome.reason.as_str()), ("fix_config", expected), "{outcome:?}");
        assert!(!outcome.bytes_left && stage.stand_in.received(0).is_empty());
    }
}

#[tokio::test]
async fn a_deferred_login_is_retried_and_then_a_matter_of_configuration() {
    let stage = Stage::new().await;
    stage.stand_in.fail_logins(&["454 4.7.0 temporary"; 5]);
    let mut words = Vec::new();
    for _ in 0..6 {
        words.push(word(&stage.mail("a@example.org").await));
    }
    assert_eq!(words, ["retry", "retry", "retry", "fix_config", "fix_config", "accepted"]);
}

#[tokio::test]
async fn arabic_and_english_arrive_as_they_were_written() {
    let stage = Stage::new().await;
    let mut mail = message(1, Lane::Standard, "email", "a@example.org");
    mail.body = "تبدأ «أم كلثوم» 21:30 في Hall B\n.نقطة في أول السطر\n<b>ليس وسمًا</b>".to_owned();
    assert_eq!(word(&stage.email.send(&mail).await), "accepted");
    let got = stage.stand_in.received(0).remove(0);
    assert_eq!(got.subject, mail.title);
    assert_eq!((got.from.as_str(), got.to[0].as_str()), ("bounces@festival.example", "a@example.org"));
    insta::assert_snapshot!("mail_text", got.text.replace("\r\n", "\n"));
    insta::assert_snapshot!("mail_html", got.html.replace("\r\n", "\n"));
    assert!(got.raw.is_ascii(), "nothing needs 8BITMIME");
    assert_eq!(got.headers["auto-submitted"], "auto-generated");
    assert_eq!(got.headers["x-auto-response-suppress"], "All");
    assert_eq!(got.headers["content-language"], "ar");
    assert_eq!(got.headers["date"], "Wed, 15 Jul 2026 20:00:00 +0000");
    assert_eq!(got.headers["message-id"], format!("<{}@festival.example>", mail.delivery_id));
    assert!(got.headers["content-type"].starts_with("multipart/alternative"));
    assert!(!got.headers.contains_key("importance"));

    mail.language = Language::En;
    mail.lane = Lane::Emergency;
    std::mem::swap(&mut mail.title, &mut mail.title_other);
    std::mem::swap(&mut mail.body, &mut mail.body_other);
    assert_eq!(word(&stage.email.send(&mail).await), "accepted");
    let got = stage.stand_in.received(1).remove(0);
    assert!(got.html.starts_with("<!doctype html>\r\n<html lang=\"en\" dir=\"ltr\">"));
    assert!(got.text.find("Umm Kulthum").unwrap() < got.text.find("أم كلثوم").unwrap(), "English first");
    assert_eq!(got.headers["importance"], "high");
    assert!(got.headers["from"].contains("safety@alert.festival.example"));
}

#[tokio::test]
async fn a_repetition_has_the_same_message_id() {
    let stage = Stage::new().await;
    let mut mail = message(1, Lane::Emergency, "email", "grey@example.org");
    let refused = stage.email.send(&mail).await;
    assert_eq!((word(&refused), refused.retry_after), ("retry", None), "an emergency does not wait");
    mail.attempt = 2;
    stage.email.send(&mail).await;
    stage.email.send(&mail).await;
    let ids: HashSet<_> =
        stage.stand_in.received(0).iter().map(|got| got.headers["message-id"].clone()).collect();
    assert_eq!((stage.stand_in.received(0).len(), ids.len()), (2, 1));
    let standard = message(1, Lane::Standard, "email", "reply-451-4.7.1@example.org");
    assert_eq!(stage.email.send(&standard).await.retry_after, Some(Duration::from_mins(5)));
}

#[tokio::test]
async fn addresses_that_are_none_never_reach_the_relay() {
    let stage = Stage::new().await;
    for target in ["", "nobody", "a@b@c", "a@example.org\r\nRCPT TO:<b@example.org>", "a b@example.org"] {
        let outcome = stage.mail(target).await;
        assert_eq!(outcome.verdict, Verdict::Refused(Action::Quarantine), "{target}");
    }
    let outcome = stage.mail("مستخدم@example.org").await;
    assert_eq!((word(&outcome), outcome.reason.as_str()), ("quarantine", "address_not_ascii"));
    let mut broken = message(1, Lane::Standard, "email", "a@example.org");
    broken.title = "first line\r\nBcc: everybody@example.org\r\n\r\nbody".to_owned();
    assert_eq!(word(&stage.email.send(&broken).await), "accepted");
    let got = stage.stand_in.received(0).remove(0);
    assert_eq!(got.subject, "first line Bcc: everybody@example.org body");
    assert!(!got.headers.contains_key("bcc") && got.to.len() == 1);
}

#[tokio::test]
async fn nobody_listening_is_a_retry_and_nothing_left() {
    let stage = Stage::new().await;
    let Stage { stand_in, email, _folder } = stage;
    drop(stand_in);
    let outcome = email.send(&message(1, Lane::Standard, "email", "a@example.org")).await;
    assert_eq!((word(&outcome), outcome.reason.as_str(), outcome.bytes_left), ("retry", "connect", false));
}

/// Goal: what comes back says what it is about, at relays that report and at those that do not.
#[tokio::test]
async fn each_mail_has_an_address_of_its_own_to_return_to() {
    let with = async |dsn: bool, dsn_success: bool| {
        let change = |options: &mut SmtpOptions, config: &mut Config| {
            options.dsn = dsn;
            config.dsn_success = dsn_success;
            config.bounce_domain = "bounces.festival.example".to_owned();
        };
        let stage = Stage::with(change).await;
        assert_eq!(word(&stage.mail("amina+x@example.org").await), "accepted");
        let mail = stage.stand_in.received(0).remove(0);
        assert_eq!(mail.from, "b+0123.4567@bounces.festival.example");
        mail.parameters
    };
    let asked =
        ["RET=HDRS", "ENVID=b+2B0123.4567", "NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;amina+2Bx@example.org"];
    assert_eq!(with(true, true).await, asked);
    assert_eq!(with(true, false).await[2], "NOTIFY=FAILURE");
    assert!(with(false, true).await.is_empty());
}

#[tokio::test]
async fn promotions_alone_can_be_unsubscribed_from() {
    let stage = Stage::with(|_, config| config.public_url = "https://festival.example/".to_owned()).await;
    for (number, lane) in (1..).zip(Lane::ALL) {
        let outcome = stage.email.send(&message(number, lane, "email", "amina@example.org")).await;
        assert_eq!(word(&outcome), "accepted");
    }
    for mail in stage.stand_in.received(0) {
        let link = mail.headers.get("list-unsubscribe").map(String::as_str);
        let post = mail.headers.get("list-unsubscribe-post").map(String::as_str);
        if mail.number == Lane::ALL.len() {
            assert_eq!(link, Some("<https://festival.example/api/v1/unsubscribe/7.89ab>"));
            assert_eq!(post, Some("List-Unsubscribe=One-Click"));
        } else {
            assert_eq!((link, post), (None, None));
        }
    }
}
