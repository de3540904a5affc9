//! What flows on a pad.
//!
//! [`Caps`] are fixed: one media type and one value a field. [`CapsSet`] is what a pad accepts or may offer: several
//! media types, each field a value, a list or a range. Both read and write GStreamer's text form
//! (`video/x-h264, stream-format=avc, alignment=au`), so what users know of GStreamer holds here too.
//! The names of media types and fields are GStreamer's; [`media`] and [`field`] list the ones that the built-in
//! elements use, and any other name passes through unharmed.

mod set;
mod text;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use set::{CapsSet, Mismatch, Structure};
pub use text::CapsParseError;
pub use value::{Value, ValueSet};

/// Media types of the built-in elements.
pub mod media {
    /// H.264, ISO/IEC 14496-10.
    pub const H264: &str = "video/x-h264";
    /// H.265 (HEVC), ISO/IEC 23008-2.
    pub const H265: &str = "video/x-h265";
    /// H.266 (VVC), ISO/IEC 23090-3.
    pub const H266: &str = "video/x-h266";
    /// AV1.
    pub const AV1: &str = "video/x-av1";
    /// VP8, RFC 6386.
    pub const VP8: &str = "video/x-vp8";
    /// VP9.
    pub const VP9: &str = "video/x-vp9";
    /// MPEG-1/2 video; the field `mpegversion` says which.
    pub const MPEG_VIDEO: &str = "video/mpeg";
    /// Sorenson Spark (FLV codec 2), as GStreamer names it.
    pub const FLASH_VIDEO: &str = "video/x-flash-video";
    /// On2 VP6 in FLV.
    pub const VP6_FLASH: &str = "video/x-vp6-flash";
    /// On2 VP6 with alpha in FLV.
    pub const VP6_ALPHA: &str = "video/x-vp6-alpha";
    /// Flash Screen video.
    pub const FLASH_SCREEN: &str = "video/x-flash-screen";
    /// AAC (`mpegversion=4` or 2) and MPEG-1/2/2.5 layers I to III (`mpegversion=1`).
    pub const MPEG_AUDIO: &str = "audio/mpeg";
    /// Opus, RFC 6716.
    pub const OPUS: &str = "audio/x-opus";
    /// AC-3, ETSI TS 102 366.
    pub const AC3: &str = "audio/x-ac3";
    /// Enhanced AC-3, ETSI TS 102 366 annex E.
    pub const EAC3: &str = "audio/x-eac3";
    /// FLAC, RFC 9639.
    pub const FLAC: &str = "audio/x-flac";
    /// Speex.
    pub const SPEEX: &str = "audio/x-speex";
    /// Nellymoser Asao.
    pub const NELLYMOSER: &str = "audio/x-nellymoser";
    /// G.711 A-law.
    pub const ALAW: &str = "audio/x-alaw";
    /// G.711 mu-law.
    pub const MULAW: &str = "audio/x-mulaw";
    /// PCM.
    pub const RAW_AUDIO: &str = "audio/x-raw";
    /// An FLV file or the tags of an FLV stream.
    pub const FLV: &str = "video/x-flv";
    /// MPEG transport stream, ISO/IEC 13818-1.
    pub const MPEG_TS: &str = "video/mpegts";
    /// Timed ID3 metadata.
    pub const ID3: &str = "meta/x-id3";
    /// KLV metadata, SMPTE 336M.
    pub const KLV: &str = "meta/x-klv";
    /// SCTE-35 splice information sections.
    pub const SCTE35: &str = "application/x-scte-35";
    /// AMF script data of FLV (timed text, cue points) that belongs to no track.
    pub const FLV_SCRIPT: &str = "application/x-flv-script";
    /// DVB subtitles, ETSI EN 300 743.
    pub const DVB_SUBTITLES: &str = "subpicture/x-dvb";
    /// Bytes of unknown form.
    pub const OCTETS: &str = "application/octet-stream";
}

/// Field names of the built-in elements.
pub mod field {
    /// Framing of NAL units, AAC or OBUs: `avc`, `hvc1`, `byte-stream`, `raw`, `adts`, `loas`, `obu-stream`.
    pub const STREAM_FORMAT: &str = "stream-format";
    /// What a buffer holds: `au`, `nal`, `frame`, `tu`.
    pub const ALIGNMENT: &str = "alignment";
    /// Decoder configuration (avcC, hvcC, AudioSpecificConfig, av1C, OpusHead ...), as bytes.
    pub const CODEC_DATA: &str = "codec_data";
    /// Picture width in pixels.
    pub const WIDTH: &str = "width";
    /// Picture height in pixels.
    pub const HEIGHT: &str = "height";
    /// Pictures a second, a fraction.
    pub const FRAMERATE: &str = "framerate";
    /// Samples a second.
    pub const RATE: &str = "rate";
    /// Audio channels.
    pub const CHANNELS: &str = "channels";
    /// 1: MPEG-1/2 audio layers or MPEG-1 video, 2: MPEG-2 video or AAC, 4: AAC.
    pub const MPEG_VERSION: &str = "mpegversion";
    /// MPEG audio layer 1 to 3.
    pub const LAYER: &str = "layer";
    /// Bytes in a transport stream packet: 188, 192, 204 or 208.
    pub const PACKET_SIZE: &str = "packetsize";
    /// Codec profile by name.
    pub const PROFILE: &str = "profile";
    /// Codec level by name.
    pub const LEVEL: &str = "level";
    /// Language, ISO 639-2, three letters.
    pub const LANGUAGE: &str = "language";
}

