//! A running pipeline, as the application holds it.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use millstream_core::template::Seat;
use millstream_core::{
    CapsSet, Direction, Env, Error, Message, MessageKind, PadId, Presence, Request, Result, Time, TimeDelta,
};
use millstream_graph::Graph;
use tokio::sync::{Notify, mpsc};

use crate::bus::{Bus, BusSender, bus};
use crate::chain::Chain;
use crate::control::{Control, Order};
use crate::driver::End;
use crate::failures::Failures;
use crate::link::{Dest, Memory, SrcLink};
use crate::plan::{Blueprint, LinkHandle, Outside, Plan, plan};
use crate::spawner::{Place, Spawner};
use crate::stats::{DropCount, DropStats, LinkReport, Whereabouts};
use crate::supervise::{Supervisor, spawn};
use crate::watch::{STALL_LIMIT, Watch};

/// How long elements may take to finish what they hold after [`Pipeline::stop`], before they are cancelled.
pub const DRAIN_LIMIT: TimeDelta = TimeDelta::from_secs(30);

/// How long a cancelled element may take to return before it is named as stuck and left behind.
pub const CANCEL_LIMIT: TimeDelta = TimeDelta::from_secs(5);

/// A running pipeline. Dropping it cancels what still runs.
pub struct Pipeline {
    env: Env,
    spawner: Spawner,
    tasks: Vec<TaskHandle>,
    ends: mpsc::UnboundedReceiver<(usize, Result<End>)>,
    end_sender: mpsc::UnboundedSender<(usize, Result<End>)>,
    bus_sender: BusSender,
    bus: Option<Bus>,
    links: Arc<Mutex<Vec<LinkHandle>>>,
    drops: Vec<(Arc<str>, Arc<DropStats>)>,
    /// What the graph and each branch are built from.
    blueprints: Arc<Mutex<Vec<Arc<Blueprint>>>>,
    /// Since when it runs, on the clock.
    base_time: Time,
    handles: HashMap<Arc<str>, Box<dyn Any + Send + Sync>>,
    places: HashMap<Arc<str>, (usize, usize)>,
    error: Option<Error>,
    failures: Arc<Failures>,
    limits: TeardownLimits,
    /// Whoever waits for the end is to look whether it was asked for.
    asked: Arc<Notify>,
}

/// How long a pipeline may take to end, and its consumers to take something.
#[derive(Clone, Copy, Debug)]
pub struct TeardownLimits {
    /// From [`Pipeline::stop`] until what still runs is cancelled.
    pub drain: TimeDelta,
    /// From cancelling until what still runs is named and left behind.
    pub cancel: TimeDelta,
    /// How long a consumer behind a live source may leave what waits for it, before the bus says
    /// [`MessageKind::Stalled`].
    pub stall: TimeDelta,
}

impl Default for TeardownLimits {
    fn default() -> Self {
        Self { drain: DRAIN_LIMIT, cancel: CANCEL_LIMIT, stall: STALL_LIMIT }
    }
}

struct TaskHandle {
    control: Arc<Control>,
    whereabouts: Arc<Whereabouts>,
    names: Vec<Arc<str>>,
    is_source: bool,
    has_sink: bool,
    running: bool,
}

/// Stops a pipeline from anywhere, such as a signal handler.
#[derive(Clone)]
pub struct Stopper {
    controls: Vec<(Arc<Control>, bool)>,
    asked: Arc<Notify>,
}

impl Stopper {
    /// Ends every source, so that sinks finish their files; the pipeline ends by itself.
    pub fn stop(&self) {
        // Before any source ends: what comes of that is no surprise to anybody.
        self.controls.iter().for_each(|(c, _)| c.note_stopping());
        self.controls.iter().filter(|(_, is_source)| *is_source).for_each(|(c, _)| c.give(Order::Drain));
        self.asked.notify_one();
    }

    /// Leaves everything at once.
    pub fn cancel(&self) {
        self.controls.iter().for_each(|(c, _)| c.give(Order::Cancel));
        self.asked.notify_one();
    }
}

