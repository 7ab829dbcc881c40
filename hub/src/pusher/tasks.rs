//! The tasks behind the connections: publish what clients send, tell back ends, keep the counts of all nodes together.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, Lane, PublicationId, Timestamp};
use protocol::pusher::webhook::WebhookEvent;
use protocol::pusher::{Channel, ServerMessage};
use serde::{Deserialize, Serialize};
use service::{Lifecycle, http_client};
use streams::{ChangeLog, NewPublication, Publication};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{error, warn};
use uuid::Uuid;

use super::counts::{Change, ChannelKey};
use super::webhooks::{Teller, dropped};
use super::{AppNumber, Counts, News, Notice, Pusher};
use crate::config;
use crate::shard::Message;
use crate::start::Deps;
use crate::wire::Wire;

/// News that are taken together.
const TOGETHER_MAX: usize = 256;
/// Signs of life within the time after which a silent node is forgotten.
const SIGNS_OF_LIFE: u64 = 4;

/// What is done with what the nodes tell each other.
#[derive(Debug)]
pub(crate) struct Counting {
    pub(crate) pusher: Arc<Pusher>,
    heard: mpsc::Sender<Heard>,
}

/// What another node, or this one, has told.
#[derive(Debug)]
enum Heard {
    /// Counts have changed.
    Changes(Vec<Change>),
    /// A user's connections are to be closed.
    Terminate { app: String, user: String },
}

/// A request to close a user's connections, as the nodes tell each other.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "pusher.terminate")]
struct Termination {
    app: String,
    user: String,
}

/// The payload that closes a user's connections on every node.
pub(super) fn termination(app: &str, user: &str) -> Vec<u8> {
    let termination = Termination { app: app.to_owned(), user: user.to_owned() };
    serde_json::to_vec(&termination).expect("it consists of text")
}

impl Counting {
    /// Takes an entry of [`Counts::topic`].
    pub(crate) async fn hear(&self, publication: &Publication, now: Timestamp) {
        if self.pusher.apps.is_empty() {
            return;
        }
        // what is read at the start was said by nodes that may be gone
        let timeout = Duration::from_millis(self.pusher.config.node_timeout_ms);
        if publication.at + timeout < now {
            return;
        }
        let heard = match serde_json::from_slice::<Termination>(&publication.data) {
            Ok(Termination { app, user }) => Heard::Terminate { app, user },
            Err(_) => match self.pusher.counts.apply(&publication.data, publication.at) {
                changes if changes.is_empty() => return,
                changes => Heard::Changes(changes),
            },
        };
        // the task ends with the shards, as the tail does
        let _ = self.heard.send(heard).await;
    }
}

/// Makes what connections of Pusher's share, and starts the tasks behind them when there is an application.
///
/// # Errors
/// When the HTTP client for webhooks cannot be made.
pub(crate) fn start(
    config: &config::Pusher,
    node: &str,
    deps: &Deps,
    shards: &[mpsc::Sender<Message>],
    life: &Lifecycle,
) -> Result<(Arc<Pusher>, Counting), http_client::BuildError> {
    let (news, caused) = mpsc::channel(config.queue_max as usize);
    let (heard, hearing) = mpsc::channel(TOGETHER_MAX);
    let pusher = Pusher::new(config.clone(), node, news);
    let counting = Counting { pusher: Arc::clone(&pusher), heard };
    if pusher.apps.is_empty() {
        return Ok((pusher, counting));
    }
    let tellers = spawn_tellers(&pusher, deps, life)?;
    let (log, all) = (deps.log.clone(), shards.to_vec());
    life.spawn("hub.pusher.news", async move {
        carry(caused, &log, &all, &tellers).await;
        Ok::<(), Infallible>(())
    });
    let counter = Counter {
        pusher: Arc::clone(&pusher),
        log: deps.log.clone(),
        clock: Arc::clone(&deps.clock),
        shards: shards.to_vec(),
        vacating: Vec::new(),
    };
    let own_life = life.clone();
    life.spawn("hub.pusher.counts", async move {
        counter.run(hearing, own_life).await;
        Ok::<(), Infallible>(())
    });
    Ok((pusher, counting))
}

