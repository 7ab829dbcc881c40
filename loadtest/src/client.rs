//! A lean client of the Centrifuge JSON protocol over WebSocket.
//!
//! Made for thousands of sockets in one process: no task, timer or buffer of its own. It does what a correct
//! client must (pongs, positions) and leaves to its caller what an SDK decides (reconnecting, giving up).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::wire::{Connected, Push, RecoveredOrNot, Reply};

/// How long connecting, and the answer to a command, may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Sockets that one source address carries: fewer than the ports that Linux hands out by default.
const SOCKETS_PER_SOURCE: usize = 25_000;

/// Where a subscription stands: what a resuming client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// Incarnation of the stream.
    pub epoch: String,
    /// Offset of the last publication seen.
    pub offset: u64,
}

/// One publication as it came.
#[derive(Debug)]
pub(crate) struct Publication {
    /// Its offset.
    pub offset: u64,
    /// What was published.
    pub data: Box<RawValue>,
}

/// How the server answered a subscription.
#[derive(Debug)]
pub(crate) struct Subscribed {
    /// Where the subscription stands, with the recovered publications behind it.
    pub position: Position,
    /// Whether nothing was missed; only meaningful when a position was sent.
    pub recovered: bool,
    /// What was missed, oldest first.
    pub publications: Vec<Publication>,
}

/// Why a connection does not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The URL is not `ws://host:port/path`.
    #[error("\"{0}\" is not an address like ws://127.0.0.1:8000/connection/websocket")]
    Url(String),
    /// The network failed.
    #[error("no connection")]
    Network(#[from] std::io::Error),
    /// The WebSocket handshake or a frame failed.
    #[error("the websocket failed")]
    WebSocket(#[from] Box<tungstenite::Error>),
    /// Nothing came in time.
    #[error("no answer to {0} within {ANSWER_TIMEOUT:?}")]
    Timeout(&'static str),
    /// The server refused a command.
    #[error("the server refused {command}: {code} {message}")]
    Refused {
        /// Which command.
        command: &'static str,
        /// The protocol's error code.
        code: u32,
        /// Its text.
        message: String,
    },
    /// The server closed the connection.
    #[error("the server closed with {code} \"{reason}\"")]
    Closed {
        /// WebSocket close code; 1006 when there was no close frame.
        code: u16,
        /// The reason given.
        reason: String,
    },
    /// Something came that the protocol does not know.
    #[error("the server sent what no client understands: {0}")]
    Garbage(String),
}

impl From<tungstenite::Error> for ClientError {
    fn from(error: tungstenite::Error) -> Self {
        Self::WebSocket(Box::new(error))
    }
}

/// A connected client.
#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    last_id: u32,
    waiting: VecDeque<Publication>,
    pongs_owed: u32,
    /// Server-side subscriptions, by topic, as the answer to `connect` had them.
    pub server_side: BTreeMap<String, Position>,
    /// Errors in replies to commands that nobody waited for.
    pub refusals: u64,
}

impl Client {
    /// Connects to `url` as whom `token` says (`None`: as nobody). `number` is the caller's count of sockets: on
    /// loopback it spreads them over source addresses, so that there are more than one address has ports.
    ///
    /// # Errors
    /// [`ClientError`] when there is no connection or the server refuses it.
    pub(crate) async fn connect(url: &str, token: Option<&str>, number: usize) -> Result<Self, ClientError> {
        timeout(ANSWER_TIMEOUT, Self::connect_now(url, token, number))
            .await
            .map_err(|_| ClientError::Timeout("connect"))?
    }

    async fn connect_now(url: &str, token: Option<&str>, number: usize) -> Result<Self, ClientError> {
        let stream = tcp(address_of(url).await?, number).await?;
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        let mut client = Self {
            socket,
            last_id: 0,
            waiting: VecDeque::new(),
            pongs_owed: 0,
            server_side: BTreeMap::new(),
            refusals: 0,
        };
        let mut connect = json!({ "name": "loadtest" });
        if let Some(token) = token {
            connect["token"] = json!(token);
        }
        client.server_side = client.ask("connect", connect, |reply| reply.connect.map(server_side)).await?;
        Ok(client)
    }

    /// Subscribes to `topic`, from `since` where it is given.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the server says no, others when the connection is broken.
    pub(crate) async fn subscribe(
        &mut self,
        topic: &str,
        since: Option<&Position>,
    ) -> Result<Subscribed, ClientError> {
        let mut request = json!({ "channel": topic });
        if let Some(since) = since {
            request["recover"] = json!(true);
            request["epoch"] = json!(since.epoch);
            request["offset"] = json!(since.offset);
        }
        let (mut position, recovered, missed) =
            self.ask("subscribe", request, |reply| reply.subscribe.map(subscribed)).await?;
        let publications: Vec<Publication> =
            missed.into_iter().map(|(offset, data)| Publication { offset, data }).collect();
        if let Some(last) = publications.last() {
            position.offset = last.offset;
        }
        Ok(Subscribed { position, recovered, publications })
    }

    /// Confirms a delivery over the socket: the `ack` method of ours. The answer is read by [`Client::next`].
    ///
    /// # Errors
    /// [`ClientError`] when the connection is broken.
    pub(crate) async fn acknowledge(&mut self, delivery_id: &str, code: &str) -> Result<(), ClientError> {
        let data = json!({ "delivery_id": delivery_id, "code": code, "state": "delivered" });
        self.send("rpc", json!({ "method": "ack", "data": data })).await?;
        Ok(())
    }

    /// The next publication of any topic. Answers pings on the way. Cancel-safe: what was read is kept.
    ///
    /// # Errors
    /// [`ClientError::Closed`] when the server ended the connection, others when it broke.
    pub(crate) async fn next(&mut self) -> Result<Publication, ClientError> {
        loop {
            if let Some(publication) = self.waiting.pop_front() {
                return Ok(publication);
            }
            self.read(0, "", |_| None::<()>).await?;
        }
    }

    /// Says goodbye and waits for the server's.
    pub(crate) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(2), async {
            let _ = self.socket.close(None).await;
            while let Some(Ok(_)) = self.socket.next().await {}
        })
        .await;
    }

    /// Sends a command and waits for its answer; publications that come first are kept.
    async fn ask<T>(
        &mut self,
        command: &'static str,
        request: Value,
        pick: impl Fn(Reply<'_>) -> Option<T>,
    ) -> Result<T, ClientError> {
        let id = self.send(command, request).await?;
        let answer = async {
            loop {
                if let Some(found) = self.read(id, command, &pick).await? {
                    return Ok(found);
                }
            }
        };
        timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| ClientError::Timeout(command))?
    }

    async fn send(&mut self, command: &str, request: Value) -> Result<u32, ClientError> {
        self.last_id += 1;
        let text = json!({ "id": self.last_id, command: request }).to_string();
        self.socket.send(Message::text(text)).await?;
        Ok(self.last_id)
    }

    /// Reads one frame, and answers its pings (and those whose answer was cancelled).
    async fn read<T>(
        &mut self,
        id: u32,
        command: &'static str,
        pick: impl Fn(Reply<'_>) -> Option<T>,
    ) -> Result<Option<T>, ClientError> {
        let text = self.frame().await?;
        let found = self.take_frame(&text, id, command, pick)?;
        while self.pongs_owed > 0 {
            self.socket.send(Message::text("{}")).await?;
            self.pongs_owed -= 1;
        }
        Ok(found)
    }

    /// Takes a frame apart: publications are kept, the reply to command `id` goes through `pick`.
    fn take_frame<T>(
        &mut self,
        text: &str,
        id: u32,
        command: &'static str,
        pick: impl Fn(Reply<'_>) -> Option<T>,
    ) -> Result<Option<T>, ClientError> {
        let mut found = None;
        for line in text.trim_end().split('\n') {
            let reply: Reply<'_> = serde_json::from_str(line)
                .map_err(|_| ClientError::Garbage(line.chars().take(200).collect()))?;
            if let Some(push) = reply.push {
                self.take_push(push)?;
            } else if id != 0 && reply.id == id {
                if let Some(error) = reply.error {
                    return Err(ClientError::Refused { command, code: error.code, message: error.message });
                }
                found = pick(reply);
            } else if reply.error.is_some() {
                self.refusals += 1;
            } else if reply.id == 0 {
                self.pongs_owed += 1;
            }
        }
        Ok(found)
    }

    fn take_push(&mut self, push: Push<'_>) -> Result<(), ClientError> {
        let topic = push.channel.unwrap_or_default();
        if let Some(publication) = push.publication {
            self.waiting
                .push_back(Publication { offset: publication.offset, data: publication.data.to_owned() });
        } else if let Some(end) = push.unsubscribe.or(push.disconnect) {
            return Err(ClientError::Closed {
                code: u16::try_from(end.code).unwrap_or(u16::MAX),
                reason: format!("{topic}: {}", end.reason),
            });
        }
        Ok(())
    }

    async fn frame(&mut self) -> Result<tungstenite::Utf8Bytes, ClientError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame
                        .map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                    return Err(ClientError::Closed { code, reason });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(ClientError::Closed { code: 1006, reason: String::new() }),
            }
        }
    }
}

