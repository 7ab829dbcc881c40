//! A connection's conversation in whichever protocol it speaks, as its shard sees it.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{Revocation, Timestamp};
use protocol::codes::DisconnectCode;
use uuid::Uuid;

use crate::census::Census;
use crate::config::Config;
use crate::out::Out;
use crate::pusher;
use crate::session::{Pings, Session};
use crate::topics::{SubscriptionId, Topics};

/// A conversation.
#[derive(Debug)]
pub(crate) enum Conversation {
    /// In Centrifuge's protocol.
    Centrifuge(Session),
    /// In Pusher's.
    Pusher(Box<pusher::Session>),
}

impl Conversation {
    /// A ping is about to be sent.
    pub(crate) fn ping(&mut self) {
        match self {
            Self::Centrifuge(session) => session.ping(),
            Self::Pusher(session) => session.ping(),
        }
    }

    /// The client has answered a ping of WebSocket's own.
    pub(crate) fn native_pong(&mut self) {
        match self {
            Self::Centrifuge(session) => session.native_pong(),
            Self::Pusher(session) => session.native_pong(),
        }
    }

    /// Whether a ping waits for its answer.
    pub(crate) fn ping_unanswered(&self) -> bool {
        match self {
            Self::Centrifuge(session) => session.ping_unanswered(),
            Self::Pusher(session) => session.ping_unanswered(),
        }
    }

    /// How this client is pinged.
    pub(crate) fn pings(&self) -> Pings {
        match self {
            Self::Centrifuge(session) => session.pings(),
            Self::Pusher(_) => Pings::Protocol,
        }
    }

    /// Between pings, and for an answer, in milliseconds.
    pub(crate) fn heartbeat_ms(&self, config: &Config) -> (u64, u64) {
        match self {
            Self::Centrifuge(_) => (config.ping_interval_ms, config.pong_timeout_ms),
            Self::Pusher(session) => session.heartbeat_ms(),
        }
    }

    /// The secret name by which commands reach it that do not come through its own connection.
    pub(crate) fn door(&self) -> Option<Uuid> {
        match self {
            Self::Centrifuge(session) => session.door(),
            Self::Pusher(_) => None,
        }
    }

    /// Whether the client has been let in.
    pub(crate) fn is_connected(&self) -> bool {
        match self {
            Self::Centrifuge(session) => session.is_connected(),
            Self::Pusher(_) => true,
        }
    }

    /// When the credentials run out.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Centrifuge(session) => session.expires_at(),
            Self::Pusher(_) => None,
        }
    }

    /// Ends what has run out before `limit`.
    ///
    /// # Errors
    /// When the connection ends with it.
    pub(crate) fn expire(
        &mut self,
        limit: Timestamp,
        topics: &mut Topics,
        out: &mut Out,
    ) -> Result<(), DisconnectCode> {
        match self {
            Self::Centrifuge(session) => session.expire(limit, topics, out),
            Self::Pusher(_) => Ok(()),
        }
    }

    /// Ends a voided subscription.
    ///
    /// # Errors
    /// Why the connection has to begin anew.
    pub(crate) fn resync(
        &mut self,
        subscription: SubscriptionId,
        topics: &mut Topics,
        out: &mut Out,
    ) -> Result<(), DisconnectCode> {
        match self {
            Self::Centrifuge(session) => session.resync(subscription, topics, out),
            Self::Pusher(session) => session.resync(subscription, topics),
        }
    }

    /// Of the subscriptions for which something waits the one that the client can best do without. In Pusher's protocol
    /// clients do not subscribe again by themselves, so there is none.
    pub(crate) fn least_important(
        &self,
        waiting: &HashMap<SubscriptionId, usize>,
        topics: &Topics,
        config: &Config,
    ) -> Option<SubscriptionId> {
        match self {
            Self::Centrifuge(session) => session.least_important(waiting, topics, config),
            Self::Pusher(_) => None,
        }
    }

    /// Ends a subscription in such a way that the client makes it again and recovers.
    ///
    /// # Errors
    /// For clients that do so only after a new connection.
    pub(crate) fn end_for_now(
        &mut self,
        subscription: SubscriptionId,
        topics: &mut Topics,
        out: &mut Out,
    ) -> Result<(), DisconnectCode> {
        match self {
            Self::Centrifuge(session) => session.end_for_now(subscription, topics, out),
            Self::Pusher(_) => Err(DisconnectCode::InsufficientState),
        }
    }

    /// Whose connection it is; `None` for nobody in particular, and where it may become another's.
    pub(crate) fn owner(&self) -> Option<Arc<str>> {
        match self {
            Self::Centrifuge(session) => session.owner(),
            Self::Pusher(_) => None,
        }
    }

    /// How the connection ends after a revocation of instant `at`; `None`: not at all.
    pub(crate) fn ends(&self, at: Timestamp, revocation: &Revocation) -> Option<DisconnectCode> {
        match self {
            Self::Centrifuge(session) => session.ends(at, revocation),
            Self::Pusher(session) => session.ends(at, revocation),
        }
    }

    /// Ends all subscriptions and gives the connection's place back; the conversation is over.
    pub(crate) fn leave(&mut self, topics: &mut Topics, census: &Census) {
        match self {
            Self::Centrifuge(session) => session.leave(topics, census),
            Self::Pusher(session) => session.leave(topics),
        }
    }
}
