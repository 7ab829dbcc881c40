//! Logs: readable on a terminal, one JSON document per line elsewhere. To stderr, so that stdout stays with commands.

use std::io::IsTerminal;

use serde::Deserialize;
use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Faults;

/// What is logged, and how: `[telemetry]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which messages: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module such as
    /// `info,hub=debug`. Too low: failures cannot be understood. Too high: the disk fills and the hub slows down.
    pub filter: String,
    /// How they look: `auto` (`human` on a terminal, `json` elsewhere), `human` or `json`.
    pub format: Format,
}

/// How log messages look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// By whether stderr is a terminal.
    Auto,
    /// A line for people.
    Human,
    /// A JSON document per line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: Format::Auto }
    }
}

impl Config {
    /// Notes what is wrong.
    pub fn check(&self, faults: &mut Faults) {
        if let Err(error) = EnvFilter::try_new(&self.filter) {
            faults.add("filter", format!("is not a log filter such as info,hub=debug: {error}"));
        }
    }
}

/// A subscriber stands already: telemetry is started once per process.
#[derive(Debug, thiserror::Error)]
#[error("logging was started twice")]
pub struct AlreadyStarted(#[source] tracing_subscriber::util::TryInitError);

/// Starts logging for the whole process. Panics are logged from here on, too.
///
/// # Errors
/// [`AlreadyStarted`] at the second call.
pub fn start(config: &Config) -> Result<(), AlreadyStarted> {
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let human = match config.format {
        Format::Auto => terminal,
        Format::Human => true,
        Format::Json => false,
    };
    if human {
        builder.compact().with_ansi(terminal).finish().try_init().map_err(AlreadyStarted)?;
    } else {
        builder.json().flatten_event(true).finish().try_init().map_err(AlreadyStarted)?;
    }
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        error!(panic.backtrace = %backtrace, "{panic}");
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_checked_before_it_is_used() {
        let mut faults = Faults::default();
        Config::default().check(&mut faults);
        Config { filter: "info,hub=debug".to_owned(), ..Config::default() }.check(&mut faults);
        assert!(faults.is_empty());
        Config { filter: "hub=loud".to_owned(), ..Config::default() }.check(&mut faults);
        assert_eq!(faults.list()[0].field, "filter");
    }
}
