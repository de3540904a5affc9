//! Where the output of something that was built anew meets what it sent before: one timeline, and a mark on the break.

use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::item::SegmentFormat;
use millstream_core::{BufferFlags, Item, Segment, Time, TimeDelta};

/// How far ahead of the time that passed the timestamps of a restarted element may be to count as those of a stream that went
/// on meanwhile: the buffer of a player or server.
const LEAD: TimeDelta = TimeDelta::from_secs(1);

/// Keeps what one domain sends on one timeline, over all its outputs.
pub(crate) struct Joint {
    state: Mutex<State>,
    /// Time passes although nothing is sent.
    live: bool,
}

#[derive(Default)]
struct State {
    /// Where the latest buffer ends, and when it was sent.
    end: Option<(Time, Time)>,
    /// What timestamps need added since the last restart; nothing while that is not known.
    shift: Option<TimeDelta>,
    /// The timeline that was announced first on each link.
    segments: Vec<(String, Arc<Segment>)>,
    /// Links that have sent a buffer since the last restart.
    resumed: Vec<String>,
    restarted: bool,
}

impl Joint {
    pub(crate) fn new(live: bool) -> Self {
        Self { state: Mutex::new(State { shift: Some(TimeDelta::ZERO), ..State::default() }), live }
    }

    /// What comes next is from elements that were built anew.
    pub(crate) fn begin_anew(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.shift, state.restarted) = (None, true);
        state.resumed.clear();
    }

    /// An item on its way out of the domain by the link of that name.
    pub(crate) fn pass(&self, link: &str, mut item: Item, now: Time) -> Item {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut item {
            Item::Buffer(buffer) => {
                let shift = state.shift_for(buffer.dts_or_pts(), now, self.live);
                if shift != TimeDelta::ZERO {
                    buffer.pts = buffer.pts.map(|time| time + shift);
                    buffer.dts = buffer.dts.map(|time| time + shift);
                }
                let resumes = state.resumes(link);
                buffer.flags |= if resumes { BufferFlags::DISCONT } else { BufferFlags::empty() };
                if let Some(time) = buffer.dts_or_pts() {
                    let end = time + buffer.duration.unwrap_or_default();
                    state.end = Some((state.end.map_or(end, |(before, _)| before.max(end)), now));
                }
            }
            Item::Gap(gap) => gap.start += state.shift.unwrap_or_default(),
            Item::Segment(segment) if segment.format == SegmentFormat::Time => state.keep_segment(link, segment),
            _ => {}
        }
        item
    }
}

impl State {
    /// What to add to the timestamps. The first after a restart decides for all outputs, so that they stay together.
    fn shift_for(&mut self, first: Option<Time>, now: Time, live: bool) -> TimeDelta {
        if let Some(shift) = self.shift {
            return shift;
        }
        let (Some(first), Some((end, sent))) = (first, self.end) else { return TimeDelta::ZERO };
        let passed = now.since(sent);
        let goes_on = first >= end && first <= end + passed + LEAD;
        let place = if live { end + passed } else { end };
        let shift = if goes_on { TimeDelta::ZERO } else { place.since(first) };
        *self.shift.insert(shift)
    }

    /// True for the first buffer of a link since the last restart.
    fn resumes(&mut self, link: &str) -> bool {
        let first = self.restarted && !self.resumed.iter().any(|name| name == link);
        if first {
            self.resumed.push(link.to_owned());
        }
        first
    }

    /// Timestamps stay on the timeline that was announced first.
    fn keep_segment(&mut self, link: &str, segment: &mut Arc<Segment>) {
        match self.segments.iter().find(|(name, _)| name == link) {
            Some((_, first)) if self.restarted => *segment = first.clone(),
            Some(_) => {}
            None => self.segments.push((link.to_owned(), segment.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::Buffer;

    use super::*;

    fn sent(joint: &Joint, link: &str, ms: i64, now_ms: i64) -> (i64, bool) {
        let time = Some(Time::from_millis(ms));
        let buffer =
            Buffer { duration: Some(TimeDelta::from_millis(10)), ..Buffer::new(vec![1]).with_times(time, time) };
        let Item::Buffer(out) = joint.pass(link, Item::buffer(buffer), Time::from_millis(now_ms)) else {
            unreachable!()
        };
        (out.pts.unwrap().millis(), out.flags.contains(BufferFlags::DISCONT))
    }

    #[test]
    fn a_source_that_begins_at_zero_again_goes_on_after_the_time_that_passed() {
        let joint = Joint::new(true);
        assert_eq!(sent(&joint, "a", 500, 0), (500, false));
        assert_eq!(sent(&joint, "b", 505, 5), (505, false));
        joint.begin_anew();
        assert_eq!(sent(&joint, "a", 0, 2005), (2515, true), "505 + 10 of the last, 2000 passed");
        assert_eq!(sent(&joint, "b", 3, 2005), (2518, true), "one shift for all, a mark for each");
        assert_eq!(sent(&joint, "a", 10, 2015), (2525, false));
    }

    #[test]
    fn files_go_on_where_they_stopped_and_streams_that_went_on_keep_their_times() {
        let joint = Joint::new(false);
        sent(&joint, "a", 500, 0);
        joint.begin_anew();
        assert_eq!(sent(&joint, "a", 0, 2000), (510, true));
        let joint = Joint::new(true);
        sent(&joint, "a", 500, 0);
        joint.begin_anew();
        assert_eq!(sent(&joint, "a", 2400, 2000), (2400, true));
    }

    #[test]
    fn the_first_segment_holds() {
        let joint = Joint::new(true);
        let segment = |start| Item::Segment(Segment::time(Time::from_millis(start)).into());
        let start = |item: Item| match item {
            Item::Segment(segment) => segment.start.millis(),
            _ => unreachable!(),
        };
        assert_eq!(start(joint.pass("a", segment(7), Time::ZERO)), 7);
        assert_eq!(start(joint.pass("a", segment(8), Time::ZERO)), 8, "no restart, no business of ours");
        joint.begin_anew();
        assert_eq!(start(joint.pass("a", segment(0), Time::ZERO)), 7);
    }
}
