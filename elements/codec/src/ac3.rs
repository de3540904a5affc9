//! AC-3 and Enhanced AC-3: sync frames and the `dac3` / `dec3` fields.
//!
//! Defined by ETSI TS 102 366 (ATSC A/52): 4.3 and 4.4 for AC-3, Annex E for Enhanced AC-3, Annex F for the MP4 boxes.

use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;
use crate::frames::{FrameHeader, FrameSplitter};

/// Bytes of a sync frame's beginning that hold all fields read here.
pub const HEADER_BYTES: usize = 8;
/// The largest frame: Enhanced AC-3, `frmsiz` 2047. (AC-3: 3 840.)
pub const MAX_FRAME_BYTES: usize = 4096;
/// Up to here `bsid` says AC-3; from 11 to 16 Enhanced AC-3.
const MAX_AC3_BSID: u8 = 10;
const MAX_EAC3_BSID: u8 = 16;

/// Cuts an AC-3 or Enhanced AC-3 stream into sync frames. Dependent substreams come as frames of their own.
pub type Ac3Splitter = FrameSplitter<Ac3Header>;

const RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Nominal bit rate in kbit/s by `frmsizecod` / 2 (TS 102 366 table 4.13).
const BIT_RATES: [u32; 19] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
/// Full channels by `acmod`.
const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

/// What Enhanced AC-3 adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enhanced {
    /// `strmtyp`: 0 independent, 1 dependent, 2 converted from AC-3.
    pub stream_type: u8,
    /// `substreamid`.
    pub substream: u8,
}

/// A sync frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ac3Header {
    /// Enhanced AC-3 fields; `None` for AC-3.
    pub enhanced: Option<Enhanced>,
    /// Bytes of the frame.
    pub size: u16,
    /// `fscod`: 0 48 kHz, 1 44.1 kHz, 2 32 kHz, 3 half rates (Enhanced).
    pub fscod: u8,
    /// Sample rate in Hz.
    pub sample_rate: u32,
    /// `frmsizecod` / 2 of AC-3, for `dac3`; 0 for Enhanced AC-3.
    pub bit_rate_code: u8,
    /// `bsid`.
    pub bsid: u8,
    /// `bsmod`; 0 for Enhanced AC-3, where it lies deeper.
    pub bsmod: u8,
    /// `acmod`: channels but for the low-frequency one.
    pub acmod: u8,
    /// `lfeon`.
    pub lfe: bool,
    /// Audio blocks of 256 samples.
    pub blocks: u8,
}

impl Ac3Header {
    /// Channels, the low-frequency one included.
    #[must_use]
    pub fn channels(&self) -> u8 {
        CHANNELS.get(usize::from(self.acmod)).copied().unwrap_or(0) + u8::from(self.lfe)
    }

    /// Samples a channel.
    #[must_use]
    pub fn samples(&self) -> u32 {
        256 * u32::from(self.blocks)
    }

    /// Bit rate in kbit/s, rounded down.
    #[must_use]
    pub fn bit_rate(&self) -> u32 {
        u32::from(self.size) * 8 * (self.sample_rate / 1000) / self.samples().max(1)
    }

