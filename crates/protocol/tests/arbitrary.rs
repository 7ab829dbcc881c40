//! Bytes of any kind are refused or read, never a panic. [`decode`] is what a fuzzer calls, too; the golden files are
//! its seeds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::prelude::*;
use protocol::centrifuge::{Dialect, Request, minify};

/// Gives `bytes` to every decoder of a dialect. What is read is written so that it reads the same again.
fn decode(dialect: Dialect, bytes: &[u8]) {
    for command in dialect.commands(bytes).flatten() {
        let mut written = Vec::new();
        dialect.write_command(&mut written, &command);
        assert_eq!(dialect.commands(&written).next().unwrap().unwrap(), command);
        if let Request::Subscribe(request) = &command.request
            && let Some(filter) = &request.filter
            && let Ok(filter) = filter.check()
        {
            filter.passes(|key| (key.len() > 3).then_some("12"));
        }
    }
    for reply in dialect.replies(bytes).flatten() {
        let mut written = Vec::new();
        dialect.write_reply(&mut written, &reply);
        assert_eq!(dialect.replies(&written).next().unwrap().unwrap(), reply);
    }
    let messages = dialect.commands(bytes).count();
    assert!((1..=bytes.len() + 1).contains(&messages), "every message takes a byte");
    drop(dialect.connect_request(bytes));
    if let Ok(request) = dialect.emulation_request(bytes) {
        dialect.commands(&request.data).for_each(drop);
    }
}

static SEEDS: LazyLock<Vec<(Dialect, Vec<u8>)>> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let dialect = |path: &PathBuf| match path.extension().unwrap().to_str().unwrap() {
        "json" => Dialect::Json,
        _ => Dialect::Protobuf,
    };
    files.iter().map(|path| (dialect(path), std::fs::read(path).unwrap())).collect()
});

/// A golden message with some bytes changed, left out or put in.
fn damaged() -> impl Strategy<Value = (Dialect, Vec<u8>)> {
    let damage = (any::<prop::sample::Index>(), 0..6_usize, prop::collection::vec(any::<u8>(), 0..4));
    let edits = prop::collection::vec(damage, 1..4);
    (0..SEEDS.len(), edits).prop_map(|(seed, edits)| {
        let (dialect, mut bytes) = SEEDS[seed].clone();
        for (at, removed, added) in edits {
            let from = at.index(bytes.len() + 1);
            let to = (from + removed).min(bytes.len());
            bytes.splice(from..to, added);
        }
        (dialect, bytes)
    })
}

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
        decode(Dialect::Json, text.as_bytes());
        let lines = text.lines().count() + 2;
        prop_assert!(Dialect::Json.commands(text.as_bytes()).count() <= lines);
        prop_assert!(Dialect::Json.replies(text.as_bytes()).count() <= lines);
    }

    #[test]
    fn noise_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decode(Dialect::Json, &bytes);
        decode(Dialect::Protobuf, &bytes);
    }

    #[test]
    fn damaged_messages_are_read_or_refused((dialect, bytes) in damaged()) {
        decode(dialect, &bytes);
        decode(dialect, &[SEEDS[0].1.as_slice(), &bytes].concat());
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

/// Goal: lengths are believed only as far as there are bytes.
#[test]
fn announced_lengths_allocate_nothing() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0x07]; // 2 GiB - 1
    let within = |content: &[u8]| [&[u8::try_from(content.len()).unwrap()], content].concat();
    for frame in [
        huge.to_vec(),
        within(&[&[5 << 3 | 2], &huge[..]].concat()), // subscribe
        within(&[&[5 << 3 | 2, 6, 1 << 3 | 2], &huge[..]].concat()), // its channel
        within(&[&[7 << 3 | 2, 6, 2 << 3 | 2], &huge[..]].concat()), // payload of a publish
        within(&[&[4 << 3 | 2, 6, 3 << 3 | 2], &huge[..]].concat()), // subs of a connect
        within(&[&[5 << 3 | 2, 8, 13 << 3 | 2, 6, 6 << 3 | 2], &huge[..]].concat()), // a filter's node
    ] {
        let read: Vec<_> = Dialect::Protobuf.commands(&frame).collect();
        assert!(matches!(&read[..], [Err(_)]), "{frame:?} is {read:?}");
    }
}
