//! Decimal numbers as texts, compared without rounding.

use std::cmp::Ordering;

/// A number's digits without leading and trailing zeros.
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

/// How two decimal numbers compare; `None` when one is not such a number (`-12`, `+3.50`, `.5`; no exponents).
pub(super) fn compare(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = (Decimal::read(one)?, Decimal::read(other)?);
    Some(match (one.negative, other.negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => one.size(&other),
        (true, true) => other.size(&one),
    })
}

impl<'a> Decimal<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !numeric(whole) || !numeric(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self { negative: text.starts_with('-') && !zero, whole, fraction })
    }

    /// Compares without the sign.
    fn size(&self, other: &Self) -> Ordering {
        (self.whole.len(), self.whole, self.fraction).cmp(&(other.whole.len(), other.whole, other.fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_numbers() {
        let ascending =
            ["-100", "-20.5", "-3", "0", "0.05", "0.5", "3", "20", "20.25", "20.5", "9007199254740993"];
        for (at, one) in ascending.iter().enumerate() {
            for (beside, other) in ascending.iter().enumerate() {
                assert_eq!(compare(one, other), Some(at.cmp(&beside)), "{one} and {other}");
            }
        }
        for (one, same) in [("1", "+1.0"), ("007", "7"), (".5", "0.50"), ("-0", "0"), ("5.", "5")] {
            assert_eq!(compare(one, same), Some(Ordering::Equal), "{one} and {same}");
        }
        for wrong in ["", "-", ".", "1e3", "1,5", " 1", "0x1", "--1", "1.2.3", "٣", "NaN"] {
            assert_eq!(compare(wrong, "1"), None, "{wrong:?}");
        }
    }
}
