//! H.264 / AVC: NAL units, parameter sets, slice headers, access units and the `avcC` record.
//!
//! | part | defined by |
//! | --- | --- |
//! | NAL unit types, parameter sets, slice headers | ITU-T H.264 (08/2021) 7.3, 7.4, Annex E |
//! | access unit boundaries | ITU-T H.264 7.4.1.2.3, 7.4.1.2.4 |
//! | `AVCDecoderConfigurationRecord` | ISO/IEC 14496-15 5.3.3.1 |
//! | codec string | RFC 6381 3.3 |

mod access_unit;
mod avcc;
mod parameter_sets;
mod pps;
mod sei;
mod slice;
mod sps;

use bytes::Bytes;

pub use access_unit::{AccessUnitDetector, AccessUnitSplitter};
pub use avcc::{AvcDecoderConfigurationRecord, AvcExtension};
pub use parameter_sets::ParameterSets;
pub use pps::{MAX_PPS_ID, Pps};
pub use sei::{MAX_SEI_MESSAGES, recovery_point};
pub use slice::{MAX_SLICE_HEADER_BYTES, PictureFields, SliceHeader, SliceType};
pub use sps::{Crop, MAX_PICTURE_SIDE, MAX_SPS_ID, PicOrder, Sps, Timing, Vui};

/// An access unit delimiter that allows all slice types, followed by its RBSP stop bit (H.264 7.3.2.4).
pub const AUD: Bytes = Bytes::from_static(&[0x09, 0xf0]);

/// `nal_unit_type` (H.264 table 7-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NalType {
    /// 1: slice of a picture that is not IDR.
    Slice,
    /// 2: slice data partition A, which holds the slice header.
    PartitionA,
    /// 3: slice data partition B.
    PartitionB,
    /// 4: slice data partition C.
    PartitionC,
    /// 5: slice of an IDR picture.
    Idr,
    /// 6: supplemental enhancement information.
    Sei,
    /// 7: sequence parameter set.
    Sps,
    /// 8: picture parameter set.
    Pps,
    /// 9: access unit delimiter.
    Aud,
    /// 10: end of sequence.
    EndOfSequence,
    /// 11: end of stream.
    EndOfStream,
    /// 12: filler data.
    Filler,
    /// 13: sequence parameter set extension (alpha).
    SpsExtension,
    /// 14: prefix of the next unit (SVC, MVC).
    Prefix,
    /// 15: subset sequence parameter set (SVC, MVC).
    SubsetSps,
    /// 19: slice of an auxiliary picture.
    Auxiliary,
    /// 20: slice of a scalable or multiview layer.
    SliceExtension,
    /// Reserved, unspecified, or of no interest here.
    Other(u8),
}

impl NalType {
    /// Type of a NAL unit from its first byte; `None` for an empty unit.
    #[must_use]
    pub fn of(nal: &[u8]) -> Option<Self> {
        nal.first().map(|header| Self::from(header & 0x1f))
    }

    /// True for slices and partitions of a primary coded picture, types 1 to 5.
    #[must_use]
    pub fn is_vcl(self) -> bool {
        matches!(self, Self::Slice | Self::PartitionA | Self::PartitionB | Self::PartitionC | Self::Idr)
    }
}

impl From<u8> for NalType {
    fn from(value: u8) -> Self {
        match value {
            1 => Self::Slice,
            2 => Self::PartitionA,
            3 => Self::PartitionB,
            4 => Self::PartitionC,
            5 => Self::Idr,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::Aud,
            10 => Self::EndOfSequence,
            11 => Self::EndOfStream,
            12 => Self::Filler,
            13 => Self::SpsExtension,
            14 => Self::Prefix,
            15 => Self::SubsetSps,
            19 => Self::Auxiliary,
            20 => Self::SliceExtension,
            other => Self::Other(other),
        }
    }
}

/// What counts as a key frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyFrameRule {
    /// IDR pictures alone: decoding may start there and nothing later refers back.
    #[default]
    Idr,
    /// IDR pictures and recovery points (H.264 D.2.8) that are exact at once: open groups of pictures, and encoders
    /// with periodic intra refresh that send no IDR.
    IdrOrRecoveryPoint,
}

/// True when an access unit with these NAL units is a key frame.
#[must_use]
pub fn is_key_frame<T: AsRef<[u8]>>(nals: impl IntoIterator<Item = T>, rule: KeyFrameRule) -> bool {
    nals.into_iter().any(|nal| match NalType::of(nal.as_ref()) {
        Some(NalType::Idr) => true,
        Some(NalType::Sei) => rule == KeyFrameRule::IdrOrRecoveryPoint && recovery_point(nal.as_ref()) == Some(0),
        _ => false,
    })
}

/// `avc1.PPCCLL` for the profile, constraint and level bytes of an SPS or `avcC` (RFC 6381 3.3).
#[must_use]
pub fn codec_string(profile_idc: u8, constraints: u8, level_idc: u8) -> String {
    format!("avc1.{profile_idc:02X}{constraints:02X}{level_idc:02X}")
}
