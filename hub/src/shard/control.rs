//! What every node has to do, done in this shard.

use domain::{Revocation, Timestamp};
use protocol::codes::DisconnectCode;

use super::input::world;
use super::{Key, Shard};
use crate::control::{Command, Control, Disconnect, Whose};
use crate::conversation::Conversation;
use crate::world::{Patience, World};

impl Shard {
    /// Does what concerns this shard's connections.
    pub(super) fn control(&mut self, control: &Control) {
        match control {
            Control::Revoked { at, revocation } => self.revoke(*at, revocation),
            Control::Command(command) => {
                for key in self.meant(command.whose()) {
                    self.command(key, command);
                }
            }
        }
    }

    /// Ends the connections whose sessions have ended.
    fn revoke(&mut self, at: Timestamp, revocation: &Revocation) {
        for key in self.keys_of(&revocation.user_id().to_string()) {
            let Some(connection) = self.get(key) else { continue };
            if let Some(code) = connection.session.ends(at, revocation) {
                self.close(key, code.into());
            }
        }
        self.close_guests(|session| session.ends(at, revocation));
    }

    /// Does what an application's back end wants of one connection.
    fn command(&mut self, key: Key, command: &Command) {
        let Some(connection) = self.connections.get_mut(key.index as usize) else { return };
        self.out.wire = connection.wire;
        let Conversation::Centrifuge(session) = &mut connection.session else { return };
        let mut world = world!(self, key, Patience::Wait);
        let done = match command {
            Command::Disconnect(disconnect) => return self.disconnect(key, disconnect),
            Command::Unsubscribe { topic, .. } => {
                session.end_subscription(topic, &mut world, &mut self.out);
                Ok(())
            }
            Command::Subscribe(begin) => session.begin_subscription(begin, &mut world, &mut self.out),
            Command::Refresh(renewal) => session.renew(renewal, world.now, &mut self.out),
        };
        self.say(key);
        match done {
            Ok(()) => self.watch(key),
            Err(code) => self.close(key, code.into()),
        }
    }

    fn disconnect(&mut self, key: Key, disconnect: &Disconnect) {
        let Some(connection) = self.get(key) else { return };
        let Conversation::Centrifuge(session) = &connection.session else { return };
        if !disconnect.whitelist.contains(&session.client()) {
            let told = (disconnect.code, disconnect.reason.as_str());
            self.close_saying(key, DisconnectCode::ForceNoReconnect.into(), told);
        }
    }

    /// The open connections that are meant.
    fn meant(&self, whose: &Whose) -> Vec<Key> {
        let mut keys = if whose.user.is_empty() {
            self.connections.iter().map(|(index, _)| self.key(index)).collect() // rare: of these there is no list
        } else {
            self.keys_of(&whose.user)
        };
        keys.retain(|key| {
            let connection = &self.connections[key.index as usize];
            let meant = match &connection.session {
                Conversation::Centrifuge(session) => session.is_of(whose),
                Conversation::Pusher(_) => false, // these commands name clients as the other protocol does
            };
            connection.is_open() && meant
        });
        keys
    }

    fn keys_of(&self, user: &str) -> Vec<Key> {
        self.users.of(user).iter().map(|index| self.key(*index as usize)).collect()
    }
}
