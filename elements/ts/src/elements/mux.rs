//! `tsmux`: puts elementary streams into a transport stream.

use bytes::Bytes;
use millstream_core::caps::{field, media};
use millstream_core::inbox::Pick;
use millstream_core::{
    Aggregate, Buffer, BufferFlags, BuildCx, Caps, Element, Error, Factory, Inbox, Item, Need, Output, PadId, PadSet,
    PadTemplate, Result, Segment, StreamInfo, Time, TimeDelta,
};

use super::caps::{self, MUX_AUDIO, MUX_DATA, MUX_VIDEO};
use super::lanes::Lanes;
use super::mux_settings::TsMuxSettings;
use crate::muxer::{MuxError, StreamConfig, StreamId, TsMuxer, TsMuxerSettings};
use crate::packet::PACKET_SIZE;
use crate::psi::Codec;
use crate::timestamp::PTS_HZ;

/// A step back in time that is longer is told as a discontinuity.
const MAX_BACK: TimeDelta = TimeDelta::from_secs(1);

const DETAILS: &str = "\
Waits until every linked pad has its format, or is absent, and writes the streams in the order of their decoding times. \
One program; PAT and PMT before each key frame; a stream that comes late or changes its codec gives the PMT a new version.

- H.264 and H.265 have to be byte streams (`h264parse`), AAC has to be ADTS or LOAS (`aacparse`). Access units without a delimiter get one.
- Timestamps are running times plus `timestamp-offset`.
- The source pad carries 188-byte packets. For UDP set `alignment=7`; for files leave it.";

/// The factory of `tsmux`.
pub(super) fn factory() -> Factory {
    let any = [MUX_VIDEO, MUX_AUDIO, MUX_DATA].join("; ");
    Factory::new::<TsMuxSettings>("tsmux", "Codec/Muxer", "Puts streams into an MPEG transport stream", build)
        .pad(PadTemplate::sink("video", MUX_VIDEO).request().doc("Pictures; they carry the clock."))
        .pad(PadTemplate::sink("audio", MUX_AUDIO).request().doc("Sound."))
        .pad(PadTemplate::sink("video_%u", MUX_VIDEO).request().doc("Further pictures."))
        .pad(PadTemplate::sink("audio_%u", MUX_AUDIO).request().doc("Further sound."))
        .pad(PadTemplate::sink("private_%u", MUX_DATA).request().doc("Metadata, cues and subtitles."))
        .pad(PadTemplate::sink("meta", MUX_DATA).request().doc("The same."))
        .pad(PadTemplate::sink("sink_%u", &any).request().doc("Any of them, as GStreamer names it."))
        .pad(PadTemplate::src("src", "video/mpegts, systemstream=true, packetsize=188"))
        .checked(|settings: &TsMuxSettings| settings.muxer().map(drop))
        .details(DETAILS)
        .example(
            "filesrc location=in.flv ! flvdemux name=d  d.video ! h264parse ! m.video  d.audio ! aacparse ! m.audio  \
             tsmux name=m ! filesink location=out.ts",
        )
}

fn build(settings: TsMuxSettings, cx: &BuildCx) -> Result<Element> {
    if cx.sinks.is_empty() {
        return Err(Error::settings("tsmux has no linked input").hint("link video, audio or both"));
    }
    if cx.sinks.len() > PadSet::MAX_PADS {
        return Err(Error::settings(format!("tsmux takes at most {} streams", PadSet::MAX_PADS)));
    }
    let (muxer, wire) = settings.muxer()?;
    let pace = match settings.alignment {
        -1 => Pace::Blocks(TimeDelta::from_nanos(settings.latency.0)),
        0 => Pace::Units,
        packets => Pace::Packets(packets.unsigned_abs() as usize),
    };
    Ok(Element::Aggregate(Box::new(TsMux {
        muxer,
        pace,
        lanes: Lanes::new(cx.sinks.len()),
        pads: (0..cx.sinks.len()).map(|_| Pad::default()).collect(),
        has_video: false,
        started: false,
        segment_due: true,
        sent: None,
        mark: None,
        waiting_since: None,
        warned_late: false,
        wire,
    })))
}

/// When packets go out.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// In large blocks that wait at most so long.
    Blocks(TimeDelta),
    /// After each unit.
    Units,
    /// So many at a time.
    Packets(usize),
}

