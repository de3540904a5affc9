//! Ways by which sessions are reached beside the addresses of this machine: what servers of STUN see, and relays (TURN).
//!
//! They belong to an element, not to a session: all of its sessions share one relay at each server, as they share the sockets of a port. So nobody who
//! comes waits for them, and a thousand viewers cost a server one allocation.
//!
//! | module | what |
//! | --- | --- |
//! | `servers` | the settings `ice-servers` and `ice-transport` |
//! | `reach` | what an element has found, kept alive |
//! | `relayed` | a relay as one more socket of a port |

mod reach;
mod relayed;
mod servers;

pub use self::reach::{Found, GATHER, Reach, Trouble, Ways};
pub use self::servers::{IceServer, IceTransport};
