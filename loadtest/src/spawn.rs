//! An installation of the run's own: a directory, the stand-ins of the providers, and Munadi in one process or three.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::api::Api;
use crate::settings::{self, Settings};
use crate::standins::Standins;

/// How long a process may take until it is ready.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a process may take to end after it was asked to.
const END_TIMEOUT: Duration = Duration::from_secs(40);
/// Bytes of a log that are shown when something went wrong.
const LOG_TAIL_BYTES: usize = 3_000;

/// The address and password of the organizer that a run makes.
pub(crate) const ORGANIZER: (&str, &str) = ("loadtest@example.org", "correct horse battery staple");

/// Which servers to start.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Binaries {
    /// The `munadi` binary. Without it, the one beside this program.
    #[arg(long, env = "MUNADI_BIN")]
    pub munadi: Option<PathBuf>,
    /// The `munadi-standins` binary. Without it, the one beside this program.
    #[arg(long, env = "MUNADI_STANDINS_BIN")]
    pub standins: Option<PathBuf>,
    /// Three processes, one a role, instead of one with all.
    #[arg(long, requires = "postgres", requires = "redis")]
    pub split: bool,
    /// URL of an empty PostgreSQL database, instead of a SQLite file.
    #[arg(long)]
    pub postgres: Option<String>,
    /// URL of a Redis, instead of files.
    #[arg(long)]
    pub redis: Option<String>,
    /// Keep the directory of the run, with its logs.
    #[arg(long)]
    pub keep: bool,
}

/// A running installation. Dropped, it kills what it started.
#[derive(Debug)]
pub(crate) struct Installation {
    munadi: PathBuf,
    directory: TempDir,
    processes: Vec<Process>,
    /// The stand-ins of the providers.
    pub standins: Standins,
}

/// One process of Munadi.
#[derive(Debug)]
pub(crate) struct Process {
    role: &'static str,
    config: PathBuf,
    public: SocketAddr,
    admin: SocketAddr,
    log: PathBuf,
    child: Option<Child>,
}

impl Installation {
    /// Starts everything and waits until it is ready.
    ///
    /// # Errors
    /// When a binary is missing or a process does not come up.
    pub(crate) async fn start(binaries: &Binaries) -> Result<Self> {
        let munadi = binary(binaries.munadi.as_deref(), "munadi")?;
        let mut directory = tempfile::Builder::new().prefix("munadi-loadtest-").tempdir()?;
        directory.disable_cleanup(binaries.keep);
        let standins =
            Standins::start(&binary(binaries.standins.as_deref(), "munadi-standins")?, directory.path())
                .await?;
        let roles: &[&'static str] = if binaries.split { &["api", "hub", "workers"] } else { &["all"] };
        settings::write_keys(directory.path())?;
        let mut processes = Vec::new();
        for role in roles {
            processes.push(Process::prepare(role, directory.path(), binaries, &standins)?);
        }
        let mut installation = Self { munadi, directory, processes, standins };
        installation.prepare_data().await?;
        for index in 0..installation.processes.len() {
            installation.up(index).await?;
        }
        Ok(installation)
    }

    /// How many processes there are.
    pub(crate) fn processes(&self) -> usize {
        self.processes.len()
    }

    /// The ids of the running processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.processes.iter().filter_map(|process| process.child.as_ref()?.id()).collect()
    }

    /// The address of the API.
    pub(crate) fn api_url(&self) -> String {
        format!("http://{}", self.serving("api").public)
    }

    /// Where sockets connect.
    pub(crate) fn socket_url(&self) -> String {
        format!("ws://{}/connection/websocket", self.serving("hub").public)
    }

    /// The key that the installation signs access tokens with.
    pub(crate) fn signing_key(&self) -> PathBuf {
        self.directory.path().join(settings::SIGNING_KEY)
    }

    /// Starts a process that is down and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or does not become ready; with the end of its log.
    pub(crate) async fn up(&mut self, index: usize) -> Result<()> {
        self.begin(index)?;
        self.processes[index].ready().await
    }

