//! `testkit-servers -- COMMAND…`: runs a command with a PostgreSQL and a Redis server of its own.
//!
//! Starts one of each, hands their URLs over in `TEST_DATABASE_URL` and `TEST_REDIS_URL`, and exits as the command
//! does. The servers end with this process, however it ends. No server of the machine is touched.

use std::process::{Command, ExitCode};

use anyhow::Context;
use testkit::{postgres, redis};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1).skip_while(|argument| argument == "--");
    let program = arguments.next().context("usage: testkit-servers -- COMMAND…")?;
    let postgres = postgres::Server::start()?;
    let redis = redis::own_server(redis::ServerOptions::default()).await;
    let status = Command::new(&program)
        .args(arguments)
        .env("TEST_DATABASE_URL", postgres.url())
        .env("TEST_REDIS_URL", &redis.url)
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
