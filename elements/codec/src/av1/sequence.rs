//! Sequence header OBU (AV1 5.5).

use crate::bits::BitReader;
use crate::error::CodecError;

/// `operating_points_cnt_minus_1` + 1.
pub const MAX_OPERATING_POINTS: u32 = 32;
const SELECT_SCREEN_CONTENT_TOOLS: u32 = 2;

/// `color_config()` (AV1 5.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColorConfig {
    /// Bits of a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// `mono_chrome`.
    pub monochrome: bool,
    /// `color_primaries`, `transfer_characteristics`, `matrix_coefficients` (ITU-T H.273); 2 is unspecified.
    pub description: (u8, u8, u8),
    /// `color_range`: full swing.
    pub full_range: bool,
    /// `subsampling_x`, `subsampling_y`.
    pub subsampling: (bool, bool),
    /// `chroma_sample_position`: 0 unknown, 1 vertical, 2 colocated.
    pub chroma_sample_position: u8,
}

/// A sequence header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceHeader {
    /// `seq_profile`: 0 Main, 1 High, 2 Professional.
    pub profile: u8,
    /// `still_picture`.
    pub still_picture: bool,
    /// `reduced_still_picture_header`.
    pub reduced_still_picture: bool,
    /// `num_units_in_display_tick`, `time_scale`, when sent and not zero.
    pub timing: Option<(u32, u32)>,
    /// `num_ticks_per_picture_minus_1` + 1 when `equal_picture_interval`.
    pub ticks_per_picture: Option<u32>,
    /// `seq_level_idx[0]`: 4 * (major - 2) + minor; 31 no limit.
    pub level_idx: u8,
    /// `seq_tier[0]`: high tier.
    pub high_tier: bool,
    /// `max_frame_width_minus_1` + 1, samples.
    pub max_width: u32,
    /// `max_frame_height_minus_1` + 1, samples.
    pub max_height: u32,
    /// Samples and colours.
    pub color: ColorConfig,
    /// `film_grain_params_present`.
    pub film_grain: bool,
}

impl SequenceHeader {
    /// Reads the payload of a sequence header OBU.
    ///
    /// # Errors
    /// Truncated data or reserved values.
    pub fn parse(payload: &[u8]) -> Result<Self, CodecError> {
        let mut reader = BitReader::new("AV1 sequence header", payload);
        let profile = reader.u8(3)?;
        if profile > 2 {
            return Err(reader.invalid("seq_profile must be 0 to 2"));
        }
        let (still_picture, reduced) = (reader.flag()?, reader.flag()?);
        if reduced && !still_picture {
            return Err(reader.invalid("a reduced header needs still_picture"));
        }
        let points = if reduced {
            OperatingPoints { level_idx: reader.u8(5)?, ..OperatingPoints::default() }
        } else {
            OperatingPoints::read(&mut reader)?
        };
        let (width_bits, height_bits) = (reader.u(4)? + 1, reader.u(4)? + 1);
        let (max_width, max_height) = (reader.u(width_bits)? + 1, reader.u(height_bits)? + 1);
        skip_tools(&mut reader, reduced)?;
        let color = ColorConfig::read(&mut reader, profile)?;
        Ok(Self {
            profile,
            still_picture,
            reduced_still_picture: reduced,
            timing: points.timing,
            ticks_per_picture: points.ticks_per_picture,
            level_idx: points.level_idx,
            high_tier: points.high_tier,
            max_width,
            max_height,
            color,
            film_grain: reader.flag()?,
        })
    }

    /// Frames a second as numerator and denominator, when pictures come at equal intervals.
    #[must_use]
    pub fn frame_rate(&self) -> Option<(u32, u32)> {
        let (units, scale) = self.timing?;
        crate::video::reduced(scale.into(), u64::from(units) * u64::from(self.ticks_per_picture?))
    }

    /// `av01.P.LLT.DD`, for example `av01.0.04M.10` (AV1 ISOBMFF binding, section 5).
    #[must_use]
    pub fn codec_string(&self) -> String {
        let tier = if self.high_tier { 'H' } else { 'M' };
        format!("av01.{}.{:02}{tier}.{:02}", self.profile, self.level_idx, self.color.bit_depth)
    }
}

#[derive(Default)]
struct OperatingPoints {
    timing: Option<(u32, u32)>,
    ticks_per_picture: Option<u32>,
    level_idx: u8,
    high_tier: bool,
}