/// Where events for the back end of an application go.
type Tellers = HashMap<AppNumber, mpsc::Sender<WebhookEvent>>;

fn spawn_tellers(pusher: &Pusher, deps: &Deps, life: &Lifecycle) -> Result<Tellers, http_client::BuildError> {
    let webhooks = &pusher.config.webhooks;
    let mut tellers = Tellers::new();
    for app in pusher.apps.iter() {
        let Some(url) = app.config.webhook_url.clone() else { continue };
        let (sender, events) = mpsc::channel(webhooks.queue_max as usize);
        let teller = Teller {
            app: Arc::clone(app),
            url,
            config: webhooks.clone(),
            client: http_client::build(&webhooks.http)?,
            clock: Arc::clone(&deps.clock),
            life: life.clone(),
        };
        life.spawn("hub.pusher.webhooks", async move {
            teller.run(events).await;
            Ok::<(), Infallible>(())
        });
        tellers.insert(app.number, sender);
    }
    Ok(tellers)
}

/// Carries out what connections have caused, in order. Ends with them.
async fn carry(
    mut news: mpsc::Receiver<News>,
    log: &ChangeLog,
    shards: &[mpsc::Sender<Message>],
    tellers: &Tellers,
) {
    let mut together = Vec::with_capacity(TOGETHER_MAX);
    loop {
        let found = tokio::select! { // a receive takes nothing before it returns: cancel-safe
            biased; // what the last connections have caused is carried out
            found = news.recv_many(&mut together, TOGETHER_MAX) => found,
            () = shards_gone(shards) => 0,
        };
        if found == 0 {
            return;
        }
        let mut publications = Vec::new();
        for one in together.drain(..) {
            match one {
                News::Publish(publication) => {
                    // one that is too large for the log takes no other with it
                    publications.extend(log.check(&publication).is_ok().then_some(*publication));
                }
                News::Tell(app, event) => {
                    if tellers.get(&app).is_some_and(|teller| teller.try_send(event).is_err()) {
                        dropped(1);
                    }
                }
                News::Notice(notice) => tell_shards(shards, notice).await,
            }
        }
        if !publications.is_empty()
            && let Err(error) = log.append(&publications).await
        {
            // clients' events are not repeated: they are worth nothing later
            warn!("{} events of clients were lost: {error:#}", publications.len());
        }
    }
}

async fn shards_gone(shards: &[mpsc::Sender<Message>]) {
    for shard in shards {
        shard.closed().await;
    }
}

async fn tell_shards(shards: &[mpsc::Sender<Message>], notice: Notice) {
    let notice = Arc::new(notice);
    for shard in shards {
        // a shard that has ended has nobody left to tell
        let _ = shard.send(Message::Notice(Arc::clone(&notice))).await;
    }
}

/// Keeps the counts of this node and the others together.
struct Counter {
    pusher: Arc<Pusher>,
    log: ChangeLog,
    clock: Arc<dyn Clock>,
    shards: Vec<mpsc::Sender<Message>>,
    /// Channels that may be called vacated then, and whether this node calls.
    vacating: Vec<(Instant, ChannelKey, bool)>,
}

impl Counter {
    async fn run(mut self, mut hearing: mpsc::Receiver<Heard>, life: Lifecycle) {
        let config = &self.pusher.config;
        let (every_ms, timeout_ms) = (config.counts_every_ms, config.node_timeout_ms);
        let mut ticks = tokio::time::interval(Duration::from_millis(every_ms));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let alive_every = Duration::from_millis(timeout_ms / SIGNS_OF_LIFE);
        let mut told_at = Instant::now();
        loop {
            tokio::select! { // both are cancel-safe: nothing is taken before the branch is chosen
                heard = hearing.recv() => match heard {
                    Some(Heard::Changes(changes)) => self.take(changes).await,
                    Some(Heard::Terminate { app, user }) => self.terminate(&app, user).await,
                    None => return,
                },
                _ = ticks.tick() => {
                    let now = Instant::now();
                    if self.announce(now >= told_at + alive_every).await {
                        told_at = now;
                    }
                    let since = self.clock.now() - Duration::from_millis(timeout_ms);
                    let gone = self.pusher.counts.expire(since);
                    self.take(gone).await;
                    if !life.drain().is_cancelled() {
                        self.call_vacated(now);
                    }
                }
            }
        }
    }