impl Pipeline {
    /// Starts a graph. With a seat it is an instance of a template, and the element of that name is given the seat.
    pub(crate) fn start(
        graph: &Graph,
        env: Env,
        spawner: Spawner,
        limits: TeardownLimits,
        seat: Option<(Arc<str>, Seat)>,
    ) -> Result<Self> {
        let (bus_sender, bus) = bus();
        let failures = Arc::<Failures>::default();
        let spin = spawner.has_parallel_tasks();
        let base_time = env.clock.now();
        let outside = Outside { env: &env, bus: &bus_sender, failures: &failures, spin, seat: seat.into(), base_time };
        let joined = graph.joined();
        let plan = plan(joined.as_ref().map_or(graph, |joined| &joined.graph), &outside, None)?;
        let (end_sender, ends) = mpsc::unbounded_channel();
        let mut pipeline = Self {
            env,
            spawner,
            tasks: Vec::new(),
            ends,
            end_sender,
            bus_sender,
            bus: Some(bus),
            links: Arc::default(),
            drops: Vec::new(),
            blueprints: Arc::default(),
            base_time,
            handles: HashMap::new(),
            places: HashMap::new(),
            error: None,
            failures,
            limits,
            asked: Arc::default(),
        };
        pipeline.adopt(plan)?;
        let members = joined.map(|joined| joined.members).unwrap_or_default();
        let place = |(member, of): (_, Arc<str>)| Some((member, *pipeline.places.get(&of)?));
        let places: Vec<_> = members.into_iter().filter_map(place).collect();
        pipeline.places.extend(places);
        Ok(pipeline)
    }

    fn adopt(&mut self, plan: Plan) -> Result<()> {
        let first = self.tasks.len();
        self.places.extend(plan.places.into_iter().map(|(name, (task, at))| (name, (first + task, at))));
        self.handles.extend(plan.handles);
        self.drops.extend(plan.drops);
        self.links.lock().unwrap_or_else(PoisonError::into_inner).extend(plan.blueprint.links.iter().cloned());
        self.blueprints.lock().unwrap_or_else(PoisonError::into_inner).push(plan.blueprint.clone());
        for task in &plan.tasks {
            let (control, whereabouts) = (task.control.clone(), task.whereabouts.clone());
            let (names, is_source, has_sink) = (task.names.clone(), task.is_source, task.has_sink);
            self.tasks.push(TaskHandle { control, whereabouts, names, is_source, has_sink, running: true });
        }
        let mut supervised: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        // Consumers first, so that nothing waits in a link for a task that is still being made.
        for task in plan.tasks.into_iter().rev() {
            match plan.blueprint.domain_of_task(task.index) {
                Some(domain) => supervised.entry(domain).or_default().push(task),
                None => {
                    let index = first + task.index;
                    let control = task.control.clone();
                    let ends = self.end_sender.clone();
                    spawn(&self.spawner, task, move |end| {
                        control.close();
                        // Nobody listens only when the pipeline has been dropped.
                        let _ = ends.send((index, end));
                    })?;
                }
            }
        }
        if let Some(watch) = Watch::new(plan.blueprint.clone(), self.limits.stall) {
            self.spawner.spawn("watch", Place::Worker, watch.run()).map_err(|e| Error::io("cannot start a task", e))?;
        }
        for (domain, tasks) in supervised {
            let supervisor = Supervisor {
                blueprint: plan.blueprint.clone(),
                domain,
                first,
                spawner: self.spawner.clone(),
                ends: self.end_sender.clone(),
                patience: self.limits.cancel,
            };
            let body = supervisor.run(tasks);
            self.spawner.spawn("supervisor", Place::Worker, body).map_err(|e| Error::io("cannot start a task", e))?;
        }
        Ok(())
    }

    /// The messages; the first caller gets them.
    pub fn bus(&mut self) -> Option<Bus> {
        self.bus.take()
    }

