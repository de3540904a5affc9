//! Cuts a byte stream into tags, and finds its way again after damage.

use std::collections::VecDeque;

use bytes::Bytes;

use super::error::FlvError;
use super::file_header::FileHeader;
use super::input::Input;
use super::tag::{Tag, TagHeader};

/// Bytes of a `PreviousTagSize` field.
const BACK_POINTER: usize = 4;
/// A longer file header than this is a lie; the body is then looked for at the usual place. Real ones have 9 bytes.
const MAX_FILE_HEADER: usize = 1 << 16;
/// How far from the start of a damaged tag its end is looked for, before its bytes are let go.
const REPAIR_WINDOW: usize = 1 << 20;
/// How many bytes a search takes into the view at a time.
const SEARCH_STEP: usize = 1 << 14;
/// How many [`Dropped`] wait to be fetched; a caller that never asks must not grow without bound. All are counted.
const MAX_WAITING_DROPS: usize = 256;

/// Why bytes were not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// A tag type that the standards do not define; it was skipped by its size.
    UnknownTagType(u8),
    /// The filter bit is set: the tag is encrypted.
    Encrypted,
    /// Neither a tag nor a back pointer fits here; everything up to the next tag that fits was skipped.
    Damaged,
    /// The stream ends inside a tag.
    CutTail,
}

/// A run of bytes that was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Offset from the first pushed byte.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Why.
    pub reason: DropReason,
}

/// What the reader has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReaderStats {
    /// Tags delivered.
    pub tags: u64,
    /// Tags whose `PreviousTagSize` was wrong although the next tag stood where the size said.
    pub wrong_previous_tag_size: u64,
    /// Tags whose damaged size was put right from the back pointer behind them.
    pub repaired_sizes: u64,
    /// Runs of bytes that were not delivered.
    pub drops: u64,
    /// Bytes that were not delivered.
    pub dropped_bytes: u64,
    /// File headers with a wrong version, size or `PreviousTagSize0`.
    pub odd_headers: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At a file header.
    FileHeader,
    /// Behind the nine bytes of the header, so many bytes ahead of `PreviousTagSize0`.
    HeaderRest(usize),
    /// At a tag header.
    Tag,
    /// Looking for a tag, from so many bytes into the view on. `repairable`: the view begins at a tag with a wrong size.
    Search { from: usize, repairable: bool },
    /// The signature was wrong.
    Failed,
}

enum Step {
    Tag(Tag),
    Again,
    Starved,
}

/// A sans-IO FLV reader: bytes are pushed, tags are pulled.
///
/// Bodies are slices of the pushed bytes; only a tag that straddles two pushes is copied together. A tag is delivered once
/// its `PreviousTagSize` confirms it. Where that is wrong, the header behind it must be plausible (many writers never
/// cared about back pointers); where neither fits, the reader looks for the next place that does, counts what it
/// skipped, and, if the back pointer there spans exactly the damaged tag, delivers that one too.
///
/// ```
/// use millstream_flv::wire::{FlvReader, TagKind};
/// let file = b"FLV\x01\x04\0\0\0\x09\0\0\0\0\x08\0\0\x03\0\0\x17\0\0\0\0\xaf\x01\x42\0\0\0\x0e";
/// let mut reader = FlvReader::new();
/// reader.push(bytes::Bytes::from_static(file));
/// let tag = reader.next()?.expect("one tag was pushed");
/// assert_eq!((tag.kind, tag.timestamp, &tag.body[..]), (TagKind::Audio, 23, &b"\xaf\x01\x42"[..]));
/// # Ok::<(), millstream_flv::wire::FlvError>(())
/// ```
#[derive(Debug)]
pub struct FlvReader {
    input: Input,
    state: State,
    ended: bool,
    header: Option<FileHeader>,
    stats: ReaderStats,
    drops: VecDeque<Dropped>,
}

impl Default for FlvReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FlvReader {
    /// A reader that expects a file header.
    pub fn new() -> Self {
        Self {
            input: Input::default(),
            state: State::FileHeader,
            ended: false,
            header: None,
            stats: ReaderStats::default(),
            drops: VecDeque::new(),
        }
    }

    /// Starts over at this offset of the stream, at a tag or a file header: after a seek or a hole. What was pushed and not
    /// delivered is forgotten; header and counters stay. Where no tag stands there, the next one is looked for.
    pub fn resume(&mut self, offset: u64) {
        self.input = Input::at(offset);
        self.state = State::Tag;
        self.ended = false;
    }

    /// Appends bytes of the stream. Large pushes (64 KiB and more) keep copies rare.
    pub fn push(&mut self, bytes: Bytes) {
        self.input.push(bytes);
    }

