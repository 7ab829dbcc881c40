//! A client of the HTTP transports that reads a response as it comes, and sends commands to `/emulation`.

use std::collections::VecDeque;
use std::net::SocketAddr;

use protocol::centrifuge::reply::Answer;
use protocol::centrifuge::{Command, Dialect, EmulationRequest, Push, Reply, Request};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::PATIENCE;

/// What is around the messages of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Lines,
    Events,
}

/// A response that goes on, in JSON.
pub(crate) struct Stream {
    response: Response,
    framing: Framing,
    buffer: Vec<u8>,
    messages: VecDeque<Value>,
    pub(crate) session: String,
    pub(crate) node: String,
}

pub(crate) fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default(); // the first test wins
    reqwest::Client::builder().tls_certs_only([]).build().unwrap()
}

pub(crate) fn url(address: SocketAddr, path: &str) -> String {
    format!("http://{address}{path}")
}

impl Stream {
    pub(crate) fn new(response: Response, framing: Framing) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        let (session, node) = (String::new(), String::new());
        Self { response, framing, buffer: Vec::new(), messages: VecDeque::new(), session, node }
    }

    /// The next message, pings included; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        while self.messages.is_empty() {
            let chunk =
                timeout(PATIENCE, self.response.chunk()).await.expect("the hub is silent").unwrap()?;
            self.buffer.extend_from_slice(&chunk);
            self.cut();
        }
        self.messages.pop_front()
    }

    fn cut(&mut self) {
        let separator: &[u8] = if self.framing == Framing::Lines { b"\n" } else { b"\n\n" };
        if self.framing == Framing::Events && self.buffer.starts_with(b"\r\n") {
            self.buffer.drain(..2);
        }
        while let Some(end) = self.buffer.windows(separator.len()).position(|window| window == separator) {
            let message: Vec<u8> = self.buffer.drain(..end + separator.len()).collect();
            let message = match self.framing {
                Framing::Lines => &message[..end],
                Framing::Events => message[..end].strip_prefix(b"data: ").expect("only data is sent"),
            };
            self.messages.push_back(serde_json::from_slice(message).expect("each is a message"));
        }
    }

    /// The next message that is no ping.
    pub(crate) async fn said(&mut self) -> Value {
        loop {
            let message = self.next().await.expect("it goes on");
            if message != json!({}) {
                return message;
            }
        }
    }

    /// Waits for a ping.
    pub(crate) async fn pinged(&mut self) {
        while self.next().await.expect("it goes on") != json!({}) {}
    }

    /// The reply to `connect`; keeps what leads commands here.
    pub(crate) async fn connected(&mut self) -> Value {
        let reply = self.said().await;
        let text =
            |name: &str| reply["connect"][name].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
        (self.session, self.node) = (text("session"), text("node"));
        assert!(self.session.len() > 30);
        reply["connect"].clone()
    }

    /// Sends commands to `address`, wherever the connection is.
    pub(crate) async fn send(&self, address: SocketAddr, commands: &[Value]) {
        let lines: Vec<String> = commands.iter().map(ToString::to_string).collect();
        let body = json!({ "session": self.session, "node": self.node, "data": lines.join("\n") });
        let request = http().post(url(address, "/emulation")).json(&body);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    }

    /// What comes until the end.
    pub(crate) async fn rest(&mut self) -> Vec<Value> {
        let mut rest = Vec::new();
        while let Some(message) = self.next().await {
            rest.push(message);
        }
        rest
    }
}

/// A response that goes on, in Protobuf.
pub(crate) struct ProtobufStream {
    response: Response,
    buffer: Vec<u8>,
}

impl ProtobufStream {
    pub(crate) async fn open(address: SocketAddr, commands: &[Command<'_>]) -> Self {
        let request = http()
            .post(url(address, "/connection/http_stream"))
            .header("content-type", "application/octet-stream")
            .body(frame(commands));
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/octet-stream");
        Self { response, buffer: Vec::new() }
    }

    /// The next message, shown to `look`.
    pub(crate) async fn next<T>(&mut self, look: impl Fn(Reply<'_>) -> T) -> T {
        loop {
            let mut replies = Dialect::Protobuf.replies(&self.buffer);
            if let Some(Ok(reply)) = replies.next() {
                let seen = look(reply);
                let (low, more) = (usize::from(self.buffer[0]), usize::from(self.buffer[1]));
                let length = if low < 128 { 1 + low } else { 2 + (low & 127) + (more << 7) };
                self.buffer.drain(..length);
                return seen;
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("the hub is silent").unwrap();
            self.buffer.extend_from_slice(&chunk.expect("it goes on"));
        }
    }

    /// The next answer that is no ping.
    pub(crate) async fn answer<T>(&mut self, look: impl Fn(&Answer<'_>) -> T) -> T {
        self.next(|reply| match reply {
            Reply::Answer(_, answer) => look(&answer),
            other => panic!("{other:?}"),
        })
        .await
    }

    /// The next push.
    pub(crate) async fn push<T>(&mut self, look: impl Fn(&Push<'_>) -> T) -> T {
        self.next(|reply| match reply {
            Reply::Push(push) => look(&push),
            other => panic!("{other:?}"),
        })
        .await
    }
}

/// Commands of one frame in Protobuf.
pub(crate) fn frame(commands: &[Command<'_>]) -> Vec<u8> {
    let mut frame = Vec::new();
    for command in commands {
        Dialect::Protobuf.write_command(&mut frame, command);
    }
    frame
}

pub(crate) fn command(id: u32, request: Request<'_>) -> Command<'_> {
    Command { id, request }
}

/// The body of an emulation request in Protobuf, written by hand.
pub(crate) fn emulation_body(request: &EmulationRequest<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    for (number, field) in [(1, request.node.as_bytes()), (2, request.session.as_bytes()), (3, &request.data)]
    {
        body.push(number << 3 | 2);
        body.push(u8::try_from(field.len()).unwrap()); // below 128
        body.extend_from_slice(field);
    }
    body
}
