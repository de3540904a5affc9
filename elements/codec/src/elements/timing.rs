//! Timestamps where the input has none.

use std::collections::VecDeque;

use millstream_core::{Buffer, Time, TimeDelta};

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

/// Gives decoding times to pictures that have none.
#[derive(Debug, Default)]
pub(super) struct DecodingTimes {
    next: Option<Time>,
}

impl DecodingTimes {
    /// Completes the times of a picture. `reorders`: pictures may be shown in another order than they are decoded in.
    pub(super) fn complete(&mut self, buffer: &mut Buffer, duration: TimeDelta, reorders: bool) {
        if buffer.pts.is_none() && buffer.dts.is_none() {
            buffer.dts = Some(self.next.unwrap_or(Time::ZERO));
            buffer.duration.get_or_insert(duration);
        }
        if !reorders {
            (buffer.pts, buffer.dts) = (buffer.pts.or(buffer.dts), buffer.dts.or(buffer.pts));
        }
        self.next = match buffer.dts {
            Some(dts) => Some(dts + buffer.duration.unwrap_or(duration)),
            None => self.next.map(|next| next + duration),
        };
    }

    /// The timeline starts over.
    pub(super) fn reset(&mut self) {
        self.next = None;
    }
}