struct TsMux {
    muxer: TsMuxer,
    wire: TsMuxerSettings,
    pace: Pace,
    lanes: Lanes,
    pads: Vec<Pad>,
    has_video: bool,
    started: bool,
    /// A segment goes out before the next buffer.
    segment_due: bool,
    /// Decoding time of the last buffer sent.
    sent: Option<Time>,
    /// The first unit that begins in the block under way.
    mark: Option<Mark>,
    /// Since when the block under way has something in it.
    waiting_since: Option<Time>,
    warned_late: bool,
}

#[derive(Default)]
struct Pad {
    codec: Option<Codec>,
    language: Option<[u8; 3]>,
    stream: Option<StreamId>,
}

/// What the buffer of a block says of it.
#[derive(Clone, Copy)]
struct Mark {
    pts: Time,
    dts: Time,
    key: bool,
}

impl Aggregate for TsMux {
    fn step(&mut self, inbox: &mut Inbox, now: Time, out: &mut Output) -> Result<Need> {
        self.grow(inbox.pads());
        loop {
            match self.lanes.choose(inbox) {
                Pick::Next(pad) => {
                    if let Some(item) = inbox.pop(pad) {
                        self.item(pad, item, now, out).map_err(|error| error.on_pad(pad))?;
                    }
                }
                Pick::Need(pads) => return Ok(self.wait(pads, now, out)),
                // Absent pads may come alive.
                Pick::Done if !inbox.is_done() => {
                    return Ok(self.wait((0..inbox.pads() as u16).map(PadId).collect(), now, out));
                }
                Pick::Done => {
                    self.finish(out)?;
                    return Ok(Need::Done);
                }
            }
        }
    }

    fn flush(&mut self, _out: &mut Output) -> Result<()> {
        // What is under way is void; counters go on, so that a receiver sees a loss and not a duplicate.
        self.muxer.flush().map_err(mux_error)?;
        while self.muxer.take_ready().is_some() {}
        self.muxer.force_psi();
        self.lanes.reset();
        (self.mark, self.waiting_since, self.sent, self.segment_due) = (None, None, None, true);
        Ok(())
    }
}

impl TsMux {
    fn grow(&mut self, pads: usize) {
        if self.pads.len() < pads {
            self.pads.resize_with(pads, Pad::default);
            self.lanes.grow(pads);
        }
    }

    /// Asks for input; a block that has waited long enough goes out.
    fn wait(&mut self, pads: PadSet, now: Time, out: &mut Output) -> Need {
        let (Pace::Blocks(latency), Some(since)) = (self.pace, self.waiting_since) else { return Need::Pads(pads) };
        let due = since + latency;
        if now < due {
            return Need::PadsUntil(pads, due);
        }
        self.muxer.make_ready();
        self.send_ready(out);
        (self.mark, self.waiting_since) = (None, None);
        Need::Pads(pads)
    }

