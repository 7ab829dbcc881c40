//! The numbers of Pusher's protocol: in `pusher:error` and as codes of the close frame.

use std::fmt;

use crate::codes::codes;

codes! {
    /// Why a connection was refused or closed, or an event of a client was not taken.
    Code {
        /// Only encrypted connections are welcome.
        TlsRequired = 4000, "TLS is required";
        /// No application has this key.
        UnknownApp = 4001, "application does not exist";
        /// The application is switched off.
        AppDisabled = 4003, "application is disabled";
        /// The application has all the connections that it may have.
        OverQuota = 4004, "application is over its connection quota";
        /// Nothing is at this path.
        UnknownPath = 4005, "path not found";
        /// The client does not say its version as a number.
        BadVersion = 4006, "invalid version string format";
        /// The client speaks a version of the protocol that is not spoken here.
        UnsupportedProtocol = 4007, "unsupported protocol version";
        /// The client names no version of the protocol.
        NoProtocol = 4008, "no protocol version supplied";
        /// The signature is wrong, or the application has ended the connection.
        Unauthorized = 4009, "connection is unauthorized";
        /// This server is full.
        OverCapacity = 4100, "over capacity";
        /// The process ends; another one takes over.
        Reconnect = 4200, "generic reconnect immediately";
        /// A ping was not answered.
        NoPong = 4201, "pong reply not received in time";
        /// The client was silent for too long.
        Inactive = 4202, "closed after inactivity";
        /// A client's event was not taken: too many, or not allowed. Never a reason to close.
        ClientEventRejected = 4301, "client event rejected";
    }
}

/// What clients do on seeing a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Connect again with TLS.
    UseTls,
    /// Give up: connecting again would not help.
    GiveUp,
    /// Connect again after a second or more.
    BackOff,
    /// Connect again at once.
    Retry,
    /// Tell the application; the connection goes on. As the code of a close it would mean [`Reaction::GiveUp`].
    Tell,
}

impl Code {
    /// What clients do on seeing this code (pusher-js, `protocol.ts`).
    pub fn reaction(self) -> Reaction {
        match self.code() {
            4000 => Reaction::UseTls,
            4001..4100 => Reaction::GiveUp,
            4100..4200 => Reaction::BackOff,
            4200..4300 => Reaction::Retry,
            _ => Reaction::Tell,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the table is the one that clients know; a slip of a digit is seen here.
    #[test]
    fn the_table_is_that_of_the_clients() {
        let lines: Vec<_> = Code::ALL.iter().map(|code| format!("{code}: {:?}", code.reaction())).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        4000 TLS is required: UseTls
        4001 application does not exist: GiveUp
        4003 application is disabled: GiveUp
        4004 application is over its connection quota: GiveUp
        4005 path not found: GiveUp
        4006 invalid version string format: GiveUp
        4007 unsupported protocol version: GiveUp
        4008 no protocol version supplied: GiveUp
        4009 connection is unauthorized: GiveUp
        4100 over capacity: BackOff
        4200 generic reconnect immediately: Retry
        4201 pong reply not received in time: Retry
        4202 closed after inactivity: Retry
        4301 client event rejected: Tell
        ");
        assert!(Code::ALL.iter().all(|code| code.text().len() < 124), "the text fits into a close frame");
    }
}