    /// Starts a process that is down, and does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn begin(&mut self, index: usize) -> Result<()> {
        self.processes[index].spawn(&self.munadi)
    }

    /// Kills a process: no chance to finish anything.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) async fn kill(&mut self, index: usize) -> Result<()> {
        if let Some(mut child) = self.processes[index].child.take() {
            child.kill().await.context("cannot kill the process")?;
        }
        Ok(())
    }

    /// Ends every process in order, and says how each ended.
    ///
    /// # Errors
    /// When one does not end in time, or ends with a failure.
    pub(crate) async fn stop(mut self) -> Result<()> {
        for process in &mut self.processes {
            process.stop().await?;
        }
        Ok(())
    }

    /// The organizer's view of the API.
    ///
    /// # Errors
    /// When the login is refused.
    pub(crate) async fn organizer(&self) -> Result<Api> {
        let (email, password) = ORGANIZER;
        Ok(Api::new(&self.api_url())?.login(email, password).await?)
    }

    fn serving(&self, role: &str) -> &Process {
        self.processes
            .iter()
            .find(|process| process.role == role || process.role == "all")
            .expect("every role is served by one process")
    }

    /// Creates the schema and the organizer, before anything is served.
    async fn prepare_data(&self) -> Result<()> {
        let config = &self.processes[0].config;
        let (email, password) = ORGANIZER;
        run(Command::new(&self.munadi).arg("migrate").arg("--config").arg(config)).await?;
        let password_file = self.directory.path().join("password");
        std::fs::write(&password_file, password)?;
        let mut create = Command::new(&self.munadi);
        create.args(["user", "create", "--email", email, "--role", "admin", "--password-file"]);
        run(create.arg(password_file).arg("--config").arg(config)).await
    }
}

impl Process {
    fn prepare(
        role: &'static str,
        directory: &Path,
        binaries: &Binaries,
        standins: &Standins,
    ) -> Result<Self> {
        let (public, admin) = (free_address()?, free_address()?);
        let config = directory.join(format!("{role}.toml"));
        let settings = Settings {
            directory,
            role,
            public,
            admin,
            postgres: binaries.postgres.as_deref(),
            redis: binaries.redis.as_deref(),
            standins,
        };
        std::fs::write(&config, settings::toml(&settings)).context("cannot write the configuration")?;
        let log = directory.join(format!("{role}.log"));
        Ok(Self { role, config, public, admin, log, child: None })
    }

    fn spawn(&mut self, munadi: &Path) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(munadi)
            .args(["serve", "--role", self.role, "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", munadi.display()))?;
        self.child = Some(child);
        Ok(())
    }

    async fn ready(&mut self) -> Result<()> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let url = format!("http://{}/health/ready", self.admin);
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            let child = self.child.as_mut().context("it was not started")?;
            if let Some(status) = child.try_wait()? {
                bail!("munadi serve --role {} has ended with {status}:\n{}", self.role, tail(&self.log));
            }
            let late = Instant::now() > deadline;
            ensure!(!late, "munadi serve --role {} is not ready:\n{}", self.role, tail(&self.log));
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let Some(pid) = child.id() else {
            bail!("munadi serve --role {} had ended:\n{}", self.role, tail(&self.log))
        };
        run(Command::new("kill").args(["-TERM", &pid.to_string()])).await?;
        let status = tokio::time::timeout(END_TIMEOUT, child.wait()).await.with_context(|| {
            format!("munadi serve --role {} does not end:\n{}", self.role, tail(&self.log))
        })??;
        ensure!(
            status.success(),
            "munadi serve --role {} ended with {status}:\n{}",
            self.role,
            tail(&self.log)
        );
        Ok(())
    }
}

/// An address on loopback that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The binary given, or the one beside this program.
pub(crate) fn binary(given: Option<&Path>, name: &str) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name(name),
    };
    ensure!(path.is_file(), "there is no {}: build it, or say where it is", path.display());
    Ok(path)
}

/// Runs a command to its end.
pub(crate) async fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let shown = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?} ended with {}:\n{shown}", command.as_std(), output.status);
    Ok(())
}

/// The end of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
}
