//! From the first signal to the exit: drain, wait, and drop what is left.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::Lifecycle;

/// How long aborted tasks may take to let go: they are dropped at their next await.
const ABORT_WAIT: Duration = Duration::from_secs(5);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything that was begun was ended.
    Drained,
    /// The grace period passed, or a second signal came: something was dropped.
    Aborted,
}

/// The signals that ask a process to end: SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on; before that, a signal ends the process at once.
    ///
    /// # Errors
    /// When the system refuses to report signals.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! { // cancel-safe: a signal that is not taken is reported to the next call
            _ = self.terminate.recv() => {},
            _ = self.interrupt.recv() => {},
        }
    }
}

/// Lives until a signal or a failure, drains for at most `grace`, aborts, and says how it ended.
pub async fn run_until_ended(life: &Lifecycle, mut signals: Signals, grace: Duration) -> Ended {
    tokio::select! {
        () = signals.next() => info!("asked to end: draining for up to {} s", grace.as_secs()),
        () = life.drain().cancelled() => info!("draining for up to {} s", grace.as_secs()),
    }
    life.drain().cancel();
    tokio::select! {
        () = life.finished() => return Ended::Drained,
        () = signals.next() => warn!("asked to end again: dropping what is still open"),
        () = tokio::time::sleep(grace) => warn!("the grace period has passed: dropping what is still open"),
    }
    life.abort().cancel();
    if timeout(ABORT_WAIT, life.finished()).await.is_err() {
        warn!("some tasks do not end");
    }
    Ended::Aborted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_within_the_grace_period_is_dropped() {
        let life = Lifecycle::new();
        life.spawn("endless", std::future::pending::<Result<(), &str>>());
        life.drain().cancel();
        let signals = Signals::listen().unwrap();
        assert_eq!(run_until_ended(&life, signals, Duration::from_secs(30)).await, Ended::Aborted);
    }

    #[tokio::test]
    async fn what_ends_is_waited_for() {
        let life = Lifecycle::new();
        let held = life.hold();
        let draining = life.clone();
        life.spawn("orderly", async move {
            draining.drain().cancelled().await;
            drop(held);
            Ok::<(), &str>(())
        });
        life.fail();
        let signals = Signals::listen().unwrap();
        assert_eq!(run_until_ended(&life, signals, Duration::from_secs(30)).await, Ended::Drained);
        assert!(life.has_failed());
    }
}
