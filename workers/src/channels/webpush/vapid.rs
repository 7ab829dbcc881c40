//! Who we are to push services: RFC 8292. One signature for each origin serves for hours.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::DecodePrivateKey as _;
use serde::Serialize;

/// Origins that are remembered. Behind `*.` an owner of many names could fill the memory.
const ORIGINS_MAX: usize = 256;

/// Makes and keeps the `Authorization` of every origin.
pub(super) struct Vapid {
    key: EncodingKey,
    /// The public key, uncompressed, in base64url.
    public_key: String,
    contact: String,
    life: Duration,
    signed: Mutex<HashMap<String, Signed>>,
}

struct Signed {
    header: HeaderValue,
    made_at: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: i64,
    sub: &'a str,
}

/// The public half of a key in PKCS#8 PEM, as browsers want it for a subscription: uncompressed, base64url.
///
/// # Errors
/// When the text is no P-256 key.
pub(super) fn public_key(pem: &str) -> Result<String, p256::pkcs8::Error> {
    let key = p256::SecretKey::from_pkcs8_pem(pem)?.public_key();
    Ok(URL_SAFE_NO_PAD.encode(key.to_encoded_point(false).as_bytes()))
}

impl Vapid {
    /// Takes the key from PKCS#8 PEM.
    ///
    /// # Errors
    /// When the text is no P-256 key.
    pub(super) fn new(
        pem: &str,
        contact: &str,
        life: Duration,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self {
            public_key: public_key(pem)?,
            key: EncodingKey::from_ec_pem(pem.as_bytes())?,
            contact: contact.to_owned(),
            life,
            signed: Mutex::default(),
        })
    }

    /// The header for `origin` (scheme, host and port, if it is not the usual one). Renewed at half of its life, so
    /// that a clock which is a little off does no harm.
    pub(super) fn authorization(&self, origin: &str, now: Timestamp) -> HeaderValue {
        let mut signed = self.signed.lock().expect("no holder of this lock panics");
        if let Some(known) = signed.get(origin)
            && now >= known.made_at
            && now.since(known.made_at) < self.life / 2
        {
            return known.header.clone();
        }
        if signed.len() >= ORIGINS_MAX {
            signed.clear();
        }
        let header = self.sign(origin, now);
        signed.insert(origin.to_owned(), Signed { header: header.clone(), made_at: now });
        header
    }

    fn sign(&self, origin: &str, now: Timestamp) -> HeaderValue {
        let claims = Claims { aud: origin, exp: (now + self.life).as_second(), sub: &self.contact };
        let jwt = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key)
            .expect("a P-256 key signs ES256");
        let mut header = HeaderValue::from_str(&format!("vapid t={jwt}, k={}", self.public_key))
            .expect("base64url and dots are ASCII");
        header.set_sensitive(true);
        header
    }
}

#[cfg(test)]
mod tests {
    use p256::pkcs8::{EncodePrivateKey as _, LineEnding};

    use super::*;

    #[test]
    fn one_signature_serves_an_origin_for_half_of_its_life() {
        let key = p256::SecretKey::random(&mut p256::elliptic_curve::rand_core::OsRng);
        let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
        let vapid = Vapid::new(&pem, "mailto:ops@festival.example", Duration::from_hours(12)).unwrap();
        let now: Timestamp = "2026-07-15T20:00:00Z".parse().unwrap();
        let first = vapid.authorization("https://push.example", now);
        assert_eq!(vapid.authorization("https://push.example", now + Duration::from_hours(5)), first);
        assert_ne!(vapid.authorization("https://push.example:8443", now), first);
        assert_ne!(vapid.authorization("https://push.example", now + Duration::from_hours(6)), first);
        for number in 0..2 * ORIGINS_MAX {
            vapid.authorization(&format!("https://{number}.example"), now);
        }
        assert!(vapid.signed.lock().unwrap().len() <= ORIGINS_MAX);
        assert_eq!(public_key(&pem).unwrap().len(), 87);
        assert!(Vapid::new("rubbish", "", Duration::ZERO).is_err());
    }
}
