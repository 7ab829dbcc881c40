//! What a node says of its clients: entries of its topic in the change log.

use std::sync::Arc;

use domain::Topic;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Member;

/// Bytes that an entry has besides its changes.
const ENTRY_BYTES: usize = 256;
/// Bytes that a change has besides what is counted of it.
const CHANGE_BYTES: usize = 128;

/// One entry.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    /// Counts the node's entries, from 1, without gaps.
    pub(crate) number: u64,
    /// In the order in which they happened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
    /// Nodes of which the writer has missed something: they are asked for all that they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) wants: Vec<String>,
}

/// What an entry means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Clients have come and gone; without changes a sign of life.
    #[serde(rename = "presence.changes")]
    Changes,
    /// The first part of all clients that are there.
    #[serde(rename = "presence.all.first")]
    AllFirst,
    /// A further part.
    #[serde(rename = "presence.all.next")]
    AllNext,
    /// They were all: whoever was not named is gone.
    #[serde(rename = "presence.all.last")]
    AllLast,
    /// The node ends.
    #[serde(rename = "presence.end")]
    End,
}

/// Somebody comes or goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Change {
    /// Where.
    #[serde(rename = "t")]
    pub(crate) topic: Topic,
    /// Who.
    #[serde(rename = "m")]
    pub(crate) member: Arc<Member>,
    /// Whether they go.
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) leaves: bool,
}

impl Change {
    fn bytes(&self) -> usize {
        let info = &self.member.info;
        let raw = |info: &Option<Box<RawValue>>| info.as_ref().map_or(0, |raw| raw.get().len());
        // quoting may double what is text
        let text = self.topic.as_str().len() + info.user.len() + info.client.len();
        2 * text + raw(&info.conn_info) + raw(&info.chan_info) + CHANGE_BYTES
    }
}

/// Cuts changes into pieces that fit into entries of `bytes_max`. A change that is larger makes an entry of its own.
pub(crate) fn pieces(changes: Vec<Change>, bytes_max: usize) -> Vec<Vec<Change>> {
    let mut pieces: Vec<Vec<Change>> = Vec::new();
    let mut bytes = usize::MAX;
    for change in changes {
        bytes = bytes.saturating_add(change.bytes());
        match pieces.last_mut() {
            Some(piece) if bytes <= bytes_max => piece.push(change),
            _ => {
                bytes = ENTRY_BYTES + change.bytes();
                pieces.push(vec![change]);
            }
        }
    }
    pieces
}
