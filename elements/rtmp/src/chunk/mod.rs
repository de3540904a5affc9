//! The chunk stream (RTMP 1.0, 5.3): messages cut into chunks that interleave.
//!
//! ```text
//! +--------------+----------------+--------------------+------------+
//! | basic header | message header | extended timestamp | data       |
//! | 1, 2, 3      | 0, 3, 7, 11    | 0, 4               | chunk size |
//! +--------------+----------------+--------------------+------------+
//! ```
//!
//! Reading: [`ChunkReader`] makes [`Message`](crate::message::Message)s of pushed bytes. Writing: [`ChunkWriter`] for one connection, with
//! headers as short as they can be; [`chunk_once`] for one message to many connections, whose slices they share.

mod basic_header;
mod error;
mod input;
mod message_header;
mod partial;
mod reader;
mod shared;
mod stream;
mod writer;

pub use basic_header::{BasicHeader, Format};
pub use error::ChunkError;
pub use message_header::MessageHeader;
pub use reader::{ChunkLimits, ChunkReader, ReaderStats};
pub use shared::{SharedChunks, chunk_once};
pub use writer::ChunkWriter;

/// The chunk size in both directions until it is changed (RTMP 1.0, 5.4.1).
pub const DEFAULT_CHUNK_SIZE: u32 = 128;
/// Larger sizes mean the same, as no message is longer (RTMP 1.0, 5.4.1).
pub const MAX_CHUNK_SIZE: u32 = crate::message::Message::MAX_LEN;
/// A timestamp field with this value says that the extended timestamp follows (RTMP 1.0, 5.3.1.3).
pub(crate) const EXTENDED: u32 = 0x00FF_FFFF;
