//! What `h264parse` and `h265parse` share: all but the codec itself.

use bytes::{Bytes, BytesMut};
use millstream_core::caps::field;
use millstream_core::item::SegmentFormat;
use millstream_core::{
    Buffer, BufferBox, BufferFlags, Caps, CapsSet, Error, Flow, Item, Output, PadId, Payload, Result, Segment, Time,
    TimeDelta, Transform,
};
use smallvec::SmallVec;

use super::settings::{ConfigInterval, FrameRate};
use super::timing::{PictureOrder, PictureTimes, PieceTimes, frame_duration};
use crate::access_unit::{AccessUnit, AccessUnitSplitter, UnitBoundary};
use crate::error::CodecError;
use crate::nal::{LengthPrefixed, LengthSize, START_CODE, annex_b, to_length_prefixed};
use crate::video::Change;

/// NAL units of one access unit: more than eight are rare.
pub(super) type Nals = SmallVec<[Bytes; 8]>;

/// What users of both parsers should know.
pub(super) const DETAILS: &str = "\
Keeps the framing of its input where the next element accepts it and converts otherwise, without copying pictures. A \
stream without caps, such as a file's bytes, and a byte stream without `alignment=au` are cut into access units, which \
delays them by one picture.\n\n\
A byte stream gets an access unit delimiter before each access unit and the parameter sets before each key frame \
(`config-interval`), where they are missing. In the other framings parameter sets move to `codec_data`; caps are renewed \
when they change.\n\n\
Timestamps pass. Where there are none, decoding times count up from 0 by the frame rate (`framerate`, caps, stream, else \
25 a second), and presentation times follow from the picture order counts: right for constant frame rates, late by as many \
frames as the stream may reorder, and missing where the count cannot be read (H.264 picture order count type 1). An access unit whose NAL \
unit lengths do not add up, and pictures before the first parameter sets, are dropped and counted.";

/// What a NAL unit is to a parser.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NalKind {
    /// Access unit delimiter.
    Delimiter,
    /// Parameter set: one bit for each kind, see [`NalCodec::ALL_SETS`].
    ParameterSet(u8),
    /// Slice of a picture.
    Slice,
    /// Slice of a picture where decoding can start.
    KeySlice,
    /// Not a slice, but says that decoding can start here.
    KeyHint,
    /// Anything else.
    Other,
}

/// What differs between the codecs.
pub(super) trait NalCodec: Send + 'static {
    /// Media type.
    const MEDIA: &'static str;
    /// Length-prefixed, parameter sets in the codec data alone.
    const STORED: &'static str;
    /// Length-prefixed, parameter sets in the stream too.
    const IN_BAND: &'static str;
    /// A delimiter with its start code.
    const DELIMITER: Bytes;
    /// Bits of all kinds of parameter sets.
    const ALL_SETS: u8;
    /// Finds access units.
    type Boundary: UnitBoundary + Send;

    /// Looks at the header of a NAL unit.
    fn kind(&self, nal: &[u8]) -> NalKind;
    /// Stores a parameter set.
    fn insert(&mut self, nal: &Bytes) -> Result<Change, CodecError>;
    /// Forgets all parameter sets.
    fn clear(&mut self);
    /// The parameter sets in codec data.
    fn read(codec_data: &Bytes) -> Result<(LengthSize, Vec<Bytes>), CodecError>;
    /// The codec data of all parameter sets; `None` while they are incomplete.
    fn record(&self) -> Option<Bytes>;
    /// The parameter sets in the order they must be sent.
    fn sets(&self) -> Vec<Bytes>;
    /// Adds size, profile and so on.
    fn describe(&self, caps: Caps) -> Caps;
    /// Pictures a second.
    fn frame_rate(&self) -> Option<(u32, u32)>;
    /// How many frames may be decoded between a frame and its output.
    fn reorder(&self) -> u8;
    /// Where the picture that this slice begins stands in the order of output.
    fn order(&self, slice: &Bytes) -> Option<PictureOrder>;
}

