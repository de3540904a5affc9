//! Where tasks run: on tokio's workers, on a thread each, or on the threads that instances share for files.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle};
use tracing::Instrument;

/// Threads on which the instances of templates wait for files. A thread for each would be a thousand for a thousand streams; a few
/// keep a disk busy, and one that hangs leaves the others their turn.
const FILE_THREADS: usize = 8;

/// What a task does to its thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// Nothing that others would notice.
    Worker,
    /// Waits for files or computes when something comes.
    Files,
    /// Waits for files or computes all the time.
    Thread,
}

/// Where tasks of a pipeline run.
#[derive(Clone)]
pub(crate) struct Spawner {
    handle: Handle,
    simulated: bool,
    /// The pipeline is an instance: it shares threads for files.
    shared: Option<Arc<FileThreads>>,
}

impl Spawner {
    pub(crate) fn new(handle: Handle, simulated: bool) -> Self {
        Self { handle, simulated, shared: None }
    }

    /// The same for instances of templates.
    pub(crate) fn shared(self, threads: Arc<FileThreads>) -> Self {
        Self { shared: Some(threads), ..self }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// True when tasks really run at the same time, and may look a little before they sleep. Thousands of instances do not gain by it.
    pub(crate) fn has_parallel_tasks(&self) -> bool {
        let parallel = || std::thread::available_parallelism().is_ok_and(|n| n.get() > 1);
        !self.simulated && self.shared.is_none() && parallel()
    }

    pub(crate) fn spawn(
        &self,
        name: &str,
        place: Place,
        body: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        // What is logged in it names the instance that it belongs to, if any.
        let body = body.in_current_span();
        match (place, &self.shared) {
            _ if self.simulated => drop(self.handle.spawn(body)),
            (Place::Worker, _) => drop(self.handle.spawn(body)),
            (Place::Files, Some(threads)) => {
                threads.spawn(Within { handle: self.handle.clone(), body: Box::pin(body) })?
            }
            (Place::Files | Place::Thread, _) => {
                let handle = self.handle.clone();
                std::thread::Builder::new().name(name.to_owned()).spawn(move || handle.block_on(body))?;
            }
        }
        Ok(())
    }
}

/// Threads for tasks that wait for files, started when the first is needed.
#[derive(Default)]
pub(crate) struct FileThreads(OnceLock<Owned>);

impl FileThreads {
    fn spawn(&self, body: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let threads = match self.0.get() {
            Some(threads) => threads,
            None => {
                let threads = Builder::new_multi_thread().worker_threads(FILE_THREADS).thread_name("files").build()?;
                self.0.get_or_init(|| Owned(Some(threads)))
            }
        };
        if let Some(threads) = &threads.0 {
            threads.spawn(body);
        }
        Ok(())
    }
}

struct Owned(Option<tokio::runtime::Runtime>);

impl Drop for Owned {
    fn drop(&mut self) {
        // One that hangs in a file is left behind.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

/// A future whose sockets, timers and tasks belong to a runtime, wherever it is polled.
struct Within<F> {
    handle: Handle,
    body: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Future for Within<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let handle = self.handle.clone();
        let _entered = handle.enter();
        self.body.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn instances_share_threads_for_files_and_have_the_timers_of_their_runtime() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let spawner = Spawner::new(runtime.handle().clone(), false).shared(Arc::default());
        let (sender, mut receiver) = mpsc::unbounded_channel();
        for _ in 0..100 {
            let sender = sender.clone();
            let body = async move {
                // Without the runtime's timers this would panic.
                tokio::time::sleep(Duration::from_millis(1)).await;
                let _ = sender.send(std::thread::current().name().map(str::to_owned));
            };
            spawner.spawn("out", Place::Files, body).unwrap();
        }
        drop(sender);
        let names: Vec<_> = runtime.block_on(async {
            let mut names = Vec::new();
            while let Some(name) = receiver.recv().await {
                names.push(name);
            }
            names
        });
        assert_eq!(names, vec![Some("files".to_owned()); 100]);
    }

    #[test]
    fn a_pipeline_alone_has_a_thread_for_what_waits_for_files() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let spawner = Spawner::new(runtime.handle().clone(), false);
        let (sender, receiver) = std::sync::mpsc::channel();
        spawner
            .spawn("out", Place::Files, async move {
                let _ = sender.send(std::thread::current().name().map(str::to_owned));
            })
            .unwrap();
        assert_eq!(receiver.recv().unwrap(), Some("out".to_owned()));
    }
}
