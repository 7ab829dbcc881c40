//! Builds the hub once, general to specific, and hands out its routes.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use domain::{Clock, ReceiptKey};
use service::address::AddressRange;
use service::token::{ForeignVerifier, TokenVerifier};
use service::{Descriptors, Faults, Lifecycle, Scrape, http_client};
use streams::{ChangeLog, StreamsError, WorkQueue};
use tokio::sync::{Semaphore, mpsc};
use tracing::info;

use crate::authority::Authority;
use crate::census::Census;
use crate::config::Config;
use crate::confirm;
use crate::control::Controls;
use crate::forward::Forwards;
use crate::front::{self, Door, Names};
use crate::history::Histories;
use crate::metrics::{self, TailMetrics};
use crate::origin::OriginPattern;
use crate::paces::Paces;
use crate::presence::Presence;
use crate::presence::task::Teller;
use crate::publish;
use crate::pusher::http::Desk;
use crate::pusher::{self, Pusher};
use crate::revocations::Revocations;
use crate::server_api;
use crate::shard::{self, Message, Shared};
use crate::tail::{self, Prober, Tail};

/// Questions about the log that may wait.
const PROBES_MAX: usize = 64;
/// Between sweeps of what is remembered of speeds.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Between looks at how far the tail is behind.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the hub needs of the process.
#[derive(Debug, Clone)]
pub struct Deps {
    /// What is published.
    pub log: ChangeLog,
    /// Where confirmations of deliveries go (queue `receipts`).
    pub queue: WorkQueue,
    /// What access tokens are checked with.
    pub tokens: TokenVerifier,
    /// Who has to have issued them.
    pub issuer: String,
    /// What they have to be for.
    pub audience: String,
    /// What receipt codes are checked with.
    pub receipt_key: ReceiptKey,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Places for sockets.
    pub descriptors: Descriptors,
    /// Where what the shards count is folded.
    pub scrape: Scrape,
}

