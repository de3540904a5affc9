//! Sequence parameter set (H.264 7.3.2.1) with its video usability information (Annex E).

use crate::bits::{BitReader, unescape};
use crate::error::CodecError;

/// The largest `seq_parameter_set_id` (H.264 7.4.2.1.1).
pub const MAX_SPS_ID: u8 = 31;
/// The largest width or height, luma samples: level 6.2 allows sqrt(8 * 139264) = 1055 macroblocks (H.264 A.3.1).
pub const MAX_PICTURE_SIDE: u32 = 1055 * 16;
/// `num_ref_frames_in_pic_order_cnt_cycle` and `cpb_cnt_minus1` limits (H.264 7.4.2.1.1, E.2.2).
const MAX_POC_CYCLE: u32 = 255;
const MAX_CPB_MINUS_1: u32 = 31;
/// `max_num_ref_frames` never exceeds the decoded picture buffer's 16 frames (H.264 A.3.1).
const MAX_REF_FRAMES: u8 = 16;

/// `pic_order_cnt_type` and what slice headers need of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PicOrder {
    /// Type 0: each slice header carries the low bits of the count.
    Lsb {
        /// Bits of `pic_order_cnt_lsb`, 4 to 16.
        bits: u8,
    },
    /// Type 1: expected deltas, which slice headers may correct.
    Deltas {
        /// `delta_pic_order_always_zero_flag`: slice headers carry no correction.
        always_zero: bool,
    },
    /// Type 2: output order is decoding order, so there are no reordered (B) pictures.
    DecodingOrder,
}

/// Cropping rectangle in luma samples (H.264 7.4.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crop {
    /// Columns cut from the left.
    pub left: u32,
    /// Columns cut from the right.
    pub right: u32,
    /// Rows cut from the top.
    pub top: u32,
    /// Rows cut from the bottom.
    pub bottom: u32,
}

/// Clock of the VUI: one tick is a field's time, so a frame lasts two (H.264 E.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// `num_units_in_tick`, not zero.
    pub num_units_in_tick: u32,
    /// `time_scale` in Hz, not zero.
    pub time_scale: u32,
    /// `fixed_frame_rate_flag`.
    pub fixed_frame_rate: bool,
}

/// Video usability information, the parts in use here (H.264 E.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vui {
    /// Sample aspect ratio, width to height; `None` when unspecified.
    pub sar: Option<(u16, u16)>,
    /// `video_full_range_flag`.
    pub full_range: Option<bool>,
    /// `colour_primaries`, `transfer_characteristics`, `matrix_coefficients` (ITU-T H.273).
    pub colour: Option<(u8, u8, u8)>,
    /// Timing, when sent and not zero.
    pub timing: Option<Timing>,
    /// `max_num_reorder_frames`, when sent.
    pub max_num_reorder_frames: Option<u8>,
}

/// A sequence parameter set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sps {
    /// `seq_parameter_set_id`.
    pub id: u8,
    /// `profile_idc`: 66 baseline, 77 main, 100 high, ...
    pub profile_idc: u8,
    /// `constraint_set0_flag` (top bit) to `constraint_set5_flag` and two zero bits.
    pub constraints: u8,
    /// `level_idc`: ten times the level.
    pub level_idc: u8,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format_idc: u8,
    /// `separate_colour_plane_flag`.
    pub separate_colour_planes: bool,
    /// Bits of a luma sample.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample.
    pub bit_depth_chroma: u8,
    /// Bits of `frame_num` in slice headers, 4 to 16.
    pub frame_num_bits: u8,
    /// Picture order count.
    pub pic_order: PicOrder,
    /// `max_num_ref_frames`.
    pub max_num_ref_frames: u8,
    /// Width of the coded picture, luma samples.
    pub coded_width: u32,
    /// Height of the coded frame (both fields), luma samples.
    pub coded_height: u32,
    /// Cropping rectangle.
    pub crop: Crop,
    /// `frame_mbs_only_flag`: no field and no MBAFF coding, progressive as far as the syntax tells.
    pub frame_mbs_only: bool,
    /// Usability information, when sent and readable.
    pub vui: Option<Vui>,
}

