//! Alive means that something moves: tells of consumers behind a live source that take nothing although something waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_core::{MessageKind, Time, TimeDelta};

use crate::plan::Blueprint;

/// How long a consumer may take nothing before it counts as stalled: longer than any pause that a healthy peer makes.
pub const STALL_LIMIT: TimeDelta = TimeDelta::from_secs(10);

/// Looks within a limit: a stall is told of at most this part of the limit late.
const LOOKS: i64 = 4;

/// Watches the tasks of one plan.
pub(crate) struct Watch {
    blueprint: Arc<Blueprint>,
    limit: TimeDelta,
    tasks: Vec<Watched>,
}

struct Watched {
    task: usize,
    /// How often it had taken something when it was looked at last, and since when that has not changed.
    taken: usize,
    since: Time,
    stalled: bool,
}

impl Watch {
    /// Nothing where no task is fed by another one that is live.
    pub(crate) fn new(blueprint: Arc<Blueprint>, limit: TimeDelta) -> Option<Self> {
        let since = blueprint.env.clock.now();
        let tasks = blueprint.live_consumers().map(|task| Watched { task, taken: 0, since, stalled: false });
        let tasks: Vec<_> = tasks.collect();
        (!tasks.is_empty()).then_some(Self { blueprint, limit, tasks })
    }

    /// Looks until all of them are over.
    pub(crate) async fn run(mut self) {
        let pause = TimeDelta::from_nanos((self.limit.nanos() / LOOKS).max(1));
        while !self.tasks.is_empty() {
            let clock = self.blueprint.env.clock.clone();
            clock.sleep_until(clock.now() + pause).await;
            self.tasks.retain(|watched| !self.blueprint.controls[watched.task].is_closed());
            let (blueprint, limit) = (&self.blueprint, self.limit);
            self.tasks.iter_mut().for_each(|watched| watched.look(blueprint, limit));
        }
    }
}

impl Watched {
    fn look(&mut self, blueprint: &Blueprint, limit: TimeDelta) {
        let (port, now) = (blueprint.port(self.task), blueprint.env.clock.now());
        let taken = port.taken().load(Ordering::Relaxed);
        let idle = now.since(self.since);
        if taken != self.taken || !port.waits_for_consumer() {
            if std::mem::take(&mut self.stalled) {
                blueprint.bus.post(blueprint.head_of(self.task), MessageKind::Recovered { after: idle });
            }
            (self.taken, self.since) = (taken, now);
        } else if idle >= limit && !self.stalled {
            self.stalled = true;
            blueprint.bus.post(blueprint.head_of(self.task), MessageKind::Stalled { idle });
        }
    }
}
