use proptest::prelude::*;

use super::*;

/// The literals of a delta.
fn literals(delta: &[u8]) -> Vec<&[u8]> {
    let (_, mut rest) = number(delta).unwrap();
    rest = &rest[1..];
    let mut found = Vec::new();
    loop {
        let (count, after) = number(rest).unwrap();
        rest = match after[0] {
            b'@' => &number(&after[1..]).unwrap().1[1..],
            b':' => {
                found.push(&after[1..=count]);
                &after[1 + count..]
            }
            _ => return found,
        };
    }
}

const MOVED: &str = r#"{"type":"event.moved","id":17,"title":"السماء صافية فوق العلمين الليلة","venue":5}"#;
const MOVED_ON: &str =
    r#"{"type":"event.moved","id":17,"title":"السماء صافية فوق العلمين الليلة","venue":12}"#;

/// Goal: the text of the format, with the checksums of an independent implementation.
#[test]
fn deltas_are_written_as_the_format_has_it() {
    for (base, target, delta) in [
        ("", "", "0\n0;"),
        ("", "a", "1\n1:a1X0000;"),
        ("abcd", "abcd", "4\n4@0,1XObD_;"),
        ("abcd", "", "0\n0;"),
        (r#"{"n":1}"#, r#"{"n":2}"#, "7\n5@0,1:21@6,2qLEhY;"),
        ("1 Москва", "2 Москва", "E\n1:2D@1,2_IcBF;"),
        (MOVED, MOVED_ON, "1j\n1g@0,2:121@1h,wgf6_;"),
    ] {
        let made = create(base.as_bytes(), target.as_bytes());
        assert_eq!(String::from_utf8(made).unwrap(), delta, "{base:?} to {target:?}");
    }
}

/// Goal: what the `fossil-delta` package of npm makes is applied.
#[test]
fn foreign_deltas_are_applied() {
    for (base, target, delta) in [
        ("", "", "0\n0:0;"),
        ("abcd", "abcd", "4\n4:abcd1XObD_;"),
        (r#"{"n":1}"#, r#"{"n":2}"#, "7\n7:{\"n\":2}2qLEhY;"),
        ("1 Москва", "2 Москва", "E\nE:2 Москва2_IcBF;"),
        (MOVED, MOVED_ON, "1j\n1g@0,3:12}wgf6_;"),
    ] {
        assert_eq!(apply(base.as_bytes(), delta.as_bytes()).unwrap(), target.as_bytes(), "{delta:?}");
    }
}

#[test]
fn numbers_are_base_64() {
    for (value, digits) in [
        (0, "0"),
        (9, "9"),
        (10, "A"),
        (35, "Z"),
        (36, "_"),
        (37, "a"),
        (62, "z"),
        (63, "~"),
        (64, "10"),
        (4095, "~~"),
    ] {
        let mut writer = Writer(Vec::new());
        writer.number(value);
        assert_eq!(writer.0, digits.as_bytes());
        assert_eq!(number(digits.as_bytes()).unwrap(), (value, &b""[..]));
    }
}

/// Goal: the payloads of the centrifuge-js delta tests compress: long text, a counter that changes.
#[test]
fn a_changed_counter_costs_little() {
    let payload =
        |count: u32| format!(r#"{{"count":{count},"text":"{}","end":{count}}}"#, "lorem ipsum ".repeat(50));
    let delta = create(payload(1).as_bytes(), payload(22).as_bytes());
    assert!(delta.len() < 64, "{} bytes: {}", delta.len(), String::from_utf8_lossy(&delta));
}

#[test]
fn a_piece_that_moved_is_found() {
    let (one, other) = ("السماء صافية فوق العلمين الليلة ", "Москва слезам не верит, но это не точно ");
    let base = format!("{one}x{other}y{one}");
    let target = format!("{other}{one}ё{other}");
    let delta = create(base.as_bytes(), target.as_bytes());
    assert!(delta.len() < 60, "{} bytes", delta.len());
    assert_eq!(apply(base.as_bytes(), &delta).unwrap(), target.as_bytes());
    assert!(std::str::from_utf8(&delta).is_ok());
}

/// Goal: one letter of an alphabet whose letters share their first byte is replaced (upstream's bug 630).
#[test]
fn characters_stay_whole() {
    let letters: Vec<char> =
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюяابتثجحخدذرزسشصضطظعغفقكلمنهوي🎪🎭é".chars().collect();
    for before in &letters {
        for after in &letters {
            let (base, target) = (format!("наш {before} город"), format!("наш {after} город"));
            let delta = create(base.as_bytes(), target.as_bytes());
            assert!(std::str::from_utf8(&delta).is_ok(), "{before} to {after}");
            assert_eq!(apply(base.as_bytes(), &delta).unwrap(), target.as_bytes());
        }
    }
}

#[test]
fn deltas_that_lie_are_refused() {
    for (delta, fault) in [
        ("", DeltaError::Malformed),
        ("4", DeltaError::Malformed),
        ("4\n", DeltaError::Malformed),
        ("4\n4@0", DeltaError::Malformed),
        ("4\n4@0,", DeltaError::Malformed),
        ("4\n4!0,1;", DeltaError::Malformed),
        ("4\n9:abcd", DeltaError::Malformed),
        ("4\n4@0,1;x", DeltaError::Malformed),
        ("zzzzzzzzzzzzzzzz\n0;", DeltaError::Malformed),
        ("4\n4@1,0;", DeltaError::OutOfBase),
        ("4\n~~~~~~~~~~@~~~~~~~~~~,0;", DeltaError::OutOfBase),
        ("3\n4@0,0;", DeltaError::Length),
        ("5\n4@0,0;", DeltaError::Length),
        ("4\n4@0,1;", DeltaError::Checksum),
    ] {
        assert_eq!(apply(b"abcd", delta.as_bytes()), Err(fault), "{delta:?}");
    }
}

/// Goal: payloads made to collide take no longer than others.
#[test]
fn repetition_takes_linear_time() {
    let mut base = b"ab".repeat(500_000);
    base[0] = b'x';
    let mut target = b"ab".repeat(500_000);
    target.push(b'y');
    target[999_998] = b'z';
    let delta = create(&base, &target);
    assert!(delta.len() < 100);
    assert_eq!(apply(&base, &delta).unwrap(), target);
}

fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "{\"type\":\"event.moved\",\"id\":",
            "مسرح العلمين",
            "الليلة",
            "Москва",
            "Ёлка",
            "🎪",
            "é",
            "e\u{301}",
            "\\n",
            "},",
        ])
        .prop_map(str::to_owned),
        "[а-яا-ي]{0,6}",
        "[0-9]{1,4}",
    ];
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

