//! What a request may use, and how the role starts.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, FestivalDays, Previewer, ReceiptKey, Zone};
use service::Lifecycle;
use service::address::AddressRange;
use service::reach::{HostPattern, Inside};
use service::token::{TokenSigner, TokenVerifier};
use store::Store;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{error, info};

use crate::code::Code;
use crate::config::Config;
use crate::cursor::Cursors;
use crate::error::ApiError;
use crate::fault::{Fault, Rule};
use crate::limits::RateLimiter;
use crate::lockout::Lockout;
use crate::metrics;
use crate::passwords::{PasswordError, Passwords};
use crate::router::router;
use crate::standing::Sessions;

/// Longest time that one sweep of old rows goes on.
const SWEEP_BUDGET: Duration = Duration::from_secs(5);

/// What the process gives to the API.
#[derive(Debug)]
pub struct Deps {
    /// The database, migrated.
    pub store: Store,
    /// Signs access tokens.
    pub signer: TokenSigner,
    /// Verifies access tokens.
    pub verifier: TokenVerifier,
    /// `iss` of access tokens.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// Makes the codes that apps confirm deliveries with.
    pub receipt_key: ReceiptKey,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// What browsers need to be registered.
    pub webpush: Webpush,
    /// Shows what a message would look like.
    pub previewer: Previewer,
    /// Minutes before an event's start that people can choose to be reminded at.
    pub reminder_choices: Vec<u32>,
}

/// What browsers need to be registered for push.
#[derive(Debug, Clone)]
pub struct Webpush {
    /// The key that pages subscribe with: 87 characters of base64url. None: no push to browsers.
    pub public_key: Option<String>,
    /// Hosts that a subscription may name.
    pub hosts: Vec<HostPattern>,
    /// Whether it may name addresses and ports.
    pub inside: Inside,
}

impl Default for Webpush {
    fn default() -> Self {
        Self { public_key: None, hosts: Vec::new(), inside: Inside::Refused }
    }
}

/// Why the API cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A field of the configuration, which was to be checked before, is wrong.
    #[error("api.{0}")]
    Config(String),
    /// Passwords cannot be hashed at the configured cost.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// What a request may use. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Inner>);

