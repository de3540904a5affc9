//! `AV1CodecConfigurationRecord` (AV1 ISOBMFF binding 2.3.3), the codec data of MP4, FLV and Matroska.

use bytes::Bytes;

use crate::av1::{ObuType, Obus, SequenceHeader};
use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;

const FIXED_BYTES: usize = 4;

/// The record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Av1CodecConfigurationRecord {
    /// `seq_profile`.
    pub profile: u8,
    /// `seq_level_idx_0`.
    pub level_idx: u8,
    /// `seq_tier_0`: high tier.
    pub high_tier: bool,
    /// Bits of a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// `monochrome`.
    pub monochrome: bool,
    /// `chroma_subsampling_x`, `chroma_subsampling_y`.
    pub subsampling: (bool, bool),
    /// `chroma_sample_position`.
    pub chroma_sample_position: u8,
    /// `initial_presentation_delay_minus_one` + 1, when present.
    pub initial_presentation_delay: Option<u8>,
    /// `configOBUs`: usually the sequence header OBU, with its size field.
    pub obus: Bytes,
}

impl Av1CodecConfigurationRecord {
    /// The record for a sequence header and the OBU (header and size field included) that holds it.
    #[must_use]
    pub fn new(sequence: &SequenceHeader, obu: Bytes) -> Self {
        Self {
            profile: sequence.profile,
            level_idx: sequence.level_idx,
            high_tier: sequence.high_tier,
            bit_depth: sequence.color.bit_depth,
            monochrome: sequence.color.monochrome,
            subsampling: sequence.color.subsampling,
            chroma_sample_position: sequence.color.chroma_sample_position,
            initial_presentation_delay: None,
            obus: obu,
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Truncated data, or marker and version other than 1 and 1.
    pub fn parse(data: &Bytes) -> Result<Self, CodecError> {
        let mut reader = BitReader::new("AV1CodecConfigurationRecord", data);
        if reader.u(8)? != 0x81 {
            return Err(reader.invalid("marker and version must be 0x81"));
        }
        let (profile, level_idx, high_tier) = (reader.u8(3)?, reader.u8(5)?, reader.flag()?);
        let (high, twelve, monochrome) = (reader.flag()?, reader.flag()?, reader.flag()?);
        let subsampling = (reader.flag()?, reader.flag()?);
        let chroma_sample_position = reader.u8(2)?;
        reader.skip(3)?;
        let (present, delay) = (reader.flag()?, reader.u8(4)?);
        Ok(Self {
            profile,
            level_idx,
            high_tier,
            bit_depth: 8 + 2 * u8::from(high) + 2 * u8::from(high && twelve),
            monochrome,
            subsampling,
            chroma_sample_position,
            initial_presentation_delay: present.then_some(delay + 1),
            obus: data.slice(FIXED_BYTES..),
        })
    }

    /// The record as bytes.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let mut writer = BitWriter::new();
        writer.u(0x81, 8);
        writer.u(self.profile.into(), 3);
        writer.u(self.level_idx.into(), 5);
        writer.flag(self.high_tier);
        writer.flag(self.bit_depth > 8);
        writer.flag(self.bit_depth > 10);
        writer.flag(self.monochrome);
        writer.flag(self.subsampling.0);
        writer.flag(self.subsampling.1);
        writer.u(self.chroma_sample_position.into(), 2);
        writer.u(0, 3);
        writer.flag(self.initial_presentation_delay.is_some());
        writer.u(self.initial_presentation_delay.map_or(0, |delay| delay.saturating_sub(1)).into(), 4);
        writer.bytes(&self.obus);
        writer.finish().into()
    }

    /// The sequence header among the OBUs, when there is a readable one.
    #[must_use]
    pub fn sequence_header(&self) -> Option<SequenceHeader> {
        let found = Obus::new(&self.obus).flatten().find(|obu| obu.header.kind == ObuType::SEQUENCE_HEADER)?;
        SequenceHeader::parse(self.obus.get(found.payload)?).ok()
    }

    /// `av01.P.LLT.DD` (AV1 ISOBMFF binding, section 5).
    #[must_use]
    pub fn codec_string(&self) -> String {
        let tier = if self.high_tier { 'H' } else { 'M' };
        format!("av01.{}.{:02}{tier}.{:02}", self.profile, self.level_idx, self.bit_depth)
    }
}