/// What the user set.
pub(super) struct Options {
    pub(super) config_interval: ConfigInterval,
    pub(super) framerate: Option<FrameRate>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    ByteStream,
    Stored,
    InBand,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Input {
    /// Each buffer is an access unit of length-prefixed NAL units.
    Prefixed(LengthSize),
    /// Each buffer is an access unit with start codes.
    Units,
    /// A byte stream cut anywhere.
    Stream,
}

/// What was found in an access unit.
#[derive(Default)]
struct Found {
    delimiter: bool,
    sets: u8,
    slices: bool,
    key: bool,
    /// A parameter set is new.
    news: bool,
}

/// The parser.
pub(super) struct NalParse<C: NalCodec> {
    codec: C,
    options: Options,
    allowed: CapsSet,
    input: Option<Input>,
    in_caps: Option<Caps>,
    output: Framing,
    out_caps: Option<Caps>,
    /// The input's codec data, while they still hold all there is.
    codec_data: Option<Bytes>,
    splitter: AccessUnitSplitter<C::Boundary>,
    dropped_by_splitter: u64,
    pieces: PieceTimes,
    times: PictureTimes,
    /// The parameter sets as a byte stream, made when first needed.
    set_bytes: Option<Bytes>,
    sets_sent: Option<Time>,
    /// Kinds of parameter sets seen, readable or not.
    seen: u8,
    /// Parameter sets came without a picture: the next picture takes them along.
    owed: bool,
    /// Something was left out, so the next access unit does not follow on the last.
    broken: bool,
    warned: bool,
}

impl<C: NalCodec> NalParse<C> {
    pub(super) fn new(codec: C, options: Options, allowed: CapsSet) -> Self {
        Self {
            codec,
            options,
            allowed,
            input: None,
            in_caps: None,
            output: Framing::ByteStream,
            out_caps: None,
            codec_data: None,
            splitter: AccessUnitSplitter::default(),
            dropped_by_splitter: 0,
            pieces: PieceTimes::default(),
            times: PictureTimes::default(),
            set_bytes: None,
            sets_sent: None,
            seen: 0,
            owed: false,
            broken: false,
            warned: false,
        }
    }

    fn name(framing: Framing) -> &'static str {
        match framing {
            Framing::ByteStream => "byte-stream",
            Framing::Stored => C::STORED,
            Framing::InBand => C::IN_BAND,
        }
    }

    /// The input's framing where downstream takes it, another one otherwise.
    fn choose(&self, input: Framing) -> Framing {
        let order = match input {
            Framing::ByteStream => [Framing::ByteStream, Framing::Stored, Framing::InBand],
            Framing::Stored => [Framing::Stored, Framing::InBand, Framing::ByteStream],
            Framing::InBand => [Framing::InBand, Framing::Stored, Framing::ByteStream],
        };
        let allowed =
            |framing: &Framing| self.allowed.allows_text(C::MEDIA, field::STREAM_FORMAT, Self::name(*framing));
        order.into_iter().find(allowed).unwrap_or(input)
    }

    fn caps(&mut self, caps: Caps, out: &mut Output) -> Result<()> {
        if self.in_caps.as_ref() == Some(&caps) {
            return Ok(());
        }
        self.drain(out);
        if caps.media() == millstream_core::caps::media::OCTETS {
            return Ok(());
        }
        if caps.media() != C::MEDIA {
            return Err(Error::unsupported(format!("the stream is {}, the parser reads {}", caps.media(), C::MEDIA)));
        }
        let framing = match caps.stream_format() {
            Some("byte-stream") => Framing::ByteStream,
            Some(name) if name == C::STORED => Framing::Stored,
            Some(name) if name == C::IN_BAND => Framing::InBand,
            Some(name) => return Err(Error::unsupported(format!("the stream has stream-format={name}"))),
            None if caps.codec_data().is_some() => Framing::Stored,
            None => Framing::ByteStream,
        };
        let mut length = LengthSize::Four;
        self.codec_data = caps.codec_data().cloned().filter(|_| framing != Framing::ByteStream);
        if let Some(codec_data) = self.codec_data.clone() {
            length = self.load(&codec_data, out);
        }
        self.input = Some(match framing {
            Framing::ByteStream if caps.text(field::ALIGNMENT) == Some("au") => Input::Units,
            Framing::ByteStream => Input::Stream,
            _ => Input::Prefixed(length),
        });
        if length != LengthSize::Four {
            self.codec_data = None; // output lengths always have four bytes
        }
        self.output = self.choose(framing);
        self.in_caps = Some(caps);
        // An end of the parameter sets in force is not known, but their announcement is due anew.
        self.sets_sent = None;
        self.announce(out);
        Ok(())
    }

