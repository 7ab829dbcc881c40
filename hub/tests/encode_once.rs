//! A publication is encoded once for each wire and form that somebody follows it with, however many sockets take it.
//! Alone in its process, because it reads the process's counters.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "it/client.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod client;
#[path = "it/harness.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod harness;

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use metrics_exporter_prometheus::PrometheusBuilder;
use protocol::centrifuge::command::{ConnectRequest, SubscribeRequest};
use protocol::centrifuge::reply::Event;
use protocol::centrifuge::{Command, Dialect, Reply, Request, fossil};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use harness::{PATIENCE, TestHub};

/// Subscribers of each kind.
const EACH: usize = 50;
const PUBLICATIONS: usize = 5;

/// A subscriber of `festival` in one of the dialects.
struct Subscriber {
    socket: WebSocketStream<TcpStream>,
    dialect: Dialect,
    /// The payload that deltas build on, with deltas.
    base: Option<Vec<u8>>,
}

impl Subscriber {
    async fn new(address: SocketAddr, dialect: Dialect, deltas: bool) -> Self {
        let query = if dialect == Dialect::Protobuf { "?format=protobuf" } else { "" };
        let url = format!("ws://{address}/connection/websocket{query}");
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let mut frame = Vec::new();
        let subscribe = SubscribeRequest {
            channel: "festival".into(),
            delta: if deltas { "fossil".into() } else { "".into() },
            ..SubscribeRequest::default()
        };
        for (id, request) in
            [(1, Request::Connect(Box::new(ConnectRequest::default()))), (2, Request::Subscribe(subscribe))]
        {
            dialect.write_command(&mut frame, &Command { id, request });
        }
        let message = match dialect {
            Dialect::Json => Message::text(String::from_utf8(frame).unwrap()),
            Dialect::Protobuf => Message::binary(frame),
        };
        socket.send(message).await.unwrap();
        let mut subscriber = Self { socket, dialect, base: deltas.then(Vec::new) };
        let mut answers = 0;
        while answers < 2 {
            let frame = subscriber.frame().await;
            for reply in dialect.replies(&frame) {
                assert!(matches!(reply.unwrap(), Reply::Answer(..)));
                answers += 1;
            }
        }
        subscriber
    }

    async fn frame(&mut self) -> Vec<u8> {
        let next = timeout(PATIENCE, self.socket.next()).await.expect("the hub is silent");
        next.unwrap().unwrap().into_data().to_vec()
    }

    /// Takes publications until there are as many as there should be; gives their payloads.
    async fn payloads(&mut self) -> Vec<Value> {
        let mut payloads = Vec::new();
        while payloads.len() < PUBLICATIONS {
            let frame = self.frame().await;
            for reply in self.dialect.replies(&frame) {
                let Reply::Push(push) = reply.unwrap() else { panic!("it is no push") };
                let Event::Publication(publication) = push.event else { panic!("it is no publication") };
                let mut data = publication.data.as_bytes().to_vec();
                if let Some(base) = &mut self.base {
                    if self.dialect == Dialect::Json {
                        data = serde_json::from_slice::<String>(&data).unwrap().into_bytes();
                    }
                    if publication.delta {
                        data = fossil::apply(base, &data).unwrap();
                    }
                    base.clone_from(&data);
                }
                payloads.push(serde_json::from_slice(&data).unwrap());
            }
        }
        payloads
    }
}

#[tokio::test]
async fn a_publication_is_encoded_once_for_each_wire_and_form() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let classes = r#"{"festival":{"delta":true}}"#;
    let hub = TestHub::with(|config| config.classes = serde_json::from_str(classes).unwrap()).await;
    let counted = |name: &str| -> u64 {
        hub.ground.scrape.run();
        let text = metrics.render();
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    let encoded = |wire: &str, form: &str| {
        counted(&format!("hub_publications_encoded_total{{wire=\"{wire}\",form=\"{form}\"}}"))
    };
    assert_eq!(counted("hub_publications_encoded_total"), 0);
    let mut subscribers = Vec::new();
    for _ in 0..EACH {
        for dialect in [Dialect::Json, Dialect::Protobuf] {
            for deltas in [false, true] {
                subscribers.push(Subscriber::new(hub.address, dialect, deltas).await);
            }
        }
    }
    hub.ground.publish("venue:7", json!("nobody follows")).await;
    let payload = |number: usize| json!({ "text": "the same in each of them ".repeat(9), "number": number });
    for number in 0..PUBLICATIONS {
        hub.ground.publish("festival", payload(number)).await;
    }
    let expected: Vec<_> = (0..PUBLICATIONS).map(payload).collect();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.payloads().await, expected);
    }
    let all = PUBLICATIONS as u64;
    for wire in ["json_socket", "protobuf_socket"] {
        assert_eq!(encoded(wire, "plain"), all, "{wire}");
        assert_eq!((encoded(wire, "whole"), encoded(wire, "delta")), (1, all - 1), "{wire}");
    }
    assert_eq!(counted("hub_publications_encoded_total"), 4 * all, "nothing else was encoded");
    let written =
        counted("hub_deliveries_total{outcome=\"sent\"") + counted("hub_deliveries_total{outcome=\"queued\"");
    assert_eq!(written, all * subscribers.len() as u64);
    assert_eq!(counted("hub_recoveries_total{result=\"not_asked\"}"), subscribers.len() as u64);
}
