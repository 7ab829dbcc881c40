//! Clients that only listen: they cannot subscribe later, so they name their topics as they connect.

use domain::Topic;
use protocol::centrifuge::command::ConnectRequest;

use super::World;
use crate::authority::{Grant, Identity};
use crate::classes::Caller;

/// The topics that a listener names and may subscribe to, beside those that its token brings. What it may not follow is
/// left out: the answer says what it follows.
pub(super) fn wished(
    request: &ConnectRequest<'_>,
    identity: Option<&Identity>,
    world: &World<'_>,
) -> Vec<Grant> {
    let granted = identity.map_or(&[][..], |identity| &identity.grants);
    let topics = request.subs.keys().filter_map(|name| Topic::new(&**name).ok());
    topics
        .filter(|topic| granted.iter().all(|grant| grant.topic != *topic))
        .filter(|topic| {
            let caller = Caller { identity, subscribed: false, topic };
            let class = world.config.classes.of(topic);
            class.is_some_and(|class| world.authority.insecure || class.allows(class.subscribe, caller))
        })
        .map(|topic| Grant::of(topic, false))
        .collect()
}
