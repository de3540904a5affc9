//! The shapes an element can have. Take the simplest that does the job:
//!
//! | shape | for | runs |
//! | --- | --- | --- |
//! | [`Transform`] | one input at a time: demuxers, parsers, filters, and sinks that need not wait | on the task that feeds it |
//! | [`Aggregate`] | several inputs in step: muxers, switches | on the task that feeds it, or its own |
//! | [`BlockingSource`] | reads files or computes | on a thread, with the chain it feeds |
//! | [`Source`], [`Sink`] | sockets | on a task |
//!
//! An element that calls the file system or burns processor time says so in its factory
//! ([`crate::Blocking`]) and is then kept off the asynchronous workers; its shape does not change.

use std::future::poll_fn;
use std::task::Poll;

use crate::env::{BoxFuture, Env};
use crate::error::Result;
use crate::inbox::Inbox;
use crate::item::{Item, Request};
use crate::output::Output;
use crate::time::Time;

/// Number of a linked pad within its element. Sink pads and source pads are counted apart, each from 0, in the order
/// in which [`crate::BuildCx`] lists them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PadId(pub u16);

impl PadId {
    /// The only or first pad.
    pub const FIRST: Self = Self(0);

    /// For indexing.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Whether a [`Transform`] has more to give for the input it got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Flow {
    /// Ready for the next input.
    Done,
    /// Call [`Transform::resume`] when this output has gone out.
    More,
}

/// What an [`Aggregate`] wants next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Need {
    /// An item, the end or the absence of each of these pads.
    Pads(PadSet),
    /// The same, but step again at this time whatever has come: live muxers.
    PadsUntil(PadSet, Time),
    /// Step again when this output has gone out.
    Again,
    /// An item, the end or the absence of one of these pads, or a call of its [`crate::WakeHandle`]: for elements that work in threads of another
    /// library. The runtime keeps the element also after the end of its inputs, until it is done.
    Wake(PadSet),
    /// Finished: everything has been sent, end of stream included.
    Done,
}

/// What a [`BlockingSource`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Produce {
    /// Call again when this output has gone out.
    More,
    /// Call again at this time.
    At(Time),
    /// Nothing to do until a request comes.
    Idle,
    /// All has been sent; the runtime ends the stream on every source pad.
    Eos,
}

/// A set of sink pads of one aggregate.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PadSet(u64);

impl PadSet {
    /// Sink pads that one aggregate may have: the bits of a set. No muxer we know of needs more.
    pub const MAX_PADS: usize = 64;

    /// No pad.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Adds a pad. Pads from [`PadSet::MAX_PADS`] on do not exist.
    pub fn insert(&mut self, pad: PadId) {
        self.0 |= 1_u64.checked_shl(pad.0.into()).unwrap_or(0);
    }

    /// True when the pad is in the set.
    pub fn contains(self, pad: PadId) -> bool {
        self.0 & 1_u64.checked_shl(pad.0.into()).unwrap_or(0) != 0
    }

    /// True for no pad.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The pads in ascending order.
    pub fn iter(self) -> impl Iterator<Item = PadId> {
        (0..Self::MAX_PADS as u16).map(PadId).filter(move |pad| self.contains(*pad))
    }
}

impl FromIterator<PadId> for PadSet {
    fn from_iter<I: IntoIterator<Item = PadId>>(pads: I) -> Self {
        let mut set = Self::empty();
        pads.into_iter().for_each(|pad| set.insert(pad));
        set
    }
}

