//! A successful answer before it is written: what the frame makes an envelope of, and what an idempotency key keeps.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::Language;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cursor::Page;
use crate::error::ApiError;
use crate::etag::ETag;
use crate::schema::PageMeta;

/// What the envelope's `message` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Say {
    /// Here it is.
    Done,
    /// It is there now.
    Created,
    /// It is safe with us, and on its way.
    Accepted,
    /// It is gone.
    Removed,
    /// You are out.
    SignedOut,
    /// You have another password.
    PasswordChanged,
}

impl Say {
    /// The sentence.
    pub(crate) fn text(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Done, Language::En) => "Done.",
            (Self::Done, Language::Ar) => "تم.",
            (Self::Created, Language::En) => "Created.",
            (Self::Created, Language::Ar) => "تم الإنشاء.",
            (Self::Accepted, Language::En) => "Accepted; it is on its way.",
            (Self::Accepted, Language::Ar) => "تم القبول وهو في الطريق.",
            (Self::Removed, Language::En) => "Removed.",
            (Self::Removed, Language::Ar) => "تم الحذف.",
            (Self::SignedOut, Language::En) => "Signed out.",
            (Self::SignedOut, Language::Ar) => "تم تسجيل الخروج.",
            (Self::PasswordChanged, Language::En) => "The password is changed; every other session is ended.",
            (Self::PasswordChanged, Language::Ar) => "تم تغيير كلمة المرور وإنهاء كل الجلسات الأخرى.",
        }
    }
}

/// A successful answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) data: Box<RawValue>,
    pub(crate) say: Say,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) meta: Option<PageMeta>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) location: Option<String>,
    /// `Cache-Control`; without it the frame forbids storing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cache: Option<String>,
    /// Whether it was kept from an earlier request with the same idempotency key.
    #[serde(skip)]
    pub(crate) replayed: bool,
}

impl Answer {
    /// 200 with `data`.
    ///
    /// # Errors
    /// [`Code::Internal`](crate::code::Code::Internal) when `data` cannot be written as JSON.
    pub(crate) fn ok(data: &impl Serialize) -> Result<Self, ApiError> {
        Self::new(StatusCode::OK, Say::Done, data)
    }

    /// 201 with `data`, which is now at `location`.
    ///
    /// # Errors
    /// As [`Answer::ok`].
    pub(crate) fn created(data: &impl Serialize, location: String) -> Result<Self, ApiError> {
        let mut answer = Self::new(StatusCode::CREATED, Say::Created, data)?;
        answer.location = Some(location);
        Ok(answer)
    }

    /// 202 with `data`, which is at `location`: durable, the rest follows.
    ///
    /// # Errors
    /// As [`Answer::ok`].
    pub(crate) fn accepted(data: &impl Serialize, location: String) -> Result<Self, ApiError> {
        let mut answer = Self::new(StatusCode::ACCEPTED, Say::Accepted, data)?;
        answer.location = Some(location);
        Ok(answer)
    }

    /// 200 without data: the thing is gone.
    ///
    /// # Errors
    /// As [`Answer::ok`].
    pub(crate) fn removed() -> Result<Self, ApiError> {
        Self::new(StatusCode::OK, Say::Removed, &())
    }

    /// 200 with a page of a list.
    ///
    /// # Errors
    /// As [`Answer::ok`].
    pub(crate) fn page<T: Serialize>(page: Page<T>) -> Result<Self, ApiError> {
        let mut answer = Self::ok(&page.items)?;
        answer.meta = Some(PageMeta { has_more: page.next_cursor.is_some(), next_cursor: page.next_cursor });
        Ok(answer)
    }

    /// Any status of success.
    ///
    /// # Errors
    /// As [`Answer::ok`].
    pub(crate) fn new(status: StatusCode, say: Say, data: &impl Serialize) -> Result<Self, ApiError> {
        Ok(Self {
            status: status.as_u16(),
            data: serde_json::value::to_raw_value(data).map_err(ApiError::internal)?,
            say,
            meta: None,
            etag: None,
            location: None,
            cache: None,
            replayed: false,
        })
    }

    /// Adds the tag of this representation: `If-None-Match` is answered from it.
    pub(crate) fn etag(mut self, etag: &ETag) -> Self {
        self.etag = Some(etag.to_string());
        self
    }

    /// Adds `Cache-Control`, such as `public, max-age=30`.
    pub(crate) fn cache(mut self, control: impl Into<String>) -> Self {
        self.cache = Some(control.into());
        self
    }
}

impl IntoResponse for Answer {
    /// An empty response that carries the answer to the frame.
    fn into_response(self) -> Response {
        let mut response = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK).into_response();
        response.extensions_mut().insert(self);
        response
    }
}
