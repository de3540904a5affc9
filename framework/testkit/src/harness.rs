//! One element without a runtime.
//!
//! The harness does what the runtime does, on the test's thread and on a virtual clock: it calls `handle` and `resume`
//! until [`Flow::Done`], `step` for each item of a wanted pad and at the deadline, `wake` when it is due, and before the
//! next input it moves the clock on to the time that the element asked to be held until. What comes out is kept in order.

use std::any::Any;
use std::collections::VecDeque;

use bytes::Bytes;
use millstream_core::output::Effect;
use millstream_core::registry::LinkedPad;
use millstream_core::settings::{AnySettings, Node};
use millstream_core::{
    Aggregate, BlockingSource, Buffer, BuildCx, Caps, CapsSet, Clock, Direction, Dropped, Element, Factory, Flow,
    Inbox, Item, MessageKind, Need, Output, PadId, PadSet, Presence, Produce, Request, Result, Segment, StreamInfo,
    Time, Transform,
};

use crate::{TestEnv, Timeline};

/// Calls in a row without input after which an element is taken to run for ever.
const MAX_CALLS: usize = 1_000_000;

/// Says how the element of a [`Harness`] is made and linked.
pub struct HarnessBuilder<'a> {
    factory: &'a Factory,
    name: String,
    settings: Option<AnySettings>,
    env: TestEnv,
    pads: Vec<(Direction, LinkedPad)>,
    unlinked: Vec<&'a str>,
}

impl<'a> HarnessBuilder<'a> {
    /// Settings as launch text without pipes and colons: `num-buffers=3 location="my file"`.
    ///
    /// # Panics
    /// When the element refuses them.
    pub fn settings(mut self, text: &str) -> Self {
        let parsed = self.factory.settings.parse(&settings_node(text));
        self.settings = Some(parsed.unwrap_or_else(|e| panic!("settings of {}: {e}", self.factory.name)));
        self
    }

    /// Settings as the element's own struct.
    pub fn typed(mut self, settings: impl Any + Send + Sync) -> Self {
        self.settings = Some(Box::new(settings));
        self
    }

    /// Settings that are parsed already.
    pub fn parsed(mut self, settings: AnySettings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// The element's name; the factory's otherwise.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The environment; a new one otherwise.
    pub fn env(mut self, env: &TestEnv) -> Self {
        self.env = env.clone();
        self
    }

    /// Links a sink pad that is there on request or sometimes. Pads that are always there are linked anyway.
    pub fn sink(self, name: &str) -> Self {
        self.pad(Direction::Sink, name, CapsSet::Any)
    }

    /// Links a source pad that is there on request or sometimes.
    pub fn src(self, name: &str) -> Self {
        self.pad(Direction::Src, name, CapsSet::Any)
    }

    /// Links a source pad to something that accepts these caps only.
    ///
    /// # Panics
    /// When the caps cannot be read.
    pub fn src_caps(self, name: &str, caps: &str) -> Self {
        let caps = caps.parse().unwrap_or_else(|e| panic!("{caps}: {e}"));
        self.pad(Direction::Src, name, caps)
    }

    /// The source pads linked so far reach a sink that can rewrite what came before.
    pub fn random_write(mut self) -> Self {
        self.pads.iter_mut().for_each(|(_, pad)| pad.random_write = true);
        self
    }

    /// Leaves a pad unlinked that is always there.
    pub fn unlinked(mut self, name: &'a str) -> Self {
        self.unlinked.push(name);
        self
    }

    /// Builds and starts the element.
    ///
    /// # Errors
    /// What the element's constructor or `start` says.
    pub fn build(mut self) -> Result<Harness> {
        if self.settings.is_none() {
            self = self.settings("");
        }
        for template in self.factory.pads.iter().filter(|t| t.presence == Presence::Always) {
            let linked =
                self.pads.iter().any(|(direction, p)| *direction == template.direction && p.name == template.name);
            if !linked && !self.unlinked.contains(&template.name) {
                self.pads.push((template.direction, linked_pad(template.name, CapsSet::Any)));
            }
        }
        let side = |direction| {
            let pads = self.pads.iter().filter(|(d, _)| *d == direction).map(|(_, pad)| pad.clone());
            pads.enumerate().map(|(i, pad)| LinkedPad { id: PadId(i as u16), ..pad }).collect::<Vec<_>>()
        };
        let cx = BuildCx::new(&self.name, self.env.env.clone(), side(Direction::Sink), side(Direction::Src));
        let settings = self.settings.take().unwrap_or_else(|| Box::new(()));
        let element = self.factory.build(settings, &cx)?;
        Harness::start(element, cx, self.env)
    }

    fn pad(mut self, direction: Direction, name: &str, caps: CapsSet) -> Self {
        let known = self.factory.template(direction, name).is_some();
        assert!(known, "{} has no {direction:?} pad {name}", self.factory.name);
        self.pads.push((direction, linked_pad(name, caps)));
        self
    }
}

fn linked_pad(name: &str, allowed: CapsSet) -> LinkedPad {
    LinkedPad { id: PadId::FIRST, name: name.to_owned(), allowed, random_write: false }
}

/// `key=value` pairs, values with spaces in double quotes.
fn settings_node(text: &str) -> Node {
    let mut entries = Vec::new();
    let mut rest = text.trim();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        entries.push((key.trim().to_owned(), Node::scalar(value)));
        rest = tail.trim_start();
    }
    assert!(rest.is_empty(), "settings are key=value pairs: {text}");
    Node::map(entries)
}

