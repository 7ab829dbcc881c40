//! Bad requests: each gets its documented error, and nothing in the database changes.

use domain::Role;
use reqwest::Method;
use serde_json::{Value, json};
use store::Engine;

use crate::support::{TestApi, both_engines, send};

both_engines!(every_bad_request_gets_its_error_and_changes_nothing);

/// Whose token goes along.
#[derive(Clone, Copy)]
enum Who {
    Nobody,
    Attendee,
    Organizer,
    Admin,
    Sent(&'static str),
}

/// A bad request and its answer.
struct Row {
    method: Method,
    path: &'static str,
    who: Who,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    pointer: &'static str,
    rule: &'static str,
}

/// A row with a JSON body.
fn row(
    request: (&str, &'static str),
    who: Who,
    body: &str,
    answer: (u16, &'static str, &'static str, &'static str),
) -> Row {
    let (status, code, pointer, rule) = answer;
    Row {
        method: request.0.parse().unwrap(),
        path: request.1,
        who,
        headers: vec![("content-type", "application/json")],
        body: body.as_bytes().to_vec(),
        status,
        code,
        pointer,
        rule,
    }
}

impl Row {
    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.retain(|(one, _)| *one != name);
        self.headers.push((name, value));
        self
    }

    fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }
}

const LOGIN: (&str, &str) = ("POST", "/api/v1/auth/login");
const REFRESH: (&str, &str) = ("POST", "/api/v1/auth/refresh");
const REGISTER: (&str, &str) = ("POST", "/api/v1/auth/register");
const USERS: (&str, &str) = ("POST", "/api/v1/users");
const USER: (&str, &str) = ("PATCH", "/api/v1/users/1");
const PASSWORD: (&str, &str) = ("POST", "/api/v1/auth/password");
const BATCH: (&str, &str) = ("POST", "/api/v1/users/batch");
const DEVICES: (&str, &str) = ("POST", "/api/v1/devices");
const ANNOUNCE: (&str, &str) = ("POST", "/api/v1/announcements");
const RECEIPTS: (&str, &str) = ("POST", "/api/v1/receipts");

/// The form of bodies.
#[expect(clippy::too_many_lines, reason = "a table")]
fn forms() -> Vec<Row> {
    let malformed = (400, "malformed_json", "", "");
    let long = "x".repeat(2 << 20);
    vec![
        row(LOGIN, Who::Nobody, "", malformed),
        row(LOGIN, Who::Nobody, "{", malformed),
        row(LOGIN, Who::Nobody, r#"{"email":"a@b","password":"x"} trailing"#, malformed),
        row(LOGIN, Who::Nobody, r#"{"email":"a@b","password":"x",}"#, malformed),
        row(LOGIN, Who::Nobody, r"{'email':'a@b'}", malformed),
        row(LOGIN, Who::Nobody, "", malformed).bytes(vec![0x00, 0xff, 0xfe, 0x80, 0x01]),
        row(LOGIN, Who::Nobody, "", malformed)
            .bytes(br#"{"email":"#.iter().copied().chain([b'"', 0xc3, 0x28, b'"', b'}']).collect()),
        row(LOGIN, Who::Nobody, &"[".repeat(10_000), (422, "invalid_body", "", "wrong_type")),
        row(LOGIN, Who::Nobody, r#"{"email":"\ud800","password":"x"}"#, malformed),
        row(LOGIN, Who::Nobody, r#"["a@b","x",null]"#, (422, "invalid_body", "", "wrong_type")),
        row(LOGIN, Who::Nobody, "7", (422, "invalid_body", "", "wrong_type")),
        row(LOGIN, Who::Nobody, "null", (422, "invalid_body", "", "wrong_type")),
        row(
            LOGIN,
            Who::Nobody,
            r#"{"email":7,"password":"x"}"#,
            (422, "invalid_body", "/email", "wrong_type"),
        ),
        row(LOGIN, Who::Nobody, r#"{"email":"a@b"}"#, (422, "invalid_body", "/password", "required")),
        row(
            LOGIN,
            Who::Nobody,
            r#"{"email":"a@b","password":"x","admin":true}"#,
            (422, "invalid_body", "/admin", "unknown_field"),
        ),
        row(
            LOGIN,
            Who::Nobody,
            r#"{"email":"a@b","email":"c@d","password":"x"}"#,
            (422, "invalid_body", "/email", "duplicate"),
        ),
        row(
            LOGIN,
            Who::Nobody,
            r#"{"email":"a\u0000@b","password":"x"}"#,
            (422, "invalid_body", "/email", "character"),
        ),
        row(
            LOGIN,
            Who::Nobody,
            &format!(r#"{{"email":"{long}","password":"x"}}"#),
            (413, "body_too_large", "", ""),
        ),
        row(LOGIN, Who::Nobody, "email=a@b", (415, "unsupported_media_type", "", ""))
            .header("content-type", "application/x-www-form-urlencoded"),
        row(LOGIN, Who::Nobody, "{}", (415, "unsupported_media_type", "", ""))
            .header("content-type", "text/plain"),
        row(
            LOGIN,
            Who::Nobody,
            r#"{"email":" ","password":"x"}"#,
            (422, "validation_failed", "/email", "required"),
        ),
        row(LOGIN, Who::Nobody, r#"{"email":"a@b","password":"x"}"#, (401, "credentials_wrong", "", "")),
        row(
            REFRESH,
            Who::Nobody,
            r#"{"refresh_token":""}"#,
            (422, "validation_failed", "/refresh_token", "required"),
        ),
        row(REFRESH, Who::Nobody, r#"{"refresh_token":"' OR 1=1 --"}"#, (401, "refresh_invalid", "", "")),
        row(
            REFRESH,
            Who::Nobody,
            r#"{"refresh_token":null}"#,
            (422, "invalid_body", "/refresh_token", "wrong_type"),
        ),
    ]
}

/// The rules of accounts.
fn accounts() -> Vec<Row> {
    let register = |change: Value, pointer, rule| {
        let mut body = json!({ "email": "a@example.com", "password": "seven purple camels", "name": "A" });
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        row(REGISTER, Who::Nobody, &body.to_string(), (422, "validation_failed", pointer, rule))
    };
    vec![
        register(json!({ "email": "nobody" }), "/email", "malformed"),
        register(json!({ "email": "a b@example.com" }), "/email", "malformed"),
        register(json!({ "email": format!("{}@example.com", "x".repeat(300)) }), "/email", "too_long"),
        register(json!({ "password": "short" }), "/password", "too_short"),
        register(json!({ "name": "" }), "/name", "required"),
        register(json!({ "name": "x".repeat(201) }), "/name", "too_long"),
        register(json!({ "name": "a\u{7}b" }), "/name", "character"),
        row(
            REGISTER,
            Who::Nobody,
            r#"{"email":"a@b.c","password":"seven purple camels","name":"A","language":"fr"}"#,
            (422, "invalid_body", "/language", "wrong_type"),
        ),
        row(
            REGISTER,
            Who::Nobody,
            r#"{"email":"a@b.c","password":"seven purple camels","name":"A","roles":["admin"]}"#,
            (422, "invalid_body", "/roles", "unknown_field"),
        ),
        row(USERS, Who::Nobody, "{}", (401, "token_missing", "", "")),
        row(USERS, Who::Organizer, "{}", (403, "forbidden", "", "")),
        row(
            USERS,
            Who::Admin,
            r#"{"email":"x@y.z","name":"X","roles":["king"]}"#,
            (422, "invalid_body", "/roles/0", "wrong_type"),
        ),
        row(
            USERS,
            Who::Admin,
            r#"{"email":"x@y.z","name":"X","roles":[]}"#,
            (422, "validation_failed", "/roles", "required"),
        ),
        row(
            USERS,
            Who::Admin,
            r#"{"email":"admin@example.com","name":"X","roles":["steward"]}"#,
            (409, "email_taken", "", ""),
        ),
    ]
}

/// The rules of changes to accounts by admins.
fn changes_of_accounts() -> Vec<Row> {
    vec![
        row(USER, Who::Nobody, "{}", (401, "token_missing", "", "")).header("if-match", "*"),
        row(USER, Who::Organizer, r#"{"blocked":true}"#, (403, "forbidden", "", "")).header("if-match", "*"),
        row(USER, Who::Admin, r#"{"blocked":true}"#, (428, "precondition_required", "", "")),
        row(USER, Who::Admin, r#"{"blocked":true}"#, (412, "precondition_failed", "", ""))
            .header("if-match", "\"user-1-9\""),
        row(USER, Who::Admin, "{}", (422, "validation_failed", "", "required")).header("if-match", "*"),
        row(USER, Who::Admin, r#"{"roles":[]}"#, (422, "validation_failed", "/roles", "required"))
            .header("if-match", "*"),
        row(USER, Who::Admin, r#"{"roles":["king"]}"#, (422, "invalid_body", "/roles/0", "wrong_type"))
            .header("if-match", "*"),
        row(USER, Who::Admin, r#"{"blocked":"yes"}"#, (422, "invalid_body", "/blocked", "wrong_type"))
            .header("if-match", "*"),
        row(USER, Who::Admin, r#"{"email":"a@b.c"}"#, (422, "invalid_body", "/email", "unknown_field"))
            .header("if-match", "*"),
        row(("PATCH", "/api/v1/users/99"), Who::Admin, r#"{"blocked":true}"#, (404, "not_found", "", ""))
            .header("if-match", "*"),
        row(("PATCH", "/api/v1/users/x"), Who::Admin, "{}", (400, "invalid_path", "", ""))
            .header("if-match", "*"),
        row(("GET", "/api/v1/users/1"), Who::Attendee, "", (403, "forbidden", "", "")),
        row(("GET", "/api/v1/users/99"), Who::Admin, "", (404, "not_found", "", "")),
    ]
}

/// The rules of passwords and of many accounts at once.
fn passwords_and_batches() -> Vec<Row> {
    vec![
        row(PASSWORD, Who::Nobody, "{}", (401, "token_missing", "", "")),
        row(
            PASSWORD,
            Who::Attendee,
            r#"{"current_password":"seven purple camels","new_password":"short"}"#,
            (422, "validation_failed", "/new_password", "too_short"),
        ),
        row(
            PASSWORD,
            Who::Attendee,
            r#"{"current_password":"","new_password":"seven purple camels"}"#,
            (422, "validation_failed", "/current_password", "required"),
        ),
        row(
            PASSWORD,
            Who::Attendee,
            r#"{"new_password":"seven purple camels"}"#,
            (422, "invalid_body", "/current_password", "required"),
        ),
        row(
            PASSWORD,
            Who::Attendee,
            r#"{"current_password":"it has none","new_password":"seven purple camels"}"#,
            (401, "credentials_wrong", "", ""),
        ),
        row(BATCH, Who::Admin, r#"{"users":[]}"#, (422, "validation_failed", "/users", "required")),
        row(
            BATCH,
            Who::Admin,
            r#"{"users":[{"email":"a@b.c","name":"A","password":"seven purple camels"}]}"#,
            (422, "invalid_body", "/users/0/password", "unknown_field"),
        ),
        row(
            BATCH,
            Who::Admin,
            r#"{"users":[{"email":"a@b.c","name":"A"},{"email":"A@b.c","name":"B"}]}"#,
            (409, "email_taken", "", ""),
        ),
        row(
            BATCH,
            Who::Admin,
            &json!({ "users": vec![json!({ "email": "a@b.c", "name": "A" }); 1_001] }).to_string(),
            (422, "validation_failed", "/users", "too_long"),
        ),
    ]
}

/// Tokens and paths.
fn callers() -> Vec<Row> {
    let me = ("GET", "/api/v1/me");
    let invalid = (401, "token_invalid", "", "");
    vec![
        row(me, Who::Nobody, "", (401, "token_missing", "", "")),
        row(me, Who::Sent("x"), "", invalid),
        row(me, Who::Sent("a.b.c"), "", invalid),
        row(me, Who::Sent("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."), "", invalid),
        row(me, Who::Nobody, "", invalid).header("authorization", "Bearer"),
        row(me, Who::Nobody, "", invalid).header("authorization", "Basic YTpi"),
        row(("GET", "/api/v1/nowhere"), Who::Nobody, "", (404, "route_not_found", "", "")),
        row(("GET", "/api/v1/devices/../../etc/passwd"), Who::Attendee, "", (404, "route_not_found", "", "")),
        row(("DELETE", "/api/v1/me"), Who::Attendee, "", (405, "method_not_allowed", "", "")),
        row(("TRACE", "/api/v1/me"), Who::Attendee, "", (405, "method_not_allowed", "", "")),
        row(("GET", "/api/problems/no_such_code"), Who::Nobody, "", (404, "not_found", "", "")),
    ]
}

/// The rules of devices.
#[expect(clippy::too_many_lines, reason = "a table")]
fn devices() -> Vec<Row> {
    let form = |change: Value| {
        let mut body = json!({ "installation_id": "installation-9", "platform": "ios", "token_kind": "apns",
            "token": "00ff00ff00ff00ff", "locale": "ar-EG", "app_version": "1" });
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        body.to_string()
    };
    let register = |change: Value, pointer, rule| {
        row(DEVICES, Who::Attendee, &form(change), (422, "validation_failed", pointer, rule))
    };
    let good = form(json!({}));
    let stale = (412, "precondition_failed", "", "");
    vec![
        register(json!({ "installation_id": "short" }), "/installation_id", "too_short"),
        register(json!({ "installation_id": "has a space" }), "/installation_id", "character"),
        register(json!({ "token": "not hexadecimal!" }), "/token", "malformed"),
        register(json!({ "token": "00ff00ff00ff00ff0" }), "/token", "malformed"),
        register(json!({ "token": "00" }), "/token", "too_short"),
        register(json!({ "token": "0".repeat(402) }), "/token", "too_long"),
        register(json!({ "platform": "android" }), "/token_kind", "malformed"),
        register(json!({ "token_kind": "fcm_token", "token": "has a space" }), "/token", "character"),
        register(
            json!({ "token_kind": "webpush", "platform": "web", "token": "x".repeat(40) }),
            "/token",
            "malformed",
        ),
        register(json!({ "locale": "a" }), "/locale", "too_short"),
        register(json!({ "locale": "العربية" }), "/locale", "malformed"),
        register(json!({ "app_version": "" }), "/app_version", "required"),
        row(
            DEVICES,
            Who::Attendee,
            &form(json!({ "platform": "symbian" })),
            (422, "invalid_body", "/platform", "wrong_type"),
        ),
        row(DEVICES, Who::Nobody, &good, (401, "token_missing", "", "")),
        row(DEVICES, Who::Attendee, &good, (400, "invalid_header", "", "")).header("idempotency-key", ""),
        row(("PUT", "/api/v1/devices/1"), Who::Attendee, &good, (428, "precondition_required", "", "")),
        row(("PUT", "/api/v1/devices/1"), Who::Attendee, &good, (400, "invalid_header", "", ""))
            .header("if-match", "device-1-1"),
        row(("PUT", "/api/v1/devices/1"), Who::Attendee, &good, stale).header("if-match", "\"device-1-7\""),
        row(("DELETE", "/api/v1/devices/1"), Who::Attendee, "", (428, "precondition_required", "", "")),
        row(("DELETE", "/api/v1/devices/1"), Who::Attendee, "", stale)
            .header("if-match", "W/\"device-1-0\", \"x\""),
        row(("DELETE", "/api/v1/devices/99"), Who::Attendee, "", (404, "not_found", "", ""))
            .header("if-match", "*"),
        row(("DELETE", "/api/v1/devices/1"), Who::Organizer, "", (404, "not_found", "", ""))
            .header("if-match", "*"),
        row(("GET", "/api/v1/devices/one"), Who::Attendee, "", (400, "invalid_path", "", "")),
        row(
            ("GET", "/api/v1/devices/99999999999999999999"),
            Who::Attendee,
            "",
            (400, "invalid_path", "", ""),
        ),
        row(("GET", "/api/v1/devices/%ff"), Who::Attendee, "", (400, "invalid_path", "", "")),
        row(
            ("GET", "/api/v1/devices?limit=0"),
            Who::Attendee,
            "",
            (400, "invalid_query", "/limit", "out_of_range"),
        ),
        row(
            ("GET", "/api/v1/devices?limit=many"),
            Who::Attendee,
            "",
            (400, "invalid_query", "/limit", "wrong_type"),
        ),
        row(
            ("GET", "/api/v1/devices?limits=5"),
            Who::Attendee,
            "",
            (400, "invalid_query", "/limits", "unknown_field"),
        ),
        row(("GET", "/api/v1/devices?cursor=AAAA"), Who::Attendee, "", (400, "invalid_cursor", "", "")),
        row(("GET", "/api/v1/devices?cursor=%00"), Who::Attendee, "", (400, "invalid_query", "", "")),
    ]
}

/// The rules of announcements and receipts.
fn announcements() -> Vec<Row> {
    let form = |change: Value| {
        let mut body =
            json!({ "title": "T", "body": "B", "lane": "standard", "audience": { "kind": "everyone" } });
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        body.to_string()
    };
    let publish = |change: Value, pointer, rule| {
        row(ANNOUNCE, Who::Organizer, &form(change), (422, "validation_failed", pointer, rule))
    };
    let body = |change: Value, pointer, rule| {
        row(ANNOUNCE, Who::Organizer, &form(change), (422, "invalid_body", pointer, rule))
    };
    vec![
        publish(json!({ "title": { "ar": " ", "en": "" } }), "/title", "required"),
        publish(json!({ "title": "x".repeat(201) }), "/title/en", "too_long"),
        publish(json!({ "body": { "ar": "س".repeat(2_001) } }), "/body/ar", "too_long"),
        publish(json!({ "expires_at": "2026-07-15T11:59:59Z" }), "/expires_at", "out_of_range"),
        publish(json!({ "expires_at": "2027-07-15T12:00:00Z" }), "/expires_at", "out_of_range"),
        publish(json!({ "ttl_seconds": 0 }), "/ttl_seconds", "out_of_range"),
        publish(json!({ "ttl_seconds": 9, "expires_at": "2026-07-15T12:30:00Z" }), "/ttl_seconds", "either"),
        publish(json!({ "audience": { "kind": "event", "event_id": 12345 } }), "/audience", "unknown"),
        publish(json!({ "audience": { "kind": "users", "user_ids": [0] } }), "/audience", "unknown"),
        body(json!({ "lane": "urgent" }), "/lane", "wrong_type"),
        body(json!({ "title": { "fr": "Bonjour" } }), "/title", "wrong_type"),
        body(json!({ "audience": { "kind": "planet" } }), "/audience/kind", "wrong_type"),
        body(json!({ "audience": { "kind": "event" } }), "/audience/event_id", "required"),
        body(json!({ "expires_at": "2026-07-15T12:30:00" }), "/expires_at", "wrong_type"),
        body(json!({ "expires_at": 1_784_116_800 }), "/expires_at", "wrong_type"),
        body(json!({ "ttl_seconds": -1 }), "/ttl_seconds", "wrong_type"),
        row(ANNOUNCE, Who::Attendee, &form(json!({})), (403, "forbidden", "", "")),
        row(ANNOUNCE, Who::Nobody, &form(json!({})), (401, "token_missing", "", "")),
        row(("POST", "/api/v1/announcements/7/cancel"), Who::Organizer, "", (404, "not_found", "", "")),
        row(("GET", "/api/v1/announcements/7"), Who::Organizer, "", (404, "not_found", "", "")),
        row(
            ("GET", "/api/v1/announcements?limit=201"),
            Who::Organizer,
            "",
            (400, "invalid_query", "/limit", "out_of_range"),
        ),
        row(RECEIPTS, Who::Nobody, r#"{"receipts":[]}"#, (422, "validation_failed", "/receipts", "required")),
        row(
            RECEIPTS,
            Who::Nobody,
            r#"{"receipts":[{"delivery_id":"7","code":"x","state":"opened"}]}"#,
            (422, "invalid_body", "/receipts/0/delivery_id", "wrong_type"),
        ),
        row(
            RECEIPTS,
            Who::Nobody,
            r#"{"receipts":[{"delivery_id":"0b6c5a57-7d0f-5c2a-9d0a-3d1f8b1c2e4f","code":"x","state":"failed"}]}"#,
            (422, "invalid_body", "/receipts/0/state", "wrong_type"),
        ),
        row(
            RECEIPTS,
            Who::Nobody,
            r#"{"receipts":[{"delivery_id":"0b6c5a57-7d0f-5c2a-9d0a-3d1f8b1c2e4f","code":"","state":"opened"}]}"#,
            (422, "validation_failed", "/receipts/0/code", "required"),
        ),
    ]
}

async fn every_bad_request_gets_its_error_and_changes_nothing(engine: Engine) {
    let api = TestApi::start(engine).await;
    let attendee = api.token_of("attendee", &[Role::Attendee]).await;
    let organizer = api.token_of("organizer", &[Role::Organizer]).await;
    let admin = api.token_of("admin", &[Role::Admin]).await;
    let device = json!({ "installation_id": "installation-1", "platform": "android", "token_kind": "fcm_token",
        "token": "token-00001", "locale": "ar", "app_version": "1" });
    let device = api.post("/api/v1/devices", Some(&attendee), &device).await;
    assert_eq!(device.header("location"), "/api/v1/devices/1");

    let rows: Vec<Row> = [
        forms(),
        accounts(),
        changes_of_accounts(),
        passwords_and_batches(),
        callers(),
        devices(),
        announcements(),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(rows.len() >= 100, "{}", rows.len());
    let before = api.digest();
    let mut wrong = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        let mut request = api.request(row.method.clone(), row.path).body(row.body.clone());
        for (name, value) in row.headers {
            request = request.header(name, value);
        }
        request = match row.who {
            Who::Nobody => request,
            Who::Attendee => request.bearer_auth(&attendee),
            Who::Organizer => request.bearer_auth(&organizer),
            Who::Admin => request.bearer_auth(&admin),
            Who::Sent(token) => request.bearer_auth(token),
        };
        let reply = send(request).await;
        let fault = &reply.body["errors"][0];
        let found = (
            reply.status.as_u16(),
            reply.code(),
            fault["pointer"].as_str().unwrap_or_default(),
            fault["code"].as_str().unwrap_or_default(),
        );
        let sent = String::from_utf8_lossy(&row.body).chars().take(120).collect::<String>();
        let expected = (row.status, row.code, row.pointer, row.rule);
        if found == expected {
            reply.refused(row.status, row.code);
        } else {
            let request = format!("row {index}: {} {} {sent}", row.method, row.path);
            wrong.push(format!("{request}\n  expected {expected:?}\n  found    {found:?}: {}", reply.body));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(api.digest(), before, "a refused request has changed the database");
}
