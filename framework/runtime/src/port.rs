//! The channel where two tasks meet: one consumer with one or more pads, a producer for each pad.
//!
//! Each pad has limits of its own. When the consumer is an aggregate, a producer is held back only while no pad that
//! the aggregate waits for is empty: an encoder that looks three seconds ahead on one branch must not be starved by a
//! full queue on the other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use millstream_core::element::Leaky;
use millstream_core::{Inbox, Item, PadId, PadSet, QueueLimits, Request, Time};

use crate::control::Control;
use crate::stats::LinkStats;

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

/// The sending end of one pad.
///
/// Items gather here first, because a lock and a wake-up for each cost more than everything else that happens to it;
/// whoever drives the producer flushes before it waits for anything.
pub(crate) struct PortSender {
    port: Arc<Port>,
    pad: PadId,
    gathered: VecDeque<Item>,
}

/// Buffers that a sender gathers before it takes the lock by itself.
const MAX_GATHERED: usize = 32;

impl Port {
    pub(crate) fn new() -> Arc<Self> {
        let state =
            State { pads: Vec::new(), wanted: PadSet::empty(), consumer: None, closed: false, group: false, next: 0 };
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
        PortSender { port: self.clone(), pad, gathered: VecDeque::with_capacity(MAX_GATHERED) }
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
                pad.held = Held { buffers: inbox.len(PadId(i as u16)), bytes: 0 };
            }
            state.release()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// The consumer is gone: producers no longer wait, what they send is dropped.
    pub(crate) fn close(&self) {
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

#[cfg(test)]
mod tests {
    use std::task::Context;

    use futures_util::task::noop_waker;
    use millstream_core::{Buffer, BufferFlags};

    use super::*;

    fn limits(buffers: usize, leaky: Leaky) -> QueueLimits {
        QueueLimits { buffers, bytes: 0, time: 0, leaky }
    }

    fn item(id: u8, key: bool) -> Item {
        let mut flags = BufferFlags::empty();
        flags.set(BufferFlags::KEYFRAME, key);
        Item::buffer(Buffer::new(vec![id]).with_flags(flags))
    }

    fn take(port: &Port) -> Vec<u8> {
        let (mut all, waker) = (Vec::new(), noop_waker());
        let mut batch = VecDeque::new();
        while port.poll_take(&mut Context::from_waker(&waker), &mut batch).is_ready() {
            all.extend(batch.drain(..).filter_map(|(_, item)| match item {
                Item::Buffer(b) => Some(b.payload.contiguous()[0]),
                _ => None,
            }));
        }
        all
    }

    impl PortSender {
        fn send(&mut self, item: Item) -> bool {
            self.push(item) && self.flush()
        }
    }

    #[test]
    fn a_full_pad_keeps_the_item_with_the_sender_but_takes_what_is_not_media() {
        let port = Port::new();
        let mut sender = port.add_pad(limits(2, Leaky::No), Arc::default());
        assert!(sender.send(item(1, true)) && sender.send(item(2, false)));
        assert!(sender.send(Item::Caps("a/b".parse().unwrap())));
        assert!(!sender.send(item(3, false)));
        assert_eq!(take(&port), [1, 2]);
        assert!(sender.flush());
        assert_eq!(take(&port), [3]);
    }

    #[test]
    fn buffers_gather_before_they_take_the_lock() {
        let port = Port::new();
        let mut sender = port.add_pad(limits(100, Leaky::No), Arc::default());
        (0..MAX_GATHERED as u8 - 1).for_each(|i| assert!(sender.push(item(i, true))));
        assert!(take(&port).is_empty());
        assert!(sender.push(item(99, true)));
        assert_eq!(take(&port).len(), MAX_GATHERED);
    }

    #[test]
    fn leaky_pads_leave_out_what_they_say() {
        let send = |leaky, keys: &[bool]| {
            let port = Port::new();
            let stats = Arc::<LinkStats>::default();
            let mut sender = port.add_pad(limits(2, leaky), stats.clone());
            keys.iter().enumerate().for_each(|(i, key)| assert!(sender.send(item(i as u8, *key))));
            let mut got = take(&port);
            assert!(sender.send(item(8, false)) && sender.send(item(9, true)));
            got.extend(take(&port));
            let report = stats.report("", "");
            assert_eq!(report.buffers, keys.len() as u64 + 2, "everything that was given, whatever became of it");
            (got, report.dropped)
        };
        let keys = [true, false, false, true];
        assert_eq!(send(Leaky::Upstream, &keys), (vec![0, 1, 8, 9], 2));
        assert_eq!(send(Leaky::Downstream, &keys), (vec![2, 3, 8, 9], 2));
        assert_eq!(send(Leaky::ToKeyframe, &keys), (vec![0, 1, 9], 3), "8 depends on what was left out");
    }

    #[test]
    fn a_producer_is_not_held_back_while_a_needed_pad_is_empty() {
        let port = Port::new();
        let mut direct = port.add_pad(limits(1, Leaky::No), Arc::default());
        let mut encoded = port.add_pad(limits(1, Leaky::No), Arc::default());
        assert!(direct.send(item(1, true)));
        assert!(!direct.send(item(2, true)));
        direct.set_upstream(Arc::default(), 0, PadId(0), vec![7]);
        port.set_inbox(&Inbox::new(2), PadSet::from_iter([PadId(1)]));
        assert!(!direct.flush(), "the pad that starves comes from another source");
        encoded.set_upstream(Arc::default(), 0, PadId(0), vec![7]);
        port.set_inbox(&Inbox::new(2), PadSet::from_iter([PadId(1)]));
        assert!(direct.flush(), "the muxer waits for the encoder");
        assert!(encoded.send(item(3, true)));
        assert!(!direct.send(item(4, true)), "nobody is waiting any more");
    }

    #[test]
    fn a_flush_overtakes_data_and_keeps_caps() {
        let port = Port::new();
        let mut sender = port.add_pad(limits(2, Leaky::No), Arc::default());
        for item in [Item::Caps("a/b".parse().unwrap()), item(1, true), item(2, true), Item::Flush(7)] {
            assert!(sender.send(item));
        }
        let (mut batch, waker) = (VecDeque::new(), noop_waker());
        assert!(port.poll_take(&mut Context::from_waker(&waker), &mut batch).is_ready());
        let names: Vec<_> = batch.iter().map(|(_, item)| item.name()).collect();
        assert_eq!(names, ["flush", "caps"]);
    }

    #[test]
    fn a_producer_that_finishes_ends_its_pad_once_and_a_lost_one_leaves_it_open() {
        let port = Port::new();
        let mut sender = port.add_pad(limits(2, Leaky::No), Arc::default());
        assert!(sender.send(Item::Eos));
        sender.end();
        port.add_pad(limits(2, Leaky::No), Arc::default()).end();
        drop(port.add_pad(limits(2, Leaky::No), Arc::default()));
        let (mut batch, waker) = (VecDeque::new(), noop_waker());
        assert!(port.poll_take(&mut Context::from_waker(&waker), &mut batch).is_ready());
        let pads: Vec<_> = batch.iter().map(|(pad, item)| (pad.0, item.name())).collect();
        assert_eq!(pads, [(0, "eos"), (1, "eos")]);
    }
}
