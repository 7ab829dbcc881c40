//! What the nodes of an installation tell each other through reserved topics of the change log.
//!
//! Every node tails every partition, so each hears everything, in log order; nothing of it goes to a history or to a
//! subscriber. An entry is one JSON object with a `type`; what this version does not know is left to newer ones.

mod command;

use std::sync::Arc;

use domain::{Clock, Revocation, Standing, Timestamp, Topic};
use protocol::codes::DisconnectCode;
use serde::Deserialize;
use streams::Publication;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::authority::Identity;
use crate::forward;
use crate::metrics;
use crate::presence::{Presence, task};
use crate::pusher::{Counting, Counts};
use crate::revocations::Revocations;
use crate::shard::Message;
pub(crate) use command::{Begin, Command, Disconnect, Renewal, Since, Whose};

/// Something for every node to do.
#[derive(Debug)]
pub(crate) enum Control {
    /// Sessions have ended, or need another token.
    Revoked { at: Timestamp, revocation: Revocation },
    /// An application's back end wants something of connections, wherever they are.
    Command(Command),
}

/// Takes the entries of reserved topics in.
#[derive(Debug)]
pub(crate) struct Controls {
    pub(crate) revocations: Revocations,
    pub(crate) presence: Presence,
    pub(crate) clock: Arc<dyn Clock>,
    /// This node.
    pub(crate) node: Arc<str>,
    pub(crate) shards: Vec<mpsc::Sender<Message>>,
    /// What the nodes tell each other about channels of Pusher's.
    pub(crate) counting: Counting,
}

/// When it was said, beside what was said.
#[derive(Deserialize)]
struct Revoked {
    at: Timestamp,
    #[serde(flatten)]
    revocation: Revocation,
}

impl Controls {
    /// Takes one entry: remembers what has to be remembered, and tells the shards. A full inbox is waited for: shards
    /// never wait for the tail.
    pub(crate) async fn take(&self, entry: &Publication) {
        if let Some(node) = forward::node_of(&entry.topic) {
            if node == &*self.node {
                metrics::control(metrics::Control::Taken);
                forward::deliver(&entry.data, &self.shards).await;
            }
            return;
        }
        if Presence::is_told_in(&entry.topic) {
            let signals = self.presence.take(&entry.topic, &entry.data);
            self.counting.pusher.heed(&signals).await;
            task::signal(&self.shards, signals).await;
            return metrics::control(metrics::Control::Taken);
        }
        if entry.topic == Counts::topic() {
            metrics::control(metrics::Control::Taken);
            return self.counting.hear(entry, self.clock.now()).await;
        }
        let Some(control) = read(&entry.topic, &entry.data) else {
            debug!(topic.id = %entry.topic, "a control entry is not for this version");
            return metrics::control(metrics::Control::Unknown);
        };
        if let Control::Revoked { at, revocation } = &control {
            metrics::revocations(self.revocations.note(*at, revocation, self.clock.now()));
        }
        metrics::control(metrics::Control::Taken);
        let control = Arc::new(control);
        for shard in &self.shards {
            // a shard that has ended has nobody left to tell
            let _ = shard.send(Message::Control(Arc::clone(&control))).await;
        }
    }

    /// Something of the log was lost.
    pub(crate) fn doubt(&self) {
        self.presence.doubt();
    }

    /// What the log says begins at this instant: of earlier revocations nothing is known.
    pub(crate) fn begin_at(&self, at: Timestamp) {
        if self.revocations.know_nothing_before(at, self.clock.now()) {
            warn!("the log does not say what was revoked before {at}: older tokens have to be renewed");
        }
    }
}

fn read(topic: &Topic, data: &[u8]) -> Option<Control> {
    if *topic != Topic::control() {
        return None;
    }
    let revoked = serde_json::from_slice(data);
    let revoked = revoked.map(|Revoked { at, revocation }| Control::Revoked { at, revocation });
    revoked.or_else(|_| serde_json::from_slice(data).map(Control::Command)).ok()
}

/// How a connection of `identity` ends after a revocation of instant `at`; `None`: not at all.
pub(crate) fn ends(identity: &Identity, at: Timestamp, revocation: &Revocation) -> Option<DisconnectCode> {
    ends_with(revocation.standing(at, identity.principal.as_ref()?.bearer()))
}

/// How the connection of somebody ends whose token stands like this; `None`: not at all.
pub(crate) fn ends_with(standing: Standing) -> Option<DisconnectCode> {
    match standing {
        Standing::Good => None,
        // it comes back with the token that it has, is told to renew it, and has the new rights
        Standing::Renew => Some(DisconnectCode::ForceReconnect),
        Standing::Ended => Some(DisconnectCode::ForceNoReconnect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_read() {
        let read = |topic: &str, data: &str| read(&Topic::new(topic).unwrap(), data.as_bytes());
        let revoked =
            r#"{"type":"user.revoked","id":"x","at":"2026-07-15T12:00:00Z","user_id":4,"reason":"roles"}"#;
        assert!(matches!(read("$control", revoked), Some(Control::Revoked { .. })));
        assert!(read("$elsewhere", revoked).is_none());
        let command =
            r#"{"type":"api.subscribe","user":"4","topic":"festival","data":{"a":1},"expire_at":5}"#;
        let Some(Control::Command(Command::Subscribe(begin))) = read("$control", command) else {
            panic!("it is read")
        };
        assert_eq!(
            (begin.whose.user.as_str(), begin.data.unwrap().to_string().as_str()),
            ("4", r#"{"a":1}"#)
        );
        for unknown in [
            r#"{"type":"moon.landing","at":"2026-07-15T12:00:00Z"}"#,
            "{}",
            "7",
            "",
            r#"{"type":"user.revoked"}"#,
        ] {
            assert!(read("$control", unknown).is_none(), "{unknown}");
        }
    }
}
