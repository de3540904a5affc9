//! Self-framed audio: a header that tells its frame's size, found again after damage.
//!
//! One splitter serves ADTS, MPEG audio and AC-3; a format is a [`FrameHeader`].

use bytes::{Buf, Bytes, BytesMut};

use crate::error::CodecError;

/// An ID3v2 tag is passed over by its declared size, up to this (cover pictures are a few MB).
pub const MAX_ID3_BYTES: usize = 16 << 20;
const ID3_HEADER: usize = 10;

/// A frame header with a sync word and a size.
pub trait FrameHeader: Sized + Clone {
    /// Bytes that [`FrameHeader::parse`] needs to see.
    const HEADER_BYTES: usize;
    /// The largest frame the format allows, bytes; bounds the splitter's buffer.
    const MAX_FRAME_BYTES: usize;

    /// Reads the header at the start of `data`, which has at least [`FrameHeader::HEADER_BYTES`] bytes.
    ///
    /// # Errors
    /// No sync word, or values the format does not allow.
    fn parse(data: &[u8]) -> Result<Self, CodecError>;

    /// Bytes of the frame, header included.
    fn frame_bytes(&self) -> usize;

    /// True when `next` may follow in the same stream: what tells a sync word from chance.
    fn same_stream(&self, next: &Self) -> bool;
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<H> {
    /// Its header.
    pub header: H,
    /// The whole frame, header included.
    pub data: Bytes,
    /// Offset of its first byte in the stream.
    pub offset: u64,
    /// Bytes passed over right before it: an ID3 tag, or damage.
    pub skipped: u64,
}

/// Cuts a stream that arrives in arbitrary pieces into frames.
///
/// Out of sync (at the start, and after damage), a header counts only when a second one that fits follows its frame,
/// or when the stream ends there. In sync, each frame is given as soon as it is whole. Bytes are copied once.
#[derive(Debug, Clone)]
pub struct FrameSplitter<H> {
    buffer: BytesMut,
    offset: u64,
    skipped: u64,
    /// Bytes of an ID3 tag still to pass over.
    tag: usize,
    /// Header of the frame before, while in sync.
    last: Option<H>,
    ended: bool,
}

impl<H> Default for FrameSplitter<H> {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), offset: 0, skipped: 0, tag: 0, last: None, ended: false }
    }
}

enum Step<H> {
    Frame(H),
    Skip(usize),
    NeedMore,
}

impl<H: FrameHeader> FrameSplitter<H> {
    /// A splitter that is out of sync.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.ended = false;
        self.buffer.extend_from_slice(piece);
    }

    /// The stream ends: the last frame needs no successor any more. Frames remain to be taken with
    /// [`FrameSplitter::next_frame`].
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// A gap in the input: drops a frame that has begun and looks for a new sync word.
    pub fn reset(&mut self) {
        let lost = self.buffer.len();
        self.skip(lost);
        self.tag = 0;
        self.last = None;
    }

    /// Bytes passed over since the last frame.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Bytes held back: the beginning of a frame, or of something not yet recognised.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole frame, or `None` when more data are needed.
    pub fn next_frame(&mut self) -> Option<Frame<H>> {
        loop {
            match self.step() {
                Step::Frame(header) => return Some(self.take(header)),
                Step::Skip(bytes) => self.skip(bytes.max(1)), // at least one byte: the loop ends
                Step::NeedMore => return None,
            }
        }
    }

    fn step(&mut self) -> Step<H> {
        if self.buffer.is_empty() {
            return Step::NeedMore;
        }
        if self.tag > 0 {
            return self.skip_tag();
        }
        if let Some(step) = self.id3() {
            return step;
        }
        if self.buffer.len() < H::HEADER_BYTES {
            return if self.ended { Step::Skip(self.buffer.len()) } else { Step::NeedMore };
        }
        match H::parse(&self.buffer) {
            Ok(header) if (1..=H::MAX_FRAME_BYTES).contains(&header.frame_bytes()) => self.candidate(header),
            _ => {
                self.last = None;
                Step::Skip(1)
            }
        }
    }

    fn candidate(&mut self, header: H) -> Step<H> {
        let end = header.frame_bytes();
        let Some(after) = self.buffer.get(end..) else {
            // A frame that the stream cuts off may hide a whole one when its size is a chance.
            return if self.ended { Step::Skip(1) } else { Step::NeedMore };
        };
        if self.last.as_ref().is_some_and(|last| last.same_stream(&header)) {
            return Step::Frame(header);
        }
        if after.starts_with(b"ID3") || after.starts_with(b"TAG") || self.ended && after.len() < H::HEADER_BYTES {
            return Step::Frame(header);
        }
        if after.len() < H::HEADER_BYTES {
            return Step::NeedMore;
        }
        match H::parse(after) {
            Ok(next) if header.same_stream(&next) => Step::Frame(header),
            _ => Step::Skip(1),
        }
    }

    /// An ID3v2 tag (id3.org, ID3v2.4.0 structure, section 3.1): "ID3", version, flags, size in four 7-bit bytes.
    fn id3(&mut self) -> Option<Step<H>> {
        let known = self.buffer.len().min(3);
        if self.buffer.get(..known) != b"ID3".get(..known) {
            return None;
        }
        if self.buffer.len() < ID3_HEADER {
            return if self.ended { None } else { Some(Step::NeedMore) };
        }
        let size = self.buffer.get(6..ID3_HEADER)?;
        if size.iter().any(|byte| byte & 0x80 != 0) {
            return None;
        }
        let body = size.iter().fold(0usize, |sum, byte| sum << 7 | usize::from(*byte));
        let footer = if self.buffer.get(5)? & 0x10 != 0 { ID3_HEADER } else { 0 };
        self.tag = (ID3_HEADER + body + footer).min(MAX_ID3_BYTES);
        Some(self.skip_tag())
    }

    fn skip_tag(&mut self) -> Step<H> {
        let bytes = self.tag.min(self.buffer.len());
        self.tag -= bytes;
        Step::Skip(bytes)
    }

    fn take(&mut self, header: H) -> Frame<H> {
        let data = self.buffer.split_to(header.frame_bytes()).freeze();
        let frame = Frame { header: header.clone(), offset: self.offset, skipped: self.skipped, data };
        self.offset += frame.data.len() as u64;
        self.skipped = 0;
        self.last = Some(header);
        frame
    }

    fn skip(&mut self, bytes: usize) {
        let bytes = bytes.min(self.buffer.len());
        self.buffer.advance(bytes);
        let dropped = bytes as u64;
        self.offset += dropped;
        self.skipped += dropped;
    }

    /// The frames of a whole stream.
    #[must_use]
    pub fn all(data: &[u8]) -> Vec<Frame<H>> {
        let mut splitter = Self::new();
        splitter.push(data);
        splitter.finish();
        std::iter::from_fn(|| splitter.next_frame()).collect()
    }
}
