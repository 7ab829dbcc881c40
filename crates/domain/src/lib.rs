//! The vocabulary and the rules of a festival: ids, topics, times, roles, changes, lanes, receipts.
//!
//! Pure: no I/O, no clock of its own, no randomness of its own. Everything here can be tested by calling it.
//! One noun per idea; the words are those of `docs/ARCHITECTURE.md`.

mod access;
mod alert;
mod attributes;
mod change;
mod channel;
mod conflict;
mod coverage;
mod event;
mod festival_day;
mod id;
mod lane;
mod mac;
mod mail_code;
mod plural;
mod preferences;
mod preview;
mod push_subscription;
mod receipt;
mod recurrence;
mod retry;
mod revocation;
mod role;
mod text;
mod time;
mod topic;

pub use access::{Claims, Principal, may_subscribe};
pub use alert::{Alert, AlertCategory, AlertCertainty, AlertSeverity, AlertUrgency, MessageType};
pub use attributes::{Attributes, Publisher};
pub use change::{
    Announced, Aspect, Audience, Change, ChangeKind, EventSnapshot, NotificationKind, VenueSnapshot,
};
pub use channel::{Channel, ChannelUnknown};
pub use conflict::{
    Booking, Conflict, ConflictRule, Severity, Slot, SlotError, VenueRules, conflicts_of, conflicts_within,
};
pub use coverage::{COVERAGE_MARKS_SECONDS, Ended, PersonTally, Reach, ReachUnknown, mark_of};
pub use event::{EventPlan, EventStatus, IllegalTransition, StatusUnknown, aspects_between};
pub use festival_day::{FestivalDays, LocalTimeError, Zone, ZoneUnknown};
pub use id::{
    AnnouncementId, CategoryId, ChangeId, DeliveryId, DeviceId, EventId, NotificationId, PerformerId,
    PublicationId, UserId, VenueId,
};
pub use lane::{Lane, LaneUnknown};
pub use mac::ReceiptKey;
pub use mail_code::{bounce_local, delivery_of_bounce, unsubscribe_token, user_of_unsubscribe};
pub use plural::PluralForm;
pub use preferences::{
    Choices, NotificationCategory, NotificationCategoryUnknown, Preferences, QuietHours, Unwanted, Wish,
};
pub use preview::{PreviewDraft, PreviewedMessage, Previewer};
pub use push_subscription::{PushSubscription, PushSubscriptionError};
pub use receipt::{Action, DeliveryState, EvidenceKind, StateUnknown};
pub use recurrence::{Recurrence, RecurrenceError};
pub use retry::{Next, RetryPolicy, Times};
pub use revocation::{Bearer, Revocation, RevocationReason, Standing};
pub use role::{Permission, Role, RoleUnknown};
pub use text::{Language, LocalizedText};
pub use time::{Clock, ManualClock, Timestamp, TimestampError};
pub use topic::{Topic, TopicError, TopicKind};
