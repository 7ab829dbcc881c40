//! The HTTP API for back ends: what a Centrifugo library sends, and what it is answered.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hub::Config;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::classes::classes;
use crate::client::Client;
use crate::harness::{Ground, TestHub};
use crate::streams::{http, url};
use crate::tokens::{SECRET, foreign_token};

const KEY: &str = "test-api-key";

fn open(config: &mut Config) {
    config.tokens.hmac_secret = Some(SECRET.into());
    config.server_api.key = Some(KEY.into());
    config.server_api.parts_max = 3;
    config.presence.batch_ms = 1;
    config.classes = classes(json!({
        "chat": { "presence": true }, "live": { "history_size": 0 }, "default": { "history_size": 2 },
    }));
}

/// Calls a method; gives the whole body.
async fn call(hub: &TestHub, method: &str, request: &Value) -> Value {
    let request = http().post(url(hub.address, &format!("/api/{method}"))).json(request);
    let response = request.header("X-API-Key", KEY).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{method}");
    response.json().await.unwrap()
}

async fn done(hub: &TestHub, method: &str, request: Value) -> Value {
    let body = call(hub, method, &request).await;
    assert!(body.get("error").is_none(), "{method} {request}: {body}");
    body["result"].clone()
}

async fn refused(hub: &TestHub, method: &str, request: Value) -> Value {
    call(hub, method, &request).await["error"]["code"].clone()
}

async fn user(hub: &TestHub, name: &str) -> (Client, String) {
    let mut client = Client::open(hub.address).await;
    let result = client.connect(&foreign_token(&json!({ "sub": name }))).await;
    let id = result["client"].as_str().unwrap().to_owned();
    (client, id)
}

#[tokio::test]
async fn only_who_has_the_key_gets_in() {
    let hub = TestHub::with(open).await;
    let ask = |query: &str, name: &'static str, value: &'static str| {
        let request =
            http().post(url(hub.address, &format!("/api/info{query}"))).header(name, value).body("{}");
        async move { request.send().await.unwrap().status() }
    };
    for (query, name, value, expected) in [
        ("", "X-API-Key", KEY, 200),
        ("", "Authorization", "apikey test-api-key", 200),
        ("?api_key=test-api-key", "X-Other", "x", 200),
        ("", "X-Other", "x", 401),
        ("", "X-API-Key", "test-api-kez", 401),
        ("", "Authorization", "Bearer test-api-key", 401),
        ("?api_key=", "X-Other", "x", 401),
    ] {
        assert_eq!(ask(query, name, value).await, expected, "{query} {name}: {value}");
    }
    let get = http().get(url(hub.address, "/api/info")).header("X-API-Key", KEY).send().await.unwrap();
    assert_eq!(get.status(), 405);
    let closed = TestHub::new().await;
    let answer = http().post(url(closed.address, "/api/info")).header("X-API-Key", KEY).send().await.unwrap();
    assert_eq!(answer.status(), 404, "without a configured key there is no such API");
}

