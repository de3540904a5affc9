//! One run of one program: wall time, CPU time, peak memory.
//!
//! The kernel adds up the usage of all children that a process has waited for, so each run has a parent of its own: this
//! program started again as a small go-between that spawns the one child, waits, and prints the usage.

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// First argument of the go-between; the command to run follows.
pub(crate) const CHILD: &str = "measure-child";

/// What one run cost.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of user and system time, over all its threads.
    pub(crate) cpu: f64,
    /// Largest resident set in bytes. Never below the go-between's own of about 2 MiB, which the child has until it starts.
    pub(crate) peak: u64,
}

/// Runs the command once. What it prints is dropped; what it says on stderr goes to `log` and into the error.
pub(crate) fn run(command: &[String], log: &Path) -> Result<Sample> {
    let stderr = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    let between = std::env::current_exe()?;
    let output = Command::new(between).arg(CHILD).args(command).stdin(Stdio::null()).stderr(stderr).output()?;
    if !output.status.success() {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        bail!("{}\nfailed: {}", command.join(" "), said.trim());
    }
    serde_json::from_slice(&output.stdout).context("the go-between printed no usage")
}

/// The go-between's whole life.
pub(crate) fn child() -> Result<()> {
    let mut words = std::env::args_os().skip(2);
    let program = words.next().context("expected a command")?;
    let mut command = Command::new(&program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    let wall = started.elapsed().as_secs_f64();
    if !status.success() {
        bail!("it ended with {status}");
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    let peak = u64::try_from(usage.max_rss()).unwrap_or(0) * 1024;
    println!("{}", serde_json::to_string(&Sample { wall, cpu, peak })?);
    Ok(())
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
