//! Formats of samples as caps. Media types and fields are GStreamer's.

use bytes::Bytes;
use millstream_codec::aac::AudioSpecificConfig;
use millstream_codec::opus::OpusHead;
use millstream_core::Caps;
use millstream_core::caps::{field, media};

use crate::movie::{Codec, Entry};

/// What `mp4demux` may offer as pictures.
pub(super) const VIDEO: &str = "video/x-h264, stream-format={avc, avc3}, alignment=au; \
    video/x-h265, stream-format={hvc1, hev1}, alignment=au; video/x-av1, stream-format=obu-stream, alignment=tu; video/x-vp9";

/// What `mp4demux` may offer as sound.
pub(super) const AUDIO: &str = "audio/mpeg, mpegversion=4, stream-format=raw; audio/mpeg, mpegversion=1, layer=3; \
    audio/x-opus; audio/x-ac3; audio/x-eac3";

/// The caps of a format; `None` for a codec that is not read.
pub(super) fn caps(entry: &Entry) -> Option<Caps> {
    let framed = |media, format, alignment| {
        Caps::new(media).with(field::STREAM_FORMAT, format).with(field::ALIGNMENT, alignment)
    };
    let base = match entry.codec? {
        Codec::H264 => framed(media::H264, "avc", "au"),
        Codec::H264Inband => framed(media::H264, "avc3", "au"),
        Codec::H265 => framed(media::H265, "hvc1", "au"),
        Codec::H265Inband => framed(media::H265, "hev1", "au"),
        Codec::Av1 => framed(media::AV1, "obu-stream", "tu"),
        Codec::Vp9 => Caps::new(media::VP9),
        Codec::Aac => Caps::new(media::MPEG_AUDIO).with(field::MPEG_VERSION, 4).with(field::STREAM_FORMAT, "raw"),
        Codec::Mp3 => Caps::new(media::MPEG_AUDIO).with(field::MPEG_VERSION, 1).with(field::LAYER, 3),
        Codec::Opus => Caps::new(media::OPUS),
        Codec::Ac3 => Caps::new(media::AC3),
        Codec::Eac3 => Caps::new(media::EAC3),
    };
    let caps = base.with_some(field::CODEC_DATA, entry.config.clone());
    let some = |number: i64| Some(number).filter(|number| *number > 0);
    Some(match entry.size {
        (0, 0) => {
            let (rate, channels) = sound(entry);
            caps.with_some(field::RATE, some(rate.into())).with_some(field::CHANNELS, some(channels.into()))
        }
        (width, height) => {
            caps.with_some(field::WIDTH, some(width.into())).with_some(field::HEIGHT, some(height.into()))
        }
    })
}

/// Rate and channels: the configuration knows them better than the entry.
fn sound(entry: &Entry) -> (u32, u16) {
    let config = entry.config.as_ref();
    let said = match entry.codec {
        Some(Codec::Aac) => config.and_then(aac),
        Some(Codec::Opus) => {
            config.and_then(|head| OpusHead::parse(head).ok()).map(|head| (48_000, head.channels.into()))
        }
        _ => None,
    };
    said.unwrap_or(entry.sound)
}

fn aac(config: &Bytes) -> Option<(u32, u16)> {
    let config = AudioSpecificConfig::parse(config).ok()?;
    Some((config.sample_rate, config.channels()?.into()))
}
