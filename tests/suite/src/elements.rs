//! Elements that only tests need.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::inbox::Pick;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{
    Aggregate, BlockingSource, Buffer, BufferFlags, BuildCx, Caps, Element, Factory, Flow, Inbox, Item, Need, Output,
    PadId, PadTemplate, Produce, Registry, Result, Segment, StreamInfo, Time, TimeDelta, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// All elements of the project, and those of this module.
pub fn registry() -> Registry {
    let mut registry = millstream_elements::registry();
    add_to(&mut registry);
    registry
}

/// Adds the elements of this module.
pub fn add_to(registry: &mut Registry) {
    let sink = || PadTemplate::sink("sink", "ANY");
    let src = || PadTemplate::src("src", "ANY");
    registry.add(Factory::new("collect", "Test/Sink", "Keeps every item for the test", collect).pad(sink()));
    registry.add(
        Factory::new("lookahead", "Test/Filter", "Holds items back as an encoder does", look_ahead)
            .pad(sink())
            .pad(src())
            .passthrough(),
    );
    registry.add(
        Factory::new("tag", "Test/Filter", "Appends its number to every buffer", tag)
            .pad(sink())
            .pad(src())
            .passthrough(),
    );
    registry.add(
        Factory::new("merge", "Test/Muxer", "Interleaves streams by decoding time", merge)
            .pad(PadTemplate::sink("sink_%u", "ANY").request())
            .pad(src()),
    );
    registry.add(
        Factory::new("counter", "Test/Source", "Makes numbered buffers", counter)
            .pad(src())
            .live(|settings: &CounterSettings| settings.live),
    );
    registry.add(
        Factory::new("tardy", "Test/Filter", "Takes its time for every buffer", tardy)
            .pad(sink())
            .pad(src())
            .passthrough(),
    );
}

/// Settings of elements that have none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// What a `collect` has received so far. Clones see the same.
#[derive(Clone, Default)]
pub struct Collected(Arc<Mutex<Vec<Item>>>);

impl Collected {
    /// Takes everything so far, in order.
    pub fn take(&self) -> Vec<Item> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Collect(Collected);

fn collect(_: NoSettings, cx: &BuildCx) -> Result<Element> {
    let collected = Collected::default();
    cx.publish(collected.clone());
    Ok(Element::Transform(Box::new(Collect(collected))))
}

impl Transform for Collect {
    fn handle(&mut self, _: PadId, item: Item, _: &mut Output) -> Result<Flow> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(item);
        Ok(Flow::Done)
    }
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LookAheadSettings {
    /// Buffers to hold.
    #[serde(default)]
    buffers: usize,
}

struct LookAhead {
    depth: usize,
    held: VecDeque<Item>,
}

fn look_ahead(settings: LookAheadSettings, _: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(Box::new(LookAhead { depth: settings.buffers, held: VecDeque::new() })))
}

impl Transform for LookAhead {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(_) => {
                self.held.push_back(item);
                while self.held.len() > self.depth {
                    self.held.pop_front().into_iter().for_each(|item| out.forward(item));
                }
            }
            Item::Flush(_) => {
                self.held.clear();
                out.forward(item);
            }
            Item::Eos => {
                self.held.drain(..).for_each(|item| out.forward(item));
                out.forward(item);
            }
            item => out.forward(item),
        }
        Ok(Flow::Done)
    }
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TardySettings {
    /// Time a buffer takes.
    #[serde(default)]
    time: DurationSetting,
}

struct Tardy(TimeDelta);

fn tardy(settings: TardySettings, _: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(Box::new(Tardy(TimeDelta::from_nanos(settings.time.0)))))
}

impl Transform for Tardy {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        if matches!(item, Item::Buffer(_)) {
            out.hold_until(out.now() + self.0);
        }
        out.forward(item);
        Ok(Flow::Done)
    }
}

/// A source `script` that sends these items and ends.
pub fn script(items: Vec<Item>) -> Factory {
    let build = move |_: NoSettings, _: &BuildCx| Ok(Element::BlockingSource(Box::new(Script(items.clone().into()))));
    Factory::new("script", "Test/Source", "Sends what a test wrote", build).pad(PadTemplate::src("src", "ANY"))
}

struct Script(VecDeque<Item>);

impl BlockingSource for Script {
    fn produce(&mut self, out: &mut Output) -> Result<Produce> {
        let Some(item) = self.0.pop_front() else { return Ok(Produce::Eos) };
        out.forward(item);
        Ok(Produce::More)
    }
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TagSettings {
    /// Number to append.
    id: u8,
}

struct Tag(u8);

fn tag(settings: TagSettings, _: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(Box::new(Tag(settings.id))))
}

