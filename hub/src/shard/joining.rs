//! Publications of one topic that leave together: joined once for each wire and form, whoever gets them.

use bytes::Bytes;

use super::outgoing::Chunk;
use crate::publication::{Form, Live};
use crate::topics::Member;
use crate::wire::Wire;

/// Bytes up to which publications are joined into one chunk.
const CHUNK_BYTES: usize = 65_536;

/// Publications of one topic, oldest first, and how they are joined.
pub(super) struct Joined<'l> {
    lives: &'l [&'l Live],
    /// Whether no subscriber is left out of any of them by name.
    for_all: bool,
    made: Vec<(Wire, Form, Vec<Chunk>)>,
}

impl<'l> Joined<'l> {
    pub(super) fn new(lives: &'l [&'l Live]) -> Self {
        let for_all = lives
            .iter()
            .all(|live| live.item.attributes.as_ref().is_none_or(|attributes| attributes.exclude.is_none()));
        Self { lives, for_all, made: Vec::new() }
    }

    /// The form in which a subscriber gets all of them, as others do; `None`: each is decided for itself.
    pub(super) fn form_for(&self, member: &Member) -> Option<Form> {
        let Some(terms) = &member.terms else { return Some(Form::Plain) };
        let channel = terms.channel.filter(|_| self.for_all)?;
        Some(Form::Channel(channel.form))
    }

    /// All of them for connections of this wire. The bytes are the shard's own: what threads count together, they wait
    /// for each other to count.
    pub(super) fn of(&mut self, wire: Wire, form: Form) -> &[Chunk] {
        let found = self.made.iter().position(|(made, made_form, _)| (*made, *made_form) == (wire, form));
        let at = found.unwrap_or_else(|| {
            let frames: Vec<&Bytes> = self.lives.iter().map(|live| live.frame(wire, form)).collect();
            self.made.push((wire, form, join(wire, &frames)));
            self.made.len() - 1
        });
        &self.made[at].2
    }
}

impl Live {
    /// As a chunk of its own.
    pub(super) fn chunk(&self, wire: Wire, form: Form) -> Chunk {
        Chunk { bytes: self.frame(wire, form).clone(), publications: 1 }
    }
}

/// Joins frames into as few chunks as their size allows.
fn join(wire: Wire, frames: &[&Bytes]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut rest = frames;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|frame| {
            let first = bytes == 0;
            bytes += frame.len();
            first || bytes <= CHUNK_BYTES
        });
        let (together, later) = rest.split_at(fits.count());
        let mut joined = Vec::with_capacity(together.iter().map(|frame| frame.len()).sum());
        wire.join(together, &mut joined);
        let publications = u32::try_from(together.len()).expect("a chunk has fewer than 2^32 publications");
        chunks.push(Chunk { bytes: joined.into(), publications });
        rest = later;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Goal: on every wire, what is joined says what its parts say, in their order, and no chunk is beyond its size
        /// unless one publication is.
        #[test]
        fn what_is_joined_says_what_its_parts_say(
            lengths in proptest::collection::vec(prop_oneof![1..300_usize, 10_000..40_000_usize], 1..30),
        ) {
            for wire in Wire::ALL {
                let parts: Vec<Vec<u8>> =
                    lengths.iter().enumerate().map(|(number, length)| message(wire, number, *length)).collect();
                let frames: Vec<Bytes> = parts.iter().map(|part| wire.pack(part)).collect();
                let chunks = join(wire, &frames.iter().collect::<Vec<_>>());
                let publications: u32 = chunks.iter().map(|chunk| chunk.publications).sum();
                prop_assert_eq!(publications as usize, parts.len());
                for chunk in &chunks {
                    prop_assert!(chunk.bytes.len() <= CHUNK_BYTES || chunk.publications == 1);
                }
                let all: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.to_vec()).collect();
                prop_assert_eq!(messages(wire, all), parts);
            }
        }
    }

    /// A message that looks like one of the wire: without line feeds, or behind its length.
    fn message(wire: Wire, number: usize, length: usize) -> Vec<u8> {
        let letter = b'a' + u8::try_from(number % 26).unwrap();
        let body = vec![letter; length];
        if !matches!(wire, Wire::ProtobufSocket | Wire::ProtobufLines) {
            return body;
        }
        let mut message = u32::try_from(length).unwrap().to_be_bytes().to_vec();
        message.extend(body);
        message
    }

    /// The messages that a client finds in what came.
    fn messages(wire: Wire, mut all: Vec<u8>) -> Vec<Vec<u8>> {
        use protocol::ws::{Decoder, Event, Input, Side};
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        if wire.is_socket() {
            let mut decoder = Decoder::new(Side::Client, u32::MAX);
            let mut input = Input::new(&mut all);
            while let Some(event) = decoder.next(&mut input).unwrap() {
                payloads.push(match event {
                    Event::Text(text) => text.as_bytes().to_vec(),
                    Event::Binary(bytes) => bytes.to_vec(),
                    other => panic!("{other:?}"),
                });
            }
        } else {
            payloads.push(all);
        }
        match wire {
            Wire::ProtobufSocket | Wire::ProtobufLines => {
                payloads.iter().flat_map(|all| by_length(all)).collect()
            }
            Wire::JsonSocket | Wire::OneWaySocket | Wire::Pusher => {
                payloads.iter().flat_map(|all| all.split(|byte| *byte == b'\n').map(<[u8]>::to_vec)).collect()
            }
            Wire::JsonLines | Wire::OneWayLines => payloads
                .concat()
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(<[u8]>::to_vec)
                .collect(),
            Wire::Events | Wire::OneWayEvents => {
                let text = String::from_utf8(payloads.concat()).unwrap();
                text.split_terminator("\n\n")
                    .map(|event| event.as_bytes()["data: ".len()..].to_vec())
                    .collect()
            }
        }
    }

    fn by_length(mut all: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some((length, rest)) = all.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            found.push([&length_bytes(length)[..], &rest[..length]].concat());
            all = &rest[length..];
        }
        found
    }

    fn length_bytes(length: usize) -> [u8; 4] {
        u32::try_from(length).unwrap().to_be_bytes()
    }
}
