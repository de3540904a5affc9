//! The channel where two tasks meet: one consumer with one or more pads, a producer for each pad.
//!
//! Each pad has limits of its own. When the consumer is an aggregate, a producer is held back only while no pad that
//! the aggregate waits for is empty: an encoder that looks three seconds ahead on one branch must not be starved by a
//! full queue on the other.

mod sender;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use millstream_core::element::Leaky;
use millstream_core::{Inbox, Item, PadId, PadSet, QueueLimits, Request, Time};

use crate::control::Control;
use crate::stats::LinkStats;

pub(crate) use sender::PortSender;

/// Items that a consumer takes at a time: enough to share the cost of the lock, few enough to keep a queue's limit.
const MAX_BATCH: usize = 64;

/// What a link between tasks holds where no `queue` element says otherwise. A second of 1080p video and its audio.
pub(crate) const DEFAULT_LIMITS: QueueLimits = QueueLimits { buffers: 256, bytes: 16 << 20, time: 0, leaky: Leaky::No };

/// The receiving end of one task.
pub(crate) struct Port {
    state: Mutex<State>,
    /// Counts what producers hand over and what the consumer takes, for whoever looks without the lock.
    handed_over: AtomicUsize,
    taken: AtomicUsize,
}

struct State {
    pads: Vec<Pad>,
    wanted: PadSet,
    consumer: Option<Waker>,
    closed: bool,
    /// The consumer may be built anew: when it goes, what comes is left out and counted.
    counts_loss: bool,
    /// The consumer may be built anew: when it goes, producers wait for the next one.
    waits_for_next: bool,
    group: bool,
    next: usize,
}

struct Pad {
    items: VecDeque<Item>,
    bytes: usize,
    buffers: usize,
    held: Held,
    limits: QueueLimits,
    skipping: bool,
    audio: bool,
    /// Items in the queue that have a time.
    timed: usize,
    newest: Time,
    ended: bool,
    /// The producer has gone without an end.
    lost: bool,
    waiter: Option<Waker>,
    stats: Arc<LinkStats>,
    upstream: Option<(Arc<Control>, usize, PadId)>,
    /// The sources that this pad's data comes from, by number.
    roots: Vec<usize>,
}

/// What the consumer has taken and not yet worked off.
#[derive(Clone, Copy, Default)]
struct Held {
    buffers: usize,
    bytes: usize,
}

impl Port {
    pub(crate) fn new() -> Arc<Self> {
        let state = State {
            pads: Vec::new(),
            wanted: PadSet::empty(),
            consumer: None,
            closed: false,
            counts_loss: false,
            waits_for_next: false,
            group: false,
            next: 0,
        };
        Arc::new(Self { state: Mutex::new(state), handed_over: AtomicUsize::new(0), taken: AtomicUsize::new(0) })
    }

    /// Adds a pad and gives its sending end.
    pub(crate) fn add_pad(self: &Arc<Self>, limits: QueueLimits, stats: Arc<LinkStats>) -> PortSender {
        let mut state = self.lock();
        state.pads.push(Pad {
            items: VecDeque::new(),
            bytes: 0,
            buffers: 0,
            held: Held::default(),
            limits,
            skipping: false,
            audio: false,
            timed: 0,
            newest: Time::MIN,
            ended: false,
            lost: false,
            waiter: None,
            stats,
            upstream: None,
            roots: Vec::new(),
        });
        let pad = PadId((state.pads.len() - 1) as u16);
        PortSender::new(self, pad)
    }

    /// The sending end of a pad whose producer was built anew.
    pub(crate) fn sender_again(self: &Arc<Self>, pad: PadId) -> PortSender {
        PortSender::new(self, pad)
    }

    /// The consumer may be built anew. While it is gone, producers that are live leave out what comes, the others wait.
    pub(crate) fn outlive_consumer(&self, live: bool) {
        let mut state = self.lock();
        (state.counts_loss, state.waits_for_next) = (live, !live);
    }

    /// Sends a request to whoever feeds a pad.
    pub(crate) fn request(&self, pad: PadId, request: Request) {
        let upstream = self.lock().pads.get(pad.index()).and_then(|p| p.upstream.clone());
        if let Some((control, node, src)) = upstream {
            control.request(node, src, request);
        }
    }

    /// Takes what is ready, a batch at the most, fairly over the pads. Says that earlier batches are worked off.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, into: &mut VecDeque<(PadId, Item)>) -> Poll<()> {
        let mut state = self.lock();
        let woken = state.take(into);
        self.taken.fetch_add(1, Ordering::Relaxed);
        let ready = !into.is_empty() || state.pads.iter().any(|p| p.lost);
        if !ready {
            state.consumer = Some(cx.waker().clone());
        }
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(crate) async fn take(&self, into: &mut VecDeque<(PadId, Item)>) {
        poll_fn(|cx| self.poll_take(cx, into)).await;
    }

