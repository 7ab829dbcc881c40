//! Tokens of a foreign issuer: JWTs that an application's own back end signs with a shared secret or a private key.
//!
//! The configured key decides which algorithms are believed; the token's header only chooses among those of its own
//! family. A public key is thus never used as a shared secret, and `none` does not exist. What the claims mean is the
//! caller's.

use std::fmt;
use std::sync::Arc;

use domain::Timestamp;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

use super::{CLOCK_SKEW_SECONDS, TOKEN_BYTES_MAX, TokenError, decode};

/// Bytes of an uncompressed point of P-256 and of P-384.
const P256_POINT_BYTES: usize = 65;
const P384_POINT_BYTES: usize = 97;

/// A text that is no public key that tokens could be checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignKeyError {
    /// Something else than a public key in PEM, a private key among it.
    #[error("not a public key in PEM (SPKI) of RSA, P-256, P-384 or Ed25519")]
    Unknown,
    /// A secret without a character.
    #[error("an empty secret protects nothing")]
    EmptySecret,
}

/// A key of a foreign issuer, with the algorithms that it is for. Cloning is cheap.
#[derive(Clone)]
pub struct ForeignKey(Arc<Inner>);

struct Inner {
    decoding: DecodingKey,
    rules: Validation,
}

/// Checks tokens against the keys of a foreign issuer. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct ForeignVerifier {
    /// Any of these may have signed.
    pub keys: Vec<ForeignKey>,
    /// What `iss` has to be; `None`: anything, or nothing.
    pub issuer: Option<String>,
    /// What `aud` has to be or contain; `None`: anything, or nothing.
    pub audience: Option<String>,
}

/// The claims that decide whether a token is to be believed; all may be missing.
#[derive(Deserialize)]
struct Registered {
    iss: Option<String>,
    aud: Option<Audience>,
    exp: Option<Number>,
    iat: Option<Number>,
    nbf: Option<Number>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl ForeignKey {
    /// A shared secret: HS256, HS384, HS512.
    ///
    /// # Errors
    /// [`ForeignKeyError::EmptySecret`].
    pub fn secret(secret: &str) -> Result<Self, ForeignKeyError> {
        if secret.is_empty() {
            return Err(ForeignKeyError::EmptySecret);
        }
        let algorithms = AlgorithmFamily::Hmac.algorithms();
        Ok(Self::new(DecodingKey::from_secret(secret.as_bytes()), algorithms))
    }

    /// A public key: RS256 to RS512 and PS256 to PS512 with RSA, ES256 with P-256, ES384 with P-384, `EdDSA` with
    /// Ed25519.
    ///
    /// # Errors
    /// [`ForeignKeyError::Unknown`].
    pub fn public_pem(pem: &str) -> Result<Self, ForeignKeyError> {
        let public = ["-----BEGIN PUBLIC KEY-----", "-----BEGIN RSA PUBLIC KEY-----"];
        if !public.iter().any(|label| pem.contains(label)) {
            return Err(ForeignKeyError::Unknown);
        }
        let pem = pem.as_bytes();
        let key = DecodingKey::from_rsa_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_ed_pem(pem))
            .map_err(|_| ForeignKeyError::Unknown)?;
        let algorithms = match key.family() {
            AlgorithmFamily::Ec => match key.try_get_as_bytes().map(<[u8]>::len) {
                Ok(P256_POINT_BYTES) => &[Algorithm::ES256],
                Ok(P384_POINT_BYTES) => &[Algorithm::ES384],
                _ => return Err(ForeignKeyError::Unknown),
            },
            AlgorithmFamily::Rsa => AlgorithmFamily::Rsa.algorithms(),
            AlgorithmFamily::Ed => AlgorithmFamily::Ed.algorithms(),
            AlgorithmFamily::Hmac => return Err(ForeignKeyError::Unknown),
        };
        Ok(Self::new(key, algorithms))
    }

    fn new(decoding: DecodingKey, algorithms: &[Algorithm]) -> Self {
        // the library asks the machine's clock; we ask the caller's, in `Registered::check`
        let mut rules = Validation::new(algorithms[0]);
        rules.algorithms = algorithms.to_vec();
        rules.validate_exp = false;
        rules.validate_nbf = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        Self(Arc::new(Inner { decoding, rules }))
    }
}

impl ForeignVerifier {
    /// The claims of `token`, if it is to be believed at `now`.
    ///
    /// # Errors
    /// [`TokenError`] says why not. A token is [`TokenError::Expired`] only when everything else about it is right,
    /// so that its holder may be told to fetch another.
    pub fn verify<C: DeserializeOwned>(&self, token: &str, now: Timestamp) -> Result<C, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let claims = self.signed_claims(token)?;
        let registered = Registered::deserialize(&claims).map_err(|_| TokenError::Malformed)?;
        self.check(&registered, now.as_second())?;
        serde_json::from_value(claims).map_err(|_| TokenError::Malformed)
    }

    /// What the first key says that has signed it; otherwise why the last key for its algorithm has not.
    fn signed_claims(&self, token: &str) -> Result<Value, TokenError> {
        let mut refused = TokenError::UnknownKey;
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        for ForeignKey(key) in self.keys.iter().filter(|key| key.0.rules.algorithms.contains(&header.alg)) {
            match decode(token, &key.decoding, &key.rules) {
                Ok(claims) => return Ok(claims),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn check(&self, claims: &Registered, now: i64) -> Result<(), TokenError> {
        let begins = claims.iat.as_ref().map(seconds).max(claims.nbf.as_ref().map(seconds));
        if self.issuer.is_some() && self.issuer != claims.iss {
            Err(TokenError::Issuer)
        } else if self.audience.as_ref().is_some_and(|wanted| !claims.is_for(wanted)) {
            Err(TokenError::Audience)
        } else if begins.is_some_and(|begins| begins.saturating_sub(CLOCK_SKEW_SECONDS) > now) {
            Err(TokenError::NotYetValid)
        } else if claims.exp.as_ref().is_some_and(|exp| seconds(exp) <= now) {
            Err(TokenError::Expired)
        } else {
            Ok(())
        }
    }
}

impl Registered {
    fn is_for(&self, wanted: &str) -> bool {
        match &self.aud {
            None => false,
            Some(Audience::One(name)) => name == wanted,
            Some(Audience::Many(names)) => names.iter().any(|name| name == wanted),
        }
    }
}

/// Whole seconds of a `NumericDate`, which may have a fraction (RFC 7519, section 2).
#[expect(clippy::cast_possible_truncation, reason = "fractions of seconds are dropped, excesses saturate")]
fn seconds(date: &Number) -> i64 {
    date.as_i64().unwrap_or_else(|| date.as_f64().map_or(i64::MAX, |seconds| seconds as i64))
}

impl fmt::Debug for ForeignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForeignKey").field(&self.0.rules.algorithms).finish()
    }
}

#[cfg(test)]
mod tests;
