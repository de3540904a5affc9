//! From packets to events: what a demuxer knows of its stream.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::event::{DemuxStats, DropReason, Dropped, Event, PcrEvent, Pes, Program, SectionEvent, TsDemuxerSettings};
use super::gather::{Gathered, Refused, Start};
use super::slot::{Continuity, Role, Slot};
use super::tables::{Change, Tables};
use crate::adaptation::AdaptationField;
use crate::error::ParseError;
use crate::framer::Frame;
use crate::packet::{HEADER_SIZE, PACKET_SIZE, PacketHeader, Pid};
use crate::psi::Fault;

/// PIDs that are followed. More than any multiplex has programs and streams; each takes some hundred bytes.
const MAX_SLOTS: usize = 1024;

/// Mark in the PID table of a PID that no table names.
const UNNAMED: u16 = u16::MAX;

/// PIDs below this carry tables of the system (ISO/IEC 13818-1 table 2-3, EN 300 468 table 1), never streams.
const FIRST_STREAM_PID: u16 = 0x20;

/// All that is known.
#[derive(Debug)]
pub(super) struct State {
    settings: TsDemuxerSettings,
    pub(super) events: VecDeque<Event>,
    pub(super) stats: DemuxStats,
    tables: Tables,
    slots: Vec<Slot>,
    /// Index into `slots` by PID.
    by_pid: Vec<u16>,
    /// Packets of unnamed PIDs while tables are missing; `None` once the wait is over.
    early: Option<Vec<(u64, [u8; PACKET_SIZE])>>,
    /// A PAT has come.
    has_pat: bool,
}

impl State {
    pub(super) fn new(settings: TsDemuxerSettings) -> Self {
        let mut this = Self {
            early: (settings.max_early_bytes > 0).then(Vec::new),
            settings,
            events: VecDeque::new(),
            stats: DemuxStats::default(),
            tables: Tables::default(),
            slots: Vec::new(),
            by_pid: vec![UNNAMED; Pid::COUNT],
            has_pat: false,
        };
        this.rebuild(0);
        this
    }

    /// Follows this program only, or all.
    pub(super) fn select(&mut self, program: Option<u16>, offset: u64) {
        if self.settings.program != program {
            self.settings.program = program;
            self.tables.select(program);
            self.rebuild(offset);
            if self.tables.complete() {
                // What is left is of programs that nobody wants.
                self.early = None;
            }
        }
    }

    pub(super) fn programs(&self) -> impl Iterator<Item = &Arc<Program>> {
        self.tables.programs.iter().filter_map(|state| state.known.as_ref().map(|(program, _)| program))
    }

    pub(super) fn programs_complete(&self) -> bool {
        self.tables.complete()
    }

