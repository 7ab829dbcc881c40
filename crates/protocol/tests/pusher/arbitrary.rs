//! Bytes of any kind are refused or read, never a panic.

use proptest::prelude::*;
use protocol::pusher::http::{Batch, Trigger};
use protocol::pusher::read::{Member, User};
use protocol::pusher::signature::{SignedRequest, query, unescape};
use protocol::pusher::webhook::Webhook;
use protocol::pusher::{Channel, ClientMessage, ServerMessage, Signer, SocketId};

/// Text that is nearly a message: JSON punctuation, the protocol's words, and noise.
fn nearly() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\\",
            "\\ud800",
            "null",
            "1e400",
            "\"event\"",
            "\"channel\"",
            "\"data\"",
            "\"user_id\"",
            "\"pusher:subscribe\"",
            "\"pusher:signin\"",
            "\"client-x\"",
            "{\"event\":\"pusher:subscribe\",\"data\":",
            "{\"event\":\"client-x\",\"channel\":\"private-y\",\"data\":",
            "{\"name\":\"a\",\"channels\":[\"b\"],\"data\":",
            "{\"batch\":[",
            "{\"channel\":\"a\"}",
            "\"{\\\"channel\\\":\\\"a\\\"}\"",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn messages_and_bodies_are_read_or_refused(text in nearly(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ClientMessage::read(&text);
        let _ = Member::read(&text);
        let _ = User::read(&text);
        for body in [text.as_bytes(), &bytes] {
            let _ = Trigger::read(body);
            let _ = Batch::read(body);
            let _ = serde_json::from_slice::<Webhook>(body);
        }
    }

    #[test]
    fn names_and_queries_are_read_or_refused(text in ".{0,64}", prefix in "(private-|presence-|cache-|#server-to-user-){0,2}") {
        if let Ok(channel) = Channel::parse(&format!("{prefix}{text}"), 200) {
            prop_assert!(channel.name().ends_with(channel.base()) && channel.name().is_ascii());
        }
        let _ = text.parse::<SocketId>();
        let _ = unescape(&text);
        let parameters = query(&text);
        let request = SignedRequest { method: "POST", path: &text, parameters: &parameters, body: text.as_bytes() };
        prop_assert!(Signer::new("key", "secret").check_request(&request, 0, 600).is_err());
        let signer = Signer::new("key", "secret");
        prop_assert!(!signer.opens_channel(&text, SocketId(1, 2), "private-x", None));
    }

    /// Goal: whatever stands in it, what the server writes is one JSON object, and data is a string.
    #[test]
    fn what_is_written_is_json(event in ".*", channel in ".*", data in nearly()) {
        let payload = protocol::pusher::event::payload(&event, &data);
        let published = protocol::pusher::event::published(&payload, Some(&event));
        let message = ServerMessage::Event { event: &event, channel: &channel, data: published.data, user_id: None };
        let mut written = Vec::new();
        message.write(&mut written);
        let read: serde_json::Value = serde_json::from_slice(&written).unwrap();
        prop_assert_eq!(read["event"].as_str(), Some(event.as_str()));
        prop_assert_eq!(read["channel"].as_str(), Some(channel.as_str()));
        prop_assert!(read["data"].is_string());
    }
}
