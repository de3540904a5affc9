//! `flvdemux`: FLV to elementary streams.
//!
//! | file | holds |
//! | --- | --- |
//! | `demux.rs` | the element: bytes in, tags to tracks |
//! | `demux/packets.rs` | packets of a track to items of its pad |
//! | `demux/track.rs` | one track: configuration, caps, pad |
//! | `demux/timeline.rs` | timestamps of all tracks on one timeline |
//! | `demux/streams.rs` | when it is known which tracks there are |
//! | `demux/facts.rs` | what `onMetaData` says, as tags, progress and a seek index |
//! | `demux/script.rs` | script data as a stream of its own |
//! | `demux/sniff.rs` | what a stream that is not FLV looks like |

mod facts;
mod packets;
mod script;
mod sniff;
mod streams;
mod timeline;
mod track;

use bytes::Bytes;
use millstream_core::caps::media;
use millstream_core::item::{SeekTo, SegmentFormat};
use millstream_core::registry::LinkedPad;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Request, Result,
    Segment, Time, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::caps::{AUDIO_SRC_CAPS, VIDEO_SRC_CAPS};
use crate::wire::{BodyError, DropReason, FlvError, FlvReader, Tag, TagKind, parse_audio, parse_video};
use facts::Facts;
use packets::At;
use script::Script;
use streams::Streams;
use timeline::Timeline;
use track::{Codec, Tracks};
pub(crate) use track::{Medium, check_pads, parse_pad};

/// The pad of script data.
const SCRIPT_PAD: &str = "script";
/// Tags handled in one call: enough that the call costs nothing, few enough that little waits downstream.
const TAGS_A_CALL: usize = 64;
/// Warnings about tags that cannot be read, before they are only counted.
const MAX_BODY_WARNINGS: u32 = 4;
/// Media time from which on a step forward is a jump: what ffmpeg takes for one.
const DEFAULT_MAX_GAP: DurationSetting = DurationSetting::from_secs(10);

/// Name of the event that carries a video Metadata packet (`colorInfo`, AMF0) of Enhanced RTMP.
pub const VIDEO_METADATA_EVENT: &str = "flv/video-metadata";
/// Name of the event that carries a MultichannelConfig packet of Enhanced RTMP.
pub const MULTICHANNEL_EVENT: &str = "flv/multichannel-config";

/// What happens where the timestamps of the input jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Timestamps {
    /// The timeline goes on one frame later: a publisher that starts anew, or a gap longer than `max-gap`.
    #[default]
    Continuous,
    /// They go out as they are; where they step back the next buffers say `discont`.
    Original,
}

/// Settings of `flvdemux`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FlvDemuxSettings {
    /// What happens where the timestamps of the input jump, back by more than a second or forth by more than `max-gap`.
    pub timestamps: Timestamps,
    /// A step forward that is longer than this is a jump.
    #[schemars(extend("x-minimum" = "1s"))]
    pub max_gap: DurationSetting,
}

impl Default for FlvDemuxSettings {
    fn default() -> Self {
        Self { timestamps: Timestamps::Continuous, max_gap: DEFAULT_MAX_GAP }
    }
}

/// What is known of `flvdemux`.
pub fn factory() -> Factory {
    Factory::new("flvdemux", "Codec/Demuxer", "Splits FLV into its video, audio and script streams", build)
        .pad(PadTemplate::sink("sink", "video/x-flv; application/octet-stream"))
        .pad(PadTemplate::src("video", VIDEO_SRC_CAPS).sometimes().doc("The picture: video track 0."))
        .pad(PadTemplate::src("audio", AUDIO_SRC_CAPS).sometimes().doc("The sound: audio track 0."))
        .pad(PadTemplate::src("video_%u", VIDEO_SRC_CAPS).sometimes().doc("A video track of Enhanced FLV, by number."))
        .pad(PadTemplate::src("audio_%u", AUDIO_SRC_CAPS).sometimes().doc("An audio track of Enhanced FLV, by number."))
        .pad(
            PadTemplate::src(SCRIPT_PAD, media::FLV_SCRIPT)
                .sometimes()
                .doc("Script data other than `onMetaData`: cue points, timed text; bodies of script tags in AMF0."),
        )
        .checked_pads(|_, srcs| check_pads(srcs))
        .details(DETAILS)
        .example("filesrc location=in.flv ! flvdemux name=d d.video ! fakesink d.audio ! fakesink")
}

const DETAILS: &str = "\
Reads FLV and Enhanced FLV (Enhanced RTMP v2): H.264, HEVC, VVC, AV1, VP8, VP9, AAC, MP3, Opus, AC-3, E-AC-3, FLAC, Speex, G.711 \
and the Flash codecs, many tracks a file, timestamps beyond 2^24 and 2^32 ms. Media bytes are shared, not copied.

