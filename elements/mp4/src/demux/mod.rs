//! `mp4demux`: MP4 to elementary streams.
//!
//! | file | holds |
//! | --- | --- |
//! | `mod.rs` | the element: bytes in, boxes to movie, fragments and samples |
//! | `input.rs` | bytes by their place in the file |
//! | `tracks.rs` | tracks, their samples and the pads that they go to |
//! | `caps.rs` | formats as caps |
//! | `ahead.rs` | the movie of a file that has it behind its media |

mod ahead;
mod caps;
mod input;
mod tracks;

use millstream_core::item::SegmentFormat;
use millstream_core::registry::LinkedPad;
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Request, Result,
    Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use self::ahead::Ahead;
use self::input::Input;
use self::tracks::Lanes;
use crate::fragment::Fragments;
use crate::movie::Movie;
use crate::wire::{BoxHeader, HeaderRead, MAX_HEADER, Mp4Error};

/// Steps of one call: enough that the call costs nothing, few enough that little waits downstream.
const STEPS: usize = 64;

/// Largest `moov` or `moof`: the tables of some days of pictures and sound. They are held as long as the file is read.
const MAX_MOVIE: u64 = 256 << 20;

/// Settings of `mp4demux`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Mp4DemuxSettings {}

/// What is known of `mp4demux`.
pub(crate) fn factory() -> Factory {
    Factory::new("mp4demux", "Codec/Demuxer", "Splits MP4 into its video and audio streams", build)
        .pad(PadTemplate::sink("sink", "video/quicktime; audio/x-m4a; application/octet-stream"))
        .pad(PadTemplate::src("video", caps::VIDEO).sometimes().doc("The picture: the first video track."))
        .pad(PadTemplate::src("audio", caps::AUDIO).sometimes().doc("The sound: the first audio track."))
        .pad(PadTemplate::src("video_%u", caps::VIDEO).sometimes().doc("A video track, counted from 0."))
        .pad(PadTemplate::src("audio_%u", caps::AUDIO).sometimes().doc("An audio track, counted from 0."))
        .details(DETAILS)
        .example("filesrc location=in.mp4 ! mp4demux name=d d.video ! fakesink d.audio ! fakesink")
}

const DETAILS: &str = "\
Reads MP4 (ISO/IEC 14496-12) of any layout: `moov` ahead of the media or behind it, sizes and offsets of 64 bits, fragments (fMP4, CMAF), with H.264, H.265, AV1, \
VP9, AAC, MP3, Opus, AC-3 and E-AC-3. Media bytes are shared, not copied.

- A file with its `moov` behind the media is sought in, so it has to come from where that goes (`filesrc` of a file).
- Samples come in the order in which they lie in the file.
- Edit lists place a track: empty edits begin it later, and what an encoder put ahead (priming of AAC, pictures in another order) lies ahead of \
the timeline's beginning. The timeline that goes out begins with the earliest sample of all linked tracks, so that no time is below 0; tracks keep their distance.
- Offsets of composition may be negative.
- A file that is cut gives what is whole of it; what is missing is counted and told.";

fn build(_: Mp4DemuxSettings, cx: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(Box::new(Mp4Demux::new(cx.srcs.clone()))))
}

/// What lies at the next byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A box.
    #[default]
    Header,
    /// Nothing of interest up to this byte.
    Skip(u64),
    /// The rest of a `moov`, or of a `moof` that begins at a byte, with so many bytes.
    Movie(usize),
    Fragment(u64, usize),
    /// Media up to this byte.
    Media(u64),
}

/// The element.
pub(crate) struct Mp4Demux {
    pads: Vec<LinkedPad>,
    input: Input,
    state: State,
    movie: Option<Movie>,
    fragments: Fragments,
    lanes: Lanes,
    ahead: Ahead,
    /// Bytes have been seen, and the end came.
    begun: bool,
    ended: bool,
}

