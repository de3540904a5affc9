//! Video tag bodies: the legacy header (FLV 10.1 E.4.3) and the extended one (Enhanced RTMP v2, "Enhanced Video").

use bytes::{BufMut, Bytes};

use super::codec::{CODEC_ID_HEVC_ALIAS, VideoCodec};
use super::cursor::{Cursor, i24_bytes};
use super::error::{BodyError, EncodeError};
use super::modex;
use super::multitrack::{self, MultitrackType, TrackBody};
use super::packet::{HeaderForm, PacketKind, Packets, TrackPacket};

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

/// Appends the bytes of a video tag body that stand ahead of the payload.
///
/// Legacy codecs of track 0 get the legacy header; all else gets the extended one, with a ModEx block if there is a nanosecond
/// offset and a OneTrack multitrack header if `track_id` is not 0. Composition times are clamped to 24 bits.
///
/// # Errors
/// [`EncodeError`] if neither header can express the packet.
pub fn write_video_header(
    track_id: u8,
    codec: VideoCodec,
    kind: PacketKind,
    form: HeaderForm,
    out: &mut impl BufMut,
) -> Result<(), EncodeError> {
    let legacy_id = match (form, codec) {
        (HeaderForm::HevcAlias, VideoCodec::Hevc) => Some(CODEC_ID_HEVC_ALIAS),
        (HeaderForm::Extended, _) if codec.fourcc().is_some() => None,
        _ => codec.codec_id(),
    };
    let legacy_kind = matches!(kind, PacketKind::Config | PacketKind::Frame { .. } | PacketKind::End);
    if let (Some(id), true) = (legacy_id, track_id == 0 && kind.nano_offset() == 0 && legacy_kind) {
        return write_legacy(id, kind, out);
    }
    write_extended(track_id, codec, kind, out)
}

fn write_legacy(id: u8, kind: PacketKind, out: &mut impl BufMut) -> Result<(), EncodeError> {
    let timed = matches!(VideoCodec::from_codec_id(id), Some(VideoCodec::H264 | VideoCodec::Hevc));
    match kind {
        PacketKind::Frame { key, composition_time_ms, .. } => {
            out.put_u8(frame_type_of(key) << 4 | id);
            if timed {
                out.put_u8(1);
                out.put_slice(&i24_bytes(composition_time_ms));
            }
        }
        PacketKind::Config if timed => out.put_slice(&[frame_type::KEY << 4 | id, 0, 0, 0, 0]),
        PacketKind::End if timed => out.put_slice(&[frame_type::KEY << 4 | id, 2, 0, 0, 0]),
        _ => return Err(EncodeError::Kind { medium: "legacy video without H.264", kind: kind.name() }),
    }
    Ok(())
}

fn write_extended(track_id: u8, codec: VideoCodec, kind: PacketKind, out: &mut impl BufMut) -> Result<(), EncodeError> {
    let needed_for = if track_id == 0 { "the extended header" } else { "another track than 0" };
    let fourcc = codec.fourcc().ok_or(EncodeError::NoFourCc { codec: codec.name(), needed_for })?;
    let packet_type = type_of(codec, kind)?;
    let frame_type = match kind {
        PacketKind::Frame { key, .. } => frame_type_of(key),
        // The standard ignores it here; libavformat knows metadata by it and takes them for a frame otherwise. With multitrack
        // it would be read as a command.
        PacketKind::Metadata if track_id == 0 => frame_type::COMMAND,
        _ => frame_type::KEY,
    };
    let single = if track_id == 0 { packet_type } else { packet_type::MULTITRACK };
    write_extended_type(frame_type, single, kind.nano_offset(), out);
    if track_id == 0 {
        out.put_slice(&fourcc.0);
    } else {
        out.put_u8(MultitrackType::OneTrack.nibble() << 4 | packet_type);
        multitrack::write_one_track(fourcc, track_id, out);
    }
    if let (packet_type::CODED_FRAMES, true, PacketKind::Frame { composition_time_ms, .. }) =
        (packet_type, codec.has_composition_time(), kind)
    {
        out.put_slice(&i24_bytes(composition_time_ms));
    }
    Ok(())
}

