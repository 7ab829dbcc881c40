//! Pusher's protocol on our topics: the applications, the conversation of a connection, the HTTP API for back ends,
//! and what back ends are told. The mapping of channels to topics is ADR 0009; the wire is `protocol::pusher`.
//!
//! A connection lives in a shard like any other ([`Session`] instead of the Centrifuge session). What all shards and
//! the HTTP API share is in [`Pusher`]: memory behind locks that are taken when a subscription begins or ends, never on
//! the way of a message.

mod apps;
mod counts;
pub(crate) mod http;
mod notice;
mod roster;
mod session;
mod tasks;
mod webhooks;

use std::sync::Arc;

use domain::Timestamp;
use protocol::codes::DisconnectCode;
use protocol::pusher::Code;
use protocol::pusher::webhook::WebhookEvent;
use streams::NewPublication;
use tokio::sync::mpsc;

use roster::Whose;

use crate::config::{self, Class, Offer, Who};
use crate::presence::Signal;

pub(crate) use apps::{App, AppNumber, Apps, Place};
pub(crate) use counts::Counts;
pub(crate) use notice::{ChannelTerms, Notice};
pub(crate) use roster::Roster;
pub(crate) use session::Session;
pub(crate) use tasks::{Counting, start};

/// What the connections of all applications share.
#[derive(Debug)]
pub(crate) struct Pusher {
    pub(crate) config: config::Pusher,
    pub(crate) apps: Apps,
    pub(crate) counts: Counts,
    pub(crate) roster: Roster,
    /// Where goes what takes longer than memory.
    pub(crate) news: mpsc::Sender<News>,
}

impl Pusher {
    /// Tells those who follow presence channels, and back ends, which users come and go.
    pub(crate) async fn heed(&self, signals: &[Signal]) {
        if self.apps.is_empty() {
            return;
        }
        for signal in signals {
            let (who, joined) = signal.who();
            let turn = if joined {
                self.roster.come(&signal.topic, who)
            } else {
                self.roster.go(&signal.topic, who)
            };
            let Some(turn) = turn else { continue };
            for notice in notice::of_turn(&signal.topic, (&turn.member, joined), &who.client) {
                // the queue's reader ends with the shards, as the log's does
                let _ = self.news.send(News::Notice(notice)).await;
            }
            if let Some(Whose { app, channel }) = turn.told {
                let user_id = turn.member.0;
                let event = if joined {
                    WebhookEvent::MemberAdded { channel, user_id }
                } else {
                    WebhookEvent::MemberRemoved { channel, user_id }
                };
                self.tell(app, event);
            }
        }
    }
}

/// Whoever connects in the name of an application.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) pusher: Arc<Pusher>,
    pub(crate) place: Place,
}

/// Something that a connection has caused.
#[derive(Debug)]
pub(crate) enum News {
    /// A client's event is to be published.
    Publish(Box<NewPublication>),
    /// A back end is to be told.
    Tell(AppNumber, WebhookEvent),
    /// Other connections are to be told.
    Notice(Notice),
}

impl Pusher {
    /// With nobody connected.
    pub(crate) fn new(config: config::Pusher, node: &str, news: mpsc::Sender<News>) -> Arc<Self> {
        let apps = Apps::new(&config);
        Arc::new(Self { apps, counts: Counts::new(node), roster: Roster::default(), news, config })
    }

    /// Has a back end told, if it wants to hear of it.
    pub(crate) fn tell(&self, app: AppNumber, event: WebhookEvent) {
        if self.apps.get(app).wants(&event) && self.news.try_send(News::Tell(app, event)).is_err() {
            webhooks::dropped(1);
        }
    }
}

/// Gives the classes that applications call their own, and that are not configured, to them: their topics keep one
/// publication, for cache channels, and are closed to clients of other protocols that have no token for them.
pub(crate) fn claim_classes(config: &mut config::Config) {
    for app in config.pusher.apps.values() {
        config.classes.0.entry(app.class.clone()).or_insert(Class {
            history_size: 1,
            history_ttl_ms: 1_800_000,
            recovery: Offer::Off,
            positioned: Offer::Off,
            delta: false,
            subscribe: Who::Token,
            ..Class::DEFAULT
        });
    }
}

/// The code with which a connection of Pusher's is closed, where Centrifuge's would be closed with `code`.
pub(crate) fn close_code(code: DisconnectCode) -> Code {
    match code {
        DisconnectCode::ConnectionClosed
        | DisconnectCode::Shutdown
        | DisconnectCode::ServerError
        | DisconnectCode::Expired
        | DisconnectCode::SubExpired
        | DisconnectCode::WriteError
        | DisconnectCode::InsufficientState
        | DisconnectCode::ForceReconnect
        | DisconnectCode::StateInvalidated => Code::Reconnect,
        DisconnectCode::Slow | DisconnectCode::TooManyRequests => Code::OverCapacity,
        DisconnectCode::NoPong => Code::NoPong,
        DisconnectCode::Stale => Code::Inactive,
        DisconnectCode::ConnectionLimit | DisconnectCode::ChannelLimit => Code::OverQuota,
        DisconnectCode::BadRequest | DisconnectCode::InappropriateProtocol => Code::UnsupportedProtocol,
        DisconnectCode::InvalidToken
        | DisconnectCode::ForceNoReconnect
        | DisconnectCode::PermissionDenied
        | DisconnectCode::NotAvailable
        | DisconnectCode::TooManyErrors => Code::Unauthorized,
    }
}

/// Milliseconds since 1970.
fn millis(at: Timestamp) -> i64 {
    at.as_microsecond() / 1_000
}
