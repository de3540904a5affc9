//! Building anew what has failed: `on-error: restart`.
//!
//! Each domain (`plan::Domain`) has a supervisor beside its tasks. When one of them fails it lets the others leave, waits, has
//! the elements built anew from their factories, and gives the tasks that feed them new sending ends; those tell what the links
//! remember and go on with the next key frame. What the domain itself feeds hears nothing of it but a new stream.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use futures_util::FutureExt;
use millstream_core::{Error, ErrorKind, MessageKind, Result, Time, TimeDelta};
use millstream_graph::OnError;
use tokio::sync::mpsc;

use crate::backoff::Row;
use crate::control::Order;
use crate::driver::End;
use crate::plan::{Blueprint, Crossing, Domain, PlannedTask};
use crate::spawner::Spawner;

/// How a task ended, and its number.
pub(crate) type Ends = mpsc::UnboundedSender<(usize, Result<End>)>;

/// Runs a task; `ended` hears how it ended.
pub(crate) fn spawn(
    spawner: &Spawner,
    task: PlannedTask,
    ended: impl FnOnce(Result<End>) + Send + 'static,
) -> Result<()> {
    let PlannedTask { driver, names, place, .. } = task;
    let body = async move {
        let end = AssertUnwindSafe(driver.run()).catch_unwind().await;
        ended(end.unwrap_or_else(|_| Err(Error::bug("the runtime panicked; please report this"))));
    };
    let name = names.first().map_or("task", |n| n);
    spawner.spawn(name, place, body).map_err(|e| Error::io("cannot start a thread", e))
}

/// Looks after one domain.
pub(crate) struct Supervisor {
    pub(crate) blueprint: Arc<Blueprint>,
    /// Number of the domain.
    pub(crate) domain: usize,
    /// Number in the pipeline of the first task of the plan.
    pub(crate) first: usize,
    pub(crate) spawner: Spawner,
    pub(crate) ends: Ends,
    /// How long tasks may take to leave.
    pub(crate) patience: TimeDelta,
}

/// What becomes of a domain that has failed.
enum Next {
    /// It was built anew.
    Again(Vec<PlannedTask>),
    /// Nothing comes any more, or nobody wants it to go on.
    Over,
    GivenUp(Error),
}

impl Supervisor {
    /// Runs the tasks, and again until they end well or it is given up.
    pub(crate) async fn run(self, tasks: Vec<PlannedTask>) {
        let (mut tasks, mut row) = (tasks, Row::default());
        let outcome = loop {
            let Err(error) = self.watch(tasks).await else { break Ok(()) };
            match self.after(error, &mut row).await {
                Next::Again(anew) => tasks = anew,
                Next::Over => break Ok(()),
                Next::GivenUp(error) => break Err(error),
            }
        };
        self.leave(outcome);
    }

    fn domain(&self) -> &Domain {
        &self.blueprint.domains[self.domain]
    }

    fn name(&self) -> &Arc<str> {
        &self.blueprint.graph.nodes[self.domain().root].name
    }

    fn post(&self, kind: MessageKind) {
        self.blueprint.bus.post(self.name(), kind);
    }

    fn now(&self) -> Time {
        self.blueprint.env.clock.now()
    }

    /// Runs tasks until all have ended. When one fails the others leave.
    async fn watch(&self, tasks: Vec<PlannedTask>) -> Result<()> {
        let controls: Vec<_> = tasks.iter().map(|task| task.control.clone()).collect();
        controls.iter().for_each(|control| control.leave(false));
        let (sender, mut ends) = mpsc::unbounded_channel();
        let (mut running, mut failure, mut deadline) = (0_usize, Ok(()), None);
        for task in tasks {
            let ended = sender.clone();
            // Nobody listens only when the supervisor has given up on it.
            match spawn(&self.spawner, task, move |end| drop(ended.send(end))) {
                Ok(()) => running += 1,
                Err(error) => failure = Err(error),
            }
        }
        while running > 0 {
            if failure.is_err() && deadline.is_none() {
                controls.iter().for_each(|control| control.leave(true));
                deadline = Some(self.now() + self.patience);
            }
            match self.next_end(&mut ends, deadline).await {
                Some(Ok(_)) => running -= 1,
                Some(Err(error)) => {
                    running -= 1;
                    failure = failure.and(Err(error));
                }
                None => return failure.map_err(|e| e.hint("it cannot be built anew: a part of it did not return")),
            }
        }
        failure
    }

