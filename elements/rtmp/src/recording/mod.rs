//! Recordings: FLV files that are played as a stream.
//!
//! Nothing here opens a file or knows a clock.

mod name;

pub use name::file_name;
