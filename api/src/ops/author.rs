//! Who makes a change, and the change that is written with it.

use domain::{Change, ChangeId, ChangeKind, Timestamp, UserId};

/// Who makes a change.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    /// The person; `None` for the system itself.
    pub(crate) actor: Option<UserId>,
    /// What the client calls its own mutation.
    pub(crate) mutation: Option<String>,
}

impl Author {
    /// A change of this author.
    pub(crate) fn change(&self, now: Timestamp, kind: ChangeKind) -> Change {
        let id = ChangeId::at(now, rand::random());
        Change { id, at: now, actor: self.actor, mutation: self.mutation.clone(), kind }
    }
}
