//! What elements ask for beside sending items, and what the chain tells the application on their behalf.

use std::sync::Arc;

use millstream_core::output::Effect;
use millstream_core::{Dropped, Error, Item, MessageKind, PadId, Presence, Result};

use super::{Chain, Slot, Upstream};
use crate::bus::BusSender;
use crate::link::SrcLink;

impl Slot {
    /// Counts what was left out, and tells of the first for each reason.
    fn dropped(&self, dropped: Dropped, bus: &BusSender) {
        if self.drops.count(&dropped) {
            bus.post(&self.name, MessageKind::Dropped(dropped));
        }
    }

    /// A link has left something out; without a reason it was nothing.
    #[cold]
    pub(super) fn left_out(&self, reason: Option<&'static str>, bytes: u64, bus: &BusSender) {
        if let Some(reason) = reason {
            self.dropped(Dropped { reason, bytes, offset: None }, bus);
        }
    }
}

impl Chain {
    #[cold]
    pub(super) fn note(link: &mut SrcLink, item: &Item, bus: &BusSender, name: &Arc<str>) -> Result<()> {
        if matches!(item, Item::Eos)
            && link.presence == Presence::Sometimes
            && !link.memory.started
            && !link.memory.ended
        {
            // What the command line puts into a link to measure has the name of the pad before it.
            let fed = if link.to == link.from { String::new() } else { format!(", which feeds {}", link.to) };
            let warning = Error::malformed(format!("the input has no stream for {}{fed}", link.from));
            bus.post(name, MessageKind::Warning(warning.in_element(name).into()));
        }
        link.note(item).map_err(|e| e.in_element(name))
    }

    pub(super) fn sink_pad_ended(&mut self, node: usize) {
        let slot = &mut self.nodes[node];
        slot.open_sinks = slot.open_sinks.saturating_sub(1);
        if slot.open_sinks == 0 && slot.srcs.is_empty() {
            self.bus.post(&slot.name, MessageKind::Eos);
        }
    }

    #[cold]
    pub(super) fn apply_effects(&mut self, node: usize) {
        let effects = std::mem::take(self.out.effects());
        let mut absent = Vec::new();
        for effect in effects {
            let slot = &mut self.nodes[node];
            match effect {
                Effect::Request(pad, request) => match slot.sinks.get(pad.index()) {
                    Some(Upstream::Local(up, src)) => self.requests.push_back((*up, *src, request)),
                    Some(Upstream::Port(port, pad)) => port.request(*pad, request),
                    Some(Upstream::Nobody) | None => {}
                },
                Effect::Post(MessageKind::Dropped(dropped)) => slot.dropped(dropped, &self.bus),
                Effect::Post(message @ MessageKind::Latency(latency)) => {
                    slot.latency.tell(latency);
                    self.bus.post(&slot.name, message);
                }
                Effect::Post(message) => self.bus.post(&slot.name, message),
                Effect::WakeAt(at) => slot.wake = Some(at),
                Effect::HoldUntil(at) => self.hold_until(at),
                Effect::StreamsComplete => {
                    let silent = |l: &SrcLink| !l.memory.started && !l.memory.absent;
                    absent
                        .extend(slot.srcs.iter().enumerate().filter(|(_, l)| silent(l)).map(|(i, _)| PadId(i as u16)));
                }
            }
        }
        for pad in absent {
            // After the items of this call, so that streams which start in it count.
            if !self.out.starts_stream(pad) {
                self.out.push(pad, Item::Absent);
            }
        }
    }
}
