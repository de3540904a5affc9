//! Reads chunks.

use bytes::Bytes;

use super::basic_header::BasicHeader;
use super::input::Input;
use super::message_header::MessageHeader;
use super::partial::Partial;
use super::stream::Stream;
use super::{ChunkError, DEFAULT_CHUNK_SIZE, Format, MAX_CHUNK_SIZE};
use crate::message::{Message, MessageType, chunk_stream};

/// The longest header: basic, message, extended timestamp.
const MAX_HEADER: usize = 3 + MessageHeader::MAX_LEN;

/// What a reader takes from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Bytes of one message. Default: all that 24 bits can say, which is a key frame of any rate that is streamed.
    pub message_len: u32,
    /// Memory of all unfinished messages together. Default 32 MiB: two of the longest, as audio rarely interleaves with more.
    pub held: usize,
    /// Chunk streams. Default 256; encoders use less than ten.
    pub chunk_streams: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self { message_len: Message::MAX_LEN, held: 32 << 20, chunk_streams: 256 }
    }
}

/// What a reader has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReaderStats {
    /// Chunks.
    pub chunks: u64,
    /// Whole messages.
    pub messages: u64,
    /// Unfinished messages that the peer gave up, by Abort or by beginning another one in their place.
    pub aborted: u64,
}

/// Whether the peer repeats the extended timestamp on format 3, as it must; librtmp does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Unknown,
    Yes,
    No,
}

/// Makes messages of chunks that come in any pieces.
///
/// Set Chunk Size and Abort take effect here, before the next chunk is read; they are handed out too, for whoever watches.
/// A message that lies whole in one pushed slice is a slice of it; any other is gathered with one copy.
///
/// ```
/// use millstream_rtmp::chunk::ChunkReader;
/// let mut reader = ChunkReader::default();
/// reader.push(vec![0x04, 0, 3, 0xE8, 0, 0, 2, 8, 1, 0, 0, 0, 0xAF, 1].into());
/// let message = reader.next_message()?.expect("a whole message");
/// assert_eq!((message.timestamp, message.stream_id, &message.payload[..]), (1000, 1, &[0xAF, 1][..]));
/// # Ok::<(), millstream_rtmp::chunk::ChunkError>(())
/// ```
#[derive(Debug)]
pub struct ChunkReader {
    input: Input,
    /// Bytes of chunks read.
    at: u64,
    limits: ChunkLimits,
    chunk_size: u32,
    /// Sorted by id.
    streams: Vec<Stream>,
    /// Place in `streams` of the chunk that is being read, and its bytes still to come.
    current: Option<(usize, usize)>,
    held: usize,
    repeats: Repeats,
    stats: ReaderStats,
}

impl Default for ChunkReader {
    fn default() -> Self {
        Self::new(ChunkLimits::default())
    }
}

impl ChunkReader {
    /// A reader of a connection whose handshake is done.
    pub fn new(limits: ChunkLimits) -> Self {
        Self {
            input: Input::default(),
            at: 0,
            limits,
            chunk_size: DEFAULT_CHUNK_SIZE,
            streams: Vec::new(),
            current: None,
            held: 0,
            repeats: Repeats::Unknown,
            stats: ReaderStats::default(),
        }
    }

    /// Adds received bytes.
    pub fn push(&mut self, data: Bytes) {
        self.input.push(data);
    }

    /// Bytes pushed and not read.
    pub fn pending(&self) -> usize {
        self.input.len()
    }

    /// Memory of unfinished messages.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Gives up what came in part: no more will come.
    pub(crate) fn release(&mut self) {
        self.input = Input::default();
        self.streams = Vec::new();
        (self.current, self.held) = (None, 0);
    }

    /// The chunk size of the peer.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// What was seen so far.
    pub fn stats(&self) -> ReaderStats {
        self.stats
    }

