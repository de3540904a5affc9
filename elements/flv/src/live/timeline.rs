//! Streams one after the other on one timeline.

use bytes::Bytes;
use millstream_core::{Buffer, Time};

use super::tag_buffer;
use crate::wire::TagKind;

/// Milliseconds from the last frame of a stream to the first of the next, if hardly any time was between them.
const MIN_GAP_MS: i64 = 20;

/// Puts the timestamps of each stream behind those before.
///
/// The first keeps its own timestamps. Later ones begin where the last ended, plus the time that really passed.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Last timestamp that was given, and when.
    last: Option<(i64, Time)>,
    /// What this stream's timestamps need added, and the last of them, unwrapped.
    current: Option<(i64, i64)>,
    /// This stream began then.
    began: Time,
    /// It has pictures.
    pictures: bool,
}

impl Timeline {
    /// A stream begins.
    pub fn begin(&mut self, now: Time) {
        (self.current, self.began, self.pictures) = (None, now, false);
    }

    /// A stream goes on that came by another connection so far: what has the timestamp `raw` here belongs at `placed` milliseconds.
    pub fn go_on(&mut self, raw: u32, placed: i64) {
        self.current = Some((placed - i64::from(raw), i64::from(raw)));
    }

    /// A tag with this body as a buffer, at its place.
    pub fn buffer(&mut self, kind: TagKind, body: &Bytes, place: Time) -> Buffer {
        self.pictures |= kind == TagKind::Video;
        tag_buffer(kind, place.millis() as u32, body, place, self.pictures)
    }

    /// The place of a timestamp in milliseconds, since the start. `is_head` is for headers, of which the first may be as old as the
    /// stream and say nothing of where it is.
    pub fn place(&mut self, raw: u32, is_head: bool, now: Time) -> Time {
        if let (None, Some((last, _)), true) = (self.current, self.last, is_head) {
            return Time::from_millis(last);
        }
        let (offset, unwrapped) = match self.current {
            // The nearest value with these low 32 bits: timestamps wrap after 49 days.
            Some((offset, last)) => (offset, last + i64::from(raw.wrapping_sub(last as u32) as i32)),
            None => {
                let raw = i64::from(raw);
                let behind = |(last, when): (i64, Time)| last + self.began.since(when).nanos() / 1_000_000 - raw;
                let least = |(last, _): (i64, Time)| last + MIN_GAP_MS - raw;
                (self.last.map_or(0, |last| behind(last).max(least(last))), raw)
            }
        };
        self.current = Some((offset, unwrapped));
        let placed = unwrapped + offset;
        self.last = Some((self.last.map_or(placed, |(last, _)| last.max(placed)), now));
        Time::from_millis(placed)
    }
}
