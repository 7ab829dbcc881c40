//! A stand-in for Apple's push service: HTTP/2 over TLS, provider tokens verified, devices scripted.
//!
//! Refuses what Apple refuses (`check`), plays a script per device token (`script`), keeps one stored push per
//! offline device as Apple does, and remembers everything that it received.

mod check;
mod script;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, Timestamp};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use jsonwebtoken::DecodingKey;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::acceptor::{Acceptor, Connections};
use crate::ca::Ca;
use crate::clock::WallClock;
use crate::step::Step;

use check::{Account, Refusal, Session, Verified};
pub use script::Script;
use script::Scripts;

/// Bytes of a request that are read at all.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// How the stand-in behaves.
#[derive(Debug, Clone)]
pub struct ApnsOptions {
    /// Where it listens; port 0 takes any.
    pub listen: SocketAddr,
    /// Streams that a connection may have open at once.
    pub streams_max: u32,
    /// How long each answer takes.
    pub latency: Duration,
    /// Its clock, by which provider tokens grow old.
    pub clock: Arc<dyn Clock>,
    /// Apple's 10 character id of the signing key.
    pub key_id: String,
    /// Apple's 10 character id of the team.
    pub team_id: String,
    /// The only topic (bundle id) that is allowed.
    pub topic: String,
}

impl Default for ApnsOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            streams_max: 500,
            latency: Duration::ZERO,
            clock: Arc::new(WallClock),
            key_id: "TESTKEY001".to_owned(),
            team_id: "TESTTEAM01".to_owned(),
            topic: "app.munadi.festival".to_owned(),
        }
    }
}

/// A push as it came in.
#[derive(Debug, Clone, Serialize)]
pub struct ReceivedPush {
    /// Number of the push, from 1.
    pub number: usize,
    /// Number of the connection it came on, from 1.
    pub connection: usize,
    /// The device token in the path.
    pub token: String,
    /// `apns-id`, echoed or invented.
    pub apns_id: String,
    /// The `apns-` headers as they came.
    pub headers: HashMap<String, String>,
    /// The payload.
    pub payload: Value,
    /// `accepted`, the reason of the refusal, or what the script did.
    pub outcome: String,
    /// The provider token that it was sent with.
    #[serde(skip)]
    pub provider_token: String,
}

/// The running stand-in; dropping it stops it.
pub struct Apns {
    state: Arc<State>,
    acceptor: Acceptor,
    signing_key_pem: String,
}

struct State {
    options: ApnsOptions,
    account: Account,
    key: DecodingKey,
    inner: Mutex<Inner>,
    /// Requests on a connection that had not proved itself while another one was open.
    gate_violations: AtomicUsize,
    open_streams: AtomicUsize,
    open_streams_max: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    verified: Verified,
    scripts: Scripts,
    received: Vec<ReceivedPush>,
    offline: HashMap<String, Option<ReceivedPush>>,
}

/// One connection.
struct Link {
    number: usize,
    session: Mutex<Session>,
    proven: AtomicBool,
    open: AtomicUsize,
    cut: CancellationToken,
}

/// A new signing key as Apple hands it out: the text of a `.p8` file.
pub fn signing_key() -> String {
    let secret = p256::SecretKey::random(&mut p256::elliptic_curve::rand_core::OsRng);
    secret.to_pkcs8_pem(LineEnding::LF).expect("a new key is well-formed").to_string()
}