    /// The next whole message; nothing if more bytes are needed.
    ///
    /// # Errors
    /// [`ChunkError`], after which nothing more can be read.
    pub fn next_message(&mut self) -> Result<Option<Message>, ChunkError> {
        // Each turn takes a header or bytes of payload off the input, or ends.
        loop {
            let (place, left) = match self.current.take() {
                Some(current) => current,
                None => match self.header()? {
                    Some(current) => current,
                    None => return Ok(None),
                },
            };
            match self.payload(place, left)? {
                Payload::Whole(message) => {
                    self.stats.messages += 1;
                    self.obey(&message)?;
                    return Ok(Some(message));
                }
                Payload::ChunkEnds => {}
                Payload::Missing(left) => {
                    self.current = Some((place, left));
                    return Ok(None);
                }
            }
        }
    }

    /// Reads a header: the place of its stream, and how many bytes of payload follow.
    fn header(&mut self) -> Result<Option<(usize, usize)>, ChunkError> {
        let mut room = [0; MAX_HEADER];
        let data = self.input.peek(&mut room);
        let Some((basic, basic_len)) = BasicHeader::parse(data) else { return Ok(None) };
        let rest = data.get(basic_len..).unwrap_or_default();
        let Some((header, header_len)) = MessageHeader::parse(basic.format, rest) else { return Ok(None) };
        let known = self.streams.binary_search_by_key(&basic.chunk_stream, |stream| stream.id);
        let mut repeated = None;
        if let (Format::Same, Ok(place)) = (basic.format, known) {
            match self
                .streams
                .get(place)
                .map_or(Repetition::None, |stream| Self::repetition(self.repeats, stream, rest))
            {
                Repetition::Missing => return Ok(None),
                Repetition::None => {}
                Repetition::Is(time) => {
                    repeated = Some(time);
                    self.repeats = Repeats::Yes;
                }
                Repetition::Omitted => self.repeats = Repeats::No,
            }
        }
        let len = basic_len + header_len + if repeated.is_some() { 4 } else { 0 };
        self.check(&basic, &header, known.is_ok())?;
        let place = known.unwrap_or_else(|place| {
            self.streams.insert(place, Stream::new(basic.chunk_stream));
            place
        });
        self.input.skip(len);
        self.at += len as u64;
        self.stats.chunks += 1;
        Ok(Some((place, self.begin(place, &header, repeated)?)))
    }

    /// Looks for the extended timestamp of a format 3 chunk. A peer that leaves it out is told by four bytes that differ from
    /// what must stand there, and then is believed for good; one that wrote it may change it where a message begins.
    fn repetition(repeats: Repeats, stream: &Stream, rest: &[u8]) -> Repetition {
        let Some(expected) = stream.extended.map(u32::to_be_bytes) else { return Repetition::None };
        let found = rest.get(..rest.len().min(4)).unwrap_or_default();
        let may_differ = repeats == Repeats::Yes && stream.partial.is_none();
        match repeats {
            Repeats::No => Repetition::None,
            _ if expected.starts_with(found) || may_differ => match found.first_chunk() {
                Some(time) => Repetition::Is(u32::from_be_bytes(*time)),
                None => Repetition::Missing,
            },
            _ => Repetition::Omitted,
        }
    }

    fn check(&self, basic: &BasicHeader, header: &MessageHeader, known: bool) -> Result<(), ChunkError> {
        let offset = self.at;
        if !known {
            // librtmp's first ping has format 1.
            let ping = basic.chunk_stream == chunk_stream::CONTROL && basic.format == Format::SameStream;
            if basic.format != Format::Full && !ping {
                let BasicHeader { chunk_stream, format } = *basic;
                return Err(ChunkError::FirstChunk { offset, chunk_stream, format });
            }
            let limit = self.limits.chunk_streams;
            if self.streams.len() >= limit {
                return Err(ChunkError::TooManyStreams { offset, limit });
            }
        }
        let (MessageHeader::Full { len, .. } | MessageHeader::SameStream { len, .. }) = *header else { return Ok(()) };
        let limit = self.limits.message_len;
        if len > limit { Err(ChunkError::MessageTooLong { offset, len, limit }) } else { Ok(()) }
    }

