//! A connection's conversation in Pusher's protocol, apart from its socket: messages in, messages and effects out.
//!
//! It touches memory only: the shard's topics, the histories, and what all connections of Pusher share. What takes
//! longer it leaves to tasks.

mod client_events;
mod subscribe;

use std::sync::Arc;

use domain::{Revocation, Timestamp, Topic, UserId};
use protocol::codes::DisconnectCode;
use protocol::pusher::read::{Signin, User};
use protocol::pusher::topics::Form;
use protocol::pusher::{ClientMessage, Code, ServerMessage, SocketId};
use uuid::Uuid;

use super::{App, AppNumber, ChannelTerms, Guest, Place, Pusher};
use crate::config::Limits;
use crate::control;
use crate::out::Out;
use crate::presence::Seat;
use crate::session::{Pace, Verdict};
use crate::topics::{SubscriptionId, Topics};
use crate::world::World;
use client_events::Bucket;

/// A connection's conversation.
#[derive(Debug)]
pub(crate) struct Session {
    pusher: Arc<Pusher>,
    place: Place,
    socket_id: SocketId,
    user: Option<Box<User>>,
    /// Whose access tokens have opened something here, by their user and session.
    bearers: Vec<Bearer>,
    subscriptions: Vec<Subscription>,
    pace: Pace,
    events: Bucket,
    ping_unanswered: bool,
}

/// Whose access token it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The user.
    pub(crate) user_id: UserId,
    /// Their session.
    pub(crate) session: String,
    /// When the token was issued, seconds since 1970.
    pub(crate) issued_at: i64,
}

#[derive(Debug)]
struct Subscription {
    id: SubscriptionId,
    form: Form,
    /// Who it is in a presence channel.
    seated: Option<Box<Seated>>,
}

/// A place in a presence channel, which is given up with the subscription.
#[derive(Debug)]
struct Seated {
    user_id: String,
    _seat: Seat,
}

impl Session {
    /// The conversation of a connection that was let in.
    pub(crate) fn new(client: Uuid, guest: Guest, limits: &Limits, uptime_ms: u64) -> Self {
        let Guest { pusher, place } = guest;
        let (first, second) = client.as_u64_pair();
        let events = Bucket::new(pusher.config.client_events_per_second, uptime_ms);
        Self {
            pusher,
            place,
            socket_id: SocketId(first, second),
            user: None,
            bearers: Vec::new(),
            subscriptions: Vec::new(),
            pace: Pace::new(limits, uptime_ms),
            events,
            ping_unanswered: false,
        }
    }

    /// The first message.
    pub(crate) fn greet(&self, out: &mut Out) {
        let activity_timeout_s = self.pusher.config.activity_timeout_s;
        out.tell(&ServerMessage::ConnectionEstablished { socket_id: self.socket_id, activity_timeout_s });
    }

