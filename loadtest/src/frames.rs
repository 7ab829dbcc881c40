//! The frames of a server, as far as a receiver has to know them: where each begins and ends, and what kind it is.

/// A frame in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// RFC 6455 section 5.2.
    pub opcode: u8,
    /// What it carries.
    pub payload: &'a [u8],
    /// Bytes that it takes with its header.
    pub bytes: usize,
}

/// A continued message, or the first piece of one, is data as any other.
pub(crate) const CONTINUATION: u8 = 0;
/// UTF-8 text.
pub(crate) const TEXT: u8 = 1;
/// Bytes.
pub(crate) const BINARY: u8 = 2;
/// The end.
pub(crate) const CLOSE: u8 = 8;
/// "Are you there?"
pub(crate) const PING: u8 = 9;

/// The frame that `bytes` begins with; `None` while it is not whole.
pub(crate) fn first(bytes: &[u8]) -> Option<Frame<'_>> {
    let [kind, short, ..] = bytes else { return None };
    let (header, length) = match short & 0x7f {
        126 => (4_usize, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let payload = bytes.get(header..header.checked_add(length)?)?;
    Some(Frame { opcode: kind & 0x0f, payload, bytes: header + length })
}

#[cfg(test)]
mod tests {
    use protocol::ws::{Opcode, frame};

    use super::*;

    #[test]
    fn frames_are_taken_one_by_one_and_only_whole() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![7; length];
            let mut bytes = frame(Opcode::Binary, &payload);
            let whole = bytes.len();
            bytes.extend_from_slice(&frame(Opcode::Ping, b"x"));
            let found = first(&bytes).unwrap();
            assert_eq!((found.opcode, found.payload.len(), found.bytes), (BINARY, length, whole));
            let next = first(&bytes[whole..]).unwrap();
            assert_eq!((next.opcode, next.payload), (PING, &b"x"[..]));
            for cut in [0, 1, 2, whole - 1] {
                assert!(
                    cut == whole || first(&bytes[..cut.min(whole - 1)]).is_none(),
                    "{length} cut at {cut}"
                );
            }
        }
        assert_eq!(first(&[0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
