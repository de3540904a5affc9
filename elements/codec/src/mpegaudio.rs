//! MPEG audio, layers I to III: frame headers and framing.
//!
//! Defined by ISO/IEC 11172-3 2.4.2.3 (MPEG-1) and ISO/IEC 13818-3 2.4.2.3 (MPEG-2 low sample rates); MPEG-2.5 is the
//! customary extension to 8 to 12 kHz. Free format (bit rate index 0) is not supported: its frames have no size.

use crate::bits::BitReader;
use crate::error::{CodecError, ErrorKind};
use crate::frames::{FrameHeader, FrameSplitter};

/// Bytes of a frame header.
pub const HEADER_BYTES: usize = 4;
/// The largest frame: layer II, 160 kbit/s at 8 kHz, with padding.
pub const MAX_FRAME_BYTES: usize = 2881;

/// Cuts an MPEG audio stream into frames.
pub type MpegAudioSplitter = FrameSplitter<MpegAudioHeader>;

/// Version by sample rate range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// 32 to 48 kHz.
    Mpeg1,
    /// 16 to 24 kHz.
    Mpeg2,
    /// 8 to 12 kHz.
    Mpeg25,
}

/// Layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Layer I.
    One,
    /// Layer II (MP2).
    Two,
    /// Layer III (MP3).
    Three,
}

/// A frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MpegAudioHeader {
    /// Version.
    pub version: Version,
    /// Layer.
    pub layer: Layer,
    /// Bit rate in kbit/s.
    pub bit_rate: u32,
    /// Sample rate in Hz.
    pub sample_rate: u32,
    /// `padding_bit`: one more slot (layer I: 4 bytes, else 1).
    pub padding: bool,
    /// 1 for mode 3, else 2.
    pub channels: u8,
}

/// kbit/s by index 1 to 14 (ISO/IEC 11172-3 table 2.4.2.3, ISO/IEC 13818-3 table 2.4.2.3).
const MPEG1_I: [u32; 14] = [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448];
const MPEG1_II: [u32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
const MPEG1_III: [u32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const MPEG2_I: [u32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256];
const MPEG2_II_III: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const MPEG1_RATES: [u32; 3] = [44_100, 48_000, 32_000];

impl MpegAudioHeader {
    /// Samples a channel.
    #[must_use]
    pub fn samples(&self) -> u32 {
        match (self.layer, self.version) {
            (Layer::One, _) => 384,
            (Layer::Three, Version::Mpeg2 | Version::Mpeg25) => 576,
            _ => 1152,
        }
    }

    /// `mp4a.40.N` with the object types of ISO/IEC 14496-3 table 1.17.
    #[must_use]
    pub fn codec_string(&self) -> &'static str {
        match self.layer {
            Layer::One => "mp4a.40.32",
            Layer::Two => "mp4a.40.33",
            Layer::Three => "mp4a.40.34",
        }
    }
}

impl FrameHeader for MpegAudioHeader {
    const HEADER_BYTES: usize = HEADER_BYTES;
    const MAX_FRAME_BYTES: usize = MAX_FRAME_BYTES;

    fn parse(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = BitReader::new("MPEG audio header", data);
        if reader.u(11)? != 0x7ff {
            return Err(reader.invalid("expected the sync word 0x7ff"));
        }
        let version = match reader.u(2)? {
            0 => Version::Mpeg25,
            2 => Version::Mpeg2,
            3 => Version::Mpeg1,
            _ => return Err(reader.invalid("version 1 is reserved")),
        };
        let layer = match reader.u(2)? {
            1 => Layer::Three,
            2 => Layer::Two,
            3 => Layer::One,
            _ => return Err(reader.invalid("layer 0 is reserved")),
        };
        reader.skip(1)?; // protection_bit
        let bit_rate = bit_rate(&mut reader, version, layer)?;
        let rate = MPEG1_RATES.get(reader.u(2)? as usize).copied();
        let rate = rate.ok_or_else(|| reader.invalid("sampling_frequency 3 is reserved"))?;
        let sample_rate = match version {
            Version::Mpeg1 => rate,
            Version::Mpeg2 => rate / 2,
            Version::Mpeg25 => rate / 4,
        };
        let padding = reader.flag()?;
        reader.skip(1)?; // private_bit
        let channels = if reader.u(2)? == 3 { 1 } else { 2 };
        Ok(Self { version, layer, bit_rate, sample_rate, padding, channels })
    }

    fn frame_bytes(&self) -> usize {
        let slot = if self.layer == Layer::One { 4 } else { 1 };
        let slots = self.samples() / 8 / slot * self.bit_rate * 1000 / self.sample_rate.max(1);
        ((slots + u32::from(self.padding)) * slot) as usize
    }

    fn same_stream(&self, next: &Self) -> bool {
        // Mono and stereo frames alternate in joint streams of some encoders; rate and layer never change.
        (self.version, self.layer, self.sample_rate) == (next.version, next.layer, next.sample_rate)
    }
}

fn bit_rate(reader: &mut BitReader<'_>, version: Version, layer: Layer) -> Result<u32, CodecError> {
    let table = match (version, layer) {
        (Version::Mpeg1, Layer::One) => MPEG1_I,
        (Version::Mpeg1, Layer::Two) => MPEG1_II,
        (Version::Mpeg1, Layer::Three) => MPEG1_III,
        (_, Layer::One) => MPEG2_I,
        _ => MPEG2_II_III,
    };
    let index = reader.u(4)? as usize;
    if index == 0 {
        return Err(reader.error(ErrorKind::Unsupported("free format")));
    }
    table.get(index - 1).copied().ok_or_else(|| reader.invalid("bitrate_index 15 is forbidden"))
}
