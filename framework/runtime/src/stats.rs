//! What passes on each link and what elements leave out, readable while the pipeline runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use millstream_core::{Dropped, Item, Time, TimeDelta};

/// Counters of one link. One task writes, anybody reads.
#[derive(Debug)]
pub(crate) struct LinkStats {
    buffers: AtomicU64,
    bytes: AtomicU64,
    last_pts: AtomicI64,
    dropped: AtomicU64,
    level: AtomicU64,
}

const NO_PTS: i64 = i64::MIN;

impl Default for LinkStats {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self { buffers: zero(), bytes: zero(), last_pts: AtomicI64::new(NO_PTS), dropped: zero(), level: zero() }
    }
}

impl LinkStats {
    /// Counts an item that passes. Plain loads and stores: a locked addition would cost more than the hop itself.
    #[inline]
    pub(crate) fn count(&self, item: &Item) {
        if let Item::Buffer(buffer) = item {
            bump(&self.buffers, 1);
            bump(&self.bytes, buffer.payload.len() as u64);
            if let Some(pts) = buffer.pts {
                self.last_pts.store(pts.nanos(), Relaxed);
            }
        }
    }

    /// Counts an item that came and was left out at once.
    pub(crate) fn refuse(&self, item: &Item) {
        self.count(item);
        self.drop_one();
    }

    /// Counts that a buffer which has been counted was left out.
    pub(crate) fn drop_one(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    pub(crate) fn set_level(&self, buffers: usize) {
        self.level.store(buffers as u64, Relaxed);
    }
}

#[inline]
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// A reading of one link.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkReport {
    /// `element.pad` of the upstream end.
    pub from: String,
    /// `element.pad` of the downstream end.
    pub to: String,
    /// Buffers that were sent into it, those that it left out included.
    pub buffers: u64,
    /// Media bytes of these.
    pub bytes: u64,
    /// Timestamp of the last buffer that had one.
    pub last_pts: Option<Time>,
    /// How many of the buffers the link left out because it was full. What is neither left out nor waits has arrived.
    pub dropped: u64,
    /// Buffers waiting in the link, when it crosses tasks.
    pub level: u64,
    /// The caps that passed last, in text form.
    pub caps: Option<String>,
}

impl LinkStats {
    pub(crate) fn report(&self, from: &str, to: &str) -> LinkReport {
        let pts = self.last_pts.load(Relaxed);
        LinkReport {
            from: from.to_owned(),
            to: to.to_owned(),
            buffers: self.buffers.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            last_pts: (pts != NO_PTS).then(|| Time::from_nanos(pts)),
            dropped: self.dropped.load(Relaxed),
            level: self.level.load(Relaxed),
            caps: None,
        }
    }
}

/// What one element left out: times and bytes by reason.
#[derive(Debug, Default)]
pub(crate) struct DropStats(Mutex<BTreeMap<&'static str, DropCount>>);

/// How much was left out for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCount {
    /// How often.
    pub times: u64,
    /// How many bytes in all.
    pub bytes: u64,
}

impl DropStats {
    /// Counts, and says whether this is the first of its reason.
    pub(crate) fn count(&self, dropped: &Dropped) -> bool {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = reasons.entry(dropped.reason).or_default();
        count.times += 1;
        count.bytes = count.bytes.saturating_add(dropped.bytes);
        count.times == 1
    }

    pub(crate) fn read(&self) -> BTreeMap<&'static str, DropCount> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How much later than its input the output of one element comes, where it has said so while it runs.
#[derive(Debug)]
pub(crate) struct Latency(AtomicI64);

const UNTOLD: i64 = -1;

impl Default for Latency {
    fn default() -> Self {
        Self(AtomicI64::new(UNTOLD))
    }
}

impl Latency {
    /// It is that from now on.
    pub(crate) fn tell(&self, latency: TimeDelta) {
        self.0.store(latency.nanos().max(0), Relaxed);
    }

    pub(crate) fn get(&self) -> Option<TimeDelta> {
        let nanos = self.0.load(Relaxed);
        (nanos != UNTOLD).then(|| TimeDelta::from_nanos(nanos))
    }
}

/// Which element of a task is being called: lets the supervisor name the one that never returns.
#[derive(Debug)]
pub(crate) struct Whereabouts(AtomicU32);

const NOWHERE: u32 = u32::MAX;

impl Default for Whereabouts {
    fn default() -> Self {
        Self(AtomicU32::new(NOWHERE))
    }
}

impl Whereabouts {
    #[inline]
    pub(crate) fn enter(&self, node: usize) {
        self.0.store(node as u32, Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.0.store(NOWHERE, Relaxed);
    }

    pub(crate) fn get(&self) -> Option<usize> {
        let node = self.0.load(Relaxed);
        (node != NOWHERE).then_some(node as usize)
    }
}
