//! RTMP and Enhanced RTMP: handshake, chunks, messages, commands, client and server sessions.
//!
//! | standard | what of it | where |
//! | --- | --- | --- |
//! | Adobe RTMP 1.0 (December 2012), 5.2 | the handshake of three parts each way | [`handshake`] |
//! | the same, 5.3 | chunks: all formats, extended timestamps, interleaving | [`chunk`] |
//! | the same, 5.4, 6, 7.1 | protocol control, user control, data, aggregate; no shared objects | [`message`] |
//! | the same, 7.2 | commands of connection and streams | [`command`] |
//! | Enhanced RTMP v2 (Veovera, 2026-01-31-r2) | capability exchange in `connect`; codecs are in `millstream-flv` | [`command`] |
//! | the same, 5.4 and 7.2 | windows, limits, pings, the conversations of connect, publish and play | [`session`] |
//! | Enhanced RTMP v2 | reconnect request | [`session`] |
//! | practice of Adobe and Limelight | authentication and redirection of clients | [`session::client`] |
//! | all of it | what goes over a connection, as events for people | [`trace`] |
//! | RTMP inside of TLS (RFC 8446, RFC 5246) | `rtmps`, by `millstream-server`; no encryption of RTMP's own (RTMPE) | `tls` |
//! | practice of Flash Player 9 and later | the digest in the handshake, both layouts; no encryption (RTMPE) | [`handshake`] |
//!
//! Nothing of these owns a socket, a clock or a task: bytes and times go in; bytes, events and the next deadline come out. The elements
//! put them on the network:
//!
//! | element | does |
//! | --- | --- |
//! | [`src`](mod@src) | `rtmpsrc`: plays from a server |
//! | [`sink`] | `rtmpsink`: publishes to a server |
//! | [`serversrc`] | `rtmpserversrc`: accepts a publisher |
//! | [`serversink`] | `rtmpserversink`: serves players |

mod auth;
pub mod calls;
pub mod chunk;
mod client_settings;
mod codecs;
pub mod command;
mod connector;
pub mod handshake;
mod leash;
mod liveness;
pub mod message;
mod moving;
mod peer;
pub mod recording;
mod secret;
mod server;
pub mod serversink;
pub mod serversrc;
pub mod session;
pub mod sink;
mod socket;
pub mod src;
mod timeline;
mod tls;
pub mod trace;
mod url;

pub use secret::Secret;
pub use url::{RtmpUrl, Scheme, UrlError};

use millstream_core::Registry;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(src::factory());
    registry.add(sink::factory());
    registry.add(serversink::factory());
    registry.add(serversrc::factory());
}
