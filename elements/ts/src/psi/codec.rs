//! Which codec a stream of a PMT carries: stream_type (ISO/IEC 13818-1:2023, table 2-34), registration and other descriptors.

use super::descriptor::{Descriptors, tag};

/// What a stream carries, as far as its PMT says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// MPEG-1 video, stream_type 0x01.
    Mpeg1Video,
    /// MPEG-2 video (H.262), 0x02.
    Mpeg2Video,
    /// MPEG-4 part 2 video, 0x10.
    Mpeg4Video,
    /// H.264 (AVC) byte stream, 0x1B.
    H264,
    /// H.265 (HEVC) byte stream, 0x24.
    H265,
    /// H.266 (VVC) byte stream, 0x33.
    H266,
    /// AV1, 0x06 with registration `AV01`.
    Av1,
    /// VC-1, 0xEA or registration `VC-1`.
    Vc1,
    /// MPEG-1 audio of any layer, 0x03.
    Mpeg1Audio,
    /// MPEG-2 audio (half sample rates), 0x04.
    Mpeg2Audio,
    /// AAC in ADTS, 0x0F.
    AacAdts,
    /// AAC in LATM/LOAS, 0x11.
    AacLatm,
    /// AC-3: 0x81 (ATSC), or 0x06 with descriptor 0x6A (DVB).
    Ac3,
    /// E-AC-3: 0x87 (ATSC), or 0x06 with descriptor 0x7A (DVB).
    Eac3,
    /// DTS: 0x82, 0x85, 0x8A, or 0x06 with descriptor 0x7B or registration `DTS1` to `DTS3`.
    Dts,
    /// Opus, 0x06 with registration `Opus`; the value is its channel_config_code (2 if none is given).
    Opus(u8),
    /// ID3 timed metadata, 0x15 with metadata format `ID3 `.
    Id3,
    /// KLV (SMPTE 336): 0x15 with metadata format `KLVA`, or 0x06 with registration `KLVA`.
    Klv,
    /// SCTE-35 cues in sections, 0x86 in a program with registration `CUEI`.
    Scte35,
    /// DVB subtitles, 0x06 with descriptor 0x59.
    DvbSubtitle,
    /// Teletext, 0x06 with descriptor 0x56.
    Teletext,
    /// H.264 under SAMPLE-AES, 0xDB.
    SampleAesH264,
    /// AAC under SAMPLE-AES, 0xCF.
    SampleAesAac,
    /// AC-3 under SAMPLE-AES, 0xC1.
    SampleAesAc3,
    /// E-AC-3 under SAMPLE-AES, 0xC2.
    SampleAesEac3,
    /// Private data in PES packets (0x06) that nothing names.
    PrivatePes,
    /// Tables in sections that no stream decoder wants: 0x05, 0x0A to 0x0D.
    Sections(u8),
    /// Another stream_type.
    Other(u8),
}

/// What a codec's data is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamClass {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// All else: metadata, subtitles, cues, unknown.
    Data,
}

impl Codec {
    /// The codec of a stream, from its stream_type, its descriptors and those of its program.
    #[must_use]
    pub fn guess(stream_type: u8, own: &Descriptors, program: &Descriptors) -> Self {
        match stream_type {
            0x01 => Self::Mpeg1Video,
            0x02 => Self::Mpeg2Video,
            0x03 => Self::Mpeg1Audio,
            0x04 => Self::Mpeg2Audio,
            0x05 | 0x0A..=0x0D => Self::Sections(stream_type),
            0x06 => Self::guess_private(own),
            0x0F => Self::AacAdts,
            0x10 => Self::Mpeg4Video,
            0x11 => Self::AacLatm,
            0x15 => Self::guess_metadata(own),
            0x1B => Self::H264,
            0x24 => Self::H265,
            0x33 => Self::H266,
            0x86 if program.is_registered(b"CUEI") || own.is_registered(b"CUEI") => Self::Scte35,
            0x81 => Self::Ac3,
            0x87 => Self::Eac3,
            0x82 | 0x85 | 0x86 | 0x8A => Self::Dts,
            0xC1 => Self::SampleAesAc3,
            0xC2 => Self::SampleAesEac3,
            0xCF => Self::SampleAesAac,
            0xDB => Self::SampleAesH264,
            0xEA => Self::Vc1,
            other => Self::guess_private_type(own).unwrap_or(Self::Other(other)),
        }
    }

    /// What it is for.
    #[must_use]
    pub const fn class(self) -> StreamClass {
        match self {
            Self::Mpeg1Video | Self::Mpeg2Video | Self::Mpeg4Video => StreamClass::Video,
            Self::H264 | Self::H265 | Self::H266 | Self::Av1 | Self::Vc1 | Self::SampleAesH264 => StreamClass::Video,
            Self::Mpeg1Audio | Self::Mpeg2Audio | Self::AacAdts | Self::AacLatm | Self::Ac3 => StreamClass::Audio,
            Self::Eac3 | Self::Dts | Self::Opus(_) => StreamClass::Audio,
            Self::SampleAesAac | Self::SampleAesAc3 | Self::SampleAesEac3 => StreamClass::Audio,
            _ => StreamClass::Data,
        }
    }

    /// Whether it travels in sections rather than in PES packets.
    #[must_use]
    pub const fn in_sections(self) -> bool {
        matches!(self, Self::Scte35 | Self::Sections(_))
    }

