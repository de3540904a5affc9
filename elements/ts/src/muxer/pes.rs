//! The inner part of the muxer: a PES packet becomes transport packets.

use bytes::Bytes;

use super::aud::{MAX_AUD, missing_aud};
use super::clock::Step;
use super::source::Source;
use super::{MuxError, TsMuxer};
use crate::adaptation::AdaptationField;
use crate::packet::{HEADER_SIZE, MAX_PAYLOAD, NULL_PACKET, PACKET_SIZE, PacketHeader};
use crate::pes::{MAX_PES_LENGTH, PES_FIXED, PesHeader};
use crate::psi::StreamClass;
use crate::timestamp::{PCR_PER_PTS, Pcr, WRAP};

/// Bytes that a PES header of ours takes of the 65535 that the length field counts: flags, header length, PTS and DTS.
const HEADER_IN_LENGTH: usize = 13;

/// Most payload of a PES packet that states its length.
const MAX_BOUNDED: usize = MAX_PES_LENGTH - HEADER_IN_LENGTH;

/// What the first packet of a frame carries besides payload.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lead {
    pcr: Option<Pcr>,
    discontinuity: bool,
}

impl TsMuxer {
    /// Writes one PES packet, or several if a long audio unit must be split.
    pub(super) fn write_pes(
        &mut self,
        index: usize,
        slices: &[Bytes],
        bytes: usize,
        pts: i64,
        dts: i64,
        key: bool,
    ) -> Result<(), MuxError> {
        let (codec, class, stream_id) = {
            let stream = &self.streams[index];
            (stream.codec, stream.class, stream.stream_id)
        };
        let video = class == StreamClass::Video;
        if class == StreamClass::Data && bytes > MAX_BOUNDED {
            return Err(MuxError::TooLong { size: bytes, limit: MAX_BOUNDED });
        }
        let offset = self.settings.timestamp_offset;
        let (pts, dts) = (pts.saturating_add(offset), dts.saturating_add(offset));
        let lead = self.begin(index, dts, key && video)?;
        let random_access = key && (video || lead.pcr.is_some() && class == StreamClass::Audio);
        let aud = if self.settings.insert_aud { missing_aud(codec, slices) } else { &[] };
        let mut field = AdaptationField {
            random_access,
            pcr: lead.pcr,
            discontinuity: lead.discontinuity,
            ..AdaptationField::default()
        };
        let mut header = PesHeader {
            stream_id,
            data_alignment: true,
            pts: Some(wrap(pts)),
            dts: (pts != dts).then(|| wrap(dts)),
            payload_len: None,
        };
        let mut source = Source::new(slices);
        let mut left = bytes;
        let mut prefix = aud;
        while left > 0 {
            let now = if video { left } else { left.min(MAX_BOUNDED) };
            if !video || self.settings.video_pes_length {
                header.payload_len = Some(now + prefix.len());
            }
            self.put_pes(index, &header, prefix, field, &mut source, now);
            left -= now;
            // What follows of a split unit has no time of its own.
            (prefix, field) = (&[], AdaptationField::default());
            header = PesHeader { data_alignment: false, pts: None, dts: None, ..header };
        }
        Ok(())
    }

    /// Brings tables and clock to where a unit of this DTS (with offset) can be sent.
    pub(super) fn begin(&mut self, index: usize, dts: i64, video_key: bool) -> Result<Lead, MuxError> {
        if self.stale_tables {
            let pcr_pid = self.streams[self.pcr_stream].pid;
            self.tables.rebuild(&self.settings, &self.streams, pcr_pid)?;
            self.stale_tables = false;
        }
        let leads = index == self.pcr_stream;
        let target = self.clock.target(dts);
        let step = self.clock.step(target, leads, self.blocks.total());
        if step == Step::Jump {
            self.stats.discontinuities += 1;
        }
        if self.clock.reaches(target, self.blocks.total()) {
            self.pad_until(target);
            while let Some(pcr) = self.clock.overdue(target) {
                self.put_pcr_only(pcr, false);
            }
        }
        if video_key && self.settings.psi_at_key_frames || self.tables.due(dts, self.settings.psi_interval) {
            self.tables.write(dts, &mut self.blocks);
        }
        let lead = self.lead(leads, target, video_key, step == Step::Jump);
        if self.clock.now(self.blocks.total()).is_some_and(|now| now > dts.saturating_mul(PCR_PER_PTS)) {
            self.stats.late += 1;
        }
        Ok(lead)
    }

    /// The PCR that goes with the first packet of a unit; where the unit is of another stream, a first PCR goes ahead of it.
    fn lead(&mut self, leads: bool, target: i64, key: bool, jump: bool) -> Lead {
        let sent = self.blocks.total();
        let pcr = if self.clock.is_constant() {
            self.clock.at_byte(sent).filter(|_| leads || self.clock.packets_until_due(sent) == 0)
        } else if leads {
            self.clock.on_frame(target, key)
        } else {
            self.clock.on_frame(target, false).filter(|_| self.clock.now(sent).is_none())
        };
        let Some(pcr) = pcr else { return Lead::default() };
        if !leads {
            self.put_pcr_only(pcr, jump);
            return Lead::default();
        }
        self.clock.sent(pcr, sent);
        Lead { pcr: Some(Pcr::from_ticks(pcr)), discontinuity: jump }
    }

