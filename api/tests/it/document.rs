//! The `OpenAPI` document and the pages that show it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;
use store::Engine;

use crate::support::{TestApi, send};

#[tokio::test]
async fn the_document_is_complete_and_true() {
    let api = TestApi::start(Engine::Sqlite).await;
    let reply = api.get("/api/openapi.json", None).await;
    let document = &reply.body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document, &serde_json::to_value(api::openapi()).unwrap());
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            operations += 1;
            let described = operation["summary"].as_str().or(operation["description"].as_str());
            assert!(described.is_some_and(|text| !text.is_empty()), "{name} says nothing of itself");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{name} never succeeds");
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(problem, "#/components/schemas/Problem", "{name} {status}");
                assert!(
                    response["description"].as_str().unwrap().contains('`'),
                    "{name} {status} names no code"
                );
            }
            // the route is there: whatever it answers, it is not the router's 404 or 405
            let real = path.replace("{code}", "not_found").replace("{id}", "1");
            let found = send(api.request(method.to_uppercase().parse::<Method>().unwrap(), &real)).await;
            assert!(!["route_not_found", "method_not_allowed"].contains(&found.code()), "{name}");
        }
    }
    assert!(operations >= 15, "{operations}");
    let mut missing = BTreeSet::new();
    find_references(document, &mut |reference| {
        let pointer = reference.trim_start_matches('#');
        if document.pointer(pointer).is_none() {
            missing.insert(reference.to_owned());
        }
    });
    assert!(missing.is_empty(), "{missing:?}");
}

fn find_references(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found(reference);
            }
            fields.values().for_each(|field| find_references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find_references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_pages_load_nothing_from_elsewhere() {
    let api = TestApi::start(Engine::Sqlite).await;
    for (path, kind) in [
        ("/docs/", "text/html"),
        ("/docs/swagger-ui-bundle.js", "text/javascript"),
        ("/docs/swagger-ui.css", "text/css"),
        ("/docs/swagger-initializer.js", "text/javascript"),
    ] {
        let response = api.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with(kind), "{path}: {}", header("content-type"));
        assert!(header("content-security-policy").starts_with("default-src 'self'"));
        let text = response.text().await.unwrap();
        assert!(!text.is_empty());
        if path.ends_with("initializer.js") {
            assert!(text.contains("/api/openapi.json"));
        }
        if path == "/docs/" {
            assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
        }
    }
}
