//! `aacparse`: AAC frames, framed as downstream wants them.

use bytes::Bytes;
use millstream_core::caps::{field, media};
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Caps, CapsSet, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate,
    Payload, Result, Time, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::audio::{FoundFrame, Framer, SampleClock, send, timed};
use crate::aac::{AdtsHeader, AudioSpecificConfig, LatmReader, LoasHeader, ProgramConfig};
use crate::bits::BitReader;
use crate::error::CodecError;

/// `id_syn_ele` of a program config element (ISO/IEC 14496-3 table 4.85).
const ID_PCE: u32 = 5;

/// Settings of `aacparse`: none so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AacParseSettings {}

/// What is known of `aacparse`.
pub fn factory() -> Factory {
    let summary = "Finds AAC frames and changes their framing";
    Factory::new("aacparse", "Codec/Parser/Converter/Audio", summary, build)
        .pad(PadTemplate::sink("sink", "audio/mpeg, mpegversion={ 2, 4 }, stream-format={ raw, adts, loas }"))
        .pad(PadTemplate::src("src", "audio/mpeg, mpegversion=4, stream-format={ raw, adts }"))
        .details(
            "Keeps `raw` or `adts` framing where the next element accepts it and converts otherwise, without copying \
             audio. `loas` (LATM) is always taken apart. A stream without caps, such as a file's bytes, is read as ADTS; \
             ID3 tags between frames are passed over. Each buffer is one frame.\n\n\
             The first frame that begins in a buffer has its timestamp; the others follow by their samples, and so does a \
             stream without timestamps from 0. Caps are renewed when the configuration changes. `rate` and `channels` are \
             those of the core codec: half of what an HE-AAC decoder puts out.",
        )
        .example("filesrc location=audio.aac ! aacparse ! audio/mpeg,stream-format=raw ! fakesink")
}

fn build(_: AacParseSettings, cx: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(transform(super::allowed(cx))))
}

pub(crate) fn transform(allowed: CapsSet) -> Box<dyn Transform> {
    Box::new(AacParse::new(allowed))
}

enum Input {
    Raw,
    Adts(Framer<AdtsHeader>),
    Loas(Framer<LoasHeader>, Box<LatmReader>),
}

struct AacParse {
    allowed: CapsSet,
    input: Input,
    in_caps: Option<Caps>,
    to_adts: bool,
    config: Option<AudioSpecificConfig>,
    /// The configuration as bytes, when it came so.
    codec_data: Option<Bytes>,
    out_caps: Option<Caps>,
    clock: SampleClock,
    broken: bool,
}

impl AacParse {
    fn new(allowed: CapsSet) -> Self {
        let mut parse = Self {
            allowed,
            input: Input::Adts(Framer::new()),
            in_caps: None,
            to_adts: true,
            config: None,
            codec_data: None,
            out_caps: None,
            clock: SampleClock::default(),
            broken: false,
        };
        parse.to_adts = parse.choose("adts");
        parse
    }

    /// True for ADTS: the preferred framing where downstream takes it, the other one otherwise.
    fn choose(&self, preferred: &str) -> bool {
        let takes = |name| self.allowed.allows_text(media::MPEG_AUDIO, field::STREAM_FORMAT, name);
        if preferred == "adts" { takes("adts") || !takes("raw") } else { !takes("raw") && takes("adts") }
    }

    fn caps(&mut self, caps: Caps, out: &mut Output) -> Result<()> {
        if self.in_caps.as_ref() == Some(&caps) {
            return Ok(());
        }
        self.drain(out)?;
        if caps.media() == media::OCTETS {
            return Ok(());
        }
        let version = caps.int(field::MPEG_VERSION).unwrap_or(4);
        if caps.media() != media::MPEG_AUDIO || ![2, 4].contains(&version) {
            return Err(Error::unsupported(format!("the stream is {caps}, the parser reads AAC")));
        }
        let default = if caps.codec_data().is_some() { "raw" } else { "adts" };
        let format = caps.stream_format().unwrap_or(default).to_owned();
        self.input = match format.as_str() {
            "raw" => Input::Raw,
            "adts" => Input::Adts(Framer::new()),
            "loas" => Input::Loas(Framer::new(), Box::default()),
            other => return Err(Error::unsupported(format!("the stream has stream-format={other}"))),
        };
        self.to_adts = self.choose(&format);
        (self.config, self.codec_data) = (None, None);
        let codec_data = caps.codec_data().cloned();
        self.in_caps = Some(caps);
        if let (Input::Raw, Some(bytes)) = (&self.input, codec_data) {
            match AudioSpecificConfig::parse(&bytes) {
                Ok(config) => self.configure(config, Some(bytes), out)?,
                Err(error) => out.warn(Error::malformed("the codec data cannot be read").caused_by(error)),
            }
        }
        Ok(())
    }

