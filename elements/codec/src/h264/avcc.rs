//! `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 5.3.3.1), the codec data of MP4, FLV and Matroska.

use bytes::Bytes;

use crate::error::{CodecError, ErrorKind};
use crate::h264::{Sps, codec_string, sps::has_chroma_fields};
use crate::nal::LengthSize;

const UNIT: &str = "AVCDecoderConfigurationRecord";
/// `numOfSequenceParameterSets` has 5 bits, `numOfPictureParameterSets` 8.
const MAX_SPS: usize = 31;
const MAX_PPS: usize = 255;

/// The fields that profiles from High on append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvcExtension {
    /// `chroma_format`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits of a luma sample, 8 to 15.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample, 8 to 15.
    pub bit_depth_chroma: u8,
    /// Sequence parameter set extension NAL units.
    pub sps_ext: Vec<Bytes>,
}

/// The record. NAL units are shared slices of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvcDecoderConfigurationRecord {
    /// `AVCProfileIndication`.
    pub profile_idc: u8,
    /// `profile_compatibility`: the constraint flags byte.
    pub constraints: u8,
    /// `AVCLevelIndication`.
    pub level_idc: u8,
    /// Size of the length fields in samples.
    pub length_size: LengthSize,
    /// SPS NAL units.
    pub sps: Vec<Bytes>,
    /// PPS NAL units.
    pub pps: Vec<Bytes>,
    /// Present from the High profile on; some writers omit it.
    pub extension: Option<AvcExtension>,
}

impl AvcDecoderConfigurationRecord {
    /// The record for `sps` and the NAL units to carry, with 4-byte lengths.
    #[must_use]
    pub fn new(sps: &Sps, sps_nals: Vec<Bytes>, pps_nals: Vec<Bytes>) -> Self {
        let extension = has_chroma_fields(sps.profile_idc).then(|| AvcExtension {
            chroma_format: sps.chroma_format_idc,
            bit_depth_luma: sps.bit_depth_luma,
            bit_depth_chroma: sps.bit_depth_chroma,
            sps_ext: Vec::new(),
        });
        Self {
            profile_idc: sps.profile_idc,
            constraints: sps.constraints,
            level_idc: sps.level_idc,
            length_size: LengthSize::Four,
            sps: sps_nals,
            pps: pps_nals,
            extension,
        }
    }

    /// Reads a record. Reserved bits are ignored, and so are bytes after its end.
    ///
    /// # Errors
    /// A version other than 1, 3-byte lengths, or truncated data.
    pub fn parse(data: &Bytes) -> Result<Self, CodecError> {
        let mut cursor = Cursor { data, at: 0 };
        if cursor.u8()? != 1 {
            return Err(CodecError::at_byte(UNIT, 0, ErrorKind::Invalid("configurationVersion is not 1")));
        }
        let (profile_idc, constraints, level_idc) = (cursor.u8()?, cursor.u8()?, cursor.u8()?);
        let length_size = LengthSize::from_minus_one(cursor.u8()? & 3)
            .ok_or_else(|| CodecError::at_byte(UNIT, 4, ErrorKind::Invalid("lengthSizeMinusOne is 2")))?;
        let sps_count = cursor.u8()? & 0x1f;
        let sps = cursor.nals(sps_count)?;
        let pps_count = cursor.u8()?;
        let pps = cursor.nals(pps_count)?;
        let extension = if has_chroma_fields(profile_idc) { cursor.extension()? } else { None };
        Ok(Self { profile_idc, constraints, level_idc, length_size, sps, pps, extension })
    }

    /// The record as bytes.
    ///
    /// # Errors
    /// More sets than the counts can say, or a set of over 65 535 bytes.
    pub fn write(&self) -> Result<Bytes, CodecError> {
        let mut out = vec![1, self.profile_idc, self.constraints, self.level_idc];
        out.push(0xfc | u8::try_from(self.length_size.bytes() - 1).unwrap_or(3));
        write_nals(&mut out, &self.sps, 0xe0, MAX_SPS)?;
        write_nals(&mut out, &self.pps, 0, MAX_PPS)?;
        if let Some(extension) = &self.extension {
            out.push(0xfc | extension.chroma_format & 3);
            out.push(0xf8 | extension.bit_depth_luma.saturating_sub(8) & 7);
            out.push(0xf8 | extension.bit_depth_chroma.saturating_sub(8) & 7);
            write_nals(&mut out, &extension.sps_ext, 0, MAX_PPS)?;
        }
        Ok(out.into())
    }

    /// `avc1.PPCCLL` (RFC 6381 3.3).
    #[must_use]
    pub fn codec_string(&self) -> String {
        codec_string(self.profile_idc, self.constraints, self.level_idc)
    }
}

struct Cursor<'a> {
    data: &'a Bytes,
    at: usize,
}

impl Cursor<'_> {
    fn u8(&mut self) -> Result<u8, CodecError> {
        let byte = self.data.get(self.at).copied().ok_or_else(|| self.truncated(1))?;
        self.at += 1;
        Ok(byte)
    }

    fn nals(&mut self, count: u8) -> Result<Vec<Bytes>, CodecError> {
        (0..count).map(|_| self.nal()).collect()
    }

    fn nal(&mut self) -> Result<Bytes, CodecError> {
        let length = usize::from(self.u8()?) << 8 | usize::from(self.u8()?);
        let end = self.at + length;
        if end > self.data.len() {
            return Err(self.truncated(length));
        }
        let nal = self.data.slice(self.at..end);
        self.at = end;
        Ok(nal)
    }

    fn extension(&mut self) -> Result<Option<AvcExtension>, CodecError> {
        if self.data.len() - self.at < 4 {
            return Ok(None);
        }
        let (chroma, luma_depth, chroma_depth) = (self.u8()?, self.u8()?, self.u8()?);
        let count = self.u8()?;
        Ok(Some(AvcExtension {
            chroma_format: chroma & 3,
            bit_depth_luma: 8 + (luma_depth & 7),
            bit_depth_chroma: 8 + (chroma_depth & 7),
            sps_ext: self.nals(count)?,
        }))
    }

    fn truncated(&self, wanted: usize) -> CodecError {
        let have = self.data.len().saturating_sub(self.at) as u64 * 8;
        CodecError::at_byte(UNIT, self.at, ErrorKind::Truncated { wanted: wanted as u64 * 8, have })
    }
}

fn write_nals(out: &mut Vec<u8>, nals: &[Bytes], reserved: u8, max: usize) -> Result<(), CodecError> {
    let over = |what, value: usize, limit: usize| {
        CodecError::at_byte(UNIT, 0, ErrorKind::OverLimit { what, value: value as u64, limit: limit as u64 })
    };
    let count = u8::try_from(nals.len()).ok().filter(|_| nals.len() <= max);
    out.push(reserved | count.ok_or_else(|| over("the number of parameter sets", nals.len(), max))?);
    for nal in nals {
        let length = u16::try_from(nal.len());
        out.extend(length.map_err(|_| over("a parameter set's size", nal.len(), 65535))?.to_be_bytes());
        out.extend_from_slice(nal);
    }
    Ok(())
}
