//! `av1parse`: AV1 temporal units.

use bytes::Bytes;
use millstream_core::caps::{field, media};
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Caps, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Payload,
    Result, Transform,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audio::timed;
use super::settings::FrameRate;
use super::timing::{PictureTimes, PieceTimes, frame_duration};
use crate::av1::{
    Av1CodecConfigurationRecord, Obu, ObuType, Obus, SequenceHeader, TEMPORAL_DELIMITER, TemporalUnitSplitter,
    is_key_frame,
};
use crate::error::CodecError;

/// Settings of `av1parse`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Av1ParseSettings {
    /// Temporal delimiters at the start of temporal units.
    pub temporal_delimiters: TemporalDelimiters,
    /// Pictures a second, such as 25 or 30000/1001, where the stream does not say or says it wrong.
    pub framerate: Option<FrameRate>,
}

/// What happens to temporal delimiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TemporalDelimiters {
    /// They stay where they are.
    #[default]
    Keep,
    /// Each temporal unit gets one, as a raw stream or MPEG-TS needs it.
    Add,
    /// They are taken out, as MP4, Matroska and FLV want it.
    Remove,
}

/// What is known of `av1parse`.
pub fn factory() -> Factory {
    let summary = "Finds AV1 temporal units and adds or removes their delimiters";
    Factory::new("av1parse", "Codec/Parser/Converter/Video", summary, build)
        .pad(PadTemplate::sink("sink", "video/x-av1, stream-format=obu-stream"))
        .pad(PadTemplate::src("src", "video/x-av1, stream-format=obu-stream, alignment=tu"))
        .details(
            "Each buffer is one temporal unit. A stream without caps, such as a file's bytes, and one without \
             `alignment=tu` is cut at its temporal delimiters, which delays it by one picture; its OBUs need size fields \
             (the low-overhead format, not Annex B of the AV1 specification). Caps get size, profile and `codec_data` (av1C) \
             from the sequence header and are renewed with it. Timestamps pass; where there are none, they count up from \
             0 by the frame rate. A temporal unit that cannot be read, or comes before the first sequence header, is \
             dropped and counted.",
        )
        .example("filesrc location=video.obu ! av1parse temporal-delimiters=remove ! fakesink")
}

fn build(settings: Av1ParseSettings, _: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(transform(&settings)))
}

pub(crate) fn transform(settings: &Av1ParseSettings) -> Box<dyn Transform> {
    Box::new(Av1Parse {
        settings: settings.clone(),
        in_caps: None,
        out_caps: None,
        whole_units: false,
        sequence: None,
        codec_data: None,
        splitter: TemporalUnitSplitter::new(),
        offset: 0,
        pieces: PieceTimes::default(),
        times: PictureTimes::default(),
        broken: false,
    })
}

struct Av1Parse {
    settings: Av1ParseSettings,
    in_caps: Option<Caps>,
    out_caps: Option<Caps>,
    /// Each buffer is a temporal unit.
    whole_units: bool,
    /// The sequence header in force, and the OBU it came in.
    sequence: Option<(SequenceHeader, Bytes)>,
    /// The input's codec data, while its sequence header is in force.
    codec_data: Option<Bytes>,
    splitter: TemporalUnitSplitter,
    /// Stream offset of the temporal unit in the splitter.
    offset: u64,
    pieces: PieceTimes,
    times: PictureTimes,
    broken: bool,
}

impl Av1Parse {
    fn caps(&mut self, caps: Caps, out: &mut Output) -> Result<()> {
        if self.in_caps.as_ref() == Some(&caps) {
            return Ok(());
        }
        self.drain(out);
        if caps.media() == media::OCTETS {
            return Ok(());
        }
        if caps.media() != media::AV1 {
            return Err(Error::unsupported(format!("the stream is {}, the parser reads AV1", caps.media())));
        }
        if let Some(format) = caps.stream_format().filter(|format| *format != "obu-stream") {
            return Err(Error::unsupported(format!("the stream has stream-format={format}")));
        }
        self.whole_units = caps.text(field::ALIGNMENT) == Some("tu");
        (self.sequence, self.codec_data) = (None, caps.codec_data().cloned());
        match self.codec_data.as_ref().map(Av1CodecConfigurationRecord::parse) {
            Some(Ok(record)) => self.sequence = record.sequence_header().map(|header| (header, record.obus)),
            Some(Err(error)) => {
                self.codec_data = None;
                out.warn(Error::malformed("the codec data cannot be read").caused_by(error));
            }
            None => {}
        }
        self.in_caps = Some(caps);
        self.announce(out);
        Ok(())
    }

    fn announce(&mut self, out: &mut Output) {
        let Some((sequence, obu)) = &self.sequence else { return };
        let base = self.in_caps.clone().unwrap_or_else(|| Caps::new(media::AV1));
        let record = || Av1CodecConfigurationRecord::new(sequence, obu.clone()).write();
        let given = self.settings.framerate.map(|rate| (rate.num, rate.den));
        let missing = sequence.frame_rate().filter(|_| base.framerate().is_none());
        let rate = given.or(missing).map(|(num, den)| (i64::from(num), i64::from(den)));
        let profile = ["main", "high", "professional"].get(usize::from(sequence.profile)).copied();
        let mut caps = base
            .with(field::STREAM_FORMAT, "obu-stream")
            .with(field::ALIGNMENT, "tu")
            .with(field::WIDTH, sequence.max_width)
            .with(field::HEIGHT, sequence.max_height)
            .with_some(field::PROFILE, profile)
            .with(field::CODEC_DATA, self.codec_data.clone().unwrap_or_else(record));
        caps = caps.with_some(field::FRAMERATE, rate);
        if self.out_caps.as_ref() != Some(&caps) {
            self.out_caps = Some(caps.clone());
            out.caps(PadId::FIRST, caps);
        }
    }

