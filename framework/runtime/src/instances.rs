//! The instances of a template: started for those who come, isolated from each other, gone when they have ended.
//!
//! ```text
//!                  ┌───────────── supervisor, a task ─────────────┐
//! Arrivals ──────► │ one for each name; the next of a name waits  │ ──starts──► attendant, a task each: Pipeline, Bus
//!                  └──────────────────────────────────────────────┘                      │
//! Instances ◄── InstanceEvent: Started, Message, Ended ◄──────────────────────────────────┘
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use millstream_core::template::{Arrival, Arrivals};
use millstream_core::{Env, Error, Message, Result, Time};
use millstream_graph::Template;
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

use crate::control::Order;
use crate::pipeline::{Monitor, Pipeline, TeardownLimits, read_drops};
use crate::spawner::Spawner;
use crate::stats::{DropCount, DropStats, LinkReport};

/// Events that wait for an application that does not read. What comes after is left out; the counters keep the sums.
const MAX_WAITING: usize = 4096;

/// What happens to the instances of a template. Instances are called `TEMPLATE/NAME`: `live-server/live/cam`.
#[derive(Clone, Debug)]
pub enum InstanceEvent {
    /// One has been started.
    Started {
        /// Its name.
        instance: Arc<str>,
    },
    /// An element of it, or the runtime on its behalf, says something.
    Message {
        /// Its name.
        instance: Arc<str>,
        /// What is said.
        message: Message,
    },
    /// One has ended, or could not be started. The others go on.
    Ended {
        /// Its name.
        instance: Arc<str>,
        /// Why, if not because who it was for has gone.
        error: Option<Arc<Error>>,
        /// What passed on its links.
        report: InstanceReport,
    },
}

/// A reading of an instance.
#[derive(Clone, Debug)]
pub struct InstanceReport {
    /// Name of the instance, after that of its template: `live-server/live/cam`.
    pub name: Arc<str>,
    /// When it was started, on the clock of the runtime.
    pub started: Time,
    /// Each link.
    pub links: Vec<LinkReport>,
    /// What elements left out, by element and reason.
    pub drops: BTreeMap<String, BTreeMap<&'static str, DropCount>>,
    /// How often elements with `on-error: restart` were built anew, by name.
    pub restarts: BTreeMap<String, u64>,
}

/// A running template ([`crate::Runtime::serve`]). Dropped, it cancels its instances.
pub struct Instances {
    events: Option<InstanceEvents>,
    stopper: InstancesStopper,
    monitor: InstanceMonitor,
    ended: watch::Receiver<Option<Result<()>>>,
    address: Option<String>,
}

/// Receiving end of what happens to instances.
pub struct InstanceEvents(mpsc::Receiver<InstanceEvent>);

/// Stops the instances of a template from anywhere.
#[derive(Clone)]
pub struct InstancesStopper(Arc<watch::Sender<Order>>);

/// Reads the instances of a template from anywhere.
#[derive(Clone)]
pub struct InstanceMonitor(Arc<Mutex<HashMap<Arc<str>, Handle>>>);

/// What can be read of an instance.
#[derive(Clone)]
struct Handle {
    started: Time,
    monitor: Monitor,
    drops: Vec<(Arc<str>, Arc<DropStats>)>,
}

/// The templates of a runtime.
#[derive(Default)]
pub(crate) struct Directory(Mutex<Vec<InstanceMonitor>>);

impl Instances {
    /// Where one comes to, for people: `rtmp://127.0.0.1:1935/live/STREAM`.
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The events; the first caller gets them.
    pub fn events(&mut self) -> Option<InstanceEvents> {
        self.events.take()
    }

    /// Stops them from elsewhere.
    pub fn stopper(&self) -> InstancesStopper {
        self.stopper.clone()
    }

    /// Lets nobody in any more and ends every source, so that files are finished; then [`Instances::wait`].
    pub fn stop(&self) {
        self.stopper.stop();
    }

    /// Reads them from elsewhere.
    pub fn monitor(&self) -> InstanceMonitor {
        self.monitor.clone()
    }

    /// A reading of each, by name.
    pub fn list(&self) -> Vec<InstanceReport> {
        self.monitor.list()
    }

    /// Waits until all have ended after [`Instances::stop`]: not longer than the limits of the runtime for one pipeline, as they end
    /// beside each other.
    ///
    /// # Errors
    /// Why nobody could come any more, if that ended the template. Errors of instances are events.
    pub async fn wait(&mut self) -> Result<()> {
        let ended = self.ended.wait_for(Option::is_some).await;
        match ended.as_deref() {
            Ok(Some(Err(error))) => Err(error.copy()),
            Ok(_) => Ok(()),
            // The supervisor is gone, and with it all that it waited for.
            Err(_) => Err(Error::bug("the runtime panicked; please report this")),
        }
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        self.stopper.cancel();
    }
}

