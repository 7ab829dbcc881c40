//! What is published: text of a fixed length with a mark in it, which receivers find without parsing what is around it.
//!
//! The mark consists of characters that neither JSON in JSON (Pusher's `data`) nor Protobuf changes.

use memchr::memmem::Finder;

/// What a mark begins with.
pub(crate) const BEGIN: &[u8; 4] = b"#@#@";
/// Digits that are read at once. The topic's number and that within the topic have so many, the time twice as many.
const DIGITS: usize = 8;
/// Bytes of a mark.
pub(crate) const BYTES: usize = BEGIN.len() + 4 * DIGITS;
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
        format!("{begin}{:08}{:08}{:016}", self.topic, self.number, self.due_ns)
    }

    /// A JSON object of `bytes` bytes (at least [`BYTES_MIN`]) with the mark in it.
    pub(crate) fn payload(self, bytes: usize) -> String {
        let padding = bytes.saturating_sub(BYTES_MIN);
        format!("{{\"m\":\"{}{:x<padding$}\"}}", self.text(), "")
    }

    /// Reads what follows [`BEGIN`]; `None` when it is cut off or something else.
    fn read(digits: &[u8]) -> Option<Self> {
        let mut numbers = [0_u64; 4];
        for (number, eight) in numbers.iter_mut().zip(digits.get(..4 * DIGITS)?.chunks_exact(DIGITS)) {
            *number = read_eight(eight.try_into().ok()?)?;
        }
        let [topic, number, high, low] = numbers;
        let due_ns = high * 100_000_000 + low;
        Some(Self { topic: u32::try_from(topic).ok()?, number: u32::try_from(number).ok()?, due_ns })
    }
}

/// Reads eight digits at once: pairs, then fours, then all, each step in one multiplication. Receivers do this for every
/// delivery.
fn read_eight(text: [u8; DIGITS]) -> Option<u64> {
    let digits = u64::from_le_bytes(text) ^ 0x3030_3030_3030_3030;
    let beyond_nine = digits.wrapping_add(0x7676_7676_7676_7676) | digits;
    if beyond_nine & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = digits * 10 + (digits >> 8);
    let pair = 0x0000_00ff_0000_00ff;
    let upper = (pairs & pair).wrapping_mul(0x000f_4240_0000_0064);
    let lower = ((pairs >> 16) & pair).wrapping_mul(0x0000_2710_0000_0001);
    Some(upper.wrapping_add(lower) >> 32)
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
    fn eight_digits_are_read_at_once() {
        for number in [0, 1, 9, 10, 99_999_999, 12_345_678, 87_654_321, 10_000_000] {
            assert_eq!(read_eight(format!("{number:08}").into_bytes().try_into().unwrap()), Some(number));
        }
        for place in 0..8 {
            for odd in *b"/:x \xff\x00aA" {
                let mut text = *b"12345678";
                text[place] = odd;
                assert_eq!(read_eight(text), None, "{odd} at {place}");
            }
        }
    }

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
