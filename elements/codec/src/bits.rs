//! Bits: a checked reader, a writer, and emulation prevention.
//!
//! The descriptors `u(n)`, `ue(v)` and `se(v)` are those of ITU-T H.264 7.2 and 9.1 (H.265 7.2 and 9.2 are the same);
//! AAC, AC-3 and AV1 headers use `u(n)` alone.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::error::{CodecError, ErrorKind};

/// The most leading zero bits of an Exp-Golomb code: `ue(v)` spans 0 to 2^32 - 2 (H.264 7.2).
pub const MAX_EXP_GOLOMB_ZEROS: u32 = 31;

/// Reads bits, most significant first. Every read is checked; an error carries the unit's name and the bit offset.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    unit: &'static str,
    data: &'a [u8],
    bit: usize,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit of `data`. `unit` names the syntax structure in errors.
    #[must_use]
    pub fn new(unit: &'static str, data: &'a [u8]) -> Self {
        Self { unit, data, bit: 0 }
    }

    /// Bits read so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.bit
    }

    /// Bits left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.data.len().saturating_mul(8).saturating_sub(self.bit)
    }

    /// An error of the given kind at the present position.
    #[must_use]
    pub fn error(&self, kind: ErrorKind) -> CodecError {
        CodecError { unit: self.unit, bit: self.bit as u64, kind }
    }

    /// An "is not allowed here" error at the present position.
    #[must_use]
    pub fn invalid(&self, what: &'static str) -> CodecError {
        self.error(ErrorKind::Invalid(what))
    }

    /// `u(n)`, at most 32 bits.
    ///
    /// # Errors
    /// Truncated data, or `n` over 32.
    pub fn u(&mut self, n: u32) -> Result<u32, CodecError> {
        if n > 32 {
            return Err(self.invalid("a field read at once has at most 32 bits"));
        }
        self.need(n as usize)?;
        let mut value = 0u64;
        let first = self.bit / 8;
        let last = (self.bit + n as usize).div_ceil(8);
        for byte in self.data.get(first..last).unwrap_or_default() {
            value = value << 8 | u64::from(*byte);
        }
        self.bit += n as usize;
        let below = last * 8 - self.bit;
        let mask = (1u64 << n) - 1;
        Ok(u32::try_from(value >> below & mask).expect("masked to 32 bits"))
    }

    /// `u(n)` of at most 8 bits.
    ///
    /// # Errors
    /// Truncated data, or `n` over 8.
    pub fn u8(&mut self, n: u32) -> Result<u8, CodecError> {
        u8::try_from(self.u(n)?).map_err(|_| self.invalid("an 8-bit field"))
    }

    /// `u(n)` of at most 16 bits.
    ///
    /// # Errors
    /// Truncated data, or `n` over 16.
    pub fn u16(&mut self, n: u32) -> Result<u16, CodecError> {
        u16::try_from(self.u(n)?).map_err(|_| self.invalid("a 16-bit field"))
    }

    /// `u(n)` of at most 64 bits.
    ///
    /// # Errors
    /// Truncated data, or `n` over 64.
    pub fn u64(&mut self, n: u32) -> Result<u64, CodecError> {
        let high = self.u(n.saturating_sub(32))?;
        let low = self.u(n.min(32))?;
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    /// One bit as a truth value.
    ///
    /// # Errors
    /// Truncated data.
    pub fn flag(&mut self) -> Result<bool, CodecError> {
        Ok(self.u(1)? == 1)
    }

    /// `ue(v)`: an unsigned Exp-Golomb code (H.264 9.1).
    ///
    /// # Errors
    /// Truncated data, or more than [`MAX_EXP_GOLOMB_ZEROS`] leading zeros.
    pub fn ue(&mut self) -> Result<u32, CodecError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > MAX_EXP_GOLOMB_ZEROS {
                return Err(self.invalid("an Exp-Golomb code has at most 31 leading zeros"));
            }
        }
        Ok(((1u32 << zeros) - 1) + self.u(zeros)?)
    }

    /// `ue(v)` that must not exceed `max`.
    ///
    /// # Errors
    /// As [`BitReader::ue`]; a larger value is [`ErrorKind::OverLimit`].
    pub fn ue_max(&mut self, max: u32, what: &'static str) -> Result<u32, CodecError> {
        let value = self.ue()?;
        if value > max {
            return Err(self.error(ErrorKind::OverLimit { what, value: value.into(), limit: max.into() }));
        }
        Ok(value)
    }

    /// `ue(v)` of at most 255.
    ///
    /// # Errors
    /// As [`BitReader::ue_max`].
    pub fn ue_u8(&mut self, max: u8, what: &'static str) -> Result<u8, CodecError> {
        u8::try_from(self.ue_max(max.into(), what)?).map_err(|_| self.invalid(what))
    }

    /// `se(v)`: a signed Exp-Golomb code (H.264 9.1.1).
    ///
    /// # Errors
    /// As [`BitReader::ue`].
    pub fn se(&mut self) -> Result<i32, CodecError> {
        let code = i64::from(self.ue()?);
        let value = if code % 2 == 0 { -(code / 2) } else { code / 2 + 1 };
        i32::try_from(value).map_err(|_| self.invalid("a signed Exp-Golomb code fits 32 bits"))
    }

    /// Passes over `n` bits.
    ///
    /// # Errors
    /// Truncated data.
    pub fn skip(&mut self, n: usize) -> Result<(), CodecError> {
        self.need(n)?;
        self.bit += n;
        Ok(())
    }

    /// Moves to the next byte boundary; stays where it is when on one.
    pub fn align(&mut self) {
        self.bit = self.bit.div_ceil(8) * 8;
    }

    /// The bytes from the present position on, which must be a byte boundary.
    ///
    /// # Errors
    /// The position is inside a byte.
    pub fn rest(&self) -> Result<&'a [u8], CodecError> {
        if !self.bit.is_multiple_of(8) {
            return Err(self.invalid("a byte boundary"));
        }
        Ok(self.data.get(self.bit / 8..).unwrap_or_default())
    }

    /// True while syntax elements precede the RBSP trailing bits: a one bit lies after the present one (H.264 7.2).
    #[must_use]
    pub fn more_rbsp_data(&self) -> bool {
        let Some(last) = self.data.iter().rposition(|byte| *byte != 0) else { return false };
        let zeros = self.data.get(last).map_or(0, |byte| byte.trailing_zeros() as usize);
        self.bit < last * 8 + 7 - zeros
    }

    fn need(&self, n: usize) -> Result<(), CodecError> {
        let have = self.remaining();
        if have < n {
            return Err(self.error(ErrorKind::Truncated { wanted: n as u64, have: have as u64 }));
        }
        Ok(())
    }
}

