//! The section: the unit that tables travel in. ISO/IEC 13818-1:2023, 2.4.4.1, 2.4.4.4 and 2.4.4.11.
//!
//! ```text
//! | table_id(8) | syntax(1) private(1) res(2) length(12) | id(16) | res(2) version(5) current(1) | number | last | body | CRC32 |
//! ```
//!
//! `length` counts what follows it.

use super::crc::crc32;
use crate::error::{ParseError, take, take_slice};
use crate::packet::{HEADER_SIZE, PACKET_SIZE, PacketHeader, Pid};

/// Longest PAT or PMT section: their section_length is at most 1021.
pub const MAX_PSI_SECTION: usize = 1024;

/// Longest section of any kind: section_length is at most 4093 for private ones.
pub const MAX_PRIVATE_SECTION: usize = 4096;

/// Bytes before the body of a section in the long form.
const LONG_HEADER: usize = 8;

const WHAT: &str = "section";

/// A section in the long form (section_syntax_indicator 1), checked by its CRC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section<'a> {
    /// Which table this is a part of: 0 PAT, 2 PMT.
    pub table_id: u8,
    /// transport_stream_id in a PAT, program_number in a PMT (table_id_extension).
    pub id: u16,
    /// version_number, 5 bits.
    pub version: u8,
    /// The table holds now; otherwise it is the next to come (current_next_indicator).
    pub current: bool,
    /// Which of the table's sections this is.
    pub number: u8,
    /// The highest number among them.
    pub last_number: u8,
    /// What is between header and CRC.
    pub body: &'a [u8],
    /// The CRC that ended it: the same bytes have the same CRC.
    pub crc: u32,
}

impl<'a> Section<'a> {
    /// The only section of a table that holds now. Its CRC is not made yet.
    #[must_use]
    pub const fn only(table_id: u8, id: u16, version: u8, body: &'a [u8]) -> Self {
        Self { table_id, id, version, current: true, number: 0, last_number: 0, body, crc: 0 }
    }

    /// Reads a section in the long form. Bytes behind its length are ignored.
    ///
    /// # Errors
    /// If it is cut, of the short form, or its CRC is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let header = take::<LONG_HEADER>(bytes, 0, WHAT)?;
        if header[1] & 0x80 == 0 {
            return Err(ParseError::Invalid { what: WHAT, at: 1, expected: "section_syntax_indicator 1" });
        }
        let end = 3 + usize::from(u16::from_be_bytes([header[1], header[2]]) & 0x0FFF);
        let whole = take_slice(bytes, 0, end, WHAT)?;
        if end < LONG_HEADER + 4 {
            return Err(ParseError::Invalid { what: WHAT, at: 1, expected: "section_length of 9 or more" });
        }
        let (covered, crc) = whole.split_at(end - 4);
        let found = u32::from_be_bytes(take::<4>(crc, 0, WHAT)?);
        let computed = crc32(covered);
        if found != computed {
            return Err(ParseError::Crc { found, computed });
        }
        Ok(Self {
            table_id: header[0],
            id: u16::from_be_bytes([header[3], header[4]]),
            version: header[5] >> 1 & 0x1F,
            current: header[5] & 1 != 0,
            number: header[6],
            last_number: header[7],
            body: &covered[LONG_HEADER..],
            crc: found,
        })
    }

    /// The wire form, with the CRC made anew.
    ///
    /// # Errors
    /// If the body is too long for a section.
    pub fn write(&self) -> Result<Vec<u8>, ParseError> {
        let length = self.body.len() + LONG_HEADER - 3 + 4;
        if length + 3 > MAX_PRIVATE_SECTION {
            return Err(ParseError::Invalid { what: WHAT, at: LONG_HEADER, expected: "a body of at most 4084 bytes" });
        }
        let mut out = Vec::with_capacity(length + 3);
        out.push(self.table_id);
        // syntax indicator 1, private bit 0, reserved 11
        out.extend_from_slice(&(0xB000 | length as u16).to_be_bytes());
        out.extend_from_slice(&self.id.to_be_bytes());
        out.push(0xC0 | (self.version & 0x1F) << 1 | u8::from(self.current));
        out.extend_from_slice(&[self.number, self.last_number]);
        out.extend_from_slice(self.body);
        out.extend_from_slice(&crc32(&out).to_be_bytes());
        Ok(out)
    }
}

/// Puts one section into packets of its own: pointer_field 0, the end filled with 0xFF. Continuity counters are 0; the sender
/// sets them as each packet goes out.
#[must_use]
pub fn packetize_section(pid: Pid, section: &[u8]) -> Vec<[u8; PACKET_SIZE]> {
    let mut packets = Vec::new();
    let mut rest = section;
    while packets.is_empty() || !rest.is_empty() {
        let first = packets.is_empty();
        let mut packet = [0xFF; PACKET_SIZE];
        packet[..HEADER_SIZE].copy_from_slice(&PacketHeader::new(pid, first, 0).write());
        let start = HEADER_SIZE + usize::from(first);
        if first {
            packet[HEADER_SIZE] = 0;
        }
        let (now, later) = rest.split_at(rest.len().min(PACKET_SIZE - start));
        packet[start..start + now.len()].copy_from_slice(now);
        packets.push(packet);
        rest = later;
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ts_4_wrong_crc_is_told_apart() {
        let section = Section::only(0, 1, 3, &[1; 4]);
        let mut bytes = section.write().unwrap();
        let back = Section::parse(&bytes).unwrap();
        assert_eq!(Section { crc: 0, ..back }, section);
        *bytes.last_mut().unwrap() ^= 1;
        assert!(matches!(Section::parse(&bytes), Err(ParseError::Crc { .. })));
        assert!(Section::parse(&bytes[..10]).is_err());
    }

    #[test]
    fn short_and_lying_lengths_are_errors() {
        assert!(Section::parse(&[0, 0xB0, 5, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(Section::parse(&[0, 0x30, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(Section::parse(&[0, 0xBF, 0xFF, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
