//! Access units of a byte stream (H.264 7.4.1.2.3 and 7.4.1.2.4).

use bytes::Bytes;
use smallvec::SmallVec;

use crate::error::{CodecError, ErrorKind};
use crate::h264::{KeyFrameRule, NalType, ParameterSets, SliceHeader, is_key_frame};
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
}

impl AccessUnit {
    /// True when decoding can start here.
    #[must_use]
    pub fn is_key_frame(&self, rule: KeyFrameRule) -> bool {
        is_key_frame(&self.nals, rule)
    }

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

/// Says of each NAL unit, in order, whether it begins an access unit. Learns parameter sets from the units it sees.
#[derive(Debug, Clone, Default)]
pub struct AccessUnitDetector {
    sets: ParameterSets,
    /// The first slice of the primary picture; `None` before it.
    picture: Option<SliceHeader>,
}

impl AccessUnitDetector {
    /// A detector that knows the given parameter sets.
    #[must_use]
    pub fn new(sets: ParameterSets) -> Self {
        Self { sets, picture: None }
    }

    /// Parameter sets seen so far.
    #[must_use]
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.sets
    }

    /// True when `nal` is the first of an access unit that is not the stream's first.
    ///
    /// Slices and parameter sets that cannot be read begin nothing: they stay with the unit they came in.
    pub fn starts_new_unit(&mut self, nal: &Bytes) -> bool {
        let Some(kind) = NalType::of(nal) else { return false };
        let starts = match kind {
            // 7.4.1.2.3: the first of these after the last slice of a picture begins the next access unit.
            NalType::Aud | NalType::Sps | NalType::Pps | NalType::Sei | NalType::Prefix | NalType::SubsetSps => {
                self.picture.is_some()
            }
            NalType::Other(16..=18) => self.picture.is_some(),
            NalType::Slice | NalType::PartitionA | NalType::Idr => return self.slice(nal),
            _ => false,
        };
        if starts {
            self.picture = None;
        }
        let _unreadable_sets_are_reported_by_the_parser = self.sets.insert(nal);
        starts
    }

    fn slice(&mut self, nal: &[u8]) -> bool {
        let Ok(header) = SliceHeader::parse(nal, &self.sets) else { return false };
        let starts = self.picture.as_ref().is_some_and(|previous| header.starts_new_picture(previous));
        if starts || self.picture.is_none() {
            self.picture = Some(header);
        }
        starts
    }
}

/// Cuts a byte stream that arrives in arbitrary pieces into access units.
///
/// A unit is complete when the first NAL unit of the next has arrived whole; [`AccessUnitSplitter::finish`] gives the
/// last one. Each byte is copied once, into the splitter's buffer.
#[derive(Debug, Clone, Default)]
pub struct AccessUnitSplitter {
    nals: NalSplitter,
    detector: AccessUnitDetector,
    unit: AccessUnit,
    bytes: usize,
}

impl AccessUnitSplitter {
    /// A splitter at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.nals.push(piece);
    }

    /// Parameter sets seen so far. They include those of the NAL unit after the access unit given last.
    #[must_use]
    pub fn parameter_sets(&self) -> &ParameterSets {
        self.detector.parameter_sets()
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
        self.detector.picture = None;
        Ok(units)
    }

    fn add(&mut self, nal: Bytes) -> Result<Option<AccessUnit>, CodecError> {
        let complete = self.detector.starts_new_unit(&nal).then(|| self.take());
        self.bytes += nal.len();
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
        CodecError::at_byte("H.264 access unit", 0, kind)
    }
}
