//! The engine of delivery: workers of each channel and lane claim pages, record attempts before bytes leave, send, and
//! record what came of it.
//!
//! A lane's workers serve no other lane, so that an emergency never waits for a promotion. What a crash interrupts comes
//! back when the lease of its page runs out: an attempt that was recorded but has no outcome counts as *unknown*.

mod page;
mod pauses;
mod send;
mod verdict;
mod window;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::{Channel, Lane};
use streams::QueueName;
use tracing::warn;

use crate::app::App;
use crate::backoff::Backoff;
use crate::config::ChannelRules;
use crate::failure::chain;
use crate::planner::delivery_queue;

pub(crate) use pauses::{Pauses, Permit, probe_now};
pub(crate) use send::socket_message;
use window::Window;

/// One worker of one channel's lane. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Worker {
    app: App,
    channel: Channel,
    lane: Lane,
    queue: QueueName,
    rules: Arc<ChannelRules>,
    /// Shared by the workers of the lane.
    window: Arc<Window>,
}

/// The workers of every channel that is configured, for every lane.
pub(crate) fn workers(app: &App) -> Vec<Worker> {
    let mut workers = Vec::new();
    for channel in Channel::ALL.into_iter().filter(|one| app.gateways.reach(*one)) {
        let rules = Arc::new(app.config.deliver.rules(channel).clone());
        for lane in Lane::ALL {
            let queue = delivery_queue(channel, lane);
            let under_way_max = rules.concurrency * rules.workers as usize;
            let window = Arc::new(Window::new(under_way_max, lane == Lane::Emergency));
            let worker = Worker { app: app.clone(), channel, lane, queue, rules: Arc::clone(&rules), window };
            workers.extend((0..rules.workers).map(|_| worker.clone()));
        }
    }
    workers
}

impl Worker {
    /// Works until the process drains; what is begun is ended.
    pub(crate) async fn run(self) {
        let relay = &self.app.config.relay;
        let mut backoff = Backoff::new(
            Duration::from_millis(relay.backoff_min_ms),
            Duration::from_millis(relay.backoff_max_ms),
        );
        while !self.app.draining() {
            let Some(permit) = self.permit() else {
                self.app.pause(Duration::from_millis(self.app.config.deliver.claim_wait_ms)).await;
                continue;
            };
            let probing = permit == Permit::Probe;
            let result = self.turn(probing).await;
            if probing {
                self.app.pauses.probe_ended(self.channel, self.lane);
            }
            match result {
                Ok(()) => backoff.reset(),
                Err(cause) => {
                    let wait = backoff.after_failure(rand::random());
                    let (channel, lane) = (self.channel, self.lane);
                    warn!(cause = chain(&cause), %channel, %lane, "a page of {channel} {lane} was interrupted; its lease brings it back");
                    self.app.pause(wait).await;
                }
            }
        }
    }

    /// Claims one page, if there is one, and works through it.
    async fn turn(&self, probing: bool) -> Result<(), page::PageError> {
        let lease = Duration::from_millis(self.rules.lease_ms);
        let wait = Duration::from_millis(self.app.config.deliver.claim_wait_ms);
        // not raced against the drain: a claim that is dropped half way would hold its page until the lease runs out
        for item in self.app.queue.claim(&self.queue, 1, lease, wait).await? {
            page::Page::new(self, probing).work(item).await?;
        }
        Ok(())
    }

    /// Whether this lane may send now, and as what.
    fn permit(&self) -> Option<Permit> {
        if self.held() {
            return None;
        }
        match self.app.pauses.permit(self.channel, self.lane, self.app.now()) {
            Permit::Closed(_) => None,
            permit => Some(permit),
        }
    }

    /// Whether an emergency holds this lane back.
    fn held(&self) -> bool {
        self.lane == Lane::Promotional && self.app.promotions_held.load(Ordering::Relaxed)
    }
}
