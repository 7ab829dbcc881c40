//! A connection that speaks either dialect, through the same code that the server reads and writes it with.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use protocol::centrifuge::command::{
    ChannelRequest, ConnectRequest, PublishRequest, SubscribeRequest, UnsubscribeRequest,
};
use protocol::centrifuge::reply::{Answer, Event};
use protocol::centrifuge::{Command, Dialect, Payload, Reply, Request};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::client::{ClientError, Position, address_of, tcp};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How a WebSocket asks for Protobuf.
const PROTOBUF: HeaderValue = HeaderValue::from_static("centrifuge-protobuf");

/// A connection whose `connect` was answered.
#[derive(Debug)]
pub(super) struct Line {
    socket: WebSocketStream<TcpStream>,
    dialect: Dialect,
    last_id: u32,
    pongs_owed: u32,
}

/// What came over it.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// A publication: its offset and what it says.
    Published(u64, Vec<u8>),
    /// The answer to a command, with the code where it was refused.
    Answered(u32, Result<Given, u32>),
    /// The server has ended the subscription.
    Unsubscribed(u32),
}

/// What an answer gives.
#[derive(Debug, PartialEq)]
pub(super) enum Given {
    /// Where the subscription stands, whether it was recovered, and what was missed.
    Subscription(Position, bool, Vec<(u64, Vec<u8>)>),
    /// Clients and users.
    Present(u32, u32),
    /// Nothing but that it was done.
    Done,
}

impl Line {
    /// Connects as whom `token` says. `number` spreads the sockets over source addresses.
    ///
    /// # Errors
    /// [`ClientError`] when there is no connection or the server refuses it.
    pub(super) async fn open(
        url: &str,
        dialect: Dialect,
        token: &str,
        number: usize,
    ) -> Result<Self, ClientError> {
        let connecting = async {
            let stream = tcp(address_of(url).await?, number).await?;
            let mut request = url.into_client_request()?;
            if dialect == Dialect::Protobuf {
                request.headers_mut().insert("sec-websocket-protocol", PROTOBUF);
            }
            let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
            let mut line = Self { socket, dialect, last_id: 0, pongs_owed: 0 };
            let connect =
                ConnectRequest { token: token.into(), name: "loadtest".into(), ..ConnectRequest::default() };
            line.ask("connect", Request::Connect(Box::new(connect))).await?;
            Ok(line)
        };
        timeout(ANSWER_TIMEOUT, connecting).await.map_err(|_| ClientError::Timeout("connect"))?
    }

    /// Asks for the topic, from `since` where it is given; the answer comes as [`Said::Answered`] with the id.
    pub(super) async fn subscribe(
        &mut self,
        topic: &str,
        since: Option<&Position>,
    ) -> Result<u32, ClientError> {
        let mut request =
            SubscribeRequest { channel: topic.into(), recoverable: true, ..SubscribeRequest::default() };
        if let Some(since) = since {
            request.recover = true;
            request.epoch = since.epoch.as_str().into();
            request.offset = since.offset;
        }
        self.send(Request::Subscribe(request)).await
    }

    /// Asks to leave the topic.
    pub(super) async fn unsubscribe(&mut self, topic: &str) -> Result<u32, ClientError> {
        self.send(Request::Unsubscribe(UnsubscribeRequest { channel: topic.into() })).await
    }

    /// Publishes `data`, which is JSON.
    pub(super) async fn publish(&mut self, topic: &str, data: &str) -> Result<u32, ClientError> {
        let data = Some(Payload::trusted(data.as_bytes()));
        self.send(Request::Publish(PublishRequest {
            channel: topic.into(),
            data,
            ..PublishRequest::default()
        }))
        .await
    }

    /// How many clients and users follow the topic.
    pub(super) async fn presence_stats(&mut self, topic: &str) -> Result<(u32, u32), ClientError> {
        let request = Request::PresenceStats(ChannelRequest { channel: topic.into() });
        match self.ask("presence_stats", request).await? {
            Given::Present(clients, users) => Ok((clients, users)),
            other => Err(ClientError::Garbage(format!("{other:?}"))),
        }
    }

    /// What comes next, none for a frame that holds only pings. Cancel-safe: a frame is taken whole or not at all.
    pub(super) async fn next(&mut self) -> Result<Vec<Said>, ClientError> {
        while self.pongs_owed > 0 {
            self.write(&Command { id: 0, request: Request::Empty }).await?;
            self.pongs_owed -= 1;
        }
        let frame = match self.socket.next().await {
            Some(Ok(Message::Text(text))) => text.as_bytes().to_vec(),
            Some(Ok(Message::Binary(bytes))) => bytes.to_vec(),
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) = frame
                    .map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                return Err(ClientError::Closed { code, reason });
            }
            Some(Ok(_)) => return Ok(Vec::new()),
            Some(Err(error)) => return Err(error.into()),
            None => return Err(ClientError::Closed { code: 1006, reason: String::new() }),
        };
        let mut said = Vec::new();
        for reply in self.dialect.replies(&frame) {
            match reply.map_err(|error| ClientError::Garbage(error.to_string()))? {
                Reply::Ping => self.pongs_owed += 1,
                Reply::Answer(id, answer) => said.push(Said::Answered(id, given(answer))),
                Reply::Push(push) => match push.event {
                    Event::Publication(publication) => {
                        said.push(Said::Published(publication.offset, publication.data.as_bytes().to_vec()));
                    }
                    Event::Unsubscribe(code, _) => said.push(Said::Unsubscribed(code)),
                    _ => {}
                },
            }
        }
        Ok(said)
    }

    /// Says goodbye before it ends the connection.
    pub(super) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(2), self.socket.close(None)).await; // the server may be gone already
    }

    /// Sends a command and waits for its answer, before there is a subscription.
    async fn ask(&mut self, command: &'static str, request: Request<'_>) -> Result<Given, ClientError> {
        let id = self.send(request).await?;
        let answer = async {
            loop {
                for said in self.next().await? {
                    match said {
                        Said::Answered(answered, Ok(given)) if answered == id => return Ok(given),
                        Said::Answered(answered, Err(code)) if answered == id => {
                            return Err(ClientError::Refused { command, code, message: String::new() });
                        }
                        _ => {}
                    }
                }
            }
        };
        timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| ClientError::Timeout(command))?
    }

    async fn send(&mut self, request: Request<'_>) -> Result<u32, ClientError> {
        self.last_id += 1;
        let id = self.last_id;
        self.write(&Command { id, request }).await?;
        Ok(id)
    }

    async fn write(&mut self, command: &Command<'_>) -> Result<(), ClientError> {
        let mut frame = Vec::new();
        self.dialect.write_command(&mut frame, command);
        let message = match self.dialect {
            Dialect::Json => Message::text(String::from_utf8_lossy(&frame).into_owned()),
            Dialect::Protobuf => Message::binary(frame),
        };
        Ok(self.socket.send(message).await?)
    }
}

fn given(answer: Answer<'_>) -> Result<Given, u32> {
    Ok(match answer {
        Answer::Error(error) => return Err(error.code),
        Answer::Subscribe(result) => {
            let position = Position { epoch: result.epoch.into_owned(), offset: result.offset };
            let missed =
                result.publications.iter().map(|one| (one.offset, one.data.as_bytes().to_vec())).collect();
            Given::Subscription(position, result.recovered, missed)
        }
        Answer::PresenceStats(stats) => Given::Present(stats.num_clients, stats.num_users),
        _ => Given::Done,
    })
}