    /// Codec string: `ac-3` or `ec-3`.
    #[must_use]
    pub fn codec_string(&self) -> &'static str {
        if self.enhanced.is_some() { "ec-3" } else { "ac-3" }
    }

    /// Body of the MP4 box that describes the stream: `dac3` (F.4), or `dec3` (F.6) with one independent substream.
    #[must_use]
    pub fn specific_box(&self) -> Vec<u8> {
        let mut writer = BitWriter::new();
        if self.enhanced.is_some() {
            writer.u(self.bit_rate().into(), 13);
            writer.u(0, 3); // num_ind_sub
            writer.u(self.fscod.into(), 2);
            writer.u(self.bsid.into(), 5);
            writer.u(0, 2); // reserved, asvc
            writer.u(self.bsmod.into(), 3);
            writer.u(self.acmod.into(), 3);
            writer.flag(self.lfe);
            writer.u(0, 8); // reserved, num_dep_sub, reserved
        } else {
            writer.u(self.fscod.into(), 2);
            writer.u(self.bsid.into(), 5);
            writer.u(self.bsmod.into(), 3);
            writer.u(self.acmod.into(), 3);
            writer.flag(self.lfe);
            writer.u(self.bit_rate_code.into(), 5);
            writer.u(0, 5);
        }
        writer.finish()
    }

    /// `syncinfo` and `bsi` of AC-3 (4.3.1, 4.3.2).
    fn read_ac3(reader: &mut BitReader<'_>) -> Result<Self, CodecError> {
        reader.skip(16)?; // crc1
        let (fscod, frmsizecod, bsid, bsmod) = (reader.u8(2)?, reader.u8(6)?, reader.u8(5)?, reader.u8(3)?);
        let rate = *RATES.get(usize::from(fscod)).ok_or_else(|| reader.invalid("fscod 3 is reserved"))?;
        let bit_rate =
            *BIT_RATES.get(usize::from(frmsizecod / 2)).ok_or_else(|| reader.invalid("frmsizecod must be 0 to 37"))?;
        let acmod = reader.u8(3)?;
        let centre = acmod & 1 == 1 && acmod != 1;
        let mix = 2 * (usize::from(centre) + usize::from(acmod & 4 != 0) + usize::from(acmod == 2));
        reader.skip(mix)?; // cmixlev, surmixlev, dsurmod
        let lfe = reader.flag()?;
        let words = match fscod {
            0 => bit_rate * 2,
            1 => bit_rate * 320 / 147 + u32::from(frmsizecod & 1),
            _ => bit_rate * 3,
        };
        Ok(Self {
            enhanced: None,
            size: u16::try_from(words * 2).unwrap_or(u16::MAX),
            fscod,
            sample_rate: rate >> bsid.saturating_sub(8), // 9 and 10: half and quarter rate streams
            bit_rate_code: frmsizecod / 2,
            bsid,
            bsmod,
            acmod,
            lfe,
            blocks: 6,
        })
    }

    /// `syncinfo` and the beginning of `bsi` of Enhanced AC-3 (E.1.2.1, E.1.2.2).
    fn read_enhanced(reader: &mut BitReader<'_>) -> Result<Self, CodecError> {
        let enhanced = Enhanced { stream_type: reader.u8(2)?, substream: reader.u8(3)? };
        if enhanced.stream_type == 3 {
            return Err(reader.invalid("strmtyp 3 is reserved"));
        }
        let size = (reader.u16(11)? + 1) * 2;
        let (fscod, code) = (reader.u8(2)?, reader.u8(2)?);
        let (rate, blocks) = match (RATES.get(usize::from(fscod)), RATES.get(usize::from(code))) {
            (Some(rate), _) => (*rate, [1, 2, 3, 6].get(usize::from(code)).copied().unwrap_or(6)),
            (None, Some(rate)) => (rate / 2, 6), // the second field is fscod2
            (None, None) => return Err(reader.invalid("fscod2 3 is reserved")),
        };
        let (acmod, lfe, bsid) = (reader.u8(3)?, reader.flag()?, reader.u8(5)?);
        let enhanced = Some(enhanced);
        Ok(Self { enhanced, size, fscod, sample_rate: rate, bit_rate_code: 0, bsid, bsmod: 0, acmod, lfe, blocks })
    }
}

impl FrameHeader for Ac3Header {
    const HEADER_BYTES: usize = HEADER_BYTES;
    const MAX_FRAME_BYTES: usize = MAX_FRAME_BYTES;

    fn parse(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = BitReader::new("AC-3 sync frame", data);
        if reader.u(16)? != 0x0b77 {
            return Err(reader.invalid("expected the sync word 0x0b77"));
        }
        let mut ahead = reader.clone();
        ahead.skip(24)?;
        let bsid = ahead.u8(5)?; // both syntaxes have it at the same place
        let header = match bsid {
            0..=MAX_AC3_BSID => Self::read_ac3(&mut reader)?,
            11..=MAX_EAC3_BSID => Self::read_enhanced(&mut reader)?,
            _ => return Err(ahead.invalid("bsid must be 0 to 16")),
        };
        if usize::from(header.size) < HEADER_BYTES {
            return Err(reader.invalid("the frame is shorter than its header"));
        }
        Ok(header)
    }

    fn frame_bytes(&self) -> usize {
        self.size.into()
    }

    fn same_stream(&self, next: &Self) -> bool {
        self.enhanced.is_some() == next.enhanced.is_some() && self.sample_rate == next.sample_rate
    }
}
