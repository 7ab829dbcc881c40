//! The token endpoint: assertions are verified, access tokens expire.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use domain::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde::Deserialize;

/// The scope that lets an account send messages.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// Longest life of an assertion, in seconds.
const ASSERTION_LIFE_MAX: i64 = 3_600;
/// How far clocks may differ, in seconds.
const CLOCK_SKEW_MAX: i64 = 60;

/// A service account's key: made once per process, for primes take their time.
pub(super) static ACCOUNT_KEY: LazyLock<AccountKey> = LazyLock::new(|| {
    let key =
        rsa::RsaPrivateKey::new(&mut p256::elliptic_curve::rand_core::OsRng, 2_048).expect("2,048 bits work");
    AccountKey {
        private_pem: key.to_pkcs8_pem(LineEnding::LF).expect("the key is well-formed").to_string(),
        public_pem: key.to_public_key().to_public_key_pem(LineEnding::LF).expect("the key is well-formed"),
    }
});

/// A key pair in PEM.
pub(super) struct AccountKey {
    pub(super) private_pem: String,
    pub(super) public_pem: String,
}

/// Access tokens that were handed out.
#[derive(Default)]
pub(super) struct Tokens {
    expire_at: HashMap<String, Timestamp>,
    made: usize,
    requests: usize,
    failures: Vec<(u16, &'static str)>,
}

#[derive(Deserialize)]
struct Assertion {
    iss: String,
    scope: String,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// Requests to the endpoint so far.
    pub(super) fn requests(&self) -> usize {
        self.requests
    }

    /// Answers the next requests with these, the last of them first.
    pub(super) fn fail(&mut self, failures: Vec<(u16, &'static str)>) {
        self.failures = failures;
    }

    /// Makes every access token invalid.
    pub(super) fn revoke(&mut self) {
        self.expire_at.clear();
    }

    /// Whether `token` is known and not expired.
    pub(super) fn is_valid(&self, token: &str, now: Timestamp) -> bool {
        self.expire_at.get(token).is_some_and(|expires_at| now < *expires_at)
    }

    /// Exchanges the assertion in `form`; the error is a status and Google's word.
    pub(super) fn exchange(
        &mut self,
        form: &[u8],
        rules: (&str, &str),
        life: Duration,
        now: Timestamp,
    ) -> Result<String, (u16, &'static str)> {
        self.requests += 1;
        if let Some(failure) = self.failures.pop() {
            return Err(failure);
        }
        let (email, token_uri) = rules;
        let assertion = assertion_of(form)?;
        let key =
            DecodingKey::from_rsa_pem(ACCOUNT_KEY.public_pem.as_bytes()).map_err(|_| (500, "internal"))?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.set_audience(&[token_uri]);
        validation.set_required_spec_claims(&["aud", "exp", "iss"]);
        let claims = jsonwebtoken::decode::<Assertion>(&assertion, &key, &validation)
            .map_err(|_| (400, "invalid_grant"))?
            .claims;
        let seconds = now.as_second();
        let in_time = claims.iat <= seconds + CLOCK_SKEW_MAX
            && claims.exp > seconds
            && claims.exp - claims.iat <= ASSERTION_LIFE_MAX;
        if claims.iss != email || !in_time {
            return Err((400, "invalid_grant"));
        }
        if claims.scope != SCOPE {
            return Err((400, "invalid_scope"));
        }
        self.made += 1;
        let token = format!("ya29.stand-in-{}-{}", self.made, uuid::Uuid::new_v4().simple());
        self.expire_at.insert(token.clone(), now + life);
        Ok(token)
    }
}

fn assertion_of(form: &[u8]) -> Result<String, (u16, &'static str)> {
    let fields: HashMap<String, String> = url::form_urlencoded::parse(form).into_owned().collect();
    match fields.get("grant_type").map(String::as_str) {
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {}
        _ => return Err((400, "unsupported_grant_type")),
    }
    fields.get("assertion").cloned().ok_or((400, "invalid_request"))
}
