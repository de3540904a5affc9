//! What ends a session.

use crate::chunk::ChunkError;
use crate::command::Status;
use crate::handshake::HandshakeError;

/// What a peer was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The handshake.
    Handshake,
    /// `connect` or its answer.
    Connect,
    /// `publish` or `play`, or the answer to it or to `createStream`.
    Stream,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the handshake",
            Self::Connect => "connect",
            Self::Stream => "publish or play",
        })
    }
}

/// Why a session is over. No text holds a stream key, a password or a token.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SessionError {
    /// The peer speaks another protocol.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// Chunks cannot be followed any longer.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The peer took too long.
    #[error("no progress in {0} within its time")]
    Timeout(Phase),
    /// The peer asks for answers faster than it reads them.
    #[error("more than {limit} bytes of answers that the peer does not read")]
    Flood {
        /// Bytes of answers that may wait.
        limit: usize,
    },
    /// The server refused what was asked for.
    #[error("refused by the server: {}", .0.shown_code())]
    Refused(Box<Status>),
    /// Name or password are wrong, or missing.
    #[error("authentication: {0}")]
    Authentication(&'static str),
    /// The server sends the client on and on.
    #[error("redirected more than {0} times")]
    Redirects(u8),
    /// The server sends the client to what is no RTMP URL.
    #[error("redirected: {0}")]
    Redirect(crate::UrlError),
    /// Nothing came from the server while it played.
    #[error("nothing came from the server within its time")]
    Silent,
    /// The server closed the connection by `close`.
    #[error("closed by the server")]
    Closed,
}
