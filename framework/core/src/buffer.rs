//! A piece of media: shared bytes, timestamps and flags.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::time::{Time, TimeDelta};

/// Slices that fit into a [`Payload`] without a further allocation: start code and body of a picture. More would make every
/// buffer larger, and moving it is what a buffer costs: with four, a source and a sink took 23 ns more.
const INLINE_SLICES: usize = 2;

/// Media bytes as a short list of reference-counted slices, in order. Cloning shares them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload {
    slices: SmallVec<[Bytes; INLINE_SLICES]>,
    len: usize,
}

impl Payload {
    /// No bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes in all slices together.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a slice; an empty one is left out.
    pub fn push(&mut self, slice: Bytes) {
        if !slice.is_empty() {
            self.len += slice.len();
            self.slices.push(slice);
        }
    }

    /// The slices in order; none is empty.
    pub fn slices(&self) -> &[Bytes] {
        &self.slices
    }

    /// All bytes as one slice: shared when there is only one, gathered by a copy otherwise.
    pub fn contiguous(&self) -> Bytes {
        match self.slices.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => {
                let mut all = BytesMut::with_capacity(self.len);
                many.iter().for_each(|s| all.extend_from_slice(s));
                all.freeze()
            }
        }
    }

    /// Copies up to `out.len()` first bytes and says how many there were.
    pub fn peek(&self, out: &mut [u8]) -> usize {
        let mut filled = 0;
        for slice in &self.slices {
            let n = slice.len().min(out.len() - filled);
            out[filled..filled + n].copy_from_slice(&slice[..n]);
            filled += n;
            if filled == out.len() {
                break;
            }
        }
        filled
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        let mut payload = Self::new();
        payload.push(bytes);
        payload
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static [u8]> for Payload {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl FromIterator<Bytes> for Payload {
    fn from_iter<I: IntoIterator<Item = Bytes>>(slices: I) -> Self {
        let mut payload = Self::new();
        slices.into_iter().for_each(|s| payload.push(s));
        payload
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} slices", self.len, self.slices.len())
    }
}

/// What is known of a buffer beside its bytes and times.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct BufferFlags(u16);

impl BufferFlags {
    /// Decoding can start here.
    pub const KEYFRAME: Self = Self(1);
    /// Not media but what a decoder or player needs before it (a file header, a sequence header).
    pub const HEADER: Self = Self(1 << 1);
    /// Does not follow on what came before: something was lost or the timeline jumped.
    pub const DISCONT: Self = Self(1 << 2);
    /// The bytes are damaged or incomplete.
    pub const CORRUPTED: Self = Self(1 << 3);
    /// No other buffer depends on this one.
    pub const DROPPABLE: Self = Self(1 << 4);

    const NAMES: [(Self, &'static str); 5] = [
        (Self::KEYFRAME, "keyframe"),
        (Self::HEADER, "header"),
        (Self::DISCONT, "discont"),
        (Self::CORRUPTED, "corrupted"),
        (Self::DROPPABLE, "droppable"),
    ];

    /// No flag.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// The flags as bits, in the order of their declaration from the lowest.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The flags of these bits; bits without a meaning are left out.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & 0b1_1111)
    }

    /// True when every flag of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the flags of `other` when `on`, clears them otherwise.
    pub fn set(&mut self, other: Self, on: bool) {
        if on {
            self.0 |= other.0;
        } else {
            self.0 &= !other.0;
        }
    }
}

impl BitOr for BufferFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for BufferFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for BufferFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Self::NAMES.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| *name);
        f.write_str(names.next().unwrap_or("none"))?;
        names.try_for_each(|name| write!(f, "+{name}"))
    }
}

/// One unit of media on a pad: a frame, an access unit, a block of a byte stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buffer {
    /// The media bytes.
    pub payload: Payload,
    /// When to show it, on the timeline of the current segment.
    pub pts: Option<Time>,
    /// When to decode it; equal to `pts` where nothing is reordered.
    pub dts: Option<Time>,
    /// How long it lasts.
    pub duration: Option<TimeDelta>,
    /// Byte offset in the source, where the buffer is a piece of a byte stream or came from one.
    pub offset: Option<u64>,
    /// Key frame, header, discontinuity and so on.
    pub flags: BufferFlags,
}

impl Buffer {
    /// A buffer of these bytes without times or flags.
    pub fn new(payload: impl Into<Payload>) -> Self {
        Self { payload: payload.into(), ..Self::default() }
    }

    /// Sets both times.
    pub fn with_times(mut self, pts: Option<Time>, dts: Option<Time>) -> Self {
        (self.pts, self.dts) = (pts, dts);
        self
    }

    /// Adds flags.
    pub fn with_flags(mut self, flags: BufferFlags) -> Self {
        self.flags |= flags;
        self
    }

    /// The time that orders buffers of several streams: `dts`, or `pts` where there is no `dts`.
    pub fn dts_or_pts(&self) -> Option<Time> {
        self.dts.or(self.pts)
    }

    /// True for a key frame.
    pub fn is_keyframe(&self) -> bool {
        self.flags.contains(BufferFlags::KEYFRAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_shares_and_gathers() {
        let whole = Bytes::from_static(b"abcdef");
        let payload: Payload = [whole.slice(0..2), Bytes::new(), whole.slice(2..6)].into_iter().collect();
        assert_eq!((payload.len(), payload.slices().len()), (6, 2));
        assert_eq!(payload.contiguous(), whole);
        assert_eq!(payload.slices()[0].as_ptr(), whole.as_ptr(), "the bytes are shared, not copied");
        let mut head = [0; 4];
        assert_eq!((payload.peek(&mut head), &head), (4, b"abcd"));
    }

    #[test]
    fn flags_are_named() {
        let flags = BufferFlags::KEYFRAME | BufferFlags::DISCONT;
        assert_eq!(format!("{flags:?} {:?}", BufferFlags::empty()), "keyframe+discont none");
    }
}
