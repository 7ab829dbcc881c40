//! Browsers' push services: RFC 8030, encrypted for each browser (RFC 8291) and signed as ours (RFC 8292).
//!
//! Where a message goes was chosen by whoever registered the subscription, so nothing leaves for a host that is not on
//! the configured list, nor for an address inside of this network (`service::reach`).

mod answer;
mod config;
mod encrypt;
mod message;
mod vapid;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Action, Clock, PushSubscription};
use reqwest::Url;
use ring::rand::SystemRandom;
use secrecy::ExposeSecret as _;
use service::reach::{self, HostPattern, Inside, NoPublicAddress};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::gateway::{Gateway, Outcome, Outgoing, Verdict};

use super::suspects::Suspects;
use super::{GatewayError, tls};
use answer::Body;
pub use config::Config;
pub(super) use encrypt::PLAIN_BYTES_MAX;
pub(super) use message::payload;
use vapid::Vapid;

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The adapter.
pub struct Webpush {
    lanes: [Lines; 4],
    vapid: Vapid,
    hosts: Vec<HostPattern>,
    inside: Inside,
    request_wait: Duration,
    random: SystemRandom,
    suspects: Suspects,
    clock: Arc<dyn Clock>,
}

/// What one lane has for itself.
struct Lines {
    client: reqwest::Client,
    requests: Semaphore,
    /// By entry of the list of hosts.
    per_host: Vec<Semaphore>,
}

/// A message, ready to leave.
struct Push {
    url: Url,
    /// Which entry of the list permits it.
    host: usize,
    body: Vec<u8>,
}

/// The public key with which pages subscribe, when one is configured.
///
/// # Errors
/// [`GatewayError`] when the configured key cannot be read.
pub fn public_key(config: &Config) -> Result<Option<String>, GatewayError> {
    if !config.is_enabled() {
        return Ok(config.public_key.clone());
    }
    let pem = super::secret(config.key_pem.as_ref(), config.key_file.as_deref())?;
    vapid::public_key(pem.expose_secret()).map(Some).map_err(|cause| GatewayError::key("webpush", cause))
}

impl Webpush {
    /// Builds the adapter; nothing is connected yet.
    ///
    /// # Errors
    /// [`GatewayError`] when the key or the authority cannot be used.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, GatewayError> {
        let pem = super::secret(config.key_pem.as_ref(), config.key_file.as_deref())?;
        let life = Duration::from_secs(config.token_life_s.into());
        let vapid = Vapid::new(pem.expose_secret(), &config.contact, life)
            .map_err(|cause| GatewayError::key("webpush", cause))?;
        let hosts = config.host_patterns();
        let lane = || Lines::new(config, hosts.len());
        Ok(Self {
            lanes: [lane()?, lane()?, lane()?, lane()?],
            vapid,
            inside: config.inside(),
            hosts,
            request_wait: Duration::from_millis(config.request_wait_ms.into()),
            random: SystemRandom::new(),
            suspects: Suspects::default(),
            clock,
        })
    }

    /// Reads the subscription and encrypts for it.
    fn prepare(&self, message: &Outgoing) -> Result<Push, Outcome> {
        let subscription = PushSubscription::parse(&message.target)
            .map_err(|_| Outcome::refused(Action::Quarantine, "subscription_malformed"))?;
        let (url, host) = reach::permitted_url(&subscription.endpoint, &self.hosts, self.inside)
            .map_err(|_| Outcome::refused(Action::Quarantine, "endpoint_not_permitted"))?;
        let fitted = message::payload(message)
            .ok_or_else(|| Outcome::refused(Action::FixMessage, "payload_too_large"))?;
        let body = encrypt::encrypt(&fitted.payload, &subscription.key, &subscription.secret, &self.random)
            .map_err(|_| Outcome::refused(Action::Quarantine, "key_malformed"))?;
        Ok(Push { url, host, body })
    }

    async fn post(&self, client: &reqwest::Client, push: Push, message: &Outgoing) -> Outcome {
        let now = self.clock.now();
        let origin = push.url.origin().ascii_serialization();
        let request = client
            .post(push.url)
            .headers(message::headers(message, now))
            .header("authorization", self.vapid.authorization(&origin, now))
            .body(push.body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(cause) if leads_inside(&cause) => {
                return Outcome::refused(Action::Retry, "address_not_public");
            }
            Err(cause) => return super::broken(&cause),
        };
        let status = response.status().as_u16();
        let retry_after = super::retry_after(response.headers(), self.clock.now());
        let location = response.headers().get("location").and_then(|value| value.to_str().ok());
        let provider_id = location.and_then(|url| url.rsplit('/').next()).map(ToOwned::to_owned);
        // the status has said it already, whatever becomes of the body
        let body = super::read_body(response, ANSWER_BYTES_MAX).await.unwrap_or_default();
        let judgement = answer::judge(status, &Body::read(&body));
        let verdict = match judgement.verdict {
            Verdict::Refused(Action::FixConfig) if judgement.doubtful => {
                Verdict::Refused(self.suspects.judge(&message.target))
            }
            verdict => verdict,
        };
        if verdict == Verdict::Accepted {
            self.suspects.accepted();
        }
        Outcome {
            verdict,
            provider_id: provider_id.filter(|_| verdict == Verdict::Accepted),
            status_code: Some(status),
            reason: judgement.reason.to_owned(),
            retry_after,
            bytes_left: true,
        }
    }
}

#[async_trait]
impl Gateway for Webpush {
    async fn send(&self, message: &Outgoing) -> Outcome {
        let push = match self.prepare(message) {
            Ok(push) => push,
            Err(outcome) => return outcome,
        };
        let lines = &self.lanes[message.lane as usize];
        match tokio::time::timeout(self.request_wait, lines.admit(push.host)).await {
            Ok(_permits) => self.post(&lines.client, push, message).await,
            Err(_) => Outcome::refused(Action::Retry, "no_free_request"),
        }
    }
}

impl Lines {
    fn new(config: &Config, hosts: usize) -> Result<Self, GatewayError> {
        let millis = |millis: u32| Duration::from_millis(millis.into());
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(config.ca_file.as_deref(), &[b"h2", b"http/1.1"])?)
            .connect_timeout(millis(config.connect_timeout_ms))
            .timeout(millis(config.request_timeout_ms));
        Ok(Self {
            client: reach::guard(builder, config.inside()).build().map_err(GatewayError::Client)?,
            requests: Semaphore::new(config.requests_per_lane as usize),
            per_host: (0..hosts).map(|_| Semaphore::new(config.requests_per_host as usize)).collect(),
        })
    }

    /// Waits for the right to a request; first to the host, so that a slow one does not fill the lane.
    async fn admit(&self, host: usize) -> (SemaphorePermit<'_>, SemaphorePermit<'_>) {
        let open = "the semaphores are never closed";
        let host = self.per_host[host].acquire().await.expect(open);
        (host, self.requests.acquire().await.expect(open))
    }
}

/// Whether nothing was sent because the name resolves to addresses inside of a network.
fn leads_inside(cause: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(cause);
    while let Some(error) = source {
        if error.is::<NoPublicAddress>() {
            return true;
        }
        source = error.source();
    }
    false
}
