//! PAT and PMT as ready packets, of which only the continuity counters change.

use super::blocks::Blocks;
use super::settings::TsMuxerSettings;
use super::stream::Stream;
use crate::error::ParseError;
use crate::packet::{PACKET_SIZE, Pid};
use crate::psi::{Codec, Descriptors, Pat, PatProgram, Pmt, packetize_section, tag};
use crate::timestamp::PTS_HZ;

/// A unit this much older than the last tables, 10 s, is of a new time line.
const MAX_BACK: i64 = 10 * PTS_HZ;

/// The packets of the tables and when they went out last.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pat: Vec<[u8; PACKET_SIZE]>,
    pmt: Vec<[u8; PACKET_SIZE]>,
    pat_continuity: u8,
    pmt_continuity: u8,
    version: u8,
    /// Time of the last tables, or `None`: they are due.
    last: Option<i64>,
}

impl Tables {
    /// Makes the tables anew; a change after they have been sent gets the next version.
    pub(super) fn rebuild(
        &mut self,
        settings: &TsMuxerSettings,
        streams: &[Stream],
        pcr_pid: Pid,
    ) -> Result<(), ParseError> {
        let version = if self.last.is_some() { (self.version + 1) & 0x1F } else { self.version };
        let listed = || streams.iter().filter(|stream| !stream.removed);
        let program = PatProgram { number: settings.program_number, pmt_pid: settings.pmt_pid };
        let pat = Pat {
            transport_stream_id: settings.transport_stream_id,
            version: 0,
            programs: vec![program],
            network_pid: None,
        };
        let pmt = Pmt {
            program_number: settings.program_number,
            version,
            pcr_pid,
            descriptors: program_descriptors(settings, streams)?,
            streams: listed().map(Stream::pmt_entry).collect(),
        };
        let (pat, pmt) = (pat.write()?, pmt.write()?);
        self.pat = packetize_section(Pid::PAT, &pat);
        self.pmt = packetize_section(settings.pmt_pid, &pmt);
        self.version = version;
        self.last = None;
        Ok(())
    }

    /// Makes them due, whatever the time.
    pub(super) const fn force(&mut self) {
        self.last = None;
    }

    /// Whether they are due at `now`. A unit that is a little older than the last, as another stream's may be, changes nothing.
    pub(super) fn due(&self, now: i64, interval: i64) -> bool {
        self.last.is_none_or(|last| {
            let since = now.saturating_sub(last);
            since >= interval || since < -MAX_BACK
        })
    }

    /// Writes them.
    pub(super) fn write(&mut self, now: i64, blocks: &mut Blocks) {
        self.last = Some(now);
        put(blocks, &self.pat, &mut self.pat_continuity);
        put(blocks, &self.pmt, &mut self.pmt_continuity);
    }
}

fn put(blocks: &mut Blocks, packets: &[[u8; PACKET_SIZE]], continuity: &mut u8) {
    for packet in packets {
        let out = blocks.packet();
        *out = *packet;
        out[3] |= *continuity;
        *continuity = (*continuity + 1) & 0x0F;
    }
}

/// SCTE-35 must be registered in the program; ID3 is announced by a metadata pointer (Apple, Timed Metadata for HLS).
fn program_descriptors(settings: &TsMuxerSettings, streams: &[Stream]) -> Result<Descriptors, ParseError> {
    let mut all = Descriptors::new();
    if streams.iter().any(|stream| stream.codec == Codec::Scte35) {
        all.push(tag::REGISTRATION, b"CUEI")?;
    }
    if streams.iter().any(|stream| stream.codec == Codec::Id3) {
        let mut data = *b"\xFF\xFFID3 \xFFID3 \x00\x1F\x00\x00";
        data[13..].copy_from_slice(&settings.program_number.to_be_bytes());
        all.push(tag::METADATA_POINTER, &data)?;
    }
    Ok(all)
}