    /// A configuration comes into force.
    fn configure(&mut self, config: AudioSpecificConfig, bytes: Option<Bytes>, out: &mut Output) -> Result<()> {
        if self.config.as_ref() == Some(&config) && self.codec_data == bytes {
            return Ok(());
        }
        let base = self.in_caps.clone().unwrap_or_else(|| Caps::new(media::MPEG_AUDIO)).without(field::CODEC_DATA);
        let channels = config.channels().map(u32::from);
        let mut caps = base
            .with(field::MPEG_VERSION, 4)
            .with(field::STREAM_FORMAT, if self.to_adts { "adts" } else { "raw" })
            .with(field::RATE, config.sample_rate)
            .with_some(field::CHANNELS, channels);
        if self.to_adts {
            let sayable = AdtsHeader::new(&config, 0).is_some();
            if !sayable && !matches!(self.input, Input::Adts(_)) {
                let text = format!("ADTS has no place for {} at {} Hz", config.codec_string(), config.sample_rate);
                return Err(Error::unsupported(text).hint("let the next element take stream-format=raw"));
            }
        } else {
            let written = || config.write().map(Bytes::from).map_err(unwritable);
            caps = caps.with(field::CODEC_DATA, bytes.clone().map_or_else(written, Ok)?);
        }
        (self.config, self.codec_data) = (Some(config), bytes);
        if self.out_caps.as_ref() != Some(&caps) {
            self.out_caps = Some(caps.clone());
            out.caps(PadId::FIRST, caps);
        }
        Ok(())
    }

    fn buffer(&mut self, buffer: Buffer, out: &mut Output) -> Result<()> {
        match &mut self.input {
            Input::Raw => {
                let (time, offset) = (buffer.pts.or(buffer.dts), buffer.offset);
                let flags = buffer.flags | BufferFlags::KEYFRAME;
                self.frame(buffer.payload, time, (offset, flags), out);
                return Ok(());
            }
            Input::Adts(framer) => framer.push(&buffer),
            Input::Loas(framer, _) => framer.push(&buffer),
        }
        self.frames(out)
    }

    /// Sends the whole frames that the splitter holds.
    fn frames(&mut self, out: &mut Output) -> Result<()> {
        loop {
            match &mut self.input {
                Input::Raw => return Ok(()),
                Input::Adts(framer) => {
                    let Some(frame) = framer.next(out) else { return Ok(()) };
                    self.adts(frame, out)?;
                }
                Input::Loas(framer, reader) => {
                    let Some(frame) = framer.next(out) else { return Ok(()) };
                    let read = reader.read(frame.data.get(LoasHeader::BYTES..).unwrap_or_default());
                    let config = reader.config().cloned().zip(reader.config_bytes().cloned());
                    self.loas(&frame, read, config, out)?;
                }
            }
        }
    }

    fn adts(&mut self, frame: FoundFrame<AdtsHeader>, out: &mut Output) -> Result<()> {
        let header = frame.header;
        let raw = frame.data.slice(header.header_bytes().min(frame.data.len())..);
        let mut config = header.config();
        if header.channel_config == 0 {
            let known = self.config.as_ref().filter(|known| known.channel_config == 0);
            config.program = program(&raw).or_else(|| known.and_then(|known| known.program.clone()));
        }
        let place = (Some(frame.offset), frame.flags);
        if !self.to_adts && config.channel_config == 0 && config.program.is_none() {
            self.lost("ADTS frame before its channels are known", frame.data.len(), place.0, out);
            return Ok(());
        }
        self.configure(config, None, out)?;
        if self.to_adts {
            let times = self.clock.frame(frame.time, header.samples(), header.sample_rate());
            let flags = self.flags(place.1);
            send(frame.data.into(), times, place.0, flags, out);
        } else if header.blocks > 1 {
            // Where one block ends and the next begins only a decoder finds out.
            self.lost("ADTS frame of several blocks", frame.data.len(), place.0, out);
        } else {
            self.frame(raw.into(), frame.time, place, out);
        }
        Ok(())
    }

