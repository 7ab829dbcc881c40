//! Decoding. Strings and payloads are borrowed from the frame; nothing is allocated by announced sizes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::centrifuge::command::{
    ChannelRequest, Command, ConnectRequest, EmulationRequest, HistoryRequest, PublishRequest,
    RefreshRequest, Request, RpcRequest, SendRequest, SubRefreshRequest, SubscribeRequest,
    UnsubscribeRequest,
};
use crate::centrifuge::reply::{
    Answer, ClientInfo, ConnectResult, Error, Event, HistoryResult, PresenceStats, Publication, Push,
    RefreshResult, Reply, SubRefreshResult, SubscribeResult, Subscribed,
};
use crate::centrifuge::{DecodeError, Payload};

/// The lines of a frame; at least one.
#[derive(Debug, Clone)]
struct Lines<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Lines<'a> {
    fn new(frame: &'a [u8]) -> Self {
        Self { rest: Some(frame.trim_ascii()) }
    }

    /// Decodes the next line; after an error there is none.
    fn decode<Form, Message>(&mut self) -> Option<Result<Message, DecodeError>>
    where
        Form: Deserialize<'a>,
        Message: TryFrom<Form, Error = DecodeError>,
    {
        let rest = self.rest?;
        let line = if let Some(end) = memchr::memchr(super::SEPARATOR, rest) {
            self.rest = Some(&rest[end + 1..]);
            &rest[..end]
        } else {
            self.rest = None;
            rest
        };
        let message = object::<Form>(line).and_then(Message::try_from);
        if message.is_err() {
            self.rest = None;
        }
        Some(message)
    }
}

/// Reads one object.
fn object<'a, Form: Deserialize<'a>>(line: &'a [u8]) -> Result<Form, DecodeError> {
    match line.trim_ascii_start().first() {
        None => Err(DecodeError::Empty),
        Some(b'{') => Ok(serde_json::from_slice(line)?),
        Some(_) => Err(DecodeError::NotObject),
    }
}

/// The commands of a frame, decoded one by one.
#[derive(Debug, Clone)]
pub(in crate::centrifuge) struct Commands<'a>(Lines<'a>);

impl<'a> Commands<'a> {
    pub(in crate::centrifuge) fn new(frame: &'a [u8]) -> Self {
        Self(Lines::new(frame))
    }

    /// What is not yet decoded; `None` at the end. A frame of its own.
    pub(in crate::centrifuge) fn rest(&self) -> Option<&'a [u8]> {
        self.0.rest
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.decode::<CommandForm<'a>, _>()
    }
}

/// The messages of a server's frame, decoded one by one.
#[derive(Debug, Clone)]
pub(in crate::centrifuge) struct Replies<'a>(Lines<'a>);

impl<'a> Replies<'a> {
    pub(in crate::centrifuge) fn new(frame: &'a [u8]) -> Self {
        Self(Lines::new(frame))
    }
}

impl<'a> Iterator for Replies<'a> {
    type Item = Result<Reply<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.decode::<ReplyForm<'a>, _>()
    }
}

/// Reads a connect request that is no command.
pub(in crate::centrifuge) fn connect_request(body: &[u8]) -> Result<ConnectRequest<'_>, DecodeError> {
    object(body)
}

/// Reads an emulation request, whose commands are a string here.
pub(in crate::centrifuge) fn emulation_request(body: &[u8]) -> Result<EmulationRequest<'_>, DecodeError> {
    let form: EmulationForm<'_> = object(body)?;
    let data = match form.data {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    Ok(EmulationRequest { node: form.node, session: form.session, data })
}

/// An emulation request as it is written.
#[derive(Deserialize, Default)]
#[serde(default)]
struct EmulationForm<'a> {
    #[serde(borrow)]
    node: Cow<'a, str>,
    #[serde(borrow)]
    session: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
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
    publish: Option<Nothing>,
    #[serde(borrow)]
    presence: Option<PresenceForm<'a>>,
    presence_stats: Option<PresenceStats>,
    #[serde(borrow)]
    history: Option<HistoryResult<'a>>,
    #[serde(borrow)]
    rpc: Option<DataForm<'a>>,
    #[serde(borrow)]
    refresh: Option<RefreshResult<'a>>,
    sub_refresh: Option<SubRefreshResult>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PresenceForm<'a> {
    #[serde(borrow)]
    presence: BTreeMap<Cow<'a, str>, ClientInfo<'a>>,
}

