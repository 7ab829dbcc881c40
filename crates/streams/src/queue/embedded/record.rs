//! What the frames of the queues' journal say: a version, then records, each of which may be repeated.

use bytes::Bytes;

use crate::QueueName;
use crate::codec::{Decode, Encode};

const PUSH: u8 = 1;
const CLAIM: u8 = 2;
const ACKNOWLEDGE: u8 = 3;
const RETRY: u8 = 4;
/// First byte of each frame; rises when older versions can no longer read what is written.
const VERSION: u8 = 1;

/// One thing that happened to a queue. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) queue: QueueName,
    pub(super) id: Box<str>,
    pub(super) event: Event,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// Came in, not to be claimed before `since`. Nothing changes when the id is there.
    Push { body: Bytes, since: i64, claims: u32 },
    /// Claimed until `until`.
    Claim { until: i64 },
    /// Ended.
    Acknowledge,
    /// Put back, not to be claimed before `since`.
    Retry { body: Bytes, since: i64 },
}

pub(super) fn encode(records: &[Record]) -> Vec<u8> {
    let mut out = vec![VERSION];
    for Record { queue, id, event } in records {
        out.push(match event {
            Event::Push { .. } => PUSH,
            Event::Claim { .. } => CLAIM,
            Event::Acknowledge => ACKNOWLEDGE,
            Event::Retry { .. } => RETRY,
        });
        out.put_bytes(queue.0.as_bytes());
        out.put_bytes(id.as_bytes());
        match event {
            Event::Push { body, since, claims } => {
                out.put_bytes(body);
                out.put_i64(*since);
                out.put_u32(*claims);
            }
            Event::Claim { until } => out.put_i64(*until),
            Event::Acknowledge => {}
            Event::Retry { body, since } => {
                out.put_bytes(body);
                out.put_i64(*since);
            }
        }
    }
    out
}

/// `None` when the payload means nothing to this version.
pub(super) fn decode(payload: &[u8]) -> Option<Vec<Record>> {
    let mut input = Decode(payload);
    if input.u8()? != VERSION {
        return None;
    }
    let mut records = Vec::new();
    while !input.is_empty() {
        let kind = input.u8()?;
        let queue = QueueName(input.text()?.into());
        let id = input.text()?.into();
        let event = match kind {
            PUSH => Event::Push { body: input.bytes()?, since: input.i64()?, claims: input.u32()? },
            CLAIM => Event::Claim { until: input.i64()? },
            ACKNOWLEDGE => Event::Acknowledge,
            RETRY => Event::Retry { body: input.bytes()?, since: input.i64()? },
            _ => return None,
        };
        records.push(Record { queue, id, event });
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> Vec<Record> {
        let body = Bytes::from_static(b"body");
        let events = [
            Event::Push { body: body.clone(), since: 5, claims: 2 },
            Event::Claim { until: 9 },
            Event::Retry { body, since: -1 },
            Event::Acknowledge,
        ];
        let record = |event| Record { queue: QueueName("q".into()), id: "id".into(), event };
        events.into_iter().map(record).collect()
    }

    #[test]
    fn records_come_back_as_written() {
        assert_eq!(decode(&encode(&records())), Some(records()));
        assert_eq!(decode(&[VERSION + 1]), None);
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_do_no_harm(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&payload);
            let _ = decode(&[&[VERSION], &payload[..]].concat());
        }

        #[test]
        fn damaged_records_do_no_harm(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut payload = encode(&records());
            let at = at.index(payload.len());
            payload[at] = byte;
            let _ = decode(&payload);
            let cut = cut.index(payload.len());
            let _ = decode(&payload[..cut]);
        }
    }
}
