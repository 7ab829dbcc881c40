//! Each message reads from, or is written as, its file in `golden/`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use protocol::pusher::read::{ClientEvent, Signin, Subscribe};
use protocol::pusher::webhook::{Webhook, WebhookEvent};
use protocol::pusher::write::MemberView;
use protocol::pusher::{ClientMessage, Code, ServerMessage, SocketId};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pusher/golden")
}

fn file(name: &str) -> String {
    let path = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.trim_end().to_owned()
}

fn client() -> Vec<(&'static str, ClientMessage<'static>)> {
    let subscribe = |channel: &'static str, auth: Option<&'static str>, data: Option<&'static str>| {
        ClientMessage::Subscribe(Subscribe {
            channel: channel.into(),
            auth: auth.map(Into::into),
            channel_data: data.map(Into::into),
        })
    };
    let member = r#"{"user_id":"42","user_info":{"name":"Amal"}}"#;
    vec![
        ("client_ping", ClientMessage::Ping),
        ("client_pong", ClientMessage::Pong),
        ("client_subscribe", subscribe("venue.5", Some(""), None)),
        ("client_subscribe_private", subscribe("private-user.42", Some("festival:9a3f"), None)),
        ("client_subscribe_presence", subscribe("presence-gate.3", Some("festival:9a3f"), Some(member))),
        ("client_subscribe_text", subscribe("venue.5", None, None)),
        ("client_unsubscribe", ClientMessage::Unsubscribe { channel: "venue.5".into() }),
        (
            "client_signin",
            ClientMessage::Signin(Signin {
                auth: "festival:9a3f".into(),
                user_data: r#"{"id":"42"}"#.into(),
            }),
        ),
        (
            "client_event",
            ClientMessage::Event(ClientEvent {
                event: "client-typing".into(),
                channel: "private-user.42".into(),
                data: r#"{"on":true}"#.into(),
            }),
        ),
    ]
}

const AMAL: MemberView<'static> = MemberView { user_id: "42", user_info: Some(r#"{"name":"أمل"}"#) };
const NOBODY: MemberView<'static> = MemberView { user_id: "43", user_info: None };

fn server() -> Vec<(&'static str, ServerMessage<'static>)> {
    use ServerMessage as M;
    let channel = "presence-gate.3";
    let error = |code, message| M::Error { code, message };
    let event = |data, user_id| M::Event { event: "event.moved", channel: "venue.5", data, user_id };
    vec![
        (
            "server_connection_established",
            M::ConnectionEstablished { socket_id: SocketId(123, 456), activity_timeout_s: 120 },
        ),
        ("server_error", error(Some(Code::ClientEventRejected), Code::ClientEventRejected.text())),
        ("server_error_without_code", error(None, "the message cannot be read")),
        ("server_ping", M::Ping),
        ("server_pong", M::Pong),
        ("server_subscription_succeeded", M::SubscriptionSucceeded { channel: "venue.5", presence: None }),
        (
            "server_subscription_succeeded_presence",
            M::SubscriptionSucceeded { channel, presence: Some(&[AMAL, NOBODY]) },
        ),
        (
            "server_subscription_error",
            M::SubscriptionError {
                channel: "private-user.42",
                kind: "AuthError",
                message: "the signature does not fit",
                status: 401,
            },
        ),
        ("server_subscription_count", M::SubscriptionCount { channel, count: 3 }),
        ("server_member_added", M::MemberAdded { channel, member: AMAL }),
        ("server_member_removed", M::MemberRemoved { channel, user_id: "42" }),
        ("server_cache_miss", M::CacheMiss { channel: "cache-weather" }),
        ("server_signin_success", M::SigninSuccess { user_data: r#"{"id":"42"}"# }),
        ("server_event", event(r#"{"id":17,"title":"حفل"}"#, None)),
        ("server_event_text", event(r#""hello""#, None)),
        ("server_event_of_a_user", event("[1]", Some("42"))),
    ]
}

fn webhook() -> Webhook {
    let channel = || "presence-gate.3".to_owned();
    let user_id = || "42".to_owned();
    Webhook {
        time_ms: 1_784_145_600_000,
        events: vec![
            WebhookEvent::ChannelOccupied { channel: channel() },
            WebhookEvent::MemberAdded { channel: channel(), user_id: user_id() },
            WebhookEvent::ClientEvent {
                channel: channel(),
                event: "client-typing".into(),
                data: r#"{"on":true}"#.into(),
                socket_id: "123.456".into(),
                user_id: Some(user_id()),
            },
            WebhookEvent::MemberRemoved { channel: channel(), user_id: user_id() },
            WebhookEvent::SubscriptionCount { channel: channel(), subscription_count: 0 },
            WebhookEvent::ChannelVacated { channel: channel() },
            WebhookEvent::CacheMiss { channel: "cache-weather".into() },
        ],
    }
}

#[test]
fn client_messages_are_read_from_their_files() {
    for (name, message) in client() {
        assert_eq!(ClientMessage::read(&file(name)).unwrap(), message, "{name}");
    }
}

#[test]
fn server_messages_are_written_as_their_files() {
    for (name, message) in server() {
        let mut written = Vec::new();
        message.write(&mut written);
        assert_eq!(String::from_utf8(written).unwrap(), file(name), "{name}");
    }
}

#[test]
fn a_webhook_is_its_file() {
    assert_eq!(String::from_utf8(webhook().to_body()).unwrap(), file("webhook"));
    assert_eq!(serde_json::from_str::<Webhook>(&file("webhook")).unwrap(), webhook());
}

#[test]
fn every_file_is_tested() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let names = client().iter().map(|one| one.0).chain(server().iter().map(|one| one.0)).collect::<Vec<_>>();
    let tested = names.into_iter().chain(["webhook"]).map(str::to_owned).collect();
    assert_eq!(files, tested);
}
