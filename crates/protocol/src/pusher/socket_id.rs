//! The id of a connection, as signatures and exclusions name it.

use std::fmt;
use std::str::FromStr;

/// Two numbers with a dot between them. Both halves are chosen at random, so no two connections of any node share
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64, pub u64);

/// Text that is no socket id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a socket id is two numbers with a dot between them")]
pub struct SocketIdError;

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for SocketId {
    type Err = SocketIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str| {
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        let (first, second) = text.split_once('.').ok_or(SocketIdError)?;
        Ok(Self(number(first).ok_or(SocketIdError)?, number(second).ok_or(SocketIdError)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_ids_are_two_numbers() {
        for id in [SocketId(0, 0), SocketId(123, 456), SocketId(u64::MAX, u64::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for bad in ["", "1", "1.", ".1", "1.2.3", "+1.2", "1.-2", "a.b", "1.18446744073709551616", "1:2"] {
            assert_eq!(bad.parse::<SocketId>(), Err(SocketIdError), "{bad}");
        }
    }
}
