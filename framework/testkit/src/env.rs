//! An environment in which nothing happens unless the test makes it happen.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use millstream_core::env::{BoxFuture, Clock, Env};
use millstream_core::{Time, TimeDelta};

use crate::MemFs;

/// Wall-clock time of a [`TestClock`] at its start: 2024-01-01T00:00:00Z in seconds since 1970.
pub const WALL_START_SECS: i64 = 1_704_067_200;

/// The seed of a test's random numbers.
const SEED: u64 = 1;

/// A clock that stands still until the test moves it. Clones are the same clock.
#[derive(Clone, Default)]
pub struct TestClock(Arc<Mutex<ClockState>>);

#[derive(Default)]
struct ClockState {
    now: Time,
    sleepers: Vec<(Time, Waker)>,
}

impl TestClock {
    /// A clock at [`Time::ZERO`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves on to `time` and wakes whoever sleeps until then; a time in the past changes nothing.
    pub fn advance_to(&self, time: Time) {
        let mut state = self.lock();
        state.now = state.now.max(time);
        let now = state.now;
        let (due, rest) = state.sleepers.drain(..).partition(|(deadline, _)| *deadline <= now);
        state.sleepers = rest;
        drop(state);
        let due: Vec<(Time, Waker)> = due;
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Moves on by `delta`.
    pub fn advance(&self, delta: TimeDelta) {
        self.advance_to(self.now() + delta);
    }

    /// The earliest time that somebody sleeps until.
    pub fn next_deadline(&self) -> Option<Time> {
        self.lock().sleepers.iter().map(|(deadline, _)| *deadline).min()
    }

    fn lock(&self) -> MutexGuard<'_, ClockState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        self.lock().now
    }

    fn sleep_until(&self, deadline: Time) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        Box::pin(poll_fn(move |cx| {
            let mut state = clock.lock();
            if state.now >= deadline {
                return Poll::Ready(());
            }
            state.sleepers.retain(|(_, waker)| !waker.will_wake(cx.waker()));
            state.sleepers.push((deadline, cx.waker().clone()));
            Poll::Pending
        }))
    }

    fn wall(&self) -> Time {
        self.now() + TimeDelta::from_secs(WALL_START_SECS)
    }
}

/// A virtual environment: its clock, its files, and the [`Env`] that an element sees them through.
#[derive(Clone)]
pub struct TestEnv {
    /// Time.
    pub clock: TestClock,
    /// Files.
    pub fs: MemFs,
    /// Both, for elements.
    pub env: Env,
}

impl TestEnv {
    /// A clock at zero, no file, random numbers from a fixed seed.
    pub fn new() -> Self {
        let (clock, fs) = (TestClock::new(), MemFs::new());
        let env = Env::new(Arc::new(clock.clone()), Arc::new(fs.clone()), SEED);
        Self { clock, fs, env }
    }
}

impl Default for TestEnv {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll_once;

    #[test]
    fn sleepers_wake_when_the_test_moves_the_clock() {
        let clock = TestClock::new();
        let mut sleep = clock.sleep_until(Time::from_millis(5));
        assert_eq!(poll_once(sleep.as_mut()), None);
        assert_eq!(clock.next_deadline(), Some(Time::from_millis(5)));
        clock.advance(TimeDelta::from_millis(4));
        assert_eq!(poll_once(sleep.as_mut()), None);
        clock.advance(TimeDelta::from_millis(1));
        assert_eq!(poll_once(sleep.as_mut()), Some(()));
        assert_eq!((clock.next_deadline(), clock.wall().millis()), (None, WALL_START_SECS * 1000 + 5));
    }
}
