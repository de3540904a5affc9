//! Fused elements: everything that runs on one task, executed without recursion, locks or queues.
//!
//! An item goes all the way down before the next one starts. What an element makes beyond its first item waits on a
//! stack; when a link leads to another task that is full, the whole state stays where it is and the driver waits.

mod effects;
mod group;
mod isolate;

use std::collections::VecDeque;
use std::sync::Arc;

use millstream_core::{
    BlockingSource, Flow, Item, Output, PadId, PadSet, Produce, Request, Result, Time, Transform, WakeHandle,
};

use crate::bus::BusSender;
use crate::failures::Failures;
use crate::link::{Dest, SrcLink};
use crate::port::{Port, PortSender};
use crate::stats::{DropStats, Latency, LinkStats, Whereabouts};

pub(crate) use group::Group;

/// The elements of one task.
pub(crate) struct Chain {
    pub(crate) nodes: Vec<Slot>,
    hot: Vec<Hot>,
    stack: Vec<Work>,
    /// Links to other tasks that hold gathered items.
    gathered: Vec<(usize, PadId)>,
    requests: VecDeque<(usize, PadId, Request)>,
    out: Output,
    hold: Option<Time>,
    /// As many items at the bottom of the stack wait for the end of the hold.
    floor: usize,
    pub(crate) whereabouts: Arc<Whereabouts>,
    pub(crate) bus: BusSender,
    pub(crate) failures: Arc<Failures>,
}

/// What a hop of a buffer needs of an element, side by side: a hop touches one cache line of the runtime's.
struct Hot {
    transform: Option<Box<dyn Transform>>,
    sinks: u16,
    srcs: u16,
    /// The first source pad leads to this pad of this node, without any question.
    plain: bool,
    to_pad: PadId,
    to: u32,
    stats: Arc<LinkStats>,
}

/// One element of a chain.
pub(crate) struct Slot {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) sinks: Vec<Upstream>,
    pub(crate) srcs: Vec<SrcLink>,
    pub(crate) drops: Arc<DropStats>,
    pub(crate) latency: Arc<Latency>,
    pub(crate) wake: Option<Time>,
    pub(crate) open_sinks: usize,
    /// Number of the last seek that came through, which may come on several branches.
    pub(crate) seek: Option<u64>,
    /// A failure here ends this branch and not the pipeline.
    pub(crate) isolated: bool,
    /// An input that is lost is one that is absent.
    pub(crate) survives_lost_inputs: bool,
    /// How the element is woken from threads of its own.
    pub(crate) waker: WakeHandle,
}

/// Who feeds a sink pad.
#[derive(Clone)]
pub(crate) enum Upstream {
    Local(usize, PadId),
    Port(Arc<Port>, PadId),
    Nobody,
}

/// What an element is while it runs.
pub(crate) enum Kind {
    /// Kept with the hot part of the node.
    Transform,
    Aggregate(Box<Group>),
    BlockingSource(Box<dyn BlockingSource>),
    /// A source or sink that runs as a future beside the chain; requests to it wait in the list.
    Outside(VecDeque<(PadId, Request)>),
    /// The receiving half of a `queue`.
    Queue,
    /// Failed, or downstream of one that has. What arrives here vanishes.
    Dead,
}

enum Work {
    /// An item leaves a source pad of a node.
    Emit(usize, PadId, Item),
    /// The node has more to give.
    Resume(usize),
}

/// Why [`Chain::run`] came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Everything has been delivered.
    Drained,
    /// An element wants nothing more before the time of [`Chain::hold`]; the rest waits.
    Held,
    /// The link at this source pad of this node has no room.
    Blocked(usize, PadId),
}

impl Chain {
    pub(crate) fn new(bus: BusSender, whereabouts: Arc<Whereabouts>, failures: Arc<Failures>) -> Self {
        Self {
            nodes: Vec::new(),
            hot: Vec::new(),
            stack: Vec::new(),
            gathered: Vec::new(),
            requests: VecDeque::new(),
            out: Output::new(0, 0),
            hold: None,
            floor: 0,
            whereabouts,
            bus,
            failures,
        }
    }

