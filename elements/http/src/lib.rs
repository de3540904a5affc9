//! HTTP: one server for all elements of a runtime, and what they serve.
//!
//! | standard | what of it | where |
//! | --- | --- | --- |
//! | RFC 9110, RFC 9112 | GET, HEAD and OPTIONS over HTTP/1.1 and HTTP/1.0, persistent connections; parsed and written by hyper | [`server`] |
//! | RFC 3986, 5.2.4 and 6.2.2 | paths without `.`, `..` and percent-encoding | [`server`] |
//! | WHATWG Fetch, 3.3 (CORS) | any page may read what is served | [`server`] |
//! | practice of nginx-http-flv and SRS | a live FLV stream as a response that does not end | [`flvsink`] |
//!
//! | element | does |
//! | --- | --- |
//! | [`flvsink`] | `httpflvsink`: serves a stream to HTTP-FLV players |

pub mod flvsink;
mod player;
pub mod server;

use millstream_core::Registry;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(flvsink::factory());
}
