//! The envelopes of the server: replies and pushes.

use std::collections::BTreeMap;

use super::result::{
    ClientInfo, Connect, ConnectResult, Expiry, History, Publication, Refresh, Subscribe, SubscribeResult,
};
use super::{bytes, payload};
use crate::centrifuge::dialect::DecodeError;
use crate::centrifuge::reply::{self, Answer, Event, PresenceStats};

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::centrifuge) struct Reply {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(message, optional, tag = "2")]
    error: Option<Error>,
    #[prost(message, optional, boxed, tag = "4")]
    push: Option<Box<Push>>,
    #[prost(message, optional, boxed, tag = "5")]
    connect: Option<Box<ConnectResult>>,
    #[prost(message, optional, boxed, tag = "6")]
    subscribe: Option<Box<SubscribeResult>>,
    #[prost(message, optional, tag = "7")]
    unsubscribe: Option<()>,
    #[prost(message, optional, tag = "8")]
    publish: Option<()>,
    #[prost(message, optional, tag = "9")]
    presence: Option<Presence>,
    #[prost(message, optional, tag = "10")]
    presence_stats: Option<Stats>,
    #[prost(message, optional, tag = "11")]
    history: Option<History>,
    #[prost(message, optional, tag = "13")]
    rpc: Option<Data>,
    #[prost(message, optional, tag = "14")]
    refresh: Option<Refresh>,
    #[prost(message, optional, tag = "15")]
    sub_refresh: Option<Expiry>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Error {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(bool, tag = "3")]
    temporary: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Presence {
    #[prost(btree_map = "string, message", tag = "1")]
    presence: BTreeMap<String, ClientInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Stats {
    #[prost(uint32, tag = "1")]
    num_clients: u32,
    #[prost(uint32, tag = "2")]
    num_users: u32,
}

/// `rpc`, `message`.
#[derive(Clone, PartialEq, prost::Message)]
struct Data {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Push {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(string, tag = "2")]
    channel: String,
    #[prost(message, optional, tag = "4")]
    publication: Option<Publication>,
    #[prost(message, optional, tag = "5")]
    join: Option<Movement>,
    #[prost(message, optional, tag = "6")]
    leave: Option<Movement>,
    #[prost(message, optional, tag = "7")]
    unsubscribe: Option<Unsubscribe>,
    #[prost(message, optional, tag = "8")]
    message: Option<Data>,
    #[prost(message, optional, tag = "9")]
    subscribe: Option<Subscribe>,
    #[prost(message, optional, boxed, tag = "10")]
    connect: Option<Box<Connect>>,
    #[prost(message, optional, tag = "11")]
    disconnect: Option<Disconnect>,
    #[prost(message, optional, tag = "12")]
    refresh: Option<Expiry>,
}

/// `join`, `leave`.
#[derive(Clone, PartialEq, prost::Message)]
struct Movement {
    #[prost(message, optional, tag = "1")]
    info: Option<ClientInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Unsubscribe {
    #[prost(uint32, tag = "2")]
    code: u32,
    #[prost(string, tag = "3")]
    reason: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Disconnect {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(string, tag = "2")]
    reason: String,
}

impl From<&reply::Reply<'_>> for Reply {
    fn from(reply: &reply::Reply<'_>) -> Self {
        match reply {
            reply::Reply::Ping => Self::default(),
            reply::Reply::Push(push) => Self { push: Some(Box::new(push.into())), ..Self::default() },
            reply::Reply::Answer(id, answer) => Self { id: *id, ..answer.into() },
        }
    }
}

impl From<&Answer<'_>> for Reply {
    fn from(answer: &Answer<'_>) -> Self {
        let mut form = Self::default();
        match answer {
            Answer::Error(error) => form.error = Some(error.into()),
            Answer::Connect(result) => form.connect = Some(Box::new((&**result).into())),
            Answer::Subscribe(result) => form.subscribe = Some(Box::new(result.into())),
            Answer::Unsubscribe => form.unsubscribe = Some(()),
            Answer::Publish => form.publish = Some(()),
            Answer::Presence(clients) => {
                let presence = clients.iter().map(|(client, info)| (client.to_string(), info.into()));
                form.presence = Some(Presence { presence: presence.collect() });
            }
            Answer::PresenceStats(PresenceStats { num_clients, num_users }) => {
                form.presence_stats = Some(Stats { num_clients: *num_clients, num_users: *num_users });
            }
            Answer::History(result) => form.history = Some(result.into()),
            Answer::Rpc(data) => form.rpc = Some(Data { data: bytes(data.as_ref()) }),
            Answer::Refresh(result) => form.refresh = Some(result.into()),
            Answer::SubRefresh(result) => form.sub_refresh = Some((*result).into()),
        }
        form
    }
}

