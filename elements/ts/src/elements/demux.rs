//! `tsdemux`: a transport stream to elementary streams.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use millstream_codec::opus;
use millstream_core::item::{Gap, SeekTo};
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Element, Error, Factory, Flow, Item, MessageKind, Output, PadId, PadTemplate,
    Request, Result, StreamInfo, Time, TimeDelta, Transform,
};

use super::caps::{self, DEMUX_AUDIO, DEMUX_DATA, DEMUX_VIDEO};
use super::demux_settings::TsDemuxSettings;
use super::key::is_key;
use super::seek::SeekIndex;
use super::sniff::{self, SNIFFED};
use super::streams::{Pads, Stream};
use super::timeline::{Held, Timeline, Unit};
use crate::demuxer::{Event, Pes, Program, SectionEvent, TsDemuxer};
use crate::psi::{Codec, StreamClass};
use crate::timestamp::{PCR_HZ, PTS_HZ};

/// Events handled in one call: enough that the call costs nothing, few enough that little waits downstream.
const EVENTS_A_CALL: usize = 32;

/// Without a packet in so many bytes the input is something else.
const MAX_LEADING_GARBAGE: u64 = 256 * 1024;

/// A stream of pictures or sound that is silent for longer than this gets gaps, so that a muxer does not wait for it. Multiplexers
/// send pictures more than a second ahead of their decoding time, and sound hardly ahead.
const MAX_LAG: TimeDelta = TimeDelta::from_secs(2);

/// The same for metadata, which mostly is silent and comes when it is due.
const MAX_DATA_LAG: TimeDelta = TimeDelta::from_millis(500);

/// Time between gaps.
const GAP_STEP: TimeDelta = TimeDelta::from_millis(250);

/// Clock time between two messages that say how far it is.
const PROGRESS_INTERVAL: TimeDelta = TimeDelta::from_millis(500);

const DETAILS: &str = "\
Reads packets of 188, 192 (M2TS), 204 and 208 bytes. Media bytes are gathered once, a PES packet at a time, and never copied after that.

- One program: `program-number`, or the first whose streams are known. Its streams have pads by number in the order of the program map table \
(`video` is `video_0`, `audio` is `audio_0`, all else is `private_0` and so on) or by PID in decimal (`pid_256`).
- H.264 and H.265 come as byte streams, mostly an access unit a buffer; `h264parse` and `h265parse` make sure of it. AAC comes as ADTS or LOAS: \
`aacparse` finds its frames. Opus comes in packets.
- Running time begins with the earliest first timestamp of all streams that are linked, within a second. A timestamp that jumps by more than 10 s \
begins a new segment for all streams, whose running time goes on.
- A stream that is silent for 2 s (metadata: 0.5 s) sends gaps. One that a new program map table leaves out becomes absent.
- Seeks by time go to a key frame that was read before: transport streams have no index.
- Damage is counted by reason and offset: lost and doubled packets, wrong CRCs, PES packets without beginning, scrambled packets.";

/// The factory of `tsdemux`.
pub(super) fn factory() -> Factory {
    Factory::new::<TsDemuxSettings>(
        "tsdemux",
        "Codec/Demuxer",
        "Splits an MPEG transport stream into its streams",
        build,
    )
    .pad(PadTemplate::sink("sink", "video/mpegts; application/octet-stream"))
    .pad(PadTemplate::src("video", DEMUX_VIDEO).sometimes().doc("The first pictures."))
    .pad(PadTemplate::src("audio", DEMUX_AUDIO).sometimes().doc("The first sound."))
    .pad(PadTemplate::src("video_%u", DEMUX_VIDEO).sometimes().doc("Pictures by number, from 0."))
    .pad(PadTemplate::src("audio_%u", DEMUX_AUDIO).sometimes().doc("Sound by number, from 0."))
    .pad(PadTemplate::src("private_%u", DEMUX_DATA).sometimes().doc("Metadata, cues, subtitles and all else."))
    .pad(PadTemplate::src("pid_%u", "ANY").sometimes().doc("The stream on a PID."))
    .details(DETAILS)
    .example(
        "filesrc location=in.ts ! tsdemux name=d  d.video ! h264parse ! m.video  d.audio ! aacparse ! m.audio  \
             flvmux name=m ! filesink location=out.flv",
    )
}

