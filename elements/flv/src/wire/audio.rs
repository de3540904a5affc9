//! Audio tag bodies: the legacy header (FLV 10.1 E.4.2) and the extended one (Enhanced RTMP v2, "Enhanced Audio").

use bytes::{BufMut, Bytes};

use super::codec::AudioCodec;
use super::cursor::Cursor;
use super::error::{BodyError, EncodeError};
use super::modex;
use super::multitrack::{self, MultitrackType, TrackBody};
use super::packet::{HeaderForm, PacketKind, Packets, TrackPacket};

/// `SoundFormat` that says "extended header".
pub(super) const SOUND_FORMAT_EX: u8 = 9;
/// `AudioPacketType` numbers.
pub(super) mod packet_type {
    pub(crate) const SEQUENCE_START: u8 = 0;
    pub(crate) const CODED_FRAMES: u8 = 1;
    pub(crate) const SEQUENCE_END: u8 = 2;
    pub(crate) const MULTICHANNEL_CONFIG: u8 = 4;
    pub(crate) const MULTITRACK: u8 = 5;
}

/// The low four bits of a legacy audio header. Writers of AAC fill them with 44 kHz stereo whatever the sound is, and decoders
/// must take the truth from the codec's own headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundFlags {
    /// `SoundRate`: 0 = 5.5 kHz, 1 = 11 kHz, 2 = 22 kHz, 3 = 44 kHz.
    pub rate: u8,
    /// `SoundSize`: 16-bit samples (else 8-bit); of meaning for PCM only.
    pub wide: bool,
    /// `SoundType`.
    pub stereo: bool,
}

impl SoundFlags {
    /// 44 kHz, 16 bit, stereo: what the standard demands with AAC.
    pub const AAC: Self = Self { rate: 3, wide: true, stereo: true };

    /// Reads the low four bits of the header byte.
    pub fn from_bits(byte: u8) -> Self {
        Self { rate: byte >> 2 & 3, wide: byte & 2 != 0, stereo: byte & 1 != 0 }
    }

    /// The low four bits of the header byte.
    pub fn bits(self) -> u8 {
        (self.rate & 3) << 2 | u8::from(self.wide) << 1 | u8::from(self.stereo)
    }

    /// The nominal rate in Hz.
    pub fn sample_rate(self) -> u32 {
        match self.rate & 3 {
            0 => 5_512,
            1 => 11_025,
            2 => 22_050,
            _ => 44_100,
        }
    }
}

/// A parsed audio tag body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AudioTag {
    /// Sound flags of a legacy header.
    pub sound: Option<SoundFlags>,
    /// The packets. None in an empty body, which means silence.
    pub packets: Packets<AudioCodec>,
    /// Tracks of a multitrack body that were skipped because their FourCC is unknown.
    pub unknown_tracks: u32,
}

/// Reads the body of an audio tag or RTMP audio message. Payloads are slices of it.
///
/// # Errors
/// [`BodyError`] if a field is missing, lies or is reserved by the standards.
pub fn parse_audio(body: &Bytes) -> Result<AudioTag, BodyError> {
    let Some(first) = body.first().copied() else { return Ok(AudioTag::default()) };
    let mut cursor = Cursor::new(body.clone());
    cursor.u8("SoundFormat")?;
    if first >> 4 == SOUND_FORMAT_EX { extended(first, cursor) } else { legacy(first, cursor) }
}

fn legacy(first: u8, mut body: Cursor) -> Result<AudioTag, BodyError> {
    let codec = AudioCodec::from_sound_format(first >> 4).ok_or(BodyError::SoundFormat(first >> 4))?;
    let kind = if codec == AudioCodec::Aac {
        match body.u8("AACPacketType")? {
            0 => PacketKind::Config,
            1 => FRAME,
            other => return Err(BodyError::PacketType(other)),
        }
    } else {
        FRAME
    };
    let mut packets = Packets::new();
    packets.push(TrackPacket { track_id: 0, codec, kind, payload: body.rest() });
    Ok(AudioTag { sound: Some(SoundFlags::from_bits(first)), packets, unknown_tracks: 0 })
}

/// Any legacy frame: every audio frame can be started at, and has no times of its own.
const FRAME: PacketKind = PacketKind::Frame { key: true, composition_time_ms: 0, nano_offset: 0 };

