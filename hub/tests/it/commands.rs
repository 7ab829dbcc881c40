//! Commands of an application's back end, as the control topic carries them: every node does its part.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Ground, TestHub};

async fn command(hub: &TestHub, command: Value) {
    hub.ground.publish("$control", command).await;
}

/// A client that knows its own name.
async fn client(hub: &TestHub, user: i64) -> (Client, String) {
    let mut client = Client::open(hub.address).await;
    let token = if user == 0 { String::new() } else { hub.ground.token(user) };
    let name = client.connect(&token).await["client"].as_str().unwrap().to_owned();
    (client, name)
}

async fn is_there(client: &mut Client) {
    assert!(client.ask("rpc", json!({ "method": "time" })).await.get("rpc").is_some());
}

#[tokio::test]
async fn a_user_is_disconnected_on_every_node_but_for_those_who_may_stay() {
    let ground = Ground::on_redis().await;
    let twin = ground.twin().await;
    let (here, there) = (TestHub::on(ground, |_| {}).await, TestHub::on(twin, |_| {}).await);
    let (mut one, _) = client(&here, 4).await;
    let (mut two, stays) = client(&there, 4).await;
    let (mut three, _) = client(&there, 4).await;
    let (mut other, _) = client(&there, 5).await;
    command(
        &here,
        json!({ "type": "api.disconnect", "user": "4", "whitelist": [stays], "code": 4100, "reason": "enough" }),
    )
    .await;
    for client in [&mut one, &mut three] {
        assert_eq!(client.closed().await, (4100, "enough".to_owned()));
    }
    is_there(&mut two).await;
    is_there(&mut other).await;
}

#[tokio::test]
async fn nobody_in_particular_is_meant_by_name() {
    let hub = TestHub::new().await;
    let (mut one, name) = client(&hub, 0).await;
    let (mut other, _) = client(&hub, 0).await;
    let disconnect =
        json!({ "type": "api.disconnect", "user": "", "client": name, "code": 3503, "reason": "x" });
    command(&hub, disconnect).await;
    assert_eq!(one.closed().await.0, 3503);
    is_there(&mut other).await;
}

#[tokio::test]
async fn a_topic_is_given_and_taken_away() {
    let hub = TestHub::new().await;
    let (mut client, _) = client(&hub, 4).await;
    let (mut watcher, _) = self::client(&hub, 0).await;
    watcher.subscribe("event:9").await;
    let since = hub.ground.publish("event:9", json!(1)).await;
    hub.ground.publish("event:9", json!(2)).await;
    for _ in 0..2 {
        watcher.publication().await; // the node has them
    }
    let subscribe = json!({ "type": "api.subscribe", "user": "4", "topic": "event:9", "data": { "a": 1 },
        "recover_since": { "offset": since } });
    command(&hub, subscribe.clone()).await;
    let push = client.push().await;
    assert_eq!(
        (&push["channel"], &push["subscribe"]["data"]),
        (&json!("event:9"), &json!({ "a": 1 })),
        "{push}"
    );
    assert_eq!(push["subscribe"]["recoverable"], true);
    assert_eq!(client.publication().await.data, 2, "what was missed comes first");
    hub.ground.publish("event:9", json!(3)).await;
    assert_eq!(client.publication().await.data, 3);
    command(&hub, subscribe).await; // again: nothing happens
    command(&hub, json!({ "type": "api.unsubscribe", "user": "4", "topic": "event:9" })).await;
    let push = client.push().await;
    assert_eq!((&push["channel"], &push["unsubscribe"]["code"]), (&json!("event:9"), &json!(2000)), "{push}");
    hub.ground.publish("event:9", json!(4)).await;
    hub.ground.publish("user:4", json!("after it")).await;
    assert_eq!(client.publication().await.data, "after it");
}

#[tokio::test]
async fn a_subscription_that_the_back_end_limits_ends_in_time() {
    let hub = TestHub::with(|config| config.expiry_grace_ms = 0).await;
    let (mut client, _) = client(&hub, 4).await;
    let ends_at = domain::Clock::now(&*hub.ground.clock).as_second() + 30;
    command(&hub, json!({ "type": "api.subscribe", "user": "4", "topic": "event:9", "expire_at": ends_at }))
        .await;
    assert_eq!(client.push().await["channel"], "event:9");
    hub.ground.clock.advance(std::time::Duration::from_secs(31));
    assert_eq!(client.closed().await.0, 3006);
}

#[tokio::test]
async fn credentials_are_renewed_or_ended() {
    let hub = TestHub::with(|config| config.expiry_grace_ms = 0).await;
    let (mut client, _) = client(&hub, 4).await;
    let ends_at = domain::Clock::now(&*hub.ground.clock).as_second() + 3_600;
    command(&hub, json!({ "type": "api.refresh", "user": "4", "expire_at": ends_at })).await;
    let push = client.push().await;
    assert_eq!(push["refresh"], json!({ "expires": true, "ttl": 3_600 }), "{push}");
    hub.ground.clock.advance(std::time::Duration::from_mins(30)); // the token's ten minutes are over
    is_there(&mut client).await;
    command(&hub, json!({ "type": "api.refresh", "user": "4", "expired": true })).await;
    assert_eq!(client.closed().await.0, 3005);
}
