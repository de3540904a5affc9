//! Splice information: where advertisements begin and end. ANSI/SCTE 35 2023, 9.6 (section), 9.7 (commands), 9.8 (times).
//!
//! Read: splice_null, splice_insert, time_signal; other commands and all descriptors are kept as bytes. Encrypted sections are told
//! apart but not decrypted.

use crate::error::{ParseError, take, take_slice};
use crate::psi::crc32;
use crate::timestamp::WRAP;

const WHAT: &str = "splice_info_section";

/// Bytes before the command.
const HEADER: usize = 14;

/// splice_command_length that old encoders write for "not known".
const UNKNOWN_LENGTH: usize = 0xFFF;

/// A splice_info_section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpliceInfo {
    /// Added to every time in the section, modulo 2^33; the times here have it already.
    pub pts_adjustment: u64,
    /// Who may act on it, 12 bits; 0xFFF is everybody.
    pub tier: u16,
    /// What is to happen.
    pub command: SpliceCommand,
    /// splice_descriptors in order, of whatever kind.
    pub descriptors: Vec<SpliceDescriptor>,
}

/// A splice command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpliceCommand {
    /// Nothing: a sign of life.
    Null,
    /// An opportunity, or its cancellation.
    Insert(SpliceInsert),
    /// The descriptors hold at this time, 90 kHz, 33 bits; `None` is at once.
    TimeSignal(Option<u64>),
    /// The content is encrypted.
    Encrypted,
    /// Another command: its type and bytes.
    Other(u8, Vec<u8>),
}

/// splice_insert().
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpliceInsert {
    /// splice_event_id.
    pub event_id: u32,
    /// The event is called off; the other fields say nothing.
    pub cancel: bool,
    /// Leave the network feed; otherwise come back to it.
    pub out_of_network: bool,
    /// At the next chance rather than at a time.
    pub immediate: bool,
    /// When, 90 kHz, 33 bits; of the first component if they differ.
    pub time: Option<u64>,
    /// How long, 90 kHz.
    pub duration: Option<u64>,
    /// The end of the duration ends the break with no further command.
    pub auto_return: bool,
    /// unique_program_id.
    pub unique_program_id: u16,
    /// avail_num.
    pub avail_num: u8,
    /// avails_expected.
    pub avails_expected: u8,
}

/// A splice_descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpliceDescriptor {
    /// splice_descriptor_tag: 0 avail, 2 segmentation ...
    pub tag: u8,
    /// Whose it is: `CUEI` for those of the standard.
    pub identifier: [u8; 4],
    /// What follows.
    pub data: Vec<u8>,
}

impl SpliceInfo {
    /// table_id of the section.
    pub const TABLE_ID: u8 = 0xFC;

    /// Reads a section from table_id to CRC.
    ///
    /// # Errors
    /// If it is another table, cut, its CRC is wrong, or a part runs past its end.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let head = take::<HEADER>(bytes, 0, WHAT)?;
        if head[0] != Self::TABLE_ID {
            return Err(ParseError::Invalid { what: WHAT, at: 0, expected: "table_id 0xFC" });
        }
        let end = 3 + usize::from(u16::from_be_bytes([head[1], head[2]]) & 0x0FFF);
        let whole = take_slice(bytes, 0, end, WHAT)?;
        let Some((body, crc)) = whole.split_last_chunk::<4>() else {
            return Err(ParseError::Truncated { what: WHAT, needed: 4, available: end });
        };
        let (found, computed) = (u32::from_be_bytes(*crc), crc32(body));
        if found != computed {
            return Err(ParseError::Crc { found, computed });
        }
        let pts_adjustment = stamp([head[4], head[5], head[6], head[7], head[8]]);
        let tier = u16::from(head[10]) << 4 | u16::from(head[11] >> 4);
        let length = usize::from(u16::from_be_bytes([head[11], head[12]]) & 0x0FFF);
        let mut this = Self { pts_adjustment, tier, command: SpliceCommand::Encrypted, descriptors: Vec::new() };
        if head[4] & 0x80 != 0 {
            return Ok(this);
        }
        let mut reader = Reader { bytes: body, at: HEADER, adjust: pts_adjustment };
        this.command = reader.command(head[13], length)?;
        this.descriptors = reader.descriptors()?;
        Ok(this)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    adjust: u64,
}

