//! Drives one element by hand, without a runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_core::caps::{Structure, ValueSet};
use millstream_core::registry::LinkedPad;
use millstream_core::{
    Aggregate, Buffer, BufferFlags, BuildCx, Caps, CapsSet, Error, Inbox, Item, Need, Output, PadId, Request, Segment,
    Time,
};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::element::{produced, shape};
use millstream_plugin_abi::status;
use serde_json::{Map, Value};

use super::Subject;
use crate::fused::PluginAggregate;
use crate::instance::{Instance, Interrupt};
use crate::manifest::{PadManifest, Way};
use crate::services::Shared;

/// Calls of one item at most: an element that asks for more and more makes no progress.
const MAX_RESUMES: usize = 10_000;
/// How long an aggregate may be silent before it is taken for idle: at the end of its inputs, and between items.
const QUIET: Duration = Duration::from_millis(300);
const BREATH: Duration = Duration::from_millis(2);

/// Media that says when it is gone.
pub(super) struct Counted(Arc<AtomicUsize>, Vec<u8>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An element with its pads.
pub(super) struct Drive {
    kind: Kind,
    pub(super) sinks: Vec<CapsSet>,
    pub(super) srcs: usize,
    pub(super) interrupt: Interrupt,
    woken: Arc<AtomicBool>,
    /// Buffers that are still held by somebody.
    pub(super) alive: Arc<AtomicUsize>,
}

enum Kind {
    Plain(Instance),
    Aggregate(Box<PluginAggregate>, Inbox),
}

/// What came out.
pub(super) type Sent = Vec<(PadId, Item)>;

impl Drive {
    /// Makes the element with settings as JSON, all its pads linked.
    pub(super) fn create(subject: &Subject<'_>, settings: &str) -> Result<Self, Error> {
        let pads = |way: Way| {
            let own = subject.element.pads.iter().filter(move |pad| pad.direction == way);
            own.enumerate().map(|(at, pad)| linked(at, pad)).collect::<Vec<_>>()
        };
        let cx = BuildCx::new("it", subject.env.clone(), pads(Way::Sink), pads(Way::Src));
        let woken = Arc::new(AtomicBool::new(false));
        let wake = woken.clone();
        let set = move || wake.store(true, Ordering::Release);
        let shared = Shared::new(cx.name.clone(), subject.library.name, cx.env.clone(), Time::ZERO, set);
        let instance = Instance::create(subject.library.clone(), &subject.element.name, settings, &cx, shared)?;
        let interrupt = instance.interrupt();
        let kind = match instance.shape() {
            shape::AGGREGATE => {
                let (pads, inbox) = (cx.sinks.len(), Inbox::new(cx.sinks.len()));
                Kind::Aggregate(Box::new(PluginAggregate::new(instance, pads)), inbox)
            }
            _ => Kind::Plain(instance),
        };
        let sinks = cx.sinks.iter().map(|pad| pad.allowed.clone()).collect();
        Ok(Self { kind, sinks, srcs: cx.srcs.len(), interrupt, woken, alive: Arc::default() })
    }

    pub(super) fn is_source(&self) -> bool {
        matches!(&self.kind, Kind::Plain(instance) if instance.shape() == shape::SOURCE)
    }

    pub(super) fn is_sink(&self) -> bool {
        matches!(&self.kind, Kind::Plain(instance) if instance.shape() == shape::SINK)
    }

    fn output(&self) -> Output {
        Output::new(self.sinks.len() as u16, self.srcs as u16)
    }

    pub(super) fn start(&mut self) -> Result<Sent, Error> {
        let mut out = self.output();
        match &mut self.kind {
            Kind::Plain(instance) => instance.start(&mut out)?,
            Kind::Aggregate(aggregate, _) => aggregate.start(&mut out)?,
        }
        Ok(out.drain())
    }

    /// Gives an item to a sink pad, and everything that comes of it.
    pub(super) fn send(&mut self, pad: PadId, item: Item) -> Result<Sent, Error> {
        let mut out = self.output();
        match &mut self.kind {
            Kind::Plain(instance) => {
                let mut status = instance.item(pad, item, &mut out)?;
                let mut turns = 0;
                while status == status::MORE && turns < MAX_RESUMES {
                    status = instance.call_if(instance.calls().resume, &mut out)?;
                    turns += 1;
                }
                if turns == MAX_RESUMES {
                    return Err(Error::bug(format!("asked for `resume` {MAX_RESUMES} times for one item")));
                }
                Ok(out.drain())
            }
            Kind::Aggregate(aggregate, inbox) => {
                let quiet = if matches!(item, Item::Eos) { QUIET } else { BREATH };
                if let Item::Flush(epoch) = item {
                    (0..inbox.pads() as u16).for_each(|pad| inbox.put(PadId(pad), Item::Flush(epoch)));
                    aggregate.flush(&mut out)?;
                    out.forward(Item::Flush(epoch));
                } else {
                    inbox.put(pad, item);
                }
                let mut sent = out.drain();
                sent.extend(self.step_until_quiet(quiet)?);
                Ok(sent)
            }
        }
    }

    fn step_until_quiet(&mut self, quiet: Duration) -> Result<Sent, Error> {
        let Kind::Aggregate(aggregate, inbox) = &mut self.kind else { return Ok(Vec::new()) };
        let mut sent = Vec::new();
        let mut until = Instant::now() + quiet;
        loop {
            let mut out = Output::new(self.sinks.len() as u16, self.srcs as u16);
            self.woken.store(false, Ordering::Release);
            match aggregate.step(inbox, Time::ZERO, &mut out)? {
                Need::Again => {
                    until = Instant::now() + quiet;
                    sent.extend(out.drain());
                    continue;
                }
                Need::Done => {
                    sent.extend(out.drain());
                    return Ok(sent);
                }
                Need::Pads(_) | Need::PadsUntil(..) | Need::Wake(_) => sent.extend(out.drain()),
            }
            while !self.woken.load(Ordering::Acquire) {
                // An aggregate that works only in its calls is quiet at once.
                if Instant::now() > until || inbox.pads() == 0 {
                    return Ok(sent);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            until = Instant::now() + quiet;
        }
    }

    pub(super) fn request(&mut self, pad: PadId, request: Request) -> Result<(), Error> {
        let mut out = self.output();
        match &mut self.kind {
            Kind::Plain(instance) => instance.request(pad, request, &mut out),
            Kind::Aggregate(aggregate, _) => aggregate.request(pad, request, &mut out),
        }
    }

    /// One call of a source; `None` at its end.
    pub(super) fn produce(&mut self) -> Result<Option<Sent>, Error> {
        let mut out = self.output();
        let Kind::Plain(instance) = &mut self.kind else { return Ok(None) };
        let mut made = abi::Produced { size: size_of::<abi::Produced>() as u32, kind: produced::MORE, at: 0 };
        let produce = instance.calls().produce;
        instance.call(&mut out, |element, out| match produce {
            // SAFETY: a function of the element, called as the ABI says.
            Some(produce) => unsafe { produce(element, &raw mut made, out) },
            None => status::ERROR,
        })?;
        Ok((made.kind != produced::EOS).then(|| out.drain()))
    }

    /// A buffer that is counted until it is gone.
    pub(super) fn buffer(&self, number: i64) -> Item {
        self.alive.fetch_add(1, Ordering::AcqRel);
        let bytes = Counted(self.alive.clone(), vec![number as u8; 1000]);
        let time = Some(Time::from_millis(20 * number));
        let mut buffer = Buffer::new(Bytes::from_owner(bytes)).with_times(time, time);
        buffer.flags.set(BufferFlags::KEYFRAME, number % 10 == 0);
        Item::buffer(buffer)
    }

    /// What every stream begins with.
    pub(super) fn head(&self, pad: usize) -> Vec<Item> {
        let caps = self.sinks.get(pad).map_or_else(|| Caps::new("application/octet-stream"), fixed);
        let segment = Item::Segment(Segment::time(Time::ZERO).into());
        vec![Item::StreamStart(Arc::default()), Item::Caps(caps), segment]
    }
}

fn linked(at: usize, pad: &PadManifest) -> LinkedPad {
    LinkedPad {
        id: PadId(at as u16),
        name: pad.name.replace("%u", "0").replace("%s", "a"),
        allowed: pad.caps.parse().unwrap_or(CapsSet::Any),
        random_write: false,
    }
}

/// Caps that fit a set: the first or lowest value of each field.
fn fixed(set: &CapsSet) -> Caps {
    let CapsSet::Of(structures) = set else { return Caps::new("application/octet-stream") };
    let Some(Structure { media, fields }) = structures.first() else { return Caps::new("application/octet-stream") };
    fields.iter().fold(Caps::new(media), |caps, (name, set)| match set {
        ValueSet::One(value) => caps.with(name, value.clone()),
        ValueSet::List(values) => caps.with_some(name, values.first().cloned()),
        ValueSet::IntRange(low, _) => caps.with(name, *low),
        ValueSet::FractionRange(low, _) => caps.with(name, *low),
    })
}

/// Settings with nothing but defaults, and something for each property that must be set.
pub(super) fn defaults(subject: &Subject<'_>) -> Map<String, Value> {
    let schema = &subject.element.settings;
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let value = |(name, schema): (String, Value)| {
        let default = schema.get("default").filter(|value| !value.is_null()).cloned();
        let needed = || required.contains(&name.as_str()).then(|| values(&schema).into_iter().next()).flatten();
        let value = default.or_else(needed)?;
        Some((name, value))
    };
    properties.into_iter().filter_map(value).collect()
}

/// Values that a property may have: choices, bounds, both flags, a word.
pub(super) fn values(schema: &Value) -> Vec<Value> {
    let list = |key: &str| schema.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut values = list("enum");
    values.extend(list("oneOf").into_iter().filter_map(|choice| choice.get("const").cloned()));
    values.extend(["minimum", "maximum", "default"].iter().filter_map(|key| schema.get(key).cloned()));
    let of_type = match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => vec![Value::Bool(false), Value::Bool(true)],
        Some("integer" | "number") if values.is_empty() => vec![1.into()],
        Some("string") if values.is_empty() && schema.get("format").is_none() => vec!["a".into()],
        _ => Vec::new(),
    };
    values.extend(of_type);
    values.retain(|value| !value.is_null());
    values
}