/// Why the hub cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The change log does not say how it stands.
    #[error(transparent)]
    Log(#[from] StreamsError),
    /// The keys of `[hub.tokens]` have become others since the configuration was checked.
    #[error("hub.tokens: {0}")]
    Tokens(String),
    /// The key of `[hub.server_api]` has become another since the configuration was checked.
    #[error("hub.server_api: {0}")]
    ServerApi(String),
    /// The threads of the shards cannot be made.
    #[error("a shard of the hub cannot be started")]
    Shard(#[source] io::Error),
    /// The HTTP client for webhooks cannot be made.
    #[error(transparent)]
    Webhooks(#[from] http_client::BuildError),
}

/// Starts the shards, the tail of the change log and what belongs to them; gives the routes of the front door.
///
/// `hub.warm` becomes ready when the histories are read; until then, and while the process drains, upgrades get 503.
///
/// # Errors
/// [`StartError`].
pub async fn start(config: Config, deps: Deps, life: &Lifecycle) -> Result<Router, StartError> {
    metrics::describe();
    let mut config = config;
    pusher::claim_classes(&mut config);
    let config = Arc::new(config);
    let (histories, ends) = tail::open(&deps.log, &config).await?;
    let limits = &config.limits;
    let census = Census::new(
        limits.connections_max,
        limits.connections_per_user_max,
        config.door.connections_per_address_max,
    )
    .within(&deps.descriptors);
    let paces = Paces::new(&config.door, limits);
    let revocations = Revocations::new(&config.revocations);
    let (confirmations, tickets) = mpsc::channel(limits.confirmations_max as usize);
    let (submissions, submitted) = mpsc::channel(limits.submissions_max as usize);
    let (probes, questions) = mpsc::channel(PROBES_MAX);
    let node: Arc<str> = node_name().into();
    let presence = Presence::new(&node, &config.presence);
    let shared = Shared {
        config: Arc::clone(&config),
        authority: authority(&config, &deps, &revocations)?,
        census,
        paces: paces.clone(),
        histories: histories.clone(),
        presence: presence.clone(),
        clock: Arc::clone(&deps.clock),
        node: Arc::clone(&node),
        confirmations,
        submissions,
        probes,
        scrape: deps.scrape.clone(),
    };
    let count = shard_count(&config);
    let shards = (0..count)
        .map(|number| shard::spawn(number, shared.clone(), life))
        .collect::<Result<Vec<_>, _>>()
        .map_err(StartError::Shard)?;
    info!(shards = count, log.partitions = histories.partitions(), "the hub has {count} shards");

    let (pusher, counting) = pusher::start(&config.pusher, &node, &deps, &shards, life)?;
    metrics::follow(&pusher, &presence, &deps.scrape);
    let controls = Controls {
        counting,
        revocations,
        presence: presence.clone(),
        clock: Arc::clone(&deps.clock),
        node: Arc::clone(&node),
        shards: shards.clone(),
    };
    let warm = spawn_tail(&config, &deps, (histories.clone(), controls), (shards.clone(), ends), life);
    spawn_teller((presence, Arc::clone(&pusher)), &deps, &shards, life);
    let (log, answers) = ((deps.log.clone(), histories.clone()), shards.clone());
    let patience = Duration::from_millis(config.hold_ms);
    life.spawn("hub.publish", async move {
        publish::run(log, patience, submitted, answers).await;
        Ok::<(), Infallible>(())
    });
    sweep(paces, life);
    spawn_helpers(&deps, histories, &shards, (tickets, questions), life);
    routes(&shared, &deps, pusher, (shards, warm), life)
}

/// What tokens and codes are checked with.
fn authority(config: &Config, deps: &Deps, revocations: &Revocations) -> Result<Arc<Authority>, StartError> {
    Ok(Arc::new(Authority {
        tokens: deps.tokens.clone(),
        issuer: deps.issuer.clone(),
        audience: deps.audience.clone(),
        foreign: foreign(config)?,
        personal_topic: config.tokens.personal_topic,
        insecure: config.tokens.insecure,
        receipt_key: deps.receipt_key.clone(),
        revocations: revocations.clone(),
    }))
}

/// The routes of the front door, of Pusher's HTTP API, and of the API for back ends.
fn routes(
    shared: &Shared,
    deps: &Deps,
    pusher: Arc<Pusher>,
    (shards, warm): (Vec<mpsc::Sender<Message>>, Arc<AtomicBool>),
    life: &Lifecycle,
) -> Result<Router, StartError> {
    let config = &shared.config;
    let origins: Vec<_> = config.origins.iter().filter_map(|origin| OriginPattern::parse(origin)).collect();
    let desk = pusher::http::router(Desk {
        pusher: Arc::clone(&pusher),
        log: deps.log.clone(),
        histories: shared.histories.clone(),
        presence: shared.presence.clone(),
        config: Arc::clone(config),
        authority: Arc::clone(&shared.authority),
        origins: origins.clone(),
        clock: Arc::clone(&deps.clock),
    });
    let back_ends = server_api::open(deps, shared, &shards).map_err(StartError::ServerApi)?;
    let proxies = &config.door.trusted_proxies;
    let door = front::router(Door {
        origins,
        census: shared.census.clone(),
        paces: shared.paces.clone(),
        trusted_proxies: proxies.iter().filter_map(|range| AddressRange::parse(range)).collect(),
        shards,
        turn: AtomicUsize::new(0),
        warm,
        life: life.clone(),
        upgrade_timeout: Duration::from_millis(config.upgrade_timeout_ms),
        message_bytes_max: config.limits.message_bytes_max as usize,
        http: config.http.clone(),
        http_streams: Arc::new(Semaphore::new(config.http.streams_max as usize)),
        names: Names::new(Arc::clone(&shared.node), deps.receipt_key.derive("hub sessions")),
        forwards: Forwards {
            log: deps.log.clone(),
            clock: Arc::clone(&deps.clock),
            places: Semaphore::new(config.http.forwards_max as usize),
            timeout: Duration::from_millis(config.http.body_timeout_ms),
        },
        pusher,
    });
    Ok(door.merge(desk).merge(back_ends))
}

/// Has the paces forget who is slow again.
fn sweep(paces: Paces, life: &Lifecycle) {
    let drain = life.drain().clone();
    life.spawn("hub.sweep", async move {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! { // both are cancel-safe
                _ = ticks.tick() => paces.sweep(),
                () = drain.cancelled() => return Ok::<(), Infallible>(()),
            }
        }
    });
}

/// A name that no other node has, now or ever.
fn node_name() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// What tokens of the foreign issuer are checked with.
fn foreign(config: &Config) -> Result<ForeignVerifier, StartError> {
    let mut faults = Faults::default();
    let verifier = config.tokens.verifier(&mut faults);
    match faults.list().first() {
        None => Ok(verifier),
        Some(fault) => Err(StartError::Tokens(fault.to_string())),
    }
}

fn shard_count(config: &Config) -> usize {
    match config.shards {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => usize::from(count),
    }
}

/// Starts the tail; gives what says whether it is warm.
fn spawn_tail(
    config: &Arc<Config>,
    deps: &Deps,
    (histories, controls): (Histories, Controls),
    (shards, ends): (Vec<mpsc::Sender<Message>>, Vec<u64>),
    life: &Lifecycle,
) -> Arc<AtomicBool> {
    let warm = Arc::new(AtomicBool::new(false));
    let partition = histories.partition_of(&domain::Topic::control());
    let begins_at = histories.read(partition).applied;
    let gap = (begins_at > 0 && begins_at < ends[usize::from(partition)]).then_some(partition);
    let (readiness, flag) = (life.readiness("hub.warm"), Arc::clone(&warm));
    let presence = controls.presence.clone();
    let tail = Tail {
        log: deps.log.clone(),
        config: Arc::clone(config),
        histories,
        controls,
        clock: Arc::clone(&deps.clock),
        shards,
        metrics: TailMetrics::new(),
        ends,
        gap,
    };
    life.spawn("hub.tail", async move {
        let on_warm = move || {
            presence.begin();
            flag.store(true, Ordering::Relaxed);
            readiness.set(true);
        };
        tail.run(on_warm).await;
        Ok::<(), Infallible>(())
    });
    warm
}

/// Starts what tells the other nodes who is here.
fn spawn_teller(
    (presence, pusher): (Presence, Arc<Pusher>),
    deps: &Deps,
    shards: &[mpsc::Sender<Message>],
    life: &Lifecycle,
) {
    let (log, clock, shards) = (deps.log.clone(), Arc::clone(&deps.clock), shards.to_vec());
    let teller = Teller { presence, log, clock, shards, pusher };
    let own_life = life.clone();
    life.spawn("hub.presence", async move {
        teller.run(own_life).await;
        Ok::<(), Infallible>(())
    });
}

fn spawn_helpers(
    deps: &Deps,
    histories: Histories,
    shards: &[mpsc::Sender<Message>],
    (tickets, questions): (mpsc::Receiver<confirm::Ticket>, mpsc::Receiver<streams::Partition>),
    life: &Lifecycle,
) {
    let (queue, clock, answers) = (deps.queue.clone(), Arc::clone(&deps.clock), shards.to_vec());
    life.spawn("hub.confirm", async move {
        confirm::run(queue, clock, tickets, answers).await;
        Ok::<(), Infallible>(())
    });
    let prober = Prober {
        log: deps.log.clone(),
        histories,
        shards: shards.to_vec(),
        metrics: TailMetrics::new(),
        every: LOOK_EVERY,
    };
    let own_life = life.clone();
    life.spawn("hub.prober", async move {
        prober.run(questions, own_life).await;
        Ok::<(), Infallible>(())
    });
}
