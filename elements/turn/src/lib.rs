//! STUN and TURN: a server that tells clients their address, and relays for those that reach each other in no other way; and the client of such a
//! server.
//!
//! | standard | what of it | where |
//! | --- | --- | --- |
//! | RFC 8489 5, 14; RFC 8656 18 | messages and attributes | [`stun`] |
//! | RFC 8489 9.2; draft-uberti-behave-turn-rest | long-term credentials, time-limited ones, nonces | [`credentials`] |
//! | RFC 8656 | allocations, permissions, channels, limits | [`server`] |
//! | RFC 8489 6, RFC 8656 | the other end of it | [`client`] |
//! | RFC 5780 | answers from another address, which show the translation on the way | [`server::Discovery`], [`client::Binding`] |
//! | RFC 7064, RFC 7065 | `stun:` and `turn:` | [`uri`] |
//! | RFC 8656 21.1, RFC 6890 | whom it relays to | [`peers`] |
//! | RFC 8656 3.1, 12.5 | UDP and TCP, the element | [`shell`] |
//!
//! Left out: TLS and DTLS to the server (a proxy does that), TCP to peers (RFC 6062), mobility (RFC 8016), the old attributes of RFC 3489, and
//! MESSAGE-INTEGRITY-SHA256, which no browser sends.
//!
//! | element | does |
//! | --- | --- |
//! | [`shell::element`] | `turnserver` |

pub mod client;
pub mod credentials;
pub mod peers;
pub mod server;
pub mod shell;
pub mod stun;
pub mod uri;

use millstream_core::Registry;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(shell::element::factory());
}
