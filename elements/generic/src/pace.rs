//! When a timestamp is due on the clock.

use millstream_core::{Item, Segment, Time, TimeDelta};

/// Maps timestamps to clock time: the running time of an item, from an anchor on.
#[derive(Debug)]
pub(crate) struct Pacer {
    offset: TimeDelta,
    segment: Segment,
    anchor: Option<Anchor>,
}

/// This running time is due at this clock time.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    running: Time,
    clock: Time,
}

impl Pacer {
    /// A pacer for which the first timestamp is due as it comes; everything `offset` later.
    pub(crate) fn to_first(offset: TimeDelta) -> Self {
        Self { offset, segment: Segment::time(Time::ZERO), anchor: None }
    }

    /// A pacer for which running time 0 is due at `start`; everything `offset` later.
    pub(crate) fn from_start(start: Time, offset: TimeDelta) -> Self {
        Self { anchor: Some(Anchor { running: Time::ZERO, clock: start }), ..Self::to_first(offset) }
    }

    /// Takes notice of a segment.
    pub(crate) fn segment(&mut self, segment: &Segment) {
        self.segment = segment.clone();
    }

    /// Forgets the first timestamp.
    pub(crate) fn reset(&mut self) {
        self.anchor = None;
    }

    /// When an item is due; `now` is asked for at the first timestamp. `None` for what has no time.
    pub(crate) fn due(&mut self, item: &Item, now: impl FnOnce() -> Time) -> Option<Time> {
        let running = self.segment.running_time(item.dts_or_pts()?);
        let anchor = *self.anchor.get_or_insert_with(|| Anchor { running, clock: now() });
        Some(anchor.clock + running.since(anchor.running) + self.offset)
    }
}
