//! The elements on top of the wire part.
//!
//! | file | what |
//! | --- | --- |
//! | `mux.rs`, `mux_settings.rs` | `tsmux` |
//! | [`caps`] | caps from and to what a PMT says |
//! | [`lanes`] | inputs in step by running time: for every element that feeds a [`crate::muxer::TsMuxer`] |

pub mod caps;
pub mod lanes;
mod mux;
mod mux_settings;

use millstream_core::Registry;

pub use mux_settings::TsMuxSettings;

/// Adds `tsmux`.
pub fn register(registry: &mut Registry) {
    registry.add(mux::factory());
}
