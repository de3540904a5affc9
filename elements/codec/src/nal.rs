//! NAL units in their two framings, and the way between them.
//!
//! | framing | defined by | here |
//! | --- | --- | --- |
//! | byte stream, `00 00 01` start codes | ITU-T H.264 Annex B, H.265 Annex B | [`AnnexB`], [`NalSplitter`] |
//! | length prefixes of 1, 2 or 4 bytes (`avc1`, `hvc1`) | ISO/IEC 14496-15 | [`LengthPrefixed`] |
//!
//! Conversions give lists of slices: start codes and lengths are new, NAL units are the input's bytes, shared.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem::Finder;
use smallvec::SmallVec;

use crate::error::{CodecError, ErrorKind};

/// The largest NAL unit a [`NalSplitter`] holds, bytes. An uncompressed 8K 4:2:2 10-bit picture has 166 MB, but level
/// 6.2 streams of 800 Mbit/s at 24 frames/s average 4 MB a picture: eight times that is lost synchronisation.
pub const MAX_NAL_BYTES: usize = 32 << 20;

/// The start code with its leading zero byte, which is required before parameter sets and at the start of an access
/// unit (H.264 B.1.2) and allowed before each NAL unit.
pub const START_CODE: Bytes = Bytes::from_static(&[0, 0, 0, 1]);

/// Pieces that make up one access unit when written one after another.
pub type SliceList = SmallVec<[Bytes; 4]>;

static START: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&[0, 0, 1]));

/// The NAL units of a whole byte stream as ranges of the input, start codes and trailing zeros excluded.
///
/// Bytes before the first start code are passed over (H.264 B.1.1 allows only zeros there); empty units are counted.
#[derive(Debug, Clone)]
pub struct AnnexB<'a> {
    data: &'a [u8],
    /// Where the next unit begins, behind its start code.
    next: Option<usize>,
    empty: usize,
}

impl<'a> AnnexB<'a> {
    /// Units of `data`, which ends where its last unit ends.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, next: START.find(data).map(|at| at + 3), empty: 0 }
    }

    /// Empty units passed over so far.
    #[must_use]
    pub fn empty(&self) -> usize {
        self.empty
    }
}

impl Iterator for AnnexB<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while let Some(begin) = self.next {
            let rest = self.data.get(begin..).unwrap_or_default();
            let found = START.find(rest);
            self.next = found.map(|at| begin + at + 3);
            let length = without_trailing_zeros(rest.get(..found.unwrap_or(rest.len())).unwrap_or_default());
            if length > 0 {
                return Some(begin..begin + length);
            }
            self.empty += 1;
        }
        None
    }
}

/// The NAL units of a byte stream as shared slices.
pub fn annex_b(data: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    AnnexB::new(data).map(|range| data.slice(range))
}

/// True when `data` begins with a 3- or 4-byte start code.
#[must_use]
pub fn is_annex_b(data: &[u8]) -> bool {
    data.starts_with(&[0, 0, 1]) || data.starts_with(&[0, 0, 0, 1])
}

/// Bytes of a NAL unit length field (ISO/IEC 14496-15 5.3.3.1, `lengthSizeMinusOne` + 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LengthSize {
    /// One byte.
    One,
    /// Two bytes.
    Two,
    /// Four bytes, what nearly every writer uses.
    #[default]
    Four,
}

impl LengthSize {
    /// Reads `lengthSizeMinusOne`; 2 (three bytes) is not allowed.
    #[must_use]
    pub fn from_minus_one(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::One),
            1 => Some(Self::Two),
            3 => Some(Self::Four),
            _ => None,
        }
    }

    /// Bytes of the field.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// The NAL units of length-prefixed data as ranges of the input.
///
/// A length that reaches past the end gives one error with the offset of the length field, after the units before it;
/// then the iterator ends. Empty units are counted.
#[derive(Debug, Clone)]
pub struct LengthPrefixed<'a> {
    data: &'a [u8],
    at: usize,
    size: LengthSize,
    empty: usize,
}