/// Writes bits, most significant first.
#[derive(Debug, Clone, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the low `n` bits of `value` (64 at most; higher bits of `value` are ignored).
    pub fn u(&mut self, value: u64, n: u32) {
        for shift in (0..n.min(64)).rev() {
            let bit = u8::from(value >> shift & 1 == 1);
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << (7 - self.used % 8);
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// Writes one bit.
    pub fn flag(&mut self, value: bool) {
        self.u(value.into(), 1);
    }

    /// Writes `ue(v)`. The value must be below 2^32 - 1, the end of the code's range (H.264 7.2).
    pub fn ue(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let bits = 64 - code.leading_zeros();
        self.u(0, bits - 1);
        self.u(code, bits);
    }

    /// Writes whole bytes at the present position, aligned or not.
    pub fn bytes(&mut self, bytes: &[u8]) {
        if self.used == 0 {
            self.bytes.extend_from_slice(bytes);
        } else {
            bytes.iter().for_each(|byte| self.u((*byte).into(), 8));
        }
    }

    /// Fills up the last byte with zero bits.
    pub fn align(&mut self) {
        self.used = 0;
    }

    /// The bytes; the last is filled with zero bits.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

static EMULATION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&[0, 0, 3]));

/// Takes the emulation prevention bytes out of a NAL unit: `00 00 03` becomes `00 00` (H.264 7.4.1, H.265 7.4.2).
/// A unit without them is returned as it is.
#[must_use]
pub fn unescape(nal: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = EMULATION.find(nal) else { return Cow::Borrowed(nal) };
    let mut out = Vec::with_capacity(nal.len());
    let (mut from, mut found) = (0, Some(first));
    while let Some(at) = found {
        let end = from + at + 2;
        out.extend_from_slice(nal.get(from..end).unwrap_or_default());
        from = end + 1;
        found = nal.get(from..).and_then(|rest| EMULATION.find(rest));
    }
    out.extend_from_slice(nal.get(from..).unwrap_or_default());
    Cow::Owned(out)
}

