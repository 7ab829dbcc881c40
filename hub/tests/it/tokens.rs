//! Tokens of a foreign issuer: who they make somebody, what they let in, and when that ends.

use std::time::Duration;

use hub::Config;
use serde_json::{Value, json};

use crate::classes::classes;
use crate::client::Client;
use crate::harness::TestHub;

/// The secret of the foreign issuer, where a test configures one.
pub(crate) const SECRET: &str = "secret";

/// A token as an application's own back end makes it: HS256, without any library of ours.
pub(crate) fn foreign_token(claims: &Value) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hmac::Mac as _;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(claims));
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn foreign(config: &mut Config) {
    config.tokens.hmac_secret = Some(SECRET.into());
    config.classes =
        classes(json!({ "chat": { "subscribe": "token", "join_leave": "asked", "presence": true } }));
}

async fn hub() -> TestHub {
    TestHub::with(foreign).await
}

/// A client of the user `ali`, who brings these claims, too.
async fn connected(hub: &TestHub, claims: Value) -> (Client, Value) {
    let mut client = Client::open(hub.address).await;
    let mut all = json!({ "sub": "ali" });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let result = client.connect(&foreign_token(&all)).await;
    (client, result)
}

fn now(hub: &TestHub) -> i64 {
    use domain::Clock as _;
    hub.ground.clock.now().as_second()
}

async fn subscribe_with(client: &mut Client, topic: &str, token: &str) -> Value {
    client.ask("subscribe", json!({ "channel": topic, "token": token })).await
}

