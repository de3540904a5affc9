//! `aacdec`: AAC-LC to samples.

use millstream_codec::aac::{AudioSpecificConfig, ObjectType};
use millstream_core::caps::media;
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Caps, CapsSet, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate,
    Result, Time, TimeDelta, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;
use symphonia_codec_aac::AacDecoder;
use symphonia_core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia_core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia_core::packet::PacketRef;

use crate::pcm::{Pcm, SampleFormat, format_for};

/// Settings of `aacdec`: none so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AacDecSettings {}

/// What is known of `aacdec`.
pub fn factory() -> Factory {
    Factory::new("aacdec", "Codec/Decoder/Audio", "Decodes AAC-LC", build)
        .pad(PadTemplate::sink("sink", "audio/mpeg, mpegversion={2, 4}, stream-format=raw, channels=[1, 2]"))
        .pad(PadTemplate::src("src", "audio/x-raw, format={F32LE, S16LE}, layout=interleaved, channels=[1, 2]"))
        .burns_compute()
        .details(
            "Frames as `aacparse` and demuxers send them, one a buffer. Of HE-AAC the part is decoded that every AAC decoder knows: what is above \
             half of the sample rate is lost, and a warning says so. Frames that cannot be decoded are dropped and counted. In pure Rust; \
             for other profiles and surround there is `avdec_aac` of GStreamer.",
        )
        .example("filesrc location=tests/fixtures/audio_only_aac.flv ! flvdemux name=d d.audio ! aacparse ! aacdec ! fakesink")
}

fn build(_: AacDecSettings, cx: &BuildCx) -> Result<Element> {
    let allowed = cx.srcs.first().map_or(CapsSet::Any, |pad| pad.allowed.clone());
    let format = format_for(&allowed, SampleFormat::F32);
    Ok(Element::Transform(Box::new(AacDec { in_caps: None, format, decoding: None, end: None, broken: false })))
}

struct AacDec {
    in_caps: Option<Caps>,
    format: SampleFormat,
    /// `None` before the first caps.
    decoding: Option<(Pcm, Box<AacDecoder>)>,
    /// Where the last frame ended.
    end: Option<Time>,
    broken: bool,
}

impl AacDec {
    fn caps(&mut self, caps: Caps, out: &mut Output) -> Result<()> {
        if self.in_caps.as_ref() == Some(&caps) {
            return Ok(());
        }
        let data = caps.codec_data().filter(|_| caps.media() == media::MPEG_AUDIO);
        let data = data.ok_or_else(|| {
            Error::unsupported(format!("the caps {caps} have no configuration of AAC")).hint("put `aacparse` in front")
        })?;
        let config = AudioSpecificConfig::parse(data).map_err(|error| {
            Error::malformed("the configuration of AAC in the caps cannot be read").caused_by(error)
        })?;
        let (core, pcm) = self.core(&config)?;
        if config.sbr.as_ref().is_some_and(|sbr| sbr.present) {
            let text = format!("HE-AAC is decoded without its upper half: at {} Hz", pcm.rate);
            out.warn(Error::unsupported(text).hint("`avdec_aac` of GStreamer decodes all of it"));
        }
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_AAC).with_extra_data(core.into());
        let decoder = AacDecoder::try_new(&params, &AudioDecoderOptions::default())
            .map_err(|error| unsupported(&config).caused_by(error))?;
        self.decoding = Some((pcm, Box::new(decoder)));
        out.caps(PadId::FIRST, pcm.caps());
        self.in_caps = Some(caps);
        Ok(())
    }

    /// The configuration of what can be decoded, and what comes out.
    fn core(&self, config: &AudioSpecificConfig) -> Result<(Vec<u8>, Pcm)> {
        // Behind the signal of SBR and PS the object type is that of the core (ISO/IEC 14496-3 1.6.6).
        let channels = config.channels().filter(|channels| matches!(channels, 1 | 2));
        let known = config.object_type == ObjectType::LC && !config.short_frames;
        let (Some(channels), true) = (channels, known) else { return Err(unsupported(config)) };
        let core = AudioSpecificConfig::lc(config.sample_rate, config.channel_config);
        let core = core.write().map_err(|error| unsupported(config).caused_by(error))?;
        Ok((core, Pcm { format: self.format, rate: config.sample_rate, channels: channels.into() }))
    }

    fn buffer(&mut self, buffer: &Buffer, out: &mut Output) -> Result<()> {
        let (pcm, decoder) = self.decoding.as_mut().ok_or_else(|| Error::unsupported("frames came before caps"))?;
        let frame = buffer.payload.contiguous();
        if frame.is_empty() {
            return Ok(()); // some encoders send one before the first sound
        }
        let packet = PacketRef::new(0, Default::default(), Default::default(), &frame);
        let mut samples = Vec::new();
        match decoder.decode_ref(&packet) {
            Ok(decoded) => decoded.copy_to_vec_interleaved::<f32>(&mut samples),
            Err(_) => {
                self.broken = true;
                out.dropped("AAC frame that cannot be decoded", frame.len() as u64, buffer.offset);
                return Ok(());
            }
        }
        let duration = TimeDelta::from_ticks((samples.len() / pcm.channels) as i64, pcm.rate);
        let begin = buffer.pts.or(self.end).unwrap_or(Time::ZERO);
        self.end = Some(begin + duration);
        let mut flags = BufferFlags::empty();
        flags
            .set(BufferFlags::DISCONT, std::mem::take(&mut self.broken) || buffer.flags.contains(BufferFlags::DISCONT));
        let sound = Buffer::new(pcm.format.write(&samples)).with_times(Some(begin), Some(begin)).with_flags(flags);
        out.buffer(PadId::FIRST, Buffer { duration: Some(duration), ..sound });
        Ok(())
    }
}

fn unsupported(config: &AudioSpecificConfig) -> Error {
    let channels = config.channels().map_or("unknown".to_owned(), |channels| channels.to_string());
    Error::unsupported(format!(
        "AAC {} of {channels} channels cannot be decoded: AAC-LC of 1 or 2 can",
        config.codec_string()
    ))
    .hint("`avdec_aac` of GStreamer decodes it")
}

impl Transform for AacDec {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => self.buffer(&buffer, out)?,
            Item::Caps(caps) => self.caps(caps, out)?,
            Item::Flush(_) => {
                if let Some((_, decoder)) = &mut self.decoding {
                    decoder.reset();
                }
                (self.end, self.broken) = (None, false);
                out.forward(item);
            }
            other => out.forward(other),
        }
        Ok(Flow::Done)
    }
}