enum Shape {
    Transform(Box<dyn Transform>),
    Aggregate(Box<dyn Aggregate>),
    BlockingSource(Box<dyn BlockingSource>),
}

/// An element that a test drives.
pub struct Harness {
    shape: Shape,
    cx: BuildCx,
    /// The element's surroundings.
    pub env: TestEnv,
    out: Output,
    inbox: Inbox,
    wanted: PadSet,
    done: bool,
    items: VecDeque<(PadId, Item)>,
    wake: Option<Time>,
    hold: Option<Time>,
    idle: bool,
    ended: bool,
    /// Messages other than drops, in order.
    pub messages: Vec<MessageKind>,
    /// What was left out, in order.
    pub drops: Vec<Dropped>,
    /// Requests that went upstream: sink pad and request.
    pub requests: Vec<(String, Request)>,
    /// Times that the element asked to be held until.
    pub holds: Vec<Time>,
    /// The element said that all streams are known.
    pub streams_complete: bool,
}

impl Harness {
    /// Builds and starts an element from settings as in [`HarnessBuilder::settings`], with the pads linked that it always has.
    ///
    /// # Panics
    /// When the element refuses.
    pub fn new(factory: &Factory, settings: &str) -> Self {
        let built = Self::builder(factory).settings(settings).build();
        built.unwrap_or_else(|e| panic!("{} {settings}: {e}", factory.name))
    }

