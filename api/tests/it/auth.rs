//! Signing in, staying signed in, signing out.

use std::time::Duration;

use domain::{Language, Role};
use reqwest::Method;
use serde_json::{Value, json};
use store::Engine;

use crate::support::{Reply, TestApi, both_engines, send};

both_engines!(
    a_visitor_registers_signs_in_and_signs_out,
    a_lost_refresh_answer_is_made_good_and_a_copy_ends_the_session,
    parallel_refreshes_leave_one_good_session,
    guessing_gets_slower_and_unknown_accounts_look_the_same,
    forged_and_expired_tokens_are_refused,
    admins_make_users_in_batches,
    an_old_password_cost_is_renewed_at_sign_in,
);

const PASSWORD: &str = "seven purple camels";

async fn register(api: &TestApi, email: &str) -> Reply {
    let body = json!({ "email": email, "password": PASSWORD, "name": "Amina", "language": "ar" });
    api.post("/api/v1/auth/register", None, &body).await
}

async fn login(api: &TestApi, email: &str, password: &str) -> Reply {
    api.post("/api/v1/auth/login", None, &json!({ "email": email, "password": password })).await
}

async fn refresh(api: &TestApi, token: &Value) -> Reply {
    api.post("/api/v1/auth/refresh", None, &json!({ "refresh_token": token })).await
}

async fn a_visitor_registers_signs_in_and_signs_out(engine: Engine) {
    let api = TestApi::start(engine).await;
    let first = register(&api, "Amina@Example.com").await;
    assert_eq!(first.data(201)["user"]["email"], "amina@example.com");
    assert_eq!(first.header("cache-control"), "private, no-store");
    register(&api, "amina@example.com").await.refused(409, "email_taken");

    let session = login(&api, "AMINA@example.com", PASSWORD).await;
    let session = session.data(200);
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("Bearer"), &json!(600)));
    let me = api.get("/api/v1/me", session["access_token"].as_str()).await;
    assert_eq!(me.data(200)["roles"], json!(["attendee"]));
    assert_eq!(me.data(200)["language"], "ar");

    let body = json!({ "refresh_token": session["refresh_token"] });
    api.post("/api/v1/auth/logout", None, &body).await.data(200);
    refresh(&api, &session["refresh_token"]).await.refused(401, "refresh_invalid");
    let other = &first.data(201)["refresh_token"];
    let other = refresh(&api, other).await.data(200).clone();
    api.post("/api/v1/auth/logout/all", other["access_token"].as_str(), &json!({})).await.data(200);
    refresh(&api, &other["refresh_token"]).await.refused(401, "refresh_invalid");

    let closed = TestApi::with(engine, |config| config.registration_open = false).await;
    register(&closed, "amina@example.com").await.refused(403, "registration_closed");
}

async fn a_lost_refresh_answer_is_made_good_and_a_copy_ends_the_session(engine: Engine) {
    let api = TestApi::start(engine).await;
    let first = register(&api, "amina@example.com").await.data(201)["refresh_token"].clone();
    let lost = refresh(&api, &first).await.data(200)["refresh_token"].clone(); // the phone never sees this
    let second = refresh(&api, &first).await.data(200)["refresh_token"].clone();
    refresh(&api, &lost).await.refused(401, "refresh_invalid");
    let third = refresh(&api, &second).await.data(200)["refresh_token"].clone();
    // somebody has a copy of the first, whose successor was used
    refresh(&api, &first).await.refused(401, "refresh_reused");
    refresh(&api, &third).await.refused(401, "refresh_invalid");

    let fresh = login(&api, "amina@example.com", PASSWORD).await.data(200)["refresh_token"].clone();
    api.clock.advance(Duration::from_hours(720));
    refresh(&api, &fresh).await.refused(401, "refresh_invalid");
}

async fn parallel_refreshes_leave_one_good_session(engine: Engine) {
    let api = TestApi::start(engine).await;
    let first = register(&api, "amina@example.com").await.data(201)["refresh_token"].clone();
    let (one, two, three) = tokio::join!(refresh(&api, &first), refresh(&api, &first), refresh(&api, &first));
    let mut good = Vec::new();
    for reply in [one, two, three] {
        let next = &reply.data(200)["refresh_token"];
        let again = refresh(&api, next).await;
        if again.status.is_success() {
            good.push(again.body["data"]["refresh_token"].clone());
        } else {
            again.refused(401, "refresh_invalid");
        }
    }
    assert_eq!(good.len(), 1);
    refresh(&api, &good[0]).await.data(200);
}

async fn guessing_gets_slower_and_unknown_accounts_look_the_same(engine: Engine) {
    let api = TestApi::with(engine, |config| {
        config.passwords.free_attempts = 1;
        config.passwords.lock_secs = 60;
    })
    .await;
    register(&api, "amina@example.com").await.data(201);
    let guess = async |email: &str, device: &str, password: &str| {
        let body = json!({ "email": email, "password": password, "installation_id": device });
        api.post("/api/v1/auth/login", None, &body).await
    };
    for email in ["amina@example.com", "nobody@example.com"] {
        guess(email, "phone", "wrong").await.refused(401, "credentials_wrong");
        let locked = guess(email, "phone", PASSWORD).await;
        locked.refused(429, "login_locked");
        assert_eq!(locked.header("retry-after"), "60");
    }
    guess("amina@example.com", "another phone", PASSWORD).await.data(200);
    api.clock.advance(Duration::from_mins(1));
    guess("amina@example.com", "phone", PASSWORD).await.data(200);
}

