//! Positions as evidence: who comes back with one has received everything up to it.

use domain::{DeliveryState, Topic};
use protocol::centrifuge::command::SubscribeRequest;

use super::{Confirmation, Out, Proof, Session, World};

impl Session {
    /// Confirms the notifications in a person's own topic that lie behind the position they present.
    pub(super) fn confirm_received(
        &self,
        topic: &Topic,
        wish: Option<&SubscribeRequest<'_>>,
        world: &World<'_>,
        out: &mut Out,
    ) {
        let Some(wish) = wish.filter(|wish| wish.recover && wish.offset > 0) else { return };
        let principal = self.identity.as_ref().and_then(|identity| identity.principal.as_ref());
        if principal.is_none_or(|principal| Topic::user(principal.user_id) != *topic) {
            return;
        }
        let history = world.histories.read(world.histories.partition_of(topic));
        let received = history.received(topic, (&wish.epoch, wish.offset));
        out.confirmations.extend(received.into_iter().map(|delivery| Confirmation {
            command: None,
            delivery,
            state: DeliveryState::Delivered,
            proof: Proof::Position,
        }));
    }
}
