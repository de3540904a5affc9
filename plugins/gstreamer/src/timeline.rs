//! Timestamps across the border. What goes in becomes running time, what comes out is put on the timeline of what went in.

use gstreamer as gst;
use gstreamer::ClockTime;
use millstream_plugin_sdk::core::item::SegmentFormat;
use millstream_plugin_sdk::prelude::{Meta, Segment, Time, TimeDelta};

/// Running time of a timestamp, as GStreamer has it. `None` before the begin.
pub(crate) fn running(segment: &Segment, time: Time) -> Option<ClockTime> {
    u64::try_from(segment.running_time(time).nanos()).ok().map(ClockTime::from_nseconds)
}

/// A span as GStreamer has it.
pub(crate) fn span(span: TimeDelta) -> Option<ClockTime> {
    u64::try_from(span.nanos()).ok().map(ClockTime::from_nseconds)
}

/// Writes the times of a buffer of ours into one of GStreamer's, whose segment begins at zero.
pub(crate) fn write(meta: &Meta, segment: &Segment, into: &mut gst::BufferRef) {
    if segment.format == SegmentFormat::Bytes {
        return;
    }
    into.set_pts(meta.pts.and_then(|time| running(segment, time)));
    into.set_dts(meta.dts.and_then(|time| running(segment, time)));
    into.set_duration(meta.duration.and_then(span));
}

/// The timeline of what comes out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Timeline {
    /// Running time, put on the timeline of what came in.
    Of(Segment),
    /// Its own, of a source: stream time, which a seek does not change.
    Own,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::Of(Segment::time(Time::ZERO))
    }
}

fn nanos(time: ClockTime) -> Option<i64> {
    i64::try_from(time.nseconds()).ok()
}

impl Timeline {
    /// What came in is on this one.
    pub(crate) fn follow(&mut self, segment: &Segment) {
        if segment.format == SegmentFormat::Time {
            *self = Self::Of(segment.clone());
        }
    }

    /// The segment of a sample: bytes as they are, times as those that came in.
    pub(crate) fn segment(&self, sample: &gst::Segment, offset: Option<u64>) -> Segment {
        match (self, sample.downcast_ref::<ClockTime>()) {
            (Self::Of(segment), Some(_)) => segment.clone(),
            (Self::Own, Some(sample)) => {
                let time = |time: Option<ClockTime>| Time::from_nanos(time.and_then(nanos).unwrap_or_default());
                Segment { base: time(sample.base()), ..Segment::time(time(sample.time())) }
            }
            (_, None) => Segment::bytes(offset.unwrap_or_default()),
        }
    }

    /// A timestamp of a sample on it.
    pub(crate) fn time(&self, sample: &gst::Segment, at: Option<ClockTime>) -> Option<Time> {
        let sample = sample.downcast_ref::<ClockTime>()?;
        let signed = |time: gst::Signed<ClockTime>| {
            let nanos = nanos(time.abs())?;
            Some(Time::from_nanos(if time.is_negative() { -nanos } else { nanos }))
        };
        match self {
            Self::Of(segment) => {
                let running = signed(sample.to_running_time_full(at?)?)?;
                Some(segment.start + running.since(segment.base))
            }
            Self::Own => signed(sample.to_stream_time_full(at?)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_survive_segments_of_either_side() {
        gst::init().expect("GStreamer is there");
        let ours = Segment { base: Time::from_millis(500), ..Segment::time(Time::from_millis(-2000)) };
        let pts = Time::from_millis(-1900);
        assert_eq!(running(&ours, pts), Some(ClockTime::from_mseconds(600)));
        assert_eq!(running(&ours, Time::from_millis(-3000)), None);

        // x264enc begins its segment at 1000 hours, so that no decoding time is negative.
        let mut theirs = gst::FormattedSegment::<ClockTime>::new();
        theirs.set_start(ClockTime::from_seconds(3_600_000));
        let mut timeline = Timeline::default();
        timeline.follow(&ours);
        let at = |ms: i64| Some(ClockTime::from_mseconds((3_600_000_000 + ms) as u64));
        assert_eq!(timeline.time(theirs.upcast_ref(), at(600)), Some(pts));
        assert_eq!(timeline.time(theirs.upcast_ref(), at(-40)), Some(Time::from_millis(-2540)));
        assert_eq!(timeline.segment(theirs.upcast_ref(), None), ours);
    }

    #[test]
    fn a_source_has_the_same_timestamps_after_a_seek() {
        gst::init().expect("GStreamer is there");
        let mut theirs = gst::FormattedSegment::<ClockTime>::new();
        let pts = Some(ClockTime::from_mseconds(4567));
        assert_eq!(Timeline::Own.time(theirs.upcast_ref(), pts), Some(Time::from_millis(4567)));
        // Playback goes on at 4 s, where the running time is zero.
        theirs.set_start(ClockTime::from_mseconds(4000));
        theirs.set_time(ClockTime::from_mseconds(4000));
        assert_eq!(Timeline::Own.time(theirs.upcast_ref(), pts), Some(Time::from_millis(4567)));
        let segment = Timeline::Own.segment(theirs.upcast_ref(), None);
        assert_eq!(segment.running_time(Time::from_millis(4567)), Time::from_millis(567));
    }
}
