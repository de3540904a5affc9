//! Where running time begins, and how it goes on when the timestamps of a program jump.

use std::sync::Arc;

use millstream_core::{Segment, Time, TimeDelta};

use super::demux::times;
use crate::demuxer::{Pes, SectionEvent};
use crate::packet::Pid;

/// Timestamps of one stream that are further ahead are of another timeline: longer than any buffer model allows streams to lag.
const MAX_STEP: TimeDelta = TimeDelta::from_secs(10);

/// The same backward, as in a clip that is played again and again: units come in decoding order, so any step back is odd.
const MAX_BACK: TimeDelta = TimeDelta::from_secs(1);

/// A longer distance of two units is a pause and no measure of how long one lasts.
const MAX_UNIT: TimeDelta = TimeDelta::from_secs(1);

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
    /// Timestamp of the last unit.
    last: Option<Time>,
    /// Timestamp up to which nothing comes: the stream is silent.
    silent_until: Option<Time>,
    /// Distance of the last two units.
    step: TimeDelta,
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

    /// A stream goes on at this decoding time. Returns the segment that has to be sent before it, if any, and whether the time
    /// jumped or stepped back.
    pub(super) fn advance(&mut self, at: &mut Position, dts: Time) -> (Option<Arc<Segment>>, bool) {
        let before = at.last.replace(dts);
        let stepped_back = before.is_some_and(|last| dts < last);
        let jumped = before.is_some_and(|last| is_jump(last, dts));
        let far = is_jump(self.latest, dts);
        if at.is_on(self) && !(jumped && far) {
            at.measure(before, dts);
            self.latest = self.latest.max(dts);
            return (None, stepped_back);
        }
        let own = before.filter(|_| at.segment.is_some() && !at.is_on(self));
        if own.is_some_and(|last| distance(last, dts) <= distance(self.latest, dts)) {
            // It has not come to the jump yet.
            return (None, stepped_back);
        }
        if self.current.is_none() {
            self.begin(dts);
        } else if far {
            // The unit before was shown for as long as usual.
            let base = self.running() + at.step;
            self.current = Some(Segment { base, ..Segment::time(dts) }.into());
            self.latest = dts;
        }
        at.segment.clone_from(&self.current);
        at.silent_until = None;
        self.latest = self.latest.max(dts);
        (at.segment.clone(), before.is_some())
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
        let known = self.last.max(self.silent_until).filter(|_| self.is_on(timeline));
        known.unwrap_or(start)
    }

    /// The stream is silent up to a timestamp on the current segment; returns that if it was not on it before.
    pub(super) fn reach(&mut self, timeline: &Timeline, time: Time) -> Option<Arc<Segment>> {
        let joins = !self.is_on(timeline);
        self.silent_until = Some(time);
        if joins {
            self.last = None;
            return self.join(timeline);
        }
        None
    }

    fn measure(&mut self, before: Option<Time>, dts: Time) {
        let step = before.map(|last| dts.since(last)).filter(|step| (TimeDelta::ZERO..=MAX_UNIT).contains(step));
        self.step = step.unwrap_or(self.step);
    }

    fn is_on(&self, timeline: &Timeline) -> bool {
        self.segment.as_ref().zip(timeline.current.as_ref()).is_some_and(|(own, now)| Arc::ptr_eq(own, now))
    }
}

/// What a stream carries.
#[derive(Debug)]
pub(super) enum Unit {
    Pes(Pes),
    Section(SectionEvent),
}

impl Unit {
    pub(super) const fn pid(&self) -> Pid {
        match self {
            Self::Pes(pes) => pes.pid,
            Self::Section(section) => section.pid,
        }
    }

    pub(super) const fn program(&self) -> u16 {
        match self {
            Self::Pes(pes) => pes.program,
            Self::Section(section) => section.program,
        }
    }
}

/// Units of a program before it is known where running time begins.
#[derive(Debug, Default)]
pub(super) struct Held {
    units: Vec<Unit>,
    bytes: usize,
    /// Earliest and latest decoding time.
    span: Option<(Time, Time)>,
}

impl Held {
    pub(super) fn push(&mut self, unit: Unit) {
        self.bytes += match &unit {
            Unit::Pes(pes) => pes.data.len(),
            Unit::Section(section) => section.data.len(),
        };
        if let Unit::Pes(pes) = &unit
            && let (_, Some(dts)) = times(pes)
        {
            let (first, last) = self.span.unwrap_or((dts, dts));
            self.span = Some((first.min(dts), last.max(dts)));
        }
        self.units.push(unit);
    }

    /// Whether each of these streams has begun, or nothing is waited for any longer.
    pub(super) fn is_enough(&self, mut streams: impl Iterator<Item = Pid>) -> bool {
        let timed = |unit: &Unit| matches!(unit, Unit::Pes(pes) if pes.pts.is_some());
        let begun = |pid| self.units.iter().any(|unit| unit.pid() == pid && timed(unit));
        self.bytes > MAX_HELD_BYTES
            || self.units.len() >= MAX_HELD_UNITS
            || self.span.is_some_and(|(first, last)| last.since(first) > MAX_HELD)
            || streams.all(begun)
    }

    /// The earliest decoding time, and all units.
    pub(super) fn take(self) -> (Option<Time>, Vec<Unit>) {
        (self.span.map(|(first, _)| first), self.units)
    }
}

/// Whether a timestamp is of another timeline than one before it.
fn is_jump(from: Time, to: Time) -> bool {
    to.since(from) > MAX_STEP || from.since(to) > MAX_BACK
}

fn distance(a: Time, b: Time) -> TimeDelta {
    a.max(b).since(a.min(b))
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

    #[test]
    fn a_pause_that_is_a_jump_for_one_stream_only_keeps_them_together() {
        let (mut time, mut video, mut audio) = (Timeline::default(), Position::default(), Position::default());
        time.begin(s(0));
        let ms = Time::from_millis;
        for t in [0, 40, 80] {
            let _ = (time.advance(&mut video, ms(t)), time.advance(&mut audio, ms(t + 60)));
        }
        // 10.02 s without pictures, 9.98 s without sound.
        let (segment, jumped) = time.advance(&mut video, ms(10_200));
        let video_at = segment.unwrap().running_time(ms(10_200));
        assert!(jumped);
        let (segment, jumped) = time.advance(&mut audio, ms(10_120));
        assert!(jumped);
        assert_eq!(video_at, ms(180), "a frame behind the last");
        assert_eq!(segment.unwrap().running_time(ms(10_120)), ms(100), "80 ms ahead of the picture, as it is marked");
    }

    #[test]
    fn a_short_clip_that_begins_anew_goes_on_in_running_time() {
        let (mut time, mut video) = (Timeline::default(), Position::default());
        time.begin(s(1));
        let mut segment = None;
        for n in 0..12 {
            segment = time.advance(&mut video, s(1 + n % 3)).0.or(segment);
            assert_eq!(segment.as_ref().unwrap().running_time(s(1 + n % 3)), s(n), "{n}");
        }
    }

    #[test]
    fn a_stream_that_lags_behind_its_gaps_makes_no_new_timeline() {
        let (mut time, mut video, mut audio) = (Timeline::default(), Position::default(), Position::default());
        time.begin(s(0));
        let _ = (time.advance(&mut video, s(0)), time.advance(&mut audio, s(0)));
        let _ = time.advance(&mut video, s(8));
        assert_eq!(audio.reach(&time, s(6)), None);
        assert_eq!(audio.known_until(&time), s(6));
        assert_eq!(time.advance(&mut audio, s(4)), (None, false));
    }
}
