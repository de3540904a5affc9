//! `opusenc`: samples to Opus packets.

use bytes::Bytes;
use millstream_codec::opus::{OpusHead, SAMPLE_RATE};
use millstream_core::caps::{field, media};
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Caps, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Request,
    Result, Segment, Transform,
};
use opus_pure::{Application, MAX_PACKET_BYTES, OpusEncoder, RateControl};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backlog::Backlog;
use crate::pcm::Pcm;

/// Samples that Opus takes as they are (RFC 6716 2.1.3).
const SAMPLES: &str = "audio/x-raw, format={F32LE, S16LE, S24LE, S32LE, U8}, layout=interleaved, rate={48000, 24000, 16000, 12000, 8000}, channels=[1, 2]";
/// Bits a second that Opus is made for (RFC 6716 2.1.1).
const BITRATES: std::ops::RangeInclusive<u32> = 6_000..=510_000;

/// Settings of `opusenc`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OpusEncSettings {
    /// Bits a second for all channels.
    #[schemars(range(min = 6_000, max = 510_000))]
    pub bitrate: u32,
    /// How much the size of packets may vary.
    pub bitrate_type: BitrateType,
    /// Milliseconds of sound in a packet.
    pub frame_size: FrameSize,
    /// What the sound is.
    pub audio_type: AudioType,
    /// Effort: less is faster and sounds worse.
    #[schemars(range(max = 10))]
    pub complexity: u8,
    /// Sends a small copy of the packet before, for where packets are lost.
    pub inband_fec: bool,
    /// Percent of packets that are expected to be lost.
    #[schemars(range(max = 100))]
    pub packet_loss_percentage: u8,
    /// Sends next to nothing while it is silent.
    pub dtx: bool,
}

impl Default for OpusEncSettings {
    fn default() -> Self {
        Self {
            bitrate: 64_000,
            bitrate_type: BitrateType::default(),
            frame_size: FrameSize::default(),
            audio_type: AudioType::default(),
            complexity: 9,
            inband_fec: false,
            packet_loss_percentage: 0,
            dtx: false,
        }
    }
}

/// How much the size of packets may vary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BitrateType {
    /// All packets have one size.
    Cbr,
    /// Each is as large as the sound needs.
    Vbr,
    /// As large as needed, within what a network with that bitrate can carry.
    #[default]
    ConstrainedVbr,
}

/// Milliseconds of sound in a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum FrameSize {
    /// 2.5 ms.
    #[serde(rename = "2.5", alias = "2")]
    Ms2,
    /// 5 ms.
    #[serde(rename = "5")]
    Ms5,
    /// 10 ms.
    #[serde(rename = "10")]
    Ms10,
    /// 20 ms.
    #[default]
    #[serde(rename = "20")]
    Ms20,
    /// 40 ms.
    #[serde(rename = "40")]
    Ms40,
    /// 60 ms.
    #[serde(rename = "60")]
    Ms60,
}

impl FrameSize {
    /// Samples of each channel.
    fn samples(self, rate: u32) -> usize {
        let per_second = match self {
            Self::Ms2 => 400,
            Self::Ms5 => 200,
            Self::Ms10 => 100,
            Self::Ms20 => 50,
            Self::Ms40 => 25,
            Self::Ms60 => return rate as usize * 3 / 50,
        };
        (rate / per_second) as usize
    }
}

/// What the sound is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AudioType {
    /// Anything.
    #[default]
    Generic,
    /// Speech.
    Voice,
    /// Anything, with 2.5 ms less delay and a little less quality.
    RestrictedLowdelay,
}

