//! A stand-in for a browser's push service, with the browsers behind it: HTTP/2 over TLS.
//!
//! Refuses what RFC 8030 and the real services refuse (`check`), holds the private keys of its subscriptions, and so
//! shows what a browser would read. Plays a script per subscription: set in process, or named by the word at the
//! beginning of the subscription's name (`gone-…`, `later-…`).

mod check;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::Clock;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use p256::elliptic_curve::rand_core::{OsRng, RngCore as _};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::acceptor::{Acceptor, Connections};
use crate::ca::Ca;
use crate::clock::WallClock;
use crate::step::{self, Step};

/// Bytes of a request that are read at all.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// How the stand-in behaves.
#[derive(Debug, Clone)]
pub struct WebpushOptions {
    /// Where it listens; port 0 takes any.
    pub listen: SocketAddr,
    /// How long each answer takes.
    pub latency: Duration,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
}

impl Default for WebpushOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            latency: Duration::ZERO,
            clock: Arc::new(WallClock),
        }
    }
}

/// What happens to a message that is valid in every other respect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// 201.
    Ok,
    /// HTTP status, body, and `Retry-After` in seconds.
    Refuse(u16, &'static str, Option<u32>),
    /// 307 to another address.
    Redirect(String),
    /// No answer, ever.
    Hang,
    /// The connection breaks.
    Reset,
}

/// A message as it came in.
#[derive(Debug, Clone, Serialize)]
pub struct ReceivedPush {
    /// Number of the message, from 1.
    pub number: usize,
    /// Number of the connection it came on, from 1.
    pub connection: usize,
    /// The subscription's name.
    pub name: String,
    /// `TTL`.
    pub ttl: u64,
    /// `Urgency`.
    pub urgency: String,
    /// `Topic`.
    pub topic: String,
    /// What the browser reads; null when it was not decrypted.
    pub text: Value,
    /// `accepted`, or the reason of the refusal.
    pub outcome: String,
}

/// The running stand-in; dropping it stops it.
pub struct Webpush {
    state: Arc<State>,
    acceptor: Acceptor,
    key_pem: String,
    public_key: String,
}

struct State {
    options: WebpushOptions,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    browsers: HashMap<String, Browser>,
    scripts: HashMap<String, VecDeque<Script>>,
    received: Vec<ReceivedPush>,
    verified: check::Verified,
}

/// One browser's side of a subscription.
#[derive(Clone)]
struct Browser {
    key: p256::SecretKey,
    secret: [u8; 16],
    /// With whose key it subscribed.
    application_key: String,
}

impl Webpush {
    /// Starts the stand-in with a certificate of `ca`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(ca: &Ca, options: WebpushOptions) -> anyhow::Result<Self> {
        let state = Arc::new(State { inner: Mutex::default(), options });
        let tls = TlsAcceptor::from(ca.server_config(&[b"h2", b"http/1.1"]));
        let shared = Arc::clone(&state);
        let acceptor = Acceptor::start(state.options.listen, move |stream, number| {
            serve(Arc::clone(&shared), tls.clone(), stream, number)
        })
        .await?;
        let key = p256::SecretKey::random(&mut OsRng);
        let key_pem = key.to_pkcs8_pem(LineEnding::LF).expect("a new key can be written").to_string();
        let public_key = encoded(&key.public_key());
        Ok(Self { state, acceptor, key_pem, public_key })
    }

    /// A VAPID key to send with, in PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Its public half: what pages subscribe with.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The base URL of endpoints.
    pub fn base_url(&self) -> String {
        format!("https://{}", self.acceptor.address)
    }

    /// A new subscription of that name, as a browser gives it to a page that knows [`Webpush::public_key`].
    pub fn subscribe(&self, name: &str) -> Value {
        self.subscribe_with(name, &self.public_key)
    }

    /// The same for a page that knows another key.
    pub fn subscribe_with(&self, name: &str, application_key: &str) -> Value {
        let mut secret = [0; 16];
        OsRng.fill_bytes(&mut secret);
        let browser = Browser {
            key: p256::SecretKey::random(&mut OsRng),
            secret,
            application_key: application_key.to_owned(),
        };
        let p256dh = encoded(&browser.key.public_key());
        self.state.lock().browsers.insert(name.to_owned(), browser);
        json!({
            "endpoint": format!("{}/push/{name}", self.base_url()),
            "expirationTime": null,
            "keys": { "p256dh": p256dh, "auth": URL_SAFE_NO_PAD.encode(secret) },
        })
    }

    /// Plays `steps` for messages to the subscription `name`, one each; the last one stays.
    pub fn script(&self, name: &str, steps: impl IntoIterator<Item = Script>) {
        self.state.lock().scripts.insert(name.to_owned(), steps.into_iter().collect());
    }

    /// What was received after the message numbered `after`, refused ones too.
    pub fn received(&self, after: usize) -> Vec<ReceivedPush> {
        self.state.lock().received.iter().skip(after).cloned().collect()
    }

    /// Its connections.
    pub fn connections(&self) -> &Connections {
        &self.acceptor.connections
    }

    /// Messages by outcome.
    pub fn counts(&self) -> Value {
        let inner = self.state.lock();
        let mut outcomes: HashMap<&str, usize> = HashMap::new();
        for push in &inner.received {
            *outcomes.entry(push.outcome.as_str()).or_default() += 1;
        }
        json!({
            "received": inner.received.len(),
            "outcomes": outcomes,
            "signatures": inner.verified.len(),
            "connections": self.connections().total(),
        })
    }
}

