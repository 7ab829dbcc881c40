//! Which web pages may open a socket: browsers name the page's origin, and nothing else keeps a foreign page out.

/// A pattern for origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OriginPattern {
    /// `*`.
    All,
    /// `https://example.org`.
    Exact(String),
    /// `https://*.example.org`: what is before and after the asterisk.
    Wildcard(String, String),
}

impl OriginPattern {
    /// Reads a pattern; `None` when it names no origin.
    pub(crate) fn parse(pattern: &str) -> Option<Self> {
        if pattern == "*" {
            return Some(Self::All);
        }
        let (scheme, host) = pattern.split_once("://")?;
        if scheme.is_empty() || host.is_empty() || host.contains('/') {
            return None;
        }
        let pattern = pattern.to_ascii_lowercase();
        match pattern.split_once('*') {
            None => Some(Self::Exact(pattern)),
            Some((_, after)) if after.contains('*') => None,
            Some((before, after)) => Some(Self::Wildcard(before.to_owned(), after.to_owned())),
        }
    }

    fn admits(&self, origin: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(exact) => exact == origin,
            Self::Wildcard(before, after) => {
                origin.len() > before.len() + after.len()
                    && origin.starts_with(before)
                    && origin.ends_with(after)
                    && !origin[before.len()..origin.len() - after.len()].contains('/')
            }
        }
    }
}

/// Whether a page of `origin` may connect to `host`: without an origin (no browser), from the same host, or by the list.
pub(crate) fn admits(patterns: &[OriginPattern], origin: Option<&str>, host: Option<&str>) -> bool {
    let Some(origin) = origin else { return true };
    let origin = origin.to_ascii_lowercase();
    let same = match (origin.split_once("://"), host) {
        (Some((_, authority)), Some(host)) => authority == host.to_ascii_lowercase(),
        _ => false,
    };
    same || patterns.iter().any(|pattern| pattern.admits(&origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_our_own_host_and_listed_ones_pass() {
        let list = |patterns: &[&str]| -> Vec<_> {
            patterns.iter().map(|pattern| OriginPattern::parse(pattern).unwrap()).collect()
        };
        let here = Some("festival.example:8000");
        assert!(admits(&[], None, here));
        assert!(admits(&[], Some("http://Festival.example:8000"), here));
        for foreign in ["http://festival.example", "https://evil.example", "null", ""] {
            assert!(!admits(&[], Some(foreign), here), "{foreign}");
        }
        let some = list(&["https://app.example", "https://*.example.org"]);
        assert!(admits(&some, Some("https://app.example"), here));
        assert!(admits(&some, Some("https://a.b.example.org"), here));
        for foreign in [
            "https://.example.org.evil",
            "http://app.example",
            "https://example.org",
            "https://x/.example.org",
        ] {
            assert!(!admits(&some, Some(foreign), here), "{foreign}");
        }
        assert!(admits(&list(&["*"]), Some("null"), None));
        for broken in ["", "example.org", "https://", "https://*.*.org", "https://a/b"] {
            assert_eq!(OriginPattern::parse(broken), None, "{broken}");
        }
    }
}
