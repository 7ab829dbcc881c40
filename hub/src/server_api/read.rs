//! `presence`, `presence_stats`, `history`, `channels`, `info`: what this node knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Publisher, Topic};
use protocol::centrifuge::command::{ChannelRequest, HistoryRequest};
use protocol::codes::ErrorCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;

use super::fault::Fault;
use super::{Answer, ServerApi, raw};
use crate::history::read_page;
use crate::presence::{Headcount, Member};
use crate::publication::Item;
use crate::shard::{Message, Tally};

/// `channels`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Channels {
    /// With `*` for any characters; empty: all.
    pattern: String,
}

/// This node as `info` tells of it.
#[derive(Debug, Serialize)]
struct Node<'a> {
    uid: &'a str,
    name: &'a str,
    version: &'a str,
    num_clients: usize,
    num_users: usize,
    num_channels: usize,
    num_subs: usize,
    uptime: u64,
}

/// A client as it is listed.
#[derive(Serialize)]
struct Listed<'a> {
    user: &'a str,
    client: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chan_info: Option<&'a RawValue>,
}

/// A publication of a history.
#[derive(Serialize)]
struct Kept<'a> {
    offset: u64,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Listed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a BTreeMap<String, String>>,
}

/// A history.
#[derive(Serialize)]
struct History<'a> {
    publications: Vec<Kept<'a>>,
    offset: u64,
    epoch: &'a str,
}

impl ServerApi {
    pub(super) fn presence(&self, request: &ChannelRequest<'_>) -> Answer {
        let topic = self.seen(&request.channel)?;
        let list: Vec<Arc<Member>> = self.presence.list(&topic).ok_or(ErrorCode::LimitExceeded)?;
        let clients: BTreeMap<&str, Listed<'_>> =
            list.iter().map(|member| (&*member.info.client, listed(&member.info))).collect();
        raw(&json!({ "presence": to_raw_value(&clients).map_err(|_| ErrorCode::Internal)? }))
    }

    pub(super) fn presence_stats(&self, request: &ChannelRequest<'_>) -> Answer {
        let Headcount { clients, users } = self.presence.count(&self.seen(&request.channel)?);
        raw(&json!({ "num_clients": clients, "num_users": users }))
    }

    fn seen(&self, name: &str) -> Result<Topic, Fault> {
        let (topic, class) = self.topic(name)?;
        if class.presence { Ok(topic) } else { Err(ErrorCode::NotAvailable.into()) }
    }

    pub(super) async fn history(&self, request: &HistoryRequest<'_>) -> Answer {
        let (topic, class) = self.topic(&request.channel)?;
        self.catch_up(&topic).await?;
        let limits = &self.config.limits;
        let read = read_page(&self.histories, &topic, (class, limits), request, self.clock.now())?;
        let publications: Vec<Kept<'_>> = read.page.iter().filter_map(kept).collect();
        raw(&History { publications, offset: read.offset, epoch: &read.epoch.0 })
    }

    /// The topics of all nodes whose class has presence: of others the nodes tell each other nothing.
    pub(super) fn channels(&self, request: &Channels) -> Answer {
        let matches = |name: &str| request.pattern.is_empty() || fits(&request.pattern, name);
        let channels: BTreeMap<String, serde_json::Value> = self
            .presence
            .topics(matches)
            .ok_or(ErrorCode::LimitExceeded)?
            .into_iter()
            .map(|(topic, clients)| (topic.into(), json!({ "num_clients": clients })))
            .collect();
        raw(&json!({ "channels": channels }))
    }

    /// This node; the others tell each other no such numbers.
    pub(super) async fn info(&self) -> Answer {
        let mut all = Tally::default();
        for shard in &self.shards {
            let (answer, tally) = oneshot::channel();
            shard.send(Message::Tally(answer)).await.map_err(|_| ErrorCode::Internal)?;
            let Tally { connections, topics, subscriptions } =
                tally.await.map_err(|_| ErrorCode::Internal)?;
            all.connections += connections;
            all.topics.extend(topics);
            all.subscriptions += subscriptions;
        }
        let node = Node {
            uid: &self.node,
            name: "munadi",
            version: env!("CARGO_PKG_VERSION"),
            num_clients: all.connections,
            num_users: self.census.users(),
            num_channels: all.topics.len(),
            num_subs: all.subscriptions,
            uptime: self.started.elapsed().as_secs(),
        };
        raw(&json!({ "nodes": [to_raw_value(&node).map_err(|_| ErrorCode::Internal)?] }))
    }
}

fn listed(info: &Publisher) -> Listed<'_> {
    Listed {
        user: &info.user,
        client: &info.client,
        conn_info: info.conn_info.as_deref(),
        chan_info: info.chan_info.as_deref(),
    }
}

fn kept(item: &Item) -> Option<Kept<'_>> {
    let attributes = item.attributes.as_deref();
    Some(Kept {
        offset: item.offset,
        data: serde_json::from_slice(&item.data).ok()?,
        info: attributes.and_then(|attributes| attributes.info.as_ref()).map(listed),
        tags: attributes.map(|attributes| &attributes.tags).filter(|tags| !tags.is_empty()),
    })
}

/// Whether `name` is as `pattern` says, in which `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    if !pattern.contains('*') {
        return rest.is_empty();
    }
    let mut parts: Vec<&str> = parts.collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, fitting, other) in [
            ("chat:*", "chat:1", "chats:1"),
            ("*:1", "chat:1", "chat:12"),
            ("chat", "chat", "chat:1"),
            ("a*b*c", "a-b-b-c", "a-c-b"),
            ("a*a", "aa", "a"),
        ] {
            assert!(fits(pattern, fitting) && !fits(pattern, other), "{pattern}");
        }
    }
}
