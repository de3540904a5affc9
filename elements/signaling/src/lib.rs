//! Signaling for WebRTC: people, rooms, calls and conversations, over WebSocket and JSON.
//!
//! The protocol is `docs/spec/signaling.md`; why it is so, decision 0025.
//!
//! | standard | what of it | where |
//! | --- | --- | --- |
//! | ours | messages of both directions, their limits | [`message`] |
//! | ours; W3C WebRTC 10.7 (perfect negotiation) | who is there, rooms, sessions and their states | [`board`] |
//! | RFC 7515, RFC 7518 3.2, RFC 7519 | signed tokens of identities and resumes | [`token`] |
//! | ours | what an identity may | [`identity`] |
//! | ours | the other end: resume, and nothing said twice | [`client`] |
//! | RFC 6455, RFC 6454 | connections, origins, the element | [`shell`] |
//!
//! | element | does |
//! | --- | --- |
//! | [`shell::element`] | `signalingserver`: rooms and calls on the shared HTTP listener, with a call page |

pub mod board;
pub mod client;
pub mod identity;
pub mod message;
pub mod shell;
pub mod token;

use millstream_core::Registry;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(shell::element::factory());
}
