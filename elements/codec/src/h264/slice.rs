//! Slice header (H.264 7.3.3) up to the fields that tell one picture from the next.

use crate::bits::{BitReader, unescape};
use crate::error::{CodecError, ErrorKind};
use crate::h264::{MAX_PPS_ID, NalType, ParameterSets, PicOrder, Pps, Sps};

/// Bytes of a slice looked at: the fields read here fill at most 47 bytes, emulation prevention included.
pub const MAX_SLICE_HEADER_BYTES: usize = 64;

/// `slice_type` modulo 5 (H.264 table 7-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SliceType {
    /// Predicted.
    P,
    /// Predicted from two lists.
    B,
    /// Intra.
    I,
    /// Switching P.
    Sp,
    /// Switching I.
    Si,
}

/// The beginning of a slice header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceHeader {
    /// `nal_ref_idc`, 0 for a picture nothing refers to.
    pub nal_ref_idc: u8,
    /// `nal_unit_type` is 5.
    pub idr: bool,
    /// `first_mb_in_slice`.
    pub first_mb: u32,
    /// `slice_type`.
    pub slice_type: SliceType,
    /// `pic_parameter_set_id`.
    pub pps_id: u8,
    /// What the parameter sets are needed for; `None` when they are not known.
    pub picture: Option<PictureFields>,
}

/// The fields compared by H.264 7.4.1.2.4 that depend on the parameter sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureFields {
    /// `frame_num`.
    pub frame_num: u32,
    /// `field_pic_flag`.
    pub field: bool,
    /// `bottom_field_flag`.
    pub bottom: bool,
    /// `idr_pic_id` of an IDR picture.
    pub idr_pic_id: Option<u32>,
    /// `pic_order_cnt_lsb` (type 0).
    pub pic_order_cnt_lsb: u32,
    /// `delta_pic_order_cnt_bottom` (type 0), or `delta_pic_order_cnt[0]`, `[1]` (type 1).
    pub delta_pic_order_cnt: [i32; 2],
}

impl SliceHeader {
    /// Reads the header of a slice or data partition A, NAL header byte included.
    ///
    /// # Errors
    /// Truncated data or values out of range. Unknown parameter sets are no error.
    pub fn parse(nal: &[u8], sets: &ParameterSets) -> Result<Self, CodecError> {
        let rbsp = unescape(nal.get(..MAX_SLICE_HEADER_BYTES).unwrap_or(nal));
        let mut reader = BitReader::new("H.264 slice header", &rbsp);
        let header = reader.u8(8)?;
        let kind = NalType::from(header & 0x1f);
        if !matches!(kind, NalType::Slice | NalType::PartitionA | NalType::Idr | NalType::Auxiliary) {
            return Err(reader.invalid("expected nal_unit_type 1, 2, 5 or 19"));
        }
        let idr = kind == NalType::Idr;
        let first_mb = reader.ue()?;
        let slice_type = slice_type(&mut reader)?;
        let pps_id = reader.ue_u8(MAX_PPS_ID, "pic_parameter_set_id")?;
        let picture = match sets.pps(pps_id).and_then(|pps| Some((pps, sets.sps(pps.sps_id)?))) {
            Some((pps, sps)) => Some(picture_fields(&mut reader, idr, pps, sps)?),
            None => None,
        };
        Ok(Self { nal_ref_idc: header >> 5 & 3, idr, first_mb, slice_type, pps_id, picture })
    }

    /// True when this slice belongs to another primary picture than `previous` (H.264 7.4.1.2.4).
    ///
    /// Without parameter sets it is a guess: a new picture begins with macroblock 0.
    #[must_use]
    pub fn starts_new_picture(&self, previous: &Self) -> bool {
        let visible = self.pps_id != previous.pps_id
            || self.idr != previous.idr
            || (self.nal_ref_idc == 0) != (previous.nal_ref_idc == 0);
        match (&self.picture, &previous.picture) {
            (Some(this), Some(other)) => visible || this != other,
            _ => visible || self.first_mb == 0,
        }
    }
}

fn slice_type(reader: &mut BitReader<'_>) -> Result<SliceType, CodecError> {
    match reader.ue()? {
        0 | 5 => Ok(SliceType::P),
        1 | 6 => Ok(SliceType::B),
        2 | 7 => Ok(SliceType::I),
        3 | 8 => Ok(SliceType::Sp),
        4 | 9 => Ok(SliceType::Si),
        value => Err(reader.error(ErrorKind::OverLimit { what: "slice_type", value: value.into(), limit: 9 })),
    }
}

fn picture_fields(reader: &mut BitReader<'_>, idr: bool, pps: &Pps, sps: &Sps) -> Result<PictureFields, CodecError> {
    if sps.separate_colour_planes {
        reader.skip(2)?; // colour_plane_id
    }
    let frame_num = reader.u(sps.frame_num_bits.into())?;
    let field = !sps.frame_mbs_only && reader.flag()?;
    let bottom = field && reader.flag()?;
    let idr_pic_id = if idr { Some(reader.ue_max(65535, "idr_pic_id")?) } else { None };
    let (mut pic_order_cnt_lsb, mut delta_pic_order_cnt) = (0, [0; 2]);
    let bottom_delta = pps.pic_order_present && !field;
    match sps.pic_order {
        PicOrder::Lsb { bits } => {
            pic_order_cnt_lsb = reader.u(bits.into())?;
            if bottom_delta {
                delta_pic_order_cnt[0] = reader.se()?;
            }
        }
        PicOrder::Deltas { always_zero: false } => {
            delta_pic_order_cnt[0] = reader.se()?;
            if bottom_delta {
                delta_pic_order_cnt[1] = reader.se()?;
            }
        }
        PicOrder::Deltas { always_zero: true } | PicOrder::DecodingOrder => {}
    }
    Ok(PictureFields { frame_num, field, bottom, idr_pic_id, pic_order_cnt_lsb, delta_pic_order_cnt })
}
