//! Reading frames as they arrive.
//!
//! A frame that lies whole in the input is unmasked in place and handed out without a copy. Only what is incomplete
//! is kept, in a buffer that grows with the bytes that came, never with the length that was announced.

use super::{CONTROL_BYTES_MAX, Opcode};

/// Most bytes of a frame's header.
const HEADER_BYTES_MAX: usize = 14;

/// Which end of the connection decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Takes masked frames only.
    Server,
    /// Takes unmasked frames only.
    Client,
}

/// What arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A ping; to be answered with a pong of the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The peer closes.
    Close(Option<CloseFrame<'a>>),
}

/// Why the peer closes.
#[derive(Debug, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// RFC 6455 section 7.4.
    pub code: u16,
    /// For people.
    pub reason: &'a str,
}

/// Something that RFC 6455 forbids, or more than we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Close code 1002.
    #[error("websocket protocol error: {0}")]
    Protocol(&'static str),
    /// Close code 1007.
    #[error("text is not UTF-8")]
    Utf8,
    /// Close code 1009.
    #[error("message too big")]
    TooBig,
}

impl Violation {
    /// The close code for it.
    pub fn close_code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Utf8 => 1007,
            Self::TooBig => 1009,
        }
    }
}

/// Bytes from the socket on their way through a [`Decoder`].
#[derive(Debug)]
pub struct Input<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Input<'a> {
    /// All of `bytes`. They are unmasked in place.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// What no decoder has taken yet.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, count: usize) -> &mut [u8] {
        let start = self.at;
        self.at += count;
        &mut self.bytes[start..self.at]
    }
}

/// Reads the frames of one connection. Idle it holds no memory of its own.
#[derive(Debug)]
pub struct Decoder {
    side: Side,
    message_bytes_max: u32,
    partial: Option<Box<Partial>>,
}

/// What has come of a frame or message that is not complete.
#[derive(Debug, Default)]
struct Partial {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: u8,
    frame: Option<Frame>,
    /// Payload of an incomplete data message, unmasked.
    message: Vec<u8>,
    /// Kind of the data message that waits for continuation frames.
    fragmented: Option<Opcode>,
    /// Payload of an incomplete control frame, unmasked.
    control: Vec<u8>,
    /// Whether `message` is complete and was handed out.
    handed_out: bool,
}

/// A frame whose header was read.
#[derive(Debug, Clone, Copy)]
struct Frame {
    fin: bool,
    opcode: Opcode,
    mask: [u8; 4],
    length: usize,
    taken: usize,
}

/// What headers have to keep to.
#[derive(Debug, Clone, Copy)]
struct Rules {
    side: Side,
    message_bytes_max: u32,
    /// Whether a message waits for continuation frames.
    fragmented: bool,
    /// Bytes of it that are here.
    held: usize,
}

impl Decoder {
    /// For a connection that has just been opened.
    pub fn new(side: Side, message_bytes_max: u32) -> Self {
        Self { side, message_bytes_max, partial: None }
    }

    /// Bytes of memory that incomplete messages hold.
    pub fn held_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.message.capacity() + partial.control.capacity())
    }

    /// The next event of `input`; `None` when more bytes are needed. Call it until then.
    ///
    /// # Errors
    /// [`Violation`]: the connection cannot go on; close it with [`Violation::close_code`].
    pub fn next<'s>(&'s mut self, input: &'s mut Input<'_>) -> Result<Option<Event<'s>>, Violation> {
        if self.partial.as_mut().is_some_and(|partial| partial.forget()) {
            self.partial = None;
        }
        let (side, message_bytes_max) = (self.side, self.message_bytes_max);
        if self.partial.is_none() {
            if let Some((header_bytes, frame)) = whole(input.rest(), side, message_bytes_max)? {
                input.take(header_bytes);
                return event(frame.opcode, unmasked(input, frame)).map(Some);
            }
            if input.len() == 0 {
                return Ok(None);
            }
        }
        self.partial.get_or_insert_default().next(input, side, message_bytes_max)
    }
}