impl Transform for Tag {
    fn handle(&mut self, _: PadId, mut item: Item, out: &mut Output) -> Result<Flow> {
        if let Item::Buffer(buffer) = &mut item {
            buffer.payload.push(vec![self.0].into());
        }
        out.forward(item);
        Ok(Flow::Done)
    }
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CounterSettings {
    /// Tells sources apart: first byte of every buffer.
    #[serde(default)]
    id: u8,
    /// Buffers to make.
    #[serde(default)]
    count: u32,
    /// Time between timestamps.
    #[serde(default)]
    interval: DurationSetting,
    /// Every how many buffers one is a key frame.
    #[serde(default)]
    key: u32,
    /// Send each buffer when it is due.
    #[serde(default)]
    live: bool,
}

/// Makes buffers of its identity and a number of 4 bytes, big-endian.
struct Counter {
    settings: CounterSettings,
    next: u32,
    started: bool,
}

fn counter(settings: CounterSettings, _: &BuildCx) -> Result<Element> {
    Ok(Element::BlockingSource(Box::new(Counter { settings, next: 0, started: false })))
}

impl BlockingSource for Counter {
    fn produce(&mut self, out: &mut Output) -> Result<Produce> {
        if !std::mem::replace(&mut self.started, true) {
            out.forward(Item::StreamStart(StreamInfo { id: self.settings.id.to_string(), language: None }.into()));
            out.forward(Item::Caps(Caps::new("video/x-counter")));
            out.forward(Item::Segment(Segment::time(Time::ZERO).into()));
            return Ok(Produce::More);
        }
        if self.next >= self.settings.count {
            return Ok(Produce::Eos);
        }
        let mut bytes = vec![self.settings.id];
        bytes.extend(self.next.to_be_bytes());
        let time = Time::from_nanos(i64::from(self.next) * self.settings.interval.0);
        let mut flags = BufferFlags::empty();
        flags.set(BufferFlags::KEYFRAME, self.next.is_multiple_of(self.settings.key.max(1)));
        out.forward(Item::buffer(Buffer::new(bytes).with_times(Some(time), Some(time)).with_flags(flags)));
        self.next += 1;
        let due = Time::from_nanos(i64::from(self.next) * self.settings.interval.0);
        Ok(if self.settings.live { Produce::At(due) } else { Produce::More })
    }
}

struct Merge {
    started: bool,
}

fn merge(_: NoSettings, _: &BuildCx) -> Result<Element> {
    Ok(Element::Aggregate(Box::new(Merge { started: false })))
}

impl Aggregate for Merge {
    fn step(&mut self, inbox: &mut Inbox, _: Time, out: &mut Output) -> Result<Need> {
        match inbox.pick() {
            Pick::Next(pad) => {
                match inbox.pop(pad) {
                    Some(item @ Item::Buffer(_)) => out.forward(item),
                    Some(Item::StreamStart(info)) if !std::mem::replace(&mut self.started, true) => {
                        out.forward(Item::StreamStart(info));
                        out.forward(Item::Caps(Caps::new("video/x-counter")));
                        out.forward(Item::Segment(Segment::time(Time::ZERO).into()));
                    }
                    _ => {}
                }
                Ok(Need::Again)
            }
            Pick::Need(pads) => Ok(Need::Pads(pads)),
            Pick::Done => {
                out.forward(Item::Eos);
                Ok(Need::Done)
            }
        }
    }
}

/// Does something at the so-manieth item that passes.
pub type Trigger = Arc<dyn Fn() + Send + Sync>;

/// A filter `tripwire` that pulls `trigger` before item number `at` goes on.
pub fn tripwire(at: u64, trigger: Trigger) -> Factory {
    let build = move |_: NoSettings, _: &BuildCx| {
        Ok(Element::Transform(Box::new(Tripwire { left: at, trigger: trigger.clone() })))
    };
    Factory::new("tripwire", "Test/Filter", "Pulls a trigger", build)
        .pad(PadTemplate::sink("sink", "ANY"))
        .pad(PadTemplate::src("src", "ANY"))
        .passthrough()
}

struct Tripwire {
    left: u64,
    trigger: Trigger,
}

impl Transform for Tripwire {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => (self.trigger)(),
        }
        out.forward(item);
        Ok(Flow::Done)
    }
}