impl<'a> LengthPrefixed<'a> {
    /// Units of `data`.
    #[must_use]
    pub fn new(data: &'a [u8], size: LengthSize) -> Self {
        Self { data, at: 0, size, empty: 0 }
    }

    /// Empty units passed over so far.
    #[must_use]
    pub fn empty(&self) -> usize {
        self.empty
    }

    fn unit(&self) -> Result<Range<usize>, CodecError> {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let truncated = |wanted: usize, have: usize| {
            let kind = ErrorKind::Truncated { wanted: wanted as u64 * 8, have: have as u64 * 8 };
            CodecError::at_byte("length-prefixed NAL unit", self.at, kind)
        };
        let field = self.size.bytes();
        let prefix = rest.get(..field).ok_or_else(|| truncated(field, rest.len()))?;
        let length = prefix.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let body = rest.len() - field;
        if length > body {
            return Err(truncated(length, body));
        }
        let begin = self.at + field;
        Ok(begin..begin + length)
    }
}

impl Iterator for LengthPrefixed<'_> {
    type Item = Result<Range<usize>, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.data.len() {
            let unit = self.unit();
            self.at = unit.as_ref().map_or(self.data.len(), |range| range.end);
            match unit {
                Ok(range) if range.is_empty() => self.empty += 1,
                other => return Some(other),
            }
        }
        None
    }
}

/// The NAL units of length-prefixed data as shared slices.
pub fn length_prefixed(data: &Bytes, size: LengthSize) -> impl Iterator<Item = Result<Bytes, CodecError>> + '_ {
    LengthPrefixed::new(data, size).map(|range| Ok(data.slice(range?)))
}

/// Frames NAL units as a byte stream, a 4-byte start code before each.
pub fn to_annex_b(nals: impl IntoIterator<Item = Bytes>) -> SliceList {
    nals.into_iter().flat_map(|nal| [START_CODE, nal]).collect()
}

/// Frames NAL units with 4-byte lengths. All lengths share one small allocation.
pub fn to_length_prefixed<'a, I>(nals: I) -> SliceList
where
    I: IntoIterator<Item = &'a Bytes>,
    I::IntoIter: Clone,
{
    let nals = nals.into_iter();
    let mut lengths = BytesMut::with_capacity(nals.size_hint().0.saturating_mul(4));
    nals.clone().for_each(|nal| lengths.put_u32(length_field(nal)));
    let mut lengths = lengths.freeze();
    nals.flat_map(|nal| [lengths.split_to(4), nal.clone()]).collect()
}

/// Converts a length-prefixed access unit to byte-stream pieces without copying its NAL units.
///
/// # Errors
/// A length reaches past the end.
pub fn length_prefixed_to_annex_b(unit: &Bytes, size: LengthSize) -> Result<SliceList, CodecError> {
    let mut out = SliceList::new();
    for nal in length_prefixed(unit, size) {
        out.extend([START_CODE, nal?]);
    }
    Ok(out)
}

/// Converts a byte-stream access unit to pieces with 4-byte lengths without copying its NAL units.
#[must_use]
pub fn annex_b_to_length_prefixed(unit: &Bytes) -> SliceList {
    let nals: SmallVec<[Bytes; 8]> = annex_b(unit).collect();
    to_length_prefixed(&nals)
}

/// The fast path of [`length_prefixed_to_annex_b`]: a 4-byte length has the size of a start code, so when nobody else
/// holds the buffer the lengths are overwritten where they lie and one contiguous buffer comes back. A shared buffer
/// is given back as it was.
///
/// # Errors
/// A length reaches past the end.
pub fn length_prefixed_to_annex_b_in_place(unit: Bytes) -> Result<Result<Bytes, Bytes>, CodecError> {
    let ranges = LengthPrefixed::new(&unit, LengthSize::Four).collect::<Result<SmallVec<[_; 8]>, _>>()?;
    let units: usize = ranges.iter().map(|range| range.len() + 4).sum();
    if units != unit.len() {
        return Ok(Err(unit)); // an empty unit would become a start code followed by a start code
    }
    Ok(unit.try_into_mut().map(|mut buffer| {
        for range in ranges {
            if let Some(field) = buffer.get_mut(range.start - 4..range.start) {
                field.copy_from_slice(&START_CODE);
            }
        }
        buffer.freeze()
    }))
}

