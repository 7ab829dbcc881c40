//! The checks of APNs, in one fixed order (Apple documents none): what is refused, and with which reason.

use std::collections::HashMap;
use std::time::Duration;

use domain::Timestamp;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

/// Apple's limit of a payload, except for calls (`voip`).
const PAYLOAD_BYTES_MAX: usize = 4_096;
/// The oldest provider token that is taken.
const TOKEN_AGE_MAX: Duration = Duration::from_hours(1);
/// How often a connection may change its provider token.
const TOKEN_CHANGE_MIN: Duration = Duration::from_mins(20);
/// How far ahead of the server's clock a token may be.
const CLOCK_SKEW_MAX: Duration = Duration::from_mins(1);

const PUSH_TYPES: [&str; 11] = [
    "alert",
    "background",
    "complication",
    "controls",
    "fileprovider",
    "liveactivity",
    "location",
    "mdm",
    "pushtotalk",
    "voip",
    "widgets",
];

/// A refusal: status and reason.
pub(super) type Refusal = (u16, &'static str);

/// Whose pushes are taken.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) key_id: String,
    pub(super) team_id: String,
    pub(super) topic: String,
}

/// Provider tokens that were verified once: a signature costs milliseconds in a debug build.
#[derive(Default)]
pub(super) struct Verified(HashMap<String, Claims>);

#[derive(Debug, Clone, Deserialize)]
struct Claims {
    iss: String,
    iat: i64,
}

/// What one connection remembers of its provider tokens.
#[derive(Debug, Default)]
pub(super) struct Session {
    token: Option<String>,
    changed_at: Option<Timestamp>,
}

impl Verified {
    /// Checks the provider token of a request.
    pub(super) fn check(
        &mut self,
        headers: &HeaderMap,
        account: &Account,
        key: &DecodingKey,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let header = headers.get("authorization").ok_or((403, "MissingProviderToken"))?;
        let text = header.to_str().map_err(|_| (403, "InvalidProviderToken"))?;
        let token = match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
            _ => return Err((403, "InvalidProviderToken")),
        };
        let claims = match self.0.get(token) {
            Some(claims) => claims.clone(),
            None => self.verify(token, account, key)?,
        };
        if claims.iss != account.team_id {
            return Err((403, "InvalidProviderToken"));
        }
        let age = now.as_second() - claims.iat;
        if age > i64::try_from(TOKEN_AGE_MAX.as_secs()).unwrap_or(i64::MAX) {
            return Err((403, "ExpiredProviderToken"));
        }
        if -age > i64::try_from(CLOCK_SKEW_MAX.as_secs()).unwrap_or(i64::MAX) {
            return Err((403, "InvalidProviderToken"));
        }
        Ok(token.to_owned())
    }

    fn verify(&mut self, token: &str, account: &Account, key: &DecodingKey) -> Result<Claims, Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| (403, "InvalidProviderToken"))?;
        if header.kid.as_deref() != Some(account.key_id.as_str()) {
            return Err((403, "InvalidProviderToken"));
        }
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_required_spec_claims::<&str>(&[]);
        rules.validate_exp = false;
        let data =
            jsonwebtoken::decode::<Claims>(token, key, &rules).map_err(|_| (403, "InvalidProviderToken"))?;
        self.0.insert(token.to_owned(), data.claims.clone());
        Ok(data.claims)
    }
}

impl Session {
    /// Checks how often this connection changes its provider token.
    pub(super) fn check(&mut self, token: String, now: Timestamp) -> Result<(), Refusal> {
        if self.token.as_deref() == Some(token.as_str()) {
            return Ok(());
        }
        if self.token.is_some() {
            if self.changed_at.is_some_and(|at| now.since(at) < TOKEN_CHANGE_MIN) {
                return Err((429, "TooManyProviderTokenUpdates"));
            }
            self.changed_at = Some(now);
        }
        self.token = Some(token);
        Ok(())
    }
}

/// Checks what the headers say, after the provider token was found good.
pub(super) fn headers(headers: &HeaderMap, account: &Account) -> Result<(), Refusal> {
    let one = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if headers
        .keys()
        .any(|name| name.as_str().starts_with("apns-") && headers.get_all(name).iter().count() > 1)
    {
        return Err((400, "DuplicateHeaders"));
    }
    match one("apns-topic") {
        None => return Err((400, "MissingTopic")),
        Some(topic) if topic != account.topic => return Err((400, "TopicDisallowed")),
        Some(_) => {}
    }
    let push_type = one("apns-push-type").unwrap_or("alert");
    if !PUSH_TYPES.contains(&push_type) {
        return Err((400, "InvalidPushType"));
    }
    match one("apns-priority").unwrap_or("10") {
        "10" if push_type == "background" => return Err((400, "BadPriority")),
        "1" | "5" | "10" => {}
        _ => return Err((400, "BadPriority")),
    }
    if one("apns-expiration").is_some_and(|text| text.parse::<u64>().is_err()) {
        return Err((400, "BadExpirationDate"));
    }
    if one("apns-id").is_some_and(|text| !is_canonical_uuid(text)) {
        return Err((400, "BadMessageId"));
    }
    if one("apns-collapse-id").is_some_and(|text| text.len() > 64) {
        return Err((400, "BadCollapseId"));
    }
    Ok(())
}

/// Checks the device token's form and the payload's size.
pub(super) fn body(token: &str, payload: &[u8]) -> Result<serde_json::Value, Refusal> {
    if payload.is_empty() {
        return Err((400, "PayloadEmpty"));
    }
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err((413, "PayloadTooLarge"));
    }
    if token.is_empty() {
        return Err((400, "MissingDeviceToken"));
    }
    if !token.len().is_multiple_of(2) || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err((400, "BadDeviceToken"));
    }
    serde_json::from_slice(payload).map_err(|_| (400, "PayloadEmpty"))
}

fn is_canonical_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|id| id.hyphenated().to_string() == text)
}
