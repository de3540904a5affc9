//! Reads big-endian fields off a tag body, with names for what is missing.

use bytes::Bytes;

use super::codec::FourCc;
use super::error::BodyError;

/// A position in a shared body.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    body: Bytes,
    at: usize,
}

impl Cursor {
    pub(super) fn new(body: Bytes) -> Self {
        Self { body, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Bytes left.
    pub(super) fn left(&self) -> usize {
        self.body.len() - self.at
    }

    pub(super) fn u8(&mut self, expected: &'static str) -> Result<u8, BodyError> {
        Ok(self.array::<1>(expected)?[0])
    }

    pub(super) fn u16(&mut self, expected: &'static str) -> Result<u16, BodyError> {
        Ok(u16::from_be_bytes(self.array(expected)?))
    }

    pub(super) fn u32(&mut self, expected: &'static str) -> Result<u32, BodyError> {
        Ok(u32::from_be_bytes(self.array(expected)?))
    }

    pub(super) fn u24(&mut self, expected: &'static str) -> Result<u32, BodyError> {
        let [a, b, c] = self.array(expected)?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// A signed 24-bit number.
    pub(super) fn i24(&mut self, expected: &'static str) -> Result<i32, BodyError> {
        let [a, b, c] = self.array(expected)?;
        Ok(i32::from_be_bytes([a, b, c, 0]) >> 8)
    }

    pub(super) fn fourcc(&mut self) -> Result<FourCc, BodyError> {
        Ok(FourCc(self.array("FourCC")?))
    }

    /// The next `len` bytes, shared.
    pub(super) fn bytes(&mut self, len: usize, expected: &'static str) -> Result<Bytes, BodyError> {
        if len > self.left() {
            return Err(BodyError::Truncated { offset: self.at, expected });
        }
        let bytes = self.body.slice(self.at..self.at + len);
        self.at += len;
        Ok(bytes)
    }

    /// All that is left, shared.
    pub(super) fn rest(&mut self) -> Bytes {
        let rest = self.body.slice(self.at..);
        self.at = self.body.len();
        rest
    }

    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], BodyError> {
        let array = self.body.get(self.at..).and_then(|rest| rest.first_chunk());
        let array = array.ok_or(BodyError::Truncated { offset: self.at, expected })?;
        self.at += N;
        Ok(*array)
    }
}

/// The low 24 bits of a signed number, as [`Cursor::i24`] reads them. Values that do not fit are clamped.
pub(super) fn i24_bytes(value: i32) -> [u8; 3] {
    let [_, a, b, c] = value.clamp(-(1 << 23), (1 << 23) - 1).to_be_bytes();
    [a, b, c]
}
