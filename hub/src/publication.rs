//! Publications on their way from the tail to the shards, encoded once however many sockets take them.

use std::sync::OnceLock;

use bytes::Bytes;
use domain::Topic;
use protocol::centrifuge::reply::{Event, Publication};
use protocol::centrifuge::{Dialect, Payload, Push, Reply};
use protocol::ws;
use streams::Partition;
use tokio::time::Instant;

use crate::metrics;

/// What one read of the log brought for one partition.
#[derive(Debug)]
pub(crate) struct Batch {
    /// In which partition.
    pub(crate) partition: Partition,
    /// In log order.
    pub(crate) publications: Vec<Live>,
    /// When it was read.
    pub(crate) read_at: Instant,
}

/// A publication that subscribers receive.
#[derive(Debug)]
pub(crate) struct Live {
    /// Where it is heard.
    pub(crate) topic: Topic,
    /// Its number in the node's own count of its partition's events.
    pub(crate) turn: u64,
    /// Its number in the log.
    pub(crate) offset: u64,
    /// One JSON document on one line.
    pub(crate) data: Bytes,
    json: OnceLock<Bytes>,
}

impl Live {
    /// A publication that nobody has encoded yet.
    pub(crate) fn new(topic: Topic, turn: u64, offset: u64, data: Bytes) -> Self {
        Self { topic, turn, offset, data, json: OnceLock::new() }
    }

    /// The whole WebSocket frame in the JSON dialect. The first shard with a subscriber makes it for all.
    pub(crate) fn json_frame(&self) -> &Bytes {
        self.json.get_or_init(|| {
            metrics::encoded();
            json_frame(&self.topic, &self.data, self.offset)
        })
    }
}

fn json_frame(topic: &Topic, data: &[u8], offset: u64) -> Bytes {
    let mut message = Vec::with_capacity(data.len() + topic.as_str().len() + 64);
    let publication = Publication { data: Payload::trusted(data), offset, ..Publication::default() };
    let push = Push::to(topic.as_str(), Event::Publication(publication));
    Dialect::Json.write_reply(&mut message, &Reply::Push(push));
    ws::frame(ws::Opcode::Text, &message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_one_text_frame() {
        let live = Live::new(Topic::festival(), 1, 9, Bytes::from_static(b"{\"a\":1}"));
        let expected = br#"{"push":{"channel":"festival","pub":{"data":{"a":1},"offset":9}}}"#;
        assert_eq!(&live.json_frame()[2..], expected);
        assert_eq!(live.json_frame().as_ptr(), live.json_frame().as_ptr(), "it is made once");
    }
}
