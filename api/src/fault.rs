//! What is wrong with a value: which field, which rule, said in two languages; and the collector of all of them.

use std::fmt::Display;
use std::ops::RangeInclusive;

use domain::{Language, LocalizedText};

use crate::code::Code;
use crate::error::ApiError;

/// A rule that a value broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The field is missing or blank.
    Required,
    /// No such field is documented.
    UnknownField,
    /// The field stands there twice.
    Duplicate,
    /// Another type or form is documented; the decoder's words follow.
    WrongType(String),
    /// Fewer than this many characters or items.
    TooShort(usize),
    /// More than this many characters or items.
    TooLong(usize),
    /// Outside of what is permitted; both ends as texts.
    Range(String, String),
    /// Not of the form described.
    Malformed(&'static str),
    /// Holds a character that cannot be stored or does not belong there.
    Character,
    /// Names something that does not exist.
    Unknown(&'static str),
    /// A rule of its own: code, English, Arabic.
    Own(&'static str, &'static str, &'static str),
}

impl Rule {
    /// The stable word.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::UnknownField => "unknown_field",
            Self::Duplicate => "duplicate",
            Self::WrongType(_) => "wrong_type",
            Self::TooShort(_) => "too_short",
            Self::TooLong(_) => "too_long",
            Self::Range(..) => "out_of_range",
            Self::Malformed(_) => "malformed",
            Self::Character => "character",
            Self::Unknown(_) => "unknown",
            Self::Own(code, ..) => code,
        }
    }

    /// What it says to a person.
    pub(crate) fn text(&self, language: Language) -> String {
        let arabic = language == Language::Ar;
        match self {
            Self::Required if arabic => "مطلوب".to_owned(),
            Self::Required => "is required".to_owned(),
            Self::UnknownField if arabic => "حقل غير معروف".to_owned(),
            Self::UnknownField => "is not a known field".to_owned(),
            Self::Duplicate if arabic => "مكرر".to_owned(),
            Self::Duplicate => "is there twice".to_owned(),
            Self::WrongType(found) if arabic => format!("نوع غير صحيح: {found}"),
            Self::WrongType(found) => format!("has the wrong form: {found}"),
            Self::TooShort(least) if arabic => format!("أقصر من {least}"),
            Self::TooShort(least) => format!("must have at least {least} characters or items"),
            Self::TooLong(most) if arabic => format!("أطول من {most}"),
            Self::TooLong(most) => format!("must have at most {most} characters or items"),
            Self::Range(from, to) if arabic => format!("يجب أن يكون بين {from} و{to}"),
            Self::Range(from, to) => format!("must be {from} to {to}"),
            Self::Malformed(form) if arabic => format!("الشكل المطلوب: {form}"),
            Self::Malformed(form) => format!("must be {form}"),
            Self::Character if arabic => "يحتوي حرفًا غير مسموح".to_owned(),
            Self::Character => "holds a character that is not permitted".to_owned(),
            Self::Unknown(noun) if arabic => format!("غير موجود: {noun}"),
            Self::Unknown(noun) => format!("names no {noun}"),
            Self::Own(_, _, ar) if arabic => (*ar).to_owned(),
            Self::Own(_, en, _) => (*en).to_owned(),
        }
    }
}

/// One value that is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// JSON pointer (RFC 6901) into the body; for queries, paths and headers the name after a slash.
    pub(crate) pointer: String,
    /// What it breaks.
    pub(crate) rule: Rule,
}

/// Collects the faults of a body, so that all are reported at once.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<Fault>);

impl Checks {
    /// Notes a fault at `pointer`.
    pub(crate) fn add(&mut self, pointer: impl Into<String>, rule: Rule) {
        self.0.push(Fault { pointer: pointer.into(), rule });
    }

    /// Notes a fault at `pointer` unless `holds`.
    pub(crate) fn ensure(&mut self, holds: bool, pointer: &str, rule: Rule) {
        if !holds {
            self.add(pointer, rule);
        }
    }

    /// A text of so many characters, without control characters but line breaks and tabs.
    pub(crate) fn text(&mut self, pointer: &str, text: &str, chars: RangeInclusive<usize>) {
        let count = text.chars().count();
        if *chars.start() > 0 && text.trim().is_empty() {
            self.add(pointer, Rule::Required);
        } else if count < *chars.start() {
            self.add(pointer, Rule::TooShort(*chars.start()));
        } else if count > *chars.end() {
            self.add(pointer, Rule::TooLong(*chars.end()));
        }
        let harmless = |one: char| !one.is_control() || matches!(one, '\n' | '\r' | '\t');
        self.ensure(text.chars().all(harmless), pointer, Rule::Character);
    }

    /// A text in one or two languages, each at most `chars_max` characters; blank only where that is permitted
    /// (`chars_min` 0).
    pub(crate) fn localized(&mut self, pointer: &str, text: &LocalizedText, chars: RangeInclusive<usize>) {
        if *chars.start() > 0 && text.is_blank() {
            self.add(pointer, Rule::Required);
        }
        for (language, text) in [("ar", &text.ar), ("en", &text.en)] {
            if let Some(text) = text {
                self.text(&format!("{pointer}/{language}"), text, 0..=*chars.end());
            }
        }
    }

    /// A value within `range`.
    #[expect(clippy::needless_pass_by_value, reason = "values are small, and calls read better")]
    pub(crate) fn range<T: PartialOrd + Display>(
        &mut self,
        pointer: &str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            self.add(pointer, Rule::Range(range.start().to_string(), range.end().to_string()));
        }
    }

    /// # Errors
    /// [`Code::InvalidQuery`] with every fault, when there is one: for what stands in a query string.
    pub(crate) fn query(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::new(Code::InvalidQuery).faults(self.0)) }
    }

    /// # Errors
    /// [`Code::ValidationFailed`] with every fault, when there is one.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::new(Code::ValidationFailed).faults(self.0)) }
    }
}
