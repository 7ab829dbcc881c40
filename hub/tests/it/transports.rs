//! The transports over plain HTTP, and Protobuf over WebSocket.

use futures_util::{SinkExt as _, StreamExt as _};
use protocol::centrifuge::command::{ConnectRequest, SubscribeRequest};
use protocol::centrifuge::reply::{Answer, Event};
use protocol::centrifuge::{Dialect, EmulationRequest, Reply, Request};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::harness::{Ground, PATIENCE, TestHub};
use crate::streams::{Framing, ProtobufStream, Stream, command, emulation_body, frame, http, url};

/// The ways to a conversation over HTTP in JSON.
const CONVERSATIONS: [&str; 3] = ["http_stream", "sse", "sse by POST"];

/// Opens a conversation that begins with these commands.
async fn open(hub: &TestHub, way: &str, commands: &[Value]) -> Stream {
    let lines: Vec<String> = commands.iter().map(ToString::to_string).collect();
    let frame = lines.join("\n");
    let (request, framing) = match way {
        "http_stream" => {
            (http().post(url(hub.address, "/connection/http_stream")).body(frame), Framing::Lines)
        }
        "sse" => {
            let request = http().get(url(hub.address, "/connection/sse")).query(&[("cf_connect", frame)]);
            (request, Framing::Events)
        }
        _ => (http().post(url(hub.address, "/connection/sse")).body(frame), Framing::Events),
    };
    Stream::new(request.send().await.unwrap(), framing)
}

fn connect(token: &str) -> Value {
    json!({ "id": 1, "connect": { "token": token } })
}

fn subscribe(id: u32, topic: &str) -> Value {
    json!({ "id": id, "subscribe": { "channel": topic } })
}

/// Goal: connect and subscribe in the first frame, a further command through `/emulation`, publications of both.
#[tokio::test]
async fn a_conversation_goes_over_http() {
    let hub = TestHub::new().await;
    for way in CONVERSATIONS {
        let mut stream = open(&hub, way, &[connect(&hub.ground.token(5)), subscribe(2, "festival")]).await;
        let connected = stream.connected().await;
        assert_eq!((&connected["pong"], &connected["ping"]), (&json!(true), &json!(25)), "{way}");
        assert_eq!(stream.said().await["id"], 2);
        stream
            .send(hub.address, &[subscribe(3, "venue:5"), json!({ "id": 4, "rpc": { "method": "time" } })])
            .await;
        assert_eq!(stream.said().await["id"], 3);
        assert!(stream.said().await["rpc"]["data"]["unix_ms"].is_i64());
        for topic in ["festival", "venue:5", "user:5"] {
            let offset = hub.ground.publish(topic, json!({ "to": topic })).await;
            let push = stream.said().await;
            let publication = json!({ "data": { "to": topic }, "offset": offset });
            assert_eq!(push, json!({ "push": { "channel": topic, "pub": publication } }), "{way}");
        }
    }
}

#[tokio::test]
async fn responses_are_not_kept_by_proxies() {
    let hub = TestHub::new().await;
    for (path, content_type) in [
        ("/connection/http_stream", "application/x-ndjson"),
        ("/connection/sse", "text/event-stream; charset=utf-8"),
        ("/connection/uni_sse", "text/event-stream; charset=utf-8"),
        ("/connection/uni_http_stream", "application/x-ndjson"),
    ] {
        let response = http().post(url(hub.address, path)).body("{}").send().await.unwrap();
        let headers = response.headers();
        assert_eq!(headers["content-type"], content_type, "{path}");
        assert_eq!(headers["x-accel-buffering"], "no");
        assert!(headers["cache-control"].to_str().unwrap().contains("no-store"));
        assert_eq!(
            (headers["pragma"].as_bytes(), headers["expires"].as_bytes()),
            (&b"no-cache"[..], &b"0"[..])
        );
    }
}

