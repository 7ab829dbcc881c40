//! What is in the server's envelopes.

use std::collections::BTreeMap;

use super::{bytes, payload, strings, texts};
use crate::centrifuge::Payload;
use crate::centrifuge::reply::{self, HistoryResult, RefreshResult, SubRefreshResult, Subscribed};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ConnectResult {
    #[prost(string, tag = "1")]
    client: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(bool, tag = "3")]
    expires: bool,
    #[prost(uint32, tag = "4")]
    ttl: u32,
    #[prost(bytes = "vec", tag = "5")]
    data: Vec<u8>,
    #[prost(btree_map = "string, message", tag = "6")]
    subs: BTreeMap<String, SubscribeResult>,
    #[prost(uint32, tag = "7")]
    ping: u32,
    #[prost(bool, tag = "8")]
    pong: bool,
    #[prost(string, tag = "9")]
    session: String,
    #[prost(string, tag = "10")]
    node: String,
    #[prost(int64, tag = "11")]
    time: i64,
}

/// The same as a push, with other numbers.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Connect {
    #[prost(string, tag = "1")]
    client: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(bytes = "vec", tag = "3")]
    data: Vec<u8>,
    #[prost(btree_map = "string, message", tag = "4")]
    subs: BTreeMap<String, SubscribeResult>,
    #[prost(bool, tag = "5")]
    expires: bool,
    #[prost(uint32, tag = "6")]
    ttl: u32,
    #[prost(uint32, tag = "7")]
    ping: u32,
    #[prost(bool, tag = "8")]
    pong: bool,
    #[prost(string, tag = "9")]
    session: String,
    #[prost(string, tag = "10")]
    node: String,
    #[prost(int64, tag = "11")]
    time: i64,
}

#[expect(clippy::struct_excessive_bools, reason = "the protocol has them")]
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SubscribeResult {
    #[prost(bool, tag = "1")]
    expires: bool,
    #[prost(uint32, tag = "2")]
    ttl: u32,
    #[prost(bool, tag = "3")]
    recoverable: bool,
    #[prost(string, tag = "6")]
    epoch: String,
    #[prost(message, repeated, tag = "7")]
    publications: Vec<Publication>,
    #[prost(bool, tag = "8")]
    recovered: bool,
    #[prost(uint64, tag = "9")]
    offset: u64,
    #[prost(bool, tag = "10")]
    positioned: bool,
    #[prost(bytes = "vec", tag = "11")]
    data: Vec<u8>,
    #[prost(bool, tag = "12")]
    was_recovering: bool,
    #[prost(bool, tag = "13")]
    delta: bool,
    #[prost(int64, tag = "14")]
    id: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Subscribe {
    #[prost(bool, tag = "1")]
    recoverable: bool,
    #[prost(string, tag = "4")]
    epoch: String,
    #[prost(uint64, tag = "5")]
    offset: u64,
    #[prost(bool, tag = "6")]
    positioned: bool,
    #[prost(bytes = "vec", tag = "7")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Publication {
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    info: Option<ClientInfo>,
    #[prost(uint64, tag = "6")]
    offset: u64,
    #[prost(btree_map = "string, string", tag = "7")]
    tags: BTreeMap<String, String>,
    #[prost(bool, tag = "8")]
    delta: bool,
    #[prost(int64, tag = "9")]
    time: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ClientInfo {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    client: String,
    #[prost(bytes = "vec", tag = "3")]
    conn_info: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    chan_info: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct History {
    #[prost(message, repeated, tag = "1")]
    publications: Vec<Publication>,
    #[prost(string, tag = "2")]
    epoch: String,
    #[prost(uint64, tag = "3")]
    offset: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Refresh {
    #[prost(string, tag = "1")]
    client: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(bool, tag = "3")]
    expires: bool,
    #[prost(uint32, tag = "4")]
    ttl: u32,
}

/// `sub_refresh`, and the push `refresh`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Expiry {
    #[prost(bool, tag = "1")]
    expires: bool,
    #[prost(uint32, tag = "2")]
    ttl: u32,
}

impl From<&reply::ConnectResult<'_>> for ConnectResult {
    fn from(result: &reply::ConnectResult<'_>) -> Self {
        Self {
            client: result.client.to_string(),
            version: result.version.to_string(),
            expires: result.expires,
            ttl: result.ttl,
            data: bytes(result.data.as_ref()),
            subs: result.subs.iter().map(|(key, value)| (key.to_string(), value.into())).collect(),
            ping: result.ping,
            pong: result.pong,
            session: result.session.to_string(),
            node: result.node.to_string(),
            time: result.time,
        }
    }
}

impl From<ConnectResult> for reply::ConnectResult<'static> {
    fn from(form: ConnectResult) -> Self {
        Self {
            client: form.client.into(),
            version: form.version.into(),
            expires: form.expires,
            ttl: form.ttl,
            data: payload(form.data),
            subs: form.subs.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            ping: form.ping,
            pong: form.pong,
            session: form.session.into(),
            node: form.node.into(),
            time: form.time,
        }
    }
}

