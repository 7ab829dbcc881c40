//! What is true of every request.

use domain::Role;
use reqwest::Method;
use store::Engine;

use crate::support::{TestApi, both_engines, send};

both_engines!(
    an_error_is_an_envelope_and_a_problem_in_the_readers_language,
    a_reader_who_has_the_version_gets_304,
    quotas_are_told_and_kept,
);

async fn an_error_is_an_envelope_and_a_problem_in_the_readers_language(engine: Engine) {
    let api = TestApi::start(engine).await;
    let request = api.request(Method::GET, "/api/v1/nowhere").header("accept-language", "ar-EG, en;q=0.1");
    let reply = send(request.header("x-request-id", "mine-1")).await;
    reply.refused(404, "route_not_found");
    assert_eq!((reply.header("content-language"), reply.header("x-request-id")), ("ar", "mine-1"));
    assert!(reply.headers.get_all("vary").iter().any(|value| value == "accept-language"));
    assert!(!reply.body["message"].as_str().unwrap().is_ascii());
    let kind = api.get(reply.body["type"].as_str().unwrap(), None).await;
    assert_eq!(kind.data(200)["code"], "route_not_found");

    let reply = send(api.request(Method::DELETE, "/api/v1/me")).await;
    reply.refused(405, "method_not_allowed");
    assert_eq!(reply.header("allow"), "GET,HEAD");
    api.get("/api/v1/me", None).await.refused(401, "token_missing");
}

async fn a_reader_who_has_the_version_gets_304(engine: Engine) {
    let api = TestApi::start(engine).await;
    let token = api.token_of("amina", &[Role::Attendee]).await;
    let reply = api.get("/api/v1/me", Some(&token)).await;
    assert_eq!(reply.data(200)["email"], "amina@example.com");
    let again = api.request(Method::GET, "/api/v1/me").bearer_auth(&token);
    let again = send(again.header("if-none-match", format!("\"x\", W/{}", reply.header("etag")))).await;
    assert_eq!((again.status.as_u16(), again.header("etag")), (304, reply.header("etag")));
}

async fn quotas_are_told_and_kept(engine: Engine) {
    let api = TestApi::with(engine, |config| config.rate_limits.anonymous.requests = 2).await;
    let first = api.get("/api/problems", None).await;
    assert_eq!(first.header("ratelimit-policy"), "\"anonymous\";q=2;w=60");
    assert_eq!(first.header("ratelimit"), "\"anonymous\";r=1;t=30");
    api.get("/api/problems", None).await.data(200);
    let refused = api.get("/api/problems", None).await;
    refused.refused(429, "quota_exceeded");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    let token = api.token_of("amina", &[Role::Attendee]).await;
    api.get("/api/v1/me", Some(&token)).await.data(200);
}
