//! The stand-ins of the providers: `munadi-standins`, started for a run or already running.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long they may take until they listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long they may take to tell what they received.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A running `munadi-standins`. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Standins {
    control: Control,
    toml: String,
    _child: Child,
}

/// Where stand-ins tell what they received. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    http: reqwest::Client,
    counts_url: String,
}

/// What they took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// Pushes taken by the stand-in for APNs.
    pub apns: u64,
    /// By the one for FCM.
    pub fcm: u64,
    /// Mails taken by the mail server.
    pub mails: u64,
}

impl Standins {
    /// Starts them, with their files below `directory`.
    ///
    /// # Errors
    /// When they do not come up.
    pub(crate) async fn start(binary: &Path, directory: &Path) -> Result<Self> {
        let folder = directory.join("standins");
        let log = std::fs::File::create(directory.join("standins.log"))?;
        let mut child = Command::new(binary)
            .arg("--data")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let stdout = child.stdout.take().context("their output is not a pipe")?;
        let mut lines = BufReader::new(stdout).lines();
        let announced = async {
            let mut counts_url = String::new();
            while let Some(line) = lines.next_line().await? {
                match line.split_once(char::is_whitespace) {
                    Some(("control", url)) => url.trim().clone_into(&mut counts_url),
                    Some(("config", _)) => break, // the last line: everything listens
                    _ => {}
                }
            }
            Ok::<_, anyhow::Error>(counts_url)
        };
        let counts_url =
            timeout(START_TIMEOUT, announced).await.context("the stand-ins do not come up")??;
        let toml = std::fs::read_to_string(folder.join("workers.toml"))
            .context("the stand-ins have not written their configuration")?;
        Ok(Self { control: Control::new(&counts_url)?, toml, _child: child })
    }

    /// The sections of Munadi's configuration that name them.
    pub(crate) fn toml(&self) -> &str {
        &self.toml
    }

    /// Where they tell what they received.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }
}

impl Control {
    /// At `url`, such as `http://127.0.0.1:9000`.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub(crate) fn new(url: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
        let base = url.trim_end_matches('/').trim_end_matches("/counts");
        Ok(Self { http, counts_url: format!("{base}/counts") })
    }

    /// Asks.
    ///
    /// # Errors
    /// When they do not answer.
    pub(crate) async fn received(&self) -> Result<Received> {
        let answer = self.http.get(&self.counts_url).send().await?.error_for_status()?;
        let counts: Value = serde_json::from_str(&answer.text().await?)?;
        let accepted = |provider: &str| counts[provider]["outcomes"]["accepted"].as_u64().unwrap_or(0);
        Ok(Received {
            apns: accepted("apns"),
            fcm: accepted("fcm"),
            mails: counts["smtp"]["received"].as_u64().context("no count of mails")?,
        })
    }
}
