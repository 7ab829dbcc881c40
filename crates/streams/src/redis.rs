//! The connections to Redis: one for commands, one that hears what came in.
//!
//! Whoever writes publishes the name of a partition or queue; it rings that bell in every process. A lost message
//! costs one polling interval, not an entry: nothing is read from messages.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, EventInterface, KeysInterface, PubsubInterface};
use fred::types::config::{
    Config as ServerConfig, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, TcpConfig,
    UnresponsiveConfig,
};
use fred::types::scripts::Script;
use fred::types::{Builder, Message, SetOptions, Value};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::StreamsError;
use crate::bells::Bells;
use crate::config::Config;

/// How URLs may begin; the ones with `rediss` use TLS.
const SCHEMES: [&str; 6] =
    ["redis", "rediss", "redis-cluster", "rediss-cluster", "redis-sentinel", "rediss-sentinel"];
/// Milliseconds before the first attempt to connect again.
const RECONNECT_DELAY_MIN_MS: u32 = 10;

/// What the log and the queues share. The connections are closed when the last handle is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    pub(crate) key_prefix: String,
    /// Where writers publish names.
    pub(crate) channel: String,
    pub(crate) bells: Arc<Bells>,
    pub(crate) poll: Duration,
    _stop: DropGuard,
}

/// What is wrong with a URL.
pub(crate) fn url_fault(url: &str) -> Option<String> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !SCHEMES.contains(&scheme) {
        return Some(format!("must begin with one of {} and ://", SCHEMES.join(", ")));
    }
    ServerConfig::from_url(url).err().map(|cause| format!("must name a Redis server: {}", cause.details()))
}

impl Connection {
    /// Connects, and makes sure that the log has the configured number of partitions.
    pub(crate) async fn open(config: &Config) -> Result<Self, StreamsError> {
        let server = ServerConfig::from_url(&config.url).map_err(|cause| StreamsError::Url(cause.into()))?;
        let client = build(server.clone(), config)?;
        let listener = build(server, config)?;
        client.init().await.map_err(unavailable)?;
        check_layout(&client, &config.key_prefix, config.partitions).await?;
        let bells = Arc::new(Bells::default());
        let channel = format!("{}:wake", config.key_prefix);
        let (messages, connects) = (listener.message_rx(), listener.reconnect_rx());
        listener.init().await.map_err(unavailable)?;
        let ear = Ear { listener, messages, connects, channel: channel.clone(), bells: Arc::clone(&bells) };
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(ear.listen(client.clone(), config.poll(), stop.clone()));
        let key_prefix = config.key_prefix.clone();
        Ok(Self { client, key_prefix, channel, bells, poll: config.poll(), _stop: stop.drop_guard() })
    }

    /// Runs a script on keys of one slot.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        args: Vec<Value>,
    ) -> Result<Value, StreamsError> {
        script.evalsha_with_reload(&self.client, keys, args).await.map_err(unavailable)
    }

    pub(crate) async fn ping(&self) -> Result<(), StreamsError> {
        self.client.ping::<()>(None).await.map_err(unavailable)
    }
}

/// Makes sure that the log has the configured number of partitions; the first process decides.
async fn check_layout(client: &Client, key_prefix: &str, configured: u16) -> Result<(), StreamsError> {
    let key = format!("{key_prefix}:layout");
    let set = client.set::<Value, _, _>(&key, configured, None, Some(SetOptions::NX), false).await;
    set.map_err(unavailable)?;
    let stored: u16 = client.get(&key).await.map_err(unavailable)?;
    if stored != configured {
        return Err(StreamsError::Layout { stored, configured });
    }
    Ok(())
}

/// Hears what is published and rings the bells.
struct Ear {
    listener: Client,
    messages: Receiver<Message>,
    connects: Receiver<Server>,
    channel: String,
    bells: Arc<Bells>,
}

impl Ear {
    /// Rings the bell of what is published, and all of them whenever messages may have been lost. Closes both
    /// connections when it is stopped.
    async fn listen(mut self, client: Client, poll: Duration, stop: CancellationToken) {
        let mut beat = interval(poll);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { // each of these may be dropped while it waits
                message = self.messages.recv() => match message {
                    Ok(message) => self.bells.ring(&message.value.as_str().unwrap_or_default()),
                    Err(RecvError::Lagged(_)) => self.bells.ring_all(),
                    Err(RecvError::Closed) => break,
                },
                _ = self.connects.recv() => {
                    if let Err(cause) = self.listener.subscribe(self.channel.as_str()).await {
                        debug!("the subscription will be made at the next connection: {cause}");
                    }
                    self.bells.ring_all();
                }
                // a dead connection is noticed by its silence
                _ = beat.tick() => { let _ = self.listener.ping::<()>(None).await; }
                () = stop.cancelled() => break,
            }
        }
        // both go away with the process anyway
        let _ = tokio::join!(self.listener.quit(), client.quit());
    }
}

fn build(server: ServerConfig, config: &Config) -> Result<Client, StreamsError> {
    let redis = &config.redis;
    let command_timeout = Duration::from_millis(redis.command_timeout_ms);
    let connect_timeout = Duration::from_millis(redis.connect_timeout_ms);
    let delay_max = u32::try_from(redis.reconnect_delay_max_ms).unwrap_or(u32::MAX);
    let mut builder = Builder::from_config(ServerConfig {
        version: fred::types::RespVersion::RESP3, // the listener sends pings between messages
        ..server
    });
    builder.set_policy(ReconnectPolicy::new_exponential(0, RECONNECT_DELAY_MIN_MS, delay_max, 2));
    builder.set_performance_config(PerformanceConfig {
        default_command_timeout: command_timeout,
        broadcast_channel_capacity: 1_024,
        ..PerformanceConfig::default()
    });
    builder.set_connection_config(ConnectionConfig {
        connection_timeout: connect_timeout,
        internal_command_timeout: connect_timeout,
        max_command_buffer_len: redis.waiting_max,
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(command_timeout),
            interval: command_timeout / 4,
        },
        ..ConnectionConfig::default()
    });
    builder.build().map_err(|cause| StreamsError::Url(cause.into()))
}

fn unavailable(cause: Error) -> StreamsError {
    StreamsError::unavailable("Redis", cause)
}
