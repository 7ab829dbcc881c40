//! Who is there, over two nodes on one log: what one knows, the other tells.

use std::sync::Arc;

use hub::Config;
use serde_json::{Value, json};

use crate::classes::classes;
use crate::client::Client;
use crate::harness::{Ground, PATIENCE, TestHub};
use crate::tokens::{SECRET, foreign_token};

fn rooms(config: &mut Config) {
    config.tokens.hmac_secret = Some(SECRET.into());
    config.presence.batch_ms = 1;
    (config.presence.heartbeat_ms, config.presence.node_timeout_ms) = (100, 600);
    config.classes = classes(json!({
        "room": { "presence": true, "read_presence": "anyone", "join_leave": "asked" },
        "lobby": { "presence": true, "read_presence": "subscriber" },
        "porch": { "join_leave": "forced" },
    }));
}

async fn two() -> (TestHub, TestHub) {
    let ground = Ground::on_redis().await;
    let twin = ground.twin().await;
    (TestHub::on(ground, rooms).await, TestHub::on(twin, rooms).await)
}

/// A client of this user; gives its id, too.
async fn client(hub: &TestHub, user: &str) -> (Client, String) {
    let mut client = Client::open(hub.address).await;
    let claims = json!({ "sub": user, "info": { "name": user } });
    let result = client.connect(&foreign_token(&claims)).await;
    let id = result["client"].as_str().unwrap().to_owned();
    (client, id)
}

async fn stats(client: &mut Client, topic: &str) -> (u64, u64) {
    let reply = client.ask("presence_stats", json!({ "channel": topic })).await;
    let stats = &reply["presence_stats"];
    (stats["num_clients"].as_u64().unwrap(), stats["num_users"].as_u64().unwrap())
}

