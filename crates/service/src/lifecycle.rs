//! A process's life: owned tasks, readiness, and a shutdown in two steps.
//!
//! `drain` asks everybody to finish: not ready, nothing new, what is begun is ended. `abort` follows after the
//! grace period or at the second signal. A task that fails triggers the drain, and the process exits non-zero.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::error;

/// A handle on the life of the process. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tasks: TaskTracker,
    drain: CancellationToken,
    abort: CancellationToken,
    failed: AtomicBool,
    readiness: Mutex<BTreeMap<&'static str, bool>>,
    readiness_changed: Notify,
}

/// One part's say in whether the process is ready. Not ready until set.
#[derive(Clone, Debug)]
pub struct Readiness {
    lifecycle: Lifecycle,
    part: &'static str,
}

impl Lifecycle {
    /// A new life.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `task` as an owned task named `name`, until it ends or the process aborts. An error or a panic of the
    /// task is logged and triggers the drain.
    pub fn spawn<E>(&self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        E: std::fmt::Display + Send + 'static,
    {
        let life = self.clone();
        self.inner.tasks.spawn(async move {
            let task = AssertUnwindSafe(task).catch_unwind(); // what it shared is dropped or lock-guarded
            let result = tokio::select! {
                result = task => result,
                () = life.inner.abort.cancelled() => return,
            };
            match result {
                Ok(Ok(())) => {}
                Ok(Err(cause)) => {
                    error!(task.name = name, "the task {name} has failed: {cause:#}");
                    life.fail();
                }
                Err(_) => {
                    error!(task.name = name, "the task {name} has panicked");
                    life.fail();
                }
            }
        });
    }

    /// Runs `task`, which serves one client, until it ends or the process aborts. A panic ends that client's task
    /// and nothing else.
    pub fn spawn_connection(&self, task: impl Future<Output = ()> + Send + 'static) {
        let abort = self.inner.abort.clone();
        self.inner.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = abort.cancelled() => {}
            }
        });
    }

    /// Keeps the process alive (until the grace period ends) as long as the token lives; for work on threads and
    /// runtimes of its own.
    pub fn hold(&self) -> TaskTrackerToken {
        self.inner.tasks.token()
    }

    /// Completes when the process begins to drain.
    pub fn drain(&self) -> &CancellationToken {
        &self.inner.drain
    }

    /// Completes when what is still open has to be dropped.
    pub fn abort(&self) -> &CancellationToken {
        &self.inner.abort
    }

    /// Begins the drain because something broke: the process will exit non-zero.
    pub fn fail(&self) {
        self.inner.failed.store(true, Ordering::Relaxed);
        self.inner.drain.cancel();
    }

    /// Whether something broke.
    pub fn has_failed(&self) -> bool {
        self.inner.failed.load(Ordering::Relaxed)
    }

    /// Registers `part` (such as `hub.warm`) as needed for readiness.
    pub fn readiness(&self, part: &'static str) -> Readiness {
        let readiness = Readiness { lifecycle: self.clone(), part };
        readiness.set(false);
        readiness
    }

    /// The parts that are not ready; empty when the process is. While draining, `draining` is one of them.
    pub fn not_ready(&self) -> Vec<&'static str> {
        let parts = self.inner.readiness.lock().expect("no holder of this lock panics");
        let mut waiting: Vec<_> = parts.iter().filter(|(_, ready)| !**ready).map(|(part, _)| *part).collect();
        if self.inner.drain.is_cancelled() {
            waiting.push("draining");
        }
        waiting
    }

    /// Completes when every part that is registered by then is ready.
    pub async fn ready(&self) {
        loop {
            let changed = self.inner.readiness_changed.notified();
            if self.not_ready().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Completes when every owned task has ended; call after the drain has begun.
    pub async fn finished(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Readiness {
    /// Says whether the part is ready.
    pub fn set(&self, ready: bool) {
        let mut parts = self.lifecycle.inner.readiness.lock().expect("no holder of this lock panics");
        parts.insert(self.part, ready);
        drop(parts);
        self.lifecycle.inner.readiness_changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_task_drains_the_process_and_the_rest_finishes() {
        let life = Lifecycle::new();
        life.spawn("broken", async { Err::<(), _>("no luck") });
        let other = life.clone();
        life.spawn("orderly", async move {
            other.drain().cancelled().await;
            Ok::<(), &str>(())
        });
        life.drain().cancelled().await;
        life.finished().await;
        assert!(life.has_failed());
        assert_eq!(life.not_ready(), ["draining"]);
    }

    #[tokio::test]
    async fn a_panic_of_a_task_drains_and_one_of_a_connection_does_not() {
        let life = Lifecycle::new();
        life.spawn_connection(async { panic!("one client's bug") });
        life.spawn("other", async { Ok::<(), &str>(()) });
        tokio::task::yield_now().await;
        assert!(!life.has_failed());
        life.spawn("buggy", async { if true { panic!("a bug") } else { Ok::<(), &str>(()) } });
        life.drain().cancelled().await;
        life.finished().await;
        assert!(life.has_failed());
    }

    #[tokio::test]
    async fn parts_are_unready_until_they_say_so() {
        let life = Lifecycle::new();
        let log = life.readiness("log");
        assert_eq!(life.not_ready(), ["log"]);
        let ((), ()) = tokio::join!(life.ready(), async { log.set(true) });
        assert!(life.not_ready().is_empty());
    }
}
