//! What applications put into messages: passed on as it is, never looked into.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A payload: in the JSON dialect one JSON document without raw line breaks, in the Protobuf dialect any bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload<'a>(Cow<'a, [u8]>);

/// Bytes that are not one JSON document.
#[derive(Debug, thiserror::Error)]
#[error("the payload is not a JSON document")]
pub struct PayloadError(#[source] serde_json::Error);

impl<'a> Payload<'a> {
    /// Takes bytes that came through [`minify`]; they are not looked at again.
    pub fn trusted(bytes: &'a [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }

    /// Takes bytes that nobody needs to keep.
    pub fn owned(bytes: Vec<u8>) -> Self {
        Self(Cow::Owned(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is nothing, not even an empty document.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Payload<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self::trusted(raw.get().as_bytes()))
    }
}

/// Checks that `document` is one JSON document and takes raw line breaks out of it, because line breaks separate
/// messages within a frame. (Inside of JSON strings they cannot occur raw.)
///
/// # Errors
/// [`PayloadError`] when it is not JSON.
pub fn minify(document: &[u8]) -> Result<Cow<'_, [u8]>, PayloadError> {
    let raw: &RawValue = serde_json::from_slice(document).map_err(PayloadError)?;
    let bytes = raw.get().as_bytes();
    if memchr::memchr2(b'\n', b'\r', bytes).is_none() {
        return Ok(Cow::Borrowed(bytes));
    }
    Ok(Cow::Owned(bytes.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_leave_and_the_rest_stays() {
        assert_eq!(&*minify(b"{\r\n \"a\": \"x\\ny\"\n}").unwrap(), b"{ \"a\": \"x\\ny\"}");
        assert!(matches!(minify(b" [1, 2] \n").unwrap(), Cow::Borrowed(b"[1, 2]")));
        for broken in [&b""[..], b"{", b"{}{}", b"\"a\nb\"", b"\xff", b"nul"] {
            assert!(minify(broken).is_err(), "{broken:?}");
        }
    }
}