/// Appends a body with packets of several tracks, which must be of one kind and share their key flag; payloads are copied.
///
/// # Errors
/// [`EncodeError`] if a codec has no FourCC, kinds differ or a payload is too large.
pub fn write_video_tracks(packets: &[TrackPacket<VideoCodec>], out: &mut impl BufMut) -> Result<(), EncodeError> {
    let Some(first) = packets.first() else { return Ok(()) };
    let packet_type = shared_type(packets)?;
    let timed = packet_type == packet_type::CODED_FRAMES;
    let mut tracks = Vec::with_capacity(packets.len());
    for packet in packets {
        let missing = EncodeError::NoFourCc { codec: packet.codec.name(), needed_for: "multitrack" };
        let fourcc = packet.codec.fourcc().ok_or(missing)?;
        let time = match packet.kind {
            PacketKind::Frame { composition_time_ms, .. } if timed && packet.codec.has_composition_time() => {
                Some(i24_bytes(composition_time_ms))
            }
            _ => None,
        };
        tracks.push(TrackBody { track_id: packet.track_id, fourcc, time, payload: &packet.payload });
    }
    let frame_type = frame_type_of(is_frame_key(first.kind).unwrap_or(true));
    write_extended_type(frame_type, packet_type::MULTITRACK, first.kind.nano_offset(), out);
    multitrack::write_tracks(packet_type, &tracks, out)
}

/// The packet type that serves all of the tracks: `CodedFrames` unless all composition times are zero.
fn shared_type(packets: &[TrackPacket<VideoCodec>]) -> Result<u8, EncodeError> {
    let plain = packet_type::CODED_FRAMES_X;
    let types = packets.iter().map(|packet| type_of(packet.codec, packet.kind)).collect::<Result<Vec<_>, _>>()?;
    let shared = types.iter().copied().find(|packet_type| *packet_type != plain).unwrap_or(plain);
    let common = |kind: PacketKind| (is_frame_key(kind), kind.nano_offset());
    for (packet, own) in packets.iter().zip(types) {
        let same_type = own == shared || own == plain && shared == packet_type::CODED_FRAMES;
        if !same_type || packets.first().is_some_and(|first| common(first.kind) != common(packet.kind)) {
            return Err(EncodeError::Kind { medium: "this multitrack body", kind: packet.kind.name() });
        }
    }
    Ok(shared)
}

fn write_extended_type(frame_type: u8, packet_type: u8, nano_offset: u32, out: &mut impl BufMut) {
    let first = EX_HEADER | frame_type << 4;
    if nano_offset == 0 {
        out.put_u8(first | packet_type);
    } else {
        out.put_u8(first | modex::PACKET_TYPE_MODEX);
        modex::write_nano_offset(nano_offset, packet_type, out);
    }
}

/// Whether a frame is a key frame; nothing for other packets.
fn is_frame_key(kind: PacketKind) -> Option<bool> {
    match kind {
        PacketKind::Frame { key, .. } => Some(key),
        _ => None,
    }
}

fn frame_type_of(key: bool) -> u8 {
    if key { frame_type::KEY } else { frame_type::INTER }
}

