//! One function for each command.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use domain::AnnouncementId;
use service::config::Environment;
use service::{Faults, SystemClock};

use crate::cli::{Cli, Command, ConfigCommand, Import};
use crate::config::Config;
use crate::roles::Role;
use crate::{account, deliveries, serve, shown, wiring};

/// A configuration that cannot be used.
#[derive(Debug)]
pub(crate) struct BadConfig(pub(crate) Faults);

/// Does what was asked; the exit code says how it went.
///
/// # Errors
/// What a person has to read: it is printed with its causes. [`BadConfig`] among them.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Serve { role } => return Box::pin(serve::serve(load(file, role)?, role)).await,
        Command::Migrate => migrate(&load(file, Role::All)?).await?,
        Command::Config(ConfigCommand::Check { role }) => {
            load(file, role)?;
            print("The configuration is fine.\n")?;
        }
        Command::Import(import) => import_programme(&load(file, Role::All)?, &import).await?,
        Command::Config(ConfigCommand::Show) => print(&shown::text(file, &Environment::of_process())?)?,
        Command::User(user) => print(&account::run(&load(file, Role::All)?, user).await?)?,
        Command::Recount { announcement } => {
            return recount(&load(file, Role::All)?, AnnouncementId(announcement)).await;
        }
        Command::Deliveries(what) => print(&deliveries::run(&load(file, Role::All)?, what).await?)?,
        Command::Openapi => print(&(api::openapi().to_pretty_json()? + "\n"))?,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "munadi", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn load(file: Option<&Path>, role: Role) -> Result<Config, BadConfig> {
    Config::load(file, &Environment::of_process(), role).map_err(BadConfig)
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    wiring::open_store(config).await?;
    print("The database has this version's schema.\n")
}

/// Imports while a server runs, too: its relay finds the changes in the outbox.
async fn import_programme(config: &Config, import: &Import) -> anyhow::Result<()> {
    let bytes =
        std::fs::read(&import.file).with_context(|| format!("cannot read {}", import.file.display()))?;
    let store = wiring::open_store(config).await?;
    let options = api::import::Options { draft: import.draft, bytes_max: config.api.limits.import_bytes_max };
    let report = api::import::schedule(&store, &SystemClock, &bytes, options)
        .await
        .with_context(|| format!("{} was not imported", import.file.display()))?;
    print(&format!("{}\n", report.summary()))
}

/// Proves the counts of an announcement, also while a server runs. Fails when they are not those of the rows.
async fn recount(config: &Config, id: AnnouncementId) -> anyhow::Result<ExitCode> {
    let store = wiring::open_store(config).await?;
    let announcement = store::announcements::find(&store, id).await?;
    let announcement = announcement.with_context(|| format!("there is no announcement {id}"))?;
    let found = store::recount::recount(&store, announcement.said.notification_id).await?;
    let (deliveries, people) = (found.deliveries, found.people);
    print(&format!("{deliveries} deliveries to {people} people, {} differences\n", found.differences))?;
    for difference in &found.told {
        print(&format!("{difference}\n"))?;
    }
    Ok(if found.differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes to stdout; a reader that has left (`| head`) is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.list().len();
        writeln!(f, "the configuration has {count} {}:", if count == 1 { "fault" } else { "faults" })?;
        for fault in self.0.list() {
            writeln!(f, "  {fault}")?;
        }
        write!(f, "Every field is explained in config/munadi.toml. Nothing was started or changed.")
    }
}

impl std::error::Error for BadConfig {}
