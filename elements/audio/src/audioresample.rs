//! `audioresample`: another sample rate.

use audioadapter_buffers::direct::InterleavedSlice;
use millstream_core::caps::field;
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Caps, CapsSet, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate,
    Result, Segment, Transform,
};
use rubato::{Fft, FixedSync, Indexing, Resampler};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::backlog::Backlog;
use crate::pcm::{Pcm, RAW, nearest};

/// Pieces a second that are resampled at once: less is a delay that is heard in a call, more costs time.
const PIECES: u32 = 100;

/// Settings of `audioresample`: none so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AudioResampleSettings {}

/// What is known of `audioresample`.
pub fn factory() -> Factory {
    Factory::new("audioresample", "Filter/Converter/Audio", "Changes the sample rate", build)
        .pad(PadTemplate::sink("sink", RAW))
        .pad(PadTemplate::src("src", RAW))
        .burns_compute()
        .details(
            "It makes the rate that is accepted downstream and nearest to that of the input: `audioresample ! audio/x-raw,rate=48000`. What is \
             accepted as it is passes untouched. The filter is linear in phase and its delay is taken off the timestamps' side: sound stays where \
             it was. A gap of more than 40 ms in the timestamps begins anew there.",
        )
        .example("filesrc location=tests/fixtures/audio_only_aac.flv ! flvdemux name=d d.audio ! aacparse ! aacdec ! audioresample ! audio/x-raw,rate=16000 ! fakesink")
}

fn build(_: AudioResampleSettings, cx: &BuildCx) -> Result<Element> {
    let allowed = cx.srcs.first().map_or(CapsSet::Any, |pad| pad.allowed.clone());
    Ok(Element::Transform(Box::new(AudioResample { in_caps: None, segment: None, allowed, work: None, broken: false })))
}

struct AudioResample {
    in_caps: Option<Caps>,
    segment: Option<Segment>,
    allowed: CapsSet,
    /// `None` before the first caps, and where the rate stays.
    work: Option<Work>,
    broken: bool,
}

struct Work {
    from: Pcm,
    resampler: Fft<f32>,
    input: Backlog,
    output: Backlog,
    /// Samples that the filter's delay puts in front, still to be left out.
    skip: usize,
    /// Samples of each channel that came in and that went out since it began.
    taken: u64,
    given: u64,
    room: Vec<f32>,
}

impl AudioResample {
    fn caps(&mut self, caps: Caps, out: &mut Output) -> Result<()> {
        if self.in_caps.as_ref() == Some(&caps) {
            return Ok(());
        }
        self.drain(out)?;
        let from = Pcm::of(&caps)?;
        let rate = nearest(&self.allowed, field::RATE, from.rate);
        self.work = if rate == from.rate { None } else { Some(Work::new(from, rate)?) };
        out.caps(PadId::FIRST, caps.clone().with(field::RATE, rate));
        self.in_caps = Some(caps);
        Ok(())
    }

    fn drain(&mut self, out: &mut Output) -> Result<()> {
        self.work.as_mut().map_or(Ok(()), |work| work.drain(&mut self.broken, out))
    }
}

impl Work {
    fn new(from: Pcm, rate: u32) -> Result<Self> {
        let piece = (from.rate / PIECES).max(1);
        let resampler = Fft::new(from.rate as usize, rate as usize, piece as usize, from.channels, FixedSync::Input);
        let resampler = resampler.map_err(|error| {
            Error::unsupported(format!("{} Hz cannot be made into {rate} Hz", from.rate)).caused_by(error)
        })?;
        Ok(Self {
            from,
            skip: resampler.output_delay(),
            room: vec![0.0; resampler.output_frames_max() * from.channels],
            resampler,
            input: Backlog::new(from.rate, from.channels),
            output: Backlog::new(rate, from.channels),
            taken: 0,
            given: 0,
        })
    }

    fn buffer(&mut self, buffer: &Buffer, broken: &mut bool, out: &mut Output) -> Result<()> {
        if self.input.jumps(buffer) {
            self.drain(broken, out)?;
            *broken = true;
        }
        self.input.begin(buffer.pts);
        self.output.begin(buffer.pts);
        self.from.format.read(&buffer.payload.contiguous(), &mut self.input.samples);
        while self.input.frames() >= self.resampler.input_frames_next() {
            self.piece(None)?;
        }
        self.send(u64::MAX, broken, out);
        Ok(())
    }

    /// Resamples what the filter takes at once; at the end what is left, filled up with silence.
    fn piece(&mut self, left: Option<usize>) -> Result<()> {
        let wrong = |error: &dyn std::fmt::Display| Error::bug(format!("these samples cannot be resampled: {error}"));
        let channels = self.from.channels;
        let frames = self.resampler.input_frames_next();
        let (mut samples, ..) = self.input.take(frames);
        self.taken += (samples.len() / channels) as u64;
        samples.resize(frames * channels, 0.0);
        let input = InterleavedSlice::new(&samples, channels, frames).map_err(|error| wrong(&error))?;
        let room = self.resampler.output_frames_max();
        let mut output = InterleavedSlice::new_mut(&mut self.room, channels, room).map_err(|error| wrong(&error))?;
        let indexing = left.map(|left| Indexing::new().partial_len(left));
        let made = self.resampler.process_into_buffer(&input, &mut output, indexing.as_ref());
        let (_, made) = made.map_err(|error| wrong(&error))?;
        let skipped = self.skip.min(made);
        self.skip -= skipped;
        self.output.samples.extend_from_slice(self.room.get(skipped * channels..made * channels).unwrap_or_default());
        Ok(())
    }

    /// Sends what has been made, but not more than there is to send in all.
    fn send(&mut self, total: u64, broken: &mut bool, out: &mut Output) {
        let frames = self.output.frames().min(usize::try_from(total.saturating_sub(self.given)).unwrap_or(usize::MAX));
        if frames == 0 {
            return;
        }
        let (samples, begin, duration) = self.output.take(frames);
        self.given += frames as u64;
        let mut flags = BufferFlags::empty();
        flags.set(BufferFlags::DISCONT, std::mem::take(broken));
        let sound =
            Buffer::new(self.from.format.write(&samples)).with_times(Some(begin), Some(begin)).with_flags(flags);
        out.buffer(PadId::FIRST, Buffer { duration: Some(duration), ..sound });
    }

    /// Sends all that is held: as long as what came in, at the new rate.
    fn drain(&mut self, broken: &mut bool, out: &mut Output) -> Result<()> {
        let total = self.taken + self.input.frames() as u64;
        let wanted = (total as f64 * self.resampler.resample_ratio()).round() as u64;
        while total > 0 && self.given + (self.output.frames() as u64) < wanted {
            let left = self.input.frames().min(self.resampler.input_frames_next());
            self.piece(Some(left))?;
        }
        self.send(wanted, broken, out);
        self.reset();
        Ok(())
    }

    fn reset(&mut self) {
        self.resampler.reset();
        self.input.restart();
        self.output.restart();
        self.skip = self.resampler.output_delay();
        (self.taken, self.given) = (0, 0);
    }
}

impl Transform for AudioResample {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => match &mut self.work {
                Some(work) => work.buffer(&buffer, &mut self.broken, out)?,
                None => out.push(PadId::FIRST, Item::Buffer(buffer)),
            },
            Item::Caps(caps) => self.caps(caps, out)?,
            Item::Flush(_) => {
                self.work.iter_mut().for_each(Work::reset);
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
}
