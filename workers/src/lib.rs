//! Everything that happens after a commit: relay, planner, channels, receipts, sweepers. A file a job.
//!
//! Every job may run in several processes: what only one may do at a time stands under a lease, the rest is shared
//! through work queues. Every job may be killed at any moment and takes up its work again from what is durable.

mod app;
mod backoff;
pub mod channels;
mod config;
mod counts;
mod coverage;
mod credentials;
mod deliver;
mod failure;
pub mod gateway;
mod gateways;
mod leader;
pub mod metrics;
mod planner;
pub mod preview;
mod receipts;
mod registry;
mod relay;
mod render;
mod sampler;
mod schedules;
mod sweeper;
pub mod templates;
mod webhooks;

use std::convert::Infallible;
use std::sync::Arc;

use domain::{Clock, ReceiptKey};
use service::Lifecycle;
use store::Store;
use streams::{ChangeLog, WorkQueue};

pub use config::{
    ChannelRules, Config, Deliver, Escalation, Planner, Preferences, Receipts, Registry, Relay, Reminders,
    Retry, Steps, Sweeper,
};
pub use gateways::{Gateways, Renewables};

use app::App;
use templates::Templates;

/// What the workers need from the process.
#[derive(Debug)]
pub struct Deps {
    /// The database.
    pub store: Store,
    /// Where publications go.
    pub log: ChangeLog,
    /// Where work waits.
    pub queue: WorkQueue,
    /// With what receipt codes are made.
    pub receipt_key: ReceiptKey,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// The providers.
    pub gateways: Gateways,
}

/// Why the workers could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The pauses of the lanes could not be read.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The secret of a webhook cannot be used.
    #[error(transparent)]
    Webhook(#[from] channels::GatewayError),
    /// A template, which was to be checked before, is wrong.
    #[error(transparent)]
    Template(#[from] templates::TemplateFault),
}

/// Starts every job as owned tasks of `life`. They end when it drains.
///
/// # Errors
/// [`StartError::Store`] when the database does not answer, [`StartError::Webhook`] when a webhook's secret is unusable,
/// [`StartError::Template`] when a template is wrong.
pub async fn start(config: Config, deps: Deps, life: &Lifecycle) -> Result<(), StartError> {
    metrics::describe();
    let templates = Templates::load(&config.templates).map_err(|mut faults| faults.swap_remove(0))?;
    let webhooks = Arc::new(channels::webhook::Webhooks::new(&config.webhooks, Arc::clone(&deps.clock))?);
    let app = App::new(config, deps, (webhooks, templates), life);
    sampler::load_pauses(&app).await?;
    spawn(&app, "workers.relay", relay::run(app.clone()));
    spawn(&app, "workers.planner", planner::run(app.clone()));
    spawn(&app, "workers.expander", planner::run_expander(app.clone()));
    spawn(&app, "workers.schedules", schedules::run(app.clone()));
    spawn(&app, "workers.receipts", receipts::run(app.clone()));
    spawn(&app, "workers.sweeper", sweeper::run(app.clone()));
    spawn(&app, "workers.registry", registry::run(app.clone()));
    spawn(&app, "workers.counts", counts::run(app.clone()));
    spawn(&app, "workers.coverage", coverage::run(app.clone()));
    spawn(&app, "workers.sampler", sampler::run(app.clone()));
    spawn(&app, "workers.credentials", credentials::run(app.clone()));
    for name in app.webhooks.names() {
        spawn(&app, "workers.webhook", webhooks::run(app.clone(), name.to_owned()));
    }
    for worker in deliver::workers(&app) {
        spawn(&app, "workers.deliver", worker.run());
    }
    Ok(())
}

fn spawn(app: &App, name: &'static str, job: impl Future<Output = ()> + Send + 'static) {
    app.life.spawn(name, async move {
        job.await;
        Ok::<(), Infallible>(())
    });
}
