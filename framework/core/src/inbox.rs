//! How an aggregate receives.

use std::collections::VecDeque;

use crate::element::{PadId, PadSet};
use crate::item::Item;
use crate::time::Time;

/// The inputs of an [`crate::Aggregate`]: a queue of items a pad, with its end and absence. Filled by the runtime.
#[derive(Debug, Default)]
pub struct Inbox {
    pads: Vec<PadQueue>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct PadQueue {
    items: VecDeque<Item>,
    bytes: usize,
    state: PadState,
    last: Option<Time>,
}

/// What can still come on a pad.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PadState {
    /// Items may come.
    #[default]
    Open,
    /// No stream here, at least for now.
    Absent,
    /// The end has been received.
    Eos,
}

/// What [`Inbox::pick`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// The item at the head of this pad comes next.
    Next(PadId),
    /// These open pads must be heard first.
    Need(PadSet),
    /// Every pad is empty and has ended or is absent.
    Done,
}

impl Inbox {
    /// An inbox of so many pads, all open and empty.
    pub fn new(pads: usize) -> Self {
        Self { pads: (0..pads).map(|_| PadQueue::default()).collect(), bytes: 0 }
    }

    /// Number of linked sink pads.
    pub fn pads(&self) -> usize {
        self.pads.len()
    }

    /// The item at the head of a pad.
    #[inline]
    pub fn peek(&self, pad: PadId) -> Option<&Item> {
        self.pads.get(pad.index())?.items.front()
    }

    /// Takes the item at the head of a pad.
    #[inline]
    pub fn pop(&mut self, pad: PadId) -> Option<Item> {
        let queue = self.pads.get_mut(pad.index())?;
        let item = queue.items.pop_front()?;
        queue.bytes -= item.bytes();
        self.bytes -= item.bytes();
        Some(item)
    }

    /// What can still come on a pad, behind what is queued.
    pub fn state(&self, pad: PadId) -> PadState {
        self.pads.get(pad.index()).map_or(PadState::Eos, |p| p.state)
    }

    /// True when the pad is empty and has ended or is absent.
    pub fn is_over(&self, pad: PadId) -> bool {
        self.pads.get(pad.index()).is_none_or(|p| p.items.is_empty() && p.state != PadState::Open)
    }

    /// True when no pad has or will have anything, and at least one has ended.
    pub fn is_done(&self) -> bool {
        (0..self.pads.len()).all(|i| self.is_over(PadId(i as u16)))
            && (self.pads.is_empty() || self.pads.iter().any(|p| p.state == PadState::Eos))
    }

    /// Chooses the pad to serve next when streams are interleaved by decoding time: first any head that is not media
    /// (caps and the like), then the smallest [`Item::dts_or_pts`]; a head without time counts as the earliest.
    pub fn pick(&self) -> Pick {
        let mut need = PadSet::empty();
        let mut best: Option<(Option<Time>, PadId)> = None;
        for (i, pad) in self.pads.iter().enumerate() {
            let id = PadId(i as u16);
            match pad.items.front() {
                None if pad.state == PadState::Open => need.insert(id),
                None => {}
                Some(item @ (Item::Buffer(_) | Item::Gap(_))) => {
                    let time = item.dts_or_pts();
                    if best.is_none_or(|(earliest, _)| time < earliest) {
                        best = Some((time, id));
                    }
                }
                Some(_) => return Pick::Next(id),
            }
        }
        match best {
            _ if !need.is_empty() => Pick::Need(need),
            Some((_, pad)) => Pick::Next(pad),
            None => Pick::Done,
        }
    }

    /// The pads that are open and empty.
    pub fn starving(&self) -> PadSet {
        let starving = |p: &PadQueue| p.items.is_empty() && p.state == PadState::Open;
        self.pads.iter().enumerate().filter(|(_, p)| starving(p)).map(|(i, _)| PadId(i as u16)).collect()
    }

    /// Media bytes that are waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Media bytes that wait on a pad.
    pub fn bytes_on(&self, pad: PadId) -> usize {
        self.pads.get(pad.index()).map_or(0, |p| p.bytes)
    }

    /// Items waiting on a pad.
    pub fn len(&self, pad: PadId) -> usize {
        self.pads.get(pad.index()).map_or(0, |p| p.items.len())
    }

    /// The longest stretch of time that waits on one pad, in nanoseconds.
    pub fn waiting_time(&self) -> i64 {
        let stretch = |p: &PadQueue| match (p.items.iter().find_map(Item::dts_or_pts), p.last) {
            (Some(first), Some(last)) => last.since(first).nanos().max(0),
            _ => 0,
        };
        self.pads.iter().map(stretch).max().unwrap_or(0)
    }

    /// Runtime side: an item has come. Ends and absences change the pad's state; a flush empties the pad.
    pub fn put(&mut self, pad: PadId, item: Item) {
        let Some(queue) = self.pads.get_mut(pad.index()) else { return };
        match item {
            Item::Eos => queue.state = PadState::Eos,
            Item::Absent => {
                if queue.state == PadState::Open {
                    queue.state = PadState::Absent;
                }
            }
            Item::Flush(_) => {
                self.bytes -= queue.bytes;
                *queue = PadQueue::default();
            }
            item => {
                if matches!(item, Item::StreamStart(_)) {
                    queue.state = PadState::Open;
                }
                queue.bytes += item.bytes();
                self.bytes += item.bytes();
                queue.last = item.dts_or_pts().or(queue.last);
                queue.items.push_back(item);
            }
        }
    }

    /// Runtime side: a pad that was linked while running; gives its number.
    pub fn add_pad(&mut self) -> PadId {
        self.pads.push(PadQueue::default());
        PadId((self.pads.len() - 1) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Buffer;

    fn at(ms: i64) -> Item {
        let time = Some(Time::from_millis(ms));
        Item::buffer(Buffer::new(vec![0; 10]).with_times(time, time))
    }

    #[test]
    fn picks_the_earliest_and_waits_for_open_pads() {
        let (a, b) = (PadId(0), PadId(1));
        let mut inbox = Inbox::new(2);
        inbox.put(a, at(20));
        assert_eq!(inbox.pick(), Pick::Need(PadSet::from_iter([b])));
        inbox.put(b, at(10));
        assert_eq!(inbox.pick(), Pick::Next(b));
        assert!(inbox.pop(b).is_some());
        inbox.put(b, Item::Absent);
        assert_eq!((inbox.pick(), inbox.bytes()), (Pick::Next(a), 10));
        inbox.put(a, Item::Eos);
        assert!(!inbox.is_done(), "queued items come before the end");
        assert!(inbox.pop(a).is_some());
        assert_eq!((inbox.pick(), inbox.is_done()), (Pick::Done, true));
    }

    #[test]
    fn an_absent_pad_comes_alive_with_a_stream() {
        let mut inbox = Inbox::new(1);
        inbox.put(PadId(0), Item::Absent);
        assert!(inbox.is_over(PadId(0)) && !inbox.is_done());
        inbox.put(PadId(0), Item::StreamStart(Default::default()));
        assert_eq!(inbox.state(PadId(0)), PadState::Open);
    }

    #[test]
    fn a_flush_empties_the_pad_and_revives_it() {
        let mut inbox = Inbox::new(1);
        inbox.put(PadId(0), at(0));
        inbox.put(PadId(0), Item::Eos);
        inbox.put(PadId(0), Item::Flush(1));
        assert_eq!((inbox.bytes(), inbox.state(PadId(0))), (0, PadState::Open));
    }
}
