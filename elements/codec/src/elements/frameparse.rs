//! `mpegaudioparse` and `ac3parse`: audio whose frames tell their own size, in one framing only.

use millstream_core::caps::{field, media};
use millstream_core::{
    BuildCx, Caps, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Result, Time, TimeDelta, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::audio::{Framer, SampleClock, send, timed};
use crate::ac3::Ac3Header;
use crate::frames::FrameHeader;
use crate::mpegaudio::{Layer, MpegAudioHeader, Version};

/// Settings of `mpegaudioparse` and `ac3parse`: none so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FrameParseSettings {}

/// What users of both parsers should know.
const DETAILS: &str = "\
Each buffer is one frame. A stream without caps, such as a file's bytes, and buffers that hold parts of frames or several are \
cut; what lies between frames (ID3 tags, damage) is dropped and counted. The first frame that begins in a buffer has its \
timestamp; the others follow by their samples, and so does a stream without timestamps from 0.";

/// What is known of `mpegaudioparse`.
pub fn mpegaudio_factory() -> Factory {
    let summary = "Finds the frames of MPEG audio, layers I to III";
    Factory::new("mpegaudioparse", "Codec/Parser/Audio", summary, build::<MpegAudioHeader>)
        .pad(PadTemplate::sink("sink", "audio/mpeg, mpegversion=1"))
        .pad(PadTemplate::src("src", "audio/mpeg, mpegversion=1, layer=[ 1, 3 ]"))
        .details(DETAILS)
        .example("filesrc location=audio.mp3 ! mpegaudioparse ! fakesink")
}

/// What is known of `ac3parse`.
pub fn ac3_factory() -> Factory {
    let summary = "Finds the frames of AC-3 and Enhanced AC-3";
    Factory::new("ac3parse", "Codec/Parser/Audio", summary, build::<Ac3Header>)
        .pad(PadTemplate::sink("sink", "audio/x-ac3; audio/x-eac3"))
        .pad(PadTemplate::src("src", "audio/x-ac3, framed=true; audio/x-eac3, framed=true"))
        .details(DETAILS)
        .example("filesrc location=audio.ac3 ! ac3parse ! fakesink")
}

fn build<H: AudioHeader>(_: FrameParseSettings, _: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(Box::new(FrameParse::<H>::new())))
}

pub(crate) fn mpegaudio_transform() -> Box<dyn Transform> {
    Box::new(FrameParse::<MpegAudioHeader>::new())
}

pub(crate) fn ac3_transform() -> Box<dyn Transform> {
    Box::new(FrameParse::<Ac3Header>::new())
}

/// A frame header that says what a player must know.
trait AudioHeader: FrameHeader + Send + 'static {
    /// Why other caps are refused.
    const READS: &'static str;

    /// True for caps of this codec.
    fn reads(caps: &Caps) -> bool;

    /// Samples a channel.
    fn samples(&self) -> u32;

    /// Sample rate in Hz.
    fn rate(&self) -> u32;

    /// The caps; `base` are those of the input.
    fn caps(&self, base: Option<&Caps>) -> Caps;

    /// False for a frame that goes with the one before and takes no time of its own.
    fn advances(&self) -> bool {
        true
    }
}

impl AudioHeader for MpegAudioHeader {
    const READS: &'static str = "MPEG audio, mpegversion=1";

    fn reads(caps: &Caps) -> bool {
        caps.media() == media::MPEG_AUDIO && caps.int(field::MPEG_VERSION).is_none_or(|version| version == 1)
    }

    fn samples(&self) -> u32 {
        Self::samples(self)
    }

    fn rate(&self) -> u32 {
        self.sample_rate
    }

