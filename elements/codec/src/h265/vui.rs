//! Video usability information and hypothetical reference decoder parameters (H.265 Annex E).

use crate::bits::BitReader;
use crate::error::CodecError;

/// `cpb_cnt_minus1` (H.265 E.3.2).
const MAX_CPB_MINUS_1: u32 = 31;

/// Clock of the VUI: one tick is a picture's time (H.265 E.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// `vui_num_units_in_tick`, not zero.
    pub num_units_in_tick: u32,
    /// `vui_time_scale` in Hz, not zero.
    pub time_scale: u32,
}

/// The parts of the VUI in use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vui {
    /// Sample aspect ratio, width to height; `None` when unspecified.
    pub sar: Option<(u16, u16)>,
    /// `video_full_range_flag`.
    pub full_range: Option<bool>,
    /// `colour_primaries`, `transfer_characteristics`, `matrix_coeffs` (ITU-T H.273).
    pub colour: Option<(u8, u8, u8)>,
    /// `field_seq_flag`: each picture is a field.
    pub field_seq: bool,
    /// Timing, when sent and not zero.
    pub timing: Option<Timing>,
    /// `min_spatial_segmentation_idc`, 0 to 4095; 0 when not sent.
    pub min_spatial_segmentation: u16,
}

pub(crate) fn read(reader: &mut BitReader<'_>, max_sub_layers: u8) -> Result<Vui, CodecError> {
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
    reader.skip(1)?; // neutral_chroma_indication_flag
    vui.field_seq = reader.flag()?;
    reader.skip(1)?; // frame_field_info_present_flag
    if reader.flag()? {
        for _ in 0..4 {
            reader.ue()?; // default display window
        }
    }
    if reader.flag()? {
        let (num_units_in_tick, time_scale) = (reader.u(32)?, reader.u(32)?);
        vui.timing = (num_units_in_tick != 0 && time_scale != 0).then_some(Timing { num_units_in_tick, time_scale });
        if reader.flag()? {
            reader.ue()?; // vui_num_ticks_poc_diff_one_minus1
        }
        if reader.flag()? {
            skip_hrd(reader, max_sub_layers)?;
        }
    }
    if reader.flag()? {
        reader.skip(3)?; // tiles_fixed_structure_flag to restricted_ref_pic_lists_flag
        let value = reader.ue_max(4095, "min_spatial_segmentation_idc")?;
        vui.min_spatial_segmentation = u16::try_from(value).unwrap_or(0);
    }
    Ok(vui)
}

/// `hrd_parameters( 1, maxNumSubLayersMinus1 )` (H.265 E.2.2).
fn skip_hrd(reader: &mut BitReader<'_>, max_sub_layers: u8) -> Result<(), CodecError> {
    let (nal, vcl) = (reader.flag()?, reader.flag()?);
    let mut sub_picture = false;
    if nal || vcl {
        sub_picture = reader.flag()?;
        reader.skip(if sub_picture { 19 } else { 0 } + 8)?; // sub-picture lengths; bit_rate_scale, cpb_size_scale
        reader.skip(if sub_picture { 4 } else { 0 } + 15)?; // cpb_size_du_scale; three lengths
    }
    for _ in 0..max_sub_layers {
        let fixed_general = reader.flag()?;
        let fixed_in_sequence = fixed_general || reader.flag()?;
        let low_delay = if fixed_in_sequence {
            reader.ue()?; // elemental_duration_in_tc_minus1
            false
        } else {
            reader.flag()?
        };
        let entries = if low_delay { 1 } else { 1 + reader.ue_max(MAX_CPB_MINUS_1, "cpb_cnt_minus1")? };
        let sets = u32::from(nal) + u32::from(vcl);
        for _ in 0..sets * entries {
            for _ in 0..if sub_picture { 4 } else { 2 } {
                reader.ue()?; // bit rate and buffer size values
            }
            reader.skip(1)?; // cbr_flag
        }
    }
    Ok(())
}
