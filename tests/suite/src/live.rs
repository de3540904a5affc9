//! Live tests with foreign programs: programs that run beside the test, ports, pipelines of ours, and patience.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use millstream_core::{Buffer, MessageKind, TimeDelta};
use millstream_generic::AppSrcHandle;
use millstream_runtime::{Bus, Pipeline, Runtime};

use crate::{elements, peers, sim};

/// How long anything may take that takes seconds.
pub const PATIENCE: TimeDelta = TimeDelta::from_secs(90);

/// How often is looked again.
const LOOK: Duration = Duration::from_millis(20);

/// A port that nobody listens at.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// Waits until something listens at a port.
///
/// # Panics
/// When nothing does in time.
pub fn wait_for_port(port: u16) {
    wait(&format!("nothing listens at port {port}"), || TcpStream::connect(("127.0.0.1", port)).ok());
}

/// Waits until there is a value.
///
/// # Panics
/// With `what` when there is none in time.
pub fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE.to_std(), "{what}");
        std::thread::sleep(LOOK);
    }
}

/// A program that ends with the test.
#[derive(Debug)]
pub struct Background {
    name: String,
    child: Child,
}

impl Background {
    /// Starts it, without input; what it prints is dropped, what it says on stderr is that of the test.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self::start_into(command, Stdio::null())
    }

    /// Starts it with its output going somewhere.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_into(command: &mut Command, output: impl Into<Stdio>) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, child }
    }

    /// Starts a foreign program with its arguments.
    ///
    /// # Panics
    /// When it is not there.
    pub fn words(words: &[impl AsRef<str>]) -> Self {
        let (program, arguments) = words.split_first().expect("a command");
        let mut command = Command::new(peers::need(program.as_ref()));
        Self::start(command.args(arguments.iter().map(AsRef::as_ref)))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends; whether that was well.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait(&mut self) -> bool {
        let (name, child) = (&self.name, &mut self.child);
        wait(&format!("{name} does not end"), || child.try_wait().expect("a child")).success()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a launch line of ours.
///
/// # Panics
/// When it is wrong or does not start.
pub fn start(runtime: &Runtime, line: &str) -> Pipeline {
    let graph = millstream_graph::load_launch(line, &elements::registry());
    let graph = graph.unwrap_or_else(|report| panic!("{line}: {report:?}")).graph;
    runtime.start(&graph).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// What comes of a future, within [`PATIENCE`].
pub fn in_time<T>(runtime: &Runtime, future: impl Future<Output = T>) -> Option<T> {
    let clock = &runtime.env().clock;
    runtime.block_on(async { sim::race(future, clock.sleep_until(clock.now() + PATIENCE)).await })
}

/// Waits until an element posts this.
///
/// # Panics
/// When the pipeline ends first.
pub async fn posted(bus: &mut Bus, wanted: &str) {
    loop {
        let message = bus.next().await.expect("the pipeline runs");
        if matches!(message.kind, MessageKind::Element { name, .. } if name == wanted) {
            return;
        }
    }
}

/// Plays a file into `in`, an `appsrc` of this pipeline, to its end and that of the pipeline.
///
/// # Panics
/// When it does not end, or not well.
pub fn feed(runtime: &Runtime, pipeline: &mut Pipeline, file: &Path) {
    let input = pipeline.handle::<AppSrcHandle>("in").expect("the source");
    let file = std::fs::read(file).expect("the file");
    in_time(runtime, async {
        for block in file.chunks(64 << 10) {
            let buffer = Buffer::new(bytes::Bytes::copy_from_slice(block));
            input.push(buffer).await.expect("the pipeline runs");
        }
        input.eos().await.expect("the pipeline runs");
        pipeline.wait().await
    })
    .expect("the pipeline ends with the file")
    .expect("and well");
}
