//! Writes a transport stream of one program. Sans-IO: access units go in, blocks of whole packets come out.
//!
//! ```
//! use bytes::Bytes;
//! use millstream_ts::muxer::{StreamConfig, TsMuxer, TsMuxerSettings};
//! use millstream_ts::psi::Codec;
//!
//! let mut muxer = TsMuxer::new(TsMuxerSettings::default())?;
//! let video = muxer.add_stream(&StreamConfig::new(Codec::H264))?;
//! muxer.write(video, &[Bytes::from_static(&[0, 0, 0, 1, 0x65, 0x88])], 0, 0, true)?;
//! muxer.flush()?;
//! let block = muxer.take_ready().expect("PAT, PMT and a frame");
//! assert_eq!(block.len(), 3 * 188);
//! # Ok::<(), millstream_ts::muxer::MuxError>(())
//! ```
//!
//! What it keeps to: PAT and PMT every 100 ms and before each key frame; a PCR every 40 ms, never ahead of the DTS of what follows;
//! counters that never restart; stuffing in the adaptation field; a DTS only where it differs from the PTS. Media bytes are copied
//! once, straight into their packets.

mod aud;
mod blocks;
mod clock;
mod pes;
mod settings;
mod source;
mod stream;
mod tables;

use bytes::Bytes;
use millstream_codec::opus::ControlHeader;

pub use settings::{MuxError, MuxStats, StreamConfig, StreamId, TsMuxerSettings};

use self::blocks::Blocks;
use self::clock::Clock;
use self::stream::Stream;
use self::tables::Tables;
use crate::packet::{HEADER_SIZE, NULL_PACKET, PACKET_SIZE, Pid};
use crate::psi::{Codec, MAX_PRIVATE_SECTION, StreamClass, packetize_section};

/// First PID that is free for streams and PMTs (ISO/IEC 13818-1, table 2-3).
const FIRST_FREE_PID: u16 = 0x10;

/// Muxes the streams of one program.
#[derive(Debug)]
pub struct TsMuxer {
    settings: TsMuxerSettings,
    streams: Vec<Stream>,
    /// Index of the stream that carries the PCR.
    pcr_stream: usize,
    tables: Tables,
    stale_tables: bool,
    clock: Clock,
    blocks: Blocks,
    stats: MuxStats,
}

impl TsMuxer {
    /// A muxer without streams.
    ///
    /// # Errors
    /// If a setting makes no sense.
    pub fn new(settings: TsMuxerSettings) -> Result<Self, MuxError> {
        check(&settings)?;
        Ok(Self {
            clock: Clock::new(&settings),
            blocks: Blocks::new(settings.block_size),
            settings,
            streams: Vec::new(),
            pcr_stream: 0,
            tables: Tables::default(),
            stale_tables: true,
            stats: MuxStats::default(),
        })
    }

    /// Adds a stream; after the first `write` this gives the PMT a new version. The first video stream carries the PCR, or the first
    /// stream if there is none.
    ///
    /// # Errors
    /// If the PID is taken, reserved, or none is left, or a descriptor is too long.
    pub fn add_stream(&mut self, config: &StreamConfig) -> Result<StreamId, MuxError> {
        let pid = match config.pid {
            Some(pid) if self.is_free(pid) => pid,
            Some(pid) => return Err(MuxError::PidTaken(pid)),
            None => self.free_pid().ok_or(MuxError::NoFreePid)?,
        };
        self.streams.push(Stream::new(config, pid)?);
        self.choose_clock();
        Ok(StreamId(self.streams.len() - 1))
    }

    /// The set of streams has changed: which one carries the PCR, and new tables.
    fn choose_clock(&mut self) {
        let of = |class| self.streams.iter().position(|stream| !stream.removed && stream.class == class);
        self.pcr_stream = of(StreamClass::Video).or_else(|| of(StreamClass::Audio)).unwrap_or(0);
        self.stale_tables = true;
    }

    /// The PID of a stream.
    #[must_use]
    pub fn pid(&self, stream: StreamId) -> Option<Pid> {
        self.streams.get(stream.0).map(|stream| stream.pid)
    }

