//! What a client reads of the Centrifuge JSON protocol, borrowed from the frame.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One object of a frame.
#[derive(Debug, Deserialize)]
pub(crate) struct Reply<'a> {
    /// The command it answers; 0 for a push or a ping.
    #[serde(default)]
    pub id: u32,
    /// Why the command was refused.
    pub error: Option<Refusal>,
    /// Answer to `connect`.
    #[serde(borrow)]
    pub connect: Option<Connected<'a>>,
    /// Answer to `subscribe`.
    #[serde(borrow)]
    pub subscribe: Option<RecoveredOrNot<'a>>,
    /// What the server says by itself.
    #[serde(borrow)]
    pub push: Option<Push<'a>>,
}

/// Why a command was refused.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    /// The protocol's code.
    pub code: u32,
    /// Its text.
    #[serde(default)]
    pub message: String,
}

/// The answer to `connect`.
#[derive(Debug, Deserialize)]
pub(crate) struct Connected<'a> {
    /// Server-side subscriptions.
    #[serde(borrow, default)]
    pub subs: BTreeMap<Cow<'a, str>, RecoveredOrNot<'a>>,
}

/// The answer to a subscription.
#[derive(Debug, Deserialize)]
pub(crate) struct RecoveredOrNot<'a> {
    /// Incarnation of the stream.
    #[serde(borrow, default)]
    pub epoch: Cow<'a, str>,
    /// Its top, or the position asked for.
    #[serde(default)]
    pub offset: u64,
    /// Whether everything since the position asked for is in `publications`.
    #[serde(default)]
    pub recovered: bool,
    /// What was missed.
    #[serde(borrow, default)]
    pub publications: Vec<Published<'a>>,
}

/// What the server says by itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Push<'a> {
    /// The topic it is about.
    #[serde(borrow)]
    pub channel: Option<Cow<'a, str>>,
    /// Something was published.
    #[serde(borrow, rename = "pub")]
    pub publication: Option<Published<'a>>,
    /// The subscription has ended.
    pub unsubscribe: Option<End>,
    /// The connection ends.
    pub disconnect: Option<End>,
}

/// A publication.
#[derive(Debug, Deserialize)]
pub(crate) struct Published<'a> {
    /// What was published.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Its offset; 0 when the topic keeps no history.
    #[serde(default)]
    pub offset: u64,
}

/// Why something ended.
#[derive(Debug, Deserialize)]
pub(crate) struct End {
    /// The protocol's code.
    pub code: u32,
    /// Its text.
    #[serde(default)]
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_as_servers_write_them() {
        let reply: Reply<'_> = serde_json::from_str(
            r#"{"id":2,"subscribe":{"recoverable":true,"epoch":"x\u0079","recovered":true,"offset":3,
                "publications":[{"data":{"a":1},"offset":4}]}}"#,
        )
        .unwrap();
        let subscribed = reply.subscribe.unwrap();
        assert_eq!((&*subscribed.epoch, subscribed.offset, subscribed.recovered), ("xy", 3, true));
        assert_eq!(subscribed.publications[0].data.get(), r#"{"a":1}"#);
        let ping: Reply<'_> = serde_json::from_str("{}").unwrap();
        assert!(ping.id == 0 && ping.push.is_none());
        let refused: Reply<'_> =
            serde_json::from_str(r#"{"id":3,"error":{"code":103,"message":"permission denied"}}"#).unwrap();
        assert_eq!(refused.error.unwrap().code, 103);
    }
}
