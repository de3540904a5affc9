//! `AudioSpecificConfig` (ISO/IEC 14496-3 1.6.2.1), the codec data of AAC in MP4, FLV, SDP and Matroska.

use crate::aac::{ProgramConfig, SAMPLE_RATES, channels, sample_rate_index};
use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;

const UNIT: &str = "AudioSpecificConfig";
/// `syncExtensionType` values of backward-compatible signalling.
const SYNC_SBR: u32 = 0x2b7;
const SYNC_PS: u32 = 0x548;
/// The largest escape object type: 32 + 63.
const MAX_OBJECT_TYPE: u8 = 95;

/// `audioObjectType` (ISO/IEC 14496-3 table 1.17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectType(pub u8);

impl ObjectType {
    /// AAC Main.
    pub const MAIN: Self = Self(1);
    /// AAC LC, low complexity.
    pub const LC: Self = Self(2);
    /// AAC LTP, long term prediction.
    pub const LTP: Self = Self(4);
    /// Spectral band replication (HE-AAC).
    pub const SBR: Self = Self(5);
    /// Error resilient BSAC, whose explicit SBR extension has a channel configuration of its own.
    pub const ER_BSAC: Self = Self(22);
    /// Parametric stereo (HE-AAC v2).
    pub const PS: Self = Self(29);
    /// Error resilient AAC enhanced low delay.
    pub const ER_ELD: Self = Self(39);
    /// Unified speech and audio coding (xHE-AAC).
    pub const USAC: Self = Self(42);

    /// Types whose specific configuration is a `GASpecificConfig`.
    fn is_general_audio(self) -> bool {
        matches!(self.0, 1..=4 | 6 | 7 | 17 | 19..=23)
    }

    /// Types that are followed by `epConfig`.
    fn is_error_resilient(self) -> bool {
        matches!(self.0, 17 | 19..=27 | 39)
    }
}

/// Spectral band replication, signalled explicitly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sbr {
    /// `sbrPresentFlag`. False says that there is none, which is more than saying nothing.
    pub present: bool,
    /// `extensionSamplingFrequency` in Hz, the output rate; 0 when `present` is false.
    pub sample_rate: u32,
    /// `psPresentFlag`: parametric stereo; `None` when nothing was said.
    pub ps: Option<bool>,
    /// Hierarchical signalling (object type 5 or 29 in front, not readable by plain AAC decoders) rather than
    /// backward-compatible signalling at the end.
    pub hierarchical: bool,
}

/// An `AudioSpecificConfig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// The core codec's object type.
    pub object_type: ObjectType,
    /// The core codec's sample rate in Hz.
    pub sample_rate: u32,
    /// `channelConfiguration`; 0 when [`AudioSpecificConfig::program`] tells the channels.
    pub channel_config: u8,
    /// `frameLengthFlag`: 960 samples a frame (ELD: 480) rather than 1024 (512).
    pub short_frames: bool,
    /// `coreCoderDelay` when `dependsOnCoreCoder`.
    pub core_coder_delay: Option<u16>,
    /// The program config element of channel configuration 0.
    pub program: Option<ProgramConfig>,
    /// Explicit SBR signalling; `None` when it is left to the decoder to find out.
    pub sbr: Option<Sbr>,
}

impl AudioSpecificConfig {
    /// The plain configuration of an LC stream.
    #[must_use]
    pub fn lc(sample_rate: u32, channel_config: u8) -> Self {
        Self {
            object_type: ObjectType::LC,
            sample_rate,
            channel_config,
            short_frames: false,
            core_coder_delay: None,
            program: None,
            sbr: None,
        }
    }

    /// Reads a configuration that fills `data`, or is followed by bytes of no meaning.
    ///
    /// # Errors
    /// Truncated data or reserved values.
    pub fn parse(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = BitReader::new(UNIT, data);
        let mut config = Self::read_core(&mut reader)?;
        // Behind the other types lie fields that are not read here, so the place of the extension is not known.
        if config.sbr.is_none() && config.object_type.is_general_audio() {
            // Padding is often cut short; an extension that cannot be read is none.
            config.sbr = read_sync_extension(&mut reader).ok().flatten();
        }
        Ok(config)
    }

