//! H.265 / HEVC: NAL units, parameter sets, access units and the `hvcC` record.
//!
//! | part | defined by |
//! | --- | --- |
//! | NAL unit types, parameter sets | ITU-T H.265 (V8) 7.3, 7.4, Annex E |
//! | access unit boundaries | ITU-T H.265 7.4.2.4.4 |
//! | `HEVCDecoderConfigurationRecord` | ISO/IEC 14496-15 8.3.3.1 |
//! | codec string | ISO/IEC 14496-15 Annex E.3 |

mod access_unit;
mod hvcc;
mod parameter_sets;
mod profile;
mod slice;
mod sps;
mod vui;

use bytes::Bytes;

pub use access_unit::{AccessUnitDetector, AccessUnitSplitter};
pub use hvcc::{HevcDecoderConfigurationRecord, MAX_HVCC_ARRAYS, NalArray};
pub use parameter_sets::{MAX_PPS_ID, MAX_VPS_ID, ParameterSets, Pps};
pub use profile::{ProfileTierLevel, codec_string};
pub use slice::SliceHeader;
pub use sps::{MAX_PICTURE_SIDE, MAX_SHORT_TERM_SETS, MAX_SPS_ID, MAX_SUB_LAYERS, Sps};
pub use vui::{Timing, Vui};

/// An access unit delimiter that allows all slice types, followed by its RBSP stop bit (H.265 7.3.2.5).
pub const AUD: Bytes = Bytes::from_static(&[0x46, 0x01, 0x50]);
/// Bytes of a NAL unit header (H.265 7.3.1.2).
pub const NAL_HEADER_BYTES: usize = 2;

/// `nal_unit_type` (H.265 table 7-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NalType(pub u8);

impl NalType {
    /// `VPS_NUT`.
    pub const VPS: Self = Self(32);
    /// `SPS_NUT`.
    pub const SPS: Self = Self(33);
    /// `PPS_NUT`.
    pub const PPS: Self = Self(34);
    /// `AUD_NUT`.
    pub const AUD: Self = Self(35);
    /// `PREFIX_SEI_NUT`.
    pub const PREFIX_SEI: Self = Self(39);
    /// `SUFFIX_SEI_NUT`.
    pub const SUFFIX_SEI: Self = Self(40);

    /// Type of a NAL unit from its first byte; `None` for an empty unit.
    #[must_use]
    pub fn of(nal: &[u8]) -> Option<Self> {
        nal.first().map(|header| Self(header >> 1 & 0x3f))
    }

    /// True for slice segments, types 0 to 31.
    #[must_use]
    pub fn is_vcl(self) -> bool {
        self.0 < 32
    }

    /// True for IDR pictures: `IDR_W_RADL`, `IDR_N_LP`.
    #[must_use]
    pub fn is_idr(self) -> bool {
        matches!(self.0, 19 | 20)
    }

    /// True for random access pictures, where decoding may start: BLA, IDR, CRA and the two reserved types.
    #[must_use]
    pub fn is_irap(self) -> bool {
        matches!(self.0, 16..=23)
    }

    /// True for VPS, SPS and PPS.
    #[must_use]
    pub fn is_parameter_set(self) -> bool {
        matches!(self, Self::VPS | Self::SPS | Self::PPS)
    }
}

/// `nuh_layer_id`: 0 for the base layer. `None` when the header is cut off.
#[must_use]
pub fn layer_id(nal: &[u8]) -> Option<u8> {
    let header = nal.get(..NAL_HEADER_BYTES)?;
    Some((header.first()? & 1) << 5 | header.get(1)? >> 3)
}

/// True when an access unit with these NAL units is a random access point of the base layer.
#[must_use]
pub fn is_key_frame<T: AsRef<[u8]>>(nals: impl IntoIterator<Item = T>) -> bool {
    nals.into_iter()
        .any(|nal| NalType::of(nal.as_ref()).is_some_and(NalType::is_irap) && layer_id(nal.as_ref()) == Some(0))
}
