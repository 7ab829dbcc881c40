//! Other systems, told by signed requests as Standard Webhooks has them (<https://www.standardwebhooks.com>).
//!
//! The request is thin: what happened, when, and its ids. Whoever wants more asks the API, so that a secret which has
//! leaked gives nothing away and an old request tells nothing that is not true any more.

mod config;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Clock, Timestamp};
use reqwest::Url;
use ring::hmac;
use secrecy::ExposeSecret as _;
use service::reach::{self, UrlError};

use super::{GatewayError, tls};
pub use config::{Config, Endpoint};

/// What secrets begin with.
const SECRET_PREFIX: &str = "whsec_";
/// Bytes of an answer that are read, so that the connection can serve again.
const ANSWER_BYTES_MAX: usize = 4_096;

/// The endpoints of other systems.
pub(crate) struct Webhooks {
    client: reqwest::Client,
    endpoints: BTreeMap<String, Target>,
    clock: Arc<dyn Clock>,
}

struct Target {
    url: Url,
    key: hmac::Key,
    /// What it wants to hear; empty: everything.
    kinds: Vec<String>,
}

/// What became of one request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It was taken.
    Taken,
    /// The endpoint wants to hear no more of it.
    Gone,
    /// Not now; the cause, and when the endpoint wants to be asked again.
    Failed(String, Option<Duration>),
}

impl Webhooks {
    /// Reads the secrets; nothing is connected yet.
    ///
    /// # Errors
    /// [`GatewayError`] when a secret or the authority cannot be used.
    pub(crate) fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, GatewayError> {
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(config.ca_file.as_deref(), &[b"h2", b"http/1.1"])?)
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms.into()))
            .timeout(Duration::from_millis(config.request_timeout_ms.into()))
            .user_agent(concat!("munadi/", env!("CARGO_PKG_VERSION")));
        let client = reach::guard(builder, config.inside()).build().map_err(GatewayError::Client)?;
        let endpoints = config.endpoints.iter().map(|(name, endpoint)| {
            let target =
                Target::new(endpoint, config).map_err(|cause| GatewayError::key("webhook", cause))?;
            Ok((name.clone(), target))
        });
        Ok(Self { client, endpoints: endpoints.collect::<Result<_, GatewayError>>()?, clock })
    }

    /// The endpoints that want to hear of `kind`.
    pub(crate) fn interested(&self, kind: &str) -> impl Iterator<Item = &str> {
        let wants =
            move |target: &Target| target.kinds.is_empty() || target.kinds.iter().any(|one| one == kind);
        self.endpoints.iter().filter(move |(_, target)| wants(target)).map(|(name, _)| name.as_str())
    }

    /// The names of all endpoints.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.endpoints.keys().map(String::as_str)
    }

    /// Tells the endpoint `name` once. `id` is the same for every repetition, so that the receiver knows it.
    pub(crate) async fn tell(&self, name: &str, id: &str, body: &str) -> Told {
        let Some(target) = self.endpoints.get(name) else { return Told::Gone };
        let now = self.clock.now();
        let request = self
            .client
            .post(target.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now.as_second())
            .header("webhook-signature", signature(&target.key, id, now, body))
            .body(body.to_owned());
        let response = match request.send().await {
            Ok(response) => response,
            Err(cause) => return Told::Failed(super::broken(&cause).reason, None),
        };
        let status = response.status().as_u16();
        let retry_after = super::retry_after(response.headers(), now);
        // read so that the connection is in step; the status has said it already
        let _ = super::read_body(response, ANSWER_BYTES_MAX).await;
        match status {
            200..=299 => Told::Taken,
            410 => Told::Gone,
            _ => Told::Failed(format!("status {status}"), retry_after),
        }
    }
}

impl Target {
    fn new(endpoint: &Endpoint, config: &Config) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let url = reach::public_url(&endpoint.url, config.inside())?;
        let secret = super::secret(endpoint.secret.as_ref(), endpoint.secret_file.as_deref())?;
        let encoded = secret.expose_secret().strip_prefix(SECRET_PREFIX).unwrap_or(secret.expose_secret());
        let bytes = STANDARD.decode(encoded)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err("a secret has 24 to 64 bytes".into());
        }
        Ok(Self { url, key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), kinds: endpoint.kinds.clone() })
    }
}

/// `v1,` and the HMAC of id, time and body.
fn signature(key: &hmac::Key, id: &str, at: Timestamp, body: &str) -> String {
    let signed = format!("{id}.{}.{body}", at.as_second());
    format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes())))
}

/// Whether a URL may be an endpoint's.
fn check_endpoint(url: &str, config: &Config) -> Result<(), UrlError> {
    reach::public_url(url, config.inside()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Standard Webhooks' own libraries.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let at = Timestamp::from_microsecond(1_614_265_330_000_000).unwrap();
        assert_eq!(
            signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, r#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
