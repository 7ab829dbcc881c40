//! Building frames.

use super::{CONTROL_BYTES_MAX, Opcode};

/// The bit that marks the last frame of a message.
const FIN: u8 = 0x80;
/// The bit that marks a masked payload.
const MASKED: u8 = 0x80;

/// A whole message as one frame of a server.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 10);
    push_frame(&mut out, opcode, payload);
    out
}

/// Writes a whole message as one frame of a server to the end of `out`.
pub fn push_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    push_header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// Writes to `out` the header of a server's frame with a whole message of `length` bytes, which is to follow.
pub fn push_header(out: &mut Vec<u8>, opcode: Opcode, length: usize) {
    push_header_of(out, opcode, length, 0);
}

/// The payload of one whole frame of a server.
///
/// # Panics
/// When `frame` has no whole header.
pub fn payload(frame: &[u8]) -> &[u8] {
    match frame[1] & 0x7f {
        126 => &frame[4..],
        127 => &frame[10..],
        _ => &frame[2..],
    }
}

/// A whole message as one frame of a client, masked with `mask`, which has to be unpredictable.
pub fn masked_frame(opcode: Opcode, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    push_header_of(&mut out, opcode, payload.len(), MASKED);
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// The payload of a close frame, cut to what a control frame may carry.
pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = Vec::with_capacity(2 + end);
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    frame(Opcode::Close, &payload)
}

/// The end of the frame that the byte at `at` belongs to (or starts), in a buffer of whole server frames.
///
/// What is sent up to there leaves the peer at a frame's border, where another frame may follow.
///
/// # Panics
/// When `frames` does not consist of whole frames, or `at` lies beyond them.
pub fn frame_end(frames: &[u8], at: usize) -> usize {
    let mut end = 0;
    while end < at {
        let header = &frames[end..];
        let (header_bytes, payload_bytes) = match header[1] & 0x7f {
            126 => (4, usize::from(u16::from_be_bytes([header[2], header[3]]))),
            127 => {
                let bytes: [u8; 8] = header[2..10].try_into().expect("it has eight bytes");
                (10, usize::try_from(u64::from_be_bytes(bytes)).expect("the frame lies in memory"))
            }
            short => (2, usize::from(short)),
        };
        end += header_bytes + payload_bytes;
    }
    end
}

fn push_header_of(out: &mut Vec<u8>, opcode: Opcode, length: usize, masked: u8) {
    out.push(FIN | opcode as u8);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.push(masked | short),
        (_, Ok(medium)) => {
            out.push(masked | 0x7e);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(masked | 0x7f);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_grow_with_the_payload() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let built = frame(Opcode::Binary, &vec![7; length]);
            assert_eq!(built.len(), header + length, "length {length}");
            assert_eq!(masked_frame(Opcode::Binary, &vec![7; length], [0; 4]).len(), header + 4 + length);
        }
        assert_eq!(frame(Opcode::Text, b"Hello"), b"\x81\x05Hello"); // RFC 6455 section 5.7
        assert_eq!(
            masked_frame(Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]),
            [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        );
    }

    #[test]
    fn frame_ends_are_found() {
        let mut frames = frame(Opcode::Text, &[b'a'; 3]);
        let one = frames.len();
        push_frame(&mut frames, Opcode::Text, &[b'b'; 300]);
        let two = frames.len();
        push_frame(&mut frames, Opcode::Text, &vec![b'c'; 70_000]);
        let three = frames.len();
        for (at, end) in
            [(0, 0), (1, one), (one, one), (one + 1, two), (two, two), (two + 5, three), (three, three)]
        {
            assert_eq!(frame_end(&frames, at), end, "at {at}");
        }
    }

    #[test]
    fn close_reasons_are_cut_at_characters() {
        let close = close_frame(3001, &"é".repeat(100));
        assert_eq!(close.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&close[4..]).is_ok());
    }
}
