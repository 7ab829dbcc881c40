//! A connection's conversation, apart from its socket: commands in, replies and effects out.
//!
//! A session touches memory only: the shard's [`Topics`], the [`Histories`] and the count of connections. What takes
//! longer – a position that this node has not reached yet, a confirmation that has to become durable – it returns to
//! the shard, as [`Stop::Hold`] (nothing was changed; the command is to be given again) or as an entry of [`Out`].

mod access;
mod command;
mod connect;
mod history;
mod listen;
mod pace;
mod position;
mod presence;
mod publish;
mod refresh;
mod rpc;
mod shedding;
mod subscribe;

use bytes::Bytes;
use domain::{DeliveryId, DeliveryState, Revocation, Timestamp, Topic, TopicError};
use protocol::centrifuge::command::{Command, Request};
use protocol::centrifuge::json;
use protocol::centrifuge::reply::{Answer, Event, Push, Reply};
use protocol::codes::{DisconnectCode, ErrorCode, UnsubscribeCode};
use protocol::pusher::ServerMessage;
use streams::Partition;
use uuid::Uuid;

use crate::authority::{Authority, Identity};
use crate::census::Census;
use crate::config::Config;
use crate::control;
use crate::history::Histories;
use crate::metrics::{CommandKind, ShardMetrics};
use crate::paces::Paces;
use crate::presence::{Presence, Seat};
use crate::publish::Submission;
use crate::topics::{ConnectionIndex, SubscriptionId, Topics};
use crate::wire::Wire;
pub(crate) use pace::{Pace, Verdict};

/// What the server calls itself.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A connection's conversation.
#[derive(Debug)]
pub(crate) struct Session {
    client: Uuid,
    /// The secret name by which commands reach it that do not come through its own connection.
    door: Option<Uuid>,
    phase: Phase,
    identity: Option<Box<Identity>>,
    subscriptions: Vec<Subscription>,
    /// When the first of all these credentials runs out.
    expires_at: Option<Timestamp>,
    pace: Pace,
    pings: Pings,
    ping_unanswered: bool,
    /// Whether the client does not subscribe again when told to.
    stays_unsubscribed: bool,
}

/// How far the conversation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for `connect`.
    New,
    /// Connected.
    Connected,
    /// `connect` was answered with an error; the client has to close.
    Refused,
}

/// How the server asks whether the client is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pings {
    /// With empty replies, as the protocol has it.
    Protocol,
    /// With the frames of WebSocket, for tools that do not know the protocol.
    Native,
    /// It does not ask, it only shows that it is there itself: nothing comes back.
    OneWay,
}

#[derive(Debug)]
struct Subscription {
    id: SubscriptionId,
    server_side: bool,
    /// Whether a subscription token let the client in.
    by_token: bool,
    extra: Option<Box<Extra>>,
}

/// What few subscriptions have.
#[derive(Debug, Default)]
struct Extra {
    /// When it ends unless it is refreshed.
    expires_at: Option<Timestamp>,
    /// What others may know of the subscriber in this topic: one JSON document on one line.
    info: Option<Bytes>,
    /// Its place among those who are there, where that is known.
    seat: Option<Seat>,
}

impl Extra {
    /// Boxed, unless it is nothing.
    fn boxed(self) -> Option<Box<Self>> {
        let something = self.expires_at.is_some() || self.info.is_some() || self.seat.is_some();
        something.then(|| Box::new(self))
    }
}

/// What a session works with.
pub(crate) struct World<'w> {
    pub(crate) config: &'w Config,
    pub(crate) authority: &'w Authority,
    pub(crate) census: &'w Census,
    pub(crate) paces: &'w Paces,
    pub(crate) histories: &'w Histories,
    pub(crate) presence: &'w Presence,
    pub(crate) topics: &'w mut Topics,
    pub(crate) metrics: &'w ShardMetrics,
    /// The session's connection in its shard.
    pub(crate) connection: ConnectionIndex,
    /// Wall time.
    pub(crate) now: Timestamp,
    /// Since the shard began.
    pub(crate) uptime_ms: u64,
    /// The name of this node.
    pub(crate) node: &'w str,
    /// What to do about positions ahead of this node.
    pub(crate) patience: Patience,
}

/// What to do about a position ahead of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Hold the command until the node has come that far.
    Wait,
    /// It took too long: a temporary error.
    Over,
    /// The log itself has not come further than `last`: beyond it lies nothing, the position is void.
    Lost { partition: Partition, last: u64 },
}

