//! Opus: packet durations, `OpusHead`, and the MPEG-TS mapping.
//!
//! | part | defined by |
//! | --- | --- |
//! | TOC byte, packet duration | RFC 6716 3.1, 3.2 |
//! | `OpusHead`, channel mappings | RFC 7845 5.1 |
//! | control header, `channel_config_code` | ETSI TS "Opus" V0.1.3 draft, 4.2 and 4.3 (opus-codec.org) |

use bytes::Bytes;

use crate::bits::{BitReader, BitWriter};
use crate::error::{CodecError, ErrorKind};

/// Samples a second of every Opus clock.
pub const SAMPLE_RATE: u32 = 48_000;
/// The longest packet, 120 ms in samples (RFC 6716 3.2.5, R5).
pub const MAX_PACKET_SAMPLES: u32 = 5760;
/// The largest packet accepted in TS: 48 frames of 1 275 bytes and their lengths fit 64 KiB (RFC 6716 3.2.1).
pub const MAX_PACKET_BYTES: usize = 1 << 16;

const HEAD: &str = "OpusHead";
const MAGIC: &[u8; 8] = b"OpusHead";
const CONTROL: &str = "Opus control header";
const DESCRIPTOR: &str = "Opus audio descriptor";

/// Samples of a packet at 48 kHz, from its TOC byte (RFC 6716 3.1). `None` for an empty packet or one that claims no
/// frame or more than 120 ms.
#[must_use]
pub fn packet_samples(packet: &[u8]) -> Option<u32> {
    let toc = packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880].get(usize::from(config & 3))?,
        config @ 12..=15 => [480, 960].get(usize::from(config & 1))?,
        config => [120, 240, 480, 960].get(usize::from(config & 3))?,
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    Some(frame * frames).filter(|samples| (1..=MAX_PACKET_SAMPLES).contains(samples))
}

/// How streams in a packet become channels (RFC 7845 5.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelMapping {
    /// Channel mapping family: 1 Vorbis order, 255 unspecified.
    pub family: u8,
    /// Streams in a packet.
    pub streams: u8,
    /// How many of them, the first, are stereo.
    pub coupled: u8,
    /// For each output channel, the decoded channel, or 255 for silence.
    pub map: Vec<u8>,
}

/// The identification header (RFC 7845 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpusHead {
    /// Output channels, not 0.
    pub channels: u8,
    /// Samples at 48 kHz to drop at the start.
    pub pre_skip: u16,
    /// Sample rate of the original in Hz, for information; 0 when unknown.
    pub input_sample_rate: u32,
    /// Gain in 1/256 dB.
    pub output_gain: i16,
    /// Mapping table; `None` is family 0: mono or stereo in one stream.
    pub mapping: Option<ChannelMapping>,
}

impl OpusHead {
    /// The header of a stream in mapping family 0 (1 or 2 channels) or 1 (3 to 8). `None` for other counts.
    #[must_use]
    pub fn new(channels: u8) -> Option<Self> {
        let mapping = match channels {
            1 | 2 => None,
            3..=8 => Some(vorbis_mapping(channels)?),
            _ => return None,
        };
        Some(Self { channels, pre_skip: 0, input_sample_rate: SAMPLE_RATE, output_gain: 0, mapping })
    }

    /// Reads a header, magic signature included.
    ///
    /// # Errors
    /// Another signature, a major version other than 0, or a mapping that does not hold together.
    pub fn parse(data: &[u8]) -> Result<Self, CodecError> {
        let mut reader = BitReader::new(HEAD, data);
        if reader.u64(64)? != u64::from_be_bytes(*MAGIC) {
            return Err(reader.invalid("expected the signature OpusHead"));
        }
        if reader.u8(8)? & 0xf0 != 0 {
            return Err(reader.invalid("the major version must be 0"));
        }
        let channels = reader.u8(8)?;
        let pre_skip = reader.u16(16)?.swap_bytes();
        let input_sample_rate = reader.u(32)?.swap_bytes();
        let output_gain = reader.u16(16)?.swap_bytes().cast_signed();
        let mapping = match reader.u8(8)? {
            0 if matches!(channels, 1 | 2) => None,
            0 => return Err(reader.invalid("mapping family 0 has 1 or 2 channels")),
            _ if channels == 0 => return Err(reader.invalid("at least one channel")),
            family => {
                let (streams, coupled) = (reader.u8(8)?, reader.u8(8)?);
                let map = (0..channels).map(|_| reader.u8(8)).collect::<Result<_, _>>()?;
                Some(ChannelMapping { family, streams, coupled, map }.checked(&reader)?)
            }
        };
        Ok(Self { channels, pre_skip, input_sample_rate, output_gain, mapping })
    }

