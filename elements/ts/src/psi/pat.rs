//! Program association table: which programs there are and on which PID each has its map. ISO/IEC 13818-1:2023, 2.4.4.4.

use super::section::Section;
use crate::error::ParseError;
use crate::packet::Pid;

/// One section of a PAT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pat {
    /// transport_stream_id.
    pub transport_stream_id: u16,
    /// version_number, 5 bits.
    pub version: u8,
    /// Programs in the order of the section, without program 0.
    pub programs: Vec<PatProgram>,
    /// The PID that program number 0 names: the network information table, no program.
    pub network_pid: Option<Pid>,
}

/// A program in a PAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatProgram {
    /// program_number, never 0.
    pub number: u16,
    /// program_map_PID.
    pub pmt_pid: Pid,
}

impl Pat {
    /// table_id of a PAT.
    pub const TABLE_ID: u8 = 0x00;

    /// Reads the body of a section whose table_id is [`Self::TABLE_ID`]. Bytes behind the last whole entry are ignored.
    ///
    /// # Errors
    /// If the section is of another table.
    pub fn parse(section: &Section<'_>) -> Result<Self, ParseError> {
        if section.table_id != Self::TABLE_ID {
            return Err(ParseError::Invalid { what: "PAT", at: 0, expected: "table_id 0" });
        }
        let mut this =
            Self { transport_stream_id: section.id, version: section.version, programs: Vec::new(), network_pid: None };
        for entry in section.body.as_chunks::<4>().0 {
            let number = u16::from_be_bytes([entry[0], entry[1]]);
            let pid = Pid::from_bits(u16::from_be_bytes([entry[2], entry[3]]));
            if number == 0 {
                this.network_pid = Some(pid);
            } else {
                this.programs.push(PatProgram { number, pmt_pid: pid });
            }
        }
        Ok(this)
    }

    /// The whole table as one section with its CRC.
    ///
    /// # Errors
    /// If there are more programs than a section holds.
    pub fn write(&self) -> Result<Vec<u8>, ParseError> {
        let network = self.network_pid.map(|pid| (0, pid));
        let entries = network.into_iter().chain(self.programs.iter().map(|p| (p.number, p.pmt_pid)));
        let mut body = Vec::with_capacity(4 * (self.programs.len() + 1));
        for (number, pid) in entries {
            body.extend_from_slice(&number.to_be_bytes());
            body.extend_from_slice(&(0xE000 | pid.get()).to_be_bytes());
        }
        let section = Section::only(Self::TABLE_ID, self.transport_stream_id, self.version, &body);
        section.write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ts_4_program_zero_is_the_network_pid() {
        let pat = Pat {
            transport_stream_id: 7,
            version: 31,
            programs: vec![PatProgram { number: 1, pmt_pid: Pid::from_bits(0x1000) }],
            network_pid: Some(Pid::from_bits(0x10)),
        };
        let bytes = pat.write().unwrap();
        assert_eq!(bytes[8..16], [0, 0, 0xE0, 0x10, 0, 1, 0xF0, 0x00]);
        assert_eq!(Pat::parse(&Section::parse(&bytes).unwrap()).unwrap(), pat);
    }
}
