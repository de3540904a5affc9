//! Where running time begins, and how it goes on when the timestamps of a program jump.

use std::sync::Arc;

use millstream_core::{Segment, Time, TimeDelta};

use super::demux::times;
use crate::demuxer::Pes;
use crate::packet::Pid;

/// Timestamps of one stream that are further apart are of another timeline: longer than any buffer model allows streams to lag.
const MAX_STEP: TimeDelta = TimeDelta::from_secs(10);

/// A stream that does not begin within this time of the others is not waited for.
const MAX_HELD: TimeDelta = TimeDelta::from_secs(1);

/// Nor behind so many bytes of the others: a second at 64 Mbit/s.
const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;

/// Nor behind so many units.
const MAX_HELD_UNITS: usize = 1024;

/// The timeline of a program.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    current: Option<Arc<Segment>>,
    /// Latest timestamp on the current segment.
    latest: Time,
}

/// Where a stream is on it.
#[derive(Debug, Default)]
pub(super) struct Position {
    segment: Option<Arc<Segment>>,
    last: Option<Time>,
}

impl Timeline {
    /// Begins at a timestamp: running time 0.
    pub(super) fn begin(&mut self, start: Time) {
        self.current = Some(Segment::time(start).into());
        self.latest = start;
    }

    /// Whether it has begun.
    pub(super) const fn has_begun(&self) -> bool {
        self.current.is_some()
    }

    /// Latest timestamp.
    pub(super) const fn latest(&self) -> Time {
        self.latest
    }

    /// Running time of the latest timestamp.
    pub(super) fn running(&self) -> Time {
        self.current.as_ref().map_or(Time::ZERO, |segment| segment.running_time(self.latest))
    }

    /// A stream goes on at this decoding time. Returns the segment that has to be sent before it, if any, and whether the time jumped or stepped back.
    pub(super) fn advance(&mut self, at: &mut Position, dts: Time) -> (Option<Arc<Segment>>, bool) {
        let jumped = at.last.is_some_and(|last| is_far(last, dts));
        let stepped_back = at.last.is_some_and(|last| dts < last);
        at.last = Some(dts);
        if jumped || at.segment.is_none() {
            if self.current.is_none() {
                self.begin(dts);
            } else if is_far(self.latest, dts) {
                let base = self.running();
                self.current = Some(Segment { base, ..Segment::time(dts) }.into());
                self.latest = dts;
            }
        }
        if at.is_on(self) {
            self.latest = self.latest.max(dts);
            return (None, jumped || stepped_back);
        }
        if at.segment.is_some() && !jumped {
            // A stream that has not come to the jump yet.
            return (None, stepped_back);
        }
        at.segment.clone_from(&self.current);
        self.latest = self.latest.max(dts);
        (at.segment.clone(), jumped)
    }
}

impl Position {
    /// The segment that the stream is on, if it got one.
    pub(super) const fn has_segment(&self) -> bool {
        self.segment.is_some()
    }

    /// Puts a stream that has no segment on the current one.
    pub(super) fn join(&mut self, timeline: &Timeline) -> Option<Arc<Segment>> {
        self.segment.clone_from(&timeline.current);
        self.segment.clone()
    }

    /// The timestamp on the current segment up to which the stream is known.
    pub(super) fn known_until(&self, timeline: &Timeline) -> Time {
        let start = timeline.current.as_ref().map_or(timeline.latest, |segment| segment.start);
        if self.is_on(timeline) { self.last.unwrap_or(start) } else { start }
    }

    /// The stream is known up to a timestamp on the current segment; returns that if it was not on it before.
    pub(super) fn reach(&mut self, timeline: &Timeline, time: Time) -> Option<Arc<Segment>> {
        let joins = !self.is_on(timeline);
        self.last = Some(time);
        if joins { self.join(timeline) } else { None }
    }

    fn is_on(&self, timeline: &Timeline) -> bool {
        self.segment.as_ref().zip(timeline.current.as_ref()).is_some_and(|(own, now)| Arc::ptr_eq(own, now))
    }
}

/// Units of a program before it is known where running time begins.
#[derive(Debug, Default)]
pub(super) struct Held {
    units: Vec<Pes>,
    bytes: usize,
    /// Earliest and latest decoding time.
    span: Option<(Time, Time)>,
}

impl Held {
    pub(super) fn push(&mut self, pes: Pes) {
        if let (_, Some(dts)) = times(&pes) {
            let (first, last) = self.span.unwrap_or((dts, dts));
            self.span = Some((first.min(dts), last.max(dts)));
        }
        self.bytes += pes.data.len();
        self.units.push(pes);
    }

    /// Whether each of these streams has begun, or nothing is waited for any longer.
    pub(super) fn is_enough(&self, mut streams: impl Iterator<Item = Pid>) -> bool {
        let begun = |pid| self.units.iter().any(|pes| pes.pid == pid && pes.pts.is_some());
        self.bytes > MAX_HELD_BYTES
            || self.units.len() >= MAX_HELD_UNITS
            || self.span.is_some_and(|(first, last)| last.since(first) > MAX_HELD)
            || streams.all(begun)
    }

    /// The earliest decoding time, and all units.
    pub(super) fn take(self) -> (Option<Time>, Vec<Pes>) {
        (self.span.map(|(first, _)| first), self.units)
    }
}

fn is_far(a: Time, b: Time) -> bool {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    high.since(low) > MAX_STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: i64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn both_streams_move_to_the_new_timeline_each_at_its_own_unit() {
        let (mut time, mut video, mut audio) = (Timeline::default(), Position::default(), Position::default());
        time.begin(s(100));
        assert_eq!(time.advance(&mut video, s(100)).0.unwrap().start, s(100));
        assert!(time.advance(&mut audio, s(101)).0.is_some());
        assert!(time.advance(&mut video, s(104)).0.is_none());
        // Video jumps back to 5 s; running time goes on at 4 s.
        let (segment, jumped) = time.advance(&mut video, s(5));
        let new = segment.unwrap();
        assert!(jumped);
        assert_eq!((new.start, new.base), (s(5), s(4)));
        // Audio still has something of before.
        assert_eq!(time.advance(&mut audio, s(103)), (None, false));
        let (segment, jumped) = time.advance(&mut audio, s(6));
        assert!(jumped);
        assert_eq!(segment.unwrap().running_time(s(6)), s(5), "audio and video stay together");
        assert!(time.advance(&mut video, s(7)).0.is_none());
    }

    #[test]
    fn a_sparse_stream_does_not_jump() {
        let (mut time, mut video, mut cues) = (Timeline::default(), Position::default(), Position::default());
        time.begin(s(0));
        let _ = time.advance(&mut video, s(0));
        let _ = time.advance(&mut cues, s(1));
        for t in 1..60 {
            assert!(time.advance(&mut video, s(t)).0.is_none());
        }
        assert!(time.advance(&mut cues, s(59)).0.is_none());
        assert_eq!(time.running(), s(59));
    }
}
