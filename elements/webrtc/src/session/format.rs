//! In what form a codec is agreed on.

use super::Codec;

/// A way to send a codec that both ends know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// The codec.
    pub codec: Codec,
    /// Its payload type in this session (RFC 3550, 5.1).
    pub payload_type: u8,
    /// H.264: `profile-level-id` (RFC 6184, 8.1).
    pub profile_level_id: Option<u32>,
    /// H.264: whether pictures may be split, `packetization-mode=1`. True for all other codecs.
    pub splits: bool,
    /// VP9: `profile-id` (RFC 9628, 7).
    pub profile_id: Option<u32>,
}

impl Format {
    /// How far what it says is from a stream of this profile: `profile-level-id` of H.264, `profile-id` of VP9. 0 where it is the same one, 1 where
    /// who decodes this decodes the stream too, 2 for what may still work: players say less than they decode.
    pub fn distance(&self, profile: u32) -> u8 {
        match self.codec {
            // RFC 6184, 8.1: without one it is Baseline of level 1.
            Codec::H264 => h264(Profile::of(self.profile_level_id.unwrap_or(0x42_00_0A)), Profile::of(profile)),
            Codec::Vp9 if self.profile_id.unwrap_or(0) != profile => 2,
            _ => 0,
        }
    }
}

fn h264(offered: Profile, stream: Profile) -> u8 {
    use Profile::{Baseline, ConstrainedBaseline, ConstrainedHigh, High, Main, Other};
    match (offered, stream) {
        _ if offered == stream && stream != Other => 0,
        (Baseline | Main | ConstrainedHigh | High, ConstrainedBaseline) | (High, Main | ConstrainedHigh) => 1,
        _ => 2,
    }
}

/// Profiles of H.264, by what is decoded (RFC 6184, table 5).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    ConstrainedHigh,
    High,
    Other,
}

impl Profile {
    fn of(profile_level_id: u32) -> Self {
        let [_, idc, flags, _] = profile_level_id.to_be_bytes();
        match (idc, flags) {
            (0x42, flags) if flags & 0x4F == 0x40 => Self::ConstrainedBaseline,
            (0x4D, flags) if flags & 0x8F == 0x80 => Self::ConstrainedBaseline,
            (0x58, flags) if flags & 0xCF == 0xC0 => Self::ConstrainedBaseline,
            (0x42, flags) if flags & 0x4F == 0 => Self::Baseline,
            (0x58, flags) if flags & 0xCF == 0x80 => Self::Baseline,
            (0x4D, flags) if flags & 0xAF == 0 => Self::Main,
            (0x64, 0) => Self::High,
            (0x64, 0x0C) => Self::ConstrainedHigh,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How far the formats of Chromium's offer are from a stream.
    fn distances(stream: u32) -> [u8; 4] {
        [0x42_00_1F, 0x42_E0_1F, 0x4D_00_1F, 0x64_00_1F].map(|id| {
            let (codec, profile_level_id) = (Codec::H264, Some(id));
            Format { codec, payload_type: 100, profile_level_id, splits: true, profile_id: None }.distance(stream)
        })
    }

    #[test]
    fn web_1_the_profile_of_the_stream_is_looked_for_whatever_its_level() {
        assert_eq!(distances(0x42_C0_28), [1, 0, 1, 1], "Constrained Baseline, as x264 says it");
        assert_eq!(distances(0x4D_40_28), [2, 2, 0, 1], "Main, as x264 says it");
        assert_eq!(distances(0x64_00_28), [2, 2, 2, 0], "High");
        assert_eq!(distances(0xF4_00_1F), [2; 4], "High 4:4:4");
    }
}
