//! Sample entries (ISO/IEC 14496-12, 8.5.2): codec and configuration.
//!
//! | entries | standard |
//! | --- | --- |
//! | `avc1`, `avc3`, `hvc1`, `hev1` | ISO/IEC 14496-15 |
//! | `av01` | AV1 in ISOBMFF, 2 |
//! | `vp09` | VP Codec ISO Media File Format Binding |
//! | `mp4a` with `esds` (AAC, MP3), `.mp3` | ISO/IEC 14496-14, 14496-3; QuickTime |
//! | `Opus` | Opus in ISOBMFF, 4.3 |
//! | `ac-3`, `ec-3` | ETSI TS 102 366, F |

use bytes::Bytes;
use millstream_codec::opus::{ChannelMapping, OpusHead};

use super::Medium;
use crate::wire::{Fields, FourCc, Mp4Error};

/// Formats of a track. Editors make a few; a forged count would only cost time.
const MAX_ENTRIES: u32 = 256;

/// Nested descriptors of `esds`: three in the standard.
const MAX_DESCRIPTORS: usize = 8;

/// A codec.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    /// H.264, with parameter sets in the entry.
    H264,
    /// H.264, which may have parameter sets in its samples, too.
    H264Inband,
    /// H.265, with parameter sets in the entry.
    H265,
    /// H.265, which may have parameter sets in its samples, too.
    H265Inband,
    /// AV1.
    Av1,
    /// VP9.
    Vp9,
    /// AAC.
    Aac,
    /// MPEG-1 or 2 Audio, layer III.
    Mp3,
    /// Opus.
    Opus,
    /// AC-3.
    Ac3,
    /// Enhanced AC-3.
    Eac3,
}

/// The format of samples.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its type in the file.
    pub kind: FourCc,
    /// The codec, if it is one of those that are read.
    pub codec: Option<Codec>,
    /// Configuration as caps have it: the record of the codec, AudioSpecificConfig, OpusHead.
    pub config: Option<Bytes>,
    /// Pictures: width and height in pixels.
    pub size: (u16, u16),
    /// Sound: samples a second and channels, as the entry says them.
    pub sound: (u32, u16),
}

impl Entry {
    pub(super) fn read_all(
        medium: Medium,
        mut stsd: Fields<'_>,
        content: &Bytes,
        _: u64,
    ) -> Result<Vec<Self>, Mp4Error> {
        stsd.full()?;
        let count = stsd.u32()?;
        let mut entries = Vec::new();
        while let Some(entry) = stsd.next_box()? {
            if entries.len() >= count.min(MAX_ENTRIES) as usize {
                break;
            }
            entries.push(match medium {
                Medium::Video => video(entry, content)?,
                Medium::Audio => audio(entry, content)?,
            });
        }
        if entries.is_empty() {
            return Err(stsd.error("has no format"));
        }
        Ok(entries)
    }
}

fn video(mut entry: Fields<'_>, content: &Bytes) -> Result<Entry, Mp4Error> {
    let kind = entry.kind();
    // Reserved and the index of a data reference; reserved (12.1.3).
    entry.skip(8 + 16)?;
    let size = (entry.u16()?, entry.u16()?);
    // Resolution, reserved, count of frames, name of the compressor, depth, reserved.
    entry.skip(50)?;
    let (codec, record) = match &kind.0 {
        b"avc1" => (Codec::H264, b"avcC"),
        b"avc3" => (Codec::H264Inband, b"avcC"),
        b"hvc1" => (Codec::H265, b"hvcC"),
        b"hev1" => (Codec::H265Inband, b"hvcC"),
        b"av01" => (Codec::Av1, b"av1C"),
        b"vp09" => (Codec::Vp9, b"vpcC"),
        _ => return Ok(Entry { kind, codec: None, config: None, size, sound: (0, 0) }),
    };
    let config = Some(content.slice_ref(entry.require(record)?.rest()));
    Ok(Entry { kind, codec: Some(codec), config, size, sound: (0, 0) })
}

fn audio(mut entry: Fields<'_>, content: &Bytes) -> Result<Entry, Mp4Error> {
    let kind = entry.kind();
    entry.skip(8)?;
    let version = entry.u16()?;
    entry.skip(6)?;
    let channels = entry.u16()?;
    entry.skip(6)?;
    // 16.16; what has more samples a second says so in its configuration.
    let rate = entry.u32()? >> 16;
    // QuickTime's versions say more, and have their boxes behind it.
    entry.skip(match version {
        1 => 16,
        2 => 36,
        _ => 0,
    })?;
    let sound = (rate, channels);
    let (codec, config) = match &kind.0 {
        b"mp4a" => match esds(entry)? {
            Some((codec, config)) => (Some(codec), config.map(|config| content.slice_ref(config))),
            None => (None, None),
        },
        b".mp3" => (Some(Codec::Mp3), None),
        b"Opus" => (Some(Codec::Opus), Some(opus_head(entry.require(b"dOps")?)?)),
        b"ac-3" => (Some(Codec::Ac3), None),
        b"ec-3" => (Some(Codec::Eac3), None),
        _ => (None, None),
    };
    Ok(Entry { kind, codec, config, size: (0, 0), sound })
}

/// A codec and its configuration.
type Described<'a> = (Codec, Option<&'a [u8]>);

