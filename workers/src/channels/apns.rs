//! Apple's push service: HTTP/2, provider tokens, its own connections for each lane.

mod answer;
mod config;
mod connection;
mod request;
mod token;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Action, Clock, Lane};
use http::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret as _;

use crate::gateway::{Gateway, Outcome, Outgoing, Verdict};

use super::suspects::Suspects;
use super::{GatewayError, tls};
use answer::{Refusal, Remedy};
pub use config::Config;
use connection::{Lease, Settings};
pub(super) use request::{PAYLOAD_BYTES_MAX, payload};
use token::{Renewal, Renewed, TokenSource};

/// Tries within one attempt: the first, one with a new token, one or two on a new connection.
const ROUNDS_MAX: u32 = 4;
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The adapter.
pub struct Apns {
    lanes: [connection::Lane; 4],
    tokens: TokenSource,
    topic: HeaderValue,
    base_url: String,
    stream_wait: Duration,
    server_error_floor: Duration,
    critical: bool,
    suspects: Suspects,
    clock: Arc<dyn Clock>,
}

/// What was done already to save the attempt.
#[derive(Default)]
struct Saved {
    renewed: bool,
    reconnected: bool,
}

/// What one request travels with.
struct Route<'a> {
    lane: &'a connection::Lane,
    lease: Lease,
    token: String,
}

/// How one request ended.
enum Round {
    Done(Outcome),
    Again,
}

impl Apns {
    /// Builds the adapter; nothing is connected yet.
    ///
    /// # Errors
    /// [`GatewayError`] when the key or the authority cannot be used.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, GatewayError> {
        let secret = super::secret(config.key_pem.as_ref(), config.key_file.as_deref())?;
        let renewal = Renewal {
            after: Duration::from_secs(u64::from(config.token_renew_after_s)),
            jitter: Duration::from_secs(u64::from(config.token_renew_jitter_s)),
        };
        let tokens = TokenSource::new(secret.expose_secret(), &config.key_id, &config.team_id, renewal)
            .map_err(|cause| GatewayError::key("apns", cause))?;
        let settings = Settings {
            tls: tls::client_config(config.ca_file.as_deref(), &[b"h2"])?,
            streams_max: config.streams_per_connection as usize,
            connect_timeout: Duration::from_millis(config.connect_timeout_ms.into()),
            request_timeout: Duration::from_millis(config.request_timeout_ms.into()),
            ping_interval: Duration::from_millis(config.ping_interval_ms.into()),
            ping_timeout: Duration::from_millis(config.ping_timeout_ms.into()),
        };
        let connections = config.connections_per_lane as usize;
        Ok(Self {
            lanes: std::array::from_fn(|_| connection::Lane::new(connections, settings.clone())),
            tokens,
            topic: HeaderValue::from_str(&config.topic)
                .map_err(|_| GatewayError::Topic(config.topic.clone()))?,
            base_url: config.base_url.trim_end_matches('/').to_owned(),
            stream_wait: Duration::from_millis(config.stream_wait_ms.into()),
            server_error_floor: Duration::from_millis(config.server_error_floor_ms.into()),
            critical: config.critical,
            suspects: Suspects::default(),
            clock,
        })
    }

    async fn round(&self, message: &Outgoing, push: &Push, saved: &mut Saved) -> Round {
        let lane = &self.lanes[message.lane as usize];
        let lease = match tokio::time::timeout(self.stream_wait, lane.lease()).await {
            Ok(Ok(lease)) => lease,
            Ok(Err(_)) => return Round::Done(Outcome::refused(Action::FixConfig, "client_setup")),
            Err(_) => return Round::Done(Outcome::refused(Action::Retry, "no_free_stream")),
        };
        let route = Route { lane, lease, token: self.tokens.token(self.clock.now()) };
        match self.post(&route, push).await {
            Ok(answer) => self.settle(message, &route, answer, saved),
            Err(cause) => {
                lane.retire(&route.lease);
                if cause.is_connect() && !saved.reconnected {
                    saved.reconnected = true; // nothing has left: the connection had ended unnoticed
                    return Round::Again;
                }
                Round::Done(broken(&cause))
            }
        }
    }

    /// Decides on an answer: one of the remedies, or the outcome.
    fn settle(&self, message: &Outgoing, route: &Route<'_>, answer: Answer, saved: &mut Saved) -> Round {
        // any answer of APNs itself but one about the token means that the token was taken
        if answer.status != 403 && answer.status < 500 {
            route.lease.prove();
        }
        let judgement = answer::judge(answer.status, &answer.refusal, message.registered_at);
        match judgement.remedy {
            Remedy::RenewToken
                if !saved.renewed && self.tokens.renew(&route.token, self.clock.now()) == Renewed::Yes =>
            {
                saved.renewed = true;
                return Round::Again;
            }
            Remedy::Reconnect if !saved.reconnected => {
                route.lane.retire(&route.lease);
                saved.reconnected = true;
                return Round::Again;
            }
            Remedy::Retire => route.lane.retire(&route.lease),
            _ => {}
        }
        // Apple wants a quarter of an hour after an error of its own; an evacuation cannot wait for that
        let floor =
            (answer.status >= 500 && message.lane != Lane::Emergency).then_some(self.server_error_floor);
        let verdict = match judgement.verdict {
            // a token of another app or of the other environment, or our own topic or host
            Verdict::Refused(Action::Quarantine) => Verdict::Refused(self.suspects.judge(&message.target)),
            verdict => verdict,
        };
        if verdict == Verdict::Accepted {
            self.suspects.accepted();
        }
        Round::Done(Outcome {
            verdict,
            provider_id: answer.id,
            status_code: Some(answer.status),
            reason: judgement.reason.to_owned(),
            retry_after: answer.retry_after.max(floor),
            bytes_left: true,
        })
    }

    async fn post(&self, route: &Route<'_>, push: &Push) -> Result<Answer, reqwest::Error> {
        let mut bearer = HeaderValue::from_str(&format!("bearer {}", route.token)).expect("a JWT is ASCII");
        bearer.set_sensitive(true); // also keeps it out of the header compression's table
        let request = route
            .lease
            .client()
            .post(&push.url)
            .headers(push.headers.clone())
            .header("authorization", bearer);
        let response = request.body(push.payload.clone()).send().await?;
        let status = response.status().as_u16();
        let id = header(response.headers(), "apns-id");
        let retry_after = super::retry_after(response.headers(), self.clock.now());
        let body =
            if status == 200 { Vec::new() } else { super::read_body(response, ANSWER_BYTES_MAX).await? };
        Ok(Answer { status, id, retry_after, refusal: serde_json::from_slice(&body).unwrap_or_default() })
    }
}