impl InstanceEvents {
    /// The next event; `None` when the template has ended.
    pub async fn next(&mut self) -> Option<InstanceEvent> {
        self.0.recv().await
    }

    /// The next event if one is waiting.
    pub fn try_next(&mut self) -> Option<InstanceEvent> {
        self.0.try_recv().ok()
    }
}

impl InstancesStopper {
    /// Lets nobody in any more and ends every source.
    pub fn stop(&self) {
        self.give(Order::Drain);
    }

    /// Leaves everything at once.
    pub fn cancel(&self) {
        self.give(Order::Cancel);
    }

    fn give(&self, order: Order) {
        self.0.send_if_modified(|now| std::mem::replace(now, (*now).max(order)) < order);
    }
}

impl InstanceMonitor {
    /// A reading of each instance, by name.
    pub fn list(&self) -> Vec<InstanceReport> {
        let handles: Vec<_> = self.lock().iter().map(|(name, handle)| (name.clone(), handle.clone())).collect();
        let mut list: Vec<_> = handles.into_iter().map(|(name, handle)| handle.report(name)).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for InstanceMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstanceMonitor({})", self.count())
    }
}

impl Handle {
    fn report(&self, name: Arc<str>) -> InstanceReport {
        InstanceReport {
            name,
            started: self.started,
            links: self.monitor.links(),
            drops: read_drops(&self.drops),
            restarts: self.monitor.restarts(),
        }
    }
}

impl Directory {
    /// Every instance of every template.
    pub(crate) fn list(&self) -> Vec<InstanceReport> {
        let monitors = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        monitors.iter().flat_map(InstanceMonitor::list).collect()
    }

    fn add(&self, monitor: &InstanceMonitor) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(monitor.clone());
    }

    fn remove(&self, monitor: &InstanceMonitor) {
        let is_other = |other: &InstanceMonitor| !Arc::ptr_eq(&other.0, &monitor.0);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(is_other);
    }
}

/// Where instances run.
pub(crate) struct Stage {
    pub(crate) env: Env,
    pub(crate) spawner: Spawner,
    pub(crate) limits: TeardownLimits,
}

/// Lets those in who come to a template.
pub(crate) fn serve(template: &Template, stage: Stage) -> Result<Instances> {
    let handle = stage.spawner.handle().clone();
    // Sockets belong to the runtime in whose context they are made.
    let entered = handle.enter();
    let arrivals = template.open(&stage.env)?;
    drop(entered);
    let address = arrivals.address();
    let (events, received) = mpsc::channel(MAX_WAITING);
    let (order, orders) = watch::channel(Order::Run);
    let order = Arc::new(order);
    let (ended, ends) = watch::channel(None);
    let monitor = InstanceMonitor(Arc::default());
    let directory = stage.env.shared::<Directory>();
    directory.add(&monitor);
    let (done, finished) = mpsc::unbounded_channel();
    let supervisor = Supervisor {
        template: template.clone(),
        stage,
        events,
        order: order.clone(),
        orders,
        monitor: monitor.clone(),
        waiting: HashMap::new(),
        done,
        finished,
    };
    let listed = monitor.clone();
    handle.spawn(async move {
        let result = supervisor.run(arrivals).await;
        directory.remove(&listed);
        ended.send_replace(Some(result));
    });
    let stopper = InstancesStopper(order);
    Ok(Instances { events: Some(InstanceEvents(received)), stopper, monitor, ended: ends, address })
}

struct Supervisor {
    template: Template,
    stage: Stage,
    events: mpsc::Sender<InstanceEvent>,
    order: Arc<watch::Sender<Order>>,
    orders: watch::Receiver<Order>,
    monitor: InstanceMonitor,
    /// Instances that there are, each with those who came under its name while it was ending.
    waiting: HashMap<Arc<str>, VecDeque<Arrival>>,
    /// Names of those that have ended.
    done: mpsc::UnboundedSender<Arc<str>>,
    finished: mpsc::UnboundedReceiver<Arc<str>>,
}

impl Supervisor {
    async fn run(mut self, mut arrivals: Box<dyn Arrivals>) -> Result<()> {
        let mut orders = self.orders.clone();
        let result = loop {
            tokio::select! {
                biased;
                _ = orders.wait_for(|order| *order != Order::Run) => break Ok(()),
                Some(name) = self.finished.recv() => self.ended(&name),
                arrival = arrivals.next() => match arrival {
                    Ok(Some(arrival)) => self.arrived(arrival),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                },
            }
        };
        // Nobody is let in any more, and who waited for a name is let go. Without a stop those that are there are ended too.
        drop(arrivals);
        InstancesStopper(self.order.clone()).stop();
        self.waiting.values_mut().for_each(VecDeque::clear);
        while !self.waiting.is_empty() {
            let Some(name) = self.finished.recv().await else { break };
            self.ended(&name);
        }
        result
    }