    /// Reads a configuration inside another structure, without backward-compatible extension (LATM version 0).
    pub(crate) fn read_core(reader: &mut BitReader<'_>) -> Result<Self, CodecError> {
        let start = reader.position();
        let mut object_type = read_object_type(reader)?;
        let sample_rate = read_sample_rate(reader)?;
        let channel_config = reader.u8(4)?;
        let mut sbr = None;
        if matches!(object_type, ObjectType::SBR | ObjectType::PS) {
            let ps = (object_type == ObjectType::PS).then_some(true);
            sbr = Some(Sbr { present: true, sample_rate: read_sample_rate(reader)?, ps, hierarchical: true });
            object_type = read_object_type(reader)?;
            if object_type == ObjectType::ER_BSAC {
                reader.skip(4)?; // extensionChannelConfiguration
            }
        }
        let mut config = Self {
            object_type,
            sample_rate,
            channel_config,
            short_frames: false,
            core_coder_delay: None,
            program: None,
            sbr,
        };
        if object_type.is_general_audio() {
            config.read_general_audio(reader, start)?;
        } else if object_type == ObjectType::ER_ELD {
            config.short_frames = reader.flag()?;
        }
        if object_type.is_error_resilient() && object_type != ObjectType::ER_ELD {
            reader.skip(2)?; // epConfig
        }
        Ok(config)
    }

    /// The configuration as bytes. Only general audio object types without scalable layers can be written.
    ///
    /// # Errors
    /// Another object type.
    pub fn write(&self) -> Result<Vec<u8>, CodecError> {
        let mut writer = BitWriter::new();
        self.write_core(&mut writer)?;
        Ok(writer.finish())
    }

    fn write_core(&self, writer: &mut BitWriter) -> Result<(), CodecError> {
        if !matches!(self.object_type.0, 1..=4 | 7) {
            return Err(BitReader::new(UNIT, &[]).invalid("only object types 1 to 4 and 7 can be written"));
        }
        match self.sbr.filter(|sbr| sbr.hierarchical && sbr.present) {
            Some(sbr) => {
                let outer = if sbr.ps == Some(true) { ObjectType::PS } else { ObjectType::SBR };
                writer.u(outer.0.into(), 5);
                write_sample_rate(writer, self.sample_rate);
                writer.u(self.channel_config.into(), 4);
                write_sample_rate(writer, sbr.sample_rate);
                writer.u(self.object_type.0.into(), 5);
            }
            None => {
                writer.u(self.object_type.0.into(), 5);
                write_sample_rate(writer, self.sample_rate);
                writer.u(self.channel_config.into(), 4);
            }
        }
        writer.flag(self.short_frames);
        writer.flag(self.core_coder_delay.is_some());
        if let Some(delay) = self.core_coder_delay {
            writer.u(delay.into(), 14);
        }
        writer.flag(false); // extensionFlag
        if let Some(program) = self.program.as_ref().filter(|_| self.channel_config == 0) {
            program.write(writer);
        }
        if let Some(sbr) = self.sbr.filter(|sbr| !sbr.hierarchical) {
            write_sync_extension(writer, sbr);
        }
        Ok(())
    }

    /// Core channels; `None` when neither configuration nor program config element tells.
    #[must_use]
    pub fn channels(&self) -> Option<u8> {
        channels(self.channel_config).or_else(|| self.program.as_ref().map(ProgramConfig::channels))
    }

    /// Channels after decoding: parametric stereo makes two of one.
    #[must_use]
    pub fn output_channels(&self) -> Option<u8> {
        let ps = self.sbr.and_then(|sbr| sbr.ps) == Some(true);
        if ps { Some(2) } else { self.channels() }
    }

    /// Sample rate after decoding, Hz, as far as it is signalled.
    #[must_use]
    pub fn output_sample_rate(&self) -> u32 {
        self.sbr.filter(|sbr| sbr.present && sbr.sample_rate != 0).map_or(self.sample_rate, |sbr| sbr.sample_rate)
    }

