//! Making a message fit its provider's limit by shortening the body: between words where there are any, never inside of
//! what a reader takes for one character, and without leaving an isolate open.

use unicode_segmentation::GraphemeCursor;

/// What stands for the part of a body that was left out.
const ELLIPSIS: char = '…';
/// A word whose begin is further back than this is cut.
const WORD_BYTES_MAX: usize = 48;

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
        let text = begin(body, kept);
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

/// The begin of `body`, at most `bytes_max` of it, with what tells that it goes on.
fn begin(body: &str, bytes_max: usize) -> String {
    let head = cut(body, bytes_max);
    if head.is_empty() {
        return String::new();
    }
    let count = |one: char| head.chars().filter(|found| *found == one).count();
    let open = count('\u{2068}').saturating_sub(count('\u{2069}'));
    format!("{head}{ELLIPSIS}{}", "\u{2069}".repeat(open))
}

fn cut(body: &str, bytes_max: usize) -> &str {
    let bytes_max = body.floor_char_boundary(bytes_max);
    let mut cursor = GraphemeCursor::new(bytes_max, body.len(), true);
    let at = if cursor.is_boundary(body, 0) == Ok(true) {
        bytes_max
    } else {
        cursor.prev_boundary(body, 0).ok().flatten().unwrap_or(0)
    };
    let (head, rest) = body.split_at(at);
    let ends_a_word = rest.chars().next().is_none_or(char::is_whitespace);
    let gap = head.rfind(char::is_whitespace).filter(|gap| !ends_a_word && at - gap <= WORD_BYTES_MAX);
    gap.map_or(head, |gap| &head[..gap]).trim_end()
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

    #[test]
    fn a_body_is_cut_between_words_and_its_isolates_are_closed() {
        let body = "يبدأ الحفل في \u{2068}North Stage by the sea\u{2069} غدًا";
        let text = |bytes| begin(body, bytes).replace('\u{2068}', "[").replace('\u{2069}', "]");
        assert_eq!(text(body.len() - 20), "يبدأ الحفل في [North Stage by…]");
        assert_eq!(text(20), "يبدأ الحفل…");
        assert_eq!(text(3), "ي…", "a word that is too long is cut");
    }

    #[test]
    fn what_reads_as_one_character_stays_whole() {
        let family = "👨‍👩‍👧‍👦";
        let body = family.repeat(3);
        assert_eq!(begin(&body, family.len() * 2 - 1), format!("{family}…"));
        assert_eq!(begin(&body, family.len() - 1), "");
        assert_eq!(begin("عَاصِفَة", 3), "", "a letter is not parted from its vowel");
        assert_eq!(begin("عَاصِفَة", 5), "عَ…");
    }

    proptest! {
        #[test]
        fn the_result_fits_and_wastes_little(body in "(\\PC|\"|\n){0,400}", bytes_max in 60_usize..300) {
            let fitted = fit(&body, bytes_max, render).expect("an empty body fits into 60 bytes");
            prop_assert!(fitted.payload.len() <= bytes_max);
            if fitted.shortened {
                let value: serde_json::Value = serde_json::from_slice(&fitted.payload).unwrap();
                let kept = value["body"].as_str().unwrap().trim_end_matches('\u{2069}').trim_end_matches(ELLIPSIS);
                prop_assert!(body.starts_with(kept));
            }
        }
    }
}
