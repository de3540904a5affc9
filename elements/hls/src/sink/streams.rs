//! `hlssink` with one pad for each elementary stream.

use millstream_core::caps::field;
use millstream_core::inbox::Pick;
use millstream_core::meter::Kind;
use millstream_core::{Aggregate, Buffer, Caps, Error, Inbox, Item, Need, Output, PadId, PadSet, Result, Time};
use millstream_ts::elements::caps::codec_of;
use millstream_ts::elements::lanes::Lanes;
use millstream_ts::muxer::{StreamConfig, StreamId, TsMuxer, TsMuxerSettings};
use millstream_ts::psi::Codec;

use super::describe::Description;
use super::presentation::Presentation;
use super::settings::Plan;
use crate::segmenter::{Frame, Segmenter};

/// The clock of transport streams.
const TS_HZ: u32 = 90_000;

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
    lanes: Lanes,
    pads: Vec<Pad>,
    /// The pad that decided about cuts at the last frame.
    leader: Option<PadId>,
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
    /// What it is was told, where somebody wants to know.
    described: bool,
}

impl Pad {
    fn kind(&self) -> Kind {
        if self.video { Kind::Video } else { Kind::Audio }
    }
}

impl StreamsSink {
    pub(super) fn new(plan: &Plan, presentation: Presentation, video: impl Iterator<Item = bool>) -> Self {
        let pads: Vec<_> = video.map(|video| Pad { video, ..Pad::default() }).collect();
        Self {
            presentation,
            segmenter: Segmenter::new(plan.segment_duration, plan.target_duration, plan.independent_segments),
            muxer: None,
            lanes: Lanes::new(pads.len()),
            pads,
            leader: None,
            begun: false,
            failed: false,
        }
    }

    fn run(&mut self, inbox: &mut Inbox, now: Time, out: &mut Output) -> Result<Need> {
        self.pads.resize_with(inbox.pads(), Pad::default);
        self.lanes.grow(inbox.pads());
        loop {
            match self.lanes.choose(inbox) {
                Pick::Next(pad) => {
                    let leading = self.leading(inbox);
                    if let Some(item) = inbox.pop(pad) {
                        self.item(pad, item, leading == Some(pad), out).map_err(|e| e.on_pad(pad))?;
                    }
                }
                Pick::Need(pads) => return self.wait(pads, now),
                Pick::Done => {
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
                self.lanes.set_segment(pad, segment);
                Ok(())
            }
            Item::Caps(caps) => {
                let changed = state.caps.as_ref().is_none_or(|old| !same_format(old, &caps));
                state.next_caps = changed.then_some(caps);
                if self.begun { Ok(()) } else { self.apply_caps(pad, None, out) }
            }
            _ => Ok(()),
        }
    }

    /// Caps that have come for a pad hold from now on. `follower` is the time of the first frame with them, if the pad does not lead.
    fn apply_caps(&mut self, pad: PadId, follower: Option<Time>, out: &mut Output) -> Result<()> {
        let Some(state) = self.pads.get_mut(pad.index()) else { return Ok(()) };
        let Some(caps) = state.next_caps.take() else { return Ok(()) };
        let codec = codec_of(&caps)?;
        if let Some(meter) = self.presentation.meter() {
            meter.codec(state.kind(), name_of(codec));
        }
        if matches!(codec, Codec::Opus(_)) {
            self.presentation.warn_once("opus", out, || {
                Error::unsupported("few HLS players play Opus in transport streams").hint("encode to AAC")
            });
        }
        let other_codec = state.codec.is_some_and(|old| old != codec);
        let other_format = state.codec == Some(codec) && state.stream.is_some();
        (state.caps, state.codec, state.described) = (Some(caps), Some(codec), false);
        match follower {
            Some(pts) if other_format => self.segmenter.follower_changed(pts),
            _ => self.segmenter.discontinuity(),
        }
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
            let pts = buffer.pts.or(buffer.dts).map(|pts| self.lanes.running(pad, pts));
            self.apply_caps(pad, pts.filter(|_| !leading), out)?;
        }
        let Some(state) = self.pads.get_mut(pad.index()) else { return Ok(()) };
        if state.codec.is_none() {
            return Err(Error::malformed("media came before its caps"));
        }
        let (Some(dts), Some(pts)) = (buffer.dts_or_pts(), buffer.pts.or(buffer.dts)) else {
            out.dropped("frame without timestamp", buffer.payload.len() as u64, buffer.offset);
            return Ok(());
        };
        if !state.described
            && self.presentation.is_rendition()
            && let Some(codec) = state.codec
            && let Some(stream) = Description::of(codec, state.caps.as_ref(), buffer.payload.slices())
        {
            state.described = true;
            self.presentation.describe(pad.index(), stream);
        }
        let (dts, pts) = (self.lanes.running(pad, dts), self.lanes.running(pad, pts));
        self.lanes.took(pad, dts);
        let key = !state.video || buffer.is_keyframe();
        if leading && self.leader.replace(pad).is_some_and(|before| before != pad) {
            self.segmenter.leader_changed();
        }
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
        let millis = pts.millis() as u32;
        let (pts, dts) = (pts.ticks(TS_HZ), dts.ticks(TS_HZ));
        let key = buffer.is_keyframe();
        muxer.write(stream, buffer.payload.slices(), pts, dts, key).map_err(mux_error)?;
        if let Some(meter) = self.presentation.meter() {
            let kind = self.pads.get(pad.index()).map_or(Kind::Audio, Pad::kind);
            meter.frame(kind, key, buffer.payload.len(), millis);
        }
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
    fn start(&mut self, out: &mut Output) -> Result<()> {
        self.presentation.start(out)
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
        self.lanes.reset();
        Ok(())
    }
}

fn add_stream(muxer: &mut TsMuxer, codec: Codec, language: Option<[u8; 3]>) -> Result<StreamId> {
    muxer.add_stream(&StreamConfig { language, ..StreamConfig::new(codec) }).map_err(mux_error)
}

/// What people call a codec, of those that the pads take.
fn name_of(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "H.264",
        Codec::H265 => "H.265",
        Codec::AacAdts => "AAC",
        Codec::Mpeg1Audio | Codec::Mpeg2Audio => "MPEG audio",
        Codec::Ac3 => "AC-3",
        Codec::Eac3 => "E-AC-3",
        Codec::Opus(_) => "Opus",
        _ => "other",
    }
}

fn mux_error(error: millstream_ts::muxer::MuxError) -> Error {
    Error::unsupported("this cannot be put into a transport stream").caused_by(error)
}

fn same_format(old: &Caps, new: &Caps) -> bool {
    old.media() == new.media() && FORMAT_FIELDS.iter().all(|name| old.get(name) == new.get(name))
}
