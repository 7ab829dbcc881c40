//! What a message would look like: the same templates and the same payloads as those that leave, in both languages on
//! every channel, with what they weigh against the provider's limit.

use domain::{
    Audience, Channel, DeliveryId, EventId, EventSnapshot, Language, LocalizedText, NotificationId,
    NotificationKind, PreviewDraft, PreviewedMessage, ReceiptKey, Timestamp, VenueId, VenueSnapshot,
};
use serde_json::{Value, json};
use store::notifications::Notification;
use uuid::Uuid;

use crate::channels::{self, Weighed};
use crate::deliver::socket_message;
use crate::gateway::Outgoing;
use crate::render::{self, Unread};
use crate::templates::{Templates, Texts};

/// The channels that are shown.
const CHANNELS: [Channel; 5] =
    [Channel::Socket, Channel::Apns, Channel::Fcm, Channel::Webpush, Channel::Email];

/// The draft in both languages on every channel.
pub fn preview(templates: &Templates, draft: &PreviewDraft, now: Timestamp) -> Vec<PreviewedMessage> {
    let texts = texts(templates, draft, now);
    let each = CHANNELS.into_iter().flat_map(|channel| Language::ALL.map(|language| (channel, language)));
    each.map(|(channel, language)| {
        let message = outgoing(draft, &texts, channel, language, now);
        let weighed =
            channels::weigh(channel, &message, now).unwrap_or_else(|| socket(draft, &texts, &message));
        let Weighed { payload, bytes, bytes_max, shortened, fits } = weighed;
        let Outgoing { title, body, .. } = message;
        PreviewedMessage { channel, language, title, body, payload, bytes, bytes_max, shortened, fits }
    })
    .collect()
}

fn texts(templates: &Templates, draft: &PreviewDraft, now: Timestamp) -> Texts {
    let sample = || sample_event(now);
    let event = draft.event.clone().unwrap_or_else(sample);
    match draft.kind {
        NotificationKind::EventMoved
        | NotificationKind::EventCancelled
        | NotificationKind::EventVenueChanged => render::event(templates, draft.kind, &event),
        NotificationKind::EventReminder => render::reminder(templates, &event, draft.count),
        NotificationKind::Announcement => render::announcement(templates, &draft.title, &draft.body),
        NotificationKind::Digest => {
            let mut texts = Texts::default();
            for language in Language::ALL {
                let items = [Unread { title: event.title.pick(language).to_owned(), at: now }];
                let count = u64::from(draft.count.max(1));
                let (title, body) = render::digest(templates, language, count, &items, &event.time_zone);
                texts.set(language, title, body);
            }
            texts
        }
    }
}

fn outgoing(
    draft: &PreviewDraft,
    texts: &Texts,
    channel: Channel,
    language: Language,
    now: Timestamp,
) -> Outgoing {
    let delivery_id = DeliveryId(Uuid::nil());
    let other = language.other();
    Outgoing {
        delivery_id,
        notification_id: NotificationId(Uuid::nil()),
        thread_id: NotificationId(Uuid::nil()),
        kind: draft.kind,
        lane: draft.lane,
        target: channels::sample_target(channel).to_owned(),
        target_kind: channel.as_str().to_owned(),
        registered_at: None,
        platform: None,
        language,
        title: texts.title.pick(language).to_owned(),
        body: texts.body.pick(language).to_owned(),
        title_other: texts.title.pick(other).to_owned(),
        body_other: texts.body.pick(other).to_owned(),
        data: data(draft),
        bounce_local: String::new(),
        unsubscribe_token: String::new(),
        receipt_code: ReceiptKey::new([0; 32]).code(delivery_id), // of the right length, and good for nothing
        expires_at: now + std::time::Duration::from_hours(24),
        attempt: 1,
    }
}

