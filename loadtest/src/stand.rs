//! Servers that a run starts to measure them: a floor, or a Munadi that nothing but the load keeps busy.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use protocol::pusher::Signer;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::cores::{self, Cores};
use crate::generator::{Token, Wire};
use crate::publisher::Way;
use crate::settings;
use crate::spawn::{self, ORGANIZER};
use crate::target::{Target, WayKind, publisher_token};

/// How long a server may take until it is ready.
const READY_TIMEOUT: Duration = Duration::from_mins(2);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(20);
/// Id and key of Pusher's application.
const APP: (&str, &str) = ("1", "bench-key");

/// Which Munadi to start.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// The program.
    pub munadi: PathBuf,
    /// What clients speak.
    pub wire: Wire,
    /// Which way publications take.
    pub way: WayKind,
    /// Whether clients show Munadi's own tokens (`EdDSA`) instead of those of a foreign issuer (HS256).
    pub own_tokens: bool,
    /// Threads that carry connections.
    pub shards: u32,
    /// What tokens of a foreign issuer are signed with; the key of the HTTP API, too.
    pub secret: String,
    /// Instead of files; then the process is a hub and nothing else.
    pub redis: Option<String>,
    /// What its keys on Redis begin with.
    pub key_prefix: String,
    /// Further lines of the section `hub`.
    pub hub: String,
    /// Further sections of the configuration.
    pub more: String,
    /// Whether there is an organizer who may announce something.
    pub organizer: bool,
}

/// A running server. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Stand {
    /// How it is driven.
    pub target: Target,
    /// Where it tells its metrics; a floor has none.
    pub admin: Option<SocketAddr>,
    setup: Option<Setup>,
    child: Child,
    directory: TempDir,
}

impl Stand {
    /// Starts a floor.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) async fn floor(coalesce: bool, cores: &Cores) -> Result<Self> {
        let address = free_address()?;
        let directory = tempfile::Builder::new().prefix("munadi-floor-").tempdir()?;
        let mut command = cores::command(&cores.server, std::env::current_exe()?)?;
        command.args(["floor", "--listen", &address.to_string()]);
        if coalesce {
            command.arg("--coalesce");
        }
        let child =
            command.stdin(Stdio::null()).kill_on_drop(true).spawn().context("cannot start a floor")?;
        let name = if coalesce { "coalescing floor" } else { "floor" };
        let target = Target {
            name: name.to_owned(),
            addresses: vec![address],
            path: "/sub/{topic}".to_owned(),
            wire: Wire::Raw,
            prefix: "bench:".to_owned(),
            token: Token::None,
            way: Way::Raw { address, path: "/pub/{topic}".to_owned() },
            publish_prefix: "bench:".to_owned(),
            pids: vec![child.id().context("the floor has ended")?],
        };
        let mut stand = Self { target, admin: None, setup: None, child, directory };
        stand.until(async move || TcpStream::connect(address).await.is_ok()).await?;
        Ok(stand)
    }

    /// Starts a Munadi.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) async fn munadi(setup: &Setup, cores: &Cores) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("munadi-bench-").tempdir()?;
        settings::write_keys(directory.path())?;
        let signing_key = directory.path().join(settings::SIGNING_KEY);
        Self::munadi_in(setup, cores, directory, (free_address()?, free_address()?), signing_key).await
    }

    /// Starts a Munadi that believes the tokens of another.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) async fn munadi_beside(setup: &Setup, cores: &Cores, other: &Self) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("munadi-bench-").tempdir()?;
        for file in [settings::SIGNING_KEY, settings::RECEIPT_KEY] {
            std::fs::copy(other.directory.path().join(file), directory.path().join(file))?;
        }
        let signing_key = directory.path().join(settings::SIGNING_KEY);
        Self::munadi_in(setup, cores, directory, (free_address()?, free_address()?), signing_key).await
    }

    async fn munadi_in(
        setup: &Setup,
        cores: &Cores,
        directory: TempDir,
        (public, admin): (SocketAddr, SocketAddr),
        signing_key: PathBuf,
    ) -> Result<Self> {
        let secret = &setup.secret;
        let toml = settings::bench_toml(&settings::Bench {
            directory: directory.path(),
            public,
            admin,
            shards: setup.shards,
            secret,
            app: APP,
            redis: setup.redis.as_deref().map(|url| (url, setup.key_prefix.as_str())),
            hub: &setup.hub,
            more: &setup.more,
        });
        std::fs::write(directory.path().join("munadi.toml"), toml)?;
        if setup.organizer {
            make_organizer(&setup.munadi, directory.path()).await?;
        }
        let child = Self::spawn(setup, cores, &directory)?;
        let mut target = Target {
            name: "munadi".to_owned(),
            addresses: vec![public],
            path: String::new(),
            wire: setup.wire,
            prefix: String::new(),
            token: Token::None,
            way: way(setup.way, public, secret),
            publish_prefix: if setup.way == WayKind::Pusher { "private-bench." } else { "bench:" }.to_owned(),
            pids: vec![child.id().context("munadi has ended")?],
        };
        speak(&mut target, setup, &signing_key)?;
        let mut stand = Self { target, admin: Some(admin), setup: Some(setup.clone()), child, directory };
        stand.until_ready().await?;
        Ok(stand)
    }

    fn spawn(setup: &Setup, cores: &Cores, directory: &TempDir) -> Result<Child> {
        let role = if setup.redis.is_some() { "hub" } else { "all" };
        let log = std::fs::OpenOptions::new().create(true).append(true).open(directory.path().join("log"))?;
        let mut command = cores::command(&cores.server, &setup.munadi)?;
        command.args(["serve", "--role", role, "--config"]).arg(directory.path().join("munadi.toml"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        command.spawn().with_context(|| format!("cannot start {}", setup.munadi.display()))
    }

    /// The same server for clients that speak something else.
    ///
    /// # Errors
    /// For a floor.
    pub(crate) fn target_of(&self, wire: Wire) -> Result<Target> {
        let setup = Setup { wire, ..self.setup.clone().context("a floor speaks one dialect")? };
        let mut target = self.target.clone();
        target.wire = wire;
        speak(&mut target, &setup, &self.directory.path().join(settings::SIGNING_KEY))?;
        Ok(target)
    }

    /// Kills the server: no chance to finish anything.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("cannot kill the server")
    }

    /// Starts a Munadi that was killed once more, and does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start_again(&mut self, cores: &Cores) -> Result<()> {
        let setup = self.setup.as_ref().context("a floor is not started again")?;
        self.child = Self::spawn(setup, cores, &self.directory)?;
        self.target.pids = vec![self.child.id().context("munadi has ended")?];
        Ok(())
    }

    /// Waits until a Munadi says that it is ready.
    ///
    /// # Errors
    /// When it ends, or is not in time.
    pub(crate) async fn until_ready(&mut self) -> Result<()> {
        let admin = self.admin.context("a floor is not asked")?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let url = format!("http://{admin}/health/ready");
        self.until(async move || http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()))
            .await
    }

    async fn until(&mut self, is_ready: impl AsyncFn() -> bool) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while !is_ready().await {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} has ended with {status}:\n{}", self.target.name, self.log());
            }
            ensure!(Instant::now() < deadline, "{} is not ready:\n{}", self.target.name, self.log());
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(3_000)..]).into_owned()
    }

    /// The sum of a metric's values whose labels have `label` in them.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> Result<f64> {
        let admin = self.admin.context("a floor has no metrics")?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        let text = http.get(format!("http://{admin}/metrics")).send().await?.text().await?;
        Ok(metric_sum(&text, name, label))
    }
}

