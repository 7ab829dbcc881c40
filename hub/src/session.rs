//! A connection's conversation, apart from its socket: commands in, replies and effects out.
//!
//! A session touches memory only: the shard's [`Topics`], the [`Histories`](crate::history::Histories) and the count of connections. What takes
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
use domain::{Revocation, Timestamp, Topic, TopicError};
use protocol::centrifuge::command::{Command, Request};
use protocol::centrifuge::reply::{Answer, Event, Push};
use protocol::codes::{DisconnectCode, ErrorCode, UnsubscribeCode};
use streams::Partition;
use uuid::Uuid;

use crate::authority::Identity;
use crate::census::Census;
use crate::config::Config;
use crate::control;
use crate::metrics::CommandKind;
use crate::out::{Confirmation, Out, Proof};
use crate::presence::Seat;
use crate::topics::{SubscriptionId, Topics};
use crate::world::{Patience, World};
pub(crate) use pace::{Pace, Verdict};

/// Subscriptions up to which a connection keeps no room for more.
const FEW: usize = 8;
/// What the server calls itself.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A connection's conversation.
#[derive(Debug)]
pub(crate) struct Session {
    client: Uuid,
    /// The secret name by which commands reach it that do not come through its own connection.
    door: Option<Box<Uuid>>,
    phase: Phase,
    identity: Option<Box<Identity>>,
    subscriptions: Vec<Subscription>,
    /// When the first of all these credentials runs out.
    expires_at: Expiry,
    pace: Pace,
    pings: Pings,
    ping_unanswered: bool,
    /// Whether the client does not subscribe again when told to.
    stays_unsubscribed: bool,
}

/// When something runs out, if ever: microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry(i64);

impl Expiry {
    /// It does not.
    pub(crate) const NEVER: Self = Self(i64::MAX);

    /// When; `None`: never.
    pub(crate) fn at(self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.0).ok() // the years of instants end long before
    }
}

impl From<Option<Timestamp>> for Expiry {
    fn from(at: Option<Timestamp>) -> Self {
        at.map_or(Self::NEVER, |at| Self(at.as_microsecond()))
    }
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
            door: door.map(Box::new),
            phase: Phase::New,
            identity: None,
            subscriptions: Vec::new(),
            expires_at: Expiry::NEVER,
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

    /// See [`crate::shard::Arrival::door`].
    pub(crate) fn door(&self) -> Option<Uuid> {
        self.door.as_deref().copied()
    }

    /// Begins a subscription of the connection's: most have few, and keep no room for more.
    fn add(&mut self, subscription: Subscription) {
        if self.subscriptions.len() < FEW {
            self.subscriptions.reserve_exact(1);
        }
        self.subscriptions.push(subscription);
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
