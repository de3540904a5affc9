//! What a Multivariant Playlist says of a stream, read from its first frames.

use bytes::Bytes;
use millstream_codec::aac::AdtsHeader;
use millstream_codec::frames::FrameHeader;
use millstream_codec::mpegaudio::MpegAudioHeader;
use millstream_codec::nal::{annex_b, join};
use millstream_codec::{h264, h265};
use millstream_core::Caps;
use millstream_ts::psi::Codec;

/// A stream as `EXT-X-STREAM-INF` describes it (RFC 8216, section 4.3.4.2).
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Description {
    /// RFC 6381 codec string.
    pub(super) codec: String,
    /// Width and height in pixels.
    pub(super) resolution: Option<(u32, u32)>,
    /// Pictures a second, as numerator and denominator.
    pub(super) frame_rate: Option<(u32, u32)>,
}

impl Description {
    fn sound(codec: impl Into<String>) -> Option<Self> {
        Some(Self { codec: codec.into(), resolution: None, frame_rate: None })
    }

    /// Reads it from a frame; nothing where that does not tell, such as a picture without parameter sets.
    pub(super) fn of(codec: Codec, caps: Option<&Caps>, frame: &[Bytes]) -> Option<Self> {
        let frame = join(frame);
        match codec {
            Codec::H264 => annex_b(&frame).find_map(|nal| {
                let is_sps = h264::NalType::of(&nal) == Some(h264::NalType::Sps);
                let sps = is_sps.then(|| h264::Sps::parse(&nal).ok()).flatten()?;
                let size = (sps.width(), sps.height());
                Some(Self::pictures(sps.codec_string(), size, caps, sps.frame_rate()))
            }),
            Codec::H265 => annex_b(&frame).find_map(|nal| {
                let is_sps = h265::NalType::of(&nal) == Some(h265::NalType::SPS);
                let sps = is_sps.then(|| h265::Sps::parse(&nal).ok()).flatten()?;
                let size = (sps.width(), sps.height());
                Some(Self::pictures(sps.codec_string(), size, caps, sps.frame_rate()))
            }),
            Codec::AacAdts => Self::sound(AdtsHeader::parse(&frame).ok()?.config().codec_string()),
            Codec::Mpeg1Audio | Codec::Mpeg2Audio => Self::sound(MpegAudioHeader::parse(&frame).ok()?.codec_string()),
            Codec::Ac3 => Self::sound("ac-3"),
            Codec::Eac3 => Self::sound("ec-3"),
            Codec::Opus(_) => Self::sound("Opus"),
            _ => None,
        }
    }

    /// Caps know the rate of a stream whose parameter sets do not.
    fn pictures(codec: String, size: (u32, u32), caps: Option<&Caps>, rate: Option<(u32, u32)>) -> Self {
        let told =
            caps.and_then(Caps::framerate).and_then(|(n, d)| Some((u32::try_from(n).ok()?, u32::try_from(d).ok()?)));
        let frame_rate = told.filter(|(n, d)| *n > 0 && *d > 0).or(rate);
        Self { codec, resolution: Some(size), frame_rate }
    }
}
