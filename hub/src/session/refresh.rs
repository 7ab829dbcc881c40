//! `refresh`: new credentials for a connection that is open.

use protocol::centrifuge::command::RefreshRequest;
use protocol::centrifuge::reply::{Answer, RefreshResult};
use protocol::codes::{DisconnectCode, UnsubscribeCode};

use super::connect::server_side_topics;
use super::{Fault, Out, Session, VERSION, World};
use crate::authority::TokenRefused;

impl Session {
    pub(super) fn refresh(
        &mut self,
        id: u32,
        request: &RefreshRequest<'_>,
        world: &mut World<'_>,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let identity =
            world.authority.identify(&request.token, world.now).map_err(|refused| match refused {
                TokenRefused::Expired => DisconnectCode::Expired,
                TokenRefused::Invalid => DisconnectCode::InvalidToken,
            })?;
        let current = self.identity.as_deref().ok_or(DisconnectCode::InvalidToken)?;
        if identity.principal.user_id != current.principal.user_id {
            return Err(DisconnectCode::InvalidToken.into());
        }
        if server_side_topics(&identity) != server_side_topics(current) {
            return Err(DisconnectCode::InsufficientState.into()); // a new connect brings the new set
        }
        self.identity = Some(Box::new(identity));
        out.answer(
            id,
            Answer::Refresh(RefreshResult {
                client: self.client.to_string().into(),
                version: VERSION.into(),
                expires: true,
                ttl: self.ttl(world.now),
            }),
        );
        self.end_what_is_no_longer_allowed(world, out);
        Ok(())
    }

    /// The new credentials may allow less than those before.
    fn end_what_is_no_longer_allowed(&mut self, world: &mut World<'_>, out: &mut Out) {
        for at in (0..self.subscriptions.len()).rev() {
            let topic = world.topics.topic_of(self.subscriptions[at].id);
            if !self.subscriptions[at].server_side && !domain::may_subscribe(self.principal(), topic) {
                self.say_unsubscribed(at, UnsubscribeCode::Server, world.topics, out);
            }
        }
    }
}
