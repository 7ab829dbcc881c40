//! The Protobuf dialect: messages behind their lengths, one after the other.
//!
//! The structs in [`command`] and [`reply`] carry the field numbers of the protocol's `client.proto`; each file also
//! turns them into the messages that the rest of the house knows, and back. Lengths are believed only as far as there
//! are bytes.

mod command;
mod reply;
mod result;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use prost::Message;

use super::Payload;
use super::command::{Command, ConnectRequest, EmulationRequest};
use super::dialect::DecodeError;
use super::reply::{Push, Reply};

/// Writes one message of the server behind its length to the end of `out`.
pub(super) fn write_reply(out: &mut Vec<u8>, message: &Reply<'_>) {
    write(out, &reply::Reply::from(message));
}

/// Writes one push as such behind its length to the end of `out`.
pub(super) fn write_push(out: &mut Vec<u8>, message: &Push<'_>) {
    write(out, &reply::Push::from(message));
}

/// Writes one command behind its length to the end of `out`.
pub(super) fn write_command(out: &mut Vec<u8>, message: &Command<'_>) {
    write(out, &command::Command::from(message));
}

fn write(out: &mut Vec<u8>, message: &impl Message) {
    message.encode_length_delimited(out).expect("a buffer that grows has room");
}

/// Reads a connect request that is no command. It stands alone, without a length.
pub(super) fn connect_request(body: &[u8]) -> Result<ConnectRequest<'static>, DecodeError> {
    command::ConnectRequest::decode(body)?.try_into()
}

/// Reads an emulation request. It stands alone, without a length.
pub(super) fn emulation_request(body: &[u8]) -> Result<EmulationRequest<'static>, DecodeError> {
    let form = command::EmulationRequest::decode(body)?;
    Ok(EmulationRequest { node: form.node.into(), session: form.session.into(), data: form.data.into() })
}

/// The commands of a frame, decoded one by one.
pub(super) type Commands<'a> = Messages<'a, command::Command, Command<'static>>;

/// The messages of a server's frame, decoded one by one.
pub(super) type Replies<'a> = Messages<'a, reply::Reply, Reply<'static>>;

/// The messages of a frame; at least one.
#[derive(Debug, Clone)]
pub(super) struct Messages<'a, Form, Item> {
    rest: Option<&'a [u8]>,
    kind: PhantomData<fn(Form) -> Item>,
}

impl<'a, Form, Item> Messages<'a, Form, Item> {
    pub(super) fn new(frame: &'a [u8]) -> Self {
        Self { rest: Some(frame), kind: PhantomData }
    }

    /// What is not yet decoded; `None` at the end. A frame of its own.
    pub(super) fn rest(&self) -> Option<&'a [u8]> {
        self.rest
    }
}

impl<Form, Item> Iterator for Messages<'_, Form, Item>
where
    Form: Message + Default,
    Item: TryFrom<Form, Error = DecodeError>,
{
    type Item = Result<Item, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (message, rest) = match cut(self.rest?) {
            Ok(parts) => parts,
            Err(error) => {
                self.rest = None;
                return Some(Err(error));
            }
        };
        let item = Form::decode(message).map_err(DecodeError::from).and_then(Item::try_from);
        self.rest = Some(rest).filter(|rest| !rest.is_empty() && item.is_ok());
        Some(item)
    }
}

/// Cuts the first message off a frame.
fn cut(frame: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    if frame.is_empty() {
        return Err(DecodeError::Empty);
    }
    let mut after = frame;
    let length = prost::decode_length_delimiter(&mut after)?;
    after.split_at_checked(length).ok_or(DecodeError::CutOff)
}

/// Bytes of the protocol, in which nothing and absence are the same.
fn payload(bytes: Vec<u8>) -> Option<Payload<'static>> {
    (!bytes.is_empty()).then(|| Payload::owned(bytes))
}

fn bytes(payload: Option<&Payload<'_>>) -> Vec<u8> {
    payload.map_or_else(Vec::new, |payload| payload.as_bytes().to_vec())
}

type Texts = BTreeMap<Cow<'static, str>, Cow<'static, str>>;

fn texts(map: BTreeMap<String, String>) -> Texts {
    map.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

fn strings(map: &BTreeMap<Cow<'_, str>, Cow<'_, str>>) -> BTreeMap<String, String> {
    map.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}