#[async_trait]
impl Gateway for Apns {
    async fn send(&self, message: &Outgoing) -> Outcome {
        let push = match Push::new(message, self) {
            Ok(push) => push,
            Err(outcome) => return outcome,
        };
        let mut saved = Saved::default();
        for _ in 0..ROUNDS_MAX {
            if let Round::Done(outcome) = self.round(message, &push, &mut saved).await {
                return outcome;
            }
        }
        unreachable!("each remedy is tried once, and there are fewer remedies than rounds")
    }
}

/// A request, ready for any connection.
struct Push {
    url: String,
    headers: HeaderMap,
    payload: bytes::Bytes,
}

impl Push {
    fn new(message: &Outgoing, apns: &Apns) -> Result<Self, Outcome> {
        // a token becomes part of the path, so what is no hex never gets there
        if message.target.is_empty() || !message.target.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Outcome::refused(Action::Quarantine, "token_malformed"));
        }
        let Some(fitted) = request::payload(message, apns.critical) else {
            return Err(Outcome::refused(Action::FixMessage, "payload_too_large"));
        };
        if fitted.shortened {
            tracing::debug!(delivery.id = %message.delivery_id, "shortened the body of a push to what APNs takes");
        }
        Ok(Self {
            url: format!("{}/3/device/{}", apns.base_url, message.target),
            headers: request::headers(message, &apns.topic),
            payload: fitted.payload.into(),
        })
    }
}

/// What came back.
struct Answer {
    status: u16,
    id: Option<String>,
    retry_after: Option<Duration>,
    refusal: Refusal,
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
}

/// The outcome of a request that got no answer; the connection may have said why it ended.
fn broken(cause: &reqwest::Error) -> Outcome {
    let outcome = super::broken(cause);
    let mut source = cause.source();
    while let Some(error) = source {
        if let Some(judgement) = answer::goaway_reason(&error.to_string())
            && judgement.verdict == Verdict::Refused(Action::FixConfig)
        {
            return Outcome { verdict: judgement.verdict, reason: judgement.reason.to_owned(), ..outcome };
        }
        source = error.source();
    }
    outcome
}