    /// Adds an element behind the others.
    pub(crate) fn add(&mut self, slot: Slot, transform: Option<Box<dyn Transform>>) {
        let (sinks, srcs) = (slot.sinks.len() as u16, slot.srcs.len() as u16);
        let mut hot = Hot { transform, sinks, srcs, plain: false, to_pad: PadId::FIRST, to: 0, stats: Arc::default() };
        if let Some(link) = slot.srcs.first()
            && let Dest::Local(to, to_pad) = link.dest
        {
            (hot.plain, hot.to, hot.to_pad, hot.stats) = (true, to as u32, to_pad, link.stats.clone());
        }
        self.nodes.push(slot);
        self.hot.push(hot);
    }

    /// Calls every element's `start`, upstream first.
    pub(crate) fn start(&mut self) -> Result<()> {
        for node in (0..self.nodes.len()).rev() {
            // The stack runs last in first out: started in reverse, upstream output is delivered first.
            self.call(node, |kind, transform, out| match (kind, transform) {
                (_, Some(t)) => t.start(out),
                (Kind::Aggregate(group), _) => group.aggregate.start(out),
                (Kind::BlockingSource(s), _) => s.start(out),
                _ => Ok(()),
            })?;
        }
        Ok(())
    }

    /// Sets the time that elements see in the coming calls.
    pub(crate) fn set_now(&mut self, now: Time) {
        self.out.set_now(now);
    }

    /// Lets the blocking source at the head make something.
    pub(crate) fn produce(&mut self) -> Result<Produce> {
        let mut made = Produce::Eos;
        self.call(0, |kind, _, out| {
            if let Kind::BlockingSource(source) = kind {
                made = source.produce(out)?;
            }
            Ok(())
        })?;
        Ok(made)
    }

    /// An item arrives from another task at a sink pad.
    pub(crate) fn arrive(&mut self, node: usize, pad: PadId, item: Item) -> Result<()> {
        self.guard(|chain| {
            let next = chain.deliver(node, pad, item)?;
            chain.stack.extend(next);
            Ok(())
        })
        .map(drop)
    }

    /// An item leaves a source pad of a node that runs beside the chain, behind what is pending.
    pub(crate) fn emit(&mut self, node: usize, pad: PadId, item: Item) {
        if matches!(item, Item::Flush(_)) {
            self.drop_pending();
        }
        self.floor += usize::from(self.hold.is_some());
        self.stack.insert(0, Work::Emit(node, pad, item));
    }

    /// Ends the stream on every source pad of the head.
    pub(crate) fn end(&mut self) {
        let pads = self.nodes.first().map_or(0, |n| n.srcs.len());
        for pad in (0..pads as u16).rev() {
            self.stack.push(Work::Emit(0, PadId(pad), Item::Eos));
        }
    }

    /// Delivers everything that is pending.
    pub(crate) fn run(&mut self) -> Result<Step> {
        let step = loop {
            // After a failure that ended a branch, the rest of what is pending goes on.
            if let Some(step) = self.guard(Self::deliver_all)? {
                break step;
            }
        };
        self.whereabouts.leave();
        Ok(step)
    }