    /// Tells the other nodes what has changed here; whether they were told anything.
    async fn announce(&self, alive: bool) -> bool {
        let entries = self.pusher.counts.take_entries(alive);
        if entries.is_empty() {
            return false;
        }
        let publication = |payload: &Vec<u8>| NewPublication {
            id: PublicationId(Uuid::new_v4()),
            topic: Counts::topic(),
            data: Bytes::copy_from_slice(payload),
            lane: Lane::Standard,
            change: None,
            attributes: None,
            at: self.clock.now(),
        };
        let publications: Vec<_> = entries.iter().map(publication).collect();
        match self.log.append(&publications).await {
            Ok(_) => true,
            Err(error) => {
                error!("the counts of channels could not be told: {error:#}");
                for payload in &entries {
                    self.pusher.counts.put_back(payload);
                }
                false
            }
        }
    }

    /// Acts on changes of the counts.
    async fn take(&mut self, changes: Vec<Change>) {
        for change in changes {
            let (id, channel) = &change.channel;
            let Some(app) = self.pusher.apps.by_id(id) else { continue };
            if app.config.subscription_counts {
                self.tell_count(channel, &change).await;
            }
            if change.ours {
                let (channel, subscription_count) = (channel.clone(), change.after);
                let event = WebhookEvent::SubscriptionCount { channel, subscription_count };
                self.pusher.tell(app.number, event);
            }
            if change.after == 0 {
                let wait = Duration::from_millis(self.pusher.config.webhooks.vacated_after_ms);
                self.vacating.push((Instant::now() + wait, change.channel.clone(), change.ours));
            } else if change.before == 0 {
                let waiting = self.vacating.len();
                self.vacating.retain(|(_, vacating, _)| *vacating != change.channel);
                // whoever comes back before the channel was called vacated has never left
                if self.vacating.len() == waiting && change.ours {
                    self.pusher.tell(app.number, WebhookEvent::ChannelOccupied { channel: channel.clone() });
                }
            }
        }
    }

    async fn terminate(&self, app: &str, user: String) {
        if let Some(app) = self.pusher.apps.by_id(app) {
            tell_shards(&self.shards, Notice::Terminate { app: app.number, user }).await;
        }
    }

    async fn tell_count(&self, name: &str, change: &Change) {
        let Some(app) = self.pusher.apps.by_id(&change.channel.0) else { return };
        let Ok(channel) = Channel::parse(name, name.len()) else { return };
        let Some(mapped) = app.topic(channel) else { return };
        let mut frame = Vec::new();
        ServerMessage::SubscriptionCount { channel: name, count: change.after }.write(&mut frame);
        let notice = Notice::Channel {
            topic: mapped.topic,
            form: mapped.form,
            app: Some(app.number),
            except: None,
            frame: Wire::Pusher.pack(&frame),
        };
        tell_shards(&self.shards, notice).await;
    }

    fn call_vacated(&mut self, now: Instant) {
        let due = self.vacating.extract_if(.., |(at, ..)| *at <= now);
        for (_, (id, channel), ours) in due.collect::<Vec<_>>() {
            if ours
                && self.pusher.counts.count(&id, &channel) == 0
                && let Some(app) = self.pusher.apps.by_id(&id)
            {
                self.pusher.tell(app.number, WebhookEvent::ChannelVacated { channel });
            }
        }
    }
}
