//! Publications on their way from the tail to the shards, encoded once for each wire and form, however many
//! connections take them.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use domain::{Attributes, Publisher, Topic};
use protocol::centrifuge::reply::{ClientInfo, Event, Publication};
use protocol::centrifuge::{Dialect, Payload, Push, fossil, json};
use protocol::pusher::{CLIENT_EVENTS, Channel, ServerMessage, event, topics};
use streams::Partition;
use tokio::time::Instant;

use crate::metrics;
use crate::wire::Wire;

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

/// A publication as it is kept and handed out.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Its number in the log; 0 for what is kept for nobody.
    pub(crate) offset: u64,
    /// One JSON document on one line.
    pub(crate) data: Bytes,
    /// What travels with it.
    pub(crate) attributes: Option<Arc<Attributes>>,
}

/// The form of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// Whole, for a subscription with deltas: in the JSON dialect a string.
    Whole,
    /// What has changed since the topic's publication before; whole where that is not shorter.
    Delta,
    /// As an event of Pusher's, in a channel of this name.
    Channel(topics::Form),
}

impl Form {
    /// Its name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Whole => "whole",
            Self::Delta => "delta",
            Self::Channel(_) => "channel",
        }
    }
}

/// A publication that subscribers receive.
#[derive(Debug)]
pub(crate) struct Live {
    /// Where it is heard.
    pub(crate) topic: Topic,
    /// Its number in the node's own count of its partition's events.
    pub(crate) turn: u64,
    /// The publication.
    pub(crate) item: Item,
    /// The topic's publication before: its offset and payload.
    pub(crate) base: Option<(u64, Bytes)>,
    /// Whether it overtakes what waits of other topics.
    pub(crate) urgent: bool,
    frames: [OnceLock<Bytes>; Wire::ALL.len()],
    /// Made when somebody with deltas subscribes.
    deltas: OnceLock<Box<Deltas>>,
    /// Made when somebody follows it as a channel of Pusher's.
    channels: OnceLock<Box<[OnceLock<Bytes>; topics::Form::COUNT]>>,
}

#[derive(Debug)]
struct Deltas {
    /// `None` when there is no base or it would not be shorter.
    delta: Option<Vec<u8>>,
    whole_frames: [OnceLock<Bytes>; Wire::ALL.len()],
    delta_frames: [OnceLock<Bytes>; Wire::ALL.len()],
}

impl Live {
    /// A publication that nobody has encoded yet.
    pub(crate) fn new(topic: Topic, turn: u64, item: Item, base: Option<(u64, Bytes)>) -> Self {
        Self {
            topic,
            turn,
            item,
            base,
            urgent: false,
            frames: Default::default(),
            deltas: OnceLock::new(),
            channels: OnceLock::new(),
        }
    }

    /// Overtakes what waits of other topics, if `urgent`.
    pub(crate) fn urgent(self, urgent: bool) -> Self {
        Self { urgent, ..self }
    }

    /// What a connection of this wire is sent. The first shard with such a subscriber makes it for all.
    pub(crate) fn frame(&self, wire: Wire, form: Form) -> &Bytes {
        let number = wire as usize;
        if form == Form::Plain {
            return self.frames[number]
                .get_or_init(|| self.encode(wire, Form::Plain, self.item.publication()));
        }
        if let Form::Channel(channel) = form {
            let frames = self.channels.get_or_init(Box::default);
            return frames[channel.index()].get_or_init(|| {
                metrics::encoded(wire, form.name());
                let (name, mut message) = (channel.channel_name(&self.topic), Vec::new());
                channel_message(&self.item, &name, |event| event.write(&mut message));
                wire.pack(&message)
            });
        }
        let deltas = self.deltas.get_or_init(|| Box::new(Deltas::new(self)));
        match (form, &deltas.delta) {
            (Form::Delta, Some(delta)) => deltas.delta_frames[number].get_or_init(|| {
                let data = delta_payload(wire.dialect(), delta);
                let publication = Publication { data, delta: true, ..self.item.publication() };
                self.encode(wire, Form::Delta, publication)
            }),
            _ => deltas.whole_frames[number].get_or_init(|| {
                let data = whole_payload(wire.dialect(), &self.item.data);
                self.encode(wire, Form::Whole, Publication { data, ..self.item.publication() })
            }),
        }
    }

    fn encode(&self, wire: Wire, form: Form, publication: Publication<'_>) -> Bytes {
        metrics::encoded(wire, form.name());
        let mut message =
            Vec::with_capacity(publication.data.as_bytes().len() + self.topic.as_str().len() + 64);
        wire.write_push(&mut message, Push::to(self.topic.as_str(), Event::Publication(publication)));
        wire.pack(&message)
    }
}

impl Deltas {
    fn new(live: &Live) -> Self {
        let delta = live.base.as_ref().and_then(|(_, base)| shorter_delta(base, &live.item.data));
        Self { delta, whole_frames: Default::default(), delta_frames: Default::default() }
    }
}

impl Item {
    /// As the protocol writes it.
    pub(crate) fn publication(&self) -> Publication<'_> {
        let attributes = self.attributes.as_deref();
        let tags = attributes.map(|attributes| {
            let tag = |(name, value): (&'_ String, &'_ String)| {
                (Cow::Owned(name.clone()), Cow::Owned(value.clone()))
            };
            attributes.tags.iter().map(tag).collect()
        });
        Publication {
            data: Payload::trusted(&self.data),
            info: attributes.and_then(|attributes| attributes.info.as_ref()).map(client_info),
            offset: self.offset,
            tags: tags.unwrap_or_default(),
            ..Publication::default()
        }
    }
}

