//! The work queues on Redis: per queue a few sorted sets and hashes in one slot of a cluster, each step one script.
//!
//! Times are those of the Redis server, so that all consumers agree on which lease has run out. Waiting consumers
//! listen to a bell (`crate::redis`) and look again when the next item is due.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;
use fred::types::Value;
use fred::types::scripts::Script;
use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::redis::Connection;
use crate::{Claimed, NewItem, QueueName, QueueStats, StreamsError};

/// A handle on the queues.
#[derive(Debug)]
pub(crate) struct RedisQueue {
    connection: Arc<Connection>,
    items_max: u64,
    push: Script,
    claim: Script,
    acknowledge: Script,
    retry: Script,
    stats: Script,
}

impl RedisQueue {
    pub(crate) fn new(connection: Arc<Connection>, config: &Config) -> Self {
        Self {
            connection,
            items_max: config.queue_items_max,
            push: Script::from_lua(include_str!("redis/push.lua")),
            claim: Script::from_lua(include_str!("redis/claim.lua")),
            acknowledge: Script::from_lua(include_str!("redis/acknowledge.lua")),
            retry: Script::from_lua(include_str!("redis/retry.lua")),
            stats: Script::from_lua(include_str!("redis/stats.lua")),
        }
    }

    pub(crate) async fn push(&self, queue: &QueueName, items: &[NewItem]) -> Result<(), StreamsError> {
        let mut args: Vec<Value> = vec![
            self.items_max.to_string().into(),
            self.connection.channel.clone().into(),
            bell_name(queue).into(),
        ];
        for item in items {
            let not_before = item.not_before.map(|at| at.as_microsecond().to_string()).unwrap_or_default();
            args.extend([(&*item.id).into(), Value::Bytes(item.body.clone()), not_before.into()]);
        }
        match self.run(&self.push, queue, args).await?.as_i64() {
            Some(1) => Ok(()),
            Some(0) => Err(StreamsError::Full { queue: queue.0.clone(), items_max: self.items_max }),
            _ => Err(meaningless(queue)),
        }
    }

    pub(crate) async fn claim(
        &self,
        queue: &QueueName,
        items_max: usize,
        lease: Duration,
        deadline: Instant,
    ) -> Result<Vec<Claimed>, StreamsError> {
        let mut bell = self.connection.bells.listen(&bell_name(queue));
        loop {
            bell.mark_unchanged();
            let args = vec![items_max.to_string().into(), lease.as_micros().to_string().into()];
            let answer = self.run(&self.claim, queue, args).await?;
            let (due_in, items) = decode_claim(answer).ok_or_else(|| meaningless(queue))?;
            let now = Instant::now();
            if !items.is_empty() || now >= deadline {
                return Ok(items);
            }
            let poll = self.connection.poll;
            let look_again = now + due_in.map_or(poll, |due_in| due_in.min(poll));
            // rung, due or polled: in each case it is time to look
            let _ = timeout_at(look_again.min(deadline), bell.changed()).await;
        }
    }

    pub(crate) async fn acknowledge(&self, queue: &QueueName, ids: &[Box<str>]) -> Result<(), StreamsError> {
        let args = ids.iter().map(|id| (&**id).into()).collect();
        self.run(&self.acknowledge, queue, args).await.map(drop)
    }

    pub(crate) async fn retry(
        &self,
        queue: &QueueName,
        id: &str,
        body: Bytes,
        at: Timestamp,
    ) -> Result<(), StreamsError> {
        let args = vec![
            id.into(),
            Value::Bytes(body),
            at.as_microsecond().to_string().into(),
            self.connection.channel.clone().into(),
            bell_name(queue).into(),
        ];
        self.run(&self.retry, queue, args).await.map(drop)
    }

    pub(crate) async fn stats(&self, queue: &QueueName) -> Result<QueueStats, StreamsError> {
        let answer = self.run(&self.stats, queue, Vec::new()).await?;
        decode_stats(&answer.into_array()).ok_or_else(|| meaningless(queue))
    }

    async fn run(&self, script: &Script, queue: &QueueName, args: Vec<Value>) -> Result<Value, StreamsError> {
        let names = ["bodies", "claims", "ready", "delayed", "leases", "waiting", "newest"];
        // the part in braces decides the slot
        let key = |name: &&str| format!("{}:{{{}}}:{name}", self.connection.key_prefix, bell_name(queue));
        self.connection.run(script, names.iter().map(key).collect(), args).await
    }
}

fn bell_name(queue: &QueueName) -> String {
    format!("q:{}", queue.0)
}

/// `[microseconds until something is due or -1, id, body, claims, ...]`
fn decode_claim(answer: Value) -> Option<(Option<Duration>, Vec<Claimed>)> {
    let mut values = answer.into_array().into_iter();
    let due_in = u64::try_from(values.next()?.as_i64()?).ok().map(Duration::from_micros);
    let mut items = Vec::new();
    while let Some(id) = values.next() {
        items.push(Claimed {
            id: id.as_string()?.into_boxed_str(),
            body: values.next()?.into_bytes()?,
            claims: u32::try_from(values.next()?.as_i64()?).ok()?,
        });
    }
    Some((due_in, items))
}

fn decode_stats(values: &[Value]) -> Option<QueueStats> {
    let [ready, delayed, claimed, oldest] = values else { return None };
    let oldest = oldest.as_i64()?;
    let oldest_at = if oldest < 0 { None } else { Some(Timestamp::from_microsecond(oldest).ok()?) };
    Some(QueueStats {
        ready: ready.as_u64()?,
        delayed: delayed.as_u64()?,
        claimed: claimed.as_u64()?,
        oldest_at,
    })
}

fn meaningless(queue: &QueueName) -> StreamsError {
    StreamsError::corrupt(format!("the queue {}", queue.0), "it means nothing to this version")
}
