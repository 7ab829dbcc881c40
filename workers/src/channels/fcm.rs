//! Google's push service: FCM v1 over HTTP/2, one access token for all, a pace per lane under the project's quota.

mod answer;
mod config;
mod message;
mod oauth;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Action, Clock, Lane};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use secrecy::ExposeSecret as _;
use service::Lifecycle;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::gateway::{Gateway, Outcome, Outgoing, Verdict};

use super::suspects::Suspects;
use super::{GatewayError, tls};
pub use config::Config;
pub(super) use message::{MESSAGE_BYTES_MAX, allowance, body};
use oauth::{AccessToken, Fault, Fetcher, ServiceAccount, Tokens};

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Wait after a refusal for quota that names none.
const QUOTA_WAIT: Duration = Duration::from_mins(1);

/// The adapter.
pub struct Fcm {
    lanes: [Lines; 4],
    tokens: Tokens,
    url: String,
    stream_wait: Duration,
    retry_floor: Duration,
    suspects: Suspects,
    clock: Arc<dyn Clock>,
}

/// The connections of one lane, and its pace.
struct Lines {
    clients: Vec<reqwest::Client>,
    next: AtomicUsize,
    streams: Semaphore,
    pace: Arc<DefaultDirectRateLimiter>,
}

impl Fcm {
    /// Builds the adapter and begins to fetch access tokens as a task of `lifecycle`.
    ///
    /// # Errors
    /// [`GatewayError`] when the service account or the authority cannot be used.
    pub fn start(
        config: &Config,
        clock: Arc<dyn Clock>,
        lifecycle: &Lifecycle,
    ) -> Result<Self, GatewayError> {
        let secret =
            super::secret(config.service_account_json.as_ref(), config.service_account_file.as_deref())?;
        let account: ServiceAccount =
            serde_json::from_str(secret.expose_secret()).map_err(|cause| GatewayError::key("fcm", cause))?;
        let base_url = config.base_url.trim_end_matches('/');
        let url = format!("{base_url}/v1/projects/{}/messages:send", account.project_id);
        let plain = client(config, &[b"h2", b"http/1.1"])?.build().map_err(GatewayError::Client)?;
        let retry_max = Duration::from_millis(config.token_retry_max_ms.into());
        let tokens = Fetcher::new(account, plain, Arc::clone(&clock), retry_max)
            .map_err(|cause| GatewayError::key("fcm", cause))?
            .start(lifecycle);
        let bulk = pace(config.bulk_per_second);
        let lane = |lane: Lane| {
            let pace =
                if lane == Lane::Emergency { pace(config.emergency_per_second) } else { Arc::clone(&bulk) };
            Lines::new(config, pace)
        };
        // in the order of the lanes' discriminants
        let lanes = [
            lane(Lane::Promotional)?,
            lane(Lane::Standard)?,
            lane(Lane::Transactional)?,
            lane(Lane::Emergency)?,
        ];
        Ok(Self {
            lanes,
            tokens,
            url,
            stream_wait: Duration::from_millis(config.stream_wait_ms.into()),
            retry_floor: Duration::from_millis(config.retry_floor_ms.into()),
            suspects: Suspects::default(),
            clock,
        })
    }

    /// A free stream, the pace's consent and a token.
    async fn prepare<'a>(&self, lines: &'a Lines) -> Result<(SemaphorePermit<'a>, AccessToken), Fault> {
        let closed = Fault { action: Action::Retry, reason: "no_free_stream" };
        let permit = lines.streams.acquire().await.map_err(|_| closed)?;
        lines.pace.until_ready().await;
        Ok((permit, self.tokens.token().await?))
    }

    async fn post(
        &self,
        client: &reqwest::Client,
        body: bytes::Bytes,
        token: &AccessToken,
    ) -> Result<Answer, reqwest::Error> {
        let request = client.post(&self.url).header("authorization", token.bearer.clone());
        let response = request.header("content-type", "application/json").body(body).send().await?;
        let status = response.status().as_u16();
        let retry_after = super::retry_after(response.headers(), self.clock.now());
        let body = super::read_body(response, ANSWER_BYTES_MAX).await?;
        Ok(Answer { status, retry_after, body: serde_json::from_slice(&body).unwrap_or_default() })
    }

    fn outcome(&self, answer: Answer, target: &str) -> Outcome {
        let mut judgement = answer::judge(answer.status, &answer.body);
        if judgement.doubtful {
            judgement.verdict = Verdict::Refused(self.suspects.judge(target));
        } else if judgement.verdict == Verdict::Accepted {
            self.suspects.accepted();
        }
        let floor = match judgement.verdict {
            Verdict::Refused(Action::Retry | Action::Unknown) if answer.status == 429 => {
                Some(answer.retry_after.unwrap_or(QUOTA_WAIT))
            }
            Verdict::Refused(Action::Retry | Action::Unknown) => Some(self.retry_floor),
            _ => None,
        };
        Outcome {
            verdict: judgement.verdict,
            provider_id: answer.body.name,
            status_code: Some(answer.status),
            reason: judgement.reason.to_owned(),
            retry_after: answer.retry_after.max(floor),
            bytes_left: true,
        }
    }
}