impl From<&reply::Error<'_>> for Error {
    fn from(error: &reply::Error<'_>) -> Self {
        Self { code: error.code, message: error.message.to_string(), temporary: error.temporary }
    }
}

impl From<&reply::Push<'_>> for Push {
    fn from(push: &reply::Push<'_>) -> Self {
        let mut form = Self { id: push.id, channel: push.channel.to_string(), ..Self::default() };
        match &push.event {
            Event::Publication(publication) => form.publication = Some(publication.into()),
            Event::Join(info) => form.join = Some(Movement { info: Some(info.into()) }),
            Event::Leave(info) => form.leave = Some(Movement { info: Some(info.into()) }),
            Event::Unsubscribe(code, reason) => {
                form.unsubscribe = Some(Unsubscribe { code: *code, reason: reason.to_string() });
            }
            Event::Subscribe(begun) => form.subscribe = Some(begun.into()),
            Event::Message(data) => form.message = Some(Data { data: bytes(data.as_ref()) }),
            Event::Connect(result) => form.connect = Some(Box::new((&**result).into())),
            Event::Disconnect(code, reason) => {
                form.disconnect = Some(Disconnect { code: *code, reason: reason.to_string() });
            }
            Event::Refresh(result) => form.refresh = Some((*result).into()),
        }
        form
    }
}

impl TryFrom<Reply> for reply::Reply<'static> {
    type Error = DecodeError;

    fn try_from(form: Reply) -> Result<Self, DecodeError> {
        if let Some(push) = form.push {
            return Ok(Self::Push((*push).try_into()?));
        }
        let answer = None
            .or(form.error.map(|error| Answer::Error(error.into())))
            .or(form.connect.map(|result| Answer::Connect(Box::new((*result).into()))))
            .or(form.subscribe.map(|result| Answer::Subscribe((*result).into())))
            .or(form.unsubscribe.map(|()| Answer::Unsubscribe))
            .or(form.publish.map(|()| Answer::Publish))
            .or(form.presence.map(|result| Answer::Presence(result.into())))
            .or(form.presence_stats.map(|Stats { num_clients, num_users }| {
                Answer::PresenceStats(PresenceStats { num_clients, num_users })
            }))
            .or(form.history.map(|result| Answer::History(result.into())))
            .or(form.rpc.map(|rpc| Answer::Rpc(payload(rpc.data))))
            .or(form.refresh.map(|result| Answer::Refresh(result.into())))
            .or(form.sub_refresh.map(|result| Answer::SubRefresh(result.into())));
        match (form.id, answer) {
            (0, None) => Ok(Self::Ping),
            (_, None) => Err(DecodeError::NoContent),
            (id, Some(answer)) => Ok(Self::Answer(id, answer)),
        }
    }
}

impl From<Error> for reply::Error<'static> {
    fn from(form: Error) -> Self {
        Self { code: form.code, message: form.message.into(), temporary: form.temporary }
    }
}

impl From<Presence> for BTreeMap<std::borrow::Cow<'static, str>, reply::ClientInfo<'static>> {
    fn from(form: Presence) -> Self {
        form.presence.into_iter().map(|(client, info)| (client.into(), info.into())).collect()
    }
}

impl TryFrom<Push> for reply::Push<'static> {
    type Error = DecodeError;

    fn try_from(form: Push) -> Result<Self, DecodeError> {
        let event = None
            .or(form.publication.map(|publication| Event::Publication(publication.into())))
            .or(form.join.map(|join| Event::Join(join.info.unwrap_or_default().into())))
            .or(form.leave.map(|leave| Event::Leave(leave.info.unwrap_or_default().into())))
            .or(form.unsubscribe.map(|end| Event::Unsubscribe(end.code, end.reason.into())))
            .or(form.message.map(|message| Event::Message(payload(message.data))))
            .or(form.subscribe.map(|begun| Event::Subscribe(begun.into())))
            .or(form.connect.map(|connect| Event::Connect(Box::new((*connect).into()))))
            .or(form.disconnect.map(|end| Event::Disconnect(end.code, end.reason.into())))
            .or(form.refresh.map(|refresh| Event::Refresh(refresh.into())))
            .ok_or(DecodeError::NoContent)?;
        Ok(Self { channel: form.channel.into(), id: form.id, event })
    }
}
