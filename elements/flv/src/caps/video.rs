//! Video codecs.

use bytes::Bytes;
use millstream_codec::av1::{Av1CodecConfigurationRecord, ObuType, Obus, SequenceHeader};
use millstream_codec::h264::{AvcDecoderConfigurationRecord, Sps as AvcSps};
use millstream_codec::h265::{HevcDecoderConfigurationRecord, NalType, Sps as HevcSps};
use millstream_codec::vp8;
use millstream_codec::vp9::{self, VpCodecConfigurationRecord};
use millstream_core::caps::{field, media};
use millstream_core::{Caps, Error};

use super::{refused, required_config, says};
use crate::wire::{MetaData, VideoCodec};

/// What `flvdemux` may offer.
pub(crate) const SRC_CAPS: &str = "video/x-h264, stream-format=avc, alignment=au; \
    video/x-h265, stream-format=hvc1, alignment=au; video/x-h266, stream-format=vvc1, alignment=au; \
    video/x-av1, stream-format=obu-stream, alignment=tu; video/x-vp9; video/x-vp8; video/x-flash-video; \
    video/x-vp6-flash; video/x-vp6-alpha; video/x-flash-screen; video/x-flash-screen2";

/// What `flvmux` accepts: the same.
pub(crate) const SINK_CAPS: &str = SRC_CAPS;

/// Version 2 of Screen video, as GStreamer would name it.
const FLASH_SCREEN_2: &str = "video/x-flash-screen2";

/// More pictures a second than this are a time base, not a rate: some writers say 1000 or 90000.
const MAX_RATE: f64 = 480.0;

/// What is known of a video track when its caps are made.
#[derive(Clone, Debug)]
pub(crate) struct VideoSource<'a> {
    /// The codec.
    pub(crate) codec: VideoCodec,
    /// The sequence header.
    pub(crate) config: Option<&'a Bytes>,
    /// Width and height as a key frame says them, for codecs without a configuration.
    pub(crate) frame_size: Option<(u32, u32)>,
    /// What the file says, for track 0.
    pub(crate) metadata: Option<&'a MetaData>,
}

/// What a configuration says.
#[derive(Clone, Copy, Debug, Default)]
struct Picture {
    size: Option<(u32, u32)>,
    rate: Option<(u32, u32)>,
}

impl VideoSource<'_> {
    /// The caps of the track.
    pub(crate) fn caps(&self) -> Caps {
        let picture = self.config.map(|config| picture(self.codec, config)).unwrap_or_default();
        let size = picture.size.or(self.frame_size).or_else(|| self.metadata.and_then(size_of));
        let said = self.metadata.and_then(|data| data.frame_rate).and_then(fraction);
        let rate = said.or(picture.rate.map(|(n, d)| (n.into(), d.into())));
        base_caps(self.codec)
            .with_some(field::CODEC_DATA, self.config.cloned())
            .with_some(field::WIDTH, size.map(|(width, _)| i64::from(width)))
            .with_some(field::HEIGHT, size.map(|(_, height)| i64::from(height)))
            .with_some(field::FRAMERATE, rate)
    }
}

/// Width and height that a key frame says, for the codecs whose configuration does not.
pub(crate) fn frame_size(codec: VideoCodec, frame: &[u8]) -> Option<(u32, u32)> {
    match codec {
        VideoCodec::Vp8 => vp8::frame_tag(frame)?.key_frame.map(|(width, height)| (width.into(), height.into())),
        VideoCodec::Vp9 => vp9::FrameHeader::parse(frame).ok()?.key.map(|key| (key.width, key.height)),
        _ => None,
    }
}

fn base_caps(codec: VideoCodec) -> Caps {
    let framed = |media, format, alignment| {
        Caps::new(media).with(field::STREAM_FORMAT, format).with(field::ALIGNMENT, alignment)
    };
    match codec {
        VideoCodec::H264 => framed(media::H264, "avc", "au"),
        VideoCodec::Hevc => framed(media::H265, "hvc1", "au"),
        VideoCodec::Vvc => framed(media::H266, "vvc1", "au"),
        VideoCodec::Av1 => framed(media::AV1, "obu-stream", "tu"),
        VideoCodec::Vp9 => Caps::new(media::VP9),
        VideoCodec::Vp8 => Caps::new(media::VP8),
        VideoCodec::SorensonH263 => Caps::new(media::FLASH_VIDEO).with("flvversion", 1),
        VideoCodec::Vp6 => Caps::new(media::VP6_FLASH),
        VideoCodec::Vp6Alpha => Caps::new(media::VP6_ALPHA),
        VideoCodec::Screen => Caps::new(media::FLASH_SCREEN),
        VideoCodec::ScreenV2 => Caps::new(FLASH_SCREEN_2),
    }
}