fn extended(first: u8, mut body: Cursor) -> Result<AudioTag, BodyError> {
    let modex = modex::read(first & 0x0F, &mut body)?;
    let mut tag = AudioTag::default();
    if modex.packet_type == packet_type::MULTITRACK {
        let types = body.u8("audioMultitrackType")?;
        let layout = MultitrackType::from_nibble(types >> 4)?;
        let kind = kind_of(types & 0x0F, modex.nano_offset)?;
        let packets = &mut tag.packets;
        tag.unknown_tracks =
            multitrack::read_tracks(layout, &mut body, AudioCodec::from_fourcc, |track_id, codec, mut body| {
                packets.push(TrackPacket { track_id, codec, kind, payload: body.rest() });
                Ok(())
            })?;
    } else {
        let fourcc = body.fourcc()?;
        let kind = kind_of(modex.packet_type, modex.nano_offset)?;
        let codec = AudioCodec::from_fourcc(fourcc).ok_or(BodyError::FourCc(fourcc))?;
        tag.packets.push(TrackPacket { track_id: 0, codec, kind, payload: body.rest() });
    }
    Ok(tag)
}

fn kind_of(packet_type: u8, nano_offset: u32) -> Result<PacketKind, BodyError> {
    Ok(match packet_type {
        packet_type::SEQUENCE_START => PacketKind::Config,
        packet_type::CODED_FRAMES => PacketKind::Frame { key: true, composition_time_ms: 0, nano_offset },
        packet_type::SEQUENCE_END => PacketKind::End,
        packet_type::MULTICHANNEL_CONFIG => PacketKind::MultichannelConfig,
        other => return Err(BodyError::PacketType(other)),
    })
}

/// Appends the bytes of an audio tag body that stand ahead of the payload.
///
/// Legacy codecs of track 0 get the legacy header with `sound`; all else gets the extended one, with a ModEx block if there is a
/// nanosecond offset and a OneTrack multitrack header if `track_id` is not 0. A legacy end of sequence is an empty body.
///
/// # Errors
/// [`EncodeError`] if neither header can express the packet.
pub fn write_audio_header(
    track_id: u8,
    codec: AudioCodec,
    kind: PacketKind,
    sound: SoundFlags,
    form: HeaderForm,
    out: &mut impl BufMut,
) -> Result<(), EncodeError> {
    let packet_type = type_of(kind)?;
    let plain = track_id == 0 && kind.nano_offset() == 0 && packet_type <= packet_type::SEQUENCE_END;
    let wants_extended = form == HeaderForm::Extended && codec.fourcc().is_some();
    if let (Some(format), true, false) = (codec.sound_format(), plain, wants_extended) {
        return write_legacy(format, packet_type, sound, out);
    }
    let needed_for = if track_id == 0 { "the extended header" } else { "another track than 0" };
    let fourcc = codec.fourcc().ok_or(EncodeError::NoFourCc { codec: codec.name(), needed_for })?;
    let single = if track_id == 0 { packet_type } else { packet_type::MULTITRACK };
    write_extended_type(single, kind.nano_offset(), out);
    if track_id == 0 {
        out.put_slice(&fourcc.0);
    } else {
        out.put_u8(MultitrackType::OneTrack.nibble() << 4 | packet_type);
        multitrack::write_one_track(fourcc, track_id, out);
    }
    Ok(())
}

/// Appends a body with packets of several tracks, which must be of one kind, payloads included (they are copied).
///
/// # Errors
/// [`EncodeError`] if a codec has no FourCC, kinds differ or a payload is too large.
pub fn write_audio_tracks(packets: &[TrackPacket<AudioCodec>], out: &mut impl BufMut) -> Result<(), EncodeError> {
    let Some(first) = packets.first() else { return Ok(()) };
    let packet_type = type_of(first.kind)?;
    let mut tracks = Vec::with_capacity(packets.len());
    for packet in packets {
        if packet.kind != first.kind {
            return Err(EncodeError::Kind { medium: "this multitrack body", kind: packet.kind.name() });
        }
        let missing = EncodeError::NoFourCc { codec: packet.codec.name(), needed_for: "multitrack" };
        let fourcc = packet.codec.fourcc().ok_or(missing)?;
        tracks.push(TrackBody { track_id: packet.track_id, fourcc, time: None, payload: &packet.payload });
    }
    write_extended_type(packet_type::MULTITRACK, first.kind.nano_offset(), out);
    multitrack::write_tracks(packet_type, &tracks, out)
}

