//! One row of the table: what it promises, and what was measured.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::load::Measured;
use crate::process;

/// What a row promises, and how it is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outline {
    /// Its number.
    pub number: u8,
    /// What is measured.
    pub what: &'static str,
    /// What is promised.
    pub target: &'static str,
    /// How it is measured, for those who read the document.
    pub how: &'static str,
}

/// What was measured of a row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Its number.
    pub number: u8,
    /// The numbers that the target speaks of.
    pub found: Vec<Found>,
    /// Whether nothing was lost, repeated or closed that should not.
    pub is_complete: bool,
    /// What else is to be known.
    pub note: String,
    /// All that was measured: the first line has the names.
    pub table: Vec<Vec<String>>,
    /// For the plots.
    pub curves: Vec<Curve>,
    /// Whether it was measured in full size.
    pub full: bool,
    /// Where it was measured.
    pub machine: Machine,
    /// When it was.
    pub at: String,
    /// How long it took.
    pub took_s: f64,
    /// What was typed.
    pub command: String,
}

/// A number and whether it is what was promised.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Found {
    /// What it is.
    pub name: String,
    /// Its value, with its unit.
    pub value: String,
    /// Whether it is what was promised; `None`: nothing was.
    pub met: Option<bool>,
}

/// Latencies and throughput of one measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Curve {
    /// The row that it belongs to, in words.
    pub group: String,
    /// The server.
    pub name: String,
    /// Microseconds and counts.
    pub latencies: Vec<(u64, u64)>,
    /// Deliveries by second.
    pub by_second: Vec<u64>,
}

/// Where something was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor.
    pub cpu: String,
    /// Cores that there are.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The kernel.
    pub kernel: String,
    /// What was measured.
    pub commit: String,
}

impl Row {
    /// In a word.
    pub(crate) fn verdict(&self) -> &'static str {
        match (self.is_complete, self.found.iter().filter_map(|one| one.met).reduce(|all, one| all && one)) {
            (false, _) => "incomplete",
            (true, Some(true)) => "met",
            (true, Some(false)) => "missed",
            (true, None) => "stated",
        }
    }

    /// Notes a number that something was promised of.
    pub(crate) fn promised(&mut self, name: &str, value: String, met: bool) {
        self.found.push(Found { name: name.to_owned(), value, met: Some(met) });
    }

    /// Notes a number.
    pub(crate) fn stated(&mut self, name: &str, value: String) {
        self.found.push(Found { name: name.to_owned(), value, met: None });
    }
}

impl Found {
    /// On one line.
    pub(crate) fn text(&self) -> String {
        let mark = match self.met {
            Some(true) | None => "",
            Some(false) => " (missed)",
        };
        format!("{} {}{mark}", self.name, self.value)
    }
}

impl Curve {
    /// Of a measurement.
    pub(crate) fn of(group: &str, measured: &Measured) -> Self {
        Self {
            group: group.to_owned(),
            name: measured.server.clone(),
            latencies: measured.latencies.0.clone(),
            by_second: measured.by_second.clone(),
        }
    }
}

impl Machine {
    /// This one.
    pub(crate) fn here(commit: String) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let cpu = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        Self {
            cpu: cpu.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: info.lines().filter(|line| line.starts_with("processor")).count(),
            memory_mib: process::kib(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit,
        }
    }
}

/// What was measured before.
///
/// # Errors
/// When nothing was.
pub(crate) fn read(file: &Path) -> Result<Row> {
    let bytes = std::fs::read(file).with_context(|| format!("there is no {}", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is of another version", file.display()))
}
