//! What a client does.

use crate::Secret;
use crate::command::{Connect, Invoke, Play, Play2, Publish, Response};
use crate::message::DataFrame;
use crate::session::Media;

/// A call that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request {
    pub(super) transaction: f64,
    pub(super) stream: u32,
}

/// What a client asks, sends or ends. `stream` is a message stream of this connection.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerEvent {
    /// It wants to connect. To be answered.
    Connect(Box<Connect>),
    /// It wants to publish. To be answered; its media may come at once.
    Publish {
        /// The message stream.
        stream: u32,
        /// What and how.
        publish: Publish,
    },
    /// It wants to play. To be answered, perhaps later.
    Play {
        /// The message stream.
        stream: u32,
        /// What and how.
        play: Play,
    },
    /// It wants another rate of what it plays.
    Play2 {
        /// The message stream.
        stream: u32,
        /// Which.
        play: Box<Play2>,
    },
    /// It wants to play on from elsewhere.
    Seek {
        /// The message stream.
        stream: u32,
        /// Milliseconds from the start.
        milliseconds: f64,
    },
    /// It wants to pause or to go on.
    Pause {
        /// The message stream.
        stream: u32,
        /// Pause, not go on.
        pause: bool,
        /// Milliseconds at which the client stands.
        milliseconds: f64,
    },
    /// It wants audio or video, or not. It has been answered. Video that is wanted again resumes at a key frame.
    Receive {
        /// The message stream.
        stream: u32,
        /// Whether audio is wanted.
        audio: bool,
        /// Whether video is wanted.
        video: bool,
    },
    /// It says how much it keeps ahead.
    BufferLength {
        /// The message stream.
        stream: u32,
        /// Milliseconds.
        milliseconds: u32,
    },
    /// It asks how long a stream is. To be answered.
    StreamLength {
        /// For the answer.
        request: Request,
        /// The stream's name.
        name: Secret,
    },
    /// It calls a procedure that this library does not know.
    Call {
        /// For the answer, if it waits for one.
        request: Option<Request>,
        /// The message stream; 0 is the connection.
        stream: u32,
        /// The call.
        invoke: Invoke,
    },
    /// It answers a [`call`](super::ServerSession::call).
    Answer(Response),
    /// It publishes audio or video.
    Media {
        /// The message stream.
        stream: u32,
        /// What.
        media: Media,
    },
    /// It publishes data.
    Data {
        /// The message stream.
        stream: u32,
        /// Milliseconds modulo 2^32.
        timestamp: u32,
        /// What, and whether to keep it.
        data: DataFrame,
    },
    /// It publishes no longer.
    Unpublish {
        /// The message stream.
        stream: u32,
    },
    /// It plays no longer.
    Stop {
        /// The message stream.
        stream: u32,
    },
    /// It said `close`.
    Close,
}
