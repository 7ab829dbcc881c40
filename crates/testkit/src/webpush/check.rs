//! The checks of a push service: RFC 8030 (headers), RFC 8292 (who sends), RFC 8188 (form of the body).

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

/// What every service takes.
const BODY_BYTES_MAX: usize = 4_096;
/// The longest life of a signature.
const LIFE_MAX: Duration = Duration::from_hours(24);

/// A refusal: status and body.
pub(super) type Refusal = (u16, &'static str);

/// What the headers of a good request ask for.
pub(super) struct Wanted {
    pub(super) ttl: u64,
    pub(super) urgency: String,
    pub(super) topic: String,
}

/// Signatures that were verified once: one costs milliseconds in a debug build.
#[derive(Default)]
pub(super) struct Verified(HashMap<(String, String), Claims>);

#[derive(Debug, Clone, Deserialize)]
struct Claims {
    aud: String,
    exp: i64,
    sub: String,
}

impl Verified {
    /// How many different signatures there were.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Checks `Authorization`: signed for this `origin`, in time, with the key that the browser subscribed with.
    pub(super) fn check(
        &mut self,
        headers: &HeaderMap,
        origin: &str,
        application_key: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let refused = (403, r#"{"reason":"BadAuthorizationHeader"}"#);
        let header = headers.get("authorization").and_then(|value| value.to_str().ok()).ok_or((401, ""))?;
        let fields = header.strip_prefix("vapid ").ok_or(refused)?;
        let field = |name: &str| {
            fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let (Some(token), Some(key)) = (field("t"), field("k")) else { return Err(refused) };
        let known = (token.to_owned(), key.to_owned());
        let claims = if let Some(claims) = self.0.get(&known) {
            claims.clone()
        } else {
            let claims = verify(token, key).ok_or((403, r#"{"reason":"BadJwtToken"}"#))?;
            self.0.insert(known, claims.clone());
            claims
        };
        let life = claims.exp - now.as_second();
        let is_valid = claims.aud == origin
            && life > 0
            && life <= i64::try_from(LIFE_MAX.as_secs()).unwrap_or(i64::MAX)
            && (claims.sub.starts_with("mailto:") || claims.sub.starts_with("https://"));
        match (is_valid, key == application_key) {
            (false, _) => Err((403, r#"{"reason":"BadJwtToken"}"#)),
            (true, false) => Err((403, r#"{"reason":"VapidPkHashMismatch"}"#)),
            (true, true) => Ok(()),
        }
    }
}

fn verify(token: &str, key: &str) -> Option<Claims> {
    let point = URL_SAFE_NO_PAD.decode(key).ok()?;
    if point.len() != 65 || point[0] != 4 {
        return None;
    }
    let key = DecodingKey::from_ec_components(
        &URL_SAFE_NO_PAD.encode(&point[1..33]),
        &URL_SAFE_NO_PAD.encode(&point[33..]),
    )
    .ok()?;
    let mut rules = Validation::new(Algorithm::ES256);
    // times are the stand-in's own, the audience is compared by it
    rules.set_required_spec_claims::<&str>(&[]);
    (rules.validate_exp, rules.validate_aud) = (false, false);
    jsonwebtoken::decode::<Claims>(token, &key, &rules).ok().map(|data| data.claims)
}

/// Checks the headers of RFC 8030 and the body's form.
pub(super) fn request(headers: &HeaderMap, body: &[u8]) -> Result<Wanted, Refusal> {
    let one = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let ttl = one("ttl").and_then(|text| text.parse().ok()).ok_or((400, r#"{"reason":"BadTtl"}"#))?;
    let urgency = one("urgency").unwrap_or("normal");
    if !["very-low", "low", "normal", "high"].contains(&urgency) {
        return Err((400, r#"{"reason":"BadUrgency"}"#));
    }
    let topic = one("topic").unwrap_or_default();
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if topic.len() > 32 || !topic.bytes().all(is_base64url) {
        return Err((400, r#"{"reason":"BadWebPushTopic"}"#));
    }
    if body.len() > BODY_BYTES_MAX {
        return Err((413, ""));
    }
    if one("content-encoding") != Some("aes128gcm") || body.len() < 21 + 65 + 18 || body[20] != 65 {
        return Err((400, r#"{"reason":"BadWebPushRequest"}"#));
    }
    Ok(Wanted { ttl, urgency: urgency.to_owned(), topic: topic.to_owned() })
}
