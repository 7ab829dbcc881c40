//! Encoding of replies and pushes.

use super::members::{Members, object};
use crate::centrifuge::reply::{
    Answer, ClientInfo, ConnectResult, Error, Event, HistoryResult, Publication, Push, RefreshResult, Reply,
    SubRefreshResult, SubscribeResult, Subscribed,
};

/// Writes one message of the server to the end of `out`, without a separator.
pub(in crate::centrifuge) fn write_reply(out: &mut Vec<u8>, reply: &Reply<'_>) {
    object(out, |members| match reply {
        Reply::Ping => {}
        Reply::Push(push) => members.object("push", |members| push_members(members, push)),
        Reply::Answer(id, answer) => {
            members.number("id", i64::from(*id));
            write_answer(members, answer);
        }
    });
}

/// Writes one push as such to the end of `out`, without a separator.
pub(in crate::centrifuge) fn write_push(out: &mut Vec<u8>, push: &Push<'_>) {
    object(out, |members| push_members(members, push));
}

fn write_answer(members: &mut Members<'_>, answer: &Answer<'_>) {
    match answer {
        Answer::Error(error) => members.object("error", |members| write_error(members, error)),
        Answer::Connect(result) => members.object("connect", |members| write_connect(members, result)),
        Answer::Subscribe(result) => members.object("subscribe", |members| write_subscribe(members, result)),
        Answer::Unsubscribe => members.object("unsubscribe", |_| {}),
        Answer::Publish => members.object("publish", |_| {}),
        Answer::Presence(clients) => members.object("presence", |members| {
            members.object("presence", |members| {
                for (client, info) in clients {
                    members.object(client, |members| write_info(members, info));
                }
            });
        }),
        Answer::PresenceStats(stats) => members.object("presence_stats", |members| {
            members.always_number("num_clients", u64::from(stats.num_clients));
            members.always_number("num_users", u64::from(stats.num_users));
        }),
        Answer::History(result) => members.object("history", |members| write_history(members, result)),
        Answer::Rpc(data) => members.object("rpc", |members| members.payload("data", data.as_ref())),
        Answer::Refresh(result) => members.object("refresh", |members| write_refresh(members, result)),
        Answer::SubRefresh(result) => members.object("sub_refresh", |members| write_expiry(members, *result)),
    }
}

fn write_error(members: &mut Members<'_>, error: &Error<'_>) {
    members.always_number("code", u64::from(error.code));
    members.always_text("message", &error.message);
    members.flag("temporary", error.temporary);
}

fn write_connect(members: &mut Members<'_>, result: &ConnectResult<'_>) {
    members.always_text("client", &result.client);
    members.text("version", &result.version);
    members.flag("expires", result.expires);
    members.number("ttl", i64::from(result.ttl));
    members.payload("data", result.data.as_ref());
    if !result.subs.is_empty() {
        members.object("subs", |members| {
            for (channel, result) in &result.subs {
                members.object(channel, |members| write_subscribe(members, result));
            }
        });
    }
    members.number("ping", i64::from(result.ping));
    members.flag("pong", result.pong);
    members.text("session", &result.session);
    members.text("node", &result.node);
    members.number("time", result.time);
}

fn write_subscribe(members: &mut Members<'_>, result: &SubscribeResult<'_>) {
    members.flag("expires", result.expires);
    members.number("ttl", i64::from(result.ttl));
    members.flag("recoverable", result.recoverable);
    members.text("epoch", &result.epoch);
    if !result.publications.is_empty() {
        members.array("publications", &result.publications, write_publication);
    }
    members.flag("recovered", result.recovered);
    members.offset("offset", result.offset);
    members.flag("positioned", result.positioned);
    members.payload("data", result.data.as_ref());
    members.flag("was_recovering", result.was_recovering);
    members.flag("delta", result.delta);
    members.number("id", result.id);
}

fn write_publication(members: &mut Members<'_>, publication: &Publication<'_>) {
    members.payload("data", Some(&publication.data));
    if let Some(info) = &publication.info {
        members.object("info", |members| write_info(members, info));
    }
    members.offset("offset", publication.offset);
    members.map("tags", &publication.tags);
    members.flag("delta", publication.delta);
    members.number("time", publication.time);
}

fn write_info(members: &mut Members<'_>, info: &ClientInfo<'_>) {
    members.always_text("user", &info.user);
    members.always_text("client", &info.client);
    members.payload("conn_info", info.conn_info.as_ref());
    members.payload("chan_info", info.chan_info.as_ref());
}

fn write_history(members: &mut Members<'_>, result: &HistoryResult<'_>) {
    members.array("publications", &result.publications, write_publication);
    members.always_text("epoch", &result.epoch);
    members.always_number("offset", result.offset);
}

fn write_refresh(members: &mut Members<'_>, result: &RefreshResult<'_>) {
    members.always_text("client", &result.client);
    members.text("version", &result.version);
    members.flag("expires", result.expires);
    members.number("ttl", i64::from(result.ttl));
}

fn write_expiry(members: &mut Members<'_>, result: SubRefreshResult) {
    members.flag("expires", result.expires);
    members.number("ttl", i64::from(result.ttl));
}

fn push_members(members: &mut Members<'_>, push: &Push<'_>) {
    members.number("id", push.id);
    members.text("channel", &push.channel);
    match &push.event {
        Event::Publication(publication) => {
            members.object("pub", |members| write_publication(members, publication));
        }
        Event::Join(info) => write_movement(members, "join", info),
        Event::Leave(info) => write_movement(members, "leave", info),
        Event::Unsubscribe(code, reason) => write_end(members, "unsubscribe", *code, reason),
        Event::Subscribe(begun) => members.object("subscribe", |members| write_subscribed(members, begun)),
        Event::Message(data) => {
            members.object("message", |members| members.payload("data", data.as_ref()));
        }
        Event::Connect(result) => members.object("connect", |members| write_connect(members, result)),
        Event::Disconnect(code, reason) => write_end(members, "disconnect", *code, reason),
        Event::Refresh(result) => members.object("refresh", |members| write_expiry(members, *result)),
    }
}

fn write_movement(members: &mut Members<'_>, key: &str, info: &ClientInfo<'_>) {
    members.object(key, |members| members.object("info", |members| write_info(members, info)));
}

fn write_end(members: &mut Members<'_>, key: &str, code: u32, reason: &str) {
    members.object(key, |members| {
        members.always_number("code", u64::from(code));
        members.always_text("reason", reason);
    });
}

fn write_subscribed(members: &mut Members<'_>, begun: &Subscribed<'_>) {
    members.flag("recoverable", begun.recoverable);
    members.text("epoch", &begun.epoch);
    members.offset("offset", begun.offset);
    members.flag("positioned", begun.positioned);
    members.payload("data", begun.data.as_ref());
}