impl From<&reply::ConnectResult<'_>> for Connect {
    fn from(result: &reply::ConnectResult<'_>) -> Self {
        Self {
            client: result.client.to_string(),
            version: result.version.to_string(),
            data: bytes(result.data.as_ref()),
            subs: result.subs.iter().map(|(key, value)| (key.to_string(), value.into())).collect(),
            expires: result.expires,
            ttl: result.ttl,
            ping: result.ping,
            pong: result.pong,
            session: result.session.to_string(),
            node: result.node.to_string(),
            time: result.time,
        }
    }
}

impl From<Connect> for reply::ConnectResult<'static> {
    fn from(form: Connect) -> Self {
        Self {
            client: form.client.into(),
            version: form.version.into(),
            data: payload(form.data),
            subs: form.subs.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            expires: form.expires,
            ttl: form.ttl,
            ping: form.ping,
            pong: form.pong,
            session: form.session.into(),
            node: form.node.into(),
            time: form.time,
        }
    }
}

impl From<&reply::SubscribeResult<'_>> for SubscribeResult {
    fn from(result: &reply::SubscribeResult<'_>) -> Self {
        Self {
            expires: result.expires,
            ttl: result.ttl,
            recoverable: result.recoverable,
            epoch: result.epoch.to_string(),
            publications: result.publications.iter().map(Into::into).collect(),
            recovered: result.recovered,
            offset: result.offset,
            positioned: result.positioned,
            data: bytes(result.data.as_ref()),
            was_recovering: result.was_recovering,
            delta: result.delta,
            id: result.id,
        }
    }
}

impl From<SubscribeResult> for reply::SubscribeResult<'static> {
    fn from(form: SubscribeResult) -> Self {
        Self {
            expires: form.expires,
            ttl: form.ttl,
            recoverable: form.recoverable,
            epoch: form.epoch.into(),
            publications: form.publications.into_iter().map(Into::into).collect(),
            recovered: form.recovered,
            offset: form.offset,
            positioned: form.positioned,
            data: payload(form.data),
            was_recovering: form.was_recovering,
            delta: form.delta,
            id: form.id,
        }
    }
}

impl From<&Subscribed<'_>> for Subscribe {
    fn from(result: &Subscribed<'_>) -> Self {
        Self {
            recoverable: result.recoverable,
            epoch: result.epoch.to_string(),
            offset: result.offset,
            positioned: result.positioned,
            data: bytes(result.data.as_ref()),
        }
    }
}

impl From<Subscribe> for Subscribed<'static> {
    fn from(form: Subscribe) -> Self {
        Self {
            recoverable: form.recoverable,
            epoch: form.epoch.into(),
            offset: form.offset,
            positioned: form.positioned,
            data: payload(form.data),
        }
    }
}

impl From<&reply::Publication<'_>> for Publication {
    fn from(result: &reply::Publication<'_>) -> Self {
        Self {
            data: result.data.as_bytes().to_vec(),
            info: result.info.as_ref().map(Into::into),
            offset: result.offset,
            tags: strings(&result.tags),
            delta: result.delta,
            time: result.time,
        }
    }
}

impl From<Publication> for reply::Publication<'static> {
    fn from(form: Publication) -> Self {
        Self {
            data: Payload::owned(form.data),
            info: form.info.map(Into::into),
            offset: form.offset,
            tags: texts(form.tags),
            delta: form.delta,
            time: form.time,
        }
    }
}

impl From<&reply::ClientInfo<'_>> for ClientInfo {
    fn from(result: &reply::ClientInfo<'_>) -> Self {
        Self {
            user: result.user.to_string(),
            client: result.client.to_string(),
            conn_info: bytes(result.conn_info.as_ref()),
            chan_info: bytes(result.chan_info.as_ref()),
        }
    }
}

impl From<ClientInfo> for reply::ClientInfo<'static> {
    fn from(form: ClientInfo) -> Self {
        Self {
            user: form.user.into(),
            client: form.client.into(),
            conn_info: payload(form.conn_info),
            chan_info: payload(form.chan_info),
        }
    }
}

impl From<&HistoryResult<'_>> for History {
    fn from(result: &HistoryResult<'_>) -> Self {
        Self {
            publications: result.publications.iter().map(Into::into).collect(),
            epoch: result.epoch.to_string(),
            offset: result.offset,
        }
    }
}

impl From<History> for HistoryResult<'static> {
    fn from(form: History) -> Self {
        Self {
            publications: form.publications.into_iter().map(Into::into).collect(),
            epoch: form.epoch.into(),
            offset: form.offset,
        }
    }
}

impl From<&RefreshResult<'_>> for Refresh {
    fn from(result: &RefreshResult<'_>) -> Self {
        Self {
            client: result.client.to_string(),
            version: result.version.to_string(),
            expires: result.expires,
            ttl: result.ttl,
        }
    }
}

impl From<Refresh> for RefreshResult<'static> {
    fn from(form: Refresh) -> Self {
        Self {
            client: form.client.into(),
            version: form.version.into(),
            expires: form.expires,
            ttl: form.ttl,
        }
    }
}

impl From<SubRefreshResult> for Expiry {
    fn from(result: SubRefreshResult) -> Self {
        Self { expires: result.expires, ttl: result.ttl }
    }
}

impl From<Expiry> for SubRefreshResult {
    fn from(form: Expiry) -> Self {
        Self { expires: form.expires, ttl: form.ttl }
    }
}
