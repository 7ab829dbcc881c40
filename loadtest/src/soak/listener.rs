//! The life of a client of Pusher's protocol: it follows its topic as a member of a presence channel, and cuts itself off
//! at random. Nothing is recovered for it, so what it hears is judged between its cuts.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use protocol::pusher::Signer;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::books::{Log, Mark};
use super::member::{AWAY_MS, Board, Member, Message, RECONNECT_DELAY_MS, Stage};
use crate::client::{address_of, tcp};
use crate::settings::SOAK_APP;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One client.
#[derive(Debug)]
pub(super) struct Listener {
    /// Its number among all clients of the soak.
    pub number: u32,
    /// The number of its topic.
    pub topic: u32,
    /// The application's URL.
    pub url: String,
    /// Seconds after which it cuts itself off, on average.
    pub cut_seconds: u32,
    /// Where latencies are noted.
    pub board: Arc<Board>,
    /// Its choices.
    pub rng: StdRng,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default)]
    data: Value,
}

impl Listener {
    /// Lives through all stages; gives what it heard.
    pub(super) async fn live(mut self, mut stages: watch::Receiver<Stage>) -> Log {
        let mut log = Log { topic: self.topic, ..Log::default() };
        loop {
            let stage = *stages.borrow_and_update();
            if stage == Stage::End || (stage == Stage::Thin && !Member::stays(self.number)) {
                return log;
            }
            let entered = timeout(ANSWER_TIMEOUT, self.enter()).await;
            let Ok(Ok(mut socket)) = entered else {
                log.failed += 1;
                sleep(Duration::from_millis(self.rng.random_range(RECONNECT_DELAY_MS))).await;
                continue;
            };
            log.segments.push(Vec::new());
            let mean = f64::from(self.cut_seconds);
            let cut_at = Instant::now() + Duration::from_secs_f64(self.rng.random_range(0.0..2.0) * mean);
            loop {
                let stage = *stages.borrow_and_update();
                if stage == Stage::End || (stage == Stage::Thin && !Member::stays(self.number)) {
                    let _ = timeout(Duration::from_secs(2), socket.close(None)).await; // the server may be gone
                    return log;
                }
                tokio::select! {
                    heard = socket.next() => { // cancel-safe: a frame is taken whole or not at all
                        let done = match heard {
                            Some(Ok(frame)) => self.hear(&mut socket, &frame, &mut log).await,
                            _ => Err(anyhow::anyhow!("the connection has ended")),
                        };
                        if done.is_err() {
                            log.lost += 1;
                            break;
                        }
                    }
                    () = sleep_until(cut_at), if stage == Stage::Live => {
                        log.cuts += 1;
                        break;
                    }
                    changed = stages.changed() => if changed.is_err() { return log },
                }
            }
            drop(socket);
            if *stages.borrow() == Stage::Live {
                sleep(Duration::from_millis(self.rng.random_range(AWAY_MS))).await;
            }
        }
    }

    /// Connects and subscribes.
    async fn enter(&self) -> Result<WebSocketStream<TcpStream>> {
        let stream = tcp(address_of(&self.url).await?, self.number as usize).await?;
        let (mut socket, _) = tokio_tungstenite::client_async(&self.url, stream).await?;
        let signer = Signer::new(SOAK_APP.1, SOAK_APP.2);
        let channel = format!("presence-soak.{}", self.topic);
        loop {
            let frame = socket.next().await.context("the server has closed")??;
            let Frame::Text(text) = frame else { continue };
            let event: Event<'_> = serde_json::from_str(&text)?;
            match &*event.event {
                "pusher:connection_established" => {
                    let data: Value = serde_json::from_str(event.data.as_str().context("no data")?)?;
                    let id = data["socket_id"].as_str().context("no socket id")?.parse()?;
                    let member = json!({ "user_id": (self.number + 1).to_string() }).to_string();
                    let auth = signer.channel_auth(id, &channel, Some(&member));
                    let request = json!({ "channel": channel, "auth": auth, "channel_data": member });
                    let subscribe = json!({ "event": "pusher:subscribe", "data": request });
                    socket.send(Frame::text(subscribe.to_string())).await?;
                }
                "pusher_internal:subscription_succeeded" => return Ok(socket),
                "pusher:error" | "pusher:subscription_error" | "pusher_internal:subscription_error" => {
                    bail!("refused: {}", event.data)
                }
                _ => {}
            }
        }
    }

    async fn hear(
        &self,
        socket: &mut WebSocketStream<TcpStream>,
        frame: &Frame,
        log: &mut Log,
    ) -> Result<()> {
        let text = match frame {
            Frame::Text(text) => text,
            Frame::Close(_) => bail!("the server has closed"),
            _ => return Ok(()),
        };
        let event: Event<'_> = serde_json::from_str(text)?;
        match &*event.event {
            "pusher:ping" => {
                let pong = json!({ "event": "pusher:pong", "data": {} }).to_string();
                socket.send(Frame::text(pong)).await?;
            }
            name if name.starts_with("pusher") => {}
            _ => {
                let message: Message = serde_json::from_str(event.data.as_str().context("no data")?)?;
                let mark: Mark = (message.by, message.n);
                self.board.late(message.at_us);
                log.segments.last_mut().context("it has subscribed")?.push(mark);
            }
        }
        Ok(())
    }
}
