//! VP9: the uncompressed header and the `vpcC` record.
//!
//! Defined by the VP9 Bitstream & Decoding Process Specification 6.2 and 7.2, and the VP Codec ISO Media File Format
//! Binding (record, codec string).

use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;

const SYNC_CODE: u32 = 0x49_8342;
const COLOR_SPACE_RGB: u8 = 7;

/// The beginning of a frame's uncompressed header. In a superframe it is that of the first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Profile, 0 to 3.
    pub profile: u8,
    /// `show_existing_frame`: no frame data, an earlier frame is shown.
    pub show_existing: bool,
    /// `show_frame`.
    pub show: bool,
    /// Present in key frames.
    pub key: Option<KeyFrame>,
}

/// What a key frame's header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFrame {
    /// Bits of a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// `color_space`: 1 BT.601, 2 BT.709, 5 BT.2020, 7 RGB.
    pub color_space: u8,
    /// `color_range`: full swing.
    pub full_range: bool,
    /// `subsampling_x`, `subsampling_y`.
    pub subsampling: (bool, bool),
    /// Width in samples.
    pub width: u32,
    /// Height in samples.
    pub height: u32,
}

impl FrameHeader {
    /// Reads the header at the start of a frame or superframe.
    ///
    /// # Errors
    /// Truncated data, a wrong frame marker or sync code, or reserved bits.
    pub fn parse(frame: &[u8]) -> Result<Self, CodecError> {
        let mut reader = BitReader::new("VP9 uncompressed header", frame);
        if reader.u(2)? != 2 {
            return Err(reader.invalid("frame_marker must be 2"));
        }
        let (low, high) = (reader.u8(1)?, reader.u8(1)?);
        let profile = high << 1 | low;
        if profile == 3 && reader.flag()? {
            return Err(reader.invalid("the bit after profile 3 is reserved"));
        }
        if reader.flag()? {
            return Ok(Self { profile, show_existing: true, show: true, key: None });
        }
        let inter = reader.flag()?;
        let show = reader.flag()?;
        reader.skip(1)?; // error_resilient_mode
        let key = if inter { None } else { Some(KeyFrame::read(&mut reader, profile)?) };
        Ok(Self { profile, show_existing: false, show, key })
    }
}

impl KeyFrame {
    fn read(reader: &mut BitReader<'_>, profile: u8) -> Result<Self, CodecError> {
        if reader.u(24)? != SYNC_CODE {
            return Err(reader.invalid("expected the frame sync code 0x498342"));
        }
        let bit_depth = match profile >= 2 {
            true if reader.flag()? => 12,
            true => 10,
            false => 8,
        };
        let color_space = reader.u8(3)?;
        let odd = profile & 1 == 1;
        let (full_range, subsampling) = if color_space != COLOR_SPACE_RGB {
            (reader.flag()?, if odd { (reader.flag()?, reader.flag()?) } else { (true, true) })
        } else if odd {
            (true, (false, false))
        } else {
            return Err(reader.invalid("RGB needs profile 1 or 3"));
        };
        if odd && reader.flag()? {
            return Err(reader.invalid("the bit after the subsampling is reserved"));
        }
        let (width, height) = (reader.u(16)? + 1, reader.u(16)? + 1);
        Ok(Self { bit_depth, color_space, full_range, subsampling, width, height })
    }
}

/// True for a key frame, or a superframe that begins with one.
#[must_use]
pub fn is_key_frame(frame: &[u8]) -> bool {
    FrameHeader::parse(frame).is_ok_and(|header| header.key.is_some())
}

