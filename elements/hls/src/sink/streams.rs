//! `hlssink` with one pad for each elementary stream.

use millstream_core::caps::{field, media};
use millstream_core::item::Segment;
use millstream_core::{
    Aggregate, Buffer, Caps, Error, Inbox, Item, Need, Output, PadId, PadSet, Result, Time, TimeDelta,
};
use millstream_ts::muxer::{StreamConfig, StreamId, TsMuxer, TsMuxerSettings};
use millstream_ts::psi::Codec;

use super::presentation::Presentation;
use super::settings::Plan;
use crate::segmenter::{Frame, Segmenter};

/// The clock of transport streams.
const TS_HZ: u32 = 90_000;

/// A pad whose timestamps step back further than this waits for the other pads to do the same.
const BACKWARD_JUMP: TimeDelta = TimeDelta::from_millis(500);

/// Buffers that wait so, at most: a lone stream that stepped back holds up nothing for longer.
const MAX_WAITING: usize = 256;

/// Fields whose change makes what follows another format.
const FORMAT_FIELDS: [&str; 8] = [
    field::STREAM_FORMAT,
    field::CODEC_DATA,
    field::WIDTH,
    field::HEIGHT,
    field::RATE,
    field::CHANNELS,
    field::LAYER,
    field::PROFILE,
];

/// The element.
pub(super) struct StreamsSink {
    presentation: Presentation,
    segmenter: Segmenter,
    muxer: Option<TsMuxer>,
    pads: Vec<Pad>,
    /// Media has been written: a further stream changes the set of tracks.
    begun: bool,
    failed: bool,
}

#[derive(Default)]
struct Pad {
    video: bool,
    caps: Option<Caps>,
    /// Caps that hold from the next buffer on.
    next_caps: Option<Caps>,
    codec: Option<Codec>,
    language: Option<[u8; 3]>,
    stream: Option<StreamId>,
    segment: Option<std::sync::Arc<Segment>>,
    /// Decoding time of the last buffer.
    last: Option<Time>,
}

enum Choice {
    Next(PadId),
    Need(PadSet),
    Done,
}

impl StreamsSink {
    pub(super) fn new(plan: &Plan, presentation: Presentation, video: impl Iterator<Item = bool>) -> Self {
        Self {
            presentation,
            segmenter: Segmenter::new(plan.segment_duration, plan.target_duration, plan.independent_segments),
            muxer: None,
            pads: video.map(|video| Pad { video, ..Pad::default() }).collect(),
            begun: false,
            failed: false,
        }
    }

    fn run(&mut self, inbox: &mut Inbox, now: Time, out: &mut Output) -> Result<Need> {
        self.pads.resize_with(inbox.pads(), Pad::default);
        loop {
            match self.choose(inbox) {
                Choice::Next(pad) => {
                    let leading = self.leading(inbox);
                    if let Some(item) = inbox.pop(pad) {
                        self.item(pad, item, leading == Some(pad), out).map_err(|e| e.on_pad(pad))?;
                    }
                }
                Choice::Need(pads) => return self.wait(pads, now),
                Choice::Done => {
                    self.finish(out)?;
                    return Ok(Need::Done);
                }
            }
        }
    }

    fn wait(&mut self, pads: PadSet, now: Time) -> Result<Need> {
        match self.presentation.next_publish() {
            Some(due) if due <= now => {
                self.presentation.publish()?;
                Ok(Need::Pads(pads))
            }
            Some(due) => Ok(Need::PadsUntil(pads, due)),
            None => Ok(Need::Pads(pads)),
        }
    }

    /// As [`Inbox::pick`], except that a stream that stepped back waits until the others have stepped back too.
    fn choose(&mut self, inbox: &Inbox) -> Choice {
        let mut need = PadSet::empty();
        let mut best: Option<(Option<Time>, PadId)> = None;
        let mut stepped_back: Option<(Option<Time>, PadId)> = None;
        for (pad, index) in self.pads.iter().zip(0..) {
            let id = PadId(index);
            let time = match inbox.peek(id) {
                None if inbox.is_over(id) => continue,
                None => {
                    need.insert(id);
                    continue;
                }
                Some(Item::Buffer(buffer)) => buffer.dts_or_pts().map(|time| pad.running(time)),
                Some(Item::Gap(gap)) => Some(pad.running(gap.start)),
                Some(_) => return Choice::Next(id),
            };
            let back = pad.last.zip(time).is_some_and(|(last, time)| last.since(time) > BACKWARD_JUMP);
            let waits = back && inbox.len(id) < MAX_WAITING;
            let slot = if waits { &mut stepped_back } else { &mut best };
            if slot.is_none_or(|(earliest, _)| time < earliest) {
                *slot = Some((time, id));
            }
        }
        match best.or(stepped_back) {
            _ if !need.is_empty() => Choice::Need(need),
            None => Choice::Done,
            Some((_, id)) => {
                if best.is_none() {
                    self.pads.iter_mut().for_each(|pad| pad.last = None);
                }
                Choice::Next(id)
            }
        }
    }