/// One media type with one value for each field. Cheap to clone; unequal caps on a pad mean that the format changed.
#[derive(Clone, PartialEq, Eq)]
pub struct Caps(Arc<Fixed>);

#[derive(Clone, PartialEq, Eq)]
struct Fixed {
    media: Arc<str>,
    fields: BTreeMap<Arc<str>, Value>,
}

impl Caps {
    /// Caps of this media type without fields.
    pub fn new(media: &str) -> Self {
        Self(Arc::new(Fixed { media: media.into(), fields: BTreeMap::new() }))
    }

    /// The same with a field set.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        Arc::make_mut(&mut self.0).fields.insert(field.into(), value.into());
        self
    }

    /// The same with a field set when there is a value.
    pub fn with_some(self, field: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }

    /// The same without a field.
    pub fn without(mut self, field: &str) -> Self {
        Arc::make_mut(&mut self.0).fields.remove(field);
        self
    }

    /// The media type, such as `video/x-h264`.
    pub fn media(&self) -> &str {
        &self.0.media
    }

    /// The value of a field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.fields.get(field)
    }

    /// All fields in alphabetical order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.fields.iter().map(|(name, value)| (&**name, value))
    }

    /// An integer field.
    pub fn int(&self, field: &str) -> Option<i64> {
        self.get(field).and_then(Value::as_int)
    }

    /// A text field.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field).and_then(Value::as_text)
    }

    /// The decoder configuration, when these caps carry one.
    pub fn codec_data(&self) -> Option<&Bytes> {
        self.get(field::CODEC_DATA).and_then(Value::as_bytes)
    }

    /// The framing, such as `avc` or `byte-stream`.
    pub fn stream_format(&self) -> Option<&str> {
        self.text(field::STREAM_FORMAT)
    }

    /// Picture width and height in pixels.
    pub fn size(&self) -> Option<(u32, u32)> {
        let side = |name| self.int(name).and_then(|v| u32::try_from(v).ok());
        Some((side(field::WIDTH)?, side(field::HEIGHT)?))
    }

    /// Samples a second.
    pub fn rate(&self) -> Option<u32> {
        self.int(field::RATE).and_then(|v| u32::try_from(v).ok())
    }

    /// Audio channels.
    pub fn channels(&self) -> Option<u32> {
        self.int(field::CHANNELS).and_then(|v| u32::try_from(v).ok())
    }

    /// Pictures a second as numerator and denominator.
    pub fn framerate(&self) -> Option<(i64, i64)> {
        self.get(field::FRAMERATE).and_then(Value::as_fraction)
    }

    /// True for media types that begin with `video/` and hold pictures (containers such as FLV and TS do not).
    pub fn is_video(&self) -> bool {
        self.media().starts_with("video/") && ![media::FLV, media::MPEG_TS].contains(&self.media())
    }

    /// True for media types that begin with `audio/`.
    pub fn is_audio(&self) -> bool {
        self.media().starts_with("audio/")
    }
}

impl fmt::Display for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.media())?;
        self.fields().try_for_each(|(name, value)| write!(f, ", {name}={value}"))
    }
}

impl fmt::Debug for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_access_and_text() {
        let caps = Caps::new(media::H264)
            .with(field::STREAM_FORMAT, "avc")
            .with(field::WIDTH, 1920)
            .with(field::HEIGHT, 1080)
            .with(field::FRAMERATE, (30_000, 1001))
            .with(field::CODEC_DATA, Bytes::from_static(&[1, 0x64]));
        assert_eq!(caps.size(), Some((1920, 1080)));
        assert_eq!(caps.framerate(), Some((30_000, 1001)));
        let text = caps.to_string();
        assert_eq!(
            text,
            "video/x-h264, codec_data=(buffer)0164, framerate=30000/1001, height=1080, stream-format=avc, width=1920"
        );
        assert_eq!(text.parse::<Caps>(), Ok(caps));
    }
}
