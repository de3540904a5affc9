//! Sources and sinks that are futures of their own, beside the chain they feed or the port they are fed from.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use millstream_core::element::{SinkPort, SourcePort};
use millstream_core::env::BoxFuture;
use millstream_core::{Env, Error, Item, Output, PadId, Request, Result, Sink, SinkCx, Source, SourceCx};

use super::{CloseOnDrop, End, Task};
use crate::chain::{Chain, Kind, Step};
use crate::control::{Control, Order};
use crate::port::Port;
use crate::spin::Spinner;

type SharedChain = Arc<Mutex<Task>>;

fn lock(task: &SharedChain) -> MutexGuard<'_, Task> {
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
    let task: SharedChain = Arc::new(Mutex::new(Task {
        chain,
        control: control.clone(),
        env: env.clone(),
        quick: false,
        spinner: Spinner::new(false),
    }));
    let port = ChainPort { task: task.clone(), control: control.clone() };
    let mut future = source.run(SourceCx::new(env.clone(), Box::new(port)));
    let ended = poll_fn(|cx| {
        if let Poll::Ready(result) = poll_guarded(&mut future, &task, cx) {
            return Poll::Ready(result.map(|()| true));
        }
        while control.poll_changed(cx).is_ready() {
            let mut task = lock(&task);
            match task.serve() {
                Ok(true) => return Poll::Ready(Ok(false)),
                Ok(false) if control.order() == Order::Drain => return Poll::Ready(Ok(true)),
                Ok(false) => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
        Poll::Pending
    })
    .await?;
    drop(future);
    if !ended {
        return Ok(End::Cancelled);
    }
    let Some(task) = Arc::into_inner(task) else { return Err(Error::bug("a source kept its port")) };
    task.into_inner().unwrap_or_else(PoisonError::into_inner).finish().await
}

/// Polls an element's own future; a panic in it becomes its error.
fn poll_guarded(future: &mut BoxFuture<'_, Result<()>>, task: &SharedChain, cx: &mut Context<'_>) -> Poll<Result<()>> {
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.as_mut().poll(cx)));
    let result = match polled {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(result)) => result,
        Err(_) => Err(Error::bug("panicked")),
    };
    let name = lock(task).chain.nodes[0].name.clone();
    Poll::Ready(result.map_err(|e| e.in_element(&name)))
}

struct ChainPort {
    task: SharedChain,
    control: Arc<Control>,
}

impl SourcePort for ChainPort {
    fn push(&mut self, pad: PadId, item: Item) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            {
                let mut task = lock(&self.task);
                let now = task.env.clock.now();
                task.chain.set_now(now);
                task.chain.emit(0, pad, item);
            }
            self.drain().await
        })
    }

    fn request(&mut self) -> BoxFuture<'_, (PadId, Request)> {
        Box::pin(poll_fn(|cx| {
            let mut task = lock(&self.task);
            if let Kind::Outside(waiting) = &mut task.chain.nodes[0].kind
                && let Some(request) = waiting.pop_front()
            {
                return Poll::Ready(request);
            }
            // The mailbox wakes this task, and the driver puts requests into the list.
            let _ = self.control.poll_changed(cx);
            Poll::Pending
        }))
    }

    fn effects(&mut self, out: &mut Output) {
        lock(&self.task).chain.effects_of(0, out);
    }
}

impl ChainPort {
    async fn drain(&self) -> Result<()> {
        poll_fn(|cx| {
            let mut task = lock(&self.task);
            loop {
                match task.chain.run() {
                    Err(e) => return Poll::Ready(Err(e)),
                    Ok(Step::Drained) if task.chain.has_requests() => {
                        if let Err(e) = task.chain.serve_requests() {
                            return Poll::Ready(Err(e));
                        }
                    }
                    Ok(Step::Drained) => match task.chain.flush_links() {
                        Step::Drained => return Poll::Ready(Ok(())),
                        Step::Blocked(node, pad) if task.poll_room(node, pad, cx).is_pending() => return Poll::Pending,
                        Step::Blocked(..) => {}
                    },
                    Ok(Step::Blocked(node, pad)) if task.poll_room(node, pad, cx).is_pending() => return Poll::Pending,
                    Ok(Step::Blocked(..)) => {}
                }
            }
        })
        .await
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
    let open = chain.nodes.first().map_or(0, |n| n.sinks.len());
    let task: SharedChain = Arc::new(Mutex::new(Task {
        chain,
        control: control.clone(),
        env: env.clone(),
        quick: false,
        spinner: Spinner::new(false),
    }));
    let inbox = PortInbox { task: task.clone(), port: port.clone(), batch: VecDeque::new(), open };
    let mut future = sink.run(SinkCx::new(env, Box::new(inbox)));
    poll_fn(|cx| {
        match poll_guarded(&mut future, &task, cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(End::Eos)),
            Poll::Ready(Err(e)) => return Poll::Ready(lock(&task).chain.outside_failed(e).map(|()| End::Cancelled)),
            Poll::Pending if port.is_lost() => {
                return Poll::Ready(lock(&task).chain.abandon().map(|()| End::Cancelled));
            }
            Poll::Pending => {}
        }
        while control.poll_changed(cx).is_ready() {
            match lock(&task).serve() {
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
    open: usize,
}

impl SinkPort for PortInbox {
    fn recv(&mut self) -> BoxFuture<'_, Option<(PadId, Item)>> {
        Box::pin(async move {
            loop {
                if let Some((pad, item)) = self.batch.pop_front() {
                    self.open -= usize::from(matches!(item, Item::Eos));
                    return Some((pad, item));
                }
                if self.open == 0 {
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

    fn effects(&mut self, out: &mut Output) {
        lock(&self.task).chain.effects_of(0, out);
    }
}
