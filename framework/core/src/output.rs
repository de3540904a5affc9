//! How an element sends.

use crate::buffer::Buffer;
use crate::bus::{Dropped, MessageKind};
use crate::caps::Caps;
use crate::element::PadId;
use crate::error::Error;
use crate::item::{Item, Request};
use crate::time::Time;

/// Where an element puts what it makes. Never blocks: the runtime delivers everything, in order, after the call.
///
/// The first item has a slot of its own, because most calls make exactly one; further ones go on a list.
pub struct Output {
    first: Option<Item>,
    first_pad: PadId,
    sink_pads: u16,
    src_pads: u16,
    /// True when `more` or `effects` hold something: one look tells the runtime that a call made one item and no more.
    busy: bool,
    more: Vec<(PadId, Item)>,
    effects: Vec<Effect>,
    now: Time,
}

/// What an element asked for beside sending items.
#[derive(Debug)]
pub enum Effect {
    /// A request upstream on a sink pad.
    Request(PadId, Request),
    /// A message for the bus.
    Post(MessageKind),
    /// Call [`crate::Transform::wake`] at this time.
    WakeAt(Time),
    /// No further input before this time.
    HoldUntil(Time),
    /// Every stream that will come is known: pads without one are absent.
    StreamsComplete,
}

impl Output {
    /// An empty output for an element with so many linked sink and source pads. Elements get theirs from the runtime.
    pub fn new(sink_pads: u16, src_pads: u16) -> Self {
        Self {
            first: None,
            first_pad: PadId::FIRST,
            sink_pads,
            src_pads,
            busy: false,
            more: Vec::new(),
            effects: Vec::new(),
            now: Time::ZERO,
        }
    }

    /// Sends an item on a source pad.
    #[inline]
    pub fn push(&mut self, pad: PadId, item: Item) {
        if self.first.is_none() {
            (self.first, self.first_pad) = (Some(item), pad);
        } else {
            self.push_more(pad, item);
        }
    }

    #[cold]
    fn push_more(&mut self, pad: PadId, item: Item) {
        self.busy = true;
        self.more.push((pad, item));
    }

    fn effect(&mut self, effect: Effect) {
        self.busy = true;
        self.effects.push(effect);
    }

    /// Sends a buffer on a source pad.
    #[inline]
    pub fn buffer(&mut self, pad: PadId, buffer: Buffer) {
        self.push(pad, Item::buffer(buffer));
    }

    /// Sends caps on a source pad.
    pub fn caps(&mut self, pad: PadId, caps: Caps) {
        self.push(pad, Item::Caps(caps));
    }

    /// Sends the same item on every linked source pad.
    #[inline]
    pub fn forward(&mut self, item: Item) {
        if self.src_pads == 1 {
            self.push(PadId::FIRST, item);
        } else {
            self.forward_to_all(item);
        }
    }

    #[cold]
    fn forward_to_all(&mut self, item: Item) {
        let Some(last) = self.src_pads.checked_sub(1) else { return };
        for pad in 0..last {
            self.push(PadId(pad), item.clone());
        }
        self.push(PadId(last), item);
    }

    /// Linked source pads.
    pub fn src_pads(&self) -> u16 {
        self.src_pads
    }

    /// Time of the runtime's clock when the current batch began; for deadlines, not for timestamps.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Sends a request upstream on a sink pad.
    pub fn request(&mut self, pad: PadId, request: Request) {
        self.effect(Effect::Request(pad, request));
    }

    /// Sends a request upstream on every sink pad.
    pub fn request_all(&mut self, request: Request) {
        (0..self.sink_pads).for_each(|pad| self.request(PadId(pad), request.clone()));
    }

    /// Posts a message on the bus.
    pub fn post(&mut self, message: MessageKind) {
        self.effect(Effect::Post(message));
    }

    /// Posts a warning: something is wrong, and the element goes on.
    pub fn warn(&mut self, error: Error) {
        self.post(MessageKind::Warning(error.into()));
    }

    /// Counts input that is left out.
    pub fn dropped(&mut self, reason: &'static str, bytes: u64, offset: Option<u64>) {
        self.post(MessageKind::Dropped(Dropped { reason, bytes, offset }));
    }

    /// Asks for [`crate::Transform::wake`] at a time; a later call replaces an earlier one.
    pub fn wake_at(&mut self, time: Time) {
        self.effect(Effect::WakeAt(time));
    }

    /// Asks for no further input before a time: how pacing holds a file back.
    pub fn hold_until(&mut self, time: Time) {
        self.effect(Effect::HoldUntil(time));
    }

    /// Says that every stream that will come has started: linked pads without one become absent, so that nobody waits.
    pub fn streams_complete(&mut self) {
        self.effect(Effect::StreamsComplete);
    }

    /// Runtime side: prepares for a call of an element with so many pads.
    #[inline]
    pub fn begin(&mut self, sink_pads: u16, src_pads: u16) {
        self.sink_pads = sink_pads;
        self.src_pads = src_pads;
    }

    /// Runtime side: sets what [`Output::now`] says.
    pub fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    /// Runtime side: true when there is more than one item, or an effect.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Runtime side: everything but the first item has been taken.
    #[inline]
    pub fn settle(&mut self) {
        self.busy = false;
    }

    /// Runtime side: takes the first item.
    #[inline]
    pub fn take_first(&mut self) -> Option<Item> {
        self.first.take()
    }

    /// Runtime side: the source pad of the first item.
    #[inline]
    pub fn first_pad(&self) -> PadId {
        self.first_pad
    }

    /// Runtime side: the items after the first, in order.
    #[inline]
    pub fn more(&mut self) -> &mut Vec<(PadId, Item)> {
        &mut self.more
    }

    /// Runtime side: what was asked for, in order.
    #[inline]
    pub fn effects(&mut self) -> &mut Vec<Effect> {
        &mut self.effects
    }

    /// Runtime side: true when a stream start for this pad is waiting to be delivered.
    pub fn starts_stream(&self, pad: PadId) -> bool {
        let starts = |to: PadId, item: &Item| to == pad && matches!(item, Item::StreamStart(_));
        self.first.as_ref().is_some_and(|item| starts(self.first_pad, item))
            || self.more.iter().any(|(to, item)| starts(*to, item))
    }

    /// Takes all items in order, for tests and for programs that use an element without a runtime.
    pub fn drain(&mut self) -> Vec<(PadId, Item)> {
        self.busy = !self.effects.is_empty();
        let first = self.first.take().map(|item| (self.first_pad, item));
        first.into_iter().chain(self.more.drain(..)).collect()
    }

    /// Forgets items and effects, after a failed call.
    pub fn clear(&mut self) {
        self.first = None;
        self.busy = false;
        self.more.clear();
        self.effects.clear();
    }
}
