//! Recordings: FLV files that are played as a stream, and streams that become such files.
//!
//! Nothing here opens a file or knows a clock: a [`Playback`] says which bytes it needs, and when what is due, a [`Tape`] what to write.

mod length;
mod map;
mod name;
mod pace;
mod playback;
mod tape;

pub(crate) use length::{last_tag, length_of};
pub use name::file_name;
pub use playback::{Answer, Playback, Span, Step};
pub use tape::Tape;