impl Reader<'_> {
    fn next<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let bytes = take::<N>(self.bytes, self.at, WHAT)?;
        self.at += N;
        Ok(bytes)
    }

    fn command(&mut self, kind: u8, length: usize) -> Result<SpliceCommand, ParseError> {
        let start = self.at;
        let command = match kind {
            0 => SpliceCommand::Null,
            5 => SpliceCommand::Insert(self.insert()?),
            6 => SpliceCommand::TimeSignal(self.time()?),
            other => {
                let length = if length == UNKNOWN_LENGTH { 0 } else { length };
                SpliceCommand::Other(other, take_slice(self.bytes, start, length, WHAT)?.to_vec())
            }
        };
        if length != UNKNOWN_LENGTH {
            self.at = start + length;
        }
        Ok(command)
    }

    fn insert(&mut self) -> Result<SpliceInsert, ParseError> {
        let event_id = u32::from_be_bytes(self.next()?);
        let mut this = SpliceInsert { event_id, cancel: self.next::<1>()?[0] & 0x80 != 0, ..SpliceInsert::default() };
        if this.cancel {
            return Ok(this);
        }
        let [flags] = self.next()?;
        this.out_of_network = flags & 0x80 != 0;
        this.immediate = flags & 0x10 != 0;
        let (program, timed) = (flags & 0x40 != 0, flags & 0x20 != 0);
        if !program {
            let [count] = self.next()?;
            for _ in 0..count {
                self.next::<1>()?;
                if !this.immediate {
                    let time = self.time()?;
                    this.time = this.time.or(time);
                }
            }
        } else if !this.immediate {
            this.time = self.time()?;
        }
        if timed {
            let field = self.next::<5>()?;
            (this.auto_return, this.duration) = (field[0] & 0x80 != 0, Some(stamp(field)));
        }
        this.unique_program_id = u16::from_be_bytes(self.next()?);
        [this.avail_num, this.avails_expected] = self.next()?;
        Ok(this)
    }

    /// splice_time(), with the adjustment.
    fn time(&mut self) -> Result<Option<u64>, ParseError> {
        let [first] = take::<1>(self.bytes, self.at, WHAT)?;
        if first & 0x80 == 0 {
            self.at += 1;
            return Ok(None);
        }
        Ok(Some((stamp(self.next::<5>()?) + self.adjust) % WRAP as u64))
    }

    fn descriptors(&mut self) -> Result<Vec<SpliceDescriptor>, ParseError> {
        let length = usize::from(u16::from_be_bytes(self.next()?));
        let mut rest = take_slice(self.bytes, self.at, length, WHAT)?;
        let mut all = Vec::new();
        while !rest.is_empty() {
            let [tag, len, identifier @ ..] = take::<6>(rest, 0, "splice_descriptor")?;
            let body = take_slice(rest, 2, usize::from(len), "splice_descriptor")?;
            let data = body.get(4..).unwrap_or_default().to_vec();
            all.push(SpliceDescriptor { tag, identifier, data });
            rest = &rest[2 + body.len()..];
        }
        Ok(all)
    }
}

/// The low 33 bits of five bytes.
fn stamp(b: [u8; 5]) -> u64 {
    u64::from(b[0] & 1) << 32 | u64::from(u32::from_be_bytes([b[1], b[2], b[3], b[4]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of the standard, 14.1 and 14.2.
    const TIME_SIGNAL: &str = "fc3034000000000000fffff00506fe72bd0050001e021c435545494800008e7fcf0001a599b00808000000002ca0a18a3402009ac9d17e";
    const INSERT: &str =
        "fc302f000000000000fffff014054800008f7feffe7369c02efe0052ccf500000000000a0008435545490000013562dba30a";

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes().chunks(2).map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 16).unwrap()).collect()
    }

    /// The section with the given bytes at an offset and its CRC made anew.
    fn changed(text: &str, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut section = hex(text);
        section[at..at + bytes.len()].copy_from_slice(bytes);
        let end = section.len() - 4;
        let crc = crc32(&section[..end]);
        section[end..].copy_from_slice(&crc.to_be_bytes());
        section
    }

    #[test]
    fn ts_13_samples_of_the_standard() {
        let signal = SpliceInfo::parse(&hex(TIME_SIGNAL)).unwrap();
        assert_eq!(signal.command, SpliceCommand::TimeSignal(Some(0x0_72BD_0050)));
        assert_eq!(signal.tier, 0xFFF);
        assert_eq!((signal.descriptors[0].tag, signal.descriptors[0].identifier), (2, *b"CUEI"));
        assert_eq!(signal.descriptors[0].data[..4], [0x48, 0, 0, 0x8E]);
        let SpliceCommand::Insert(insert) = SpliceInfo::parse(&hex(INSERT)).unwrap().command else { panic!() };
        let expected = SpliceInsert {
            event_id: 0x4800_008F,
            out_of_network: true,
            time: Some(0x0_7369_C02E),
            duration: Some(0x0_0052_CCF5),
            auto_return: true,
            ..SpliceInsert::default()
        };
        assert_eq!(insert, expected);
    }

    #[test]
    fn ts_13_pts_adjustment_is_added_modulo_2_33() {
        let section = changed(TIME_SIGNAL, 4, &[1, 0xFF, 0xFF, 0xFF, 0xFF]);
        let signal = SpliceInfo::parse(&section).unwrap();
        assert_eq!(signal.command, SpliceCommand::TimeSignal(Some(0x0_72BD_004F)));
    }

    #[test]
    fn ts_13_duration_without_auto_return_and_wrong_crc() {
        let at = hex(INSERT).windows(2).position(|w| w == [0xFE, 0x00]).unwrap();
        let SpliceCommand::Insert(insert) = SpliceInfo::parse(&changed(INSERT, at, &[0x7E])).unwrap().command else {
            panic!()
        };
        assert_eq!((insert.auto_return, insert.duration), (false, Some(0x52_CCF5)));
        let mut broken = hex(INSERT);
        broken[20] ^= 1;
        assert!(matches!(SpliceInfo::parse(&broken), Err(ParseError::Crc { .. })));
    }

    #[test]
    fn cut_and_lying_sections_are_errors() {
        let whole = hex(INSERT);
        for len in 0..whole.len() {
            assert!(SpliceInfo::parse(&whole[..len]).is_err(), "{len} bytes");
        }
        // A descriptor loop longer than the section.
        let at = hex(TIME_SIGNAL).windows(2).position(|w| w == [0x00, 0x1E]).unwrap();
        assert!(SpliceInfo::parse(&changed(TIME_SIGNAL, at, &[0x0F, 0xFF])).is_err());
    }
}
