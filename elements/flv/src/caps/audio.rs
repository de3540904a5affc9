//! Audio codecs.

use bytes::Bytes;
use millstream_codec::aac::AudioSpecificConfig;
use millstream_codec::ac3::Ac3Header;
use millstream_codec::flac::StreamInfo;
use millstream_codec::frames::FrameHeader;
use millstream_codec::mpegaudio::MpegAudioHeader;
use millstream_codec::opus::OpusHead;
use millstream_core::caps::{field, media};
use millstream_core::{Caps, Error};

use super::{refused, required_config, says};
use crate::wire::{AudioCodec, SoundFlags};

/// What `flvdemux` may offer.
pub(crate) const SRC_CAPS: &str = "audio/mpeg, mpegversion=4, stream-format=raw; audio/mpeg, mpegversion=1, layer=3; \
    audio/x-opus; audio/x-ac3; audio/x-eac3; audio/x-flac; audio/x-speex; audio/x-nellymoser; audio/x-alaw; \
    audio/x-mulaw; audio/x-adpcm, layout=swf; audio/x-raw, format={U8, S16LE}, layout=interleaved";

/// What `flvmux` accepts: the same.
pub(crate) const SINK_CAPS: &str = SRC_CAPS;

/// Flash ADPCM, as GStreamer names it.
const ADPCM: &str = "audio/x-adpcm";
/// What stands ahead of STREAMINFO in a FLAC sequence header: the signature and the block's own header.
const FLAC_PREFIX: usize = 8;

/// What is known of an audio track when its caps are made.
#[derive(Clone, Debug)]
pub(crate) struct AudioSource<'a> {
    /// The codec.
    pub(crate) codec: AudioCodec,
    /// Flags of a legacy tag.
    pub(crate) sound: Option<SoundFlags>,
    /// The sequence header.
    pub(crate) config: Option<&'a Bytes>,
    /// Rate and channels as a frame says them, for codecs whose frames do.
    pub(crate) frame: Option<(u32, u8)>,
}

impl AudioSource<'_> {
    /// The caps of the track; `None` for a codec that has none (device specific sound).
    pub(crate) fn caps(&self) -> Option<Caps> {
        let (rate, channels) = self.rate_and_channels();
        Some(
            base_caps(self.codec, self.sound)?
                .with_some(field::CODEC_DATA, self.config.cloned())
                .with_some(field::RATE, rate.map(i64::from))
                .with_some(field::CHANNELS, channels.map(i64::from)),
        )
    }

    /// From the configuration or the frame; the sound flags count only for codecs that have nothing better.
    fn rate_and_channels(&self) -> (Option<u32>, Option<u8>) {
        if let Some((rate, channels)) = self.config.and_then(|config| configured(self.codec, config)).or(self.frame) {
            return (Some(rate), Some(channels));
        }
        let channels = self.sound.map(|sound| 1 + u8::from(sound.stereo));
        match self.codec {
            // Their flags are fixed by the standard and say nothing.
            AudioCodec::Aac => (None, None),
            AudioCodec::Speex | AudioCodec::Nellymoser16k => (Some(16_000), Some(1)),
            AudioCodec::Nellymoser8k => (Some(8000), Some(1)),
            AudioCodec::ALaw | AudioCodec::MuLaw | AudioCodec::Mp3At8k => (Some(8000), channels),
            AudioCodec::Opus => (Some(48_000), channels),
            _ => (self.sound.map(SoundFlags::sample_rate), channels),
        }
    }
}

/// Rate and channels that a frame says, for the codecs whose frames do.
pub(crate) fn frame_params(codec: AudioCodec, frame: &[u8]) -> Option<(u32, u8)> {
    match codec {
        AudioCodec::Mp3 | AudioCodec::Mp3At8k if frame.len() >= MpegAudioHeader::HEADER_BYTES => {
            MpegAudioHeader::parse(frame).ok().map(|header| (header.sample_rate, header.channels))
        }
        AudioCodec::Ac3 | AudioCodec::Eac3 if frame.len() >= Ac3Header::HEADER_BYTES => {
            Ac3Header::parse(frame).ok().map(|header| (header.sample_rate, header.channels()))
        }
        _ => None,
    }
}

fn configured(codec: AudioCodec, config: &Bytes) -> Option<(u32, u8)> {
    match codec {
        AudioCodec::Aac => {
            let config = AudioSpecificConfig::parse(config).ok()?;
            Some((config.sample_rate, config.channels()?))
        }
        AudioCodec::Opus => OpusHead::parse(config).ok().map(|head| (48_000, head.channels)),
        AudioCodec::Flac => {
            let info = StreamInfo::parse(config.get(FLAC_PREFIX..)?).ok()?;
            Some((info.sample_rate, info.channels))
        }
        _ => None,
    }
}

