//! Commands: what a client asks for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::filter::FilterNode;
use super::{Payload, filter};

/// One command. Commands with an id get exactly one reply with the same id.
#[derive(Debug, Clone, PartialEq)]
pub struct Command<'a> {
    /// The client's number for it; 0 for what wants no reply.
    pub id: u32,
    /// What is asked.
    pub request: Request<'a>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Request<'a> {
    /// The first command of a connection.
    Connect(Box<ConnectRequest<'a>>),
    /// Client-side subscription.
    Subscribe(SubscribeRequest<'a>),
    /// End of a subscription.
    Unsubscribe(UnsubscribeRequest<'a>),
    /// A publication by the client.
    Publish(PublishRequest<'a>),
    /// Who is there.
    Presence(ChannelRequest<'a>),
    /// How many are there.
    PresenceStats(ChannelRequest<'a>),
    /// What was published.
    History(HistoryRequest<'a>),
    /// The legacy ping command; an empty command is the pong of today.
    Ping,
    /// An asynchronous message to the server.
    Send(SendRequest<'a>),
    /// A remote procedure call.
    Rpc(RpcRequest<'a>),
    /// New credentials for the connection.
    Refresh(RefreshRequest<'a>),
    /// New credentials for a subscription.
    SubRefresh(SubRefreshRequest<'a>),
    /// No request: with id 0 the answer to a ping.
    Empty,
}

/// `connect`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ConnectRequest<'a> {
    /// The connection token; empty for none.
    #[serde(borrow)]
    pub token: Cow<'a, str>,
    /// The application's own.
    #[serde(borrow)]
    pub data: Option<Payload<'a>>,
    /// Positions of server-side subscriptions to recover from, by channel.
    #[serde(borrow)]
    pub subs: BTreeMap<Cow<'a, str>, SubscribeRequest<'a>>,
    /// Name of the SDK or application. Free text: never a metric label.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its version.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// What a browser cannot put into the headers of the upgrade. To be believed as little as a query.
    #[serde(borrow)]
    pub headers: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    /// Bits: 1 = understands dictionaries, which are not offered.
    pub flag: i64,
}

#[expect(clippy::struct_excessive_bools, reason = "the protocol has them")]
/// `subscribe`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SubscribeRequest<'a> {
    /// To what.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// A subscription token; empty for none.
    #[serde(borrow)]
    pub token: Cow<'a, str>,
    /// Whether to send what was published after `offset` in `epoch`.
    pub recover: bool,
    /// Incarnation that `offset` counts in; empty: any.
    #[serde(borrow)]
    pub epoch: Cow<'a, str>,
    /// The last offset that the client has seen.
    pub offset: u64,
    /// For the server's own hooks.
    #[serde(borrow)]
    pub data: Option<Payload<'a>>,
    /// Wishes to be told of positions.
    pub positioned: bool,
    /// Wishes to be able to recover.
    pub recoverable: bool,
    /// Wishes to be told who comes and goes.
    pub join_leave: bool,
    /// Delta format that the client understands; empty: none.
    #[serde(borrow)]
    pub delta: Cow<'a, str>,
    /// Which publications are wanted, by their tags; not checked yet ([`FilterNode::check`]).
    #[serde(borrow, rename = "tf", deserialize_with = "filter::json::read")]
    pub filter: Option<Box<FilterNode<'a>>>,
    /// Bits: 1 = understands numeric channels, 2 = refuse with error 112 when the position cannot be recovered.
    pub flag: i64,
    /// 0 = stream; others (map, shared poll) are declined.
    #[serde(rename = "type")]
    pub kind: i32,
}

impl SubscribeRequest<'_> {
    /// Whether the client prefers error 112 to a subscription that is not recovered.
    pub fn rejects_unrecovered(&self) -> bool {
        self.flag & 2 != 0
    }
}

/// `unsubscribe`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct UnsubscribeRequest<'a> {
    /// From what.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
}

/// `publish`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PublishRequest<'a> {
    /// To what.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// What.
    #[serde(borrow)]
    pub data: Option<Payload<'a>>,
    /// 0 = stream; others (map) are declined.
    #[serde(rename = "type")]
    pub kind: i32,
}

/// `presence`, `presence_stats`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ChannelRequest<'a> {
    /// Of what.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
}

/// `history`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct HistoryRequest<'a> {
    /// Of what.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// 0: only the top position; negative: all that is known; else at most so many.
    pub limit: i32,
    /// Publications after this position (before it, when reversed).
    #[serde(borrow)]
    pub since: Option<StreamPosition<'a>>,
    /// Newest first.
    pub reverse: bool,
}

/// A position as clients send it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct StreamPosition<'a> {
    /// Offset.
    pub offset: u64,
    /// Incarnation; empty: any.
    #[serde(borrow)]
    pub epoch: Cow<'a, str>,
}

/// `send`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SendRequest<'a> {
    /// What.
    #[serde(borrow)]
    pub data: Option<Payload<'a>>,
}

/// `rpc`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RpcRequest<'a> {
    /// Arguments.
    #[serde(borrow)]
    pub data: Option<Payload<'a>>,
    /// Which procedure.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
}

/// `refresh`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RefreshRequest<'a> {
    /// The new connection token.
    #[serde(borrow)]
    pub token: Cow<'a, str>,
}

/// `sub_refresh`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SubRefreshRequest<'a> {
    /// Of what.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// The new subscription token.
    #[serde(borrow)]
    pub token: Cow<'a, str>,
    /// 0 = stream; others (shared poll) are declined.
    #[serde(rename = "type")]
    pub kind: i32,
}

/// The body of a request to `/emulation`: commands for a connection whose replies come down another way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmulationRequest<'a> {
    /// Which node the connection is at.
    pub node: Cow<'a, str>,
    /// Which connection; not to be guessed.
    pub session: Cow<'a, str>,
    /// A frame of commands.
    pub data: Cow<'a, [u8]>,
}
