//! What a server does.

use super::ClientSettings;
use crate::command::{ConnectResult, Invoke, Response, Status};
use crate::message::{DataFrame, UserControl};
use crate::session::Media;

/// What a server answers, sends or asks. `stream` is a message stream of this connection.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// `connect` was accepted.
    Connected(Box<ConnectResult>),
    /// The message stream is there.
    StreamCreated {
        /// Its id.
        stream: u32,
    },
    /// The server takes what is published: metadata, sequence headers and the first key frame may be sent.
    Publishing {
        /// The message stream.
        stream: u32,
    },
    /// The server plays.
    Playing {
        /// The message stream.
        stream: u32,
    },
    /// What was played is over. More may come when a publisher returns.
    Ended {
        /// The message stream.
        stream: u32,
    },
    /// Audio or video.
    Media {
        /// The message stream.
        stream: u32,
        /// What.
        media: Media,
    },
    /// Data. Some servers leave `@setDataFrame` in front, which makes no difference.
    Data {
        /// The message stream.
        stream: u32,
        /// Milliseconds modulo 2^32.
        timestamp: u32,
        /// What.
        data: DataFrame,
    },
    /// A status that is neither a refusal nor one of the events above; with stream 0 of the connection.
    Status {
        /// The message stream.
        stream: u32,
        /// What.
        status: Status,
    },
    /// StreamBegin, StreamEOF, StreamDry, StreamIsRecorded.
    UserControl(UserControl),
    /// The answer to a [`call`](super::ClientSession::call).
    Answer(Response),
    /// The server calls a procedure.
    Call(Invoke),
    /// The server asks to move, and goes on meanwhile (Enhanced RTMP v2, "Reconnect Request"): open a session with these settings,
    /// send metadata and sequence headers, and go over at a key frame.
    Reconnect(Box<ClientSettings>),
    /// This connection is over, and another one with these settings is to be tried: the server asks for authentication or
    /// redirects.
    TryAgain(Box<ClientSettings>),
}
