//! `bench`: the table of what Munadi promises, each row measured beside the floor, and `docs/performance.md` from it.
//!
//! Every row leaves a file of its own, so that rows can be measured one by one; the document is made from the files.

mod document;
mod page;
mod row;
mod rows;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use domain::Clock as _;
use service::SystemClock;
use tokio::time::Instant;

use crate::cores::Cores;
use crate::report::Report;
use crate::scenario::Started;

pub(crate) use page::write as write_page;
pub(crate) use row::{Curve, Found};
use row::{Machine, Outline};

/// Which rows, how large, and where the results go.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub own: Started,
    #[command(flatten)]
    pub cores: Cores,
    /// Rows to measure, with commas between; all of them unless given.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<u8>,
    /// Rows 8 and 9 in full: a million connections, and five nodes of 19,000.
    #[arg(long)]
    pub full: bool,
    /// Measure nothing, but make the documents from what was measured before.
    #[arg(long)]
    pub write_only: bool,
    /// Rows that were measured with this commit already are left out.
    #[arg(long)]
    pub resume: bool,
    /// A part of every size, to try it out: 1 is what the table says.
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
    /// How often each row is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Directory of the results.
    #[arg(long, default_value = "target/bench-results")]
    pub results: PathBuf,
    /// The document.
    #[arg(long, default_value = "docs/performance.md")]
    pub document: PathBuf,
    /// The page with the plots. Without it, beside the results.
    #[arg(long)]
    pub html: Option<PathBuf>,
}

/// Measures the rows and writes the documents.
///
/// # Errors
/// When a row cannot be measured; the others still are, and what was measured is written.
pub(crate) async fn run(plan: &Plan) -> Result<Report> {
    let cores = plan.cores.clone().settle()?;
    std::fs::create_dir_all(&plan.results)
        .with_context(|| format!("cannot make {}", plan.results.display()))?;
    let machine = Machine::here(commit());
    let mut report = Report::new("bench");
    if !plan.write_only {
        for number in rows::NUMBERS.into_iter().filter(|row| plan.only.is_empty() || plan.only.contains(row))
        {
            let file = file(&plan.results, number);
            if plan.resume
                && row::read(&file).is_ok_and(|row| row.machine == machine && row.full == plan.full)
            {
                eprintln!("row {number}: measured already");
                continue;
            }
            eprintln!("row {number}: {}", rows::outline(number).what);
            let began = Instant::now();
            match Box::pin(rows::measure(number, plan, &cores)).await {
                Ok(mut measured) => {
                    measured.machine = machine.clone();
                    measured.at = SystemClock.now().to_string();
                    measured.took_s = began.elapsed().as_secs_f64();
                    measured.command = command_line();
                    eprintln!("row {number}: {} ({:.0} s)", measured.verdict(), measured.took_s);
                    std::fs::write(&file, serde_json::to_vec_pretty(&measured)?)?;
                }
                Err(error) => {
                    eprintln!("row {number}: {error:#}");
                    report.check(format!("row {number} could be measured"), false, format!("{error:#}"));
                }
            }
        }
    }
    write(plan, &mut report)?;
    Ok(report)
}

/// Makes the documents from the files of all rows.
fn write(plan: &Plan, report: &mut Report) -> Result<()> {
    let rows: Vec<_> =
        rows::NUMBERS.into_iter().filter_map(|number| row::read(&file(&plan.results, number)).ok()).collect();
    ensure!(!rows.is_empty(), "nothing was measured");
    for row in &rows {
        let rule = format!("row {:02}: {}", row.number, rows::outline(row.number).what);
        let found: Vec<String> = row.found.iter().map(Found::text).collect();
        report.figure(&rule, format!("{}: {}", row.verdict(), found.join(", ")));
        report.check(format!("row {} is complete", row.number), row.is_complete, row.note.clone());
    }
    let outlines: Vec<Outline> = rows::NUMBERS.into_iter().map(rows::outline).collect();
    if let Some(directory) = plan.document.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(&plan.document, document::markdown(&outlines, &rows))
        .with_context(|| format!("cannot write {}", plan.document.display()))?;
    let html = plan.html.clone().unwrap_or_else(|| plan.results.join("report.html"));
    let curves: Vec<Curve> = rows.iter().flat_map(|row| row.curves.clone()).collect();
    let lines: Vec<(String, String)> = rows
        .iter()
        .map(|row| {
            let found: Vec<String> = row.found.iter().map(Found::text).collect();
            (format!("{}. {}", row.number, rows::outline(row.number).what), found.join("; "))
        })
        .collect();
    write_page(&html, "Munadi: performance", &lines, &curves)?;
    eprintln!("{} and {} are written", plan.document.display(), html.display());
    Ok(())
}

fn file(results: &Path, number: u8) -> PathBuf {
    results.join(format!("row-{number:02}.json"))
}

/// The commit of the working directory, with a mark when it was changed since.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/performance.md"]);
    if changed.is_none_or(|changed| changed.is_empty()) { commit } else { format!("{commit} with changes") }
}

/// What was typed, without directories.
fn command_line() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let program = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned());
    std::iter::once(program.unwrap_or_default()).chain(words).collect::<Vec<_>>().join(" ")
}
