//! Finds the places in a transport stream where a segment can begin, and moves the stream's tables there.
//!
//! PAT and PMT of the first program are taken out of the stream and put back where they were and at the start of each segment,
//! with continuity counters of their own (ISO/IEC 13818-1, 2.4.3.3: counters count each PID's packets, so inserted ones have to be
//! counted). All other packets pass as they are.

use bytes::Bytes;
use millstream_core::{BlockPool, Time};
use millstream_ts::framer::{Frame as Found, Framer};
use millstream_ts::packet::{PACKET_SIZE, Packet, Pid};
use millstream_ts::pes::PesHeader;
use millstream_ts::psi::{Codec, MAX_PSI_SECTION, Pat, Pmt, Section, SectionAssembler, StreamClass};
use millstream_ts::timestamp::Unroller;

use crate::segmenter::{Cut, Frame, Segmenter};

const TS_HZ: u32 = 90_000;

/// Output is handed out in blocks of this many bytes.
const BLOCK: usize = 256 << 10;

/// Blocks that are used again: one on its way out and a spare.
const KEPT_BLOCKS: usize = 2;

/// Packets that a PAT or PMT section fills, with room for stuffing.
const MAX_TABLE_PACKETS: usize = 16;

/// A frame's type is looked for in its first packet, no further.
const MAX_SNIFFED: usize = PACKET_SIZE;

/// What the splitter asks for, in order.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Append these bytes to the open segment.
    Write(Bytes),
    /// End the open segment.
    Cut(Cut),
    /// Bytes that are no packet, or belong to no known program: why, how many, and the offset of the first.
    Dropped(&'static str, u64, u64),
}

/// Splits a transport stream. Whatever surrounds its packets is left out: what comes out are packets of 188 bytes.
pub(super) struct Splitter {
    segmenter: Segmenter,
    /// `None` where the next bytes do not go on from what came.
    framer: Option<Framer>,
    block: Vec<u8>,
    pool: BlockPool,
    pat: Table,
    pmt: Table,
    /// Stream that decides about cuts.
    leading: Option<(Pid, Codec)>,
    /// PIDs and codecs of the program, to see a change.
    streams: Vec<(Pid, Codec)>,
    /// Tables were here and have not been put back yet.
    tables_due: bool,
    unroller: Unroller,
    /// Bytes of packets that came before the tables, and the offset of the first.
    early: Option<(u64, u64)>,
}

/// A PAT or PMT: its packets, and the counter under which they go out.
struct Table {
    pid: Option<Pid>,
    assembler: SectionAssembler,
    gathering: Vec<[u8; PACKET_SIZE]>,
    packets: Vec<[u8; PACKET_SIZE]>,
    continuity: u8,
}

impl Table {
    fn new(pid: Option<Pid>) -> Self {
        Self {
            pid,
            assembler: SectionAssembler::new(MAX_PSI_SECTION),
            gathering: Vec::new(),
            packets: Vec::new(),
            continuity: 0,
        }
    }

    /// Takes a packet. Gives `read` each whole section of it, and keeps its packets when that says so.
    fn push(&mut self, raw: &[u8; PACKET_SIZE], packet: &Packet<'_>, mut read: impl FnMut(&Section<'_>) -> bool) {
        if packet.header.unit_start {
            self.gathering.clear();
        }
        if self.gathering.len() < MAX_TABLE_PACKETS {
            self.gathering.push(*raw);
        }
        let mut whole = false;
        self.assembler.push(packet.payload, packet.header.unit_start, |section| {
            let section = section.ok().and_then(|bytes| Section::parse(bytes).ok());
            whole |= section.is_some_and(|section| section.current && read(&section));
        });
        if whole {
            self.packets.clone_from(&self.gathering);
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        for packet in &self.packets {
            let start = out.len();
            out.extend_from_slice(packet);
            // The counter is the low half of the fourth byte; these packets have payload, so each one counts.
            if let Some(byte) = out.get_mut(start + 3) {
                *byte = *byte & 0xF0 | self.continuity;
            }
            self.continuity = (self.continuity + 1) & 0x0F;
        }
    }
}

