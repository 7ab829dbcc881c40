//! What clients send: one JSON object in each text frame.

use std::borrow::Cow;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::CLIENT_EVENTS;

/// A message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// Asks for a [`ClientMessage::Pong`] of the server.
    Ping,
    /// Answers the server's ping.
    Pong,
    /// Wants the events of a channel.
    Subscribe(Subscribe<'a>),
    /// Wants them no longer.
    Unsubscribe {
        /// Of which channel.
        channel: Cow<'a, str>,
    },
    /// Says who the user is.
    Signin(Signin<'a>),
    /// An event for the other subscribers of a channel.
    Event(ClientEvent<'a>),
    /// An event that the protocol does not know: nothing happens.
    Unknown {
        /// Its name.
        event: Cow<'a, str>,
    },
}

/// What belongs to a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// To which channel.
    pub channel: Cow<'a, str>,
    /// The signature of the application's back end.
    pub auth: Option<Cow<'a, str>>,
    /// Who subscribes, as the back end has signed it: [`Member::read`].
    pub channel_data: Option<Cow<'a, str>>,
}

/// What belongs to a signin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signin<'a> {
    /// The signature of the application's back end.
    pub auth: Cow<'a, str>,
    /// Who the user is, as the back end has signed it: [`User::read`].
    pub user_data: Cow<'a, str>,
}

/// An event for the other subscribers of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientEvent<'a> {
    /// Its name, which begins with `client-`.
    pub event: Cow<'a, str>,
    /// The channel.
    pub channel: Cow<'a, str>,
    /// What it carries.
    pub data: Cow<'a, str>,
}

/// A member of a presence channel, as the `channel_data` of a subscription says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Whoever has the same id is the same member, however many connections they have.
    pub user_id: String,
    /// What others see of them: a JSON document.
    pub user_info: Option<String>,
}

/// A user, as the `user_data` of a signin says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Not empty.
    pub id: String,
    /// What others see of them in presence channels: a JSON document.
    pub user_info: Option<String>,
}

/// A message that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the message is no event of Pusher's protocol")]
pub struct ReadError(#[source] serde_json::Error);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SubscribeData {
    channel: String,
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    channel_data: Option<String>,
}

#[derive(Deserialize)]
struct SigninData {
    auth: String,
    user_data: String,
}

#[derive(Deserialize)]
struct MemberData {
    #[serde(deserialize_with = "id")]
    user_id: String,
    #[serde(default)]
    user_info: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct UserData {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(default)]
    user_info: Option<Box<RawValue>>,
}

/// An id that back ends write as text or as a number.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(serde_json::Number),
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Id::deserialize(deserializer)? {
        Id::Text(text) if text.is_empty() => Err(D::Error::custom("an id has at least one character")),
        Id::Text(text) => Ok(text),
        Id::Number(number) => Ok(number.to_string()),
    }
}

impl<'a> ClientMessage<'a> {
    /// Reads the text of a frame. The `data` of a message may be a document, or a string with its text.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(text: &'a str) -> Result<Self, ReadError> {
        let envelope: Envelope<'a> = serde_json::from_str(text).map_err(ReadError)?;
        let data = text_of(envelope.data).map_err(ReadError)?;
        match &*envelope.event {
            "pusher:ping" => Ok(Self::Ping),
            "pusher:pong" => Ok(Self::Pong),
            "pusher:subscribe" => {
                let SubscribeData { channel, auth, channel_data } =
                    serde_json::from_str(&data).map_err(ReadError)?;
                Ok(Self::Subscribe(Subscribe {
                    channel: channel.into(),
                    auth: auth.map(Cow::Owned),
                    channel_data: channel_data.map(Cow::Owned),
                }))
            }
            "pusher:unsubscribe" => {
                let SubscribeData { channel, .. } = serde_json::from_str(&data).map_err(ReadError)?;
                Ok(Self::Unsubscribe { channel: channel.into() })
            }
            "pusher:signin" => {
                let SigninData { auth, user_data } = serde_json::from_str(&data).map_err(ReadError)?;
                Ok(Self::Signin(Signin { auth: auth.into(), user_data: user_data.into() }))
            }
            name if name.starts_with(CLIENT_EVENTS) => {
                let channel = envelope.channel.unwrap_or_default();
                Ok(Self::Event(ClientEvent { event: envelope.event, channel, data }))
            }
            _ => Ok(Self::Unknown { event: envelope.event }),
        }
    }
}

