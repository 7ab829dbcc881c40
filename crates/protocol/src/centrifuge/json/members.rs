//! Writing objects straight into a buffer; payloads are copied as they are.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

use crate::centrifuge::Payload;

/// The members of an object that is being written.
pub(super) struct Members<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

/// Writes an object to the end of `out`.
pub(super) fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Members<'_>)) {
    out.push(b'{');
    fill(&mut Members { out, first: true });
    out.push(b'}');
}

impl Members<'_> {
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write_text(self.out, key);
        self.out.push(b':');
        self.out
    }

    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Members<'_>)) {
        object(self.key(key), fill);
    }

    pub(super) fn array<T>(&mut self, key: &str, items: &[T], mut fill: impl FnMut(&mut Members<'_>, &T)) {
        let out = self.key(key);
        out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            object(out, |members| fill(members, item));
        }
        out.push(b']');
    }

    pub(super) fn texts(&mut self, key: &str, items: &[Cow<'_, str>]) {
        if items.is_empty() {
            return;
        }
        let out = self.key(key);
        out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_text(out, item);
        }
        out.push(b']');
    }

    pub(super) fn map(&mut self, key: &str, items: &BTreeMap<Cow<'_, str>, Cow<'_, str>>) {
        if !items.is_empty() {
            self.object(key, |members| {
                for (key, value) in items {
                    members.always_text(key, value);
                }
            });
        }
    }

    pub(super) fn always_text(&mut self, key: &str, value: &str) {
        let out = self.key(key);
        write_text(out, value);
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.always_text(key, value);
        }
    }

    pub(super) fn always_number(&mut self, key: &str, value: u64) {
        let out = self.key(key);
        write!(out, "{value}").expect("writing to memory does not fail");
    }

    pub(super) fn offset(&mut self, key: &str, value: u64) {
        if value != 0 {
            self.always_number(key, value);
        }
    }

    pub(super) fn number(&mut self, key: &str, value: i64) {
        if value != 0 {
            let out = self.key(key);
            write!(out, "{value}").expect("writing to memory does not fail");
        }
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.key(key).extend_from_slice(b"true");
        }
    }

    pub(super) fn payload(&mut self, key: &str, value: Option<&Payload<'_>>) {
        if let Some(payload) = value.filter(|payload| !payload.is_empty()) {
            self.key(key).extend_from_slice(payload.as_bytes());
        }
    }
}

/// Writes a string to the end of `out`.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a string to memory does not fail");
}