/// `data` alone: `rpc`, `message`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct DataForm<'a> {
    #[serde(borrow)]
    data: Option<Payload<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PushForm<'a> {
    id: i64,
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow, rename = "pub")]
    publication: Option<Publication<'a>>,
    #[serde(borrow)]
    join: Option<MovementForm<'a>>,
    #[serde(borrow)]
    leave: Option<MovementForm<'a>>,
    #[serde(borrow)]
    unsubscribe: Option<EndForm<'a>>,
    #[serde(borrow)]
    message: Option<DataForm<'a>>,
    #[serde(borrow)]
    subscribe: Option<Subscribed<'a>>,
    #[serde(borrow)]
    connect: Option<Box<ConnectResult<'a>>>,
    #[serde(borrow)]
    disconnect: Option<EndForm<'a>>,
    refresh: Option<SubRefreshResult>,
}

/// `join`, `leave`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct MovementForm<'a> {
    #[serde(borrow)]
    info: ClientInfo<'a>,
}

/// `unsubscribe`, `disconnect`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct EndForm<'a> {
    code: u32,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

impl<'a> TryFrom<PushForm<'a>> for Push<'a> {
    type Error = DecodeError;

    fn try_from(form: PushForm<'a>) -> Result<Self, DecodeError> {
        let event = None
            .or(form.publication.map(Event::Publication))
            .or(form.join.map(|form| Event::Join(form.info)))
            .or(form.leave.map(|form| Event::Leave(form.info)))
            .or(form.unsubscribe.map(|form| Event::Unsubscribe(form.code, form.reason)))
            .or(form.message.map(|form| Event::Message(form.data)))
            .or(form.subscribe.map(Event::Subscribe))
            .or(form.connect.map(Event::Connect))
            .or(form.disconnect.map(|form| Event::Disconnect(form.code, form.reason)))
            .or(form.refresh.map(Event::Refresh))
            .ok_or(DecodeError::NoContent)?;
        Ok(Self { channel: form.channel, id: form.id, event })
    }
}

impl<'a> TryFrom<ReplyForm<'a>> for Reply<'a> {
    type Error = DecodeError;

    fn try_from(form: ReplyForm<'a>) -> Result<Self, DecodeError> {
        if let Some(push) = form.push {
            return Ok(Self::Push(push.try_into()?));
        }
        let answer = None
            .or(form.error.map(Answer::Error))
            .or(form.connect.map(Answer::Connect))
            .or(form.subscribe.map(Answer::Subscribe))
            .or(form.unsubscribe.map(|Nothing {}| Answer::Unsubscribe))
            .or(form.publish.map(|Nothing {}| Answer::Publish))
            .or(form.presence.map(|form| Answer::Presence(form.presence)))
            .or(form.presence_stats.map(Answer::PresenceStats))
            .or(form.history.map(Answer::History))
            .or(form.rpc.map(|rpc| Answer::Rpc(rpc.data)))
            .or(form.refresh.map(Answer::Refresh))
            .or(form.sub_refresh.map(Answer::SubRefresh));
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
    use crate::centrifuge::{Commands, Dialect, Replies};

    fn commands(frame: &str) -> Commands<'_> {
        Dialect::Json.commands(frame.as_bytes())
    }

    fn replies(frame: &str) -> Replies<'_> {
        Dialect::Json.replies(frame.as_bytes())
    }

    #[test]
    fn a_frame_is_read_line_by_line_and_its_rest_is_a_frame() {
        let mut batch =
            commands("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"unsubscribe\":{\"channel\":\"a\"}}\n{}\n");
        assert!(matches!(batch.next(), Some(Ok(Command { id: 1, request: Request::Connect(_) }))));
        let mut rest = Dialect::Json.commands(batch.rest().unwrap());
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
