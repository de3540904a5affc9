//! Sessions: a connection seen from one end, without its socket.
//!
//! Received bytes and the time go in; events, bytes to send and the next deadline come out. A shell does, in a loop:
//!
//! ```text
//! read the socket      → receive(bytes, now)
//! until it gives none  → next_event()           and answers what asks for an answer
//! output()             → write to the socket    and asks again only when that was taken
//! deadline()           → wait until then        → handle_timeout(now)
//! ```
//!
//! Because output is asked for only when the last was taken, a peer that reads nothing (OBS, while it publishes) costs no memory:
//! acknowledgements wait as one number, and [`SessionError::Flood`] ends what asks for answers without reading them.

mod acknowledge;
mod bandwidth;
pub mod client;
mod error;
mod link;
pub mod server;

pub use error::{Phase, SessionError};
pub use link::{LinkStats, Media, MediaKind};

/// The window that is announced to peers, in bytes: what most servers say.
pub const DEFAULT_WINDOW: u32 = 2_500_000;
/// The chunk size that is announced to peers, in bytes. Few chunks a frame, and no peer is known to refuse it: ffmpeg sends 65535.
pub const DEFAULT_CHUNK_SIZE: u32 = 65_535;
