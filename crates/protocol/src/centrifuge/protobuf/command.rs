//! Commands and what is in them.

use std::collections::BTreeMap;

use super::{bytes, payload, strings, texts};
use crate::centrifuge::command::{
    self, ChannelRequest, HistoryRequest, PublishRequest, RefreshRequest, Request, RpcRequest, SendRequest,
    SubRefreshRequest, UnsubscribeRequest,
};
use crate::centrifuge::dialect::DecodeError;
use crate::centrifuge::filter;

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::centrifuge) struct Command {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(message, optional, boxed, tag = "4")]
    connect: Option<Box<ConnectRequest>>,
    #[prost(message, optional, boxed, tag = "5")]
    subscribe: Option<Box<SubscribeRequest>>,
    #[prost(message, optional, tag = "6")]
    unsubscribe: Option<Channel>,
    #[prost(message, optional, tag = "7")]
    publish: Option<Publish>,
    #[prost(message, optional, tag = "8")]
    presence: Option<Channel>,
    #[prost(message, optional, tag = "9")]
    presence_stats: Option<Channel>,
    #[prost(message, optional, tag = "10")]
    history: Option<History>,
    #[prost(message, optional, tag = "11")]
    ping: Option<()>,
    #[prost(message, optional, tag = "12")]
    send: Option<Data>,
    #[prost(message, optional, tag = "13")]
    rpc: Option<Rpc>,
    #[prost(message, optional, tag = "14")]
    refresh: Option<Refresh>,
    #[prost(message, optional, tag = "15")]
    sub_refresh: Option<SubRefresh>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ConnectRequest {
    #[prost(string, tag = "1")]
    token: String,
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
    #[prost(btree_map = "string, message", tag = "3")]
    subs: BTreeMap<String, SubscribeRequest>,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "5")]
    version: String,
    #[prost(btree_map = "string, string", tag = "6")]
    headers: BTreeMap<String, String>,
    #[prost(int64, tag = "7")]
    flag: i64,
}

#[expect(clippy::struct_excessive_bools, reason = "the protocol has them")]
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SubscribeRequest {
    #[prost(string, tag = "1")]
    channel: String,
    #[prost(string, tag = "2")]
    token: String,
    #[prost(bool, tag = "3")]
    recover: bool,
    #[prost(string, tag = "6")]
    epoch: String,
    #[prost(uint64, tag = "7")]
    offset: u64,
    #[prost(bytes = "vec", tag = "8")]
    data: Vec<u8>,
    #[prost(bool, tag = "9")]
    positioned: bool,
    #[prost(bool, tag = "10")]
    recoverable: bool,
    #[prost(bool, tag = "11")]
    join_leave: bool,
    #[prost(string, tag = "12")]
    delta: String,
    /// A filter node, read by [`filter::protobuf`] within its bounds.
    #[prost(bytes = "vec", optional, tag = "13")]
    tf: Option<Vec<u8>>,
    #[prost(int64, tag = "14")]
    flag: i64,
    #[prost(int32, tag = "15")]
    kind: i32,
}

