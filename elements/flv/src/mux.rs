//! `flvmux`: elementary streams to FLV.
//!
//! | file | holds |
//! | --- | --- |
//! | `mux.rs` | the element: settings, interleaving, times |
//! | `mux/write.rs` | what is written: head, tags, end |
//! | `mux/track.rs` | one pad: format, times, tag headers |
//! | `mux/head.rs` | `onMetaData` |
//! | `mux/batch.rs` | tags on their way into output buffers |

mod batch;
mod head;
mod track;
mod write;

use bytes::Bytes;
use millstream_core::caps::media;
use millstream_core::inbox::PadState;
use millstream_core::item::Custom;
use millstream_core::registry::LinkedPad;
use millstream_core::settings::units::ByteSize;
use millstream_core::{
    Aggregate, Buffer, BufferFlags, BuildCx, Caps, Element, Error, Factory, Inbox, Item, Need, Output, PadId, PadSet,
    PadTemplate, Result, Segment, StreamInfo, Time, TimeDelta,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::caps::{AUDIO_SINK_CAPS, VIDEO_SINK_CAPS};
use crate::demux::{MULTICHANNEL_EVENT, Medium, VIDEO_METADATA_EVENT, check_pads};
use crate::wire::{FlvWriter, HeaderForm, KeyframeIndex, MetaDataSlot, PacketKind};
use batch::Batch;
use head::Known;
use track::{Role, Times, Track};

/// Bytes in an output buffer when a file is written: large enough that a buffer costs nothing, small enough that little
/// of the input is held.
const FILE_BATCH: u64 = 256 << 10;
/// Most bytes in an output buffer.
const MAX_BATCH: u64 = 16 << 20;
/// Index entries when the user does not say: an hour of a key frame every two seconds, in 32 KiB. A fuller index is thinned.
const DEFAULT_INDEX: u32 = 1800;
/// Most index entries; each takes 18 bytes of a tag of 16 MiB.
const MAX_INDEX: u32 = 100_000;
/// Output buffers of one call: few enough that little waits downstream.
const BUFFERS_A_CALL: usize = 64;
/// Events kept until the head is written; real streams have one or two a track.
const MAX_EARLY_EVENTS: usize = 256;

/// Which time is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuxTimestamps {
    /// Running time: a file begins at 0, wherever the timestamps of its source began.
    #[default]
    Running,
    /// The timestamps of the source. Where a segment follows another, time goes on as running time does.
    Keep,
}

/// Which tag headers are written where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TagHeaders {
    /// The old form for the old codecs, which every player reads, Enhanced FLV for the new ones.
    #[default]
    Auto,
    /// Enhanced FLV for every codec that has a FourCC, H.264 and AAC included.
    Enhanced,
    /// As `auto`, but HEVC as codec id 12: the unofficial form of older Chinese players.
    HevcId12,
}

impl TagHeaders {
    fn form(self) -> HeaderForm {
        match self {
            Self::Auto => HeaderForm::Auto,
            Self::Enhanced => HeaderForm::Extended,
            Self::HevcId12 => HeaderForm::HevcAlias,
        }
    }
}

/// Settings of `flvmux`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FlvMuxSettings {
    /// Write for a player that reads while it is written: no duration, size and index, and nothing is put right at the end.
    pub streamable: bool,
    /// Key frames in the index at most; 0 for no index. Room for it is left at the start of the file (18 bytes each).
    #[schemars(range(max = 100_000))]
    pub index: u32,
    /// Bytes to gather in an output buffer; 0 for each tag in a buffer of its own, as live relays want it. Not set: 256KiB
    /// for a file, 0 for anything else.
    #[schemars(extend("x-maximum" = "16MiB"))]
    pub batch: Option<ByteSize>,
    /// Which time is written.
    pub timestamps: MuxTimestamps,
    /// Which tag headers are written where there is a choice.
    pub headers: TagHeaders,
    /// Write presentation times to the nanosecond (Enhanced FLV, ModEx). Players that do not know it show nothing.
    pub nanoseconds: bool,
}

