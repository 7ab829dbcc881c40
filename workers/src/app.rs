//! What a job may use.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use domain::{Clock, ReceiptKey, Timestamp};
use service::Lifecycle;
use store::Store;
use streams::{ChangeLog, WorkQueue};
use tokio::sync::Notify;

use crate::channels::webhook::Webhooks;
use crate::deliver::Pauses;
use crate::templates::Templates;
use crate::{Config, Deps, Gateways};

/// What a job may use. Cloning is cheap: every field is a handle.
#[derive(Clone)]
pub(crate) struct App {
    /// The database.
    pub(crate) store: Store,
    /// Where publications go.
    pub(crate) log: ChangeLog,
    /// Where work waits.
    pub(crate) queue: WorkQueue,
    /// With what receipt codes are made.
    pub(crate) receipt_key: ReceiptKey,
    /// Wall time.
    pub(crate) clock: Arc<dyn Clock>,
    /// The providers.
    pub(crate) gateways: Gateways,
    /// Other systems that are told.
    pub(crate) webhooks: Arc<Webhooks>,
    /// What people read.
    pub(crate) templates: Templates,
    /// Limits and times.
    pub(crate) config: Arc<Config>,
    /// The process's life.
    pub(crate) life: Lifecycle,
    /// This process as a holder of leases.
    pub(crate) holder: Arc<str>,
    /// Lanes that wait for their configuration to be mended.
    pub(crate) pauses: Arc<Pauses>,
    /// Whether promotional work stands still for an emergency.
    pub(crate) promotions_held: Arc<AtomicBool>,
    /// Notified when there is something to plan.
    pub(crate) to_plan: Arc<Notify>,
}

impl App {
    /// Puts the handles together.
    pub(crate) fn new(
        config: Config,
        deps: Deps,
        (webhooks, templates): (Arc<Webhooks>, Templates),
        life: &Lifecycle,
    ) -> Self {
        let Deps { store, log, queue, receipt_key, clock, gateways } = deps;
        Self {
            store,
            log,
            queue,
            receipt_key,
            clock,
            gateways,
            webhooks,
            templates,
            config: Arc::new(config),
            life: life.clone(),
            holder: uuid::Uuid::from_u128(rand::random()).to_string().into(),
            pauses: Arc::new(Pauses::default()),
            promotions_held: Arc::new(AtomicBool::new(false)),
            to_plan: Arc::new(Notify::new()),
        }
    }

    /// The instant now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the process is on its way out.
    pub(crate) fn draining(&self) -> bool {
        self.life.drain().is_cancelled()
    }

    /// Waits for `span`, or until the process is on its way out.
    pub(crate) async fn pause(&self, span: Duration) {
        tokio::select! {
            () = self.life.drain().cancelled() => {}
            () = tokio::time::sleep(span) => {}
        }
    }
}