/// What a session says.
#[derive(Debug)]
pub(crate) struct Out {
    /// How the client that is spoken to wants its messages.
    pub(crate) wire: Wire,
    /// Messages in its dialect: the payload of one frame.
    pub(crate) messages: Vec<u8>,
    /// What has to become durable before it is answered.
    pub(crate) confirmations: Vec<Confirmation>,
    /// What has to be in the change log before it is answered.
    pub(crate) submissions: Vec<Submission>,
}

/// A client's word that a delivery has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confirmation {
    /// The command to answer; `None`: nobody waits for it.
    pub(crate) command: Option<u32>,
    /// Which delivery.
    pub(crate) delivery: DeliveryId,
    /// [`DeliveryState::Delivered`] or [`DeliveryState::Opened`].
    pub(crate) state: DeliveryState,
    /// How the client has shown it.
    pub(crate) proof: Proof,
}

/// How a client shows that a delivery has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It said so, with the delivery's code.
    Word,
    /// It came back with a position that lies after it.
    Position,
}

/// Why a session cannot go on with the next command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The connection ends.
    Close(DisconnectCode),
    /// The command is to be given again when the node has reached the position, or later with less [`Patience`].
    Hold { partition: Partition, offset: u64 },
}

/// Why a command failed.
enum Fault {
    Refused(ErrorCode),
    Stop(Stop),
}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code)
    }
}

impl From<DisconnectCode> for Fault {
    fn from(code: DisconnectCode) -> Self {
        Self::Stop(Stop::Close(code))
    }
}

impl Out {
    /// Nothing said yet.
    pub(crate) fn new() -> Self {
        Self {
            wire: Wire::JsonSocket,
            messages: Vec::new(),
            confirmations: Vec::new(),
            submissions: Vec::new(),
        }
    }

    /// Adds a push.
    pub(crate) fn push(&mut self, push: Push<'_>) {
        self.wire.write_push(&mut self.messages, push);
    }

    /// Adds a message of Pusher's protocol.
    pub(crate) fn tell(&mut self, message: &ServerMessage<'_>) {
        if !self.messages.is_empty() {
            self.messages.push(json::SEPARATOR);
        }
        message.write(&mut self.messages);
    }

    /// Adds the answer to a command. Who connects in one direction is told of the connection by a push.
    pub(crate) fn answer(&mut self, command: u32, answer: Answer<'_>) {
        match answer {
            Answer::Connect(result) if self.wire.is_one_way() => {
                self.push(Push::to_connection(Event::Connect(result)));
            }
            answer => self.wire.dialect().write_reply(&mut self.messages, &Reply::Answer(command, answer)),
        }
    }
}

impl Session {
    /// A session that waits for its `connect`.
    pub(crate) fn new(
        (client, door): (Uuid, Option<Uuid>),
        pings: Pings,
        config: &Config,
        uptime_ms: u64,
    ) -> Self {
        Self {
            client,
            door,
            phase: Phase::New,
            identity: None,
            subscriptions: Vec::new(),
            expires_at: None,
            pace: Pace::new(&config.limits, uptime_ms),
            pings,
            ping_unanswered: false,
            stays_unsubscribed: false,
        }
    }

    /// Takes one command.
    ///
    /// # Errors
    /// [`Stop`].
    pub(crate) fn receive(
        &mut self,
        command: &Command<'_>,
        world: &mut World<'_>,
        out: &mut Out,
    ) -> Result<(), Stop> {
        if let Request::Empty = command.request {
            return self.pong();
        }
        world.metrics.command(CommandKind::of(&command.request));
        let in_time = self
            .identity
            .as_ref()
            .is_none_or(|identity| identity.user.is_empty() || world.paces.command(&identity.user));
        match self.pace.take(world.uptime_ms, in_time, &world.config.limits) {
            Verdict::Fine => {}
            Verdict::TooFast if command.id != 0 => {
                refuse(command.id, ErrorCode::TooManyRequests, world, out);
                return Ok(());
            }
            Verdict::TooFast => return Ok(()),
            Verdict::TooFastForLong => return Err(Stop::Close(DisconnectCode::TooManyRequests)),
        }
        match self.run(command, world, out) {
            Ok(()) => Ok(()),
            // who only listens is told of a refusal by the end of the connection
            Err(Fault::Refused(code)) if out.wire.is_one_way() => Err(Stop::Close(code.as_disconnect())),
            Err(Fault::Refused(code)) => {
                refuse(command.id, code, world, out);
                let may_go_on = code.is_temporary() || self.pace.fail(world.uptime_ms, &world.config.limits);
                if !may_go_on {
                    return Err(Stop::Close(DisconnectCode::TooManyErrors));
                }
                Ok(())
            }
            Err(Fault::Stop(stop)) => Err(stop),
        }
    }

