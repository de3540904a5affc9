//! A network of its own for the servers and the client: Janus gathers no candidates on loopback.

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;

/// Address of both sides in it.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// What makes it: two ends of a cable, of which one has the address.
const STEPS: [&str; 5] = [
    "link set lo up",
    "link add bench0 type veth peer name bench1",
    "address add 10.9.0.1/24 dev bench0",
    "link set bench0 up",
    "link set bench1 up",
];

/// Leads back into the network where this thread was.
pub(super) struct Entered(File);

/// Makes the network for this thread and what it starts, and enters it.
///
/// # Errors
/// When this user may not, or `ip` is missing.
pub(super) fn enter() -> Result<Entered> {
    let before = File::open("/proc/thread-self/ns/net").context("no network to come back to")?;
    unshare(CloneFlags::CLONE_NEWNET).context("a network of its own needs root")?;
    let entered = Entered(before);
    for step in STEPS {
        let status = Command::new("ip").args(step.split(' ')).status().context("cannot start ip of iproute2")?;
        if !status.success() {
            bail!("ip {step} ended with {status}");
        }
    }
    Ok(entered)
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Where this thread came from is still there.
        let _ = setns(&self.0, CloneFlags::CLONE_NEWNET);
    }
}
