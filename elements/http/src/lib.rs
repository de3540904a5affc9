//! Streams over HTTP, on the server that elements share (`framework/server`).
//!
//! | standard | what of it | where |
//! | --- | --- | --- |
//! | practice of nginx-http-flv and SRS | a live FLV stream as a response that does not end | [`flvsink`], [`flvsrc`] |
//!
//! | element | does |
//! | --- | --- |
//! | [`flvsink`] | `httpflvsink`: serves a stream to HTTP-FLV players |
//! | [`flvsrc`] | `httpflvsrc`: plays an HTTP-FLV stream of another server |

pub mod flvsink;
pub mod flvsrc;
mod player;

use millstream_core::Registry;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(flvsink::factory());
    registry.add(flvsrc::factory());
}
