//! What connections of Pusher's are told besides publications.

use protocol::codes::DisconnectCode;

use super::{Key, Shard};
use crate::conversation::Conversation;
use crate::pusher::{Notice, Session};

impl Shard {
    /// Tells the connections here that a notice concerns.
    pub(super) fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Channel { topic, form, app, except, frame } => {
                let Some(topic) = self.topics.find(topic) else { return };
                let mut told = Vec::new();
                for member in self.topics.members(topic) {
                    let terms = member.terms.as_ref().and_then(|terms| terms.channel);
                    let Some(terms) = terms.filter(|terms| terms.form == *form) else { continue };
                    if app.is_some_and(|app| app != terms.app) || *except == Some(terms.socket_id) {
                        continue;
                    }
                    let connection = &mut self.connections[member.connection as usize];
                    connection.outgoing.push(frame.clone());
                    told.push(Key { index: member.connection, generation: connection.generation });
                }
                for key in told {
                    self.mark(key);
                    self.limit_answers(key);
                }
            }
            Notice::Terminate { app, user } => {
                let asked =
                    |session: &Session| session.is_of(*app, user).then_some(DisconnectCode::ForceNoReconnect);
                self.close_guests(asked);
            }
        }
    }

    /// Closes the connections for which `ends` has a reason. They are few enough, and it is rare enough, to ask each.
    pub(super) fn close_guests(&mut self, ends: impl Fn(&Session) -> Option<DisconnectCode>) {
        if self.shared.config.pusher.apps.is_empty() {
            return;
        }
        let found = self.connections.iter().filter_map(|(index, connection)| match &connection.session {
            Conversation::Pusher(session) => Some((index, ends(session)?)),
            Conversation::Centrifuge(_) => None,
        });
        for (index, code) in found.collect::<Vec<_>>() {
            self.close(self.key(index), code.into());
        }
    }
}