fn picture(codec: VideoCodec, config: &Bytes) -> Picture {
    let read = match codec {
        VideoCodec::H264 => avc_picture(config),
        VideoCodec::Hevc => hevc_picture(config),
        VideoCodec::Av1 => av1_picture(config),
        _ => None,
    };
    read.unwrap_or_default()
}

fn avc_picture(config: &Bytes) -> Option<Picture> {
    let record = AvcDecoderConfigurationRecord::parse(config).ok()?;
    let sps = AvcSps::parse(record.sps.first()?).ok()?;
    Some(Picture { size: Some((sps.width(), sps.height())), rate: sps.frame_rate() })
}

fn hevc_picture(config: &Bytes) -> Option<Picture> {
    let record = HevcDecoderConfigurationRecord::parse(config).ok()?;
    let nal = record.nals().find(|nal| NalType::of(nal) == Some(NalType::SPS))?;
    let sps = HevcSps::parse(nal).ok()?;
    Some(Picture { size: Some((sps.width(), sps.height())), rate: sps.frame_rate() })
}

fn av1_picture(config: &Bytes) -> Option<Picture> {
    let sequence = Av1CodecConfigurationRecord::parse(config).ok()?.sequence_header()?;
    Some(Picture { size: Some((sequence.max_width, sequence.max_height)), rate: sequence.frame_rate() })
}

fn size_of(data: &MetaData) -> Option<(u32, u32)> {
    let side = |value: Option<f64>| value.filter(|v| (1.0..=65_535.0).contains(v)).map(|v| v as u32);
    Some((side(data.width)?, side(data.height)?))
}

