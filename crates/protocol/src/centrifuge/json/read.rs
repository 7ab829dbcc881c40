//! Decoding. Strings and payloads are borrowed from the frame; nothing is allocated by announced sizes.

use serde::Deserialize;

use crate::centrifuge::Payload;
use crate::centrifuge::command::{
    ChannelRequest, Command, ConnectRequest, HistoryRequest, PublishRequest, RefreshRequest, Request,
    RpcRequest, SendRequest, SubRefreshRequest, SubscribeRequest, UnsubscribeRequest,
};
use crate::centrifuge::reply::{
    Answer, ConnectResult, Error, Event, HistoryResult, Publication, Push, RefreshResult, Reply,
    SubscribeResult,
};

/// A frame, or a message in it, that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A frame without a message, or an empty line between two.
    #[error("a message is empty")]
    Empty,
    /// Something else than an object.
    #[error("a message is not an object")]
    NotObject,
    /// Not JSON, or not of the right shape.
    #[error("a message is malformed")]
    Malformed(#[from] serde_json::Error),
    /// A command with an id that asks for nothing, or a reply that says nothing.
    #[error("a message has an id but no content")]
    NoContent,
}

/// The lines of a frame; at least one.
#[derive(Debug, Clone)]
struct Lines<'a> {
    rest: Option<&'a str>,
}

impl<'a> Lines<'a> {
    fn new(frame: &'a str) -> Self {
        Self { rest: Some(frame.trim_matches(['\n', '\r', ' ', '\t'])) }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a str, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let line = if let Some((line, after)) = rest.split_once(char::from(super::SEPARATOR)) {
            self.rest = Some(after);
            line
        } else {
            self.rest = None;
            rest
        };
        match line.trim_ascii_start().as_bytes().first() {
            None => Some(Err(DecodeError::Empty)),
            Some(b'{') => Some(Ok(line)),
            Some(_) => Some(Err(DecodeError::NotObject)),
        }
    }
}

/// The commands of a frame, decoded one by one. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Commands<'a>(Lines<'a>);

impl<'a> Commands<'a> {
    pub(super) fn new(frame: &'a str) -> Self {
        Self(Lines::new(frame))
    }

    /// What is not yet decoded; `None` at the end. A frame of its own.
    pub fn rest(&self) -> Option<&'a str> {
        self.0.rest
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let command = self.0.next()?.and_then(|line| serde_json::from_str::<CommandForm>(line)?.try_into());
        if command.is_err() {
            self.0.rest = None;
        }
        Some(command)
    }
}

/// The messages of a server's frame, decoded one by one. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Replies<'a>(Lines<'a>);

impl<'a> Replies<'a> {
    pub(super) fn new(frame: &'a str) -> Self {
        Self(Lines::new(frame))
    }
}

impl<'a> Iterator for Replies<'a> {
    type Item = Result<Reply<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reply = self.0.next()?.and_then(|line| serde_json::from_str::<ReplyForm>(line)?.try_into());
        if reply.is_err() {
            self.0.rest = None;
        }
        Some(reply)
    }
}

/// A command as it is written.
#[derive(Deserialize, Default)]
#[serde(default)]
struct CommandForm<'a> {
    id: u32,
    #[serde(borrow)]
    connect: Option<Box<ConnectRequest<'a>>>,
    #[serde(borrow)]
    subscribe: Option<SubscribeRequest<'a>>,
    #[serde(borrow)]
    unsubscribe: Option<UnsubscribeRequest<'a>>,
    #[serde(borrow)]
    publish: Option<PublishRequest<'a>>,
    #[serde(borrow)]
    presence: Option<ChannelRequest<'a>>,
    #[serde(borrow)]
    presence_stats: Option<ChannelRequest<'a>>,
    #[serde(borrow)]
    history: Option<HistoryRequest<'a>>,
    ping: Option<Nothing>,
    #[serde(borrow)]
    send: Option<SendRequest<'a>>,
    #[serde(borrow)]
    rpc: Option<RpcRequest<'a>>,
    #[serde(borrow)]
    refresh: Option<RefreshRequest<'a>>,
    #[serde(borrow)]
    sub_refresh: Option<SubRefreshRequest<'a>>,
}

/// An object whose members do not matter.
#[derive(Deserialize)]
struct Nothing {}

impl<'a> TryFrom<CommandForm<'a>> for Command<'a> {
    type Error = DecodeError;

    /// Of several requests in one command the first counts, in the order of the protocol's own server.
    fn try_from(form: CommandForm<'a>) -> Result<Self, DecodeError> {
        let request = None
            .or(form.connect.map(Request::Connect))
            .or(form.ping.map(|Nothing {}| Request::Ping))
            .or(form.subscribe.map(Request::Subscribe))
            .or(form.unsubscribe.map(Request::Unsubscribe))
            .or(form.publish.map(Request::Publish))
            .or(form.presence.map(Request::Presence))
            .or(form.presence_stats.map(Request::PresenceStats))
            .or(form.history.map(Request::History))
            .or(form.rpc.map(Request::Rpc))
            .or(form.send.map(Request::Send))
            .or(form.refresh.map(Request::Refresh))
            .or(form.sub_refresh.map(Request::SubRefresh));
        match (form.id, request) {
            (id, Some(request)) => Ok(Self { id, request }),
            (0, None) => Ok(Self { id: 0, request: Request::Empty }),
            (_, None) => Err(DecodeError::NoContent),
        }
    }
}

