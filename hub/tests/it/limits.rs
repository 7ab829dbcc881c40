//! Each limit, reached on purpose: what happens is what the documentation says, and the others notice nothing.

use std::time::Duration;

use domain::Topic;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, refused};
use crate::harness::TestHub;
use futures_util::SinkExt as _;

/// A client whose kernel takes little in.
async fn narrow(hub: &TestHub) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&hub.address.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    Client::over(TcpStream::from_std(socket.into()).unwrap(), "").await
}

/// Goal: a reader that is too slow loses its least important topics first, keeps the others, and loses nothing that it
/// can ask for again.
#[tokio::test]
async fn a_slow_reader_is_relieved_of_its_least_important_topics() {
    let hub = TestHub::with(|config| {
        config.limits.queue_bytes_max = 65_536;
        config.write_timeout_ms = 20_000;
    })
    .await;
    let mut slow = narrow(&hub).await;
    slow.connect("").await;
    slow.subscribe("festival").await;
    let epoch = slow.subscribe("venue:1").await["epoch"].clone();
    let mut quick = hub.client(0).await;
    quick.subscribe("venue:1").await;
    let text = "x".repeat(50_000);
    let mut last = 0;
    for number in 0..200 {
        last = hub.ground.publish("venue:1", json!([number, text])).await;
        assert_eq!(quick.publication().await.data[0], number, "the other reader is not held up");
    }
    hub.ground.publish("festival", json!("important")).await;
    let (mut seen, mut position, mut told) = (0, 0, false);
    loop {
        let push = slow.push().await;
        if let Some(ended) = push.get("unsubscribe") {
            assert_eq!((&push["channel"], &ended["code"]), (&json!("venue:1"), &json!(2500)));
            told = true;
        } else if push["channel"] == "festival" {
            assert_eq!(push["pub"]["data"], "important");
            break;
        } else {
            assert!(!told, "nothing comes after the end of a subscription");
            assert_eq!(push["pub"]["data"][0], seen);
            (seen, position) = (seen + 1, push["pub"]["offset"].as_u64().unwrap());
        }
    }
    assert!(told && seen < 200);
    let mut back = hub.client(0).await;
    let after = position.max(last - 20);
    let recovered = back.recover("venue:1", &epoch, after).await;
    assert_eq!(recovered["recovered"], true);
    assert_eq!(recovered["publications"].as_array().unwrap().last().unwrap()["data"][0], json!(199));
    // what is too much for one answer is not sent: the client is told to load its state
    let too_much = back.ask("unsubscribe", json!({ "channel": "venue:1" })).await;
    assert_eq!(too_much["unsubscribe"], json!({}));
    let recovered = back.recover("venue:1", &epoch, 0).await;
    assert_eq!((recovered.get("recovered"), recovered.get("publications")), (None, None));
    let page = back.ask("history", json!({ "channel": "venue:1", "limit": 200 })).await;
    let count = page["history"]["publications"].as_array().unwrap().len();
    assert!((1..100).contains(&count), "a page of {count} fits into one answer");
}

/// Goal: a client that would not subscribe again reconnects instead, and so does one whose topics are the server's.
#[tokio::test]
async fn a_slow_reader_that_cannot_be_relieved_is_closed() {
    let hub = TestHub::with(|config| {
        config.limits.queue_bytes_max = 65_536;
        config.close_wait_ms = 20_000;
        config.write_timeout_ms = 20_000;
    })
    .await;
    let mut dart = narrow(&hub).await;
    dart.ask("connect", json!({ "name": "dart", "version": "0.16.0" })).await;
    dart.subscribe("venue:1").await;
    let mut own = narrow(&hub).await;
    own.connect(&hub.ground.token(4)).await;
    let text = "x".repeat(50_000);
    for _ in 0..200 {
        hub.ground.publish("venue:1", json!(text)).await;
        hub.ground.publish("user:4", json!(text)).await;
    }
    for (client, code) in [(&mut dart, 3010), (&mut own, 3008)] {
        let end = loop {
            if let Err(end) = client.next_or_end().await {
                break end;
            }
        };
        assert_eq!(end.0, code);
    }
}

/// Goal: a reader that takes nothing at all, with less waiting than the queue holds, does not stay for ever.
#[tokio::test]
async fn a_socket_that_takes_nothing_is_dropped() {
    let hub = TestHub::with(|config| {
        config.limits.queue_bytes_max = 67_108_864;
        config.write_timeout_ms = 200;
        config.limits.connections_max = 2;
    })
    .await;
    let mut stuck = narrow(&hub).await;
    stuck.connect("").await;
    stuck.subscribe("festival").await;
    let _other = hub.client(0).await;
    let text = "x".repeat(60_000);
    hub.ground.publish_all("festival", (0..200).map(|_| json!(text))).await;
    let free = async {
        while refused(hub.address, &[], "").await == 503 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), free).await.expect("its place is given back");
}