    /// Takes the text of a frame.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(crate) fn receive(
        &mut self,
        frame: &[u8],
        world: &mut World<'_>,
        out: &mut Out,
    ) -> Result<(), DisconnectCode> {
        self.ping_unanswered = false; // whatever comes shows that somebody is there
        match self.pace.take(world.uptime_ms, true, &world.config.limits) {
            Verdict::Fine => {}
            Verdict::TooFast => {
                out.tell(&ServerMessage::Error { code: None, message: "too many messages" });
                return Ok(());
            }
            Verdict::TooFastForLong => return Err(DisconnectCode::TooManyRequests),
        }
        let message = std::str::from_utf8(frame).ok().and_then(|text| ClientMessage::read(text).ok());
        let Some(message) = message else {
            out.tell(&ServerMessage::Error {
                code: None,
                message: "the message is no event of the protocol",
            });
            return Ok(());
        };
        match message {
            ClientMessage::Ping => out.tell(&ServerMessage::Pong),
            ClientMessage::Pong | ClientMessage::Unknown { .. } => {}
            ClientMessage::Subscribe(request) => self.subscribe(&request, world, out),
            ClientMessage::Unsubscribe { channel } => self.unsubscribe(&channel, world),
            ClientMessage::Signin(request) => self.sign_in(&request, out),
            ClientMessage::Event(event) => self.client_event(&event, world, out),
        }
        Ok(())
    }

    fn sign_in(&mut self, request: &Signin<'_>, out: &mut Out) {
        let refused = |message| ServerMessage::Error { code: Some(Code::Unauthorized), message };
        if !self.app().signer.knows_user(&request.auth, self.socket_id, &request.user_data) {
            return out.tell(&refused("the signature of the user does not fit"));
        }
        if request.user_data.len() > self.pusher.config.member_bytes_max as usize {
            return out.tell(&refused("the user's data is too long"));
        }
        let Ok(user) = User::read(&request.user_data) else {
            return out.tell(&refused("the user's data has no id"));
        };
        self.user = Some(Box::new(user));
        out.tell(&ServerMessage::SigninSuccess { user_data: &request.user_data });
    }

    /// A ping is about to be sent.
    pub(crate) fn ping(&mut self) {
        self.ping_unanswered = true;
    }

    /// The client has answered a ping of WebSocket's own.
    pub(crate) fn native_pong(&mut self) {
        self.ping_unanswered = false;
    }

    /// Whether a ping waits for its answer.
    pub(crate) fn ping_unanswered(&self) -> bool {
        self.ping_unanswered
    }

    /// Between pings, and for an answer, in milliseconds.
    pub(crate) fn heartbeat_ms(&self) -> (u64, u64) {
        let config = &self.pusher.config;
        (u64::from(config.activity_timeout_s) * 1_000, config.pong_timeout_ms)
    }

    /// Ends a voided subscription: something was lost to it. The protocol cannot say so of a channel, so the connection
    /// begins anew, which applications take for a reason to load their state.
    ///
    /// # Errors
    /// [`DisconnectCode::InsufficientState`] when the subscription is there.
    pub(crate) fn resync(&self, subscription: SubscriptionId, topics: &Topics) -> Result<(), DisconnectCode> {
        let found = self.subscriptions.iter().any(|one| one.id == subscription && topics.is_void(one.id));
        if found { Err(DisconnectCode::InsufficientState) } else { Ok(()) }
    }

    /// Ends all subscriptions; the session is over.
    pub(crate) fn leave(&mut self, topics: &mut Topics) {
        for subscription in std::mem::take(&mut self.subscriptions) {
            self.end(&subscription, topics);
        }
    }

    /// Whether `user` is signed in here, in the application `app`.
    pub(crate) fn is_of(&self, app: AppNumber, user: &str) -> bool {
        self.app().number == app && self.user.as_ref().is_some_and(|one| one.id == user)
    }

    /// How the connection ends after a revocation of instant `at`; `None`: not at all.
    pub(crate) fn ends(&self, at: Timestamp, revocation: &Revocation) -> Option<DisconnectCode> {
        let standing = self.bearers.iter().map(|bearer| revocation.standing(at, bearer.as_domain())).max()?;
        control::ends_with(standing)
    }

    fn app(&self) -> &Arc<App> {
        self.place.app()
    }

    /// The subscription to a topic under a name of this form.
    fn subscription_to(&self, topic: &Topic, form: Form, topics: &Topics) -> Option<usize> {
        let index = topics.find(topic)?;
        self.subscriptions.iter().position(|one| one.form == form && topics.topic_index(one.id) == index)
    }

    /// Takes a subscription out of its topic.
    fn end(&self, subscription: &Subscription, topics: &mut Topics) {
        let topic = topics.topic_of(subscription.id).clone();
        topics.leave(subscription.id);
        let channel = subscription.form.channel_name(&topic);
        self.pusher.counts.leave(&self.app().id, &channel);
    }

    fn terms(&self, form: Form) -> ChannelTerms {
        ChannelTerms { app: self.app().number, form, socket_id: self.socket_id }
    }
}

#[cfg(test)]
mod tests;
