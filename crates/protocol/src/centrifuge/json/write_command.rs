//! Encoding of commands.

use super::members::{Members, object};
use crate::centrifuge::command::{Command, ConnectRequest, HistoryRequest, Request, SubscribeRequest};
use crate::centrifuge::filter::FilterNode;

/// Writes one command to the end of `out`, without a separator.
pub(in crate::centrifuge) fn write_command(out: &mut Vec<u8>, command: &Command<'_>) {
    object(out, |members| {
        members.number("id", i64::from(command.id)); // 0 is left out: the pong is `{}`
        write_request(members, &command.request);
    });
}

fn write_request(members: &mut Members<'_>, request: &Request<'_>) {
    match request {
        Request::Connect(request) => {
            members.object("connect", |members| write_connect_request(members, request));
        }
        Request::Subscribe(request) => {
            members.object("subscribe", |members| write_subscribe_request(members, request));
        }
        Request::Unsubscribe(request) => {
            members.object("unsubscribe", |members| members.text("channel", &request.channel));
        }
        Request::Publish(request) => members.object("publish", |members| {
            members.text("channel", &request.channel);
            members.payload("data", request.data.as_ref());
            members.number("type", i64::from(request.kind));
        }),
        Request::Presence(request) => {
            members.object("presence", |members| members.text("channel", &request.channel));
        }
        Request::PresenceStats(request) => {
            members.object("presence_stats", |members| members.text("channel", &request.channel));
        }
        Request::History(request) => {
            members.object("history", |members| write_history_request(members, request));
        }
        Request::Ping => members.object("ping", |_| {}),
        Request::Send(request) => {
            members.object("send", |members| members.payload("data", request.data.as_ref()));
        }
        Request::Rpc(request) => members.object("rpc", |members| {
            members.payload("data", request.data.as_ref());
            members.text("method", &request.method);
        }),
        Request::Refresh(request) => {
            members.object("refresh", |members| members.text("token", &request.token));
        }
        Request::SubRefresh(request) => members.object("sub_refresh", |members| {
            members.text("channel", &request.channel);
            members.text("token", &request.token);
            members.number("type", i64::from(request.kind));
        }),
        Request::Empty => {}
    }
}

fn write_connect_request(members: &mut Members<'_>, request: &ConnectRequest<'_>) {
    members.text("token", &request.token);
    members.payload("data", request.data.as_ref());
    if !request.subs.is_empty() {
        members.object("subs", |members| {
            for (channel, request) in &request.subs {
                members.object(channel, |members| write_subscribe_request(members, request));
            }
        });
    }
    members.text("name", &request.name);
    members.text("version", &request.version);
    members.map("headers", &request.headers);
    members.number("flag", request.flag);
}

fn write_subscribe_request(members: &mut Members<'_>, request: &SubscribeRequest<'_>) {
    members.text("channel", &request.channel);
    members.text("token", &request.token);
    members.flag("recover", request.recover);
    members.text("epoch", &request.epoch);
    members.offset("offset", request.offset);
    members.payload("data", request.data.as_ref());
    members.flag("positioned", request.positioned);
    members.flag("recoverable", request.recoverable);
    members.flag("join_leave", request.join_leave);
    members.text("delta", &request.delta);
    if let Some(filter) = &request.filter {
        members.object("tf", |members| write_filter(members, filter));
    }
    members.number("flag", request.flag);
    members.number("type", i64::from(request.kind));
}

fn write_history_request(members: &mut Members<'_>, request: &HistoryRequest<'_>) {
    members.text("channel", &request.channel);
    members.number("limit", i64::from(request.limit));
    if let Some(since) = &request.since {
        members.object("since", |members| {
            members.offset("offset", since.offset);
            members.text("epoch", &since.epoch);
        });
    }
    members.flag("reverse", request.reverse);
}

fn write_filter(members: &mut Members<'_>, node: &FilterNode<'_>) {
    members.text("op", &node.op);
    members.text("key", &node.key);
    members.text("cmp", &node.cmp);
    members.text("val", &node.val);
    members.texts("vals", &node.vals);
    if !node.nodes.is_empty() {
        members.array("nodes", &node.nodes, write_filter);
    }
}
