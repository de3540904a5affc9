//! What flows downstream beside buffers, and what goes upstream.

use crate::{Caps, NONE, Str};

/// A name and its value. Frozen.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Name.
    pub name: Str,
    /// Value.
    pub value: Str,
}

/// Kinds of [`Event`]. An element passes on what it does not know.
pub mod kind {
    /// A stream begins: `name` is its id, `language` its language or empty.
    pub const STREAM_START: u32 = 1;
    /// The format of what follows: `caps`.
    pub const CAPS: u32 = 2;
    /// The timeline of what follows: `format`, `start`, `base`, `offset`.
    pub const SEGMENT: u32 = 3;
    /// Nothing for a while: `start`, `duration`.
    pub const GAP: u32 = 4;
    /// Metadata: `pairs`.
    pub const TAGS: u32 = 5;
    /// An event that only some understand: `name`, `data`.
    pub const CUSTOM: u32 = 6;
    /// What is under way is void: `epoch`.
    pub const FLUSH: u32 = 7;
    /// No stream on this pad.
    pub const ABSENT: u32 = 8;
    /// No more on this pad.
    pub const EOS: u32 = 9;
}

/// Buffers carry timestamps.
pub const FORMAT_TIME: u32 = 0;
/// Buffers are pieces of a byte stream.
pub const FORMAT_BYTES: u32 = 1;

/// Something that flows downstream and is no buffer. Belongs to who made it, and is valid during the call.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Event {
    /// Size of this struct.
    pub size: u32,
    /// See [`kind`]. Fields that a kind does not name are 0.
    pub kind: u32,
    /// Id of a stream, or name of a custom event.
    pub name: Str,
    /// ISO 639-2, or empty.
    pub language: Str,
    /// Caps; the receiver takes a reference of its own if it keeps them.
    pub caps: *mut Caps,
    /// [`FORMAT_TIME`] or [`FORMAT_BYTES`].
    pub format: u32,
    /// 0.
    pub reserved: u32,
    /// Start of a segment or gap, ns.
    pub start: i64,
    /// Running time at `start`, ns.
    pub base: i64,
    /// First byte of a segment of bytes.
    pub offset: u64,
    /// Length of a gap, ns, or [`crate::NONE`].
    pub duration: i64,
    /// Tags.
    pub pairs: *const Pair,
    /// How many.
    pub pair_count: u64,
    /// Encoded form of a custom event.
    pub data: *const u8,
    /// Bytes of it.
    pub data_len: u64,
    /// Number of a flush.
    pub epoch: u64,
}

impl Event {
    /// An event of a kind without anything else.
    #[must_use]
    pub const fn new(kind: u32) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            kind,
            name: Str::EMPTY,
            language: Str::EMPTY,
            caps: std::ptr::null_mut(),
            format: FORMAT_TIME,
            reserved: 0,
            start: 0,
            base: 0,
            offset: 0,
            duration: NONE,
            pairs: std::ptr::null(),
            pair_count: 0,
            data: std::ptr::null(),
            data_len: 0,
            epoch: 0,
        }
    }
}

/// Kinds of [`Request`].
pub mod request {
    /// The next picture should be one where decoding can start.
    pub const KEY_FRAME: u32 = 1;
    /// Encode at `bitrate`.
    pub const BITRATE: u32 = 2;
    /// Go on from `to`, answered with a flush of `epoch`.
    pub const SEEK: u32 = 3;
    /// A buffer came `lateness` too late.
    pub const QUALITY: u32 = 4;
    /// Send `len` bytes from `offset` as one buffer.
    pub const READ: u32 = 5;
}

/// Something that goes upstream. Valid during the call.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Request {
    /// Size of this struct.
    pub size: u32,
    /// See [`request`].
    pub kind: u32,
    /// Bits a second.
    pub bitrate: u64,
    /// [`FORMAT_TIME`]: `to` is ns of stream time; [`FORMAT_BYTES`]: a byte offset.
    pub format: u32,
    /// Bytes to read.
    pub len: u32,
    /// Where to go on.
    pub to: i64,
    /// Number of the flush that answers a seek.
    pub epoch: u64,
    /// ns too late; negative: too early.
    pub lateness: i64,
    /// First byte to read.
    pub offset: u64,
}

impl Request {
    /// A request of a kind without anything else.
    #[must_use]
    pub const fn new(kind: u32) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            kind,
            bitrate: 0,
            format: FORMAT_TIME,
            len: 0,
            to: 0,
            epoch: 0,
            lateness: 0,
            offset: 0,
        }
    }
}