impl Apns {
    /// Starts the stand-in with a certificate of `ca` and a new signing key.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(ca: &Ca, options: ApnsOptions) -> anyhow::Result<Self> {
        let signing_key_pem = signing_key();
        let public = p256::SecretKey::from_pkcs8_pem(&signing_key_pem)?
            .public_key()
            .to_public_key_pem(LineEnding::LF)?;
        let state = Arc::new(State {
            account: Account {
                key_id: options.key_id.clone(),
                team_id: options.team_id.clone(),
                topic: options.topic.clone(),
            },
            key: DecodingKey::from_ec_pem(public.as_bytes())?,
            inner: Mutex::default(),
            gate_violations: AtomicUsize::new(0),
            open_streams: AtomicUsize::new(0),
            open_streams_max: AtomicUsize::new(0),
            options,
        });
        let tls = TlsAcceptor::from(ca.server_config(&[b"h2"]));
        let shared = Arc::clone(&state);
        let acceptor = Acceptor::start(state.options.listen, move |stream, number| {
            serve(Arc::clone(&shared), tls.clone(), stream, number)
        })
        .await?;
        Ok(Self { state, acceptor, signing_key_pem })
    }

    /// The base URL for clients.
    pub fn base_url(&self) -> String {
        format!("https://{}", self.acceptor.address)
    }

    /// The signing key that pushes have to be signed with: a `.p8` file as Apple hands it out.
    pub fn signing_key_pem(&self) -> &str {
        &self.signing_key_pem
    }

    /// How it was started: ids and topic that clients need.
    pub fn options(&self) -> &ApnsOptions {
        &self.state.options
    }

    /// Plays `steps` for pushes to `token`, one each; the last one stays.
    pub fn script(&self, token: &str, steps: impl IntoIterator<Item = Script>) {
        self.state.lock().scripts.set(token, steps.into_iter().collect());
    }

    /// Takes a device off the network or puts it back; the push that was stored for it meanwhile comes out.
    pub fn set_online(&self, token: &str, online: bool) -> Option<ReceivedPush> {
        let mut inner = self.state.lock();
        if online {
            inner.offline.remove(token).flatten()
        } else {
            inner.offline.entry(token.to_owned()).or_default();
            None
        }
    }

    /// What was received after the push numbered `after`, refused ones too.
    pub fn received(&self, after: usize) -> Vec<ReceivedPush> {
        self.state.lock().received.iter().skip(after).cloned().collect()
    }

    /// Its connections.
    pub fn connections(&self) -> &Connections {
        &self.acceptor.connections
    }

    /// Requests that came while the first one of their connection was unanswered.
    pub fn gate_violations(&self) -> usize {
        self.state.gate_violations.load(Ordering::SeqCst)
    }

    /// Requests open at once over all connections, at most.
    pub fn open_streams_max(&self) -> usize {
        self.state.open_streams_max.load(Ordering::SeqCst)
    }

    /// Pushes by outcome.
    pub fn counts(&self) -> Value {
        let inner = self.state.lock();
        let mut outcomes: HashMap<&str, usize> = HashMap::new();
        for push in &inner.received {
            *outcomes.entry(push.outcome.as_str()).or_default() += 1;
        }
        json!({
            "received": inner.received.len(),
            "outcomes": outcomes,
            "connections": self.connections().total(),
            "connections_open": self.connections().open(),
            "gate_violations": self.gate_violations(),
        })
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }

    async fn answer(&self, link: &Link, request: Request<Incoming>) -> Step {
        let open = self.open_streams.fetch_add(1, Ordering::SeqCst) + 1;
        self.open_streams_max.fetch_max(open, Ordering::SeqCst);
        let alone = link.open.fetch_add(1, Ordering::SeqCst) == 0;
        let step = if alone || link.proven.load(Ordering::SeqCst) {
            let step = self.judge(link, request).await;
            tokio::time::sleep(self.options.latency).await;
            step
        } else {
            self.gate_violations.fetch_add(1, Ordering::SeqCst);
            Step::Answer(refusal(429, "TooManyRequests", None))
        };
        link.open.fetch_sub(1, Ordering::SeqCst);
        self.open_streams.fetch_sub(1, Ordering::SeqCst);
        step
    }

    async fn judge(&self, link: &Link, request: Request<Incoming>) -> Step {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, REQUEST_BYTES_MAX).collect().await else {
            return Step::Answer(refusal(413, "PayloadTooLarge", None));
        };
        if head.method != Method::POST {
            return Step::Answer(refusal(405, "MethodNotAllowed", None));
        }
        let Some(token) = head.uri.path().strip_prefix("/3/device/") else {
            return Step::Answer(refusal(404, "BadPath", None));
        };
        let now = self.options.clock.now();
        let mut inner = self.lock();
        let mut push = ReceivedPush {
            number: inner.received.len() + 1,
            connection: link.number,
            token: token.to_owned(),
            apns_id: String::new(),
            headers: apns_headers(&head.headers),
            payload: Value::Null,
            outcome: String::new(),
            provider_token: String::new(),
        };
        let id = push.headers.get("apns-id").cloned();
        push.apns_id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let checked = self.authenticate(&mut inner, link, &head.headers).and_then(|provider_token| {
            push.provider_token = provider_token;
            check::headers(&head.headers, &self.account)?;
            push.payload = check::body(&push.token, &body.to_bytes())?;
            Ok(())
        });
        if let Err((status, reason)) = checked {
            reason.clone_into(&mut push.outcome);
            inner.received.push(push);
            return Step::Answer(refusal(status, reason, None));
        }
        link.proven.store(true, Ordering::SeqCst);
        let script = inner.scripts.next(token, now);
        play(&mut inner, link, push, &script)
    }

    /// Checks the provider token, by itself and as one of the connection's.
    fn authenticate(&self, inner: &mut Inner, link: &Link, headers: &HeaderMap) -> Result<String, Refusal> {
        let now = self.options.clock.now();
        let token = inner.verified.check(headers, &self.account, &self.key, now)?;
        let mut session = link.session.lock().expect("no holder of this lock panics");
        session.check(token.clone(), now)?;
        Ok(token)
    }
}

