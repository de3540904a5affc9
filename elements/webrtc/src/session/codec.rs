//! Codecs that sessions negotiate, and what they are called elsewhere.

use millstream_core::caps::media;
use millstream_core::meter::Kind;
use schemars::JsonSchema;
use serde::Deserialize;

/// A codec that WebRTC carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// H.264, RFC 6184.
    H264,
    /// H.265, RFC 7798.
    H265,
    /// VP8, RFC 7741.
    Vp8,
    /// VP9, RFC 9628.
    Vp9,
    /// AV1, AOM's "RTP Payload Format For AV1".
    Av1,
    /// Opus, RFC 7587.
    Opus,
    /// G.711 mu-law, RFC 3551.
    Pcmu,
    /// G.711 A-law, RFC 3551.
    Pcma,
}

impl Codec {
    /// All, the most useful of each kind first.
    pub const ALL: [Self; 8] =
        [Self::H264, Self::Vp8, Self::Vp9, Self::Av1, Self::H265, Self::Opus, Self::Pcmu, Self::Pcma];

    /// Pictures or sound.
    pub fn kind(self) -> Kind {
        match self {
            Self::Opus | Self::Pcmu | Self::Pcma => Kind::Audio,
            _ => Kind::Video,
        }
    }

    /// Ticks of its RTP clock in a second.
    pub fn rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8000,
            _ => 90_000,
        }
    }

    /// Its media type in caps.
    pub fn media(self) -> &'static str {
        match self {
            Self::H264 => media::H264,
            Self::H265 => media::H265,
            Self::Vp8 => media::VP8,
            Self::Vp9 => media::VP9,
            Self::Av1 => media::AV1,
            Self::Opus => media::OPUS,
            Self::Pcmu => media::MULAW,
            Self::Pcma => media::ALAW,
        }
    }

    /// Its name, as people and SDP write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::H265 => "H265",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::Av1 => "AV1",
            Self::Opus => "opus",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    pub(super) fn of(codec: str0m::format::Codec) -> Option<Self> {
        use str0m::format::Codec as Other;
        Some(match codec {
            Other::H264 => Self::H264,
            Other::H265 => Self::H265,
            Other::Vp8 => Self::Vp8,
            Other::Vp9 => Self::Vp9,
            Other::Av1 => Self::Av1,
            Other::Opus => Self::Opus,
            Other::PCMU => Self::Pcmu,
            Other::PCMA => Self::Pcma,
            _ => return None,
        })
    }
}