- Damaged places are passed over to the next tag that its surroundings confirm; what is left out is counted with the reason, and \
the next buffers say `discont`.
- Frames ahead of their sequence header are dropped and counted.
- The tracks are known when those have started that `onMetaData`, or else the file header, announces; after 3 s of media or 4 MiB nothing \
is waited for any longer, and a track that starts later comes alive then.
- `duration` (milliseconds), `encoder` and the other texts of `onMetaData` go out as tags.
- Seeks by time need the key frame index that `flvmux` and other tools write into `onMetaData`.
- Timestamps that jump (a publisher that starts anew, a pause of hours) are closed unless `timestamps=original`.";

fn build(settings: FlvDemuxSettings, cx: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(Box::new(FlvDemux::new(&settings, &cx.srcs)?)))
}

/// Where the bytes come from.
#[derive(Default)]
struct Input {
    /// First bytes of a stream whose header has not been read, for a hint if it is none.
    head: Option<Bytes>,
    /// Offset that the next bytes have if they do not say.
    offset: u64,
    /// A flush came: the next bytes are from elsewhere.
    flushed: bool,
    /// Bytes have come since the stream started.
    begun: bool,
    /// The end came.
    ended: bool,
}

/// The element.
pub(crate) struct FlvDemux {
    reader: FlvReader,
    input: Input,
    tracks: Tracks,
    script: Option<Script>,
    streams: Streams,
    timeline: Timeline,
    segment: Option<Segment>,
    facts: Facts,
    body_warnings: u32,
}

impl Transform for FlvDemux {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => {
                self.push(buffer.into_inner(), out)?;
                self.run(out)
            }
            Item::Eos => {
                self.reader.finish();
                self.input.ended = true;
                self.run(out)
            }
            Item::StreamStart(_) => {
                self.restart(out)?;
                Ok(Flow::Done)
            }
            Item::Segment(segment) => {
                if segment.format == SegmentFormat::Bytes {
                    self.input.offset = segment.offset;
                }
                Ok(Flow::Done)
            }
            Item::Flush(_) => {
                self.flush();
                out.forward(item);
                Ok(Flow::Done)
            }
            // What the bytes are was known, and how long they are away does not matter.
            Item::Caps(_) | Item::Gap(_) => Ok(Flow::Done),
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
            Request::Seek { to: SeekTo::Time(time), epoch } => match self.facts.seek(time) {
                Some(offset) => out.request_all(Request::Seek { to: SeekTo::Byte(offset), epoch }),
                None => out.warn(
                    Error::unsupported("this FLV has no key frame index: it can only be played from the start")
                        .hint("write it again with flvmux, which adds an index"),
                ),
            },
            request => out.request_all(request),
        }
        Ok(())
    }
}

impl FlvDemux {
    /// A demuxer whose source pads are these.
    pub(crate) fn new(settings: &FlvDemuxSettings, srcs: &[LinkedPad]) -> Result<Self> {
        let max_gap_ms = Time::from_nanos(settings.max_gap.as_nanos()).millis().max(0);
        let script = srcs.iter().find(|pad| pad.name == SCRIPT_PAD);
        Ok(Self {
            reader: FlvReader::new(),
            input: Input::default(),
            tracks: Tracks::of_pads(srcs)?,
            script: script.map(|pad| Script::new(pad.id)),
            streams: Streams::default(),
            timeline: Timeline::new(settings.timestamps == Timestamps::Continuous, max_gap_ms),
            segment: None,
            facts: Facts::default(),
            body_warnings: 0,
        })
    }

    /// Takes bytes of the input.
    fn push(&mut self, buffer: Buffer, out: &mut Output) -> Result<()> {
        let offset = buffer.offset.unwrap_or(self.input.offset);
        let hole = buffer.flags.contains(BufferFlags::DISCONT) && self.input.begun;
        if std::mem::take(&mut self.input.flushed) || hole {
            self.jump(offset, out)?;
        }
        self.input.begun = true;
        self.input.offset = offset.saturating_add(buffer.payload.len() as u64);
        for slice in buffer.payload.slices() {
            if self.reader.header().is_none() && self.input.head.is_none() {
                self.input.head = Some(slice.clone());
            }
            self.reader.push(slice.clone());
        }
        Ok(())
    }

    /// The bytes that come next are not those behind the last ones.
    fn jump(&mut self, offset: u64, out: &mut Output) -> Result<()> {
        self.drain(out)?;
        if offset == 0 {
            self.reader = FlvReader::new();
        } else {
            self.reader.resume(offset);
        }
        self.tracks.break_all();
        Ok(())
    }

    /// A stream starts, perhaps a second one on this pad.
    fn restart(&mut self, out: &mut Output) -> Result<()> {
        if std::mem::take(&mut self.input.begun) {
            self.drain(out)?;
            self.reader = FlvReader::new();
            self.tracks.break_all();
        }
        self.input = Input::default();
        Ok(())
    }

