//! What is believed, and everything that is not.

use domain::{Claims, Role};
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_790_000_000;

fn now() -> Timestamp {
    Timestamp::from_microsecond(NOW * 1_000_000).unwrap()
}

fn signer() -> TokenSigner {
    TokenSigner::from_pem(&TokenSigner::generate_pem()).unwrap()
}

fn claims() -> Claims {
    Claims {
        iss: "munadi".into(),
        aud: "festival".into(),
        sub: "42".into(),
        sid: "s1".into(),
        roles: vec![Role::Organizer],
        iat: NOW,
        exp: NOW + 600,
        topics: vec![],
    }
}

/// The claims of the table's tokens with some of them replaced; `null` removes one.
fn claims_with(changes: &Value) -> Value {
    let mut all = serde_json::to_value(claims()).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => all.as_object_mut().unwrap().remove(name),
            value => all.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    all
}

fn verify(verifier: &TokenVerifier, token: &str) -> Result<Claims, TokenError> {
    verifier.verify(token, "munadi", "festival", now())
}

#[test]
fn what_was_signed_is_believed_by_whoever_has_the_public_key() {
    let signer = signer();
    let token = signer.sign(&claims());
    assert_eq!(verify(&signer.verifier(), &token).unwrap(), claims());
    let elsewhere = TokenVerifier::from_public_pem(&[signer.public_pem()]).unwrap();
    assert_eq!(verify(&elsewhere, &token).unwrap(), claims());
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::EdDSA, Some("at+jwt")));
    assert_eq!(header.kid.map(|id| id.len()), Some(16));
}

#[test]
fn a_new_key_is_believed_next_to_the_old_one() {
    let (old, new) = (signer(), signer());
    let both = new.verifier().and(&old.verifier());
    assert!(verify(&both, &old.sign(&claims())).is_ok());
    assert!(verify(&both, &new.sign(&claims())).is_ok());
    assert_eq!(verify(&new.verifier(), &old.sign(&claims())), Err(TokenError::UnknownKey));
}

#[test]
fn claims_decide_in_a_documented_order() {
    let signer = signer();
    let table = [
        (json!({}), Ok(())),
        (json!({"iat": NOW + 60}), Ok(())),
        (json!({"exp": NOW + 1}), Ok(())),
        (json!({"exp": NOW}), Err(TokenError::Expired)),
        (json!({"exp": NOW - 1, "iss": "else"}), Err(TokenError::Expired)),
        (json!({"iat": NOW + 61}), Err(TokenError::NotYetValid)),
        (json!({"nbf": NOW + 61}), Err(TokenError::NotYetValid)),
        (json!({"nbf": i64::MAX}), Err(TokenError::NotYetValid)),
        (json!({"iss": "munadi2"}), Err(TokenError::Issuer)),
        (json!({"aud": "festival2"}), Err(TokenError::Audience)),
        (json!({"aud": ["festival"]}), Err(TokenError::Malformed)),
        (json!({"exp": null}), Err(TokenError::Malformed)),
        (json!({"exp": "tomorrow"}), Err(TokenError::Malformed)),
        (json!({"iss": null}), Err(TokenError::Malformed)),
        (json!({"aud": null}), Err(TokenError::Malformed)),
        (json!({"sub": 42}), Err(TokenError::Malformed)),
        (json!({"roles": ["emperor"]}), Err(TokenError::Malformed)),
    ];
    for (changes, expected) in table {
        let token = signer.sign(&claims_with(&changes));
        assert_eq!(verify(&signer.verifier(), &token).map(|_| ()), expected, "{changes}");
    }
}

#[test]
fn forged_tokens_are_refused() {
    let signer = signer();
    let verifier = signer.verifier();
    let good = signer.sign(&claims());
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };

    let admin = self::signer().sign(&claims_with(&json!({"roles": ["admin"]})));
    let foreign_payload = admin.split('.').nth(1).unwrap();
    assert_eq!(
        verify(&verifier, &format!("{header}.{foreign_payload}.{signature}")),
        Err(TokenError::Signature)
    );
    assert_eq!(verify(&verifier, &format!("{header}.{payload}.")), Err(TokenError::Signature));

    // alg none, with and without a signature
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0";
    assert_eq!(verify(&verifier, &format!("{none}.{payload}.")), Err(TokenError::Malformed));
    assert_eq!(verify(&verifier, &format!("{none}.{payload}.{signature}")), Err(TokenError::Malformed));
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    let signer = signer();
    let key = signer.key.verifying_key();
    for secret in [signer.public_pem().into_bytes(), key.as_bytes().to_vec()] {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some("at+jwt".into());
        header.kid = Some(key_id(&key));
        let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(verify(&signer.verifier(), &token), Err(TokenError::Malformed));
    }
}

#[test]
fn a_token_of_another_type_or_without_its_key_is_refused() {
    let signer = signer();
    let mut header = signer.header.clone();
    header.typ = Some("JWT".into());
    let token = jsonwebtoken::encode(&header, &claims(), &signer.encoding).unwrap();
    assert_eq!(verify(&signer.verifier(), &token), Err(TokenError::Malformed));
    header.typ = Some("at+jwt".into());
    for id in [None, Some(String::new()), Some("0000000000000000".to_owned())] {
        header.kid = id;
        let token = jsonwebtoken::encode(&header, &claims(), &signer.encoding).unwrap();
        assert_eq!(verify(&signer.verifier(), &token), Err(TokenError::UnknownKey));
    }
}

#[test]
fn garbage_is_malformed() {
    let verifier = signer().verifier();
    let long = "a".repeat(TOKEN_BYTES_MAX + 1);
    for garbage in ["", ".", "..", "...", "a.b.c", "Bearer x", "🎪.🎪.🎪", "eyJ9.eyJ9.eyJ9", &long] {
        assert_eq!(verify(&verifier, garbage), Err(TokenError::Malformed), "{garbage}");
    }
}

#[test]
fn keys_of_another_kind_are_refused_and_none_is_shown() {
    let signer = signer();
    assert!(TokenSigner::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_err());
    assert!(TokenSigner::from_pem(&signer.public_pem()).is_err());
    assert!(TokenVerifier::from_public_pem(&[TokenSigner::generate_pem()]).is_err());
    let shown = format!("{signer:?}");
    assert!(shown.contains("kid") && !shown.contains("key: "), "{shown}");
}