    fn buffer(&mut self, buffer: Buffer, out: &mut Output) {
        if self.whole_units {
            let data = buffer.payload.contiguous();
            return self.unit(&data, buffer, out);
        }
        if buffer.flags.contains(BufferFlags::DISCONT) {
            self.drain(out);
        }
        self.broken |= buffer.flags.contains(BufferFlags::DISCONT) && self.out_caps.is_some();
        self.pieces.push(&buffer);
        buffer.payload.slices().iter().for_each(|slice| self.splitter.push(slice));
        // Each turn takes bytes out of the splitter.
        loop {
            match self.splitter.next_unit() {
                Ok(Some(unit)) => self.split_unit(unit, out),
                Ok(None) => break,
                Err(error) => self.gave_up(&error, out),
            }
        }
    }

    fn split_unit(&mut self, unit: Bytes, out: &mut Output) {
        let (pts, dts) = self.pieces.take(self.offset);
        let buffer = Buffer { pts, dts, offset: Some(self.offset), ..Buffer::default() };
        self.offset += unit.len() as u64;
        self.unit(&unit, buffer, out);
    }

    /// The splitter dropped all it held.
    fn gave_up(&mut self, error: &CodecError, out: &mut Output) {
        self.broken = true;
        out.warn(Error::malformed("the OBUs cannot be told apart").caused_by(error.clone()));
        self.skip_to_end(out);
    }

    fn skip_to_end(&mut self, out: &mut Output) {
        let end = self.pieces.end();
        let lost = end.saturating_sub(self.offset);
        if lost > 0 {
            out.dropped("incomplete temporal unit", lost, Some(self.offset));
        }
        self.offset = end;
    }

    fn drain(&mut self, out: &mut Output) {
        if self.whole_units {
            return;
        }
        if let Some(unit) = self.splitter.finish() {
            self.split_unit(unit, out);
        }
        self.skip_to_end(out);
        self.pieces.clear();
    }

    fn unit(&mut self, data: &Bytes, mut buffer: Buffer, out: &mut Output) {
        let obus: Vec<Obu> = match Obus::new(data).collect() {
            Ok(obus) => obus,
            Err(error) => {
                let error: CodecError = error;
                let at = buffer.offset.map(|offset| offset.saturating_add(error.bit / 8));
                return self.lost("OBU that cannot be read", data.len(), at, out);
            }
        };
        self.look(data, &obus, out);
        if self.out_caps.is_none() {
            return self.lost("temporal unit before the sequence header", data.len(), buffer.offset, out);
        }
        let delimiter = |obu: &Obu| obu.header.kind == ObuType::TEMPORAL_DELIMITER;
        if obus.iter().all(delimiter) {
            return; // nothing in it
        }
        let sent = || self.sequence.as_ref()?.0.frame_rate();
        let frame = frame_duration(self.settings.framerate, self.in_caps.as_ref(), sent);
        self.times.complete(&mut buffer, frame, 0, || None);
        buffer.flags.set(BufferFlags::KEYFRAME, is_key_frame(data));
        buffer.flags.set(BufferFlags::DISCONT, buffer.flags.contains(BufferFlags::DISCONT) || self.broken);
        self.broken = false;
        let begins = obus.first().is_some_and(delimiter);
        let mut payload = Payload::new();
        match self.settings.temporal_delimiters {
            TemporalDelimiters::Remove if obus.iter().any(delimiter) => {
                for obu in obus.iter().filter(|obu| !delimiter(obu)) {
                    payload.push(data.slice(obu.range.clone()));
                }
            }
            TemporalDelimiters::Add if !begins => {
                payload.push(TEMPORAL_DELIMITER);
                payload.push(data.clone());
            }
            _ => payload.push(data.clone()),
        }
        buffer.payload = payload;
        out.push(PadId::FIRST, Item::buffer(buffer));
    }

    /// Takes over the sequence header of a temporal unit.
    fn look(&mut self, data: &Bytes, obus: &[Obu], out: &mut Output) {
        let Some(obu) = obus.iter().find(|obu| obu.header.kind == ObuType::SEQUENCE_HEADER) else { return };
        let bytes = data.get(obu.range.clone()).unwrap_or_default();
        // The OBU of codec data may be followed by metadata.
        if self.sequence.as_ref().is_some_and(|(_, known)| known.starts_with(bytes)) {
            return;
        }
        match SequenceHeader::parse(data.get(obu.payload.clone()).unwrap_or_default()) {
            Ok(header) => {
                // A copy, so that it does not hold on to a whole read.
                self.sequence = Some((header, Bytes::copy_from_slice(bytes)));
                self.codec_data = None;
                self.announce(out);
            }
            Err(error) => out.warn(Error::malformed("the sequence header cannot be read").caused_by(error)),
        }
    }

    fn lost(&mut self, reason: &'static str, bytes: usize, offset: Option<u64>, out: &mut Output) {
        self.broken = true;
        out.dropped(reason, bytes as u64, offset);
    }

    fn flush(&mut self) {
        let _void = self.splitter.finish();
        self.offset = self.pieces.end();
        self.pieces.clear();
        self.times.reset();
        self.broken = false;
    }
}

impl Transform for Av1Parse {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => self.buffer(buffer.into_inner(), out),
            Item::Caps(caps) => self.caps(caps, out)?,
            Item::Segment(segment) => {
                self.drain(out);
                out.forward(timed(segment));
            }
            Item::Flush(_) => {
                self.flush();
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
