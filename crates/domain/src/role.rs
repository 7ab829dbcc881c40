//! Roles of people and devices, and what each may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What somebody is at the festival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the installation: everything.
    Admin,
    /// Runs the festival: programme and announcements.
    Organizer,
    /// Visits it.
    Attendee,
    /// Leads stewards at the gates.
    Supervisor,
    /// Works at a gate.
    Steward,
    /// A scanner, not a person.
    Device,
}

/// A word that names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a role: admin, organizer, attendee, supervisor, steward or device")]
pub struct RoleUnknown(pub String);

/// Something that not everybody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Create, change and remove venues, categories, performers and events; see drafts.
    EditProgramme,
    /// Publish and cancel announcements, and see whom they reached.
    Announce,
    /// Subscribe to `staff:` topics.
    WatchStaffTopics,
    /// Register devices of one's own and star events.
    UseOwnAccount,
    /// Create users and give roles.
    ManageUsers,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Admin, Self::Organizer, Self::Attendee, Self::Supervisor, Self::Steward, Self::Device];

    /// The word in JSON, SQL and tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Organizer => "organizer",
            Self::Attendee => "attendee",
            Self::Supervisor => "supervisor",
            Self::Steward => "steward",
            Self::Device => "device",
        }
    }

    /// The permission table.
    pub fn may(self, permission: Permission) -> bool {
        use Permission::{Announce, EditProgramme, UseOwnAccount, WatchStaffTopics};
        match self {
            Self::Admin => true,
            Self::Organizer => {
                matches!(permission, EditProgramme | Announce | WatchStaffTopics | UseOwnAccount)
            }
            Self::Supervisor | Self::Steward => matches!(permission, WatchStaffTopics | UseOwnAccount),
            Self::Attendee => matches!(permission, UseOwnAccount),
            Self::Device => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleUnknown;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == word).ok_or_else(|| RoleUnknown(word.to_owned()))
    }
}
