//! `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 8.3.3.1), the codec data of MP4, FLV and Matroska.

use bytes::Bytes;

use crate::bits::{BitReader, BitWriter};
use crate::error::{CodecError, ErrorKind};
use crate::h265::{NalType, ParameterSets, ProfileTierLevel, Sps, codec_string};
use crate::nal::LengthSize;

const UNIT: &str = "HEVCDecoderConfigurationRecord";
/// Bytes before the arrays.
const FIXED_BYTES: usize = 23;
/// Arrays in a record: one for each of the 64 NAL unit types.
pub const MAX_HVCC_ARRAYS: usize = 64;

/// NAL units of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NalArray {
    /// `array_completeness`: none of this type is in the samples (required for `hvc1`).
    pub complete: bool,
    /// `NAL_unit_type`.
    pub kind: NalType,
    /// The units, shared slices of the input.
    pub nals: Vec<Bytes>,
}

/// The record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HevcDecoderConfigurationRecord {
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
    /// `min_spatial_segmentation_idc`, 0 to 4095.
    pub min_spatial_segmentation: u16,
    /// `parallelismType`: 0 unknown or mixed, 1 slices, 2 tiles, 3 wavefront.
    pub parallelism: u8,
    /// `chromaFormat`.
    pub chroma_format: u8,
    /// Bits of a luma sample, 8 to 15.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample, 8 to 15.
    pub bit_depth_chroma: u8,
    /// `avgFrameRate` in frames per 256 seconds; 0 when unspecified.
    pub avg_frame_rate: u16,
    /// `constantFrameRate`, 0 to 2.
    pub constant_frame_rate: u8,
    /// `numTemporalLayers`, 0 when unknown.
    pub temporal_layers: u8,
    /// `temporalIdNested`.
    pub temporal_id_nested: bool,
    /// Size of the length fields in samples.
    pub length_size: LengthSize,
    /// Parameter sets and declarative SEI.
    pub arrays: Vec<NalArray>,
}

impl HevcDecoderConfigurationRecord {
    /// The record for `sps` that carries all of `sets`, with 4-byte lengths and complete arrays (`hvc1`).
    #[must_use]
    pub fn new(sps: &Sps, sets: &ParameterSets) -> Self {
        let array = |kind, nals| NalArray { complete: true, kind, nals };
        Self {
            profile: sps.profile,
            min_spatial_segmentation: sps.vui.map_or(0, |vui| vui.min_spatial_segmentation),
            parallelism: 0,
            chroma_format: sps.chroma_format_idc,
            bit_depth_luma: sps.bit_depth_luma,
            bit_depth_chroma: sps.bit_depth_chroma,
            avg_frame_rate: 0,
            constant_frame_rate: 0,
            temporal_layers: sps.max_sub_layers,
            temporal_id_nested: sps.temporal_id_nesting,
            length_size: LengthSize::Four,
            arrays: vec![
                array(NalType::VPS, sets.vps_nals().cloned().collect()),
                array(NalType::SPS, sets.sps_nals().cloned().collect()),
                array(NalType::PPS, sets.pps_nals().cloned().collect()),
            ],
        }
    }

    /// Reads a record. Reserved bits are ignored, and so are bytes after its end.
    ///
    /// # Errors
    /// A version other than 0 and 1 (0 is written by old software), 3-byte lengths, or truncated data.
    pub fn parse(data: &Bytes) -> Result<Self, CodecError> {
        let mut reader = BitReader::new(UNIT, data);
        if reader.u(8)? > 1 {
            return Err(reader.invalid("configurationVersion is not 1"));
        }
        let profile = ProfileTierLevel::read_general(&mut reader)?;
        let min_spatial_segmentation = reader.u16(16)? & 0xfff;
        let parallelism = reader.u8(8)? & 3;
        let chroma_format = reader.u8(8)? & 3;
        let bit_depth_luma = 8 + (reader.u8(8)? & 7);
        let bit_depth_chroma = 8 + (reader.u8(8)? & 7);
        let avg_frame_rate = reader.u16(16)?;
        let (constant_frame_rate, temporal_layers, temporal_id_nested) = (reader.u8(2)?, reader.u8(3)?, reader.flag()?);
        let length_size = LengthSize::from_minus_one(reader.u8(2)?)
            .ok_or_else(|| reader.invalid("lengthSizeMinusOne must be 0, 1 or 3"))?;
        let count = reader.u8(8)?;
        if usize::from(count) > MAX_HVCC_ARRAYS {
            let limit = MAX_HVCC_ARRAYS as u64;
            return Err(reader.error(ErrorKind::OverLimit { what: "numOfArrays", value: count.into(), limit }));
        }
        let arrays = (0..count).map(|_| read_array(&mut reader, data)).collect::<Result<_, _>>()?;
        Ok(Self {
            profile,
            min_spatial_segmentation,
            parallelism,
            chroma_format,
            bit_depth_luma,
            bit_depth_chroma,
            avg_frame_rate,
            constant_frame_rate,
            temporal_layers,
            temporal_id_nested,
            length_size,
            arrays,
        })
    }

