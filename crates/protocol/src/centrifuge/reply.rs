//! Replies and pushes: what a server says.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::Payload;
use crate::codes::{DisconnectCode, ErrorCode, UnsubscribeCode};

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
    /// To `publish`.
    Publish,
    /// To `presence`: who is there, by client.
    Presence(BTreeMap<Cow<'a, str>, ClientInfo<'a>>),
    /// To `presence_stats`.
    PresenceStats(PresenceStats),
    /// To `history`.
    History(HistoryResult<'a>),
    /// To `rpc`: the result's data.
    Rpc(Option<Payload<'a>>),
    /// To `refresh`.
    Refresh(RefreshResult<'a>),
    /// To `sub_refresh`.
    SubRefresh(SubRefreshResult),
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

/// Result of `connect`; transports that go one way push it.
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
    /// The application's own.
    #[serde(borrow)]
    pub data: Option<Payload<'a>>,
    /// The server-side subscriptions, by channel.
    #[serde(borrow)]
    pub subs: BTreeMap<Cow<'a, str>, SubscribeResult<'a>>,
    /// Seconds between pings; 0: no pings of the protocol.
    pub ping: u32,
    /// Whether pings are to be answered.
    pub pong: bool,
    /// The name by which emulation requests reach the connection; empty where there are none.
    #[serde(borrow)]
    pub session: Cow<'a, str>,
    /// The node that the connection is at; empty where clients need not know.
    #[serde(borrow)]
    pub node: Cow<'a, str>,
    /// Milliseconds since 1970 at the server.
    pub time: i64,
}

#[expect(clippy::struct_excessive_bools, reason = "the protocol has them")]
/// Result of `subscribe`, and of each server-side subscription.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SubscribeResult<'a> {
    /// Whether the client has to refresh its subscription token.
    pub expires: bool,
    /// Within so many seconds.
    pub ttl: u32,
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
    /// The server's own, for the application.
    #[serde(borrow)]
    pub data: Option<Payload<'a>>,
    /// Whether the request asked to recover.
    pub was_recovering: bool,
    /// Whether payloads come as deltas: in the JSON dialect every payload of the subscription is then a string.
    pub delta: bool,
    /// The number that stands in pushes in place of the channel's name; 0 for none.
    pub id: i64,
}

/// One publication.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Publication<'a> {
    /// The payload.
    #[serde(borrow)]
    pub data: Payload<'a>,
    /// Who published it, when that was a client.
    #[serde(borrow)]
    pub info: Option<ClientInfo<'a>>,
    /// Its offset; 0 for what is not in any history.
    pub offset: u64,
    /// What filters look at.
    #[serde(borrow)]
    pub tags: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    /// Whether `data` is a delta to the publication before.
    pub delta: bool,
    /// Milliseconds since 1970 at the server; 0 when not told.
    pub time: i64,
}

/// Who a client is, as others see it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClientInfo<'a> {
    /// The user; empty for anonymous ones.
    #[serde(borrow)]
    pub user: Cow<'a, str>,
    /// The connection.
    #[serde(borrow)]
    pub client: Cow<'a, str>,
    /// From the connection token.
    #[serde(borrow)]
    pub conn_info: Option<Payload<'a>>,
    /// From the subscription token.
    #[serde(borrow)]
    pub chan_info: Option<Payload<'a>>,
}

/// Result of `presence_stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PresenceStats {
    /// Connections.
    pub num_clients: u32,
    /// Users; all anonymous ones together are one.
    pub num_users: u32,
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

/// Result of `sub_refresh`: how long credentials hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SubRefreshResult {
    /// Whether the client has to refresh again.
    pub expires: bool,
    /// Within so many seconds.
    pub ttl: u32,
}

/// Something that nobody asked for at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Push<'a> {
    /// About which topic; empty for what concerns the whole connection.
    pub channel: Cow<'a, str>,
    /// The number that stands for the channel with clients that were given one ([`SubscribeResult::id`]); `channel` is
    /// empty then.
    pub id: i64,
    /// What.
    pub event: Event<'a>,
}

impl<'a> Push<'a> {
    /// What happened in a topic.
    pub fn to(channel: impl Into<Cow<'a, str>>, event: Event<'a>) -> Self {
        Self { channel: channel.into(), id: 0, event }
    }

    /// What happened to the connection as a whole.
    pub fn to_connection(event: Event<'a>) -> Self {
        Self::to("", event)
    }
}

/// What happened, in a topic or to the connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A publication.
    Publication(Publication<'a>),
    /// Somebody has subscribed.
    Join(ClientInfo<'a>),
    /// Somebody has left.
    Leave(ClientInfo<'a>),
    /// The server has ended the subscription: code and reason.
    Unsubscribe(u32, Cow<'a, str>),
    /// The server has begun a subscription.
    Subscribe(Subscribed<'a>),
    /// A message that belongs to no topic.
    Message(Option<Payload<'a>>),
    /// The connection stands; on transports that go one way.
    Connect(Box<ConnectResult<'a>>),
    /// The connection ends, on transports that have no close frame: code and reason.
    Disconnect(u32, Cow<'a, str>),
    /// The credentials were renewed by the server.
    Refresh(SubRefreshResult),
}

impl Event<'_> {
    /// The end of a subscription for a reason of the table.
    pub fn unsubscribe(code: UnsubscribeCode) -> Self {
        Self::Unsubscribe(u32::from(code.code()), code.text().into())
    }

    /// The end of a connection for a reason of the table.
    pub fn disconnect(code: DisconnectCode) -> Self {
        Self::Disconnect(u32::from(code.code()), code.text().into())
    }
}

/// A subscription that the server has begun.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Subscribed<'a> {
    /// Whether the client may recover from positions of this topic.
    pub recoverable: bool,
    /// Incarnation that offsets count in.
    #[serde(borrow)]
    pub epoch: Cow<'a, str>,
    /// The position from which the subscription is live.
    pub offset: u64,
    /// Whether positions mean something here.
    pub positioned: bool,
    /// The server's own, for the application.
    #[serde(borrow)]
    pub data: Option<Payload<'a>>,
}
