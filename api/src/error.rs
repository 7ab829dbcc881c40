//! The one HTTP error: an envelope and an RFC 9457 problem in one body. The frame writes it (`frame.rs`), because
//! only the frame knows the request's language and id.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use domain::Language;
use serde::Serialize;
use serde_json::value::RawValue;
use store::StoreError;

use crate::code::Code;
use crate::fault::{Fault, Rule};
use crate::schema::{Problem, ProblemFault};

/// Why a request was refused, with what the client needs to act and what the log needs to explain.
#[derive(Debug, Clone)]
pub(crate) struct ApiError(Arc<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    detail: Option<String>,
    faults: Vec<Fault>,
    current: Option<Box<RawValue>>,
    etag: Option<String>,
    allow: Option<HeaderValue>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl ApiError {
    /// An error that says no more than its code.
    pub(crate) fn new(code: Code) -> Self {
        Self(Arc::new(Inner {
            code,
            detail: None,
            faults: Vec::new(),
            current: None,
            etag: None,
            allow: None,
            retry_after: None,
            source: None,
        }))
    }

    /// Something broke on our side: the client learns nothing, the log everything.
    pub(crate) fn internal(cause: impl StdError + Send + Sync + 'static) -> Self {
        Self::new(Code::Internal).change(|inner| inner.source = Some(Arc::new(cause)))
    }

    /// One value is not acceptable.
    pub(crate) fn invalid(pointer: impl Into<String>, rule: Rule) -> Self {
        Self::new(Code::ValidationFailed).faults(vec![Fault { pointer: pointer.into(), rule }])
    }

    /// Adds a sentence about this very occurrence, in English. Not for 5xx.
    pub(crate) fn detail(self, detail: impl fmt::Display) -> Self {
        self.change(|inner| inner.detail = Some(detail.to_string()))
    }

    /// Adds the values that are wrong.
    pub(crate) fn faults(self, faults: Vec<Fault>) -> Self {
        self.change(|inner| inner.faults = faults)
    }

    /// Adds how the thing is now, in `data`.
    pub(crate) fn current(self, current: &impl Serialize) -> Self {
        match serde_json::value::to_raw_value(current) {
            Ok(raw) => self.change(|inner| inner.current = Some(raw)),
            Err(cause) => Self::internal(cause),
        }
    }

    /// Adds the `ETag` of what is in `data`.
    pub(crate) fn etag(self, etag: &crate::etag::ETag) -> Self {
        self.change(|inner| inner.etag = Some(etag.to_string()))
    }

    /// Adds the `Allow` header that the router had made.
    pub(crate) fn allow(self, allow: Option<HeaderValue>) -> Self {
        self.change(|inner| inner.allow = allow)
    }

    /// Adds when to try again.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        self.change(|inner| inner.retry_after = Some(wait))
    }

    /// The code.
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// What broke on our side, with its chain of causes, for the log.
    pub(crate) fn chain(&self) -> Option<String> {
        let mut text = self.0.source.as_ref()?.to_string();
        let mut next = self.0.source.as_ref()?.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        Some(text)
    }

    fn change(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// The body in `language`.
    pub(crate) fn problem(&self, language: Language, request_id: &str) -> Problem {
        let inner = &*self.0;
        let status = inner.code.status();
        Problem {
            success: false,
            data: inner.current.clone(),
            message: inner.code.text(language).to_owned(),
            kind: format!("/api/problems/{}", inner.code.as_str()),
            title: inner.code.text(Language::En).to_owned(),
            status: status.as_u16(),
            detail: inner.detail.clone().filter(|_| !status.is_server_error()),
            instance: format!("urn:munadi:request:{request_id}"),
            code: inner.code.as_str().to_owned(),
            errors: inner
                .faults
                .iter()
                .map(|fault| ProblemFault {
                    pointer: fault.pointer.clone(),
                    code: fault.rule.code().to_owned(),
                    message: fault.rule.text(language),
                })
                .collect(),
            request_id: request_id.to_owned(),
        }
    }

    /// The headers that belong to it.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(wait) = self.0.retry_after {
            headers.push(("retry-after", wait.as_secs().max(1).to_string()));
        }
        if let Some(etag) = &self.0.etag {
            headers.push(("etag", etag.clone()));
        }
        if let Some(allow) = self.0.allow.as_ref().and_then(|allow| allow.to_str().ok()) {
            headers.push(("allow", allow.to_owned()));
        }
        if self.0.code.status() == axum::http::StatusCode::UNAUTHORIZED {
            headers.push(("www-authenticate", "Bearer".to_owned()));
        }
        headers
    }
}

impl IntoResponse for ApiError {
    /// An empty response that carries the error to the frame.
    fn into_response(self) -> Response {
        let mut response = self.code().status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(cause: StoreError) -> Self {
        Self::internal(cause)
    }
}