    /// The record as bytes.
    ///
    /// # Errors
    /// More arrays or units than the counts can say, or a unit of over 65 535 bytes.
    pub fn write(&self) -> Result<Bytes, CodecError> {
        let mut writer = BitWriter::new();
        writer.u(1, 8);
        writer.u(self.profile.profile_space.into(), 2);
        writer.flag(self.profile.high_tier);
        writer.u(self.profile.profile_idc.into(), 5);
        writer.u(self.profile.compatibility.into(), 32);
        writer.u(self.profile.constraints, 48);
        writer.u(self.profile.level_idc.into(), 8);
        writer.u(0xf000 | u64::from(self.min_spatial_segmentation & 0xfff), 16);
        writer.u(0xfc | u64::from(self.parallelism & 3), 8);
        writer.u(0xfc | u64::from(self.chroma_format & 3), 8);
        writer.u(0xf8 | u64::from(self.bit_depth_luma.saturating_sub(8) & 7), 8);
        writer.u(0xf8 | u64::from(self.bit_depth_chroma.saturating_sub(8) & 7), 8);
        writer.u(self.avg_frame_rate.into(), 16);
        writer.u(self.constant_frame_rate.into(), 2);
        writer.u(self.temporal_layers.into(), 3);
        writer.flag(self.temporal_id_nested);
        writer.u(self.length_size.bytes() as u64 - 1, 2);
        writer.u(limited("numOfArrays", self.arrays.len(), MAX_HVCC_ARRAYS)?, 8);
        for array in &self.arrays {
            write_array(&mut writer, array)?;
        }
        Ok(writer.finish().into())
    }

    /// All NAL units, array after array.
    pub fn nals(&self) -> impl Iterator<Item = &Bytes> {
        self.arrays.iter().flat_map(|array| &array.nals)
    }

    /// `hvc1.` codec string (ISO/IEC 14496-15 E.3).
    #[must_use]
    pub fn codec_string(&self) -> String {
        codec_string("hvc1", &self.profile)
    }
}

fn read_array(reader: &mut BitReader<'_>, data: &Bytes) -> Result<NalArray, CodecError> {
    let complete = reader.flag()?;
    reader.skip(1)?;
    let kind = NalType(reader.u8(6)?);
    let count = reader.u(16)?;
    let mut nals = Vec::new();
    for _ in 0..count {
        let length = usize::from(reader.u16(16)?);
        let begin = reader.position() / 8;
        reader.skip(length * 8)?; // fails before the slice could
        nals.push(data.slice(begin..begin + length));
    }
    Ok(NalArray { complete, kind, nals })
}

fn write_array(writer: &mut BitWriter, array: &NalArray) -> Result<(), CodecError> {
    writer.flag(array.complete);
    writer.flag(false);
    writer.u(array.kind.0.into(), 6);
    writer.u(limited("numNalus", array.nals.len(), 65535)?, 16);
    for nal in &array.nals {
        writer.u(limited("nalUnitLength", nal.len(), 65535)?, 16);
        writer.bytes(nal);
    }
    Ok(())
}

fn limited(what: &'static str, value: usize, limit: usize) -> Result<u64, CodecError> {
    let (value, limit) = (value as u64, limit as u64);
    if value > limit {
        return Err(CodecError::at_byte(UNIT, FIXED_BYTES, ErrorKind::OverLimit { what, value, limit }));
    }
    Ok(value)
}
