//! Video tag bodies: the legacy header (FLV 10.1 E.4.3) and the extended one (Enhanced RTMP v2, "Enhanced Video").

use bytes::Bytes;

use super::codec::VideoCodec;
use super::cursor::Cursor;
use super::error::BodyError;
use super::modex;
use super::multitrack::{self, MultitrackType};
use super::packet::{PacketKind, Packets, TrackPacket};

/// Top bit of the first byte: extended header.
pub(super) const EX_HEADER: u8 = 0x80;
/// `FrameType` numbers.
pub(super) mod frame_type {
    pub(crate) const KEY: u8 = 1;
    pub(crate) const INTER: u8 = 2;
    pub(crate) const GENERATED_KEY: u8 = 4;
    pub(crate) const COMMAND: u8 = 5;
}
/// `VideoPacketType` numbers.
pub(super) mod packet_type {
    pub(crate) const SEQUENCE_START: u8 = 0;
    pub(crate) const CODED_FRAMES: u8 = 1;
    pub(crate) const SEQUENCE_END: u8 = 2;
    pub(crate) const CODED_FRAMES_X: u8 = 3;
    pub(crate) const METADATA: u8 = 4;
    pub(crate) const MPEG2TS_SEQUENCE_START: u8 = 5;
    pub(crate) const MULTITRACK: u8 = 6;
}

/// What a command frame says (`FrameType` 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoCommand {
    /// 0: frames up to [`VideoCommand::EndSeek`] only prepare the decoder.
    StartSeek,
    /// 1: the frame sought for comes next.
    EndSeek,
    /// A number that the standards reserve.
    Other(u8),
}

impl VideoCommand {
    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::StartSeek,
            1 => Self::EndSeek,
            other => Self::Other(other),
        }
    }
}

/// A parsed video tag body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VideoTag {
    /// The command of a command frame, which has no packets.
    pub command: Option<VideoCommand>,
    /// The packets.
    pub packets: Packets<VideoCodec>,
    /// Tracks of a multitrack body that were skipped because their FourCC is unknown.
    pub unknown_tracks: u32,
    /// The codec was named by the unofficial id 12.
    pub hevc_alias: bool,
}

/// Reads the body of a video tag or RTMP video message. Payloads are slices of it.
///
/// The payload of the Flash codecs (Sorenson, Screen, VP6) is everything behind the first byte, VP6's adjustment bytes included.
///
/// # Errors
/// [`BodyError`] if a field is missing, lies or is reserved by the standards.
pub fn parse_video(body: &Bytes) -> Result<VideoTag, BodyError> {
    let Some(first) = body.first().copied() else { return Ok(VideoTag::default()) };
    let mut cursor = Cursor::new(body.clone());
    cursor.u8("FrameType")?;
    if first & EX_HEADER != 0 { extended(first, cursor) } else { legacy(first, cursor) }
}

fn legacy(first: u8, mut body: Cursor) -> Result<VideoTag, BodyError> {
    let (frame_type, id) = (first >> 4, first & 0x0F);
    if frame_type == frame_type::COMMAND {
        return command(body);
    }
    let codec = VideoCodec::from_codec_id(id).ok_or(BodyError::CodecId(id))?;
    let key = is_key(frame_type);
    let kind = if matches!(codec, VideoCodec::H264 | VideoCodec::Hevc) {
        let packet_type = body.u8("AVCPacketType")?;
        let composition_time_ms = if packet_type == 2 { 0 } else { body.i24("CompositionTime")? };
        match packet_type {
            0 => PacketKind::Config,
            1 => PacketKind::Frame { key, composition_time_ms, nano_offset: 0 },
            2 => PacketKind::End,
            other => return Err(BodyError::PacketType(other)),
        }
    } else {
        PacketKind::Frame { key, composition_time_ms: 0, nano_offset: 0 }
    };
    // An end of sequence may carry a composition time or nothing; neither is a payload.
    let payload = if kind == PacketKind::End { Bytes::new() } else { body.rest() };
    let mut tag = VideoTag { hevc_alias: codec == VideoCodec::Hevc, ..VideoTag::default() };
    tag.packets.push(TrackPacket { track_id: 0, codec, kind, payload });
    Ok(tag)
}

fn extended(first: u8, mut body: Cursor) -> Result<VideoTag, BodyError> {
    let frame_type = first >> 4 & 0x07;
    let modex = modex::read(first & 0x0F, &mut body)?;
    if frame_type == frame_type::COMMAND && modex.packet_type != packet_type::METADATA {
        return command(body);
    }
    let mut tag = VideoTag::default();
    let packets = &mut tag.packets;
    let frame = Frame { key: is_key(frame_type), nano_offset: modex.nano_offset };
    if modex.packet_type == packet_type::MULTITRACK {
        let types = body.u8("videoMultitrackType")?;
        let layout = MultitrackType::from_nibble(types >> 4)?;
        tag.unknown_tracks =
            multitrack::read_tracks(layout, &mut body, VideoCodec::from_fourcc, |track_id, codec, mut body| {
                let kind = frame.kind_of(types & 0x0F, codec, &mut body)?;
                packets.push(TrackPacket { track_id, codec, kind, payload: body.rest() });
                Ok(())
            })?;
    } else {
        let fourcc = body.fourcc()?;
        let codec = VideoCodec::from_fourcc(fourcc).ok_or(BodyError::FourCc(fourcc))?;
        let kind = frame.kind_of(modex.packet_type, codec, &mut body)?;
        packets.push(TrackPacket { track_id: 0, codec, kind, payload: body.rest() });
    }
    Ok(tag)
}

/// What all packets of an extended body share.
#[derive(Clone, Copy)]
struct Frame {
    key: bool,
    nano_offset: u32,
}

impl Frame {
    /// The kind of a packet; takes the composition time off `body` where there is one.
    fn kind_of(self, packet_type: u8, codec: VideoCodec, body: &mut Cursor) -> Result<PacketKind, BodyError> {
        let Self { key, nano_offset } = self;
        Ok(match packet_type {
            packet_type::SEQUENCE_START => PacketKind::Config,
            packet_type::CODED_FRAMES => {
                let timed = codec.has_composition_time();
                let composition_time_ms = if timed { body.i24("compositionTimeOffset")? } else { 0 };
                PacketKind::Frame { key, composition_time_ms, nano_offset }
            }
            packet_type::SEQUENCE_END => PacketKind::End,
            packet_type::CODED_FRAMES_X => PacketKind::Frame { key, composition_time_ms: 0, nano_offset },
            packet_type::METADATA => PacketKind::Metadata,
            packet_type::MPEG2TS_SEQUENCE_START => PacketKind::Mpeg2TsConfig,
            other => return Err(BodyError::PacketType(other)),
        })
    }
}

fn is_key(frame_type: u8) -> bool {
    matches!(frame_type, frame_type::KEY | frame_type::GENERATED_KEY)
}

fn command(mut body: Cursor) -> Result<VideoTag, BodyError> {
    let command = VideoCommand::from_u8(body.u8("VideoCommand")?);
    Ok(VideoTag { command: Some(command), ..VideoTag::default() })
}