async fn forged_and_expired_tokens_are_refused(engine: Engine) {
    let api = TestApi::start(engine).await;
    let user = api.user("amina", &[Role::Attendee]).await;
    let good = api.claims(user, &[Role::Attendee]);
    let me = async |token: &str| api.get("/api/v1/me", Some(token)).await;
    me(&api.sign(&good)).await.data(200);
    for spoil in [
        |claims: &mut domain::Claims| "elsewhere".clone_into(&mut claims.iss),
        |claims: &mut domain::Claims| "other".clone_into(&mut claims.aud),
        |claims: &mut domain::Claims| "0".clone_into(&mut claims.sub),
        |claims: &mut domain::Claims| claims.iat += 3_600,
    ] {
        let mut claims = good.clone();
        spoil(&mut claims);
        me(&api.sign(&claims)).await.refused(401, "token_invalid");
    }
    let stranger = TestApi::start(Engine::Sqlite).await;
    me(&stranger.sign(&good)).await.refused(401, "token_invalid");
    let mut parts: Vec<String> = api.sign(&good).split('.').map(ToOwned::to_owned).collect();
    let cut = parts[2].pop();
    me(&parts.join(".")).await.refused(401, "token_invalid");
    parts[2].extend(cut);
    parts[0] = base64_url(br#"{"alg":"none","typ":"at+jwt"}"#);
    me(&parts.join(".")).await.refused(401, "token_invalid");
    me(&format!("{}.{}.", parts[0], parts[1])).await.refused(401, "token_invalid");
    let basic = api.request(Method::GET, "/api/v1/me").basic_auth("amina", Some("x"));
    send(basic).await.refused(401, "token_invalid");
    let old = api.sign(&good);
    api.clock.advance(Duration::from_mins(10));
    me(&old).await.refused(401, "token_expired");
    // a client that refreshes may send its old token along
    let body = json!({ "refresh_token": "x" });
    api.post("/api/v1/auth/refresh", Some(&old), &body).await.refused(401, "refresh_invalid");
}

fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

async fn admins_make_users_in_batches(engine: Engine) {
    let api = TestApi::start(engine).await;
    let admin = api.token_of("root", &[Role::Admin]).await;
    let organizer = api.token_of("organizer", &[Role::Organizer]).await;
    let users: Vec<Value> = (0..1_000)
        .map(|n| json!({ "email": format!("v{n}@example.com"), "name": format!("V {n}") }))
        .collect();
    let body = json!({ "users": users });
    api.post("/api/v1/users/batch", Some(&organizer), &body).await.refused(403, "forbidden");
    let made = api.post("/api/v1/users/batch", Some(&admin), &body).await;
    let ids = made.data(201)["ids"].as_array().unwrap();
    assert_eq!(ids.len(), 1_000);
    let last = domain::UserId(ids[999].as_i64().unwrap());
    let last = store::users::find(&api.store, last).await.unwrap().unwrap();
    assert_eq!((last.email.as_str(), last.roles.as_slice()), ("v999@example.com", &[Role::Attendee][..]));
    let one = json!({ "users": [{ "email": "new@example.com", "name": "N" }, users[5]] });
    api.post("/api/v1/users/batch", Some(&admin), &one).await.refused(409, "email_taken");
    assert_eq!(store::users::find_by_email(&api.store, "new@example.com").await.unwrap(), None);

    let one = json!({ "email": "o2@example.com", "name": "O", "roles": ["organizer"], "password": PASSWORD });
    api.post("/api/v1/users", Some(&admin), &one).await.data(201);
    login(&api, "o2@example.com", PASSWORD).await.data(200);
}

async fn an_old_password_cost_is_renewed_at_sign_in(engine: Engine) {
    let api = TestApi::start(engine).await;
    let mut config = api::Config::default().passwords;
    (config.memory_kib, config.passes) = (9_000, 1);
    let account = api::NewAccount {
        email: "Old@example.com".to_owned(),
        name: "Old".to_owned(),
        password: Some(PASSWORD.to_owned()),
        roles: vec![Role::Admin],
        language: Language::En,
    };
    api::create_users(&api.store, &*api.clock, &config, vec![account.clone()]).await.unwrap();
    let again = api::create_users(&api.store, &*api.clock, &config, vec![account]).await;
    assert!(matches!(again, Err(api::CreateUserError::EmailTaken)));
    login(&api, "old@example.com", PASSWORD).await.data(200);
    let (_, hash) = store::users::find_by_email(&api.store, "old@example.com").await.unwrap().unwrap();
    assert!(hash.unwrap().contains("m=8192,t=1"));
    login(&api, "old@example.com", PASSWORD).await.data(200);
}