    fn flush(&mut self) {
        self.reader.resume(0);
        self.input.flushed = true;
        self.input.ended = false;
        self.timeline.reset();
        self.segment = None;
        if let Some(script) = &mut self.script {
            script.flush();
        }
        for track in &mut self.tracks.0 {
            (track.has_segment, track.discont, track.position) = (false, true, Default::default());
        }
    }

    /// Delivers what can be read of bytes behind which no others come.
    fn drain(&mut self, out: &mut Output) -> Result<()> {
        self.reader.finish();
        while let Some(tag) = self.next_tag(out)? {
            self.tag(&tag, out);
        }
        Ok(())
    }

    /// Handles some tags.
    fn run(&mut self, out: &mut Output) -> Result<Flow> {
        for _ in 0..TAGS_A_CALL {
            match self.next_tag(out)? {
                Some(tag) => self.tag(&tag, out),
                None if self.input.ended => {
                    self.finish(out)?;
                    return Ok(Flow::Done);
                }
                None => return Ok(Flow::Done),
            }
        }
        Ok(Flow::More)
    }

    #[inline]
    fn next_tag(&mut self, out: &mut Output) -> Result<Option<Tag>> {
        let tag = self.reader.next().map_err(|error| self.not_flv(&error))?;
        if self.input.head.is_some() && self.reader.header().is_some() {
            self.input.head = None;
            self.facts.header_read(self.reader.header());
        }
        while let Some(dropped) = self.reader.next_dropped() {
            out.dropped(drop_reason(dropped.reason), dropped.bytes, Some(dropped.offset));
            if matches!(dropped.reason, DropReason::Damaged | DropReason::Encrypted) {
                self.tracks.break_all();
            }
        }
        Ok(tag)
    }

    #[cold]
    fn not_flv(&self, error: &FlvError) -> Error {
        let FlvError::Signature { offset, .. } = error;
        let head = self.input.head.as_deref().unwrap_or_default();
        Error::malformed("the input is not FLV").at(*offset).hint(sniff::hint(head))
    }

    /// The end of the input.
    fn finish(&mut self, out: &mut Output) -> Result<()> {
        self.input.ended = false;
        self.complete(out);
        if self.reader.header().is_none() && self.reader.stats().tags == 0 {
            let message = "the input ended before an FLV header";
            let head = self.input.head.as_deref().unwrap_or_default();
            return Err(Error::malformed(message).at(0).hint(sniff::hint(head)));
        }
        out.forward(Item::Eos);
        Ok(())
    }

    #[inline]
    fn tag(&mut self, tag: &Tag, out: &mut Output) {
        let at = At { timestamp: tag.timestamp, offset: tag.offset, bytes: tag.body.len() };
        match tag.kind {
            TagKind::Video => match parse_video(&tag.body) {
                Ok(video) => {
                    for packet in video.packets {
                        let codec = Codec::Video(packet.codec);
                        self.packet(Medium::Video, packet.track_id, codec, packet.kind, packet.payload, at, out);
                    }
                    self.unknown_tracks(video.unknown_tracks, at, out);
                }
                Err(error) => self.unreadable(Medium::Video, &error, at, out),
            },
            TagKind::Audio => match parse_audio(&tag.body) {
                Ok(audio) => {
                    for packet in audio.packets {
                        let codec = Codec::Audio(packet.codec, audio.sound);
                        self.packet(Medium::Audio, packet.track_id, codec, packet.kind, packet.payload, at, out);
                    }
                    self.unknown_tracks(audio.unknown_tracks, at, out);
                }
                Err(error) => self.unreadable(Medium::Audio, &error, at, out),
            },
            TagKind::Script | TagKind::ScriptAmf3 => self.script(tag, at, out),
        }
    }

    fn check_complete(&mut self, out: &mut Output) {
        if !self.streams.is_complete()
            && streams::all_started(&self.tracks, self.reader.header(), self.facts.metadata())
        {
            self.complete(out);
        }
    }

    fn complete(&mut self, out: &mut Output) {
        if !self.streams.is_complete() {
            self.streams.complete();
            out.streams_complete();
        }
    }

    #[cold]
    fn unreadable(&mut self, medium: Medium, error: &BodyError, at: At, out: &mut Output) {
        let reason = match medium {
            Medium::Video => "video tag that cannot be read",
            Medium::Audio => "audio tag that cannot be read",
        };
        self.tracks.break_medium(medium);
        out.dropped(reason, at.bytes as u64, Some(at.offset));
        self.warn(Error::malformed(format!("{reason}: {error}")).at(at.offset), out);
    }

    fn unknown_tracks(&mut self, tracks: u32, at: At, out: &mut Output) {
        if tracks > 0 {
            out.dropped("track of an unknown codec", 0, Some(at.offset));
        }
    }
}

fn drop_reason(reason: DropReason) -> &'static str {
    match reason {
        DropReason::UnknownTagType(_) => "tag of an unknown type",
        DropReason::Encrypted => "encrypted tag",
        DropReason::Damaged => "damaged bytes",
        DropReason::CutTail => "tag cut off at the end",
    }
}
