//! One sink pad of the muxer and the track that it becomes.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::caps::media;
use millstream_core::item::Segment;
use millstream_core::registry::LinkedPad;
use millstream_core::{Buffer, Caps, Error, Result, Time, TimeDelta};

use crate::caps::{AudioFormat, VideoFormat};
use crate::demux::{Medium, parse_pad};
use crate::wire::{HeaderForm, PacketKind, TagKind, VideoCodec, write_audio_header, write_video_header};

/// A longer distance between two frames says nothing about how long the last one lasts.
const MAX_FRAME_MS: i64 = 1000;

/// Nanoseconds in a millisecond.
const NANOS_A_MS: i64 = 1_000_000;

/// What a pad is for, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Media(Medium, u8),
    Script,
}

/// The format of a track, from its caps.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Format {
    Video(VideoFormat),
    Audio(AudioFormat),
    Script,
}

impl Format {
    /// The sequence header that has to stand ahead of the frames, if it is known.
    pub(super) fn config(&self) -> Option<&Bytes> {
        match self {
            Self::Video(format) if is_vp6(format) => None,
            Self::Video(format) => format.config.as_ref(),
            Self::Audio(format) => format.config.as_ref(),
            Self::Script => None,
        }
    }

    /// Same codec and configuration: nothing that a player has to be told of.
    fn is_same_stream(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Video(a), Self::Video(b)) => a.codec == b.codec && a.config == b.config,
            (Self::Audio(a), Self::Audio(b)) => a.codec == b.codec && a.config == b.config && a.sound == b.sound,
            (Self::Script, Self::Script) => true,
            _ => false,
        }
    }
}

fn is_vp6(format: &VideoFormat) -> bool {
    matches!(format.codec, VideoCodec::Vp6 | VideoCodec::Vp6Alpha)
}

/// Times of a frame as the muxer writes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Times {
    /// Decoding time in milliseconds of the file, not negative.
    pub(super) dts_ms: i64,
    /// Presentation minus decoding time.
    pub(super) composition_time_ms: i32,
    /// What is left of the presentation time below a millisecond, nanoseconds.
    pub(super) nano_offset: u32,
}

/// A pad and its track.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) role: Role,
    pub(super) format: Option<Format>,
    segment: Option<Arc<Segment>>,
    /// The sequence header has to be written ahead of the next frame.
    pub(super) owes_config: bool,
    /// Media bytes written.
    pub(super) bytes: u64,
    /// Decoding time of the last frame.
    pub(super) last_ms: Option<i64>,
    interval_ms: i64,
}

impl Track {
    /// The tracks of the linked pads, in their order.
    pub(super) fn of_pads(pads: &[LinkedPad]) -> Result<Vec<Self>> {
        let mut tracks: Vec<Self> = Vec::with_capacity(pads.len());
        for pad in pads {
            let role = match pad.name.as_str() {
                "script" => Role::Script,
                name => parse_pad(name).map(|(medium, id)| Role::Media(medium, id))?,
            };
            tracks.push(Self::new(role));
        }
        Ok(tracks)
    }

    fn new(role: Role) -> Self {
        Self { role, format: None, segment: None, owes_config: false, bytes: 0, last_ms: None, interval_ms: 0 }
    }

    /// Takes caps.
    pub(super) fn set_caps(&mut self, caps: &Caps) -> Result<()> {
        let format = match self.role {
            Role::Media(Medium::Video, _) => Format::Video(VideoFormat::from_caps(caps)?),
            Role::Media(Medium::Audio, _) => Format::Audio(AudioFormat::from_caps(caps)?),
            Role::Script if caps.media() == media::FLV_SCRIPT => Format::Script,
            Role::Script => return Err(Error::unsupported(format!("{caps} is no script data of FLV"))),
        };
        self.check_track_number(&format)?;
        if self.format.as_ref().is_none_or(|own| !own.is_same_stream(&format)) {
            self.owes_config = true;
        }
        self.format = Some(format);
        Ok(())
    }

