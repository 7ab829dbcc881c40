//! `refresh`: new credentials for a connection that is open.

use domain::Topic;
use protocol::centrifuge::command::RefreshRequest;
use protocol::centrifuge::reply::{Answer, RefreshResult};
use protocol::codes::{DisconnectCode, ErrorCode};

use super::access::ttl;
use super::{Fault, Out, Session, VERSION, World};
use crate::authority::{Grant, TokenRefused};

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
                TokenRefused::Expired => Fault::from(DisconnectCode::Expired),
                TokenRefused::Ended => ErrorCode::Expired.into(),
                TokenRefused::Invalid => DisconnectCode::InvalidToken.into(),
            })?;
        if *identity.user != *self.user() {
            return Err(DisconnectCode::InvalidToken.into());
        }
        let current = self.identity.as_deref().map_or(&[][..], |identity| &identity.grants);
        if !same_topics(&identity.grants, current) {
            return Err(DisconnectCode::InsufficientState.into()); // a new connect brings the new set
        }
        let expires_at = identity.expires_at;
        self.identity = Some(Box::new(identity.slim()));
        self.note_expiry();
        out.answer(
            id,
            Answer::Refresh(RefreshResult {
                client: self.client.to_string().into(),
                version: VERSION.into(),
                expires: expires_at.is_some(),
                ttl: ttl(expires_at, world.now),
            }),
        );
        self.end_what_is_no_longer_allowed(world, out);
        Ok(())
    }
}

/// Whether two lists, each of different topics, have the same.
fn same_topics(one: &[Grant], other: &[Grant]) -> bool {
    let has = |topic: &Topic| other.iter().any(|grant| grant.topic == *topic);
    one.len() == other.len() && one.iter().all(|grant| has(&grant.topic))
}
