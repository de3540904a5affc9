//! Size and type of a box (ISO/IEC 14496-12, 4.2.2).

use super::{FourCc, Mp4Error};

/// Bytes of the longest header that is read: a size of 64 bits. The name of a `uuid` box belongs to its content here.
pub const MAX_HEADER: usize = 16;

/// Bytes of a header with a size of 32 bits.
const SHORT: usize = 8;

/// Size and type of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxHeader {
    /// What it is.
    pub kind: FourCc,
    /// First byte of the box in the file.
    pub offset: u64,
    /// Bytes of the header.
    pub header: u64,
    /// Bytes of the box with its header; `None` for one that goes to the end of the file.
    pub size: Option<u64>,
}

/// What there is of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderRead {
    /// All of it.
    Whole(BoxHeader),
    /// So many bytes are needed.
    Needs(usize),
}

impl BoxHeader {
    /// Reads a header at the beginning of `bytes`, which lie at `offset` in the file.
    ///
    /// # Errors
    /// When it says a size that is less than its own, or beyond what numbers go to.
    pub fn read(bytes: &[u8], offset: u64) -> Result<HeaderRead, Mp4Error> {
        let Some((&[s0, s1, s2, s3, k0, k1, k2, k3], rest)) = bytes.split_first_chunk::<SHORT>() else {
            return Ok(HeaderRead::Needs(SHORT));
        };
        let kind = FourCc([k0, k1, k2, k3]);
        let (header, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => (SHORT, None),
            1 => match rest.first_chunk::<8>() {
                Some(size) => (MAX_HEADER, Some(u64::from_be_bytes(*size))),
                None => return Ok(HeaderRead::Needs(MAX_HEADER)),
            },
            size => (SHORT, Some(size.into())),
        };
        let header = header as u64;
        match size {
            Some(size) if size < header => {
                Err(Mp4Error::new(offset, format!("box `{kind}` says {size} bytes, less than its header has")))
            }
            Some(size) if offset.checked_add(size).is_none() => {
                Err(Mp4Error::new(offset, format!("box `{kind}` says {size} bytes")))
            }
            _ => Ok(HeaderRead::Whole(Self { kind, offset, header, size })),
        }
    }

    /// First byte of its content.
    pub fn content(&self) -> u64 {
        self.offset.saturating_add(self.header)
    }

    /// The byte behind it; `None` for one that goes to the end of the file.
    pub fn end(&self) -> Option<u64> {
        self.size.map(|size| self.offset.saturating_add(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8], offset: u64) -> BoxHeader {
        match BoxHeader::read(bytes, offset).expect("a header") {
            HeaderRead::Whole(header) => header,
            HeaderRead::Needs(count) => panic!("needs {count}"),
        }
    }

    #[test]
    fn sizes_of_32_and_64_bits_and_up_to_the_end() {
        let short = whole(b"\0\0\0\x18ftypisom", 100);
        assert_eq!((short.content(), short.end(), short.kind.to_string()), (108, Some(124), "ftyp".to_owned()));
        let long = whole(b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0", 0);
        assert_eq!((long.content(), long.end()), (16, Some(1 << 32)));
        assert_eq!(whole(b"\0\0\0\0mdat", 8).end(), None);
    }

    #[test]
    fn what_is_not_there_yet_is_waited_for_and_what_cannot_be_is_an_error_with_its_byte() {
        assert_eq!(BoxHeader::read(b"\0\0\0\x18fty", 0), Ok(HeaderRead::Needs(8)));
        assert_eq!(BoxHeader::read(b"\0\0\0\x01mdat\0\0", 0), Ok(HeaderRead::Needs(16)));
        let short = BoxHeader::read(b"\0\0\0\x07free", 48).expect_err("less than a header");
        assert_eq!(short.offset, 48);
        assert!(BoxHeader::read(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0f", 0).is_err());
        assert!(BoxHeader::read(b"\0\0\0\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff", 1).is_err());
    }
}
