//! Entity tags: made from the version of a row and the language of the representation, never from its bytes.

use std::fmt;

use domain::Language;
use sha2::{Digest, Sha256};

/// The tag of one version of one thing in one language, such as `"event-17-3-ar"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ETag {
    version: String,
    variant: String,
}

impl ETag {
    /// Of version `version` of the `noun` with `id`, the same in every language.
    pub(crate) fn of(noun: &str, id: impl fmt::Display, version: i64) -> Self {
        Self { version: format!("{noun}-{id}-{version}"), variant: String::new() }
    }

    /// The representation in `language`.
    pub(crate) fn in_language(mut self, language: Language) -> Self {
        self.variant = format!("-{language}", language = language.as_str());
        self
    }

    /// Of a representation that shows `parts` with versions of their own: it changes when they do, and a write needs
    /// the version of the thing itself all the same.
    pub(crate) fn showing(mut self, parts: &impl serde::Serialize) -> Self {
        let digest = Sha256::digest(serde_json::to_vec(parts).unwrap_or_default());
        self.variant.push('+');
        self.variant.push_str(&hex::encode(&digest[..6]));
        self
    }

    /// Whether a tag of an `If-Match` header names this version. A weak mark, the language and what else is shown are
    /// ignored: proxies that compress weaken our tags, and the version is in them all the same.
    fn is_version_of(&self, tag: &str) -> bool {
        let tag = opaque(tag);
        let tag = tag.split_once('+').map_or(tag, |(version, _)| version);
        tag == self.version
            || ["-ar", "-en"].iter().any(|variant| tag.strip_suffix(variant) == Some(&self.version))
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}{}\"", self.version, self.variant)
    }
}

/// The tags of an `If-Match` or `If-None-Match` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`
    Any,
    /// One or more tags, as sent.
    List(Vec<String>),
}

impl Tags {
    /// Reads a header; `None` when it is not a list of quoted tags. (Our tags hold neither quotes nor commas.)
    pub(crate) fn parse(header: &str) -> Option<Self> {
        if header.trim() == "*" {
            return Some(Self::Any);
        }
        let tags: Vec<String> =
            header.split(',').map(|tag| tag.trim().to_owned()).filter(|t| !t.is_empty()).collect();
        let quoted = |tag: &String| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"')
        };
        (!tags.is_empty() && tags.iter().all(quoted)).then_some(Self::List(tags))
    }

    /// Whether a write that saw these versions may change `current`.
    pub(crate) fn allow_write_to(&self, current: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| current.is_version_of(tag)),
        }
    }

    /// Whether the reader has the representation with `etag` (weak comparison).
    pub(crate) fn have(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| opaque(tag) == opaque(etag)),
        }
    }
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_needs_the_version_and_a_read_the_representation() {
        let etag = ETag::of("event", 17, 3).in_language(Language::Ar);
        assert_eq!(etag.to_string(), "\"event-17-3-ar\"");
        let tags = |header: &str| Tags::parse(header).unwrap();
        for good in ["*", "\"event-17-3-ar\"", "W/\"event-17-3-en\"", "\"x\", \"event-17-3\""] {
            assert!(tags(good).allow_write_to(&etag), "{good}");
        }
        for bad in ["\"event-17-2-ar\"", "\"event-17-33\"", "\"event-17-3-fr\"", "\"\""] {
            assert!(!tags(bad).allow_write_to(&etag), "{bad}");
        }
        let shown = etag.clone().showing(&["Main stage"]);
        assert!(
            tags(&shown.to_string()).allow_write_to(&etag)
                && !tags(&etag.to_string()).have(&shown.to_string())
        );
        assert_ne!(shown, etag.clone().showing(&["Beach"]));
        assert!(tags("W/\"event-17-3-ar\"").have(&etag.to_string()));
        assert!(!tags("\"event-17-3-en\"").have(&etag.to_string()));
        assert_eq!(Tags::parse("event-17-3"), None);
        assert_eq!(Tags::parse(""), None);
    }
}
