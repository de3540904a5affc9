//! FLAC: the STREAMINFO metadata block (RFC 9639 8.2).

use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;

/// Bytes of the block's body.
pub const STREAM_INFO_BYTES: usize = 34;
const MARKER: &[u8; 4] = b"fLaC";

/// Properties of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamInfo {
    /// Smallest block in samples.
    pub min_block: u16,
    /// Largest block in samples.
    pub max_block: u16,
    /// Smallest frame in bytes, 0 when unknown.
    pub min_frame: u32,
    /// Largest frame in bytes, 0 when unknown.
    pub max_frame: u32,
    /// Sample rate in Hz, not 0.
    pub sample_rate: u32,
    /// Channels, 1 to 8.
    pub channels: u8,
    /// Bits of a sample, 4 to 32.
    pub bits_per_sample: u8,
    /// Samples a channel in all, 0 when unknown.
    pub total_samples: u64,
    /// MD5 of the decoded samples, zeros when unknown.
    pub md5: [u8; 16],
}

impl StreamInfo {
    /// Reads the block's body, or a `fLaC` header that begins with the block.
    ///
    /// # Errors
    /// Truncated data, another block first, or a sample rate of 0.
    pub fn parse(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = BitReader::new("FLAC STREAMINFO", data);
        if data.starts_with(MARKER) {
            reader.skip(32)?;
            if reader.u(32)? & 0x7fff_ffff != 34 {
                return Err(reader.invalid("expected a STREAMINFO block of 34 bytes first"));
            }
        }
        let (min_block, max_block) = (reader.u16(16)?, reader.u16(16)?);
        let (min_frame, max_frame) = (reader.u(24)?, reader.u(24)?);
        let sample_rate = reader.u(20)?;
        if sample_rate == 0 {
            return Err(reader.invalid("the sample rate of audio is not 0"));
        }
        let (channels, bits_per_sample) = (reader.u8(3)? + 1, reader.u8(5)? + 1);
        let total_samples = reader.u64(36)?;
        let mut md5 = [0; 16];
        for byte in &mut md5 {
            *byte = reader.u8(8)?;
        }
        Ok(Self {
            min_block,
            max_block,
            min_frame,
            max_frame,
            sample_rate,
            channels,
            bits_per_sample,
            total_samples,
            md5,
        })
    }

    /// The block's body as bytes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut writer = BitWriter::new();
        writer.u(self.min_block.into(), 16);
        writer.u(self.max_block.into(), 16);
        writer.u(self.min_frame.into(), 24);
        writer.u(self.max_frame.into(), 24);
        writer.u(self.sample_rate.into(), 20);
        writer.u(u64::from(self.channels).saturating_sub(1), 3);
        writer.u(u64::from(self.bits_per_sample).saturating_sub(1), 5);
        writer.u(self.total_samples, 36);
        writer.bytes(&self.md5);
        writer.finish()
    }
}
