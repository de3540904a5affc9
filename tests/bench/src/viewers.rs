//! A load of WebRTC viewers of one stream in one thread, and what became of every picture.
//!
//! | module | what |
//! | --- | --- |
//! | `pictures` | an FLV file as packets of RTP, with room for a stamp in each picture |
//! | `door` | offers and answers over HTTP: WHIP and WHEP, and the way that Janus has |
//! | `peer` | one end of a connection with its socket |
//! | `engine` | who publishes, who watches, and when |
//!
//! It uses str0m by itself and knows nothing of our own sessions: a mistake there must not look right from here. Each picture carries the time and
//! a number in an SEI message, so latency and loss are measured for each picture and viewer, whatever server stands between. Everything is on
//! this machine.

mod door;
mod engine;
mod peer;
mod pictures;

pub(crate) use engine::run;
pub(crate) use pictures::Pictures;

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

/// What is asked of a server.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Where it listens for HTTP.
    pub(crate) address: SocketAddrV4,
    /// How it is published to.
    pub(crate) publish: Publish,
    /// How it is watched.
    pub(crate) watch: Watch,
    /// What is published, again and again, in real time.
    pub(crate) pictures: Arc<Pictures>,
    /// Viewers of it.
    pub(crate) viewers: usize,
    /// Of these, so many lose each tenth datagram.
    pub(crate) lossy: usize,
    /// One viewer after the other: the next begins when this one has seen a picture.
    pub(crate) one_by_one: bool,
    /// Seconds between the last viewer's start and the window that is measured.
    pub(crate) warmup: f64,
    /// Seconds that are measured.
    pub(crate) window: f64,
    /// The process whose time and memory are measured.
    pub(crate) pid: u32,
}

/// How a server is published to.
#[derive(Clone, Debug)]
pub(crate) enum Publish {
    /// WHIP, at this path.
    Whip(String),
    /// RTMP, with a load that has this one's clip.
    Rtmp(Box<crate::load::Load>),
    /// Packets of RTP without protection, to this address.
    Plain(SocketAddr),
}

/// How a server is watched.
#[derive(Clone, Debug)]
pub(crate) enum Watch {
    /// WHEP, at this path.
    Whep(String),
    /// The streaming plug-in of Janus, mount point 1.
    Janus,
}
