//! Sessions that end early: who is signed out, and what the nodes are told.

use domain::{ChangeKind, Revocation, RevocationReason, Role, Topic, UserId};
use reqwest::Method;
use serde_json::{Value, json};
use store::{Engine, outbox};

use crate::support::{Reply, TestApi, authorized, both_engines, send};

both_engines!(
    signing_out_tells_the_nodes_once,
    a_copied_refresh_token_ends_the_session_on_every_node,
    another_password_ends_every_other_session,
    wrong_current_passwords_are_counted,
    other_roles_are_told_and_in_the_next_token,
    a_blocked_user_is_out_until_unblocked,
    admins_do_not_take_their_own_rights,
    the_command_line_changes_accounts_too,
    revoked_tokens_are_refused_at_once,
);

const PASSWORD: &str = "seven purple camels";

/// What the nodes are told and were not told before.
async fn told(api: &TestApi) -> Vec<Revocation> {
    let waiting = outbox::read(&api.store, 100).await.unwrap();
    let mut tx = api.store.begin().await.unwrap();
    let ids: Vec<i64> = waiting.iter().map(|row| row.id).collect();
    outbox::delete(&mut tx, &ids).await.unwrap();
    tx.commit().await.unwrap();
    let revocations = waiting.into_iter().map(|row| {
        assert_eq!(row.change.topics(), [Topic::control()]);
        match row.change.kind {
            ChangeKind::Revocation { revocation } => revocation,
            other => panic!("{other:?}"),
        }
    });
    revocations.collect()
}

fn user_revoked(user_id: UserId, reason: RevocationReason, except: Option<String>) -> Vec<Revocation> {
    vec![Revocation::User { user_id, reason, except }]
}

async fn register(api: &TestApi, email: &str) -> (UserId, Value) {
    let body = json!({ "email": email, "password": PASSWORD, "name": "Amina" });
    let session = api.post("/api/v1/auth/register", None, &body).await.data(201).clone();
    (UserId(session["user"]["id"].as_i64().unwrap()), session)
}

async fn login(api: &TestApi, email: &str, password: &str) -> Reply {
    api.post("/api/v1/auth/login", None, &json!({ "email": email, "password": password })).await
}

async fn refresh(api: &TestApi, session: &Value) -> Reply {
    let body = json!({ "refresh_token": session["refresh_token"] });
    api.post("/api/v1/auth/refresh", None, &body).await
}

async fn patch(api: &TestApi, who: &str, user: UserId, body: &Value) -> Reply {
    let path = format!("/api/v1/users/{user}");
    let tag = api.get(&path, Some(who)).await.header("etag").to_owned();
    send(authorized(api.request(Method::PATCH, &path), Some(who)).header("if-match", tag).json(body)).await
}

