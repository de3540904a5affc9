//! Slice segment header (H.265 7.3.6.1) up to the picture order count.

use crate::bits::{BitReader, unescape};
use crate::error::CodecError;
use crate::h265::{MAX_PPS_ID, NalType, ParameterSets};

/// Bytes of a slice looked at: the fields read here fill at most 12 bytes, emulation prevention included.
const MAX_HEADER_BYTES: usize = 32;

/// The beginning of the first slice segment of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceHeader {
    /// `slice_pps_pic_parameter_set_id`.
    pub pps_id: u8,
    /// `slice_pic_order_cnt_lsb`; 0 for an IDR picture, which sends none.
    pub pic_order_cnt_lsb: u32,
    /// Bits of `slice_pic_order_cnt_lsb`.
    pub lsb_bits: u8,
    /// `nuh_temporal_id_plus1` - 1.
    pub temporal_id: u8,
}

impl SliceHeader {
    /// Reads the header of a picture's first slice segment, NAL header included.
    ///
    /// # Errors
    /// Truncated data, another slice segment than the first, or parameter sets that are not known.
    pub fn parse(nal: &[u8], sets: &ParameterSets) -> Result<Self, CodecError> {
        let rbsp = unescape(nal.get(..MAX_HEADER_BYTES).unwrap_or(nal));
        let mut reader = BitReader::new("H.265 slice segment header", &rbsp);
        let header = reader.u(16)?;
        let kind = NalType(u8::try_from(header >> 9 & 0x3f).unwrap_or(0));
        let temporal_id = u8::try_from(header & 7).unwrap_or(0).saturating_sub(1);
        if !kind.is_vcl() {
            return Err(reader.invalid("expected nal_unit_type 0 to 31"));
        }
        if !reader.flag()? {
            return Err(reader.invalid("expected the first slice segment of a picture"));
        }
        if kind.is_irap() {
            reader.skip(1)?; // no_output_of_prior_pics_flag
        }
        let pps_id = reader.ue_u8(MAX_PPS_ID, "slice_pic_parameter_set_id")?;
        let known = sets.pps(pps_id).and_then(|pps| Some((pps, sets.sps(pps.sps_id)?)));
        let (pps, sps) = known.ok_or_else(|| reader.invalid("expected known parameter sets"))?;
        reader.skip(pps.extra_slice_header_bits.into())?;
        reader.ue()?; // slice_type
        if pps.output_flag_present {
            reader.skip(1)?; // pic_output_flag
        }
        if sps.separate_colour_planes {
            reader.skip(2)?; // colour_plane_id
        }
        let pic_order_cnt_lsb = if kind.is_idr() { 0 } else { reader.u(sps.lsb_bits.into())? };
        Ok(Self { pps_id, pic_order_cnt_lsb, lsb_bits: sps.lsb_bits, temporal_id })
    }
}