impl Splitter {
    pub(super) fn new(segmenter: Segmenter) -> Self {
        Self {
            segmenter,
            framer: None,
            block: Vec::new(),
            pool: BlockPool::new(BLOCK, KEPT_BLOCKS),
            pat: Table::new(Some(Pid::PAT)),
            pmt: Table::new(None),
            leading: None,
            streams: Vec::new(),
            tables_due: false,
            unroller: Unroller::default(),
            early: None,
        }
    }

    /// Takes the next bytes of the stream, which are at this offset.
    pub(super) fn push(&mut self, bytes: &Bytes, offset: Option<u64>, steps: &mut Vec<Step>) {
        let mut framer = self.framer.take().unwrap_or_else(|| Framer::at(offset.unwrap_or(0)));
        framer.push(bytes.clone());
        self.frames(&mut framer, steps);
        self.framer = Some(framer);
    }

    /// The end: what is left belongs to the last segment.
    pub(super) fn finish(&mut self, steps: &mut Vec<Step>) {
        if let Some(mut framer) = self.framer.take() {
            framer.finish();
            self.frames(&mut framer, steps);
        }
        self.flush(steps);
        steps.extend(self.segmenter.finish().map(Step::Cut));
    }

    fn frames(&mut self, framer: &mut Framer, steps: &mut Vec<Step>) {
        while let Some(found) = framer.next() {
            match found {
                Found::Packet(raw, offset) => self.packet(raw, offset, steps),
                Found::Garbage { offset, bytes } => {
                    steps.push(Step::Dropped("bytes that are no packet", bytes, offset))
                }
                Found::Cut { offset, bytes } => steps.push(Step::Dropped("cut packet", bytes, offset)),
            }
        }
        if let Some((offset, bytes)) = self.early.take() {
            steps.push(Step::Dropped("packet before the tables", bytes, offset));
        }
    }

    /// Whatever follows does not go on from what came.
    pub(super) fn discontinuity(&mut self) {
        self.framer = None;
        self.segmenter.discontinuity();
    }

    /// True when there are bytes of a segment that have not been handed out yet.
    pub(super) fn has_begun(&self) -> bool {
        !self.block.is_empty()
    }

    /// See [`Segmenter::exceeds`].
    pub(super) fn exceeds(&self) -> bool {
        self.segmenter.exceeds()
    }

    fn packet(&mut self, raw: &[u8; PACKET_SIZE], offset: u64, steps: &mut Vec<Step>) {
        let Ok(packet) = Packet::parse(raw) else {
            return steps.push(Step::Dropped("bytes that are no packet", PACKET_SIZE as u64, offset));
        };
        let pid = Some(packet.header.pid);
        if pid == self.pat.pid {
            return self.read_pat(raw, &packet);
        }
        if pid == self.pmt.pid {
            return self.read_pmt(raw, &packet);
        }
        if self.pmt.packets.is_empty() {
            self.early.get_or_insert((offset, 0)).1 += PACKET_SIZE as u64;
            return;
        }
        if let Some(frame) = self.frame(&packet) {
            self.cut(frame, steps);
        }
        if std::mem::take(&mut self.tables_due) {
            self.pat.write(&mut self.block);
            self.pmt.write(&mut self.block);
        }
        self.block.extend_from_slice(raw);
        if self.block.len() + (2 * MAX_TABLE_PACKETS + 1) * PACKET_SIZE > BLOCK {
            self.flush(steps);
        }
    }

    fn cut(&mut self, frame: Frame, steps: &mut Vec<Step>) {
        if let Some(cut) = self.segmenter.frame(frame) {
            self.flush(steps);
            steps.push(Step::Cut(cut));
            self.tables_due = true;
        }
    }

