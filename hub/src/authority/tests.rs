//! What each claim gives, and what makes a token worthless.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::Role;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use service::token::{ForeignKey, TokenSigner};
use sha2::Sha256;

use super::*;

const NOW: i64 = 1_790_000_000;

fn now() -> Timestamp {
    instant(NOW).unwrap()
}

/// A token as a back end makes it, without any library of ours.
fn token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn authority(signer: &TokenSigner) -> Authority {
    Authority {
        tokens: signer.verifier(),
        issuer: "i".into(),
        audience: "a".into(),
        foreign: ForeignVerifier {
            keys: vec![ForeignKey::secret("secret").unwrap()],
            ..ForeignVerifier::default()
        },
        personal_topic: false,
        insecure: false,
        receipt_key: ReceiptKey::new([1; 32]),
        revocations: crate::revocations::Revocations::new(&crate::config::Revocations::default()),
    }
}

fn signer() -> TokenSigner {
    TokenSigner::from_pem(&TokenSigner::generate_pem()).unwrap()
}

fn identify(claims: &Value) -> Result<Identity, TokenRefused> {
    authority(&signer()).identify(&token(claims), now())
}

fn pass(claims: &Value) -> Result<Pass, TokenRefused> {
    authority(&signer()).pass(&token(claims), now())
}

#[test]
fn a_token_of_our_own_gives_a_principal_and_the_users_topic() {
    let signer = signer();
    let claims = Claims {
        iss: "i".into(),
        aud: "a".into(),
        sub: "4".into(),
        sid: "s".into(),
        roles: vec![Role::Attendee],
        iat: NOW,
        exp: NOW + 60,
        topics: vec![Topic::festival(), Topic::user(UserId(4))],
    };
    let identity = authority(&signer).identify(&signer.sign(&claims), now()).unwrap();
    let topics: Vec<_> = identity.grants.iter().map(|grant| grant.topic.as_str()).collect();
    assert_eq!((&*identity.user, topics), ("4", vec!["user:4", "festival"]));
    assert_eq!((identity.principal.unwrap().user_id, identity.expires_at), (UserId(4), instant(NOW + 60)));
    let late = Claims { exp: NOW, ..claims.clone() };
    assert_eq!(authority(&signer).identify(&signer.sign(&late), now()), Err(TokenRefused::Expired));
    let others = Claims { iss: "j".into(), ..claims };
    assert_eq!(authority(&signer).identify(&signer.sign(&others), now()), Err(TokenRefused::Invalid));
}

#[test]
fn a_foreign_token_gives_what_its_claims_say() {
    let identity = identify(&json!({
        "sub": "ali", "exp": NOW + 60, "info": { "name": "علي" }, "meta": { "kept": "away" },
        "channels": ["chat:1", "chat:2"],
        "subs": { "chat:2": { "data": [1], "b64info": STANDARD.encode(" {\n}"),
            "override": { "presence": { "value": true }, "force_recovery": { "value": false } } } },
    }));
    let identity = identity.unwrap();
    assert_eq!((&*identity.user, identity.principal, identity.expires_at), ("ali", None, instant(NOW + 60)));
    assert_eq!(identity.info.unwrap(), r#"{"name":"علي"}"#);
    let [two, one] = &identity.grants[..] else { panic!("{:?}", identity.grants) };
    assert_eq!(one, &Grant::of(Topic::new("chat:1").unwrap(), false));
    let extra = two.extra.clone().unwrap();
    assert_eq!(
        (two.topic.as_str(), extra.data.as_deref(), extra.info.as_deref()),
        ("chat:2", Some(&b"[1]"[..]), Some(&b"{}"[..]))
    );
    let expected = Overrides { presence: Some(true), force_recovery: Some(false), ..Overrides::default() };
    assert_eq!(extra.overrides, expected);
}

#[test]
fn who_names_no_user_is_nobody_in_particular() {
    let identity = identify(&json!({})).unwrap();
    assert_eq!((&*identity.user, identity.grants.len(), identity.expires_at), ("", 0, None));
}

#[test]
fn a_connection_may_outlive_its_token_or_end_before() {
    let expires_at = |claims| identify(&claims).map(|identity| identity.expires_at);
    assert_eq!(expires_at(json!({ "exp": NOW + 1, "expire_at": 0 })), Ok(None));
    assert_eq!(expires_at(json!({ "exp": NOW + 1, "expire_at": NOW + 9 })), Ok(instant(NOW + 9)));
    assert_eq!(expires_at(json!({ "exp": NOW, "expire_at": NOW + 9 })), Err(TokenRefused::Expired));
    assert_eq!(expires_at(json!({ "exp": NOW + 1, "expire_at": NOW })), Err(TokenRefused::Ended));
    assert_eq!(expires_at(json!({ "expire_at": 1e30 })), Err(TokenRefused::Invalid));
}

#[test]
fn claims_that_make_no_sense_are_refused() {
    for claims in [
        json!({ "sub": "1", "channel": "chat:1" }),
        json!({ "sub": 1 }),
        json!({ "channels": ["a b"] }),
        json!({ "channels": "chat:1" }),
        json!({ "subs": { "": {} } }),
        json!({ "b64info": "?" }),
        json!({ "b64info": STANDARD.encode("{") }),
    ] {
        assert_eq!(identify(&claims), Err(TokenRefused::Invalid), "{claims}");
    }
    assert_eq!(pass(&json!({ "sub": "1" })), Err(TokenRefused::Invalid));
}

#[test]
fn a_personal_topic_is_a_matter_of_configuration() {
    let authority = Authority { personal_topic: true, ..authority(&signer()) };
    let topics = |claims: Value| {
        let identity = authority.identify(&token(&claims), now()).unwrap();
        identity.grants.iter().map(|grant| grant.topic.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(topics(json!({ "sub": "ali", "channels": ["a"] })), ["user:ali", "a"]);
    assert_eq!(topics(json!({ "sub": "ali", "channels": ["user:ali"] })), ["user:ali"]);
    assert_eq!(topics(json!({})), [""; 0]);
}

#[test]
fn a_subscription_token_gives_what_its_claims_say() {
    let found = pass(
        &json!({ "sub": "ali", "channel": "chat:1", "client": "c", "exp": NOW + 5, "data": { "a": 1 } }),
    );
    let expected = Pass {
        topic: Topic::new("chat:1").unwrap(),
        user: "ali".into(),
        client: Some("c".into()),
        info: None,
        data: Some(Bytes::from_static(br#"{"a":1}"#)),
        overrides: Overrides::default(),
        expires_at: instant(NOW + 5),
    };
    assert_eq!(found, Ok(expected));
    assert_eq!(pass(&json!({ "channel": "a", "exp": NOW })), Err(TokenRefused::Expired));
    assert_eq!(pass(&json!({ "channel": "a", "expire_at": NOW })), Err(TokenRefused::Ended));
}

/// Goal: without a configured key nothing foreign is believed, and in the insecure mode signatures still matter.
#[test]
fn only_configured_keys_open_anything() {
    let signer = signer();
    let closed = Authority { foreign: ForeignVerifier::default(), ..authority(&signer) };
    assert_eq!(closed.identify(&token(&json!({ "sub": "1" })), now()), Err(TokenRefused::Invalid));
    let insecure = Authority { insecure: true, ..authority(&signer) };
    let identity = insecure.identify(&token(&json!({ "sub": "1", "exp": NOW + 5 })), now()).unwrap();
    assert_eq!(identity.expires_at, None);
    let forged = format!("{}x", token(&json!({ "sub": "1" })));
    assert_eq!(insecure.identify(&forged, now()), Err(TokenRefused::Invalid));
}
