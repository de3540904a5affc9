//! Writes chunks for one connection.

use bytes::{Bytes, BytesMut};
use millstream_flv::wire::Slices;

use super::basic_header::BasicHeader;
use super::message_header::MessageHeader;
use super::{DEFAULT_CHUNK_SIZE, EXTENDED, Format, MAX_CHUNK_SIZE};
use crate::message::{Message, MessageType};

/// Room for any header.
const MAX_HEADER: usize = 3 + MessageHeader::MAX_LEN;

/// Cuts messages into chunks, with headers as short as the message before on the same chunk stream allows.
///
/// It is more careful than the standard where readers are known to differ. Differences of time that would need the extended
/// timestamp are written as format 0, since some readers take them for absolute times. Format 3 begins a message only where the
/// difference was written before, since some readers take it for zero behind format 0.
#[derive(Debug)]
pub struct ChunkWriter {
    chunk_size: u32,
    last: Vec<Last>,
}

/// What was last written on a chunk stream.
#[derive(Debug, Clone, Copy)]
struct Last {
    chunk_stream: u32,
    timestamp: u32,
    delta: Option<u32>,
    len: u32,
    kind: MessageType,
    stream_id: u32,
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self { chunk_size: DEFAULT_CHUNK_SIZE, last: Vec::new() }
    }
}

impl ChunkWriter {
    /// A writer of a connection whose handshake is done.
    pub fn new() -> Self {
        Self::default()
    }

    /// The chunk size of this side.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Tells the peer another chunk size, 1 to [`MAX_CHUNK_SIZE`], and uses it for everything behind.
    pub fn set_chunk_size(&mut self, size: u32, out: &mut Slices) {
        let size = size.clamp(1, MAX_CHUNK_SIZE);
        let payload = Bytes::copy_from_slice(&size.to_be_bytes());
        self.write(&Message::control(MessageType::SetChunkSize, payload), out);
        self.chunk_size = size;
    }

    /// Appends a message with a header of format 0, and takes it that the next on its chunk stream needs one too. For chunk streams
    /// that [`chunk_once`](super::chunk_once) is used on as well.
    pub fn write_alone(&mut self, message: &Message, out: &mut Slices) {
        self.last.retain(|last| last.chunk_stream != message.chunk_stream);
        self.write(message, out);
        self.last.retain(|last| last.chunk_stream != message.chunk_stream);
    }

    /// Appends a message. Payloads are shared, not copied, where they are long. What is longer than [`Message::MAX_LEN`] cannot
    /// be said and is cut there.
    pub fn write(&mut self, message: &Message, out: &mut Slices) {
        let payload = &message.payload;
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX).min(Message::MAX_LEN);
        let header = self.first_header(message, len);
        let mut head = BytesMut::with_capacity(MAX_HEADER);
        BasicHeader { format: header.format(), chunk_stream: message.chunk_stream }.write(&mut head);
        header.write(&mut head);
        out.copy(&head);
        head.clear();
        continuation(message.chunk_stream, header.extended(), &mut head);
        let (mut at, len) = (0, len as usize);
        while at < len {
            if at > 0 {
                out.copy(&head);
            }
            let end = len.min(at + self.chunk_size as usize);
            out.share(&payload.slice(at..end));
            at = end;
        }
    }

    /// The shortest header that every reader understands.
    fn first_header(&mut self, message: &Message, len: u32) -> MessageHeader {
        let Message { chunk_stream, kind, timestamp, stream_id, .. } = *message;
        let full = MessageHeader::Full { timestamp, len, kind, stream_id };
        let mut next = Last { chunk_stream, timestamp, delta: None, len, kind, stream_id };
        let Some(last) = self.last.iter_mut().find(|last| last.chunk_stream == chunk_stream) else {
            self.last.push(next);
            return full;
        };
        // A step back looks like one of more than 24 bits, and needs format 0 as those do (RTMP 1.0, 5.3.1.2.1).
        let delta = timestamp.wrapping_sub(last.timestamp);
        let header = if last.stream_id != stream_id || delta >= EXTENDED {
            full
        } else {
            next.delta = Some(delta);
            match (last.len == len && last.kind == kind, last.delta == Some(delta)) {
                (true, true) => MessageHeader::Same,
                (true, false) => MessageHeader::SameLength { delta },
                (false, _) => MessageHeader::SameStream { delta, len, kind },
            }
        };
        *last = next;
        header
    }
}

/// The header of every chunk of a message but the first. The extended timestamp is on these too (RTMP 1.0, 5.3.1.3).
pub(super) fn continuation(chunk_stream: u32, extended: Option<u32>, out: &mut BytesMut) {
    BasicHeader { format: Format::Same, chunk_stream }.write(out);
    if let Some(time) = extended {
        out.extend_from_slice(&time.to_be_bytes());
    }
}
