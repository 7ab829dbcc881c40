//! A client of Pusher's protocol over tokio-tungstenite, and a back end that signs for its clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use protocol::pusher::signature::{SignedRequest, body_md5};
use protocol::pusher::{Signer, SocketId};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{PATIENCE, TestHub};

pub(crate) const KEY: &str = "festival-key";
pub(crate) const SECRET: &str = "a secret of some length";

pub(crate) fn signer() -> Signer {
    Signer::new(KEY, SECRET)
}

/// A client.
pub(crate) struct Pusher {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) socket_id: String,
}

/// How a connection ended.
pub(crate) type End = Option<u16>;

impl Pusher {
    /// Opens a socket; says nothing, hears nothing.
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://localhost{path}");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        Self { socket, socket_id: String::new() }
    }

    pub(crate) async fn connect(hub: &TestHub) -> Self {
        let mut client = Self::open(hub.address, &format!("/app/{KEY}?protocol=7&client=test")).await;
        let (event, _, data) = client.event().await;
        assert_eq!(event, "pusher:connection_established");
        assert_eq!(data["activity_timeout"], 120);
        data["socket_id"].as_str().unwrap().clone_into(&mut client.socket_id);
        client
    }

    pub(crate) async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message as it is, or how the connection ended.
    pub(crate) async fn hear(&mut self) -> Result<Value, End> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("nothing came") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The next event that is not the protocol's own.
    pub(crate) async fn hear_others(&mut self) -> Value {
        loop {
            let message = self.hear().await.expect("the connection ended");
            if !message["event"].as_str().unwrap_or_default().starts_with("pusher_internal:") {
                return message;
            }
        }
    }

    /// The next message: event, channel, and what its data says.
    pub(crate) async fn event(&mut self) -> (String, String, Value) {
        let message = self.hear().await.expect("the connection ended");
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let data = match &message["data"] {
            Value::String(text) => serde_json::from_str(text).unwrap_or(json!(text)),
            other => other.clone(),
        };
        (text("event"), text("channel"), data)
    }

    /// Asks to subscribe; gives the answer.
    pub(crate) async fn ask(&mut self, data: Value) -> (String, String, Value) {
        self.say(json!({ "event": "pusher:subscribe", "data": data })).await;
        self.event().await
    }

    /// Subscribes with the signature of the back end where one is needed; gives what the answer says.
    pub(crate) async fn subscribe(&mut self, channel: &str, member: Option<Value>) -> Value {
        let member = member.map(|member| member.to_string());
        let auth = signer().channel_auth(self.id(), channel, member.as_deref());
        let request = json!({ "channel": channel, "auth": auth, "channel_data": member });
        let (event, of, data) = self.ask(request).await;
        assert_eq!(
            (event.as_str(), of.as_str()),
            ("pusher_internal:subscription_succeeded", channel),
            "{data}"
        );
        data
    }

    pub(crate) async fn unsubscribe(&mut self, channel: &str) {
        self.say(json!({ "event": "pusher:unsubscribe", "data": { "channel": channel } })).await;
        self.flush().await;
    }

    /// Waits until everything that was said has been taken; nothing else may come meanwhile.
    pub(crate) async fn flush(&mut self) {
        self.say(json!({ "event": "pusher:ping", "data": {} })).await;
        assert_eq!(self.event().await.0, "pusher:pong");
    }

    pub(crate) fn id(&self) -> SocketId {
        self.socket_id.parse().unwrap()
    }
}

/// Sends a request to the hub; gives status and body.
pub(crate) async fn request(address: SocketAddr, request: Request<Full<Bytes>>) -> (u16, String) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let asking = async {
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    tokio::pin!(asking);
    tokio::select! {
        answered = &mut asking => answered,
        ended = connection => {
            ended.unwrap(); // the server closes behind its answer, which is here already
            asking.await
        }
    }
}

/// Sends a signed request as a back end does; gives status and body.
pub(crate) async fn back_end(
    hub: &TestHub,
    method: Method,
    path: &str,
    query: &str,
    body: &str,
) -> (u16, String) {
    let mut parameters: BTreeMap<String, String> = protocol::pusher::signature::query(query);
    let now = domain::Clock::now(&*hub.ground.clock).as_second();
    parameters.insert("auth_key".into(), KEY.into());
    parameters.insert("auth_timestamp".into(), now.to_string());
    parameters.insert("auth_version".into(), "1.0".into());
    if !body.is_empty() {
        parameters.insert("body_md5".into(), body_md5(body.as_bytes()));
    }
    let signed =
        SignedRequest { method: method.as_str(), path, parameters: &parameters, body: body.as_bytes() };
    let signature = signer().request(&signed);
    parameters.insert("auth_signature".into(), signature);
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let uri = format!("{path}?{}", pairs.join("&"));
    let built = Request::builder().method(method).uri(uri).header("host", "localhost");
    request(hub.address, built.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await
}

/// Publishes an event as a back end does.
pub(crate) async fn trigger(hub: &TestHub, event: Value) {
    let answer = back_end(hub, Method::POST, "/apps/festival/events", "", &event.to_string()).await;
    assert_eq!(answer, (200, "{}".to_owned()));
}
