//! Changes: facts about the domain, written to the outbox with the rows that they describe.
//!
//! The outbox stores a [`Change`] as JSON. The relay turns it into one publication per topic of
//! [`Change::topics`]; each carries [`Change::message`] as data, which is the JSON that sockets receive.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Alert, AnnouncementId, ChangeId, EventId, Lane, LocalizedText, NotificationId, Revocation, Timestamp,
    Topic, UserId, VenueId,
};

/// A committed fact about the domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its id; publications and notifications derive theirs from it.
    pub id: ChangeId,
    /// When the operation ran.
    pub at: Timestamp,
    /// Who did it; `None` for the system itself.
    pub actor: Option<UserId>,
    /// What the client called its own mutation, echoed so that optimistic pages can confirm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutation: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub kind: ChangeKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "changes are few, and are written and read one at a time")]
pub enum ChangeKind {
    /// An item of the programme was created, changed or removed.
    Event {
        /// How it is now (for a removal: how it was last).
        event: Box<EventSnapshot>,
        /// How it was before; `None` for a new one.
        previous: Option<Box<EventSnapshot>>,
        /// What is different, the most important first; never empty.
        aspects: Vec<Aspect>,
    },
    /// A venue was created, changed or removed.
    Venue {
        /// How it is now (for a removal: how it was last).
        venue: VenueSnapshot,
        /// Whether it is gone.
        deleted: bool,
    },
    /// The organizers announced something.
    Announcement(Announced),
    /// An announcement waits for a second person. For the staff alone.
    AnnouncementAwaits {
        /// Which.
        announcement_id: AnnouncementId,
        /// Until when it can be confirmed.
        confirm_before: Timestamp,
    },
    /// An announcement was withdrawn.
    AnnouncementCancelled {
        /// Which.
        announcement_id: AnnouncementId,
        /// The notification it had caused.
        notification_id: NotificationId,
        /// Whom it was for.
        audience: Audience,
    },
    /// Sessions have ended, or need another access token. For the nodes, not for people.
    Revocation {
        /// Which.
        revocation: Revocation,
    },
}

/// What is different about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// It will not take place.
    Cancelled,
    /// It takes place at another time, not yet known.
    Postponed,
    /// It is gone from the programme.
    Deleted,
    /// It takes place elsewhere.
    VenueChanged,
    /// It starts or ends at another time.
    Moved,
    /// It is new to the public.
    Published,
    /// It is new.
    Created,
    /// It went live or completed, or back to draft.
    Status,
    /// Its texts, performers or other details differ.
    Details,
}

impl Aspect {
    /// The word after `event.` in a message's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Postponed => "postponed",
            Self::Deleted => "deleted",
            Self::VenueChanged => "venue_changed",
            Self::Moved => "moved",
            Self::Published => "published",
            Self::Created => "created",
            Self::Status => "status",
            Self::Details => "details",
        }
    }
}

/// An event as messages show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventSnapshot {
    /// Its id.
    pub id: EventId,
    /// Row version; rises by one with each change.
    pub version: i64,
    /// `draft`, `published`, `live`, `completed`, `cancelled` or `postponed`.
    pub status: String,
    /// Its title.
    pub title: LocalizedText,
    /// Where it takes place.
    pub venue: VenueSnapshot,
    /// First instant.
    pub starts_at: Timestamp,
    /// First instant after it.
    pub ends_at: Timestamp,
    /// IANA zone in which its times were chosen.
    pub time_zone: String,
}

impl EventSnapshot {
    /// Whether the public may know of it.
    pub fn is_public(&self) -> bool {
        self.status != "draft"
    }
}

/// A venue as messages show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VenueSnapshot {
    /// Its id.
    pub id: VenueId,
    /// Its name.
    pub name: LocalizedText,
    /// People it holds, where known.
    pub capacity: Option<i64>,
}

/// An announcement as the outbox carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    /// Its id.
    pub announcement_id: AnnouncementId,
    /// The notification it causes.
    pub notification_id: NotificationId,
    /// How urgent it is.
    pub lane: Lane,
    /// Headline.
    pub title: LocalizedText,
    /// Text.
    pub body: LocalizedText,
    /// Whom it is for.
    pub audience: Audience,
    /// When it is of no more use.
    pub expires_at: Timestamp,
    /// What else it says; `None` in changes that were written before there were alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<Alert>,
    /// The first notification of those that replace each other on the phone: this one's own id when it replaces none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<NotificationId>,
    /// The notification whose deliveries that have not left are withdrawn for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<NotificationId>,
}

/// Whom a notification is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Audience {
    /// Every user.
    Everyone,
    /// Who starred (later: holds a ticket for) an event.
    Event {
        /// Which.
        event_id: EventId,
    },
    /// Who starred (later: holds a ticket for) an event at a venue.
    Venue {
        /// Which.
        venue_id: VenueId,
    },
    /// These users.
    Users {
        /// At most 1,000.
        user_ids: Vec<UserId>,
    },
    /// Everybody who works here: admins, organizers, supervisors and stewards.
    Staff,
    /// Whom an earlier notification may have reached.
    Reached {
        /// Which.
        notification_id: NotificationId,
    },
}