    /// The pad that decides about cuts: video while there is some.
    fn leading(&self, inbox: &Inbox) -> Option<PadId> {
        let alive = |video: bool| {
            let mut pads = self.pads.iter().zip(0..).map(|(pad, index)| (pad, PadId(index)));
            pads.find(|(pad, id)| pad.video == video && !inbox.is_over(*id)).map(|(_, id)| id)
        };
        alive(true).or_else(|| alive(false))
    }

    fn item(&mut self, pad: PadId, item: Item, leading: bool, out: &mut Output) -> Result<()> {
        let Some(state) = self.pads.get_mut(pad.index()) else { return Ok(()) };
        match item {
            Item::Buffer(buffer) => self.buffer(pad, buffer.into_inner(), leading, out),
            Item::StreamStart(info) => {
                let code = info.language.as_deref().map(str::as_bytes);
                state.language = code.and_then(|code| code.try_into().ok());
                Ok(())
            }
            Item::Segment(segment) => {
                state.segment = Some(segment);
                Ok(())
            }
            Item::Caps(caps) => {
                let changed = state.caps.as_ref().is_none_or(|old| !same_format(old, &caps));
                state.next_caps = changed.then_some(caps);
                if self.begun { Ok(()) } else { self.apply_caps(pad, out) }
            }
            _ => Ok(()),
        }
    }

    /// Caps that have come for a pad hold from now on.
    fn apply_caps(&mut self, pad: PadId, out: &mut Output) -> Result<()> {
        let Some(state) = self.pads.get_mut(pad.index()) else { return Ok(()) };
        let Some(caps) = state.next_caps.take() else { return Ok(()) };
        let codec = codec_of(&caps)?;
        if matches!(codec, Codec::Opus(_)) {
            self.presentation.warn_once("opus", out, || {
                Error::unsupported("few HLS players play Opus in transport streams").hint("encode to AAC")
            });
        }
        let other_codec = state.codec.is_some_and(|old| old != codec);
        (state.caps, state.codec) = (Some(caps), Some(codec));
        self.segmenter.discontinuity();
        match &mut self.muxer {
            // A stream cannot change its codec, so all begin anew.
            muxer if other_codec => *muxer = None,
            Some(muxer) if state.stream.is_none() => state.stream = Some(add_stream(muxer, codec, state.language)?),
            _ => {}
        }
        Ok(())
    }

    fn buffer(&mut self, pad: PadId, buffer: Buffer, leading: bool, out: &mut Output) -> Result<()> {
        let changes = self.pads.get(pad.index()).is_some_and(|state| state.next_caps.is_some());
        if changes {
            // What is written belongs before the change.
            self.drain(true, out)?;
            self.apply_caps(pad, out)?;
        }
        let Some(state) = self.pads.get_mut(pad.index()) else { return Ok(()) };
        if state.codec.is_none() {
            return Err(Error::malformed("media came before its caps"));
        }
        let (Some(dts), Some(pts)) = (buffer.dts_or_pts(), buffer.pts.or(buffer.dts)) else {
            out.dropped("frame without timestamp", buffer.payload.len() as u64, buffer.offset);
            return Ok(());
        };
        let (dts, pts) = (state.running(dts), state.running(pts));
        state.last = Some(dts);
        let key = !state.video || buffer.is_keyframe();
        self.cut(Frame { pts, dts, key, duration: buffer.duration, leading }, out)?;
        self.write(pad, &buffer, pts, dts, out)
    }

    /// Ends the segment before this frame, if it has to end.
    fn cut(&mut self, frame: Frame, out: &mut Output) -> Result<()> {
        let cut = self.segmenter.frame(frame);
        if self.segmenter.exceeds() {
            return Err(self.presentation.too_long());
        }
        let Some(cut) = cut else { return Ok(()) };
        self.drain(true, out)?;
        self.presentation.end_segment(cut, out)?;
        if let Some(muxer) = &mut self.muxer {
            muxer.force_psi();
        }
        Ok(())
    }