fn build(settings: TsDemuxSettings, cx: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(Box::new(TsDemux {
        demuxer: TsDemuxer::new(settings.wire()),
        settings,
        pads: Pads::of(cx),
        input: Input::default(),
        program: None,
        streams: Vec::new(),
        timeline: Timeline::default(),
        held: Held::default(),
        told_at: None,
        clock: None,
        seek: SeekIndex::default(),
    })))
}

struct TsDemux {
    demuxer: TsDemuxer,
    settings: TsDemuxSettings,
    pads: Pads,
    input: Input,
    program: Option<Arc<Program>>,
    streams: Vec<Stream>,
    timeline: Timeline,
    /// What came before it was known where running time begins.
    held: Held,
    /// When progress was told last.
    told_at: Option<Time>,
    /// The program's clock, by its last PCR.
    clock: Option<Time>,
    seek: SeekIndex,
}

/// Bytes on their way into the demuxer.
#[derive(Default)]
struct Input {
    waiting: VecDeque<Bytes>,
    /// First bytes, until there are enough to see what they are.
    head: Vec<u8>,
    sniffed: bool,
    /// A flush came: the next bytes are from elsewhere.
    moved: bool,
    /// Offset behind the last bytes, where buffers have offsets.
    next_offset: Option<u64>,
    ending: bool,
    finished: bool,
}

impl Transform for TsDemux {
    fn handle(&mut self, _pad: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => {
                self.follow(&buffer);
                for slice in buffer.payload.slices() {
                    self.input.sniff(slice)?;
                    self.input.waiting.push_back(slice.clone());
                }
            }
            Item::Eos => self.input.ending = true,
            Item::Flush(epoch) => {
                self.reset();
                self.seek.flushed(epoch);
                out.forward(Item::Flush(epoch));
                return Ok(Flow::Done);
            }
            // What describes the byte stream says nothing of the streams in it.
            Item::StreamStart(_) | Item::Caps(_) | Item::Segment(_) | Item::Gap(_) => return Ok(Flow::Done),
            Item::Absent => out.forward(Item::Absent),
            other => {
                let pads = self.streams.iter().flat_map(|stream| &stream.pads);
                pads.for_each(|pad| out.push(*pad, other.clone()));
                return Ok(Flow::Done);
            }
        }
        self.pump(out)
    }

    fn resume(&mut self, out: &mut Output) -> Result<Flow> {
        self.pump(out)
    }

    fn request(&mut self, _pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        match request {
            Request::Seek { to: SeekTo::Time(time), epoch } => match self.seek.seek(time, epoch) {
                Some(offset) => out.request_all(Request::Seek { to: SeekTo::Byte(offset), epoch }),
                None => out.warn(
                    Error::unsupported("a transport stream has no index: it can be sought as far as it has been read")
                        .hint("read it once, or play it from a format with an index"),
                ),
            },
            request => out.request_all(request),
        }
        Ok(())
    }
}

impl Input {
    /// Looks at the first bytes.
    fn sniff(&mut self, slice: &Bytes) -> Result<()> {
        if self.sniffed {
            return Ok(());
        }
        let wanted = SNIFFED.saturating_sub(self.head.len()).min(slice.len());
        self.head.extend_from_slice(&slice[..wanted]);
        self.sniffed = self.head.len() >= SNIFFED;
        match sniff::other_format(&self.head) {
            Some(error) if self.sniffed => Err(error),
            _ => Ok(()),
        }
    }
}

impl TsDemux {
    /// Sees whether the bytes of a buffer follow on those before.
    fn follow(&mut self, buffer: &Buffer) {
        let expected = self.input.next_offset;
        if std::mem::take(&mut self.input.moved) {
            self.demuxer.reset(buffer.offset.unwrap_or_else(|| self.demuxer.offset()));
        } else if let Some(offset) = buffer.offset
            && expected.is_some_and(|expected| expected != offset)
        {
            self.demuxer.jump(offset);
        }
        self.input.next_offset = buffer.offset.map(|offset| offset + buffer.payload.len() as u64);
    }

