//! What a movie is (ISO/IEC 14496-12, 8): its tracks, their formats, and where their samples lie.
//!
//! | module | what |
//! | --- | --- |
//! | `read` | the `moov` box |
//! | `entry` | sample entries: codec and configuration |
//! | `edits` | from times of media to the timeline of the movie |
//! | `table` | sample tables, read as they lie in the file |

mod edits;
mod entry;
mod read;
mod table;

use bytes::Bytes;

pub use edits::{Edit, Edits};
pub use entry::{Codec, Entry};
pub use table::{Sample, Samples, Table};

use crate::wire::Mp4Error;

/// A movie.
#[derive(Clone, Debug, Default)]
pub struct Movie {
    /// Units of its timeline in a second.
    pub timescale: u32,
    /// Units that it lasts, without what fragments add.
    pub duration: u64,
    /// Its tracks of pictures and sound, in order; others are left out.
    pub tracks: Vec<Track>,
    /// Tracks that are neither, by handler: what is left out.
    pub others: Vec<String>,
    /// More samples come in fragments (`mvex`).
    pub is_fragmented: bool,
}

impl Movie {
    /// Reads the content of a `moov` box, which lies at `offset` in the file.
    ///
    /// # Errors
    /// When a box that is needed is missing, cut, or says what cannot be.
    pub fn read(content: &Bytes, offset: u64) -> Result<Self, Mp4Error> {
        read::movie(content, offset)
    }
}

/// Pictures or sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// `vide`.
    Video,
    /// `soun`.
    Audio,
}

/// A track.
#[derive(Clone, Debug)]
pub struct Track {
    /// Its number in the file.
    pub id: u32,
    /// Pictures or sound.
    pub medium: Medium,
    /// Ticks of its media in a second, at least 1.
    pub timescale: u32,
    /// ISO 639-2 language, if one is said.
    pub language: Option<String>,
    /// Formats of its samples; [`Sample::entry`] counts them from 0.
    pub entries: Vec<Entry>,
    /// How its media lie on the timeline.
    pub edits: Edits,
    /// Where its samples lie, but for those of fragments.
    pub table: Table,
    /// What samples of fragments are like that do not say (`trex`).
    pub defaults: Defaults,
}

/// What samples of fragments are like that do not say (8.8.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Sample entry, from 0.
    pub entry: u32,
    /// Ticks.
    pub duration: u32,
    /// Bytes.
    pub size: u32,
    /// Flags of a sample (8.8.3.1).
    pub flags: u32,
}
