//! Ids as distinct types, so that an event's id is never taken for a venue's.
//!
//! What organizers create has integer ids given by the database (the API promises `"id": 1`). What is made in
//! bulk, by machines or by clients has UUIDs that are derived from their parts or take time and randomness as
//! arguments, so that doing the same work twice makes the same ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Channel, Timestamp};

/// Declares newtypes over `i64`: ids that the database gives.
macro_rules! integer_id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

/// Declares newtypes over [`Uuid`].
macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

integer_id! {
    /// A person with an account.
    UserId;
    /// A place of the festival: a stage, a hall, a tent.
    VenueId;
    /// A kind of event: concert, workshop, exhibition.
    CategoryId;
    /// An item of the programme.
    EventId;
    /// Who performs or speaks at events.
    PerformerId;
    /// A phone or browser registered for push.
    DeviceId;
    /// A message of the organizers to an audience.
    AnnouncementId;
}

uuid_id! {
    /// A committed fact about the domain; `UUIDv7`, made when the operation runs.
    ChangeId;
    /// One entry of one topic in the change log; derived from the change and the topic.
    PublicationId;
    /// One thing to tell people; derived from the change that caused it.
    NotificationId;
    /// Notification x recipient x channel x target; derived from those four.
    DeliveryId;
}

/// Namespace under which Munadi derives its `UUIDv5` ids; chosen once, never to change.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d75_6e61_6469_4a0e_9c3f_5b1d_2e87_4f60);

impl ChangeId {
    /// A new id at `now`, unique by 74 bits of `randomness`: sorts by creation.
    pub fn at(now: Timestamp, randomness: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_microsecond() / 1000).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &randomness).into_uuid())
    }
}

impl PublicationId {
    /// The id of what `change` publishes in `topic`: the same at every repetition.
    pub fn of(change: ChangeId, topic: &str) -> Self {
        Self(derive(&["publication", &change.to_string(), topic]))
    }
}

impl NotificationId {
    /// The notification that `change` causes: the same at every repetition.
    pub fn of(change: ChangeId) -> Self {
        Self(derive(&["notification", &change.to_string()]))
    }
}

impl NotificationId {
    /// The reminder that `event` starts at `starts_at`, `lead_minutes` before.
    pub fn of_reminder(event: EventId, starts_at: Timestamp, lead_minutes: u32) -> Self {
        Self(derive(&["reminder", &event.to_string(), &starts_at.to_string(), &lead_minutes.to_string()]))
    }

    /// The digest of `user` that was due at `due`.
    pub fn of_digest(user: UserId, due: Timestamp) -> Self {
        Self(derive(&["digest", &user.to_string(), &due.to_string()]))
    }
}

impl DeliveryId {
    /// The delivery of `notification` to `user` through `channel` at `target` (a device id, or an address).
    pub fn of(notification: NotificationId, user: UserId, channel: Channel, target: &str) -> Self {
        Self(derive(&["delivery", &notification.to_string(), &user.to_string(), channel.as_str(), target]))
    }
}

/// A `UUIDv5` over the parts, joined by a byte that none of them contains.
fn derive(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, parts.join("\0").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_the_same_again_and_differ_by_each_part() {
        let change = ChangeId::at(Timestamp::from_microsecond(1_700_000_000_000_000).unwrap(), [7; 10]);
        let notification = NotificationId::of(change);
        assert_eq!(notification, NotificationId::of(change));
        let ids = [
            DeliveryId::of(notification, UserId(1), Channel::Apns, "5"),
            DeliveryId::of(notification, UserId(2), Channel::Apns, "5"),
            DeliveryId::of(notification, UserId(1), Channel::Fcm, "5"),
            DeliveryId::of(notification, UserId(1), Channel::Apns, "6"),
        ];
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[index + 1..].contains(id));
        }
    }
}