    /// Takes the parameter sets of codec data instead of those known.
    fn load(&mut self, codec_data: &Bytes, out: &mut Output) -> LengthSize {
        match C::read(codec_data) {
            Ok((size, nals)) => {
                (self.set_bytes, self.warned) = (None, false);
                self.codec.clear();
                for nal in nals {
                    self.parameter_set(&nal, out);
                }
                size
            }
            Err(error) => {
                out.warn(Error::malformed("the codec data cannot be read").caused_by(error));
                LengthSize::Four
            }
        }
    }

    /// Sends caps if they changed. Without parameter sets there are none yet.
    fn announce(&mut self, out: &mut Output) {
        let known = self.codec.record().or_else(|| self.codec_data.clone());
        let seen = self.output == Framing::ByteStream && self.seen == C::ALL_SETS;
        if known.is_none() && !seen {
            return;
        }
        let base = self.in_caps.clone().unwrap_or_else(|| Caps::new(C::MEDIA)).without(field::CODEC_DATA);
        let base = base.with(field::STREAM_FORMAT, Self::name(self.output)).with(field::ALIGNMENT, "au");
        let mut caps = self.codec.describe(base);
        if self.output != Framing::ByteStream {
            caps = caps.with_some(field::CODEC_DATA, self.codec_data.clone().or(known));
        }
        let given = self.options.framerate.map(|rate| (rate.num, rate.den));
        let missing = self.codec.frame_rate().filter(|_| caps.framerate().is_none());
        if let Some((num, den)) = given.or(missing) {
            caps = caps.with(field::FRAMERATE, (i64::from(num), i64::from(den)));
        }
        if self.out_caps.as_ref() != Some(&caps) {
            self.out_caps = Some(caps.clone());
            out.caps(PadId::FIRST, caps);
        }
    }

    fn buffer(&mut self, buffer: BufferBox, out: &mut Output) {
        let input = *self.input.get_or_insert(Input::Stream);
        if self.in_caps.is_none() && self.out_caps.is_none() {
            self.output = self.choose(Framing::ByteStream);
        }
        match input {
            Input::Prefixed(size) => self.prefixed(buffer, size, out),
            Input::Units => {
                let data = buffer.payload.contiguous();
                let nals: Nals = annex_b(&data).collect();
                self.unit(nals, buffer, out);
            }
            Input::Stream => self.piece(buffer.into_inner(), out),
        }
    }

    fn prefixed(&mut self, buffer: BufferBox, size: LengthSize, out: &mut Output) {
        let data = buffer.payload.contiguous();
        let mut units = LengthPrefixed::new(&data, size);
        let mut nals = Nals::new();
        for range in units.by_ref() {
            match range {
                Ok(range) => nals.push(data.slice(range)),
                Err(error) => {
                    let at = buffer.offset.map(|offset| offset.saturating_add(error.bit / 8));
                    return self.drop_unit("NAL unit length beyond the access unit", data.len(), at, out);
                }
            }
        }
        self.unit(nals, buffer, out);
    }

    fn piece(&mut self, buffer: Buffer, out: &mut Output) {
        if buffer.flags.contains(BufferFlags::DISCONT) {
            self.drain(out);
            self.broken = true;
        }
        self.pieces.push(&buffer);
        for slice in buffer.payload.slices() {
            self.splitter.push(slice);
        }
        // Each turn takes bytes out of the splitter.
        loop {
            match self.splitter.next_unit() {
                Ok(Some(unit)) => self.split_unit(unit, out),
                Ok(None) => break,
                Err(error) => self.lost(&error, out),
            }
        }
        self.count_dropped(out);
    }