    fn caps(&self, base: Option<&Caps>) -> Caps {
        let layer = match self.layer {
            Layer::One => 1,
            Layer::Two => 2,
            Layer::Three => 3,
        };
        // GStreamer's mpegaudioversion: 1, 2, and 3 for the 2.5 extension.
        let version = match self.version {
            Version::Mpeg1 => 1,
            Version::Mpeg2 => 2,
            Version::Mpeg25 => 3,
        };
        base.cloned()
            .unwrap_or_else(|| Caps::new(media::MPEG_AUDIO))
            .with(field::MPEG_VERSION, 1)
            .with("mpegaudioversion", version)
            .with(field::LAYER, layer)
            .with(field::RATE, self.sample_rate)
            .with(field::CHANNELS, u32::from(self.channels))
    }
}

impl AudioHeader for Ac3Header {
    const READS: &'static str = "AC-3";

    fn reads(caps: &Caps) -> bool {
        [media::AC3, media::EAC3].contains(&caps.media())
    }

    fn samples(&self) -> u32 {
        Self::samples(self)
    }

    fn rate(&self) -> u32 {
        self.sample_rate
    }

    fn caps(&self, base: Option<&Caps>) -> Caps {
        let media = if self.enhanced.is_some() { media::EAC3 } else { media::AC3 };
        let known = base.into_iter().flat_map(Caps::fields);
        known
            .fold(Caps::new(media), |caps, (name, value)| caps.with(name, value.clone()))
            .with("framed", true)
            .with(field::RATE, self.sample_rate)
            .with(field::CHANNELS, u32::from(self.channels()))
    }

    fn advances(&self) -> bool {
        // Dependent and further independent substreams (TS 102 366 E.1.3.1.1, E.1.3.1.2) are of the same time.
        self.enhanced.is_none_or(|enhanced| enhanced.stream_type != 1 && enhanced.substream == 0)
    }
}

struct FrameParse<H> {
    framer: Framer<H>,
    in_caps: Option<Caps>,
    out_caps: Option<Caps>,
    clock: SampleClock,
    /// Time and duration of the last frame.
    last: Option<(Time, TimeDelta)>,
}

impl<H: AudioHeader> FrameParse<H> {
    fn new() -> Self {
        Self { framer: Framer::new(), in_caps: None, out_caps: None, clock: SampleClock::default(), last: None }
    }

    fn caps(&mut self, caps: Caps, out: &mut Output) -> Result<()> {
        if self.in_caps.as_ref() == Some(&caps) {
            return Ok(());
        }
        self.drain(out);
        if caps.media() != media::OCTETS {
            if !H::reads(&caps) {
                return Err(Error::unsupported(format!("the stream is {caps}, the parser reads {}", H::READS)));
            }
            (self.in_caps, self.out_caps) = (Some(caps), None);
        }
        Ok(())
    }

    fn frames(&mut self, out: &mut Output) {
        while let Some(frame) = self.framer.next(out) {
            let times = if frame.header.advances() {
                self.announce(&frame.header, out);
                self.clock.frame(frame.time, frame.header.samples(), frame.header.rate())
            } else {
                self.last.unwrap_or_default()
            };
            self.last = Some(times);
            send(frame.data.into(), times, Some(frame.offset), frame.flags, out);
        }
    }

    fn announce(&mut self, header: &H, out: &mut Output) {
        let caps = header.caps(self.in_caps.as_ref());
        if self.out_caps.as_ref() != Some(&caps) {
            self.out_caps = Some(caps.clone());
            out.caps(PadId::FIRST, caps);
        }
    }

    fn drain(&mut self, out: &mut Output) {
        self.framer.end();
        self.frames(out);
        self.framer.ended(out);
    }
}

impl<H: AudioHeader> Transform for FrameParse<H> {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => {
                self.framer.push(&buffer);
                self.frames(out);
            }
            Item::Caps(caps) => self.caps(caps, out)?,
            Item::Segment(segment) => {
                self.drain(out);
                out.forward(timed(segment));
            }
            Item::Flush(_) => {
                self.framer.flush();
                self.clock.reset();
                out.forward(item);
            }
            Item::Eos | Item::Gap(_) | Item::StreamStart(_) => {
                self.drain(out);
                out.forward(item);
            }
            Item::Tags(_) | Item::Custom(_) | Item::Absent => out.forward(item),
        }
        Ok(Flow::Done)
    }
}