/// Waits until as many are there as expected.
async fn until(client: &mut Client, topic: &str, expected: (u64, u64)) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = stats(client, topic).await;
        if found == expected {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{topic}: {found:?}, not {expected:?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn subscribe(client: &mut Client, topic: &str) {
    let reply = client.ask("subscribe", json!({ "channel": topic, "join_leave": true })).await;
    assert!(reply.get("error").is_none(), "{reply}");
}

/// The next push, which is a join or a leave: of whom.
async fn signal(client: &mut Client, kind: &str) -> Value {
    let push = client.push().await;
    push[kind]["info"].as_object().unwrap_or_else(|| panic!("{push} is no {kind}"))["client"].clone()
}

/// Goal: a node knows its own clients at once, in the very order of their commands.
#[tokio::test]
async fn comings_and_goings_show_at_once_where_they_happen() {
    let hub = TestHub::with(rooms).await;
    let (mut ali, id) = client(&hub, "ali").await;
    for _ in 0..20 {
        ali.subscribe("room:1").await;
        assert_eq!(stats(&mut ali, "room:1").await, (1, 1));
        ali.ask("unsubscribe", json!({ "channel": "room:1" })).await;
        assert_eq!(stats(&mut ali, "room:1").await, (0, 0));
    }
    ali.subscribe("room:1").await;
    let reply = ali.ask("presence", json!({ "channel": "room:1" })).await;
    let expected = json!({ "user": "ali", "client": id, "conn_info": { "name": "ali" } });
    assert_eq!(reply["presence"]["presence"], json!({ id: expected }));
    assert!(
        hub.client(0).await.ask("presence", json!({ "channel": "room:2" })).await["presence"]["presence"]
            .is_object()
    );
}

#[tokio::test]
async fn what_happens_on_one_node_is_known_on_the_other() {
    let (north, south) = two().await;
    let (mut ali, _) = client(&north, "ali").await;
    let mut nobodies = [south.client(0).await, south.client(0).await];
    ali.subscribe("room:1").await;
    for nobody in &mut nobodies {
        nobody.subscribe("room:1").await;
    }
    until(&mut ali, "room:1", (3, 2)).await; // all who are nobody are one user
    until(&mut nobodies[0], "room:1", (3, 2)).await;
    let reply = nobodies[1].ask("presence", json!({ "channel": "room:1" })).await;
    assert_eq!(reply["presence"]["presence"].as_object().unwrap().len(), 3);
    drop(nobodies);
    until(&mut ali, "room:1", (1, 1)).await;
    ali.ask("unsubscribe", json!({ "channel": "room:1" })).await;
    let mut other = south.client(0).await;
    until(&mut other, "room:1", (0, 0)).await;
}

/// Goal: a node that starts later asks for what it has not heard.
#[tokio::test]
async fn a_new_node_becomes_complete() {
    let ground = Ground::new().await;
    let north = TestHub::on(Arc::clone(&ground), rooms).await;
    let (mut ali, _) = client(&north, "ali").await;
    ali.subscribe("room:1").await;
    let south = TestHub::on(ground, rooms).await;
    let (mut mona, _) = client(&south, "mona").await;
    until(&mut mona, "room:1", (1, 1)).await;
    mona.subscribe("room:1").await;
    until(&mut ali, "room:1", (2, 2)).await;
}

#[tokio::test]
async fn who_asks_is_told_who_comes_and_goes() {
    let (north, south) = two().await;
    let (mut ali, ali_id) = client(&north, "ali").await;
    subscribe(&mut ali, "room:1").await;
    assert_eq!(signal(&mut ali, "join").await, ali_id, "the joiner hears its own join");
    let (mut mona, mona_id) = client(&south, "mona").await;
    mona.subscribe("room:1").await; // without asking
    assert_eq!(signal(&mut ali, "join").await, mona_id);
    mona.ask("unsubscribe", json!({ "channel": "room:1" })).await;
    assert_eq!(signal(&mut ali, "leave").await, mona_id);
    subscribe(&mut mona, "room:1").await;
    assert_eq!(signal(&mut mona, "join").await, mona_id);
    drop(ali);
    assert_eq!(signal(&mut mona, "leave").await, ali_id);
}

#[tokio::test]
async fn a_class_may_tell_everybody_without_showing_who_is_there() {
    let hub = TestHub::with(rooms).await;
    let (mut ali, id) = client(&hub, "ali").await;
    ali.subscribe("porch:1").await;
    assert_eq!(signal(&mut ali, "join").await, id);
    for kind in ["presence", "presence_stats"] {
        assert_eq!(ali.ask(kind, json!({ "channel": "porch:1" })).await["error"]["code"], 108);
    }
}

/// Goal: when a node dies, its clients are gone for the others, and they are told so.
#[tokio::test]
async fn the_clients_of_a_dead_node_leave() {
    let (north, south) = two().await;
    let (mut ali, ali_id) = client(&north, "ali").await;
    subscribe(&mut ali, "room:1").await;
    signal(&mut ali, "join").await;
    let (mut mona, mona_id) = client(&south, "mona").await;
    mona.subscribe("room:1").await;
    assert_eq!(signal(&mut ali, "join").await, mona_id);
    south.life.abort().cancel();
    assert_eq!(signal(&mut ali, "leave").await, mona_id);
    assert_eq!(stats(&mut ali, "room:1").await, (1, 1));
    assert_ne!(ali_id, mona_id);
}

#[tokio::test]
async fn who_may_know_is_decided_by_the_class() {
    let hub = TestHub::with(rooms).await;
    let (mut ali, _) = client(&hub, "ali").await;
    let counts = json!({ "method": "presence", "data": { "topics": ["lobby:1"] } });
    assert_eq!(ali.ask("rpc", counts.clone()).await["error"]["code"], 103);
    assert_eq!(ali.ask("presence", json!({ "channel": "lobby:1" })).await["error"]["code"], 103);
    assert_eq!(ali.ask("presence", json!({ "channel": "nothing:1" })).await["error"]["code"], 102);
    ali.subscribe("lobby:1").await;
    let reply = ali.ask("rpc", counts).await;
    assert_eq!(reply["rpc"]["data"], json!({ "topics": { "lobby:1": { "clients": 1, "users": 1 } } }));
    let reply = ali.ask("rpc", json!({ "method": "presence", "data": { "topics": "lobby:1" } })).await;
    assert_eq!(reply["error"]["code"], 107);
}