    fn run(&mut self, command: &Command<'_>, world: &mut World<'_>, out: &mut Out) -> Result<(), Fault> {
        let id = command.id;
        let connected = self.phase == Phase::Connected;
        match &command.request {
            Request::Send(request) if connected => rpc::send(request, world, out),
            _ if id == 0 => Err(DisconnectCode::BadRequest.into()),
            Request::Connect(request) if self.phase == Phase::New => self.connect(id, request, world, out),
            _ if !connected => Err(DisconnectCode::BadRequest.into()),
            Request::Subscribe(request) => self.subscribe(id, request, world, out),
            Request::Unsubscribe(request) => self.unsubscribe(id, &request.channel, world, out),
            Request::Publish(request) => self.publish(id, request, world, out),
            Request::Presence(request) => self.presence(id, &request.channel, world, out),
            Request::PresenceStats(request) => self.presence_stats(id, &request.channel, world, out),
            Request::History(request) => self.history(id, request, world, out),
            Request::Rpc(request) if request.method == "presence" => {
                self.presence_counts(id, request.data.as_ref(), world, out)
            }
            Request::Rpc(request) => rpc::run(id, request, world, out),
            Request::Refresh(request) => self.refresh(id, request, world, out),
            Request::SubRefresh(request) => self.sub_refresh(id, request, world, out),
            Request::Ping => Err(ErrorCode::NotAvailable.into()),
            Request::Connect(_) | Request::Send(_) | Request::Empty => Err(DisconnectCode::BadRequest.into()),
        }
    }

    /// A ping is about to be sent.
    pub(crate) fn ping(&mut self) {
        self.ping_unanswered = self.pings != Pings::OneWay;
    }

    /// The client has answered a ping of WebSocket's own.
    pub(crate) fn native_pong(&mut self) {
        if self.pings == Pings::Native {
            self.ping_unanswered = false;
        }
    }

    fn pong(&mut self) -> Result<(), Stop> {
        if std::mem::take(&mut self.ping_unanswered) {
            Ok(())
        } else {
            Err(Stop::Close(DisconnectCode::BadRequest))
        }
    }

    /// Whether a ping waits for its answer.
    pub(crate) fn ping_unanswered(&self) -> bool {
        self.ping_unanswered
    }

    /// How this client is pinged.
    pub(crate) fn pings(&self) -> Pings {
        self.pings
    }

    /// Whether `connect` has succeeded.
    pub(crate) fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Ends a voided subscription: the client is told to subscribe again. Nothing happens when it has ended already.
    ///
    /// # Errors
    /// [`DisconnectCode::InsufficientState`] for a subscription that only a new `connect` brings back.
    pub(crate) fn resync(
        &mut self,
        subscription: SubscriptionId,
        topics: &mut Topics,
        out: &mut Out,
    ) -> Result<(), DisconnectCode> {
        let known = self.subscriptions.iter().any(|one| one.id == subscription);
        if known && topics.is_void(subscription) {
            self.end_for_now(subscription, topics, out)
        } else {
            Ok(())
        }
    }

    fn say_unsubscribed(&mut self, at: usize, code: UnsubscribeCode, topics: &mut Topics, out: &mut Out) {
        let subscription = self.subscriptions.swap_remove(at);
        let topic = topics.topic_of(subscription.id);
        out.push(Push::to(topic.as_str(), Event::unsubscribe(code)));
        topics.leave(subscription.id);
    }

    /// Ends all subscriptions and gives the connection's place back; the session is over.
    pub(crate) fn leave(&mut self, topics: &mut Topics, census: &Census) {
        for subscription in self.subscriptions.drain(..) {
            topics.leave(subscription.id);
        }
        if self.phase == Phase::Connected
            && let Some(identity) = self.identity.take()
        {
            census.leave(&identity.user);
        }
        self.phase = Phase::Refused;
    }

    /// How the connection ends after a revocation of instant `at`; `None`: not at all.
    pub(crate) fn ends(&self, at: Timestamp, revocation: &Revocation) -> Option<DisconnectCode> {
        control::ends(self.identity.as_deref()?, at, revocation)
    }

    /// The index of the subscription to `topic`.
    fn subscription_to(&self, topic: &Topic, topics: &Topics) -> Option<usize> {
        let index = topics.find(topic)?;
        self.subscriptions.iter().position(|one| topics.topic_index(one.id) == index)
    }
}

fn refuse(command: u32, code: ErrorCode, world: &World<'_>, out: &mut Out) {
    world.metrics.refusal(code);
    out.answer(command, Answer::refusal(code));
}

fn read_topic(name: &str) -> Result<Topic, Fault> {
    Topic::new(name).map_err(|error| match error {
        TopicError::Empty => DisconnectCode::BadRequest.into(),
        TopicError::TooLong(_) | TopicError::Character => ErrorCode::BadRequest.into(),
    })
}
