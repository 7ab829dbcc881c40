//! The numbers of the Centrifuge client protocol, with their texts and what clients do on seeing them.
//!
//! Source: `centrifugal.dev/docs/server/codes` and the SDKs' own tables.

use std::fmt;

/// Declares an enum of wire codes with their texts.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $code:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum $name {
            $($(#[$about])* $variant = $code,)+
        }

        impl $name {
            /// Every code, in numeric order.
            pub const ALL: [Self; [$($code),+].len()] = [$(Self::$variant),+];

            /// The number on the wire.
            pub fn code(self) -> u16 {
                self as u16
            }

            /// The text on the wire.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The code with this number.
            pub fn from_code(code: u16) -> Option<Self> {
                Self::ALL.into_iter().find(|one| one.code() == code)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", self.code(), self.text())
            }
        }
    };
}

pub(crate) use codes;

codes! {
    /// Why a command was refused.
    ErrorCode {
        /// Something broke here; the client repeats later.
        Internal = 100, "internal server error";
        /// The client has no credentials.
        Unauthorized = 101, "unauthorized";
        /// No such topic, and none can come into being.
        UnknownChannel = 102, "unknown channel";
        /// The client may not do this.
        PermissionDenied = 103, "permission denied";
        /// No such rpc method.
        MethodNotFound = 104, "method not found";
        /// The topic is subscribed, or about to be.
        AlreadySubscribed = 105, "already subscribed";
        /// One more would be too many.
        LimitExceeded = 106, "limit exceeded";
        /// The command makes no sense.
        BadRequest = 107, "bad request";
        /// The server does not offer this.
        NotAvailable = 108, "not available";
        /// The token has run out; the client fetches another.
        TokenExpired = 109, "token expired";
        /// The connection or subscription has run out.
        Expired = 110, "expired";
        /// Too fast; the client repeats later.
        TooManyRequests = 111, "too many requests";
        /// What was published after the position is no longer known, or the position is of another incarnation.
        UnrecoverablePosition = 112, "unrecoverable position";
        /// Another page of the same listing is being read.
        ConcurrentPagination = 113, "concurrent pagination";
    }
}

impl ErrorCode {
    /// Whether the client may repeat the command as it is.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Internal | Self::TooManyRequests | Self::ConcurrentPagination)
    }

    /// How a connection ends on which there is no other way to say that `connect` was refused.
    pub fn as_disconnect(self) -> DisconnectCode {
        match self {
            Self::TokenExpired | Self::Expired => DisconnectCode::Expired,
            Self::TooManyRequests => DisconnectCode::TooManyRequests,
            Self::PermissionDenied => DisconnectCode::PermissionDenied,
            Self::Internal
            | Self::Unauthorized
            | Self::UnknownChannel
            | Self::MethodNotFound
            | Self::AlreadySubscribed
            | Self::LimitExceeded
            | Self::BadRequest
            | Self::NotAvailable
            | Self::UnrecoverablePosition
            | Self::ConcurrentPagination => DisconnectCode::ServerError,
        }
    }
}

codes! {
    /// Why the server ended a subscription. From 2500 on clients subscribe again by themselves.
    UnsubscribeCode {
        /// For good.
        Server = 2000, "server unsubscribe";
        /// Something may have been missed: subscribe again and recover.
        InsufficientState = 2500, "insufficient state";
        /// Subscribe again with a new subscription token.
        Expired = 2501, "subscription expired";
        /// Forget position and token, then subscribe again.
        StateInvalidated = 2502, "state invalidated";
    }
}

codes! {
    /// Why the server closed a connection. 3500 to 3999 are terminal: clients do not come back by themselves.
    DisconnectCode {
        /// The client went away.
        ConnectionClosed = 3000, "connection closed";
        /// The process ends; another one takes over.
        Shutdown = 3001, "shutdown";
        /// Something broke here.
        ServerError = 3004, "internal server error";
        /// The credentials ran out and were not renewed.
        Expired = 3005, "connection expired";
        /// A server-side subscription ran out.
        SubExpired = 3006, "subscription expired";
        /// The client reads too slowly for what it asked for.
        Slow = 3008, "slow";
        /// The socket failed or took too long.
        WriteError = 3009, "write error";
        /// Something may have been missed: connect again and recover.
        InsufficientState = 3010, "insufficient state";
        /// Connect again.
        ForceReconnect = 3011, "force reconnect";
        /// A ping was not answered.
        NoPong = 3012, "no pong";
        /// Too fast for too long.
        TooManyRequests = 3013, "too many requests";
        /// Forget positions and token, then connect again.
        StateInvalidated = 3014, "state invalidated";
        /// The token is not genuine, or somebody else's.
        InvalidToken = 3500, "invalid token";
        /// The client does not speak the protocol.
        BadRequest = 3501, "bad request";
        /// No successful connect in time.
        Stale = 3502, "stale";
        /// An operator closed it.
        ForceNoReconnect = 3503, "force disconnect";
        /// The user has too many connections.
        ConnectionLimit = 3504, "connection limit";
        /// The credentials give too many topics.
        ChannelLimit = 3505, "channel limit";
        /// A binary frame on a JSON connection, or the reverse.
        InappropriateProtocol = 3506, "inappropriate protocol";
        /// Nobody may connect this way.
        PermissionDenied = 3507, "permission denied";
        /// The server does not take asynchronous messages.
        NotAvailable = 3508, "not available";
        /// Too many errors in a row.
        TooManyErrors = 3509, "too many errors";
    }
}

impl DisconnectCode {
    /// Whether clients come back by themselves.
    pub fn reconnects(self) -> bool {
        self.code() < 3500
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the whole table is on the wire as the SDKs know it; a slip of a digit is seen here.
    #[test]
    fn the_tables_are_those_of_the_sdks() {
        let errors: Vec<_> =
            ErrorCode::ALL.iter().map(|one| (one.code(), one.text(), one.is_temporary())).collect();
        insta::assert_debug_snapshot!("errors", errors);
        let unsubscribes: Vec<_> = UnsubscribeCode::ALL.iter().map(|one| (one.code(), one.text())).collect();
        insta::assert_debug_snapshot!("unsubscribes", unsubscribes);
        let disconnects: Vec<_> =
            DisconnectCode::ALL.iter().map(|one| (one.code(), one.text(), one.reconnects())).collect();
        insta::assert_debug_snapshot!("disconnects", disconnects);
    }

    #[test]
    fn numbers_lead_back_to_their_codes() {
        for code in DisconnectCode::ALL {
            assert_eq!(DisconnectCode::from_code(code.code()), Some(code));
            assert!(code.text().len() < 124, "the text fits into a close frame");
        }
        assert_eq!(ErrorCode::from_code(99), None);
    }
}