fn base_caps(codec: AudioCodec, sound: Option<SoundFlags>) -> Option<Caps> {
    Some(match codec {
        AudioCodec::Aac => Caps::new(media::MPEG_AUDIO).with(field::MPEG_VERSION, 4).with(field::STREAM_FORMAT, "raw"),
        AudioCodec::Mp3 | AudioCodec::Mp3At8k => {
            Caps::new(media::MPEG_AUDIO).with(field::MPEG_VERSION, 1).with(field::LAYER, 3)
        }
        AudioCodec::Opus => Caps::new(media::OPUS),
        AudioCodec::Ac3 => Caps::new(media::AC3),
        AudioCodec::Eac3 => Caps::new(media::EAC3),
        AudioCodec::Flac => Caps::new(media::FLAC),
        AudioCodec::Speex => Caps::new(media::SPEEX),
        AudioCodec::Nellymoser16k | AudioCodec::Nellymoser8k | AudioCodec::Nellymoser => Caps::new(media::NELLYMOSER),
        AudioCodec::ALaw => Caps::new(media::ALAW),
        AudioCodec::MuLaw => Caps::new(media::MULAW),
        AudioCodec::Adpcm => Caps::new(ADPCM).with("layout", "swf"),
        AudioCodec::PcmLe | AudioCodec::PcmPlatform => {
            let wide = sound.is_none_or(|sound| sound.wide);
            Caps::new(media::RAW_AUDIO).with("format", if wide { "S16LE" } else { "U8" }).with("layout", "interleaved")
        }
        AudioCodec::Native => return None,
    })
}

/// An audio track as `flvmux` writes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AudioFormat {
    /// The codec.
    pub(crate) codec: AudioCodec,
    /// Flags of a legacy header.
    pub(crate) sound: SoundFlags,
    /// The sequence header to write ahead of the frames.
    pub(crate) config: Option<Bytes>,
    /// Samples a second.
    pub(crate) rate: Option<u32>,
    /// Channels.
    pub(crate) channels: Option<u32>,
}

impl AudioFormat {
    /// Reads caps.
    ///
    /// # Errors
    /// For what FLV cannot carry, with the element that would help.
    pub(crate) fn from_caps(caps: &Caps) -> Result<Self, Error> {
        let (rate, channels) = (caps.rate(), caps.channels());
        let (codec, config) = codec_of(caps, rate)?;
        Ok(Self { codec, sound: sound_flags(caps, codec, rate, channels)?, config, rate, channels })
    }
}

fn codec_of(caps: &Caps, rate: Option<u32>) -> Result<(AudioCodec, Option<Bytes>), Error> {
    let codec = match caps.media() {
        media::MPEG_AUDIO => return mpeg_codec(caps, rate),
        media::OPUS => return Ok((AudioCodec::Opus, Some(opus_config(caps)))),
        media::FLAC => {
            let config = required_config(caps, "put flacparse ahead of flvmux: it makes codec_data")?;
            return Ok((AudioCodec::Flac, Some(config)));
        }
        media::AC3 => AudioCodec::Ac3,
        media::EAC3 => AudioCodec::Eac3,
        media::SPEEX => AudioCodec::Speex,
        media::NELLYMOSER => match rate {
            Some(16_000) => AudioCodec::Nellymoser16k,
            Some(8000) => AudioCodec::Nellymoser8k,
            _ => AudioCodec::Nellymoser,
        },
        media::ALAW => AudioCodec::ALaw,
        media::MULAW => AudioCodec::MuLaw,
        ADPCM if says(caps, "layout", &["swf"]) => AudioCodec::Adpcm,
        media::RAW_AUDIO if says(caps, "format", &["U8", "S16LE"]) => AudioCodec::PcmLe,
        _ => return Err(refused(caps, "encode it as AAC first")),
    };
    Ok((codec, None))
}

fn mpeg_codec(caps: &Caps, rate: Option<u32>) -> Result<(AudioCodec, Option<Bytes>), Error> {
    match caps.int(field::MPEG_VERSION) {
        Some(1) if caps.int(field::LAYER).is_none_or(|layer| layer == 3) => {
            Ok((if rate == Some(8000) { AudioCodec::Mp3At8k } else { AudioCodec::Mp3 }, None))
        }
        Some(1) => Err(refused(caps, "FLV carries layer III only: encode it as AAC or MP3")),
        _ => {
            let hint = "put aacparse ahead of flvmux: it makes stream-format=raw with codec_data";
            if !says(caps, field::STREAM_FORMAT, &["raw"]) {
                return Err(refused(caps, hint));
            }
            Ok((AudioCodec::Aac, Some(required_config(caps, hint)?)))
        }
    }
}