#[tokio::test]
async fn messages_that_are_no_protocol_end_the_connection() {
    let hub = TestHub::with(|config| config.limits.message_bytes_max = 2_000).await;
    let connect = || Message::text(r#"{"id":1,"connect":{}}"#);
    let cases: Vec<(Vec<Message>, u16)> = vec![
        (vec![Message::text("garbage")], 3501),
        (vec![Message::text("")], 3501),
        (vec![Message::text("{}\n\n{}")], 3501),
        (vec![Message::text(r#"{"id":1,"subscribe":{"channel":"festival"}}"#)], 3501),
        (vec![Message::text(r#"{"connect":{}}"#)], 3501),
        (vec![connect(), connect()], 3501),
        (vec![connect(), Message::text("{}")], 3501),
        (vec![connect(), Message::text(r#"{"id":2,"subscribe":{"channel":""}}"#)], 3501),
        (vec![connect(), Message::text(r#"{"id":2}"#)], 3501),
        (vec![connect(), Message::text(r#"{"send":{"data":1}}"#)], 3508),
        (vec![Message::binary(vec![1, 2, 3])], 3506),
        (vec![Message::text("x".repeat(2_001))], 1009),
        // most of it is still on its way when the socket is closed
        (vec![connect(), Message::text("x".repeat(1_000_000))], 1009),
        (vec![Message::text(format!(r#"{{"id":1,"connect":{{"name":"{}"}}}}"#, "n".repeat(1_900)))], 0),
    ];
    for (messages, code) in cases {
        let mut client = Client::open(hub.address).await;
        let shown: String = format!("{messages:?}").chars().take(200).collect();
        for message in messages {
            client.socket.send(message).await.unwrap();
        }
        if code == 0 {
            assert!(client.reply().await.get("connect").is_some(), "a long name is cut, not refused");
        } else {
            assert_eq!(client.closed().await.0, code, "{shown}");
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_websocket_end_the_connection() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let hub = TestHub::new().await;
    let mut stream = TcpStream::connect(hub.address).await.unwrap();
    let request = "GET /connection/websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x7f\x7f";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let end = &answer[answer.len() - 4..];
    assert_eq!(end, [0x88, 0x02, 0x03, 0xea], "a close frame with 1002 is the last that is heard");
}

#[tokio::test]
async fn topics_of_a_connection_are_limited() {
    let hub = TestHub::with(|config| config.limits.topics_per_connection_max = 2).await;
    let mut client = hub.client(0).await;
    client.subscribe("event:1").await;
    client.subscribe("event:2").await;
    let code = |reply: &Value| reply["error"]["code"].clone();
    assert_eq!(code(&client.ask("subscribe", json!({ "channel": "event:3" })).await), 106);
    assert_eq!(code(&client.ask("subscribe", json!({ "channel": "event:2" })).await), 105);
    client.ask("unsubscribe", json!({ "channel": "event:1" })).await;
    client.subscribe("event:3").await;

    let mut claims = hub.ground.claims(4, 600);
    claims.topics = vec![Topic::new("a").unwrap(), Topic::new("b").unwrap()];
    let mut rich = Client::open(hub.address).await;
    rich.send(json!({ "id": 1, "connect": { "token": hub.ground.sign(&claims) } }).to_string()).await;
    assert_eq!(rich.closed().await, (3505, "channel limit".to_owned()));
}

#[tokio::test]
async fn connections_are_limited_in_all_and_of_one_user() {
    let hub = TestHub::with(|config| {
        config.limits.connections_max = 3;
        config.limits.connections_per_user_max = 1;
    })
    .await;
    let _first = hub.client(4).await;
    let mut second = Client::open(hub.address).await;
    second.send(json!({ "id": 1, "connect": { "token": hub.ground.token(4) } }).to_string()).await;
    assert_eq!(second.closed().await, (3504, "connection limit".to_owned()));
    drop(second);
    let (_one, _two) = (hub.client(5).await, hub.client(0).await);
    assert_eq!(refused(hub.address, &[], "").await, 503);
}

#[tokio::test]
async fn commands_are_limited_by_pace() {
    let hub = TestHub::with(|config| {
        config.limits.commands_per_second = 1;
        config.limits.commands_burst = 5;
        config.limits.refusals_max = 3;
    })
    .await;
    let mut client = hub.client(0).await;
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(client.ask("rpc", json!({ "method": "time" })).await["error"]["code"].clone());
    }
    assert_eq!(codes[..4], [Value::Null, Value::Null, Value::Null, Value::Null], "the burst passes");
    assert_eq!(codes[4..], [json!(111), json!(111)]);
    let flood: Vec<_> =
        (20..40).map(|id| json!({ "id": id, "rpc": { "method": "time" } }).to_string()).collect();
    client.send(flood.join("\n")).await;
    assert_eq!(client.closed().await, (3013, "too many requests".to_owned()));
}

#[tokio::test]
async fn what_is_not_offered_is_declined() {
    let hub = TestHub::new().await;
    let mut client = hub.client(0).await;
    let cases = [
        ("subscribe", json!({ "channel": "user:4" }), 103),
        ("subscribe", json!({ "channel": "unheard-of" }), 102),
        ("subscribe", json!({ "channel": "with space" }), 107),
        ("subscribe", json!({ "channel": "e".repeat(256) }), 107),
        ("subscribe", json!({ "channel": "festival", "type": 1 }), 108),
        ("subscribe", json!({ "channel": "festival", "tf": { "op": "eq" } }), 107),
        ("publish", json!({ "channel": "festival", "data": 1 }), 103),
        ("publish", json!({ "channel": "user:4", "data": 1 }), 103),
        ("presence", json!({ "channel": "festival" }), 108),
        ("presence_stats", json!({ "channel": "festival" }), 108),
        ("rpc", json!({ "method": "unheard-of" }), 108),
        ("rpc", json!({ "method": "unheard:of" }), 104),
        ("rpc", json!({ "method": "ack", "data": 5 }), 107),
        ("sub_refresh", json!({ "channel": "festival", "token": "x" }), 103),
        ("ping", json!({}), 108),
    ];
    for (kind, request, code) in cases {
        assert_eq!(client.ask(kind, request.clone()).await["error"]["code"], code, "{kind} {request}");
    }
}