/// Sockets have both languages at once, and no limit but that of their queue.
fn socket(draft: &PreviewDraft, texts: &Texts, message: &Outgoing) -> Weighed {
    let notification = Notification {
        id: message.notification_id,
        kind: draft.kind,
        lane: draft.lane,
        title: texts.title.clone(),
        body: texts.body.clone(),
        data: message.data.clone(),
        audience: Audience::Everyone,
        event_id: None,
        announcement_id: None,
        thread_id: message.thread_id,
        created_at: message.expires_at,
        expires_at: message.expires_at,
    };
    let sent = socket_message(message.delivery_id, &message.receipt_code, &notification, message.expires_at);
    let payload = sent.to_string();
    Weighed { bytes: payload.len(), payload, bytes_max: None, shortened: false, fits: true }
}

fn data(draft: &PreviewDraft) -> Value {
    match &draft.event {
        Some(event) => json!({ "event_id": event.id, "venue_id": event.venue.id, "version": event.version }),
        None => json!({ "announcement_id": 0 }),
    }
}

fn sample_event(now: Timestamp) -> EventSnapshot {
    let both = |ar: &str, en: &str| LocalizedText { ar: Some(ar.to_owned()), en: Some(en.to_owned()) };
    let starts_at = now + std::time::Duration::from_mins(30);
    EventSnapshot {
        id: EventId(0),
        version: 1,
        status: "published".to_owned(),
        title: both("ليلة النجوم", "Night of Stars"),
        venue: VenueSnapshot {
            id: VenueId(0), name: both("المسرح الشمالي", "North Stage"), capacity: None
        },
        starts_at,
        ends_at: starts_at + std::time::Duration::from_hours(2),
        time_zone: "Africa/Cairo".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use domain::Lane;

    use super::*;
    use crate::templates::Config;

    fn shown(draft: &PreviewDraft) -> Vec<PreviewedMessage> {
        let templates = Templates::load(&Config::default()).unwrap();
        preview(&templates, draft, "2026-07-15T20:00:00Z".parse().unwrap())
    }

    fn announcement(lane: Lane, ar: &str, en: &str) -> PreviewDraft {
        PreviewDraft {
            kind: NotificationKind::Announcement,
            lane,
            title: LocalizedText { ar: Some("عاصفة".to_owned()), en: Some("Storm".to_owned()) },
            body: LocalizedText { ar: Some(ar.to_owned()), en: Some(en.to_owned()) },
            event: None,
            count: 0,
        }
    }

    /// Goal: whatever is written, each provider gets at most what it takes, and nearly as much.
    #[test]
    fn every_provider_limit_holds_in_both_languages() {
        for lane in Lane::ALL {
            let long = announcement(
                lane,
                &"توجهوا بهدوء إلى القاعة \"ب\" ".repeat(200),
                &"Walk to hall \"B\" now. ".repeat(300),
            );
            for one in shown(&long) {
                let Some(bytes_max) = one.bytes_max else { continue };
                assert!(one.fits && one.shortened, "{one:?}");
                assert!(
                    one.bytes <= bytes_max && one.bytes > bytes_max - 200,
                    "{} of {bytes_max}",
                    one.bytes
                );
                assert!(one.payload.contains('…'), "{one:?}");
            }
        }
    }

    #[test]
    fn short_messages_are_whole_in_their_language_and_direction() {
        let all = shown(&announcement(Lane::Standard, "إلى القاعة", "To the hall"));
        assert_eq!(all.len(), CHANNELS.len() * 2);
        for one in all {
            let body = if one.language == Language::Ar { "إلى القاعة" } else { "To the hall" };
            assert_eq!((one.body.as_str(), one.shortened, one.fits), (body, false, true));
            assert!(one.bytes <= one.payload.len() && one.bytes > 0);
            if one.channel == Channel::Email {
                let html = one.payload.contains(&format!(
                    "<html lang=\"{}\" dir=\"{}\">",
                    one.language.as_str(),
                    one.language.direction()
                ));
                assert!(html, "{}", one.payload);
            }
        }
    }

    #[test]
    fn an_arabic_text_reaches_the_limit_sooner_than_an_english_one() {
        let letters = 1_900;
        let all = shown(&announcement(Lane::Standard, &"ع".repeat(letters), &"a".repeat(letters)));
        let shortened = |language| {
            all.iter().find(|one| one.channel == Channel::Apns && one.language == language).unwrap().shortened
        };
        assert_eq!([Language::Ar, Language::En].map(shortened), [true, false]);
    }
}