    /// Samples a frame and channel at the core sample rate.
    #[must_use]
    pub fn frame_samples(&self) -> u32 {
        match (self.object_type, self.short_frames) {
            (ObjectType::ER_ELD | ObjectType(23), false) => 512,
            (ObjectType::ER_ELD | ObjectType(23), true) => 480,
            (_, false) => 1024,
            (_, true) => 960,
        }
    }

    /// `mp4a.40.N` with the outermost object type (RFC 6381 3.3).
    #[must_use]
    pub fn codec_string(&self) -> String {
        let outer = match self.sbr {
            Some(Sbr { present: true, ps: Some(true), .. }) => ObjectType::PS,
            Some(Sbr { present: true, .. }) => ObjectType::SBR,
            _ => self.object_type,
        };
        format!("mp4a.40.{}", outer.0)
    }

    /// `GASpecificConfig` (ISO/IEC 14496-3 4.4.1).
    fn read_general_audio(&mut self, reader: &mut BitReader<'_>, start: usize) -> Result<(), CodecError> {
        self.short_frames = reader.flag()?;
        if reader.flag()? {
            self.core_coder_delay = Some(reader.u16(14)?);
        }
        let extension = reader.flag()?;
        if self.channel_config == 0 {
            self.program = Some(ProgramConfig::read(reader, start)?);
        }
        if matches!(self.object_type.0, 6 | 20) {
            reader.skip(3)?; // layerNr
        }
        if extension {
            match self.object_type.0 {
                22 => reader.skip(16)?,               // numOfSubFrame, layer_length
                17 | 19 | 20 | 23 => reader.skip(3)?, // resilience flags
                _ => {}
            }
            reader.skip(1)?; // extensionFlag3
        }
        Ok(())
    }
}

/// `GetAudioObjectType()`: 5 bits, 31 escapes to 32 + 6 bits.
fn read_object_type(reader: &mut BitReader<'_>) -> Result<ObjectType, CodecError> {
    let value = match reader.u8(5)? {
        31 => 32 + reader.u8(6)?,
        value => value,
    };
    if value == 0 || value > MAX_OBJECT_TYPE {
        return Err(reader.invalid("audioObjectType 0 is no codec"));
    }
    Ok(ObjectType(value))
}

fn read_sample_rate(reader: &mut BitReader<'_>) -> Result<u32, CodecError> {
    let index = reader.u8(4)?;
    let rate = if index == 15 { Some(reader.u(24)?) } else { SAMPLE_RATES.get(usize::from(index)).copied() };
    let rate = rate.filter(|rate| *rate != 0); // callers divide by it
    rate.ok_or_else(|| reader.invalid("samplingFrequencyIndex 13 and 14 are reserved, and no rate is 0 Hz"))
}

fn write_sample_rate(writer: &mut BitWriter, rate: u32) {
    match sample_rate_index(rate) {
        Some(index) => writer.u(index.into(), 4),
        None => {
            writer.u(15, 4);
            writer.u(rate.into(), 24);
        }
    }
}

/// Backward-compatible signalling behind the configuration (ISO/IEC 14496-3 1.6.5).
fn read_sync_extension(reader: &mut BitReader<'_>) -> Result<Option<Sbr>, CodecError> {
    if reader.remaining() < 16 || reader.u(11)? != SYNC_SBR || read_object_type(reader)? != ObjectType::SBR {
        return Ok(None);
    }
    if !reader.flag()? {
        return Ok(Some(Sbr { present: false, sample_rate: 0, ps: None, hierarchical: false }));
    }
    let sample_rate = read_sample_rate(reader)?;
    let mut ps = None;
    if reader.remaining() >= 12 && reader.u(11)? == SYNC_PS {
        ps = Some(reader.flag()?);
    }
    Ok(Some(Sbr { present: true, sample_rate, ps, hierarchical: false }))
}

fn write_sync_extension(writer: &mut BitWriter, sbr: Sbr) {
    writer.u(SYNC_SBR.into(), 11);
    writer.u(ObjectType::SBR.0.into(), 5);
    writer.flag(sbr.present);
    if sbr.present {
        write_sample_rate(writer, sbr.sample_rate);
        if let Some(ps) = sbr.ps {
            writer.u(SYNC_PS.into(), 11);
            writer.flag(ps);
        }
    }
}