impl Default for FlvMuxSettings {
    fn default() -> Self {
        Self {
            streamable: false,
            index: DEFAULT_INDEX,
            batch: None,
            timestamps: MuxTimestamps::Running,
            headers: TagHeaders::Auto,
            nanoseconds: false,
        }
    }
}

/// What is known of `flvmux`.
pub fn factory() -> Factory {
    Factory::new("flvmux", "Codec/Muxer", "Puts video, audio and script streams into an FLV file or stream", build)
        .pad(PadTemplate::sink("video", VIDEO_SINK_CAPS).request().doc("The picture: video track 0."))
        .pad(PadTemplate::sink("audio", AUDIO_SINK_CAPS).request().doc("The sound: audio track 0."))
        .pad(PadTemplate::sink("video_%u", VIDEO_SINK_CAPS).request().doc("A video track of Enhanced FLV, by number."))
        .pad(PadTemplate::sink("audio_%u", AUDIO_SINK_CAPS).request().doc("An audio track of Enhanced FLV, by number."))
        .pad(PadTemplate::sink("script", media::FLV_SCRIPT).request().doc("Bodies of script tags in AMF0."))
        .pad(PadTemplate::src("src", media::FLV).random_write())
        .checked_pads(|sinks, _| check_pads(sinks))
        .details(DETAILS)
        .example(
            "filesrc location=in.flv ! flvdemux name=d flvmux name=m ! filesink location=out.flv d.video ! m.video \
             d.audio ! m.audio",
        )
}

const DETAILS: &str = "\
Writes FLV, and Enhanced FLV (Enhanced RTMP v2) for HEVC, VVC, AV1, VP8, VP9, Opus, AC-3, E-AC-3, FLAC and tracks beside the first. \
H.264 comes as `stream-format=avc`, AAC as `stream-format=raw`: put `h264parse` or `aacparse` ahead where it does not.

- Tags are interleaved by decoding time. The header waits until every linked pad has caps or is absent.
- Where the sink can rewrite what it wrote, duration, size, data rates and an index of the key frames are filled into `onMetaData` \
at the end; otherwise, and with `streamable=true`, they are left out.
- A sequence header is written when caps bring another `codec_data`.
- Times are milliseconds: decoding and presentation time are rounded each, so no error adds up. Beyond 2^32 ms they wrap.";

fn build(settings: FlvMuxSettings, cx: &BuildCx) -> Result<Element> {
    let random_write = cx.srcs.first().is_some_and(|pad| pad.random_write);
    Ok(Element::Aggregate(Box::new(FlvMux::new(&settings, &cx.sinks, random_write)?)))
}

/// What was written at the start of the file.
struct Head {
    has_audio: bool,
    has_video: bool,
    /// Where `onMetaData` stands, if it fitted.
    slot: Option<MetaDataSlot>,
}

/// The element.
pub(crate) struct FlvMux {
    form: HeaderForm,
    nanos: bool,
    keep: bool,
    streamable: bool,
    /// The head is put right at the end.
    rewrites: bool,
    random_write: bool,
    tracks: Vec<Track>,
    writer: FlvWriter,
    batch: Batch,
    /// For the bytes ahead of a payload.
    scratch: Vec<u8>,
    head: Option<Head>,
    index: KeyframeIndex,
    index_entries: usize,
    known: Known,
    /// What is added to running time.
    shift: Option<TimeDelta>,
    first_ms: Option<i64>,
    /// Decoding time of the last tag.
    latest_ms: i64,
    /// End of the presentation.
    end_ms: i64,
    /// Events ahead of the head, which stand behind the sequence headers.
    early_events: Vec<(PadId, PacketKind, Bytes)>,
    /// Buffers sent in this call.
    sent: usize,
}

enum Choice {
    Next(PadId),
    Need(PadSet),
    Done,
}

