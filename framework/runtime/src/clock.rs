//! The clocks of a runtime: real time, and simulated time that jumps to the next deadline whenever nothing can run.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
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
    /// Who waits, by deadline and then in order of coming.
    sleepers: BTreeMap<(Time, u64), Waker>,
}

/// Wall-clock time at which every simulation begins: 2024-01-01T00:00:00Z.
const SIMULATED_EPOCH: Time = Time::from_millis(1_704_067_200_000);

impl VirtualClock {
    /// Nothing can run: go to the earliest deadline and wake who waits for it.
    pub(crate) fn advance(&self) {
        let mut woken = Vec::new();
        {
            let mut state = self.lock();
            let Some((&(first, _), _)) = state.sleepers.first_key_value() else { return };
            state.now = state.now.max(first);
            while let Some(entry) = state.sleepers.first_entry().filter(|entry| entry.key().0 <= first) {
                woken.push(entry.remove());
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Virtual> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        self.lock().now
    }

    fn sleep_until(&self, deadline: Time) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { clock: self.clone(), deadline, order: None })
    }

    fn wall(&self) -> Time {
        SIMULATED_EPOCH + self.now().since(Time::ZERO)
    }
}

/// Waits for a deadline. Once dropped nobody waits any more: a deadline that wakes nobody would leave the simulation
/// asleep for ever, because time moves on only when the thread has nothing to do.
struct Sleep {
    clock: VirtualClock,
    deadline: Time,
    /// Its place among those who wait, from the first poll on.
    order: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let order = {
            let mut state = self.clock.lock();
            if state.now >= self.deadline {
                return Poll::Ready(());
            }
            let order = self.order.unwrap_or(state.next);
            state.next = state.next.max(order + 1);
            state.sleepers.insert((self.deadline, order), cx.waker().clone());
            order
        };
        self.order = Some(order);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(order) = self.order {
            self.clock.lock().sleepers.remove(&(self.deadline, order));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_gave_up_waiting_does_not_stop_the_clock() {
        let (clock, flag) = (VirtualClock::default(), Arc::<Flag>::default());
        let waker = flag.clone().into();
        let mut cx = Context::from_waker(&waker);
        let mut early = clock.sleep_until(Time::from_millis(10));
        let mut late = clock.sleep_until(Time::from_millis(20));
        assert!(early.as_mut().poll(&mut cx).is_pending());
        assert!(late.as_mut().poll(&mut cx).is_pending());
        drop(early);
        clock.advance();
        assert!(flag.0.load(Ordering::Relaxed), "the one who still waits is woken");
        assert!(late.as_mut().poll(&mut cx).is_ready());
        assert_eq!(clock.now(), Time::from_millis(20));
        assert!(clock.lock().sleepers.is_empty());
    }
}