/// Pictures a second as a fraction: n/1001 where that is meant, else thousandths.
fn fraction(rate: f64) -> Option<(i64, i64)> {
    if !(rate > 0.0 && rate <= MAX_RATE) {
        return None;
    }
    let ntsc = (rate.ceil() * 1000.0) as i64;
    if rate.fract() != 0.0 && (rate - ntsc as f64 / 1001.0).abs() < 0.005 {
        return Some((ntsc, 1001));
    }
    let thousandths = (rate * 1000.0).round() as i64;
    let common = gcd(thousandths, 1000);
    (thousandths > 0).then(|| (thousandths / common, 1000 / common))
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A video track as `flvmux` writes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VideoFormat {
    /// The codec.
    pub(crate) codec: VideoCodec,
    /// The sequence header to write ahead of the frames.
    pub(crate) config: Option<Bytes>,
    /// Width and height in pixels.
    pub(crate) size: Option<(u32, u32)>,
    /// Pictures a second.
    pub(crate) rate: Option<f64>,
}

impl VideoFormat {
    /// Reads caps.
    ///
    /// # Errors
    /// For what FLV cannot carry, with the element that would help.
    pub(crate) fn from_caps(caps: &Caps) -> Result<Self, Error> {
        let (codec, config) = codec_of(caps)?;
        let rate = caps.framerate().filter(|(n, d)| *n > 0 && *d > 0).map(|(n, d)| n as f64 / d as f64);
        Ok(Self { codec, config, size: caps.size(), rate })
    }

    /// A configuration made from a key frame, for codecs whose sources need not send one.
    pub(crate) fn config_from(&self, frame: &Bytes) -> Option<Bytes> {
        match self.codec {
            VideoCodec::Vp9 => {
                let header = vp9::FrameHeader::parse(frame).ok()?;
                let rate = self.rate.map_or(0, |rate| rate.ceil() as u32);
                Some(VpCodecConfigurationRecord::new(header.profile, header.key.as_ref()?, rate).write().into())
            }
            VideoCodec::Av1 => {
                let mut obus = Obus::new(frame).filter_map(Result::ok);
                let obu = obus.find(|obu| obu.header.kind == ObuType::SEQUENCE_HEADER)?;
                let sequence = SequenceHeader::parse(frame.get(obu.payload)?).ok()?;
                Some(Av1CodecConfigurationRecord::new(&sequence, frame.slice(obu.range)).write())
            }
            _ => None,
        }
    }
}

fn codec_of(caps: &Caps) -> Result<(VideoCodec, Option<Bytes>), Error> {
    let optional = caps.codec_data().filter(|data| !data.is_empty()).cloned();
    Ok(match caps.media() {
        media::H264 => {
            let hint = "put h264parse ahead of flvmux: it makes stream-format=avc with codec_data";
            (VideoCodec::H264, Some(nal_config(caps, "avc", hint)?))
        }
        media::H265 => {
            let hint = "put h265parse ahead of flvmux: it makes stream-format=hvc1 with codec_data";
            (VideoCodec::Hevc, Some(nal_config(caps, "hvc1", hint)?))
        }
        media::H266 => (VideoCodec::Vvc, Some(nal_config(caps, "vvc1", "FLV carries stream-format=vvc1")?)),
        media::AV1 if says(caps, field::STREAM_FORMAT, &["obu-stream"]) && says(caps, field::ALIGNMENT, &["tu"]) => {
            (VideoCodec::Av1, optional)
        }
        media::AV1 => return Err(refused(caps, "put av1parse ahead of flvmux: it makes whole temporal units")),
        media::VP9 => (VideoCodec::Vp9, optional),
        media::VP8 => (VideoCodec::Vp8, optional),
        media::FLASH_VIDEO => (VideoCodec::SorensonH263, None),
        media::VP6_FLASH => (VideoCodec::Vp6, optional),
        media::VP6_ALPHA => (VideoCodec::Vp6Alpha, optional),
        media::FLASH_SCREEN => (VideoCodec::Screen, None),
        FLASH_SCREEN_2 => (VideoCodec::ScreenV2, None),
        _ => return Err(refused(caps, "encode it as H.264 first")),
    })
}

fn nal_config(caps: &Caps, format: &str, hint: &str) -> Result<Bytes, Error> {
    if !says(caps, field::STREAM_FORMAT, &[format]) || !says(caps, field::ALIGNMENT, &["au"]) {
        return Err(refused(caps, hint));
    }
    required_config(caps, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_become_the_fractions_that_were_meant() {
        for (rate, expected) in [
            (25.0, Some((25, 1))),
            (29.97, Some((30_000, 1001))),
            (23.976_023_976, Some((24_000, 1001))),
            (59.94, Some((60_000, 1001))),
            (12.5, Some((25, 2))),
            (0.0, None),
            (1000.0, None),
            (f64::NAN, None),
        ] {
            assert_eq!(fraction(rate), expected, "{rate}");
        }
    }

    #[test]
    fn flv_4_what_goes_out_comes_in() {
        use VideoCodec as C;
        for codec in [
            C::SorensonH263,
            C::Screen,
            C::ScreenV2,
            C::Vp6,
            C::Vp6Alpha,
            C::H264,
            C::Hevc,
            C::Vp8,
            C::Vp9,
            C::Av1,
            C::Vvc,
        ] {
            let config = Bytes::from_static(b"\x01config");
            let caps = VideoSource { codec, config: Some(&config), frame_size: Some((64, 48)), metadata: None }.caps();
            assert!(SRC_CAPS.parse::<millstream_core::CapsSet>().unwrap().accepts(&caps), "{caps}");
            let format = VideoFormat::from_caps(&caps).unwrap();
            assert_eq!((format.codec, format.size), (codec, Some((64, 48))));
        }
    }

    #[test]
    fn refusals_name_the_element_that_helps() {
        for (caps, hint) in [
            ("video/x-h264, stream-format=byte-stream", "h264parse"),
            ("video/x-h264, stream-format=avc, alignment=au", "h264parse"),
            ("video/x-h265, stream-format=byte-stream", "h265parse"),
            ("video/x-av1, stream-format=annexb", "av1parse"),
            ("video/x-raw", "H.264"),
        ] {
            let error = VideoFormat::from_caps(&caps.parse().unwrap()).unwrap_err();
            assert!(error.hint_text().is_some_and(|text| text.contains(hint)), "{caps}: {error}");
        }
    }
}
