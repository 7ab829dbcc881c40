//! A WebSocket by hand: every bit of every frame, and how the bytes are cut.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MASK: [u8; 4] = [0x5a, 0xa5, 0x0f, 0xf1];

/// What commands are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Json,
    Protobuf,
}

/// How a case has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// We close in the end, which is answered.
    Open,
    /// The server closes, or answers our close, with one of these codes.
    Closed(&'static [u16]),
    /// As before, or without a word.
    Dropped(&'static [u16]),
    /// Because a text is not UTF-8.
    NotText,
    /// Not because a text is not UTF-8.
    Text,
}

/// Opcode and payload.
pub(super) type Heard = (u8, Vec<u8>);

pub(super) struct Wire {
    stream: TcpStream,
}

/// A whole frame.
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    bits(true, 0, opcode, payload)
}

/// A frame with these bits in its first byte.
pub(super) fn bits(fin: bool, reserved: u8, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::from(fin) << 7 | reserved << 4 | opcode];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        length @ 126..65_536 => {
            frame.push(0x80 + 126);
            frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 + 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(super) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(8, &[&code.to_be_bytes(), reason].concat())
}

/// A command that is answered.
pub(super) fn command(id: usize) -> String {
    format!(r#"{{"id":{id},"rpc":{{"method":"time"}}}}"#)
}

/// The same in Protobuf, with as much data as makes it `length` bytes long.
pub(super) fn protobuf_command(length: usize) -> Vec<u8> {
    let varint = |mut value: usize, out: &mut Vec<u8>| {
        while value > 127 {
            out.push(u8::try_from(value & 127).unwrap() | 128);
            value >>= 7;
        }
        out.push(u8::try_from(value).unwrap());
    };
    let delimited = |tag: u8, body: &[u8], out: &mut Vec<u8>| {
        out.push(tag);
        varint(body.len(), out);
        out.extend_from_slice(body);
    };
    (2..length)
        .rev()
        .find_map(|data| {
            let (mut rpc, mut command, mut message) = (Vec::new(), vec![0x08, 0x02], Vec::new());
            delimited(0x0a, format!("\"{}\"", "x".repeat(data - 2)).as_bytes(), &mut rpc);
            delimited(0x12, b"time", &mut rpc);
            delimited(0x6a, &rpc, &mut command);
            varint(command.len(), &mut message);
            message.extend_from_slice(&command);
            (message.len() == length).then_some(message)
        })
        .expect("some data makes it so long")
}

/// How many replies were heard; one frame may hold several.
pub(super) fn reply_count(heard: &[Heard], dialect: Dialect) -> usize {
    let replies = |(opcode, payload): &Heard| match (dialect, opcode) {
        (Dialect::Json, 1) => String::from_utf8(payload.clone()).unwrap().matches(r#""id":"#).count(),
        (Dialect::Protobuf, 2) => {
            let (mut rest, mut count) = (&payload[..], 0);
            while let Some(at) = rest.iter().position(|byte| byte & 128 == 0) {
                let length = rest[..=at].iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 127));
                rest = &rest[at + 1 + length..];
                count += 1;
            }
            count
        }
        _ => 0,
    };
    heard.iter().map(replies).sum()
}

impl Wire {
    /// A socket that has connected.
    pub(super) async fn open(address: SocketAddr, dialect: Dialect) -> Self {
        let (mut wire, _) = Self::shake(address, dialect, "").await;
        let connect = match dialect {
            Dialect::Json => frame(1, br#"{"id":1,"connect":{}}"#),
            Dialect::Protobuf => frame(2, &[0x04, 0x08, 0x01, 0x22, 0x00]),
        };
        assert!(wire.send(&connect, usize::MAX).await);
        wire
    }

    /// A socket that offers an extension and connects; with the head of the answer.
    pub(super) async fn offering(address: SocketAddr, extension: &str) -> (Self, String) {
        let offer = format!("Sec-WebSocket-Extensions: {extension}\r\n");
        let (mut wire, head) = Self::shake(address, Dialect::Json, &offer).await;
        wire.send(&frame(1, br#"{"id":1,"connect":{}}"#), usize::MAX).await;
        (wire, head)
    }

    async fn shake(address: SocketAddr, dialect: Dialect, more: &str) -> (Self, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let query = if dialect == Dialect::Protobuf { "?cf_protocol=protobuf" } else { "" };
        let head = format!(
            "GET /connection/websocket{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        (Self { stream }, answer)
    }

    /// Sends in pieces of `chop` bytes; whether the server still takes them.
    pub(super) async fn send(&mut self, bytes: &[u8], chop: usize) -> bool {
        for piece in bytes.chunks(chop) {
            if self.stream.write_all(piece).await.is_err() {
                return false;
            }
            tokio::task::yield_now().await;
        }
        true
    }

    /// Everything until the server ends the stream, and the code of its close.
    pub(super) async fn rest(mut self) -> (Vec<Heard>, Option<u16>) {
        let mut bytes = Vec::new();
        // a reset after what was said is an end like any other
        let _ = self.stream.read_to_end(&mut bytes).await;
        let (mut heard, mut code, mut rest) = (Vec::new(), None, &bytes[..]);
        while let [first, second, tail @ ..] = rest {
            assert_eq!((first & 0xf0, second & 0x80), (0x80, 0), "whole frames, no reserved bits, no mask");
            let (length, tail) = match second {
                126 => (usize::from(u16::from_be_bytes([tail[0], tail[1]])), &tail[2..]),
                127 => {
                    (usize::try_from(u64::from_be_bytes(tail[..8].try_into().unwrap())).unwrap(), &tail[8..])
                }
                length => (usize::from(*length), tail),
            };
            let payload = &tail[..length];
            rest = &tail[length..];
            if first & 0x0f == 8 {
                assert!(code.is_none(), "one close");
                code = Some(payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]])));
            } else {
                assert!(code.is_none(), "nothing after the close");
                heard.push((first & 0x0f, payload.to_vec()));
            }
        }
        (heard, code)
    }
}
