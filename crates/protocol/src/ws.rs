//! RFC 6455 framing: what server and client put around messages.
//!
//! A server's frames are not masked, so that one frame serves every subscriber ([`frame`]). The [`Decoder`] takes
//! bytes as they arrive and holds memory only while a message is incomplete.

mod decode;
mod encode;
mod handshake;

pub use decode::{CloseFrame, Decoder, Event, Input, Side, Violation};
pub use encode::{close_frame, frame, frame_end, masked_frame, payload, push_frame, push_header};
pub use handshake::accept_key;

/// Kinds of frames (RFC 6455 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// The next piece of a message.
    Continuation = 0,
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// "Are you there?"
    Ping = 9,
    /// "I am."
    Pong = 10,
}

impl Opcode {
    fn of(nibble: u8) -> Option<Self> {
        Some(match nibble {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// Most bytes that a control frame may carry.
pub const CONTROL_BYTES_MAX: usize = 125;