impl Transform for Mp4Demux {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => {
                self.push(buffer.into_inner(), out)?;
                self.run(out)
            }
            Item::Eos => {
                self.ended = true;
                self.run(out)
            }
            Item::Segment(segment) => {
                if segment.format == SegmentFormat::Bytes && self.input.len() == 0 {
                    self.input.reset(segment.offset);
                }
                Ok(Flow::Done)
            }
            Item::Flush(epoch) if self.ahead.is_own(epoch) => {
                self.resume_at(0);
                // Where samples lie is known, and nothing else is of interest.
                self.state = State::Media(u64::MAX);
                Ok(Flow::Done)
            }
            Item::Flush(_) => {
                self.resume_at(0);
                self.fragments.reset();
                self.lanes.all.iter_mut().for_each(|lane| lane.rewind());
                out.forward(item);
                Ok(Flow::Done)
            }
            Item::StreamStart(_) | Item::Caps(_) | Item::Gap(_) => Ok(Flow::Done),
            Item::Tags(_) | Item::Custom(_) | Item::Absent => {
                out.forward(item);
                Ok(Flow::Done)
            }
        }
    }

    fn resume(&mut self, out: &mut Output) -> Result<Flow> {
        self.run(out)
    }

    fn request(&mut self, _: PadId, request: Request, out: &mut Output) -> Result<()> {
        match request {
            Request::Seek { .. } => {
                out.warn(Error::unsupported("mp4demux does not seek yet").hint("play it from the start"))
            }
            request => out.request_all(request),
        }
        Ok(())
    }
}

fn malformed(error: Mp4Error) -> Error {
    Error::malformed(error.what).at(error.offset)
}

impl Mp4Demux {
    pub(crate) fn new(pads: Vec<LinkedPad>) -> Self {
        Self {
            pads,
            input: Input::default(),
            state: State::default(),
            movie: None,
            fragments: Fragments::default(),
            lanes: Lanes::default(),
            ahead: Ahead::default(),
            begun: false,
            ended: false,
        }
    }

    /// What comes next lies elsewhere.
    fn resume_at(&mut self, at: u64) {
        self.input.reset(at);
        self.ended = false;
        self.state = State::Header;
    }

    fn push(&mut self, buffer: Buffer, out: &mut Output) -> Result<()> {
        self.begun = true;
        let offset = buffer.offset.unwrap_or(self.input.at().saturating_add(self.input.len() as u64));
        if self.ahead.wants(offset) {
            let bytes = buffer.payload.contiguous();
            if let Some((content, at)) = self.ahead.answer(offset, &bytes, out).map_err(malformed)? {
                self.movie(&content, at, out)?;
                self.ahead.back(&self.lanes, out);
            }
            return Ok(());
        }
        if self.ahead.is_looking() {
            // What goes by now comes again.
            return Ok(());
        }
        let expected = self.input.at().saturating_add(self.input.len() as u64);
        if offset != expected || buffer.flags.contains(BufferFlags::DISCONT) && self.input.len() == 0 {
            self.jump(offset);
        }
        buffer.payload.slices().iter().for_each(|slice| self.input.push(slice.clone()));
        Ok(())
    }

    /// The next bytes are not those behind the last ones.
    fn jump(&mut self, offset: u64) {
        let at = self.input.at();
        self.input.reset(offset);
        if offset != at {
            self.lanes.all.iter_mut().for_each(|lane| lane.skip_to(offset));
            // Where samples lie is known; whether a box begins here is not.
            self.state = if self.movie.is_some() { State::Media(u64::MAX) } else { State::Header };
        }
    }

    fn run(&mut self, out: &mut Output) -> Result<Flow> {
        for _ in 0..STEPS {
            if !self.step(out)? {
                if self.ended {
                    self.finish(out)?;
                }
                return Ok(Flow::Done);
            }
        }
        Ok(Flow::More)
    }

    /// Reads on; false when more bytes are needed.
    fn step(&mut self, out: &mut Output) -> Result<bool> {
        if self.ahead.is_looking() {
            return Ok(false);
        }
        match self.state {
            State::Header => self.header(out),
            State::Skip(to) => {
                self.input.skip_to(to);
                Ok(self.input.at() >= to && self.enter(State::Header))
            }
            State::Movie(length) => {
                let at = self.input.at();
                let Some(content) = self.input.take_bytes(length) else { return Ok(false) };
                self.state = State::Header;
                if self.movie.is_none() {
                    self.movie(&content, at, out)?;
                }
                Ok(true)
            }
            State::Fragment(start, length) => {
                let at = self.input.at();
                let Some(content) = self.input.take_bytes(length) else { return Ok(false) };
                self.state = State::Header;
                if let Some(movie) = &self.movie {
                    let runs = self.fragments.read(movie, &content, (start, at)).map_err(malformed)?;
                    for run in runs {
                        if let Some(lane) = self.lanes.all.iter_mut().find(|lane| lane.id == run.track) {
                            lane.add(run.samples);
                        }
                    }
                }
                Ok(true)
            }
            State::Media(end) => self.media(end, out),
        }
    }

    fn enter(&mut self, state: State) -> bool {
        self.state = state;
        true
    }

