//! What waits for one connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::message::{ClosedReason, Envelope};

/// Most that waits for a connection: beyond it the client is too slow. What the board keeps for a resume is as much.
const MAX_WAITING: usize = 256;
const MAX_WAITING_BYTES: usize = 512 << 10;

/// What a connection is sent.
#[derive(Debug)]
pub(super) enum Item {
    /// A message.
    Message(Arc<Envelope>),
    /// The end.
    Close(ClosedReason),
}

/// Clones are the same box.
#[derive(Clone, Default)]
pub(super) struct Outbox(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    waiting: VecDeque<(Item, usize)>,
    bytes: usize,
    /// Nobody puts anything in any more.
    is_over: bool,
    waker: Option<Waker>,
}

impl Outbox {
    /// Puts a message in; false if there is no room for it.
    #[must_use]
    pub(super) fn push(&self, envelope: Arc<Envelope>) -> bool {
        let size = envelope.to_json().len();
        let mut state = self.lock();
        let fits = state.waiting.len() < MAX_WAITING && state.bytes + size <= MAX_WAITING_BYTES;
        if fits && !state.is_over {
            state.bytes += size;
            state.waiting.push_back((Item::Message(envelope), size));
            state.wake();
        }
        fits
    }

    /// The last that is put in; what waits before it is sent, unless the client is too slow for that.
    pub(super) fn close(&self, reason: ClosedReason) {
        let mut state = self.lock();
        if reason == ClosedReason::TooSlow {
            state.waiting.clear();
        }
        state.waiting.push_back((Item::Close(reason), 0));
        state.is_over = true;
        state.wake();
    }

    /// The next; nothing behind the end.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let mut state = self.lock();
        if let Some((item, size)) = state.waiting.pop_front() {
            state.bytes -= size;
            return Poll::Ready(Some(item));
        }
        if state.is_over {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}
