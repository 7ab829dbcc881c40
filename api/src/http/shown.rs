//! How texts are shown: in the language of the request, or in every language with `?expand=i18n`.

use domain::{Language, LocalizedText};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::etag::ETag;
use crate::schema::Text;

/// `?expand=i18n`.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Shape {
    /// `i18n`: texts as objects with every language, instead of strings in the language of `Accept-Language`.
    #[param(inline, required = false)]
    pub(crate) expand: Option<Expand>,
}

/// `?expand=i18n&dry_run=true`.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WriteShape {
    /// `i18n`: texts as objects with every language.
    #[param(inline, required = false)]
    pub(crate) expand: Option<Expand>,
    /// Whether only to tell what would happen: 200 with the conflicts, and nothing is written.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// What may be shown in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expand {
    /// Texts, in every language.
    I18n,
}

/// How texts are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    language: Language,
    expand: Option<Expand>,
}

impl Shown {
    /// In `language`, unless every language is asked for.
    pub(crate) fn new(language: Language, expand: Option<Expand>) -> Self {
        Self { language, expand }
    }

    /// The same, or in every language.
    pub(crate) fn expanded(self, expand: Option<Expand>) -> Self {
        Self { expand, ..self }
    }

    /// The text.
    pub(crate) fn text(self, text: &LocalizedText) -> TextView {
        match self.expand {
            Some(Expand::I18n) => TextView::Every(text.clone().into()),
            None => TextView::One(text.pick(self.language).to_owned()),
        }
    }

    /// The tag of a representation like this.
    pub(crate) fn tag(self, etag: ETag) -> ETag {
        match self.expand {
            Some(Expand::I18n) => etag,
            None => etag.in_language(self.language),
        }
    }
}

/// A text as it is shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum TextView {
    /// In the language of the request, or in the other one where there is no such text.
    One(String),
    /// In every language.
    Every(Text),
}

impl From<LocalizedText> for Text {
    fn from(text: LocalizedText) -> Self {
        Self { ar: text.ar, en: text.en }
    }
}