    /// The stream_type that this crate writes for it.
    #[must_use]
    pub const fn stream_type(self) -> u8 {
        match self {
            Self::Mpeg1Video => 0x01,
            Self::Mpeg2Video => 0x02,
            Self::Mpeg1Audio => 0x03,
            Self::Mpeg2Audio => 0x04,
            Self::AacAdts => 0x0F,
            Self::Mpeg4Video => 0x10,
            Self::AacLatm => 0x11,
            Self::Id3 => 0x15,
            Self::H264 => 0x1B,
            Self::H265 => 0x24,
            Self::H266 => 0x33,
            Self::Ac3 => 0x81,
            Self::Dts => 0x82,
            Self::Scte35 => 0x86,
            Self::Eac3 => 0x87,
            Self::SampleAesAc3 => 0xC1,
            Self::SampleAesEac3 => 0xC2,
            Self::SampleAesAac => 0xCF,
            Self::SampleAesH264 => 0xDB,
            Self::Vc1 => 0xEA,
            Self::Av1 | Self::Opus(_) | Self::Klv | Self::DvbSubtitle | Self::Teletext | Self::PrivatePes => 0x06,
            Self::Sections(stream_type) | Self::Other(stream_type) => stream_type,
        }
    }

    /// stream_type 0x06: the descriptors say what it is.
    fn guess_private(own: &Descriptors) -> Self {
        if own.find(tag::DVB_AC3).is_some() {
            return Self::Ac3;
        }
        if own.find(tag::DVB_EAC3).is_some() {
            return Self::Eac3;
        }
        if own.find(tag::DVB_DTS).is_some() {
            return Self::Dts;
        }
        if let Some(codec) = Self::guess_private_type(own) {
            return codec;
        }
        if own.find(tag::DVB_AAC).is_some() {
            return Self::AacAdts;
        }
        if own.find(tag::DVB_SUBTITLING).is_some() {
            return Self::DvbSubtitle;
        }
        if own.find(tag::DVB_TELETEXT).is_some() {
            return Self::Teletext;
        }
        Self::PrivatePes
    }

    /// A registration that names a codec whatever the stream_type.
    fn guess_private_type(own: &Descriptors) -> Option<Self> {
        own.iter().filter(|d| d.tag == tag::REGISTRATION).find_map(|d| {
            Some(match d.data.first_chunk::<4>()? {
                b"Opus" => Self::Opus(own.opus_config().unwrap_or(2)),
                b"AV01" => Self::Av1,
                b"HEVC" => Self::H265,
                b"VVC " => Self::H266,
                b"AC-3" => Self::Ac3,
                b"EAC3" => Self::Eac3,
                b"DTS1" | b"DTS2" | b"DTS3" => Self::Dts,
                b"VC-1" => Self::Vc1,
                b"KLVA" => Self::Klv,
                b"CUEI" => Self::Scte35,
                _ => return None,
            })
        })
    }

    /// stream_type 0x15: metadata in PES packets.
    fn guess_metadata(own: &Descriptors) -> Self {
        match own.metadata_format(tag::METADATA) {
            Some([b'I', b'D', b'3', _]) => Self::Id3,
            Some([b'K', b'L', b'V', _]) => Self::Klv,
            _ => Self::Other(0x15),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stream_type: u8, wire: &[u8]) -> Codec {
        Codec::guess(stream_type, &Descriptors::from_wire(wire), &Descriptors::new())
    }

    #[test]
    fn ts_10_stream_types() {
        use Codec::*;
        let table = [
            (0x01, Mpeg1Video),
            (0x02, Mpeg2Video),
            (0x03, Mpeg1Audio),
            (0x04, Mpeg2Audio),
            (0x0F, AacAdts),
            (0x10, Mpeg4Video),
            (0x11, AacLatm),
            (0x1B, H264),
            (0x24, H265),
            (0x33, H266),
            (0x81, Ac3),
            (0x87, Eac3),
            (0xC1, SampleAesAc3),
            (0xC2, SampleAesEac3),
            (0xCF, SampleAesAac),
            (0xDB, SampleAesH264),
        ];
        for (stream_type, codec) in table {
            assert_eq!(of(stream_type, &[]), codec);
            assert_eq!(codec.stream_type(), stream_type);
        }
    }

    #[test]
    fn ts_10_private_streams_by_descriptor() {
        assert_eq!(of(0x06, &[0x6A, 1, 0]), Codec::Ac3);
        assert_eq!(of(0x06, &[0x7A, 1, 0]), Codec::Eac3);
        assert_eq!(of(0x06, b"\x05\x04Opus\x7F\x02\x80\x01"), Codec::Opus(1));
        assert_eq!(of(0x06, b"\x05\x04AV01"), Codec::Av1);
        assert_eq!(of(0x06, b"\x05\x04KLVA"), Codec::Klv);
        assert_eq!(of(0x06, &[0x59, 8, b'd', b'e', b'u', 0x10, 0, 1, 0, 1]), Codec::DvbSubtitle);
        assert_eq!(of(0x06, &[]), Codec::PrivatePes);
        assert_eq!(of(0x15, b"\x26\x0D\xFF\xFFID3 \xFFID3 \x00\x0F"), Codec::Id3);
    }

    #[test]
    fn ts_10_0x86_is_scte_35_only_where_cuei_is_registered() {
        let cuei = Descriptors::from_wire(b"\x05\x04CUEI");
        assert_eq!(Codec::guess(0x86, &Descriptors::new(), &cuei), Codec::Scte35);
        assert_eq!(of(0x86, &[]), Codec::Dts);
    }
}