#[tokio::test]
async fn who_was_cut_off_recovers_over_http() {
    let hub = TestHub::new().await;
    let begun = hub.ground.publish("festival", json!("doors open")).await;
    for way in CONVERSATIONS {
        let mut stream = open(&hub, way, &[connect(""), subscribe(2, "festival")]).await;
        stream.connected().await;
        let subscribed = stream.said().await["subscribe"].clone();
        drop(stream);
        assert!(subscribed["offset"].as_u64().unwrap() >= begun);
        let missed = hub.ground.publish("festival", json!(way)).await;
        let recover = json!({ "id": 2, "subscribe": {
            "channel": "festival", "recover": true, "epoch": subscribed["epoch"], "offset": subscribed["offset"],
        }});
        let mut stream = open(&hub, way, &[connect(""), recover]).await;
        stream.connected().await;
        let result = stream.said().await["subscribe"].clone();
        assert_eq!(result["recovered"], true, "{way}");
        assert_eq!(result["publications"], json!([{ "data": way, "offset": missed }]));
    }
}

/// Goal: pings are answered through `/emulation`; who does not is told so and let go.
#[tokio::test]
async fn pings_are_answered_the_other_way() {
    let hub = TestHub::with(|config| {
        config.ping_interval_ms = 1_000;
        config.pong_timeout_ms = 500;
    })
    .await;
    for way in CONVERSATIONS {
        let mut stream = open(&hub, way, &[connect("")]).await;
        stream.connected().await;
        for _ in 0..2 {
            stream.pinged().await;
            stream.send(hub.address, &[json!({})]).await;
        }
        stream.send(hub.address, &[json!({ "id": 7, "rpc": { "method": "time" } })]).await;
        assert_eq!(stream.said().await["id"], 7, "{way}");
        let end = stream.rest().await;
        let told = json!({ "push": { "disconnect": { "code": 3012, "reason": "no pong" } } });
        assert_eq!(end.last(), Some(&told), "{way}");
    }
}

#[tokio::test]
async fn a_drain_ends_streams_with_a_push() {
    let hub = TestHub::new().await;
    let mut streams = Vec::new();
    for way in CONVERSATIONS {
        let mut stream = open(&hub, way, &[connect("")]).await;
        stream.connected().await;
        streams.push(stream);
    }
    let token = hub.ground.token(5);
    for path in ["uni_sse", "uni_http_stream"] {
        let mut stream = listen(&hub, path, &json!({ "token": token })).await;
        assert!(stream.said().await["connect"].is_object());
        streams.push(stream);
    }
    hub.life.drain().cancel();
    for mut stream in streams {
        let end = stream.rest().await.pop().unwrap();
        let end = end.get("push").unwrap_or(&end).clone();
        assert_eq!(end, json!({ "disconnect": { "code": 3001, "reason": "shutdown" } }));
    }
    let late = http().post(url(hub.address, "/connection/http_stream")).body("{}").send().await.unwrap();
    assert_eq!(
        (late.status(), &late.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"5".parse().unwrap())
    );
}

/// Goal: a client that goes away gives its place back, although nothing is said to it.
#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    for way in CONVERSATIONS {
        let hub = TestHub::with(|config| config.limits.connections_max = 1).await;
        let mut stream = open(&hub, way, &[connect("")]).await;
        stream.connected().await;
        let knock = async || {
            http().post(url(hub.address, "/connection/sse")).body("{}").send().await.unwrap().status()
        };
        assert_eq!(knock().await, StatusCode::SERVICE_UNAVAILABLE, "{way}");
        drop(stream);
        let admitted = async { while knock().await != StatusCode::OK {} };
        timeout(PATIENCE, admitted).await.expect("there is room again");
    }
}

