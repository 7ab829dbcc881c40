//! A Redis of the run's own, and the commands that it has counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use crate::cores;
use crate::stand::free_address;

/// How long it may take until it answers.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two looks whether it does.
const LOOK: Duration = Duration::from_millis(20);

/// A running Redis without a disk. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Redis {
    address: SocketAddr,
    _child: Child,
    _directory: TempDir,
}

impl Redis {
    /// Starts it on `cores`.
    ///
    /// # Errors
    /// When there is no `redis-server`, or it does not answer.
    pub(crate) async fn start(on: &[usize]) -> Result<Self> {
        let address = free_address()?;
        let directory = tempfile::Builder::new().prefix("munadi-redis-").tempdir()?;
        let mut command = cores::command(on, "redis-server")?;
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
        command.arg(address.port().to_string()).arg("--dir").arg(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().context("cannot start redis-server")?;
        let redis = Self { address, _child: child, _directory: directory };
        let deadline = Instant::now() + READY_TIMEOUT;
        while redis.commands().await.is_err() {
            ensure!(Instant::now() < deadline, "redis-server does not answer");
            sleep(LOOK).await;
        }
        Ok(redis)
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// How often each command was called since it started.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn commands(&self) -> Result<BTreeMap<String, u64>> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(b"INFO commandstats\r\nQUIT\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        ensure!(text.contains("# Commandstats"), "Redis answers {text}");
        Ok(calls(&text))
    }
}

/// What was called in between. The questions themselves do not count.
pub(crate) fn calls_since(
    after: &BTreeMap<String, u64>,
    before: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let own = ["info", "quit"];
    let grown = after
        .iter()
        .map(|(name, count)| (name.clone(), count - before.get(name).copied().unwrap_or(0).min(*count)));
    grown.filter(|(name, count)| *count > 0 && !own.contains(&name.as_str())).collect()
}

/// Reads lines like `cmdstat_xread:calls=7,usec=…`.
fn calls(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_and_subtracted() {
        let before =
            calls("# Commandstats\r\ncmdstat_xread:calls=7,usec=9\r\ncmdstat_info:calls=1,usec=1\r\n");
        let after =
            calls("cmdstat_xread:calls=9,usec=9\r\ncmdstat_info:calls=2\r\ncmdstat_evalsha:calls=3,a=b\r\n");
        let grown = calls_since(&after, &before);
        assert_eq!(grown, BTreeMap::from([("evalsha".to_owned(), 3), ("xread".to_owned(), 2)]));
    }
}