/// Joins pieces into one buffer, the one copy of a conversion. A single piece is returned as it is.
#[must_use]
pub fn join(pieces: &[Bytes]) -> Bytes {
    if let [only] = pieces {
        return only.clone();
    }
    let mut out = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    out.freeze()
}

/// Cuts a byte stream that arrives in arbitrary pieces into NAL units.
///
/// A unit is known to end only when the next start code (or [`NalSplitter::finish`]) is seen. Each byte is copied once
/// and searched once. Memory: at most one unit and the last piece, [`MAX_NAL_BYTES`] at most.
#[derive(Debug, Clone, Default)]
pub struct NalSplitter {
    buffer: BytesMut,
    /// Inside a unit: the buffer begins with its first byte. Otherwise a start code is still looked for.
    inside: bool,
    /// The buffer holds no start code that begins before this offset.
    searched: usize,
    dropped: u64,
    /// Stream offset of the buffer's first byte.
    base: u64,
    /// Stream offset of the start code of the unit in the buffer, and of the unit given last.
    begin: u64,
    given: u64,
}

impl NalSplitter {
    /// A splitter that looks for the first start code.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// Bytes that belonged to no unit (before the first start code, or of units over [`MAX_NAL_BYTES`]).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Offset in the stream of the three-byte start code before the unit given last.
    #[must_use]
    pub fn nal_offset(&self) -> u64 {
        self.given
    }

    /// The next whole unit, or `None` when more data are needed.
    ///
    /// # Errors
    /// A unit over [`MAX_NAL_BYTES`]: it is dropped and the search goes on at the next start code.
    pub fn next_nal(&mut self) -> Result<Option<Bytes>, CodecError> {
        while let Some(at) = START.find(self.buffer.get(self.searched..).unwrap_or_default()) {
            let unit = self.buffer.split_to(self.searched + at);
            let _start_code = self.buffer.split_to(3);
            let start_code = self.base + unit.len() as u64;
            self.base = start_code + 3;
            self.given = std::mem::replace(&mut self.begin, start_code);
            self.searched = 0;
            if let Some(nal) = self.take(unit) {
                self.inside = true;
                return Ok(Some(nal));
            }
            self.inside = true;
        }
        self.searched = self.buffer.len().saturating_sub(2); // a start code may straddle the next piece
        if self.searched > MAX_NAL_BYTES {
            return Err(self.overflow());
        }
        Ok(None)
    }

    /// The unit that was open when the stream ended. The splitter is then as new.
    pub fn finish(&mut self) -> Option<Bytes> {
        let unit = self.buffer.split();
        self.searched = 0;
        self.base += unit.len() as u64;
        self.given = self.begin;
        let nal = self.take(unit);
        self.inside = false;
        nal
    }

    fn take(&mut self, unit: BytesMut) -> Option<Bytes> {
        let length = without_trailing_zeros(&unit);
        if !self.inside {
            self.dropped += length as u64;
            return None;
        }
        (length > 0).then(|| {
            let mut nal = unit.freeze();
            nal.truncate(length);
            nal
        })
    }

    fn overflow(&mut self) -> CodecError {
        let value = self.searched as u64;
        let _lost = self.buffer.split_to(self.searched);
        self.searched = 0;
        self.base += value;
        self.inside = false;
        self.dropped += value;
        let kind = ErrorKind::OverLimit { what: "the NAL unit's size", value, limit: MAX_NAL_BYTES as u64 };
        CodecError::at_byte("byte stream", MAX_NAL_BYTES, kind)
    }
}

