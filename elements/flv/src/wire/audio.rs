//! Audio tag bodies: the legacy header (FLV 10.1 E.4.2) and the extended one (Enhanced RTMP v2, "Enhanced Audio").

use bytes::Bytes;

use super::codec::AudioCodec;
use super::cursor::Cursor;
use super::error::BodyError;
use super::modex;
use super::multitrack::{self, MultitrackType};
use super::packet::{PacketKind, Packets, TrackPacket};

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
