//! How a connection wants its messages: in which dialect, and with what around them.

use bytes::Bytes;
use protocol::centrifuge::reply::{Event, Push, Reply};
use protocol::centrifuge::{Dialect, json};
use protocol::codes::DisconnectCode;
use protocol::pusher::ServerMessage;
use protocol::ws;

use crate::pusher;

/// Bytes of messages up to which they are joined into one frame; a client holds a frame before it reads it.
const JOINED_BYTES: usize = 16_384;
/// `pusher:ping` in a text frame.
const PUSHER_PING: &[u8] = b"\x81\x23{\"event\":\"pusher:ping\",\"data\":\"{}\"}";

/// The form of what goes to a connection. Connections of one wire get the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Wire {
    /// JSON in text frames of a WebSocket.
    JsonSocket,
    /// Protobuf in binary frames of a WebSocket.
    ProtobufSocket,
    /// JSON, a line feed after each message, in the body of a response.
    JsonLines,
    /// Protobuf, each message behind its length, in the body of a response.
    ProtobufLines,
    /// JSON as server-sent events.
    Events,
    /// As [`Wire::JsonSocket`], in one direction: bare pushes.
    OneWaySocket,
    /// As [`Wire::JsonLines`], in one direction.
    OneWayLines,
    /// As [`Wire::Events`], in one direction.
    OneWayEvents,
    /// Pusher's protocol in text frames of a WebSocket, a frame for each message.
    Pusher,
}

