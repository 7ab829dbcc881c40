//! Events that clients send to each other.

use bytes::Bytes;
use domain::{Attributes, Lane, PublicationId, Publisher};
use protocol::pusher::read::ClientEvent;
use protocol::pusher::topics::{Form, Mapped};
use protocol::pusher::webhook::WebhookEvent;
use protocol::pusher::{Channel, Code, EVENT_NAME_MAX, ServerMessage, event};
use streams::NewPublication;
use uuid::Uuid;

use super::Session;
use crate::out::Out;
use crate::pusher::News;
use crate::world::World;

/// How fast a connection may send events: tokens that fill steadily, at most those of one second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    milli_events: u64,
    counted_at_ms: u64,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(per_second: u32, now_ms: u64) -> Self {
        Self { milli_events: u64::from(per_second) * 1_000, counted_at_ms: now_ms }
    }

    /// Whether one more event may pass.
    fn take(&mut self, per_second: u32, now_ms: u64) -> bool {
        let earned = now_ms.saturating_sub(self.counted_at_ms).saturating_mul(u64::from(per_second));
        self.counted_at_ms = now_ms;
        self.milli_events = self.milli_events.saturating_add(earned).min(u64::from(per_second) * 1_000);
        let passes = self.milli_events >= 1_000;
        self.milli_events -= if passes { 1_000 } else { 0 };
        passes
    }
}

impl Session {
    pub(super) fn client_event(&mut self, event: &ClientEvent<'_>, world: &World<'_>, out: &mut Out) {
        if let Err(message) = self.try_client_event(event, world) {
            out.tell(&ServerMessage::Error { code: Some(Code::ClientEventRejected), message });
        }
    }

    fn try_client_event(&mut self, event: &ClientEvent<'_>, world: &World<'_>) -> Result<(), &'static str> {
        let config = &self.pusher.config;
        let per_second = config.client_events_per_second;
        if !self.app().config.client_events {
            return Err("events of clients are switched off");
        }
        let channel = Channel::parse(&event.channel, usize::from(config.channel_name_max))
            .map_err(|_| "there is no such channel")?;
        if !channel.prefix().takes_client_events() {
            return Err("clients may send events in private and presence channels only");
        }
        let Some(Mapped { topic, form: Form::Own }) = self.app().topic(channel) else {
            return Err("clients may send events in the application's own channels only");
        };
        let Some(at) = self.subscription_to(&topic, Form::Own, world.topics) else {
            return Err("the channel is not subscribed");
        };
        if event.event.chars().count() > EVENT_NAME_MAX || event.data.len() > config.event_bytes_max as usize
        {
            return Err("the event is too large");
        }
        if !self.events.take(per_second, world.uptime_ms) {
            return Err("too many events of this client");
        }
        let user_id = self.subscriptions[at].seated.as_ref().map(|seated| seated.user_id.clone());
        let attributes = Attributes {
            event: Some(event.event.to_string()),
            exclude: Some(self.socket_id.to_string()),
            info: Some(Publisher {
                user: user_id.clone().unwrap_or_default(),
                client: self.socket_id.to_string(),
                ..Publisher::default()
            }),
            ephemeral: true,
            ..Attributes::default()
        };
        let publication = NewPublication {
            id: PublicationId(Uuid::new_v4()),
            topic,
            data: Bytes::from(event::payload(&event.event, &event.data)),
            lane: Lane::Standard,
            change: None,
            attributes: attributes.encode().map(Bytes::from),
            at: world.now,
        };
        let news = News::Publish(Box::new(publication));
        self.pusher.news.try_send(news).map_err(|_| "the server is busy")?;
        let told = WebhookEvent::ClientEvent {
            channel: event.channel.to_string(),
            event: event.event.to_string(),
            data: event.data.to_string(),
            socket_id: self.socket_id.to_string(),
            user_id,
        };
        self.pusher.tell(self.app().number, told);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_events_passes_then_the_rate_holds() {
        let mut bucket = Bucket::new(2, 0);
        let passed = [0, 0, 0, 499, 500, 999, 5_000, 5_000, 5_000].map(|now_ms| bucket.take(2, now_ms));
        assert_eq!(passed, [true, true, false, false, true, false, true, true, false]);
    }
}
