//! What the kernel knows of another process: its CPU time and its memory, from `/proc`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Clock ticks per second in `/proc/<pid>/stat`: fixed at 100 on every Linux that we run on (`man 5 proc`).
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// In its own code.
    pub user: Duration,
    /// In the kernel, for it.
    pub system: Duration,
    /// Both together, more precisely where the kernel says.
    pub total: Duration,
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// In main memory (`VmRSS`).
    pub resident: u64,
    /// Of its own, and of no file: heap and stacks (`Anonymous`).
    pub anonymous: u64,
}

impl Usage {
    /// What was used since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            total: self.total.saturating_sub(before.total),
        }
    }
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            user: sum.user + one.user,
            system: sum.system + one.system,
            total: sum.total + one.total,
        })
    }
}

impl Memory {
    /// What it has grown by since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            resident: self.resident.saturating_sub(before.resident),
            anonymous: self.anonymous.saturating_sub(before.anonymous),
        }
    }
}

impl std::iter::Sum for Memory {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            resident: sum.resident + one.resident,
            anonymous: sum.anonymous + one.anonymous,
        })
    }
}

/// CPU time that the process has used, in user and in kernel mode, by all of its threads.
///
/// # Errors
/// When there is no such process.
pub(crate) fn usage(pid: u32) -> Result<Usage> {
    let stat = read(pid, "stat")?;
    let after_name = stat.rsplit_once(')').context("/proc/<pid>/stat has no command name")?.1;
    let time = |nth: usize| {
        let ticks = after_name.split_whitespace().nth(nth).and_then(|text| text.parse::<u64>().ok());
        Duration::from_millis(ticks.unwrap_or(0) * 1000 / TICKS_PER_SECOND)
    };
    // fields 14 and 15 of the whole line: the 12th and 13th after the name
    let (user, system) = (time(11), time(12));
    // the threads that there are now know it to the nanosecond; those that have ended are in the ticks only
    let precise: Duration = threads(pid).unwrap_or_default();
    let in_ticks = user + system;
    let is_whole = precise + Duration::from_millis(100) > in_ticks;
    Ok(Usage { user, system, total: if is_whole { precise } else { in_ticks } })
}

/// As [`usage`], both together.
///
/// # Errors
/// As [`usage`].
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    Ok(usage(pid)?.total)
}

/// What the threads of a process have run, by `/proc/<pid>/task/<tid>/schedstat`.
fn threads(pid: u32) -> Option<Duration> {
    let mut sum_ns = 0_u64;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        sum_ns += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(sum_ns))
}

/// Memory that the process has.
///
/// # Errors
/// When there is no such process.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let rollup = read(pid, "smaps_rollup")?;
    Ok(Memory { resident: kib(&rollup, "Rss:")? * 1024, anonymous: kib(&rollup, "Anonymous:")? * 1024 })
}

/// Bytes of memory that the process has resident (`VmRSS`).
///
/// # Errors
/// When there is no such process.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    Ok(kib(&read(pid, "status")?, "VmRSS:").context("a zombie?")? * 1024)
}

/// The number behind `name`, at the beginning of a line.
pub(crate) fn kib(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    line.trim().trim_end_matches("kB").trim().parse().with_context(|| format!("{name} is not a number"))
}

/// Files (sockets included) that this process may have open.
///
/// # Errors
/// When `/proc` does not say.
pub(crate) fn open_files_max() -> Result<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").context("cannot read /proc/self/limits")?;
    let line =
        limits.lines().find(|line| line.starts_with("Max open files")).context("no limit of open files")?;
    let soft = line.split_whitespace().nth(3).unwrap_or_default();
    if soft == "unlimited" { Ok(u64::MAX) } else { soft.parse().context("the limit is not a number") }
}

fn read(pid: u32, file: &str) -> Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).with_context(|| format!("no process {pid} here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_has_time_memory_and_files() {
        let pid = std::process::id();
        let before = cpu(pid).unwrap();
        let mut sum = 0_u64;
        while cpu(pid).unwrap() == before {
            sum = (0..100_000).fold(sum, |sum, one| sum.wrapping_mul(31).wrapping_add(one));
        }
        assert!(resident_bytes(pid).unwrap() > 100_000 && sum != 1);
        let memory = memory(pid).unwrap();
        assert!(memory.resident > memory.anonymous && memory.anonymous > 10_000);
        let used = usage(pid).unwrap();
        assert!(used.total.abs_diff(used.user + used.system) <= Duration::from_millis(200));
        assert!(open_files_max().unwrap() > 10);
        assert!(cpu(u32::MAX).is_err());
    }
}
