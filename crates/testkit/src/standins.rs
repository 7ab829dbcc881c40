//! All provider stand-ins at once, with the files that a Munadi needs to use them and a port to ask what arrived.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::apns::{Apns, ApnsOptions};
use crate::ca::Ca;
use crate::fcm::{Fcm, FcmOptions};
use crate::smtp::{Smtp, SmtpOptions};
use crate::webpush::{Webpush, WebpushOptions};

/// Items in one answer of the control port.
const PAGE_MAX: usize = 1_000;

/// Where the stand-ins listen (port 0: any) and how fast they answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// APNs.
    pub apns: u16,
    /// FCM and its token endpoint.
    pub fcm: u16,
    /// The mail relay.
    pub smtp: u16,
    /// The push service of browsers.
    pub webpush: u16,
    /// The control port, plain HTTP.
    pub control: u16,
    /// How long each provider takes for an answer.
    pub latency: Duration,
}

/// The running stand-ins; dropping them stops them.
pub struct Standins {
    /// Apple.
    pub apns: Arc<Apns>,
    /// Google.
    pub fcm: Arc<Fcm>,
    /// The mail relay.
    pub smtp: Arc<Smtp>,
    /// The push service of browsers.
    pub webpush: Arc<Webpush>,
    /// Where to ask what arrived.
    pub control: SocketAddr,
    /// The part of a configuration that makes Munadi use them.
    pub configuration: PathBuf,
    _stop: DropGuard,
}

#[derive(Clone)]
struct Control {
    apns: Arc<Apns>,
    fcm: Arc<Fcm>,
    smtp: Arc<Smtp>,
    webpush: Arc<Webpush>,
}

impl Standins {
    /// Starts them and writes into `folder`: `ca.pem`, `apns.p8`, `fcm.json`, `webpush.pem`,
    /// `smtp.password` and `workers.toml`.
    ///
    /// # Errors
    /// When a port is taken or a file cannot be written.
    pub async fn start(folder: &Path, ports: Ports) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let folder = folder.canonicalize().with_context(|| format!("cannot resolve {}", folder.display()))?;
        let ca = Ca::generate();
        ca.write(&folder)?;
        let providers = Control::start(&ca, ports).await?;
        let configuration = write(&folder, &providers)?;
        let listener = TcpListener::bind(local(ports.control)).await.context("cannot listen for control")?;
        let control = listener.local_addr()?;
        let stop = CancellationToken::new();
        let served = axum::serve(listener, router(providers.clone()))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        TaskTracker::new().spawn(async move {
            if let Err(cause) = served.await {
                tracing::error!("the control port has failed: {cause}");
            }
        });
        let Control { apns, fcm, smtp, webpush } = providers;
        Ok(Self { apns, fcm, smtp, webpush, control, configuration, _stop: stop.drop_guard() })
    }
}

impl Control {
    async fn start(ca: &Ca, ports: Ports) -> anyhow::Result<Self> {
        let Ports { latency, .. } = ports;
        let webpush = WebpushOptions { listen: local(ports.webpush), latency, ..WebpushOptions::default() };
        let apns = ApnsOptions { listen: local(ports.apns), latency, ..ApnsOptions::default() };
        let fcm = FcmOptions { listen: local(ports.fcm), latency, ..FcmOptions::default() };
        let smtp = SmtpOptions { listen: local(ports.smtp), latency, ..SmtpOptions::default() };
        Ok(Self {
            apns: Arc::new(Apns::start(ca, apns).await?),
            fcm: Arc::new(Fcm::start(ca, fcm).await?),
            smtp: Arc::new(Smtp::start(ca, smtp).await?),
            webpush: Arc::new(Webpush::start(ca, webpush).await?),
        })
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn write(folder: &Path, providers: &Control) -> anyhow::Result<PathBuf> {
    let Control { apns, fcm, smtp, webpush } = providers;
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok::<_, anyhow::Error>(path)
    };
    put("apns.p8", apns.signing_key_pem())?;
    put("fcm.json", &fcm.service_account().to_string())?;
    put("webpush.pem", webpush.key_pem())?;
    let login = SmtpOptions::default().login.unwrap_or_default();
    put("smtp.password", &login.1)?;
    let path = |name: &str| folder.join(name).display().to_string();
    let apple = apns.options();
    let text = format!(
        "# Makes Munadi use the provider stand-ins. Written by munadi-standins; new keys at every start.\n\n\
         [workers.apns]\nbase_url = {:?}\nca_file = {ca:?}\nkey_file = {:?}\nkey_id = {:?}\nteam_id = {:?}\n\
         topic = {:?}\n\n\
         [workers.fcm]\nbase_url = {:?}\nca_file = {ca:?}\nservice_account_file = {:?}\n\n\
         [workers.webpush]\nkey_file = {:?}\ncontact = \"mailto:ops@festival.example\"\nca_file = {ca:?}\n\
         hosts = [\"127.0.0.1\"]\ninside_permitted = true\n\n\
         [workers.email]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"starttls\"\nca_file = {ca:?}\nusername = {:?}\n\
         password_file = {:?}\nfrom = \"Munadi rehearsal <news@festival.example>\"\n",
        apns.base_url(),
        path("apns.p8"),
        apple.key_id,
        apple.team_id,
        apple.topic,
        fcm.base_url(),
        path("fcm.json"),
        path("webpush.pem"),
        smtp.address().port(),
        login.0,
        path("smtp.password"),
        ca = path("ca.pem"),
    );
    put("workers.toml", &text)
}

fn router(state: Control) -> Router {
    Router::new()
        .route(
            "/received/apns",
            get(|State(control): State<Control>, RawQuery(query): RawQuery| async move {
                page(control.apns.received(after(query.as_deref())))
            }),
        )
        .route(
            "/received/fcm",
            get(|State(control): State<Control>, RawQuery(query): RawQuery| async move {
                page(control.fcm.received(after(query.as_deref())))
            }),
        )
        .route(
            "/received/smtp",
            get(|State(control): State<Control>, RawQuery(query): RawQuery| async move {
                page(control.smtp.received(after(query.as_deref())))
            }),
        )
        .route(
            "/received/webpush",
            get(|State(control): State<Control>, RawQuery(query): RawQuery| async move {
                page(control.webpush.received(after(query.as_deref())))
            }),
        )
        .route(
            "/subscribe/webpush/{name}",
            get(|State(control): State<Control>, uri: Uri| async move {
                answer(&control.webpush.subscribe(uri.path().rsplit('/').next().unwrap_or_default()))
            }),
        )
        .route(
            "/counts",
            get(|State(control): State<Control>| async move {
                answer(&json!({
                    "apns": control.apns.counts(),
                    "fcm": control.fcm.counts(),
                    "smtp": control.smtp.counts(),
                    "webpush": control.webpush.counts(),
                }))
            }),
        )
        .with_state(state)
}

/// The number in `after=…`; zero without one.
fn after(query: Option<&str>) -> usize {
    let fields = query.unwrap_or_default().split('&');
    fields.filter_map(|field| field.strip_prefix("after=")).find_map(|text| text.parse().ok()).unwrap_or(0)
}

fn page<T: Serialize>(mut items: Vec<T>) -> Response {
    items.truncate(PAGE_MAX);
    answer(&items)
}

fn answer(body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).expect("strings and JSON values always serialise");
    ([("content-type", "application/json")], text).into_response()
}
