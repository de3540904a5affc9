//! MP4: the ISO base media file format (ISO/IEC 14496-12) with the codecs of 14496-14, 14496-15 and their registrations.
//!
//! | module | what |
//! | --- | --- |
//! | [`wire`] | boxes as bytes |
//! | [`movie`] | what a movie is: tracks, formats, where samples lie |
//! | [`fragment`] | samples that come in fragments |
//! | `demux` | `mp4demux` |

mod demux;
pub mod fragment;
pub mod fuzz;
pub mod movie;
pub mod wire;

use millstream_core::Registry;

pub use demux::Mp4DemuxSettings;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(demux::factory());
}
