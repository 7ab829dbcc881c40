//! Encoding, straight into a buffer: payloads are copied as they are.

use std::io::Write as _;

use crate::centrifuge::Payload;
use crate::centrifuge::command::{Command, ConnectRequest, HistoryRequest, Request, SubscribeRequest};
use crate::centrifuge::reply::{
    Answer, ConnectResult, Error, Event, HistoryResult, Publication, Push, RefreshResult, Reply,
    SubscribeResult,
};

/// Writes one message of the server to the end of `out`, without a separator.
pub fn write_reply(out: &mut Vec<u8>, reply: &Reply<'_>) {
    object(out, |members| match reply {
        Reply::Ping => {}
        Reply::Push(push) => members.object("push", |members| write_push(members, push)),
        Reply::Answer(id, answer) => {
            members.number("id", i64::from(*id));
            write_answer(members, answer);
        }
    });
}

/// Writes one command to the end of `out`, without a separator.
pub fn write_command(out: &mut Vec<u8>, command: &Command<'_>) {
    object(out, |members| {
        members.number("id", i64::from(command.id)); // 0 is left out: the pong is `{}`
        write_request(members, &command.request);
    });
}

fn write_answer(members: &mut Members<'_>, answer: &Answer<'_>) {
    match answer {
        Answer::Error(error) => members.object("error", |members| write_error(members, error)),
        Answer::Connect(result) => members.object("connect", |members| write_connect(members, result)),
        Answer::Subscribe(result) => members.object("subscribe", |members| write_subscribe(members, result)),
        Answer::Unsubscribe => members.object("unsubscribe", |_| {}),
        Answer::History(result) => members.object("history", |members| write_history(members, result)),
        Answer::Rpc(data) => members.object("rpc", |members| members.payload("data", *data)),
        Answer::Refresh(result) => members.object("refresh", |members| write_refresh(members, result)),
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
    if !result.subs.is_empty() {
        members.object("subs", |members| {
            for (channel, result) in &result.subs {
                members.object(channel, |members| write_subscribe(members, result));
            }
        });
    }
    members.number("ping", i64::from(result.ping));
    members.flag("pong", result.pong);
    members.number("time", result.time);
}

fn write_subscribe(members: &mut Members<'_>, result: &SubscribeResult<'_>) {
    members.flag("recoverable", result.recoverable);
    members.text("epoch", &result.epoch);
    if !result.publications.is_empty() {
        members.array("publications", &result.publications, write_publication);
    }
    members.flag("recovered", result.recovered);
    members.offset("offset", result.offset);
    members.flag("positioned", result.positioned);
    members.flag("was_recovering", result.was_recovering);
}

fn write_publication(members: &mut Members<'_>, publication: &Publication<'_>) {
    members.payload("data", Some(publication.data));
    members.offset("offset", publication.offset);
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

fn write_push(members: &mut Members<'_>, push: &Push<'_>) {
    members.text("channel", &push.channel);
    match &push.event {
        Event::Publication(publication) => {
            members.object("pub", |members| write_publication(members, publication));
        }
        Event::Unsubscribe(code, reason) => members.object("unsubscribe", |members| {
            members.always_number("code", u64::from(*code));
            members.always_text("reason", reason);
        }),
    }
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
            members.payload("data", request.data);
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
        Request::Send(request) => members.object("send", |members| members.payload("data", request.data)),
        Request::Rpc(request) => members.object("rpc", |members| {
            members.payload("data", request.data);
            members.text("method", &request.method);
        }),
        Request::Refresh(request) => {
            members.object("refresh", |members| members.text("token", &request.token));
        }
        Request::SubRefresh(request) => members.object("sub_refresh", |members| {
            members.text("channel", &request.channel);
            members.text("token", &request.token);
        }),
        Request::Empty => {}
    }
}

fn write_connect_request(members: &mut Members<'_>, request: &ConnectRequest<'_>) {
    members.text("token", &request.token);
    members.payload("data", request.data);
    if !request.subs.is_empty() {
        members.object("subs", |members| {
            for (channel, request) in &request.subs {
                members.object(channel, |members| write_subscribe_request(members, request));
            }
        });
    }
    members.text("name", &request.name);
    members.text("version", &request.version);
}

fn write_subscribe_request(members: &mut Members<'_>, request: &SubscribeRequest<'_>) {
    members.text("channel", &request.channel);
    members.text("token", &request.token);
    members.flag("recover", request.recover);
    members.text("epoch", &request.epoch);
    members.offset("offset", request.offset);
    members.flag("positioned", request.positioned);
    members.flag("recoverable", request.recoverable);
    members.text("delta", &request.delta);
    members.payload("tf", request.filter);
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

/// The members of an object that is being written.
struct Members<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Members<'_>)) {
    out.push(b'{');
    fill(&mut Members { out, first: true });
    out.push(b'}');
}

impl Members<'_> {
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write_text(self.out, key);
        self.out.push(b':');
        self.out
    }

    fn object(&mut self, key: &str, fill: impl FnOnce(&mut Members<'_>)) {
        object(self.key(key), fill);
    }

    fn array<T>(&mut self, key: &str, items: &[T], mut fill: impl FnMut(&mut Members<'_>, &T)) {
        let out = self.key(key);
        out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            object(out, |members| fill(members, item));
        }
        out.push(b']');
    }

    fn always_text(&mut self, key: &str, value: &str) {
        let out = self.key(key);
        write_text(out, value);
    }

    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.always_text(key, value);
        }
    }

    fn always_number(&mut self, key: &str, value: u64) {
        let out = self.key(key);
        write!(out, "{value}").expect("writing to memory does not fail");
    }

    fn offset(&mut self, key: &str, value: u64) {
        if value != 0 {
            self.always_number(key, value);
        }
    }

    fn number(&mut self, key: &str, value: i64) {
        if value != 0 {
            let out = self.key(key);
            write!(out, "{value}").expect("writing to memory does not fail");
        }
    }

    fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.key(key).extend_from_slice(b"true");
        }
    }

    fn payload(&mut self, key: &str, value: Option<Payload<'_>>) {
        if let Some(payload) = value {
            self.key(key).extend_from_slice(payload.as_bytes());
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a string to memory does not fail");
}