    /// Takes what the framer found.
    #[inline]
    pub(super) fn frame(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Packet(packet, offset) => self.packet(packet, offset),
            Frame::Garbage { offset, bytes } => self.drop_bytes(DropReason::NoSync, None, offset, bytes),
            Frame::Cut { offset, bytes } => self.drop_bytes(DropReason::CutPacket, None, offset, bytes),
        }
    }

    /// Takes the next packet.
    #[inline]
    pub(super) fn packet(&mut self, bytes: &[u8; PACKET_SIZE], offset: u64) {
        self.stats.packets += 1;
        let header = PacketHeader::parse([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let index = usize::from(self.by_pid[usize::from(header.pid.get())]);
        // The usual case: the middle of a PES packet.
        if bytes[1] & 0xC0 == 0
            && bytes[3] & 0xF0 == 0x10
            && let Some(slot) = self.slots.get_mut(index)
            && matches!(slot.role, Role::Pes(..))
            && slot.run.is_none()
            && slot.continuity_follows(header.continuity)
            && let Role::Pes(_, gather) = &mut slot.role
        {
            let payload: &[u8; PACKET_SIZE - HEADER_SIZE] =
                bytes.last_chunk().expect("a packet is longer than its payload");
            let (done, refused) = gather.add(payload, self.settings.max_pes_bytes);
            if done.is_some() || refused.is_some() {
                self.deliver(index, done, refused, offset);
            }
            return;
        }
        if index == usize::from(UNNAMED) {
            self.unnamed(header.pid, bytes, offset);
        } else {
            self.named(index, &header, bytes, offset);
        }
    }

    /// Tells of bytes that are left out.
    pub(super) fn drop_bytes(&mut self, reason: DropReason, pid: Option<Pid>, offset: u64, bytes: u64) {
        self.stats.dropped[reason as usize] += 1;
        self.stats.dropped_bytes[reason as usize] += bytes;
        self.events.push_back(Event::Dropped(Dropped { reason, pid, offset, bytes }));
    }

    /// Delivers all that is under way.
    pub(super) fn finish(&mut self) {
        for index in 0..self.slots.len() {
            self.end_unit(index);
            self.end_run(index);
        }
        self.end_early();
    }

    /// Bytes are missing before this offset: delivers what is under way, with a hole.
    pub(super) fn hole(&mut self, offset: u64) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            slot.forget_counter();
            slot.discontinuity = true;
            let (refused, cut) = match &mut slot.role {
                Role::Pes(_, gather) => (gather.hole(), false),
                Role::Pat(sections) | Role::Pmt(sections) | Role::Sections(_, sections) => (None, sections.reset()),
                Role::Clock => (None, false),
            };
            let pid = slot.pid;
            self.deliver(index, None, refused, offset);
            self.end_unit(index);
            self.end_run(index);
            if cut {
                self.drop_bytes(DropReason::BadSection, Some(pid), offset, 0);
            }
        }
    }

    /// Forgets what is under way; tables stay.
    pub(super) fn reset(&mut self) {
        self.events.clear();
        for slot in &mut self.slots {
            slot.forget_counter();
            slot.run = None;
            slot.discontinuity = true;
            match &mut slot.role {
                Role::Pes(_, gather) => drop(gather.end()),
                Role::Pat(sections) | Role::Pmt(sections) | Role::Sections(_, sections) => drop(sections.reset()),
                Role::Clock => {}
            }
        }
    }

    fn unnamed(&mut self, pid: Pid, bytes: &[u8; PACKET_SIZE], offset: u64) {
        self.stats.unnamed += 1;
        let Some(early) = &mut self.early else { return };
        if pid == Pid::NULL || pid.get() < FIRST_STREAM_PID {
            return;
        }
        early.push((offset, *bytes));
        if early.len() * PACKET_SIZE > self.settings.max_early_bytes {
            self.end_early();
        }
    }

    /// The wait for tables is over: what no table has named is dropped.
    fn end_early(&mut self) {
        self.tell_early();
        self.early = None;
    }

    /// What came before these tables is of others that never were whole.
    fn tell_early(&mut self) {
        let early = self.early.as_mut().map(std::mem::take).unwrap_or_default();
        if let Some(&(offset, _)) = early.first() {
            self.drop_bytes(DropReason::Unnamed, None, offset, (early.len() * PACKET_SIZE) as u64);
        }
    }

    /// Reads the early packets whose PIDs have a name by now.
    fn read_early(&mut self) {
        let Some(early) = self.early.take() else { return };
        let mut rest = Vec::new();
        for (offset, bytes) in early {
            let pid = Pid::from_bits(u16::from_be_bytes([bytes[1], bytes[2]]));
            if self.by_pid[usize::from(pid.get())] == UNNAMED {
                rest.push((offset, bytes));
            } else {
                self.stats.packets -= 1;
                self.stats.unnamed -= 1;
                self.packet(&bytes, offset);
            }
        }
        self.early = Some(rest);
        if self.tables.complete() {
            self.end_early();
        }
    }

    /// Takes a packet of a PID that a table names.
    fn named(&mut self, index: usize, header: &PacketHeader, bytes: &[u8; PACKET_SIZE], offset: u64) {
        let pid = Some(header.pid);
        if header.transport_error {
            return self.drop_bytes(DropReason::TransportError, pid, offset, PACKET_SIZE as u64);
        }
        let body = &bytes[HEADER_SIZE..];
        let (field, payload) = if header.has_adaptation {
            match AdaptationField::parse(body) {
                Ok(parts) => parts,
                Err(_) => return self.drop_bytes(DropReason::BadAdaptation, pid, offset, PACKET_SIZE as u64),
            }
        } else {
            (AdaptationField::default(), body)
        };
        self.clock(index, &field, offset);
        let slot = &mut self.slots[index];
        slot.discontinuity |= field.discontinuity;
        if !header.has_payload {
            if field.discontinuity {
                slot.forget_counter();
            }
            return;
        }
        if !self.continuity(index, header.continuity, field.discontinuity, payload, offset) {
            return;
        }
        if header.scrambling != 0 {
            return self.extend_run(index, DropReason::Scrambled, offset, PACKET_SIZE as u64);
        }
        match self.slots[index].role {
            Role::Pes(..) => self.pes(index, header.unit_start, field.random_access, payload, offset),
            Role::Clock => {}
            _ => self.sections(index, header.unit_start, payload, offset),
        }
    }

    /// Checks the counter; tells of packets that are missing or come twice. `false`: the packet is to be left out.
    fn continuity(&mut self, index: usize, counter: u8, marked: bool, payload: &[u8], offset: u64) -> bool {
        let slot = &mut self.slots[index];
        let pid = Some(slot.pid);
        match slot.count(counter, marked) {
            Continuity::Good => return true,
            Continuity::Same => {
                let same = match &slot.role {
                    Role::Pes(_, gather) => gather.ends_with(payload),
                    _ => true,
                };
                if same && slot.repeat() {
                    self.drop_bytes(DropReason::Duplicate, pid, offset, PACKET_SIZE as u64);
                    return false;
                }
            }
            Continuity::Gap => {}
        }
        slot.discontinuity = true;
        let (refused, cut) = match &mut slot.role {
            Role::Pes(_, gather) => (gather.hole(), false),
            Role::Pat(sections) | Role::Pmt(sections) | Role::Sections(_, sections) => (None, sections.reset()),
            Role::Clock => return true,
        };
        self.drop_bytes(DropReason::Lost, pid, offset, 0);
        if cut {
            self.drop_bytes(DropReason::BadSection, pid, offset, 0);
        }
        self.deliver(index, None, refused, offset);
        true
    }

    /// Tells of a PCR to each program whose clock this PID has.
    fn clock(&mut self, index: usize, field: &AdaptationField<'_>, offset: u64) {
        let Some(pcr) = field.pcr else { return };
        for &program in &self.slots[index].clocks {
            let Some(state) = self.tables.program(program) else { continue };
            self.events.push_back(Event::Pcr(PcrEvent {
                program: state.number,
                pcr: state.clock.unroll_pcr(pcr),
                discontinuity: field.discontinuity,
                offset,
            }));
        }
    }

    fn pes(&mut self, index: usize, unit_start: bool, random_access: bool, payload: &[u8], offset: u64) {
        if unit_start {
            self.end_unit(index);
            self.end_run(index);
        }
        let limit = self.settings.max_pes_bytes;
        let slot = &mut self.slots[index];
        let Role::Pes(_, gather) = &mut slot.role else { return };
        if unit_start {
            let discontinuity = std::mem::take(&mut slot.discontinuity);
            gather.begin(Start { offset, random_access, discontinuity });
        }
        let (done, refused) = gather.add(payload, limit);
        self.deliver(index, done, refused, offset);
    }

    /// Ends the PES packet under way.
    fn end_unit(&mut self, index: usize) {
        if let Role::Pes(_, gather) = &mut self.slots[index].role {
            let (done, refused) = gather.end();
            let offset = done.as_ref().map_or(0, |done| done.start.offset);
            self.deliver(index, done, refused, offset);
        }
    }

    /// Makes events of a gathered packet and of bytes that had no place.
    fn deliver(&mut self, index: usize, done: Option<Gathered>, refused: Refused, offset: u64) {
        let slot = &self.slots[index];
        if let Some(done) = done
            && let Some(program) = self.tables.program(slot.program)
        {
            let (pts, dts) = program.clock.unroll_pair(done.pts, done.dts);
            self.stats.pes += 1;
            self.events.push_back(Event::Pes(Pes {
                program: program.number,
                pid: slot.pid,
                stream_id: done.stream_id,
                pts,
                dts,
                random_access: done.start.random_access,
                data_alignment: done.data_alignment,
                corrupted: done.corrupted,
                discontinuity: done.start.discontinuity,
                offset: done.start.offset,
                data: done.data,
            }));
        }
        if let Some((reason, bytes)) = refused.filter(|(_, bytes)| *bytes > 0) {
            self.extend_run(index, reason, offset, bytes as u64);
        }
    }

    /// Adds to the run of dropped bytes of a PID; it is told as one when it ends.
    fn extend_run(&mut self, index: usize, reason: DropReason, offset: u64, bytes: u64) {
        match &mut self.slots[index].run {
            Some((same, _, sum)) if *same == reason => *sum += bytes,
            run => {
                let before = run.replace((reason, offset, bytes));
                self.tell_run(index, before);
            }
        }
    }

    fn end_run(&mut self, index: usize) {
        let run = self.slots[index].run.take();
        self.tell_run(index, run);
    }

    fn tell_run(&mut self, index: usize, run: Option<(DropReason, u64, u64)>) {
        if let Some((reason, offset, bytes)) = run {
            let pid = self.slots[index].pid;
            self.drop_bytes(reason, Some(pid), offset, bytes);
        }
    }

    /// Gathers sections and takes those that are whole.
    fn sections(&mut self, index: usize, unit_start: bool, payload: &[u8], offset: u64) {
        self.end_run(index);
        let slot = &mut self.slots[index];
        let (pid, program) = (slot.pid, slot.program);
        let mut found: Vec<Result<Bytes, Fault>> = Vec::new();
        let mut push = |sections: &mut crate::psi::SectionAssembler| {
            sections.push(payload, unit_start, |one| found.push(one.map(Bytes::copy_from_slice)));
        };
        let is_pat = matches!(slot.role, Role::Pat(_));
        let is_stream = matches!(slot.role, Role::Sections(..));
        match &mut slot.role {
            Role::Pat(sections) | Role::Pmt(sections) | Role::Sections(_, sections) => push(sections),
            Role::Pes(..) | Role::Clock => return,
        }
        for one in found {
            match one {
                Err(_) => self.drop_bytes(DropReason::BadSection, Some(pid), offset, payload.len() as u64),
                Ok(data) if is_stream => self.stream_section(program, pid, data, offset),
                Ok(data) => self.table(is_pat, pid, &data, offset),
            }
        }
    }

    fn stream_section(&mut self, program: u16, pid: Pid, data: Bytes, offset: u64) {
        self.events.push_back(Event::Section(SectionEvent { program, pid, offset, data }));
    }

    /// Takes a section of PAT or PMT.
    fn table(&mut self, is_pat: bool, pid: Pid, data: &[u8], offset: u64) {
        let change =
            if is_pat { self.tables.take_pat(data, self.settings.program) } else { self.tables.take_pmt(pid, data) };
        match change {
            Ok(Change::Nothing) => {}
            Ok(Change::Programs { gone, refused }) => {
                if std::mem::replace(&mut self.has_pat, true) {
                    self.tell_early();
                }
                self.rebuild(offset);
                self.events.extend(gone.into_iter().map(Event::ProgramGone));
                if refused {
                    self.drop_bytes(DropReason::TooMany, Some(pid), offset, 0);
                }
            }
            Ok(Change::Streams(index)) => {
                self.rebuild(offset);
                let known = self.tables.programs.get(index).and_then(|state| state.known.as_ref());
                self.events.extend(known.map(|(program, _)| Event::Program(Arc::clone(program))));
                self.read_early();
            }
            Err(ParseError::Crc { .. }) => self.drop_bytes(DropReason::BadCrc, Some(pid), offset, data.len() as u64),
            Err(_) => self.drop_bytes(DropReason::BadTable, Some(pid), offset, data.len() as u64),
        }
    }

    /// Makes the PID table anew from the tables. PIDs that keep their role keep their state; units of the others are delivered first.
    fn rebuild(&mut self, offset: u64) {
        let wanted = self.wanted();
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if !wanted.iter().any(|new| new.pid == slot.pid && new.role.is_like(&slot.role)) {
                self.end_unit(index);
                self.end_run(index);
            }
        }
        let mut old = std::mem::take(&mut self.slots);
        self.by_pid.fill(UNNAMED);
        let refused = wanted.len() > MAX_SLOTS;
        for mut new in wanted.into_iter().take(MAX_SLOTS) {
            if let Some(at) = old.iter().position(|slot| slot.pid == new.pid && slot.role.is_like(&new.role)) {
                let mut kept = old.swap_remove(at);
                (kept.clocks, kept.program) = (new.clocks, new.program);
                new = kept;
            }
            self.by_pid[usize::from(new.pid.get())] = self.slots.len() as u16;
            self.slots.push(new);
        }
        self.tables.forget_gone();
        if refused {
            self.drop_bytes(DropReason::TooMany, None, offset, 0);
        }
    }

    /// The PIDs that the tables name, each once: the first that claims a PID has it.
    fn wanted(&self) -> Vec<Slot> {
        let mut all = vec![Slot::new(Pid::PAT, Role::pat(), 0)];
        let mut place = vec![UNNAMED; Pid::COUNT];
        place[0] = 0;
        let mut claim = |pid: Pid, role: Role, program: u16| -> usize {
            let at = &mut place[usize::from(pid.get())];
            if *at == UNNAMED {
                *at = all.len() as u16;
                all.push(Slot::new(pid, role, program));
            } else if let Some(slot) = all.get_mut(usize::from(*at))
                && matches!(slot.role, Role::Clock)
            {
                (slot.role, slot.program) = (role, program);
            }
            usize::from(*at)
        };
        for state in &self.tables.programs {
            claim(state.pmt_pid, Role::pmt(), state.number);
        }
        let mut clocks = Vec::new();
        for (program, _) in self.tables.programs.iter().filter_map(|state| state.known.as_ref()) {
            for stream in &program.streams {
                claim(stream.pid, Role::stream(stream.codec), program.number);
            }
            if program.pcr_pid != Pid::NULL {
                clocks.push((claim(program.pcr_pid, Role::Clock, program.number), program.number));
            }
        }
        for (slot, program) in clocks {
            if let Some(slot) = all.get_mut(slot) {
                slot.clocks.push(program);
            }
        }
        all
    }
}
