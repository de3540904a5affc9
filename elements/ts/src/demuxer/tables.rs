//! Which programs there are: the PAT over all its sections, and the PMT of each program.

use std::sync::Arc;

use super::event::{Program, ProgramStream};
use crate::error::ParseError;
use crate::packet::Pid;
use crate::psi::{Pat, PatProgram, Pmt, Section};
use crate::timestamp::Unroller;

/// Programs of one stream that are followed. A multiplex has some tens.
pub(super) const MAX_PROGRAMS: usize = 256;

/// A program in the PAT.
#[derive(Debug)]
pub(super) struct ProgramState {
    pub(super) number: u16,
    pub(super) pmt_pid: Pid,
    /// What its PMT said, and the CRC of the section that said so.
    pub(super) known: Option<(Arc<Program>, u32)>,
    pub(super) clock: Unroller,
}

/// The PAT of a stream and what it leads to.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// transport_stream_id, version and last section number of the PAT that is being gathered.
    pat_key: Option<(u16, u8, u8)>,
    /// CRC and programs of each of its sections.
    pat_sections: Vec<Option<(u32, Vec<PatProgram>)>>,
    pub(super) programs: Vec<ProgramState>,
    /// Programs that the last change removed, until what is under way of them is delivered.
    gone: Vec<ProgramState>,
}

/// What a section changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// Other programs; these are gone. `refused` is set if there were too many.
    Programs {
        gone: Vec<u16>,
        refused: bool,
    },
    /// The streams of the program at this index.
    Streams(usize),
}

impl Tables {
    /// Whether each program's streams are known.
    pub(super) fn complete(&self) -> bool {
        !self.programs.is_empty() && self.programs.iter().all(|program| program.known.is_some())
    }

    /// The program of this number, be it one that is about to go.
    pub(super) fn program(&mut self, number: u16) -> Option<&mut ProgramState> {
        self.gone.iter_mut().chain(&mut self.programs).find(|state| state.number == number)
    }

    /// What was under way of removed programs is delivered.
    pub(super) fn forget_gone(&mut self) {
        self.gone.clear();
    }

    /// Keeps of the PAT as it stands only this program, or all.
    pub(super) fn select(&mut self, only: Option<u16>) {
        if !self.pat_sections.is_empty() && self.pat_sections.iter().all(Option::is_some) {
            self.apply_pat(only);
        }
    }

    /// Takes a section of the PAT. Repeats change nothing; a table of several sections counts when it is whole.
    pub(super) fn take_pat(&mut self, bytes: &[u8], only: Option<u16>) -> Result<Change, ParseError> {
        let section = Section::parse(bytes)?;
        let pat = Pat::parse(&section)?;
        if !section.current {
            return Ok(Change::Nothing);
        }
        let key = (section.id, section.version, section.last_number);
        if self.pat_key != Some(key) {
            self.pat_key = Some(key);
            self.pat_sections.clear();
            self.pat_sections.resize(usize::from(section.last_number) + 1, None);
        }
        let Some(place) = self.pat_sections.get_mut(usize::from(section.number)) else {
            return Err(ParseError::Invalid { what: "PAT", at: 6, expected: "at most last_section_number" });
        };
        if place.as_ref().is_some_and(|(crc, _)| *crc == section.crc) {
            return Ok(Change::Nothing);
        }
        *place = Some((section.crc, pat.programs));
        if self.pat_sections.iter().any(Option::is_none) {
            return Ok(Change::Nothing);
        }
        Ok(self.apply_pat(only))
    }

    /// Takes a section on the PID of a PMT. Sections of programs that are not on this PID are left aside.
    pub(super) fn take_pmt(&mut self, pid: Pid, bytes: &[u8]) -> Result<Change, ParseError> {
        // Other tables may share the PID.
        if bytes.first() != Some(&Pmt::TABLE_ID) {
            return Ok(Change::Nothing);
        }
        let section = Section::parse(bytes)?;
        let wanted = |program: &ProgramState| program.number == section.id && program.pmt_pid == pid;
        let Some(index) = self.programs.iter().position(wanted) else { return Ok(Change::Nothing) };
        let state = &mut self.programs[index];
        if !section.current || state.known.as_ref().is_some_and(|(_, crc)| *crc == section.crc) {
            return Ok(Change::Nothing);
        }
        let pmt = Pmt::parse(&section)?;
        state.known = Some((Arc::new(program(pid, pmt)), section.crc));
        Ok(Change::Streams(index))
    }

