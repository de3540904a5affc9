//! `opusdec`: Opus packets to samples.

use millstream_codec::opus::{MAX_PACKET_SAMPLES, OpusHead, SAMPLE_RATE, packet_samples};
use millstream_core::caps::media;
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Caps, CapsSet, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate,
    Result, Time, TimeDelta, Transform,
};
use opus_pure::OpusDecoder;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::pcm::{Pcm, SampleFormat, format_for};

/// Longest gap that is filled: what is invented after that is no sound any more (a packet may be 120 ms long, RFC 6716 2.1.4).
const MAX_CONCEALED: TimeDelta = TimeDelta::from_millis(120);

/// Settings of `opusdec`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OpusDecSettings {
    /// Fills gaps of up to 120 ms with what the sound before suggests.
    pub plc: bool,
    /// Takes what is lost from the copy that the packet behind may carry; for gaps of one packet.
    pub use_inband_fec: bool,
}

impl Default for OpusDecSettings {
    fn default() -> Self {
        Self { plc: true, use_inband_fec: true }
    }
}

/// What is known of `opusdec`.
pub fn factory() -> Factory {
    Factory::new("opusdec", "Codec/Decoder/Audio", "Decodes Opus", build)
        .pad(PadTemplate::sink("sink", "audio/x-opus, channels=[1, 2]"))
        .pad(PadTemplate::src("src", "audio/x-raw, format={F32LE, S16LE}, layout=interleaved, rate=48000, channels=[1, 2]"))
        .burns_compute()
        .details(
            "Packets as `opusparse` and demuxers send them, one a buffer. The samples that the `OpusHead` in the caps says to skip are left out, \
             and its gain is applied. Gaps in the timestamps are filled. Packets that cannot be decoded are dropped and counted. In pure Rust: no \
             libopus is needed.",
        )
        .example("filesrc location=tests/fixtures/eav1_opus.flv ! flvdemux name=d d.audio ! opusparse ! opusdec ! fakesink")
}

fn build(settings: OpusDecSettings, cx: &BuildCx) -> Result<Element> {
    let allowed = cx.srcs.first().map_or(CapsSet::Any, |pad| pad.allowed.clone());
    let format = format_for(&allowed, SampleFormat::F32);
    Ok(Element::Transform(Box::new(OpusDec { in_caps: None, settings, format, decoding: None, broken: false })))
}

struct OpusDec {
    in_caps: Option<Caps>,
    settings: OpusDecSettings,
    format: SampleFormat,
    /// `None` before the first caps.
    decoding: Option<Decoding>,
    broken: bool,
}

struct Decoding {
    pcm: Pcm,
    decoder: OpusDecoder,
    /// Factor of the header's gain.
    gain: f32,
    /// Samples of each channel to leave out at the start, in all and still.
    skip: (usize, usize),
    samples: Vec<f32>,
    /// Where the last packet ended.
    end: Option<Time>,
}

impl OpusDec {
    fn caps(&mut self, caps: Caps, out: &mut Output) -> Result<()> {
        if self.in_caps.as_ref() == Some(&caps) {
            return Ok(());
        }
        if caps.media() != media::OPUS {
            return Err(Error::unsupported(format!("the stream is {}, not Opus", caps.media())));
        }
        let head = caps.codec_data().and_then(|data| OpusHead::parse(data).ok());
        let channels = head.as_ref().map(|head| head.channels.into()).or_else(|| caps.channels()).unwrap_or(2);
        let pcm = Pcm { format: self.format, rate: SAMPLE_RATE, channels: channels as usize };
        let decoder = OpusDecoder::new(SAMPLE_RATE.cast_signed(), pcm.channels).map_err(|error| {
            Error::unsupported(format!("{channels} channels of Opus cannot be decoded, 1 or 2 can"))
                .hint("`avdec_opus` or `gst/opusdec` of GStreamer decode more")
                .caused_by(error)
        })?;
        // Q7.8 in dB (RFC 7845 5.1).
        let gain = head.as_ref().map_or(1.0, |head| 10_f32.powf(f32::from(head.output_gain) / (20.0 * 256.0)));
        let skip = head.as_ref().map_or(0, |head| head.pre_skip.into());
        let samples = vec![0.0; MAX_PACKET_SAMPLES as usize * pcm.channels];
        self.decoding = Some(Decoding { pcm, decoder, gain, skip: (skip, skip), samples, end: None });
        out.caps(PadId::FIRST, pcm.caps());
        self.in_caps = Some(caps);
        Ok(())
    }