    fn split_unit(&mut self, unit: AccessUnit, out: &mut Output) {
        let (pts, dts) = self.pieces.take(unit.offset);
        let buffer = Buffer { pts, dts, offset: Some(unit.offset), ..Buffer::default() };
        self.unit(unit.nals.into_iter().collect(), buffer.into(), out);
    }

    fn lost(&mut self, error: &CodecError, out: &mut Output) {
        self.broken = true;
        out.warn(Error::malformed("an access unit was given up").caused_by(error.clone()));
    }

    fn count_dropped(&mut self, out: &mut Output) {
        let all = self.splitter.dropped();
        let new = all - self.dropped_by_splitter;
        if new > 0 {
            self.dropped_by_splitter = all;
            out.dropped("bytes before a start code", new, None);
        }
    }

    /// Sends what the splitter holds.
    fn drain(&mut self, out: &mut Output) {
        if self.input != Some(Input::Stream) {
            return;
        }
        match self.splitter.finish() {
            Ok(units) => units.into_iter().for_each(|unit| self.split_unit(unit, out)),
            Err(error) => self.lost(&error, out),
        }
        self.count_dropped(out);
        self.pieces.clear();
    }

    fn drop_unit(&mut self, reason: &'static str, bytes: usize, offset: Option<u64>, out: &mut Output) {
        self.broken = true;
        out.dropped(reason, bytes as u64, offset);
    }

    fn look(&mut self, nals: &[Bytes], out: &mut Output) -> Found {
        let mut found = Found::default();
        for (index, nal) in nals.iter().enumerate() {
            match self.codec.kind(nal) {
                NalKind::Delimiter => found.delimiter |= index == 0,
                NalKind::ParameterSet(kind) => {
                    found.sets |= kind;
                    found.news |= self.parameter_set(nal, out);
                }
                NalKind::Slice => found.slices = true,
                NalKind::KeySlice => (found.slices, found.key) = (true, true),
                NalKind::KeyHint => found.key = true,
                NalKind::Other => {}
            }
        }
        self.seen |= found.sets;
        found
    }

    /// Stores a parameter set, true when it is new. A copy is stored, so that it does not hold on to a whole read.
    fn parameter_set(&mut self, nal: &Bytes, out: &mut Output) -> bool {
        match self.codec.insert(&Bytes::copy_from_slice(nal)) {
            Ok(change) => change.is_news(),
            Err(error) => {
                if !std::mem::replace(&mut self.warned, true) {
                    out.warn(Error::malformed("a parameter set cannot be read").caused_by(error));
                }
                false
            }
        }
    }

    /// An access unit is whole. `buffer` has its times, and its payload when it came in a buffer of its own.
    fn unit(&mut self, nals: Nals, mut buffer: BufferBox, out: &mut Output) {
        let found = self.look(&nals, out);
        if found.news {
            (self.codec_data, self.set_bytes) = (None, None);
        }
        if found.news || self.out_caps.is_none() {
            self.announce(out);
        }
        if !found.slices {
            self.owed |= found.sets != 0;
            if nals.iter().any(|nal| matches!(self.codec.kind(nal), NalKind::Other | NalKind::KeyHint)) {
                out.dropped("access unit without a picture", buffer.payload.len() as u64, buffer.offset);
            }
            return;
        }
        if self.out_caps.is_none() {
            let bytes = nals.iter().map(Bytes::len).sum();
            return self.drop_unit("picture before the parameter sets", bytes, buffer.offset, out);
        }
        let codec = &self.codec;
        let frame = frame_duration(self.options.framerate, self.in_caps.as_ref(), || codec.frame_rate());
        self.times.complete(&mut buffer, frame, codec.reorder(), || nals.iter().find_map(|nal| codec.order(nal)));
        buffer.flags.set(BufferFlags::KEYFRAME, found.key);
        if self.broken {
            buffer.flags |= BufferFlags::DISCONT;
        }
        self.broken = false;
        match self.output {
            Framing::ByteStream => self.byte_stream(&nals, &found, &mut buffer),
            framing => self.length_prefixed(&nals, framing, &mut buffer),
        }
        out.push(PadId::FIRST, Item::Buffer(buffer));
    }