    fn item(&mut self, pad: PadId, item: Item, now: Time, out: &mut Output) -> Result<()> {
        match item {
            Item::Buffer(buffer) => return self.buffer(pad, &buffer, now, out),
            Item::Caps(caps) => return self.caps(pad, &caps),
            Item::Segment(segment) => self.lanes.set_segment(pad, segment),
            Item::StreamStart(info) => {
                let code = info.language.as_deref().map(str::as_bytes);
                if let Some(state) = self.pads.get_mut(pad.index()) {
                    state.language = code.and_then(|code| code.try_into().ok());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn caps(&mut self, pad: PadId, caps: &Caps) -> Result<()> {
        let codec = caps::codec_of(caps)?;
        let Some(state) = self.pads.get_mut(pad.index()) else { return Ok(()) };
        if state.codec == Some(codec) {
            return Ok(());
        }
        // A PID cannot change its codec: the stream goes on under another one.
        if let Some(old) = state.stream.take() {
            self.muxer.remove_stream(old).map_err(mux_error)?;
        }
        let config = StreamConfig { language: state.language, ..StreamConfig::new(codec) };
        state.stream = Some(self.muxer.add_stream(&config).map_err(mux_error)?);
        state.codec = Some(codec);
        self.has_video = self.pads.iter().any(|pad| pad.codec.is_some_and(caps::is_video));
        Ok(())
    }

    fn buffer(&mut self, pad: PadId, buffer: &Buffer, now: Time, out: &mut Output) -> Result<()> {
        let Some((codec, stream)) = self.pads.get(pad.index()).and_then(|pad| pad.codec.zip(pad.stream)) else {
            return Err(Error::malformed("media came before its caps"));
        };
        let time = |time: Option<Time>| time.map(|time| self.lanes.running(pad, time));
        let dts = time(buffer.dts_or_pts()).or_else(|| self.lanes.last(pad));
        let Some(dts) = dts else {
            out.dropped("unit without timestamp", buffer.payload.len() as u64, buffer.offset);
            return Ok(());
        };
        let pts = time(buffer.pts).unwrap_or(dts);
        self.lanes.took(pad, dts);
        let key = buffer.is_keyframe();
        let mark = Mark { pts, dts, key: key && (caps::is_video(codec) || !self.has_video) };
        match &mut self.mark {
            Some(first) => first.key |= mark.key,
            None => self.mark = Some(mark),
        }
        let (pts, dts) = (pts.ticks(PTS_HZ as u32), dts.ticks(PTS_HZ as u32));
        if codec.in_sections() {
            self.muxer.write_section(stream, &buffer.payload.contiguous(), dts).map_err(mux_error)?;
        } else {
            self.muxer.write(stream, buffer.payload.slices(), pts, dts, key).map_err(mux_error)?;
        }
        if matches!(self.pace, Pace::Units) {
            self.muxer.make_ready();
        }
        self.drain(mark, now, out);
        self.warn_if_late(out);
        Ok(())
    }

    /// Sends what is full. `last` is the unit that was written last.
    fn drain(&mut self, last: Mark, now: Time, out: &mut Output) {
        if self.send_ready(out) {
            // What is left begins in this unit.
            self.mark = (!self.muxer.is_empty()).then_some(Mark { key: false, ..last });
            self.waiting_since = None;
        }
        if self.waiting_since.is_none() && !self.muxer.is_empty() {
            self.waiting_since = Some(now);
        }
    }

    /// Sends all blocks that are ready; `false` if there was none.
    fn send_ready(&mut self, out: &mut Output) -> bool {
        let mut sent = false;
        while let Some(block) = self.muxer.take_ready() {
            self.send(block, out);
            sent = true;
        }
        sent
    }

    fn send(&mut self, block: Bytes, out: &mut Output) {
        self.begin(out);
        let mut buffer = Buffer::new(block);
        if let Some(mark) = &mut self.mark {
            // Streams that lag a little make no step back in the whole.
            let dts = self.sent.filter(|sent| *sent > mark.dts && sent.since(mark.dts) < MAX_BACK).unwrap_or(mark.dts);
            let back = self.sent.replace(dts).is_some_and(|sent| dts < sent);
            (buffer.pts, buffer.dts) = (Some(mark.pts), Some(dts));
            buffer.flags.set(BufferFlags::DISCONT, back);
            buffer.flags.set(BufferFlags::KEYFRAME, std::mem::take(&mut mark.key));
        }
        out.buffer(PadId::FIRST, buffer);
    }

    fn begin(&mut self, out: &mut Output) {
        if !std::mem::replace(&mut self.started, true) {
            out.push(PadId::FIRST, Item::StreamStart(StreamInfo { id: "mpegts".to_owned(), language: None }.into()));
            let caps =
                Caps::new(media::MPEG_TS).with("systemstream", true).with(field::PACKET_SIZE, PACKET_SIZE as i64);
            out.caps(PadId::FIRST, caps);
        }
        if std::mem::take(&mut self.segment_due) {
            out.push(PadId::FIRST, Item::Segment(Segment::time(Time::ZERO).into()));
        }
    }

    fn warn_if_late(&mut self, out: &mut Output) {
        if self.warned_late || self.muxer.stats().late == 0 {
            return;
        }
        self.warned_late = true;
        let (what, hint) = match self.wire.bitrate {
            Some(rate) => (
                format!("the streams need more than {rate} bit/s: units come after their decoding time"),
                "raise bitrate, or leave it out",
            ),
            None => {
                ("a unit comes after its decoding time".to_owned(), "raise pcr-delay: one input lags behind the others")
            }
        };
        out.warn(Error::limit(what).hint(hint));
    }

    fn finish(&mut self, out: &mut Output) -> Result<()> {
        self.muxer.write_pending().map_err(mux_error)?;
        if let Pace::Packets(packets) = self.pace {
            self.muxer.fill_block(packets);
        }
        self.muxer.flush().map_err(mux_error)?;
        self.send_ready(out);
        self.begin(out);
        out.push(PadId::FIRST, Item::Eos);
        Ok(())
    }
}

fn mux_error(error: MuxError) -> Error {
    Error::unsupported("this cannot be put into a transport stream").caused_by(error)
}