fn encoded(key: &p256::PublicKey) -> String {
    URL_SAFE_NO_PAD.encode(key.to_encoded_point(false).as_bytes())
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }

    async fn answer(&self, connection: usize, origin: &str, request: Request<Incoming>) -> Step {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, REQUEST_BYTES_MAX).collect().await else {
            return Step::Answer(answer(413, "", None));
        };
        let step = self.take(connection, origin, &head, &body.to_bytes());
        tokio::time::sleep(self.options.latency).await;
        step
    }

    fn take(&self, connection: usize, origin: &str, head: &http::request::Parts, body: &[u8]) -> Step {
        let now = self.options.clock.now();
        let mut inner = self.lock();
        let name = head.uri.path().strip_prefix("/push/").unwrap_or_default().to_owned();
        let browser = inner.browsers.get(&name).cloned();
        let checked = match &browser {
            None => Err((404, "")),
            Some(_) if head.method != http::Method::POST => Err((405, "")),
            Some(browser) => inner
                .verified
                .check(&head.headers, origin, &browser.application_key, now)
                .and_then(|()| check::request(&head.headers, body)),
        };
        let number = inner.received.len() + 1;
        let mut push = ReceivedPush {
            number,
            connection,
            ttl: 0,
            urgency: String::new(),
            topic: String::new(),
            text: Value::Null,
            outcome: String::new(),
            name,
        };
        let step = match (checked, browser) {
            (Ok(wanted), Some(browser)) => {
                (push.ttl, push.urgency, push.topic) = (wanted.ttl, wanted.urgency, wanted.topic);
                match read(body, &browser) {
                    Some(text) => {
                        push.text = text;
                        let script = inner.next(&push.name);
                        play(&script, number, &mut push.outcome)
                    }
                    // a real service cannot see this: the browser drops the message in silence
                    None => play(&Script::Refuse(400, "undecryptable", None), number, &mut push.outcome),
                }
            }
            (Err((status, reason)), _) => {
                play(&Script::Refuse(status, reason, None), number, &mut push.outcome)
            }
            (Ok(_), None) => play(&Script::Refuse(404, "", None), number, &mut push.outcome),
        };
        inner.received.push(push);
        step
    }
}

/// What the browser reads, by a library that shares no code with Munadi's.
fn read(body: &[u8], browser: &Browser) -> Option<Value> {
    let plain = web_push_native::decrypt(body.to_vec(), &browser.key, &browser.secret.into()).ok()?;
    serde_json::from_slice(&plain).ok()
}

impl Inner {
    fn next(&mut self, name: &str) -> Script {
        match self.scripts.get_mut(name) {
            Some(steps) if steps.len() > 1 => steps.pop_front().unwrap_or(Script::Ok),
            Some(steps) => steps.front().cloned().unwrap_or(Script::Ok),
            None => marked(name),
        }
    }
}

/// The script that the name's first word asks for, so that other processes can script too.
fn marked(name: &str) -> Script {
    match name.split('-').next().unwrap_or_default() {
        "gone" => Script::Refuse(410, "", None),
        "unknown" => Script::Refuse(404, "", None),
        "later" => Script::Refuse(429, "", Some(2)),
        "busy" => Script::Refuse(503, "", None),
        "large" => Script::Refuse(413, "", None),
        "forbidden" => Script::Refuse(403, r#"{"reason":"BadJwtToken"}"#, None),
        "hang" => Script::Hang,
        "reset" => Script::Reset,
        _ => Script::Ok,
    }
}

fn play(script: &Script, number: usize, outcome: &mut String) -> Step {
    match script {
        Script::Ok => {
            "accepted".clone_into(outcome);
            let mut response = answer(201, "", None);
            let location = format!("/message/{number}").parse().expect("a path is a header");
            response.headers_mut().insert("location", location);
            Step::Answer(response)
        }
        Script::Refuse(status, body, retry_after) => {
            *outcome = if body.is_empty() { status.to_string() } else { format!("{status} {body}") };
            Step::Answer(answer(*status, body, *retry_after))
        }
        Script::Redirect(to) => {
            "redirect".clone_into(outcome);
            let mut response = answer(307, "", None);
            response.headers_mut().insert("location", to.parse().expect("the script's URL is a header"));
            Step::Answer(response)
        }
        Script::Hang => {
            "hang".clone_into(outcome);
            Step::Hang
        }
        Script::Reset => {
            "reset".clone_into(outcome);
            Step::Reset
        }
    }
}

fn answer(status: u16, body: &'static str, retry_after: Option<u32>) -> Response<Full<Bytes>> {
    let mut response =
        Response::builder().status(status).body(Full::from(body)).expect("the parts are valid");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}

async fn serve(state: Arc<State>, tls: TlsAcceptor, stream: TcpStream, number: usize) -> anyhow::Result<()> {
    step::serve(tls, stream, move |origin, request| {
        let state = Arc::clone(&state);
        async move { state.answer(number, &origin, request).await }
    })
    .await
}