impl Partial {
    /// Forgets the message that was handed out; whether nothing is left.
    fn forget(&mut self) -> bool {
        if std::mem::take(&mut self.handed_out) {
            self.message = Vec::new();
        }
        self.header_bytes == 0 && self.frame.is_none() && self.fragmented.is_none()
    }

    fn next<'s>(
        &'s mut self,
        input: &'s mut Input<'_>,
        side: Side,
        message_bytes_max: u32,
    ) -> Result<Option<Event<'s>>, Violation> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.read_header(input, side, message_bytes_max)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let whole_here = frame.taken == 0 && input.len() >= frame.length;
            if whole_here && (frame.opcode.is_control() || (frame.fin && self.fragmented.is_none())) {
                self.frame = None;
                return event(frame.opcode, unmasked(input, frame)).map(Some);
            }
            if !self.gather(frame, input) {
                return Ok(None);
            }
            if frame.opcode.is_control() {
                self.frame = None;
                return event(frame.opcode, &self.control).map(Some);
            }
            let kind = self.fragmented.unwrap_or(frame.opcode);
            self.frame = None;
            if frame.fin {
                self.fragmented = None;
                self.handed_out = true;
                return event(kind, &self.message).map(Some);
            }
            self.fragmented = Some(kind);
        }
    }

    /// Takes what `input` has of the frame's payload; whether that completes it.
    fn gather(&mut self, mut frame: Frame, input: &mut Input<'_>) -> bool {
        let target = if frame.opcode.is_control() { &mut self.control } else { &mut self.message };
        if frame.opcode.is_control() && frame.taken == 0 {
            target.clear();
        }
        let count = input.len().min(frame.length - frame.taken);
        let payload = input.take(count);
        unmask(payload, frame.mask, frame.taken);
        target.extend_from_slice(payload);
        frame.taken += count;
        self.frame = Some(frame);
        frame.taken == frame.length
    }

    /// Reads a header, byte-wise at worst; `None` when it is incomplete.
    fn read_header(
        &mut self,
        input: &mut Input<'_>,
        side: Side,
        message_bytes_max: u32,
    ) -> Result<Option<Frame>, Violation> {
        let (fragmented, held) = (self.fragmented.is_some(), self.message.len());
        let rules = Rules { side, message_bytes_max, fragmented, held };
        loop {
            let have = usize::from(self.header_bytes);
            let want = header_length(&self.header[..have]);
            if have == want {
                break;
            }
            let count = input.len().min(want - have);
            if count == 0 {
                return Ok(None);
            }
            self.header[have..have + count].copy_from_slice(input.take(count));
            self.header_bytes += u8::try_from(count).expect("a header has at most 14 bytes");
            if have < 2 && self.header_bytes >= 2 {
                rules.check_start([self.header[0], self.header[1]])?;
            }
        }
        self.header_bytes = 0;
        let frame = rules.parse_header(&self.header)?;
        self.frame = Some(frame);
        Ok(Some(frame))
    }
}

/// The frame at the beginning of `bytes` and the length of its header, if it lies there whole and is a whole message.
fn whole(bytes: &[u8], side: Side, message_bytes_max: u32) -> Result<Option<(usize, Frame)>, Violation> {
    let [first, second, ..] = bytes else { return Ok(None) };
    let header_bytes = header_length(bytes);
    let Some(rest) = bytes.get(header_bytes..) else { return Ok(None) };
    let rules = Rules { side, message_bytes_max, fragmented: false, held: 0 };
    rules.check_start([*first, *second])?;
    let frame = rules.parse_header(bytes)?;
    let is_whole = (frame.fin || frame.opcode.is_control()) && rest.len() >= frame.length;
    Ok(is_whole.then_some((header_bytes, frame)))
}

/// Takes the payload of a frame that lies whole in `input`.
fn unmasked<'i>(input: &'i mut Input<'_>, frame: Frame) -> &'i [u8] {
    let payload = input.take(frame.length);
    unmask(payload, frame.mask, 0);
    payload
}

