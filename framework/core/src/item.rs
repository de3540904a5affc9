//! What travels on a link: items downstream, requests upstream.

use std::sync::Arc;

use bytes::Bytes;

use crate::boxed::BufferBox;
use crate::buffer::Buffer;
use crate::caps::Caps;
use crate::time::{Time, TimeDelta};

/// Everything that goes downstream, in order.
///
/// A tag and one word in every variant: an item travels in two registers, so that a hop costs next to nothing. Whatever
/// is larger sits behind a pointer; a variant with a narrower value would put every item back into memory.
#[derive(Clone, Debug)]
pub enum Item {
    /// Media.
    Buffer(BufferBox),
    /// A new stream begins on this pad; first item of every stream, before its caps.
    StreamStart(Arc<StreamInfo>),
    /// The format of the buffers that follow.
    Caps(Caps),
    /// The timeline of the buffers that follow.
    Segment(Arc<Segment>),
    /// Nothing on this pad for a while: lets a muxer go on without waiting.
    Gap(Box<Gap>),
    /// Descriptive metadata.
    Tags(Arc<Tags>),
    /// An event that only some elements understand; the others pass it on.
    Custom(Arc<Custom>),
    /// What is under way is void: elements drop what they hold and start over. Overtakes data.
    Flush(u64),
    /// This linked pad has no stream: whoever waits for it should not. Ends when a stream starts after all.
    Absent,
    /// No more items on this pad.
    Eos,
}

const _: () = assert!(size_of::<Item>() == 16, "inline items cost four times as much a hop");

impl Item {
    /// A buffer item.
    #[inline]
    pub fn buffer(buffer: Buffer) -> Self {
        Self::Buffer(BufferBox::new(buffer))
    }

    /// One word for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Buffer(_) => "buffer",
            Self::StreamStart(_) => "stream-start",
            Self::Caps(_) => "caps",
            Self::Segment(_) => "segment",
            Self::Gap(_) => "gap",
            Self::Tags(_) => "tags",
            Self::Custom(_) => "custom",
            Self::Flush(_) => "flush",
            Self::Absent => "absent",
            Self::Eos => "eos",
        }
    }

    /// True for what a late or restarted element must hear first: stream start, caps, segment, tags.
    pub fn is_sticky(&self) -> bool {
        matches!(self, Self::StreamStart(_) | Self::Caps(_) | Self::Segment(_) | Self::Tags(_))
    }

    /// Media bytes in the item.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Buffer(b) => b.payload.len(),
            _ => 0,
        }
    }

    /// The time that orders items of several streams: a buffer's `dts` or `pts`, a gap's start.
    pub fn dts_or_pts(&self) -> Option<Time> {
        match self {
            Self::Buffer(b) => b.dts_or_pts(),
            Self::Gap(g) => Some(g.start),
            _ => None,
        }
    }
}

/// Who a stream is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StreamInfo {
    /// Name that is stable for the same stream of the same input, such as `audio_1` or a PID.
    pub id: String,
    /// ISO 639-2 language, where the container says so.
    pub language: Option<String>,
}

/// Unit of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentFormat {
    /// Buffers carry timestamps.
    Time,
    /// Buffers are pieces of a byte stream; a segment that starts at an earlier offset rewrites that part.
    Bytes,
}

/// A timeline: how the timestamps that follow map to running time.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Unit of `start`.
    pub format: SegmentFormat,
    /// Timestamp that corresponds to `base` in a [`SegmentFormat::Time`] segment.
    pub start: Time,
    /// First byte offset in a [`SegmentFormat::Bytes`] segment.
    pub offset: u64,
    /// Running time at `start`.
    pub base: Time,
}

impl Segment {
    /// A time segment in which running time equals timestamp minus `start`.
    pub fn time(start: Time) -> Self {
        Self { format: SegmentFormat::Time, start, offset: 0, base: Time::ZERO }
    }

    /// A byte segment that goes on, or rewrites, from `offset`.
    pub fn bytes(offset: u64) -> Self {
        Self { format: SegmentFormat::Bytes, start: Time::ZERO, offset, base: Time::ZERO }
    }

    /// Running time of a timestamp.
    pub fn running_time(&self, timestamp: Time) -> Time {
        self.base + timestamp.since(self.start)
    }
}

/// A stretch without data.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    /// Where it begins, on the segment's timeline.
    pub start: Time,
    /// How long it lasts, if known.
    pub duration: Option<TimeDelta>,
}

/// Descriptive metadata: names in GStreamer's tag vocabulary (`title`, `encoder`, `duration` ...) and text values.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tags(pub Vec<(String, String)>);

/// An event outside the common vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// What it is, such as `amf/onCuePoint` or `scte35/splice`.
    pub name: String,
    /// Its encoded form.
    pub data: Bytes,
}

/// Everything that goes upstream.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The next picture should be one where decoding can start.
    KeyFrame,
    /// Encode at this many bits a second.
    Bitrate(u64),
    /// Go on from a position. The source answers with `Flush(epoch)`, a segment and data.
    Seek {
        /// Where to.
        to: SeekTo,
        /// Number of the flush that answers.
        epoch: u64,
    },
    /// A buffer came this much too late (positive) or early (negative).
    Quality(TimeDelta),
    /// Random access: send these bytes as one buffer whose `offset` is the one asked for.
    Read {
        /// First byte.
        offset: u64,
        /// How many bytes.
        len: u32,
    },
}

/// A seek target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SeekTo {
    /// The key frame at or before this stream time.
    Time(Time),
    /// This byte offset.
    Byte(u64),
}

impl Request {
    /// One word for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KeyFrame => "key-frame",
            Self::Bitrate(_) => "bitrate",
            Self::Seek { .. } => "seek",
            Self::Quality(_) => "quality",
            Self::Read { .. } => "read",
        }
    }
}