    fn write(&mut self, pad: PadId, buffer: &Buffer, pts: Time, dts: Time, out: &mut Output) -> Result<()> {
        if self.muxer.is_none() {
            self.muxer = Some(self.new_muxer()?);
        }
        self.presentation.begin(out)?;
        let stream = self.pads.get(pad.index()).and_then(|state| state.stream);
        let (Some(muxer), Some(stream)) = (&mut self.muxer, stream) else {
            return Err(Error::bug("no stream to write to"));
        };
        let (pts, dts) = (pts.ticks(TS_HZ), dts.ticks(TS_HZ));
        let key = buffer.is_keyframe();
        muxer.write(stream, buffer.payload.slices(), pts, dts, key).map_err(mux_error)?;
        self.begun = true;
        self.drain(false, out)
    }

    /// A muxer with every stream that is known.
    fn new_muxer(&mut self) -> Result<TsMuxer> {
        let mut muxer = TsMuxer::new(TsMuxerSettings::default()).map_err(mux_error)?;
        for pad in &mut self.pads {
            if let Some(codec) = pad.codec {
                pad.stream = Some(add_stream(&mut muxer, codec, pad.language)?);
            }
        }
        Ok(muxer)
    }

    /// Moves what the muxer has ready, or with `all` everything, into the open segment.
    fn drain(&mut self, all: bool, out: &mut Output) -> Result<()> {
        let Some(muxer) = &mut self.muxer else { return Ok(()) };
        if all {
            muxer.flush().map_err(mux_error)?;
        }
        while let Some(block) = muxer.take_ready() {
            self.presentation.write(&block, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Output) -> Result<()> {
        self.drain(true, out)?;
        if let Some(cut) = self.segmenter.finish() {
            self.presentation.end_segment(cut, out)?;
        }
        self.presentation.finish(out)
    }
}

impl Aggregate for StreamsSink {
    fn start(&mut self, _out: &mut Output) -> Result<()> {
        self.presentation.start()
    }

    fn step(&mut self, inbox: &mut Inbox, now: Time, out: &mut Output) -> Result<Need> {
        if self.failed {
            return Ok(Need::Done);
        }
        self.run(inbox, now, out).map_err(|error| {
            self.failed = true;
            self.presentation.fail(error)
        })
    }

    fn flush(&mut self, _out: &mut Output) -> Result<()> {
        self.segmenter.discontinuity();
        self.pads.iter_mut().for_each(|pad| pad.last = None);
        Ok(())
    }
}

impl Pad {
    /// Running time of a timestamp.
    fn running(&self, time: Time) -> Time {
        self.segment.as_ref().map_or(time, |segment| segment.running_time(time))
    }
}

fn add_stream(muxer: &mut TsMuxer, codec: Codec, language: Option<[u8; 3]>) -> Result<StreamId> {
    muxer.add_stream(&StreamConfig { language, ..StreamConfig::new(codec) }).map_err(mux_error)
}

fn mux_error(error: millstream_ts::muxer::MuxError) -> Error {
    Error::unsupported("this cannot be put into a transport stream").caused_by(error)
}

fn same_format(old: &Caps, new: &Caps) -> bool {
    old.media() == new.media() && FORMAT_FIELDS.iter().all(|name| old.get(name) == new.get(name))
}

fn codec_of(caps: &Caps) -> Result<Codec> {
    let codec = match (caps.media(), caps.int(field::MPEG_VERSION), caps.stream_format()) {
        (media::H264, _, Some("byte-stream")) => Codec::H264,
        (media::H265, _, Some("byte-stream")) => Codec::H265,
        (media::MPEG_AUDIO, Some(2 | 4), Some("adts")) => Codec::AacAdts,
        // Sample rates below 32 kHz are MPEG-2's (ISO/IEC 13818-3).
        (media::MPEG_AUDIO, Some(1), _) if caps.rate().is_some_and(|rate| rate < 32_000) => Codec::Mpeg2Audio,
        (media::MPEG_AUDIO, Some(1), _) => Codec::Mpeg1Audio,
        (media::AC3, ..) => Codec::Ac3,
        (media::EAC3, ..) => Codec::Eac3,
        (media::OPUS, ..) => {
            Codec::Opus(caps.channels().and_then(|c| u8::try_from(c).ok()).filter(|c| *c <= 8).unwrap_or(2))
        }
        _ => {
            let error = Error::unsupported(format!("hlssink cannot put {caps} into a transport stream"));
            return Err(error.hint("h264parse, h265parse and aacparse make the framing that it needs"));
        }
    };
    Ok(codec)
}
