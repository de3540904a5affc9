//! Gathers sections from packet payloads. ISO/IEC 13818-1:2023, 2.4.4.1 and 2.4.4.2 (pointer_field).

use super::section::MAX_PRIVATE_SECTION;

/// Bytes of a section before its length is known.
const LENGTH_END: usize = 3;

/// table_id that only fills the rest of a packet.
const STUFFING: u8 = 0xFF;

/// Why bytes of a table were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The pointer_field points past its packet.
    Pointer,
    /// The section says it is longer than the limit.
    TooLong,
    /// Another section began, or packets were lost, before this one was whole.
    Cut,
}

/// Gathers the sections of one PID. It holds at most one unfinished section.
#[derive(Debug)]
pub struct SectionAssembler {
    buffer: Vec<u8>,
    /// A section is under way: payload continues it.
    active: bool,
    limit: usize,
}

impl SectionAssembler {
    /// An assembler for sections of at most `limit` bytes (at most [`MAX_PRIVATE_SECTION`] makes sense).
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), active: false, limit: limit.min(MAX_PRIVATE_SECTION) }
    }

    /// Forgets the unfinished section: packets were lost. Returns whether there was one.
    pub fn reset(&mut self) -> bool {
        let had = self.active && !self.buffer.is_empty();
        self.buffer.clear();
        self.active = false;
        had
    }

    /// Takes a packet's payload and hands each whole section, or what went wrong, to `found`.
    pub fn push(&mut self, payload: &[u8], unit_start: bool, mut found: impl FnMut(Result<&[u8], Fault>)) {
        if !unit_start {
            if self.active {
                self.gather(payload, &mut found);
            }
            return;
        }
        let Some((&pointer, rest)) = payload.split_first() else { return };
        let Some((tail, heads)) = rest.split_at_checked(usize::from(pointer)) else {
            self.reset();
            found(Err(Fault::Pointer));
            return;
        };
        if self.active {
            self.gather(tail, &mut found);
        }
        if self.reset() {
            found(Err(Fault::Cut));
        }
        self.active = true;
        self.gather(heads, &mut found);
    }

    /// Takes bytes of which the first continues the section under way, or begins one.
    fn gather(&mut self, mut bytes: &[u8], found: &mut impl FnMut(Result<&[u8], Fault>)) {
        while let Some(&first) = bytes.first() {
            if self.buffer.is_empty() && first == STUFFING {
                self.active = false;
                return;
            }
            let need = self.missing().min(bytes.len());
            let (now, later) = bytes.split_at(need);
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() >= LENGTH_END && self.length() > self.limit {
                self.reset();
                found(Err(Fault::TooLong));
                return;
            }
            if self.missing() == 0 {
                found(Ok(&self.buffer));
                self.buffer.clear();
            }
        }
    }

    /// Bytes until the next decision: the length field, then the section's end. 0 when it is whole.
    fn missing(&self) -> usize {
        let end = if self.buffer.len() < LENGTH_END { LENGTH_END } else { self.length() };
        end - self.buffer.len()
    }

    /// The length of the section under way, once its first three bytes are there.
    fn length(&self) -> usize {
        let field = self.buffer.get(1..LENGTH_END).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
        LENGTH_END + usize::from(field & 0x0FFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: u8, body: usize) -> Vec<u8> {
        let mut bytes = vec![id, 0x30, body as u8];
        bytes.extend(std::iter::repeat_n(id, body));
        bytes
    }

    fn collect(assembler: &mut SectionAssembler, payload: &[u8], start: bool) -> Vec<Result<Vec<u8>, Fault>> {
        let mut all = Vec::new();
        assembler.push(payload, start, |one| all.push(one.map(<[u8]>::to_vec)));
        all
    }

    #[test]
    fn ts_4_several_sections_in_one_packet() {
        let mut payload = vec![0];
        payload.extend(section(1, 10));
        payload.extend(section(2, 0));
        payload.extend(section(3, 30));
        payload.resize(184, 0xFF);
        let mut assembler = SectionAssembler::new(1024);
        let all = collect(&mut assembler, &payload, true);
        assert_eq!(all, [Ok(section(1, 10)), Ok(section(2, 0)), Ok(section(3, 30))]);
        assert!(!assembler.reset(), "stuffing begins no section");
    }

    #[test]
    fn ts_4_section_spans_packets_and_pointer_leads_past_its_tail() {
        let long = section(7, 250);
        let mut assembler = SectionAssembler::new(1024);
        // Only two bytes of the head fit into the first packet: not even the length is whole.
        let mut first = vec![181];
        first.extend([0xFF; 181]);
        first.extend(&long[..2]);
        assert_eq!(collect(&mut assembler, &first, true), []);
        assert_eq!(collect(&mut assembler, &long[2..186], false), []);
        let mut third = vec![(long.len() - 186) as u8];
        third.extend(&long[186..]);
        third.extend(section(8, 5));
        assert_eq!(collect(&mut assembler, &third, true), [Ok(long), Ok(section(8, 5))]);
    }

    #[test]
    fn cut_overlong_and_wild_pointer_are_told() {
        let mut assembler = SectionAssembler::new(1024);
        let mut start = vec![0];
        start.extend(&section(7, 250)[..100]);
        assert_eq!(collect(&mut assembler, &start, true), []);
        let mut next = vec![0];
        next.extend(section(1, 4));
        assert_eq!(collect(&mut assembler, &next, true), [Err(Fault::Cut), Ok(section(1, 4))]);
        assert_eq!(collect(&mut assembler, &[0, 5, 0x3F, 0xFF, 1], true), [Err(Fault::TooLong)]);
        assert_eq!(collect(&mut assembler, &[200, 5, 0x3F], true), [Err(Fault::Pointer)]);
    }
}