    fn byte_stream(&mut self, nals: &[Bytes], found: &Found, buffer: &mut Buffer) {
        let sets = self.due_sets(found, buffer.dts_or_pts());
        let mut payload = Payload::new();
        if !found.delimiter {
            payload.push(C::DELIMITER);
        }
        if self.input == Some(Input::Units) && (sets.is_none() || !found.delimiter) {
            // The input's own start codes stay; what is missing goes in front.
            payload.extend_with(sets.into_iter().chain(buffer.payload.slices().iter().cloned()));
            buffer.payload = payload;
            return;
        }
        let (first, rest) = nals.split_at(usize::from(found.delimiter));
        let framed = |nals: &[Bytes]| nals.iter().flat_map(|nal| [START_CODE, nal.clone()]).collect::<Nals>();
        payload.extend_with(framed(first).into_iter().chain(sets).chain(framed(rest)));
        buffer.payload = payload;
    }

    /// The parameter sets, when they are due before this access unit and it does not bring them all itself.
    fn due_sets(&mut self, found: &Found, now: Option<Time>) -> Option<Bytes> {
        let due = match self.options.config_interval {
            ConfigInterval::Never => false,
            ConfigInterval::EachKeyFrame => found.key,
            ConfigInterval::Seconds(seconds) => {
                let waited = now.zip(self.sets_sent).map(|(now, sent)| now.since(sent));
                found.key && waited.is_none_or(|waited| waited >= TimeDelta::from_secs(seconds))
            }
        };
        let due = std::mem::take(&mut self.owed) || due;
        if found.sets == C::ALL_SETS {
            self.sets_sent = now;
        }
        if !due || found.sets == C::ALL_SETS {
            return None;
        }
        self.sets_sent = now;
        let bytes = self.set_bytes.get_or_insert_with(|| {
            let mut bytes = BytesMut::new();
            for nal in self.codec.sets() {
                bytes.extend_from_slice(&START_CODE);
                bytes.extend_from_slice(&nal);
            }
            bytes.freeze()
        });
        (!bytes.is_empty()).then(|| bytes.clone())
    }

    fn length_prefixed(&mut self, nals: &[Bytes], framing: Framing, buffer: &mut Buffer) {
        let from_stream = !matches!(self.input, Some(Input::Prefixed(_)));
        let kept = |nal: &&Bytes| match self.codec.kind(nal) {
            NalKind::Delimiter => !from_stream,
            NalKind::ParameterSet(_) => framing == Framing::InBand,
            _ => true,
        };
        self.owed = false; // the codec data have them
        let all = nals.iter().all(|nal| kept(&nal));
        let bytes: usize = nals.iter().map(|nal| nal.len() + 4).sum();
        let untouched = all && self.input == Some(Input::Prefixed(LengthSize::Four)) && bytes == buffer.payload.len();
        if !untouched {
            let kept: Nals = nals.iter().filter(kept).cloned().collect();
            buffer.payload = to_length_prefixed(&kept).into_iter().collect();
        }
    }

    fn flush(&mut self) {
        // What the splitter holds is void; it keeps its parameter sets.
        let _void = self.splitter.finish();
        self.dropped_by_splitter = self.splitter.dropped();
        self.pieces.clear();
        self.times.reset();
        self.sets_sent = None;
        self.broken = false;
    }
}

/// Appends slices to a payload.
trait ExtendWith {
    fn extend_with(&mut self, slices: impl IntoIterator<Item = Bytes>);
}

impl ExtendWith for Payload {
    fn extend_with(&mut self, slices: impl IntoIterator<Item = Bytes>) {
        slices.into_iter().for_each(|slice| self.push(slice));
    }
}

impl<C: NalCodec> Transform for NalParse<C> {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => self.buffer(buffer, out),
            Item::Caps(caps) => self.caps(caps, out)?,
            Item::Segment(segment) => {
                self.drain(out);
                // Pieces of a file become pictures on a timeline.
                let bytes = segment.format == SegmentFormat::Bytes;
                out.forward(Item::Segment(if bytes { Segment::time(Time::ZERO).into() } else { segment }));
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
