//! Elements that only tests need.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::settings::units::DurationSetting;
use millstream_core::{
    BuildCx, Element, Factory, Flow, Item, Output, PadId, PadTemplate, Registry, Result, TimeDelta, Transform,
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