impl Aggregate for FlvMux {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        out.push(PadId::FIRST, Item::StreamStart(StreamInfo { id: "flv".to_owned(), language: None }.into()));
        out.caps(PadId::FIRST, Caps::new(media::FLV));
        let segment = if self.random_write { Segment::bytes(0) } else { Segment::time(Time::ZERO) };
        out.push(PadId::FIRST, Item::Segment(segment.into()));
        Ok(())
    }

    fn step(&mut self, inbox: &mut Inbox, _: Time, out: &mut Output) -> Result<Need> {
        self.sent = 0;
        while self.sent < BUFFERS_A_CALL {
            match self.choose(inbox) {
                Choice::Next(pad) => {
                    if let Some(item) = inbox.pop(pad) {
                        self.item(pad, item, out).map_err(|error| error.on_pad(pad))?;
                    }
                }
                Choice::Need(pads) => return Ok(Need::Pads(pads)),
                Choice::Done if inbox.is_done() => {
                    self.finish(out)?;
                    return Ok(Need::Done);
                }
                Choice::Done => return Ok(Need::Pads((0..inbox.pads() as u16).map(PadId).collect())),
            }
        }
        Ok(Need::Again)
    }

    fn flush(&mut self, out: &mut Output) -> Result<()> {
        // What is written is written; what comes next goes on behind it.
        self.batch.flush(out);
        self.shift = None;
        Ok(())
    }
}

impl FlvMux {
    /// A muxer whose sink pads are these; its output can be rewritten or not.
    pub(crate) fn new(settings: &FlvMuxSettings, sinks: &[LinkedPad], random_write: bool) -> Result<Self> {
        let batch = settings.batch.unwrap_or(ByteSize(if random_write { FILE_BATCH } else { 0 })).0.min(MAX_BATCH);
        let rewrites = random_write && !settings.streamable;
        let index = if rewrites { settings.index.min(MAX_INDEX) as usize } else { 0 };
        Ok(Self {
            form: settings.headers.form(),
            nanos: settings.nanoseconds,
            keep: settings.timestamps == MuxTimestamps::Keep,
            streamable: settings.streamable,
            rewrites,
            random_write,
            tracks: Track::of_pads(sinks)?,
            writer: FlvWriter::new(),
            batch: Batch::new(batch as usize),
            scratch: Vec::with_capacity(64),
            head: None,
            index: KeyframeIndex::new(index),
            index_entries: index,
            known: Known::default(),
            shift: None,
            first_ms: None,
            latest_ms: 0,
            end_ms: 0,
            early_events: Vec::new(),
            sent: 0,
        })
    }

    /// As [`Inbox::pick`], by running time: the pads may be on different segments.
    #[inline]
    fn choose(&self, inbox: &Inbox) -> Choice {
        let mut need = PadSet::empty();
        let mut best: Option<(Option<Time>, PadId)> = None;
        for (index, track) in (0_u16..).zip(&self.tracks) {
            let pad = PadId(index);
            match inbox.peek(pad) {
                None if inbox.state(pad) == PadState::Open => need.insert(pad),
                None => {}
                Some(item @ (Item::Buffer(_) | Item::Gap(_))) => {
                    let time = item.dts_or_pts().map(|time| track.running_time(time));
                    if best.is_none_or(|(earliest, _)| time < earliest) {
                        best = Some((time, pad));
                    }
                }
                Some(_) => return Choice::Next(pad),
            }
        }
        match best {
            _ if !need.is_empty() => Choice::Need(need),
            Some((_, pad)) => Choice::Next(pad),
            None => Choice::Done,
        }
    }