    /// Writes an access unit that is the bytes of `slices` one after the other. `pts` and `dts` are in 90 kHz ticks that need neither wrap
    /// nor be positive; units come in the order of their DTS over all streams, as far as `pcr-delay` reaches. Empty units are left out.
    ///
    /// H.264 and H.265 are byte streams (start codes), AAC is ADTS, Opus is bare packets (the control header is added here).
    ///
    /// # Errors
    /// If there is no such stream, the tables cannot be made, or a unit of a data stream is too long for a PES packet.
    pub fn write(&mut self, stream: StreamId, slices: &[Bytes], pts: i64, dts: i64, key: bool) -> Result<(), MuxError> {
        let Some(state) = self.streams.get(stream.0) else { return Err(MuxError::NoSuchStream) };
        let bytes: usize = slices.iter().map(Bytes::len).sum();
        if bytes == 0 {
            return Ok(());
        }
        let (codec, class) = (state.codec, state.class);
        self.release_pending(dts)?;
        if class != StreamClass::Audio {
            return self.write_pes(stream.0, slices, bytes, pts, dts, key);
        }
        if let Codec::Opus(_) = codec {
            let header = Bytes::from(ControlHeader { size: bytes, ..ControlHeader::default() }.write());
            return self.hold(stream.0, std::iter::once(&header).chain(slices), bytes + header.len(), pts, dts);
        }
        self.hold(stream.0, slices.iter(), bytes, pts, dts)
    }

    /// Writes a section (with its CRC) on a stream of sections, as SCTE-35 is. `dts` tells where it stands among the other streams.
    ///
    /// # Errors
    /// If there is no such stream or the section is longer than 4096 bytes.
    pub fn write_section(&mut self, stream: StreamId, section: &[u8], dts: i64) -> Result<(), MuxError> {
        let Some(pid) = self.pid(stream) else { return Err(MuxError::NoSuchStream) };
        if section.len() > MAX_PRIVATE_SECTION {
            return Err(MuxError::TooLong { size: section.len(), limit: MAX_PRIVATE_SECTION });
        }
        self.begin(stream.0, dts.saturating_add(self.settings.timestamp_offset), false)?;
        for packet in packetize_section(pid, section) {
            self.before_packet();
            let continuity = self.streams[stream.0].next_continuity();
            let out = self.blocks.packet();
            *out = packet;
            out[HEADER_SIZE - 1] |= continuity;
        }
        Ok(())
    }

    /// PAT and PMT come before the next unit, as at the start of a segment.
    pub const fn force_psi(&mut self) {
        self.tables.force();
    }

    /// A block that is full or was flushed; call until `None` after each `write`. Blocks are reused once all handles to them are gone.
    pub fn take_ready(&mut self) -> Option<Bytes> {
        self.blocks.take_ready()
    }

    /// Writes held audio and makes all that is written ready, as at the end of a segment or of the stream. Counters run on.
    ///
    /// # Errors
    /// If the tables cannot be made.
    pub fn flush(&mut self) -> Result<(), MuxError> {
        self.write_pending()?;
        self.blocks.flush();
        Ok(())
    }

    /// Writes held audio, so that what follows begins a new segment, without ending the block.
    ///
    /// # Errors
    /// If the tables cannot be made.
    pub fn write_pending(&mut self) -> Result<(), MuxError> {
        for index in 0..self.streams.len() {
            self.write_held(index)?;
        }
        Ok(())
    }

    /// What was written so far; held audio does not count.
    #[must_use]
    pub const fn stats(&self) -> MuxStats {
        MuxStats { bytes: self.blocks.total(), ..self.stats }
    }

    /// Takes a stream out of the PMT, which gets a new version; its PID is not used again. What it holds is written.
    ///
    /// # Errors
    /// If there is no such stream or the tables cannot be made.
    pub fn remove_stream(&mut self, stream: StreamId) -> Result<(), MuxError> {
        if stream.0 >= self.streams.len() {
            return Err(MuxError::NoSuchStream);
        }
        self.write_held(stream.0)?;
        self.streams[stream.0].removed = true;
        self.choose_clock();
        Ok(())
    }