impl OperatingPoints {
    /// From `timing_info_present_flag` to the last operating point.
    fn read(reader: &mut BitReader<'_>) -> Result<Self, CodecError> {
        let mut points = Self::default();
        let mut delay_bits = None;
        if reader.flag()? {
            let (units, scale) = (reader.u(32)?, reader.u(32)?);
            points.timing = (units != 0 && scale != 0).then_some((units, scale));
            if reader.flag()? {
                points.ticks_per_picture = uvlc(reader)?.checked_add(1);
            }
            if reader.flag()? {
                delay_bits = Some(reader.u(5)? as usize + 1);
                reader.skip(42)?; // num_units_in_decoding_tick and two lengths
            }
        }
        let display_delay = reader.flag()?;
        let count = reader.u(5)? + 1; // at most MAX_OPERATING_POINTS
        for point in 0..count {
            reader.skip(12)?; // operating_point_idc
            let level = reader.u8(5)?;
            let tier = level > 7 && reader.flag()?;
            if point == 0 {
                (points.level_idx, points.high_tier) = (level, tier);
            }
            if let Some(bits) = delay_bits
                && reader.flag()?
            {
                reader.skip(2 * bits + 1)?; // operating_parameters_info()
            }
            if display_delay && reader.flag()? {
                reader.skip(4)?; // initial_display_delay_minus_1
            }
        }
        Ok(points)
    }
}

/// `uvlc()` (AV1 4.10.3).
fn uvlc(reader: &mut BitReader<'_>) -> Result<u32, CodecError> {
    let mut zeros = 0;
    while !reader.flag()? {
        zeros += 1;
        if zeros >= 32 {
            return Ok(u32::MAX);
        }
    }
    Ok(((1u32 << zeros) - 1).saturating_add(reader.u(zeros)?))
}

/// From `frame_id_numbers_present_flag` to `enable_restoration`.
fn skip_tools(reader: &mut BitReader<'_>, reduced: bool) -> Result<(), CodecError> {
    if !reduced && reader.flag()? {
        reader.skip(7)?; // two lengths of frame ids
    }
    reader.skip(3)?; // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if !reduced {
        reader.skip(4)?; // interintra, masked compound, warped motion, dual filter
        let order_hint = reader.flag()?;
        if order_hint {
            reader.skip(2)?; // enable_jnt_comp, enable_ref_frame_mvs
        }
        let choose = reader.flag()?;
        let screen = if choose { SELECT_SCREEN_CONTENT_TOOLS } else { reader.u(1)? };
        if screen > 0 && !reader.flag()? {
            reader.skip(1)?; // seq_force_integer_mv
        }
        if order_hint {
            reader.skip(3)?; // order_hint_bits_minus_1
        }
    }
    reader.skip(3) // enable_superres, enable_cdef, enable_restoration
}

impl ColorConfig {
    fn read(reader: &mut BitReader<'_>, profile: u8) -> Result<Self, CodecError> {
        let high = reader.flag()?;
        let twelve = profile == 2 && high && reader.flag()?;
        let bit_depth = match (high, twelve) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        };
        let monochrome = profile != 1 && reader.flag()?;
        let description = if reader.flag()? { (reader.u8(8)?, reader.u8(8)?, reader.u8(8)?) } else { (2, 2, 2) };
        let mut color = Self {
            bit_depth,
            monochrome,
            description,
            full_range: true,
            subsampling: (false, false),
            chroma_sample_position: 0,
        };
        if monochrome {
            color.full_range = reader.flag()?;
            color.subsampling = (true, true);
            return Ok(color);
        }
        // BT.709 primaries with the sRGB transfer and the identity matrix: RGB, full range, no subsampling.
        if description != (1, 13, 0) {
            color.full_range = reader.flag()?;
            color.subsampling = subsampling(reader, profile, bit_depth)?;
            if color.subsampling == (true, true) {
                color.chroma_sample_position = reader.u8(2)?;
            }
        }
        reader.skip(1)?; // separate_uv_delta_q
        Ok(color)
    }
}

fn subsampling(reader: &mut BitReader<'_>, profile: u8, bit_depth: u8) -> Result<(bool, bool), CodecError> {
    match (profile, bit_depth) {
        (0, _) => Ok((true, true)),
        (1, _) => Ok((false, false)),
        (_, 12) => {
            let x = reader.flag()?;
            Ok((x, x && reader.flag()?))
        }
        _ => Ok((true, false)),
    }
}
