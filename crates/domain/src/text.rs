//! Texts in Arabic and English.

use serde::{Deserialize, Serialize};

/// A language that Munadi speaks to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Arabic, written right to left.
    Ar,
    /// English.
    #[default]
    En,
}

impl Language {
    /// The BCP 47 primary tag.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ar => "ar",
            Self::En => "en",
        }
    }

    /// Every language, the first one first.
    pub const ALL: [Self; 2] = [Self::Ar, Self::En];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Ar => Self::En,
            Self::En => Self::Ar,
        }
    }

    /// The direction of its script, as HTML's `dir` has it.
    pub fn direction(self) -> &'static str {
        match self {
            Self::Ar => "rtl",
            Self::En => "ltr",
        }
    }

    /// The language of a BCP 47 tag such as `ar-EG`; `None` when Munadi does not speak it.
    pub fn of_tag(tag: &str) -> Option<Self> {
        match tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "ar" => Some(Self::Ar),
            "en" => Some(Self::En),
            _ => None,
        }
    }
}

/// One text in up to two languages; at least one is present.
///
/// Reads from `{"ar": "…", "en": "…"}` or from a plain string, which counts as English.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "TextForm")]
pub struct LocalizedText {
    /// The Arabic text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ar: Option<String>,
    /// The English text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub en: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextForm {
    Plain(String),
    Object(TextObject),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextObject {
    ar: Option<String>,
    en: Option<String>,
}

impl From<TextForm> for LocalizedText {
    fn from(form: TextForm) -> Self {
        match form {
            TextForm::Plain(text) => Self { ar: None, en: Some(text) },
            TextForm::Object(TextObject { ar, en }) => Self { ar, en },
        }
    }
}

impl LocalizedText {
    /// An English text.
    pub fn english(text: impl Into<String>) -> Self {
        Self { ar: None, en: Some(text.into()) }
    }

    /// The text in `language`, where there is one.
    pub fn get(&self, language: Language) -> Option<&str> {
        match language {
            Language::Ar => self.ar.as_deref(),
            Language::En => self.en.as_deref(),
        }
    }

    /// The text in `language`, else in the other one, else empty.
    pub fn pick(&self, language: Language) -> &str {
        self.get(language).or_else(|| self.get(language.other())).unwrap_or_default()
    }

    /// Whether no language has a visible character.
    pub fn is_blank(&self) -> bool {
        [&self.ar, &self.en].into_iter().flatten().all(|text| text.trim().is_empty())
    }

    /// Characters of the longest language version.
    pub fn chars_max(&self) -> usize {
        [&self.ar, &self.en].into_iter().flatten().map(|text| text.chars().count()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_string_is_english_and_the_other_language_falls_back() {
        let text: LocalizedText = serde_json::from_str("\"Opening\"").unwrap();
        assert_eq!(text.pick(Language::Ar), "Opening");
        let text: LocalizedText = serde_json::from_str(r#"{"ar":"افتتاح"}"#).unwrap();
        assert_eq!(text.pick(Language::En), "افتتاح");
        assert!(serde_json::from_str::<LocalizedText>(r#"{"fr":"x"}"#).is_err());
    }
}
