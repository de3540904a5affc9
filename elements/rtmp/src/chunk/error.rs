//! What ends a connection at the chunk layer: after any of these the next chunk cannot be found.

use super::Format;

/// Chunks that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The first chunk on a chunk stream has a header that leaves fields to a chunk before it.
    #[error("byte {offset}: the first chunk on chunk stream {chunk_stream} has {format}, expected format 0")]
    FirstChunk {
        /// Bytes of chunks before this one.
        offset: u64,
        /// The chunk stream.
        chunk_stream: u32,
        /// Its format.
        format: Format,
    },
    /// Set Chunk Size to zero, or Set Chunk Size or Abort of less than four bytes.
    #[error("byte {offset}: {what}")]
    Control {
        /// Bytes of chunks up to the end of the message.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A declared length above [`ChunkLimits::message_len`](super::ChunkLimits::message_len).
    #[error("byte {offset}: a message of {len} bytes, {limit} are allowed")]
    MessageTooLong {
        /// Bytes of chunks before this one.
        offset: u64,
        /// As declared.
        len: u32,
        /// As allowed.
        limit: u32,
    },
    /// More chunk streams than [`ChunkLimits::chunk_streams`](super::ChunkLimits::chunk_streams).
    #[error("byte {offset}: more than {limit} chunk streams")]
    TooManyStreams {
        /// Bytes of chunks before this one.
        offset: u64,
        /// As allowed.
        limit: usize,
    },
    /// Unfinished messages hold more memory than [`ChunkLimits::held`](super::ChunkLimits::held).
    #[error("byte {offset}: unfinished messages of more than {limit} bytes together")]
    TooMuchHeld {
        /// Bytes of chunks before this one.
        offset: u64,
        /// As allowed.
        limit: usize,
    },
}