/// `unsubscribe`, `presence`, `presence_stats`.
#[derive(Clone, PartialEq, prost::Message)]
struct Channel {
    #[prost(string, tag = "1")]
    channel: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Publish {
    #[prost(string, tag = "1")]
    channel: String,
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
    #[prost(int32, tag = "3")]
    kind: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct History {
    #[prost(string, tag = "1")]
    channel: String,
    #[prost(int32, tag = "7")]
    limit: i32,
    #[prost(message, optional, tag = "8")]
    since: Option<StreamPosition>,
    #[prost(bool, tag = "9")]
    reverse: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StreamPosition {
    #[prost(uint64, tag = "1")]
    offset: u64,
    #[prost(string, tag = "2")]
    epoch: String,
}

/// `send`.
#[derive(Clone, PartialEq, prost::Message)]
struct Data {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Rpc {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
    #[prost(string, tag = "2")]
    method: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Refresh {
    #[prost(string, tag = "1")]
    token: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SubRefresh {
    #[prost(string, tag = "1")]
    channel: String,
    #[prost(string, tag = "2")]
    token: String,
    #[prost(int32, tag = "3")]
    kind: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EmulationRequest {
    #[prost(string, tag = "1")]
    pub(super) node: String,
    #[prost(string, tag = "2")]
    pub(super) session: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) data: Vec<u8>,
}

impl TryFrom<Command> for command::Command<'static> {
    type Error = DecodeError;

    /// Of several requests in one command the first counts, in the order of the protocol's own server.
    fn try_from(form: Command) -> Result<Self, DecodeError> {
        let request = if let Some(request) = form.connect {
            Request::Connect(Box::new((*request).try_into()?))
        } else if let Some(()) = form.ping {
            Request::Ping
        } else if let Some(request) = form.subscribe {
            Request::Subscribe((*request).try_into()?)
        } else if let Some(Channel { channel }) = form.unsubscribe {
            Request::Unsubscribe(UnsubscribeRequest { channel: channel.into() })
        } else if let Some(Publish { channel, data, kind }) = form.publish {
            Request::Publish(PublishRequest { channel: channel.into(), data: payload(data), kind })
        } else if let Some(Channel { channel }) = form.presence {
            Request::Presence(ChannelRequest { channel: channel.into() })
        } else if let Some(Channel { channel }) = form.presence_stats {
            Request::PresenceStats(ChannelRequest { channel: channel.into() })
        } else if let Some(request) = form.history {
            Request::History(request.into())
        } else if let Some(Rpc { data, method }) = form.rpc {
            Request::Rpc(RpcRequest { data: payload(data), method: method.into() })
        } else if let Some(Data { data }) = form.send {
            Request::Send(SendRequest { data: payload(data) })
        } else if let Some(Refresh { token }) = form.refresh {
            Request::Refresh(RefreshRequest { token: token.into() })
        } else if let Some(SubRefresh { channel, token, kind }) = form.sub_refresh {
            Request::SubRefresh(SubRefreshRequest { channel: channel.into(), token: token.into(), kind })
        } else if form.id == 0 {
            Request::Empty
        } else {
            return Err(DecodeError::NoContent);
        };
        Ok(Self { id: form.id, request })
    }
}

impl TryFrom<ConnectRequest> for command::ConnectRequest<'static> {
    type Error = DecodeError;

    fn try_from(form: ConnectRequest) -> Result<Self, DecodeError> {
        let subs = form.subs.into_iter().map(|(channel, request)| Ok((channel.into(), request.try_into()?)));
        Ok(Self {
            token: form.token.into(),
            data: payload(form.data),
            subs: subs.collect::<Result<_, DecodeError>>()?,
            name: form.name.into(),
            version: form.version.into(),
            headers: texts(form.headers),
            flag: form.flag,
        })
    }
}

impl TryFrom<SubscribeRequest> for command::SubscribeRequest<'static> {
    type Error = DecodeError;

    fn try_from(form: SubscribeRequest) -> Result<Self, DecodeError> {
        Ok(Self {
            channel: form.channel.into(),
            token: form.token.into(),
            recover: form.recover,
            epoch: form.epoch.into(),
            offset: form.offset,
            data: payload(form.data),
            positioned: form.positioned,
            recoverable: form.recoverable,
            join_leave: form.join_leave,
            delta: form.delta.into(),
            filter: form.tf.as_deref().map(filter::protobuf::read).transpose()?.map(Box::new),
            flag: form.flag,
            kind: form.kind,
        })
    }
}

impl From<History> for HistoryRequest<'static> {
    fn from(form: History) -> Self {
        let since = form
            .since
            .map(|since| command::StreamPosition { offset: since.offset, epoch: since.epoch.into() });
        Self { channel: form.channel.into(), limit: form.limit, since, reverse: form.reverse }
    }
}

impl From<&command::Command<'_>> for Command {
    fn from(command: &command::Command<'_>) -> Self {
        let mut form = Self { id: command.id, ..Self::default() };
        let channel = |channel: &str| Some(Channel { channel: channel.to_owned() });
        match &command.request {
            Request::Connect(request) => form.connect = Some(Box::new((&**request).into())),
            Request::Subscribe(request) => form.subscribe = Some(Box::new(request.into())),
            Request::Unsubscribe(request) => form.unsubscribe = channel(&request.channel),
            Request::Publish(request) => {
                let (channel, data) = (request.channel.to_string(), bytes(request.data.as_ref()));
                form.publish = Some(Publish { channel, data, kind: request.kind });
            }
            Request::Presence(request) => form.presence = channel(&request.channel),
            Request::PresenceStats(request) => form.presence_stats = channel(&request.channel),
            Request::History(request) => form.history = Some(request.into()),
            Request::Ping => form.ping = Some(()),
            Request::Send(request) => form.send = Some(Data { data: bytes(request.data.as_ref()) }),
            Request::Rpc(request) => {
                let data = bytes(request.data.as_ref());
                form.rpc = Some(Rpc { data, method: request.method.to_string() });
            }
            Request::Refresh(request) => form.refresh = Some(Refresh { token: request.token.to_string() }),
            Request::SubRefresh(request) => {
                let (channel, token) = (request.channel.to_string(), request.token.to_string());
                form.sub_refresh = Some(SubRefresh { channel, token, kind: request.kind });
            }
            Request::Empty => {}
        }
        form
    }
}

impl From<&command::ConnectRequest<'_>> for ConnectRequest {
    fn from(request: &command::ConnectRequest<'_>) -> Self {
        Self {
            token: request.token.to_string(),
            data: bytes(request.data.as_ref()),
            subs: request
                .subs
                .iter()
                .map(|(channel, request)| (channel.to_string(), request.into()))
                .collect(),
            name: request.name.to_string(),
            version: request.version.to_string(),
            headers: strings(&request.headers),
            flag: request.flag,
        }
    }
}

impl From<&command::SubscribeRequest<'_>> for SubscribeRequest {
    fn from(request: &command::SubscribeRequest<'_>) -> Self {
        Self {
            channel: request.channel.to_string(),
            token: request.token.to_string(),
            recover: request.recover,
            epoch: request.epoch.to_string(),
            offset: request.offset,
            data: bytes(request.data.as_ref()),
            positioned: request.positioned,
            recoverable: request.recoverable,
            join_leave: request.join_leave,
            delta: request.delta.to_string(),
            tf: request.filter.as_deref().map(filter::protobuf::write),
            flag: request.flag,
            kind: request.kind,
        }
    }
}

impl From<&HistoryRequest<'_>> for History {
    fn from(request: &HistoryRequest<'_>) -> Self {
        let since = request.since.as_ref();
        Self {
            channel: request.channel.to_string(),
            limit: request.limit,
            since: since.map(|since| StreamPosition { offset: since.offset, epoch: since.epoch.to_string() }),
            reverse: request.reverse,
        }
    }
}
