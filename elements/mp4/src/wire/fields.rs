//! Numbers of a box, one after the other.

use super::{BoxHeader, FourCc, HeaderRead, Mp4Error};

/// The content of a box, or what is left of it.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    kind: FourCc,
    bytes: &'a [u8],
    /// Where `bytes` lie in the file.
    offset: u64,
}

impl<'a> Fields<'a> {
    /// The content of a box of this kind, which lies at `offset` in the file.
    pub fn new(kind: FourCc, bytes: &'a [u8], offset: u64) -> Self {
        Self { kind, bytes, offset }
    }

    /// The box that this is of.
    pub fn kind(&self) -> FourCc {
        self.kind
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where it lies in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// An error at this place.
    pub fn error(&self, what: &str) -> Mp4Error {
        Mp4Error::new(self.offset, format!("box `{}` {what}", self.kind))
    }

    /// The next bytes.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Mp4Error> {
        let Some((taken, rest)) = self.bytes.split_at_checked(count) else {
            return Err(self.error(&format!("is cut: {count} bytes are missing or not all there")));
        };
        (self.bytes, self.offset) = (rest, self.offset.saturating_add(count as u64));
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Mp4Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Leaves bytes out.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn skip(&mut self, count: usize) -> Result<(), Mp4Error> {
        self.take(count).map(drop)
    }

    /// 8 bits.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u8(&mut self) -> Result<u8, Mp4Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// 16 bits.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u16(&mut self) -> Result<u16, Mp4Error> {
        self.array().map(u16::from_be_bytes)
    }

    /// 32 bits.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u32(&mut self) -> Result<u32, Mp4Error> {
        self.array().map(u32::from_be_bytes)
    }

    /// 32 bits with a sign.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn i32(&mut self) -> Result<i32, Mp4Error> {
        self.array().map(i32::from_be_bytes)
    }

    /// 64 bits.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u64(&mut self) -> Result<u64, Mp4Error> {
        self.array().map(u64::from_be_bytes)
    }

    /// 64 bits in version 1 of a box, 32 in version 0.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn by_version(&mut self, version: u8) -> Result<u64, Mp4Error> {
        if version == 0 { self.u32().map(u64::from) } else { self.u64() }
    }

    /// Four characters.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn four_cc(&mut self) -> Result<FourCc, Mp4Error> {
        self.array().map(FourCc)
    }

    /// Version and flags of a full box (ISO/IEC 14496-12, 4.2.2).
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn full(&mut self) -> Result<(u8, u32), Mp4Error> {
        let [version, a, b, c] = self.array()?;
        Ok((version, u32::from_be_bytes([0, a, b, c])))
    }

    /// The next box in what is left; `None` where nothing is left but padding that holds no box.
    ///
    /// # Errors
    /// When it goes beyond the box that it is in.
    pub fn next_box(&mut self) -> Result<Option<Self>, Mp4Error> {
        let HeaderRead::Whole(header) = BoxHeader::read(self.bytes, self.offset)? else { return Ok(None) };
        let size = header.size.unwrap_or(self.bytes.len() as u64);
        let Some(size) = usize::try_from(size).ok().filter(|size| *size <= self.bytes.len()) else {
            return Err(self.error(&format!("has `{}` in it, which says {size} bytes and goes beyond it", header.kind)));
        };
        let content = self.take(size)?.get(header.header as usize..).unwrap_or_default();
        Ok(Some(Fields::new(header.kind, content, header.content())))
    }

    /// The first box of a kind in what is left.
    ///
    /// # Errors
    /// As [`Self::next_box`].
    pub fn find(mut self, kind: &[u8; 4]) -> Result<Option<Self>, Mp4Error> {
        while let Some(found) = self.next_box()? {
            if found.kind.0 == *kind {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The same where there has to be one.
    ///
    /// # Errors
    /// When there is none, and as [`Self::next_box`].
    pub fn require(self, kind: &[u8; 4]) -> Result<Self, Mp4Error> {
        self.find(kind)?.ok_or_else(|| self.error(&format!("has no `{}`", FourCc(*kind))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_in_turn_and_what_is_missing_is_named_with_its_byte() {
        let mut fields = Fields::new(FourCc(*b"mvhd"), &[1, 0, 0, 2, 0, 0, 0, 3, 9], 40);
        assert_eq!(fields.full(), Ok((1, 2)));
        assert_eq!(fields.u32(), Ok(3));
        let error = fields.u16().expect_err("one byte is left");
        assert_eq!(error.offset, 48);
        assert!(error.what.contains("mvhd"), "{error}");
        assert_eq!(fields.u8(), Ok(9), "what failed took nothing");
    }

    #[test]
    fn boxes_lie_within_each_other() {
        let bytes = b"\0\0\0\x08free\0\0\0\x0astsz\x01\x02\0\0";
        let stbl = Fields::new(FourCc(*b"stbl"), bytes, 100);
        let stsz = stbl.require(b"stsz").expect("there");
        assert_eq!((stsz.rest(), stsz.offset()), (&[1, 2][..], 116));
        assert!(stbl.require(b"stco").expect_err("not there").what.contains("`stbl` has no `stco`"));
        let beyond = Fields::new(FourCc(*b"stbl"), b"\0\0\0\x10free", 0).require(b"stsz").expect_err("cut");
        assert!(beyond.what.contains("goes beyond"), "{beyond}");
    }
}