    /// A request from downstream for a source pad of a node.
    pub(crate) fn request(&mut self, node: usize, pad: PadId, request: Request) -> Result<()> {
        self.requests.push_back((node, pad, request));
        while let Some((node, pad, request)) = self.requests.pop_front() {
            if let Request::Seek { epoch, .. } = request
                && self.nodes[node].seek.replace(epoch) == Some(epoch)
            {
                // The same seek came up another branch already.
                continue;
            }
            self.call(node, |kind, transform, out| {
                match (kind, transform) {
                    (_, Some(t)) => t.request(pad, request, out)?,
                    (Kind::Aggregate(group), _) => group.aggregate.request(pad, request, out)?,
                    (Kind::BlockingSource(s), _) => s.request(pad, request, out)?,
                    (Kind::Outside(waiting), _) => waiting.push_back((pad, request)),
                    (Kind::Queue, _) => out.request_all(request),
                    (Kind::Transform | Kind::Dead, None) => {}
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The earliest time at which [`Chain::wake`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.nodes.iter().filter_map(|n| n.wake).min()
    }

    /// True when an element waits for a thread of its own, which may have more to give after the end of all inputs.
    pub(crate) fn awaits(&self) -> bool {
        self.nodes.iter().any(|n| matches!(&n.kind, Kind::Aggregate(group) if group.awaits()))
    }

    /// The time before which no input is wanted.
    pub(crate) fn hold(&self) -> Option<Time> {
        self.hold
    }

    /// Lets what is under way go on at that time and not before; what elements send by their timers goes on.
    fn hold_until(&mut self, at: Time) {
        self.hold = self.hold.max(Some(at));
        self.floor = self.stack.len();
    }

    pub(crate) fn release(&mut self) {
        self.hold = None;
        self.floor = 0;
    }

    /// Calls the elements whose time has come.
    pub(crate) fn wake(&mut self, now: Time) -> Result<()> {
        for node in 0..self.nodes.len() {
            if self.nodes[node].wake.is_none_or(|at| at > now) {
                continue;
            }
            self.nodes[node].wake = None;
            if let Kind::Aggregate(group) = &mut self.nodes[node].kind {
                group.wanted = PadSet::empty();
            }
            self.wake_one(node, now)?;
        }
        Ok(())
    }

    /// Calls an element that asked for it from a thread of its own. A source is called anyway.
    pub(crate) fn wake_from_outside(&mut self, node: usize) -> Result<()> {
        match self.nodes.get(node) {
            Some(slot) if slot.waker.take() => self.wake_one(node, self.out.now()),
            _ => Ok(()),
        }
    }

    fn wake_one(&mut self, node: usize, now: Time) -> Result<()> {
        self.guard(|chain| {
            if matches!(chain.nodes[node].kind, Kind::Aggregate(_)) {
                let next = chain.step(node)?;
                chain.stack.extend(next);
                return Ok(());
            }
            chain.call(node, |_, transform, out| transform.map_or(Ok(()), |t| t.wake(now, out)))
        })
        .map(drop)
    }

    /// Puts what `out` asked for into effect on behalf of a node.
    pub(crate) fn effects_of(&mut self, node: usize, out: &mut Output) {
        std::mem::swap(self.out.effects(), out.effects());
        self.apply_effects(node);
        self.out.settle();
    }

    /// Adds a source pad to a running node and tells the newcomer what it missed.
    pub(crate) fn add_src(&mut self, node: usize, mut link: SrcLink) {
        let slot = &mut self.nodes[node];
        let memory: Vec<Item> = slot.srcs.first().map(|l| l.memory.recall().collect()).unwrap_or_default();
        let ended = slot.srcs.first().is_some_and(|l| l.memory.ended);
        link.until_keyframe = true;
        slot.srcs.push(link);
        self.hot[node].srcs = slot.srcs.len() as u16;
        let pad = PadId((slot.srcs.len() - 1) as u16);
        let eos = ended.then_some(Item::Eos);
        for item in memory.into_iter().chain(eos).rev() {
            self.stack.push(Work::Emit(node, pad, item));
        }
    }

    /// Whoever is at the far end of the link to `to` was built anew: tells it what it missed.
    pub(crate) fn rejoin(&mut self, node: usize, to: &str, sender: PortSender) {
        let Some(slot) = self.nodes.get_mut(node).filter(|slot| !matches!(slot.kind, Kind::Dead)) else { return };
        let Some(pad) = slot.srcs.iter().position(|link| link.to == to) else { return };
        let link = &mut slot.srcs[pad];
        (link.dest, link.until_keyframe, link.resumes) = (Dest::Port(sender), true, true);
        // It hears of the end again.
        let eos = std::mem::take(&mut link.memory.ended).then_some(Item::Eos);
        let missed: Vec<Item> = link.memory.recall().chain(eos).collect();
        for item in missed.into_iter().rev() {
            self.stack.push(Work::Emit(node, PadId(pad as u16), item));
        }
    }

    fn deliver_all(&mut self) -> Result<Step> {
        while self.stack.len() > self.floor {
            let mut next = self.stack.pop();
            while let Some(work) = next {
                next = match work {
                    Work::Emit(node, pad, item) => match self.hop(node, pad, item)? {
                        Hop::Next(work) => work,
                        Hop::Blocked => return Ok(Step::Blocked(node, pad)),
                    },
                    Work::Resume(node) => self.resume(node)?,
                };
            }
        }
        Ok(if self.hold.is_some() { Step::Held } else { Step::Drained })
    }

    #[inline]
    fn hop(&mut self, node: usize, pad: PadId, item: Item) -> Result<Hop> {
        let slot = &mut self.nodes[node];
        let Some(link) = slot.srcs.get_mut(pad.index()) else { return Ok(Hop::Next(None)) };
        let item = match link.is_special() {
            false => item,
            true => {
                let bytes = item.bytes() as u64;
                match link.admit(item, self.out.now()) {
                    Ok(item) => item,
                    Err(reason) => {
                        slot.left_out(reason, bytes, &self.bus);
                        return Ok(Hop::Next(None));
                    }
                }
            }
        };
        match &item {
            Item::Buffer(_) => {}
            other => {
                if let Err(e) = Self::note(link, other, &self.bus, &slot.name) {
                    return self.failed(node, e).map(Hop::Next);
                }
            }
        }
        match &mut link.dest {
            Dest::Local(to, to_pad) => {
                let (to, to_pad) = (*to, *to_pad);
                link.stats.count(&item);
                self.deliver(to, to_pad, item).map(Hop::Next)
            }
            Dest::Port(sender) => {
                // The port counts what goes in.
                let was_empty = !sender.has_gathered();
                let room = sender.push(item);
                if was_empty && sender.has_gathered() {
                    self.gathered.push((node, pad));
                }
                Ok(if room { Hop::Next(None) } else { Hop::Blocked })
            }
        }
    }

    /// The task has finished in good order: so have its links to other tasks.
    pub(crate) fn end_links(&mut self) {
        for link in self.nodes.iter_mut().flat_map(|n| &mut n.srcs) {
            if let Dest::Port(sender) = &mut link.dest {
                sender.end();
            }
        }
    }

    /// Hands over what links to other tasks have gathered.
    pub(crate) fn flush_links(&mut self) -> Step {
        while let Some((node, pad)) = self.gathered.pop() {
            if let Some(Dest::Port(sender)) = self.nodes[node].srcs.get_mut(pad.index()).map(|l| &mut l.dest)
                && !sender.flush()
            {
                self.gathered.push((node, pad));
                return Step::Blocked(node, pad);
            }
        }
        Step::Drained
    }

    /// An item arrives at a sink pad. A buffer runs on from element to element in here as long as each makes exactly
    /// one buffer of it for the next one of the chain: the loop that everything else makes way for.
    fn deliver(&mut self, node: usize, pad: PadId, item: Item) -> Result<Option<Work>> {
        let (mut node, mut pad, mut item) = (node, pad, item);
        loop {
            self.whereabouts.enter(node);
            let Some(hot) = self.hot.get_mut(node) else { return Ok(None) };
            let (Some(transform), Item::Buffer(_)) = (&mut hot.transform, &item) else {
                return self.deliver_slowly(node, pad, item);
            };
            self.out.begin(hot.sinks, hot.srcs);
            match transform.handle(pad, item, &mut self.out) {
                Ok(Flow::Done) => {}
                Ok(Flow::More) => self.stack.push(Work::Resume(node)),
                Err(e) => return self.failed(node, e),
            }
            if self.out.is_busy() {
                return Ok(self.collect(node));
            }
            let src = self.out.first_pad();
            let Some(made) = self.out.take_first() else { return Ok(None) };
            if src != PadId::FIRST || !hot.plain || !matches!(made, Item::Buffer(_)) {
                return Ok(Some(Work::Emit(node, src, made)));
            }
            hot.stats.count(&made);
            (node, pad, item) = (hot.to as usize, hot.to_pad, made);
        }
    }

    /// What is not media, and elements of other shapes.
    fn deliver_slowly(&mut self, node: usize, pad: PadId, item: Item) -> Result<Option<Work>> {
        let (slot, hot) = (&mut self.nodes[node], &mut self.hot[node]);
        self.out.begin(hot.sinks, hot.srcs);
        match (&slot.kind, &mut hot.transform) {
            (Kind::Transform, Some(transform)) => {
                let ends = matches!(item, Item::Eos);
                match transform.handle(pad, item, &mut self.out) {
                    Ok(Flow::Done) => {}
                    Ok(Flow::More) => self.stack.push(Work::Resume(node)),
                    Err(e) => return self.failed(node, e),
                }
                if ends {
                    self.sink_pad_ended(node);
                }
                Ok(self.collect(node))
            }
            (Kind::Queue, _) => Ok(Some(Work::Emit(node, PadId::FIRST, item))),
            (Kind::Aggregate(_), _) => self.deliver_to_group(node, pad, item),
            _ => Ok(None),
        }
    }

    fn resume(&mut self, node: usize) -> Result<Option<Work>> {
        self.whereabouts.enter(node);
        let hot = &mut self.hot[node];
        self.out.begin(hot.sinks, hot.srcs);
        let Some(transform) = &mut hot.transform else { return self.step(node) };
        match transform.resume(&mut self.out) {
            Ok(Flow::Done) => {}
            Ok(Flow::More) => self.stack.push(Work::Resume(node)),
            Err(e) => return self.failed(node, e),
        }
        Ok(self.collect(node))
    }

    /// Calls a node outside the flow of items; its output waits on the stack.
    fn call(
        &mut self,
        node: usize,
        body: impl FnOnce(&mut Kind, Option<&mut Box<dyn Transform>>, &mut Output) -> Result<()>,
    ) -> Result<()> {
        self.guard(|chain| {
            chain.whereabouts.enter(node);
            let hot = &mut chain.hot[node];
            chain.out.begin(hot.sinks, hot.srcs);
            if let Err(e) = body(&mut chain.nodes[node].kind, hot.transform.as_mut(), &mut chain.out) {
                return chain.failed(node, e).map(drop);
            }
            let next = chain.collect(node);
            if let Some(Work::Emit(_, _, Item::Flush(_))) = next {
                chain.drop_pending();
            }
            chain.stack.extend(next);
            Ok(())
        })
        .map(drop)
    }

    /// Takes what a call put into the output: the first item goes on at once, the others wait on the stack.
    #[inline]
    fn collect(&mut self, node: usize) -> Option<Work> {
        if self.out.is_busy() {
            self.apply_effects(node);
            self.out.settle();
        }
        let src = self.out.first_pad();
        let first = self.out.take_first()?;
        if !self.out.more().is_empty() {
            let more = self.out.more().drain(..).rev();
            self.stack.extend(more.map(|(pad, item)| Work::Emit(node, pad, item)));
        }
        Some(Work::Emit(node, src, first))
    }

    /// A flush voids the media that is under way, and pacing with it; what links remember stays.
    pub(crate) fn drop_pending(&mut self) {
        self.release();
        self.stack.retain(|work| {
            !matches!(work, Work::Emit(_, _, Item::Buffer(_) | Item::Gap(_) | Item::Eos) | Work::Resume(_))
        });
    }

    /// Requests that elements made while items ran; served by the driver between items.
    pub(crate) fn serve_requests(&mut self) -> Result<()> {
        match self.requests.pop_front() {
            Some((node, pad, request)) => self.request(node, pad, request),
            None => Ok(()),
        }
    }

    /// True when the element at the head has failed, and the rest of the pipeline goes on without this task.
    pub(crate) fn is_headless(&self) -> bool {
        matches!(self.nodes.first().map(|n| &n.kind), Some(Kind::Dead))
    }

    /// True when something waits to be delivered.
    #[inline]
    pub(crate) fn has_pending(&self) -> bool {
        !self.stack.is_empty()
    }

    /// True when a flush waits to be delivered.
    pub(crate) fn has_flush(&self) -> bool {
        self.stack.iter().any(|work| matches!(work, Work::Emit(_, _, Item::Flush(_))))
    }

    pub(crate) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }
}

enum Hop {
    Next(Option<Work>),
    Blocked,
}