/// Why people are notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// An event starts or ends at another time.
    EventMoved,
    /// An event will not take place.
    EventCancelled,
    /// An event takes place elsewhere.
    EventVenueChanged,
    /// The organizers said something.
    Announcement,
    /// An event that somebody starred starts soon.
    EventReminder,
    /// What somebody has not read, in one mail.
    Digest,
}

impl NotificationKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::EventMoved,
        Self::EventCancelled,
        Self::EventVenueChanged,
        Self::Announcement,
        Self::EventReminder,
        Self::Digest,
    ];

    /// The word in JSON, SQL and the names of templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventMoved => "event_moved",
            Self::EventCancelled => "event_cancelled",
            Self::EventVenueChanged => "event_venue_changed",
            Self::Announcement => "announcement",
            Self::EventReminder => "event_reminder",
            Self::Digest => "digest",
        }
    }
}

impl Change {
    /// The topics that hear of this change, the primary one first. Drafts are for the staff alone.
    pub fn topics(&self) -> Vec<Topic> {
        match &self.kind {
            ChangeKind::Event { event, previous, .. } => event_topics(event, previous.as_deref()),
            ChangeKind::Venue { venue, .. } => vec![Topic::venue(venue.id), Topic::festival()],
            ChangeKind::Announcement(announced) => audience_topics(&announced.audience),
            ChangeKind::AnnouncementAwaits { .. } => vec![staff_announcements()],
            ChangeKind::AnnouncementCancelled { audience, .. } => audience_topics(audience),
            ChangeKind::Revocation { .. } => vec![Topic::control()],
        }
    }

    /// The word in the message's `type`, such as `event.moved`.
    pub fn message_type(&self) -> String {
        match &self.kind {
            ChangeKind::Event { aspects, .. } => {
                format!("event.{}", aspects.first().copied().unwrap_or(Aspect::Details).as_str())
            }
            ChangeKind::Venue { deleted: false, .. } => "venue.changed".to_owned(),
            ChangeKind::Venue { deleted: true, .. } => "venue.deleted".to_owned(),
            ChangeKind::Announcement(_) => "announcement.published".to_owned(),
            ChangeKind::AnnouncementAwaits { .. } => "announcement.awaits_confirmation".to_owned(),
            ChangeKind::AnnouncementCancelled { .. } => "announcement.cancelled".to_owned(),
            ChangeKind::Revocation { revocation } => revocation.message_type().to_owned(),
        }
    }

    /// What sockets receive: an object with `type`, `id`, `at` and the thing itself.
    pub fn message(&self) -> Value {
        let mut message = json!({ "type": self.message_type(), "id": self.id, "at": self.at });
        let fields = match &self.kind {
            ChangeKind::Event { event, previous, aspects } => {
                // what the public never saw is not shown to it afterwards
                let previous = previous.as_deref().filter(|before| before.is_public() || !event.is_public());
                json!({ "event": event, "previous": previous, "aspects": aspects })
            }
            ChangeKind::Venue { venue, .. } => json!({ "venue": venue }),
            ChangeKind::Announcement(announced) => json!({ "announcement": {
                "id": announced.announcement_id,
                "notification_id": announced.notification_id,
                "lane": announced.lane,
                "title": announced.title,
                "body": announced.body,
                "expires_at": announced.expires_at,
                "alert": announced.alert,
            }}),
            ChangeKind::AnnouncementAwaits { announcement_id, confirm_before } => {
                json!({ "announcement": { "id": announcement_id, "confirm_before": confirm_before } })
            }
            ChangeKind::AnnouncementCancelled { announcement_id, notification_id, .. } => {
                json!({ "announcement": { "id": announcement_id, "notification_id": notification_id } })
            }
            ChangeKind::Revocation { revocation } => json!(revocation),
        };
        let object = message.as_object_mut().expect("it was made as an object");
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        if let Some(mutation) = &self.mutation {
            object.insert("mutation".to_owned(), json!(mutation));
        }
        message
    }
}

fn event_topics(event: &EventSnapshot, previous: Option<&EventSnapshot>) -> Vec<Topic> {
    let was_public = previous.is_some_and(EventSnapshot::is_public);
    if !event.is_public() && !was_public {
        return vec![Topic::staff("programme").expect("the name is valid")];
    }
    let mut topics = vec![Topic::event(event.id), Topic::venue(event.venue.id)];
    if let Some(before) = previous.filter(|before| before.venue.id != event.venue.id) {
        topics.push(Topic::venue(before.venue.id));
    }
    topics.push(Topic::festival());
    topics
}

fn audience_topics(audience: &Audience) -> Vec<Topic> {
    match audience {
        Audience::Everyone => vec![Topic::festival()],
        Audience::Event { event_id } => vec![Topic::event(*event_id)],
        Audience::Venue { venue_id } => vec![Topic::venue(*venue_id)],
        Audience::Users { user_ids } => user_ids.iter().map(|id| Topic::user(*id)).collect(),
        Audience::Staff | Audience::Reached { .. } => vec![staff_announcements()],
    }
}

/// What only the staff hears of announcements.
fn staff_announcements() -> Topic {
    Topic::staff("announcements").expect("the name is valid")
}
