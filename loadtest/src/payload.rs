//! What is published: text of a fixed length with a mark in it, which receivers find without parsing what is around it.
//!
//! The mark consists of characters that neither JSON in JSON (Pusher's `data`) nor Protobuf changes.

use memchr::memmem::Finder;

/// What a mark begins with.
pub(crate) const BEGIN: &[u8; 4] = b"#@#@";
/// Digits of the topic's number, of the number within the topic, and of the time.
const DIGITS: [usize; 3] = [6, 8, 16];
/// Bytes of a mark.
pub(crate) const BYTES: usize = BEGIN.len() + DIGITS[0] + DIGITS[1] + DIGITS[2];
/// Bytes of the smallest payload.
pub(crate) const BYTES_MIN: usize = BYTES + 8;

/// What a publication says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Number of its topic.
    pub topic: u32,
    /// Its number among those of the topic, from 0.
    pub number: u32,
    /// When it was to be published: nanoseconds of the system's monotonic clock.
    pub due_ns: u64,
}

impl Mark {
    /// The mark as text.
    pub(crate) fn text(self) -> String {
        let begin = std::str::from_utf8(BEGIN).expect("it is text");
        format!("{begin}{:06}{:08}{:016}", self.topic, self.number, self.due_ns)
    }

    /// A JSON object of `bytes` bytes (at least [`BYTES_MIN`]) with the mark in it.
    pub(crate) fn payload(self, bytes: usize) -> String {
        let padding = bytes.saturating_sub(BYTES_MIN);
        format!("{{\"m\":\"{}{:x<padding$}\"}}", self.text(), "")
    }

    /// Reads what follows [`BEGIN`]; `None` when it is cut off or something else.
    fn read(digits: &[u8]) -> Option<Self> {
        let mut from = 0;
        let mut numbers = [0_u64; 3];
        for (number, length) in numbers.iter_mut().zip(DIGITS) {
            for digit in digits.get(from..from + length)? {
                let digit = digit.wrapping_sub(b'0');
                if digit > 9 {
                    return None;
                }
                *number = *number * 10 + u64::from(digit);
            }
            from += length;
        }
        let [topic, number, due_ns] = numbers;
        Some(Self { topic: u32::try_from(topic).ok()?, number: u32::try_from(number).ok()?, due_ns })
    }
}

/// Finds marks. Made once, used for every message.
#[derive(Debug)]
pub(crate) struct Marks(Finder<'static>);

impl Default for Marks {
    fn default() -> Self {
        Self(Finder::new(BEGIN))
    }
}

impl Marks {
    /// The marks in `bytes`, in their order.
    pub(crate) fn find<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = Mark> + 'a {
        let mut from = 0;
        std::iter::from_fn(move || {
            loop {
                let at = from + self.0.find(bytes.get(from..)?)? + BEGIN.len();
                from = at;
                if let Some(mark) = Mark::read(&bytes[at..]) {
                    from = at + BYTES - BEGIN.len();
                    return Some(mark);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_whatever_is_around_them() {
        let mark = |number| Mark { topic: 17, number, due_ns: 1_234_567_890_123 };
        let plain = mark(3).payload(128);
        assert_eq!(plain.len(), 128);
        assert!(serde_json::from_str::<serde_json::Value>(&plain).is_ok());
        let in_json = serde_json::json!({ "data": mark(4).payload(0) }).to_string();
        let text = format!("{plain}\n#@#@12{in_json}#@#@");
        let marks = Marks::default();
        assert_eq!(marks.find(text.as_bytes()).collect::<Vec<_>>(), [mark(3), mark(4)]);
        assert_eq!(marks.find(b"nothing").count(), 0);
        assert_eq!(mark(3).payload(0).len(), BYTES_MIN);
    }
}
