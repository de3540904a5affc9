//! A load of RTMP publishers and players in one thread, and what became of every frame.
//!
//! | module | what |
//! | --- | --- |
//! | `clip` | an FLV file as messages, with room for a stamp in each picture |
//! | `wire` | what a client writes: chunks and commands |
//! | `chunks` | what a player reads: only as much of each message as is looked at |
//! | `client` | one publisher or player, without its socket |
//! | `alone` | one publisher by itself |
//! | `publisher` | what a publisher sends, and when |
//! | `engine` | sockets, time, and who is served next |
//! | `report` | what was found |
//! | `cli` | the same from the command line, against any server |
//!
//! It knows nothing of our own RTMP: a mistake there must not look right from here. Each picture that is published carries the time and
//! a number in an SEI message, so latency and loss are measured for each picture and player, whatever server stands between.
//! Everything is on loopback.

mod alone;
mod chunks;
pub(crate) mod cli;
mod client;
mod clip;
mod engine;
mod publisher;
mod report;
mod wire;

pub(crate) use alone::Alone;
pub(crate) use clip::{Clip, Stamp, mark_room, pictures_of, read_mark, write_mark};
pub(crate) use engine::{open_files, run};
pub(crate) use report::{Look, Memory, Quantiles, Report};

use std::net::SocketAddrV4;
use std::sync::Arc;

/// What is asked of a server.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Where it listens.
    pub(crate) address: SocketAddrV4,
    /// The application to connect to.
    pub(crate) app: String,
    /// Name of the streams; `{i}` in it is the number of the stream.
    pub(crate) stream: String,
    /// What every publisher sends, again and again.
    pub(crate) clip: Arc<Clip>,
    /// A stream each.
    pub(crate) publishers: usize,
    /// Spread over the streams.
    pub(crate) players: usize,
    /// Of these, so many read less than the stream has.
    pub(crate) slow_players: usize,
    /// Publishes as fast as the server takes it instead of in real time.
    pub(crate) flat_out: bool,
    /// Publishes so many times as fast as real time.
    pub(crate) speed: f64,
    /// Connections begun in a second.
    pub(crate) joins: f64,
    /// One player after the other: the next begins when this one has seen a picture.
    pub(crate) one_by_one: bool,
    /// Seconds between the publishers' start and the first player.
    pub(crate) settle: f64,
    /// Seconds between the last player's start and the window that is measured.
    pub(crate) warmup: f64,
    /// Seconds that are measured.
    pub(crate) window: f64,
    /// Seconds for all to begin.
    pub(crate) patience: f64,
    /// Least milliseconds between two looks at the sockets. It adds as much to the latency, and makes this client cheap enough for
    /// thousands of players.
    pub(crate) coalesce_ms: u64,
    /// The process whose time and memory are measured.
    pub(crate) pid: Option<u32>,
}

impl Load {
    /// One publisher in real time and no player, for ten seconds.
    pub(crate) fn new(address: SocketAddrV4, clip: Arc<Clip>) -> Self {
        Self {
            address,
            app: "live".to_owned(),
            stream: "s{i}".to_owned(),
            clip,
            publishers: 1,
            players: 0,
            slow_players: 0,
            flat_out: false,
            speed: 1.0,
            joins: 500.0,
            one_by_one: false,
            settle: 3.0,
            warmup: 3.0,
            window: 10.0,
            patience: 20.0,
            coalesce_ms: 0,
            pid: None,
        }
    }
}
