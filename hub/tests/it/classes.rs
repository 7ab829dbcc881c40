//! What a topic's class decides: whether there is such a topic, what is kept of it, and what subscribers get.

use std::time::Duration;

use hub::{Classes, Config};
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::TestHub;

/// Classes with these sections over the built-in ones.
pub(crate) fn classes(sections: Value) -> Classes {
    serde_json::from_value(sections).unwrap()
}

async fn hub(sections: Value) -> TestHub {
    TestHub::with(|config: &mut Config| config.classes = classes(sections)).await
}

async fn code(client: &mut Client, kind: &str, request: Value) -> Value {
    client.ask(kind, request).await["error"]["code"].clone()
}

#[tokio::test]
async fn only_topics_of_a_class_exist() {
    let hub =
        hub(json!({ "chat": {}, "closed": { "subscribe": "nobody" }, "mine": { "subscribe": "owner" } }))
            .await;
    let mut client = hub.client(4).await;
    let mut subscribe = async |topic: &str| code(&mut client, "subscribe", json!({ "channel": topic })).await;
    for (topic, expected) in [
        ("chat:1", Value::Null),
        ("mine:4", Value::Null),
        ("mine:5", json!(103)),
        ("mine", json!(102)),
        ("closed:1", json!(103)),
        ("chats:1", json!(102)),
        ("chat", json!(102)),
        ("default:1", json!(102)),
        ("event:x", json!(102)),
        ("$control", json!(102)),
        ("user:5", json!(103)),
        ("staff:gate", json!(103)),
    ] {
        assert_eq!(subscribe(topic).await, expected, "{topic}");
    }
}

#[tokio::test]
async fn names_without_a_prefix_need_the_default_class() {
    let hub = hub(json!({ "default": { "publish": "anyone" } })).await;
    let mut client = hub.client(0).await;
    client.subscribe("news").await;
    hub.ground.publish("news", json!(1)).await;
    assert_eq!(client.publication().await.topic, "news");
}

#[tokio::test]
async fn a_short_history_recovers_short_absences_only() {
    let hub = hub(json!({ "short": { "history_size": 2 } })).await;
    let mut client = hub.client(0).await;
    let start = client.subscribe("short:1").await;
    let (epoch, offset) = (&start["epoch"], start["offset"].as_u64().unwrap_or(0));
    hub.ground.publish_all("short:1", [1, 2].map(Value::from)).await;
    assert_eq!(client.publication().await.data, json!(1));
    assert_eq!(client.publication().await.data, json!(2));

    let recovered = hub.client(0).await.recover("short:1", epoch, offset).await;
    assert_eq!(
        (&recovered["recovered"], recovered["publications"].as_array().unwrap().len()),
        (&json!(true), 2)
    );
    hub.ground.publish("short:1", json!(3)).await;
    assert_eq!(client.publication().await.data, json!(3));
    let lost = hub.client(0).await.recover("short:1", epoch, offset).await;
    assert_eq!((lost.get("recovered"), &lost["was_recovering"]), (None, &json!(true)));
    let history = client.ask("history", json!({ "channel": "short:1", "limit": -1 })).await;
    assert_eq!(history["history"]["publications"].as_array().unwrap().len(), 2);

    let request =
        json!({ "channel": "short:1", "recover": true, "epoch": epoch, "offset": offset, "flag": 2 });
    assert_eq!(code(&mut hub.client(0).await, "subscribe", request).await, 112);
}

#[tokio::test]
async fn what_is_too_old_for_its_class_is_not_handed_out() {
    let hub = hub(json!({ "brief": { "history_ttl_ms": 5_000 }, "chat": {} })).await;
    let mut client = hub.client(0).await;
    let topics = ["brief:1", "chat:1"];
    let mut starts = Vec::new();
    for topic in topics {
        starts.push(client.subscribe(topic).await);
        hub.ground.publish(topic, json!(topic)).await;
        client.publication().await;
    }
    hub.ground.clock.advance(Duration::from_secs(6));
    for ((topic, start), left) in topics.iter().zip(starts).zip([0, 1]) {
        let history = client.ask("history", json!({ "channel": topic, "limit": 10 })).await;
        assert_eq!(history["history"]["publications"].as_array().unwrap().len(), left, "{topic}");
        let offset = start["offset"].as_u64().unwrap_or(0);
        let result = hub.client(0).await.recover(topic, &start["epoch"], offset).await;
        assert_eq!(result.get("recovered").is_some(), left == 1, "{topic}");
    }
}

