//! Which cores the server has, and which the generator: neither is to take the other's time.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::machine;

/// Cores by number.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub(crate) struct Cores {
    /// Cores of the server, when the run starts it, with commas between. The machine's first one, unless given.
    #[arg(long = "server-cores", value_delimiter = ',')]
    pub server: Vec<usize>,
    /// Cores of the generator, with commas between. All others, unless given.
    #[arg(long = "generator-cores", value_delimiter = ',')]
    pub generator: Vec<usize>,
}

/// A program that is started on certain cores and ends with whoever starts it.
#[derive(Debug, clap::Args)]
pub(crate) struct OnCores {
    /// Cores, with commas between.
    #[arg(long, value_delimiter = ',')]
    cores: Vec<usize>,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<std::ffi::OsString>,
}

impl Cores {
    /// Fills in what was not given, and keeps this process on the generator's cores.
    ///
    /// # Errors
    /// When there are no such cores.
    pub(crate) fn settle(mut self) -> Result<Self> {
        let all = machine::cores()?;
        if self.server.is_empty() {
            self.server = all[..1].to_vec();
        }
        if self.generator.is_empty() {
            self.generator = all.iter().copied().filter(|core| !self.server.contains(core)).collect();
        }
        if self.generator.is_empty() {
            self.generator = all; // there is but one
        }
        machine::pin(&self.generator)?;
        Ok(self)
    }

    /// The same with both on every core.
    pub(crate) fn together(&self) -> Self {
        let mut all: Vec<usize> = self.server.iter().chain(&self.generator).copied().collect();
        all.sort_unstable();
        all.dedup();
        Self { server: all.clone(), generator: all }
    }
}

/// A command that runs `program` on `cores`, and ends with this process.
///
/// # Errors
/// When this program cannot be found.
pub(crate) fn command(cores: &[usize], program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("where is this program?")?);
    let numbers: Vec<String> = cores.iter().map(ToString::to_string).collect();
    command.args(["on-cores", "--cores", &numbers.join(","), "--"]).arg(program);
    Ok(command)
}

/// Becomes the program.
///
/// # Errors
/// When it cannot be run.
pub(crate) fn run(options: &OnCores) -> Result<()> {
    machine::die_with_parent()?;
    machine::pin(&options.cores)?;
    machine::raise_open_files();
    let (program, arguments) = options.command.split_first().context("no program")?;
    ensure!(!program.is_empty(), "no program");
    let error = std::process::Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", PathBuf::from(program).display()))
}
