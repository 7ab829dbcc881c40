//! Access tokens: EdDSA JWTs of type `at+jwt` (RFC 9068), made by the API and believed by whoever has the public key.
//!
//! Only `EdDSA` exists for them: a token that names another algorithm is refused before a key is looked up, so neither
//! `none` nor a public key used as an HMAC secret gets anywhere. The time is the caller's; what the claims mean is
//! `domain`'s. Tokens that others have made are [`ForeignVerifier`]'s.

mod foreign;

use std::fmt;
use std::sync::Arc;

use domain::Timestamp;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
};
use ed25519_dalek::{SigningKey, VerifyingKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::foreign::{ForeignKey, ForeignKeyError, ForeignVerifier};

/// The type that our tokens say they are.
const TYPE: &str = "at+jwt";
/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 8_192;
/// How far the clocks of two of our machines may be apart, in seconds. Never prolongs a token.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// A text that is no Ed25519 key in PEM.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not PKCS#8.
    #[error("not an Ed25519 private key in PEM (PKCS#8)")]
    Private(#[source] ed25519_dalek::pkcs8::Error),
    /// Not SPKI.
    #[error("not an Ed25519 public key in PEM (SPKI)")]
    Public(#[source] ed25519_dalek::pkcs8::spki::Error),
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of ours: broken, of another type or algorithm, too long, or without the claims we need.
    #[error("the token is malformed")]
    Malformed,
    /// Signed with a key that is not, or no longer, ours.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// Forged or damaged.
    #[error("the token's signature is wrong")]
    Signature,
    /// Was valid once.
    #[error("the token has expired")]
    Expired,
    /// Will be valid once, or the clock that made it is wrong.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Made by another installation.
    #[error("the token is of another issuer")]
    Issuer,
    /// Made for something else.
    #[error("the token is for another audience")]
    Audience,
}

/// Makes tokens.
#[derive(Clone)]
pub struct TokenSigner {
    key: SigningKey,
    encoding: EncodingKey,
    header: Header,
}

/// Checks tokens against one or more public keys. Cloning is cheap.
#[derive(Clone)]
pub struct TokenVerifier {
    keys: Arc<[VerifyKey]>,
    rules: Arc<Validation>,
}

struct VerifyKey {
    id: String,
    public: VerifyingKey,
    decoding: DecodingKey,
}

/// The claims that every token has, whatever else it says.
#[derive(Deserialize)]
struct Registered {
    iss: String,
    aud: String,
    exp: i64,
    iat: Option<i64>,
    nbf: Option<i64>,
}

impl TokenSigner {
    /// A new random private key, as PKCS#8 PEM: readable by [`TokenSigner::from_pem`] and by `openssl pkey`.
    pub fn generate_pem() -> String {
        let key = KeypairBytes { secret_key: rand::random(), public_key: None };
        key.to_pkcs8_pem(LineEnding::LF).expect("32 bytes make a PKCS#8 document").to_string()
    }

    /// Takes a private key.
    ///
    /// # Errors
    /// [`KeyError::Private`] when the text is something else.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(pem).map_err(KeyError::Private)?;
        let document = key.to_pkcs8_der().map_err(KeyError::Private)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key_id(&key.verifying_key()));
        Ok(Self { encoding: EncodingKey::from_ed_der(document.as_bytes()), key, header })
    }

    /// Signs `claims`.
    ///
    /// # Panics
    /// When they cannot be written as a JSON object; ours always can.
    pub fn sign(&self, claims: &impl Serialize) -> String {
        jsonwebtoken::encode(&self.header, claims, &self.encoding)
            .expect("claims are a JSON object and the key is a checked Ed25519 key")
    }

    /// Believes what this signer has signed.
    pub fn verifier(&self) -> TokenVerifier {
        TokenVerifier::of(vec![VerifyKey::new(self.key.verifying_key())])
    }

    /// The public half, as SPKI PEM, for processes that only verify.
    pub fn public_pem(&self) -> String {
        self.key.verifying_key().to_public_key_pem(LineEnding::LF).expect("32 bytes make an SPKI document")
    }
}

impl TokenVerifier {
    /// Believes what was signed with any of these keys: the current one, and those before it until their last
    /// token has expired.
    ///
    /// # Errors
    /// [`KeyError::Public`] for the first text that is something else.
    pub fn from_public_pem(pems: &[impl AsRef<str>]) -> Result<Self, KeyError> {
        let keys = pems.iter().map(|pem| VerifyingKey::from_public_key_pem(pem.as_ref()).map(VerifyKey::new));
        Ok(Self::of(keys.collect::<Result<_, _>>().map_err(KeyError::Public)?))
    }

    /// Also believes what `other` believes.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        let keys = self.keys.iter().chain(other.keys.iter());
        Self::of(keys.map(|key| VerifyKey::new(key.public)).collect())
    }

    /// The claims of `token`, if it is to be believed at `now`.
    ///
    /// # Errors
    /// [`TokenError`] says why not; the first reason in the order of its variants.
    pub fn verify<C: DeserializeOwned>(
        &self,
        token: &str,
        issuer: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<C, TokenError> {
        let key = self.key_of(token)?;
        let claims = decode(token, &key.decoding, &self.rules)?;
        let registered = Registered::deserialize(&claims).map_err(|_| TokenError::Malformed)?;
        registered.check(issuer, audience, now.as_second())?;
        serde_json::from_value(claims).map_err(|_| TokenError::Malformed)
    }

    fn of(keys: Vec<VerifyKey>) -> Self {
        // the library asks the machine's clock; we ask ours, in `Registered::check`
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        Self { keys: keys.into(), rules: Arc::new(rules) }
    }

    fn key_of(&self, token: &str) -> Result<&VerifyKey, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return Err(TokenError::Malformed);
        }
        self.keys.iter().find(|key| Some(&key.id) == header.kid.as_ref()).ok_or(TokenError::UnknownKey)
    }
}

impl VerifyKey {
    fn new(public: VerifyingKey) -> Self {
        Self { id: key_id(&public), decoding: DecodingKey::from_ed_der(public.as_bytes()), public }
    }
}

impl Registered {
    fn check(&self, issuer: &str, audience: &str, now: i64) -> Result<(), TokenError> {
        let begins = self.iat.max(self.nbf).unwrap_or(now);
        if self.exp <= now {
            Err(TokenError::Expired)
        } else if begins.saturating_sub(CLOCK_SKEW_SECONDS) > now {
            Err(TokenError::NotYetValid)
        } else if self.iss != issuer {
            Err(TokenError::Issuer)
        } else if self.aud != audience {
            Err(TokenError::Audience)
        } else {
            Ok(())
        }
    }
}

/// The first 8 bytes of the key's SHA-256, in hexadecimal.
fn key_id(key: &VerifyingKey) -> String {
    hex::encode(&Sha256::digest(key.as_bytes())[..8])
}

/// The claims of a token that `key` has signed; what they say is not looked at.
fn decode(token: &str, key: &DecodingKey, rules: &Validation) -> Result<serde_json::Value, TokenError> {
    let reason = |error: jsonwebtoken::errors::Error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Signature,
        _ => TokenError::Malformed,
    };
    jsonwebtoken::decode(token, key, rules).map(|data| data.claims).map_err(reason)
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").field("kid", &self.header.kid).finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("TokenVerifier").field("kids", &ids).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
