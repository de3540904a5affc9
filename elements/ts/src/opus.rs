//! The control header before each Opus packet in a PES packet: "Opus in MPEG-TS" of opus-codec.org, v0.1.3 draft.
//!
//! ```text
//! | 0x3FF(11) | start trim(1) | end trim(1) | extension(1) | res(2) | size: 255 ... < 255 | start trim(16)? | end trim(16)? | ext? |
//! ```

use crate::error::{ParseError, take, take_slice};

const WHAT: &str = "Opus control header";

/// What precedes an Opus packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ControlHeader {
    /// Bytes of the Opus packet.
    pub size: usize,
    /// Samples of 48 kHz to drop from its start, 13 bits.
    pub start_trim: Option<u16>,
    /// Samples of 48 kHz to drop from its end, 13 bits.
    pub end_trim: Option<u16>,
}

impl ControlHeader {
    /// The header of a packet of so many bytes, none of its sound trimmed.
    #[must_use]
    pub const fn for_packet(size: usize) -> Self {
        Self { size, start_trim: None, end_trim: None }
    }

    /// Reads a header; returns it and where the packet begins.
    ///
    /// # Errors
    /// If it is cut or does not begin with the 11 bits 0x3FF.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let head = take::<2>(bytes, 0, WHAT)?;
        if u16::from_be_bytes(head) & 0xFFE0 != 0x7FE0 {
            return Err(ParseError::Invalid { what: WHAT, at: 0, expected: "11 bits of 0x3FF" });
        }
        let mut at = 2;
        let mut this = Self::default();
        loop {
            let [part] = take::<1>(bytes, at, WHAT)?;
            at += 1;
            this.size += usize::from(part);
            if part != 0xFF {
                break;
            }
        }
        for (flag, trim) in [(0x10, &mut this.start_trim), (0x08, &mut this.end_trim)] {
            if head[1] & flag != 0 {
                *trim = Some(u16::from_be_bytes(take::<2>(bytes, at, WHAT)?) & 0x1FFF);
                at += 2;
            }
        }
        if head[1] & 0x04 != 0 {
            let [len] = take::<1>(bytes, at, WHAT)?;
            take_slice(bytes, at + 1, usize::from(len), WHAT)?;
            at += 1 + usize::from(len);
        }
        Ok((this, at))
    }

    /// The wire form for a packet of `size` bytes.
    #[must_use]
    pub fn write(&self, size: usize) -> Vec<u8> {
        let flags = u8::from(self.start_trim.is_some()) << 4 | u8::from(self.end_trim.is_some()) << 3;
        let mut out = vec![0x7F, 0xE0 | flags];
        out.extend(std::iter::repeat_n(0xFF, size / 255));
        out.push((size % 255) as u8);
        for trim in [self.start_trim, self.end_trim].into_iter().flatten() {
            out.extend_from_slice(&(trim & 0x1FFF).to_be_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ts_11_size_is_a_run_of_255() {
        for size in [0, 1, 254, 255, 256, 510, 1275, 1276] {
            let bytes = ControlHeader::for_packet(size).write(size);
            assert_eq!(bytes.len(), 2 + size / 255 + 1);
            assert_eq!(ControlHeader::parse(&bytes).unwrap(), (ControlHeader::for_packet(size), bytes.len()));
        }
    }

    #[test]
    fn ts_11_trims_and_extension() {
        // start trim 312 (6.5 ms), end trim 1, an extension of two bytes.
        let bytes = [0x7F, 0xFC, 0xFF, 0x02, 0x01, 0x38, 0x00, 0x01, 2, 9, 9, 0xAA];
        let (header, at) = ControlHeader::parse(&bytes).unwrap();
        assert_eq!(header, ControlHeader { size: 257, start_trim: Some(312), end_trim: Some(1) });
        assert_eq!(at, 11);
        assert!(ControlHeader::parse(&bytes[..10]).is_err());
        assert!(ControlHeader::parse(&[0x7F, 0xC0, 0]).is_err());
        assert!(ControlHeader::parse(&[0x7F, 0xE0, 0xFF, 0xFF]).is_err());
    }
}
