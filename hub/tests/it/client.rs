//! A client of the Centrifuge protocol over tokio-tungstenite.

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;

use crate::harness::PATIENCE;

pub(crate) struct Client<S = TcpStream> {
    pub(crate) socket: WebSocketStream<S>,
    commands: u32,
    replies: VecDeque<Value>,
    pushes: VecDeque<Value>,
    pub(crate) pings: usize,
    pub(crate) answers_pings: bool,
    close: Option<(u16, String)>,
}

/// A publication as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Publication {
    pub(crate) topic: String,
    pub(crate) offset: u64,
    pub(crate) data: Value,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), "").await
    }

    /// As if a proxy had it from `origin`.
    pub(crate) async fn open_from(address: SocketAddr, origin: &str) -> Self {
        let mut request = "ws://localhost/connection/websocket".into_client_request().unwrap();
        request.headers_mut().insert("x-forwarded-for", origin.parse().unwrap());
        Self::with(request, TcpStream::connect(address).await.unwrap()).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn over(stream: S, query: &str) -> Self {
        let url = format!("ws://localhost/connection/websocket{query}");
        Self::with(url.into_client_request().unwrap(), stream).await
    }

    /// `None` when the door does not let it in.
    pub(crate) async fn try_over(stream: S) -> Option<Self> {
        let request = "ws://localhost/connection/websocket".into_client_request().unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.ok()?;
        Some(Self::of(socket))
    }

    async fn with(request: Request, stream: S) -> Self {
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        Self::of(socket)
    }

    fn of(socket: WebSocketStream<S>) -> Self {
        Self {
            socket,
            commands: 0,
            replies: VecDeque::new(),
            pushes: VecDeque::new(),
            pings: 0,
            answers_pings: true,
            close: None,
        }
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// Sends to a connection that may have ended: it says why when it is read.
    pub(crate) async fn try_send(&mut self, text: String) {
        let _ = self.socket.send(Message::text(text)).await;
    }

    /// Sends a command and gives its reply.
    pub(crate) async fn ask(&mut self, kind: &str, request: Value) -> Value {
        self.commands += 1;
        let id = self.commands;
        self.send(json!({ "id": id, kind: request }).to_string()).await;
        let reply = self.reply().await;
        assert_eq!(reply["id"], id);
        reply
    }

    /// Sends a command and gives its reply, or how the connection ended.
    pub(crate) async fn ask_or_end(&mut self, kind: &str, request: Value) -> Result<Value, (u16, String)> {
        self.commands += 1;
        self.try_send(json!({ "id": self.commands, kind: request }).to_string()).await;
        self.reply_or_end().await
    }

    /// Sends `connect` and expects success; gives the result.
    pub(crate) async fn connect(&mut self, token: &str) -> Value {
        self.ask("connect", json!({ "token": token })).await["connect"].clone()
    }

    /// Subscribes and expects success; gives the result.
    pub(crate) async fn subscribe(&mut self, topic: &str) -> Value {
        let reply = self.ask("subscribe", json!({ "channel": topic })).await;
        assert!(reply.get("error").is_none(), "{reply}");
        reply["subscribe"].clone()
    }

    /// Subscribes from a position; gives the result.
    pub(crate) async fn recover(&mut self, topic: &str, epoch: &Value, offset: u64) -> Value {
        let request = json!({ "channel": topic, "recover": true, "epoch": epoch, "offset": offset });
        let reply = self.ask("subscribe", request).await;
        assert!(reply.get("error").is_none(), "{reply}");
        reply["subscribe"].clone()
    }

    /// The next reply.
    pub(crate) async fn reply(&mut self) -> Value {
        while self.replies.is_empty() {
            assert!(self.hear().await, "closed with {:?} before a reply", self.close);
        }
        self.replies.pop_front().unwrap()
    }

    /// The next reply, or how the connection ended.
    pub(crate) async fn reply_or_end(&mut self) -> Result<Value, (u16, String)> {
        while self.replies.is_empty() {
            if !self.hear().await {
                return Err(self.closed().await);
            }
        }
        Ok(self.reply().await)
    }

    /// The next push.
    pub(crate) async fn push(&mut self) -> Value {
        while self.pushes.is_empty() {
            assert!(self.hear().await, "closed with {:?} before a push", self.close);
        }
        self.pushes.pop_front().unwrap()
    }

    /// The next push, which is a publication.
    pub(crate) async fn publication(&mut self) -> Publication {
        let push = self.push().await;
        assert!(push.get("pub").is_some(), "{push}");
        Publication {
            topic: push["channel"].as_str().unwrap().to_owned(),
            offset: push["pub"]["offset"].as_u64().unwrap(),
            data: push["pub"]["data"].clone(),
        }
    }

    /// The next publication, or how the connection ended.
    pub(crate) async fn next_or_end(&mut self) -> Result<Publication, (u16, String)> {
        while self.pushes.is_empty() {
            if !self.hear().await {
                return Err(self.closed().await);
            }
        }
        Ok(self.publication().await)
    }

    /// Waits for a ping.
    pub(crate) async fn pinged(&mut self) {
        let before = self.pings;
        while self.pings == before {
            assert!(self.hear().await, "closed with {:?} before a ping", self.close);
        }
    }

    /// Waits for the end; gives the close code (1006 without one) and reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        while self.hear().await {}
        self.close.clone().unwrap_or((1006, String::new()))
    }

    /// Takes what comes next; false at the end.
    async fn hear(&mut self) -> bool {
        let next = timeout(PATIENCE, self.socket.next()).await.expect("the hub is silent");
        match next {
            Some(Ok(Message::Text(text))) => {
                for line in text.as_str().split('\n') {
                    self.sort(serde_json::from_str(line).expect("each line is a message")).await;
                }
                true
            }
            Some(Ok(Message::Close(frame))) => {
                self.close = frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned()));
                true
            }
            Some(Ok(Message::Ping(_))) => {
                self.pings += 1;
                true
            }
            Some(Ok(_)) => true,
            Some(Err(_)) | None => false,
        }
    }

    async fn sort(&mut self, message: Value) {
        if message == json!({}) {
            self.pings += 1;
            if self.answers_pings {
                self.send("{}").await;
            }
        } else if message.get("push").is_some() {
            self.pushes.push_back(message["push"].clone());
        } else {
            self.replies.push_back(message);
        }
    }
}

/// What the door answers to a request that it refuses.
pub(crate) async fn refused(address: SocketAddr, headers: &[(&'static str, &str)], query: &str) -> u16 {
    let mut request = format!("ws://{address}/connection/websocket{query}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => response.status().as_u16(),
        Ok((_, response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}