    /// Forgets what is under way; tables stay.
    fn reset(&mut self) {
        self.input = Input { sniffed: true, moved: true, ..Input::default() };
        self.demuxer.reset(self.demuxer.offset());
        self.held = Held::default();
        self.timeline = Timeline::default();
        for stream in &mut self.streams {
            (stream.position, stream.discont) = (Default::default(), true);
        }
    }

    fn pump(&mut self, out: &mut Output) -> Result<Flow> {
        for _ in 0..EVENTS_A_CALL {
            if let Some(event) = self.demuxer.next_event() {
                self.event(event, out);
            } else if let Some(bytes) = self.input.waiting.pop_front() {
                self.demuxer.push(bytes);
            } else if self.input.ending && !std::mem::replace(&mut self.input.finished, true) {
                self.demuxer.finish();
            } else {
                self.check()?;
                if std::mem::take(&mut self.input.ending) {
                    self.end(out)?;
                }
                return Ok(Flow::Done);
            }
        }
        Ok(Flow::More)
    }

    /// Gives up on input that is something else.
    fn check(&self) -> Result<()> {
        let seen = self.demuxer.offset();
        if self.demuxer.stats().packets == 0 && seen > MAX_LEADING_GARBAGE {
            return Err(sniff::no_transport_stream(seen));
        }
        Ok(())
    }

    fn event(&mut self, event: Event, out: &mut Output) {
        match event {
            Event::Program(program) => self.take_program(program, out),
            Event::ProgramGone(number) => self.lose_program(number, out),
            Event::Pes(pes) => self.unit(Unit::Pes(pes), out),
            Event::Section(section) => self.unit(Unit::Section(section), out),
            Event::Dropped(dropped) => out.dropped(dropped.reason.name(), dropped.bytes, Some(dropped.offset)),
            Event::Pcr(pcr) => {
                if self.is_ours(pcr.program) {
                    self.clock = Some(Time::from_ticks(pcr.pcr, PCR_HZ as u32));
                }
            }
        }
    }

    fn is_ours(&self, program: u16) -> bool {
        self.program.as_ref().is_some_and(|own| own.number == program)
    }

    /// The streams of a program are known, or are others now.
    fn take_program(&mut self, program: Arc<Program>, out: &mut Output) {
        if self.program.is_some() && !self.is_ours(program.number) || program.streams.is_empty() {
            return;
        }
        if self.program.is_none() {
            self.demuxer.select(Some(program.number));
        }
        let mut streams = self.pads.assign(&program);
        let mut old = std::mem::take(&mut self.streams);
        for stream in &mut streams {
            match old.iter().position(|old| old.is_same(stream)) {
                Some(at) => {
                    let before = old.swap_remove(at);
                    (stream.position, stream.discont) = (before.position, before.discont);
                }
                None => {
                    stream.discont = self.timeline.has_begun();
                    announce(stream, out);
                }
            }
        }
        let taken = |pad: &PadId| streams.iter().any(|stream| stream.pads.contains(pad));
        let orphans = old.iter().flat_map(|stream| &stream.pads).filter(|pad| !taken(pad));
        orphans.for_each(|pad| out.push(*pad, Item::Absent));
        (self.streams, self.program) = (streams, Some(program));
        out.streams_complete();
    }

    /// The program is not in the PAT any more; whichever comes next takes its place.
    fn lose_program(&mut self, number: u16, out: &mut Output) {
        if !self.is_ours(number) {
            return;
        }
        self.release(out);
        let pads = self.streams.iter().flat_map(|stream| &stream.pads);
        pads.for_each(|pad| out.push(*pad, Item::Absent));
        self.streams.clear();
        self.program = None;
        self.demuxer.select(self.settings.program_number);
    }

    fn unit(&mut self, unit: Unit, out: &mut Output) {
        let Some(at) = self.streams.iter().position(|stream| stream.pid() == unit.pid()) else { return };
        if !self.is_ours(unit.program()) {
            return;
        }
        if self.timeline.has_begun() {
            return self.send(at, unit, out);
        }
        self.held.push(unit);
        let media = self.streams.iter().filter(|stream| stream.info.codec.class() != StreamClass::Data);
        if self.held.is_enough(media.map(Stream::pid)) {
            self.release(out);
        }
    }