/// The identification header of the caps, or the usual one for so many channels. An empty one is legal as well.
fn opus_config(caps: &Caps) -> Bytes {
    let made = || {
        let channels = caps.channels().and_then(|channels| u8::try_from(channels).ok()).unwrap_or(2);
        OpusHead::new(channels).map(|head| head.write().into()).unwrap_or_default()
    };
    caps.codec_data().filter(|data| !data.is_empty()).cloned().unwrap_or_else(made)
}

/// What the legacy header says of rate, size and channels.
fn sound_flags(caps: &Caps, codec: AudioCodec, rate: Option<u32>, channels: Option<u32>) -> Result<SoundFlags, Error> {
    let stereo = channels == Some(2);
    let exact = match rate.unwrap_or(0) {
        5512 | 5513 => Some(0),
        11_025 => Some(1),
        22_050 => Some(2),
        44_100 => Some(3),
        _ => None,
    };
    Ok(match codec {
        AudioCodec::Aac => SoundFlags::AAC,
        AudioCodec::PcmLe | AudioCodec::Adpcm | AudioCodec::Nellymoser => {
            let hint = "resample it to 5512, 11025, 22050 or 44100 Hz: FLV knows no other rate of this codec";
            let rate = exact.filter(|_| channels.is_some_and(|channels| channels <= 2));
            let rate = rate.ok_or_else(|| refused(caps, hint))?;
            SoundFlags { rate, wide: caps.text("format") != Some("U8"), stereo }
        }
        AudioCodec::Mp3 => SoundFlags { rate: exact.unwrap_or(3), wide: true, stereo },
        AudioCodec::ALaw | AudioCodec::MuLaw => {
            if !matches!(rate, None | Some(8000)) {
                return Err(refused(caps, "FLV carries G.711 at 8000 Hz only"));
            }
            SoundFlags { rate: 0, wide: true, stereo }
        }
        _ => SoundFlags { rate: 0, wide: true, stereo },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flv_4_what_goes_out_comes_in() {
        let sound = Some(SoundFlags { rate: 2, wide: true, stereo: false });
        for (codec, config, rate) in [
            (AudioCodec::Aac, Some(&b"\x11\x90"[..]), Some(48_000)),
            (AudioCodec::Opus, Some(b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"), Some(48_000)),
            (AudioCodec::Mp3, None, Some(22_050)),
            (AudioCodec::Mp3At8k, None, Some(8000)),
            (AudioCodec::Speex, None, Some(16_000)),
            (AudioCodec::Nellymoser, None, Some(22_050)),
            (AudioCodec::Nellymoser8k, None, Some(8000)),
            (AudioCodec::Nellymoser16k, None, Some(16_000)),
            (AudioCodec::ALaw, None, Some(8000)),
            (AudioCodec::MuLaw, None, Some(8000)),
            (AudioCodec::PcmLe, None, Some(22_050)),
            (AudioCodec::Adpcm, None, Some(22_050)),
        ] {
            let config = config.map(Bytes::from_static);
            let caps = AudioSource { codec, sound, config: config.as_ref(), frame: None }.caps().unwrap();
            assert!(SRC_CAPS.parse::<millstream_core::CapsSet>().unwrap().accepts(&caps), "{caps}");
            assert_eq!(caps.rate(), rate, "{caps}");
            let format = AudioFormat::from_caps(&caps).unwrap();
            assert_eq!((format.codec, format.config), (codec, config));
        }
    }

    #[test]
    fn refusals_name_the_element_that_helps() {
        for (caps, hint) in [
            ("audio/mpeg, mpegversion=4, stream-format=adts", "aacparse"),
            ("audio/mpeg, mpegversion=4, stream-format=raw", "aacparse"),
            ("audio/mpeg, mpegversion=1, layer=2", "layer III"),
            ("audio/x-raw, format=S16LE, rate=48000, channels=2", "44100"),
            ("audio/x-alaw, rate=16000, channels=1", "8000"),
            ("audio/x-flac", "flacparse"),
            ("audio/x-vorbis", "AAC"),
        ] {
            let error = AudioFormat::from_caps(&caps.parse().unwrap()).unwrap_err();
            assert!(error.hint_text().is_some_and(|text| text.contains(hint)), "{caps}: {error}");
        }
    }
}
