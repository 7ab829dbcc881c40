//! Replies and pushes: what a server says.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::Payload;
use crate::codes::{ErrorCode, UnsubscribeCode};

/// One message of the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply<'a> {
    /// The answer to the command with this id.
    Answer(u32, Answer<'a>),
    /// Something that nobody asked for at this moment.
    Push(Push<'a>),
    /// An empty reply.
    Ping,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer<'a> {
    /// Refused.
    Error(Error<'a>),
    /// To `connect`.
    Connect(Box<ConnectResult<'a>>),
    /// To `subscribe`.
    Subscribe(SubscribeResult<'a>),
    /// To `unsubscribe`.
    Unsubscribe,
    /// To `history`.
    History(HistoryResult<'a>),
    /// To `rpc`: the result's data.
    Rpc(Option<Payload<'a>>),
    /// To `refresh`.
    Refresh(RefreshResult<'a>),
}

impl Answer<'_> {
    /// A refusal for a reason of the table.
    pub fn refusal(code: ErrorCode) -> Self {
        Self::Error(Error {
            code: u32::from(code.code()),
            message: code.text().into(),
            temporary: code.is_temporary(),
        })
    }
}

/// Why a command was refused.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Error<'a> {
    /// See [`ErrorCode`].
    pub code: u32,
    /// For people.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// Whether the client may repeat it.
    pub temporary: bool,
}

/// Result of `connect`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ConnectResult<'a> {
    /// Id of the connection, unique.
    #[serde(borrow)]
    pub client: Cow<'a, str>,
    /// Version of the server.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// Whether the client has to refresh its credentials.
    pub expires: bool,
    /// Within so many seconds.
    pub ttl: u32,
    /// The server-side subscriptions, by channel.
    #[serde(borrow)]
    pub subs: BTreeMap<Cow<'a, str>, SubscribeResult<'a>>,
    /// Seconds between pings; 0: no pings of the protocol.
    pub ping: u32,
    /// Whether pings are to be answered.
    pub pong: bool,
    /// Milliseconds since 1970 at the server.
    pub time: i64,
}

#[expect(clippy::struct_excessive_bools, reason = "the protocol has them")]
/// Result of `subscribe`, and of each server-side subscription.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SubscribeResult<'a> {
    /// Whether the client may recover from positions of this topic.
    pub recoverable: bool,
    /// Incarnation that offsets count in.
    #[serde(borrow)]
    pub epoch: Cow<'a, str>,
    /// What was missed, oldest first.
    #[serde(borrow)]
    pub publications: Vec<Publication<'a>>,
    /// Whether everything that was missed is in `publications`.
    pub recovered: bool,
    /// The position from which the subscription is live.
    pub offset: u64,
    /// Whether positions mean something here.
    pub positioned: bool,
    /// Whether the request asked to recover.
    pub was_recovering: bool,
}

/// One publication.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Publication<'a> {
    /// The payload.
    #[serde(borrow)]
    pub data: Payload<'a>,
    /// Its offset; 0 for what is not in any history.
    #[serde(default)]
    pub offset: u64,
}

/// Result of `history`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct HistoryResult<'a> {
    /// In the order asked for.
    #[serde(borrow)]
    pub publications: Vec<Publication<'a>>,
    /// Incarnation.
    #[serde(borrow)]
    pub epoch: Cow<'a, str>,
    /// The top position.
    pub offset: u64,
}

/// Result of `refresh`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RefreshResult<'a> {
    /// Id of the connection.
    #[serde(borrow)]
    pub client: Cow<'a, str>,
    /// Version of the server.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// Whether the client has to refresh again.
    pub expires: bool,
    /// Within so many seconds.
    pub ttl: u32,
}

/// Something that nobody asked for at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Push<'a> {
    /// About which topic.
    pub channel: Cow<'a, str>,
    /// What.
    pub event: Event<'a>,
}

/// What happened in a topic.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A publication.
    Publication(Publication<'a>),
    /// The server has ended the subscription: code and reason.
    Unsubscribe(u32, Cow<'a, str>),
}

impl Event<'_> {
    /// The end of a subscription for a reason of the table.
    pub fn unsubscribe(code: UnsubscribeCode) -> Self {
        Self::Unsubscribe(u32::from(code.code()), code.text().into())
    }
}
