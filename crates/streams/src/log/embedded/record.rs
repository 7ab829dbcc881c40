//! What the frames of a log file say.
//!
//! The first frame of each file is a [`Head`]: how every partition stood when the file was begun. Each further frame
//! is a batch of entries or a new epoch.

use bytes::Bytes;
use domain::{Lane, PublicationId, Timestamp, Topic};

use crate::codec::{Decode, Encode};
use crate::{Entry, Epoch, Partition, Publication};

const HEAD: u8 = 1;
const BATCH: u8 = 2;
const EPOCH: u8 = 3;
/// Rises when older versions can no longer read what is written.
const VERSION: u8 = 2;

/// How the partitions stood when a file was begun: epoch and last offset of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) partitions: Vec<(Epoch, u64)>,
}

/// One frame's content.
#[derive(Debug)]
pub(super) enum Record {
    Head(Head),
    Batch {
        /// When it was written.
        at: Timestamp,
        entries: Vec<Placed>,
    },
    Epoch {
        partition: Partition,
        epoch: Epoch,
    },
}

/// An entry, and where its bytes lie in the payload.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) entry: Entry,
    pub(super) at: u32,
    pub(super) length: u32,
}

pub(super) fn encode_head(head: &Head) -> Vec<u8> {
    let mut out = vec![HEAD, VERSION];
    out.put_u16(u16::try_from(head.partitions.len()).expect("partitions are at most 256"));
    for (epoch, last) in &head.partitions {
        out.put_bytes(epoch.0.as_bytes());
        out.put_u64(*last);
    }
    out
}

pub(super) fn encode_epoch(partition: Partition, epoch: &Epoch) -> Vec<u8> {
    let mut out = vec![EPOCH];
    out.put_u16(partition);
    out.put_bytes(epoch.0.as_bytes());
    out
}

/// A batch under construction.
#[derive(Debug)]
pub(super) struct Batch {
    payload: Vec<u8>,
    entries: Vec<Placed>,
    at: Timestamp,
}

