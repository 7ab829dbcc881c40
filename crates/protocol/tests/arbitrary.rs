//! Bytes of any kind are refused or read, never a panic.

use proptest::prelude::*;
use protocol::centrifuge::{Dialect, minify};

/// Text that is nearly a command: JSON punctuation, the protocol's words, and noise.
fn nearly() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\n",
            "\"",
            "\\",
            "null",
            "true",
            "0",
            "-1",
            "1e400",
            "18446744073709551616",
            "\"id\"",
            "\"connect\"",
            "\"subscribe\"",
            "\"channel\"",
            "\"data\"",
            "\"push\"",
            "\"pub\"",
            "\"subs\"",
            "{\"id\":1,\"subscribe\":{\"channel\":\"a\"}}",
            "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn frames_are_read_or_refused(text in nearly()) {
        let lines = text.lines().count() + 2;
        let commands: Vec<_> = Dialect::Json.commands(text.as_bytes()).collect();
        let replies: Vec<_> = Dialect::Json.replies(text.as_bytes()).collect();
        prop_assert!((1..=lines).contains(&commands.len()) && (1..=lines).contains(&replies.len()));
    }

    /// Goal: what was read once is written so that it reads the same again.
    #[test]
    fn what_is_read_is_written_the_same(text in nearly()) {
        for command in Dialect::Json.commands(text.as_bytes()).flatten() {
            let mut written = Vec::new();
            Dialect::Json.write_command(&mut written, &command);
            let again = Dialect::Json.commands(&written).next().unwrap().unwrap();
            prop_assert_eq!(command, again);
        }
    }

    #[test]
    fn minified_payloads_are_the_same_document_on_one_line(bytes in prop::collection::vec(any::<u8>(), 0..200), text in nearly()) {
        for document in [&bytes[..], text.as_bytes()] {
            if let Ok(line) = minify(document) {
                prop_assert!(!line.contains(&b'\n'));
                let before: serde_json::Result<serde_json::Value> = serde_json::from_slice(document);
                if let Ok(before) = before {
                    prop_assert_eq!(before, serde_json::from_slice::<serde_json::Value>(&line).unwrap());
                }
            }
        }
    }
}
