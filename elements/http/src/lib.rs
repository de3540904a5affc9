//! Streams over HTTP, on the server that elements share (`framework/server`).
//!
//! | standard | what of it | where |
//! | --- | --- | --- |
//! | practice of nginx-http-flv and SRS | a live FLV stream as a response that does not end | [`flvsink`] |
//!
//! | element | does |
//! | --- | --- |
//! | [`flvsink`] | `httpflvsink`: serves a stream to HTTP-FLV players |

pub mod flvsink;
mod player;

use millstream_core::Registry;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(flvsink::factory());
}
