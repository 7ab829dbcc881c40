//! As much of HTTP/1.1 as a WebSocket's beginning and a publication need.

use memchr::memmem;

/// The head of a request or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    /// `GET /path HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub first_line: &'a str,
    fields: &'a str,
    /// Bytes of the head with the empty line behind it.
    pub bytes: usize,
}

impl<'a> Head<'a> {
    /// The head that `bytes` begins with; `None` while it is not whole (or never will be one).
    pub(crate) fn first(bytes: &'a [u8]) -> Option<Self> {
        let end = memmem::find(bytes, b"\r\n\r\n")?;
        let text = std::str::from_utf8(&bytes[..end]).ok()?;
        let (first_line, fields) = text.split_once("\r\n").unwrap_or((text, ""));
        Some(Self { first_line, fields, bytes: end + 4 })
    }

    /// The value of a header.
    pub(crate) fn field(&self, name: &str) -> Option<&'a str> {
        self.fields.split("\r\n").find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The second word of the first line: a path, or a status.
    pub(crate) fn second_word(&self) -> &'a str {
        self.first_line.split(' ').nth(1).unwrap_or_default()
    }

    /// What the body has, by its header.
    pub(crate) fn body_bytes(&self) -> usize {
        self.field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_when_they_are_whole() {
        let text = b"POST /pub/a HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 12\r\n\r\nbody";
        let head = Head::first(text).unwrap();
        assert_eq!((head.second_word(), head.body_bytes(), head.field("host")), ("/pub/a", 12, Some("x")));
        assert_eq!(&text[head.bytes..], b"body");
        assert_eq!(Head::first(&text[..40]), None);
        let answer = Head::first(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap();
        assert_eq!((answer.second_word(), answer.field("upgrade")), ("101", None));
    }
}