    #[inline]
    fn item(&mut self, pad: PadId, item: Item, out: &mut Output) -> Result<()> {
        let Some(track) = self.tracks.get_mut(pad.index()) else {
            return Err(Error::bug("an input that flvmux was not built with"));
        };
        match item {
            Item::Buffer(buffer) => return self.buffer(pad, &buffer, out),
            Item::Caps(caps) => track.set_caps(&caps)?,
            Item::Segment(segment) => track.set_segment(segment),
            Item::Tags(tags) => self.known.learn(&tags),
            Item::Custom(event) => self.event(pad, &event, out)?,
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn buffer(&mut self, pad: PadId, buffer: &Buffer, out: &mut Output) -> Result<()> {
        let shift = match self.shift {
            Some(shift) => shift,
            None => self.begin_timeline(pad, buffer),
        };
        let Some(track) = self.tracks.get(pad.index()) else { return Ok(()) };
        if track.format.is_none() {
            return Err(Error::unsupported("media came ahead of its caps")
                .hint("put a parser or caps ahead of flvmux, so that it knows the codec"));
        }
        let Some(times) = track.times(buffer, shift, self.nanos) else {
            out.dropped("buffer without a time", buffer.payload.len() as u64, buffer.offset);
            return Ok(());
        };
        if self.head.is_none() {
            self.write_head(times.dts_ms, out)?;
        }
        let Some(track) = self.tracks.get(pad.index()) else { return Ok(()) };
        if track.owes_config {
            self.late_config(pad, buffer, times.dts_ms, out)?;
        }
        self.frame(pad, buffer, times, out)
    }

    /// The first media, or the first behind a seek: which time it has in the file.
    #[cold]
    fn begin_timeline(&mut self, pad: PadId, buffer: &Buffer) -> TimeDelta {
        let track = self.tracks.get(pad.index());
        let running = buffer.dts_or_pts().zip(track).map(|(time, track)| track.running_time(time)).unwrap_or_default();
        let shift = match (self.first_ms, track.and_then(Track::origin)) {
            // Behind what was written.
            (Some(_), _) => Time::from_millis(self.end_ms).since(running),
            (None, Some((start, base))) if self.keep => start.since(base),
            (None, _) => TimeDelta::ZERO,
        };
        // No file begins ahead of zero.
        let shift = shift + Time::ZERO.since(running + shift).max(TimeDelta::ZERO);
        self.shift = Some(shift);
        shift
    }

    #[inline]
    fn frame(&mut self, pad: PadId, buffer: &Buffer, times: Times, out: &mut Output) -> Result<()> {
        let Some(track) = self.tracks.get(pad.index()) else { return Ok(()) };
        let key = buffer.is_keyframe();
        let (video, first) = match track.role {
            Role::Media(medium, id) => (medium == Medium::Video, id == 0),
            Role::Script => (false, false),
        };
        let starts = key && first && (video || !self.has(Medium::Video));
        let mut flags = BufferFlags::empty();
        flags.set(BufferFlags::KEYFRAME, starts);
        flags.set(BufferFlags::DISCONT, buffer.flags.contains(BufferFlags::DISCONT));
        let kind = PacketKind::Frame {
            key: key || !video,
            composition_time_ms: times.composition_time_ms,
            nano_offset: times.nano_offset,
        };
        let offset = self.tag(pad, kind, times.dts_ms, flags, buffer.payload.slices(), out)?;
        let Some(offset) = offset else { return Ok(()) };
        if starts && video {
            self.index.push(times.dts_ms, offset);
        }
        self.first_ms.get_or_insert(times.dts_ms);
        if let Some(track) = self.tracks.get_mut(pad.index()) {
            self.end_ms = self.end_ms.max(track.wrote(times, buffer));
        }
        Ok(())
    }

    /// What `flvdemux` read beside frames and sequence headers.
    #[cold]
    fn event(&mut self, pad: PadId, event: &Custom, out: &mut Output) -> Result<()> {
        let kind = match event.name.as_str() {
            VIDEO_METADATA_EVENT => PacketKind::Metadata,
            MULTICHANNEL_EVENT => PacketKind::MultichannelConfig,
            _ => return Ok(()),
        };
        if self.head.is_some() {
            return self.beside(pad, kind, &event.data, out);
        }
        if self.early_events.len() < MAX_EARLY_EVENTS {
            self.early_events.push((pad, kind, event.data.clone()));
        }
        Ok(())
    }
}