#[tokio::test]
async fn errors_are_told_in_the_body_or_by_the_status() {
    let hub = TestHub::with(open).await;
    let ask = async |method: &str, body: String| {
        let request = http().post(url(hub.address, &format!("/api/{method}"))).header("X-API-Key", KEY);
        let response =
            request.header("X-Centrifugo-Error-Mode", "transport").body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(ask("publish", "{".to_owned()).await.0, 400);
    assert_eq!(ask("publish", "x".repeat(2_000_000)).await.0, 413);
    let (status, body) = ask("publish", json!({ "channel": "nothing:1", "data": 1 }).to_string()).await;
    assert_eq!((status, &*body), (404, r#"{"code":102,"message":"unknown channel"}"#));
    for (method, request, code) in [
        ("publish", json!({ "channel": "chat:1" }), 107),
        ("publish", json!({ "channel": "", "data": 1 }), 107),
        ("publish", json!({ "channel": "a b", "data": 1 }), 107),
        ("publish", json!({ "channel": "$control", "data": {} }), 102),
        ("publish", json!({ "channel": "chat:1", "b64data": "?" }), 107),
        ("publish", json!({ "channel": "chat:1", "b64data": STANDARD.encode("{") }), 107),
        ("publish", json!({ "channel": "chat:1", "data": "x".repeat(400_000) }), 106),
        ("broadcast", json!({ "channels": [], "data": 1 }), 107),
        ("broadcast", json!({ "channels": ["a", "b", "c", "d"], "data": 1 }), 106),
        ("presence", json!({ "channel": "festival" }), 108),
        ("presence_stats", json!({ "channel": "live:1" }), 108),
        ("history", json!({ "channel": "live:1" }), 108),
        ("history", json!({ "channel": "chat:1", "since": { "offset": 1, "epoch": "another" } }), 112),
        ("history", json!({ "channel": "chat:1", "since": { "offset": 0 }, "reverse": true }), 107),
        ("history_remove", json!({ "channel": "live:1" }), 108),
        ("disconnect", json!({ "user": "ali", "disconnect": { "code": 1000 } }), 107),
        ("subscribe", json!({ "user": "ali", "channel": "nothing:1" }), 102),
        ("subscribe", json!({ "user": "ali", "channel": "chat:1", "b64data": "?" }), 107),
        ("rpc", json!({ "method": "any" }), 104),
    ] {
        assert_eq!(refused(&hub, method, request.clone()).await, code, "{method} {request}");
    }
}

#[tokio::test]
async fn what_is_published_is_heard_and_kept() {
    let hub = TestHub::with(open).await;
    let mut client = hub.client(0).await;
    let start = client.subscribe("chat:1").await;
    let request = json!({ "channel": "chat:1", "data": { "text": "سلام" }, "tags": { "kind": "greeting" } });
    let published = done(&hub, "publish", request).await;
    assert_eq!(published["epoch"], start["epoch"]);
    let heard = client.push().await;
    assert_eq!(heard["pub"]["data"], json!({ "text": "سلام" }));
    assert_eq!(
        (&heard["pub"]["offset"], &heard["pub"]["tags"]["kind"]),
        (&published["offset"], &json!("greeting"))
    );
    done(&hub, "publish", json!({ "channel": "chat:1", "b64data": STANDARD.encode("[\n1]") })).await;
    assert_eq!(client.publication().await.data, json!([1]));

    let history = done(&hub, "history", json!({ "channel": "chat:1", "limit": 10 })).await;
    let kept = history["publications"].as_array().unwrap();
    assert_eq!(
        (kept.len(), &kept[0]["data"]["text"], &kept[0]["tags"]["kind"]),
        (2, &json!("سلام"), &json!("greeting"))
    );
    let top = done(&hub, "history", json!({ "channel": "chat:1" })).await;
    assert_eq!(
        (&top["publications"], &top["offset"], &top["epoch"]),
        (&json!([]), &history["offset"], &start["epoch"])
    );

    let passing =
        done(&hub, "publish", json!({ "channel": "chat:1", "data": "psst", "skip_history": true })).await;
    assert_eq!(passing, json!({}));
    assert_eq!(client.push().await["pub"], json!({ "data": "psst" }));
    let history = done(&hub, "history", json!({ "channel": "chat:1", "limit": -1 })).await;
    assert_eq!(history["publications"].as_array().unwrap().len(), 2);
}

/// Goal: who has published reads it back at once, so that a state and its position belong together.
#[tokio::test]
async fn a_history_holds_what_was_published_before() {
    let hub = TestHub::with(open).await;
    for number in 0..20 {
        let published = done(&hub, "publish", json!({ "channel": "chat:1", "data": number })).await;
        let top = done(&hub, "history", json!({ "channel": "chat:1", "limit": 0 })).await;
        assert!(top["offset"].as_u64() >= published["offset"].as_u64(), "{top} {published}");
    }
}

/// Goal: a request that is repeated, even at another node, changes nothing and is answered the same.
#[tokio::test]
async fn an_idempotency_key_counts_on_every_node() {
    let ground = Ground::on_redis().await;
    let twin = ground.twin().await;
    let (north, south) = (TestHub::on(ground, open).await, TestHub::on(twin, open).await);
    let request = json!({ "channel": "chat:1", "data": 1, "idempotency_key": "k" });
    let first = done(&north, "publish", request.clone()).await;
    assert_eq!(done(&south, "publish", request).await, first);
    let other =
        done(&south, "publish", json!({ "channel": "chat:2", "data": 1, "idempotency_key": "k" })).await;
    assert_eq!(
        done(&north, "history", json!({ "channel": "chat:2", "limit": 9 })).await["publications"][0]["offset"],
        other["offset"]
    );
    let history = done(&north, "history", json!({ "channel": "chat:1", "limit": 9 })).await;
    assert_eq!(history["publications"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_out_of_date_is_dropped_by_its_version() {
    let hub = TestHub::with(open).await;
    let mut client = hub.client(0).await;
    client.subscribe("chat:1").await;
    for (data, version, epoch) in
        [(1, 5, "a"), (2, 4, "a"), (3, 5, "a"), (4, 6, "a"), (5, 1, "b"), (6, 0, "")]
    {
        let request =
            json!({ "channel": "chat:1", "data": data, "version": version, "version_epoch": epoch });
        done(&hub, "publish", request).await;
    }
    for expected in [1, 4, 5, 6] {
        assert_eq!(client.publication().await.data, expected);
    }
}

#[tokio::test]
async fn a_removed_history_is_gone_and_positions_in_it_too() {
    let hub = TestHub::with(open).await;
    let mut client = hub.client(0).await;
    let start = client.subscribe("chat:1").await;
    done(&hub, "publish", json!({ "channel": "chat:1", "data": 1 })).await;
    client.publication().await;
    assert_eq!(done(&hub, "history_remove", json!({ "channel": "chat:1" })).await, json!({}));
    let history = done(&hub, "history", json!({ "channel": "chat:1", "limit": 9 })).await;
    assert_eq!(history["publications"], json!([]));
    let offset = start["offset"].as_u64().unwrap_or(0);
    let late = hub.client(0).await.recover("chat:1", &start["epoch"], offset).await;
    assert_eq!(late.get("recovered"), None);
    let top = history["offset"].as_u64().unwrap();
    done(&hub, "publish", json!({ "channel": "chat:1", "data": 2 })).await;
    assert_eq!(client.publication().await.data, 2, "subscribers stay");
    let known = hub.client(0).await.recover("chat:1", &start["epoch"], top).await;
    assert_eq!((&known["recovered"], &known["publications"][0]["data"]), (&json!(true), &json!(2)));
}

#[tokio::test]
async fn a_broadcast_answers_for_each_topic() {
    let hub = TestHub::with(open).await;
    let mut client = hub.client(0).await;
    client.subscribe("chat:1").await;
    let request = json!({ "channels": ["chat:1", "nothing:1", "chat:2"], "data": 7 });
    let responses = done(&hub, "broadcast", request).await["responses"].clone();
    assert!(
        responses[0]["result"]["offset"].is_u64() && responses[2]["result"]["epoch"].is_string(),
        "{responses}"
    );
    assert_eq!(responses[1], json!({ "error": { "code": 102, "message": "unknown channel" } }));
    assert_eq!(client.publication().await.data, 7);
}

#[tokio::test]
async fn a_batch_answers_for_each_command() {
    let hub = TestHub::with(open).await;
    let batch = json!({ "commands": [
        { "publish": { "channel": "news", "data": 1 } }, { "publish": { "channel": 5 } }, { "dance": {} },
    ] });
    let body = call(&hub, "batch", &batch).await;
    let replies = body["replies"].as_array().unwrap();
    assert!(replies[0]["publish"]["offset"].is_u64(), "{body}");
    assert_eq!((&replies[1]["error"]["code"], &replies[2]["error"]["code"]), (&json!(107), &json!(104)));
    let many = json!({ "commands": [{}, {}, {}, {}] });
    assert_eq!(call(&hub, "batch", &many).await["error"]["code"], 106);
}

/// Goal: what concerns connections reaches them wherever they are.
#[tokio::test]
async fn commands_reach_connections_on_every_node() {
    let ground = Ground::new().await;
    let (north, south) = (TestHub::on(Arc::clone(&ground), open).await, TestHub::on(ground, open).await);
    let (mut ali, id) = user(&north, "ali").await;
    let (mut other, other_id) = user(&south, "ali").await;
    let data = json!({ "user": "ali", "channel": "chat:1", "client": id, "data": { "hello": 1 } });
    assert_eq!(done(&south, "subscribe", data).await, json!({}));
    let push = ali.push().await;
    assert_eq!((&push["channel"], &push["subscribe"]["data"]), (&json!("chat:1"), &json!({ "hello": 1 })));
    done(&south, "publish", json!({ "channel": "chat:1", "data": "to ali" })).await;
    assert_eq!(ali.publication().await.data, "to ali");
    done(&north, "unsubscribe", json!({ "user": "ali", "channel": "chat:1" })).await;
    assert_eq!(ali.push().await["unsubscribe"]["code"], 2000);
    done(&north, "refresh", json!({ "user": "ali", "client": id, "expired": true })).await;
    assert_eq!(ali.closed().await.0, 3005);
    done(&north, "disconnect", json!({ "user": "ali", "whitelist": [other_id] })).await;
    done(&north, "disconnect", json!({ "user": "mona" })).await;
    assert!(other.ask("rpc", json!({ "method": "time" })).await.get("rpc").is_some());
    done(&north, "disconnect", json!({ "user": "ali", "disconnect": { "code": 4000, "reason": "enough" } }))
        .await;
    assert_eq!(other.closed().await, (4000, "enough".to_owned()));
}

#[tokio::test]
async fn back_ends_see_who_is_there() {
    let hub = TestHub::with(open).await;
    let (mut ali, id) = user(&hub, "ali").await;
    ali.subscribe("chat:1").await;
    let mut nobody = hub.client(0).await;
    nobody.subscribe("chat:1").await;
    nobody.subscribe("live:1").await;
    let presence = done(&hub, "presence", json!({ "channel": "chat:1" })).await;
    assert_eq!(presence["presence"][&id], json!({ "user": "ali", "client": id }));
    let stats = done(&hub, "presence_stats", json!({ "channel": "chat:1" })).await;
    assert_eq!(stats, json!({ "num_clients": 2, "num_users": 2 }));
    let channels = done(&hub, "channels", json!({ "pattern": "ch*" })).await;
    assert_eq!(channels, json!({ "channels": { "chat:1": { "num_clients": 2 } } }));
    assert_eq!(done(&hub, "channels", json!({ "pattern": "other*" })).await, json!({ "channels": {} }));
    let info = done(&hub, "info", json!({})).await;
    let node = &info["nodes"][0];
    assert_eq!((&node["num_clients"], &node["num_users"]), (&json!(2), &json!(1)));
    assert_eq!((&node["num_channels"], &node["num_subs"]), (&json!(2), &json!(3)));
}
