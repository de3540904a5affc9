//! Program map table: the streams of one program. ISO/IEC 13818-1:2023, 2.4.4.9.

use super::codec::Codec;
use super::descriptor::Descriptors;
use super::section::Section;
use crate::error::{ParseError, take, take_slice};
use crate::packet::Pid;

const WHAT: &str = "PMT";

/// The map of one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pmt {
    /// program_number.
    pub program_number: u16,
    /// version_number, 5 bits.
    pub version: u8,
    /// Where the clock is; [`Pid::NULL`] says that there is none.
    pub pcr_pid: Pid,
    /// Descriptors of the program.
    pub descriptors: Descriptors,
    /// Streams in the order of the table.
    pub streams: Vec<PmtStream>,
}

/// A stream in a PMT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PmtStream {
    /// elementary_PID.
    pub pid: Pid,
    /// stream_type: table 2-34 of the standard.
    pub stream_type: u8,
    /// Descriptors of the stream.
    pub descriptors: Descriptors,
}

impl Pmt {
    /// table_id of a PMT.
    pub const TABLE_ID: u8 = 0x02;

    /// Reads the body of a section whose table_id is [`Self::TABLE_ID`].
    ///
    /// # Errors
    /// If the section is of another table or a part runs past its end.
    pub fn parse(section: &Section<'_>) -> Result<Self, ParseError> {
        if section.table_id != Self::TABLE_ID {
            return Err(ParseError::Invalid { what: WHAT, at: 0, expected: "table_id 2" });
        }
        let body = section.body;
        let pcr_pid = Pid::from_bits(u16::from_be_bytes(take::<2>(body, 0, WHAT)?));
        let (descriptors, mut at) = descriptor_loop(body, 2)?;
        let mut streams = Vec::new();
        while at < body.len() {
            let head = take::<3>(body, at, WHAT)?;
            let (descriptors, next) = descriptor_loop(body, at + 3)?;
            let pid = Pid::from_bits(u16::from_be_bytes([head[1], head[2]]));
            streams.push(PmtStream { pid, stream_type: head[0], descriptors });
            at = next;
        }
        Ok(Self { program_number: section.id, version: section.version, pcr_pid, descriptors, streams })
    }

    /// The table as a section with its CRC.
    ///
    /// # Errors
    /// If it is longer than a PMT section may be.
    pub fn write(&self) -> Result<Vec<u8>, ParseError> {
        let mut body = (0xE000 | self.pcr_pid.get()).to_be_bytes().to_vec();
        put_descriptors(&mut body, &self.descriptors)?;
        for stream in &self.streams {
            body.push(stream.stream_type);
            body.extend_from_slice(&(0xE000 | stream.pid.get()).to_be_bytes());
            put_descriptors(&mut body, &stream.descriptors)?;
        }
        let bytes = Section::only(Self::TABLE_ID, self.program_number, self.version, &body).write()?;
        if bytes.len() > super::MAX_PSI_SECTION {
            return Err(ParseError::Invalid { what: WHAT, at: 1, expected: "a section of at most 1024 bytes" });
        }
        Ok(bytes)
    }
}

impl PmtStream {
    /// The codec that stream_type, the stream's descriptors and the program's say.
    #[must_use]
    pub fn codec(&self, program: &Descriptors) -> Codec {
        Codec::guess(self.stream_type, &self.descriptors, program)
    }
}

/// Reads a 12-bit length at `at` and the descriptors behind it; returns them and where they end.
fn descriptor_loop(body: &[u8], at: usize) -> Result<(Descriptors, usize), ParseError> {
    let len = usize::from(u16::from_be_bytes(take::<2>(body, at, WHAT)?) & 0x0FFF);
    let bytes = take_slice(body, at + 2, len, WHAT)?;
    Ok((Descriptors::from_wire(bytes), at + 2 + len))
}

fn put_descriptors(body: &mut Vec<u8>, descriptors: &Descriptors) -> Result<(), ParseError> {
    let bytes = descriptors.as_bytes();
    if bytes.len() > 0x3FF {
        return Err(ParseError::Invalid { what: WHAT, at: body.len(), expected: "at most 1023 bytes of descriptors" });
    }
    body.extend_from_slice(&(0xF000 | bytes.len() as u16).to_be_bytes());
    body.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::psi::tag;

    #[test]
    fn wire_form_of_two_streams() {
        let mut opus = Descriptors::new();
        opus.push(tag::REGISTRATION, b"Opus").unwrap();
        let pmt = Pmt {
            program_number: 1,
            version: 5,
            pcr_pid: Pid::from_bits(0x100),
            descriptors: Descriptors::new(),
            streams: vec![
                PmtStream { pid: Pid::from_bits(0x100), stream_type: 0x1B, descriptors: Descriptors::new() },
                PmtStream { pid: Pid::from_bits(0x101), stream_type: 0x06, descriptors: opus },
            ],
        };
        let bytes = pmt.write().unwrap();
        assert_eq!(bytes[8..bytes.len() - 4], *b"\xE1\x00\xF0\x00\x1B\xE1\x00\xF0\x00\x06\xE1\x01\xF0\x06\x05\x04Opus");
        assert_eq!(Pmt::parse(&Section::parse(&bytes).unwrap()).unwrap(), pmt);
    }

    #[test]
    fn descriptors_past_the_section_are_an_error() {
        let section = |body| Section::only(2, 1, 0, body);
        assert!(Pmt::parse(&section(&[0xE1, 0x00, 0xF0, 0x05, 1, 2])).is_err());
        assert!(Pmt::parse(&section(&[0xE1, 0x00, 0xF0, 0x00, 0x1B, 0xE1])).is_err());
        assert!(Pmt::parse(&section(&[0xE1, 0x00, 0xF0, 0x00, 0x1B, 0xE1, 0, 0xFF, 0xFF])).is_err());
    }
}