#[tokio::test]
async fn a_class_without_history_has_no_positions_to_come_back_to() {
    let hub = hub(json!({ "live": { "history_size": 0, "positioned": "off" } })).await;
    let mut client = hub.client(0).await;
    let subscribed = client.subscribe("live:1").await;
    assert_eq!((subscribed.get("recoverable"), subscribed.get("positioned")), (None, None));
    hub.ground.publish("live:1", json!(1)).await;
    assert_eq!(client.publication().await.data, json!(1));
    assert_eq!(code(&mut client, "history", json!({ "channel": "live:1" })).await, 108);
    let again = hub.client(0).await.recover("live:1", &json!(""), 1).await;
    assert_eq!((again.get("recovered"), &again["was_recovering"]), (None, &json!(true)));
}

#[tokio::test]
async fn what_is_offered_has_to_be_asked_for() {
    let hub = hub(json!({ "chat": { "recovery": "asked", "positioned": "asked" } })).await;
    let mut client = hub.client(0).await;
    let plain = client.subscribe("chat:1").await;
    assert_eq!((plain.get("recoverable"), plain.get("epoch")), (None, None));
    let request = json!({ "channel": "chat:2", "positioned": true });
    let positioned = client.ask("subscribe", request).await["subscribe"].clone();
    assert_eq!((positioned.get("recoverable"), &positioned["positioned"]), (None, &json!(true)));
    let request = json!({ "channel": "chat:3", "recoverable": true });
    let recoverable = client.ask("subscribe", request).await["subscribe"].clone();
    assert_eq!((&recoverable["recoverable"], &recoverable["positioned"]), (&json!(true), &json!(true)));
    assert!(!recoverable["epoch"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_topic_that_is_a_state_gives_its_latest_only() {
    let hub = hub(json!({ "state": { "cache": true } })).await;
    let mut client = hub.client(0).await;
    let epoch = client.subscribe("state:1").await["epoch"].clone();
    let empty = hub.client(0).await.recover("state:1", &json!(""), 0).await;
    assert_eq!((&empty["recovered"], empty.get("publications")), (&json!(true), None));
    hub.ground.publish_all("state:1", [1, 2, 3].map(Value::from)).await;
    while client.publication().await.data != 3 {}
    for (epoch, offset) in [(json!(""), 0), (json!("another"), 7), (epoch.clone(), 1)] {
        let state = hub.client(0).await.recover("state:1", &epoch, offset).await;
        let publications = state["publications"].as_array().unwrap();
        assert_eq!(
            (&state["recovered"], publications.len(), &publications[0]["data"]),
            (&json!(true), 1, &json!(3))
        );
    }
    let top = hub.ground.publish("state:1", json!(4)).await;
    assert_eq!(client.publication().await.offset, top);
    let known = hub.client(0).await.recover("state:1", &epoch, top).await;
    assert_eq!((&known["recovered"], known.get("publications")), (&json!(true), None));
}

#[tokio::test]
async fn filters_and_deltas_are_a_matter_of_the_class() {
    let hub = hub(json!({ "plain": { "delta": false, "filter": false } })).await;
    let mut client = hub.client(0).await;
    let request = json!({ "channel": "plain:1", "tf": { "cmp": "ex", "key": "a" } });
    assert_eq!(code(&mut client, "subscribe", request).await, 107);
    let granted = client.ask("subscribe", json!({ "channel": "plain:1", "delta": "fossil" })).await;
    assert_eq!(granted["subscribe"].get("delta"), None);
    let granted = client.ask("subscribe", json!({ "channel": "event:1", "delta": "fossil" })).await;
    assert_eq!(granted["subscribe"]["delta"], true);
}
