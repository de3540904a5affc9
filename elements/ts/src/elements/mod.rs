//! The elements on top of the wire part.
//!
//! | file | what |
//! | --- | --- |
//! | `mux.rs`, `mux_settings.rs` | `tsmux` |
//! | `demux.rs`, `demux_settings.rs` | `tsdemux` |
//! | `streams.rs` | which stream goes out on which pads of `tsdemux` |
//! | `timeline.rs` | segments of `tsdemux`: where running time begins, and what a jump does to it |
//! | `key.rs` | key frames |
//! | `seek.rs` | where key frames were, for seeks by time |
//! | `sniff.rs` | what input is that is no transport stream |
//! | [`caps`] | caps from and to what a PMT says |
//! | [`lanes`] | inputs in step by running time: for every element that feeds a [`crate::muxer::TsMuxer`] |

pub mod caps;
mod demux;
mod demux_settings;
mod key;
pub mod lanes;
mod mux;
mod mux_settings;
mod seek;
mod sniff;
mod streams;
mod timeline;

use millstream_core::Registry;

pub use demux_settings::TsDemuxSettings;
pub use mux_settings::TsMuxSettings;

/// Adds `tsdemux` and `tsmux`.
pub fn register(registry: &mut Registry) {
    registry.add(demux::factory());
    registry.add(mux::factory());
}
