//! Sources and sinks that are futures of their own, beside the chain they feed or the port they are fed from.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use millstream_core::element::{SinkPort, SourcePort};
use millstream_core::env::{BoxFuture, Timer};
use millstream_core::{Env, Error, Item, Output, PadId, Request, Result, Sink, SinkCx, Source, SourceCx};

use super::{CloseOnDrop, End, Task};
use crate::chain::{Chain, Kind, Step};
use crate::control::{Control, Order};
use crate::port::Port;
use crate::spin::Spinner;

type SharedChain = Arc<Mutex<Beside>>;

/// The chain beside a future, which either of them may go on with.
struct Beside {
    task: Task,
    /// A link that had no room.
    blocked: Option<(usize, PadId)>,
    /// A push that waits until everything is delivered and nothing is held.
    pushing: Option<Waker>,
    /// Somebody who waits for a request.
    asking: Option<Waker>,
    /// A source that takes leave when the pipeline stops.
    leaving: Leave,
}

/// Whether a source takes leave.
enum Leave {
    /// It does not.
    Never,
    /// It waits to be told.
    Waits(Waker),
    /// It was told.
    Told,
}

impl Beside {
    fn share(chain: Chain, control: &Arc<Control>, env: &Env) -> SharedChain {
        let (control, env) = (control.clone(), env.clone());
        let task =
            Task { chain, control, env, quick: false, spinner: Spinner::new(false), input: None, flushed: false };
        Arc::new(Mutex::new(Self { task, blocked: None, pushing: None, asking: None, leaving: Leave::Never }))
    }

    /// Delivers everything that is pending and not held.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            if let Some((node, pad)) = self.blocked {
                if self.task.poll_room(node, pad, cx).is_pending() {
                    return Poll::Pending;
                }
                self.blocked = None;
            }
            let step = match self.task.chain.run()? {
                Step::Drained | Step::Held if self.task.chain.has_requests() => {
                    self.task.chain.serve_requests()?;
                    continue;
                }
                Step::Drained | Step::Held => self.task.chain.flush_links(),
                blocked @ Step::Blocked(..) => blocked,
            };
            match step {
                Step::Drained | Step::Held => return Poll::Ready(Ok(())),
                Step::Blocked(node, pad) => self.blocked = Some((node, pad)),
            }
        }
    }

    /// Delivers everything, and waits as long as an element wants no further input. The driver wakes a push that waits.
    fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let drained = self.poll_drain(cx)?;
        if drained.is_ready() && self.task.chain.hold().is_none() {
            return Poll::Ready(Ok(()));
        }
        self.pushing = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next request for the source.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<(PadId, Request)> {
        if let Kind::Outside(waiting) = &mut self.task.chain.nodes[0].kind
            && let Some(request) = waiting.pop_front()
        {
            return Poll::Ready(request);
        }
        self.asking = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Tells a source that takes leave; false if it does not.
    fn takes_leave(&mut self) -> bool {
        match std::mem::replace(&mut self.leaving, Leave::Told) {
            Leave::Never => return false,
            Leave::Waits(waker) => waker.wake(),
            Leave::Told => {}
        }
        true
    }

    /// Whether the source is to leave.
    fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.leaving, Leave::Told) {
            return Poll::Ready(());
        }
        self.leaving = Leave::Waits(cx.waker().clone());
        Poll::Pending
    }

    /// What the driver does between two polls of the source: mailbox, timers, what is pending. True when told to leave,
    /// false when told to end the stream.
    fn poll_driver(&mut self, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        while self.task.control.poll_changed(cx).is_ready() {
            match self.task.serve()? {
                true => return Poll::Ready(Ok(true)),
                false if self.task.control.order() == Order::Drain && !self.takes_leave() => {
                    return Poll::Ready(Ok(false));
                }
                false => {}
            }
        }
        let now = self.task.env.clock.now();
        self.task.chain.set_now(now);
        self.task.timers()?;
        let mut drained = self.poll_drain(cx)?;
        while self.task.chain.hold().is_some_and(|until| until <= now) {
            self.task.chain.release();
            drained = self.poll_drain(cx)?;
        }
        self.wake_source(drained.is_ready());
        let next = [self.task.chain.deadline(), self.task.chain.hold()].into_iter().flatten().min();
        if timer.poll_until(next, &*self.task.env.clock, cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn wake_source(&mut self, drained: bool) {
        if drained && self.task.chain.hold().is_none() {
            self.pushing.take().into_iter().for_each(Waker::wake);
        }
        if matches!(&self.task.chain.nodes[0].kind, Kind::Outside(waiting) if !waiting.is_empty()) {
            self.asking.take().into_iter().for_each(Waker::wake);
        }
    }
}

fn lock(task: &SharedChain) -> MutexGuard<'_, Beside> {
    task.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn run_source(
    mut chain: Chain,
    source: Box<dyn Source>,
    control: Arc<Control>,
    env: Env,
) -> Result<End> {
    chain.set_now(env.clock.now());
    chain.start()?;
    let task = Beside::share(chain, &control, &env);
    let port = ChainPort { task: task.clone() };
    let mut future = source.run(SourceCx::new(env, Box::new(port)));
    let mut timer = Timer::default();
    let cancelled = poll_fn(|cx| match poll_guarded(&mut future, &task, cx) {
        Poll::Ready(result) => Poll::Ready(result.map(|()| false)),
        Poll::Pending => lock(&task).poll_driver(&mut timer, cx),
    })
    .await;
    drop(future);
    match cancelled {
        Ok(false) => {}
        Ok(true) => return Ok(End::Cancelled),
        Err(error) => {
            let chain = &mut lock(&task).task.chain;
            // What failed may be the source, or an element of the chain that is not isolated.
            let own = error.element() == chain.nodes.first().map(|n| &*n.name);
            return if own { chain.outside_failed(error).map(|()| End::Cancelled) } else { Err(error) };
        }
    }
    let Some(beside) = Arc::into_inner(task) else { return Err(Error::bug("a source kept its port")) };
    let mut task = beside.into_inner().unwrap_or_else(PoisonError::into_inner).task;
    task.finish().await
}

/// Polls an element's own future; a panic in it becomes its error.
fn poll_guarded(future: &mut BoxFuture<'_, Result<()>>, task: &SharedChain, cx: &mut Context<'_>) -> Poll<Result<()>> {
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.as_mut().poll(cx)));
    let result = match polled {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(result)) => result,
        Err(_) => Err(Error::bug("panicked")),
    };
    let name = lock(task).task.chain.nodes[0].name.clone();
    Poll::Ready(result.map_err(|e| e.in_element(&name)))
}

