//! The shapes an element of a plugin can have. Take the simplest that does the job:
//!
//! | shape | for | runs |
//! | --- | --- | --- |
//! | [`Transform`] | one input at a time, and it does not wait: filters, parsers, demuxers, sinks that need not wait | on the task that feeds it |
//! | [`Aggregate`] | several inputs in step; anything whose output comes from threads of another library | on the task that feeds it, or a thread |
//! | [`BlockingSource`] | devices, files, sockets: it may wait | on a thread of its own |
//! | [`BlockingSink`] | the same, the other way | on a thread of its own |
//!
//! They are the shapes of `millstream_core`, with the buffers of a plugin. Each call gives what it makes to an [`Output`]; an error ends the element,
//! and so does a panic.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millstream_core::{Flow, PadId, PadSet, Produce, Request, Result, Time};

use crate::host::Host;
use crate::io::{Inbox, Output};
use crate::item::Item;

/// An element that takes one item at a time.
pub trait Transform: Send {
    /// Called once before the first item. Default: nothing.
    fn start(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// Called for every item of a sink pad, in order. What the element does not understand goes on with [`Output::forward`].
    fn handle(&mut self, pad: PadId, item: Item, out: &mut Output) -> Result<Flow>;

    /// Called after [`Flow::More`], when the output so far has gone out. Default: nothing more.
    fn resume(&mut self, out: &mut Output) -> Result<Flow> {
        let _ = out;
        Ok(Flow::Done)
    }

    /// Called for a request that arrives at a source pad. Default: passes it upstream on every sink pad.
    fn request(&mut self, pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        let _ = pad;
        out.request_all(&request);
        Ok(())
    }

    /// Called at the time set with [`Output::wake_at`], and after [`Host::wake`]. Default: nothing.
    fn wake(&mut self, now: Time, out: &mut Output) -> Result<()> {
        let _ = (now, out);
        Ok(())
    }

    /// Called once at the end, before the element is dropped: releases what is outside, within five seconds. Default: nothing.
    fn stop(&mut self) {}
}

/// What an [`Aggregate`] wants next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Need {
    /// An item, the end or the absence of each of these pads.
    Pads(PadSet),
    /// The same, but step again at this time whatever has come.
    PadsUntil(PadSet, Time),
    /// Step again when this output has gone out.
    Again,
    /// An item of one of these pads, or [`Host::wake`]: for elements that work in threads of another library. Pads that are left out are held
    /// back, so a full element leaves out its inputs. It is stepped also after the end of all inputs, until it says [`Need::Done`].
    Wake(PadSet),
    /// Finished: everything has been sent, end of stream included.
    Done,
}