impl Sps {
    /// Reads an SPS NAL unit (or subset SPS, whose beginning is the same), header byte included.
    ///
    /// Damage inside the VUI does not make the SPS unreadable: `vui` is then `None`.
    ///
    /// # Errors
    /// Truncated data or values outside the standard's ranges.
    pub fn parse(nal: &[u8]) -> Result<Self, CodecError> {
        let rbsp = unescape(nal);
        let mut reader = BitReader::new("H.264 SPS", &rbsp);
        if !matches!(reader.u(8)? & 0x1f, 7 | 15) {
            return Err(reader.invalid("expected nal_unit_type 7 or 15"));
        }
        let (profile_idc, constraints, level_idc) = (reader.u8(8)?, reader.u8(8)?, reader.u8(8)?);
        let id = reader.ue_u8(MAX_SPS_ID, "seq_parameter_set_id")?;
        let chroma = Chroma::read(&mut reader, profile_idc)?;
        let frame_num_bits = 4 + reader.ue_u8(12, "log2_max_frame_num_minus4")?;
        let pic_order = pic_order(&mut reader)?;
        let max_num_ref_frames = reader.ue_u8(MAX_REF_FRAMES, "max_num_ref_frames")?;
        reader.skip(1)?; // gaps_in_frame_num_value_allowed_flag
        let coded_width = (reader.ue_max(MAX_PICTURE_SIDE / 16 - 1, "pic_width_in_mbs_minus1")? + 1) * 16;
        let map_units = reader.ue_max(MAX_PICTURE_SIDE / 16 - 1, "pic_height_in_map_units_minus1")? + 1;
        let frame_mbs_only = reader.flag()?;
        let coded_height = map_units * 16 * if frame_mbs_only { 1 } else { 2 };
        reader.skip(if frame_mbs_only { 1 } else { 2 })?; // mb_adaptive_frame_field_flag, direct_8x8_inference_flag
        let crop = if reader.flag()? {
            read_crop(&mut reader, chroma.crop_unit(frame_mbs_only), coded_width, coded_height)?
        } else {
            Crop::default()
        };
        let vui = if reader.flag()? { read_vui(&mut reader).ok() } else { None };
        Ok(Self {
            id,
            profile_idc,
            constraints,
            level_idc,
            chroma_format_idc: chroma.format_idc,
            separate_colour_planes: chroma.separate_planes,
            bit_depth_luma: chroma.depth_luma,
            bit_depth_chroma: chroma.depth_chroma,
            frame_num_bits,
            pic_order,
            max_num_ref_frames,
            coded_width,
            coded_height,
            crop,
            frame_mbs_only,
            vui,
        })
    }

    /// Width after cropping, luma samples.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.coded_width.saturating_sub(self.crop.left).saturating_sub(self.crop.right)
    }

    /// Height after cropping, luma samples.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.coded_height.saturating_sub(self.crop.top).saturating_sub(self.crop.bottom)
    }

    /// Frames a second as numerator and denominator, from the VUI: `time_scale` / (2 * `num_units_in_tick`).
    #[must_use]
    pub fn frame_rate(&self) -> Option<(u32, u32)> {
        let timing = self.vui?.timing?;
        let (num, den) = (u64::from(timing.time_scale), u64::from(timing.num_units_in_tick) * 2);
        crate::video::reduced(num, den)
    }

    /// The most frames that precede a frame in decoding order and follow it in output order, as far as it is known:
    /// the VUI, else what profile and picture order count imply (H.264 E.2.1, A.2.1). `None`: unknown, up to 16.
    #[must_use]
    pub fn max_num_reorder_frames(&self) -> Option<u8> {
        if self.pic_order == PicOrder::DecodingOrder || self.profile_idc == 66 {
            return Some(0);
        }
        let sent = self.vui.and_then(|vui| vui.max_num_reorder_frames);
        let intra_only = self.constraints & 0x10 != 0 && matches!(self.profile_idc, 44 | 86 | 100 | 110 | 122 | 244);
        sent.or(intra_only.then_some(0)).or((self.max_num_ref_frames == 0).then_some(0))
    }

    /// False when no picture can be reordered, so decoding time equals presentation time; true when some may be.
    #[must_use]
    pub fn may_reorder(&self) -> bool {
        self.max_num_reorder_frames() != Some(0)
    }

    /// `avc1.PPCCLL` (RFC 6381 3.3).
    #[must_use]
    pub fn codec_string(&self) -> String {
        super::codec_string(self.profile_idc, self.constraints, self.level_idc)
    }
}

