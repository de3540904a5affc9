//! Runs a checked graph.
//!
//! A [`Runtime`] has the clock, the files and the threads; [`Runtime::start`] turns a
//! [`millstream_graph::Graph`] into a running [`Pipeline`].
//!
//! | module | what |
//! | --- | --- |
//! | `plan` | which elements share a task, and where channels are |
//! | `chain` | runs the elements of one task, without recursion, locks or queues |
//! | `port` | the channel where tasks meet |
//! | `spin` | looking a little longer before sleeping |
//! | `driver` | the loop of one task: source, mailbox, timers, full links |
//! | `failures` | branches that failed while the rest goes on |
//! | `supervise`, `backoff` | builds anew what has failed, and how soon |
//! | `watch` | tells of consumers that take nothing |
//! | `joint` | one timeline for what is sent before and after |
//! | `pipeline` | start, wait, stop, attach branches, read statistics |
//! | `instances` | the pipelines of a template, one for each who comes |
//! | `spawner` | where tasks run |
//! | `clock`, `fs`, `net` | the outside: real, and simulated |

mod backoff;
mod bus;
mod chain;
mod clock;
mod control;
mod datagrams;
mod driver;
mod failures;
mod fs;
mod instances;
mod joint;
mod link;
mod net;
mod pipeline;
mod plan;
mod port;
mod spawner;
mod spin;
mod stats;
mod supervise;
mod watch;

use std::future::Future;
use std::io;
use std::sync::Arc;

use millstream_core::net::Net;
use millstream_core::trace::TraceSink;
use millstream_core::{Env, Fs, Result};
use millstream_graph::{Graph, Template};

pub use bus::Bus;
pub use instances::{InstanceEvent, InstanceEvents, InstanceMonitor, InstanceReport, Instances, InstancesStopper};
pub use pipeline::{CANCEL_LIMIT, DRAIN_LIMIT, Monitor, Pipeline, Stopper, TeardownLimits};
pub use stats::{DropCount, LinkReport};
pub use watch::STALL_LIMIT;

use self::spawner::{FileThreads, Spawner};

/// Clock, files and threads for any number of pipelines.
pub struct Runtime {
    tokio: tokio::runtime::Runtime,
    env: Env,
    simulated: bool,
    limits: TeardownLimits,
    files: Arc<FileThreads>,
}

impl Runtime {
    /// A runtime on the real clock and the real file system.
    pub fn new() -> io::Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let seed = clock_seed();
        let tasks = Arc::new(net::TokioTasks { handle: tokio.handle().clone(), threads: true });
        let env = Env::new(Arc::new(clock::RealClock::new()), Arc::new(fs::RealFs), seed);
        let env = env.with_net(Arc::new(net::Tcp), tasks).with_entropy(system_key);
        Ok(Self { tokio, env, simulated: false, limits: TeardownLimits::default(), files: Arc::default() })
    }

    /// A simulation: one thread, a clock that jumps to the next deadline when nothing can run, the given files, and
    /// random numbers from `seed`. The same seed gives the same run.
    pub fn simulated(seed: u64, fs: Arc<dyn Fs>) -> io::Result<Self> {
        let clock = clock::VirtualClock::default();
        let idle = clock.clone();
        let tokio = tokio::runtime::Builder::new_current_thread().on_thread_park(move || idle.advance()).build()?;
        let env = Env::new(Arc::new(clock), fs, seed);
        Ok(Self { tokio, env, simulated: true, limits: TeardownLimits::default(), files: Arc::default() })
    }

    /// The same with a network to simulate; `make` is given the clock and the seed of the runtime through its `Env`.
    pub fn with_net(self, make: impl FnOnce(&Env) -> Arc<dyn Net>) -> Self {
        let net = make(&self.env);
        let tasks = Arc::new(net::TokioTasks { handle: self.tokio.handle().clone(), threads: !self.simulated });
        Self { env: self.env.clone().with_net(net, tasks), ..self }
    }

    /// The same, telling `sink` the conversations of its elements with their peers.
    pub fn with_trace(self, sink: Arc<dyn TraceSink>) -> Self {
        Self { env: self.env.clone().with_trace(sink), ..self }
    }

    /// The same with other limits for ending pipelines.
    pub fn with_teardown_limits(self, limits: TeardownLimits) -> Self {
        Self { limits, ..self }
    }

    /// The outside, as elements see it.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Builds the elements of a graph and starts them.
    pub fn start(&self, graph: &Graph) -> Result<Pipeline> {
        Pipeline::start(graph, self.env.clone(), self.spawner(), self.limits, None)
    }

    /// Starts a template: from now on each who comes to its template source, such as a publisher of any stream, has an instance of it, named
    /// for example `live-server/live/cam`. An instance that fails, or whose element panics, ends alone.
    ///
    /// # Errors
    /// When the template source cannot wait for them, such as at an address that is taken.
    pub fn serve(&self, template: &Template) -> Result<Instances> {
        let stage = instances::Stage {
            env: self.env.clone(),
            spawner: self.spawner().shared(self.files.clone()),
            limits: self.limits,
        };
        instances::serve(template, stage)
    }

    /// A reading of every instance of every template that runs here.
    pub fn instances(&self) -> Vec<InstanceReport> {
        self.env.shared::<instances::Directory>().list()
    }

    fn spawner(&self) -> Spawner {
        Spawner::new(self.tokio.handle().clone(), self.simulated)
    }

    /// Runs a future of the application on this runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.tokio.block_on(future)
    }

    /// Starts a graph and waits for its end.
    pub fn run(&self, graph: &Graph) -> Result<()> {
        let mut pipeline = self.start(graph)?;
        self.block_on(pipeline.wait())
    }

    /// Gives up threads that do not return, so that the process can end.
    pub fn shut_down(self) {
        self.tokio.shutdown_background();
    }
}

/// Random numbers of the operating system.
fn system_key() -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| io::Error::other(format!("the system has no random numbers: {error}")))?;
    Ok(key)
}

fn clock_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(32)
}
