//! The clocks of a runtime: real time, and simulated time that jumps to the next deadline whenever nothing can run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Instant, SystemTime};

use millstream_core::env::BoxFuture;
use millstream_core::{Clock, Time, TimeDelta};

/// Real, monotonic time since the clock was made.
pub(crate) struct RealClock {
    origin: Instant,
}

impl RealClock {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for RealClock {
    fn now(&self) -> Time {
        Time::ZERO + TimeDelta::from(self.origin.elapsed())
    }

    fn sleep_until(&self, deadline: Time) -> BoxFuture<'static, ()> {
        let deadline = self.origin + deadline.since(Time::ZERO).to_std();
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }

    fn wall(&self) -> Time {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Time::ZERO + TimeDelta::from(since)
    }
}

/// Simulated time. It stands still while any task can run and jumps to the earliest deadline when none can.
#[derive(Clone, Default)]
pub(crate) struct VirtualClock(Arc<Mutex<Virtual>>);

#[derive(Default)]
struct Virtual {
    now: Time,
    next: u64,
    sleepers: BinaryHeap<Reverse<Sleeper>>,
}

struct Sleeper {
    deadline: Time,
    order: u64,
    waker: Waker,
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Sleeper {}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.deadline, self.order).cmp(&(other.deadline, other.order))
    }
}

/// Wall-clock time at which every simulation begins: 2024-01-01T00:00:00Z.
const SIMULATED_EPOCH: Time = Time::from_millis(1_704_067_200_000);

impl VirtualClock {
    /// Nothing can run: go to the earliest deadline and wake who waits for it.
    pub(crate) fn advance(&self) {
        let mut woken = Vec::new();
        {
            let mut state = self.lock();
            let Some(Reverse(first)) = state.sleepers.peek() else { return };
            state.now = state.now.max(first.deadline);
            while state.sleepers.peek().is_some_and(|Reverse(s)| s.deadline <= state.now) {
                woken.extend(state.sleepers.pop());
            }
        }
        woken.into_iter().for_each(|Reverse(sleeper)| sleeper.waker.wake());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Virtual> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualClock {
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
            state.next += 1;
            let sleeper = Sleeper { deadline, order: state.next, waker: cx.waker().clone() };
            state.sleepers.push(Reverse(sleeper));
            Poll::Pending
        }))
    }

    fn wall(&self) -> Time {
        SIMULATED_EPOCH + self.now().since(Time::ZERO)
    }
}
