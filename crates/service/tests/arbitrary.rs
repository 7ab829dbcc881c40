//! Text of any kind is believed or refused as a token, never a panic. `scripts/fuzz.sh` runs these for longer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::LazyLock;

use domain::{Claims, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use service::{ForeignKey, ForeignVerifier, TokenSigner};

const NOW: i64 = 1_800_000_000;

static SIGNER: LazyLock<TokenSigner> =
    LazyLock::new(|| TokenSigner::from_pem(&TokenSigner::generate_pem()).unwrap());

fn now() -> Timestamp {
    Timestamp::from_microsecond(NOW * 1_000_000).unwrap()
}

/// Shows the text to every verifier; whether our own believed it.
fn is_believed(token: &str) -> bool {
    let keys =
        vec![ForeignKey::secret("secret").unwrap(), ForeignKey::public_pem(&SIGNER.public_pem()).unwrap()];
    let foreign = ForeignVerifier { keys, issuer: None, audience: None };
    let _ = foreign.verify::<Value>(token, now()); // what it says is for the hub to judge
    SIGNER.verifier().verify::<Claims>(token, "munadi", "festival", now()).is_ok()
}

fn claims() -> Value {
    json!({ "iss": "munadi", "aud": "festival", "sub": "7", "sid": "s", "roles": ["attendee"], "iat": NOW, "exp": NOW + 60 })
}

/// What a claim may be by mistake or malice.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        prop::collection::vec(any::<u32>(), 0..4).prop_map(Value::from),
        Just(json!({ "exp": { "exp": [] } })),
    ]
}

proptest! {
    #[test]
    fn tokens_are_believed_or_refused(
        text in prop_oneof![".*", "[A-Za-z0-9_-]{0,200}(\\.[A-Za-z0-9_-]{0,200}){0,4}"],
    ) {
        prop_assert!(!is_believed(&text));
    }

    #[test]
    fn damaged_tokens_are_refused(
        at in any::<prop::sample::Index>(),
        removed in 0..4_usize,
        added in "[A-Za-z0-9_.-]{0,3}",
    ) {
        let whole = SIGNER.sign(&claims());
        prop_assert!(is_believed(&whole));
        let from = at.index(whole.len() + 1);
        let to = (from + removed).min(whole.len());
        let mut damaged = whole.clone();
        damaged.replace_range(from..to, &added);
        prop_assert!(damaged == whole || !is_believed(&damaged), "{damaged}");
    }

    #[test]
    fn signed_nonsense_is_believed_or_refused(
        name in "iss|aud|sub|sid|roles|iat|exp|nbf|topics",
        value in any_value(),
    ) {
        let mut claims = claims();
        claims[name] = value;
        is_believed(&SIGNER.sign(&claims));
    }
}
