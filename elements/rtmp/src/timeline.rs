//! Publications one after the other on one timeline.

use millstream_core::{Buffer, Time};
use millstream_flv::live::{self, Class, classify};

use crate::server::feed::Content;
use crate::session::Media;

/// Puts the timestamps of each publication behind those before.
#[derive(Debug, Default)]
pub(crate) struct Timeline(live::Timeline);

impl Timeline {
    /// A publication begins.
    pub(crate) fn begin(&mut self, now: Time) {
        self.0.begin(now);
    }

    /// A publication goes on that came by another connection so far: what has the timestamp `raw` here belongs at `placed`.
    pub(crate) fn go_on(&mut self, raw: u32, placed: i64) {
        self.0.go_on(raw, placed);
    }

    /// A message as a buffer of one FLV tag, at its place.
    pub(crate) fn buffer(&mut self, content: &Content, place: Time) -> Buffer {
        self.0.buffer(content.kind(), content.body(), place)
    }

    /// A message with its place on the timeline, also as time since the start.
    pub(crate) fn place(&mut self, content: Content, now: Time) -> (Content, Time) {
        let is_head = matches!(classify(content.kind(), content.body()), Class::Head(_));
        let time = self.0.place(content.timestamp(), is_head, now);
        (at(content, time.millis() as u32), time)
    }
}

fn at(content: Content, timestamp: u32) -> Content {
    match content {
        Content::Media(media) => Content::Media(Media { timestamp, ..media }),
        Content::Data(_, body) => Content::Data(timestamp, body),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millstream_core::TimeDelta;

    use super::*;

    fn place(timeline: &mut Timeline, timestamp: u32, now_ms: i64) -> (u32, i64) {
        let (content, time) =
            timeline.place(Content::Data(timestamp, Bytes::new()), Time::ZERO + TimeDelta::from_millis(now_ms));
        let Content::Data(timestamp, _) = content else { unreachable!() };
        (timestamp, time.millis())
    }

    #[test]
    fn a_publisher_that_returns_goes_on_where_it_left_after_the_time_that_passed() {
        let mut timeline = Timeline::default();
        timeline.begin(Time::ZERO);
        assert_eq!(place(&mut timeline, 500, 0), (500, 500), "the first keeps its times");
        assert_eq!(place(&mut timeline, 1500, 1000), (1500, 1500));
        timeline.begin(Time::from_millis(3000));
        assert_eq!(place(&mut timeline, 0, 3000), (3500, 3500));
        assert_eq!(place(&mut timeline, 40, 3040), (3540, 3540));
        timeline.begin(Time::from_millis(3041));
        assert_eq!(place(&mut timeline, 90_000, 3041), (3560, 3560), "never on top of what was");
    }

    #[test]
    fn old_headers_ahead_of_a_new_publication_do_not_move_it() {
        let mut timeline = Timeline::default();
        timeline.begin(Time::ZERO);
        assert_eq!(place(&mut timeline, 3000, 3000), (3000, 3000));
        timeline.begin(Time::from_millis(6000));
        let header = Content::Data(0, Bytes::from_static(b"\x02\x00\x0aonMetaData\x05"));
        assert_eq!(timeline.place(header, Time::from_millis(6000)).1.millis(), 3000);
        assert_eq!(place(&mut timeline, 6000, 6000), (6000, 6000));
    }

    #[test]
    fn rtmp_c5_timestamps_wrap_after_49_days() {
        let mut timeline = Timeline::default();
        timeline.begin(Time::ZERO);
        assert_eq!(place(&mut timeline, u32::MAX - 9, 0).1, i64::from(u32::MAX) - 9);
        assert_eq!(place(&mut timeline, 10, 20), (10, i64::from(u32::MAX) + 11));
        assert_eq!(place(&mut timeline, u32::MAX, 20).1, i64::from(u32::MAX), "a little back is not a wrap");
    }
}
