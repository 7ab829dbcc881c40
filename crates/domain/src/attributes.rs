//! What travels with a publication besides its payload: for the hubs that hand it out, not for those who receive it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::DeliveryId;

/// The attributes of a publication. Most publications have none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// What subscribers may filter by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The client that published it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<Publisher>,
    /// The name of a Pusher event: the payload is then `{"event": name, "data": …}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The Pusher socket that must not receive it, because it was its sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<String>,
    /// The delivery that it carries out, for notifications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// Whether it is heard by those who are there and kept for nobody.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ephemeral: bool,
    /// Numbers the states of what the topic is about: it is dropped when the topic has had this one or a later one. 0: it
    /// has no number.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: u64,
    /// In which `version` counts; another one begins anew.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version_epoch: String,
    /// Whether it says that what was published before is to be forgotten, and nothing else.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub clear: bool,
}

/// A client, as others may know it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Publisher {
    /// Its user; empty for nobody in particular.
    pub user: String,
    /// Id of the connection.
    pub client: String,
    /// What its connection token says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn_info: Option<Box<RawValue>>,
    /// What its subscription token says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chan_info: Option<Box<RawValue>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Attributes {
    /// As the change log carries them; `None` when there are none.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let bytes = serde_json::to_vec(self).expect("attributes are a JSON object with text as keys");
        (bytes != b"{}").then_some(bytes)
    }

    /// From what the change log carries; what cannot be read is as if there were none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_and_nothing_costs_nothing() {
        assert_eq!(Attributes::default().encode(), None);
        let attributes = Attributes {
            tags: BTreeMap::from([("stage".to_owned(), "north".to_owned())]),
            info: Some(Publisher {
                user: "7".to_owned(),
                conn_info: Some(RawValue::from_string("{\"name\":\"علي\"}".to_owned()).unwrap()),
                ..Publisher::default()
            }),
            exclude: Some("1.2".to_owned()),
            ephemeral: true,
            ..Attributes::default()
        };
        let bytes = attributes.encode().unwrap();
        assert_eq!(Attributes::decode(&bytes).unwrap().encode().unwrap(), bytes);
        assert!(Attributes::decode(b"[").is_none());
    }
}