/// Goal: every answer of the door that is no stream.
#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let hub = TestHub::with(|config| {
        config.limits.message_bytes_max = 1_024;
        config.http.streams_max = 1;
    })
    .await;
    let mut stream = open(&hub, "http_stream", &[connect("")]).await;
    stream.connected().await;
    let (session, node) = (stream.session.clone(), stream.node.clone());
    let body = |session: &str, node: &str, data: &str| {
        json!({ "session": session, "node": node, "data": data }).to_string()
    };
    let forged = uuid::Uuid::new_v4().to_string();
    for (path, body, status) in [
        ("/connection/http_stream", "{}".to_owned(), 503), // the one stream that may be is there
        ("/emulation", "x".repeat(1_025), 413),
        ("/emulation", "{".to_owned(), 400),
        ("/emulation", "[]".to_owned(), 400),
        ("/emulation", body(&session, &node, ""), 400),
        ("/emulation", body(&forged, &node, "{}"), 404),
        ("/emulation", body(&session, &forged, "{}"), 404),
        ("/emulation", body("", "", "{}"), 404),
    ] {
        let response = http().post(url(hub.address, path)).body(body.clone()).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path} {body}");
    }
    for path in ["/emulation", "/connection/http_stream", "/connection/uni_http_stream"] {
        let response = http().get(url(hub.address, path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    drop(stream);
    let hub = TestHub::with(|config| config.limits.message_bytes_max = 1_024).await;
    let response = http().get(url(hub.address, "/connection/sse")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST, "without a command");
    for path in ["/connection/http_stream", "/connection/sse", "/connection/uni_sse"] {
        let response = http().post(url(hub.address, path)).body("x".repeat(1_025)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
}

#[tokio::test]
async fn transports_that_are_off_are_not_there() {
    let hub = TestHub::with(|config| {
        config.http.http_stream = false;
        config.http.sse = false;
        config.http.one_way = false;
    })
    .await;
    for path in [
        "connection/http_stream",
        "connection/sse",
        "connection/uni_sse",
        "connection/uni_websocket",
        "emulation",
    ] {
        let response = http().post(url(hub.address, &format!("/{path}"))).body("{}").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn pages_of_listed_origins_may_use_http() {
    let hub = TestHub::with(|config| config.origins = vec!["https://app.example".into()]).await;
    for path in ["/connection/http_stream", "/connection/sse", "/connection/uni_http_stream", "/emulation"] {
        let ask = |method, origin: &'static str| {
            let request = http().request(method, url(hub.address, path)).header("origin", origin);
            request.header("access-control-request-headers", "content-type").body("{}").send()
        };
        let preflight = ask(reqwest::Method::OPTIONS, "https://app.example").await.unwrap();
        assert_eq!(preflight.status(), StatusCode::NO_CONTENT, "{path}");
        let headers = preflight.headers();
        assert_eq!(headers["access-control-allow-origin"], "https://app.example");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(headers["access-control-allow-headers"], "content-type");
        assert_eq!(headers["access-control-max-age"], "300");
        assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("POST"));

        let response = ask(reqwest::Method::POST, "https://app.example").await.unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example", "{path}");
        assert_eq!(response.headers()["vary"], "origin");
        for method in [reqwest::Method::OPTIONS, reqwest::Method::POST] {
            let foreign = ask(method, "https://evil.example").await.unwrap();
            assert_eq!(foreign.status(), StatusCode::FORBIDDEN, "{path}");
            assert!(foreign.headers().get("access-control-allow-origin").is_none());
        }
    }
}

/// Goal: a balancer may send commands to any node.
#[tokio::test]
async fn commands_find_their_way_through_another_node() {
    let ground = Ground::new().await;
    let here = TestHub::on(ground.clone(), |_| {}).await;
    let there = TestHub::on(ground, |_| {}).await;
    for way in CONVERSATIONS {
        let mut stream = open(&here, way, &[connect("")]).await;
        stream.connected().await;
        stream.send(there.address, &[subscribe(2, "festival"), subscribe(3, "venue:5")]).await;
        assert_eq!(stream.said().await["id"], 2, "{way}");
        assert_eq!(stream.said().await["id"], 3, "{way}");
        here.ground.publish("venue:5", json!(way)).await;
        assert_eq!(stream.said().await["push"]["pub"]["data"], way);
    }
}

#[tokio::test]
async fn a_conversation_goes_over_http_in_protobuf() {
    let hub = TestHub::new().await;
    let subscription = |channel: &'static str| {
        Request::Subscribe(SubscribeRequest { channel: channel.into(), ..SubscribeRequest::default() })
    };
    let connect = Request::Connect(Box::default());
    let mut stream =
        ProtobufStream::open(hub.address, &[command(1, connect), command(2, subscription("festival"))]).await;
    let (session, node) = stream
        .answer(|answer| match answer {
            Answer::Connect(result) => (result.session.to_string(), result.node.to_string()),
            other => panic!("{other:?}"),
        })
        .await;
    stream.answer(|answer| assert!(matches!(answer, Answer::Subscribe(_)), "{answer:?}")).await;

    let data = frame(&[command(3, subscription("venue:5"))]);
    let body =
        emulation_body(&EmulationRequest { node: node.into(), session: session.into(), data: data.into() });
    let request =
        http().post(url(hub.address, "/emulation")).header("content-type", "application/octet-stream");
    assert_eq!(request.body(body).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    stream.answer(|answer| assert!(matches!(answer, Answer::Subscribe(_)), "{answer:?}")).await;

    hub.ground.publish("venue:5", json!({ "n": 1 })).await;
    let data = |event: &Event<'_>| match event {
        Event::Publication(publication) => publication.data.as_bytes().to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(stream.push(|push| data(&push.event)).await, br#"{"n":1}"#);
    hub.life.drain().cancel();
    stream.push(|push| assert!(matches!(push.event, Event::Disconnect(3001, _)), "{push:?}")).await;
}

/// Begins to listen.
async fn listen(hub: &TestHub, path: &str, request: &Value) -> Stream {
    let framing = if path.ends_with("sse") { Framing::Events } else { Framing::Lines };
    let url = url(hub.address, &format!("/connection/{path}"));
    let builder = if path == "uni_sse" {
        http().get(url).query(&[("cf_connect", request.to_string())])
    } else {
        http().post(url).body(request.to_string())
    };
    Stream::new(builder.send().await.unwrap(), framing)
}

#[tokio::test]
async fn listeners_hear_bare_pushes() {
    let hub = TestHub::with(|config| {
        config.ping_interval_ms = 1_000;
        config.pong_timeout_ms = 500;
    })
    .await;
    for path in ["uni_sse", "uni_http_stream"] {
        let token = hub.ground.token(5);
        let mut stream = listen(&hub, path, &json!({ "token": token })).await;
        let connected = stream.said().await["connect"].clone();
        assert!(connected["pong"].is_null() && connected["session"].is_string(), "{path}: {connected}");
        let offset = hub.ground.publish("user:5", json!(path)).await;
        let publication = json!({ "channel": "user:5", "pub": { "data": path, "offset": offset } });
        assert_eq!(stream.said().await, publication);
        stream.pinged().await;
        stream.pinged().await; // nobody has answered

        drop(stream);
        let position =
            json!({ "recover": true, "epoch": connected["subs"]["user:5"]["epoch"], "offset": offset });
        let missed = hub.ground.publish("user:5", json!("later")).await;
        let mut again = listen(&hub, path, &json!({ "token": token, "subs": { "user:5": position } })).await;
        let subscribed = again.said().await["connect"]["subs"]["user:5"].clone();
        assert_eq!(subscribed["recovered"], true);
        assert_eq!(subscribed["publications"], json!([{ "data": "later", "offset": missed }]));
    }
}

/// Goal: `curl` needs no token for what everybody may know, and hears what it missed.
#[tokio::test]
async fn listeners_name_their_topics() {
    let hub = TestHub::new().await;
    let before = hub.ground.publish("venue:5", json!("before")).await;
    for path in ["uni_sse", "uni_http_stream"] {
        let request = json!({ "subs": { "venue:5": {}, "staff:gate": {}, "user:5": {} } });
        let mut stream = listen(&hub, path, &request).await;
        let subs = stream.said().await["connect"]["subs"].clone();
        assert_eq!(subs.as_object().unwrap().keys().collect::<Vec<_>>(), ["venue:5"], "{path}");
        hub.ground.publish("staff:gate", json!("secret")).await;
        let offset = hub.ground.publish("venue:5", json!("now")).await;
        let publication = json!({ "channel": "venue:5", "pub": { "data": "now", "offset": offset } });
        assert_eq!(stream.said().await, publication);

        let position = json!({ "recover": true, "epoch": subs["venue:5"]["epoch"], "offset": before });
        let mut again = listen(&hub, path, &json!({ "subs": { "venue:5": position } })).await;
        let recovered = again.said().await["connect"]["subs"]["venue:5"].clone();
        assert_eq!(recovered["recovered"], true, "{path}");
        assert_eq!(recovered["publications"].as_array().unwrap().last().unwrap()["data"], "now");
    }
    let mut stream = listen(&hub, "uni_sse", &json!({ "subs": { "nowhere:5": {} } })).await;
    assert_eq!(stream.rest().await[0]["disconnect"]["code"], 3501, "there is no such class");
    let many: serde_json::Map<_, _> = (1..200).map(|id| (format!("venue:{id}"), json!({}))).collect();
    let mut stream = listen(&hub, "uni_http_stream", &json!({ "subs": many })).await;
    assert_eq!(stream.rest().await[0]["disconnect"]["code"], 3505);
}

/// Goal: a request whose body does not come is let go.
#[tokio::test]
async fn half_sent_requests_are_given_up() {
    let hub = TestHub::with(|config| config.http.body_timeout_ms = 100).await;
    for path in ["/emulation", "/connection/http_stream", "/connection/uni_sse"] {
        let mut socket = TcpStream::connect(hub.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{{\"a");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        timeout(PATIENCE, socket.read_exact(&mut answer)).await.expect("it is answered").unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408", "{path}");
    }
}

#[tokio::test]
async fn refused_listeners_are_told_why() {
    let hub = TestHub::with(|config| config.anonymous = false).await;
    let statuses = TestHub::with(|config| {
        config.anonymous = false;
        config.http.one_way_refusals = hub::Refusals::Status;
    })
    .await;
    let token = |hub: &TestHub, seconds| hub.ground.sign(&hub.ground.claims(5, seconds));
    for path in ["uni_sse", "uni_http_stream"] {
        for (request, code, status) in [
            (json!({ "token": token(&hub, -1) }), 3005, 401),
            (json!({ "token": "forged" }), 3500, 401),
            (json!({}), 3501, 400),
            (json!([]), 3501, 400),
        ] {
            let mut stream = listen(&hub, path, &request).await;
            let rest = stream.rest().await;
            assert_eq!(rest.len(), 1, "{rest:?}");
            assert_eq!(rest[0]["disconnect"]["code"], code, "{path} {request}");
            let response =
                http().post(url(statuses.address, &format!("/connection/{path}"))).body(request.to_string());
            assert_eq!(response.send().await.unwrap().status().as_u16(), status, "{path} {request}");
        }
        let request = json!({ "token": token(&statuses, 60) });
        let mut stream = listen(&statuses, path, &request).await;
        assert!(stream.said().await["connect"].is_object(), "what was looked at is not lost");
    }
}

#[tokio::test]
async fn listeners_may_have_a_websocket() {
    let hub = TestHub::new().await;
    let url = format!("ws://{}/connection/uni_websocket", hub.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    socket.send(Message::text(json!({ "token": hub.ground.token(5) }).to_string())).await.unwrap();
    let message = |message: Option<Result<Message, _>>| -> Value {
        serde_json::from_str(message.unwrap().unwrap().to_text().unwrap()).unwrap()
    };
    assert!(message(socket.next().await)["connect"]["subs"]["user:5"].is_object());
    socket.send(Message::text("{}")).await.unwrap(); // whatever it says now
    hub.ground.publish("user:5", json!(1)).await;
    assert_eq!(message(socket.next().await)["pub"]["data"], 1);
    hub.life.drain().cancel();
    let Some(Ok(Message::Close(Some(close)))) = socket.next().await else { panic!("it is closed") };
    assert_eq!(u16::from(close.code), 3001);

    let mut protobuf = format!("{url}?format=protobuf").into_client_request().unwrap();
    protobuf.headers_mut().insert("origin", "http://localhost".parse().unwrap());
    assert!(tokio_tungstenite::connect_async(protobuf).await.is_err());
}

/// Goal: each way to ask for Protobuf on a WebSocket.
#[tokio::test]
async fn websockets_speak_protobuf() {
    let hub = TestHub::new().await;
    for (query, protocol) in
        [("", Some("centrifuge-protobuf")), ("?format=protobuf", None), ("?cf_protocol=protobuf", None)]
    {
        let url = format!("ws://{}/connection/websocket{query}", hub.address);
        let mut request = url.into_client_request().unwrap();
        if let Some(protocol) = protocol {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        let (mut socket, response) = tokio_tungstenite::connect_async(request).await.unwrap();
        let echoed = response.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap());
        assert_eq!(echoed, protocol);
        let connect = ConnectRequest { token: hub.ground.token(5).into(), ..ConnectRequest::default() };
        let commands = [command(1, Request::Connect(Box::new(connect)))];
        socket.send(Message::binary(frame(&commands))).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        assert!(message.is_binary());
        let data = message.into_data();
        let reply = Dialect::Protobuf.replies(&data).next().unwrap().unwrap();
        assert!(matches!(reply, Reply::Answer(1, Answer::Connect(_))), "{reply:?}");
        hub.ground.publish("user:5", json!({ "a": 1 })).await;
        let data = socket.next().await.unwrap().unwrap().into_data();
        let Reply::Push(push) = Dialect::Protobuf.replies(&data).next().unwrap().unwrap() else {
            panic!("a push")
        };
        assert_eq!(push.channel, "user:5");
    }
}
