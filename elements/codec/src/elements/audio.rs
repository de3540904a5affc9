//! What the audio parsers share: frames out of pieces, and their times.

use bytes::Bytes;
use millstream_core::item::SegmentFormat;
use millstream_core::{Buffer, BufferFlags, Item, Output, PadId, Payload, Segment, Time, TimeDelta};

use super::timing::PieceTimes;
use crate::frames::{FrameHeader, FrameSplitter};

/// Counts samples on from the last timestamp that was given.
#[derive(Debug, Default)]
pub(super) struct SampleClock {
    base: Option<Time>,
    samples: i64,
    rate: u32,
}

impl SampleClock {
    /// Time and duration of a frame of `samples` samples. Rounding does not add up: each time counts from the last given
    /// one.
    pub(super) fn frame(&mut self, given: Option<Time>, samples: u32, rate: u32) -> (Time, TimeDelta) {
        if given.is_some() || rate != self.rate || self.base.is_none() {
            let start = given.unwrap_or_else(|| self.now());
            (self.base, self.samples, self.rate) = (Some(start), 0, rate);
        }
        let start = self.now();
        self.samples = self.samples.saturating_add(samples.into());
        (start, self.now().since(start))
    }

    fn now(&self) -> Time {
        self.base.unwrap_or(Time::ZERO) + TimeDelta::from_ticks(self.samples, self.rate)
    }

    /// The timeline starts over.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// A frame that was found in a stream of pieces.
pub(super) struct FoundFrame<H> {
    pub(super) header: H,
    pub(super) data: Bytes,
    pub(super) offset: u64,
    /// The timestamp of the piece that the frame begins in, if it is the first there.
    pub(super) time: Option<Time>,
    pub(super) flags: BufferFlags,
}

/// Finds frames in pieces of a stream.
pub(super) struct Framer<H> {
    splitter: FrameSplitter<H>,
    pieces: PieceTimes,
    begun: bool,
    broken: bool,
}

impl<H: FrameHeader> Framer<H> {
    pub(super) fn new() -> Self {
        Self { splitter: FrameSplitter::new(), pieces: PieceTimes::default(), begun: false, broken: false }
    }

    /// Takes a piece in.
    pub(super) fn push(&mut self, buffer: &Buffer) {
        if self.begun && buffer.flags.contains(BufferFlags::DISCONT) {
            self.splitter.reset();
            self.pieces.clear();
            self.broken = true;
        }
        self.pieces.push(buffer);
        buffer.payload.slices().iter().for_each(|slice| self.splitter.push(slice));
    }

    /// The next whole frame. What lies between frames is counted.
    pub(super) fn next(&mut self, out: &mut Output) -> Option<FoundFrame<H>> {
        let frame = self.splitter.next_frame()?;
        let mut flags = BufferFlags::KEYFRAME;
        if frame.skipped > 0 {
            out.dropped("bytes between frames", frame.skipped, frame.offset.checked_sub(frame.skipped));
        }
        // An ID3 tag before the first frame breaks nothing.
        flags.set(BufferFlags::DISCONT, self.broken || self.begun && frame.skipped > 0);
        (self.begun, self.broken) = (true, false);
        let (pts, dts) = self.pieces.take(frame.offset);
        Some(FoundFrame { header: frame.header, data: frame.data, offset: frame.offset, time: pts.or(dts), flags })
    }

    /// The stream ends or is interrupted: the frames that are still held can be taken with [`Framer::next`], then
    /// [`Framer::ended`].
    pub(super) fn end(&mut self) {
        self.splitter.finish();
    }

    /// What is left is no frame.
    pub(super) fn ended(&mut self, out: &mut Output) {
        let rest = self.splitter.skipped() + self.splitter.pending() as u64;
        if rest > 0 {
            out.dropped("bytes between frames", rest, None);
        }
        self.flush();
    }

    /// What is held is void.
    pub(super) fn flush(&mut self) {
        *self = Self::new();
    }
}

/// Sends an audio frame with the times that the clock gives it.
pub(super) fn send(
    payload: Payload,
    (time, duration): (Time, TimeDelta),
    offset: Option<u64>,
    flags: BufferFlags,
    out: &mut Output,
) {
    let buffer = Buffer { payload, pts: Some(time), dts: Some(time), duration: Some(duration), offset, flags };
    out.push(PadId::FIRST, Item::buffer(buffer));
}

/// A segment on a timeline: pieces of a file become frames with times.
pub(super) fn timed(segment: std::sync::Arc<Segment>) -> Item {
    let bytes = segment.format == SegmentFormat::Bytes;
    Item::Segment(if bytes { Segment::time(Time::ZERO).into() } else { segment })
}
