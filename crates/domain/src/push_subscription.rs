//! A browser's push subscription, as `PushSubscription.toJSON()` gives it (W3C Push API, section 8).

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

/// Base64url, with padding or without: browsers give it without, some libraries with.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where and for whom a browser's push service takes messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSubscription {
    /// The URL that messages are sent to. Whoever registered it chose it: it has to be checked before it is called.
    pub endpoint: String,
    /// The browser's public key: a point of P-256, uncompressed.
    pub key: [u8; 65],
    /// The secret that the browser shares with us.
    pub secret: [u8; 16],
}

/// Why a text is no subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushSubscriptionError {
    /// It is no JSON object with `endpoint`, `keys.p256dh` and `keys.auth`.
    #[error("is no JSON object with endpoint, keys.p256dh and keys.auth")]
    Shape,
    /// `endpoint` is no `https` URL.
    #[error("has an endpoint that is no https URL")]
    Endpoint,
    /// `keys.p256dh` is not 65 bytes that begin with 4, in base64url.
    #[error("has a keys.p256dh that is no uncompressed point of P-256")]
    Key,
    /// `keys.auth` is not 16 bytes in base64url.
    #[error("has a keys.auth that is not 16 bytes")]
    Secret,
}

#[derive(Deserialize)]
struct Json {
    endpoint: String,
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    p256dh: String,
    auth: String,
}

impl PushSubscription {
    /// Reads the JSON text. Whether the key is a point of the curve shows when it is used.
    ///
    /// # Errors
    /// [`PushSubscriptionError`] names the first part that is wrong.
    pub fn parse(text: &str) -> Result<Self, PushSubscriptionError> {
        let Json { endpoint, keys } = serde_json::from_str(text).map_err(|_| PushSubscriptionError::Shape)?;
        if !endpoint.starts_with("https://") || !endpoint.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(PushSubscriptionError::Endpoint);
        }
        let key: [u8; 65] = bytes(&keys.p256dh).ok_or(PushSubscriptionError::Key)?;
        if key[0] != 4 {
            return Err(PushSubscriptionError::Key);
        }
        let secret = bytes(&keys.auth).ok_or(PushSubscriptionError::Secret)?;
        Ok(Self { endpoint, key, secret })
    }
}

fn bytes<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of RFC 8291, section 5.
    const KEY: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    fn parse(endpoint: &str, key: &str, auth: &str) -> Result<PushSubscription, PushSubscriptionError> {
        let json = serde_json::json!({ "endpoint": endpoint, "expirationTime": null,
            "keys": { "p256dh": key, "auth": auth } });
        PushSubscription::parse(&json.to_string())
    }

    #[test]
    fn a_browsers_subscription_is_read_and_a_wrong_one_named() {
        let read = parse("https://push.example/x", KEY, AUTH).unwrap();
        assert_eq!((read.endpoint.as_str(), read.key[0], read.secret[0]), ("https://push.example/x", 4, 5));
        assert_eq!(parse("https://push.example/x", KEY, &format!("{AUTH}==")).unwrap(), read);
        for (endpoint, key, auth, error) in [
            ("http://push.example/x", KEY, AUTH, PushSubscriptionError::Endpoint),
            ("https://push.example/ü", KEY, AUTH, PushSubscriptionError::Endpoint),
            ("https://push.example/x", &KEY[1..], AUTH, PushSubscriptionError::Key),
            ("https://push.example/x", "", AUTH, PushSubscriptionError::Key),
            ("https://push.example/x", &format!("A{}", &KEY[1..]), AUTH, PushSubscriptionError::Key),
            ("https://push.example/x", KEY, "short", PushSubscriptionError::Secret),
        ] {
            assert_eq!(parse(endpoint, key, auth), Err(error), "{endpoint} {key} {auth}");
        }
        for text in ["", "[]", "{}", r#"{"endpoint":"https://push.example/x"}"#] {
            assert_eq!(PushSubscription::parse(text), Err(PushSubscriptionError::Shape));
        }
    }
}