    fn header(&mut self, out: &mut Output) -> Result<bool> {
        let (bytes, count) = self.input.peek::<MAX_HEADER>();
        let read = BoxHeader::read(&bytes[..count], self.input.at());
        let header = match read.map_err(|error| self.not_mp4(error))? {
            HeaderRead::Whole(header) => header,
            HeaderRead::Needs(_) => return Ok(false),
        };
        if header.offset == 0 && !is_begin(&header) {
            return Err(self.not_mp4(Mp4Error::new(0, format!("it begins with `{}`", header.kind))));
        }
        let end = header.end().unwrap_or(u64::MAX);
        let length = end.saturating_sub(header.content());
        self.state = match &header.kind.0 {
            b"moov" | b"moof" if length > MAX_MOVIE => {
                let message = format!("box `{}` has {length} bytes; more than {MAX_MOVIE} are not read", header.kind);
                return Err(Error::limit(message).at(header.offset));
            }
            b"moov" => State::Movie(length as usize),
            b"moof" => State::Fragment(header.offset, length as usize),
            b"mdat" if self.movie.is_none() => {
                self.ahead.look(end, out);
                State::Skip(end)
            }
            b"mdat" => State::Media(end),
            _ => State::Skip(end),
        };
        self.input.skip_to(header.content());
        Ok(true)
    }

    fn not_mp4(&self, error: Mp4Error) -> Error {
        if self.movie.is_some() || error.offset > 0 {
            return malformed(error);
        }
        Error::malformed(format!("the input is not MP4: {}", error.what))
            .at(error.offset)
            .hint("`millstream discover FILE` says what a file is")
    }

    fn movie(&mut self, content: &bytes::Bytes, at: u64, out: &mut Output) -> Result<()> {
        let movie = Movie::read(content, at).map_err(malformed)?;
        self.lanes = Lanes::new(&movie, &self.pads);
        self.lanes.check(&movie)?;
        self.movie = Some(movie);
        self.lanes.begin(out);
        Ok(())
    }

    /// Takes the next sample of the media that go up to `end`.
    fn media(&mut self, end: u64, out: &mut Output) -> Result<bool> {
        let at = self.input.at();
        let next = self.lanes.first().and_then(|lane| Some((lane, *self.lanes.all.get(lane)?.next()?)));
        let Some((lane, sample)) = next.filter(|(_, sample)| sample.offset < end) else {
            return Ok(self.enter(State::Skip(end)));
        };
        let origin = self.lanes.origin;
        let Some(lane) = self.lanes.all.get_mut(lane) else { return Ok(false) };
        if sample.offset < at {
            // Two samples share their bytes, or it lies where the input did not go.
            lane.take();
            lane.broken();
            if lane.is_linked() {
                out.dropped("sample ahead of the input", sample.size.into(), Some(sample.offset));
            }
            return Ok(true);
        }
        self.input.skip_to(sample.offset);
        if self.input.at() < sample.offset {
            return Ok(false);
        }
        if !lane.is_linked() {
            lane.take();
            return Ok(true);
        }
        let Some(payload) = self.input.take(sample.size as usize) else { return Ok(false) };
        lane.take();
        lane.send(&sample, payload, origin, out);
        Ok(true)
    }

    /// The end of the input.
    fn finish(&mut self, out: &mut Output) -> Result<()> {
        self.ended = false;
        if self.movie.is_none() {
            out.streams_complete();
            let at = self.input.at();
            let message = if self.begun { "the input ended before its `moov`" } else { "the input is empty" };
            return Err(Error::malformed(message).at(at).hint(
                "where `moov` is behind the media, the input has to be a file; `ffmpeg -i in.mp4 -c copy -movflags faststart` puts it ahead",
            ));
        }
        for lane in self.lanes.all.iter_mut().filter(|lane| lane.is_linked()) {
            let (mut missing, mut bytes) = (0_u64, 0_u64);
            while let Some(sample) = lane.take() {
                (missing, bytes) = (missing + 1, bytes.saturating_add(sample.size.into()));
            }
            if missing > 0 {
                out.dropped("sample behind the end of the file", bytes, None);
                let message = format!("the file is cut: {missing} samples of `{}` are not there", lane.name);
                out.warn(Error::malformed(message).at(self.input.at()));
            }
        }
        out.forward(Item::Eos);
        Ok(())
    }
}

/// What files begin with: a brand, or in old ones the movie, media or free space.
fn is_begin(header: &BoxHeader) -> bool {
    matches!(
        &header.kind.0,
        b"ftyp"
            | b"styp"
            | b"moov"
            | b"mdat"
            | b"free"
            | b"skip"
            | b"wide"
            | b"pnot"
            | b"moof"
            | b"sidx"
            | b"uuid"
            | b"emsg"
            | b"prft"
    )
}
