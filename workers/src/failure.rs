//! Failures as one line for the log.

use std::error::Error;

/// A failure and everything that caused it, from the outside in.
pub(crate) fn chain(failure: &dyn Error) -> String {
    let mut line = failure.to_string();
    let mut cause = failure.source();
    while let Some(inner) = cause {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        cause = inner.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_causes_follow_in_order() {
        #[derive(Debug, thiserror::Error)]
        #[error("the page was not sent")]
        struct Outer(#[source] std::io::Error);
        let line = chain(&Outer(std::io::Error::other("no route")));
        assert_eq!(line, "the page was not sent: no route");
    }
}
