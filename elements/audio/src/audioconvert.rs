//! `audioconvert`: another sample format, another number of channels.

use millstream_core::caps::field;
use millstream_core::{
    Buffer, BuildCx, Caps, CapsSet, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Result, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::mix::{matrix, mix};
use crate::pcm::{Pcm, RAW, SampleFormat, format_for, nearest};

/// Settings of `audioconvert`: none so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AudioConvertSettings {}

/// What is known of `audioconvert`.
pub fn factory() -> Factory {
    Factory::new("audioconvert", "Filter/Converter/Audio", "Changes the sample format and the number of channels", build)
        .pad(PadTemplate::sink("sink", RAW))
        .pad(PadTemplate::src("src", RAW))
        .burns_compute()
        .details(
            "It makes what is accepted downstream: `audioconvert ! audio/x-raw,format=S16LE,channels=1`. What is accepted as it is passes \
             untouched. Surround becomes stereo as in ITU-R BS.775, scaled so that nothing clips; one channel goes to both sides; stereo is not \
             made into surround.",
        )
        .example("filesrc location=tests/fixtures/audio_only_aac.flv ! flvdemux name=d d.audio ! aacparse ! aacdec ! audioconvert ! audio/x-raw,format=S16LE,channels=1 ! fakesink")
}

fn build(_: AudioConvertSettings, cx: &BuildCx) -> Result<Element> {
    let allowed = cx.srcs.first().map_or(CapsSet::Any, |pad| pad.allowed.clone());
    Ok(Element::Transform(Box::new(AudioConvert { in_caps: None, allowed, ways: None })))
}

struct AudioConvert {
    in_caps: Option<Caps>,
    allowed: CapsSet,
    /// `None` before the first caps.
    ways: Option<Ways>,
}

/// From what to what.
struct Ways {
    from: Pcm,
    to: SampleFormat,
    /// `None` leaves the channels as they are.
    channels: Option<Vec<Vec<f32>>>,
}

impl AudioConvert {
    fn caps(&mut self, caps: Caps, out: &mut Output) -> Result<()> {
        if self.in_caps.as_ref() == Some(&caps) {
            return Ok(());
        }
        let from = Pcm::of(&caps)?;
        let to = Pcm {
            format: format_for(&self.allowed, from.format),
            channels: nearest(&self.allowed, field::CHANNELS, from.channels as u32) as usize,
            ..from
        };
        let channels = matrix(from.channels, to.channels).ok_or_else(|| {
            Error::unsupported(format!("{} channels cannot be made into {}", from.channels, to.channels))
                .hint("one or two channels can be made of up to 6 or of 8, and two of one")
        })?;
        self.ways = Some(Ways { from, to: to.format, channels: (from.channels != to.channels).then_some(channels) });
        // What else the caps say still holds, but not of other channels.
        let kept = if from.channels == to.channels { caps.clone() } else { caps.clone().without("channel-mask") };
        out.caps(PadId::FIRST, kept.with("format", to.format.name()).with(field::CHANNELS, to.channels as u32));
        self.in_caps = Some(caps);
        Ok(())
    }

    fn buffer(&self, buffer: Buffer) -> Result<Buffer> {
        let ways = self.ways.as_ref().ok_or_else(|| Error::unsupported("samples came before caps"))?;
        if ways.from.format == ways.to && ways.channels.is_none() {
            return Ok(buffer);
        }
        let mut samples = Vec::new();
        ways.from.format.read(&buffer.payload.contiguous(), &mut samples);
        if let Some(matrix) = &ways.channels {
            samples = mix(&samples, ways.from.channels, matrix);
        }
        Ok(Buffer { payload: ways.to.write(&samples).into(), offset: None, ..buffer })
    }
}

impl Transform for AudioConvert {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => out.buffer(PadId::FIRST, self.buffer(buffer.into_inner())?),
            Item::Caps(caps) => self.caps(caps, out)?,
            other => out.forward(other),
        }
        Ok(Flow::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_testkit::harness::Harness;

    fn harness(caps: &str, accepted: &str) -> Harness {
        let mut harness = Harness::builder(&factory()).sink("sink").src_caps("src", accepted).build().unwrap();
        harness.push_start("sink", caps).unwrap();
        harness
    }

    #[test]
    fn what_is_accepted_is_made() {
        let mut harness = harness(
            "audio/x-raw, format=S16LE, layout=interleaved, rate=48000, channels=2",
            "audio/x-raw, format=F32LE, channels=1",
        );
        let samples = SampleFormat::S16.write(&[0.5, 0.25, -0.5, -0.25]);
        harness.push_buffer("sink", Buffer::new(samples)).unwrap();
        let items = harness.take("src");
        let caps =
            items.iter().find_map(|item| if let Item::Caps(caps) = item { Some(caps.to_string()) } else { None });
        assert_eq!(caps.unwrap(), "audio/x-raw, channels=1, format=F32LE, layout=interleaved, rate=48000");
        let Some(Item::Buffer(buffer)) = items.last() else { panic!("{items:?}") };
        assert_eq!(&buffer.payload.contiguous()[..], [0.375f32.to_le_bytes(), (-0.375f32).to_le_bytes()].concat());
    }

    #[test]
    fn what_is_accepted_already_passes_untouched() {
        let mut harness = harness("audio/x-raw, format=S16LE, rate=48000, channels=2", "ANY");
        let samples = bytes::Bytes::from_static(&[1, 2, 3, 4]);
        harness.push_buffer("sink", Buffer::new(samples.clone())).unwrap();
        let buffers = harness.take_buffers("src");
        assert_eq!(buffers[0].payload.contiguous().as_ptr(), samples.as_ptr(), "the same bytes, not a copy");
    }

    #[test]
    fn what_cannot_be_mixed_is_refused() {
        let built = Harness::builder(&factory()).sink("sink").src_caps("src", "audio/x-raw, channels=6").build();
        let error = built.unwrap().push_start("sink", "audio/x-raw, format=S16LE, rate=48000, channels=2").unwrap_err();
        assert!(error.to_string().contains("2 channels cannot be made into 6"), "{error}");
    }
}
