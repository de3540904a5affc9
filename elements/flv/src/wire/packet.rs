//! What a tag body holds: packets of tracks.

use bytes::Bytes;
use smallvec::SmallVec;

use super::codec::{AudioCodec, VideoCodec};

/// What the payload of a [`TrackPacket`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// Decoder configuration: an AVCDecoderConfigurationRecord, AudioSpecificConfig, OpusHead ... (`SequenceStart`).
    Config,
    /// One access unit.
    Frame {
        /// A decoder can start here. Always true for audio.
        key: bool,
        /// Presentation minus decoding time in milliseconds, -2^23 .. 2^23 - 1. Zero for audio.
        composition_time_ms: i32,
        /// To be added to the presentation time, nanoseconds, 0 .. 999 999 (ModEx `TimestampOffsetNano`).
        nano_offset: u32,
    },
    /// No more packets of this track (`SequenceEnd`, AVC end of sequence). No payload.
    End,
    /// AMF-encoded name and value pairs, `colorInfo` among them (video only).
    Metadata,
    /// Speaker layout: see [`MultichannelConfig`](super::MultichannelConfig) (audio only).
    MultichannelConfig,
    /// An AV1 video descriptor as MPEG-2 TS carries it (`MPEG2TSSequenceStart`, video only).
    Mpeg2TsConfig,
}

impl PacketKind {
    /// A name for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Config => "configuration",
            Self::Frame { .. } => "frame",
            Self::End => "end of sequence",
            Self::Metadata => "metadata",
            Self::MultichannelConfig => "multichannel configuration",
            Self::Mpeg2TsConfig => "MPEG-2 TS configuration",
        }
    }

    /// The nanosecond offset of a frame, else 0.
    pub(super) fn nano_offset(self) -> u32 {
        match self {
            Self::Frame { nano_offset, .. } => nano_offset,
            _ => 0,
        }
    }
}

/// Which header a writer puts ahead of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeaderForm {
    /// The legacy header where it can express the packet, else the extended one.
    #[default]
    Auto,
    /// The extended header for every codec with a FourCC; the legacy one for the others.
    Extended,
    /// As [`HeaderForm::Auto`], but HEVC in the unofficial legacy form with codec id 12.
    HevcAlias,
}

/// A packet of one track inside a tag body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackPacket<C> {
    /// Track number, counted per medium; 0 where the tag is not multitrack.
    pub track_id: u8,
    /// Codec of the track.
    pub codec: C,
    /// What the payload is.
    pub kind: PacketKind,
    /// A slice of the tag body.
    pub payload: Bytes,
}

/// A packet of an audio track.
pub type AudioPacket = TrackPacket<AudioCodec>;
/// A packet of a video track.
pub type VideoPacket = TrackPacket<VideoCodec>;

/// The packets of a body. Nearly always one, which needs no allocation.
pub type Packets<C> = SmallVec<[TrackPacket<C>; 1]>;
