//! Profile, tier and level (H.265 7.3.3) and the codec string made of them.

use std::fmt::Write;

use crate::bits::BitReader;
use crate::error::CodecError;

/// The general profile, tier and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProfileTierLevel {
    /// `general_profile_space`, 0 to 3.
    pub profile_space: u8,
    /// `general_tier_flag`: high tier.
    pub high_tier: bool,
    /// `general_profile_idc`: 1 Main, 2 Main 10, 3 Main Still Picture, 4 range extensions.
    pub profile_idc: u8,
    /// `general_profile_compatibility_flag[0]` (top bit) to `[31]`.
    pub compatibility: u32,
    /// The 48 bits from `general_progressive_source_flag` on.
    pub constraints: u64,
    /// `general_level_idc`: thirty times the level.
    pub level_idc: u8,
}

impl ProfileTierLevel {
    /// `profile_tier_level( 1, max_sub_layers_minus1 )`.
    pub(crate) fn read(reader: &mut BitReader<'_>, max_sub_layers_minus_1: u8) -> Result<Self, CodecError> {
        let general = Self::read_general(reader)?;
        let mut present = Vec::with_capacity(8);
        for _ in 0..max_sub_layers_minus_1 {
            present.push((reader.flag()?, reader.flag()?));
        }
        if max_sub_layers_minus_1 > 0 {
            reader.skip(2 * usize::from(8u8.saturating_sub(max_sub_layers_minus_1)))?; // reserved_zero_2bits
        }
        for (profile, level) in present {
            reader.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
        }
        Ok(general)
    }

    /// The 96 bits that SPS and `hvcC` have in common.
    pub(crate) fn read_general(reader: &mut BitReader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            profile_space: reader.u8(2)?,
            high_tier: reader.flag()?,
            profile_idc: reader.u8(5)?,
            compatibility: reader.u(32)?,
            constraints: reader.u64(48)?,
            level_idc: reader.u8(8)?,
        })
    }
}

/// `hvc1.A.B.LC.D` (ISO/IEC 14496-15 E.3), for example `hvc1.1.6.L93.B0`. `sample_entry` is `hvc1` or `hev1`.
#[must_use]
pub fn codec_string(sample_entry: &str, profile: &ProfileTierLevel) -> String {
    let space = ["", "A", "B", "C"].get(usize::from(profile.profile_space)).copied().unwrap_or_default();
    let tier = if profile.high_tier { 'H' } else { 'L' };
    let (idc, level) = (profile.profile_idc, profile.level_idc);
    let mut text = format!("{sample_entry}.{space}{idc}.{:X}.{tier}{level}", profile.compatibility.reverse_bits());
    let bytes = profile.constraints.to_be_bytes();
    let constraints = bytes.get(2..).unwrap_or_default();
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in constraints.iter().take(used) {
        let _infallible = write!(text, ".{byte:X}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hls_7_codec_strings_of_iso_14496_15_e3() {
        // The standard's two examples.
        let main = ProfileTierLevel {
            profile_idc: 1,
            compatibility: 0x6000_0000,
            constraints: 0xb000_0000_0000,
            level_idc: 93,
            ..ProfileTierLevel::default()
        };
        assert_eq!(codec_string("hvc1", &main), "hvc1.1.6.L93.B0");
        let other = ProfileTierLevel {
            profile_space: 1,
            high_tier: true,
            profile_idc: 4,
            compatibility: 0x8200_0000,
            constraints: 0xb023_0000_0000,
            level_idc: 120,
        };
        assert_eq!(codec_string("hev1", &other), "hev1.A4.41.H120.B0.23");
    }
}
