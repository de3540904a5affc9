//! Samples that wait until there are enough of them.

use millstream_core::{Buffer, BufferFlags, Time, TimeDelta};

/// How far a timestamp may be from where the samples before it end until it counts as a jump (GStreamer's `alignment-threshold`). RTMP's and FLV's
/// times are whole milliseconds, and encoders are allowed to jitter.
const TOLERANCE: TimeDelta = TimeDelta::from_millis(40);

/// Interleaved samples in a row, and the time of the first.
#[derive(Debug)]
pub(crate) struct Backlog {
    pub(crate) samples: Vec<f32>,
    channels: usize,
    rate: u32,
    /// Time of a sample, and how many were taken since.
    base: Option<Time>,
    taken: i64,
}

impl Backlog {
    /// Of a stream of `rate` Hz.
    pub(crate) fn new(rate: u32, channels: usize) -> Self {
        Self { samples: Vec::new(), channels, rate, base: None, taken: 0 }
    }

    /// Samples of each channel that wait.
    pub(crate) fn frames(&self) -> usize {
        self.samples.len() / self.channels
    }

    /// Time of the first sample that waits.
    pub(crate) fn time(&self) -> Time {
        self.after(0)
    }

    fn after(&self, frames: usize) -> Time {
        let frames = self.taken.saturating_add(i64::try_from(frames).unwrap_or(i64::MAX));
        self.base.unwrap_or(Time::ZERO) + TimeDelta::from_ticks(frames, self.rate)
    }

    /// Whether the samples of a buffer do not follow those that wait. What waits is then to be sent, and [`Backlog::restart`] called.
    pub(crate) fn jumps(&self, buffer: &Buffer) -> bool {
        if self.base.is_none() {
            return false;
        }
        let Some(time) = buffer.pts else { return buffer.flags.contains(BufferFlags::DISCONT) };
        let off = time.since(self.after(self.frames()));
        off > TOLERANCE || -off > TOLERANCE
    }

    /// What comes next follows nothing.
    pub(crate) fn restart(&mut self) {
        self.samples.clear();
        (self.base, self.taken) = (None, 0);
    }

    /// The samples that are added next begin at this time, if they are the first.
    pub(crate) fn begin(&mut self, time: Option<Time>) {
        self.base = self.base.or(Some(time.unwrap_or(Time::ZERO)));
    }

    /// Takes samples of each channel out; gives their time and how long they are.
    pub(crate) fn take(&mut self, frames: usize) -> (Vec<f32>, Time, TimeDelta) {
        let frames = frames.min(self.frames());
        let begin = self.time();
        let rest = self.samples.split_off(frames * self.channels);
        let taken = std::mem::replace(&mut self.samples, rest);
        self.taken = self.taken.saturating_add(i64::try_from(frames).unwrap_or(i64::MAX));
        (taken, begin, self.time().since(begin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Buffer {
        Buffer::new(bytes::Bytes::new()).with_times(Some(Time::from_millis(millis)), None)
    }

    #[test]
    fn times_follow_the_samples_and_rounding_does_not_add_up() {
        let mut backlog = Backlog::new(44_100, 1);
        backlog.begin(Some(Time::from_millis(5)));
        let mut last = Time::ZERO;
        for _ in 0..441 {
            backlog.samples.extend([0.0; 1000]);
            let (samples, time, duration) = backlog.take(1000);
            assert_eq!(samples.len(), 1000);
            last = time + duration;
        }
        assert_eq!(last, Time::from_millis(10_005));
    }

    #[test]
    fn jitter_is_no_jump() {
        let mut backlog = Backlog::new(8000, 2);
        assert!(!backlog.jumps(&at(999)), "the first follows nothing");
        backlog.begin(Some(Time::ZERO));
        backlog.samples.extend([0.0; 1600]); // 100 ms
        for (time, jumps) in [(100, false), (61, false), (139, false), (59, true), (141, true), (5000, true)] {
            assert_eq!(backlog.jumps(&at(time)), jumps, "{time} ms");
        }
    }
}
