//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::roles::Role;

/// What `munadi --help` ends with.
const START: &str = "\
To begin, with no other server and no configuration:
  munadi user create --email you@example.org --role admin
                                        make the first admin; asks for a password, or makes one up
  munadi import schedule.json           load a programme (Pentabarf schedule JSON)
  munadi serve                          run everything; data in ./data, http://127.0.0.1:8000

Configuration: a TOML file (--config), then environment variables such as MUNADI__STORE__URL. Every field is explained
in config/munadi.toml; config/cluster.toml is for several machines with PostgreSQL and Redis.";

/// What `munadi serve --help` ends with.
const SERVE: &str = "\
Examples:
  munadi serve                                    one process with everything, SQLite and files in ./data
  munadi serve --config /etc/munadi.toml          the same with a configuration
  munadi serve --role hub --config cluster.toml   sockets only; needs PostgreSQL and Redis next to it

SIGTERM (or Ctrl-C) drains: nothing new is accepted, what was begun is ended, sockets are asked to come back elsewhere.
A second signal drops what is still open. The admin port has /health/live, /health/ready and /metrics.";

/// The real-time back end of a festival: one change reaches every socket, phone and mailbox.
#[derive(Debug, Parser)]
#[command(version, after_help = START, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Configuration file (TOML); without one, every default
    #[arg(long, short, global = true, env = "MUNADI_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run Munadi until it is asked to end
    #[command(after_help = SERVE)]
    Serve {
        /// Which part this process takes
        #[arg(long, value_enum, default_value_t = Role::All)]
        role: Role,
    },
    /// Bring the database to this version's schema; safe to repeat
    Migrate,
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Load a programme from a file; again changes exactly what is different
    Import(Import),
    /// Look after accounts
    #[command(subcommand)]
    User(UserCommand),
    /// Count an announcement's deliveries and people again, and compare with the counts that are kept
    Recount {
        /// The announcement's id
        announcement: i64,
    },
    /// See what did not arrive, let it go again, pause and resume lanes; also while a server runs
    #[command(subcommand)]
    Deliveries(DeliveriesCommand),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  munadi completions bash > ~/.local/share/bash-completion/completions/munadi"
    )]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every fault and exit with 64, or say that there is none
    Check {
        /// The part that the process is to take: some fields matter to some roles only
        #[arg(long, value_enum, default_value_t = Role::All)]
        role: Role,
    },
    /// Print what is in effect: defaults, file and environment together, as TOML; secrets are masked
    Show,
}

/// What to import.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A schedule in Pentabarf JSON, as frab, pretalx and voc write it
    pub(crate) file: PathBuf,
    /// Make new events drafts, to be published one by one; otherwise they are published at once
    #[arg(long)]
    pub(crate) draft: bool,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make an account, also while a server runs
    #[command(after_help = "\
Examples:
  munadi user create --email you@example.org --role admin             asks for a password; Enter makes one up
  munadi user create --email you@example.org --role organizer --password-file /run/secrets/password")]
    Create(NewUser),
    /// Give somebody another password; every session of theirs ends
    SetPassword {
        /// Mail address of the account
        email: String,
        /// File with the password (`-`: stdin); without one it is asked for, or made up and printed once
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Keep somebody out: every session of theirs ends, and they cannot sign in
    Block {
        /// Mail address of the account
        email: String,
    },
    /// Let somebody in again who was blocked
    Unblock {
        /// Mail address of the account
        email: String,
    },
    /// Say what somebody is from now on; their open sockets connect again with the new roles
    Roles {
        /// Mail address of the account
        email: String,
        /// What they are: admin, organizer, attendee, supervisor, steward, device. May be repeated
        #[arg(long = "role", required = true, value_name = "ROLE")]
        roles: Vec<domain::Role>,
    },
}

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesCommand {
    /// Show what ended without having arrived, by cause
    Dead(Dead),
    /// Let it go again, if it is still of use and wanted
    #[command(after_help = "\
Examples:
  munadi deliveries redrive --cause timeout --dry-run --reason \"the relay was stalled\"
  munadi deliveries redrive --channel apns --lane standard --since-hours 2 --reason \"Apple was down\"")]
    Redrive(Redrive),
    /// Show which lanes stand still
    Lanes,
    /// Stop a lane of a channel until it is resumed
    Pause(LaneChange),
    /// Let a lane of a channel go on
    Resume(LaneChange),
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct Dead {
    /// Those that ended in the last so many hours
    #[arg(long, default_value_t = 168, value_name = "HOURS")]
    pub(crate) since_hours: u32,
    /// Of one cause
    #[arg(long)]
    pub(crate) cause: Option<String>,
    /// On one channel: apns, fcm, webpush, email, socket
    #[arg(long)]
    pub(crate) channel: Option<domain::Channel>,
    /// In one lane: emergency, transactional, standard, promotional
    #[arg(long)]
    pub(crate) lane: Option<domain::Lane>,
}

/// What is to go again.
#[derive(Debug, Args)]
pub(crate) struct Redrive {
    #[command(flatten)]
    pub(crate) which: Dead,
    /// Only count
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the record
    #[arg(long)]
    pub(crate) reason: String,
}

/// Which lane, and why.
#[derive(Debug, Args)]
pub(crate) struct LaneChange {
    /// apns, fcm, webpush, email, socket
    pub(crate) channel: domain::Channel,
    /// emergency, transactional, standard, promotional
    pub(crate) lane: domain::Lane,
    /// Why, for the record
    #[arg(long)]
    pub(crate) reason: String,
}

/// The account to make.
#[derive(Debug, Args)]
pub(crate) struct NewUser {
    /// Mail address; they sign in with it
    #[arg(long)]
    pub(crate) email: String,
    /// Name; the part of the address before the @ when left out
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What they are: admin, organizer, attendee, supervisor, steward, device. May be repeated
    #[arg(long = "role", required = true, value_name = "ROLE")]
    pub(crate) roles: Vec<domain::Role>,
    /// File with their password (`-`: stdin); without one it is asked for, or made up and printed once
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
