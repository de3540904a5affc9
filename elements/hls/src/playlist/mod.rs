//! Playlists as text (RFC 8216, section 4).

pub mod date_time;
mod media;
mod multivariant;
mod reader;

pub use media::{ByteRange, MediaPlaylist, MediaSegment, PlaylistType};
pub use multivariant::{MultivariantPlaylist, Variant};
pub use reader::{MAX_LINE, MAX_SEGMENTS, ReadError, read_media_playlist};