/// What is known of `opusenc`.
pub fn factory() -> Factory {
    Factory::new("opusenc", "Codec/Encoder/Audio", "Encodes sound to Opus", build)
        .pad(PadTemplate::sink("sink", SAMPLES))
        .pad(PadTemplate::src("src", "audio/x-opus, rate=48000, channels=[1, 2]"))
        .burns_compute()
        .details(
            "Put `audioconvert ! audioresample` in front of samples of other rates or of more than two channels. Buffers need not be whole frames; \
             a gap of more than 40 ms in the timestamps begins anew there. The caps carry an `OpusHead` (RFC 7845 5.1) with the encoder's delay. \
             Requests of a bitrate from downstream are obeyed. In pure Rust: no libopus is needed.",
        )
        .example("filesrc location=tests/fixtures/audio_only_aac.flv ! flvdemux name=d d.audio ! aacparse ! aacdec ! audioconvert ! audioresample ! opusenc bitrate=96000 ! fakesink")
}

fn build(settings: OpusEncSettings, _: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(Box::new(OpusEnc {
        in_caps: None,
        segment: None,
        bitrate: settings.bitrate,
        settings,
        coding: None,
        broken: false,
    })))
}

struct OpusEnc {
    in_caps: Option<Caps>,
    segment: Option<Segment>,
    settings: OpusEncSettings,
    /// What downstream wants.
    bitrate: u32,
    /// `None` before the first caps.
    coding: Option<Coding>,
    broken: bool,
}

struct Coding {
    pcm: Pcm,
    encoder: OpusEncoder,
    backlog: Backlog,
    /// Samples of each channel in a packet.
    frame: usize,
    packet: Vec<u8>,
    /// Packets since it began, so that its delay has to be waited for at the end.
    begun: bool,
}

impl OpusEnc {
    fn caps(&mut self, caps: Caps, out: &mut Output) -> Result<()> {
        if self.in_caps.as_ref() == Some(&caps) {
            return Ok(());
        }
        self.drain(out)?;
        let pcm = Pcm::of(&caps)?;
        let coding = Coding::new(pcm, &self.settings, self.bitrate)?;
        let head = coding.head()?;
        (self.coding, self.in_caps) = (Some(coding), Some(caps));
        let caps = Caps::new(media::OPUS)
            .with(field::RATE, SAMPLE_RATE)
            .with(field::CHANNELS, u32::from(head.channels))
            .with(field::CODEC_DATA, Bytes::from(head.write()));
        out.caps(PadId::FIRST, caps);
        Ok(())
    }

    fn buffer(&mut self, buffer: &Buffer, out: &mut Output) -> Result<()> {
        let coding = self.coding.as_mut().ok_or_else(|| Error::unsupported("samples came before caps"))?;
        if coding.backlog.jumps(buffer) {
            coding.drain(&mut self.broken, out)?;
            self.broken = true;
        }
        coding.backlog.begin(buffer.pts);
        coding.pcm.format.read(&buffer.payload.contiguous(), &mut coding.backlog.samples);
        while coding.backlog.frames() >= coding.frame {
            coding.encode(&mut self.broken, out)?;
        }
        Ok(())
    }

    /// Sends what is held, filled up with silence.
    fn drain(&mut self, out: &mut Output) -> Result<()> {
        self.coding.as_mut().map_or(Ok(()), |coding| coding.drain(&mut self.broken, out))
    }
}

impl Coding {
    fn new(pcm: Pcm, settings: &OpusEncSettings, bitrate: u32) -> Result<Self> {
        let application = match settings.audio_type {
            AudioType::Generic => Application::Audio,
            AudioType::Voice => Application::Voip,
            AudioType::RestrictedLowdelay => Application::RestrictedLowDelay,
        };
        let mut encoder = OpusEncoder::new(pcm.rate.cast_signed(), pcm.channels, application).map_err(|error| {
            Error::unsupported(format!("Opus does not take {} channels of {} Hz", pcm.channels, pcm.rate))
                .hint("put `audioconvert ! audioresample` in front")
                .caused_by(error)
        })?;
        encoder.bitrate_bps = bitrate.cast_signed();
        encoder.complexity = settings.complexity.into();
        encoder.rate_control = match settings.bitrate_type {
            BitrateType::Cbr => RateControl::Cbr,
            BitrateType::Vbr => RateControl::Vbr,
            BitrateType::ConstrainedVbr => RateControl::ConstrainedVbr,
        };
        encoder.use_inband_fec = settings.inband_fec;
        encoder.packet_loss_perc = settings.packet_loss_percentage.into();
        encoder.use_dtx = settings.dtx;
        Ok(Self {
            pcm,
            encoder,
            backlog: Backlog::new(pcm.rate, pcm.channels),
            frame: settings.frame_size.samples(pcm.rate),
            packet: vec![0; MAX_PACKET_BYTES],
            begun: false,
        })
    }

