//! Channels: one adapter per provider behind [`Gateway`], each with its own section of
//! the configuration, its own connections per lane, and its provider's answers turned into six actions.

pub mod apns;
pub mod email;
pub mod fcm;
mod fit;
mod suspects;
mod tls;
pub mod webhook;
pub mod webpush;
mod weigh;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::{Action, Channel, Clock, Timestamp};
use http::HeaderMap;
use secrecy::SecretString;
use service::{Faults, Lifecycle};

use crate::credentials::Renewable;
use crate::gateway::{Gateway, Outcome, Verdict};
use crate::{Config, Gateways};

pub use tls::TlsError;
pub(crate) use weigh::{Weighed, sample_target, weigh};

/// Why an adapter could not be built.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A file with a secret cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No secret was configured.
    #[error("no key or password is configured")]
    NoSecret,
    /// The signing key is of the wrong form.
    #[error("the signing key of {channel} cannot be used")]
    Key {
        /// Of which channel.
        channel: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A mail address is malformed.
    #[error("\"{0}\" is no mail address")]
    Address(String),
    /// The TLS of the mail relay cannot be set up.
    #[error("cannot set up TLS for the mail relay")]
    RelayTls(#[source] lettre::transport::smtp::Error),
    /// The APNs topic cannot be a header.
    #[error("\"{0}\" is not a bundle id")]
    Topic(String),
    /// An HTTP client cannot be built.
    #[error("cannot build an HTTP client")]
    Client(#[source] reqwest::Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl GatewayError {
    fn key(channel: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Key { channel, source: source.into() }
    }
}

impl Gateways {
    /// Builds the adapter of each channel whose credentials are given. Their files are watched from then on.
    ///
    /// # Errors
    /// [`GatewayError`] when credentials are given that cannot be used.
    pub fn from_config(
        config: &Config,
        clock: &Arc<dyn Clock>,
        lifecycle: &Lifecycle,
    ) -> Result<Self, GatewayError> {
        let mut gateways = Self::default();
        if config.apns.is_enabled() {
            let (config, clock) = (config.apns.clone(), Arc::clone(clock));
            let files = [config.key_file.clone(), config.ca_file.clone()];
            gateways.apns = Some(gateways.watch(Channel::Apns, files, move || {
                Ok(Arc::new(apns::Apns::new(&config, Arc::clone(&clock))?))
            })?);
        }
        if config.fcm.is_enabled() {
            let (config, clock, lifecycle) = (config.fcm.clone(), Arc::clone(clock), lifecycle.clone());
            let files = [config.service_account_file.clone(), config.ca_file.clone()];
            gateways.fcm = Some(gateways.watch(Channel::Fcm, files, move || {
                Ok(Arc::new(fcm::Fcm::start(&config, Arc::clone(&clock), &lifecycle)?))
            })?);
        }
        if config.webpush.is_enabled() {
            let (config, clock) = (config.webpush.clone(), Arc::clone(clock));
            let files = [config.key_file.clone(), config.ca_file.clone()];
            gateways.webpush = Some(gateways.watch(Channel::Webpush, files, move || {
                Ok(Arc::new(webpush::Webpush::new(&config, Arc::clone(&clock))?))
            })?);
        }
        if config.email.is_enabled() {
            let (config, clock) = (config.email.clone(), Arc::clone(clock));
            let files = [config.password_file.clone(), config.ca_file.clone()];
            gateways.email = Some(gateways.watch(Channel::Email, files, move || {
                Ok(Arc::new(email::Email::new(&config, Arc::clone(&clock))?))
            })?);
        }
        Ok(gateways)
    }

    /// Builds an adapter, and again when one of `files` changes.
    fn watch(
        &mut self,
        channel: Channel,
        files: [Option<PathBuf>; 2],
        build: impl Fn() -> Result<Arc<dyn Gateway>, GatewayError> + Send + Sync + 'static,
    ) -> Result<Arc<dyn Gateway>, GatewayError> {
        let files = files.into_iter().flatten().collect();
        let renewable = Renewable::new(channel, files, build)?;
        self.renewable.0.push(Arc::clone(&renewable));
        Ok(renewable)
    }
}

impl Outcome {
    /// A refusal of our own, before anything left the process.
    fn refused(action: Action, reason: &str) -> Self {
        Self {
            verdict: Verdict::Refused(action),
            provider_id: None,
            status_code: None,
            reason: reason.to_owned(),
            retry_after: None,
            bytes_left: false,
        }
    }
}

/// The secret given directly or in a file.
fn secret(text: Option<&SecretString>, file: Option<&Path>) -> Result<SecretString, GatewayError> {
    if let Some(text) = text {
        return Ok(text.clone());
    }
    let path = file.ok_or(GatewayError::NoSecret)?;
    let text = std::fs::read_to_string(path)
        .map_err(|source| GatewayError::Read { path: path.to_owned(), source })?;
    Ok(SecretString::from(text.trim().to_owned()))
}

/// Notes a URL that is no `https` one.
fn check_url(faults: &mut Faults, field: &str, url: &str) {
    if reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.has_host()) {
        return;
    }
    faults.add(field, "must be a URL that begins with https://");
}

/// The wait that the provider asked for: seconds or an HTTP date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_jiff(date.timestamp()).since(now))
}

/// The outcome of a request that got no answer.
fn broken(cause: &reqwest::Error) -> Outcome {
    if cause.is_connect() {
        return Outcome::refused(Action::Retry, "connect");
    }
    let reason = if cause.is_timeout() { "timeout" } else { "connection_lost" };
    Outcome { bytes_left: true, ..Outcome::refused(Action::Unknown, reason) }
}

/// The first `bytes_max` bytes of an answer.
async fn read_body(mut response: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk[..chunk.len().min(bytes_max - body.len())]);
        if body.len() == bytes_max {
            break;
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-07-15T20:00:00Z".parse().unwrap();
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(wait("30"), Some(Duration::from_secs(30)));
        assert_eq!(wait("Wed, 15 Jul 2026 20:01:00 GMT"), Some(Duration::from_mins(1)));
        assert_eq!(wait("Wed, 15 Jul 2026 19:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }
}