    fn loas(
        &mut self,
        frame: &FoundFrame<LoasHeader>,
        read: Result<Vec<Bytes>, CodecError>,
        config: Option<(AudioSpecificConfig, Bytes)>,
        out: &mut Output,
    ) -> Result<()> {
        let (Ok(units), Some((config, bytes))) = (read, config) else {
            self.lost("LATM element that cannot be read", frame.data.len(), Some(frame.offset), out);
            return Ok(());
        };
        self.configure(config, Some(bytes), out)?;
        let mut time = frame.time;
        for unit in units {
            self.frame(unit.into(), time.take(), (Some(frame.offset), frame.flags), out);
        }
        Ok(())
    }

    /// Sends one raw frame in the output's framing.
    fn frame(
        &mut self,
        raw: Payload,
        time: Option<Time>,
        (offset, flags): (Option<u64>, BufferFlags),
        out: &mut Output,
    ) {
        let len = raw.len();
        let Some(config) = &self.config else {
            return self.lost("AAC frame before its configuration", len, offset, out);
        };
        if raw.is_empty() {
            return self.lost("empty AAC frame", len, offset, out);
        }
        let (samples, rate) = (config.frame_samples(), config.sample_rate);
        let mut payload = Payload::new();
        if self.to_adts {
            let Some(header) = AdtsHeader::new(config, len) else {
                return self.lost("AAC frame too long for ADTS", len, offset, out);
            };
            payload.push(Bytes::copy_from_slice(&header.write()));
        }
        raw.slices().iter().for_each(|slice| payload.push(slice.clone()));
        let times = self.clock.frame(time, samples, rate);
        let flags = self.flags(flags);
        send(payload, times, offset, flags, out);
    }

    fn flags(&mut self, mut flags: BufferFlags) -> BufferFlags {
        if std::mem::take(&mut self.broken) {
            flags |= BufferFlags::DISCONT;
        }
        flags
    }

    fn lost(&mut self, reason: &'static str, bytes: usize, offset: Option<u64>, out: &mut Output) {
        self.broken = true;
        out.dropped(reason, bytes as u64, offset);
    }

    fn drain(&mut self, out: &mut Output) -> Result<()> {
        match &mut self.input {
            Input::Raw => {}
            Input::Adts(framer) => framer.end(),
            Input::Loas(framer, _) => framer.end(),
        }
        self.frames(out)?;
        match &mut self.input {
            Input::Raw => {}
            Input::Adts(framer) => framer.ended(out),
            Input::Loas(framer, _) => framer.ended(out),
        }
        Ok(())
    }

    fn flush(&mut self) {
        match &mut self.input {
            Input::Raw => {}
            Input::Adts(framer) => framer.flush(),
            Input::Loas(framer, _) => framer.flush(),
        }
        self.clock.reset();
        self.broken = false;
    }
}

/// The program config element that a raw data block begins with.
fn program(raw: &[u8]) -> Option<ProgramConfig> {
    let mut reader = BitReader::new("AAC raw data block", raw);
    if reader.u(3).ok()? != ID_PCE {
        return None;
    }
    ProgramConfig::read(&mut reader, 0).ok()
}

fn unwritable(error: CodecError) -> Error {
    Error::unsupported("the configuration has no form as codec data").caused_by(error)
}

impl Transform for AacParse {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => self.buffer(buffer.into_inner(), out)?,
            Item::Caps(caps) => self.caps(caps, out)?,
            Item::Segment(segment) => {
                self.drain(out)?;
                out.forward(timed(segment));
            }
            Item::Flush(_) => {
                self.flush();
                out.forward(item);
            }
            Item::Eos | Item::Gap(_) | Item::StreamStart(_) => {
                self.drain(out)?;
                out.forward(item);
            }
            Item::Tags(_) | Item::Custom(_) | Item::Absent => out.forward(item),
        }
        Ok(Flow::Done)
    }
}
