//! Picture parameter set (H.264 7.3.2.2): the fields that slice headers and access unit boundaries depend on.

use crate::bits::{BitReader, unescape};
use crate::error::CodecError;
use crate::h264::MAX_SPS_ID;

/// The largest `pic_parameter_set_id` (H.264 7.4.2.2).
pub const MAX_PPS_ID: u8 = 255;

/// The beginning of a picture parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pps {
    /// `pic_parameter_set_id`.
    pub id: u8,
    /// `seq_parameter_set_id` of the SPS it refers to.
    pub sps_id: u8,
    /// `entropy_coding_mode_flag`: CABAC rather than CAVLC.
    pub cabac: bool,
    /// `bottom_field_pic_order_in_frame_present_flag`: slice headers carry picture order deltas.
    pub pic_order_present: bool,
}

impl Pps {
    /// Reads a PPS NAL unit, header byte included.
    ///
    /// # Errors
    /// Truncated data or ids out of range.
    pub fn parse(nal: &[u8]) -> Result<Self, CodecError> {
        let rbsp = unescape(nal);
        let mut reader = BitReader::new("H.264 PPS", &rbsp);
        if reader.u(8)? & 0x1f != 8 {
            return Err(reader.invalid("expected nal_unit_type 8"));
        }
        Ok(Self {
            id: reader.ue_u8(MAX_PPS_ID, "pic_parameter_set_id")?,
            sps_id: reader.ue_u8(MAX_SPS_ID, "seq_parameter_set_id")?,
            cabac: reader.flag()?,
            pic_order_present: reader.flag()?,
        })
    }
}