    fn arrived(&mut self, arrival: Arrival) {
        let name: Arc<str> = format!("{}/{}", self.template.name(), arrival.name).into();
        match self.waiting.get_mut(&name) {
            Some(waiting) => waiting.push_back(arrival),
            None => self.start(name, arrival),
        }
    }

    fn ended(&mut self, name: &Arc<str>) {
        self.monitor.lock().remove(name);
        let next = self.waiting.remove(name).and_then(|mut waiting| Some((waiting.pop_front()?, waiting)));
        if let Some((arrival, rest)) = next {
            self.start(name.clone(), arrival);
            self.waiting.entry(name.clone()).or_default().extend(rest);
        }
    }

    fn start(&mut self, name: Arc<str>, arrival: Arrival) {
        let span = tracing::info_span!("instance", name = &*name);
        let Arrival { variables, seat, place, .. } = arrival;
        let seat = (Arc::from(self.template.source_element()), seat);
        let Stage { env, spawner, limits } = &self.stage;
        let start = || {
            let graph = self.template.instantiate(&variables)?;
            Pipeline::start(&graph, env.clone(), spawner.clone(), *limits, Some(seat))
        };
        // Elements are built here, and a panic in one must not end the others.
        let pipeline = span.in_scope(|| std::panic::catch_unwind(AssertUnwindSafe(start)));
        let pipeline = pipeline.unwrap_or_else(|_| Err(Error::bug("an element panicked when it was built")));
        let started = env.clock.now();
        self.waiting.insert(name.clone(), VecDeque::new());
        let attendant = Attendant { name: name.clone(), events: self.events.clone(), orders: self.orders.clone() };
        let done = self.done.clone();
        let pipeline = match pipeline {
            Ok(pipeline) => pipeline,
            Err(error) => {
                attendant.ended(Err(error), InstanceReport::nothing(name.clone(), started));
                let _ = done.send(name);
                return;
            }
        };
        let handle = Handle { started, monitor: pipeline.monitor(), drops: pipeline.drop_stats() };
        self.monitor.lock().insert(name.clone(), handle.clone());
        let body = async move {
            let attended = AssertUnwindSafe(attendant.attend(pipeline, &handle)).catch_unwind().await;
            if attended.is_err() {
                tracing::error!("the runtime panicked; please report this");
            }
            drop(place);
            // Nobody listens only when the runtime is ending.
            let _ = done.send(name);
        };
        spawner.handle().spawn(body.instrument(span));
    }
}

impl InstanceReport {
    fn nothing(name: Arc<str>, started: Time) -> Self {
        Self { name, started, links: Vec::new(), drops: BTreeMap::new(), restarts: BTreeMap::new() }
    }
}

/// Sees to one instance.
struct Attendant {
    name: Arc<str>,
    events: mpsc::Sender<InstanceEvent>,
    orders: watch::Receiver<Order>,
}

impl Attendant {
    async fn attend(mut self, mut pipeline: Pipeline, handle: &Handle) {
        tracing::info!("started");
        self.tell(InstanceEvent::Started { instance: self.name.clone() });
        let stopper = pipeline.stopper();
        let mut bus = pipeline.bus();
        let result = {
            let mut end = pin!(pipeline.wait());
            // Marked as seen when it was cloned.
            self.orders.mark_changed();
            loop {
                tokio::select! {
                    biased;
                    Ok(()) = self.orders.changed() => match *self.orders.borrow_and_update() {
                        Order::Run => {}
                        Order::Drain => stopper.stop(),
                        Order::Cancel => stopper.cancel(),
                    },
                    result = &mut end => break result,
                    Some(message) = async { bus.as_mut()?.next().await } => self.hear(message),
                }
            }
        };
        while let Some(message) = bus.as_mut().and_then(|bus| bus.try_next()) {
            self.hear(message);
        }
        self.ended(result, handle.report(self.name.clone()));
    }

    fn hear(&self, message: Message) {
        self.tell(InstanceEvent::Message { instance: self.name.clone(), message });
    }

    fn ended(&self, result: Result<()>, report: InstanceReport) {
        match &result {
            Ok(()) => tracing::info!("ended"),
            Err(error) => tracing::error!(%error, "failed; the other instances go on"),
        }
        self.tell(InstanceEvent::Ended { instance: self.name.clone(), error: result.err().map(Arc::new), report });
    }

    fn tell(&self, event: InstanceEvent) {
        // A full channel means that nobody reads.
        let _ = self.events.try_send(event);
    }
}
