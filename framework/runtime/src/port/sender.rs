//! The sending end of a port.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use millstream_core::{Item, PadId};

use super::Port;
use crate::control::Control;

/// The sending end of one pad.
///
/// Items gather here first, because a lock and a wake-up for each cost more than everything else that happens to it;
/// whoever drives the producer flushes before it waits for anything.
pub(crate) struct PortSender {
    port: Arc<Port>,
    pad: PadId,
    gathered: VecDeque<Item>,
    /// The producer may be built anew: when it goes, the consumer waits for the next one.
    outlived: bool,
}

/// Buffers that a sender gathers before it takes the lock by itself.
pub(super) const MAX_GATHERED: usize = 32;

impl PortSender {
    pub(super) fn new(port: &Arc<Port>, pad: PadId) -> Self {
        Self { port: port.clone(), pad, gathered: VecDeque::with_capacity(MAX_GATHERED), outlived: false }
    }
}

impl PortSender {
    /// Takes an item. False when the pad is full and [`PortSender::flush`] has to be called again before the next item.
    pub(crate) fn push(&mut self, item: Item) -> bool {
        if matches!(item, Item::Flush(_)) {
            self.gathered.retain(Item::is_sticky);
        }
        let urgent = !matches!(item, Item::Buffer(_));
        self.gathered.push_back(item);
        if urgent || self.gathered.len() >= MAX_GATHERED { self.flush() } else { true }
    }

    /// True when something has been gathered.
    pub(crate) fn has_gathered(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Hands over what has been gathered. False when the pad is full before all is gone.
    pub(crate) fn flush(&mut self) -> bool {
        if self.gathered.is_empty() {
            return true;
        }
        let waker = {
            let mut state = self.port.lock();
            while let Some(item) = self.gathered.pop_front() {
                if let Err(item) = state.put(self.pad.index(), item) {
                    self.gathered.push_front(item);
                    break;
                }
            }
            self.port.handed_over.fetch_add(1, Ordering::Relaxed);
            state.consumer.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        self.gathered.is_empty()
    }

    /// Counter that moves when the consumer takes something.
    pub(crate) fn taken(&self) -> &AtomicUsize {
        &self.port.taken
    }

    /// Waits until the pad has room.
    pub(crate) async fn ready(&self) {
        poll_fn(|cx| self.poll_ready(cx)).await;
    }

    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.port.lock();
        let at = self.pad.index();
        // Woken or not: a producer that waits goes on when there is room to speak of.
        if !state.is_full(at) && (state.pads[at].waiter.is_none() || state.has_room(at)) {
            return Poll::Ready(());
        }
        state.pads[self.pad.index()].waiter = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Says whether the producer may be built anew: then the pad stays when this end goes.
    pub(crate) fn set_outlived(&mut self, outlived: bool) {
        self.outlived = outlived;
    }

    /// Says who feeds this pad, for requests from downstream, and which sources its data comes from.
    pub(crate) fn set_upstream(&self, control: Arc<Control>, node: usize, src: PadId, roots: Vec<usize>) {
        let mut state = self.port.lock();
        let pad = &mut state.pads[self.pad.index()];
        (pad.upstream, pad.roots) = (Some((control, node, src)), roots);
    }

    /// Whoever fed this pad has finished in good order: unless the stream has ended already, it ends now. A sender
    /// that is dropped without this leaves its stream open, since half of a stream must not look like a whole one.
    pub(crate) fn end(&mut self) {
        self.flush();
        let waker = {
            let mut state = self.port.lock();
            let pad = &mut state.pads[self.pad.index()];
            if !pad.ended {
                pad.ended = true;
                pad.push(Item::Eos);
            }
            state.consumer.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl PortSender {
    /// Whoever fed this pad is gone and the stream has no end: the consumer must not finish what it has.
    pub(crate) fn abandon(&mut self) {
        if self.outlived {
            return;
        }
        let waker = {
            let mut state = self.port.lock();
            let pad = &mut state.pads[self.pad.index()];
            pad.lost = !pad.ended;
            state.consumer.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for PortSender {
    fn drop(&mut self) {
        self.abandon();
    }
}