    /// What an element left for the application: the handle of an `appsrc` or `appsink`.
    pub fn handle<T: 'static>(&mut self, element: &str) -> Option<T> {
        let (name, handle) = self.handles.remove_entry(element)?;
        match handle.downcast() {
            Ok(handle) => Some(*handle),
            Err(other) => {
                self.handles.insert(name, other);
                None
            }
        }
    }

    /// Stops the pipeline from elsewhere.
    pub fn stopper(&self) -> Stopper {
        let controls = self.tasks.iter().map(|t| (t.control.clone(), t.is_source)).collect();
        Stopper { controls, asked: self.asked.clone() }
    }

    /// Ends every source, so that sinks finish their files; then [`Pipeline::wait`].
    pub fn stop(&self) {
        self.stopper().stop();
    }

    /// Sends a request to an element as if from downstream of its first source pad: a seek to a source, a key frame
    /// to an encoder.
    pub fn request(&self, element: &str, request: Request) -> Result<()> {
        let (task, at) =
            *self.places.get(element).ok_or_else(|| Error::settings(format!("no element is called `{element}`")))?;
        self.tasks[task].control.request(at, PadId::FIRST, request);
        Ok(())
    }

    /// The longest latency from a source to a sink: as the elements have told while they run ([`MessageKind::Latency`]), else as they
    /// declare it.
    pub fn latency(&self) -> TimeDelta {
        self.monitor().latency()
    }

    /// A reading of every link.
    pub fn links(&self) -> Vec<LinkReport> {
        self.monitor().links()
    }

    /// What elements left out, by element and reason.
    pub fn drops(&self) -> BTreeMap<String, BTreeMap<&'static str, DropCount>> {
        read_drops(&self.drops)
    }

    /// Reads what elements left out from elsewhere.
    pub(crate) fn drop_stats(&self) -> Vec<(Arc<str>, Arc<DropStats>)> {
        self.drops.clone()
    }

    /// How often elements with `on-error: restart` were built anew, by name.
    pub fn restarts(&self) -> BTreeMap<String, u64> {
        self.monitor().restarts()
    }

    /// Reads the links from elsewhere while the pipeline is being waited for.
    pub fn monitor(&self) -> Monitor {
        Monitor { links: self.links.clone(), blueprints: self.blueprints.clone() }
    }

    /// Attaches a branch to a running element that fans out (`tee`). The branch is a graph whose first element has one
    /// unlinked sink pad. It hears stream start, caps and segment first, then data from the next key frame.
    pub fn add_branch(&mut self, element: &str, branch: &Graph) -> Result<()> {
        let (task, at) =
            *self.places.get(element).ok_or_else(|| Error::settings(format!("no element is called `{element}`")))?;
        let entry = branch.nodes.iter().enumerate().position(|(n, node)| {
            branch.links_into(n).next().is_none() && node.factory.templates(Direction::Sink).next().is_some()
        });
        let entry = entry.ok_or_else(|| Error::settings("the branch has no unlinked sink pad to be fed through"))?;
        let spin = self.spawner.has_parallel_tasks();
        let outside = Outside {
            env: &self.env,
            bus: &self.bus_sender,
            failures: &self.failures,
            spin,
            seat: None.into(),
            base_time: self.base_time,
        };
        let mut plan = plan(branch, &outside, Some(entry))?;
        let sender = plan.entry.take().ok_or_else(|| Error::bug("a branch without an entry"))?;
        let to = format!("{}.sink", branch.nodes[entry].name);
        let accept = branch.nodes[entry].factory.templates(Direction::Sink).next();
        let handle =
            LinkHandle { stats: Arc::default(), caps: Arc::default(), from: format!("{element}.late"), to: to.clone() };
        let control = self.tasks[task].control.clone();
        let mut memory = Memory::default();
        memory.keep_headers(true);
        // A branch is planned once; nobody else has told it who feeds it.
        let _ = plan.blueprint.feeder.set((control.clone(), at, to.clone()));
        let src_link = SrcLink {
            dest: Dest::Port(sender),
            stats: handle.stats.clone(),
            from: handle.from.clone(),
            to,
            accept: accept.map_or(CapsSet::Any, |t| t.caps.clone()),
            presence: Presence::Request,
            memory,
            until_keyframe: true,
            resumes: false,
            joint: None,
            converters: branch.converters.clone(),
            caps: handle.caps.clone(),
        };
        self.adopt(plan)?;
        control.command(Box::new(move |chain: &mut Chain| chain.add_src(at, src_link)));
        Ok(())
    }

    /// Waits until everything has ended, and gives the first error. When a task fails, the others are cancelled; one
    /// that does not return is named. Where only an isolated branch has failed, the others are finished first.
    pub async fn wait(&mut self) -> Result<()> {
        let mut deadline: Option<(Time, Order)> = None;
        while self.tasks.iter().any(|t| t.running) {
            deadline = deadline.or_else(|| self.draining().then(|| self.deadline(self.limits.drain, Order::Drain)));
            let ended = self.next_end(deadline.map(|(at, _)| at)).await;
            match (ended, deadline) {
                (Some((task, Ok(_))), _) => {
                    self.tasks[task].running = false;
                    self.stop_if_unheard();
                }
                (Some((task, Err(error))), _) => {
                    self.tasks[task].running = false;
                    deadline = Some(self.failed(error));
                }
                (None, Some((_, Order::Cancel))) => {
                    let stuck = self.stuck();
                    self.error.get_or_insert(stuck);
                    break;
                }
                (None, Some(_)) => deadline = Some(self.failed(self.not_drained())),
                (None, None) => {}
            }
        }
        // A branch that failed earlier is the cause, if the pipeline failed for want of outputs.
        match self.failures.take_first().or(self.error.take()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// When every sink has come to its end, nobody hears the sources that go on: a file that loops, a publisher that was not shown.
    fn stop_if_unheard(&self) {
        if !self.tasks.iter().any(|task| task.running && task.has_sink) {
            self.stop();
        }
    }

    fn draining(&self) -> bool {
        self.tasks.iter().any(|t| t.running && t.is_source && t.control.standing_order() != Order::Run)
            || self.tasks.iter().any(|t| t.is_source && t.control.standing_order() != Order::Run)
    }

    fn deadline(&self, limit: TimeDelta, order: Order) -> (Time, Order) {
        (self.env.clock.now() + limit, order)
    }

    fn failed(&mut self, error: Error) -> (Time, Order) {
        if self.error.is_none() {
            let element: Arc<str> = error.element().unwrap_or("pipeline").into();
            let shared = Arc::new(error.copy());
            self.bus_sender.post(&element, MessageKind::Error(shared));
            self.error = Some(error);
        }
        self.tasks.iter().for_each(|t| t.control.give(Order::Cancel));
        self.deadline(self.limits.cancel, Order::Cancel)
    }

    /// The next task that ends; `None` when the deadline comes first or a stop has been asked for.
    async fn next_end(&mut self, deadline: Option<Time>) -> Option<(usize, Result<End>)> {
        let clock = self.env.clock.clone();
        let asked = self.asked.clone();
        let look = async {
            match deadline {
                Some(at) => clock.sleep_until(at).await,
                // No timer: there may be thousands of pipelines.
                None => asked.notified().await,
            }
        };
        let (mut look, mut end) = (pin!(look), pin!(self.ends.recv()));
        poll_fn(|cx| match end.as_mut().poll(cx) {
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => look.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    fn stuck(&self) -> Error {
        let names: Vec<String> = self.tasks.iter().filter(|t| t.running).map(TaskHandle::busy).collect();
        Error::bug(format!("{} did not return when the pipeline was stopped", names.join(", ")))
            .hint("the process can still end; the element is left behind")
    }

    fn not_drained(&self) -> Error {
        let names: Vec<String> = self.tasks.iter().filter(|t| t.running).map(TaskHandle::busy).collect();
        let limit = self.limits.drain;
        Error::limit(format!("{} did not finish within {limit} of the end of input", names.join(", ")))
    }
}

/// What elements left out, by element and reason.
pub(crate) fn read_drops(drops: &[(Arc<str>, Arc<DropStats>)]) -> BTreeMap<String, BTreeMap<&'static str, DropCount>> {
    let read = drops.iter().map(|(name, drops)| (name.to_string(), drops.read()));
    read.filter(|(_, reasons)| !reasons.is_empty()).collect()
}

impl TaskHandle {
    fn busy(&self) -> String {
        let at = self.whereabouts.get().and_then(|n| self.names.get(n));
        format!("element `{}`", at.or(self.names.first()).map_or("?", |n| n))
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.tasks.iter().for_each(|t| t.control.give(Order::Cancel));
    }
}

/// Reads the counters of a running pipeline.
#[derive(Clone)]
pub struct Monitor {
    links: Arc<Mutex<Vec<LinkHandle>>>,
    blueprints: Arc<Mutex<Vec<Arc<Blueprint>>>>,
}

impl Monitor {
    /// A reading of every link.
    pub fn links(&self) -> Vec<LinkReport> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.iter().map(LinkHandle::report).collect()
    }

    /// As [`Pipeline::latency`]. A branch that was attached counts by itself.
    pub fn latency(&self) -> TimeDelta {
        let blueprints = self.blueprints.lock().unwrap_or_else(PoisonError::into_inner);
        blueprints.iter().map(|b| b.latency()).max().unwrap_or_default()
    }

    /// How often elements with `on-error: restart` were built anew, by name.
    pub fn restarts(&self) -> BTreeMap<String, u64> {
        let blueprints = self.blueprints.lock().unwrap_or_else(PoisonError::into_inner);
        blueprints.iter().flat_map(|b| b.restarts()).map(|(name, count)| (name.to_string(), count)).collect()
    }
}

impl LinkHandle {
    fn report(&self) -> LinkReport {
        let mut report = self.stats.report(&self.from, &self.to);
        let caps = self.caps.lock().unwrap_or_else(PoisonError::into_inner);
        report.caps = caps.as_ref().map(ToString::to_string);
        report
    }
}

impl Pipeline {
    /// Posts a message of the application's own, for tests of bus readers.
    #[doc(hidden)]
    pub fn post(&self, message: Message) {
        self.bus_sender.post(&message.element, message.kind);
    }
}