    fn flush(&mut self, steps: &mut Vec<Step>) {
        if !self.block.is_empty() {
            let next = self.pool.take();
            let full = std::mem::replace(&mut self.block, next);
            steps.push(Step::Write(self.pool.freeze(full)));
        }
    }

    fn read_pat(&mut self, raw: &[u8; PACKET_SIZE], packet: &Packet<'_>) {
        let mut pmt_pid = None;
        self.pat.push(raw, packet, |section| {
            pmt_pid = Pat::parse(section).ok().and_then(|pat| pat.programs.first().map(|program| program.pmt_pid));
            pmt_pid.is_some()
        });
        if pmt_pid.is_some() && pmt_pid != self.pmt.pid {
            self.pmt = Table::new(pmt_pid);
        }
        self.tables_due = true;
    }

    fn read_pmt(&mut self, raw: &[u8; PACKET_SIZE], packet: &Packet<'_>) {
        let mut found = None;
        self.pmt.push(raw, packet, |section| {
            found = Pmt::parse(section).ok().or(found.take());
            found.is_some()
        });
        if let Some(pmt) = found {
            let codec = |stream: &millstream_ts::psi::PmtStream| (stream.pid, stream.codec(&pmt.descriptors));
            let streams: Vec<_> = pmt.streams.iter().map(codec).collect();
            if streams != self.streams {
                self.program(streams);
            }
        }
        self.tables_due = true;
    }

    /// The program has other streams than before.
    fn program(&mut self, streams: Vec<(Pid, Codec)>) {
        let of = |class| streams.iter().find(|(_, codec)| codec.class() == class).copied();
        self.leading = of(StreamClass::Video).or_else(|| of(StreamClass::Audio));
        self.streams = streams;
        self.segmenter.discontinuity();
    }

    /// The frame that begins in this packet, if it is one of the leading stream and says when it is shown.
    fn frame(&mut self, packet: &Packet<'_>) -> Option<Frame> {
        let (pid, codec) = self.leading?;
        if packet.header.pid != pid || !packet.header.unit_start || packet.header.scrambling != 0 {
            return None;
        }
        let (header, payload) = PesHeader::parse(packet.payload).ok()?;
        let (pts, dts) = self.unroller.unroll_pair(header.pts, header.dts);
        let pts = Time::from_ticks(pts?, TS_HZ);
        let dts = dts.map_or(pts, |dts| Time::from_ticks(dts, TS_HZ));
        let marked = packet.adaptation.as_ref().is_some_and(|field| field.random_access);
        let key =
            marked || codec.class() != StreamClass::Video || begins_with_key(codec, packet.payload.get(payload..)?);
        Some(Frame { pts, dts, key, duration: None, leading: true })
    }
}

/// Looks for a key picture at the beginning of an access unit, for streams that do not set random_access_indicator.
fn begins_with_key(codec: Codec, payload: &[u8]) -> bool {
    let payload = payload.get(..MAX_SNIFFED).unwrap_or(payload);
    let mut units = payload.windows(4).filter(|bytes| bytes.starts_with(&[0, 0, 1])).map(|bytes| bytes[3]);
    match codec {
        // nal_unit_type 5: IDR; 7: sequence parameter set (ISO/IEC 14496-10, table 7-1).
        Codec::H264 => units.any(|head| matches!(head & 0x1F, 5 | 7)),
        // 16 to 21: random access pictures; 32, 33: parameter sets (ISO/IEC 23008-2, table 7-1).
        Codec::H265 => units.any(|head| matches!(head >> 1 & 0x3F, 16..=21 | 32 | 33)),
        // sequence_header_code (ISO/IEC 13818-2, table 6-1).
        Codec::Mpeg1Video | Codec::Mpeg2Video => units.any(|head| head == 0xB3),
        _ => false,
    }
}