#[async_trait]
impl Gateway for Fcm {
    async fn send(&self, message: &Outgoing) -> Outcome {
        if message.target.is_empty() {
            return Outcome::refused(Action::Quarantine, "token_malformed");
        }
        let Some(fitted) = message::body(message, self.clock.now()) else {
            return Outcome::refused(Action::FixMessage, "payload_too_large");
        };
        let body = bytes::Bytes::from(fitted.payload);
        let lines = &self.lanes[message.lane as usize];
        let (_permit, mut token) = match tokio::time::timeout(self.stream_wait, self.prepare(lines)).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(fault)) => return Outcome::refused(fault.action, fault.reason),
            Err(_) => return Outcome::refused(Action::Retry, "no_free_stream"),
        };
        let client = lines.client();
        let mut replaced = false;
        loop {
            let answer = match self.post(client, body.clone(), &token).await {
                Ok(answer) => answer,
                Err(cause) => {
                    return Outcome { retry_after: Some(self.retry_floor), ..super::broken(&cause) };
                }
            };
            if replaced || !answer::judge(answer.status, &answer.body).wants_token {
                return self.outcome(answer, &message.target);
            }
            replaced = true;
            token = match tokio::time::timeout(self.stream_wait, self.tokens.replace(&token)).await {
                Ok(Ok(token)) => token,
                Ok(Err(fault)) => return Outcome::refused(fault.action, fault.reason),
                Err(_) => return Outcome::refused(Action::Retry, "token_unavailable"),
            };
        }
    }
}

/// What came back.
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: answer::Body,
}

impl Lines {
    fn new(config: &Config, pace: Arc<DefaultDirectRateLimiter>) -> Result<Self, GatewayError> {
        // HTTP/2 from the first byte: otherwise a burst opens a connection for each request before it is known
        let build =
            || client(config, &[b"h2"])?.http2_prior_knowledge().build().map_err(GatewayError::Client);
        Ok(Self {
            clients: (0..config.connections_per_lane.max(1)).map(|_| build()).collect::<Result<_, _>>()?,
            next: AtomicUsize::new(0),
            streams: Semaphore::new(config.streams_per_lane as usize),
            pace,
        })
    }

    fn client(&self) -> &reqwest::Client {
        &self.clients[self.next.fetch_add(1, Ordering::Relaxed) % self.clients.len()]
    }
}

fn client(config: &Config, alpn: &[&[u8]]) -> Result<reqwest::ClientBuilder, GatewayError> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client_config(config.ca_file.as_deref(), alpn)?)
        .connect_timeout(Duration::from_millis(config.connect_timeout_ms.into()))
        .timeout(Duration::from_millis(config.request_timeout_ms.into()))
        .http2_keep_alive_interval(Duration::from_millis(config.ping_interval_ms.into()))
        .http2_keep_alive_timeout(Duration::from_millis(config.ping_timeout_ms.into()))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy())
}

/// Lets `per_second` messages through, a tenth of a second's worth at once.
fn pace(per_second: u32) -> Arc<DefaultDirectRateLimiter> {
    let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(per_second / 10).unwrap_or(NonZeroU32::MIN);
    Arc::new(RateLimiter::direct(Quota::per_second(rate).allow_burst(burst)))
}