struct ChainPort {
    task: SharedChain,
}

impl SourcePort for ChainPort {
    fn push(&mut self, pad: PadId, item: Item) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            {
                let mut beside = lock(&self.task);
                if matches!(item, Item::Flush(_)) {
                    // It voids what waits for room.
                    beside.blocked = None;
                }
                let task = &mut beside.task;
                task.chain.set_now(task.env.clock.now());
                task.chain.emit(0, pad, item);
            }
            poll_fn(|cx| lock(&self.task).poll_push(cx)).await
        })
    }

    fn request(&mut self) -> BoxFuture<'_, (PadId, Request)> {
        Box::pin(poll_fn(|cx| lock(&self.task).poll_request(cx)))
    }

    fn stopped(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(poll_fn(|cx| lock(&self.task).poll_stopped(cx)))
    }

    fn effects(&mut self, out: &mut Output) {
        lock(&self.task).task.chain.effects_of(0, out);
    }
}

pub(super) async fn run_sink(
    chain: Chain,
    sink: Box<dyn Sink>,
    port: Arc<Port>,
    control: Arc<Control>,
    env: Env,
) -> Result<End> {
    let _closer = CloseOnDrop(port.clone());
    let ended = vec![false; chain.nodes.first().map_or(0, |n| n.sinks.len())];
    let task = Beside::share(chain, &control, &env);
    let inbox = PortInbox { task: task.clone(), port: port.clone(), batch: VecDeque::new(), ended };
    let mut future = sink.run(SinkCx::new(env, Box::new(inbox)));
    poll_fn(|cx| {
        match poll_guarded(&mut future, &task, cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(End::Eos)),
            Poll::Ready(Err(e)) => {
                return Poll::Ready(lock(&task).task.chain.outside_failed(e).map(|()| End::Cancelled));
            }
            Poll::Pending if port.is_lost() => {
                return Poll::Ready(lock(&task).task.chain.abandon().map(|()| End::Cancelled));
            }
            Poll::Pending => {}
        }
        while control.poll_changed(cx).is_ready() {
            match lock(&task).task.serve() {
                Ok(true) => return Poll::Ready(Ok(End::Cancelled)),
                Ok(false) => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
        Poll::Pending
    })
    .await
}

struct PortInbox {
    task: SharedChain,
    port: Arc<Port>,
    batch: VecDeque<(PadId, Item)>,
    /// Pads that are over, until a flush revives them.
    ended: Vec<bool>,
}

impl SinkPort for PortInbox {
    fn recv(&mut self) -> BoxFuture<'_, Option<(PadId, Item)>> {
        Box::pin(async move {
            loop {
                if let Some((pad, item)) = self.batch.pop_front() {
                    if let Some(ended) = self.ended.get_mut(pad.index()) {
                        *ended = matches!(item, Item::Eos) || *ended && !matches!(item, Item::Flush(_));
                    }
                    return Some((pad, item));
                }
                if self.ended.iter().all(|ended| *ended) {
                    return None;
                }
                self.port.take(&mut self.batch).await;
                if self.batch.is_empty() {
                    // The producer is gone; the driver ends this future.
                    std::future::pending::<()>().await;
                }
            }
        })
    }

    fn is_stopping(&self) -> bool {
        lock(&self.task).task.control.is_stopping()
    }

    fn flushing(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(poll_fn(|cx| self.port.poll_flushed(cx)))
    }

    fn effects(&mut self, out: &mut Output) {
        lock(&self.task).task.chain.effects_of(0, out);
    }
}
