//! What clients publish themselves.

use serde_json::json;

use crate::harness::TestHub;

/// A hub with topics that clients talk in: `chat:` for subscribers, `whisper:` without a history.
async fn hub() -> TestHub {
    let classes = r#"{
        "chat": {"publish": "subscriber", "delta": true},
        "whisper": {"publish": "user", "history_size": 0}
    }"#;
    TestHub::with(|config| config.classes = serde_json::from_str(classes).unwrap()).await
}

#[tokio::test]
async fn subscribers_hear_each_other_and_know_who_speaks() {
    let hub = hub().await;
    let (mut one, mut other) = (hub.client(7).await, hub.client(0).await);
    one.subscribe("chat:1").await;
    let start = other.subscribe("chat:1").await;
    let reply = one.ask("publish", json!({ "channel": "chat:1", "data": { "text": "مرحبا" } })).await;
    assert_eq!(reply["publish"], json!({}), "{reply}");
    for client in [&mut one, &mut other] {
        let push = client.push().await;
        assert_eq!(push["pub"]["data"], json!({ "text": "مرحبا" }));
        assert_eq!(push["pub"]["info"]["user"], json!("7"));
        assert!(push["pub"]["info"]["client"].is_string());
        assert!(push["pub"]["offset"].as_u64().unwrap() > start["offset"].as_u64().unwrap_or(0));
    }
    let page = other.ask("history", json!({ "channel": "chat:1", "limit": 1 })).await;
    assert_eq!(page["history"]["publications"][0]["info"]["user"], json!("7"));
}

/// Goal: who has published reads what they have published, at once.
#[tokio::test]
async fn publishers_read_their_own_publications() {
    let hub = hub().await;
    let mut client = hub.client(7).await;
    client.subscribe("chat:1").await;
    for number in 0..50 {
        client.ask("publish", json!({ "channel": "chat:1", "data": number })).await;
        let page = client.ask("history", json!({ "channel": "chat:1", "limit": 1, "reverse": true })).await;
        assert_eq!(page["history"]["publications"][0]["data"], json!(number));
    }
}

#[tokio::test]
async fn who_may_not_is_refused_and_nobody_hears_it() {
    let hub = hub().await;
    let (mut inside, mut outside) = (hub.client(0).await, hub.client(7).await);
    inside.subscribe("chat:1").await;
    let refused = [
        (json!({ "channel": "chat:1", "data": 1 }), 103),
        (json!({ "channel": "festival", "data": 1 }), 103),
        (json!({ "channel": "$control", "data": {} }), 102),
        (json!({ "channel": "nowhere:1", "data": {} }), 102),
        (json!({ "channel": "whisper:1" }), 107),
        (json!({ "channel": "whisper:1", "data": 1, "type": 1 }), 108),
        (json!({ "channel": "whisper:1", "data": "x".repeat(262_080) }), 106),
    ];
    for (request, code) in refused {
        let reply = outside.ask("publish", request.clone()).await;
        assert_eq!(
            reply["error"]["code"],
            json!(code),
            "{}",
            request.to_string().chars().take(40).collect::<String>()
        );
    }
    inside.ask("publish", json!({ "channel": "chat:1", "data": "last" })).await;
    assert_eq!(inside.publication().await.data, json!("last"), "nothing came before it");
}

#[tokio::test]
async fn what_is_kept_for_nobody_has_no_offset_and_is_not_recovered() {
    let hub = hub().await;
    let mut client = hub.client(7).await;
    let start = client.subscribe("whisper:1").await;
    assert_eq!(start.get("recoverable"), None, "{start}");
    client.ask("publish", json!({ "channel": "whisper:1", "data": 5 })).await;
    let push = client.push().await;
    assert_eq!(push["pub"]["data"], json!(5));
    assert_eq!(push["pub"].get("offset"), None);
    let reply = client.ask("history", json!({ "channel": "whisper:1", "limit": 5 })).await;
    assert_eq!(reply["error"]["code"], json!(108));
    // a topic with a history in the same log is not disturbed
    let mut steady = hub.client(0).await;
    let before = steady.subscribe("festival").await;
    drop(steady);
    client.ask("publish", json!({ "channel": "whisper:1", "data": 6 })).await;
    hub.ground.publish("festival", json!("kept")).await;
    let mut back = hub.client(0).await;
    let after = back.recover("festival", &before["epoch"], before["offset"].as_u64().unwrap_or(0)).await;
    assert_eq!(after["recovered"], json!(true), "{after}");
    assert_eq!(after["publications"][0]["data"], json!("kept"));
}
