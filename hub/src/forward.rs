//! Commands that came to one node for a connection at another: they go through the change log, in a topic of that
//! node's own.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{ChangeId, Clock, Lane, PublicationId, Topic};
use serde::{Deserialize, Serialize};
use streams::{ChangeLog, NewPublication, StreamsError};
use tokio::sync::{Semaphore, mpsc};
use tracing::{debug, warn};
use uuid::Uuid;

use crate::shard::Message;

/// The way to the other nodes.
pub(crate) struct Forwards {
    pub(crate) log: ChangeLog,
    pub(crate) clock: Arc<dyn Clock>,
    /// How many may be on their way.
    pub(crate) places: Semaphore,
    pub(crate) timeout: Duration,
}

/// Why commands were not forwarded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    /// No node has such a name.
    #[error("there is no such node")]
    NoNode,
    /// The commands do not fit into an entry of the log.
    #[error("the commands are too long for the change log")]
    TooLong,
    /// Too many are on their way, or the log does not answer.
    #[error("the change log is late")]
    Late,
}

/// An entry of a node's topic.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Letter {
    /// A frame of commands for the connection with this secret name, in base 64.
    Commands { session: Uuid, frame: String },
}

impl Forwards {
    /// Sends a frame of commands on; it is on its way for good when this returns.
    pub(crate) async fn send(&self, node: &str, session: Uuid, frame: &[u8]) -> Result<(), ForwardError> {
        let topic = topic_of(node).ok_or(ForwardError::NoNode)?;
        let _place = self.places.try_acquire().map_err(|_| ForwardError::Late)?;
        let letter = Letter::Commands { session, frame: STANDARD.encode(frame) };
        let now = self.clock.now();
        let publication = NewPublication {
            id: PublicationId::of(ChangeId::at(now, rand::random()), topic.as_str()),
            topic,
            data: Bytes::from(serde_json::to_vec(&letter).expect("a letter is plain data")),
            lane: Lane::Transactional,
            change: None,
            attributes: None,
            at: now,
        };
        match tokio::time::timeout(self.timeout, self.log.append(&[publication])).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(StreamsError::TooLarge { .. })) => Err(ForwardError::TooLong),
            Ok(Err(error)) => {
                warn!("commands for another node were not appended to the change log: {error:#}");
                Err(ForwardError::Late)
            }
            Err(_) => Err(ForwardError::Late),
        }
    }
}

/// What the topics of single nodes begin with.
const PREFIX: &str = "$node:";

/// The topic of what concerns one node alone.
fn topic_of(node: &str) -> Option<Topic> {
    Topic::new([PREFIX, node].concat()).ok()
}

/// The node that a topic is for, when it is for one alone.
pub(crate) fn node_of(topic: &Topic) -> Option<&str> {
    topic.as_str().strip_prefix(PREFIX)
}

/// Hands an entry of this node's topic to the shard that it is for.
pub(crate) async fn deliver(letter: &[u8], shards: &[mpsc::Sender<Message>]) {
    let message = serde_json::from_slice(letter).ok().and_then(|Letter::Commands { session, frame }| {
        let frame = STANDARD.decode(frame).ok()?;
        Some((session, Message::Commands { door: session, frame: frame.into() }))
    });
    let Some((session, message)) = message else {
        return warn!("an entry for this node makes no sense");
    };
    if let Some(shard) = shards.get(crate::front::shard_of(session)) {
        // a shard ends with the process; until then the tail waits for it, as it does with publications
        drop(shard.send(message).await);
    } else {
        debug!("commands came for a shard that is not here");
    }
}

#[cfg(test)]
mod tests {
    use domain::ManualClock;

    use super::*;

    async fn forwards(places: usize) -> (Forwards, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new("2026-07-15T20:00:00Z".parse().unwrap()));
        let config = streams::Config { publication_bytes_max: 1_024, ..streams::Config::default() };
        let (log, _) = streams::open(&config, dir.path(), Arc::clone(&clock)).await.unwrap();
        (Forwards { log, clock, places: Semaphore::new(places), timeout: Duration::from_secs(5) }, dir)
    }

    #[tokio::test]
    async fn commands_are_forwarded_within_limits() {
        let (forwards, _dir) = forwards(1).await;
        let session = Uuid::from_u128(3);
        assert!(forwards.send("one", session, b"{}").await.is_ok());
        assert!(forwards.send("one", session, b"{}").await.is_ok(), "the place was given back");
        let long = vec![b' '; 2_000];
        assert!(matches!(forwards.send("one", session, &long).await, Err(ForwardError::TooLong)));
        assert!(matches!(forwards.send("no name\n", session, b"{}").await, Err(ForwardError::NoNode)));
        let _taken = forwards.places.acquire().await;
        assert!(matches!(forwards.send("one", session, b"{}").await, Err(ForwardError::Late)));
    }

    #[tokio::test]
    async fn letters_reach_the_shard_that_the_session_names() {
        let (first, mut others) = mpsc::channel(4);
        let (second, mut ours) = mpsc::channel(4);
        let session = Uuid::from_bytes([1; 16]);
        let letter = Letter::Commands { session, frame: STANDARD.encode("{}") };
        let letter = serde_json::to_vec(&letter).unwrap();
        let strange = String::from_utf8(letter.clone()).unwrap().replace("0101", "0909");
        let shards = [first, second];
        for letter in [b"{}".as_slice(), b"", strange.as_bytes(), &letter] {
            deliver(letter, &shards).await;
        }
        let Ok(Message::Commands { door, frame }) = ours.try_recv() else { panic!("it has come") };
        assert_eq!((door, &*frame), (session, &b"{}"[..]));
        assert!(ours.try_recv().is_err() && others.try_recv().is_err());
    }
}