/// The parts of [`App`].
#[derive(Debug)]
pub(crate) struct Inner {
    /// The database.
    pub(crate) store: Store,
    /// Signs access tokens.
    pub(crate) signer: TokenSigner,
    /// Verifies access tokens.
    pub(crate) verifier: TokenVerifier,
    /// `iss` of access tokens.
    pub(crate) issuer: String,
    /// `aud` of access tokens.
    pub(crate) audience: String,
    /// Verifies the codes of receipts.
    pub(crate) receipt_key: ReceiptKey,
    /// Wall time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Shows what a message would look like.
    pub(crate) previewer: Previewer,
    /// Minutes before an event's start that people can choose to be reminded at.
    pub(crate) reminder_choices: Vec<u32>,
    /// Makes and reads the cursors of lists.
    pub(crate) cursors: Cursors,
    /// Quotas of callers.
    pub(crate) rates: RateLimiter,
    /// Hashes passwords.
    pub(crate) passwords: Passwords,
    /// Who has guessed too often.
    pub(crate) lockout: Lockout,
    /// Whether sessions still go on.
    pub(crate) sessions: Sessions,
    /// Room for requests.
    pub(crate) in_flight: Semaphore,
    /// Whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<AddressRange>,
    /// What browsers need to be registered.
    pub(crate) webpush: Webpush,
    /// `[api]`.
    pub(crate) config: Config,
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Starts the API: its sweeps run on `lifecycle`, its routes are returned for the process to serve.
///
/// The router has a fallback; what it is merged with has none. Serve it with
/// `into_make_service_with_connect_info::<SocketAddr>()`, so that anonymous callers are told apart.
///
/// # Errors
/// [`StartError::Config`] for a configuration that [`Config::check`] would refuse, [`StartError::Password`] when a
/// password cannot be hashed.
pub fn start(config: Config, deps: Deps, lifecycle: &Lifecycle) -> Result<axum::Router, StartError> {
    let mut faults = service::Faults::default();
    config.check(&mut faults);
    if let Some(fault) = faults.list().first() {
        return Err(StartError::Config(fault.to_string()));
    }
    metrics::describe();
    let app = App(Arc::new(Inner {
        cursors: Cursors::new(deps.receipt_key.derive("api cursors")),
        rates: RateLimiter::new(&config.rate_limits),
        passwords: Passwords::new(&config.passwords)?,
        lockout: Lockout::new(&config.passwords),
        sessions: Sessions::new(config.sessions.recheck_ms),
        in_flight: Semaphore::new(config.limits.requests_in_flight_max),
        trusted_proxies: config
            .trusted_proxies
            .iter()
            .filter_map(|range| AddressRange::parse(range))
            .collect(),
        store: deps.store,
        signer: deps.signer,
        verifier: deps.verifier,
        issuer: deps.issuer,
        audience: deps.audience,
        receipt_key: deps.receipt_key,
        clock: deps.clock,
        webpush: deps.webpush,
        previewer: deps.previewer,
        reminder_choices: deps.reminder_choices,
        config,
    }));
    start_sweeps(&app, lifecycle);
    Ok(router(app))
}

/// What is swept, and how often.
#[derive(Debug, Clone, Copy)]
enum Sweep {
    Quotas,
    IdempotencyKeys,
    RefreshTokens,
}

fn start_sweeps(app: &App, lifecycle: &Lifecycle) {
    let config = &app.config;
    for (name, sweep, interval_secs) in [
        ("api.sweep_quotas", Sweep::Quotas, config.rate_limits.sweep_interval_secs),
        ("api.sweep_idempotency_keys", Sweep::IdempotencyKeys, config.idempotency.sweep_interval_secs),
        ("api.sweep_refresh_tokens", Sweep::RefreshTokens, config.sessions.sweep_interval_secs),
    ] {
        let (app, drain) = (app.clone(), lifecycle.drain().clone());
        lifecycle.spawn(name, async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(interval_secs));
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! { // both are cancel-safe: a tick or the drain, nothing is lost
                    _ = ticks.tick() => app.sweep(sweep).await,
                    () = drain.cancelled() => return Ok::<(), StartError>(()),
                }
            }
        });
    }
}

impl App {
    /// The days of the festival, in the zone named `zone` or in its own.
    ///
    /// # Errors
    /// [`Code::InvalidQuery`] for a name that the tz database does not have.
    pub(crate) fn festival_days(&self, zone: Option<&str>) -> Result<FestivalDays, ApiError> {
        let festival = &self.config.festival;
        let zone = Zone::new(zone.unwrap_or(&festival.time_zone)).map_err(|unknown| {
            let fault = Fault { pointer: "/tz".to_owned(), rule: Rule::Unknown("IANA time zone") };
            ApiError::new(Code::InvalidQuery).detail(unknown).faults(vec![fault])
        })?;
        Ok(FestivalDays::new(zone, festival.day_start_hour))
    }

    /// Sweeps page by page, for at most [`SWEEP_BUDGET`]. A sweep that fails is tried again at its next turn.
    async fn sweep(&self, sweep: Sweep) {
        let started = Instant::now();
        let mut rows = 0;
        while started.elapsed() < SWEEP_BUDGET {
            let now = self.clock.now();
            let page = match sweep {
                Sweep::Quotas => {
                    self.rates.sweep();
                    return;
                }
                Sweep::IdempotencyKeys => store::idempotency::sweep(&self.store, now).await,
                Sweep::RefreshTokens => store::refresh_tokens::sweep(&self.store, now).await,
            };
            match page {
                Ok(0) => break,
                Ok(page) => rows += page,
                Err(cause) => {
                    error!(sweep = ?sweep, "sweeping expired rows failed: {}", Chain(&cause));
                    return;
                }
            }
        }
        if rows > 0 {
            info!(sweep = ?sweep, rows, "swept {rows} expired rows");
        }
    }
}

/// An error with its causes.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
