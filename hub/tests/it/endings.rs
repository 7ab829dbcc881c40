//! How connections end, and what happens to their credentials on the way.

use std::time::Duration;

use domain::{Role, Topic};
use serde_json::json;

use crate::client::{Client, refused};
use crate::harness::{TestHub, eventually};

#[tokio::test]
async fn drain_closes_every_socket_and_lets_nobody_in() {
    let hub = TestHub::with(|config| config.drain_window_ms = 400).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(hub.client(0).await);
    }
    hub.life.drain().cancel();
    assert_eq!(refused(hub.address, &[], "").await, 503);
    for client in &mut clients {
        assert_eq!(client.closed().await, (3001, "shutdown".to_owned()));
    }
    hub.life.abort().cancel(); // the test's own server
    tokio::time::timeout(Duration::from_secs(10), hub.life.finished()).await.expect("every task has ended");
    assert!(!hub.life.has_failed());
}

#[tokio::test]
async fn expired_credentials_end_the_connection_after_the_grace() {
    let hub = TestHub::with(|config| config.expiry_grace_ms = 5_000).await;
    let mut idle = hub.client(4).await;
    let mut renewed = hub.client(4).await;
    let mut nobody = hub.client(0).await;
    hub.ground.clock.advance(Duration::from_secs(599));
    let refreshed = renewed.ask("refresh", json!({ "token": hub.ground.token(4) })).await["refresh"].clone();
    assert_eq!((&refreshed["expires"], &refreshed["ttl"]), (&json!(true), &json!(600)));
    hub.ground.clock.advance(Duration::from_secs(5));
    assert_eq!(idle.ask("rpc", json!({ "method": "time" })).await["error"], json!(null), "within the grace");
    hub.ground.clock.advance(Duration::from_secs(2));
    assert_eq!(idle.closed().await, (3005, "connection expired".to_owned()));
    assert_eq!(renewed.ask("rpc", json!({ "method": "time" })).await["error"], json!(null));
    assert_eq!(nobody.ask("rpc", json!({ "method": "time" })).await["error"], json!(null));
}

#[tokio::test]
async fn tokens_are_told_apart() {
    let hub = TestHub::with(|config| config.anonymous = false).await;
    let ground = &hub.ground;
    let expired = ground.sign(&ground.claims(4, -1));
    let mut client = Client::open(hub.address).await;
    let reply = client.ask("connect", json!({ "token": expired })).await;
    assert_eq!(reply["error"], json!({ "code": 109, "message": "token expired" }));
    client.send(json!({ "id": 2, "subscribe": { "channel": "festival" } }).to_string()).await;
    assert_eq!(client.closed().await.0, 3501, "a command after a failed connect");

    let mut foreign = ground.claims(4, 60);
    foreign.aud = "another".into();
    let mut nobody = ground.claims(4, 60);
    nobody.sub = "nobody".into();
    let cases = [
        ("garbage".to_owned(), 3500),
        (ground.sign(&foreign), 3500),
        (ground.sign(&nobody), 3500),
        (String::new(), 3501),
    ];
    for (token, code) in cases {
        let mut client = Client::open(hub.address).await;
        client.send(json!({ "id": 1, "connect": { "token": token } }).to_string()).await;
        assert_eq!(client.closed().await.0, code, "{token}");
    }
}

#[tokio::test]
async fn refreshing_with_the_wrong_token_ends_the_connection() {
    let hub = TestHub::new().await;
    let ground = &hub.ground;
    let mut other_topics = ground.claims(4, 600);
    other_topics.topics = vec![Topic::festival()];
    let cases = [
        (ground.token(5), 3500),
        ("garbage".to_owned(), 3500),
        (ground.sign(&ground.claims(4, -1)), 3005),
        (ground.sign(&other_topics), 3010),
    ];
    for (token, code) in cases {
        let mut client = hub.client(4).await;
        client.send(json!({ "id": 9, "refresh": { "token": token } }).to_string()).await;
        assert_eq!(client.closed().await.0, code);
    }
}

#[tokio::test]
async fn rights_that_were_taken_away_end_their_subscriptions() {
    let hub = TestHub::new().await;
    let mut claims = hub.ground.claims(4, 600);
    claims.roles = vec![Role::Steward];
    let mut client = Client::open(hub.address).await;
    client.connect(&hub.ground.sign(&claims)).await;
    client.subscribe("staff:gate").await;
    client.subscribe("festival").await;
    client.ask("refresh", json!({ "token": hub.ground.token(4) })).await;
    let push = client.push().await;
    assert_eq!(push["channel"], "staff:gate");
    assert_eq!(push["unsubscribe"]["code"], 2000);
    hub.ground.publish("staff:gate", json!(1)).await;
    hub.ground.publish("festival", json!(2)).await;
    assert_eq!(client.publication().await.data, json!(2));
}

#[tokio::test]
async fn pings_come_on_busy_connections_and_must_be_answered() {
    let hub = TestHub::with(|config| {
        config.ping_interval_ms = 300;
        config.pong_timeout_ms = 200;
    })
    .await;
    let mut busy = hub.client(0).await;
    busy.subscribe("festival").await;
    let mut deaf = hub.client(0).await;
    deaf.answers_pings = false;
    let publishing = async {
        loop {
            hub.ground.publish("festival", json!(1)).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = publishing => {}
        () = async { for _ in 0..3 { busy.pinged().await; } } => {}
    }
    assert_eq!(deaf.closed().await, (3012, "no pong".to_owned()));
    assert_eq!(busy.ask("rpc", json!({ "method": "time" })).await["error"], json!(null));
}

#[tokio::test]
async fn a_socket_that_never_connects_is_stale() {
    let hub = TestHub::with(|config| config.stale_after_ms = 100).await;
    let mut client = Client::open(hub.address).await;
    assert_eq!(client.closed().await, (3502, "stale".to_owned()));
}

/// Goal: a peer that vanishes without a word, or does not answer a close, holds its place for a bounded time.
#[tokio::test]
async fn places_of_half_open_sockets_are_given_back() {
    let hub = TestHub::with(|config| {
        config.limits.connections_max = 1;
        config.stale_after_ms = 100;
        config.close_wait_ms = 100;
    })
    .await;
    let silent = Client::open(hub.address).await; // never reads, never answers
    assert_eq!(refused(hub.address, &[], "").await, 503);
    let mut tries = tokio::time::interval(Duration::from_millis(20));
    let again = async {
        while refused(hub.address, &[], "").await == 503 {
            tries.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("the place is given back");
    drop(silent);
}

#[tokio::test]
async fn a_client_that_leaves_is_answered_and_forgotten() {
    let hub = TestHub::with(|config| config.limits.connections_per_user_max = 1).await;
    let mut client = hub.client(4).await;
    client.socket.close(None).await.unwrap();
    client.closed().await;
    let mut again = Client::open(hub.address).await;
    let connected = again.connect(&hub.ground.token(4)).await;
    assert!(connected["client"].is_string());
    eventually("the hub is still well", || hub.life.not_ready().is_empty()).await;
}
