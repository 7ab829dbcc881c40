//! A client of the REST API: what an organizer's console and an attendee's app ask for.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

/// How often a request is repeated that the server put off (429 or 503 with `Retry-After`).
const ATTEMPTS_MAX: u32 = 20;

/// The API as one principal sees it. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The envelope's `data`.
    pub data: Value,
    /// The `ETag` header.
    pub etag: Option<String>,
}

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No answer: it may or may not have been done.
    #[error("no answer from the API")]
    Unreachable(#[from] reqwest::Error),
    /// The API said no: nothing was done.
    #[error("{method} {path}: {status} {code}: {message}")]
    Refused {
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
        /// HTTP status.
        status: StatusCode,
        /// The problem's stable code.
        code: String,
        /// What it says to people.
        message: String,
    },
    /// The API said yes, with a body that is not what it promises.
    #[error("{path}: the answer lacks what it has to have")]
    Garbled {
        /// The request's path.
        path: String,
    },
}

impl Api {
    /// The API at `base` (such as `http://127.0.0.1:8000`), as nobody.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub(crate) fn new(base: &str) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token: None })
    }

    /// The same as whom `token` says.
    pub(crate) fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// Logs in; the result acts as that person.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn login(&self, email: &str, password: &str) -> Result<Self, ApiError> {
        let answer =
            self.post("/api/v1/auth/login", &json!({ "email": email, "password": password })).await?;
        Ok(self.with_token(answer.data["access_token"].as_str().unwrap_or_default()))
    }

    /// `GET`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, ApiError> {
        self.request(Method::GET, path, None, None).await
    }

    /// `POST`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Answer, ApiError> {
        self.request(Method::POST, path, Some(body), None).await
    }

    /// `PUT` of the version that `etag` names.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn put(&self, path: &str, body: &Value, etag: &str) -> Result<Answer, ApiError> {
        self.request(Method::PUT, path, Some(body), Some(etag)).await
    }

    /// Sends until there is a final answer: what the server puts off is repeated when it says.
    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> Result<Answer, ApiError> {
        let mut attempt = 1;
        loop {
            let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            if let Some(etag) = etag {
                request = request.header("if-match", etag);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let response = request.send().await?;
            let put_off = matches!(response.status().as_u16(), 429 | 503);
            match retry_after(&response).filter(|_| put_off && attempt < ATTEMPTS_MAX) {
                Some(wait) => sleep(wait).await,
                None => return answer(&method, path, response).await,
            }
            attempt += 1;
        }
    }
}

fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(30)))
}

async fn answer(method: &Method, path: &str, response: reqwest::Response) -> Result<Answer, ApiError> {
    let status = response.status();
    let etag = response.headers().get("etag").and_then(|etag| etag.to_str().ok()).map(ToOwned::to_owned);
    let text = response.text().await?;
    let mut body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(Answer { data: body["data"].take(), etag });
    }
    let word = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Err(ApiError::Refused {
        method: method.clone(),
        path: path.to_owned(),
        status,
        code: word("code"),
        message: word("message"),
    })
}
