//! Inputs of a muxer in step: each pad's timeline, and whose turn it is.

use std::sync::Arc;

use millstream_core::inbox::Pick;
use millstream_core::item::Segment;
use millstream_core::{Inbox, Item, PadId, PadSet, Time, TimeDelta};

/// A pad whose timestamps step back further than this waits for the other pads to do the same.
const BACKWARD_JUMP: TimeDelta = TimeDelta::from_millis(500);

/// Buffers that wait so, at most: a lone stream that stepped back holds up nothing for longer.
const MAX_WAITING: usize = 256;

/// The timelines of an aggregate's pads.
#[derive(Debug, Default)]
pub struct Lanes(Vec<Lane>);

#[derive(Debug, Default)]
struct Lane {
    segment: Option<Arc<Segment>>,
    /// Running time of the last buffer, in decoding order.
    last: Option<Time>,
}

impl Lanes {
    /// A lane for each pad.
    #[must_use]
    pub fn new(pads: usize) -> Self {
        let mut this = Self::default();
        this.grow(pads);
        this
    }

    /// Adds lanes until there are so many.
    pub fn grow(&mut self, pads: usize) {
        if self.0.len() < pads {
            self.0.resize_with(pads, Lane::default);
        }
    }

    /// The timeline of what follows on a pad.
    pub fn set_segment(&mut self, pad: PadId, segment: Arc<Segment>) {
        if let Some(lane) = self.0.get_mut(pad.index()) {
            lane.segment = Some(segment);
        }
    }

    /// Running time of a timestamp on a pad.
    #[must_use]
    pub fn running(&self, pad: PadId, time: Time) -> Time {
        self.0.get(pad.index()).map_or(time, |lane| lane.running(time))
    }

    /// Running time of the last buffer of a pad.
    #[must_use]
    pub fn last(&self, pad: PadId) -> Option<Time> {
        self.0.get(pad.index()).and_then(|lane| lane.last)
    }

    /// A buffer of this running time (of its decoding time) is taken from a pad.
    pub fn took(&mut self, pad: PadId, running: Time) {
        if let Some(lane) = self.0.get_mut(pad.index()) {
            lane.last = Some(running);
        }
    }

    /// Forgets where the pads were, as after a flush.
    pub fn reset(&mut self) {
        self.0.iter_mut().for_each(|lane| lane.last = None);
    }

    /// As [`Inbox::pick`], but by running time, and a stream that stepped back waits until the others have stepped back too.
    pub fn choose(&mut self, inbox: &Inbox) -> Pick {
        let mut need = PadSet::empty();
        let mut best: Option<(Option<Time>, PadId)> = None;
        let mut stepped_back: Option<(Option<Time>, PadId)> = None;
        for (lane, index) in self.0.iter().zip(0..) {
            let id = PadId(index);
            let time = match inbox.peek(id) {
                None if inbox.is_over(id) => continue,
                None => {
                    need.insert(id);
                    continue;
                }
                Some(item @ (Item::Buffer(_) | Item::Gap(_))) => item.dts_or_pts().map(|time| lane.running(time)),
                Some(_) => return Pick::Next(id),
            };
            let back = lane.last.zip(time).is_some_and(|(last, time)| last.since(time) > BACKWARD_JUMP);
            let waits = back && inbox.len(id) < MAX_WAITING;
            let slot = if waits { &mut stepped_back } else { &mut best };
            if slot.is_none_or(|(earliest, _)| time < earliest) {
                *slot = Some((time, id));
            }
        }
        match best.or(stepped_back) {
            _ if !need.is_empty() => Pick::Need(need),
            None => Pick::Done,
            Some((_, id)) => {
                if best.is_none() {
                    self.reset();
                }
                Pick::Next(id)
            }
        }
    }
}

impl Lane {
    fn running(&self, time: Time) -> Time {
        self.segment.as_ref().map_or(time, |segment| segment.running_time(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Buffer;

    fn at(ms: i64) -> Item {
        let time = Some(Time::from_millis(ms));
        Item::buffer(Buffer::new(vec![0; 1]).with_times(time, time))
    }

    #[test]
    fn the_earliest_in_running_time_is_next() {
        let (a, b) = (PadId(0), PadId(1));
        let (mut lanes, mut inbox) = (Lanes::new(2), Inbox::new(2));
        lanes.set_segment(b, Segment::time(Time::from_millis(1000)).into());
        inbox.put(a, at(20));
        assert_eq!(lanes.choose(&inbox), Pick::Need(PadSet::from_iter([b])));
        inbox.put(b, at(1010));
        assert_eq!(lanes.choose(&inbox), Pick::Next(b));
    }

    #[test]
    fn a_stream_that_stepped_back_waits_for_the_other() {
        let (a, b) = (PadId(0), PadId(1));
        let (mut lanes, mut inbox) = (Lanes::new(2), Inbox::new(2));
        lanes.took(a, Time::from_millis(5000));
        lanes.took(b, Time::from_millis(4900));
        inbox.put(a, at(0));
        inbox.put(b, at(5010));
        assert_eq!(lanes.choose(&inbox), Pick::Next(b), "what is left of the old timeline comes first");
        inbox.pop(b);
        inbox.put(b, at(10));
        assert_eq!(lanes.choose(&inbox), Pick::Next(a), "both have stepped back");
    }
}