/// Puts emulation prevention bytes in, so that no start code can arise in the NAL unit (H.264 7.4.1).
#[must_use]
pub fn escape(rbsp: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rbsp.len() + rbsp.len() / 64);
    let mut zeros = 0;
    for byte in rbsp {
        if zeros == 2 && *byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exp_golomb_codes_of_h264_table_9_2() {
        // 1 | 010 | 011 | 00100 | 00101 | 00110 | 00111 | 0001000
        let mut reader = BitReader::new("test", &[0b1010_0110, 0b0100_0010, 0b1001_1000, 0b1110_0010, 0]);
        for expected in 0..8 {
            assert_eq!(reader.ue(), Ok(expected));
        }
    }

    #[test]
    fn signed_codes_alternate_from_plus_one() {
        let mut writer = BitWriter::new();
        (0..5).for_each(|code| writer.ue(code));
        let bytes = writer.finish();
        let mut reader = BitReader::new("test", &bytes);
        let values: Vec<i32> = (0..5).map(|_| reader.se().unwrap()).collect();
        assert_eq!(values, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn an_error_says_the_bit() {
        let mut reader = BitReader::new("test", &[0xff]);
        reader.skip(3).unwrap();
        let error = reader.u(6).unwrap_err();
        assert_eq!((error.bit, error.kind), (3, ErrorKind::Truncated { wanted: 6, have: 5 }));
        assert!(BitReader::new("test", &[0; 9]).ue().is_err());
    }

    #[test]
    fn more_rbsp_data_stops_at_the_stop_bit() {
        let mut reader = BitReader::new("test", &[0b1010_1000, 0]);
        reader.skip(3).unwrap();
        assert!(reader.more_rbsp_data());
        reader.skip(1).unwrap();
        assert!(!reader.more_rbsp_data());
    }

    #[test]
    fn emulation_prevention_runs_of_zeros() {
        assert_eq!(unescape(&[0, 0, 3, 0, 0, 3, 1]).as_ref(), [0, 0, 0, 0, 1]);
        assert_eq!(unescape(&[0, 0, 3, 3]).as_ref(), [0, 0, 3]);
        assert!(matches!(unescape(&[0, 3, 0, 3]), Cow::Borrowed(_)));
        assert_eq!(escape(&[0, 0, 0, 0, 4, 0, 0, 1]), [0, 0, 3, 0, 0, 4, 0, 0, 3, 1]);
    }

    proptest! {
        #[test]
        fn escape_and_unescape_round_trip(bytes in proptest::collection::vec(0u8..5, 0..200)) {
            let escaped = escape(&bytes);
            prop_assert!(!escaped.windows(3).any(|w| w[..2] == [0, 0] && w[2] < 3));
            prop_assert_eq!(unescape(&escaped).into_owned(), bytes);
        }

        #[test]
        fn writer_and_reader_agree(fields in proptest::collection::vec((any::<u64>(), 0u32..=64), 0..40)) {
            let mut writer = BitWriter::new();
            fields.iter().for_each(|(value, n)| writer.u(*value, *n));
            let bytes = writer.finish();
            let mut reader = BitReader::new("test", &bytes);
            for (value, n) in fields {
                let mask = if n == 64 { u64::MAX } else { (1 << n) - 1 };
                prop_assert_eq!(reader.u64(n).unwrap(), value & mask);
            }
        }
    }
}
