//! Timestamps where the input has none.

use std::collections::VecDeque;

use millstream_core::{Buffer, Caps, Time, TimeDelta};

use super::settings::FrameRate;

/// Pictures a second where nobody says: what raw video files are taken for.
const DEFAULT_FRAME_RATE: (u32, u32) = (25, 1);

/// Timestamps that wait for their frame: a container that goes in pieces gives each piece at most one. Streams with one a
/// frame need one; ten seconds of 60 Hz without any frame are lost synchronisation.
const MAX_WAITING: usize = 600;

/// Presentation and decoding time of a piece of a stream, by where in the stream the piece begins.
///
/// A timestamp belongs to the first frame that begins in its piece (ISO/IEC 13818-1 2.4.3.7).
#[derive(Debug, Default)]
pub(super) struct PieceTimes {
    waiting: VecDeque<(u64, Option<Time>, Option<Time>)>,
    end: u64,
}

impl PieceTimes {
    /// A piece arrives.
    pub(super) fn push(&mut self, buffer: &Buffer) {
        if buffer.pts.is_some() || buffer.dts.is_some() {
            if self.waiting.len() == MAX_WAITING {
                self.waiting.pop_front();
            }
            self.waiting.push_back((self.end, buffer.pts, buffer.dts));
        }
        self.end += buffer.payload.len() as u64;
    }

    /// The times of the frame that begins at this offset of the stream.
    pub(super) fn take(&mut self, offset: u64) -> (Option<Time>, Option<Time>) {
        let mut found = (None, None);
        while let Some((_, pts, dts)) = self.waiting.front().copied().filter(|(begin, ..)| *begin <= offset) {
            found = (pts, dts);
            self.waiting.pop_front();
        }
        found
    }

    /// Offset of the stream's end so far.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Forgets times that no frame took.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

/// Where a picture stands in the order of output (H.264 8.2.1, H.265 8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PictureOrder {
    /// Low bits of the picture order count.
    pub(super) lsb: u32,
    /// How many bits.
    pub(super) bits: u8,
    /// The count starts over here.
    pub(super) restarts: bool,
    /// Later pictures find their high bits by this one.
    pub(super) anchor: bool,
    /// Counts from one frame to the next.
    pub(super) step: i64,
    /// The picture is a field: half a frame.
    pub(super) field: bool,
}

/// Gives times to pictures that have none.
#[derive(Debug, Default)]
pub(super) struct PictureTimes {
    next: Option<Time>,
    /// Decoding time and count of the picture where counting began.
    base: Option<(Time, i64)>,
    /// Count of the last anchor.
    anchor: i64,
}

impl PictureTimes {
    /// Completes the times of a picture. `reorder`: how many frames may be decoded between a frame and its output; 0: none.
    pub(super) fn complete(
        &mut self,
        buffer: &mut Buffer,
        frame: TimeDelta,
        reorder: u8,
        order: impl FnOnce() -> Option<PictureOrder>,
    ) {
        let mut duration = buffer.duration.unwrap_or(frame);
        if buffer.pts.is_none() && buffer.dts.is_none() {
            let dts = self.next.unwrap_or(Time::ZERO);
            let order = order();
            if order.is_some_and(|order| order.field) {
                duration = TimeDelta::from_nanos(duration.nanos() / 2);
            }
            buffer.pts = order.filter(|_| reorder > 0).and_then(|order| self.output(order, dts, frame, reorder));
            (buffer.dts, buffer.duration) = (Some(dts), Some(duration));
        }
        if reorder == 0 {
            (buffer.pts, buffer.dts) = (buffer.pts.or(buffer.dts), buffer.dts.or(buffer.pts));
        }
        self.next = match buffer.dts {
            Some(dts) => Some(dts + duration),
            None => self.next.map(|next| next + duration),
        };
    }

    /// When to show a picture: as many frames after the picture where counting began as its count says.
    fn output(&mut self, order: PictureOrder, dts: Time, frame: TimeDelta, reorder: u8) -> Option<Time> {
        let lsb = i64::from(order.lsb);
        let (base, first) = match self.base.filter(|_| !order.restarts) {
            Some(base) => base,
            None => {
                self.anchor = lsb;
                *self.base.insert((dts, lsb))
            }
        };
        // The count nearest to the anchor's that has these low bits.
        let range = 1i64.checked_shl(order.bits.into())?;
        let distance = (lsb - self.anchor + range / 2).rem_euclid(range) - range / 2;
        let count = self.anchor.saturating_add(distance);
        if order.anchor {
            self.anchor = count;
        }
        let half_frames = count.saturating_sub(first).saturating_mul(2) / order.step.max(1);
        let shift = half_frames.saturating_add(2 * i64::from(reorder)).saturating_mul(frame.nanos()) / 2;
        // Never before it is decoded: streams that promise fewer reordered frames than they have.
        Some((base + TimeDelta::from_nanos(shift)).max(dts))
    }

    /// The timeline starts over.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// How long a frame lasts: by the user's frame rate, else the caps', else the stream's, else 25 a second.
pub(super) fn frame_duration(
    set: Option<FrameRate>,
    caps: Option<&Caps>,
    stream: impl FnOnce() -> Option<(u32, u32)>,
) -> TimeDelta {
    let from_caps = || {
        let (num, den) = caps?.framerate()?;
        Some((u32::try_from(num).ok()?, u32::try_from(den).ok()?)).filter(|(num, den)| *num > 0 && *den > 0)
    };
    let rate = set.map(|rate| (rate.num, rate.den)).or_else(from_caps).or_else(stream);
    let (num, den) = rate.unwrap_or(DEFAULT_FRAME_RATE);
    TimeDelta::from_ticks(den.into(), num)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_order_wraps_and_restarts() {
        let mut times = PictureTimes::default();
        let frame = TimeDelta::from_millis(40);
        let mut shown = |lsb, restarts| {
            let order = PictureOrder { lsb, bits: 4, restarts, anchor: lsb % 4 == 0, step: 2, field: false };
            let mut buffer = Buffer::default();
            times.complete(&mut buffer, frame, 1, || Some(order));
            (buffer.dts.unwrap().millis() / 40, buffer.pts.unwrap().millis() / 40)
        };
        // I P B P B P B, the count wraps at 16; then another group.
        let counts = [0, 4, 2, 8, 6, 12, 10, 0, 14, 4, 2];
        let found: Vec<_> = counts.iter().enumerate().map(|(index, lsb)| shown(*lsb, index == 0)).collect();
        let output = [1, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10];
        let expected: Vec<_> = output.iter().enumerate().map(|(index, at)| (index as i64, *at)).collect();
        assert_eq!(found, expected);
        assert_eq!([shown(0, true), shown(4, false), shown(2, false)], [(11, 12), (12, 14), (13, 13)]);
    }
}