    /// Running time begins at the earliest of what is held.
    fn release(&mut self, out: &mut Output) {
        let (start, units) = std::mem::take(&mut self.held).take();
        if units.is_empty() {
            return;
        }
        self.timeline.begin(start.or(self.clock).unwrap_or(Time::ZERO));
        for unit in units {
            if let Some(at) = self.streams.iter().position(|stream| stream.pid() == unit.pid()) {
                self.send(at, unit, out);
            }
        }
    }

    fn send(&mut self, at: usize, unit: Unit, out: &mut Output) {
        match unit {
            Unit::Pes(pes) => self.packet(at, pes, out),
            Unit::Section(section) => self.section(at, section, out),
        }
    }

    /// A section has no time of its own: it stands where the other streams are, or the clock where there is none.
    fn section(&mut self, at: usize, section: SectionEvent, out: &mut Output) {
        let alone = self.streams.iter().all(|stream| stream.info.codec.in_sections());
        let now = Some(self.clock.filter(|_| alone).unwrap_or(self.timeline.latest()));
        let buffer = Buffer { offset: Some(section.offset), ..Buffer::new(section.data).with_times(now, now) };
        self.place(at, now, out);
        self.push(at, buffer.with_flags(BufferFlags::KEYFRAME), out);
    }

    fn packet(&mut self, at: usize, pes: Pes, out: &mut Output) {
        let codec = self.streams[at].info.codec;
        let (pts, dts) = times(&pes);
        self.place(at, dts, out);
        self.streams[at].discont |= pes.discontinuity;
        if let Codec::Opus(_) = codec {
            self.opus(at, &pes, pts, out);
        } else {
            let key = is_key(codec, &pes.data, pes.random_access);
            if key && dts.is_some() {
                self.index(at, pes.offset);
            }
            let mut buffer = Buffer::new(pes.data).with_times(pts, dts);
            buffer.offset = Some(pes.offset);
            buffer.flags.set(BufferFlags::KEYFRAME, key);
            buffer.flags.set(BufferFlags::CORRUPTED, pes.corrupted);
            self.push(at, buffer, out);
        }
        self.fill_gaps(out);
        self.tell_progress(out);
    }

    /// Sends the segment that a unit of this decoding time is on, if it is another than before.
    fn place(&mut self, at: usize, dts: Option<Time>, out: &mut Output) {
        let stream = &mut self.streams[at];
        let segment = match dts {
            Some(dts) => {
                let (segment, jumped) = self.timeline.advance(&mut stream.position, dts);
                stream.discont |= jumped;
                segment
            }
            None if stream.position.has_segment() => None,
            None => stream.position.join(&self.timeline),
        };
        if let Some(segment) = segment {
            stream.pads.iter().for_each(|pad| out.push(*pad, Item::Segment(segment.clone())));
        }
    }

    fn push(&mut self, at: usize, mut buffer: Buffer, out: &mut Output) {
        let stream = &mut self.streams[at];
        buffer.flags.set(BufferFlags::DISCONT, std::mem::take(&mut stream.discont));
        if let Some((last, others)) = stream.pads.split_last() {
            others.iter().for_each(|pad| out.buffer(*pad, buffer.clone()));
            out.buffer(*last, buffer);
        }
    }

    /// Each packet of a PES is a buffer of its own, without its control header.
    fn opus(&mut self, at: usize, pes: &Pes, pts: Option<Time>, out: &mut Output) {
        let mut time = pts;
        let mut rest = pes.data.clone();
        while let Some(packet) = opus_packet(&mut rest) {
            let samples = opus::packet_samples(&packet).unwrap_or(0);
            let duration = TimeDelta::from_ticks(samples.into(), opus::SAMPLE_RATE);
            let mut buffer = Buffer::new(packet).with_times(time, time).with_flags(BufferFlags::KEYFRAME);
            (buffer.offset, buffer.duration) = (Some(pes.offset), Some(duration));
            buffer.flags.set(BufferFlags::CORRUPTED, pes.corrupted);
            self.push(at, buffer, out);
            time = time.map(|time| time + duration);
        }
        if !rest.is_empty() {
            out.dropped("bad Opus control header", rest.len() as u64, Some(pes.offset));
            self.streams[at].discont = true;
        }
    }

