//! Test tools. Nothing here runs in production, so mistakes of a test end it with a panic that says what was wrong.
//!
//! | module | what |
//! | --- | --- |
//! | [`harness`] | one element without a runtime: push items, look at what comes out |
//! | [`ports`] | one asynchronous source or sink without a runtime |
//! | [`env`](mod@env) | an environment of a clock that only tests move and files in memory, with faults to inject |
//! | [`net`] | a network in memory: delay, small segments, silence, broken connections |
//! | [`pair`] | two sessions against each other without sockets, on a virtual clock |
//! | [`http`] | a client of HTTP by hand, on that network |
//! | [`timeline`] | what came out, as text that two runs can be compared by |
//! | [`media`](mod@media) | the media corpus, its manifest, and the small fixtures that every clone has |
//! | [`peers`] | the foreign programs that tests talk to |

mod datagrams;
pub mod env;
mod executor;
pub mod harness;
pub mod http;
mod manifest;
pub mod media;
mod memfs;
pub mod net;
pub mod pair;
pub mod peers;
pub mod ports;
pub mod timeline;

pub use env::{TestClock, TestEnv};
pub use executor::{block_on, poll_once};
pub use harness::{Harness, HarnessBuilder};
pub use manifest::{Manifest, Reading, Row, Track};
pub use media::{fixture, manifest, media};
pub use memfs::MemFs;
pub use net::{SimNet, Weather};
pub use peers::{find_program, peer, peers_required};
pub use ports::{SinkProbe, SourceProbe};
pub use timeline::Timeline;
