//! Tells the other nodes who is here, and lets go of those that are silent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{ChangeId, Clock, Lane, PublicationId};
use service::Lifecycle;
use streams::{ChangeLog, NewPublication};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::warn;

use super::entry::Entry;
use super::{Presence, Signal, topic_of};
use crate::pusher::Pusher;
use crate::shard::Message;

/// The task.
pub(crate) struct Teller {
    pub(crate) presence: Presence,
    pub(crate) log: ChangeLog,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shards: Vec<mpsc::Sender<Message>>,
    pub(crate) pusher: Arc<Pusher>,
}

impl Teller {
    /// Runs until the shards are gone; the last entry says so to the others.
    pub(crate) async fn run(self, life: Lifecycle) {
        let config = &self.presence.0.config;
        let mut beats = tokio::time::interval(Duration::from_millis(config.heartbeat_ms));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let batch = Duration::from_millis(config.batch_ms);
        let mut next_at = Instant::now();
        let mut unsent = VecDeque::new();
        loop {
            let alive = tokio::select! { // nothing is taken before a branch is chosen: cancel-safe
                () = self.presence.0.bell.notified() => {
                    tokio::time::sleep_until(next_at).await; // the first goes at once, what follows it closely together
                    false
                }
                _ = beats.tick() => true,
                () = self.shards_gone() => break,
                () = life.abort().cancelled() => return,
            };
            self.tell(&mut unsent, alive).await;
            next_at = Instant::now() + batch;
            let now_ms = self.presence.uptime_ms();
            let left = self.presence.table().expire(now_ms, config.node_timeout_ms);
            self.pusher.heed(&left).await;
            signal(&self.shards, left).await;
        }
        self.tell(&mut unsent, false).await;
        let end = self.presence.local().end();
        unsent.extend(end.map(|entry| self.publication(&entry)));
        self.send(&mut unsent).await;
    }

    /// Appends what is new. What cannot be appended now waits, with its id, and nothing overtakes it.
    async fn tell(&self, unsent: &mut VecDeque<NewPublication>, alive: bool) {
        if unsent.is_empty() {
            let config = &self.presence.0.config;
            let (wants, has_others) = {
                let mut table = self.presence.table();
                let wants = table.take_wants(self.presence.uptime_ms(), config.heartbeat_ms);
                (wants, table.knows_others())
            };
            let mut local = self.presence.local();
            let alive = alive && (has_others || local.is_known());
            let entries = local.take_entries(wants, alive, config.entry_bytes_max as usize);
            drop(local);
            unsent.extend(entries.iter().map(|entry| self.publication(entry)));
        }
        self.send(unsent).await;
    }

    async fn send(&self, unsent: &mut VecDeque<NewPublication>) {
        if unsent.is_empty() {
            return;
        }
        // an entry that is too large for the log would hold up all others for ever
        unsent.retain(|publication| {
            let check = self.log.check(publication);
            if let Err(error) = &check {
                warn!("others are not told of some clients, see hub.presence.entry_bytes_max: {error:#}");
            }
            check.is_ok()
        });
        match self.log.append(unsent.make_contiguous()).await {
            Ok(_) => unsent.clear(),
            Err(error) => warn!("the other nodes cannot be told who is here: {error:#}"),
        }
    }

    fn publication(&self, entry: &Entry) -> NewPublication {
        let (topic, now) = (topic_of(&self.presence.0.node), self.clock.now());
        NewPublication {
            id: PublicationId::of(ChangeId::at(now, rand::random()), topic.as_str()),
            topic,
            data: Bytes::from(serde_json::to_vec(entry).expect("an entry is an object with text as keys")),
            lane: Lane::Standard,
            change: None,
            attributes: None,
            at: now,
        }
    }

    async fn shards_gone(&self) {
        for shard in &self.shards {
            shard.closed().await;
        }
    }
}

/// Has the shards tell their subscribers who comes and goes. A full inbox is waited for.
pub(crate) async fn signal(shards: &[mpsc::Sender<Message>], signals: Vec<Signal>) {
    if signals.is_empty() {
        return;
    }
    let signals: Arc<[Signal]> = signals.into();
    for shard in shards {
        // a shard that has ended has nobody left to tell
        let _ = shard.send(Message::Signals(Arc::clone(&signals))).await;
    }
}