/// Hands a publication to `write` as an event in the channel `name` of Pusher's. Events of clients say who sent them where
/// subscribers see each other.
pub(crate) fn channel_message(item: &Item, name: &str, write: impl FnOnce(&ServerMessage<'_>)) {
    let attributes = item.attributes.as_deref();
    let published =
        event::published(&item.data, attributes.and_then(|attributes| attributes.event.as_deref()));
    let sender = attributes.and_then(|attributes| attributes.info.as_ref()).map(|info| &*info.user);
    let shows_sender = published.name.starts_with(CLIENT_EVENTS)
        && Channel::parse(name, name.len()).is_ok_and(|channel| channel.prefix().has_presence());
    let user_id = sender.filter(|user| shows_sender && !user.is_empty());
    write(&ServerMessage::Event { event: &published.name, channel: name, data: published.data, user_id });
}

/// A client as the protocol writes it.
pub(crate) fn client_info(publisher: &Publisher) -> ClientInfo<'_> {
    let payload = |info: &'_ Option<Box<serde_json::value::RawValue>>| {
        info.as_ref().map(|info| Payload::owned(info.get().as_bytes().to_vec()))
    };
    ClientInfo {
        user: (&*publisher.user).into(),
        client: (&*publisher.client).into(),
        conn_info: payload(&publisher.conn_info),
        chan_info: payload(&publisher.chan_info),
    }
}

/// Publications of one topic, oldest first, as the protocol writes them. With deltas the first is whole, and each
/// further one builds on the one before.
pub(crate) fn publications(page: &[Item], deltas: Option<Dialect>) -> Vec<Publication<'_>> {
    let Some(dialect) = deltas else { return page.iter().map(Item::publication).collect() };
    let mut base: Option<&Bytes> = None;
    page.iter()
        .map(|item| {
            let delta = base.replace(&item.data).and_then(|base| shorter_delta(base, &item.data));
            let (data, is_delta) = match &delta {
                Some(delta) => (delta_payload(dialect, delta), true),
                None => (whole_payload(dialect, &item.data), false),
            };
            Publication { data, delta: is_delta, ..item.publication() }
        })
        .collect()
}

fn shorter_delta(base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    let delta = fossil::create(base, target);
    (delta.len() < target.len()).then_some(delta)
}

fn delta_payload(dialect: Dialect, delta: &[u8]) -> Payload<'static> {
    match dialect {
        Dialect::Json => quoted(delta),
        Dialect::Protobuf => Payload::owned(delta.to_vec()),
    }
}

fn whole_payload(dialect: Dialect, data: &Bytes) -> Payload<'_> {
    match dialect {
        Dialect::Json => quoted(data),
        Dialect::Protobuf => Payload::trusted(data),
    }
}

/// `text` as a JSON string.
fn quoted(text: &[u8]) -> Payload<'static> {
    let text = std::str::from_utf8(text).expect("payloads are JSON, and deltas never split a character");
    Payload::owned(json::quote(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(data: &'static str, base: Option<&'static str>) -> Live {
        let item = Item { offset: 9, data: Bytes::from_static(data.as_bytes()), attributes: None };
        let base = base.map(|base| (8, Bytes::from_static(base.as_bytes())));
        Live::new(Topic::festival(), 1, item, base)
    }

    fn text(frame: &Bytes) -> &str {
        let header = if frame[1] < 126 { 2 } else { 4 };
        std::str::from_utf8(&frame[header..]).unwrap()
    }

    #[test]
    fn a_publication_is_one_text_frame() {
        let live = live("{\"a\":1}", None);
        let frame = live.frame(Wire::JsonSocket, Form::Plain);
        assert_eq!(text(frame), r#"{"push":{"channel":"festival","pub":{"data":{"a":1},"offset":9}}}"#);
        assert_eq!(frame.as_ptr(), live.frame(Wire::JsonSocket, Form::Plain).as_ptr(), "it is made once");
        let bare = live.frame(Wire::OneWayLines, Form::Plain);
        assert_eq!(&**bare, b"{\"channel\":\"festival\",\"pub\":{\"data\":{\"a\":1},\"offset\":9}}\n");
    }

    #[test]
    fn a_delta_is_sent_only_when_it_is_shorter() {
        let base = r#"{"name":"the name of the concert in the evening","at":"18:00"}"#;
        let next = r#"{"name":"the name of the concert in the evening","at":"19:30"}"#;
        let changed = live(next, Some(base));
        assert!(text(changed.frame(Wire::JsonSocket, Form::Delta)).contains(r#""delta":true"#));
        assert!(text(changed.frame(Wire::JsonSocket, Form::Whole)).contains(r#""data":"{\"name\""#));
        let other = live("{\"a\":1}", Some("{\"b\":2}"));
        assert!(text(other.frame(Wire::JsonSocket, Form::Delta)).contains(r#""data":"{\"a\":1}""#));
        let first = live("{\"a\":1}", None);
        assert_eq!(
            first.frame(Wire::JsonSocket, Form::Delta).as_ptr(),
            first.frame(Wire::JsonSocket, Form::Whole).as_ptr()
        );
    }
}
