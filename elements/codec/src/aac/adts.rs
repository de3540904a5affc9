//! ADTS (ISO/IEC 14496-3 1.A.2.2): AAC frames with a 7- or 9-byte header, as in MPEG-TS and `.aac` files.

use crate::aac::{AudioSpecificConfig, ObjectType, SAMPLE_RATES, sample_rate_index};
use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;
use crate::frames::{FrameHeader, FrameSplitter};

/// Bytes of a header without CRC.
pub const ADTS_HEADER_BYTES: usize = 7;
/// `aac_frame_length` has 13 bits.
pub const MAX_ADTS_FRAME_BYTES: usize = 8191;
/// `adts_buffer_fullness` that says the rate is variable.
const VARIABLE_RATE: u64 = 0x7ff;
const CRC_BYTES: usize = 2;

/// Cuts an ADTS stream into frames.
pub type AdtsSplitter = FrameSplitter<AdtsHeader>;

/// An ADTS header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdtsHeader {
    /// `ID`: true for MPEG-2 AAC (ISO/IEC 13818-7), false for MPEG-4.
    pub mpeg2: bool,
    /// `protection_absent` is 0: a CRC follows, 2 bytes.
    pub crc: bool,
    /// `profile_ObjectType` + 1, the audio object type: 1 to 4.
    pub object_type: ObjectType,
    /// `sampling_frequency_index`, 0 to 12.
    pub frequency_index: u8,
    /// `channel_configuration`; 0 when a program config element in the frame tells.
    pub channel_config: u8,
    /// `aac_frame_length`, header included, bytes.
    pub frame_length: u16,
    /// `number_of_raw_data_blocks_in_frame` + 1, 1 to 4: AAC frames inside.
    pub blocks: u8,
}

impl AdtsHeader {
    /// The header (MPEG-4, no CRC) for one AAC frame of `payload` bytes. `None` when ADTS cannot say it: another object
    /// type than 1 to 4, a rate outside the table, a channel configuration over 7, or a frame over 8 184 bytes.
    #[must_use]
    pub fn new(config: &AudioSpecificConfig, payload: usize) -> Option<Self> {
        let total = payload.checked_add(ADTS_HEADER_BYTES).filter(|total| *total <= MAX_ADTS_FRAME_BYTES)?;
        let valid = (1..=4).contains(&config.object_type.0) && config.channel_config <= 7;
        valid.then_some(())?;
        Some(Self {
            mpeg2: false,
            crc: false,
            object_type: config.object_type,
            frequency_index: sample_rate_index(config.sample_rate)?,
            channel_config: config.channel_config,
            frame_length: u16::try_from(total).ok()?,
            blocks: 1,
        })
    }

    /// The header as bytes: 7, as CRC is not written. The buffer fullness says "variable rate".
    #[must_use]
    pub fn write(&self) -> [u8; ADTS_HEADER_BYTES] {
        let mut writer = BitWriter::new();
        writer.u(0xfff, 12);
        writer.flag(self.mpeg2);
        writer.u(0b001, 3); // layer 0, protection_absent
        writer.u(u64::from(self.object_type.0).saturating_sub(1), 2);
        writer.u(self.frequency_index.into(), 4);
        writer.flag(false); // private_bit
        writer.u(self.channel_config.into(), 3);
        writer.u(0, 4); // original/copy, home, two copyright bits
        writer.u(self.frame_length.into(), 13);
        writer.u(VARIABLE_RATE, 11);
        writer.u(u64::from(self.blocks).saturating_sub(1), 2);
        writer.finish().try_into().expect("the fields fill 56 bits")
    }

    /// Bytes before the raw data: 7, or 9 with CRC; several blocks with CRC have two more bytes for each position.
    #[must_use]
    pub fn header_bytes(&self) -> usize {
        match (self.crc, self.blocks) {
            (false, _) => ADTS_HEADER_BYTES,
            (true, blocks) => ADTS_HEADER_BYTES + CRC_BYTES * usize::from(blocks.max(1)),
        }
    }

    /// Sample rate in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        SAMPLE_RATES.get(usize::from(self.frequency_index)).copied().unwrap_or(SAMPLE_RATES[3])
    }

    /// Samples a channel: 1024 for each block.
    #[must_use]
    pub fn samples(&self) -> u32 {
        1024 * u32::from(self.blocks)
    }

    /// The `AudioSpecificConfig` of this stream. It has no program config element when `channel_config` is 0.
    #[must_use]
    pub fn config(&self) -> AudioSpecificConfig {
        AudioSpecificConfig {
            object_type: self.object_type,
            ..AudioSpecificConfig::lc(self.sample_rate(), self.channel_config)
        }
    }
}

impl FrameHeader for AdtsHeader {
    const HEADER_BYTES: usize = ADTS_HEADER_BYTES;
    const MAX_FRAME_BYTES: usize = MAX_ADTS_FRAME_BYTES;

    fn parse(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = BitReader::new("ADTS header", data);
        if reader.u(12)? != 0xfff {
            return Err(reader.invalid("expected the sync word 0xfff"));
        }
        let mpeg2 = reader.flag()?;
        if reader.u(2)? != 0 {
            return Err(reader.invalid("layer must be 0"));
        }
        let crc = !reader.flag()?;
        let object_type = ObjectType(1 + reader.u8(2)?);
        let frequency_index = reader.u8(4)?;
        if usize::from(frequency_index) >= SAMPLE_RATES.len() {
            return Err(reader.invalid("sampling_frequency_index must be 0 to 12"));
        }
        reader.skip(1)?; // private_bit
        let channel_config = reader.u8(3)?;
        reader.skip(4)?; // original/copy, home, two copyright bits
        let frame_length = reader.u16(13)?;
        reader.skip(11)?; // adts_buffer_fullness
        let blocks = 1 + reader.u8(2)?;
        let header = Self { mpeg2, crc, object_type, frequency_index, channel_config, frame_length, blocks };
        if usize::from(frame_length) < header.header_bytes() {
            return Err(reader.invalid("aac_frame_length is shorter than the header"));
        }
        Ok(header)
    }

    fn frame_bytes(&self) -> usize {
        self.frame_length.into()
    }

    fn same_stream(&self, next: &Self) -> bool {
        self.object_type == next.object_type
            && self.frequency_index == next.frequency_index
            && self.channel_config == next.channel_config
            && self.mpeg2 == next.mpeg2
    }
}
