//! Sequence parameter set (H.265 7.3.2.2).

use crate::bits::{BitReader, unescape};
use crate::error::CodecError;
use crate::h265::vui::{self, Vui};
use crate::h265::{NalType, ProfileTierLevel, codec_string};

/// The largest `sps_seq_parameter_set_id` (H.265 7.4.3.2.1).
pub const MAX_SPS_ID: u8 = 15;
/// `sps_max_sub_layers_minus1` + 1 (H.265 7.4.3.2.1).
pub const MAX_SUB_LAYERS: u8 = 7;
/// The largest width or height, luma samples: sqrt(8 * 142 606 336), the picture size of the highest level (A.4.1).
pub const MAX_PICTURE_SIDE: u32 = 33_776;
/// `num_short_term_ref_pic_sets` (H.265 7.4.3.2.1).
pub const MAX_SHORT_TERM_SETS: u32 = 64;
/// Pictures in a reference picture set: the decoded picture buffer holds 16 (A.4.2).
const MAX_REF_PICS: u32 = 16;
/// `num_long_term_ref_pics_sps` (H.265 7.4.3.2.1).
const MAX_LONG_TERM: u32 = 32;

/// A sequence parameter set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sps {
    /// `sps_seq_parameter_set_id`.
    pub id: u8,
    /// `sps_video_parameter_set_id`.
    pub vps_id: u8,
    /// `sps_max_sub_layers_minus1` + 1.
    pub max_sub_layers: u8,
    /// `sps_temporal_id_nesting_flag`.
    pub temporal_id_nesting: bool,
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format_idc: u8,
    /// `separate_colour_plane_flag`.
    pub separate_colour_planes: bool,
    /// `pic_width_in_luma_samples`.
    pub coded_width: u32,
    /// `pic_height_in_luma_samples`.
    pub coded_height: u32,
    /// Conformance window: luma samples cut from left, right, top, bottom.
    pub window: [u32; 4],
    /// Bits of a luma sample.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample.
    pub bit_depth_chroma: u8,
    /// Bits of `slice_pic_order_cnt_lsb` in slice headers, 4 to 16.
    pub lsb_bits: u8,
    /// `sps_max_num_reorder_pics` of the highest sub-layer.
    pub max_num_reorder_pics: u8,
    /// Usability information, when sent and readable.
    pub vui: Option<Vui>,
}

impl Sps {
    /// Reads an SPS NAL unit of the base layer, header included.
    ///
    /// Damage behind the picture size and reordering (coding tools, VUI) leaves `vui` at `None`.
    ///
    /// # Errors
    /// Truncated data or values outside the standard's ranges.
    pub fn parse(nal: &[u8]) -> Result<Self, CodecError> {
        let rbsp = unescape(nal);
        let mut reader = BitReader::new("H.265 SPS", &rbsp);
        let header = reader.u(16)?;
        if header >> 9 & 0x3f != u32::from(NalType::SPS.0) || header >> 3 & 0x3f != 0 {
            return Err(reader.invalid("expected nal_unit_type 33 of layer 0"));
        }
        let vps_id = reader.u8(4)?;
        let max_sub_layers = reader.u8(3)? + 1;
        if max_sub_layers > MAX_SUB_LAYERS {
            return Err(reader.invalid("sps_max_sub_layers_minus1 must be 0 to 6"));
        }
        let temporal_id_nesting = reader.flag()?;
        let profile = ProfileTierLevel::read(&mut reader, max_sub_layers - 1)?;
        let id = reader.ue_u8(MAX_SPS_ID, "sps_seq_parameter_set_id")?;
        let chroma_format_idc = reader.ue_u8(3, "chroma_format_idc")?;
        let separate_colour_planes = chroma_format_idc == 3 && reader.flag()?;
        let coded_width = reader.ue_max(MAX_PICTURE_SIDE, "pic_width_in_luma_samples")?;
        let coded_height = reader.ue_max(MAX_PICTURE_SIDE, "pic_height_in_luma_samples")?;
        let window = read_window(&mut reader, chroma_format_idc, coded_width, coded_height)?;
        let bit_depth_luma = 8 + reader.ue_u8(8, "bit_depth_luma_minus8")?;
        let bit_depth_chroma = 8 + reader.ue_u8(8, "bit_depth_chroma_minus8")?;
        let lsb_bits = 4 + reader.ue_u8(12, "log2_max_pic_order_cnt_lsb_minus4")?;
        let max_num_reorder_pics = read_ordering(&mut reader, max_sub_layers)?;
        let vui = read_tail(&mut reader, lsb_bits, max_sub_layers).ok().flatten();
        Ok(Self {
            id,
            vps_id,
            max_sub_layers,
            temporal_id_nesting,
            profile,
            chroma_format_idc,
            separate_colour_planes,
            coded_width,
            coded_height,
            window,
            bit_depth_luma,
            bit_depth_chroma,
            lsb_bits,
            max_num_reorder_pics,
            vui,
        })
    }

