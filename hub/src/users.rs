//! Whose connections a shard has: asked when something concerns a person and not a topic.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::topics::ConnectionIndex;

/// The connections of each user in one shard. Of nobody in particular (the empty name) nothing is kept: there may be any
/// number of them.
#[derive(Debug, Default)]
pub(crate) struct Users(HashMap<Arc<str>, Connections>);

/// Most users have one.
#[derive(Debug)]
enum Connections {
    One(ConnectionIndex),
    #[expect(
        clippy::box_collection,
        reason = "few users have several, and each entry has the size of the largest"
    )]
    Several(Box<Vec<ConnectionIndex>>),
}

impl Users {
    /// A connection has become `user`'s.
    pub(crate) fn enter(&mut self, user: &Arc<str>, connection: ConnectionIndex) {
        match self.0.get_mut(user) {
            Some(Connections::Several(several)) => several.push(connection),
            Some(one) => *one = Connections::Several(Box::new([one.all(), &[connection]].concat())),
            None if user.is_empty() => {}
            None => drop(self.0.insert(Arc::clone(user), Connections::One(connection))),
        }
    }

    /// It is so no longer.
    pub(crate) fn leave(&mut self, user: &str, connection: ConnectionIndex) {
        let left = match self.0.get_mut(user) {
            None => return,
            Some(Connections::One(one)) => usize::from(*one != connection),
            Some(Connections::Several(several)) => {
                several.retain(|one| *one != connection);
                several.len()
            }
        };
        if left == 0 {
            self.0.remove(user);
        }
    }

    /// The connections of `user`.
    pub(crate) fn of(&self, user: &str) -> &[ConnectionIndex] {
        self.0.get(user).map_or(&[], Connections::all)
    }
}

impl Connections {
    fn all(&self) -> &[ConnectionIndex] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_their_own_connections() {
        let mut users = Users::default();
        let (amina, omar): (Arc<str>, Arc<str>) = ("4".into(), "5".into());
        for (user, connection) in [(&amina, 1), (&omar, 2), (&amina, 3)] {
            users.enter(user, connection);
        }
        users.leave("4", 1);
        users.leave("4", 9);
        users.enter(&"".into(), 7);
        assert_eq!((users.of("4"), users.of("5"), users.of("6")), (&[3][..], &[2][..], &[][..]));
        users.leave("4", 3);
        assert!(users.of("4").is_empty() && users.0.len() == 1);
    }
}
