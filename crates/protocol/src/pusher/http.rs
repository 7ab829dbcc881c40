//! Bodies of the HTTP API.

use std::collections::BTreeMap;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The body of `POST /apps/{id}/events`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Trigger {
    /// Name of the event.
    pub name: String,
    /// What it carries. A string means its content; back ends that send a document mean its text.
    #[serde(default, deserialize_with = "text")]
    pub data: String,
    /// Where it happens; or `channel`.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Where it happens.
    #[serde(default)]
    pub channel: Option<String>,
    /// The connection that does not get it: it knows.
    #[serde(default)]
    pub socket_id: Option<String>,
    /// What to answer about the channels, separated by commas.
    #[serde(default)]
    pub info: Option<String>,
}

/// The body of `POST /apps/{id}/batch_events`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Batch {
    /// Each with one channel.
    pub batch: Vec<Trigger>,
}

/// A body that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the body is not the JSON that is expected here: {0}")]
pub struct BodyError(serde_json::Error);

/// What is answered about a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChannelInfo {
    /// Whether it has subscribers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occupied: Option<bool>,
    /// Members of a presence channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_count: Option<u64>,
    /// Connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_count: Option<u64>,
    /// The last event of a cache channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CachedEvent>,
}

/// The last event of a cache channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CachedEvent {
    /// What it carries, as text.
    pub data: String,
    /// Seconds until it is forgotten.
    pub ttl: u64,
}

/// The answer to a question about channels, or to a trigger that asks for `info`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Channels {
    /// By name.
    pub channels: BTreeMap<String, ChannelInfo>,
}

/// The answer to a batch that asks for `info`: one for each event, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BatchInfo {
    /// One for each event.
    pub batch: Vec<ChannelInfo>,
}

/// The members of a presence channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Users {
    /// In the order of their ids.
    pub users: Vec<UserView>,
}

/// A member of a presence channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserView {
    /// Who.
    pub id: String,
}

impl Trigger {
    /// Reads a body.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn read(body: &[u8]) -> Result<Self, BodyError> {
        serde_json::from_slice(body).map_err(BodyError)
    }

    /// All the channels that it names.
    pub fn all_channels(&self) -> impl Iterator<Item = &str> {
        self.channels.iter().chain(&self.channel).map(String::as_str)
    }
}

impl Batch {
    /// Reads a body.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn read(body: &[u8]) -> Result<Self, BodyError> {
        serde_json::from_slice(body).map_err(BodyError)
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let document = Box::<RawValue>::deserialize(deserializer)?;
    match serde_json::from_str::<String>(document.get()) {
        Ok(text) => Ok(text),
        Err(_) => Ok(document.get().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_read() {
        let body =
            br#"{"name":"moved","data":"{\"id\":17}","channels":["venue.5","festival"],"socket_id":"1.2"}"#;
        let trigger = Trigger::read(body).unwrap();
        assert_eq!(trigger.all_channels().collect::<Vec<_>>(), ["venue.5", "festival"]);
        assert_eq!((trigger.data.as_str(), trigger.socket_id.as_deref()), (r#"{"id":17}"#, Some("1.2")));
        let batch = br#"{"batch":[{"channel":"a","name":"b","data":{"x":[1]}},{"channel":"a","name":"b"}]}"#;
        let batch = Batch::read(batch).unwrap().batch;
        assert_eq!((batch[0].data.as_str(), batch[1].data.as_str()), (r#"{"x":[1]}"#, ""));
        for bad in [&b""[..], b"{}", b"[]", br#"{"name":5}"#, br#"{"name":"a","channels":"b"}"#, b"\xff"] {
            assert!(Trigger::read(bad).is_err());
            assert!(Batch::read(bad).is_err());
        }
    }

    #[test]
    fn answers_have_what_was_asked_for() {
        let info = ChannelInfo { occupied: Some(true), user_count: Some(2), ..ChannelInfo::default() };
        let channels = Channels { channels: BTreeMap::from([("presence-x".into(), info)]) };
        assert_eq!(
            serde_json::to_string(&channels).unwrap(),
            r#"{"channels":{"presence-x":{"occupied":true,"user_count":2}}}"#
        );
    }
}
