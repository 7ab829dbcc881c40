//! The server that is driven, and how it is spoken to: one that runs already, or one that the run has started.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use protocol::pusher::Signer;
use serde_json::json;

use crate::generator::{Token, Wire, hs256};
use crate::publisher::Way;

/// A server.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// What it is called in reports.
    pub name: String,
    /// Where clients connect; those of several processes take turns.
    pub addresses: Vec<SocketAddr>,
    /// The path that they ask for; `{topic}` in it is the topic's name.
    pub path: String,
    /// What they speak.
    pub wire: Wire,
    /// What the names of topics begin with.
    pub prefix: String,
    /// Who they are.
    pub token: Token,
    /// Which way publications take.
    pub way: Way,
    /// What names of topics begin with on that way.
    pub publish_prefix: String,
    /// Its processes.
    pub pids: Vec<u32>,
}

/// Which way publications take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WayKind {
    /// The `publish` command of a Centrifuge client.
    Socket,
    /// Centrifugo's HTTP API.
    Centrifugo,
    /// Pusher's HTTP API.
    Pusher,
    /// `POST` of the bare message.
    Raw,
}

/// A server that runs already.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Elsewhere {
    /// Where clients connect, such as `ws://127.0.0.1:8000/connection/websocket`; `{topic}` in it is the topic's name.
    /// Without it, a Munadi and a floor are started for the run.
    #[arg(long)]
    pub url: Option<String>,
    /// What clients speak.
    #[arg(long, value_enum, default_value = "centrifuge-json")]
    pub dialect: Wire,
    /// What the names of topics begin with; a number follows.
    #[arg(long, default_value = "bench:")]
    pub prefix: String,
    /// The same on the way that publications take; without it, as for subscribers.
    #[arg(long)]
    pub publish_prefix: Option<String>,
    /// Secret of the tokens (HS256) that clients show.
    #[arg(long, env = "LOADTEST_TOKEN_SECRET", hide_env_values = true)]
    pub token_secret: Option<String>,
    /// Which way publications take.
    #[arg(long, value_enum, default_value = "socket")]
    pub publish: WayKind,
    /// Where they are published, such as `http://127.0.0.1:8000/api/` (Centrifugo), `http://127.0.0.1:6001` (Pusher) or
    /// `http://127.0.0.1:9000/pub/{topic}` (raw). Not needed for `socket`.
    #[arg(long)]
    pub publish_url: Option<String>,
    /// Key of Centrifugo's HTTP API.
    #[arg(long, env = "LOADTEST_API_KEY", hide_env_values = true, default_value = "")]
    pub api_key: String,
    /// Pusher's application: id, key and secret, with colons between.
    #[arg(long, env = "LOADTEST_APP", hide_env_values = true)]
    pub app: Option<String>,
    /// Process of the server, to measure its CPU time and memory; again for each process.
    #[arg(long)]
    pub server_pid: Vec<u32>,
}

impl Elsewhere {
    /// What is to be driven; `None` when nothing runs yet.
    ///
    /// # Errors
    /// When the options do not fit together.
    pub(crate) async fn target(&self) -> Result<Option<Target>> {
        let Some(url) = &self.url else { return Ok(None) };
        let (address, path) = place(url, "ws").await?;
        let app = self.app.as_deref().map(app).transpose()?;
        let token = match (&self.token_secret, &app) {
            (_, Some((_, key, secret))) if self.dialect == Wire::Pusher => {
                Token::App(key.clone(), secret.clone())
            }
            (Some(secret), _) => Token::Secret(secret.clone()),
            _ => Token::None,
        };
        let publish_url = || self.publish_url.as_deref().context("where is it published? --publish-url");
        let way = match self.publish {
            WayKind::Socket => Way::Socket { address, path: path.clone(), token: publisher_token(&token) },
            WayKind::Centrifugo => {
                let (address, path) = place(publish_url()?, "http").await?;
                Way::Centrifugo { address, path, key: self.api_key.clone() }
            }
            WayKind::Pusher => {
                let (address, _) = place(publish_url()?, "http").await?;
                let (id, key, secret) = app.context("which application? --app id:key:secret")?;
                Way::Pusher { address, app: id, signer: Signer::new(&key, &secret) }
            }
            WayKind::Raw => {
                let (address, path) = place(publish_url()?, "http").await?;
                Way::Raw { address, path }
            }
        };
        Ok(Some(Target {
            name: "server".to_owned(),
            addresses: vec![address],
            path,
            wire: self.dialect,
            prefix: self.prefix.clone(),
            token,
            way,
            publish_prefix: self.publish_prefix.clone().unwrap_or_else(|| self.prefix.clone()),
            pids: self.server_pid.clone(),
        }))
    }
}

/// The token of who publishes over a socket.
pub(crate) fn publisher_token(token: &Token) -> String {
    match token {
        Token::Secret(secret) => hs256(secret, &json!({ "sub": "1000000000", "exp": 4_102_444_800_i64 })),
        _ => String::new(),
    }
}

fn app(text: &str) -> Result<(String, String, String)> {
    match text.splitn(3, ':').collect::<Vec<_>>()[..] {
        [id, key, secret] => Ok((id.to_owned(), key.to_owned(), secret.to_owned())),
        _ => bail!("--app is id:key:secret"),
    }
}

/// Address and path of a URL.
async fn place(url: &str, scheme: &str) -> Result<(SocketAddr, String)> {
    let rest = url.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
    let rest = rest.with_context(|| format!("\"{url}\" does not begin with {scheme}://"))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let address = tokio::net::lookup_host(&host).await?.find(SocketAddr::is_ipv4);
    let path = if path.is_empty() { "/" } else { path };
    Ok((address.with_context(|| format!("{host} has no IPv4 address"))?, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urls_are_addresses_and_paths() {
        let found = place("ws://127.0.0.1:9000/sub/{topic}?a=b", "ws").await.unwrap();
        assert_eq!(found, ("127.0.0.1:9000".parse().unwrap(), "/sub/{topic}?a=b".to_owned()));
        assert_eq!(place("http://127.0.0.1", "http").await.unwrap().1, "/");
        assert!(place("wss://127.0.0.1", "ws").await.is_err());
        assert_eq!(app("1:k:s:t").unwrap().2, "s:t");
        assert!(app("k").is_err());
    }
}