    /// Says what an aggregate holds and waits for, so that producers are held back or let go.
    pub(crate) fn set_inbox(&self, inbox: &Inbox, wanted: PadSet) {
        let woken: Vec<Waker> = {
            let mut state = self.lock();
            (state.group, state.wanted) = (true, wanted);
            for (i, pad) in state.pads.iter_mut().enumerate() {
                let at = PadId(i as u16);
                pad.held = Held { buffers: inbox.len(at), bytes: inbox.bytes_on(at) };
            }
            state.release()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// The consumer is gone: producers no longer wait, what they send is dropped; unless there will be another one.
    pub(crate) fn close(&self) {
        if !self.lock().waits_for_next {
            self.shut();
        }
    }

    /// The consumer is gone for good.
    pub(crate) fn shut(&self) {
        let woken: Vec<Waker> = {
            let mut state = self.lock();
            state.closed = true;
            state.pads.iter_mut().for_each(|p| p.items.clear());
            state.pads.iter_mut().filter_map(|p| p.waiter.take()).collect()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// True when a producer has gone without ending its stream, and all that it sent before has been taken.
    pub(crate) fn is_lost(&self) -> bool {
        self.lock().pads.iter().any(|p| p.lost && p.items.is_empty())
    }

    /// Waits until no producer is left.
    pub(crate) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.pads.iter().all(|p| p.ended || p.lost) {
            return Poll::Ready(());
        }
        state.consumer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// True when no producer feeds it, or could.
    pub(crate) fn is_unfed(&self) -> bool {
        self.lock().pads.is_empty()
    }

    /// A producer that could have been built anew will not: its stream ends here, or is left without an end.
    pub(crate) fn give_up_producer(&self, pad: PadId, ends: bool) {
        let waker = {
            let mut state = self.lock();
            let Some(pad) = state.pads.get_mut(pad.index()) else { return };
            if ends && !pad.ended {
                pad.ended = true;
                pad.push(Item::Eos);
            }
            pad.lost = !pad.ended;
            state.consumer.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// True when media waits, and the consumer has no reason to leave it: an aggregate may be waiting for another pad.
    pub(crate) fn waits_for_consumer(&self) -> bool {
        let state = self.lock();
        let starves = |pad: PadId| state.pads.get(pad.index()).is_some_and(|p| p.items.is_empty() && !p.ended);
        let starved = state.group && state.wanted.iter().any(starves);
        !state.closed && !starved && state.pads.iter().any(|p| p.buffers > 0)
    }

    /// Counter that moves when the consumer takes something.
    pub(crate) fn taken(&self) -> &AtomicUsize {
        &self.taken
    }

    /// Pads whose producers have gone without an end, which count as ended from now on. None where `survive` is false, or no other
    /// pad is left.
    pub(crate) fn forget_lost(&self, survive: bool) -> Vec<PadId> {
        let mut state = self.lock();
        if !survive || state.pads.iter().all(|p| p.lost || p.ended) && !state.pads.iter().any(|p| p.ended && !p.lost) {
            return Vec::new();
        }
        let lost = (0_u16..).zip(&mut state.pads).filter(|(_, pad)| pad.lost && pad.items.is_empty());
        lost.map(|(at, pad)| {
            (pad.lost, pad.ended) = (false, true);
            PadId(at)
        })
        .collect()
    }

    /// True when something waits to be taken.
    pub(crate) fn is_ready(&self) -> bool {
        self.lock().pads.iter().any(|p| !p.items.is_empty())
    }

    /// Pads on which a flush waits to be taken: what was taken of them before is void.
    pub(crate) fn flushed(&self) -> PadSet {
        self.lock().flushed()
    }

    /// Waits for a flush on any pad.
    pub(crate) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.flushed().is_empty() {
            return Poll::Ready(());
        }
        state.consumer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Counter that moves when a producer hands something over.
    pub(crate) fn handed_over(&self) -> &AtomicUsize {
        &self.handed_over
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, into: &mut VecDeque<(PadId, Item)>) -> Vec<Waker> {
        let count = self.pads.len();
        for turn in 0..count {
            let at = (self.next + turn) % count;
            let pad = &mut self.pads[at];
            if !self.group {
                pad.held = Held::default();
            }
            let mut batch = (pad.limits.buffers / 4).clamp(1, MAX_BATCH);
            while batch > 0 {
                let Some(item) = pad.pop() else { break };
                if matches!(item, Item::Buffer(_)) {
                    batch -= 1;
                    pad.held.buffers += 1;
                    pad.held.bytes += item.bytes();
                }
                into.push_back((PadId(at as u16), item));
            }
            pad.stats.set_level(pad.buffers);
        }
        self.next = self.next.wrapping_add(1);
        self.release()
    }

    fn flushed(&self) -> PadSet {
        // A flush goes ahead of everything that waits.
        let flushed = |pad: &Pad| matches!(pad.items.front(), Some(Item::Flush(_)));
        (0_u16..).zip(&self.pads).filter(|(_, pad)| flushed(pad)).map(|(at, _)| PadId(at)).collect()
    }

    /// Wakers of the producers that may go on.
    fn release(&mut self) -> Vec<Waker> {
        (0..self.pads.len()).filter_map(|i| if self.has_room(i) { self.pads[i].waiter.take() } else { None }).collect()
    }

    /// A waiting producer goes on when half the room is free, so that it does not wake for every single item.
    fn has_room(&self, at: usize) -> bool {
        let pad = &self.pads[at];
        !self.is_full(at) && (self.group || (pad.buffers + pad.held.buffers) * 2 <= pad.limits.buffers.max(2))
    }

    /// Adds an item to a pad, or gives it back when the pad is full. Only buffers wait: the rest always goes in.
    fn put(&mut self, at: usize, item: Item) -> Result<(), Item> {
        if self.closed {
            let pad = &mut self.pads[at];
            pad.ended |= matches!(item, Item::Eos);
            if self.counts_loss && matches!(item, Item::Buffer(_)) {
                pad.stats.refuse(&item);
            }
            return Ok(());
        }
        let full = matches!(item, Item::Buffer(_)) && self.is_full(at);
        let pad = &mut self.pads[at];
        match &item {
            Item::Buffer(buffer) if pad.skipping => {
                if full || !(buffer.is_keyframe() || pad.audio) {
                    pad.stats.refuse(&item);
                    return Ok(());
                }
                pad.skipping = false;
                pad.push(item);
            }
            Item::Buffer(_) if full && matches!(pad.limits.leaky, Leaky::No | Leaky::Lossless) => return Err(item),
            Item::Buffer(_) if full => pad.leak(item),
            // Who counts the ends of its pads counts each once.
            Item::Eos if pad.ended => {}
            Item::Flush(_) => {
                pad.ended = false;
                pad.flush();
                pad.items.push_front(item);
            }
            _ => {
                pad.ended |= matches!(item, Item::Eos);
                pad.push(item);
            }
        }
        Ok(())
    }

    fn is_full(&self, at: usize) -> bool {
        let pad = &self.pads[at];
        if self.closed || !pad.is_full() {
            return false;
        }
        // Only what has a source in common can be starved by holding this pad back.
        let kin = |p: &Pad| p.roots.iter().any(|root| pad.roots.contains(root));
        let starves = |p: &Pad| p.items.is_empty() && kin(p);
        !self.wanted.iter().any(|p| p.index() != at && self.pads.get(p.index()).is_some_and(starves))
    }
}

impl Pad {
    fn is_full(&self) -> bool {
        let limits = &self.limits;
        let over = |limit: usize, now: usize| limit > 0 && now >= limit;
        over(limits.buffers, self.buffers + self.held.buffers)
            || over(limits.bytes, self.bytes + self.held.bytes)
            || (limits.time > 0 && self.stretch() >= limits.time)
    }

    /// Nanoseconds from the oldest to the newest timestamp in the queue.
    fn stretch(&self) -> i64 {
        if self.timed == 0 {
            return 0;
        }
        let oldest = self.items.iter().find_map(Item::dts_or_pts).unwrap_or(self.newest);
        self.newest.since(oldest).nanos()
    }

    fn push(&mut self, item: Item) {
        if let Item::Caps(caps) = &item {
            self.audio = caps.is_audio();
        }
        if let Some(time) = item.dts_or_pts() {
            self.timed += 1;
            self.newest = time;
        }
        self.stats.count(&item);
        self.bytes += item.bytes();
        self.buffers += usize::from(matches!(item, Item::Buffer(_)));
        self.items.push_back(item);
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.forget(&item);
        Some(item)
    }

    fn forget(&mut self, item: &Item) {
        self.timed -= usize::from(item.dts_or_pts().is_some());
        self.bytes -= item.bytes();
        self.buffers -= usize::from(matches!(item, Item::Buffer(_)));
    }

    /// A full leaky pad takes `item` or leaves something out. Never touches what is not media.
    fn leak(&mut self, item: Item) {
        match self.limits.leaky {
            Leaky::No | Leaky::Lossless => self.push(item),
            Leaky::Upstream => self.stats.refuse(&item),
            Leaky::Downstream => {
                self.drop_oldest();
                self.push(item);
            }
            Leaky::ToKeyframe => {
                self.skipping = true;
                self.stats.refuse(&item);
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(at) = self.items.iter().position(|i| matches!(i, Item::Buffer(_)))
            && let Some(item) = self.items.remove(at)
        {
            self.forget(&item);
            self.stats.drop_one();
        }
    }

    fn flush(&mut self) {
        self.items.retain(|item| !matches!(item, Item::Buffer(_) | Item::Gap(_) | Item::Eos));
        (self.bytes, self.buffers, self.timed, self.skipping) = (0, 0, 0, false);
    }
}