/// Codec and configuration of an `esds` (ISO/IEC 14496-14, 5.6), which QuickTime may have within `wave`.
fn esds<'a>(entry: Fields<'a>) -> Result<Option<Described<'a>>, Mp4Error> {
    let found = match entry.find(b"esds")? {
        Some(found) => Some(found),
        None => match entry.find(b"wave")? {
            Some(wave) => wave.find(b"esds")?,
            None => None,
        },
    };
    let Some(mut fields) = found else { return Ok(None) };
    fields.full()?;
    let mut codec = None;
    for _ in 0..MAX_DESCRIPTORS {
        if fields.rest().is_empty() {
            break;
        }
        let (tag, mut content) = descriptor(&mut fields)?;
        match tag {
            // ES descriptor (ISO/IEC 14496-1, 7.2.6.5): its flags say what is ahead of the next descriptor.
            3 => {
                content.skip(2)?;
                let flags = content.u8()?;
                let url = flags & 0x40 != 0;
                content.skip(if flags & 0x80 != 0 { 2 } else { 0 })?;
                let length = if url { content.u8()? } else { 0 };
                content.skip(usize::from(length) + if flags & 0x20 != 0 { 2 } else { 0 })?;
                fields = content;
            }
            // Decoder configuration (7.2.6.6): object type, stream type, buffer size and bitrates.
            4 => {
                codec = match content.u8()? {
                    0x40 | 0x66..=0x68 => Some(Codec::Aac),
                    0x69 | 0x6B => Some(Codec::Mp3),
                    0xA5 => Some(Codec::Ac3),
                    0xA6 => Some(Codec::Eac3),
                    _ => None,
                };
                content.skip(12)?;
                fields = content;
            }
            5 => return Ok(codec.map(|codec| (codec, (codec == Codec::Aac).then_some(content.rest())))),
            _ => {}
        }
    }
    Ok(codec.map(|codec| (codec, None)))
}

/// Tag and content of a descriptor, whose size is in groups of seven bits (ISO/IEC 14496-1, 8.3.3).
fn descriptor<'a>(fields: &mut Fields<'a>) -> Result<(u8, Fields<'a>), Mp4Error> {
    let tag = fields.u8()?;
    let mut size = 0;
    for _ in 0..4 {
        let byte = fields.u8()?;
        size = size << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let offset = fields.offset();
    Ok((tag, Fields::new(fields.kind(), fields.take(size)?, offset)))
}

/// The identification header (RFC 7845, 5.1) of a `dOps` (Opus in ISOBMFF, 4.3.2), which has the same fields the other way around.
fn opus_head(mut dops: Fields<'_>) -> Result<Bytes, Mp4Error> {
    let version = dops;
    if dops.u8()? != 0 {
        return Err(version.error("has another version than 0"));
    }
    let channels = dops.u8()?;
    let (pre_skip, input_sample_rate) = (dops.u16()?, dops.u32()?);
    let output_gain = dops.u16()?.cast_signed();
    let mapping = match dops.u8()? {
        0 => None,
        family => {
            let (streams, coupled) = (dops.u8()?, dops.u8()?);
            Some(ChannelMapping { family, streams, coupled, map: dops.take(channels.into())?.to_vec() })
        }
    };
    Ok(OpusHead { channels, pre_skip, input_sample_rate, output_gain, mapping }.write().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    fn sound(kind: &[u8; 4], boxes: &[u8]) -> Entry {
        let head = [&[0; 16][..], &[0, 2, 0, 16, 0, 0, 0, 0], &(48_000_u32 << 16).to_be_bytes()].concat();
        let stsd = Bytes::from([&[0, 0, 0, 0, 0, 0, 0, 1][..], &atom(kind, &[&head, boxes].concat())].concat());
        let fields = Fields::new(FourCc(*b"stsd"), &stsd, 0);
        Entry::read_all(Medium::Audio, fields, &stsd, 0).expect("a format").remove(0)
    }

    #[test]
    fn aac_and_mp3_are_told_apart_by_their_object_type() {
        // As ffmpeg writes it: sizes in four bytes, AudioSpecificConfig of AAC-LC, 48 kHz, stereo.
        let esds = |object: u8| {
            let config = [5, 0x80, 0x80, 0x80, 2, 0x11, 0x90];
            let decoder = [&[4, 0x80, 0x80, 0x80, 20, object, 0x15][..], &[0; 11], &config].concat();
            let es = [&[3, 0x80, 0x80, 0x80, 28, 0, 1, 0][..], &decoder, &[6, 1, 2]].concat();
            atom(b"esds", &[&[0; 4][..], &es].concat())
        };
        let aac = sound(b"mp4a", &esds(0x40));
        assert_eq!((aac.codec, aac.config.as_deref()), (Some(Codec::Aac), Some(&[0x11, 0x90][..])));
        assert_eq!(aac.sound, (48_000, 2));
        let mp3 = sound(b"mp4a", &esds(0x6B));
        assert_eq!((mp3.codec, mp3.config), (Some(Codec::Mp3), None));
    }

    #[test]
    fn opus_says_what_ogg_would() {
        let dops = atom(b"dOps", &[0, 2, 0x01, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0]);
        // RFC 7845, 5.1: little-endian.
        assert_eq!(sound(b"Opus", &dops).config.as_deref(), Some(&b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"[..]));
    }

    #[test]
    fn a_codec_that_is_not_read_has_a_name() {
        let entry = sound(b"alac", &[]);
        assert_eq!((entry.codec, entry.kind.to_string()), (None, "alac".to_owned()));
    }
}