    /// Width inside the conformance window, luma samples.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.coded_width.saturating_sub(self.window[0]).saturating_sub(self.window[1])
    }

    /// Height inside the conformance window, luma samples.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.coded_height.saturating_sub(self.window[2]).saturating_sub(self.window[3])
    }

    /// Pictures a second as numerator and denominator, from the VUI.
    #[must_use]
    pub fn frame_rate(&self) -> Option<(u32, u32)> {
        let timing = self.vui?.timing?;
        crate::video::reduced(timing.time_scale.into(), timing.num_units_in_tick.into())
    }

    /// `hvc1.` codec string.
    #[must_use]
    pub fn codec_string(&self) -> String {
        codec_string("hvc1", &self.profile)
    }
}

/// `conf_win_*_offset` in units of `SubWidthC`, `SubHeightC` (H.265 7.4.3.2.1).
fn read_window(reader: &mut BitReader<'_>, chroma: u8, width: u32, height: u32) -> Result<[u32; 4], CodecError> {
    if width == 0 || height == 0 {
        return Err(reader.invalid("the picture has no samples"));
    }
    if !reader.flag()? {
        return Ok([0; 4]);
    }
    let (x, y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let mut window = [x, x, y, y];
    for side in &mut window {
        *side *= reader.ue_max(MAX_PICTURE_SIDE, "conformance window offset")?;
    }
    let [left, right, top, bottom] = window;
    if left + right >= width || top + bottom >= height {
        return Err(reader.invalid("the conformance window leaves no picture"));
    }
    Ok(window)
}

fn read_ordering(reader: &mut BitReader<'_>, max_sub_layers: u8) -> Result<u8, CodecError> {
    let layers = if reader.flag()? { max_sub_layers } else { 1 };
    let mut reorder = 0;
    for _ in 0..layers {
        reader.ue()?; // sps_max_dec_pic_buffering_minus1
        reorder = reader.ue_u8(16, "sps_max_num_reorder_pics")?;
        reader.ue()?; // sps_max_latency_increase_plus1
    }
    Ok(reorder)
}

/// From `log2_min_luma_coding_block_size_minus3` to the VUI.
fn read_tail(reader: &mut BitReader<'_>, lsb_bits: u8, layers: u8) -> Result<Option<Vui>, CodecError> {
    for _ in 0..6 {
        reader.ue()?; // block and transform sizes and depths
    }
    if reader.flag()? && reader.flag()? {
        skip_scaling_lists(reader)?;
    }
    reader.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if reader.flag()? {
        reader.skip(8)?; // pcm bit depths
        reader.ue()?; // log2_min_pcm_luma_coding_block_size_minus3
        reader.ue()?; // log2_diff_max_min_pcm_luma_coding_block_size
        reader.skip(1)?; // pcm_loop_filter_disabled_flag
    }
    skip_short_term_sets(reader)?;
    if reader.flag()? {
        let count = reader.ue_max(MAX_LONG_TERM, "num_long_term_ref_pics_sps")?;
        reader.skip(count as usize * (usize::from(lsb_bits) + 1))?;
    }
    reader.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if reader.flag()? { vui::read(reader, layers).map(Some) } else { Ok(None) }
}

/// `scaling_list_data()` (H.265 7.3.4).
fn skip_scaling_lists(reader: &mut BitReader<'_>) -> Result<(), CodecError> {
    for size in 0..4u32 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !reader.flag()? {
                reader.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            if size > 1 {
                reader.se()?; // scaling_list_dc_coef_minus8
            }
            for _ in 0..64.min(1u32 << (4 + (size << 1))) {
                reader.se()?; // scaling_list_delta_coef
            }
        }
    }
    Ok(())
}

/// `st_ref_pic_set()` for each index (H.265 7.3.7). Only the number of pictures in a set decides how the next is read;
/// like other readers it counts entries in use and relies on none having a distance of zero, which 7.4.8 rules out.
fn skip_short_term_sets(reader: &mut BitReader<'_>) -> Result<(), CodecError> {
    let sets = reader.ue_max(MAX_SHORT_TERM_SETS, "num_short_term_ref_pic_sets")?;
    let mut pictures = 0;
    for index in 0..sets {
        pictures = if index > 0 && reader.flag()? {
            reader.skip(1)?; // delta_rps_sign
            reader.ue()?; // abs_delta_rps_minus1
            predicted_pictures(reader, pictures)?
        } else {
            let negative = reader.ue_max(MAX_REF_PICS, "num_negative_pics")?;
            let positive = reader.ue_max(MAX_REF_PICS, "num_positive_pics")?;
            for _ in 0..negative + positive {
                reader.ue()?; // delta_poc_minus1
                reader.skip(1)?; // used_by_curr_pic_flag
            }
            negative + positive
        };
    }
    Ok(())
}

fn predicted_pictures(reader: &mut BitReader<'_>, reference: u32) -> Result<u32, CodecError> {
    let mut pictures = 0;
    for _ in 0..=reference {
        let used = reader.flag()?;
        if used || reader.flag()? {
            pictures += 1;
        }
    }
    if pictures > 2 * MAX_REF_PICS {
        return Err(reader.invalid("a reference picture set has at most 16 pictures"));
    }
    Ok(pictures)
}