    fn head(&self) -> Result<OpusHead> {
        let head = u8::try_from(self.pcm.channels).ok().and_then(OpusHead::new);
        let head = head.ok_or_else(|| Error::bug("Opus took channels that its header cannot tell"))?;
        let delay = self.encoder.lookahead() * SAMPLE_RATE as usize / self.pcm.rate as usize;
        Ok(OpusHead { pre_skip: u16::try_from(delay).unwrap_or(u16::MAX), input_sample_rate: self.pcm.rate, ..head })
    }

    fn encode(&mut self, broken: &mut bool, out: &mut Output) -> Result<()> {
        let (samples, time, duration) = self.backlog.take(self.frame);
        let size = self.encoder.encode(&samples, self.frame, &mut self.packet);
        let size = size.map_err(|error| Error::bug("Opus cannot encode these samples").caused_by(error))?;
        let mut flags = BufferFlags::KEYFRAME;
        flags.set(BufferFlags::DISCONT, std::mem::take(broken));
        let packet = Bytes::copy_from_slice(self.packet.get(..size).unwrap_or_default());
        let buffer = Buffer {
            duration: Some(duration),
            ..Buffer::new(packet).with_times(Some(time), Some(time)).with_flags(flags)
        };
        out.buffer(PadId::FIRST, buffer);
        self.begun = true;
        Ok(())
    }

    fn drain(&mut self, broken: &mut bool, out: &mut Output) -> Result<()> {
        if self.begun || self.backlog.frames() > 0 {
            // What the encoder holds back comes out behind as much silence.
            let frames = (self.backlog.frames() + self.encoder.lookahead()).next_multiple_of(self.frame);
            self.backlog.samples.resize(frames * self.pcm.channels, 0.0);
            while self.backlog.frames() >= self.frame {
                self.encode(broken, out)?;
            }
        }
        self.reset()
    }

    fn reset(&mut self) -> Result<()> {
        self.backlog.restart();
        self.begun = false;
        self.encoder.reset_state().map_err(|error| Error::bug("Opus cannot begin anew").caused_by(error))
    }
}

impl Transform for OpusEnc {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => self.buffer(&buffer, out)?,
            Item::Caps(caps) => self.caps(caps, out)?,
            Item::Flush(_) => {
                self.coding.as_mut().map_or(Ok(()), Coding::reset)?;
                self.broken = false;
                out.forward(item);
            }
            Item::Segment(segment) => {
                if self.segment.as_ref() != Some(&*segment) {
                    self.drain(out)?;
                    self.segment = Some((*segment).clone());
                }
                out.forward(Item::Segment(segment));
            }
            Item::Eos | Item::Absent => {
                self.drain(out)?;
                out.forward(item);
            }
            other => out.forward(other),
        }
        Ok(Flow::Done)
    }

    fn request(&mut self, _: PadId, request: Request, out: &mut Output) -> Result<()> {
        match request {
            Request::Bitrate(bits) => {
                let bits = u32::try_from(bits).unwrap_or(u32::MAX);
                self.bitrate = bits.clamp(*BITRATES.start(), *BITRATES.end());
                if let Some(coding) = &mut self.coding {
                    coding.encoder.bitrate_bps = self.bitrate.cast_signed();
                }
            }
            other => out.request_all(other),
        }
        Ok(())
    }
}
