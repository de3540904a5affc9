//! Alive means that bytes of the stream move: not that there is a connection.

use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_core::{Env, MessageKind, Time, TimeDelta};
use tokio::sync::Notify;

/// When something of a stream last moved.
#[derive(Debug)]
pub(crate) struct Pulse {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug)]
struct State {
    /// Something moved then, or there was nothing to move.
    since: Time,
    stalled: bool,
    /// Something moved although it is stalled.
    again: bool,
}

impl Pulse {
    /// Of a stream that begins.
    pub(crate) fn new(now: Time) -> Self {
        Self { state: Mutex::new(State { since: now, stalled: false, again: false }), moved: Notify::new() }
    }

    /// Something moved.
    pub(crate) fn beat(&self, now: Time) {
        let mut state = self.lock();
        if state.stalled {
            // Whoever watches says so first.
            state.again = true;
            self.moved.notify_one();
        } else {
            state.since = now;
        }
    }

    /// Tells when nothing has moved for the limit although something `waits`, and when something moves again. Never ends.
    pub(crate) async fn watch(
        &self,
        env: &Env,
        limit: TimeDelta,
        waits: impl Fn() -> bool,
        tell: impl Fn(MessageKind),
    ) {
        loop {
            let since = self.lock().since;
            env.clock.sleep_until(since + limit).await;
            let now = env.clock.now();
            if !self.stalls(now, limit, &waits) {
                continue;
            }
            tell(MessageKind::Stalled { idle: limit });
            let since = loop {
                self.moved.notified().await;
                if let Some(since) = self.recovers(env.clock.now()) {
                    break since;
                }
            };
            let now = env.clock.now();
            tell(MessageKind::Recovered { after: now.since(since) });
        }
    }

    fn stalls(&self, now: Time, limit: TimeDelta, waits: &impl Fn() -> bool) -> bool {
        let mut state = self.lock();
        if now.since(state.since) < limit {
            return false;
        }
        if !waits() {
            state.since = now;
        }
        state.stalled = state.since < now;
        state.stalled
    }

    /// Since when nothing had moved, if something has moved again.
    fn recovers(&self, now: Time) -> Option<Time> {
        let mut state = self.lock();
        // A notice may be one that an earlier stall has left.
        if !state.again {
            return None;
        }
        (state.stalled, state.again) = (false, false);
        Some(std::mem::replace(&mut state.since, now))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cell::RefCell;

    use millstream_testkit::{TestEnv, poll_once};

    use super::*;

    #[test]
    fn what_waits_and_does_not_move_is_stalled_until_it_moves() {
        let test = TestEnv::new();
        let (clock, env) = (test.clock.clone(), test.env.clone());
        let pulse = Pulse::new(Time::ZERO);
        let (told, waits) = (RefCell::new(Vec::new()), Cell::new(false));
        let mut watch = Box::pin(pulse.watch(
            &env,
            TimeDelta::from_secs(5),
            || waits.get(),
            |kind| told.borrow_mut().push(format!("{kind:?}")),
        ));
        let mut at = |seconds: i64| {
            clock.advance_to(Time::ZERO + TimeDelta::from_secs(seconds));
            assert!(poll_once(watch.as_mut()).is_none());
            std::mem::take(&mut *told.borrow_mut()).join(" ")
        };
        assert_eq!(at(0), "");
        assert_eq!(at(7), "", "nothing waits");
        waits.set(true);
        pulse.beat(Time::ZERO + TimeDelta::from_secs(9));
        assert_eq!(at(13), "");
        assert!(at(14).starts_with("Stalled"));
        assert_eq!(at(40), "", "once");
        pulse.beat(Time::ZERO + TimeDelta::from_secs(40));
        assert!(at(41).starts_with("Recovered"));
        assert!(at(46).starts_with("Stalled"));
    }
}
