//! Tags on their way into output buffers.

use millstream_core::{Buffer, BufferFlags, Output, PadId, Time};

use crate::wire::Slices;

/// Gathers tags up to a size.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) slices: Slices,
    /// Bytes from which on a buffer goes out; 0 for one tag a buffer.
    limit: usize,
    /// Offset in the file of the first gathered byte.
    offset: u64,
    flags: BufferFlags,
    times: Option<(Time, Time)>,
}

impl Batch {
    pub(super) fn new(limit: usize) -> Self {
        Self { slices: Slices::new(), limit, offset: 0, flags: BufferFlags::empty(), times: None }
    }

    /// Says what the tag is that is written next: flags, decoding and presentation time. A key frame begins a buffer,
    /// and so does what does not follow on what came before.
    #[inline]
    pub(super) fn begin_tag(&mut self, flags: BufferFlags, times: Option<(Time, Time)>, out: &mut Output) {
        if flags.contains(BufferFlags::KEYFRAME) || flags.contains(BufferFlags::DISCONT) {
            self.flush(out);
        }
        if self.slices.is_empty() {
            (self.flags, self.times) = (flags, times);
        }
        self.times = self.times.or(times);
    }

    /// The tag is whole. True when a buffer went out.
    #[inline]
    pub(super) fn end_tag(&mut self, out: &mut Output) -> bool {
        let full = self.slices.len() >= self.limit.max(1);
        if full {
            self.flush(out);
        }
        full
    }

    /// Sends what was gathered.
    pub(super) fn flush(&mut self, out: &mut Output) {
        if self.slices.is_empty() {
            return;
        }
        let len = self.slices.len() as u64;
        let mut buffer = Buffer::new(self.slices.take().into_iter().collect::<millstream_core::Payload>());
        buffer.offset = Some(self.offset);
        buffer.flags = std::mem::take(&mut self.flags);
        if let Some((dts, pts)) = self.times.take() {
            buffer = buffer.with_times(Some(pts), Some(dts));
        }
        self.offset = self.offset.saturating_add(len);
        out.buffer(PadId::FIRST, buffer);
    }
}
