//! MPEG-4 AAC: `AudioSpecificConfig`, ADTS and LATM/LOAS framing.
//!
//! | part | defined by |
//! | --- | --- |
//! | `AudioSpecificConfig`, `GASpecificConfig`, program config element | ISO/IEC 14496-3:2019 1.6.2.1, 4.4.1 |
//! | ADTS | ISO/IEC 14496-3 1.A.2.2 |
//! | LOAS `AudioSyncStream`, LATM `AudioMuxElement` | ISO/IEC 14496-3 1.7 |
//! | codec string | RFC 6381 3.3 |

mod adts;
mod config;
mod latm;
mod pce;

pub use adts::{ADTS_HEADER_BYTES, AdtsHeader, AdtsSplitter, MAX_ADTS_FRAME_BYTES};
pub use config::{AudioSpecificConfig, ObjectType, Sbr};
pub use latm::{LatmReader, LoasHeader, LoasSplitter, MAX_LATM_SUBFRAMES, MAX_LOAS_BYTES};
pub use pce::{MAX_PCE_ELEMENTS, ProgramConfig};

/// Sample rates in Hz by `samplingFrequencyIndex` (ISO/IEC 14496-3 table 1.18); 13 and 14 are reserved, 15 escapes.
pub const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Channels by `channelConfiguration` (ISO/IEC 14496-3 table 1.19, 23001-8); `None`: 0 (the program config element
/// tells), or reserved.
#[must_use]
pub fn channels(channel_config: u8) -> Option<u8> {
    match channel_config {
        1..=6 => Some(channel_config),
        7 | 12 | 14 => Some(8),
        11 => Some(7),
        13 => Some(24),
        _ => None,
    }
}

/// Index of a rate in [`SAMPLE_RATES`].
#[must_use]
pub fn sample_rate_index(rate: u32) -> Option<u8> {
    SAMPLE_RATES.iter().position(|known| *known == rate).and_then(|index| u8::try_from(index).ok())
}