/// `VPCodecConfigurationRecord`, the body of `vpcC` after its version and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VpCodecConfigurationRecord {
    /// Profile, 0 to 3.
    pub profile: u8,
    /// Ten times the level; 0 when unknown.
    pub level: u8,
    /// Bits of a sample.
    pub bit_depth: u8,
    /// `chromaSubsampling`: 0 4:2:0 vertical, 1 4:2:0 colocated, 2 4:2:2, 3 4:4:4, 4 4:4:0.
    pub chroma_subsampling: u8,
    /// `videoFullRangeFlag`.
    pub full_range: bool,
    /// Colour primaries, transfer characteristics, matrix coefficients (ITU-T H.273).
    pub colour: (u8, u8, u8),
}

impl VpCodecConfigurationRecord {
    /// The record for a key frame; the level is the lowest whose picture size and luma rate suffice at
    /// `frames_per_second` (0: picture size alone).
    #[must_use]
    pub fn new(profile: u8, key: &KeyFrame, frames_per_second: u32) -> Self {
        let chroma_subsampling = match key.subsampling {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        let colour = match key.color_space {
            1 => (6, 6, 6),
            2 => (1, 1, 1),
            3 => (6, 6, 6),
            4 => (7, 7, 7),
            5 => (9, 14, 9),
            COLOR_SPACE_RGB => (1, 13, 0),
            _ => (2, 2, 2),
        };
        let picture = u64::from(key.width) * u64::from(key.height);
        let level = level(picture, picture * u64::from(frames_per_second));
        Self { profile, level, bit_depth: key.bit_depth, chroma_subsampling, full_range: key.full_range, colour }
    }

    /// Reads a record: the body of a `vpcC` box, with or without the version (1) and flags in front.
    ///
    /// # Errors
    /// Truncated data.
    pub fn parse(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = BitReader::new("VPCodecConfigurationRecord", data);
        // Profile 1 with level 0, 0 bits a sample does not exist: such bytes are version 1 and flags 0.
        if data.starts_with(&[1, 0, 0, 0]) {
            reader.skip(32)?;
        }
        let (profile, level) = (reader.u8(8)?, reader.u8(8)?);
        let (bit_depth, chroma_subsampling, full_range) = (reader.u8(4)?, reader.u8(3)?, reader.flag()?);
        let colour = (reader.u8(8)?, reader.u8(8)?, reader.u8(8)?);
        Ok(Self { profile, level, bit_depth, chroma_subsampling, full_range, colour })
    }

    /// The record as bytes, without version and flags; `codecInitializationDataSize` is 0.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut writer = BitWriter::new();
        writer.u(self.profile.into(), 8);
        writer.u(self.level.into(), 8);
        writer.u(self.bit_depth.into(), 4);
        writer.u(self.chroma_subsampling.into(), 3);
        writer.flag(self.full_range);
        writer.bytes(&[self.colour.0, self.colour.1, self.colour.2, 0, 0]);
        writer.finish()
    }

    /// `vp09.PP.LL.DD`.
    #[must_use]
    pub fn codec_string(&self) -> String {
        format!("vp09.{:02}.{:02}.{:02}", self.profile, self.level, self.bit_depth)
    }
}

/// The lowest level that allows this luma picture size and rate (VP9 Annex A); 0 when none does.
fn level(picture: u64, rate: u64) -> u8 {
    const LEVELS: [(u8, u64, u64); 14] = [
        (10, 36_864, 829_440),
        (11, 73_728, 2_764_800),
        (20, 122_880, 4_608_000),
        (21, 245_760, 9_216_000),
        (30, 552_960, 20_736_000),
        (31, 983_040, 36_864_000),
        (40, 2_228_224, 83_558_400),
        (41, 2_228_224, 160_432_128),
        (50, 8_912_896, 311_951_360),
        (51, 8_912_896, 588_251_136),
        (52, 8_912_896, 1_176_502_272),
        (60, 35_651_584, 1_176_502_272),
        (61, 35_651_584, 2_353_004_544),
        (62, 35_651_584, 4_706_009_088),
    ];
    let fits = LEVELS.iter().find(|(_, size, samples)| picture <= *size && rate <= *samples);
    fits.map_or(0, |(level, ..)| *level)
}
