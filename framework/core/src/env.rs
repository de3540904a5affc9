//! The outside world as elements see it.
//!
//! Elements take time, files, the network, tasks and randomness from here and from nowhere else. A test gives them a virtual
//! clock, files in memory and a seed, and the whole pipeline becomes deterministic.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::net::{Net, NoNet};
use crate::time::Time;
use crate::trace::TraceSink;

/// A future that owns what it needs.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Monotonic time of a runtime.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the runtime began.
    fn now(&self) -> Time;
    /// Ends at or after `deadline`.
    fn sleep_until(&self, deadline: Time) -> BoxFuture<'static, ()>;
    /// Wall-clock time in nanoseconds since 1970-01-01T00:00:00Z, for what is written for people and other machines.
    fn wall(&self) -> Time;
}

/// A deadline that moves, waited for by whoever is polled by hand. Nothing is registered anew as long as it stays where it is.
#[derive(Default)]
pub struct Timer(Option<(Time, BoxFuture<'static, ()>)>);

impl Timer {
    /// Ready at or after `at`, once; never where there is none.
    pub fn poll_until(&mut self, at: Option<Time>, clock: &dyn Clock, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.as_ref().map(|(at, _)| *at) != at {
            self.0 = at.map(|at| (at, clock.sleep_until(at)));
        }
        let Some((_, sleep)) = &mut self.0 else { return Poll::Pending };
        let slept = sleep.as_mut().poll(cx);
        if slept.is_ready() {
            self.0 = None;
        }
        slept
    }
}

/// A file open for reading.
pub trait ReadFile: Send {
    /// Appends up to `max` bytes to `into` and says how many; 0 at the end.
    fn read(&mut self, into: &mut Vec<u8>, max: usize) -> io::Result<usize>;
    /// Goes on from this offset.
    fn seek(&mut self, offset: u64) -> io::Result<()>;
    /// Length in bytes; `None` for pipes and the like, which cannot seek either.
    fn len(&self) -> Option<u64>;
    /// True for a file of length 0.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

/// A file open for writing.
pub trait WriteFile: Send {
    /// Writes all slices in order.
    fn write_all(&mut self, slices: &[&[u8]]) -> io::Result<()>;
    /// Goes on from this offset; refused on pipes.
    fn seek(&mut self, offset: u64) -> io::Result<()>;
    /// Hands everything to the operating system's disk cache (and reports late errors).
    fn finish(&mut self) -> io::Result<()>;
}

/// Files and directories.
pub trait Fs: Send + Sync {
    /// Opens for reading; `-` is standard input.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;
    /// Creates or truncates for writing; `-` is standard output.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;
    /// Opens for writing behind what is there, creating it if needed.
    fn append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;
    /// Moves a file over another one, atomically where the system can.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its parents.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Names of the entries of a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Length of a file in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// True for what is there and is no regular file, such as a pipe, a device or a directory: it must not be replaced.
    fn is_special(&self, path: &Path) -> bool {
        let _ = path;
        false
    }
    /// The path without symbolic links, `.` and `..`, of what is there.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }
    /// The whole of a small text file; refused above `max` bytes.
    fn read_text(&self, path: &Path, max: u64) -> io::Result<String> {
        let mut file = self.open(path)?;
        let mut out = Vec::new();
        while file.read(&mut out, 64 << 10)? > 0 {
            if out.len() as u64 > max {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("larger than {max} bytes")));
            }
        }
        String::from_utf8(out).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }
}

/// Tasks beside those of the graph: a listener that several elements share, a session for each player.
pub trait Tasks: Send + Sync {
    /// Starts a task. It is cancelled when the handle goes.
    fn spawn(&self, future: BoxFuture<'static, ()>) -> TaskHandle;
    /// Does work that waits for files, where it keeps no task waiting: on a thread for such work, or at once in a simulation. See
    /// [`Env::blocking`].
    fn block(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

/// Cancels its task when dropped.
pub struct TaskHandle(Option<Box<dyn FnOnce() + Send + Sync>>);

impl TaskHandle {
    /// A handle that calls `cancel` once.
    pub fn new(cancel: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(cancel)))
    }

    /// Lets the task run to its own end.
    pub fn detach(mut self) {
        self.0 = None;
    }
}

impl Drop for TaskHandle {
    fn drop(&mut self) {
        if let Some(cancel) = self.0.take() {
            cancel();
        }
    }
}

/// An outside without tasks: what is spawned is dropped.
struct NoTasks;

impl Tasks for NoTasks {
    fn spawn(&self, _: BoxFuture<'static, ()>) -> TaskHandle {
        TaskHandle(None)
    }
}

/// What work on another thread has to give.
struct Pending<T> {
    value: Option<T>,
    is_over: bool,
    waker: Option<Waker>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { value: None, is_over: false, waker: None }
    }
}

/// Whoever waits is told also when the work is dropped.
struct Promise<T>(Arc<Mutex<Pending<T>>>);

impl<T> Promise<T> {
    fn keep(self, value: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value = Some(value);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.is_over = true;
        let waker = pending.waker.take();
        drop(pending);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What makes keys.
type Entropy = dyn Fn() -> io::Result<[u8; 32]> + Send + Sync;

type Shared = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// Everything an element may ask of the outside. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Files.
    pub fs: Arc<dyn Fs>,
    /// The network.
    pub net: Arc<dyn Net>,
    /// Tasks of its own.
    pub tasks: Arc<dyn Tasks>,
    /// Who wants to see the conversations with peers; mostly nobody.
    pub trace: Option<Arc<dyn TraceSink>>,
    shared: Arc<Mutex<Shared>>,
    random: Arc<AtomicU64>,
    entropy: Option<Arc<Entropy>>,
}

impl Env {
    /// An environment without network and tasks, whose random numbers follow from `seed`.
    pub fn new(clock: Arc<dyn Clock>, fs: Arc<dyn Fs>, seed: u64) -> Self {
        let random = Arc::new(AtomicU64::new(seed));
        Self {
            clock,
            fs,
            net: Arc::new(NoNet),
            tasks: Arc::new(NoTasks),
            trace: None,
            shared: Arc::default(),
            random,
            entropy: None,
        }
    }

    /// The same with this network and these tasks.
    pub fn with_net(self, net: Arc<dyn Net>, tasks: Arc<dyn Tasks>) -> Self {
        Self { net, tasks, ..self }
    }

    /// The same, with somebody who wants to see the conversations with peers.
    pub fn with_trace(self, trace: Arc<dyn TraceSink>) -> Self {
        Self { trace: Some(trace), ..self }
    }

    /// The same, with keys that nobody can guess.
    pub fn with_entropy(self, entropy: impl Fn() -> io::Result<[u8; 32]> + Send + Sync + 'static) -> Self {
        Self { entropy: Some(Arc::new(entropy)), ..self }
    }

    /// A new key for signing. In a simulation it follows from the seed, like everything else there.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn key(&self) -> io::Result<[u8; 32]> {
        let Some(entropy) = &self.entropy else {
            let mut key = [0; 32];
            key.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&self.random().to_be_bytes()));
            return Ok(key);
        };
        entropy()
    }

    /// What all elements of a runtime share of this type, such as its listeners by address; made when first asked for.
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let one = shared.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        one.clone().downcast().expect("an entry is of the type that it is filed under")
    }

    /// Does work that waits for files, on a thread where it keeps no task waiting. It is done even if nobody waits for its result.
    /// Nothing comes of work that panics, or that a runtime that ends has no time for.
    pub fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> BoxFuture<'static, Option<T>> {
        let result = Arc::new(Mutex::new(Pending::<T>::default()));
        let promise = Promise(result.clone());
        self.tasks.block(Box::new(move || promise.keep(work())));
        Box::pin(poll_fn(move |cx| {
            let mut pending = result.lock().unwrap_or_else(PoisonError::into_inner);
            if pending.is_over {
                return Poll::Ready(pending.value.take());
            }
            pending.waker = Some(cx.waker().clone());
            Poll::Pending
        }))
    }

    /// The next random number (SplitMix64: for jitter and identifiers, not for keys, which [`Env::key`] makes).
    pub fn random(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
