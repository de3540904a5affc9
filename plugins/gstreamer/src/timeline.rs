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
pub(crate) struct Timeline(Segment);

impl Default for Timeline {
    fn default() -> Self {
        Self(Segment::time(Time::ZERO))
    }
}

impl From<Time> for Timeline {
    /// One that begins there.
    fn from(start: Time) -> Self {
        Self(Segment::time(start))
    }
}

impl Timeline {
    /// What came in is on this one.
    pub(crate) fn follow(&mut self, segment: &Segment) {
        if segment.format == SegmentFormat::Time {
            self.0 = segment.clone();
        }
    }

    /// The segment of a sample: bytes as they are, times as those that came in.
    pub(crate) fn segment(&self, sample: &gst::Segment, offset: Option<u64>) -> Segment {
        match sample.format() {
            gst::Format::Time => self.0.clone(),
            _ => Segment::bytes(offset.unwrap_or_default()),
        }
    }

    /// A timestamp of a sample on it.
    pub(crate) fn time(&self, sample: &gst::Segment, at: Option<ClockTime>) -> Option<Time> {
        let running = sample.downcast_ref::<ClockTime>()?.to_running_time_full(at?)?;
        let nanos = i64::try_from(running.abs().nseconds()).ok()?;
        let running = Time::from_nanos(if running.is_negative() { -nanos } else { nanos });
        Some(self.0.start + running.since(self.0.base))
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
}
