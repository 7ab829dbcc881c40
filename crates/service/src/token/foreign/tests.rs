//! What is believed of a foreign issuer, and everything that is not. The keys in `keys/` exist for this test alone.

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::*;

const NOW: i64 = 1_790_000_000;

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!("keys/", $name))
    };
}

fn now() -> Timestamp {
    Timestamp::from_microsecond(NOW * 1_000_000).unwrap()
}

fn token(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
}

fn with_secret(claims: &Value) -> String {
    token(Algorithm::HS256, &EncodingKey::from_secret(b"secret"), claims)
}

fn believing(keys: impl IntoIterator<Item = ForeignKey>) -> ForeignVerifier {
    ForeignVerifier { keys: keys.into_iter().collect(), ..ForeignVerifier::default() }
}

fn private(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(key!("p256.pem").as_bytes()),
        Algorithm::ES384 => EncodingKey::from_ec_pem(key!("p384.pem").as_bytes()),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(key!("ed25519.pem").as_bytes()),
        _ if algorithm.family() == AlgorithmFamily::Rsa => {
            EncodingKey::from_rsa_pem(key!("rsa.pem").as_bytes())
        }
        _ => Ok(EncodingKey::from_secret(b"secret")),
    }
    .unwrap()
}

const ALL: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

fn keys() -> [(AlgorithmFamily, ForeignKey); 5] {
    let public = |pem| ForeignKey::public_pem(pem).unwrap();
    [
        (AlgorithmFamily::Hmac, ForeignKey::secret("secret").unwrap()),
        (AlgorithmFamily::Rsa, public(key!("rsa.pub"))),
        (AlgorithmFamily::Ec, public(key!("p256.pub"))),
        (AlgorithmFamily::Ec, public(key!("p384.pub"))),
        (AlgorithmFamily::Ed, public(key!("ed25519.pub"))),
    ]
}

/// Goal: each key believes the algorithms of its own kind and no other, whatever the header says.
#[test]
fn the_key_decides_which_algorithms_are_believed() {
    let believed: Vec<Vec<Algorithm>> = keys()
        .into_iter()
        .map(|(_, key)| {
            let verifier = believing([key]);
            let believes = |algorithm: &Algorithm| {
                let token = token(*algorithm, &private(*algorithm), &json!({ "sub": "1" }));
                verifier.verify::<Value>(&token, now()).is_ok()
            };
            ALL.into_iter().filter(believes).collect()
        })
        .collect();
    let expected: [&[Algorithm]; 5] = [&ALL[..3], &ALL[3..9], &ALL[9..10], &ALL[10..11], &ALL[11..]];
    assert_eq!(believed, expected);
}

/// Goal: a public key, which everybody knows, is no shared secret.
#[test]
fn a_token_signed_with_a_public_key_as_secret_is_refused() {
    for pem in [key!("rsa.pub"), key!("p256.pub"), key!("ed25519.pub")] {
        let forged = token(Algorithm::HS256, &EncodingKey::from_secret(pem.as_bytes()), &json!({}));
        let verifier = believing([ForeignKey::public_pem(pem).unwrap()]);
        assert_eq!(verifier.verify::<Value>(&forged, now()), Err(TokenError::UnknownKey));
    }
}

#[test]
fn tokens_without_a_signature_are_refused() {
    let verifier = believing(keys().map(|(_, key)| key));
    // {"alg":"none"} and {"alg":"ES512"}, then {}
    for forged in ["eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFUzUxMiJ9.e30.AAAA", "", ".", "..", "a.b.c"] {
        assert_eq!(verifier.verify::<Value>(forged, now()), Err(TokenError::Malformed), "{forged}");
    }
    let genuine = with_secret(&json!({ "sub": "1" }));
    let (_, signature) = genuine.rsplit_once('.').unwrap();
    let (other, _) =
        with_secret(&json!({ "sub": "2" })).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.len())).unwrap();
    let mixed = format!("{other}.{signature}");
    assert_eq!(verifier.verify::<Value>(&mixed, now()), Err(TokenError::Signature));
    let long = with_secret(&json!({ "info": "x".repeat(TOKEN_BYTES_MAX) }));
    assert_eq!(verifier.verify::<Value>(&long, now()), Err(TokenError::Malformed));
}

#[test]
fn any_of_the_keys_may_have_signed() {
    let verifier = believing([ForeignKey::secret("old").unwrap(), ForeignKey::secret("secret").unwrap()]);
    assert!(verifier.verify::<Value>(&with_secret(&json!({})), now()).is_ok());
    let verifier = believing([ForeignKey::secret("old").unwrap(), ForeignKey::secret("older").unwrap()]);
    assert_eq!(verifier.verify::<Value>(&with_secret(&json!({})), now()), Err(TokenError::Signature));
}

#[test]
fn times_issuer_and_audience_decide() {
    let open = believing([ForeignKey::secret("secret").unwrap()]);
    let strict = ForeignVerifier { issuer: Some("i".into()), audience: Some("a".into()), ..open.clone() };
    let table = [
        (&open, json!({}), Ok(())),
        (&open, json!({ "exp": NOW + 1 }), Ok(())),
        (&open, json!({ "exp": NOW }), Err(TokenError::Expired)),
        (
            &open,
            json!({ "exp": serde_json::from_str::<serde_json::Value>(&format!("{}.5", NOW + 1)).unwrap() }),
            Ok(()),
        ),
        (&open, json!({ "exp": "soon" }), Err(TokenError::Malformed)),
        (&open, json!({ "nbf": NOW + CLOCK_SKEW_SECONDS, "iat": NOW }), Ok(())),
        (&open, json!({ "nbf": NOW + CLOCK_SKEW_SECONDS + 1 }), Err(TokenError::NotYetValid)),
        (&open, json!({ "iat": NOW + CLOCK_SKEW_SECONDS + 1 }), Err(TokenError::NotYetValid)),
        (&open, json!({ "iss": "anybody", "aud": ["any"] }), Ok(())),
        (&strict, json!({ "iss": "i", "aud": "a" }), Ok(())),
        (&strict, json!({ "iss": "i", "aud": ["b", "a"] }), Ok(())),
        (&strict, json!({ "iss": "i" }), Err(TokenError::Audience)),
        (&strict, json!({ "aud": "a" }), Err(TokenError::Issuer)),
        (&strict, json!({ "iss": "j", "aud": "a", "exp": 1 }), Err(TokenError::Issuer)),
    ];
    for (verifier, claims, expected) in table {
        let found = verifier.verify::<Value>(&with_secret(&claims), now()).map(|_| ());
        assert_eq!(found, expected, "{claims}");
    }
}

#[test]
fn what_is_no_public_key_is_refused() {
    let certificate = key!("rsa.pub").replace("PUBLIC KEY", "CERTIFICATE");
    for text in ["", "secret", key!("rsa.pem"), key!("ed25519.pem"), key!("p521.pub"), &certificate] {
        assert!(ForeignKey::public_pem(text).is_err(), "{text}");
    }
    assert!(ForeignKey::secret("").is_err());
    assert!(!format!("{:?}", ForeignKey::secret("secret").unwrap()).contains("secret"));
}
