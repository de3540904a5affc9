//! How a running task is told something from outside: requests from downstream, changes of the graph, stop.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use millstream_core::{PadId, Request};

use crate::chain::Chain;

/// What a task should do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Order {
    /// Go on.
    Run,
    /// Sources: end the stream, so that files are finished.
    Drain,
    /// Leave everything and return.
    Cancel,
}

type Command = Box<dyn FnOnce(&mut Chain) + Send>;

/// The mailbox of one task.
#[derive(Default)]
pub(crate) struct Control {
    order: AtomicU8,
    /// Leave, to be built anew.
    leave: AtomicBool,
    /// The task is over for good: nobody reads the mail any more.
    closed: AtomicBool,
    /// The pipeline was told to stop.
    stopping: AtomicBool,
    dirty: AtomicBool,
    mail: Mutex<Mail>,
}

#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) requests: VecDeque<(usize, PadId, Request)>,
    pub(crate) commands: Vec<Command>,
    /// Elements that asked to be called, from threads of their own.
    pub(crate) woken: Vec<usize>,
    waker: Option<Waker>,
}

/// Requests that may wait for a busy task; beyond it the oldest is left out, since a newer one says more.
const MAX_REQUESTS: usize = 256;

impl Control {
    /// What the task should do.
    pub(crate) fn order(&self) -> Order {
        match self.leave.load(Ordering::Acquire) {
            true => Order::Cancel,
            false => self.standing_order(),
        }
    }

    /// What the pipeline wants of the task, whatever becomes of it in between.
    pub(crate) fn standing_order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Run,
            1 => Order::Drain,
            _ => Order::Cancel,
        }
    }

    /// Gives an order; a weaker one than before changes nothing.
    pub(crate) fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        self.touch(|_| {});
    }

    /// Notes that the pipeline was told to stop, which sources do something about.
    pub(crate) fn note_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Lets the task leave so that it can be built anew (`true`), or run again.
    pub(crate) fn leave(&self, leave: bool) {
        self.leave.store(leave, Ordering::Release);
        self.touch(|_| {});
    }

    /// The task is over. Commands that it has not read are dropped, with what they hold.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        drop(self.take());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn request(&self, node: usize, pad: PadId, request: Request) {
        self.touch(|mail| {
            if mail.requests.len() == MAX_REQUESTS {
                mail.requests.pop_front();
            }
            mail.requests.push_back((node, pad, request));
        });
    }

    pub(crate) fn command(&self, command: Command) {
        self.touch(|mail| mail.commands.push(command));
        if self.is_closed() {
            drop(self.take());
        }
    }

    /// An element of the task's chain asks to be called.
    pub(crate) fn wake(&self, node: usize) {
        self.touch(|mail| mail.woken.push(node));
    }

    /// Elements that asked to be called since the last time.
    pub(crate) fn take_woken(&self) -> Vec<usize> {
        std::mem::take(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner).woken)
    }

    /// Ready when the pipeline wants something else than that the task runs; otherwise wakes the caller when that may be.
    pub(crate) fn poll_standing_order(&self, cx: &mut Context<'_>) -> Poll<Order> {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        match self.standing_order() {
            Order::Run => {
                mail.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            order => Poll::Ready(order),
        }
    }

    /// True when something came since [`Control::take`]. One load: asked for between items.
    #[inline]
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Relaxed)
    }

    pub(crate) fn take(&self) -> (VecDeque<(usize, PadId, Request)>, Vec<Command>) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        self.dirty.store(false, Ordering::Relaxed);
        (std::mem::take(&mut mail.requests), std::mem::take(&mut mail.commands))
    }

    /// Ready when something has come; otherwise wakes the caller when it does.
    pub(crate) fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_dirty() {
            return Poll::Ready(());
        }
        mail.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn touch(&self, change: impl FnOnce(&mut Mail)) {
        let waker = {
            let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut mail);
            self.dirty.store(true, Ordering::Relaxed);
            mail.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
