//! What a user of [`super::TsMuxer`] may set, and what can go wrong in it.

use thiserror::Error;

use crate::error::ParseError;
use crate::packet::Pid;
use crate::psi::{Codec, Descriptors};

/// Blocks of this many bytes (1394 packets) stay in a core's L2 cache.
const DEFAULT_BLOCK: usize = 256 * 1024;

/// How a [`super::TsMuxer`] works. Times are in ticks of 90 kHz.
#[derive(Debug, Clone)]
pub struct TsMuxerSettings {
    /// Bytes of an output block, rounded down to whole packets (at least one). Default 256 KiB.
    pub block_size: usize,
    /// PAT and PMT are repeated when this much time has passed. Default 100 ms.
    pub psi_interval: i64,
    /// PAT and PMT come before each video key frame. Default yes.
    pub psi_at_key_frames: bool,
    /// Longest distance of two PCRs. Default 40 ms; ETSI TR 101 290 allows 100 ms.
    pub pcr_interval: i64,
    /// How far the PCR stays behind the DTS of what is sent: the time a receiver's buffer holds. Default 700 ms.
    pub pcr_delay: i64,
    /// Added to each PTS and DTS, so that a stream that starts at 0 has no negative DTS or PCR. Default 1.4 s.
    pub timestamp_offset: i64,
    /// transport_stream_id in the PAT. Default 1.
    pub transport_stream_id: u16,
    /// program_number. Default 1.
    pub program_number: u16,
    /// PID of the PMT. Default 0x1000.
    pub pmt_pid: Pid,
    /// PID of the first stream; the next ones follow. Default 0x100.
    pub first_pid: Pid,
    /// Audio frames are put into one PES packet up to this many bytes; 0 gives each its own. Default 2930: 16 packets.
    pub audio_pes_bytes: usize,
    /// An audio PES packet begins at most this much before its last frame. Default 100 ms.
    pub audio_pes_duration: i64,
    /// Video PES packets state their length where it fits 16 bits. Default no: length 0, as most writers do.
    pub video_pes_length: bool,
    /// H.264 and H.265 access units without an access unit delimiter get one; Apple's players need it. Default yes.
    pub insert_aud: bool,
    /// Constant bit rate in bits a second: null packets fill the stream, and PCRs follow the byte count exactly. Default none.
    pub bitrate: Option<u64>,
}

impl Default for TsMuxerSettings {
    fn default() -> Self {
        Self {
            block_size: DEFAULT_BLOCK,
            psi_interval: 9_000,
            psi_at_key_frames: true,
            pcr_interval: 3_600,
            pcr_delay: 63_000,
            timestamp_offset: 126_000,
            transport_stream_id: 1,
            program_number: 1,
            pmt_pid: Pid::from_bits(0x1000),
            first_pid: Pid::from_bits(0x100),
            audio_pes_bytes: 2_930,
            audio_pes_duration: 9_000,
            video_pes_length: false,
            insert_aud: true,
            bitrate: None,
        }
    }
}

/// A stream to be muxed.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// What it carries; gives stream_type, PES stream_id and descriptors.
    pub codec: Codec,
    /// ISO 639-2 language, three characters.
    pub language: Option<[u8; 3]>,
    /// Its PID; `None` takes the next free one.
    pub pid: Option<Pid>,
    /// Further descriptors, behind those that the codec gives.
    pub descriptors: Descriptors,
}

impl StreamConfig {
    /// A stream of this codec with nothing special.
    #[must_use]
    pub const fn new(codec: Codec) -> Self {
        Self { codec, language: None, pid: None, descriptors: Descriptors::new() }
    }
}

/// A stream of a [`super::TsMuxer`], as `add_stream` returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId(pub(super) usize);

/// What a [`super::TsMuxer`] has written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MuxStats {
    /// Bytes of all packets, also those still in the block under way.
    pub bytes: u64,
    /// Null packets among them.
    pub null_packets: u64,
    /// PES packets.
    pub pes_packets: u64,
    /// PES packets that begin after their DTS on the program's clock: `pcr-delay` is less than the streams' interleaving, or `bitrate` is
    /// too low.
    pub late: u64,
    /// Jumps of the clock that were marked by a discontinuity_indicator.
    pub discontinuities: u64,
}

/// Why a [`super::TsMuxer`] refuses something.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MuxError {
    /// The `StreamId` is of another muxer.
    #[error("no such stream in this muxer")]
    NoSuchStream,
    /// Two streams, or a stream and a table, want one PID, or the PID is reserved.
    #[error("PID {0} is taken or reserved")]
    PidTaken(Pid),
    /// No PID is left.
    #[error("no free PID for another stream")]
    NoFreePid,
    /// A data unit that must not be split is longer than a PES packet or section may be.
    #[error("a data unit of {size} bytes is too long; at most {limit} fit")]
    TooLong {
        /// Its bytes.
        size: usize,
        /// The most that fit.
        limit: usize,
    },
    /// The PMT would be too long, or the like.
    #[error("tables: {0}")]
    Tables(#[from] ParseError),
    /// A setting makes no sense.
    #[error("setting {setting}: {expected}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}