impl Batch {
    pub(super) fn new(at: Timestamp) -> Self {
        let mut payload = vec![BATCH];
        payload.put_i64(at.as_microsecond());
        Self { payload, entries: Vec::new(), at }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let start = self.payload.len();
        encode_entry(&mut self.payload, &entry);
        let place = |number: usize| u32::try_from(number).expect("every batch is limited far below 4 GiB");
        self.entries.push(Placed { at: place(start), length: place(self.payload.len() - start), entry });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(super) fn into_entries(self) -> (Timestamp, Vec<Placed>) {
        (self.at, self.entries)
    }
}

fn encode_entry(out: &mut Vec<u8>, entry: &Entry) {
    let publication = &entry.publication;
    out.put_u16(entry.partition);
    out.put_u64(entry.offset);
    out.put_u64(entry.prev);
    out.push(u8::from(entry.first));
    out.push(lane_number(publication.lane));
    out.put_i64(publication.at.as_microsecond());
    out.extend_from_slice(publication.id.0.as_bytes());
    out.put_bytes(publication.topic.as_str().as_bytes());
    out.put_bytes(&publication.data);
    for optional in [&publication.change, &publication.attributes] {
        out.push(u8::from(optional.is_some()));
        if let Some(bytes) = optional {
            out.put_bytes(bytes);
        }
    }
}

/// `None` when the payload means nothing to this version.
pub(super) fn decode(payload: &[u8]) -> Option<Record> {
    let mut input = Decode(payload);
    let record = match input.u8()? {
        HEAD => decode_head(&mut input).map(Record::Head),
        BATCH => decode_batch(payload, &mut input),
        EPOCH => Some(Record::Epoch { partition: input.u16()?, epoch: Epoch(input.text()?.into()) }),
        _ => None,
    }?;
    input.is_empty().then_some(record)
}

fn decode_head(input: &mut Decode<'_>) -> Option<Head> {
    if input.u8()? != VERSION {
        return None;
    }
    let count = input.u16()?;
    let partitions =
        (0..count).map(|_| Some((Epoch(input.text()?.into()), input.u64()?))).collect::<Option<_>>()?;
    Some(Head { partitions })
}

fn decode_batch(payload: &[u8], input: &mut Decode<'_>) -> Option<Record> {
    let at = Timestamp::from_microsecond(input.i64()?).ok()?;
    let mut entries = Vec::new();
    while !input.is_empty() {
        let start = payload.len() - input.0.len();
        let entry = decode_entry(input)?;
        let length = payload.len() - input.0.len() - start;
        entries.push(Placed { entry, at: u32::try_from(start).ok()?, length: u32::try_from(length).ok()? });
    }
    Some(Record::Batch { at, entries })
}

/// One entry from its bytes.
pub(super) fn decode_entry(input: &mut Decode<'_>) -> Option<Entry> {
    let (partition, offset, prev) = (input.u16()?, input.u64()?, input.u64()?);
    let first = flag(input.u8()?)?;
    let lane = *Lane::ALL.get(usize::from(input.u8()?))?;
    let at = Timestamp::from_microsecond(input.i64()?).ok()?;
    let id = PublicationId(uuid::Uuid::from_bytes(input.array()?));
    let topic = Topic::new(input.text()?).ok()?;
    let data = input.bytes()?;
    let (mut change, mut attributes) = (None, None);
    read_optional(input, &mut change)?;
    read_optional(input, &mut attributes)?;
    Some(Entry {
        partition,
        offset,
        prev,
        first,
        publication: Publication { id, topic, data, lane, change, attributes, at },
    })
}

/// A byte string behind a flag that says whether it is there.
fn read_optional(input: &mut Decode<'_>, into: &mut Option<Bytes>) -> Option<()> {
    *into = if flag(input.u8()?)? { Some(input.bytes()?) } else { None };
    Some(())
}

fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// The lane's place in [`Lane::ALL`].
fn lane_number(lane: Lane) -> u8 {
    match lane {
        Lane::Emergency => 0,
        Lane::Transactional => 1,
        Lane::Standard => 2,
        Lane::Promotional => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> Entry {
        let publication = Publication {
            id: PublicationId(uuid::Uuid::from_u128(7)),
            topic: Topic::festival(),
            data: Bytes::from_static(b"{}"),
            lane: Lane::Emergency,
            change: Some(Bytes::from_static(b"{\"id\":1}")),
            attributes: Some(Bytes::from_static(b"{\"ephemeral\":true}")),
            at: Timestamp::from_microsecond(1_700_000_000_000_001).unwrap(),
        };
        Entry { partition: 3, offset: 9, prev: 4, first: true, publication }
    }

    fn batch() -> Vec<u8> {
        let mut batch = Batch::new(Timestamp::from_microsecond(5).unwrap());
        batch.push(entry());
        batch.push(entry());
        batch.payload
    }

    #[test]
    fn lanes_keep_their_numbers() {
        for (number, lane) in Lane::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(lane_number(lane)), number);
        }
    }

    #[test]
    fn records_come_back_as_written() {
        let payload = batch();
        let Some(Record::Batch { at, entries }) = decode(&payload) else { panic!("not a batch") };
        assert_eq!((at.as_microsecond(), entries.len()), (5, 2));
        assert_eq!(format!("{:?}", entries[1].entry), format!("{:?}", entry()));
        let (start, length) = (entries[1].at as usize, entries[1].length as usize);
        let again = decode_entry(&mut Decode(&payload[start..start + length])).unwrap();
        assert_eq!(format!("{again:?}"), format!("{:?}", entry()));

        let head = Head { partitions: vec![(Epoch("abc".into()), 5), (Epoch("def".into()), 0)] };
        assert!(matches!(decode(&encode_head(&head)), Some(Record::Head(found)) if found == head));
        let epoch = encode_epoch(4, &Epoch("xyz".into()));
        assert!(matches!(decode(&epoch), Some(Record::Epoch { partition: 4, .. })));
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_do_no_harm(kind in 0..5_u8, payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&payload);
            let _ = decode(&[&[kind], &payload[..]].concat());
        }

        #[test]
        fn damaged_records_do_no_harm(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut payload = batch();
            let at = at.index(payload.len());
            payload[at] = byte;
            let _ = decode(&payload);
            let cut = cut.index(payload.len());
            let _ = decode(&payload[..cut]);
        }
    }
}
