//! `munadi`: the real-time back end of a festival, in one binary.
//!
//! Here stands the command line: what was asked is parsed, configuration is read, logging starts, a command runs.
//! The rules are in the rooms (`api`, `hub`, `workers`); what they need is built in `wiring`.

mod account;
mod cli;
mod commands;
mod config;
mod data_dir;
mod deliveries;
mod keys;
mod live;
mod ports;
mod roles;
mod serve;
mod shown;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

use cli::Cli;
use commands::BadConfig;

/// The C library's allocator keeps the memory of password hashes (19 MiB each) in every thread's arena: after 80 sign-ins
/// it held 480 MB. This one gives large blocks back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match commands::run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("munadi: {error:#}");
            if error.is::<BadConfig>() {
                ExitCode::from(service::config::EXIT_CODE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
