//! Which topics a slow client can do without for a while.

use std::cmp::Reverse;
use std::collections::HashMap;

use protocol::codes::{DisconnectCode, UnsubscribeCode};

use super::{Out, Session};
use crate::config::Config;
use crate::topics::{SubscriptionId, Topics};

impl Session {
    /// Of the subscriptions for which something waits (and how many bytes) the one that the client can best do
    /// without: the lowest priority, among equals the one with the most. The server's own are not among them, since
    /// only a new `connect` brings them back.
    pub(crate) fn least_important(
        &self,
        waiting: &HashMap<SubscriptionId, usize>,
        topics: &Topics,
        config: &Config,
    ) -> Option<SubscriptionId> {
        let own = self.subscriptions.iter().filter(|one| !one.server_side && !topics.is_void(one.id));
        own.filter_map(|one| {
            let bytes = *waiting.get(&one.id)?;
            let class = self.class_of(topics.topic_of(one.id), config);
            Some((class.map_or(0, |class| class.priority), Reverse(bytes), one.id))
        })
        .min()
        .map(|(_, _, id)| id)
    }

    /// Ends a subscription in such a way that the client makes it again and recovers.
    ///
    /// # Errors
    /// [`DisconnectCode::InsufficientState`] for clients that do so only after a new `connect`.
    pub(crate) fn end_for_now(
        &mut self,
        subscription: SubscriptionId,
        topics: &mut Topics,
        out: &mut Out,
    ) -> Result<(), DisconnectCode> {
        let Some(at) = self.subscriptions.iter().position(|one| one.id == subscription) else {
            return Ok(());
        };
        if self.subscriptions[at].server_side || self.stays_unsubscribed {
            return Err(DisconnectCode::InsufficientState);
        }
        self.say_unsubscribed(at, UnsubscribeCode::InsufficientState, topics, out);
        Ok(())
    }
}

/// Whether a client stays unsubscribed when told to subscribe again: `centrifuge-dart` up to 0.16, and without a
/// version, because applications need not give one.
pub(super) fn stays_unsubscribed(name: &str, version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    let newer = matches!((parts.next(), parts.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) > (0, 16));
    name == "dart" && !newer
}

#[cfg(test)]
mod tests {
    use super::stays_unsubscribed;

    #[test]
    fn only_old_dart_clients_stay_unsubscribed() {
        for (name, version, stays) in [
            ("dart", "", true),
            ("dart", "0.9.2", true),
            ("dart", "0.16.0", true),
            ("dart", "0.17.0", false),
            ("dart", "1.0", false),
            ("js", "", false),
            ("swift", "0.1.0", false),
        ] {
            assert_eq!(stays_unsubscribed(name, version), stays, "{name} {version}");
        }
    }
}