    /// The header as bytes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend([1, self.channels]);
        out.extend(self.pre_skip.to_le_bytes());
        out.extend(self.input_sample_rate.to_le_bytes());
        out.extend(self.output_gain.to_le_bytes());
        match &self.mapping {
            None => out.push(0),
            Some(mapping) => {
                out.extend([mapping.family, mapping.streams, mapping.coupled]);
                out.extend(&mapping.map);
            }
        }
        out
    }
}

impl ChannelMapping {
    fn checked(self, reader: &BitReader<'_>) -> Result<Self, CodecError> {
        let decoded = u16::from(self.streams) + u16::from(self.coupled);
        if self.streams == 0 || self.coupled > self.streams || decoded > 255 {
            return Err(reader.invalid("coupled streams are among the streams, 255 channels in all"));
        }
        if self.map.iter().any(|channel| *channel != 255 && u16::from(*channel) >= decoded) {
            return Err(reader.invalid("the mapping names a channel that is not decoded"));
        }
        Ok(self)
    }
}

/// Streams, coupled streams and map of 3 to 8 channels in Vorbis order (RFC 7845 5.1.1.2, libopus' surround layouts).
fn vorbis_mapping(channels: u8) -> Option<ChannelMapping> {
    let (streams, coupled, map): (u8, u8, &[u8]) = match channels {
        3 => (2, 1, &[0, 2, 1]),
        4 => (2, 2, &[0, 1, 2, 3]),
        5 => (3, 2, &[0, 4, 1, 2, 3]),
        6 => (4, 2, &[0, 4, 1, 2, 3, 5]),
        7 => (4, 3, &[0, 4, 1, 2, 3, 5, 6]),
        8 => (5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
        _ => return None,
    };
    Some(ChannelMapping { family: 1, streams, coupled, map: map.to_vec() })
}

/// Channels from the TS descriptor, the bytes after `descriptor_tag_extension` 0x80: `channel_config_code` and, for
/// code 0x81, the explicit table.
///
/// # Errors
/// A reserved code or a table that does not hold together.
pub fn head_from_ts_descriptor(data: &[u8]) -> Result<OpusHead, CodecError> {
    let mut reader = BitReader::new(DESCRIPTOR, data);
    let code = reader.u8(8)?;
    let unknown = CodecError::at_byte(DESCRIPTOR, 0, ErrorKind::Unsupported("this channel_config_code"));
    let discrete = |family, streams, coupled, channels| {
        let mapping = Some(ChannelMapping { family, streams, coupled, map: (0..channels).collect() });
        OpusHead { channels, pre_skip: 0, input_sample_rate: SAMPLE_RATE, output_gain: 0, mapping }
    };
    match code {
        0x00 => Ok(discrete(255, 1, 1, 2)), // dual mono in one stereo stream
        0x80 => Ok(discrete(255, 2, 0, 2)), // dual mono in two streams
        1..=8 => OpusHead::new(code).ok_or(unknown),
        0x82..=0x88 => Ok(discrete(1, code & 0xf, 0, code & 0xf)),
        0x81 => explicit_head(&mut reader),
        _ => Err(unknown),
    }
}

/// The `channel_config_code` that says `head`, when one of the plain codes does.
#[must_use]
pub fn ts_channel_config_code(head: &OpusHead) -> Option<u8> {
    let plain = (1..=8).chain([0x00, 0x80]).chain(0x82..=0x88);
    plain.into_iter().find(|code| {
        head_from_ts_descriptor(&[*code])
            .is_ok_and(|known| known.channels == head.channels && known.mapping == head.mapping)
    })
}

fn explicit_head(reader: &mut BitReader<'_>) -> Result<OpusHead, CodecError> {
    let (channels, family) = (reader.u8(8)?, reader.u8(8)?);
    let mut head = OpusHead { channels, pre_skip: 0, input_sample_rate: SAMPLE_RATE, output_gain: 0, mapping: None };
    match (family, channels) {
        (0, 1 | 2) => return Ok(head),
        (0, _) | (_, 0) => return Err(reader.invalid("no such channel count in this mapping family")),
        _ => {}
    }
    // Each field has as many bits as its largest value needs.
    let streams = reader.u8(bits_below(channels.into()))?.checked_add(1);
    let streams = streams.ok_or_else(|| reader.invalid("at most 255 streams (RFC 7845, section 5.1.1)"))?;
    let coupled = reader.u8(bits_below(u16::from(streams) + 1))?;
    let width = bits_below(u16::from(streams) + u16::from(coupled) + 1);
    let silence = u16::from(streams) + u16::from(coupled);
    let mut map = Vec::with_capacity(channels.into());
    for _ in 0..channels {
        let channel = reader.u16(width)?;
        map.push(if channel >= silence { 255 } else { u8::try_from(channel).unwrap_or(255) });
    }
    head.mapping = Some(ChannelMapping { family, streams, coupled, map }.checked(reader)?);
    Ok(head)
}

/// Bits that hold the numbers below `count`: ceil(log2(count)).
fn bits_below(count: u16) -> u32 {
    u16::BITS - count.saturating_sub(1).leading_zeros()
}

/// The control header that precedes each packet in a PES payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ControlHeader {
    /// `au_size`: bytes of the packet.
    pub size: usize,
    /// Samples at 48 kHz to drop from the start of the packet.
    pub start_trim: Option<u16>,
    /// Samples at 48 kHz to drop from its end.
    pub end_trim: Option<u16>,
}

