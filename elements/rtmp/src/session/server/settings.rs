//! What a server is told before it starts.

use millstream_core::TimeDelta;

use crate::chunk::ChunkLimits;
use crate::command::Enhanced;
use crate::session::{DEFAULT_CHUNK_SIZE, DEFAULT_WINDOW};

/// Settings of a [`ServerSession`](super::ServerSession).
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSettings {
    /// How long the whole handshake may take, however it trickles in. Default 10 s: a third packet each way on any link.
    pub handshake_timeout: TimeDelta,
    /// How long a client may stay without `connect`, and then without publishing or playing anything. Default 30 s.
    pub request_timeout: TimeDelta,
    /// How often to send a ping, whose answer nobody needs: it keeps routers from forgetting the connection. Default never.
    pub ping_interval: Option<TimeDelta>,
    /// Window Acknowledgement Size and peer bandwidth to announce, in bytes. Default 2.5 MB.
    pub window: u32,
    /// Chunk size to announce, in bytes. Default 65535.
    pub chunk_size: u32,
    /// What is taken from a client at the chunk layer.
    pub limits: ChunkLimits,
    /// Message streams of one connection. Default 32; encoders use one.
    pub streams: usize,
    /// What to say of Enhanced RTMP. Default: everything is passed on.
    pub enhanced: Enhanced,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            handshake_timeout: TimeDelta::from_secs(10),
            request_timeout: TimeDelta::from_secs(30),
            ping_interval: None,
            window: DEFAULT_WINDOW,
            chunk_size: DEFAULT_CHUNK_SIZE,
            limits: ChunkLimits::default(),
            streams: 32,
            enhanced: Enhanced::forwarder(),
        }
    }
}
