//! How long to wait before something is built anew, and how often.

use millstream_core::{Time, TimeDelta};
use millstream_graph::RestartPolicy;

/// Restarts in a row, each after a longer wait than the one before.
#[derive(Debug, Default)]
pub(crate) struct Row {
    attempts: u32,
    /// The last one.
    since: Option<Time>,
}

/// Doublings after which any wait is the longest: 2^32 ns are 4 s, and no wait begins with less than a nanosecond.
const MAX_DOUBLINGS: u32 = 62;

impl Row {
    /// The wait before the next restart, which is the `attempts`th; nothing when the limit is reached.
    pub(crate) fn next(&mut self, policy: &RestartPolicy, now: Time, random: u64) -> Option<TimeDelta> {
        let recovered = |since: Time| now.since(since).nanos() >= policy.reset_after.as_nanos();
        if self.since.take().is_some_and(recovered) {
            self.attempts = 0;
        }
        if policy.limit > 0 && self.attempts >= policy.limit {
            return None;
        }
        let doubled = 1_i64 << self.attempts.min(MAX_DOUBLINGS);
        let wait = policy.delay.as_nanos().max(0).saturating_mul(doubled).min(policy.max_delay.as_nanos().max(0));
        self.attempts = self.attempts.saturating_add(1);
        Some(TimeDelta::from_nanos(with_jitter(wait, policy.jitter, random)))
    }

    /// It was built anew.
    pub(crate) fn restarted(&mut self, now: Time) {
        self.since = Some(now);
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// A wait that is up to so many percent longer or shorter.
fn with_jitter(wait: i64, percent: u8, random: u64) -> i64 {
    let spread = i128::from(wait) * i128::from(percent.min(100)) / 100;
    // From -spread to spread.
    let part = i128::from(random >> 32) * 2 * spread / i128::from(u32::MAX) - spread;
    i64::try_from(i128::from(wait) + part).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use millstream_core::settings::units::DurationSetting;

    use super::*;

    fn policy() -> RestartPolicy {
        RestartPolicy { jitter: 0, ..RestartPolicy::default() }
    }

    fn waits(policy: &RestartPolicy, times: usize) -> Vec<Option<i64>> {
        let (mut row, mut now) = (Row::default(), Time::ZERO);
        let mut next = || {
            let wait = row.next(policy, now, 0)?;
            now += wait;
            row.restarted(now);
            Some(wait.millis())
        };
        (0..times).map(|_| next()).collect()
    }

    #[test]
    fn waits_double_up_to_the_longest_and_end_at_the_limit() {
        assert_eq!(waits(&policy(), 7), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000].map(Some));
        let twice = RestartPolicy { limit: 2, delay: DurationSetting::from_millis(5), ..policy() };
        assert_eq!(waits(&twice, 4), [Some(5), Some(10), None, None]);
        assert_eq!(waits(&policy(), 200).last(), Some(&Some(30_000)));
    }

    #[test]
    fn what_has_recovered_begins_a_new_row() {
        let policy = RestartPolicy { limit: 1, ..policy() };
        let mut row = Row::default();
        assert_eq!(row.next(&policy, Time::ZERO, 0), Some(TimeDelta::from_secs(1)));
        row.restarted(Time::from_millis(1000));
        assert_eq!(row.next(&policy, Time::from_millis(61_000), 0), Some(TimeDelta::from_secs(1)));
        row.restarted(Time::from_millis(62_000));
        assert_eq!(row.next(&policy, Time::from_millis(121_999), 0), None, "it ran for less than a minute");
    }

    #[test]
    fn jitter_goes_both_ways_and_no_further() {
        let wait = |random| with_jitter(1000, 20, random);
        assert_eq!((wait(0), wait(u64::MAX), wait(1 << 63)), (800, 1200, 1000));
        assert_eq!(with_jitter(i64::MAX, 100, u64::MAX), i64::MAX);
    }
}
