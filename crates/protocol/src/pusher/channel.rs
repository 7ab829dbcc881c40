//! Names of Pusher channels, and what their prefixes say.

/// What a channel's name begins with: who may subscribe and what subscribers get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Prefix {
    /// Nothing: open to everybody.
    Public,
    /// `cache-`: open to everybody, with the last event on subscribing.
    Cache,
    /// `private-`: needs a signature.
    Private,
    /// `private-cache-`.
    PrivateCache,
    /// `private-encrypted-`: events are readable to clients only.
    Encrypted,
    /// `private-encrypted-cache-`.
    EncryptedCache,
    /// `presence-`: needs a signature that says who somebody is; subscribers see each other.
    Presence,
    /// `presence-cache-`.
    PresenceCache,
    /// `#server-to-user-`: what the server tells one signed-in user.
    User,
}

impl Prefix {
    /// Every prefix, in the order of [`Prefix::index`].
    pub const ALL: [Self; 9] = [
        Self::Public,
        Self::Cache,
        Self::Private,
        Self::PrivateCache,
        Self::Encrypted,
        Self::EncryptedCache,
        Self::Presence,
        Self::PresenceCache,
        Self::User,
    ];

    /// A number from 0, for tables.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The characters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "",
            Self::Cache => "cache-",
            Self::Private => "private-",
            Self::PrivateCache => "private-cache-",
            Self::Encrypted => "private-encrypted-",
            Self::EncryptedCache => "private-encrypted-cache-",
            Self::Presence => "presence-",
            Self::PresenceCache => "presence-cache-",
            Self::User => "#server-to-user-",
        }
    }

    /// Whether subscribing needs a signature of the application.
    pub fn is_signed(self) -> bool {
        !matches!(self, Self::Public | Self::Cache | Self::User)
    }

    /// Whether subscribers see each other.
    pub fn has_presence(self) -> bool {
        matches!(self, Self::Presence | Self::PresenceCache)
    }

    /// Whether whoever subscribes gets the last event.
    pub fn has_cache(self) -> bool {
        matches!(self, Self::Cache | Self::PrivateCache | Self::EncryptedCache | Self::PresenceCache)
    }

    /// Whether only clients can read the events.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Encrypted | Self::EncryptedCache)
    }

    /// Whether clients may send events to each other, as far as the protocol goes.
    pub fn takes_client_events(self) -> bool {
        self.is_signed() && !self.is_encrypted()
    }
}

/// A channel's name, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel<'a> {
    name: &'a str,
    prefix: Prefix,
}

/// A name that no channel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// No characters, or none after the prefix.
    #[error("a channel has a name")]
    Empty,
    /// Too long.
    #[error("the name of a channel has at most {max} characters, this one has {length}")]
    TooLong {
        /// Of this name.
        length: usize,
        /// Of any name.
        max: usize,
    },
    /// A character that the protocol has no room for.
    #[error("the name of a channel consists of letters, digits and _ - = @ , . ;")]
    Character,
}

impl<'a> Channel<'a> {
    /// Reads a name of at most `length_max` characters.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub fn parse(name: &'a str, length_max: usize) -> Result<Self, ChannelError> {
        let prefix = Prefix::ALL.into_iter().filter(|prefix| name.starts_with(prefix.as_str()));
        let prefix = prefix.max_by_key(|prefix| prefix.as_str().len()).unwrap_or(Prefix::Public);
        let base = &name[prefix.as_str().len()..];
        if base.is_empty() {
            return Err(ChannelError::Empty);
        }
        if name.len() > length_max {
            return Err(ChannelError::TooLong { length: name.chars().count(), max: length_max });
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte);
        if base.bytes().all(fits) { Ok(Self { name, prefix }) } else { Err(ChannelError::Character) }
    }

    /// The whole name.
    pub fn name(self) -> &'a str {
        self.name
    }

    /// What it begins with.
    pub fn prefix(self) -> Prefix {
        self.prefix
    }

    /// What comes after the prefix.
    pub fn base(self) -> &'a str {
        &self.name[self.prefix.as_str().len()..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_say_what_a_channel_is() {
        let table = [
            ("festival", Prefix::Public, "festival"),
            ("cache-weather", Prefix::Cache, "weather"),
            ("private-user.42", Prefix::Private, "user.42"),
            ("private-cache-menu", Prefix::PrivateCache, "menu"),
            ("private-encrypted-notes", Prefix::Encrypted, "notes"),
            ("private-encrypted-cache-notes", Prefix::EncryptedCache, "notes"),
            ("presence-gate.3", Prefix::Presence, "gate.3"),
            ("presence-cache-gate.3", Prefix::PresenceCache, "gate.3"),
            ("#server-to-user-42", Prefix::User, "42"),
            ("privateer", Prefix::Public, "privateer"),
            ("my-private-x", Prefix::Public, "my-private-x"),
        ];
        for (index, prefix) in Prefix::ALL.into_iter().enumerate() {
            assert_eq!(prefix.index(), index);
        }
        for (name, prefix, base) in table {
            let channel = Channel::parse(name, 200).unwrap();
            assert_eq!((channel.prefix(), channel.base(), channel.name()), (prefix, base, name));
        }
    }

    #[test]
    fn bad_names_are_refused_by_rule() {
        for name in ["", "private-", "presence-cache-", "#server-to-user-"] {
            assert_eq!(Channel::parse(name, 200), Err(ChannelError::Empty), "{name}");
        }
        for name in ["a b", "venue:5", "مهرجان", "a/b", "#x", "private-#x", "$control", "a\n"] {
            assert_eq!(Channel::parse(name, 200), Err(ChannelError::Character), "{name}");
        }
        let long = "x".repeat(201);
        assert_eq!(Channel::parse(&long, 200), Err(ChannelError::TooLong { length: 201, max: 200 }));
    }
}
