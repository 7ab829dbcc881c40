//! Entries as the scripts write and give them.

use std::collections::HashMap;

use bytes::Bytes;
use domain::{Lane, PublicationId, Timestamp, Topic};
use fred::types::Value;
use uuid::Uuid;

use crate::{Entry, Epoch, NewPublication, Partition, PartitionState, Publication};

/// A publication as arguments of the script that appends.
pub(super) fn arguments(publication: &NewPublication) -> [Value; 7] {
    [
        Value::Bytes(Bytes::copy_from_slice(publication.id.0.as_bytes())),
        publication.topic.as_str().into(),
        publication.lane.as_str().into(),
        publication.at.as_microsecond().to_string().into(),
        Value::Bytes(publication.data.clone()),
        Value::Bytes(publication.change.clone().unwrap_or_default()),
        Value::Bytes(publication.attributes.clone().unwrap_or_default()),
    ]
}

/// An entry from what a stream holds: `[id, [field, value, ...]]`. `None` when it means nothing to this version.
pub(super) fn decode(partition: Partition, value: Value) -> Option<Entry> {
    let [id, fields]: [Value; 2] = array(value)?.try_into().ok()?;
    let offset = id.as_str()?.strip_suffix("-0")?.parse().ok()?;
    let mut fields = fields_of(fields)?;
    let publication = Publication {
        id: PublicationId(Uuid::from_slice(&fields.remove(&b'i')?).ok()?),
        topic: Topic::new(text(&fields.remove(&b't')?)?).ok()?,
        lane: text(&fields.remove(&b'l')?)?.parse::<Lane>().ok()?,
        at: Timestamp::from_microsecond(text(&fields.remove(&b'a')?)?.parse().ok()?).ok()?,
        data: fields.remove(&b'd')?,
        change: fields.remove(&b'c'),
        attributes: fields.remove(&b'x'),
    };
    Some(Entry {
        partition,
        offset,
        prev: text(&fields.remove(&b'p')?)?.parse().ok()?,
        first: fields.remove(&b'f')? == "1",
        publication,
    })
}

/// `[epoch, last, trimmed]`.
pub(super) fn decode_state(values: Vec<Value>) -> Option<PartitionState> {
    let [epoch, last, trimmed]: [Value; 3] = values.try_into().ok()?;
    let number = |value: Value| value.as_str()?.parse().ok();
    Some(PartitionState {
        epoch: Epoch(epoch.as_string()?.into_boxed_str()),
        last: number(last)?,
        trimmed: number(trimmed)?,
    })
}

/// The items of an array.
pub(super) fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// Fields by their name, which is one letter.
fn fields_of(value: Value) -> Option<HashMap<u8, Bytes>> {
    let mut fields = HashMap::new();
    let mut values = array(value)?.into_iter();
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        let &[name] = name.as_bytes()? else { return None };
        fields.insert(name, value.into_bytes()?);
    }
    Some(fields)
}

fn text(bytes: &Bytes) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
