//! Writes a message once for many connections.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::basic_header::BasicHeader;
use super::message_header::MessageHeader;
use super::writer::continuation;
use crate::message::Message;

/// Below this, header and payload are gathered into one slice: a slice of its own costs more in a vectored write than copying.
const SHARE_FROM: usize = 1024;

/// A message in chunks. Clones share its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedChunks {
    slices: SmallVec<[Bytes; 2]>,
    len: usize,
}

impl SharedChunks {
    /// Headers and payload in order, for a vectored write. A large payload in one chunk is two of them.
    pub fn slices(&self) -> &[Bytes] {
        &self.slices
    }

    /// Bytes of all slices.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a message has a header.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Cuts a message into chunks that any connection can be sent whose chunk size is `chunk_size`.
///
/// Its first header has format 0, so that it depends on no message before. Connections keep the chunk streams that they are sent such
/// messages on free of others, or write those with format 0 too. The payload is shared where it is long; what is longer than
/// [`Message::MAX_LEN`] is cut there.
pub fn chunk_once(message: &Message, chunk_size: u32) -> SharedChunks {
    let chunk_size = chunk_size.max(1) as usize;
    let len = message.payload.len().min(Message::MAX_LEN as usize);
    let Message { chunk_stream, kind, timestamp, stream_id, .. } = *message;
    let header = MessageHeader::Full { timestamp, len: len as u32, kind, stream_id };
    let extended = header.extended();
    let repeated = len.div_ceil(chunk_size).saturating_sub(1);
    let extended_len = if extended.is_some() { 4 } else { 0 };
    let first_len = BasicHeader::len(chunk_stream) + 11 + extended_len;
    let next_len = BasicHeader::len(chunk_stream) + extended_len;
    let heads = first_len + repeated * next_len;
    let gathered = len < SHARE_FROM;
    let mut block = BytesMut::with_capacity(heads + if gathered { len } else { 0 });
    BasicHeader { format: header.format(), chunk_stream }.write(&mut block);
    header.write(&mut block);
    let mut slices = SmallVec::new();
    let mut at = 0;
    while at < len {
        if at > 0 {
            continuation(chunk_stream, extended, &mut block);
        }
        let end = len.min(at + chunk_size);
        if gathered {
            block.extend_from_slice(&message.payload[at..end]);
        } else {
            slices.push(block.split().freeze());
            slices.push(message.payload.slice(at..end));
        }
        at = end;
    }
    if !block.is_empty() {
        slices.push(block.freeze());
    }
    SharedChunks { slices, len: heads + len }
}

#[cfg(test)]
mod tests {
    use super::super::{ChunkReader, EXTENDED};
    use super::*;
    use crate::message::MessageType;

    fn message(len: usize, timestamp: u32) -> Message {
        let payload = (0..len).map(|at| at as u8).collect::<Vec<_>>().into();
        Message { chunk_stream: 6, kind: MessageType::Video, timestamp, stream_id: 1, payload }
    }

    #[test]
    fn what_is_chunked_once_is_read_by_every_connection() {
        for (len, chunk_size) in [(0, 128), (1, 1), (300, 128), (1024, 1024), (5000, 128), (5000, 4096)] {
            for timestamp in [0, EXTENDED - 1, EXTENDED, u32::MAX] {
                let message = message(len, timestamp);
                let shared = chunk_once(&message, chunk_size);
                assert_eq!(shared.slices().iter().map(Bytes::len).sum::<usize>(), shared.len());
                let mut reader = ChunkReader::default();
                reader.push([&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0][..], &chunk_size.to_be_bytes()].concat().into());
                reader.next_message().unwrap().unwrap();
                for _ in 0..2 {
                    shared.slices().iter().for_each(|slice| reader.push(slice.clone()));
                    assert_eq!(reader.next_message().unwrap(), Some(message.clone()));
                }
                assert_eq!(reader.pending(), 0);
            }
        }
    }

    #[test]
    fn payload_is_shared_and_small_messages_are_one_slice() {
        let large = message(5000, 0);
        let shared = chunk_once(&large, 65_536);
        assert_eq!(shared.slices().len(), 2);
        assert_eq!(shared.slices()[1].as_ptr(), large.payload.as_ptr());
        assert_eq!(chunk_once(&message(200, 0), 128).slices().len(), 1);
        assert_eq!(chunk_once(&message(0, 0), 128).slices().len(), 1);
    }
}