/// A text and what becomes of it by a few edits.
fn edited() -> impl Strategy<Value = (String, String)> {
    let edit = (any::<prop::sample::Index>(), 0..12_usize, text());
    (text(), prop::collection::vec(edit, 0..4)).prop_map(|(base, edits)| {
        let mut target: Vec<char> = base.chars().collect();
        for (at, removed, added) in edits {
            let from = at.index(target.len() + 1);
            let to = (from + removed).min(target.len());
            target.splice(from..to, added.chars().take(removed + 3));
        }
        (base, target.into_iter().collect())
    })
}

proptest! {
    #[test]
    fn applying_gives_the_target_back((base, target) in edited()) {
        let delta = create(base.as_bytes(), target.as_bytes());
        prop_assert!(std::str::from_utf8(&delta).is_ok());
        for literal in literals(&delta) {
            prop_assert!(std::str::from_utf8(literal).is_ok());
        }
        prop_assert_eq!(apply(base.as_bytes(), &delta).unwrap(), target.as_bytes());
    }

    #[test]
    fn unrelated_texts_and_bytes_come_back_too(base in text(), target in text(), noise in prop::collection::vec(0..4_u8, 0..300)) {
        for (base, target) in [
            (base.as_bytes(), target.as_bytes()),
            (base.as_bytes(), &noise),
            (&noise, target.as_bytes()),
            (&noise[noise.len() / 2..], &noise),
        ] {
            prop_assert_eq!(apply(base, &create(base, target)).unwrap(), target);
        }
    }

    #[test]
    fn any_delta_is_applied_or_refused(base in text(), delta in "[0-9A-Z_a-z~]{1,2}\n([0-9~]{1,2}[@:;][0-9]{0,2},?){0,6}[0-9]{1,3};", noise in any::<Vec<u8>>()) {
        for delta in [delta.as_bytes(), &noise] {
            if let Ok(target) = apply(base.as_bytes(), delta) {
                prop_assert!(target.len() <= base.len() * delta.len() + delta.len());
            }
        }
    }
}
