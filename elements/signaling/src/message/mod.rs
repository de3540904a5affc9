//! The messages of the protocol, as `docs/spec/signaling.md` has them.
//!
//! | module | what |
//! | --- | --- |
//! | `client` | what clients and workers say |
//! | `server` | what the server says |
//! | `json` | text to message: size, depth, shape, lengths |

mod client;
mod json;
mod server;

pub use client::{CandidateInit, ClientMessage, HelloFields, Kind, Purpose, RejectReason};
pub use json::{Incoming, parse};
pub use server::{
    ClosedReason, EndedReason, Envelope, IceServer, LeftReason, LimitsInfo, Member, Policy, Presence, RoomInfo,
    ServerMessage, WelcomeState,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest message in bytes: an offer with every codec of a browser has 10 KiB a track.
pub const MAX_MESSAGE: usize = 64 << 10;
/// Deepest nesting of a message, itself included: messages need 4.
pub const MAX_DEPTH: usize = 8;

/// The JSON Schema of all messages, of both directions.
pub fn schema() -> serde_json::Value {
    let of = |schema: schemars::Schema| serde_json::to_value(schema).unwrap_or_default();
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Signaling of millstream, see signaling.md",
        "client": of(schemars::schema_for!(ClientMessage)),
        "server": of(schemars::schema_for!(ServerMessage)),
    })
}

/// What is wrong with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// It is no JSON object.
    NotJson,
    /// It nests deeper than [`MAX_DEPTH`].
    TooDeep,
    /// It is binary.
    NotText,
    /// It has no `type` that is known.
    UnknownType,
    /// A field is missing or has a wrong shape.
    BadField,
    /// A field, or all of it, is longer than its limit.
    TooLarge,
    /// There were more messages than allowed.
    TooFast,
    /// The first message is `hello`.
    HelloFirst,
    /// There has been a `hello`.
    HelloAgain,
    /// Only version 1 is spoken.
    Version,
    /// The token or the role does not allow it.
    NotAllowed,
    /// The identity is there already.
    IdentityTaken,
    /// As many as the room may have are in it.
    RoomFull,
    /// The peer was thrown out of the room.
    RoomKicked,
    /// The peer is in as many rooms as it may.
    TooManyRooms,
    /// The peer has as many sessions as it may.
    TooManySessions,
    /// The server has as many peers as it may.
    TooManyPeers,
    /// There is no such room, or the peer is not in it.
    NoRoom,
    /// There is no such peer, or none that the client may know of.
    NoPeer,
    /// There is no such session of this peer.
    NoSession,
    /// Nobody serves the stream.
    NoWorker,
    /// The session is in another state.
    WrongState,
}

/// Why a message was not done. The text is for people at the other end and has no secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
    /// What would help.
    pub hint: Option<&'static str>,
}

impl Refusal {
    /// One without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Adds what would help.
    #[must_use]
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}