fn write_legacy(format: u8, packet_type: u8, sound: SoundFlags, out: &mut impl BufMut) -> Result<(), EncodeError> {
    if packet_type == packet_type::SEQUENCE_END {
        return Ok(());
    }
    out.put_u8(format << 4 | sound.bits());
    if AudioCodec::from_sound_format(format) == Some(AudioCodec::Aac) {
        out.put_u8(packet_type);
    } else if packet_type == packet_type::SEQUENCE_START {
        return Err(EncodeError::Kind { medium: "legacy audio without AAC", kind: PacketKind::Config.name() });
    }
    Ok(())
}

fn write_extended_type(packet_type: u8, nano_offset: u32, out: &mut impl BufMut) {
    if nano_offset == 0 {
        out.put_u8(SOUND_FORMAT_EX << 4 | packet_type);
    } else {
        out.put_u8(SOUND_FORMAT_EX << 4 | modex::PACKET_TYPE_MODEX);
        modex::write_nano_offset(nano_offset, packet_type, out);
    }
}

fn type_of(kind: PacketKind) -> Result<u8, EncodeError> {
    match kind {
        PacketKind::Config => Ok(packet_type::SEQUENCE_START),
        PacketKind::Frame { .. } => Ok(packet_type::CODED_FRAMES),
        PacketKind::End => Ok(packet_type::SEQUENCE_END),
        PacketKind::MultichannelConfig => Ok(packet_type::MULTICHANNEL_CONFIG),
        PacketKind::Metadata | PacketKind::Mpeg2TsConfig => {
            Err(EncodeError::Kind { medium: "audio", kind: kind.name() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FourCc;

    fn parse(bytes: &[u8]) -> Result<AudioTag, BodyError> {
        parse_audio(&Bytes::copy_from_slice(bytes))
    }

    fn one(bytes: &[u8]) -> TrackPacket<AudioCodec> {
        let tag = parse(bytes).unwrap();
        assert_eq!(tag.packets.len(), 1);
        tag.packets[0].clone()
    }

    #[test]
    fn flv_4_aac_config_and_frame() {
        let config = one(&[0xAF, 0, 0x11, 0x90]);
        assert_eq!(
            (config.codec, config.kind, &config.payload[..]),
            (AudioCodec::Aac, PacketKind::Config, &[0x11, 0x90][..])
        );
        assert_eq!(one(&[0xAF, 1, 7]).kind, FRAME);
        assert_eq!(parse(&[0xAF, 2]), Err(BodyError::PacketType(2)));
        assert_eq!(parse(&[0xAF]), Err(BodyError::Truncated { offset: 1, expected: "AACPacketType" }));
    }

    #[test]
    fn flv_4_legacy_codecs_keep_their_flags_and_payload() {
        for (byte, codec, rate) in [
            (0x2A, AudioCodec::Mp3, 22_050),
            (0xE2, AudioCodec::Mp3At8k, 5_512),
            (0x72, AudioCodec::ALaw, 5_512),
            (0x82, AudioCodec::MuLaw, 5_512),
            (0x3E, AudioCodec::PcmLe, 44_100),
            (0xB2, AudioCodec::Speex, 5_512),
            (0x66, AudioCodec::Nellymoser, 11_025),
        ] {
            let tag = parse(&[byte, 1, 2, 3]).unwrap();
            assert_eq!((tag.packets[0].codec, &tag.packets[0].payload[..]), (codec, &[1, 2, 3][..]));
            assert_eq!(tag.sound.map(SoundFlags::sample_rate), Some(rate));
            assert_eq!(tag.sound.map(SoundFlags::bits), Some(byte & 0x0F));
        }
        assert_eq!(parse(&[0xC0]), Err(BodyError::SoundFormat(12)));
        assert!(parse(&[]).unwrap().packets.is_empty(), "an empty message is silence");
    }

    #[test]
    fn ert_1_extended_packet_types() {
        let opus = one(b"\x90OpusOpusHead");
        assert_eq!(
            (opus.codec, opus.kind, &opus.payload[..]),
            (AudioCodec::Opus, PacketKind::Config, &b"OpusHead"[..])
        );
        for (fourcc, codec) in [
            (b"ac-3", AudioCodec::Ac3),
            (b"ec-3", AudioCodec::Eac3),
            (b".mp3", AudioCodec::Mp3),
            (b"fLaC", AudioCodec::Flac),
            (b"mp4a", AudioCodec::Aac),
        ] {
            assert_eq!(one(&[&[0x91][..], fourcc, b"x"].concat()).codec, codec);
        }
        assert_eq!(one(b"\x92Opus").kind, PacketKind::End);
        assert_eq!(one(b"\x94Opus\x01\x01\0\0\0\x04").kind, PacketKind::MultichannelConfig);
        assert_eq!(parse(b"\x93Opus"), Err(BodyError::PacketType(3)));
        assert_eq!(parse(b"\x96Opus"), Err(BodyError::PacketType(6)));
        assert_eq!(parse(b"\x91nope"), Err(BodyError::FourCc(FourCc(*b"nope"))));
    }

    #[test]
    fn ert_7_multitrack_layouts() {
        // As ffmpeg 9 writes its second audio track.
        let second = one(b"\x95\x00mp4a\x01\x11\x90");
        assert_eq!((second.track_id, second.kind, &second.payload[..]), (1, PacketKind::Config, &b"\x11\x90"[..]));
        let many = parse(b"\x95\x11Opus\x00\0\0\x02ab\x07\0\0\x01c").unwrap().packets;
        assert_eq!(
            many.iter().map(|p| (p.track_id, p.payload.to_vec())).collect::<Vec<_>>(),
            [(0, b"ab".to_vec()), (7, b"c".to_vec())]
        );
        let mixed = parse(b"\x95\x21Opus\x00\0\0\x01anope\x01\0\0\x01bac-3\x02\0\0\0").unwrap();
        assert_eq!(
            mixed.packets.iter().map(|p| (p.track_id, p.codec)).collect::<Vec<_>>(),
            [(0, AudioCodec::Opus), (2, AudioCodec::Ac3)]
        );
        assert_eq!(mixed.unknown_tracks, 1);
    }

    #[test]
    fn ert_7_multitrack_lies_are_rejected() {
        assert_eq!(
            parse(b"\x95\x11Opus\x03\0\0\x09ab"),
            Err(BodyError::TrackSize { offset: 10, track_id: 3, size: 9, left: 2 })
        );
        assert_eq!(parse(b"\x95\x05Opus\x01"), Err(BodyError::PacketType(5)), "multitrack inside multitrack");
        assert_eq!(parse(b"\x95\x31Opus\x01"), Err(BodyError::MultitrackType(3)));
        assert!(matches!(parse(b"\x95\x11Opus\x01\0"), Err(BodyError::Truncated { .. })));
    }

    #[test]
    fn ert_6_nano_offset_reaches_the_frame() {
        let frame = one(b"\x97\x02\x00\x01\x00\x01Opusx");
        assert_eq!(frame.kind, PacketKind::Frame { key: true, composition_time_ms: 0, nano_offset: 256 });
    }

    #[test]
    fn ert_1_writer_chooses_the_header() {
        let header = |track, codec, kind, form| {
            let mut out = Vec::new();
            write_audio_header(track, codec, kind, SoundFlags::AAC, form, &mut out).map(|()| out)
        };
        assert_eq!(header(0, AudioCodec::Aac, PacketKind::Config, HeaderForm::Auto).unwrap(), [0xAF, 0]);
        assert_eq!(header(0, AudioCodec::Aac, FRAME, HeaderForm::Extended).unwrap(), b"\x91mp4a");
        assert_eq!(header(0, AudioCodec::Opus, FRAME, HeaderForm::Auto).unwrap(), b"\x91Opus");
        assert_eq!(header(1, AudioCodec::Aac, PacketKind::Config, HeaderForm::Auto).unwrap(), b"\x95\x00mp4a\x01");
        assert_eq!(header(0, AudioCodec::Aac, PacketKind::End, HeaderForm::Auto).unwrap(), b"");
        assert!(header(1, AudioCodec::Speex, FRAME, HeaderForm::Auto).is_err());
        assert!(header(0, AudioCodec::Mp3, PacketKind::Config, HeaderForm::Auto).is_err());
        assert!(header(0, AudioCodec::Aac, PacketKind::Metadata, HeaderForm::Auto).is_err());
    }
}
