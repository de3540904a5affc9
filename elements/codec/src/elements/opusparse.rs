//! `opusparse`: Opus packets with durations and a header.

use bytes::Bytes;
use millstream_core::caps::{field, media};
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Caps, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Result,
    Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::audio::{SampleClock, send, timed};
use crate::opus::{OpusHead, SAMPLE_RATE, packet_samples};

/// Settings of `opusparse`: none so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OpusParseSettings {}

/// What is known of `opusparse`.
pub fn factory() -> Factory {
    Factory::new("opusparse", "Codec/Parser/Audio", "Gives Opus packets their durations and caps", build)
        .pad(PadTemplate::sink("sink", "audio/x-opus"))
        .pad(PadTemplate::src("src", "audio/x-opus, rate=48000"))
        .details(
            "Each buffer is one packet: Opus has no framing of its own, so a raw stream cannot be cut. The caps get an \
             `OpusHead` (RFC 7845 5.1) as `codec_data`: the one they had, one that comes as a packet (Ogg), or one made \
             from the channels. Durations come from the packets; timestamps that are missing follow by them, from 0 on. \
             Packets that are none are dropped and counted.",
        )
        .example("filesrc location=tests/fixtures/eav1_opus.flv ! flvdemux name=d d.audio ! opusparse ! fakesink")
}

fn build(_: OpusParseSettings, _: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(transform()))
}

pub(crate) fn transform() -> Box<dyn Transform> {
    Box::new(OpusParse::default())
}

#[derive(Default)]
struct OpusParse {
    in_caps: Option<Caps>,
    head: Option<OpusHead>,
    out_caps: Option<Caps>,
    clock: SampleClock,
    broken: bool,
}

impl OpusParse {
    fn caps(&mut self, caps: Caps, out: &mut Output) -> Result<()> {
        if caps.media() != media::OPUS {
            return Err(Error::unsupported(format!("the stream is {}, the parser reads Opus", caps.media())));
        }
        let parsed = caps.codec_data().map(|data| OpusHead::parse(data));
        self.head = match parsed {
            Some(Ok(head)) => Some(head),
            Some(Err(error)) => {
                out.warn(Error::malformed("the OpusHead in the caps cannot be read").caused_by(error));
                None
            }
            None => None,
        };
        let channels = caps.channels().and_then(|channels| u8::try_from(channels).ok());
        self.head = self.head.take().or_else(|| OpusHead::new(channels?));
        self.in_caps = Some(caps);
        self.announce(out);
        Ok(())
    }

    fn announce(&mut self, out: &mut Output) {
        let Some(head) = &self.head else { return };
        let base = self.in_caps.clone().unwrap_or_else(|| Caps::new(media::OPUS));
        let kept = base.codec_data().filter(|data| OpusHead::parse(data).as_ref() == Ok(head)).cloned();
        let caps = base
            .with(field::RATE, SAMPLE_RATE)
            .with(field::CHANNELS, u32::from(head.channels))
            .with(field::CODEC_DATA, kept.unwrap_or_else(|| Bytes::from(head.write())));
        if self.out_caps.as_ref() != Some(&caps) {
            self.out_caps = Some(caps.clone());
            out.caps(PadId::FIRST, caps);
        }
    }

    fn buffer(&mut self, buffer: Buffer, out: &mut Output) {
        let packet = buffer.payload.contiguous();
        if packet.starts_with(b"OpusHead") {
            match OpusHead::parse(&packet) {
                Ok(head) => {
                    self.head = Some(head);
                    self.announce(out);
                }
                Err(_) => self.lost("OpusHead that cannot be read", &buffer, out),
            }
            return;
        }
        if packet.starts_with(b"OpusTags") {
            return; // a comment header
        }
        let Some(samples) = packet_samples(&packet) else {
            return self.lost("Opus packet that cannot be read", &buffer, out);
        };
        if self.head.is_none() {
            // The stereo bit of the table of contents byte (RFC 6716 3.1).
            let stereo = packet.first().is_some_and(|toc| toc & 4 != 0);
            self.head = OpusHead::new(1 + u8::from(stereo));
            self.announce(out);
        }
        let times = self.clock.frame(buffer.pts.or(buffer.dts), samples, SAMPLE_RATE);
        let mut flags = buffer.flags | BufferFlags::KEYFRAME;
        if std::mem::take(&mut self.broken) {
            flags |= BufferFlags::DISCONT;
        }
        send(buffer.payload, times, buffer.offset, flags, out);
    }

    fn lost(&mut self, reason: &'static str, buffer: &Buffer, out: &mut Output) {
        self.broken = true;
        out.dropped(reason, buffer.payload.len() as u64, buffer.offset);
    }
}

impl Transform for OpusParse {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => self.buffer(buffer.into_inner(), out),
            Item::Caps(caps) => self.caps(caps, out)?,
            Item::Segment(segment) => out.forward(timed(segment)),
            Item::Flush(_) => {
                self.clock.reset();
                self.broken = false;
                out.forward(item);
            }
            other => out.forward(other),
        }
        Ok(Flow::Done)
    }
}