/// Where Munadi's sockets are.
pub(crate) const SOCKET_PATH: &str = "/connection/websocket";

/// Fills in what depends on what clients speak.
fn speak(target: &mut Target, setup: &Setup, signing_key: &Path) -> Result<()> {
    target.token = match setup.wire {
        Wire::Pusher => Token::App(APP.1.to_owned(), setup.secret.clone()),
        _ if setup.own_tokens => Token::Own(std::fs::read_to_string(signing_key)?),
        _ => Token::Secret(setup.secret.clone()),
    };
    target.path = match setup.wire {
        Wire::Pusher => format!("/app/{}?protocol=7&client=loadtest&version=1", APP.1),
        Wire::OneWaySse => "/connection/uni_sse".to_owned(),
        Wire::CentrifugeJson | Wire::CentrifugeProtobuf | Wire::Raw => SOCKET_PATH.to_owned(),
    };
    let prefix = if setup.wire == Wire::Pusher { "private-bench." } else { "bench:" };
    prefix.clone_into(&mut target.prefix);
    Ok(())
}

/// Makes the account of [`ORGANIZER`].
async fn make_organizer(munadi: &Path, directory: &Path) -> Result<()> {
    let config = directory.join("munadi.toml");
    spawn::run(Command::new(munadi).arg("migrate").arg("--config").arg(&config)).await?;
    let password = directory.join("password");
    std::fs::write(&password, ORGANIZER.1)?;
    let mut create = Command::new(munadi);
    create.args(["user", "create", "--email", ORGANIZER.0, "--role", "admin", "--password-file"]);
    spawn::run(create.arg(password).arg("--config").arg(config)).await
}

fn way(kind: WayKind, address: SocketAddr, secret: &str) -> Way {
    let publisher = publisher_token(&Token::Secret(secret.to_owned()));
    match kind {
        WayKind::Socket | WayKind::Raw => {
            Way::Socket { address, path: SOCKET_PATH.to_owned(), token: publisher }
        }
        WayKind::Centrifugo => Way::Centrifugo { address, path: "/api/".to_owned(), key: secret.to_owned() },
        WayKind::Pusher => Way::Pusher { address, app: APP.0.to_owned(), signer: Signer::new(APP.1, secret) },
    }
}

fn metric_sum(text: &str, name: &str, label: &str) -> f64 {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let is_it = labels.is_empty() || labels.starts_with('{');
        (is_it && labels.contains(label)).then(|| value.parse::<f64>().ok())?
    });
    values.sum()
}

/// An address on loopback that was free a moment ago, with a port below those that clients take.
pub(crate) fn free_address() -> Result<SocketAddr> {
    for _ in 0..1_000 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::random_range(10_000..20_000)));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_added_up_by_their_labels() {
        let text = "# HELP a x\na 3\nab 5\na{x=\"1\"} 2\na{x=\"2\",y=\"1\"} 4\n";
        for (label, sum) in [("", 9.0), ("x=\"1\"", 2.0), ("y=\"1\"", 4.0), ("z", 0.0)] {
            assert!((metric_sum(text, "a", label) - sum).abs() < f64::EPSILON, "{label}");
        }
    }
}
