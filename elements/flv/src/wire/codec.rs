//! Codec identifiers: legacy numbers and FourCCs, both ways.

use std::fmt;

/// Four ASCII characters that name a codec, in stream order (Enhanced RTMP v2, "Simple Data Types").
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// The FourCC as the big-endian number that `onMetaData` carries: `av01` is 1635135537.
    pub fn to_u32(self) -> u32 {
        u32::from_be_bytes(self.0)
    }

    /// The inverse of [`FourCc::to_u32`].
    pub fn from_u32(value: u32) -> Self {
        Self(value.to_be_bytes())
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Audio codecs that a tag can name (FLV 10.1 E.4.2.1 `SoundFormat`; Enhanced RTMP v2 `AudioFourCc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// 0: PCM in the byte order of the machine that wrote it; little-endian in practice.
    PcmPlatform,
    /// 1: Flash ADPCM.
    Adpcm,
    /// 2 or `.mp3`: MPEG-1/2 layer III.
    Mp3,
    /// 3: PCM, little-endian, 8 bits unsigned or 16 bits signed.
    PcmLe,
    /// 4: Nellymoser, 16 kHz mono.
    Nellymoser16k,
    /// 5: Nellymoser, 8 kHz mono.
    Nellymoser8k,
    /// 6: Nellymoser at the rate of the sound flags.
    Nellymoser,
    /// 7: G.711 A-law, 8 kHz by convention.
    ALaw,
    /// 8: G.711 µ-law, 8 kHz by convention.
    MuLaw,
    /// 10 or `mp4a`: AAC, raw access units with an AudioSpecificConfig ahead.
    Aac,
    /// 11: Speex, 16 kHz mono.
    Speex,
    /// 14: MP3 at 8 kHz, which the rate flags cannot say.
    Mp3At8k,
    /// 15: device specific.
    Native,
    /// `ac-3`.
    Ac3,
    /// `ec-3`.
    Eac3,
    /// `Opus`.
    Opus,
    /// `fLaC`.
    Flac,
}

impl AudioCodec {
    /// A name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::PcmPlatform => "PCM (platform endian)",
            Self::Adpcm => "ADPCM",
            Self::Mp3 => "MP3",
            Self::PcmLe => "PCM",
            Self::Nellymoser16k => "Nellymoser 16 kHz",
            Self::Nellymoser8k => "Nellymoser 8 kHz",
            Self::Nellymoser => "Nellymoser",
            Self::ALaw => "G.711 A-law",
            Self::MuLaw => "G.711 mu-law",
            Self::Aac => "AAC",
            Self::Speex => "Speex",
            Self::Mp3At8k => "MP3 8 kHz",
            Self::Native => "device-specific sound",
            Self::Ac3 => "AC-3",
            Self::Eac3 => "E-AC-3",
            Self::Opus => "Opus",
            Self::Flac => "FLAC",
        }
    }

    /// The codec of a legacy `SoundFormat` (0-15). 9 is the extended header, 12 and 13 are reserved.
    pub fn from_sound_format(id: u8) -> Option<Self> {
        Some(match id {
            0 => Self::PcmPlatform,
            1 => Self::Adpcm,
            2 => Self::Mp3,
            3 => Self::PcmLe,
            4 => Self::Nellymoser16k,
            5 => Self::Nellymoser8k,
            6 => Self::Nellymoser,
            7 => Self::ALaw,
            8 => Self::MuLaw,
            10 => Self::Aac,
            11 => Self::Speex,
            14 => Self::Mp3At8k,
            15 => Self::Native,
            _ => return None,
        })
    }

    /// The legacy `SoundFormat`, if the codec has one.
    pub fn sound_format(self) -> Option<u8> {
        Some(match self {
            Self::PcmPlatform => 0,
            Self::Adpcm => 1,
            Self::Mp3 => 2,
            Self::PcmLe => 3,
            Self::Nellymoser16k => 4,
            Self::Nellymoser8k => 5,
            Self::Nellymoser => 6,
            Self::ALaw => 7,
            Self::MuLaw => 8,
            Self::Aac => 10,
            Self::Speex => 11,
            Self::Mp3At8k => 14,
            Self::Native => 15,
            Self::Ac3 | Self::Eac3 | Self::Opus | Self::Flac => return None,
        })
    }

    /// The codec of an `audiocodecid` of `onMetaData`: a legacy number or a FourCC as a number.
    pub fn from_metadata_id(id: u32) -> Option<Self> {
        u8::try_from(id).ok().map_or_else(|| Self::from_fourcc(FourCc::from_u32(id)), Self::from_sound_format)
    }

    /// The `audiocodecid` of `onMetaData`: the legacy number where there is one, else the FourCC.
    pub fn metadata_id(self) -> Option<u32> {
        self.sound_format().map(u32::from).or_else(|| self.fourcc().map(FourCc::to_u32))
    }

    /// The codec of an `AudioFourCc`.
    pub fn from_fourcc(fourcc: FourCc) -> Option<Self> {
        Some(match &fourcc.0 {
            b"ac-3" => Self::Ac3,
            b"ec-3" => Self::Eac3,
            b"Opus" => Self::Opus,
            b".mp3" => Self::Mp3,
            b"fLaC" => Self::Flac,
            b"mp4a" => Self::Aac,
            _ => return None,
        })
    }

    /// The `AudioFourCc`, if the codec has one.
    pub fn fourcc(self) -> Option<FourCc> {
        Some(FourCc(match self {
            Self::Ac3 => *b"ac-3",
            Self::Eac3 => *b"ec-3",
            Self::Opus => *b"Opus",
            Self::Mp3 | Self::Mp3At8k => *b".mp3",
            Self::Flac => *b"fLaC",
            Self::Aac => *b"mp4a",
            _ => return None,
        }))
    }
}

/// Video codecs that a tag can name (FLV 10.1 E.4.3.1 `CodecID`; Enhanced RTMP v2 `VideoFourCc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// 2: Sorenson's H.263.
    SorensonH263,
    /// 3: Screen video.
    Screen,
    /// 4: On2 VP6.
    Vp6,
    /// 5: On2 VP6 with an alpha channel.
    Vp6Alpha,
    /// 6: Screen video version 2.
    ScreenV2,
    /// 7 or `avc1`.
    H264,
    /// `hvc1`; the id 12 that Chinese networks use is read as an alias.
    Hevc,
    /// `vp08`.
    Vp8,
    /// `vp09`.
    Vp9,
    /// `av01`.
    Av1,
    /// `vvc1`.
    Vvc,
}

/// `CodecID` for HEVC in the unofficial form that Chinese networks use; its packets look like those of id 7.
pub(super) const CODEC_ID_HEVC_ALIAS: u8 = 12;

impl VideoCodec {
    /// A name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::SorensonH263 => "Sorenson H.263",
            Self::Screen => "Screen video",
            Self::Vp6 => "VP6",
            Self::Vp6Alpha => "VP6 with alpha",
            Self::ScreenV2 => "Screen video 2",
            Self::H264 => "H.264",
            Self::Hevc => "HEVC",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::Av1 => "AV1",
            Self::Vvc => "VVC",
        }
    }

    /// The codec of a legacy `CodecID` (0-15), the alias 12 for HEVC included.
    pub fn from_codec_id(id: u8) -> Option<Self> {
        Some(match id {
            2 => Self::SorensonH263,
            3 => Self::Screen,
            4 => Self::Vp6,
            5 => Self::Vp6Alpha,
            6 => Self::ScreenV2,
            7 => Self::H264,
            CODEC_ID_HEVC_ALIAS => Self::Hevc,
            _ => return None,
        })
    }

    /// The legacy `CodecID` of the standard, if the codec has one. HEVC has none.
    pub fn codec_id(self) -> Option<u8> {
        Some(match self {
            Self::SorensonH263 => 2,
            Self::Screen => 3,
            Self::Vp6 => 4,
            Self::Vp6Alpha => 5,
            Self::ScreenV2 => 6,
            Self::H264 => 7,
            Self::Hevc | Self::Vp8 | Self::Vp9 | Self::Av1 | Self::Vvc => return None,
        })
    }

    /// The codec of a `videocodecid` of `onMetaData`: a legacy number or a FourCC as a number.
    pub fn from_metadata_id(id: u32) -> Option<Self> {
        u8::try_from(id).ok().map_or_else(|| Self::from_fourcc(FourCc::from_u32(id)), Self::from_codec_id)
    }

    /// The `videocodecid` of `onMetaData`: the legacy number where there is one, else the FourCC.
    pub fn metadata_id(self) -> Option<u32> {
        self.codec_id().map(u32::from).or_else(|| self.fourcc().map(FourCc::to_u32))
    }

    /// The codec of a `VideoFourCc`.
    pub fn from_fourcc(fourcc: FourCc) -> Option<Self> {
        Some(match &fourcc.0 {
            b"vp08" => Self::Vp8,
            b"vp09" => Self::Vp9,
            b"av01" => Self::Av1,
            b"avc1" => Self::H264,
            b"hvc1" => Self::Hevc,
            b"vvc1" => Self::Vvc,
            _ => return None,
        })
    }

    /// The `VideoFourCc`, if the codec has one.
    pub fn fourcc(self) -> Option<FourCc> {
        Some(FourCc(match self {
            Self::Vp8 => *b"vp08",
            Self::Vp9 => *b"vp09",
            Self::Av1 => *b"av01",
            Self::H264 => *b"avc1",
            Self::Hevc => *b"hvc1",
            Self::Vvc => *b"vvc1",
            _ => return None,
        }))
    }

    /// Whether `CodedFrames` of this codec carry a 24-bit composition time (Enhanced RTMP v2, `ExVideoTagBody`).
    pub fn has_composition_time(self) -> bool {
        matches!(self, Self::H264 | Self::Hevc | Self::Vvc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ert_9_fourcc_as_number_is_big_endian() {
        assert_eq!(FourCc(*b"av01").to_u32(), 1_635_135_537);
        assert_eq!(FourCc::from_u32(1_332_770_163), FourCc(*b"Opus"));
        assert_eq!(VideoCodec::from_metadata_id(1_635_135_537), Some(VideoCodec::Av1));
        assert_eq!(AudioCodec::Opus.metadata_id(), Some(1_332_770_163));
        assert_eq!((VideoCodec::H264.metadata_id(), AudioCodec::Aac.metadata_id()), (Some(7), Some(10)));
    }

    #[test]
    fn flv_4_legacy_ids_map_both_ways() {
        for id in 0..16 {
            if let Some(codec) = AudioCodec::from_sound_format(id) {
                assert_eq!(codec.sound_format(), Some(id));
            }
            if let Some(codec) = VideoCodec::from_codec_id(id).filter(|_| id != CODEC_ID_HEVC_ALIAS) {
                assert_eq!(codec.codec_id(), Some(id));
            }
        }
        assert_eq!(AudioCodec::from_sound_format(9), None);
    }

    #[test]
    fn ert_12_codec_id_12_reads_as_hevc_and_is_never_written_by_default() {
        assert_eq!(VideoCodec::from_codec_id(12), Some(VideoCodec::Hevc));
        assert_eq!(VideoCodec::Hevc.codec_id(), None);
    }
}
