//! Access units of a byte stream, for H.264 and H.265 alike: what differs is where one begins.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::error::{CodecError, ErrorKind};
use crate::nal::{NalSplitter, SliceList, to_annex_b, to_length_prefixed};

/// NAL units in one access unit: level 6.2 allows 8 192 macroblock-row slices at most, real encoders use under 100.
pub const MAX_ACCESS_UNIT_NALS: usize = 8192;
/// Bytes of one access unit that are held before it is given up.
pub const MAX_ACCESS_UNIT_BYTES: usize = 64 << 20;

/// The NAL units of one access unit, without start codes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessUnit {
    /// The units in stream order, an access unit delimiter included if there was one.
    pub nals: SmallVec<[Bytes; 4]>,
    /// Offset in the stream of the first unit's three-byte start code.
    pub offset: u64,
}

impl AccessUnit {
    /// Bytes of all units, start codes not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nals.iter().map(Bytes::len).sum()
    }

    /// True when there are no units.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nals.is_empty()
    }

    /// As byte-stream pieces, media bytes shared.
    #[must_use]
    pub fn to_annex_b(&self) -> SliceList {
        to_annex_b(self.nals.iter().cloned())
    }

    /// As pieces with 4-byte lengths, media bytes shared.
    #[must_use]
    pub fn to_length_prefixed(&self) -> SliceList {
        to_length_prefixed(&self.nals)
    }
}

/// Where access units begin.
pub trait UnitBoundary: Default {
    /// Name of the codec in errors.
    const UNIT: &'static str;

    /// Called with each NAL unit in stream order: true when it is the first of an access unit other than the stream's
    /// first.
    fn starts_new_unit(&mut self, nal: &Bytes) -> bool;

    /// Called when the access unit before is known to be complete, so the next NAL unit begins one anyway.
    fn end_unit(&mut self);
}

/// Cuts a byte stream that arrives in arbitrary pieces into access units.
///
/// A unit is complete when the first NAL unit of the next has arrived whole; [`AccessUnitSplitter::finish`] gives the
/// last one. Each byte is copied once, into the splitter's buffer.
#[derive(Debug, Clone, Default)]
pub struct AccessUnitSplitter<D> {
    nals: NalSplitter,
    detector: D,
    unit: AccessUnit,
    bytes: usize,
}

impl<D: UnitBoundary> AccessUnitSplitter<D> {
    /// A splitter at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.nals.push(piece);
    }

    /// Bytes so far that belonged to no NAL unit.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.nals.dropped()
    }

    /// The detector, which knows the parameter sets seen so far. They include those of the NAL unit after the access
    /// unit given last.
    #[must_use]
    pub fn detector(&self) -> &D {
        &self.detector
    }

    /// The next whole access unit, or `None` when more data are needed.
    ///
    /// # Errors
    /// A limit is exceeded; what was gathered is dropped and the next call goes on behind it.
    pub fn next_unit(&mut self) -> Result<Option<AccessUnit>, CodecError> {
        while let Some(nal) = self.nals.next_nal()? {
            if let Some(unit) = self.add(nal)? {
                return Ok(Some(unit));
            }
        }
        Ok(None)
    }

    /// Ends the stream: what was left makes up one access unit, seldom two. The splitter then starts afresh but keeps
    /// its parameter sets.
    ///
    /// # Errors
    /// As [`AccessUnitSplitter::next_unit`], which must have returned `None` before.
    pub fn finish(&mut self) -> Result<SmallVec<[AccessUnit; 2]>, CodecError> {
        let mut units: SmallVec<[AccessUnit; 2]> = SmallVec::new();
        if let Some(nal) = self.nals.finish() {
            units.extend(self.add(nal)?);
        }
        units.push(self.take());
        units.retain(|unit| !unit.is_empty());
        self.detector.end_unit();
        Ok(units)
    }

    fn add(&mut self, nal: Bytes) -> Result<Option<AccessUnit>, CodecError> {
        let complete = self.detector.starts_new_unit(&nal).then(|| self.take());
        self.bytes += nal.len();
        if self.unit.is_empty() {
            self.unit.offset = self.nals.nal_offset();
        }
        self.unit.nals.push(nal);
        if self.unit.nals.len() > MAX_ACCESS_UNIT_NALS {
            return Err(self.over("the number of NAL units", self.unit.nals.len(), MAX_ACCESS_UNIT_NALS));
        }
        if self.bytes > MAX_ACCESS_UNIT_BYTES {
            return Err(self.over("the size of the access unit", self.bytes, MAX_ACCESS_UNIT_BYTES));
        }
        Ok(complete)
    }

    fn take(&mut self) -> AccessUnit {
        self.bytes = 0;
        std::mem::take(&mut self.unit)
    }

    fn over(&mut self, what: &'static str, value: usize, limit: usize) -> CodecError {
        self.take();
        let kind = ErrorKind::OverLimit { what, value: value as u64, limit: limit as u64 };
        CodecError::at_byte(D::UNIT, 0, kind)
    }
}