/// Length without `trailing_zero_8bits`; a NAL unit itself never ends with a zero byte (H.264 7.4.1).
fn without_trailing_zeros(unit: &[u8]) -> usize {
    unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn length_field(nal: &Bytes) -> u32 {
    u32::try_from(nal.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units(data: &[u8]) -> Vec<Vec<u8>> {
        AnnexB::new(data).map(|range| data[range].to_vec()).collect()
    }

    #[test]
    fn ts_8_three_and_four_byte_start_codes_and_trailing_zeros() {
        let data = [9, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 0, 0, 0, 0, 1, 0x65, 0, 0];
        assert_eq!(units(&data), [vec![0x67, 1], vec![0x68], vec![0x65]]);
    }

    #[test]
    fn empty_units_are_counted_not_given() {
        let mut nals = AnnexB::new(&[0, 0, 1, 0, 0, 1, 5]);
        assert_eq!((nals.next(), nals.next(), nals.empty()), (Some(6..7), None, 1));
        let mut nals = LengthPrefixed::new(&[0, 0, 0, 1, 7], LengthSize::Two);
        assert_eq!((nals.next(), nals.next(), nals.empty()), (Some(Ok(4..5)), None, 1));
    }

    #[test]
    fn a_lying_length_keeps_the_units_before_it() {
        let data = Bytes::from_static(&[0, 0, 0, 1, 0x65, 0, 0, 0, 9, 1]);
        let nals: Vec<_> = length_prefixed(&data, LengthSize::Four).collect();
        assert_eq!(nals[0], Ok(Bytes::from_static(&[0x65])));
        let error = nals[1].clone().unwrap_err();
        assert_eq!((error.bit, error.kind), (40, ErrorKind::Truncated { wanted: 72, have: 8 }));
        assert_eq!(nals.len(), 2);
    }

    #[test]
    fn conversion_shares_the_media_bytes() {
        let avc = Bytes::from(vec![0, 0, 0, 2, 0x65, 0xaa, 0, 0, 0, 1, 0x41]);
        let pieces = length_prefixed_to_annex_b(&avc, LengthSize::Four).unwrap();
        assert_eq!(join(&pieces)[..], [0, 0, 0, 1, 0x65, 0xaa, 0, 0, 0, 1, 0x41]);
        assert_eq!(pieces[1].as_ptr(), avc[4..].as_ptr());
        let stream = join(&pieces);
        let back = annex_b_to_length_prefixed(&stream);
        assert_eq!(join(&back), avc);
        assert_eq!(back[1].as_ptr(), stream[4..].as_ptr());
    }

    #[test]
    fn in_place_needs_the_only_handle() {
        let avc = Bytes::from(vec![0, 0, 0, 2, 0x65, 0xaa]);
        let (address, other) = (avc.as_ptr(), avc.clone());
        let avc = length_prefixed_to_annex_b_in_place(avc).unwrap().unwrap_err();
        drop(other);
        let stream = length_prefixed_to_annex_b_in_place(avc).unwrap().unwrap();
        assert_eq!((&stream[..], stream.as_ptr()), (&[0, 0, 0, 1, 0x65, 0xaa][..], address));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            data in proptest::collection::vec(prop_oneof![4 => Just(0u8), 2 => Just(1u8), 1 => any::<u8>()], 0..300),
            cuts in proptest::collection::vec(1usize..20, 1..40),
        ) {
            let mut splitter = NalSplitter::new();
            let mut found = Vec::new();
            let (mut rest, mut cuts) = (&data[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, tail) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                splitter.push(piece);
                while let Some(nal) = splitter.next_nal().unwrap() {
                    found.push(nal.to_vec());
                }
                rest = tail;
            }
            found.extend(splitter.finish().map(|nal| nal.to_vec()));
            prop_assert_eq!(found, units(&data));
        }

        #[test]
        fn length_prefixed_never_panics(data in proptest::collection::vec(any::<u8>(), 0..64)) {
            for size in [LengthSize::One, LengthSize::Two, LengthSize::Four] {
                prop_assert!(LengthPrefixed::new(&data, size).count() <= data.len());
                let _ = length_prefixed_to_annex_b(&Bytes::from(data.clone()), size);
            }
            let _ = length_prefixed_to_annex_b_in_place(Bytes::from(data));
        }
    }
}