    /// Begins a message or goes on with one; returns the bytes of payload in this chunk.
    ///
    /// A header with fields in the middle of a message goes on with it if it says the same length and type, as some encoders
    /// write it; else the message is given up and another one begins.
    fn begin(&mut self, place: usize, header: &MessageHeader, repeated: Option<u32>) -> Result<usize, ChunkError> {
        let chunk_size = self.chunk_size as usize;
        let Some(stream) = self.streams.get_mut(place) else { return Ok(0) };
        let same = stream.announced(header) == (stream.len, stream.kind);
        if let Some(partial) = stream.partial.take() {
            if same {
                let left = partial.left().min(chunk_size);
                stream.partial = Some(partial);
                return Ok(left);
            }
            self.held -= partial.held();
            self.stats.aborted += 1;
        }
        stream.begin(header, repeated);
        Ok(chunk_size.min(stream.len as usize))
    }

    /// Takes payload of the current chunk, of which `left` bytes are still to come.
    fn payload(&mut self, place: usize, mut left: usize) -> Result<Payload, ChunkError> {
        let Some(stream) = self.streams.get_mut(place) else { return Ok(Payload::ChunkEnds) };
        let len = stream.len as usize;
        while left > 0 {
            let front = self.input.front(left);
            let step = front.len();
            if step == 0 {
                return Ok(Payload::Missing(left));
            }
            left -= step;
            self.at += step as u64;
            if stream.partial.is_none() && step == len {
                return Ok(Payload::Whole(whole(stream, self.input.take(step))));
            }
            let partial = stream.partial.get_or_insert_with(|| {
                let partial = Partial::new(len, stream.largest);
                self.held += partial.held();
                partial
            });
            let held = partial.held();
            partial.append(front);
            self.input.skip(step);
            self.held += partial.held() - held;
            if self.held > self.limits.held {
                return Err(ChunkError::TooMuchHeld { offset: self.at, limit: self.limits.held });
            }
        }
        match stream.partial.take() {
            Some(partial) if partial.left() > 0 => {
                stream.partial = Some(partial);
                Ok(Payload::ChunkEnds)
            }
            Some(partial) => {
                self.held -= partial.held();
                Ok(Payload::Whole(whole(stream, partial.finish())))
            }
            // A message of no bytes is whole with its header.
            None => Ok(Payload::Whole(whole(stream, Bytes::new()))),
        }
    }

    /// Set Chunk Size and Abort belong to this layer.
    fn obey(&mut self, message: &Message) -> Result<(), ChunkError> {
        let wrong = |what| Err(ChunkError::Control { offset: self.at, what });
        if !matches!(message.kind, MessageType::SetChunkSize | MessageType::Abort) {
            return Ok(());
        }
        let Some(bytes) = message.payload.first_chunk() else {
            return wrong("Set Chunk Size or Abort of less than four bytes");
        };
        let value = u32::from_be_bytes(*bytes);
        if message.kind == MessageType::Abort {
            self.abort(value);
            return Ok(());
        }
        // The top bit must be zero (RTMP 1.0, 5.4.1), and is not looked at.
        match value & 0x7FFF_FFFF {
            0 => wrong("Set Chunk Size to zero"),
            size => {
                self.chunk_size = size.min(MAX_CHUNK_SIZE);
                Ok(())
            }
        }
    }

    fn abort(&mut self, id: u32) {
        let place = self.streams.binary_search_by_key(&id, |stream| stream.id);
        let stream = place.ok().and_then(|place| self.streams.get_mut(place));
        if let Some(partial) = stream.and_then(|stream| stream.partial.take()) {
            self.held -= partial.held();
            self.stats.aborted += 1;
        }
    }
}

enum Repetition {
    /// There is none.
    None,
    /// There should be one, but something else stands there.
    Omitted,
    /// There is one.
    Is(u32),
    /// More bytes are needed to know.
    Missing,
}

enum Payload {
    Whole(Message),
    ChunkEnds,
    /// So many bytes of the chunk are still to come.
    Missing(usize),
}

fn whole(stream: &mut Stream, payload: Bytes) -> Message {
    stream.largest = stream.largest.max(payload.len());
    Message {
        chunk_stream: stream.id,
        kind: stream.kind,
        timestamp: stream.timestamp,
        stream_id: stream.stream_id,
        payload,
    }
}