    async fn next_end(
        &self,
        ends: &mut mpsc::UnboundedReceiver<Result<End>>,
        deadline: Option<Time>,
    ) -> Option<Result<End>> {
        let mut end = pin!(ends.recv());
        let mut timer = deadline.map(|at| self.blueprint.env.clock.sleep_until(at));
        poll_fn(|cx| {
            if let Poll::Ready(end) = end.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            match &mut timer {
                Some(timer) => timer.as_mut().poll(cx).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// The domain has failed: waits and builds it anew, as long as its policy says.
    async fn after(&self, mut error: Error, row: &mut Row) -> Next {
        let env = &self.blueprint.env;
        loop {
            if self.is_final(&error) {
                return Next::GivenUp(error);
            }
            let Some(wait) = row.next(&self.domain().policy, self.now(), env.random()) else {
                self.post(MessageKind::GaveUp { attempts: row.attempts() });
                return Next::GivenUp(error);
            };
            let said = Arc::new(error.copy());
            self.post(MessageKind::Restarting { error: said, wait, attempt: row.attempts() });
            if self.rest(self.now() + wait).await {
                return self.over(error);
            }
            match self.blueprint.rebuild(self.domain) {
                Ok(assembled) => {
                    row.restarted(self.now());
                    self.blueprint.restarts[self.domain].fetch_add(1, Ordering::Relaxed);
                    self.post(MessageKind::Restarted { attempt: row.attempts() });
                    self.rejoin(assembled.crossings, assembled.entry);
                    return Next::Again(assembled.tasks);
                }
                Err(e) => error = e,
            }
        }
    }

    /// What another attempt cannot change, and what was said to end the pipeline.
    fn is_final(&self, error: &Error) -> bool {
        let graph = &self.blueprint.graph;
        let ends_all = |name| graph.find(name).is_some_and(|node| graph.nodes[node].on_error == OnError::Fail);
        matches!(error.kind(), ErrorKind::Settings | ErrorKind::Unsupported)
            || error.element().is_some_and(ends_all)
            || self.blueprint.failures.left_no_sink()
    }

    /// Waits until a time. True when nothing is left to go on for: the pipeline stops, or nobody feeds the domain any more.
    async fn rest(&self, until: Time) -> bool {
        let mut timer = self.blueprint.env.clock.sleep_until(until);
        let tasks = self.blueprint.tasks_of(self.domain);
        let ports: Vec<_> = tasks.iter().map(|t| self.blueprint.port(*t)).filter(|port| !port.is_unfed()).collect();
        poll_fn(|cx| {
            let ordered = |task: &usize| self.blueprint.controls[*task].poll_standing_order(&mut *cx).is_ready();
            if tasks.iter().any(ordered) {
                return Poll::Ready(true);
            }
            let over = ports.iter().all(|port| port.poll_over(&mut *cx).is_ready());
            if over && !ports.is_empty() {
                return Poll::Ready(true);
            }
            timer.as_mut().poll(cx).map(|()| false)
        })
        .await
    }

    /// It ends while it is down. A stop is no failure; an input that ended meanwhile was not received whole.
    fn over(&self, error: Error) -> Next {
        let stopped = |task: &usize| self.blueprint.controls[*task].standing_order() != Order::Run;
        match self.blueprint.tasks_of(self.domain).iter().any(stopped) {
            true => Next::Over,
            false => Next::GivenUp(error),
        }
    }

    /// Gives whoever feeds the domain the new sending ends.
    fn rejoin(&self, crossings: Vec<Crossing>, entry: Option<crate::port::PortSender>) {
        let entry = entry.zip(self.blueprint.feeder.get());
        let entry = entry.map(|(sender, (control, at, to))| Crossing {
            control: control.clone(),
            at: *at,
            to: to.clone(),
            sender,
        });
        for Crossing { control, at, to, mut sender } in crossings.into_iter().chain(entry) {
            if control.is_closed() {
                sender.end();
            } else {
                control.command(Box::new(move |chain| chain.rejoin(at, &to, sender)));
            }
        }
    }

    /// The domain is over for good: tells those that it feeds, those that feed it, and the pipeline.
    fn leave(&self, outcome: Result<()>) {
        let tasks = self.blueprint.tasks_of(self.domain);
        let drained = |task: &usize| self.blueprint.controls[*task].standing_order() == Order::Drain;
        let ends_well = outcome.is_ok() && tasks.iter().any(drained);
        for (port, pad) in self.blueprint.fed_by(self.domain) {
            port.give_up_producer(pad, ends_well);
        }
        tasks.iter().for_each(|task| {
            self.blueprint.port(*task).shut();
            self.blueprint.controls[*task].close();
        });
        let mut failure = outcome.err().and_then(|error| self.isolate(error));
        for task in tasks {
            let end = failure.take().map_or(Ok(End::Eos), Err);
            // Nobody listens only when the pipeline has been dropped.
            let _ = self.ends.send((self.first + task, end));
        }
    }

    /// The error, unless the rest of the pipeline goes on without the domain.
    fn isolate(&self, error: Error) -> Option<Error> {
        let Blueprint { graph, failures, .. } = &*self.blueprint;
        if !self.domain().isolated || failures.left_no_sink() {
            return Some(error);
        }
        let name = error.element().map_or_else(|| self.name().clone(), Arc::from);
        self.blueprint.bus.post(&name, MessageKind::Error(Arc::new(error.copy())));
        failures.record(error);
        let sinks = self.domain().nodes.iter().filter(|node| graph.links_out_of(**node).next().is_none());
        sinks.for_each(|_| failures.sink_is_gone());
        failures.left_no_sink().then(|| Error::bug("every output has failed"))
    }
}