/// The shortest packet type: a composition time of zero is left out.
fn type_of(codec: VideoCodec, kind: PacketKind) -> Result<u8, EncodeError> {
    Ok(match kind {
        PacketKind::Config => packet_type::SEQUENCE_START,
        PacketKind::Frame { composition_time_ms: 0, .. } if codec.has_composition_time() => packet_type::CODED_FRAMES_X,
        PacketKind::Frame { .. } => packet_type::CODED_FRAMES,
        PacketKind::End => packet_type::SEQUENCE_END,
        PacketKind::Metadata => packet_type::METADATA,
        PacketKind::Mpeg2TsConfig => packet_type::MPEG2TS_SEQUENCE_START,
        PacketKind::MultichannelConfig => return Err(EncodeError::Kind { medium: "video", kind: kind.name() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BodyError, FourCc};

    fn parse(bytes: &[u8]) -> Result<VideoTag, BodyError> {
        parse_video(&Bytes::copy_from_slice(bytes))
    }

    fn one(bytes: &[u8]) -> TrackPacket<VideoCodec> {
        let tag = parse(bytes).unwrap();
        assert_eq!(tag.packets.len(), 1);
        tag.packets[0].clone()
    }

    fn frame(key: bool, composition_time_ms: i32) -> PacketKind {
        PacketKind::Frame { key, composition_time_ms, nano_offset: 0 }
    }

    #[test]
    fn flv_4_avc_packets_and_signed_composition_time() {
        assert_eq!(one(&[0x17, 0, 0, 0, 0, 1, 0x64]).kind, PacketKind::Config);
        let packet = one(&[0x27, 1, 0xFF, 0xFF, 0xD8, 9]);
        assert_eq!((packet.kind, &packet.payload[..]), (frame(false, -40), &[9][..]));
        assert_eq!(one(&[0x17, 1, 0x7F, 0xFF, 0xFF]).kind, frame(true, 0x7F_FFFF));
        assert_eq!(one(&[0x17, 2]).kind, PacketKind::End);
        assert_eq!(one(&[0x17, 2, 0, 0, 0]).payload.len(), 0);
        assert!(matches!(parse(&[0x17, 1, 0, 0]), Err(BodyError::Truncated { offset: 2, .. })));
        assert_eq!(parse(&[0x18, 1]), Err(BodyError::CodecId(8)));
    }

    #[test]
    fn flv_4_flash_codecs_and_command_frames() {
        assert_eq!(one(&[0x12, 7, 7]).codec, VideoCodec::SorensonH263);
        assert_eq!(one(&[0x34, 7]).kind, frame(false, 0));
        assert_eq!(one(&[0x13, 7]).codec, VideoCodec::Screen);
        assert_eq!(parse(&[0x57, 0]).unwrap().command, Some(VideoCommand::StartSeek));
    }

    #[test]
    fn ert_12_hevc_alias_reads_and_is_written_on_request_only() {
        let tag = parse(&[0x1C, 1, 0, 0, 5, 9]).unwrap();
        assert!(tag.hevc_alias);
        assert_eq!((tag.packets[0].codec, tag.packets[0].kind), (VideoCodec::Hevc, frame(true, 5)));
        let mut out = Vec::new();
        write_video_header(0, VideoCodec::Hevc, frame(true, 5), HeaderForm::HevcAlias, &mut out).unwrap();
        assert_eq!(out, [0x1C, 1, 0, 0, 5]);
        out.clear();
        write_video_header(0, VideoCodec::Hevc, frame(true, 5), HeaderForm::Auto, &mut out).unwrap();
        assert_eq!(out, b"\x91hvc1\0\0\x05");
    }

    #[test]
    fn ert_3_extended_packet_types() {
        assert_eq!(one(b"\x90hvc1c").kind, PacketKind::Config);
        assert_eq!(one(b"\x92hvc1").kind, PacketKind::End);
        assert_eq!(one(b"\xd4hvc1x").kind, PacketKind::Metadata, "frame type 5 is ignored with metadata");
        assert_eq!(one(b"\x95av01x").kind, PacketKind::Mpeg2TsConfig);
        assert_eq!(parse(b"\x98av01x"), Err(BodyError::PacketType(8)));
        assert_eq!(parse(b"\x91zzzz"), Err(BodyError::FourCc(FourCc(*b"zzzz"))));
        for fourcc in [b"vp08", b"vp09", b"av01", b"avc1", b"hvc1", b"vvc1"] {
            assert_eq!(one(&[&[0x90][..], fourcc].concat()).codec.fourcc(), Some(FourCc(*fourcc)));
        }
    }

    #[test]
    fn ert_4_composition_time_only_in_coded_frames_of_nal_codecs() {
        for fourcc in [b"avc1", b"hvc1", b"vvc1"] {
            let packet = one(&[&[0xA1][..], fourcc, &[0xFF, 0xFF, 0xFE, 7]].concat());
            assert_eq!((packet.kind, &packet.payload[..]), (frame(false, -2), &[7][..]));
            let packet = one(&[&[0x93][..], fourcc, &[1, 2, 3, 7]].concat());
            assert_eq!((packet.kind, packet.payload.len()), (frame(true, 0), 4));
        }
        for fourcc in [b"vp08", b"vp09", b"av01"] {
            let packet = one(&[&[0x91][..], fourcc, &[1, 2, 3, 7]].concat());
            assert_eq!((packet.kind, packet.payload.len()), (frame(true, 0), 4));
        }
    }

    #[test]
    fn ert_5_extended_command_has_no_body() {
        let tag = parse(&[0xD1, 1]).unwrap();
        assert_eq!((tag.command, tag.packets.len()), (Some(VideoCommand::EndSeek), 0));
    }

    #[test]
    fn ert_6_and_7_modex_ahead_of_multitrack() {
        let wire = b"\x97\x02\x00\x00\x07\x06\x01hvc1\x03\xff\xff\xffx";
        let packet = one(wire);
        assert_eq!((packet.track_id, &packet.payload[..]), (3, &b"x"[..]));
        assert_eq!(packet.kind, PacketKind::Frame { key: true, composition_time_ms: -1, nano_offset: 7 });
        let mut out = Vec::new();
        write_video_header(3, VideoCodec::Hevc, packet.kind, HeaderForm::Auto, &mut out).unwrap();
        assert_eq!(out, wire[..wire.len() - 1]);
    }

    #[test]
    fn ert_7_composition_time_counts_into_the_track_size() {
        let many = parse(b"\x96\x11avc1\x00\0\0\x04\0\0\x05a\x01\0\0\x03\0\0\x06").unwrap().packets;
        assert_eq!(many[0].kind, frame(true, 5));
        assert_eq!((many[1].track_id, many[1].kind, many[1].payload.len()), (1, frame(true, 6), 0));
        assert!(parse(b"\x96\x11avc1\x00\0\0\x02\0\0").is_err(), "no room for the composition time");
    }
}
