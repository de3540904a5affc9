//! Why a session does not connect: what was tried, what came of it, and who has to change something.
//!
//! | module | what |
//! | --- | --- |
//! | `checks` | which pairs of candidates were tried, and what each answered: read off the datagrams |
//! | `reason` | the reason, its name and what to do |
//! | `unreached` | a session of ours that nobody has reached |
//! | `endpoint` | an endpoint of WHIP or WHEP, or a stream of a signaling server, tried from here |
//! | `signaled` | how the latter is asked |
//! | `server` | a server of STUN or TURN, tried from here, and the translation of addresses on the way (RFC 5780) |

mod checks;
mod endpoint;
mod reason;
mod server;
mod signaled;
mod unreached;

pub use self::checks::{Answer, Checks, Pair};
pub(crate) use self::endpoint::candidates;
pub use self::endpoint::{EndpointReport, Told, Try, try_endpoint};
pub use self::reason::Reason;
pub use self::server::{Filtering, Mapping, Nat, ServerReport, try_server};
pub use self::unreached::Unreached;
