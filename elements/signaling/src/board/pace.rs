//! How many messages a connection may send.

use millstream_core::Time;

/// Messages a second in the long run.
pub(crate) const PER_SECOND: u32 = 30;
/// Messages at once.
const BURST: i64 = 100;

/// What one message costs, in nanoseconds of waiting.
const COST: i64 = 1_000_000_000 / PER_SECOND as i64;

/// A bucket that fills with time and that each message takes from.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Nanoseconds of waiting that are saved up.
    saved: i64,
    at: Time,
}

impl Bucket {
    pub(super) fn new(now: Time) -> Self {
        Self { saved: BURST * COST, at: now }
    }

    /// Whether there is enough for one more.
    pub(super) fn take(&mut self, now: Time) -> bool {
        let passed = now.nanos().saturating_sub(self.at.nanos()).max(0);
        self.saved = self.saved.saturating_add(passed).min(BURST * COST);
        self.at = now;
        let enough = self.saved >= COST;
        if enough {
            self.saved -= COST;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sig_3_a_burst_is_free_and_then_only_so_many_a_second() {
        let mut bucket = Bucket::new(Time::ZERO);
        assert_eq!((0..500).filter(|_| bucket.take(Time::ZERO)).count(), 100);
        let later = Time::from_millis(2000);
        assert_eq!((0..500).filter(|_| bucket.take(later)).count(), 60);
        assert_eq!((0..500).filter(|_| bucket.take(Time::from_millis(3_600_000))).count(), 100);
    }
}