    /// Says more about how it is made.
    pub fn builder(factory: &Factory) -> HarnessBuilder<'_> {
        HarnessBuilder {
            factory,
            name: factory.name.to_owned(),
            settings: None,
            env: TestEnv::new(),
            pads: Vec::new(),
            unlinked: Vec::new(),
        }
    }

    fn start(element: Element, cx: BuildCx, env: TestEnv) -> Result<Self> {
        let shape = match element {
            Element::Transform(element) => Shape::Transform(element),
            Element::Aggregate(element) => Shape::Aggregate(element),
            Element::BlockingSource(element) => Shape::BlockingSource(element),
            Element::Source(_) | Element::Sink(_) => panic!("{} is asynchronous: see SourceProbe, SinkProbe", cx.name),
            Element::Queue(_) => panic!("{} is a channel, which only a runtime has", cx.name),
        };
        let mut harness = Self {
            out: Output::new(cx.sinks.len() as u16, cx.srcs.len() as u16),
            inbox: Inbox::new(cx.sinks.len()),
            wanted: (0..cx.sinks.len() as u16).map(PadId).collect(),
            done: false,
            shape,
            cx,
            env,
            items: VecDeque::new(),
            wake: None,
            hold: None,
            idle: false,
            ended: false,
            messages: Vec::new(),
            drops: Vec::new(),
            requests: Vec::new(),
            holds: Vec::new(),
            streams_complete: false,
        };
        harness.begin();
        let started = match &mut harness.shape {
            Shape::Transform(element) => element.start(&mut harness.out),
            Shape::Aggregate(element) => element.start(&mut harness.out),
            Shape::BlockingSource(element) => element.start(&mut harness.out),
        };
        harness.collect();
        started?;
        Ok(harness)
    }

    /// Gives the element an item of a sink pad, after the time that it asked to be held until. A flush is not held.
    ///
    /// # Errors
    /// What the element says.
    pub fn push(&mut self, pad: &str, item: Item) -> Result<()> {
        let Some(pad) = self.cx.sink(pad) else { panic!("{} has no linked sink pad {pad}", self.cx.name) };
        if let Some(hold) = self.hold.take().filter(|_| !matches!(item, Item::Flush(_))) {
            self.advance_to(hold)?;
        }
        match &self.shape {
            Shape::Transform(_) => self.transform(pad, item),
            Shape::Aggregate(_) => self.put(pad, item),
            Shape::BlockingSource(_) => panic!("{} is a source", self.cx.name),
        }
    }

    /// Gives it a buffer.
    ///
    /// # Errors
    /// What the element says.
    pub fn push_buffer(&mut self, pad: &str, buffer: Buffer) -> Result<()> {
        self.push(pad, Item::buffer(buffer))
    }

    /// Gives it the beginning of a stream: its start, caps (in text form; none when empty) and a time segment from 0.
    ///
    /// # Errors
    /// What the element says.
    pub fn push_start(&mut self, pad: &str, caps: &str) -> Result<()> {
        self.push(pad, Item::StreamStart(StreamInfo { id: pad.to_owned(), language: None }.into()))?;
        if !caps.is_empty() {
            let caps: Caps = caps.parse().unwrap_or_else(|e| panic!("{caps}: {e}"));
            self.push(pad, Item::Caps(caps))?;
        }
        self.push(pad, Item::Segment(Segment::time(Time::ZERO).into()))
    }

    /// Gives it bytes in pieces of at most `step`, with their offsets, as a file source does.
    ///
    /// # Errors
    /// What the element says.
    pub fn push_bytes(&mut self, pad: &str, bytes: &Bytes, step: usize) -> Result<()> {
        let step = step.max(1);
        for at in (0..bytes.len()).step_by(step) {
            let piece = bytes.slice(at..bytes.len().min(at + step));
            self.push_buffer(pad, Buffer { offset: Some(at as u64), ..Buffer::new(piece) })?;
        }
        Ok(())
    }

    /// Ends every sink pad.
    ///
    /// # Errors
    /// What the element says.
    pub fn eos(&mut self) -> Result<()> {
        let pads: Vec<String> = self.cx.sinks.iter().map(|pad| pad.name.clone()).collect();
        pads.iter().try_for_each(|pad| self.push(pad, Item::Eos))
    }

    /// Gives it a request of a source pad.
    ///
    /// # Errors
    /// What the element says.
    pub fn request(&mut self, pad: &str, request: Request) -> Result<()> {
        let Some(pad) = self.cx.src(pad) else { panic!("{} has no linked source pad {pad}", self.cx.name) };
        self.begin();
        let done = match &mut self.shape {
            Shape::Transform(element) => element.request(pad, request, &mut self.out),
            Shape::Aggregate(element) => element.request(pad, request, &mut self.out),
            Shape::BlockingSource(element) => element.request(pad, request, &mut self.out),
        };
        (self.idle, self.ended) = (false, false);
        self.collect();
        done
    }

    /// Moves the clock, with every wake and deadline that falls due on the way.
    ///
    /// # Errors
    /// What the element says.
    pub fn advance_to(&mut self, time: Time) -> Result<()> {
        while let Some(due) = self.wake.filter(|due| *due <= time) {
            self.wake = None;
            self.env.clock.advance_to(due);
            self.call_wake()?;
        }
        self.env.clock.advance_to(time);
        Ok(())
    }

    /// Calls a blocking source once; `false` when it has ended or waits for a request. The clock moves on to the time it names.
    ///
    /// # Errors
    /// What the element says.
    pub fn produce(&mut self) -> Result<bool> {
        if self.idle || self.ended {
            return Ok(false);
        }
        self.begin();
        let Shape::BlockingSource(element) = &mut self.shape else { panic!("{} is no source", self.cx.name) };
        let produced = element.produce(&mut self.out);
        self.collect();
        match produced? {
            Produce::More => {}
            Produce::At(time) => self.env.clock.advance_to(time),
            Produce::Idle => self.idle = true,
            Produce::Eos => {
                self.ended = true;
                self.items.extend((0..self.cx.srcs.len()).map(|pad| (PadId(pad as u16), Item::Eos)));
            }
        }
        Ok(!self.idle && !self.ended)
    }

    /// Calls a blocking source until it ends or waits.
    ///
    /// # Errors
    /// What the element says.
    pub fn run(&mut self) -> Result<()> {
        for _ in 0..MAX_CALLS {
            if !self.produce()? {
                return Ok(());
            }
        }
        panic!("{} does not end", self.cx.name)
    }

    /// Everything that came out and was not taken, in order.
    pub fn items(&self) -> impl Iterator<Item = (&str, &Item)> {
        self.items.iter().map(|(pad, item)| (self.src_name(*pad), item))
    }

    /// Takes what came out of a source pad, in order.
    pub fn take(&mut self, pad: &str) -> Vec<Item> {
        let Some(id) = self.cx.src(pad) else { panic!("{} has no linked source pad {pad}", self.cx.name) };
        let (taken, rest): (VecDeque<_>, _) = self.items.drain(..).partition(|(from, _)| *from == id);
        self.items = rest;
        taken.into_iter().map(|(_, item)| item).collect()
    }

    /// Takes what came out of a source pad, and keeps the buffers.
    pub fn take_buffers(&mut self, pad: &str) -> Vec<Buffer> {
        let buffers = self.take(pad).into_iter().filter_map(|item| match item {
            Item::Buffer(buffer) => Some(buffer.into_inner()),
            _ => None,
        });
        buffers.collect()
    }

    /// All bytes of the buffers of a source pad, which are taken.
    pub fn take_bytes(&mut self, pad: &str) -> Vec<u8> {
        let buffers = self.take_buffers(pad);
        buffers.iter().flat_map(|buffer| buffer.payload.slices()).flat_map(|slice| slice.iter().copied()).collect()
    }

    /// What came out and was not taken.
    pub fn timeline(&self) -> Timeline {
        Timeline::of(self.items())
    }

    /// What the element published for the application.
    ///
    /// # Panics
    /// When it published nothing, or something else.
    pub fn handle<T: Any>(&self) -> Box<T> {
        let handle: Box<dyn Any> =
            self.cx.take_handle().unwrap_or_else(|| panic!("{} published nothing", self.cx.name));
        handle.downcast().unwrap_or_else(|_| panic!("{} published another type", self.cx.name))
    }

    /// Time that the element wants to be woken at.
    pub fn wake_time(&self) -> Option<Time> {
        self.wake
    }

    /// Warnings, as text.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.messages.iter().filter_map(|message| match message {
            MessageKind::Warning(error) => Some(error.to_string()),
            _ => None,
        });
        warnings.collect()
    }

    /// Asserts what every source pad owes to whoever listens: a stream start comes first, and nothing but a flush
    /// or a new stream comes after the end.
    ///
    /// # Panics
    /// With the timeline, when the element broke it.
    pub fn assert_contract(&self) {
        for pad in &self.cx.srcs {
            let (mut started, mut ended) = (false, false);
            for (_, item) in self.items.iter().filter(|(from, _)| *from == pad.id) {
                match item {
                    Item::StreamStart(_) => (started, ended) = (true, false),
                    Item::Flush(_) => ended = false,
                    Item::Absent => {}
                    _ => {
                        assert!(!ended, "{}: {} after the end\n{}", pad.name, item.name(), self.timeline());
                        let first_is_start = started || matches!(item, Item::Eos);
                        assert!(first_is_start, "{}: {} before the start\n{}", pad.name, item.name(), self.timeline());
                        ended = matches!(item, Item::Eos);
                    }
                }
            }
        }
    }

    fn transform(&mut self, pad: PadId, item: Item) -> Result<()> {
        self.begin();
        let Shape::Transform(element) = &mut self.shape else { unreachable!("asked by the caller") };
        let mut flow = element.handle(pad, item, &mut self.out);
        for _ in 0..MAX_CALLS {
            self.collect();
            if flow? == Flow::Done {
                return Ok(());
            }
            self.begin();
            let Shape::Transform(element) = &mut self.shape else { unreachable!("asked by the caller") };
            flow = element.resume(&mut self.out);
        }
        panic!("{} has more and more output", self.cx.name)
    }

    fn put(&mut self, pad: PadId, item: Item) -> Result<()> {
        let flush = if let Item::Flush(epoch) = item { Some(epoch) } else { None };
        let wakes = self.wanted.contains(pad) || matches!(item, Item::Eos | Item::Absent);
        self.inbox.put(pad, item);
        if let Some(epoch) = flush {
            self.done = false;
            self.begin();
            let Shape::Aggregate(element) = &mut self.shape else { unreachable!("asked by the caller") };
            let flushed = element.flush(&mut self.out);
            self.out.forward(Item::Flush(epoch));
            self.collect();
            return flushed;
        }
        if wakes { self.step() } else { Ok(()) }
    }

    fn step(&mut self) -> Result<()> {
        for _ in 0..MAX_CALLS {
            if self.done {
                return Ok(());
            }
            self.begin();
            let now = self.env.clock.now();
            let Shape::Aggregate(element) = &mut self.shape else { unreachable!("asked by the caller") };
            let need = element.step(&mut self.inbox, now, &mut self.out);
            self.collect();
            match need? {
                Need::Again => {}
                Need::Done => self.done = true,
                Need::Pads(pads) | Need::Wake(pads) => {
                    (self.wanted, self.wake) = (pads, None);
                    return Ok(());
                }
                Need::PadsUntil(pads, deadline) => {
                    (self.wanted, self.wake) = (pads, Some(deadline));
                    return Ok(());
                }
            }
        }
        panic!("{} steps without end", self.cx.name)
    }

    fn call_wake(&mut self) -> Result<()> {
        self.begin();
        let now = self.env.clock.now();
        let Shape::Transform(element) = &mut self.shape else { return self.step() };
        let done = element.wake(now, &mut self.out);
        self.collect();
        done
    }

    fn begin(&mut self) {
        self.out.begin(self.cx.sinks.len() as u16, self.cx.srcs.len() as u16);
        self.out.set_now(self.env.clock.now());
    }

    fn collect(&mut self) {
        for (pad, item) in self.out.drain() {
            assert!(pad.index() < self.cx.srcs.len(), "{} sent on source pad {}, not linked", self.cx.name, pad.0);
            self.items.push_back((pad, item));
        }
        for effect in self.out.effects().drain(..) {
            match effect {
                Effect::Request(pad, request) => {
                    let name = self.cx.sinks.get(pad.index()).map(|pad| pad.name.clone());
                    self.requests.push((name.unwrap_or_else(|| panic!("no sink pad {}", pad.0)), request));
                }
                Effect::Post(MessageKind::Dropped(dropped)) => self.drops.push(dropped),
                Effect::Post(message) => self.messages.push(message),
                Effect::WakeAt(time) => self.wake = Some(time),
                Effect::HoldUntil(time) => {
                    self.holds.push(time);
                    self.hold = Some(time);
                }
                Effect::StreamsComplete => self.streams_complete = true,
            }
        }
    }

    fn src_name(&self, pad: PadId) -> &str {
        self.cx.srcs.get(pad.index()).map_or("?", |pad| pad.name.as_str())
    }
}