impl Wire {
    /// Every wire, in the order of its number.
    pub(crate) const ALL: [Self; 9] = [
        Self::JsonSocket,
        Self::ProtobufSocket,
        Self::JsonLines,
        Self::ProtobufLines,
        Self::Events,
        Self::OneWaySocket,
        Self::OneWayLines,
        Self::OneWayEvents,
        Self::Pusher,
    ];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::JsonSocket => "json_socket",
            Self::ProtobufSocket => "protobuf_socket",
            Self::JsonLines => "json_lines",
            Self::ProtobufLines => "protobuf_lines",
            Self::Events => "events",
            Self::OneWaySocket => "one_way_socket",
            Self::OneWayLines => "one_way_lines",
            Self::OneWayEvents => "one_way_events",
            Self::Pusher => "pusher",
        }
    }

    /// How its messages are written.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::ProtobufSocket | Self::ProtobufLines => Dialect::Protobuf,
            Self::JsonSocket
            | Self::JsonLines
            | Self::Events
            | Self::OneWaySocket
            | Self::OneWayLines
            | Self::OneWayEvents
            | Self::Pusher => Dialect::Json,
        }
    }

    /// Whether it is a WebSocket; the others are bodies of responses.
    pub(crate) fn is_socket(self) -> bool {
        matches!(self, Self::JsonSocket | Self::ProtobufSocket | Self::OneWaySocket | Self::Pusher)
    }

    /// Whether clients say nothing after their first message.
    pub(crate) fn is_one_way(self) -> bool {
        matches!(self, Self::OneWaySocket | Self::OneWayLines | Self::OneWayEvents)
    }

    /// Adds a push of Centrifuge's to the messages in `out`.
    pub(crate) fn write_push(self, out: &mut Vec<u8>, push: Push<'_>) {
        if self.is_one_way() {
            self.dialect().write_push(out, &push);
        } else {
            self.dialect().write_reply(out, &Reply::Push(push));
        }
    }

    /// Puts around messages what the transport needs.
    pub(crate) fn pack(self, messages: &[u8]) -> Bytes {
        match self {
            Self::JsonSocket | Self::OneWaySocket => ws::frame(ws::Opcode::Text, messages).into(),
            Self::ProtobufSocket => ws::frame(ws::Opcode::Binary, messages).into(),
            Self::JsonLines | Self::OneWayLines => [messages, b"\n"].concat().into(),
            Self::ProtobufLines => Bytes::copy_from_slice(messages),
            Self::Events | Self::OneWayEvents => {
                let mut events = Vec::with_capacity(messages.len() + 16);
                for message in messages.split(|byte| *byte == json::SEPARATOR) {
                    events.extend_from_slice(b"data: ");
                    events.extend_from_slice(message);
                    events.extend_from_slice(b"\n\n");
                }
                events.into()
            }
            Self::Pusher => {
                let frames = messages.split(|byte| *byte == json::SEPARATOR);
                frames.flat_map(|message| ws::frame(ws::Opcode::Text, message)).collect()
            }
        }
    }

    /// Adds messages that were packed one by one to `out`: in as few frames as the protocol allows, where clients take
    /// frames with several messages.
    pub(crate) fn join(self, packed: &[&Bytes], out: &mut Vec<u8>) {
        let (opcode, separator): (_, &[u8]) = match self {
            Self::JsonSocket => (ws::Opcode::Text, &[json::SEPARATOR]),
            Self::ProtobufSocket => (ws::Opcode::Binary, &[]),
            _ => return packed.iter().for_each(|one| out.extend_from_slice(one)),
        };
        let mut rest = packed;
        let mut payload = Vec::new();
        while let [first, later @ ..] = rest {
            payload.clear();
            payload.extend_from_slice(ws::payload(first));
            rest = later;
            while let [next, later @ ..] = rest
                && payload.len() + next.len() <= JOINED_BYTES
            {
                payload.extend_from_slice(separator);
                payload.extend_from_slice(ws::payload(next));
                rest = later;
            }
            ws::push_header(out, opcode, payload.len());
            out.extend_from_slice(&payload);
        }
    }

    /// The protocol's own ping: an empty message.
    pub(crate) fn ping(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Pusher => PUSHER_PING,
            Self::JsonSocket | Self::OneWaySocket => b"\x81\x02{}",
            Self::ProtobufSocket => b"\x82\x01\0",
            Self::JsonLines | Self::OneWayLines => b"{}\n",
            Self::ProtobufLines => b"\0",
            Self::Events | Self::OneWayEvents => b"data: {}\n\n",
        })
    }

    /// The last thing that the server says: why the connection ends.
    pub(crate) fn farewell(self, code: u16, reason: &str) -> Bytes {
        if self == Self::Pusher
            && let Some(code) = DisconnectCode::from_code(code).map(pusher::close_code)
        {
            // some clients look at the message only
            let mut message = Vec::new();
            ServerMessage::Error { code: Some(code), message: code.text() }.write(&mut message);
            return [&*self.pack(&message), &ws::close_frame(code.code(), code.text())].concat().into();
        }
        if self.is_socket() {
            return ws::close_frame(code, reason).into();
        }
        let mut messages = Vec::new();
        let event = Event::Disconnect(u32::from(code), reason.into());
        self.write_push(&mut messages, Push::to_connection(event));
        self.pack(&messages)
    }

    /// Where what must not be torn apart ends, in a chunk of which `written` bytes are on their way.
    pub(crate) fn whole(self, chunk: &[u8], written: usize) -> usize {
        match (self.is_socket(), written) {
            (true, _) => ws::frame_end(chunk, written),
            (false, 0) => 0,
            (false, _) => chunk.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_messages_is_the_transports() {
        let two = b"{\"a\":1}\n{\"b\":2}";
        assert_eq!(&Wire::JsonSocket.pack(two)[2..], two);
        assert_eq!(&*Wire::JsonLines.pack(two), b"{\"a\":1}\n{\"b\":2}\n");
        assert_eq!(&*Wire::Events.pack(two), b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\n");
        assert_eq!(Wire::ProtobufSocket.pack(b"\x01x")[0], 0x82);
        for (number, wire) in Wire::ALL.into_iter().enumerate() {
            assert_eq!(wire as usize, number);
            let mut empty = Vec::new();
            match wire {
                Wire::Pusher => ServerMessage::Ping.write(&mut empty),
                _ => wire.dialect().write_reply(&mut empty, &Reply::Ping),
            }
            assert_eq!(wire.ping(), wire.pack(&empty), "{wire:?}");
        }
    }

    #[test]
    fn farewells_are_close_frames_or_pushes() {
        assert_eq!(&Wire::JsonSocket.farewell(3001, "shutdown")[..4], b"\x88\x0a\x0b\xb9");
        let push = b"{\"push\":{\"disconnect\":{\"code\":3001,\"reason\":\"shutdown\"}}}\n";
        assert_eq!(&*Wire::JsonLines.farewell(3001, "shutdown"), push);
        let pusher = Wire::Pusher.farewell(3001, "shutdown");
        assert!(pusher.ends_with(b"\x88\x1f\x10\x68generic reconnect immediately"), "{pusher:?}");
        assert_eq!(&Wire::Pusher.farewell(1009, "")[..], b"\x88\x02\x03\xf1");
        let bare = b"data: {\"disconnect\":{\"code\":3500,\"reason\":\"invalid token\"}}\n\n";
        assert_eq!(&*Wire::OneWayEvents.farewell(3500, "invalid token"), bare);
    }
}
