//! Other processes: what they have used, and on which core they run.

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Seconds of user and system time, over all its threads.
    pub(crate) cpu: f64,
    /// Bytes in memory.
    pub(crate) resident: u64,
}

/// Looks at a process (proc(5): `stat`, `statm`). Of one that is gone there is nothing.
pub(crate) fn usage(pid: u32) -> Usage {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let value = |variable| sysconf(variable).ok().flatten().unwrap_or(0) as f64;
    let cpu = ticks(&read("stat")) as f64 / value(SysconfVar::CLK_TCK).max(1.0);
    let pages: f64 = read("statm").split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0.0);
    Usage { cpu, resident: (pages * value(SysconfVar::PAGE_SIZE)) as u64 }
}

/// User and system time, the fields 14 and 15; the second is a name that may hold anything.
fn ticks(stat: &str) -> u64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().skip(11).take(2);
    fields.filter_map(|word| word.parse::<u64>().ok()).sum()
}

/// A core for the server and another for the client, of those that this process may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) client: usize,
}

impl Cores {
    /// The first two. Where there is but one, both are on it, and little can be said.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn look() -> Result<Self> {
        let set = sched_getaffinity(Pid::from_raw(0)).context("cannot ask for the cores")?;
        let mut cores = (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false));
        let server = cores.next().context("there is no core to run on")?;
        Ok(Self { server, client: cores.next().unwrap_or(server) })
    }
}

/// Puts this thread, and the processes that it starts from now on, on one core.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot run on core {core} alone"))
}

/// Gives this thread back the cores that it had.
pub(crate) struct Pinned(CpuSet);

impl Pinned {
    /// Remembers which cores these are.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn remember() -> Result<Self> {
        Ok(Self(sched_getaffinity(Pid::from_raw(0)).context("cannot ask for the cores")?))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // They were ours before, so there is no reason to refuse them.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}

/// Seconds that all cores together were busy since the start of the machine (proc(5): `stat`).
pub(crate) fn machine_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // User, nice, system; then idle and waiting; then interrupts, soft interrupts, stolen.
    let busy = fields.enumerate().filter(|(n, _)| ![3, 4].contains(n) && *n < 8);
    let ticks: u64 = busy.filter_map(|(_, word)| word.parse::<u64>().ok()).sum();
    ticks as f64 / sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_found_behind_a_strange_name() {
        assert_eq!(ticks("7 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 30 12 13 14"), 42);
    }

    #[test]
    fn our_own_memory_is_seen() {
        let usage = usage(std::process::id());
        assert!(usage.resident > 100_000 && usage.cpu >= 0.0, "{usage:?}");
    }
}
