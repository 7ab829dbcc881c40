//! What people read, from what happened: fills the templates with the facts of a change.

use domain::{EventSnapshot, Language, LocalizedText, NotificationKind, Timestamp};
use minijinja::{Value, context};

use crate::templates::{Templates, Texts};

/// The texts of news about `event`, as it is now.
pub(crate) fn event(templates: &Templates, kind: NotificationKind, event: &EventSnapshot) -> Texts {
    templates.both(kind, |language| about(event, language))
}

/// The texts of a reminder that `event` starts in `minutes`.
pub(crate) fn reminder(templates: &Templates, event: &EventSnapshot, minutes: u32) -> Texts {
    templates.both(NotificationKind::EventReminder, |language| {
        let event = about(event, language);
        context! { minutes, ..event }
    })
}

/// The texts of an announcement, in the languages that it was written in.
pub(crate) fn announcement(templates: &Templates, title: &LocalizedText, body: &LocalizedText) -> Texts {
    let mut texts = Texts::default();
    for language in Language::ALL {
        if title.get(language).is_none() && body.get(language).is_none() {
            continue;
        }
        let values = context! { title => title.pick(language), body => body.pick(language) };
        let (title, body) = templates.one(NotificationKind::Announcement, language, values);
        texts.set(language, title, body);
    }
    texts
}

/// Something unread, as a digest lists it.
pub(crate) struct Unread {
    /// Its headline, in the reader's language.
    pub(crate) title: String,
    /// When it was made.
    pub(crate) at: Timestamp,
}

/// The texts of a digest: `items` are the newest of `count`, times are told in `time_zone`.
pub(crate) fn digest(
    templates: &Templates,
    language: Language,
    count: u64,
    items: &[Unread],
    time_zone: &str,
) -> (String, String) {
    let items: Vec<Value> =
        items.iter().map(|one| context! { title => one.title.as_str(), at => one.at.to_string() }).collect();
    templates.one(NotificationKind::Digest, language, context! { count, items, time_zone })
}

fn about(event: &EventSnapshot, language: Language) -> Value {
    context! {
        event => event.title.pick(language),
        venue => event.venue.name.pick(language),
        starts_at => event.starts_at.to_string(),
        time_zone => event.time_zone.as_str(),
    }
}