fn server_side(connected: Connected<'_>) -> BTreeMap<String, Position> {
    connected.subs.into_iter().map(|(topic, result)| (topic.into_owned(), subscribed(result).0)).collect()
}

fn subscribed(result: RecoveredOrNot<'_>) -> (Position, bool, Vec<(u64, Box<RawValue>)>) {
    let missed = result.publications.into_iter().map(|one| (one.offset, one.data.to_owned())).collect();
    (Position { epoch: result.epoch.into_owned(), offset: result.offset }, result.recovered, missed)
}

/// The address that a WebSocket URL names.
pub(crate) async fn address_of(url: &str) -> Result<SocketAddr, ClientError> {
    let bad = || ClientError::Url(url.to_owned());
    let authority = url.strip_prefix("ws://").ok_or_else(bad)?.split('/').next().unwrap_or_default();
    let host = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    tokio::net::lookup_host(host).await?.next().ok_or_else(bad)
}

/// A connection to it; `number` is the caller's count of sockets.
pub(crate) async fn tcp(address: SocketAddr, number: usize) -> Result<TcpStream, ClientError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let IpAddr::V4(target) = address.ip()
        && target.is_loopback()
    {
        let host = u8::try_from(1 + number / SOCKETS_PER_SOURCE).unwrap_or(u8::MAX);
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0)))?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
