//! What every node has to do, done in this shard.

use domain::{Revocation, Timestamp};

use super::{Key, Shard};
use crate::control::Control;

impl Shard {
    /// Does what concerns this shard's connections.
    pub(super) fn control(&mut self, control: &Control) {
        match control {
            Control::Revoked { at, revocation } => self.revoke(*at, revocation),
        }
    }

    /// Ends the connections whose sessions have ended.
    fn revoke(&mut self, at: Timestamp, revocation: &Revocation) {
        for key in self.connections_of(&revocation.user_id().to_string()) {
            let Some(connection) = self.get(key) else { continue };
            if let Some(code) = connection.session.ends(at, revocation) {
                self.close(key, code.into());
            }
        }
    }

    fn connections_of(&self, user: &str) -> Vec<Key> {
        self.users.of(user).iter().map(|index| self.key(*index as usize)).collect()
    }
}