    /// Remembers where a key frame of the first pictures, or sound where there are none, begins.
    fn index(&mut self, at: usize, offset: u64) {
        let class = |stream: &Stream| stream.info.codec.class();
        let leading = self.streams.iter().position(|stream| class(stream) == StreamClass::Video).unwrap_or(0);
        if at == leading {
            self.seek.add(self.timeline.running(), offset);
        }
    }

    /// Says of streams that are silent how far they are.
    fn fill_gaps(&mut self, out: &mut Output) {
        let latest = self.timeline.latest();
        for stream in &mut self.streams {
            let data = stream.info.codec.class() == StreamClass::Data;
            let end = latest - if data { MAX_DATA_LAG } else { MAX_LAG };
            let from = stream.position.known_until(&self.timeline);
            if end.since(from) < GAP_STEP {
                continue;
            }
            let segment = stream.position.reach(&self.timeline, end);
            // Where it begins is what tells a muxer how far the stream is.
            let gap = Gap { start: end, duration: None };
            for pad in &stream.pads {
                if let Some(segment) = &segment {
                    out.push(*pad, Item::Segment(segment.clone()));
                }
                out.push(*pad, Item::Gap(Box::new(gap.clone())));
            }
        }
    }

    fn tell_progress(&mut self, out: &mut Output) {
        let now = out.now();
        if self.told_at.is_none_or(|told| now.since(told) >= PROGRESS_INTERVAL) {
            self.told_at = Some(now);
            let running = self.timeline.running();
            let position = self.seek.stream_time(running).unwrap_or(running);
            out.post(MessageKind::Progress { position, duration: None });
        }
    }

    /// All has been read.
    fn end(&mut self, out: &mut Output) -> Result<()> {
        self.release(out);
        if self.program.is_none() && self.demuxer.offset() > 0 {
            return Err(self.no_program());
        }
        out.streams_complete();
        out.forward(Item::Eos);
        Ok(())
    }

    fn no_program(&self) -> Error {
        let (packets, bytes) = (self.demuxer.stats().packets, self.demuxer.offset());
        if packets == 0 {
            return sniff::other_format(&self.input.head).unwrap_or_else(|| sniff::no_transport_stream(bytes));
        }
        match self.settings.program_number {
            Some(number) => Error::malformed(format!("the stream has no program {number}"))
                .hint("leave program-number out to read the first program"),
            None => Error::malformed(format!("{packets} packets, but no PAT and PMT that name a stream"))
                .hint("record from a place where the tables are, or cut behind them"),
        }
    }
}

/// Tells of a new stream.
fn announce(stream: &Stream, out: &mut Output) {
    let language = stream.info.language.and_then(|code| String::from_utf8(code.to_vec()).ok());
    let info = Arc::new(StreamInfo { id: stream.pid().get().to_string(), language });
    let caps = caps::of_stream(&stream.info);
    for pad in &stream.pads {
        out.push(*pad, Item::StreamStart(info.clone()));
        out.caps(*pad, caps.clone());
    }
}

/// Takes the next packet and its control header off the front.
fn opus_packet(data: &mut Bytes) -> Option<Bytes> {
    let (header, bytes) = opus::ControlHeader::parse(data).ok()?;
    let end = bytes.checked_add(header.size).filter(|end| *end <= data.len())?;
    Some(data.split_to(end).slice(bytes..))
}

/// Presentation and decoding time; a PES packet without DTS is decoded when it is shown (ISO/IEC 13818-1, 2.4.3.7).
pub(super) fn times(pes: &Pes) -> (Option<Time>, Option<Time>) {
    let time = |ticks: i64| Time::from_ticks(ticks, PTS_HZ as u32);
    (pes.pts.map(time), pes.dts.or(pes.pts).map(time))
}