    fn buffer(&mut self, buffer: &Buffer, out: &mut Output) -> Result<()> {
        let decoding = self.decoding.as_mut().ok_or_else(|| Error::unsupported("packets came before caps"))?;
        let packet = buffer.payload.contiguous();
        let frames = packet_samples(&packet).filter(|samples| *samples <= MAX_PACKET_SAMPLES);
        let Some(frames) = frames.map(|samples| samples as usize) else {
            self.broken = true;
            out.dropped("Opus packet that cannot be read", packet.len() as u64, buffer.offset);
            return Ok(());
        };
        let begin = buffer.pts.or(decoding.end).unwrap_or(Time::ZERO);
        if let Some(end) = decoding.end {
            self.broken |= !decoding.conceal(begin.since(end), end, &packet, &self.settings, out);
        }
        let pcm = decoding.pcm;
        let room = decoding.samples.get_mut(..frames * pcm.channels).unwrap_or_default();
        match decoding.decoder.decode(&packet, frames, room) {
            Ok(decoded) => {
                let flags = if std::mem::take(&mut self.broken) { BufferFlags::DISCONT } else { BufferFlags::empty() };
                decoding.send(decoded, begin, flags, out);
                decoding.end = Some(begin + TimeDelta::from_ticks(decoded as i64, pcm.rate));
            }
            Err(_) => {
                self.broken = true;
                out.dropped("Opus packet that cannot be decoded", packet.len() as u64, buffer.offset);
            }
        }
        Ok(())
    }
}

impl Decoding {
    /// Fills a gap. False where it is none that can be filled.
    fn conceal(
        &mut self,
        gap: TimeDelta,
        mut from: Time,
        next: &[u8],
        settings: &OpusDecSettings,
        out: &mut Output,
    ) -> bool {
        /// The smallest piece of Opus, 2.5 ms: what is less is rounding of timestamps.
        const PIECE: usize = SAMPLE_RATE as usize / 400;
        let pieces = usize::try_from(gap.ticks(SAMPLE_RATE)).unwrap_or(0) / PIECE;
        if pieces == 0 {
            return -gap <= MAX_CONCEALED;
        }
        if gap > MAX_CONCEALED || !(settings.plc || settings.use_inband_fec) {
            return false;
        }
        // A packet of 20 ms is 8 pieces: more than one packet can only be guessed from what was before.
        let room = self.samples.get_mut(..pieces * PIECE * self.pcm.channels).unwrap_or_default();
        let filled = if settings.use_inband_fec {
            self.decoder.decode_fec(next, pieces * PIECE, room)
        } else {
            self.decoder.decode(&[], pieces * PIECE, room)
        };
        let Ok(filled) = filled else { return false };
        self.send(filled, from, BufferFlags::empty(), out);
        from += TimeDelta::from_ticks(filled as i64, SAMPLE_RATE);
        self.end = Some(from);
        true
    }

    fn send(&mut self, frames: usize, begin: Time, flags: BufferFlags, out: &mut Output) {
        let skipped = self.skip.1.min(frames);
        self.skip.1 -= skipped;
        let kept = self.samples.get_mut(skipped * self.pcm.channels..frames * self.pcm.channels).unwrap_or_default();
        if kept.is_empty() {
            return;
        }
        if self.gain != 1.0 {
            kept.iter_mut().for_each(|sample| *sample *= self.gain);
        }
        let ticks = |frames: usize| TimeDelta::from_ticks(frames as i64, self.pcm.rate);
        let begin = begin + ticks(skipped);
        let buffer = Buffer::new(self.pcm.format.write(kept)).with_times(Some(begin), Some(begin)).with_flags(flags);
        out.buffer(PadId::FIRST, Buffer { duration: Some(ticks(frames - skipped)), ..buffer });
    }

    fn reset(&mut self) -> Result<()> {
        self.end = None;
        self.decoder.reset_state().map_err(|error| Error::bug("Opus cannot begin anew").caused_by(error))
    }
}

impl Transform for OpusDec {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => self.buffer(&buffer, out)?,
            Item::Caps(caps) => self.caps(caps, out)?,
            Item::Flush(_) => {
                self.decoding.as_mut().map_or(Ok(()), Decoding::reset)?;
                self.broken = false;
                out.forward(item);
            }
            other => out.forward(other),
        }
        Ok(Flow::Done)
    }
}
