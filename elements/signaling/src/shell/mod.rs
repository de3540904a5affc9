//! The protocol on the shared HTTP listener.
//!
//! | module | what |
//! | --- | --- |
//! | [`element`] | `signalingserver` |
//! | [`hub`] | a board with its connections, deadlines, and those of this process |
//! | [`hubs`] | where elements of this process find it |
//! | `door` | whether a token proves an identity |
//! | `socket` | one WebSocket |
//! | `outbox` | what waits for one connection |
//! | `page` | the call page |
//! | [`remote`] | a peer at a server elsewhere |
//! | [`peer`] | a peer, wherever the server is |
//! | `watch` | whether the other end of a socket is there |

mod door;
pub mod element;
pub mod hub;
pub mod hubs;
mod outbox;
mod page;
pub mod peer;
pub mod remote;
mod socket;
mod watch;