    /// Makes the list of programs that of the PAT. Programs that stay keep their streams and clock.
    fn apply_pat(&mut self, only: Option<u16>) -> Change {
        let listed = self.pat_sections.iter().flatten().flat_map(|(_, programs)| programs);
        let wanted: Vec<_> = listed.filter(|p| only.is_none_or(|only| only == p.number)).copied().collect();
        let stays =
            |state: &ProgramState| wanted.iter().any(|p| p.number == state.number && p.pmt_pid == state.pmt_pid);
        let (kept, gone): (Vec<_>, Vec<_>) = self.programs.drain(..).partition(stays);
        (self.programs, self.gone) = (kept, gone);
        let mut refused = false;
        for entry in wanted {
            if self.programs.iter().any(|state| state.number == entry.number) {
                continue;
            }
            if self.programs.len() == MAX_PROGRAMS {
                refused = true;
                break;
            }
            // One whose PMT moved goes on in time.
            let before = self.gone.iter().find(|state| state.number == entry.number);
            self.programs.push(ProgramState {
                number: entry.number,
                pmt_pid: entry.pmt_pid,
                known: None,
                clock: before.map(|state| state.clock.clone()).unwrap_or_default(),
            });
        }
        let is_gone = |number| self.programs.iter().all(|state| state.number != number);
        let known = self.gone.iter().filter(|state| state.known.is_some());
        let gone = known.map(|state| state.number).filter(|&number| is_gone(number)).collect();
        Change::Programs { gone, refused }
    }
}

fn program(pmt_pid: Pid, pmt: Pmt) -> Program {
    let streams = pmt.streams.into_iter().map(|stream| ProgramStream {
        pid: stream.pid,
        stream_type: stream.stream_type,
        codec: stream.codec(&pmt.descriptors),
        language: stream.descriptors.language(),
        descriptors: stream.descriptors,
    });
    Program {
        number: pmt.program_number,
        pmt_pid,
        pcr_pid: pmt.pcr_pid,
        version: pmt.version,
        streams: streams.collect(),
        descriptors: pmt.descriptors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(version: u8, number: u8, last: u8, entries: &[(u16, u16)]) -> Vec<u8> {
        let body: Vec<u8> =
            entries.iter().flat_map(|(n, pid)| [n.to_be_bytes(), (0xE000 | pid).to_be_bytes()].concat()).collect();
        let section =
            Section { table_id: 0, id: 1, version, current: true, number, last_number: last, body: &body, crc: 0 };
        section.write().unwrap()
    }

    fn numbers(tables: &Tables) -> Vec<u16> {
        tables.programs.iter().map(|p| p.number).collect()
    }

    #[test]
    fn ts_4_pat_of_two_sections_counts_when_whole() {
        let mut tables = Tables::default();
        let (first, second) = (section(0, 0, 1, &[(0, 16), (1, 32)]), section(0, 1, 1, &[(2, 33)]));
        assert_eq!(tables.take_pat(&first, None).unwrap(), Change::Nothing);
        let change = tables.take_pat(&second, None).unwrap();
        assert_eq!(change, Change::Programs { gone: vec![], refused: false });
        assert_eq!(numbers(&tables), [1, 2], "program 0 is the network PID");
        assert_eq!(tables.take_pat(&first, None).unwrap(), Change::Nothing, "a repeat");
    }

    #[test]
    fn ts_4_new_version_replaces_programs_and_one_can_be_selected() {
        let mut tables = Tables::default();
        tables.take_pat(&section(0, 0, 0, &[(1, 32), (2, 33)]), Some(2)).unwrap();
        assert_eq!(numbers(&tables), [2]);
        tables.take_pat(&section(1, 0, 0, &[(2, 40), (3, 41)]), None).unwrap();
        assert_eq!(numbers(&tables), [2, 3]);
        assert_eq!(tables.programs[0].pmt_pid, Pid::from_bits(40));
    }
}
