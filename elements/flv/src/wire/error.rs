//! What can be wrong with an FLV byte stream.

use super::codec::FourCc;

/// The byte stream is not FLV at all; nothing further can be read from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlvError {
    /// The file does not begin with `FLV`.
    #[error("byte {offset}: expected the signature \"FLV\", found {found:02x?}")]
    Signature {
        /// Offset in bytes from the first pushed byte.
        offset: u64,
        /// The three bytes that stand there.
        found: [u8; 3],
    },
}

/// A tag body that cannot be understood. The tag is lost, the file goes on.
///
/// Offsets count from the first byte of the tag body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body ends inside a header field.
    #[error("body byte {offset}: expected {expected}, but the tag ends")]
    Truncated {
        /// Where the missing field begins.
        offset: usize,
        /// Name of the missing field.
        expected: &'static str,
    },
    /// A legacy `SoundFormat` that the standard reserves.
    #[error("unknown SoundFormat {0}")]
    SoundFormat(u8),
    /// A legacy `CodecID` that the standard reserves.
    #[error("unknown video CodecID {0}")]
    CodecId(u8),
    /// A FourCC that is no codec of Enhanced RTMP.
    #[error("unknown FourCC {0}")]
    FourCc(FourCc),
    /// An `AudioPacketType`, `VideoPacketType` or legacy packet type that the standards reserve.
    #[error("unknown packet type {0}")]
    PacketType(u8),
    /// An `AvMultitrackType` that the standard reserves, or a multitrack inside a multitrack.
    #[error("unknown or nested multitrack type {0}")]
    MultitrackType(u8),
    /// A track of a multitrack body claims more bytes than the body holds.
    #[error("body byte {offset}: track {track_id} claims {size} bytes, {left} are left")]
    TrackSize {
        /// Where the track's payload begins.
        offset: usize,
        /// Track as numbered in the stream.
        track_id: u8,
        /// Claimed size in bytes.
        size: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// A ModEx block whose data is shorter than its type demands.
    #[error("ModEx type {kind} with {size} bytes of data")]
    ModEx {
        /// `PacketModExType`.
        kind: u8,
        /// Bytes of data in the block.
        size: usize,
    },
}

/// A packet that no tag body can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The codec has no FourCC, which the extended header, another track than 0 or a nanosecond offset needs.
    #[error("{codec} has no FourCC, which {needed_for} needs")]
    NoFourCc {
        /// Name of the codec.
        codec: &'static str,
        /// What asked for the extended header.
        needed_for: &'static str,
    },
    /// The medium has no packets of this kind.
    #[error("{medium} has no {kind} packets")]
    Kind {
        /// `audio` or `video`.
        medium: &'static str,
        /// The kind.
        kind: &'static str,
    },
    /// A body of more than 2^24 - 1 bytes, which `DataSize` cannot say.
    #[error("a tag body of {size} bytes; 16777215 is the most")]
    TooLarge {
        /// Size of the body in bytes.
        size: usize,
    },
}
