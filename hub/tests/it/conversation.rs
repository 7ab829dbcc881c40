//! What clients say and hear while all is well.

use domain::{DeliveryId, Topic};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use uuid::Uuid;

use crate::client::{Client, Publication, refused};
use crate::harness::{Ground, TestHub, serve, start};

#[tokio::test]
async fn a_subscriber_receives_what_is_published() {
    let hub = TestHub::new().await;
    let mut client = hub.client(0).await;
    let subscribed = client.subscribe("event:17").await;
    assert_eq!(subscribed["recoverable"], true);
    let offset = hub.ground.publish("event:17", json!({ "type": "event.moved" })).await;
    let received = client.publication().await;
    let expected = Publication { topic: "event:17".into(), offset, data: json!({ "type": "event.moved" }) };
    assert_eq!(received, expected);
}

/// Goal: centrifuge-js sends `connect` and its subscribes in one frame, without waiting.
#[tokio::test]
async fn the_first_frame_may_carry_a_whole_batch() {
    let hub = TestHub::new().await;
    let mut client = Client::open(hub.address).await;
    let token = hub.ground.token(4);
    let batch = [
        json!({ "id": 1, "connect": { "token": token, "name": "js" } }),
        json!({ "id": 2, "subscribe": { "channel": "festival" } }),
        json!({ "id": 3, "subscribe": { "channel": "staff:gate" } }),
        json!({ "id": 4, "unsubscribe": { "channel": "nowhere" } }),
    ];
    client.send(batch.map(|command| command.to_string()).join("\n")).await;
    let connected = client.reply().await;
    assert_eq!((&connected["id"], &connected["connect"]["ttl"]), (&json!(1), &json!(600)));
    assert_eq!(connected["connect"]["subs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["user:4"]);
    assert_eq!(client.reply().await["subscribe"]["positioned"], true);
    assert_eq!(
        client.reply().await,
        json!({ "id": 3, "error": { "code": 103, "message": "permission denied" } })
    );
    assert_eq!(client.reply().await, json!({ "id": 4, "unsubscribe": {} }));
    hub.ground.publish("user:4", json!("for you")).await;
    assert_eq!(client.publication().await.data, json!("for you"));
}

#[tokio::test]
async fn topics_of_the_token_come_without_asking_and_unsubscribed_ones_stay_silent() {
    let hub = TestHub::new().await;
    let mut claims = hub.ground.claims(4, 600);
    claims.topics = vec![Topic::new("crew").unwrap()];
    let mut client = Client::open(hub.address).await;
    client.connect(&hub.ground.sign(&claims)).await;
    client.subscribe("festival").await;
    client.ask("unsubscribe", json!({ "channel": "festival" })).await;
    hub.ground.publish("festival", json!(1)).await;
    hub.ground.publish("crew", json!(2)).await;
    assert_eq!(client.publication().await.topic, "crew");
}

#[tokio::test]
async fn both_shards_serve_and_what_arrives_together_keeps_its_order() {
    let hub = TestHub::new().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = hub.client(0).await;
        client.subscribe("festival").await;
        client.subscribe("venue:1").await;
        clients.push(client);
    }
    hub.ground.publish_all("festival", (0..300).map(|number| json!(number))).await;
    hub.ground.publish_all("venue:1", (0..300).map(|number| json!(number))).await;
    for client in &mut clients {
        let (mut festival, mut venue) = (0, 0);
        for _ in 0..600 {
            let publication = client.publication().await;
            let next = if publication.topic == "festival" { &mut festival } else { &mut venue };
            assert_eq!(publication.data, json!(*next), "{}", publication.topic);
            *next += 1;
        }
    }
}

#[tokio::test]
async fn a_confirmation_reaches_the_work_queue_before_it_is_answered() {
    let hub = TestHub::new().await;
    let mut client = hub.client(0).await;
    let delivery = DeliveryId(Uuid::from_u128(5));
    let ack = |code: &str, state: &str| json!({ "method": "ack", "data": { "delivery_id": delivery, "code": code, "state": state } });
    let code = hub.ground.receipts.code(delivery);
    assert_eq!(client.ask("rpc", ack(&code, "delivered")).await["rpc"], json!({}));
    assert_eq!(client.ask("rpc", ack("A", "delivered")).await["error"]["code"], 103);
    assert_eq!(client.ask("rpc", ack(&code, "failed")).await["error"]["code"], 107);

    let name = streams::QueueName("receipts".into());
    let claimed = hub.ground.queue.claim(&name, 10, Duration::from_secs(9), Duration::ZERO).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(&*claimed[0].id, format!("{delivery}:delivered"));
    let body: Value = serde_json::from_slice(&claimed[0].body).unwrap();
    let expected = json!({ "delivery_id": delivery, "state": "delivered", "at": "2026-07-15T20:00:00Z", "source": "socket" });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn tools_that_know_only_websocket_are_pinged_its_way() {
    let hub = TestHub::with(|config| config.ping_interval_ms = 200).await;
    let stream = tokio::net::TcpStream::connect(hub.address).await.unwrap();
    let mut client = Client::over(stream, "?cf_ws_frame_ping_pong=true").await;
    let connected = client.connect("").await;
    assert!(connected.get("ping").is_none() && connected.get("pong").is_none());
    client.pinged().await;
    client.pinged().await;
}

/// Goal: what is upgraded need not be a TCP socket; TLS will not be.
#[tokio::test]
async fn other_streams_are_served_too() {
    let ground = Ground::new().await;
    let (life, router) = start(&ground, |_| {}).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hub.sock");
    let listener = UnixListener::bind(&path).unwrap();
    serve(&life, async move { axum::serve(listener, router).await });
    let mut client = Client::over(UnixStream::connect(&path).await.unwrap(), "").await;
    client.connect("").await;
    client.subscribe("festival").await;
    ground.publish_all("festival", (0..100).map(|number| json!(number))).await;
    for number in 0..100 {
        assert_eq!(client.publication().await.data, json!(number));
    }
    life.drain().cancel();
    assert_eq!(client.closed().await.0, 3001);
    life.abort().cancel();
}

#[tokio::test]
async fn the_door_refuses_what_cannot_become_a_socket() {
    let hub = TestHub::with(|config| config.origins = vec!["https://*.example.org".into()]).await;
    let (address, here) = (hub.address, format!("http://{}", hub.address));
    assert_eq!(refused(address, &[("origin", "https://evil.example")], "").await, 403);
    assert_eq!(refused(address, &[("origin", "https://app.example.org")], "").await, 101);
    assert_eq!(refused(address, &[("origin", &here)], "").await, 101);
    assert_eq!(refused(address, &[("sec-websocket-protocol", "centrifuge-json")], "").await, 101);
    assert_eq!(refused(address, &[("sec-websocket-protocol", "soap")], "").await, 400);
    assert_eq!(refused(address, &[("sec-websocket-protocol", "centrifuge-protobuf")], "").await, 101);
    assert_eq!(refused(address, &[], "?format=protobuf").await, 101);
    assert_eq!(refused(address, &[("sec-websocket-version", "8")], "").await, 426);
    assert_eq!(refused(address, &[("sec-websocket-key", "short")], "").await, 400);
}