    /// Tracks beside the first need a codec with a FourCC.
    fn check_track_number(&self, format: &Format) -> Result<()> {
        let (fourcc, name) = match format {
            Format::Video(format) => (format.codec.fourcc(), format.codec.name()),
            Format::Audio(format) => (format.codec.fourcc(), format.codec.name()),
            Format::Script => return Ok(()),
        };
        match self.role {
            Role::Media(medium, id) if id != 0 && fourcc.is_none() => {
                Err(Error::unsupported(format!("{name} can only be {} track 0 of an FLV", medium.name()))
                    .hint("Enhanced FLV carries H.264, HEVC, VVC, AV1, VP8, VP9, AAC, MP3, Opus, AC-3, E-AC-3 and FLAC in further tracks"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn set_segment(&mut self, segment: Arc<Segment>) {
        self.segment = Some(segment);
    }

    /// Running time of a timestamp.
    #[inline]
    pub(super) fn running_time(&self, time: Time) -> Time {
        self.segment.as_ref().map_or(time, |segment| segment.running_time(time))
    }

    /// What has to be added to a running time to have the timestamp again.
    pub(super) fn origin(&self) -> Option<(Time, Time)> {
        self.segment.as_ref().map(|segment| (segment.start, segment.base))
    }

    /// The times to write for a buffer whose running time is shifted by `shift`; `None` if it has no time at all.
    #[inline]
    pub(super) fn times(&self, buffer: &Buffer, shift: TimeDelta, nanos: bool) -> Option<Times> {
        let place = |time: Time| self.running_time(time) + shift;
        let last = self.last_ms.map(Time::from_millis);
        let dts = buffer.dts_or_pts().map(place).or(last)?;
        let pts = buffer.pts.map_or(dts, place);
        // A codec whose tags carry no composition time is shown when it is decoded: what counts is the presentation.
        let dts = if self.carries_composition_time() { dts } else { pts };
        // With a nanosecond offset, which is never negative, milliseconds are rounded down: on all tracks, for the sake of their order.
        let millis = |time: Time| if nanos { time.nanos().div_euclid(NANOS_A_MS) } else { time.millis() };
        let (dts_ms, pts_ms) = (millis(dts).max(0), millis(pts));
        let nano_offset = if nanos && self.has_fourcc() { pts.nanos().rem_euclid(NANOS_A_MS) as u32 } else { 0 };
        let limit = 1 << 23;
        let composition_time_ms = pts_ms.saturating_sub(dts_ms).clamp(-limit, limit - 1) as i32;
        Some(Times { dts_ms, composition_time_ms, nano_offset })
    }

    /// The codec can have the extended header, and with it a nanosecond offset.
    fn has_fourcc(&self) -> bool {
        match &self.format {
            Some(Format::Video(format)) => format.codec.fourcc().is_some(),
            Some(Format::Audio(format)) => format.codec.fourcc().is_some(),
            Some(Format::Script) | None => false,
        }
    }

    fn carries_composition_time(&self) -> bool {
        matches!(&self.format, Some(Format::Video(format)) if format.codec.has_composition_time())
    }

    /// Takes note of a frame that was written, and gives the end of its presentation.
    pub(super) fn wrote(&mut self, times: Times, buffer: &Buffer) -> i64 {
        let interval = self.last_ms.map_or(0, |last| times.dts_ms.saturating_sub(last));
        if (1..=MAX_FRAME_MS).contains(&interval) {
            self.interval_ms = interval;
        }
        self.last_ms = Some(times.dts_ms);
        self.bytes = self.bytes.saturating_add(buffer.payload.len() as u64);
        let lasts = buffer.duration.map_or(self.interval_ms, |duration| duration.millis().max(0));
        times.dts_ms.saturating_add(times.composition_time_ms.into()).saturating_add(lasts)
    }

    /// Appends what stands ahead of a payload in a tag body, and says which tag it is.
    #[inline]
    pub(super) fn header(&self, kind: PacketKind, form: HeaderForm, out: &mut Vec<u8>) -> Result<TagKind> {
        let Role::Media(_, id) = self.role else { return Ok(TagKind::Script) };
        let written = match &self.format {
            Some(Format::Video(format)) => {
                let written = write_video_header(id, format.codec, kind, form, out);
                if is_vp6(format) {
                    out.push(format.config.as_ref().and_then(|config| config.first().copied()).unwrap_or(0));
                }
                written.map(|()| TagKind::Video)
            }
            Some(Format::Audio(format)) => {
                write_audio_header(id, format.codec, kind, format.sound, form, out).map(|()| TagKind::Audio)
            }
            Some(Format::Script) | None => return Err(Error::bug("a frame ahead of its caps")),
        };
        written.map_err(|error| Error::unsupported("FLV cannot express this packet").caused_by(error))
    }
}