/// The text that `data` stands for: of a string its content, of anything else the document itself.
fn text_of(data: Option<&RawValue>) -> Result<Cow<'_, str>, serde_json::Error> {
    match data.map(RawValue::get) {
        None => Ok(Cow::Borrowed("")),
        Some(string) if string.starts_with('"') => serde_json::from_str(string).map(Cow::Owned),
        Some(document) => Ok(Cow::Borrowed(document)),
    }
}

impl Member {
    /// Reads `channel_data`.
    ///
    /// # Errors
    /// [`ReadError`] when it is no object with a `user_id`.
    pub fn read(channel_data: &str) -> Result<Self, ReadError> {
        let MemberData { user_id, user_info } = serde_json::from_str(channel_data).map_err(ReadError)?;
        Ok(Self { user_id, user_info: raw_text(user_info.as_deref()) })
    }
}

impl User {
    /// Reads `user_data`.
    ///
    /// # Errors
    /// [`ReadError`] when it is no object with an `id`.
    pub fn read(user_data: &str) -> Result<Self, ReadError> {
        let UserData { id, user_info } = serde_json::from_str(user_data).map_err(ReadError)?;
        Ok(Self { id, user_info: raw_text(user_info.as_deref()) })
    }
}

fn raw_text(value: Option<&RawValue>) -> Option<String> {
    value.map(|value| value.get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_a_document_or_its_text() {
        let expected = ClientMessage::Subscribe(Subscribe {
            channel: "private-user.42".into(),
            auth: Some("key:signature".into()),
            channel_data: None,
        });
        let object =
            r#"{"event":"pusher:subscribe","data":{"channel":"private-user.42","auth":"key:signature"}}"#;
        let text = r#"{"event":"pusher:subscribe","data":"{\"channel\":\"private-user.42\",\"auth\":\"key:signature\"}"}"#;
        assert_eq!(ClientMessage::read(object).unwrap(), expected);
        assert_eq!(ClientMessage::read(text).unwrap(), expected);
        for ping in [r#"{"event":"pusher:ping","data":{}}"#, r#"{"event":"pusher:ping","data":""}"#] {
            assert_eq!(ClientMessage::read(ping).unwrap(), ClientMessage::Ping);
        }
        let read = ClientMessage::read(r#"{"event":"client-typing","channel":"private-x","data":{"a":[1]}}"#);
        let event = ClientEvent {
            event: "client-typing".into(),
            channel: "private-x".into(),
            data: "{\"a\":[1]}".into(),
        };
        assert_eq!(read.unwrap(), ClientMessage::Event(event));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            "5",
            r#"{"event":5}"#,
            r#"{"event":"pusher:subscribe"}"#,
            r#"{"event":"pusher:subscribe","data":{}}"#,
            r#"{"event":"pusher:subscribe","data":"festival"}"#,
            r#"{"event":"pusher:subscribe","data":{"channel":null}}"#,
            r#"{"event":"pusher:signin","data":{"auth":"a"}}"#,
            r#"{"event":"pusher:ping"}{}"#,
        ] {
            assert!(ClientMessage::read(text).is_err(), "{text}");
        }
        let unknown = ClientMessage::read(r#"{"event":"pusher:subscribed","data":7}"#).unwrap();
        assert_eq!(unknown, ClientMessage::Unknown { event: "pusher:subscribed".into() });
    }

    #[test]
    fn ids_are_text_or_numbers() {
        let member = Member::read(r#"{"user_id":42,"user_info":{"name":"Amal"}}"#).unwrap();
        assert_eq!(member.user_id, "42");
        assert_eq!(member.user_info.unwrap(), r#"{"name":"Amal"}"#);
        assert_eq!(Member::read(r#"{"user_id":"a","user_info":null}"#).unwrap().user_info, None);
        assert_eq!(User::read(r#"{"id":"7"}"#).unwrap(), User { id: "7".into(), user_info: None });
        for bad in ["", "{}", r#"{"user_id":""}"#, r#"{"user_id":null}"#, r#"{"user_id":[1]}"#] {
            assert!(Member::read(bad).is_err(), "{bad}");
        }
        assert!(User::read(r#"{"user_id":"7"}"#).is_err());
    }
}
