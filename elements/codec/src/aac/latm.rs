//! LOAS and LATM (ISO/IEC 14496-3 1.7): AAC of stream type 0x11 in MPEG-TS.
//!
//! Supported: one program, one layer, frame length type 0, any number of subframes, `audioMuxVersion` 0 and 1. That is
//! what broadcasters send. Payloads lie at arbitrary bits, so each is copied once.

use bytes::Bytes;

use crate::aac::AudioSpecificConfig;
use crate::bits::{BitReader, BitWriter};
use crate::error::{CodecError, ErrorKind};
use crate::frames::{FrameHeader, FrameSplitter};

const UNIT: &str = "LATM AudioMuxElement";
/// `audioMuxLengthBytes` has 13 bits, its header 3 bytes.
pub const MAX_LOAS_BYTES: usize = 3 + 8191;
/// `numSubFrames` + 1: six bits.
pub const MAX_LATM_SUBFRAMES: usize = 64;

/// Cuts a LOAS `AudioSyncStream` into `AudioMuxElement`s.
pub type LoasSplitter = FrameSplitter<LoasHeader>;

/// Header of an `AudioSyncStream` frame: sync word 0x2b7 and the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoasHeader {
    /// `audioMuxLengthBytes`: bytes after the header.
    pub length: u16,
}

impl LoasHeader {
    /// Bytes before the `AudioMuxElement`.
    pub const BYTES: usize = 3;
}

impl FrameHeader for LoasHeader {
    const HEADER_BYTES: usize = Self::BYTES;
    const MAX_FRAME_BYTES: usize = MAX_LOAS_BYTES;

    fn parse(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = BitReader::new("LOAS header", data);
        if reader.u(11)? != 0x2b7 {
            return Err(reader.invalid("expected the sync word 0x2b7"));
        }
        Ok(Self { length: reader.u16(13)? })
    }

    fn frame_bytes(&self) -> usize {
        Self::BYTES + usize::from(self.length)
    }

    fn same_stream(&self, _next: &Self) -> bool {
        true
    }
}

/// Reads `AudioMuxElement`s in order; remembers the last `StreamMuxConfig`.
#[derive(Debug, Clone, Default)]
pub struct LatmReader {
    mux: Option<MuxConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct MuxConfig {
    config: AudioSpecificConfig,
    config_bytes: Bytes,
    subframes: u8,
    other_data_bits: u64,
}

impl LatmReader {
    /// A reader that waits for a `StreamMuxConfig`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Option<&AudioSpecificConfig> {
        self.mux.as_ref().map(|mux| &mux.config)
    }

    /// The configuration in force as it was sent, with zero bits up to the byte.
    #[must_use]
    pub fn config_bytes(&self) -> Option<&Bytes> {
        self.mux.as_ref().map(|mux| &mux.config_bytes)
    }

    /// Reads one element (without LOAS header) with `muxConfigPresent` and gives its raw AAC frames. Elements before
    /// the first configuration give none.
    ///
    /// # Errors
    /// Truncated data or a multiplex beyond what the module supports.
    pub fn read(&mut self, element: &[u8]) -> Result<Vec<Bytes>, CodecError> {
        let mut reader = BitReader::new(UNIT, element);
        let use_same_mux = reader.flag()?;
        if !use_same_mux {
            self.mux = Some(MuxConfig::read(&mut reader, element)?);
        }
        let Some(mux) = &self.mux else { return Ok(Vec::new()) };
        (0..mux.subframes).map(|_| payload(&mut reader)).collect()
    }

    /// Bits of `otherData` in each element, as configured. They are not given out.
    #[must_use]
    pub fn other_data_bits(&self) -> u64 {
        self.mux.as_ref().map_or(0, |mux| mux.other_data_bits)
    }
}

impl MuxConfig {
    /// `StreamMuxConfig` (ISO/IEC 14496-3 table 1.42).
    fn read(reader: &mut BitReader<'_>, element: &[u8]) -> Result<Self, CodecError> {
        let version = reader.flag()?;
        if version && reader.flag()? {
            return Err(reader.error(ErrorKind::Unsupported("audioMuxVersionA 1")));
        }
        if version {
            latm_value(reader)?; // taraBufferFullness
        }
        let same_framing = reader.flag()?;
        let subframes = 1 + reader.u8(6)?;
        if !same_framing || reader.u(4)? != 0 || reader.u(3)? != 0 {
            return Err(reader.error(ErrorKind::Unsupported("more than one program, layer or time framing")));
        }
        let (config, config_bytes) = read_config(reader, element, version)?;
        if reader.u(3)? != 0 {
            return Err(reader.error(ErrorKind::Unsupported("a frameLengthType other than 0")));
        }
        reader.skip(8)?; // latmBufferFullness
        let other_data_bits = if reader.flag()? { other_data(reader, version)? } else { 0 };
        if reader.flag()? {
            reader.skip(8)?; // crcCheckSum
        }
        Ok(Self { config, config_bytes, subframes, other_data_bits })
    }
}

fn read_config(
    reader: &mut BitReader<'_>,
    element: &[u8],
    version: bool,
) -> Result<(AudioSpecificConfig, Bytes), CodecError> {
    if !version {
        let start = reader.position();
        let config = AudioSpecificConfig::read_core(reader)?;
        let mut copy = BitReader::new(UNIT, element);
        copy.skip(start)?;
        let bytes = copy_bits(&mut copy, reader.position() - start)?;
        return Ok((config, bytes));
    }
    let bits = usize::try_from(latm_value(reader)?).unwrap_or(usize::MAX);
    let bytes = copy_bits(reader, bits)?;
    Ok((AudioSpecificConfig::parse(&bytes)?, bytes))
}

/// `otherDataLenBits`: a run of bytes, each after a flag that says whether more follow.
fn other_data(reader: &mut BitReader<'_>, version: bool) -> Result<u64, CodecError> {
    if version {
        return latm_value(reader).map(u64::from);
    }
    let mut bits = 0u64;
    loop {
        let more = reader.flag()?;
        bits = bits.wrapping_shl(8) | u64::from(reader.u(8)?);
        if !more {
            return Ok(bits);
        }
    }
}

/// `LatmGetValue()`: two bits of byte count - 1, then the bytes.
fn latm_value(reader: &mut BitReader<'_>) -> Result<u32, CodecError> {
    let bytes = 1 + reader.u(2)?;
    reader.u(bytes * 8)
}

/// `PayloadLengthInfo` and `PayloadMux` of the single stream.
fn payload(reader: &mut BitReader<'_>) -> Result<Bytes, CodecError> {
    let mut length = 0usize;
    loop {
        let byte = reader.u8(8)?;
        length += usize::from(byte);
        if byte != 255 {
            break;
        }
    }
    copy_bits(reader, length * 8)
}

/// Copies `bits` bits to whole bytes. The length is checked before anything is allocated.
fn copy_bits(reader: &mut BitReader<'_>, bits: usize) -> Result<Bytes, CodecError> {
    reader.clone().skip(bits)?;
    let mut writer = BitWriter::new();
    let mut left = bits;
    while left > 0 {
        let n = left.min(32);
        let n32 = u32::try_from(n).unwrap_or(32);
        writer.u(reader.u(n32)?.into(), n32);
        left -= n;
    }
    Ok(writer.finish().into())
}
