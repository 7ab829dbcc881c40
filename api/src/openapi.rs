//! The `OpenAPI` 3.1 document: what the handlers declare, completed with what is true of every operation, and the
//! pages that show it without internet.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::routing::get;
use serde_json::json;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, Ref, RefOr, Required};
use utoipa::{OpenApi as _, PartialSchema};
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use crate::code::Code;
use crate::config::Config;
use crate::schema::{Problem, ProblemFault};

/// What the pages under `/docs` may load: themselves.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; frame-ancestors 'none'";

/// What every document begins with.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem, ProblemFault)))]
struct Base;

/// The document of all routes.
pub fn openapi() -> OpenApi {
    complete(crate::http::routes(&Config::default()).into_openapi())
}

/// The document at `/api/openapi.json`, and pages to browse it at `/docs`.
pub(crate) fn pages(document: &OpenApi) -> Router<App> {
    let text = serde_json::to_string(document).expect("an OpenAPI document is JSON");
    let json = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")];
    let policy = SetResponseHeaderLayer::overriding(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(DOCS_POLICY),
    );
    Router::from(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/api/openapi.json")))
        .layer(policy)
        .route("/api/openapi.json", get(|| async move { (json, text) }))
}

/// Adds what no handler has to say itself: the token, the headers, and the refusals that follow from the method.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    document.merge(Base::openapi());
    document.info = InfoBuilder::new()
        .title("Munadi")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(None)
        .build();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Patch, &mut item.patch),
            (HttpMethod::Delete, &mut item.delete),
        ] {
            if let Some(operation) = operation {
                complete_operation(&method, path, operation);
            }
        }
    }
    document
}

const DESCRIPTION: &str = "The back end of a festival. Answers are `{success, data, message}`, lists have `meta`; \
errors are the same envelope and an RFC 9457 problem in one body, with a stable `code`. `message` follows \
`Accept-Language` (`ar`, `en`). Every write of a signed-in caller takes an `Idempotency-Key`, except a change of the \
password; PUT, PATCH and DELETE \
need `If-Match`. Lists are cursor pages. Rate limits are told in `RateLimit` and `RateLimit-Policy`.";

fn complete_operation(method: &HttpMethod, path: &str, operation: &mut Operation) {
    let signed_in = operation.security.as_ref().is_some_and(|needs| !needs.is_empty());
    let writes = !matches!(method, HttpMethod::Get);
    // a thing has versions; what hangs on it (a star) is there or not
    let conditional =
        path.ends_with('}') && matches!(method, HttpMethod::Put | HttpMethod::Patch | HttpMethod::Delete);
    let mut codes = vec![Code::QuotaExceeded, Code::Internal, Code::Overloaded, Code::TimedOut];
    if signed_in {
        codes.extend([Code::TokenMissing, Code::TokenInvalid, Code::TokenExpired, Code::Forbidden]);
    }
    if operation.request_body.is_some() {
        codes.extend([
            Code::MalformedJson,
            Code::InvalidBody,
            Code::ValidationFailed,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
        ]);
    }
    let parameters = operation.parameters.get_or_insert_default();
    for parameter in parameters.iter() {
        let RefOr::T(parameter) = parameter else { continue };
        match parameter.parameter_in {
            ParameterIn::Path => codes.extend([Code::InvalidPath, Code::NotFound]),
            ParameterIn::Query | ParameterIn::QueryString => codes.push(Code::InvalidQuery),
            ParameterIn::Header | ParameterIn::Cookie => {}
        }
        if parameter.name == "cursor" {
            codes.push(Code::InvalidCursor);
        }
    }
    // what has passwords in it is not kept, not even as a digest
    if writes && signed_in && path != "/api/v1/auth/password" {
        parameters.push(header_parameter(
            "Idempotency-Key",
            Required::False,
            "Makes repeating the request safe.",
        ));
        codes.extend([Code::InvalidHeader, Code::IdempotencyKeyRequired]);
        codes.extend([Code::IdempotencyInProgress, Code::IdempotencyKeyReused]);
    }
    if conditional {
        parameters.push(header_parameter(
            "If-Match",
            Required::True,
            "The `ETag` of the version seen, or `*`.",
        ));
        codes.extend([Code::PreconditionRequired, Code::PreconditionFailed]);
    }
    add_refusals(operation, &codes);
}

fn header_parameter(name: &str, required: Required, description: &str) -> RefOr<Parameter> {
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build();
    RefOr::T(parameter)
}

/// Gives every refusal the one shape, with its codes: those of `codes`, and those that the handler names in words.
fn add_refusals(operation: &mut Operation, codes: &[Code]) {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for (status, response) in &operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let Some(status) = status.parse().ok().filter(|status| *status >= 400) else { continue };
        let words: Vec<&str> = response.description.split('`').collect();
        let named = Code::ALL.iter().filter(|code| words.contains(&code.as_str()));
        by_status.entry(status).or_default().extend(named);
    }
    for code in codes {
        let listed = by_status.entry(code.status().as_u16()).or_default();
        if !listed.contains(code) {
            listed.push(*code);
        }
    }
    for (status, codes) in by_status {
        let Some(first) = codes.first() else { continue };
        let listed: Vec<String> = codes.iter().map(|code| format!("`{}`", code.as_str())).collect();
        let own = match operation.responses.responses.get(&status.to_string()) {
            Some(RefOr::T(own)) => own.description.clone(),
            Some(RefOr::Ref(_)) | None => String::new(),
        };
        // a handler's own sentence about the status stays, unless it is nothing but codes
        let description = if own.contains(' ') && !own.starts_with('`') {
            format!("{own} ({})", listed.join(", "))
        } else {
            listed.join(", ")
        };
        operation.responses.responses.insert(status.to_string(), RefOr::T(refusal(description, *first)));
    }
}

fn refusal(description: String, code: Code) -> Response {
    let example = json!({
        "success": false, "data": null, "message": code.text(domain::Language::En),
        "type": format!("/api/problems/{}", code.as_str()), "title": code.text(domain::Language::En),
        "status": code.status().as_u16(), "instance": "urn:munadi:request:01890a5d-ac96-774b-bcce-b302099a8057",
        "code": code.as_str(), "request_id": "01890a5d-ac96-774b-bcce-b302099a8057",
    });
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).example(Some(example)).build();
    let mut response =
        ResponseBuilder::new().description(description).content("application/problem+json", content);
    if matches!(code.status().as_u16(), 429 | 503) {
        let seconds =
            HeaderBuilder::new().schema(Some(i64::schema())).description(Some("Seconds to wait.")).build();
        response = response.header("Retry-After", seconds);
    }
    response.build()
}