fn play(inner: &mut Inner, link: &Link, mut push: ReceivedPush, script: &Script) -> Step {
    let id = push.apns_id.clone();
    let (outcome, step) = match script {
        Script::Ok => {
            let response = Response::builder().status(200).header("apns-id", id).body(Full::default());
            ("accepted", Step::Answer(response.expect("the parts are valid")))
        }
        Script::Refuse(status, reason) => (*reason, Step::Answer(refusal(*status, reason, None))),
        Script::Unregistered(at) => ("Unregistered", Step::Answer(refusal(410, "Unregistered", Some(*at)))),
        Script::Hang => ("hang", Step::Hang),
        Script::Reset => ("reset", Step::Reset),
        Script::AcceptThenDrop => {
            link.cut.cancel();
            ("accepted", Step::Hang)
        }
        Script::Garbage(status) => {
            let response = Response::builder().status(*status).body(Full::from("<html>oops</html>"));
            ("garbage", Step::Answer(response.expect("the parts are valid")))
        }
    };
    outcome.clone_into(&mut push.outcome);
    let keeps = push.headers.get("apns-expiration").is_none_or(|seconds| seconds != "0");
    if outcome == "accepted"
        && keeps
        && let Some(slot) = inner.offline.get_mut(&push.token)
    {
        *slot = Some(push.clone()); // one slot per device and app: the newer one replaces the older
    }
    inner.received.push(push);
    step
}

fn apns_headers(headers: &HeaderMap) -> HashMap<String, String> {
    headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("apns-"))
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

fn refusal(status: u16, reason: &str, ended_at: Option<Timestamp>) -> Response<Full<Bytes>> {
    let mut body = json!({ "reason": reason });
    if let Some(at) = ended_at {
        body["timestamp"] = json!(at.as_microsecond() / 1_000);
    }
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .expect("the parts are valid")
}

async fn serve(state: Arc<State>, tls: TlsAcceptor, stream: TcpStream, number: usize) -> anyhow::Result<()> {
    let stream = tls.accept(stream).await?;
    anyhow::ensure!(stream.get_ref().1.alpn_protocol() == Some(b"h2"), "the client did not ask for h2");
    let cut = CancellationToken::new();
    let link = Arc::new(Link {
        number,
        session: Mutex::default(),
        proven: AtomicBool::new(false),
        open: AtomicUsize::new(0),
        cut: cut.clone(),
    });
    let streams_max = state.options.streams_max;
    let service = service_fn(move |request| {
        let (state, link) = (Arc::clone(&state), Arc::clone(&link));
        async move { state.answer(&link, request).await.taken().await }
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams_max)
        .serve_connection(TokioIo::new(stream), service);
    match cut.run_until_cancelled(connection).await {
        Some(result) => Ok(result?),
        None => anyhow::bail!("cut by script"),
    }
}