impl ControlHeader {
    /// Reads a header and says how many bytes it has. A control extension is passed over.
    ///
    /// # Errors
    /// No prefix 0x3ff, truncated data, or a size over [`MAX_PACKET_BYTES`].
    pub fn parse(data: &[u8]) -> Result<(Self, usize), CodecError> {
        let mut reader = BitReader::new(CONTROL, data);
        if reader.u(11)? != 0x3ff {
            return Err(reader.invalid("expected the prefix 0x3ff"));
        }
        let (start, end, extension) = (reader.flag()?, reader.flag()?, reader.flag()?);
        reader.skip(2)?;
        let mut size = 0usize;
        loop {
            let byte = reader.u8(8)?;
            size += usize::from(byte);
            if size > MAX_PACKET_BYTES {
                let (value, limit) = (size as u64, MAX_PACKET_BYTES as u64);
                return Err(reader.error(ErrorKind::OverLimit { what: "au_size", value, limit }));
            }
            if byte != 255 {
                break;
            }
        }
        let start_trim = if start { Some(reader.u16(16)? & 0x1fff) } else { None };
        let end_trim = if end { Some(reader.u16(16)? & 0x1fff) } else { None };
        if extension {
            let length = usize::from(reader.u8(8)?);
            reader.skip(length * 8)?;
        }
        Ok((Self { size, start_trim, end_trim }, reader.position() / 8))
    }

    /// The header as bytes. Trims keep their low 13 bits.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut writer = BitWriter::new();
        writer.u(0x3ff, 11);
        writer.flag(self.start_trim.is_some());
        writer.flag(self.end_trim.is_some());
        writer.u(0, 3);
        (0..self.size / 255).for_each(|_| writer.u(255, 8));
        writer.u((self.size % 255) as u64, 8);
        for trim in [self.start_trim, self.end_trim].into_iter().flatten() {
            writer.u(u64::from(trim & 0x1fff), 16);
        }
        writer.finish()
    }
}

/// The packets of a PES payload with their control headers; payloads are shared slices. After an error it ends.
pub fn ts_packets(payload: &Bytes) -> impl Iterator<Item = Result<(ControlHeader, Bytes), CodecError>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = payload.get(at..).filter(|rest| !rest.is_empty())?;
        let begin = at;
        at = payload.len(); // unless the packet is whole
        let packet = ControlHeader::parse(rest).and_then(|(header, bytes)| {
            let have = rest.len().saturating_sub(bytes);
            if header.size > have {
                let kind = ErrorKind::Truncated { wanted: header.size as u64 * 8, have: have as u64 * 8 };
                return Err(CodecError::at_byte(CONTROL, begin + bytes, kind));
            }
            at = begin + bytes + header.size;
            Ok((header, payload.slice(begin + bytes..at)))
        });
        Some(packet)
    })
}
