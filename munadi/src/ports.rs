//! The two ports, bound before anything else starts: a taken one is found while nothing has been changed.

use std::net::SocketAddr;

use anyhow::Context;
use service::http_server::{self, BindError};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::roles::Role;

/// Listeners that nobody serves yet.
#[derive(Debug)]
pub(crate) struct Ports {
    /// For everybody.
    pub(crate) public: Vec<TcpListener>,
    /// For operators.
    pub(crate) admin: Vec<TcpListener>,
}

impl Ports {
    /// Listens on every configured address that `role` needs.
    ///
    /// # Errors
    /// For the first address that is taken or not ours, saying which field names it.
    pub(crate) fn bind(config: &Config, role: Role) -> anyhow::Result<Self> {
        let public = if role.is_public() { config.http.listen.as_slice() } else { &[] };
        Ok(Self {
            public: bind("http.listen", public, config.http.backlog)?,
            admin: bind("admin.listen", &config.admin.listen, config.http.backlog)?,
        })
    }
}

/// Where the listeners really are: port 0 in the configuration means any free one.
pub(crate) fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
}

fn bind(field: &str, addresses: &[SocketAddr], backlog: u32) -> anyhow::Result<Vec<TcpListener>> {
    http_server::bind(addresses, backlog)
        .map_err(|error| {
            let hint = hint(field, &error);
            anyhow::Error::from(error).context(hint)
        })
        .context("cannot start")
}

fn hint(field: &str, error: &BindError) -> String {
    if error.cause.kind() == std::io::ErrorKind::AddrInUse {
        format!("another process uses the address; stop it, or set {field} to another one")
    } else {
        format!("check {field}")
    }
}
