//! Where key frames were seen, so that a seek by time knows which bytes to ask for: a transport stream has no index.

use millstream_core::{Time, TimeDelta};

/// Key frames remembered, at most: every second of four hours; the longer a stream, the further apart they are.
const MAX_ENTRIES: usize = 16 * 1024;

/// Key frames closer to the one before are left out at first.
const FIRST_STEP: TimeDelta = TimeDelta::from_millis(900);

/// Key frames by stream time, which is 0 at the beginning of the input.
#[derive(Debug)]
pub(super) struct SeekIndex {
    /// Stream time and offset, both rising.
    entries: Vec<(Time, u64)>,
    step: TimeDelta,
    /// Stream time at running time 0; `None` where nobody knows, as behind a seek to a byte.
    origin: Option<Time>,
    /// Epoch of a flush on its way, and the stream time behind it.
    pending: Option<(u64, Time)>,
}

impl Default for SeekIndex {
    fn default() -> Self {
        Self { entries: Vec::new(), step: FIRST_STEP, origin: Some(Time::ZERO), pending: None }
    }
}

impl SeekIndex {
    /// A key frame at this running time begins at this offset.
    pub(super) fn add(&mut self, running: Time, offset: u64) {
        let Some(time) = self.stream_time(running) else { return };
        let far = |(at, before): &(Time, u64)| time.since(*at) >= self.step && offset > *before;
        if !self.entries.last().is_none_or(far) {
            return;
        }
        if self.entries.len() == MAX_ENTRIES {
            let mut nth = 0..;
            self.entries.retain(|_| nth.next().is_some_and(|n| n % 2 == 0));
            self.step = TimeDelta::from_nanos(self.step.nanos().saturating_mul(2));
        }
        self.entries.push((time, offset));
    }

    /// Stream time of a running time.
    pub(super) fn stream_time(&self, running: Time) -> Option<Time> {
        self.origin.map(|origin| origin + running.since(Time::ZERO))
    }

    /// The offset of the last key frame at or before a stream time; `None` if the input was not read that far.
    pub(super) fn seek(&mut self, time: Time, epoch: u64) -> Option<u64> {
        let after = self.entries.partition_point(|(at, _)| *at <= time);
        let (at, offset) = match after.checked_sub(1).and_then(|before| self.entries.get(before)) {
            Some(_) if after == self.entries.len() && !self.reaches(time) => return None,
            Some(found) => *found,
            // Ahead of the first key frame there is the beginning.
            None if after < self.entries.len() || time <= Time::ZERO => (Time::ZERO, 0),
            None => return None,
        };
        self.pending = Some((epoch, at));
        Some(offset)
    }

    /// The input goes on elsewhere.
    pub(super) fn flushed(&mut self, epoch: u64) {
        let asked = self.pending.take().filter(|(wanted, _)| *wanted == epoch);
        self.origin = asked.map(|(_, time)| time);
    }

    /// Whether a time behind the last entry is near enough to belong to it.
    fn reaches(&self, time: Time) -> bool {
        self.entries.last().is_some_and(|(at, _)| time.since(*at) < self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: i64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn the_key_frame_before_is_found_as_far_as_was_read() {
        let mut index = SeekIndex::default();
        assert_eq!((index.seek(s(0), 1), index.seek(s(1), 1)), (Some(0), None));
        (0..10).for_each(|n| index.add(s(n * 2), n as u64 * 1000 + 376));
        assert_eq!(
            (index.seek(s(3), 1), index.seek(s(4), 1), index.seek(s(18), 1)),
            (Some(1376), Some(2376), Some(9376))
        );
        assert_eq!(index.seek(s(30), 1), None);
    }

    #[test]
    fn stream_time_goes_on_behind_a_seek_that_was_asked_for() {
        let mut index = SeekIndex::default();
        (0..10).for_each(|n| index.add(s(n), n as u64 * 1000));
        index.seek(s(7), 5);
        index.flushed(5);
        assert_eq!(index.stream_time(s(4)), Some(s(11)));
        index.add(s(4), 11_000);
        assert_eq!(index.seek(s(11), 6), Some(11_000));
        index.flushed(9);
        assert_eq!(index.stream_time(s(4)), None, "somebody else moved it");
    }

    #[test]
    fn memory_is_bounded() {
        let mut index = SeekIndex::default();
        (0..200_000).for_each(|n| index.add(s(n), n as u64));
        assert!(index.entries.len() <= MAX_ENTRIES);
        let found = index.seek(s(100_000), 1).unwrap();
        assert!((99_950..=100_000).contains(&found), "{found}");
    }
}