/// A reply as it is written.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ReplyForm<'a> {
    id: u32,
    #[serde(borrow)]
    error: Option<Error<'a>>,
    #[serde(borrow)]
    push: Option<PushForm<'a>>,
    #[serde(borrow)]
    connect: Option<Box<ConnectResult<'a>>>,
    #[serde(borrow)]
    subscribe: Option<SubscribeResult<'a>>,
    unsubscribe: Option<Nothing>,
    #[serde(borrow)]
    history: Option<HistoryResult<'a>>,
    #[serde(borrow)]
    rpc: Option<RpcForm<'a>>,
    #[serde(borrow)]
    refresh: Option<RefreshResult<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RpcForm<'a> {
    #[serde(borrow)]
    data: Option<Payload<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PushForm<'a> {
    #[serde(borrow)]
    channel: std::borrow::Cow<'a, str>,
    #[serde(borrow, rename = "pub")]
    publication: Option<Publication<'a>>,
    #[serde(borrow)]
    unsubscribe: Option<UnsubscribeForm<'a>>,
}

#[derive(Deserialize)]
struct UnsubscribeForm<'a> {
    code: u32,
    #[serde(borrow)]
    reason: std::borrow::Cow<'a, str>,
}

impl<'a> TryFrom<ReplyForm<'a>> for Reply<'a> {
    type Error = DecodeError;

    fn try_from(form: ReplyForm<'a>) -> Result<Self, DecodeError> {
        if let Some(push) = form.push {
            let event = None
                .or(push.publication.map(Event::Publication))
                .or(push.unsubscribe.map(|form| Event::Unsubscribe(form.code, form.reason)))
                .ok_or(DecodeError::NoContent)?;
            return Ok(Self::Push(Push { channel: push.channel, event }));
        }
        let answer = None
            .or(form.error.map(Answer::Error))
            .or(form.connect.map(Answer::Connect))
            .or(form.subscribe.map(Answer::Subscribe))
            .or(form.unsubscribe.map(|Nothing {}| Answer::Unsubscribe))
            .or(form.history.map(Answer::History))
            .or(form.rpc.map(|rpc| Answer::Rpc(rpc.data)))
            .or(form.refresh.map(Answer::Refresh));
        match (form.id, answer) {
            (0, None) => Ok(Self::Ping),
            (_, None) => Err(DecodeError::NoContent),
            (id, Some(answer)) => Ok(Self::Answer(id, answer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::centrifuge::json::{commands, replies};

    #[test]
    fn a_frame_is_read_line_by_line_and_its_rest_is_a_frame() {
        let mut batch =
            commands("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"unsubscribe\":{\"channel\":\"a\"}}\n{}\n");
        assert!(matches!(batch.next(), Some(Ok(Command { id: 1, request: Request::Connect(_) }))));
        let mut rest = commands(batch.rest().unwrap());
        assert!(matches!(rest.next(), Some(Ok(Command { id: 2, request: Request::Unsubscribe(_) }))));
        assert!(matches!(rest.next(), Some(Ok(Command { id: 0, request: Request::Empty }))));
        assert!(rest.next().is_none() && rest.rest().is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_ends_the_frame() {
        for frame in [
            "",
            "\n",
            " \n ",
            "{}\n\n{}",
            "{",
            "[]",
            "1",
            "null",
            "{\"id\":-1}",
            "{\"id\":7}",
            "{\"id\":1,\"subscribe\":{\"channel\":5}}",
            "{\"id\":4294967296}",
            "{\"id\":1,\"subscribe\":{\"offset\":-1}}",
            "{} {}",
            "{\"id\":1,\"id\":2,\"ping\":{}}",
        ] {
            let results: Vec<_> = commands(frame).collect();
            assert!(results.last().unwrap().is_err(), "{frame:?} is taken");
            assert!(results[..results.len() - 1].iter().all(Result::is_ok));
        }
    }

    #[test]
    fn unknown_fields_are_ignored_and_text_is_borrowed() {
        let frame = r#"{"id":3,"subscribe":{"channel":"a","new":{"x":[1]}},"later":1}"#;
        let Some(Ok(Command { request: Request::Subscribe(request), .. })) = commands(frame).next() else {
            panic!("it is a subscribe");
        };
        assert!(matches!(request.channel, std::borrow::Cow::Borrowed("a")));
    }

    #[test]
    fn replies_without_content_are_refused() {
        for frame in ["{\"id\":1}", "{\"push\":{\"channel\":\"a\"}}"] {
            assert!(replies(frame).next().unwrap().is_err(), "{frame}");
        }
    }
}
