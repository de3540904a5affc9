//! What a [`super::TsDemuxer`] tells, and what it is told beforehand.

use std::sync::Arc;

use bytes::Bytes;

use crate::packet::Pid;
use crate::psi::{Codec, Descriptors};

/// Longest PES payload: an intra picture of 8K video at a high rate stays below.
const DEFAULT_MAX_PES: usize = 32 * 1024 * 1024;

/// Bytes of packets kept until the tables that explain them have come: some seconds of HD video.
const DEFAULT_MAX_EARLY: usize = 2 * 1024 * 1024;

/// How a [`super::TsDemuxer`] works.
#[derive(Debug, Clone)]
pub struct TsDemuxerSettings {
    /// Only this program is read; `None` reads all.
    pub program: Option<u16>,
    /// A PES payload that grows beyond this many bytes is delivered as corrupted, the rest dropped.
    pub max_pes_bytes: usize,
    /// Packets that come before the PMT are kept up to this many bytes, then dropped. 0 keeps none.
    pub max_early_bytes: usize,
}

impl Default for TsDemuxerSettings {
    fn default() -> Self {
        Self { program: None, max_pes_bytes: DEFAULT_MAX_PES, max_early_bytes: DEFAULT_MAX_EARLY }
    }
}

/// What was found in the stream, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The streams of a program are known, or have changed.
    Program(Arc<Program>),
    /// A program is no longer in the PAT.
    ProgramGone(u16),
    /// The payload of a PES packet.
    Pes(Pes),
    /// A section of a stream that travels in sections, as it is on the wire (its CRC unchecked).
    Section(SectionEvent),
    /// The program's clock.
    Pcr(PcrEvent),
    /// Bytes that are in no other event, or are known to be missing.
    Dropped(Dropped),
}

/// A program and its streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// program_number.
    pub number: u16,
    /// Where its PMT is.
    pub pmt_pid: Pid,
    /// Where its clock is.
    pub pcr_pid: Pid,
    /// version_number of the PMT.
    pub version: u8,
    /// Its descriptors.
    pub descriptors: Descriptors,
    /// Its streams, in the order of the PMT.
    pub streams: Vec<ProgramStream>,
}

/// A stream of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramStream {
    /// Its PID.
    pub pid: Pid,
    /// stream_type in the PMT.
    pub stream_type: u8,
    /// What stream_type and descriptors say that it is.
    pub codec: Codec,
    /// ISO 639-2 language.
    pub language: Option<[u8; 3]>,
    /// Its descriptors.
    pub descriptors: Descriptors,
}

/// The payload of one PES packet, in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pes {
    /// Program of the stream; the first, if several share it.
    pub program: u16,
    /// Its PID.
    pub pid: Pid,
    /// stream_id of the PES header.
    pub stream_id: u8,
    /// Presentation time in 90 kHz ticks on the program's time line, which does not wrap.
    pub pts: Option<i64>,
    /// Decoding time likewise, if the header has one.
    pub dts: Option<i64>,
    /// random_access_indicator of the packet that it began in.
    pub random_access: bool,
    /// data_alignment_indicator: an access unit begins with it.
    pub data_alignment: bool,
    /// Bytes are missing in it or at its end.
    pub corrupted: bool,
    /// Packets of the PID are missing before it, or the stream marks a jump.
    pub discontinuity: bool,
    /// Offset of its first packet in the input.
    pub offset: u64,
    /// The payload.
    pub data: Bytes,
}

/// A section of a stream in sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionEvent {
    /// Program of the stream.
    pub program: u16,
    /// Its PID.
    pub pid: Pid,
    /// Offset of the packet that ended it.
    pub offset: u64,
    /// From table_id to CRC.
    pub data: Bytes,
}

/// A program clock reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcrEvent {
    /// Whose clock this is.
    pub program: u16,
    /// 27 MHz ticks on the program's time line, which does not wrap.
    pub pcr: i64,
    /// The stream marks a new time base here.
    pub discontinuity: bool,
    /// Offset of its packet.
    pub offset: u64,
}

/// Bytes that were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Why.
    pub reason: DropReason,
    /// Of which PID, if known.
    pub pid: Option<Pid>,
    /// Where they begin in the input.
    pub offset: u64,
    /// How many; for [`DropReason::Lost`] none, as they never came.
    pub bytes: u64,
}

/// Why bytes were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// No packet begins in them.
    NoSync,
    /// The input ended inside a packet.
    CutPacket,
    /// transport_error_indicator is set.
    TransportError,
    /// The adaptation field runs past the packet.
    BadAdaptation,
    /// The continuity counter jumped: packets are missing before this offset.
    Lost,
    /// The packet came a second time.
    Duplicate,
    /// The payload is scrambled.
    Scrambled,
    /// PES payload whose beginning was not seen.
    NoStart,
    /// A PES header that cannot be read.
    BadPes,
    /// Payload behind the stated length of its PES packet.
    BehindPes,
    /// The PES payload outgrew its limit.
    PesTooLong,
    /// A section was cut, too long, or pointed past its packet.
    BadSection,
    /// A section with a wrong CRC.
    BadCrc,
    /// A PAT or PMT that cannot be read.
    BadTable,
    /// More programs or PIDs than the limits allow.
    TooMany,
    /// Packets whose PID no table had named when the wait for tables ended.
    Unnamed,
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = 16;

    /// The reason as it is written in reports: `no-sync`, `lost` ...
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSync => "no-sync",
            Self::CutPacket => "cut-packet",
            Self::TransportError => "transport-error",
            Self::BadAdaptation => "bad-adaptation-field",
            Self::Lost => "lost",
            Self::Duplicate => "duplicate",
            Self::Scrambled => "scrambled",
            Self::NoStart => "no-start",
            Self::BadPes => "bad-pes",
            Self::BehindPes => "behind-pes",
            Self::PesTooLong => "pes-too-long",
            Self::BadSection => "bad-section",
            Self::BadCrc => "bad-crc",
            Self::BadTable => "bad-table",
            Self::TooMany => "too-many",
            Self::Unnamed => "unnamed",
        }
    }
}

/// What a [`super::TsDemuxer`] has read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DemuxStats {
    /// Packets, of whatever PID.
    pub packets: u64,
    /// Packets of PIDs that no table names, null packets among them.
    pub unnamed: u64,
    /// PES packets delivered.
    pub pes: u64,
    /// Occurrences by reason, in the order of [`DropReason`].
    pub dropped: [u64; DropReason::COUNT],
    /// Bytes by reason.
    pub dropped_bytes: [u64; DropReason::COUNT],
}

impl DemuxStats {
    /// Occurrences and bytes of one reason.
    #[must_use]
    pub const fn of(&self, reason: DropReason) -> (u64, u64) {
        (self.dropped[reason as usize], self.dropped_bytes[reason as usize])
    }
}