#[tokio::test]
async fn a_connection_token_subscribes_and_carries_data() {
    let hub = hub().await;
    let claims = json!({
        "exp": now(&hub) + 60, "channels": ["chat:1"], "subs": { "festival": { "data": { "hello": 1 } } },
    });
    let (mut client, result) = connected(&hub, claims).await;
    assert_eq!((&result["expires"], &result["ttl"]), (&json!(true), &json!(60)));
    assert_eq!(result["subs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["chat:1", "festival"]);
    assert_eq!(result["subs"]["festival"]["data"], json!({ "hello": 1 }));
    hub.ground.publish("chat:1", json!("hi")).await;
    assert_eq!(client.publication().await.data, json!("hi"));
}

#[tokio::test]
async fn tokens_that_do_not_hold_are_answered_by_their_fault() {
    let hub = hub().await;
    let answered = async |claims: Value| {
        let mut client = Client::open(hub.address).await;
        client.ask("connect", json!({ "token": foreign_token(&claims) })).await["error"]["code"].clone()
    };
    assert_eq!(answered(json!({ "exp": now(&hub) })).await, 109);
    assert_eq!(answered(json!({ "expire_at": now(&hub) })).await, 110);
    assert_eq!(answered(json!({ "channels": ["nothing:1"] })).await, 102);
    assert_eq!(answered(json!({ "channels": ["$control"] })).await, 102);

    for token in [foreign_token(&json!({ "channel": "chat:1" })), format!("{}x", foreign_token(&json!({})))] {
        let mut client = Client::open(hub.address).await;
        client.send(json!({ "id": 1, "connect": { "token": token } }).to_string()).await;
        assert_eq!(client.closed().await, (3500, "invalid token".into()));
    }
}

/// Goal: without a configured key of a foreign issuer such tokens open nothing.
#[tokio::test]
async fn a_hub_without_foreign_keys_believes_its_own_only() {
    let hub = TestHub::new().await;
    let mut client = Client::open(hub.address).await;
    client.send(json!({ "id": 1, "connect": { "token": foreign_token(&json!({})) } }).to_string()).await;
    assert_eq!(client.closed().await.0, 3500);
    let mut own = hub.client(4).await;
    let refused =
        subscribe_with(&mut own, "festival", &foreign_token(&json!({ "channel": "festival" }))).await;
    assert_eq!(refused["error"]["code"], 103);
}

#[tokio::test]
async fn who_is_nobody_may_be_unwelcome() {
    let hub = TestHub::with(|config| {
        foreign(config);
        config.anonymous = false;
    })
    .await;
    for (token, expected) in [(foreign_token(&json!({})), 3507), (String::new(), 3501)] {
        let mut client = Client::open(hub.address).await;
        client.send(json!({ "id": 1, "connect": { "token": token } }).to_string()).await;
        assert_eq!(client.closed().await.0, expected);
    }
}

#[tokio::test]
async fn a_subscription_token_lets_in_whom_it_names() {
    let hub = hub().await;
    let (mut client, result) = connected(&hub, json!({})).await;
    let me = result["client"].as_str().unwrap();
    assert_eq!(subscribe_with(&mut client, "chat:1", "").await["error"]["code"], 103);
    let token = |claims: Value| foreign_token(&claims);
    let late = token(json!({ "sub": "ali", "channel": "chat:1", "exp": now(&hub) - 1 }));
    assert_eq!(subscribe_with(&mut client, "chat:1", &late).await["error"]["code"], 109);
    let over = token(json!({ "sub": "ali", "channel": "chat:1", "expire_at": now(&hub) }));
    assert_eq!(subscribe_with(&mut client, "chat:1", &over).await["error"]["code"], 110);
    assert_eq!(subscribe_with(&mut client, "chat:1", "forged").await["error"]["code"], 103);
    let good =
        token(json!({ "sub": "ali", "channel": "chat:1", "client": me, "exp": now(&hub) + 9, "data": [1] }));
    let subscribed = subscribe_with(&mut client, "chat:1", &good).await["subscribe"].clone();
    assert_eq!(
        (&subscribed["expires"], &subscribed["ttl"], &subscribed["data"]),
        (&json!(true), &json!(9), &json!([1]))
    );

    for claims in [
        json!({ "sub": "ali", "channel": "chat:2" }),
        json!({ "sub": "mona", "channel": "chat:3" }),
        json!({ "channel": "chat:3" }),
        json!({ "sub": "ali", "channel": "chat:3", "client": "other" }),
    ] {
        let (mut client, _) = connected(&hub, json!({})).await;
        let request = json!({ "channel": "chat:3", "token": foreign_token(&claims) });
        client.send(json!({ "id": 2, "subscribe": request }).to_string()).await;
        assert_eq!(client.closed().await.0, 3500, "{claims}");
    }
}

/// Goal: a subscription ends when its token was not renewed in time, and the client is told to fetch another.
#[tokio::test]
async fn subscriptions_run_out_unless_they_are_refreshed() {
    let hub = hub().await;
    let (mut client, _) = connected(&hub, json!({})).await;
    let token = |topic: &str, seconds: i64| {
        foreign_token(&json!({ "sub": "ali", "channel": topic, "exp": now(&hub) + seconds }))
    };
    for topic in ["chat:1", "chat:2"] {
        let reply = subscribe_with(&mut client, topic, &token(topic, 60)).await;
        assert_eq!(reply["subscribe"]["ttl"], 60, "{reply}");
    }
    // the Python SDK leaves the channel out
    let reply = client.ask("sub_refresh", json!({ "token": token("chat:2", 600) })).await;
    assert_eq!(reply["sub_refresh"], json!({ "expires": true, "ttl": 600 }));
    hub.ground.clock.advance(Duration::from_secs(60 + 26)); // and the grace
    let push = client.push().await;
    assert_eq!(
        push,
        json!({ "channel": "chat:1", "unsubscribe": { "code": 2501, "reason": "subscription expired" } })
    );
    hub.ground.publish("chat:1", json!(1)).await;
    hub.ground.publish("chat:2", json!(2)).await;
    assert_eq!(client.publication().await.data, json!(2));
}

#[tokio::test]
async fn a_refresh_of_a_subscription_is_checked_like_its_token() {
    let hub = hub().await;
    let (mut client, _) = connected(&hub, json!({})).await;
    let token = |claims: Value| foreign_token(&claims);
    let good = token(json!({ "sub": "ali", "channel": "chat:1" }));
    subscribe_with(&mut client, "chat:1", &good).await;
    let mut code = async |channel: &str, token: &str| {
        let reply = client.ask("sub_refresh", json!({ "channel": channel, "token": token })).await;
        reply["error"]["code"].clone()
    };
    assert_eq!(code("chat:2", &good).await, 103);
    assert_eq!(code("chat:1", "").await, 107);
    assert_eq!(code("chat:1", &token(json!({ "sub": "ali", "channel": "chat:1", "exp": 1 }))).await, 109);
    assert_eq!(code("chat:1", &good).await, Value::Null);
    client
        .send(json!({ "id": 9, "sub_refresh": { "channel": "chat:1", "token": "forged" } }).to_string())
        .await;
    assert_eq!(client.closed().await.0, 3500);
}

#[tokio::test]
async fn a_connection_runs_out_unless_it_is_refreshed() {
    let hub = hub().await;
    let (mut client, _) = connected(&hub, json!({ "exp": now(&hub) + 60 })).await;
    let fresh = foreign_token(&json!({ "sub": "ali", "exp": now(&hub) + 120 }));
    let reply = client.ask("refresh", json!({ "token": fresh })).await;
    assert_eq!((&reply["refresh"]["expires"], &reply["refresh"]["ttl"]), (&json!(true), &json!(120)));
    hub.ground.clock.advance(Duration::from_secs(120 + 26));
    assert_eq!(client.closed().await, (3005, "connection expired".into()));

    for (claims, expected) in [
        (json!({ "sub": "mona" }), 3500),
        (json!({ "sub": "ali", "exp": now(&hub) }), 3005),
        (json!({ "sub": "ali", "channels": ["chat:1"] }), 3010),
    ] {
        let (mut client, _) = connected(&hub, json!({})).await;
        client.send(json!({ "id": 2, "refresh": { "token": foreign_token(&claims) } }).to_string()).await;
        assert_eq!(client.closed().await.0, expected, "{claims}");
    }
}

/// Goal: who was let in by a subscription token stays when the connection's own credentials are renewed.
#[tokio::test]
async fn a_refresh_keeps_what_a_subscription_token_has_given() {
    let hub = hub().await;
    let (mut client, _) = connected(&hub, json!({})).await;
    let token = foreign_token(&json!({ "sub": "ali", "channel": "chat:1" }));
    subscribe_with(&mut client, "chat:1", &token).await;
    client.ask("refresh", json!({ "token": foreign_token(&json!({ "sub": "ali" })) })).await;
    hub.ground.publish("chat:1", json!("still here")).await;
    assert_eq!(client.publication().await.data, json!("still here"));
}

/// Goal: the insecure mode of test suites asks for nothing, and yet does not take a forged token.
#[tokio::test]
async fn the_insecure_mode_permits_what_classes_offer() {
    let hub = TestHub::with(|config| {
        foreign(config);
        config.anonymous = false;
        config.tokens.insecure = true;
    })
    .await;
    let mut client = Client::open(hub.address).await;
    let result = client.connect("").await;
    assert_eq!(result.get("expires"), None);
    for topic in ["chat:1", "user:4", "staff:gate"] {
        client.subscribe(topic).await;
        let reply = client.ask("history", json!({ "channel": topic, "limit": 5 })).await;
        assert_eq!(reply["history"]["publications"], json!([]), "{reply}");
    }
    assert_eq!(subscribe_with(&mut client, "nothing:1", "").await["error"]["code"], 102);
    let mut client = Client::open(hub.address).await;
    let result = client.connect(&foreign_token(&json!({ "sub": "ali", "exp": now(&hub) + 5 }))).await;
    assert_eq!(result.get("expires"), None);
    let mut client = Client::open(hub.address).await;
    client.send(json!({ "id": 1, "connect": { "token": "forged" } }).to_string()).await;
    assert_eq!(client.closed().await.0, 3500);
}