/// An element that takes one item at a time: demuxer, parser, filter, tee; or, without source pads, a sink that need
/// not wait.
pub trait Transform: Send {
    /// Called once before the first item. Default: nothing.
    fn start(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// Called for every item of a sink pad, in order.
    ///
    /// Items that the element does not understand go on with [`Output::forward`]. [`Item::Eos`] means: send what is
    /// held, then the end on every source pad. [`Item::Flush`]: forget what is held, pass it on. [`Item::Absent`]: pass it on.
    fn handle(&mut self, pad: PadId, item: Item, out: &mut Output) -> Result<Flow>;

    /// Called after [`Flow::More`], when the output so far has gone out. Default: nothing more.
    fn resume(&mut self, out: &mut Output) -> Result<Flow> {
        let _ = out;
        Ok(Flow::Done)
    }

    /// Called for a request that arrives at a source pad, between items. Default: passes it upstream on every sink pad.
    fn request(&mut self, pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        let _ = pad;
        out.request_all(request);
        Ok(())
    }

    /// Called at the time set with [`Output::wake_at`]. Default: nothing.
    fn wake(&mut self, now: Time, out: &mut Output) -> Result<()> {
        let _ = (now, out);
        Ok(())
    }
}

/// An element that takes several inputs in step: muxer, switch, concatenation.
pub trait Aggregate: Send {
    /// Called once before the first item. Default: nothing.
    fn start(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// Called when something came that the last [`Need`] asked for, when a pad ended, and at its deadline.
    fn step(&mut self, inbox: &mut Inbox, now: Time, out: &mut Output) -> Result<Need>;

    /// Called on a flush, after the inbox has been emptied and before the flush goes on downstream. Default: nothing.
    fn flush(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// Called for a request that arrives at a source pad. Default: passes it upstream on every sink pad.
    fn request(&mut self, pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        let _ = pad;
        out.request_all(request);
        Ok(())
    }
}

/// A source that reads files or computes: the runtime calls it again and again on a thread, with the chain it feeds.
/// Stream start, caps and segment come from [`BlockingSource::start`] or the first call.
pub trait BlockingSource: Send {
    /// Called once, before the first [`BlockingSource::produce`]. Default: nothing.
    fn start(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// Makes a small amount of output.
    fn produce(&mut self, out: &mut Output) -> Result<Produce>;

    /// Called for a request that arrives at a source pad. Default: ignores it.
    fn request(&mut self, pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        let _ = (pad, request, out);
        Ok(())
    }
}

/// A source that waits for sockets.
pub trait Source: Send {
    /// Runs until the stream ends or the future is dropped, which is how it is cancelled. The runtime ends the stream
    /// on every source pad afterwards.
    fn run(self: Box<Self>, cx: SourceCx) -> BoxFuture<'static, Result<()>>;
}

/// A sink that waits for sockets.
pub trait Sink: Send {
    /// Runs until [`SinkCx::recv`] gives `None` or the future is dropped, which is how it is cancelled.
    fn run(self: Box<Self>, cx: SinkCx) -> BoxFuture<'static, Result<()>>;
}

/// How a running [`Source`] reaches its chain. Implemented by the runtime and by test harnesses.
pub trait SourcePort: Send {
    /// Delivers an item whole, even when the pipeline is being stopped. `Err` when nobody wants more.
    fn push(&mut self, pad: PadId, item: Item) -> BoxFuture<'_, Result<()>>;
    /// The next request from downstream.
    fn request(&mut self) -> BoxFuture<'_, (PadId, Request)>;
    /// Ends when the pipeline is to stop; a source that has asked is not dropped then. Default: never.
    fn stopped(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
    /// Posts a message or counts a drop through the effects of `out`.
    fn effects(&mut self, out: &mut Output);
}

/// What a running [`Source`] works with.
pub struct SourceCx {
    /// The outside.
    pub env: Env,
    port: Box<dyn SourcePort>,
}

impl SourceCx {
    /// Made by the runtime.
    pub fn new(env: Env, port: Box<dyn SourcePort>) -> Self {
        Self { env, port }
    }

    /// Sends an item; waits while downstream is full.
    pub async fn push(&mut self, pad: PadId, item: Item) -> Result<()> {
        self.port.push(pad, item).await
    }

    /// Waits for the next request from downstream.
    pub async fn request(&mut self) -> (PadId, Request) {
        self.port.request().await
    }

    /// Waits until the pipeline is to stop. A source that has asked is not dropped then: it takes leave of its peers and returns, and is
    /// cancelled if it does not in time. One that never asks is dropped at once, as it has nobody to take leave of.
    pub async fn stopped(&mut self) {
        self.port.stopped().await;
    }

    /// Waits for the next request from downstream, or until the pipeline is to stop, which is nothing: as [`Self::stopped`].
    pub async fn request_or_stop(&mut self) -> Option<(PadId, Request)> {
        poll_fn(|cx| {
            if let Poll::Ready(request) = self.port.request().as_mut().poll(cx) {
                return Poll::Ready(Some(request));
            }
            self.port.stopped().as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    /// Lets `tell` post messages and count drops.
    pub fn tell(&mut self, tell: impl FnOnce(&mut Output)) {
        let mut out = Output::new(0, 0);
        tell(&mut out);
        self.port.effects(&mut out);
    }
}

/// How a running [`Sink`] receives. Implemented by the runtime and by test harnesses.
pub trait SinkPort: Send {
    /// The next item; `None` after the end of all pads.
    fn recv(&mut self) -> BoxFuture<'_, Option<(PadId, Item)>>;
    /// Whether the pipeline was told to stop. Default: it never is.
    fn is_stopping(&self) -> bool {
        false
    }

    /// Ends when a flush waits to be received, ahead of everything else. Default: never.
    fn flushing(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
    /// Sends a request upstream, posts messages and counts drops.
    fn effects(&mut self, out: &mut Output);
}

/// What a running [`Sink`] works with.
pub struct SinkCx {
    /// The outside.
    pub env: Env,
    port: Box<dyn SinkPort>,
}

impl SinkCx {
    /// Made by the runtime.
    pub fn new(env: Env, port: Box<dyn SinkPort>) -> Self {
        Self { env, port }
    }

    /// The next item; `None` after the end of all pads.
    pub async fn recv(&mut self) -> Option<(PadId, Item)> {
        self.port.recv().await
    }

    /// Whether the pipeline was told to stop: what cannot be delivered any more is no fault of who would have taken it.
    pub fn is_stopping(&self) -> bool {
        self.port.is_stopping()
    }

    /// Waits until a flush can be received: for a sink that is busy with what it got, and takes nothing meanwhile.
    pub async fn flushing(&mut self) {
        self.port.flushing().await;
    }

    /// Lets `tell` send requests upstream, post messages and count drops.
    pub fn tell(&mut self, tell: impl FnOnce(&mut Output)) {
        let mut out = Output::new(1, 0);
        tell(&mut out);
        self.port.effects(&mut out);
    }
}

/// How much a channel between two tasks holds, and what happens when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Buffers.
    pub buffers: usize,
    /// Bytes of media.
    pub bytes: usize,
    /// Nanoseconds between first and last timestamp.
    pub time: i64,
    /// What gives way when it is full.
    pub leaky: Leaky,
}

/// What a full queue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Leaky {
    /// Makes the sender wait; behind a fan-out of a live source, [`Leaky::ToKeyframe`] instead, so that one slow
    /// branch does not hold up the others.
    #[default]
    No,
    /// Makes the sender wait, always.
    Lossless,
    /// Leaves out what comes in.
    Upstream,
    /// Leaves out the oldest.
    Downstream,
    /// Leaves out everything up to the next key frame: a slow branch behind a live source.
    ToKeyframe,
}

/// A built element.
pub enum Element {
    /// See [`Transform`].
    Transform(Box<dyn Transform>),
    /// See [`Aggregate`].
    Aggregate(Box<dyn Aggregate>),
    /// See [`BlockingSource`].
    BlockingSource(Box<dyn BlockingSource>),
    /// See [`Source`].
    Source(Box<dyn Source>),
    /// See [`Sink`].
    Sink(Box<dyn Sink>),
    /// A channel: what comes in goes out on another task.
    Queue(QueueLimits),
}
