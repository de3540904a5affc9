//! The two ends of an asynchronous element without a runtime.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use millstream_core::element::{SinkPort, SourcePort};
use millstream_core::env::{BoxFuture, Env};
use millstream_core::output::Effect;
use millstream_core::{Error, ErrorKind, Item, Output, PadId, Request, Result, SinkCx, SourceCx};

/// The test's end of a [`SourceCx`]: takes what the source sends, sends requests. Clones are the same end.
#[derive(Clone, Default)]
pub struct SourceProbe(Arc<Mutex<SourceState>>);

#[derive(Default)]
struct SourceState {
    items: Vec<(PadId, Item)>,
    requests: VecDeque<(PadId, Request)>,
    waker: Option<Waker>,
    effects: Vec<Effect>,
    closed: bool,
    full: bool,
}

impl SourceProbe {
    /// A context to run a source with, and the test's end of it.
    pub fn new(env: Env) -> (SourceCx, Self) {
        let probe = Self::default();
        (SourceCx::new(env, Box::new(probe.clone())), probe)
    }

    /// Takes what was sent so far.
    pub fn take(&self) -> Vec<(PadId, Item)> {
        std::mem::take(&mut lock(&self.0).items)
    }

    /// Takes messages, drops and the like.
    pub fn take_effects(&self) -> Vec<Effect> {
        std::mem::take(&mut lock(&self.0).effects)
    }

    /// Sends a request to the source.
    pub fn request(&self, pad: PadId, request: Request) {
        let mut state = lock(&self.0);
        state.requests.push_back((pad, request));
        wake(&mut state.waker);
    }

    /// Makes pushes wait, or go on.
    pub fn set_full(&self, full: bool) {
        let mut state = lock(&self.0);
        state.full = full;
        wake(&mut state.waker);
    }

    /// Makes further pushes fail: nobody wants more.
    pub fn close(&self) {
        let mut state = lock(&self.0);
        state.closed = true;
        wake(&mut state.waker);
    }
}

impl SourcePort for SourceProbe {
    fn push(&mut self, pad: PadId, item: Item) -> BoxFuture<'_, Result<()>> {
        let mut item = Some(item);
        Box::pin(poll_fn(move |cx| {
            let mut state = lock(&self.0);
            if state.closed {
                return Poll::Ready(Err(Error::new(ErrorKind::Peer, "nobody wants more")));
            }
            if state.full {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            state.items.extend(item.take().map(|item| (pad, item)));
            Poll::Ready(Ok(()))
        }))
    }

    fn request(&mut self) -> BoxFuture<'_, (PadId, Request)> {
        Box::pin(poll_fn(|cx| {
            let mut state = lock(&self.0);
            match state.requests.pop_front() {
                Some(request) => Poll::Ready(request),
                None => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        }))
    }

    fn effects(&mut self, out: &mut Output) {
        lock(&self.0).effects.append(out.effects());
    }
}

/// The test's end of a [`SinkCx`]: gives the sink items, sees its requests and messages. Clones are the same end.
#[derive(Clone, Default)]
pub struct SinkProbe(Arc<Mutex<SinkState>>);

#[derive(Default)]
struct SinkState {
    items: VecDeque<(PadId, Item)>,
    ended: bool,
    waker: Option<Waker>,
    effects: Vec<Effect>,
}

impl SinkProbe {
    /// A context to run a sink with, and the test's end of it.
    pub fn new(env: Env) -> (SinkCx, Self) {
        let probe = Self::default();
        (SinkCx::new(env, Box::new(probe.clone())), probe)
    }

    /// Gives the sink an item of its first pad.
    pub fn push(&self, item: Item) {
        self.push_on(PadId::FIRST, item);
    }

    /// Gives the sink an item.
    pub fn push_on(&self, pad: PadId, item: Item) {
        let mut state = lock(&self.0);
        state.items.push_back((pad, item));
        wake(&mut state.waker);
    }

    /// After the items so far comes nothing more.
    pub fn end(&self) {
        let mut state = lock(&self.0);
        state.ended = true;
        wake(&mut state.waker);
    }

    /// Items that the sink has not received yet.
    pub fn waiting(&self) -> usize {
        lock(&self.0).items.len()
    }

    /// Takes requests, messages and drops.
    pub fn take_effects(&self) -> Vec<Effect> {
        std::mem::take(&mut lock(&self.0).effects)
    }
}

impl SinkPort for SinkProbe {
    fn recv(&mut self) -> BoxFuture<'_, Option<(PadId, Item)>> {
        Box::pin(poll_fn(|cx| {
            let mut state = lock(&self.0);
            match state.items.pop_front() {
                Some(item) => Poll::Ready(Some(item)),
                None if state.ended => Poll::Ready(None),
                None => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        }))
    }

    fn effects(&mut self, out: &mut Output) {
        lock(&self.0).effects.append(out.effects());
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
