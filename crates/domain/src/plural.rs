//! Plural forms: which wording a count takes, by the rules of CLDR for whole numbers.

use crate::Language;

/// A wording by count. Arabic has all six, English two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluralForm {
    /// None at all; Arabic only.
    Zero,
    /// A single one.
    One,
    /// A pair; Arabic only.
    Two,
    /// Arabic: the last two digits are 3 to 10.
    Few,
    /// Arabic: the last two digits are 11 to 99.
    Many,
    /// Everything else.
    Other,
}

impl PluralForm {
    /// Every form, as CLDR orders them.
    pub const ALL: [Self; 6] = [Self::Zero, Self::One, Self::Two, Self::Few, Self::Many, Self::Other];

    /// The forms that `language` distinguishes.
    pub fn of_language(language: Language) -> &'static [Self] {
        match language {
            Language::Ar => &Self::ALL,
            Language::En => &[Self::One, Self::Other],
        }
    }

    /// The form of `count` in `language` (CLDR, cardinal numbers).
    pub fn of(language: Language, count: u64) -> Self {
        match (language, count, count % 100) {
            (Language::Ar, 0, _) => Self::Zero,
            (Language::Ar | Language::En, 1, _) => Self::One,
            (Language::Ar, 2, _) => Self::Two,
            (Language::Ar, _, 3..=10) => Self::Few,
            (Language::Ar, _, 11..=99) => Self::Many,
            (Language::Ar | Language::En, _, _) => Self::Other,
        }
    }

    /// CLDR's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::One => "one",
            Self::Two => "two",
            Self::Few => "few",
            Self::Many => "many",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PluralForm::{Few, Many, One, Other, Two, Zero};
    use super::*;

    #[test]
    fn arabic_has_six_forms_as_in_cldr() {
        let table = [
            (0, Zero),
            (1, One),
            (2, Two),
            (3, Few),
            (10, Few),
            (11, Many),
            (26, Many),
            (99, Many),
            (100, Other),
            (101, Other),
            (102, Other),
            (103, Few),
            (110, Few),
            (111, Many),
            (200, Other),
            (1_000, Other),
            (1_003, Few),
        ];
        for (count, form) in table {
            assert_eq!(PluralForm::of(Language::Ar, count), form, "{count}");
        }
    }

    #[test]
    fn english_has_two_and_every_count_has_a_form_of_its_language() {
        let forms = [0, 1, 2, 11, 100].map(|count| PluralForm::of(Language::En, count));
        assert_eq!(forms, [Other, One, Other, Other, Other]);
        for language in [Language::Ar, Language::En] {
            let known = PluralForm::of_language(language);
            assert!((0..1_000).all(|count| known.contains(&PluralForm::of(language, count))));
        }
    }
}
