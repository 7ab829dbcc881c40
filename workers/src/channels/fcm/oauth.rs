//! Access tokens: one task fetches them ahead of need, everybody else reads the latest.

use std::sync::Arc;
use std::time::Duration;

use domain::{Action, Clock};
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use service::Lifecycle;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::channels::read_body;

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Life of an assertion in seconds; Google takes at most an hour.
const ASSERTION_LIFE: i64 = 3_600;
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Wishes for another token that wait; they are all about the same token.
const WISHES_MAX: usize = 64;

/// What is needed of a service account's key file.
#[derive(Debug, Deserialize)]
pub(super) struct ServiceAccount {
    /// The project that it belongs to.
    pub(super) project_id: String,
    private_key: String,
    private_key_id: Option<String>,
    client_email: String,
    token_uri: String,
}

/// Who fetches tokens, and how.
pub(super) struct Fetcher {
    account: ServiceAccount,
    key: EncodingKey,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    retry_max: Duration,
}

/// The latest token, for everybody who sends.
pub(super) struct Tokens {
    latest: watch::Receiver<State>,
    wishes: mpsc::Sender<u64>,
}

/// A token that is good to use.
#[derive(Debug, Clone)]
pub(super) struct AccessToken {
    /// `Bearer …`.
    pub(super) bearer: HeaderValue,
    /// Rises with each token.
    generation: u64,
    expires_at: Instant,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// What to do with what should have been sent.
    pub(super) action: Action,
    /// From our own vocabulary.
    pub(super) reason: &'static str,
}

/// The token endpoint does not answer, or the process drains and its last token has expired.
const UNAVAILABLE: Fault = Fault { action: Action::Retry, reason: "token_unavailable" };
/// The token endpoint does not take the account.
const REFUSED: Fault = Fault { action: Action::FixConfig, reason: "token_refused" };

#[derive(Debug, Clone, Default)]
struct State {
    token: Option<AccessToken>,
    fault: Option<Fault>,
    /// Fetches that have ended, well or not.
    rounds: u64,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl Fetcher {
    /// Takes the account's key.
    ///
    /// # Errors
    /// When it is no RSA key in PEM.
    pub(super) fn new(
        account: ServiceAccount,
        client: reqwest::Client,
        clock: Arc<dyn Clock>,
        retry_max: Duration,
    ) -> Result<Self, jsonwebtoken::errors::Error> {
        let key = EncodingKey::from_rsa_pem(account.private_key.as_bytes())?;
        Ok(Self { account, key, client, clock, retry_max })
    }

    /// Starts fetching. The task ends with the process's drain, or when [`Tokens`] is dropped.
    pub(super) fn start(self, lifecycle: &Lifecycle) -> Tokens {
        let (publish, latest) = watch::channel(State::default());
        let (wishes, inbox) = mpsc::channel(WISHES_MAX);
        let drain = lifecycle.drain().clone();
        lifecycle.spawn("fcm.tokens", async move {
            drain.run_until_cancelled(self.run(&publish, inbox)).await;
            Ok::<(), std::convert::Infallible>(())
        });
        Tokens { latest, wishes }
    }

    async fn run(self, publish: &watch::Sender<State>, mut inbox: mpsc::Receiver<u64>) {
        let mut generation = 0;
        let mut failures = 0;
        loop {
            let pause = match self.fetch(generation + 1).await {
                Ok((token, life)) => {
                    generation += 1;
                    failures = 0;
                    publish.send_modify(|state| {
                        *state = State { token: Some(token), fault: None, rounds: state.rounds + 1 };
                    });
                    info!(life_s = life.as_secs(), "fetched an access token for FCM");
                    life.mul_f64(rand::rng().random_range(0.75..=0.85))
                }
                Err(fault) => {
                    failures += 1;
                    publish.send_modify(|state| {
                        state.fault = Some(fault);
                        state.rounds += 1;
                    });
                    warn!(reason = fault.reason, failures, "could not fetch an access token for FCM");
                    self.backoff(failures)
                }
            };
            if !wait(pause, &mut inbox, generation).await {
                return;
            }
        }
    }

    fn backoff(&self, failures: u32) -> Duration {
        let first = self.retry_max / 100;
        let pause = first.saturating_mul(2_u32.saturating_pow(failures - 1)).min(self.retry_max);
        pause.mul_f64(rand::rng().random_range(0.8..=1.0))
    }

    async fn fetch(&self, generation: u64) -> Result<(AccessToken, Duration), Fault> {
        let asked_at = Instant::now();
        let assertion = self.assertion().map_err(|_| REFUSED)?;
        let form = [("grant_type", GRANT), ("assertion", assertion.as_str())];
        let request = self.client.post(&self.account.token_uri).form(&form);
        let response = request.send().await.map_err(|_| UNAVAILABLE)?;
        let status = response.status().as_u16();
        if (400..500).contains(&status) && status != 408 && status != 429 {
            return Err(REFUSED);
        }
        let body = read_body(response, ANSWER_BYTES_MAX).await.map_err(|_| UNAVAILABLE)?;
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| UNAVAILABLE)?;
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", granted.access_token)).map_err(|_| UNAVAILABLE)?;
        bearer.set_sensitive(true);
        let life = Duration::from_secs(granted.expires_in.min(86_400));
        Ok((AccessToken { bearer, generation, expires_at: asked_at + life }, life))
    }

    fn assertion(&self) -> Result<String, jsonwebtoken::errors::Error> {
        let now = self.clock.now().as_second();
        let mut header = Header::new(Algorithm::RS256);
        header.kid.clone_from(&self.account.private_key_id);
        let claims = Assertion {
            iss: &self.account.client_email,
            scope: SCOPE,
            aud: &self.account.token_uri,
            iat: now,
            exp: now + ASSERTION_LIFE,
        };
        jsonwebtoken::encode(&header, &claims, &self.key)
    }
}

/// Waits for `pause`, or for somebody whose token of `generation` was refused; false when nobody sends any more.
async fn wait(pause: Duration, inbox: &mut mpsc::Receiver<u64>, generation: u64) -> bool {
    let until = Instant::now() + pause;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(until) => return true,
            // cancel-safe: a wish is taken whole or not at all
            wish = inbox.recv() => match wish {
                Some(refused) if refused == generation => return true,
                Some(_) => {} // it was about an older token
                None => return false,
            },
        }
    }
}

impl Tokens {
    /// The latest token; waits only while there has never been an answer.
    pub(super) async fn token(&self) -> Result<AccessToken, Fault> {
        let mut latest = self.latest.clone();
        let state = latest.wait_for(|state| state.rounds > 0).await.map_err(|_| UNAVAILABLE)?;
        match &state.token {
            Some(token) if Instant::now() < token.expires_at => Ok(token.clone()),
            _ => Err(state.fault.unwrap_or(UNAVAILABLE)),
        }
    }

    /// Another token than `refused`, or why there is none.
    pub(super) async fn replace(&self, refused: &AccessToken) -> Result<AccessToken, Fault> {
        let mut latest = self.latest.clone();
        let rounds = latest.borrow().rounds;
        let is_newer = |token: &AccessToken| token.generation > refused.generation;
        // a full queue holds wishes enough
        let _ = self.wishes.try_send(refused.generation);
        let state = latest
            .wait_for(|state| state.token.as_ref().is_some_and(is_newer) || state.rounds > rounds)
            .await
            .map_err(|_| UNAVAILABLE)?;
        match &state.token {
            Some(token) if is_newer(token) => Ok(token.clone()),
            _ => Err(state.fault.unwrap_or(UNAVAILABLE)),
        }
    }
}
