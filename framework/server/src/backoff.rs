//! How long to wait before another attempt to connect.

use millstream_core::{Env, TimeDelta};

/// Waits longer and longer between attempts, so that a server that comes back is not overrun.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

/// Before the second attempt.
const FIRST_WAIT: TimeDelta = TimeDelta::from_millis(500);
/// Between attempts, at most.
const MAX_WAIT: TimeDelta = TimeDelta::from_secs(30);

impl Backoff {
    /// A connection lasted.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Attempts that failed in a row.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// An attempt failed: how long to wait for the next. Doubles each time, less a random quarter.
    pub fn next(&mut self, env: &Env) -> TimeDelta {
        let doubled = FIRST_WAIT.nanos().saturating_mul(1 << self.attempts.min(16)).min(MAX_WAIT.nanos());
        self.attempts = self.attempts.saturating_add(1);
        let jitter = (env.random() % 1024) as i64;
        TimeDelta::from_nanos(doubled - doubled / 4096 * jitter)
    }
}
