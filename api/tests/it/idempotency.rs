//! The same write twice is one write.

use std::time::Duration;

use domain::Role;
use reqwest::Method;
use serde_json::{Value, json};
use store::Engine;

use crate::support::{Reply, TestApi, both_engines, send};

both_engines!(
    a_repeated_write_gets_the_same_answer_and_has_one_effect,
    twenty_at_once_have_one_effect,
    a_key_is_one_callers_own_and_is_forgotten,
    a_refused_write_leaves_its_key_free,
    keys_can_be_demanded,
);

fn form(title: &str) -> Value {
    json!({ "title": title, "body": "Go to hall B", "lane": "standard", "audience": { "kind": "everyone" } })
}

async fn post(api: &TestApi, token: &str, key: &str, body: &Value) -> Reply {
    let request = api.request(Method::POST, "/api/v1/announcements").bearer_auth(token);
    send(request.header("idempotency-key", key).header("x-mutation-id", "m-1").json(body)).await
}

async fn changes(api: &TestApi) -> usize {
    store::outbox::read(&api.store, 100).await.unwrap().len()
}

async fn a_repeated_write_gets_the_same_answer_and_has_one_effect(engine: Engine) {
    let api = TestApi::start(engine).await;
    let user = api.user("organizer", &[Role::Organizer]).await;
    let first = post(&api, &api.token(user, &[Role::Organizer]), "\"k-1\"", &form("Storm")).await;
    first.data(202);
    api.clock.advance(Duration::from_mins(11)); // the answer was lost; the token has expired since
    let token = api.token(user, &[Role::Organizer]);
    let again = post(&api, &token, "k-1", &form("Storm")).await;
    assert_eq!((again.data(202), again.header("idempotency-replayed")), (first.data(202), "true"));
    assert_eq!(
        (again.header("location"), first.header("idempotency-replayed")),
        (first.header("location"), "")
    );
    post(&api, &token, "k-1", &form("Calm")).await.refused(422, "idempotency_key_reused");
    assert_eq!(changes(&api).await, 1);
    assert_eq!(store::outbox::read(&api.store, 1).await.unwrap()[0].change.mutation.as_deref(), Some("m-1"));
}

async fn twenty_at_once_have_one_effect(engine: Engine) {
    let api = TestApi::start(engine).await;
    let token = api.token_of("organizer", &[Role::Organizer]).await;
    let body = form("Storm");
    let at_once = (0..20).map(|_| post(&api, &token, "k-2", &body));
    let (mut fresh, mut replayed) = (0, 0);
    for reply in futures_util::future::join_all(at_once).await {
        match (reply.status.as_u16(), reply.header("idempotency-replayed")) {
            (202, "true") => replayed += 1,
            (202, _) => fresh += 1,
            _ => {
                reply.refused(409, "idempotency_in_progress");
                assert!(!reply.header("retry-after").is_empty());
            }
        }
    }
    assert_eq!((fresh, changes(&api).await), (1, 1));
    assert!(engine == Engine::Postgres || replayed == 19);
    assert_eq!(post(&api, &token, "k-2", &body).await.header("idempotency-replayed"), "true");
}

async fn a_key_is_one_callers_own_and_is_forgotten(engine: Engine) {
    let api = TestApi::start(engine).await;
    let user = api.user("organizer", &[Role::Organizer]).await;
    let other = api.token_of("other", &[Role::Organizer]).await;
    post(&api, &api.token(user, &[Role::Organizer]), "k", &form("Storm")).await.data(202);
    post(&api, &other, "k", &form("Calm")).await.data(202);
    api.clock.advance(Duration::from_hours(24));
    let token = api.token(user, &[Role::Organizer]);
    assert_eq!(post(&api, &token, "k", &form("Other")).await.header("idempotency-replayed"), "");
    assert_eq!(changes(&api).await, 3);
    assert_eq!(store::idempotency::sweep(&api.store, api.clock_now()).await.unwrap(), 1);
    assert_eq!(store::idempotency::sweep(&api.store, api.clock_now()).await.unwrap(), 0);
}

async fn a_refused_write_leaves_its_key_free(engine: Engine) {
    let api = TestApi::start(engine).await;
    let token = api.token_of("organizer", &[Role::Organizer]).await;
    let cancel = async |path: &str| {
        let request = api.request(Method::POST, path).bearer_auth(&token).header("idempotency-key", "k-3");
        send(request).await
    };
    cancel("/api/v1/announcements/1/cancel").await.refused(404, "not_found");
    let made = api.post("/api/v1/announcements", Some(&token), &form("Storm")).await;
    let path = format!("/api/v1/announcements/{}/cancel", made.data(202)["id"]);
    let first = cancel(&path).await;
    let again = cancel(&path).await;
    assert_eq!((first.data(200), again.header("idempotency-replayed")), (again.data(200), "true"));
}

async fn keys_can_be_demanded(engine: Engine) {
    let api = TestApi::with(engine, |config| config.idempotency.required = true).await;
    let token = api.token_of("organizer", &[Role::Organizer]).await;
    let bare = api.post("/api/v1/announcements", Some(&token), &form("Storm")).await;
    bare.refused(400, "idempotency_key_required");
    post(&api, &token, "k", &form("Storm")).await.data(202);
}