    /// Says that no more bytes come. [`FlvReader::next`] then delivers what can still be read from the tail.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// The next tag, or nothing if more bytes are needed (after [`FlvReader::finish`]: if the stream is used up).
    ///
    /// # Errors
    /// [`FlvError::Signature`] if the stream is not FLV; the same again on each further call.
    #[allow(clippy::should_implement_trait, reason = "fallible and resumable: an Iterator that says None goes on")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Tag>, FlvError> {
        loop {
            let step = match self.state {
                State::Tag => self.tag(),
                _ => self.unusual()?,
            };
            match step {
                Step::Tag(tag) => {
                    self.stats.tags += 1;
                    return Ok(Some(tag));
                }
                Step::Again => {}
                Step::Starved => return Ok(None),
            }
        }
    }

    /// The file header, once it was read. A stream may hold several; this is the newest.
    pub fn header(&self) -> Option<FileHeader> {
        self.header
    }

    /// Whether bytes wait that are not a whole tag yet.
    pub fn is_mid_tag(&self) -> bool {
        !self.input.view().is_empty()
    }

    /// Offset of the first byte that was neither delivered nor dropped.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// Counters.
    pub fn stats(&self) -> ReaderStats {
        self.stats
    }

    /// The oldest report of dropped bytes that was not fetched yet.
    pub fn next_dropped(&mut self) -> Option<Dropped> {
        self.drops.pop_front()
    }

    /// Not at a tag.
    #[cold]
    fn unusual(&mut self) -> Result<Step, FlvError> {
        match self.state {
            State::FileHeader => self.file_header(),
            State::HeaderRest(skip) => Ok(self.header_rest(skip)),
            State::Tag => Ok(self.tag()),
            State::Search { from, repairable } => Ok(self.search(from, repairable)),
            State::Failed => Err(FlvError::Signature { offset: self.input.offset(), found: self.first_three() }),
        }
    }

    fn first_three(&self) -> [u8; 3] {
        let mut three = [0; 3];
        for (to, from) in three.iter_mut().zip(self.input.view()) {
            *to = *from;
        }
        three
    }

    fn file_header(&mut self) -> Result<Step, FlvError> {
        if !self.input.want(FileHeader::LEN) {
            return Ok(self.tail_or_starved());
        }
        let Some(bytes) = self.input.view().first_chunk() else { return Ok(Step::Starved) };
        let header = FileHeader::parse(bytes, self.input.offset()).inspect_err(|_| self.state = State::Failed)?;
        self.input.skip(FileHeader::LEN);
        let rest = usize::try_from(header.data_offset).unwrap_or(usize::MAX).checked_sub(FileHeader::LEN);
        let rest = rest.filter(|rest| *rest <= MAX_FILE_HEADER);
        if rest != Some(0) || header.version != 1 {
            self.stats.odd_headers += 1;
        }
        self.header = Some(header);
        self.state = State::HeaderRest(rest.unwrap_or(0));
        Ok(Step::Again)
    }

    /// Skips what a longer header holds, and `PreviousTagSize0`, which some writers leave out.
    fn header_rest(&mut self, skip: usize) -> Step {
        if !self.input.want(skip + BACK_POINTER) {
            return self.tail_or_starved();
        }
        let view = self.input.view();
        if back_pointer(view, skip) == Some(0) {
            self.input.skip(skip + BACK_POINTER);
            self.state = State::Tag;
            return Step::Again;
        }
        if !self.input.want(skip + TagHeader::LEN) {
            return self.tail_or_starved();
        }
        self.stats.odd_headers += 1;
        let absent = header_at(self.input.view(), skip).is_some_and(|header| header.is_plausible());
        self.input.skip(if absent { skip } else { skip + BACK_POINTER });
        self.state = State::Tag;
        Step::Again
    }

    #[inline]
    fn tag(&mut self) -> Step {
        if !self.input.want(TagHeader::LEN) {
            return self.tail_or_starved();
        }
        let Some(bytes) = self.input.view().first_chunk() else { return Step::Starved };
        let header = TagHeader::parse(bytes);
        if header.type_byte == b'F' && bytes.starts_with(b"FLV") {
            // Files that were put end to end.
            self.state = State::FileHeader;
            return Step::Again;
        }
        let len = header.tag_size() as usize;
        if !self.input.want(len + BACK_POINTER) {
            return self.unfinished(header);
        }
        if back_pointer(self.input.view(), len) == Some(header.tag_size()) {
            return self.deliver(header, len, len + BACK_POINTER);
        }
        self.doubtful(header)
    }

    /// A tag whose bytes are all there and whose place is confirmed: delivered if its kind is known, else skipped.
    #[inline]
    fn deliver(&mut self, header: TagHeader, len: usize, total: usize) -> Step {
        let offset = self.input.offset();
        match header.kind() {
            Some(kind) if !header.is_filtered() => {
                let body = self.input.take(TagHeader::LEN, len - TagHeader::LEN, total);
                Step::Tag(Tag { kind, timestamp: header.timestamp, body, offset })
            }
            kind => {
                let unknown = DropReason::UnknownTagType(header.type_byte & 0x1F);
                self.drop_bytes(total, if kind.is_some() { DropReason::Encrypted } else { unknown });
                Step::Again
            }
        }
    }

    /// The back pointer is wrong: the header behind the tag decides.
    #[cold]
    fn doubtful(&mut self, header: TagHeader) -> Step {
        let total = header.tag_size() as usize + BACK_POINTER;
        let whole = self.input.want(total + TagHeader::LEN);
        if !whole && !self.ended {
            return Step::Starved;
        }
        let view = self.input.view();
        let followed = match header_at(view, total) {
            Some(next) => next.is_plausible() || view[total..].starts_with(b"FLV"),
            None => true,
        };
        if header.is_plausible() && followed {
            self.stats.wrong_previous_tag_size += 1;
            return self.deliver(header, total - BACK_POINTER, total);
        }
        self.state = State::Search { from: 1, repairable: header.kind().is_some() };
        Step::Again
    }

    /// A tag that reaches beyond the bytes at hand.
    #[cold]
    fn unfinished(&mut self, header: TagHeader) -> Step {
        if !self.ended {
            return Step::Starved;
        }
        let len = header.tag_size() as usize;
        let have = self.input.view().len();
        if have >= len && header.is_plausible() {
            // Only the back pointer was cut off.
            return self.deliver(header, len, have);
        }
        self.state = State::Search { from: 1, repairable: header.kind().is_some() };
        Step::Again
    }

    /// Fewer bytes than a header: at the end of the stream they are the tail.
    fn tail_or_starved(&mut self) -> Step {
        let left = self.input.view().len();
        if self.ended && left > 0 {
            self.drop_bytes(left, DropReason::CutTail);
        }
        Step::Starved
    }

    /// Looks for the next tag that its surroundings confirm.
    fn search(&mut self, from: usize, repairable: bool) -> Step {
        let mut at = from;
        loop {
            let view = self.input.view();
            match (at..view.len()).find_map(|at| Some((at, header_at(view, at)?)).filter(|(_, h)| h.is_plausible())) {
                None => {
                    at = at.max((view.len() + 1).saturating_sub(TagHeader::LEN));
                    if !self.input.want_more(SEARCH_STEP) {
                        return self.nothing_found(at, repairable);
                    }
                }
                Some((found, header)) => match self.confirm(found, header) {
                    Some(true) => return self.found(found, repairable),
                    Some(false) => at = found + 1,
                    None => {
                        self.state = State::Search { from: found, repairable };
                        return Step::Starved;
                    }
                },
            }
        }
    }

    /// Whether the tag at `at` is one: its back pointer is right or a plausible header follows. Nothing: not known yet.
    fn confirm(&mut self, at: usize, header: TagHeader) -> Option<bool> {
        let end = at + header.tag_size() as usize;
        if !self.input.want(end + BACK_POINTER) {
            return self.ended.then_some(false);
        }
        if back_pointer(self.input.view(), end) == Some(header.tag_size()) {
            return Some(true);
        }
        if !self.input.want(end + BACK_POINTER + TagHeader::LEN) {
            return self.ended.then_some(false);
        }
        header_at(self.input.view(), end + BACK_POINTER).map(|next| next.is_plausible())
    }

    /// A good tag stands at `at`. The bytes ahead are a tag with a wrong size if the back pointer says so, else lost.
    fn found(&mut self, at: usize, repairable: bool) -> Step {
        self.state = State::Tag;
        let view = self.input.view();
        let pointed = at.checked_sub(BACK_POINTER).and_then(|end| Some((end, back_pointer(view, end)?)));
        if let (true, Some((end, size)), Some(header)) = (repairable, pointed, header_at(view, 0))
            && end >= TagHeader::LEN
            && size as usize == end
        {
            self.stats.repaired_sizes += 1;
            return self.deliver(header, end, at);
        }
        self.drop_bytes(at, DropReason::Damaged);
        Step::Again
    }

    /// The bytes at hand hold no tag ahead of `at`: wait for more, or give the rest up at the end of the stream.
    fn nothing_found(&mut self, at: usize, repairable: bool) -> Step {
        if self.ended {
            self.drop_bytes(self.input.view().len(), DropReason::CutTail);
            self.state = State::Tag;
            return Step::Starved;
        }
        let too_far = at > REPAIR_WINDOW;
        if too_far {
            self.drop_bytes(at, DropReason::Damaged);
        }
        self.state = State::Search { from: if too_far { 0 } else { at }, repairable: repairable && !too_far };
        Step::Starved
    }

    fn drop_bytes(&mut self, len: usize, reason: DropReason) {
        let dropped = Dropped { offset: self.input.offset(), bytes: len as u64, reason };
        self.input.skip(len);
        self.stats.drops += 1;
        self.stats.dropped_bytes += dropped.bytes;
        if self.drops.len() < MAX_WAITING_DROPS {
            self.drops.push_back(dropped);
        }
    }
}

#[inline]
fn back_pointer(view: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*view.get(at..)?.first_chunk()?))
}

#[inline]
fn header_at(view: &[u8], at: usize) -> Option<TagHeader> {
    Some(TagHeader::parse(view.get(at..)?.first_chunk()?))
}
