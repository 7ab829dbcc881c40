//! Making a message fit its provider's limit by shortening the body, never by cutting through a character.

/// What stands for the part of a body that was left out.
const ELLIPSIS: char = '…';

/// A rendered payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fitted {
    /// The bytes to send.
    pub(super) payload: Vec<u8>,
    /// Whether the body lost its end.
    pub(super) shortened: bool,
}

/// Renders with as much of `body` as fits into `bytes_max`; `None` when not even an empty body fits.
///
/// `render` gets the body and whether it was shortened, so that the payload can say so. A character may take more
/// bytes rendered than in the text (quotes, line breaks), hence the loop: each round cuts at least what was too much.
pub(super) fn fit(body: &str, bytes_max: usize, render: impl Fn(&str, bool) -> Vec<u8>) -> Option<Fitted> {
    let whole = render(body, false);
    if whole.len() <= bytes_max {
        return Some(Fitted { payload: whole, shortened: false });
    }
    let mut kept = body.len();
    loop {
        let text = if kept == 0 { String::new() } else { format!("{}{ELLIPSIS}", &body[..kept]) };
        let payload = render(&text, true);
        if payload.len() <= bytes_max {
            return Some(Fitted { payload, shortened: true });
        }
        if kept == 0 {
            return None;
        }
        kept = body.floor_char_boundary(kept.saturating_sub((payload.len() - bytes_max).div_ceil(6).max(1)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(body: &str, shortened: bool) -> Vec<u8> {
        serde_json::to_vec(&serde_json::json!({ "body": body, "shortened": shortened })).unwrap()
    }

    #[test]
    fn a_body_that_fits_is_left_alone() {
        let fitted = fit("قصير", 4_096, render).unwrap();
        assert!(!fitted.shortened);
        assert_eq!(fitted.payload, render("قصير", false));
    }

    #[test]
    fn what_surrounds_the_body_alone_can_be_too_much() {
        assert_eq!(fit("text", 10, render), None);
    }

    proptest! {
        #[test]
        fn the_result_fits_and_wastes_little(body in "(\\PC|\"|\n){0,400}", bytes_max in 60_usize..300) {
            let fitted = fit(&body, bytes_max, render).expect("an empty body fits into 60 bytes");
            prop_assert!(fitted.payload.len() <= bytes_max);
            if fitted.shortened {
                let value: serde_json::Value = serde_json::from_slice(&fitted.payload).unwrap();
                let kept = value["body"].as_str().unwrap().trim_end_matches(ELLIPSIS);
                prop_assert!(body.starts_with(kept));
            }
        }
    }
}