/// The session in an access token, which this does not verify.
fn session_of(session: &Value) -> String {
    use base64::Engine as _;
    let claims = session["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["sid"].as_str().unwrap().to_owned()
}

async fn signing_out_tells_the_nodes_once(engine: Engine) {
    let api = TestApi::start(engine).await;
    let (user, session) = register(&api, "amina@example.com").await;
    let body = json!({ "refresh_token": session["refresh_token"] });
    for _ in 0..2 {
        api.post("/api/v1/auth/logout", None, &body).await.data(200);
    }
    assert_eq!(told(&api).await, [Revocation::Session { session: session_of(&session), user_id: user }]);
    let other = login(&api, "amina@example.com", PASSWORD).await.data(200).clone();
    api.post("/api/v1/auth/logout/all", other["access_token"].as_str(), &json!({})).await.data(200);
    assert_eq!(told(&api).await, user_revoked(user, RevocationReason::SignedOut, None));
    refresh(&api, &other).await.refused(401, "refresh_invalid");
}

async fn a_copied_refresh_token_ends_the_session_on_every_node(engine: Engine) {
    let api = TestApi::start(engine).await;
    let (user, first) = register(&api, "amina@example.com").await;
    let second = refresh(&api, &first).await.data(200).clone();
    refresh(&api, &second).await.data(200);
    assert_eq!(told(&api).await, []);
    refresh(&api, &first).await.refused(401, "refresh_reused");
    assert_eq!(told(&api).await, [Revocation::Session { session: session_of(&first), user_id: user }]);
}

async fn another_password_ends_every_other_session(engine: Engine) {
    let api = TestApi::start(engine).await;
    let (user, here) = register(&api, "amina@example.com").await;
    let elsewhere = login(&api, "amina@example.com", PASSWORD).await.data(200).clone();
    let body = json!({ "current_password": PASSWORD, "new_password": "eight yellow camels" });
    api.post("/api/v1/auth/password", here["access_token"].as_str(), &body).await.data(200);
    let except = Some(session_of(&here));
    assert_eq!(told(&api).await, user_revoked(user, RevocationReason::Password, except));
    refresh(&api, &elsewhere).await.refused(401, "refresh_invalid");
    refresh(&api, &here).await.data(200);
    login(&api, "amina@example.com", PASSWORD).await.refused(401, "credentials_wrong");
    login(&api, "amina@example.com", "eight yellow camels").await.data(200);
}

async fn wrong_current_passwords_are_counted(engine: Engine) {
    let api = TestApi::with(engine, |config| config.passwords.free_attempts = 1).await;
    let (_, session) = register(&api, "amina@example.com").await;
    let attempt = async |current: &str| {
        let body = json!({ "current_password": current, "new_password": "eight yellow camels" });
        api.post("/api/v1/auth/password", session["access_token"].as_str(), &body).await
    };
    let mut replies = Vec::new();
    for _ in 0..10 {
        replies.push(attempt("a wrong guess").await.code().to_owned());
    }
    assert_eq!((replies[0].as_str(), replies[9].as_str()), ("credentials_wrong", "login_locked"));
    attempt(PASSWORD).await.refused(429, "login_locked");
    assert_eq!(told(&api).await, []);
}

async fn other_roles_are_told_and_in_the_next_token(engine: Engine) {
    let api = TestApi::start(engine).await;
    let admin = api.token_of("root", &[Role::Admin]).await;
    let (user, session) = register(&api, "amina@example.com").await;
    let changed = patch(&api, &admin, user, &json!({ "roles": ["organizer", "attendee"] })).await;
    assert_eq!(changed.data(200)["roles"], json!(["organizer", "attendee"]));
    assert_eq!(changed.header("etag"), format!("\"user-{user}-2\""));
    assert_eq!(told(&api).await, user_revoked(user, RevocationReason::Roles, None));
    let again = patch(&api, &admin, user, &json!({ "roles": ["attendee", "organizer"] })).await;
    assert_eq!(again.header("etag"), changed.header("etag"), "the same roles are no change");
    assert_eq!(told(&api).await, []);
    let next = refresh(&api, &session).await.data(200).clone();
    let body = json!({ "title": "T", "body": "B", "lane": "standard", "audience": { "kind": "everyone" } });
    api.post("/api/v1/announcements", session["access_token"].as_str(), &body)
        .await
        .refused(401, "token_expired");
    api.post("/api/v1/announcements", next["access_token"].as_str(), &body).await.data(202);
}

async fn a_blocked_user_is_out_until_unblocked(engine: Engine) {
    let api = TestApi::start(engine).await;
    let admin = api.token_of("root", &[Role::Admin]).await;
    let (user, session) = register(&api, "amina@example.com").await;
    assert_eq!(patch(&api, &admin, user, &json!({ "blocked": true })).await.data(200)["blocked"], true);
    assert_eq!(told(&api).await, user_revoked(user, RevocationReason::Blocked, None));
    refresh(&api, &session).await.refused(401, "refresh_invalid");
    login(&api, "amina@example.com", "not it").await.refused(401, "credentials_wrong");
    login(&api, "amina@example.com", PASSWORD).await.refused(403, "account_blocked");
    let body = json!({ "current_password": PASSWORD, "new_password": "eight yellow camels" });
    let token = session["access_token"].as_str();
    api.post("/api/v1/auth/password", token, &body).await.refused(403, "account_blocked");
    assert_eq!(patch(&api, &admin, user, &json!({ "blocked": false })).await.data(200)["blocked"], false);
    assert_eq!(told(&api).await, [], "there is nothing to end");
    refresh(&api, &session).await.refused(401, "refresh_invalid");
    login(&api, "amina@example.com", PASSWORD).await.data(200);
}

async fn admins_do_not_take_their_own_rights(engine: Engine) {
    let api = TestApi::start(engine).await;
    let root = api.user("root", &[Role::Admin]).await;
    let admin = api.token(root, &[Role::Admin]);
    patch(&api, &admin, root, &json!({ "roles": ["attendee"] })).await.refused(409, "own_account");
    patch(&api, &admin, root, &json!({ "blocked": true })).await.refused(409, "own_account");
    let organizer = api.token_of("organizer", &[Role::Organizer]).await;
    let path = format!("/api/v1/users/{root}");
    api.get(&path, Some(&organizer)).await.refused(403, "forbidden");
    patch(&api, &organizer, root, &json!({ "blocked": true })).await.refused(403, "forbidden");
    let stale =
        authorized(api.request(Method::PATCH, &path), Some(&admin)).header("if-match", "\"user-1-9\"");
    let stale = send(stale.json(&json!({ "blocked": true }))).await;
    stale.refused(412, "precondition_failed");
    assert_eq!(stale.body["data"]["blocked"], false);
    assert_eq!(told(&api).await, []);
}

async fn the_command_line_changes_accounts_too(engine: Engine) {
    let api = TestApi::start(engine).await;
    let (user, session) = register(&api, "amina@example.com").await;
    let mut passwords = api::Config::default().passwords;
    (passwords.memory_kib, passwords.passes) = (8_192, 1);
    let change = async |change: api::AccountChange| {
        api::change_account(&api.store, &*api.clock, &passwords, "Amina@example.com", change).await.unwrap()
    };
    let password = Some("eight yellow camels".to_owned());
    change(api::AccountChange { password, ..Default::default() }).await;
    assert_eq!(told(&api).await, user_revoked(user, RevocationReason::Password, None));
    refresh(&api, &session).await.refused(401, "refresh_invalid");
    login(&api, "amina@example.com", "eight yellow camels").await.data(200);
    let roles = Some(vec![Role::Steward]);
    let changed = change(api::AccountChange { roles, blocked: Some(true), password: None }).await;
    assert_eq!((changed.roles.as_slice(), changed.blocked_at), (&[Role::Steward][..], Some(api.clock_now())));
    assert_eq!(told(&api).await, user_revoked(user, RevocationReason::Blocked, None));
    let nobody = api::AccountChange::default();
    let nobody = api::change_account(&api.store, &*api.clock, &passwords, "nobody@example.com", nobody).await;
    assert!(matches!(nobody, Err(api::ChangeAccountError::NotFound)));
}

/// Waits until the holder of `token` gets this answer; gives how long it took.
async fn until_refused(api: &TestApi, token: &str, code: &str) -> std::time::Duration {
    let began = tokio::time::Instant::now();
    loop {
        let reply = api.get("/api/v1/me", Some(token)).await;
        if reply.status != 200 {
            assert_eq!(reply.code(), code);
            return began.elapsed();
        }
        assert!(began.elapsed().as_secs() < 20, "the token is still good");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Goal: an access token is refused within a second of what ended its session, on a node that knows of it by the
/// database alone; other sessions go on.
async fn revoked_tokens_are_refused_at_once(engine: Engine) {
    let api = TestApi::start(engine).await;
    let other = api.twin().await;
    let second = std::time::Duration::from_secs(1);
    let token = |session: &Value| session["access_token"].as_str().unwrap().to_owned();
    let (user, first) = register(&api, "amina@example.com").await;
    let stays = login(&api, "amina@example.com", PASSWORD).await.data(200).clone();
    for node in [&api, &other] {
        node.get("/api/v1/me", Some(&token(&first))).await.data(200);
        node.get("/api/v1/me", Some(&token(&stays))).await.data(200);
    }
    let body = json!({ "refresh_token": first["refresh_token"] });
    api.post("/api/v1/auth/logout", None, &body).await.data(200);
    for node in [&other, &api] {
        assert!(until_refused(node, &token(&first), "token_invalid").await < second);
        node.get("/api/v1/me", Some(&token(&stays))).await.data(200);
    }
    let admin = api.token_of("admin", &[Role::Admin]).await;
    patch(&api, &admin, user, &json!({ "roles": ["steward"] })).await.data(200);
    assert!(until_refused(&other, &token(&stays), "token_expired").await < second);
    let renewed = refresh(&other, &stays).await.data(200).clone();
    other.get("/api/v1/me", Some(&token(&renewed))).await.data(200);
    patch(&api, &admin, user, &json!({ "blocked": true })).await.data(200);
    assert!(until_refused(&other, &token(&renewed), "account_blocked").await < second);
}