    /// Makes what is written ready, however little, but leaves audio that waits to share a PES packet: for low latency.
    pub fn make_ready(&mut self) {
        self.blocks.flush();
    }

    /// Whether nothing is written that is not in a block handed out.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Adds null packets until the block under way, if there is one, has a multiple of so many packets.
    pub fn fill_block(&mut self, packets: usize) {
        while !self.blocks.is_empty() && !self.blocks.packets().is_multiple_of(packets.max(1)) {
            self.write_null();
        }
    }

    /// Adds a null packet; UDP datagrams of seven packets may need some at the end.
    pub fn write_null(&mut self) {
        *self.blocks.packet() = NULL_PACKET;
        self.stats.null_packets += 1;
    }

    fn is_free(&self, pid: Pid) -> bool {
        pid.get() >= FIRST_FREE_PID
            && pid != Pid::NULL
            && pid != self.settings.pmt_pid
            && self.streams.iter().all(|stream| stream.pid != pid)
    }

    fn free_pid(&self) -> Option<Pid> {
        (self.settings.first_pid.get()..Pid::NULL.get()).filter_map(Pid::new).find(|&pid| self.is_free(pid))
    }

    /// Puts an audio frame with those that wait, and writes them once they are enough.
    fn hold<'a>(
        &mut self,
        index: usize,
        slices: impl Iterator<Item = &'a Bytes>,
        bytes: usize,
        pts: i64,
        dts: i64,
    ) -> Result<(), MuxError> {
        let (most, longest) = (self.settings.audio_pes_bytes, self.settings.audio_pes_duration);
        let pending = &self.streams[index].pending;
        let fits =
            pending.bytes.saturating_add(bytes) <= most && (0..=longest).contains(&(dts.saturating_sub(pending.dts)));
        if !pending.slices.is_empty() && !fits {
            self.write_held(index)?;
        }
        let pending = &mut self.streams[index].pending;
        if pending.slices.is_empty() {
            (pending.pts, pending.dts) = (pts, dts);
        }
        pending.slices.extend(slices.cloned());
        pending.bytes += bytes;
        if pending.bytes >= most { self.write_held(index) } else { Ok(()) }
    }

    /// Writes the audio of streams that have been silent for longer than a PES packet may last.
    fn release_pending(&mut self, dts: i64) -> Result<(), MuxError> {
        let longest = self.settings.audio_pes_duration;
        for index in 0..self.streams.len() {
            let pending = &self.streams[index].pending;
            if !pending.slices.is_empty() && dts.saturating_sub(pending.dts) > longest {
                self.write_held(index)?;
            }
        }
        Ok(())
    }

    fn write_held(&mut self, index: usize) -> Result<(), MuxError> {
        let pending = &mut self.streams[index].pending;
        if pending.slices.is_empty() {
            return Ok(());
        }
        let (bytes, pts, dts) = (std::mem::take(&mut pending.bytes), pending.pts, pending.dts);
        let mut slices = std::mem::take(&mut pending.slices);
        let written = self.write_pes(index, &slices, bytes, pts, dts, true);
        // The list's memory serves the next packet.
        slices.clear();
        self.streams[index].pending.slices = slices;
        written
    }
}

fn check(settings: &TsMuxerSettings) -> Result<(), MuxError> {
    let wrong = |setting, expected| Err(MuxError::Setting { setting, expected });
    if settings.pcr_interval <= 0 {
        return wrong("pcr-interval", "more than 0");
    }
    if settings.pcr_delay < 0 {
        return wrong("pcr-delay", "0 or more");
    }
    if settings.bitrate.is_some_and(|rate| rate < PACKET_SIZE as u64 * 8) {
        return wrong("bitrate", "at least one packet (1504 bits) a second");
    }
    if settings.program_number == 0 {
        return wrong("program-number", "1 to 65535: 0 is the network PID");
    }
    if settings.pmt_pid.get() < FIRST_FREE_PID || settings.pmt_pid == Pid::NULL {
        return wrong("pmt-pid", "0x10 to 0x1FFE");
    }
    Ok(())
}
