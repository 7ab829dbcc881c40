//! `[hub.tokens]`: tokens that an application's own back end has signed, as Centrifugo takes them.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use service::config::read_pem;
use service::{Faults, ForeignKey, ForeignVerifier};

/// Tokens of a foreign issuer, beside our own. Whoever has such a key speaks for every user: `sub` is believed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// The secret that tokens are signed with (HS256, HS384, HS512): better from the environment,
    /// `MUNADI__HUB__TOKENS__HMAC_SECRET`. None: no such tokens. Too short: it can be guessed from a token; take 32
    /// random bytes.
    pub hmac_secret: Option<SecretString>,
    /// Files with public keys in PEM that tokens are checked with: RSA (RS256 to RS512, PS256 to PS512), P-256 (ES256),
    /// P-384 (ES384), Ed25519 (`EdDSA`). A token may be signed with any of them, or with the secret.
    pub public_key_files: Vec<PathBuf>,
    /// What `iss` of these tokens has to be. None: anything, or nothing.
    pub issuer: Option<String>,
    /// What `aud` of these tokens has to be or contain. None: anything, or nothing.
    pub audience: Option<String>,
    /// Whether who connects with such a token is subscribed to `user:<sub>` without asking, as with our own tokens.
    pub personal_topic: bool,
    /// Whether every client may do everything that a topic's class offers, without a token, and nothing expires: for test
    /// suites and the first hour of development, never where others can connect. A token that is sent is checked.
    pub insecure: bool,
}

impl Tokens {
    pub(super) fn check(&self, faults: &mut Faults) {
        self.verifier(faults);
    }

    /// What tokens of the foreign issuer are checked with; without keys it believes nothing.
    pub(crate) fn verifier(&self, faults: &mut Faults) -> ForeignVerifier {
        let mut keys = Vec::new();
        if let Some(secret) = &self.hmac_secret {
            match ForeignKey::secret(secret.expose_secret()) {
                Ok(key) => keys.push(key),
                Err(error) => faults.add("hmac_secret", error.to_string()),
            }
        }
        for path in &self.public_key_files {
            let Some(pem) = read_pem("public_key_files", path, faults) else { continue };
            match ForeignKey::public_pem(pem.expose_secret()) {
                Ok(key) => keys.push(key),
                Err(error) => faults.add("public_key_files", format!("{}: {error}", path.display())),
            }
        }
        ForeignVerifier { keys, issuer: self.issuer.clone(), audience: self.audience.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_none_are_faults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        std::fs::write(&path, "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n").unwrap();
        let tokens = Tokens {
            hmac_secret: Some("".into()),
            public_key_files: vec![path, dir.path().join("absent")],
            ..Tokens::default()
        };
        let mut faults = Faults::default();
        tokens.check(&mut faults);
        let fields: Vec<_> = faults.list().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["hmac_secret", "public_key_files", "public_key_files"]);
    }
}
