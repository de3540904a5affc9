//! Open bitstream units (AV1 5.3) and leb128 (4.10.5).

use std::ops::Range;

use crate::error::{CodecError, ErrorKind};

/// A leb128 number has at most 8 bytes.
pub const MAX_LEB128_BYTES: usize = 8;

const UNIT: &str = "AV1 OBU";

/// `obu_type` (AV1 6.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObuType(pub u8);

impl ObuType {
    /// Sequence header.
    pub const SEQUENCE_HEADER: Self = Self(1);
    /// Temporal delimiter.
    pub const TEMPORAL_DELIMITER: Self = Self(2);
    /// Frame header.
    pub const FRAME_HEADER: Self = Self(3);
    /// Tile group.
    pub const TILE_GROUP: Self = Self(4);
    /// Metadata.
    pub const METADATA: Self = Self(5);
    /// Frame: header and tile group.
    pub const FRAME: Self = Self(6);
    /// Redundant frame header.
    pub const REDUNDANT_FRAME_HEADER: Self = Self(7);
    /// Tile list.
    pub const TILE_LIST: Self = Self(8);
    /// Padding.
    pub const PADDING: Self = Self(15);
}

/// An OBU header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObuHeader {
    /// `obu_type`.
    pub kind: ObuType,
    /// `obu_has_size_field`.
    pub has_size: bool,
    /// `temporal_id`, `spatial_id` of the extension.
    pub layer: Option<(u8, u8)>,
}

impl ObuHeader {
    /// Reads the header and says how many bytes it has: 1 or 2.
    ///
    /// # Errors
    /// Truncated data, or the forbidden bit is set.
    pub fn parse(data: &[u8]) -> Result<(Self, usize), CodecError> {
        let truncated =
            |at, have: usize| CodecError::at_byte(UNIT, at, ErrorKind::Truncated { wanted: 8, have: have as u64 * 8 });
        let first = *data.first().ok_or_else(|| truncated(0, 0))?;
        if first & 0x80 != 0 {
            return Err(CodecError::at_byte(UNIT, 0, ErrorKind::Invalid("obu_forbidden_bit must be 0")));
        }
        let (kind, has_size) = (ObuType(first >> 3 & 0xf), first & 2 != 0);
        if first & 4 == 0 {
            return Ok((Self { kind, has_size, layer: None }, 1));
        }
        let second = *data.get(1).ok_or_else(|| truncated(1, 0))?;
        Ok((Self { kind, has_size, layer: Some((second >> 5, second >> 3 & 3)) }, 2))
    }
}

/// Reads a leb128 number and says how many bytes it has.
///
/// # Errors
/// Truncated data, more than [`MAX_LEB128_BYTES`], or a value over 2^32 - 1, which 4.10.5 forbids.
pub fn read_leb128(data: &[u8]) -> Result<(u32, usize), CodecError> {
    let mut value = 0u64;
    for (index, byte) in data.iter().take(MAX_LEB128_BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let limit = u64::from(u32::MAX);
            let over = || CodecError::at_byte("leb128", 0, ErrorKind::OverLimit { what: "the value", value, limit });
            return Ok((u32::try_from(value).map_err(|_| over())?, index + 1));
        }
    }
    let kind = if data.len() >= MAX_LEB128_BYTES {
        ErrorKind::Invalid("a leb128 number has at most 8 bytes")
    } else {
        ErrorKind::Truncated { wanted: 8, have: 0 }
    };
    Err(CodecError::at_byte("leb128", data.len().min(MAX_LEB128_BYTES), kind))
}

/// Writes a leb128 number in as few bytes as it needs.
pub fn write_leb128(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

/// One OBU as ranges of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obu {
    /// Its header.
    pub header: ObuHeader,
    /// All of it.
    pub range: Range<usize>,
    /// Its payload, without header and size.
    pub payload: Range<usize>,
}

/// The OBUs of low-overhead format data. An OBU without a size field reaches to the end (as the last one may in MP4).
///
/// An error is given once, after the OBUs before it; then the iterator ends.
#[derive(Debug, Clone)]
pub struct Obus<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Obus<'a> {
    /// OBUs of `data`.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    fn obu(&self) -> Result<Obu, CodecError> {
        let shift = |mut error: CodecError, by: usize| {
            error.bit = error.bit.saturating_add((self.at + by) as u64 * 8);
            error
        };
        let rest = self.data.get(self.at..).unwrap_or_default();
        let (header, mut begin) = ObuHeader::parse(rest).map_err(|error| shift(error, 0))?;
        let mut length = rest.len() - begin;
        if header.has_size {
            let field = rest.get(begin..).unwrap_or_default();
            let (size, bytes) = read_leb128(field).map_err(|error| shift(error, begin))?;
            begin += bytes;
            let have = rest.len() - begin;
            length = usize::try_from(size).unwrap_or(usize::MAX);
            if length > have {
                let kind = ErrorKind::Truncated { wanted: u64::from(size) * 8, have: have as u64 * 8 };
                return Err(CodecError::at_byte(UNIT, self.at + begin, kind));
            }
        }
        let payload = self.at + begin..self.at + begin + length;
        Ok(Obu { header, range: self.at..payload.end, payload })
    }
}

impl Iterator for Obus<'_> {
    type Item = Result<Obu, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.data.len() {
            return None;
        }
        let obu = self.obu();
        self.at = obu.as_ref().map_or(self.data.len(), |obu| obu.range.end);
        Some(obu)
    }
}
