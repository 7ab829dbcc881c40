//! What the kernel knows of another process: its CPU time and its memory, from `/proc`.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// Clock ticks per second in `/proc/<pid>/stat`: fixed at 100 on every Linux that we run on (`man 5 proc`).
const TICKS_PER_SECOND: u64 = 100;

/// CPU time that the process has used, in user and in kernel mode, by all of its threads.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = read(pid, "stat")?;
    let after_name = stat.rsplit_once(')').context("/proc/<pid>/stat has no command name")?.1;
    let ticks = |nth: usize| {
        after_name.split_whitespace().nth(nth).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    // fields 14 and 15 of the whole line: the 12th and 13th after the name
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 1000 / TICKS_PER_SECOND))
}

/// Bytes of memory that the process has resident (`VmRSS`).
///
/// # Errors
/// When there is no such process.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS: a zombie?")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("VmRSS is not a number")?;
    Ok(kib * 1024)
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
        assert!(open_files_max().unwrap() > 10);
        assert!(cpu(u32::MAX).is_err());
    }
}