/// An element that takes several inputs in step, or whose output does not come in its calls.
pub trait Aggregate: Send {
    /// Called once before the first item. Default: nothing.
    fn start(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// Called when something came that the last [`Need`] asked for, when a pad ended, at its deadline, and after [`Host::wake`].
    fn step(&mut self, inbox: &mut Inbox, now: Time, out: &mut Output) -> Result<Need>;

    /// Called on a flush, after the inbox has been emptied and before the flush goes on downstream. Default: nothing.
    fn flush(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// Called for a request that arrives at a source pad. Default: passes it upstream on every sink pad.
    fn request(&mut self, pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        let _ = pad;
        out.request_all(&request);
        Ok(())
    }

    /// As [`Transform::stop`].
    fn stop(&mut self) {}
}

/// A source that may wait. It waits with its [`CancelToken`], or is told by [`CancelToken::on_interrupt`] to return.
pub trait BlockingSource: Send {
    /// Called once, before the first [`BlockingSource::produce`]. Default: nothing.
    fn start(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// Makes a small amount of output. Returns soon when it is interrupted, with [`Produce::More`] if it has nothing.
    fn produce(&mut self, out: &mut Output) -> Result<Produce>;

    /// Called for a request that arrives at a source pad. Default: ignores it.
    fn request(&mut self, pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        let _ = (pad, request, out);
        Ok(())
    }

    /// Called once when the pipeline ends in good order: sends what is held. Default: nothing.
    fn drain(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// As [`Transform::stop`].
    fn stop(&mut self) {}
}

/// A sink that may wait.
pub trait BlockingSink: Send {
    /// Called once before the first item. Default: nothing.
    fn start(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// Called for every item of a sink pad, in order. Returns soon when it is interrupted: what it waits with is void then.
    fn handle(&mut self, pad: PadId, item: Item, out: &mut Output) -> Result<()>;

    /// As [`Transform::wake`].
    fn wake(&mut self, now: Time, out: &mut Output) -> Result<()> {
        let _ = (now, out);
        Ok(())
    }

    /// As [`Transform::stop`].
    fn stop(&mut self) {}
}

/// A built element.
pub enum Element {
    /// See [`Transform`].
    Transform(Box<dyn Transform>),
    /// See [`Aggregate`].
    Aggregate(Box<dyn Aggregate>),
    /// See [`BlockingSource`].
    BlockingSource(Box<dyn BlockingSource>),
    /// See [`BlockingSink`].
    BlockingSink(Box<dyn BlockingSink>),
}

impl Element {
    /// A transform.
    pub fn transform(element: impl Transform + 'static) -> Self {
        Self::Transform(Box::new(element))
    }

    /// An aggregate.
    pub fn aggregate(element: impl Aggregate + 'static) -> Self {
        Self::Aggregate(Box::new(element))
    }

    /// A source.
    pub fn source(element: impl BlockingSource + 'static) -> Self {
        Self::BlockingSource(Box::new(element))
    }

    /// A sink.
    pub fn sink(element: impl BlockingSink + 'static) -> Self {
        Self::BlockingSink(Box::new(element))
    }
}

/// A linked pad.
#[derive(Clone, Debug)]
pub struct LinkedPad {
    /// Its number; sink pads and source pads are counted apart.
    pub id: PadId,
    /// Its name in the pipeline, such as `audio_1`.
    pub name: String,
    /// What both sides of the link allow, as text: `video/x-raw, width=[1,640]; …` or `ANY`.
    pub allowed: String,
    /// The sink that this source pad reaches can rewrite what came before.
    pub random_write: bool,
}

/// What an element learns when it is built.
#[derive(Debug)]
pub struct BuildCx {
    /// Which element, as in the manifest.
    pub element: String,
    /// Its name in the pipeline.
    pub name: String,
    /// Linked sink pads; `sinks[i].id == PadId(i)`.
    pub sinks: Vec<LinkedPad>,
    /// Linked source pads; `srcs[i].id == PadId(i)`.
    pub srcs: Vec<LinkedPad>,
    /// Fed by a live source, which cannot be held back for long.
    pub live: bool,
    /// The host, for threads of the element's own.
    pub host: Host,
    /// Tells the element to return from its call.
    pub cancel: CancelToken,
}

impl BuildCx {
    /// Number of a linked sink pad.
    pub fn sink(&self, name: &str) -> Option<PadId> {
        self.sinks.iter().find(|pad| pad.name == name).map(|pad| pad.id)
    }

    /// Number of a linked source pad.
    pub fn src(&self, name: &str) -> Option<PadId> {
        self.srcs.iter().find(|pad| pad.name == name).map(|pad| pad.id)
    }
}

/// Tells an element that may wait to return from its call: the pipeline ends, or a request or flush came. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CancelToken {
    host: Host,
    inner: Arc<Interrupts>,
}

type Callback = Box<dyn Fn() + Send>;

#[derive(Default)]
struct Interrupts {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    count: u64,
    seen: u64,
    callbacks: Vec<Callback>,
}

impl CancelToken {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, inner: Arc::default() }
    }

    /// True when the element is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.host.is_cancelled()
    }

    /// Waits so long at most. True when it was interrupted, now or since it was asked last.
    pub fn wait(&self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        let mut state = self.lock();
        while state.count == state.seen && !self.is_cancelled() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            state = self.inner.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.seen = state.count;
        true
    }

    /// True when it was interrupted since it was asked last.
    pub fn take(&self) -> bool {
        let mut state = self.lock();
        let interrupted = state.count != state.seen;
        state.seen = state.count;
        interrupted || self.is_cancelled()
    }

    /// Calls `tell` on each interruption, on a thread of the host's: for what waits in another way.
    pub fn on_interrupt(&self, tell: impl Fn() + Send + 'static) {
        self.lock().callbacks.push(Box::new(tell));
    }

    pub(crate) fn interrupt(&self) {
        let mut state = self.lock();
        state.count += 1;
        self.inner.changed.notify_all();
        state.callbacks.iter().for_each(|tell| tell());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Interrupts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupts")
    }
}
