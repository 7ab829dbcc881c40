//! Builds what the roles need, once, and starts them: the only place that knows every room.

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use domain::{Clock, Previewer};
use service::{Descriptors, Lifecycle, Scrape, SystemClock};
use store::Store;
use streams::{ChangeLog, WorkQueue};

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::keys::Keys;
use crate::live;
use crate::roles::Role;

/// What the process has beside its data.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// Places for sockets.
    pub(crate) descriptors: Descriptors,
    /// What is folded when somebody asks for the metrics.
    pub(crate) scrape: Scrape,
}

/// What the roles share.
struct Shared {
    host: Host,
    keys: Keys,
    clock: Arc<dyn Clock>,
    log: ChangeLog,
    queue: WorkQueue,
}

/// The configured database, with this version's schema.
///
/// # Errors
/// When it cannot be opened or brought up to date.
pub(crate) async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let mut store = config.store.clone();
    if store.url.is_empty() {
        let dir = DataDir::open(&config.data_dir)?;
        store.url = format!("sqlite:{}", dir.path().join("munadi.db").display());
    }
    let store = Store::connect(&store).await.context("cannot open the database (store.url)")?;
    store.migrate().await.context("cannot bring the database to this version's schema")?;
    Ok(store)
}

/// Starts what `role` asks for as tasks of `life`; gives the routes of the public port.
///
/// # Errors
/// When the database, the streams or a role cannot start.
pub(crate) async fn start(
    config: Config,
    role: Role,
    (data_dir, host): (&DataDir, &Host),
    life: &Lifecycle,
) -> anyhow::Result<Router> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let keys = Keys::load(&config.auth, role, data_dir)?;
    let store = if role.has_store() { Some(open_store(&config).await?) } else { None };
    let (log, queue) = streams::open(&config.streams, data_dir.path(), Arc::clone(&clock))
        .await
        .context("cannot open the change log and the work queues (streams.url)")?;
    let shared = Shared { host: host.clone(), keys, clock, log, queue };

    let mut routes = Router::new();
    if role.has_hub() {
        routes = routes.merge(start_hub(config.hub, &config.auth, &shared, life).await?);
        routes = routes.merge(live::routes(&config.live).context("cannot read live.sdk_dir")?);
    }
    if let Some(store) = store {
        if role.has_api() {
            let with = (store.clone(), &config.workers);
            let api = start_api(config.api, &config.auth, &shared, with, life)?;
            routes = routes.merge(api);
        }
        if role.has_workers() {
            start_workers(config.workers, shared, store, life).await?;
        }
    }
    Ok(routes)
}

/// What pages are told to subscribe with, and where their subscriptions may lead.
fn webpush(config: &workers::channels::webpush::Config) -> anyhow::Result<api::Webpush> {
    let public_key = workers::channels::webpush::public_key(config)
        .context("cannot read the key of web push (workers.webpush)")?;
    Ok(api::Webpush { public_key, hosts: config.host_patterns(), inside: config.inside() })
}

/// Joins the API, which is asked what a message would look like, with the workers' templates, which know.
fn previewer(config: &workers::Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Previewer> {
    let templates =
        workers::templates::Templates::load(&config.templates).map_err(|mut faults| faults.swap_remove(0));
    let (templates, clock) = (templates.context("cannot read workers.templates.dir")?, Arc::clone(clock));
    Ok(Previewer::new(move |draft| workers::preview::preview(&templates, draft, clock.now())))
}

fn start_api(
    config: api::Config,
    names: &crate::keys::Config,
    shared: &Shared,
    (store, workers): (Store, &workers::Config),
    life: &Lifecycle,
) -> anyhow::Result<Router> {
    let deps = api::Deps {
        store,
        signer: shared
            .keys
            .signer
            .clone()
            .context("auth.signing_key_file is needed to sign access tokens")?,
        verifier: shared.keys.verifier.clone(),
        issuer: names.issuer.clone(),
        audience: names.audience.clone(),
        receipt_key: shared.keys.receipt.clone(),
        clock: Arc::clone(&shared.clock),
        webpush: webpush(&workers.webpush)?,
        previewer: previewer(workers, &shared.clock)?,
        reminder_choices: workers.reminders.choices.clone(),
    };
    api::start(config, deps, life).context("cannot start the API")
}

async fn start_hub(
    config: hub::Config,
    names: &crate::keys::Config,
    shared: &Shared,
    life: &Lifecycle,
) -> anyhow::Result<Router> {
    let deps = hub::Deps {
        log: shared.log.clone(),
        queue: shared.queue.clone(),
        tokens: shared.keys.verifier.clone(),
        issuer: names.issuer.clone(),
        audience: names.audience.clone(),
        receipt_key: shared.keys.receipt.clone(),
        clock: Arc::clone(&shared.clock),
        descriptors: shared.host.descriptors.clone(),
        scrape: shared.host.scrape.clone(),
    };
    hub::start(config, deps, life).await.context("cannot start the hub")
}

async fn start_workers(
    config: workers::Config,
    shared: Shared,
    store: Store,
    life: &Lifecycle,
) -> anyhow::Result<()> {
    let gateways =
        workers::Gateways::from_config(&config, &shared.clock, life).context("cannot set up the channels")?;
    let deps = workers::Deps {
        store,
        log: shared.log,
        queue: shared.queue,
        receipt_key: shared.keys.receipt,
        clock: shared.clock,
        gateways,
    };
    workers::start(config, deps, life).await.context("cannot start the workers")
}
