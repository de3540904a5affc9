//! Messages (RTMP 1.0, 6 and 7.1): what chunks carry, one wire unit a file.

mod aggregate;
mod control;
mod data;
mod error;
mod kind;
mod plain;
mod user_control;

use bytes::Bytes;

pub use aggregate::{Aggregate, aggregate};
pub use control::{Control, PeerLimit};
pub use data::{Data, DataFrame, parse_data, set_data_frame};
pub use error::MessageError;
pub use kind::MessageType;
pub use user_control::UserControl;

/// Chunk streams by what they carry. Peers choose freely; only 2 has a meaning of its own (RTMP 1.0, 5.3.1.1).
pub mod chunk_stream {
    /// Protocol control and user control messages.
    pub const CONTROL: u32 = 2;
    /// Commands of the connection and of its streams.
    pub const COMMAND: u32 = 3;
    /// Audio.
    pub const AUDIO: u32 = 4;
    /// Data.
    pub const DATA: u32 = 5;
    /// Video.
    pub const VIDEO: u32 = 6;
}

/// A whole message with the chunk stream that it came or goes on.
///
/// Its `Debug` form shows no payload: commands hold stream keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The chunk stream, 2 to 65599.
    pub chunk_stream: u32,
    /// What the payload is.
    pub kind: MessageType,
    /// Milliseconds modulo 2^32; the decoding time of media.
    pub timestamp: u32,
    /// The message stream: 0 is the connection itself, others are made by `createStream`.
    pub stream_id: u32,
    /// The payload, a slice of what was received where it lay whole in one piece.
    pub payload: Bytes,
}

impl Message {
    /// The longest payload that the 24 bits of a chunk header can say.
    pub const MAX_LEN: u32 = 0x00FF_FFFF;

    /// A control message: chunk stream 2, message stream 0, and a time that nobody reads.
    pub fn control(kind: MessageType, payload: Bytes) -> Self {
        Self { chunk_stream: chunk_stream::CONTROL, kind, timestamp: 0, stream_id: 0, payload }
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { chunk_stream, kind, timestamp, stream_id, payload } = self;
        write!(f, "{kind:?} of {} bytes at {timestamp} on {chunk_stream}/{stream_id}", payload.len())
    }
}