/// True for the profiles whose SPS has chroma format and bit depths (H.264 7.3.2.1.1).
pub(crate) fn has_chroma_fields(profile_idc: u8) -> bool {
    matches!(profile_idc, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

struct Chroma {
    format_idc: u8,
    separate_planes: bool,
    depth_luma: u8,
    depth_chroma: u8,
}

impl Chroma {
    fn read(reader: &mut BitReader<'_>, profile_idc: u8) -> Result<Self, CodecError> {
        if !has_chroma_fields(profile_idc) {
            return Ok(Self { format_idc: 1, separate_planes: false, depth_luma: 8, depth_chroma: 8 });
        }
        let format_idc = reader.ue_u8(3, "chroma_format_idc")?;
        let separate_planes = format_idc == 3 && reader.flag()?;
        let depth_luma = 8 + reader.ue_u8(6, "bit_depth_luma_minus8")?;
        let depth_chroma = 8 + reader.ue_u8(6, "bit_depth_chroma_minus8")?;
        reader.skip(1)?; // qpprime_y_zero_transform_bypass_flag
        if reader.flag()? {
            skip_scaling_matrix(reader, if format_idc == 3 { 12 } else { 8 })?;
        }
        Ok(Self { format_idc, separate_planes, depth_luma, depth_chroma })
    }

    /// `CropUnitX`, `CropUnitY` (H.264 equations 7-19 to 7-22).
    fn crop_unit(&self, frame_mbs_only: bool) -> (u32, u32) {
        let (x, y) = match self.format_idc {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        (x, if frame_mbs_only { y } else { y * 2 })
    }
}

fn skip_scaling_matrix(reader: &mut BitReader<'_>, lists: usize) -> Result<(), CodecError> {
    for list in 0..lists {
        if reader.flag()? {
            skip_scaling_list(reader, if list < 6 { 16 } else { 64 })?;
        }
    }
    Ok(())
}

fn skip_scaling_list(reader: &mut BitReader<'_>, entries: usize) -> Result<(), CodecError> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..entries {
        if next != 0 {
            next = (last + i64::from(reader.se()?)).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

fn pic_order(reader: &mut BitReader<'_>) -> Result<PicOrder, CodecError> {
    match reader.ue_max(2, "pic_order_cnt_type")? {
        0 => Ok(PicOrder::Lsb { bits: 4 + reader.ue_u8(12, "log2_max_pic_order_cnt_lsb_minus4")? }),
        1 => {
            let always_zero = reader.flag()?;
            reader.se()?; // offset_for_non_ref_pic
            reader.se()?; // offset_for_top_to_bottom_field
            for _ in 0..reader.ue_max(MAX_POC_CYCLE, "num_ref_frames_in_pic_order_cnt_cycle")? {
                reader.se()?;
            }
            Ok(PicOrder::Deltas { always_zero })
        }
        _ => Ok(PicOrder::DecodingOrder),
    }
}

fn read_crop(reader: &mut BitReader<'_>, unit: (u32, u32), width: u32, height: u32) -> Result<Crop, CodecError> {
    let mut offset = |scale: u32| {
        let value = reader.ue_max(2 * MAX_PICTURE_SIDE, "frame_crop offset")?;
        Ok::<_, CodecError>(value * scale)
    };
    let crop = Crop { left: offset(unit.0)?, right: offset(unit.0)?, top: offset(unit.1)?, bottom: offset(unit.1)? };
    if crop.left + crop.right >= width || crop.top + crop.bottom >= height {
        return Err(reader.invalid("the cropping rectangle leaves no picture"));
    }
    Ok(crop)
}

fn read_vui(reader: &mut BitReader<'_>) -> Result<Vui, CodecError> {
    let mut vui = Vui { sar: crate::video::read_sar(reader)?, ..Vui::default() };
    if reader.flag()? {
        reader.skip(1)?; // overscan_appropriate_flag
    }
    if reader.flag()? {
        reader.skip(3)?; // video_format
        vui.full_range = Some(reader.flag()?);
        if reader.flag()? {
            vui.colour = Some((reader.u8(8)?, reader.u8(8)?, reader.u8(8)?));
        }
    }
    if reader.flag()? {
        reader.ue()?; // chroma_sample_loc_type_top_field
        reader.ue()?; // chroma_sample_loc_type_bottom_field
    }
    if reader.flag()? {
        let (num_units_in_tick, time_scale, fixed_frame_rate) = (reader.u(32)?, reader.u(32)?, reader.flag()?);
        let timing = Timing { num_units_in_tick, time_scale, fixed_frame_rate };
        vui.timing = (num_units_in_tick != 0 && time_scale != 0).then_some(timing);
    }
    // The tail is often damaged or missing; what came before it is worth keeping.
    vui.max_num_reorder_frames = read_bitstream_restriction(reader).ok().flatten();
    Ok(vui)
}

fn read_bitstream_restriction(reader: &mut BitReader<'_>) -> Result<Option<u8>, CodecError> {
    let nal_hrd = reader.flag()?;
    if nal_hrd {
        skip_hrd(reader)?;
    }
    let vcl_hrd = reader.flag()?;
    if vcl_hrd {
        skip_hrd(reader)?;
    }
    if nal_hrd || vcl_hrd {
        reader.skip(1)?; // low_delay_hrd_flag
    }
    reader.skip(1)?; // pic_struct_present_flag
    if !reader.flag()? {
        return Ok(None);
    }
    reader.skip(1)?; // motion_vectors_over_pic_boundaries_flag
    for _ in 0..4 {
        reader.ue()?; // max_bytes_per_pic_denom to log2_max_mv_length_vertical
    }
    reader.ue_u8(MAX_REF_FRAMES, "max_num_reorder_frames").map(Some)
}

fn skip_hrd(reader: &mut BitReader<'_>) -> Result<(), CodecError> {
    let entries = reader.ue_max(MAX_CPB_MINUS_1, "cpb_cnt_minus1")? + 1;
    reader.skip(8)?; // bit_rate_scale, cpb_size_scale
    for _ in 0..entries {
        reader.ue()?; // bit_rate_value_minus1
        reader.ue()?; // cpb_size_value_minus1
        reader.skip(1)?; // cbr_flag
    }
    reader.skip(20) // four lengths of five bits
}