    /// With a bit rate: fills up with null packets, tables and PCRs until the clock has come to `target`.
    fn pad_until(&mut self, target: i64) {
        while self.clock.is_constant() && self.clock.scheduled(self.blocks.total()).is_some_and(|now| now < target) {
            if self.clock.packets_until_due(self.blocks.total()) == 0 {
                self.before_packet();
                continue;
            }
            *self.blocks.packet() = NULL_PACKET;
            self.stats.null_packets += 1;
        }
    }

    /// With a bit rate: sends the PCR that is due.
    pub(super) fn before_packet(&mut self) {
        let sent = self.blocks.total();
        if self.clock.packets_until_due(sent) == 0
            && let Some(pcr) = self.clock.at_byte(sent)
        {
            self.put_pcr_only(pcr, false);
        }
    }

    /// A packet on the PCR's PID with a PCR and nothing else; its counter stands still.
    fn put_pcr_only(&mut self, pcr: i64, discontinuity: bool) {
        self.clock.sent(pcr, self.blocks.total());
        let stream = &self.streams[self.pcr_stream];
        let header = PacketHeader {
            has_adaptation: true,
            has_payload: false,
            ..PacketHeader::new(stream.pid, false, stream.same_continuity())
        };
        let field = AdaptationField { pcr: Some(Pcr::from_ticks(pcr)), discontinuity, ..AdaptationField::default() };
        put_packet(self.blocks.packet(), header, &field, 0);
    }

    /// Packets of one PES: `prefix` and `len` bytes of `source`.
    fn put_pes(
        &mut self,
        index: usize,
        header: &PesHeader,
        prefix: &[u8],
        field: AdaptationField<'_>,
        source: &mut Source<'_>,
        len: usize,
    ) {
        self.stats.pes_packets += 1;
        let (pes, pes_len) = header.write();
        let mut head = [0; PES_FIXED + 10 + MAX_AUD];
        let head_len = pes_len + prefix.len();
        head[..pes_len].copy_from_slice(&pes[..pes_len]);
        head[pes_len..head_len].copy_from_slice(prefix);

        let plain = field == AdaptationField::default();
        let room = if plain { MAX_PAYLOAD } else { MAX_PAYLOAD - field.min_size() };
        let payload = room.min(head_len + len);
        let packet_header = self.payload_header(index, true);
        let out = put_packet(self.blocks.packet(), packet_header, &field, payload);
        out[..head_len].copy_from_slice(&head[..head_len]);
        source.copy_to(&mut out[head_len..]);
        self.put_body(index, source, len - (payload - head_len));
    }

    /// The packets behind the first: whole ones, then one with the stuffing.
    fn put_body(&mut self, index: usize, source: &mut Source<'_>, mut left: usize) {
        while left >= MAX_PAYLOAD {
            let due = self.clock.packets_until_due(self.blocks.total());
            if due == 0 {
                self.before_packet();
                continue;
            }
            let (chunks, _) = source.front().as_chunks::<MAX_PAYLOAD>();
            let count = if chunks.is_empty() {
                self.put_gathered(index, source, MAX_PAYLOAD);
                1
            } else {
                let count = self.put_run(index, &chunks[..chunks.len().min(due).min(left / MAX_PAYLOAD)]);
                source.advance(count * MAX_PAYLOAD);
                count
            };
            left -= count * MAX_PAYLOAD;
        }
        if left > 0 {
            self.before_packet();
            self.put_gathered(index, source, left);
        }
    }

    /// The tight loop: a header and 184 bytes a packet, source and block in one piece. Returns how many packets it wrote.
    fn put_run(&mut self, index: usize, chunks: &[[u8; MAX_PAYLOAD]]) -> usize {
        let stream = &mut self.streams[index];
        let mut header = PacketHeader::new(stream.pid, false, 0).write();
        let plain = header[3];
        let mut continuity = stream.continuity;
        let run = self.blocks.run(chunks.len());
        for (packet, chunk) in run.iter_mut().zip(chunks) {
            header[3] = plain | continuity & 0x0F;
            continuity = continuity.wrapping_add(1);
            packet[..HEADER_SIZE].copy_from_slice(&header);
            packet[HEADER_SIZE..].copy_from_slice(chunk);
        }
        stream.continuity = continuity & 0x0F;
        run.len()
    }

    /// One packet whose payload is in several slices, or is less than a packet holds.
    fn put_gathered(&mut self, index: usize, source: &mut Source<'_>, payload: usize) {
        let header = self.payload_header(index, false);
        let out = put_packet(self.blocks.packet(), header, &AdaptationField::default(), payload);
        source.copy_to(out);
    }

    fn payload_header(&mut self, index: usize, unit_start: bool) -> PacketHeader {
        let stream = &mut self.streams[index];
        PacketHeader::new(stream.pid, unit_start, stream.next_continuity())
    }
}

/// Writes header and adaptation field so that `payload` bytes are left, and returns these. The field is as short as the payload allows;
/// one that says nothing is there for stuffing only.
fn put_packet<'p>(
    packet: &'p mut [u8; PACKET_SIZE],
    header: PacketHeader,
    field: &AdaptationField<'_>,
    payload: usize,
) -> &'p mut [u8] {
    let field_size = MAX_PAYLOAD - payload;
    let header = PacketHeader { has_adaptation: field_size > 0, ..header };
    packet[..HEADER_SIZE].copy_from_slice(&header.write());
    let (adaptation, out) = packet[HEADER_SIZE..].split_at_mut(field_size);
    if field_size > 0 {
        let fits = field.write(adaptation);
        debug_assert!(fits, "the caller has left room for the field");
    }
    out
}

/// The 33 bits of a time that go on the wire.
const fn wrap(time: i64) -> u64 {
    time.rem_euclid(WRAP) as u64
}
