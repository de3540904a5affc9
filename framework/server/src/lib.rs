//! What elements that serve or call have in common: listeners that they share, HTTP, TLS.
//!
//! | module | what |
//! | --- | --- |
//! | [`listen`] | one listener for each address of a runtime, and a task for each connection |
//! | [`access`] | who may publish and play: keys, and callbacks of other servers |
//! | [`doors`] | connections of listeners, counted |
//! | [`redirect`] | where servers may lead their clients |
//! | [`relays`] | relays (TURN) of a runtime, and credentials for them |
//! | [`backoff`] | how long to wait before another attempt to connect |
//! | [`http`] | the HTTP server (RFC 9110, RFC 9112), on whose paths elements mount what they serve, and a client |
//! | [`players`] | settings of elements that serve players, declared once |
//! | [`tls`] | TLS 1.2 and 1.3 (RFC 5246, RFC 8446) over any stream of the environment |
//!
//! Sockets, clock and tasks come from the `Env` of the runtime, so all of it runs on a simulated network too.

pub mod access;
pub mod backoff;
pub mod doors;
pub mod http;
pub mod listen;
pub mod players;
pub mod redirect;
pub mod relays;
#[cfg(feature = "tls")]
pub mod tls;