impl Rules {
    /// Checks the first two bytes of a header as soon as they are there.
    fn check_start(self, [first, second]: [u8; 2]) -> Result<(), Violation> {
        if first & 0x70 != 0 {
            return Err(Violation::Protocol("reserved bits are set"));
        }
        let opcode = Opcode::of(first & 0x0f).ok_or(Violation::Protocol("unknown opcode"))?;
        if (second & 0x80 != 0) != (self.side == Side::Server) {
            return Err(Violation::Protocol("only clients mask, and always"));
        }
        let fin = first & 0x80 != 0;
        if opcode.is_control() && (!fin || usize::from(second & 0x7f) > CONTROL_BYTES_MAX) {
            return Err(Violation::Protocol("a control frame is fragmented or too long"));
        }
        match opcode {
            Opcode::Continuation if !self.fragmented => Err(Violation::Protocol("a continuation of nothing")),
            Opcode::Text | Opcode::Binary if self.fragmented => {
                Err(Violation::Protocol("a new message within a fragmented one"))
            }
            _ => Ok(()),
        }
    }

    /// Reads a header that is there whole.
    fn parse_header(self, header: &[u8]) -> Result<Frame, Violation> {
        let opcode = Opcode::of(header[0] & 0x0f).ok_or(Violation::Protocol("unknown opcode"))?;
        let (length, mask_at) = match header[1] & 0x7f {
            126 => (u64::from(u16::from_be_bytes([header[2], header[3]])), 4),
            127 => (u64::from_be_bytes(header[2..10].try_into().expect("it has eight bytes")), 10),
            short => (u64::from(short), 2),
        };
        let shortest = match mask_at {
            2 => 0,
            4 => 126,
            _ => 65_536,
        };
        if length < shortest || length >> 63 != 0 {
            return Err(Violation::Protocol("a length is not written in its shortest form"));
        }
        if !opcode.is_control() && self.held as u64 + length > u64::from(self.message_bytes_max) {
            return Err(Violation::TooBig);
        }
        let mask = match self.side {
            Side::Server => header[mask_at..mask_at + 4].try_into().expect("it has four bytes"),
            Side::Client => [0; 4],
        };
        let length = usize::try_from(length).map_err(|_| Violation::TooBig)?;
        Ok(Frame { fin: header[0] & 0x80 != 0, opcode, mask, length, taken: 0 })
    }
}

/// Bytes that the header has, as far as its start tells.
fn header_length(start: &[u8]) -> usize {
    let [_, second, ..] = start else { return 2 };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if second & 0x80 != 0 { 4 } else { 0 }
}

fn event(opcode: Opcode, payload: &[u8]) -> Result<Event<'_>, Violation> {
    Ok(match opcode {
        Opcode::Text => Event::Text(std::str::from_utf8(payload).map_err(|_| Violation::Utf8)?),
        Opcode::Binary => Event::Binary(payload),
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        Opcode::Close => Event::Close(close(payload)?),
        Opcode::Continuation => return Err(Violation::Protocol("a continuation of nothing")),
    })
}

fn close(payload: &[u8]) -> Result<Option<CloseFrame<'_>>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(Violation::Protocol("half a close code")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Violation::Protocol("a close code that must not be sent"));
            }
            let reason = std::str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
            Ok(Some(CloseFrame { code, reason }))
        }
    }
}

/// Takes the mask off `payload`, whose first byte is number `offset` of its frame.
fn unmask(payload: &mut [u8], mask: [u8; 4], offset: usize) {
    if mask == [0; 4] {
        return;
    }
    let turned: [u8; 4] = std::array::from_fn(|index| mask[(index + offset) % 4]);
    let word = u32::from_ne_bytes(turned);
    let (words, rest) = payload.as_chunks_mut::<4>();
    for chunk in words {
        *chunk = (u32::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(turned) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
