//! Bodies: strict JSON that names what is wrong and where.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::fault::{Fault, Rule};
use crate::idempotency::BodyDigest;

/// A JSON body of the documented form: unknown fields are refused, so types derive `deny_unknown_fields`.
#[derive(Debug, Clone)]
pub(crate) struct Json<T>(pub(crate) T);

/// A body as it came, within the route's limit.
#[derive(Debug, Clone)]
pub(crate) struct RawBody(pub(crate) Bytes);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(
                ApiError::new(Code::UnsupportedMediaType).detail("send Content-Type: application/json")
            );
        }
        let RawBody(bytes) = RawBody::from_request(request, app).await?;
        parse(&bytes).map(Self)
    }
}

impl FromRequest<App> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let digest = request.extensions().get::<BodyDigest>().cloned();
        let bytes = Bytes::from_request(request, app).await.map_err(|rejection: BytesRejection| {
            match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(Code::BodyTooLarge),
                _ => ApiError::new(Code::IncompleteBody),
            }
        })?;
        if let Some(digest) = digest {
            digest.set(&bytes);
        }
        Ok(Self(bytes))
    }
}

/// Reads `application/json` and `application/*+json`, with parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Reads strict JSON.
///
/// # Errors
/// [`Code::MalformedJson`] for what is not JSON, [`Code::InvalidBody`] with pointer and rule for another form.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.trim_ascii_start().starts_with(b"[") {
        // a decoder would take an array for the fields of an object in their order
        let rule = Rule::WrongType("an array, where an object is documented".to_owned());
        return Err(ApiError::new(Code::InvalidBody).faults(vec![Fault { pointer: String::new(), rule }]));
    }
    let mut decoder = serde_json::Deserializer::from_slice(bytes);
    let body = serde_path_to_error::deserialize(&mut decoder).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            let fault = fault_of(pointer(error.path()), &inner.to_string());
            ApiError::new(Code::InvalidBody).faults(vec![fault])
        } else {
            ApiError::new(Code::MalformedJson).detail(inner)
        }
    })?;
    decoder.end().map_err(|error| ApiError::new(Code::MalformedJson).detail(error))?;
    refuse_nul(bytes)?;
    Ok(body)
}

/// U+0000 can be written in JSON and not be kept by PostgreSQL. It is looked for only where its escape occurs.
fn refuse_nul(bytes: &[u8]) -> Result<(), ApiError> {
    if !bytes.windows(6).any(|window| window == b"\\u0000") {
        return Ok(());
    }
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| ApiError::new(Code::MalformedJson).detail(error))?;
    match find_nul(&value, String::new()) {
        Some(pointer) => {
            Err(ApiError::new(Code::InvalidBody).faults(vec![Fault { pointer, rule: Rule::Character }]))
        }
        None => Ok(()),
    }
}

fn find_nul(value: &Value, pointer: String) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then_some(pointer),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| find_nul(item, format!("{pointer}/{index}")))
        }
        Value::Object(fields) => fields.iter().find_map(|(key, item)| {
            if key.contains('\0') {
                Some(pointer.clone())
            } else {
                find_nul(item, format!("{pointer}/{key}"))
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn pointer(path: &Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// What a decoder's message means. The field is named in the message where the path ends before it.
pub(crate) fn fault_of(pointer: String, message: &str) -> Fault {
    let message = message.split(" at line ").next().unwrap_or(message);
    let named = |start: &str| {
        let name = message.strip_prefix(start)?.split('`').next()?;
        let ends_in_name = pointer.rsplit('/').next() == Some(name);
        Some(if ends_in_name { pointer.clone() } else { format!("{pointer}/{name}") })
    };
    if let Some(pointer) = named("unknown field `") {
        Fault { pointer, rule: Rule::UnknownField }
    } else if let Some(pointer) = named("missing field `") {
        Fault { pointer, rule: Rule::Required }
    } else if let Some(pointer) = named("duplicate field `") {
        Fault { pointer, rule: Rule::Duplicate }
    } else {
        let found = message.chars().take(200).collect();
        Fault { pointer, rule: Rule::WrongType(found) }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its decoding matters")]
        name: String,
        #[expect(dead_code, reason = "only its decoding matters")]
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its decoding matters")]
        size: u8,
    }

    fn first(body: &str) -> (String, String, String) {
        let problem = parse::<Outer>(body.as_bytes()).unwrap_err().problem(domain::Language::En, "r");
        let (pointer, rule) = problem
            .errors
            .first()
            .map_or((String::new(), String::new()), |fault| (fault.pointer.clone(), fault.code.clone()));
        (problem.code, pointer, rule)
    }

    #[test]
    fn the_wrong_field_is_named() {
        for (body, code, pointer, rule) in [
            (r#"{"name":"x""#, "malformed_json", "", ""),
            (r#"{"name":"x"} x"#, "malformed_json", "", ""),
            ("\u{0}", "malformed_json", "", ""),
            (r#"{"name":7}"#, "invalid_body", "/name", "wrong_type"),
            (r#" ["x"]"#, "invalid_body", "", "wrong_type"),
            (r#"{"inner":[]}"#, "invalid_body", "/name", "required"),
            (r#"{"name":"x","nome":1}"#, "invalid_body", "/nome", "unknown_field"),
            (r#"{"name":"x","name":"y"}"#, "invalid_body", "/name", "duplicate"),
            (
                r#"{"name":"x","inner":[{"size":1},{"size":300}]}"#,
                "invalid_body",
                "/inner/1/size",
                "wrong_type",
            ),
            (
                r#"{"name":"x","inner":[{"size":1,"sixe":2}]}"#,
                "invalid_body",
                "/inner/0/sixe",
                "unknown_field",
            ),
            (r#"{"name":"a\u0000b"}"#, "invalid_body", "/name", "character"),
        ] {
            assert_eq!(first(body), (code.to_owned(), pointer.to_owned(), rule.to_owned()), "{body}");
        }
        assert!(parse::<Outer>(br#"{"name":"a\\u0000b"}"#).is_ok());
    }
}
