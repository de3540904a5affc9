//! Aggregates in a chain: their inputs, what they wait for, flushes that come on several pads.

use millstream_core::{Aggregate, Error, Inbox, Item, MessageKind, Need, PadId, PadSet, Result};

use super::{Chain, Kind, Work};

/// Media that the inputs of one aggregate may hold while it waits for a pad. A minute of 4K at 30 Mbit/s; beyond it
/// the pad that never comes is a mistake in the pipeline.
pub(crate) const MAX_INBOX_BYTES: usize = 256 << 20;

/// An aggregate with its inputs.
pub(crate) struct Group {
    pub(crate) aggregate: Box<dyn Aggregate>,
    pub(crate) inbox: Inbox,
    pub(super) wanted: PadSet,
    /// Waits for a thread of its own: to be kept, also when nothing can come any more.
    awaits: bool,
    done: bool,
    epoch: Option<u64>,
    /// Pads on which the flush of this epoch has not arrived: what comes there is void.
    stale: PadSet,
}

impl Group {
    pub(crate) fn new(aggregate: Box<dyn Aggregate>, pads: usize) -> Self {
        let wanted = (0..pads as u16).map(PadId).collect();
        Self {
            aggregate,
            inbox: Inbox::new(pads),
            wanted,
            awaits: false,
            done: false,
            epoch: None,
            stale: PadSet::empty(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    pub(super) fn awaits(&self) -> bool {
        self.awaits && !self.done
    }

    pub(crate) fn wanted(&self) -> PadSet {
        self.wanted
    }
}

impl Chain {
    pub(super) fn deliver_to_group(&mut self, node: usize, pad: PadId, item: Item) -> Result<Option<Work>> {
        let Kind::Aggregate(group) = &mut self.nodes[node].kind else { return Ok(None) };
        if let Item::Flush(epoch) = item {
            return self.flush_group(node, pad, epoch);
        }
        let void = group.stale.contains(pad) && !item.is_sticky();
        if void || group.done {
            return Ok(None);
        }
        let wakes = group.wanted.contains(pad) || matches!(item, Item::Eos | Item::Absent);
        group.inbox.put(pad, item);
        if group.inbox.bytes() > MAX_INBOX_BYTES {
            let error = self.starved(node);
            return self.failed(node, error);
        }
        if wakes { self.step(node) } else { Ok(None) }
    }

    /// The first flush of an epoch empties every pad and goes on downstream; the same flush on the other pads marks
    /// where their data is new again.
    fn flush_group(&mut self, node: usize, pad: PadId, epoch: u64) -> Result<Option<Work>> {
        let Kind::Aggregate(group) = &mut self.nodes[node].kind else { return Ok(None) };
        let pads = (0..group.inbox.pads() as u16).map(PadId);
        if group.epoch == Some(epoch) {
            group.stale = group.stale.iter().filter(|p| *p != pad).collect();
            return Ok(None);
        }
        (group.epoch, group.done, group.wanted) = (Some(epoch), false, pads.clone().collect());
        pads.clone().for_each(|p| group.inbox.put(p, Item::Flush(epoch)));
        group.stale = pads.filter(|p| *p != pad).collect();
        if let Err(e) = group.aggregate.flush(&mut self.out) {
            return self.failed(node, e);
        }
        self.out.forward(Item::Flush(epoch));
        Ok(self.collect(node))
    }

    fn starved(&self, node: usize) -> Error {
        let slot = &self.nodes[node];
        let Kind::Aggregate(group) = &slot.kind else { return Error::bug("only aggregates starve") };
        let pads: Vec<String> = group.inbox.starving().iter().map(|p| format!("pad {}", p.0)).collect();
        Error::limit(format!(
            "nothing comes on {} while {} MiB wait on the others",
            if pads.is_empty() { "no pad".to_owned() } else { pads.join(" and ") },
            MAX_INBOX_BYTES >> 20
        ))
        .hint("unlink that pad, or check that its branch delivers")
    }

    pub(super) fn step(&mut self, node: usize) -> Result<Option<Work>> {
        self.whereabouts.enter(node);
        let slot = &mut self.nodes[node];
        self.out.begin(self.hot[node].sinks, self.hot[node].srcs);
        let now = self.out.now();
        let Kind::Aggregate(group) = &mut slot.kind else { return Ok(None) };
        if group.done {
            return Ok(None);
        }
        let need = group.aggregate.step(&mut group.inbox, now, &mut self.out);
        group.awaits = matches!(need, Ok(Need::Wake(_)));
        match need {
            Ok(Need::Pads(wanted) | Need::Wake(wanted)) => (group.wanted, slot.wake) = (wanted, None),
            Ok(Need::PadsUntil(wanted, at)) => (group.wanted, slot.wake) = (wanted, Some(at)),
            Ok(Need::Again) => self.stack.push(Work::Resume(node)),
            Ok(Need::Done) => {
                group.done = true;
                slot.wake = None;
                if slot.srcs.is_empty() {
                    self.bus.post(&slot.name, MessageKind::Eos);
                }
            }
            Err(e) => return self.failed(node, e),
        }
        Ok(self.collect(node))
    }
}
