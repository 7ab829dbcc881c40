//! What is asked of the kernel for the process itself: a clock that all processes share, cores, limits, the end with
//! whoever started it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the monotonic clock: the same for all processes of the machine.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + nanoseconds.unwrap_or(0)
}

/// Sleeps until then.
pub(crate) fn sleep_until(then_ns: u64) {
    let wait = then_ns.saturating_sub(now_ns());
    if wait > 0 {
        std::thread::sleep(Duration::from_nanos(wait));
    }
}

/// Nanoseconds of a span that is no longer than some centuries.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The cores that this process may use.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn cores() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("cannot ask for the cores")?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// Keeps this thread, and what it starts from now on, on `cores`.
///
/// # Errors
/// When there are no such cores.
pub(crate) fn pin(cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on the cores {cores:?}"))
}

/// Raises the limit of open files to what is allowed; gives it.
pub(crate) fn raise_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok() {
        return maximum.unwrap_or(u64::MAX);
    }
    current.unwrap_or(u64::MAX)
}

/// Has the kernel kill this process, and whatever it becomes, when the thread that started it ends.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn die_with_parent() -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot follow the parent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_and_a_thread_can_be_kept_on_a_core() {
        let before = now_ns();
        sleep_until(before + 1_000_000);
        assert!(now_ns() >= before + 1_000_000);
        let all = cores().unwrap();
        let pinned = std::thread::spawn(move || {
            pin(&all[..1]).unwrap();
            cores().unwrap() == all[..1]
        });
        assert!(pinned.join().unwrap());
        assert!(raise_open_files() > 100);
        assert!(pin(&[]).is_err());
    }
}
