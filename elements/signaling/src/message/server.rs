//! What the server says.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CandidateInit, Code, Kind};
use crate::identity::Role;

/// What a client may use to reach others (W3C WebRTC, 4.2.4: `RTCIceServer`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct IceServer {
    /// `stun:`, `turn:` and `turns:` URLs.
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Whether a member's connection is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// It is.
    Here,
    /// It was lost, and may come back.
    Away,
}

/// Somebody in a room, or at the other end of a session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Its address.
    pub peer: String,
    /// Who it is.
    pub identity: String,
    /// For people.
    pub name: String,
    /// What it may.
    pub role: Role,
    /// Whether its connection is there.
    pub presence: Presence,
    /// What of it is muted.
    pub muted: Vec<Kind>,
}

/// Codecs that a room prefers, the best first. With none there is no preference.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// Of pictures: `VP8`, `H264`, `VP9`, `AV1`, `H265`.
    pub video: Vec<String>,
    /// Of sound: `opus`, `PCMU`, `PCMA`.
    pub audio: Vec<String>,
}

/// A room from outside.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RoomInfo {
    /// Its name.
    pub room: String,
    /// How many are in it.
    pub members: usize,
    /// How many may be.
    pub limit: usize,
}

/// What a client may do how often.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LimitsInfo {
    /// Bytes of a message.
    pub message: usize,
    /// Messages a second, in the long run.
    pub messages_per_second: u32,
    /// Rooms at a time.
    pub rooms: usize,
}

/// What a `welcome` goes on with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WelcomeState {
    /// Nothing.
    New,
    /// Everything as it was.
    Resumed,
    /// Identity and address only.
    Restored,
}

/// Why somebody is in a room no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "as in docs/spec/signaling.md")]
pub enum LeftReason {
    Left,
    Kicked,
    Lost,
    Bye,
    Replaced,
    Expired,
}

/// Why a session is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "as in docs/spec/signaling.md")]
pub enum EndedReason {
    HungUp,
    Cancelled,
    Rejected,
    Busy,
    Timeout,
    Left,
    Lost,
    Refused,
}

/// Why a connection is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "as in docs/spec/signaling.md")]
pub enum ClosedReason {
    Bye,
    Replaced,
    Expired,
    NotAllowed,
    TooFast,
    TooSlow,
    Protocol,
    HelloTimeout,
    ServerEnds,
}

impl ClosedReason {
    /// The word of the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bye => "bye",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::NotAllowed => "not-allowed",
            Self::TooFast => "too-fast",
            Self::TooSlow => "too-slow",
            Self::Protocol => "protocol",
            Self::HelloTimeout => "hello-timeout",
            Self::ServerEnds => "server-ends",
        }
    }
}

/// What the server says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[allow(missing_docs, reason = "the fields are those of docs/spec/signaling.md, and mean the same in all of them")]
pub enum ServerMessage {
    /// The client is a peer.
    Welcome {
        version: u32,
        id: String,
        identity: String,
        name: String,
        role: Role,
        state: WelcomeState,
        resume: String,
        resume_for: i64,
        heard: u64,
        ice_servers: Vec<IceServer>,
        limits: LimitsInfo,
    },
    /// The identity is good for longer.
    Renewed {},
    /// The identity is soon good no more: in so many seconds.
    Expiring {
        #[serde(rename = "in")]
        seconds: i64,
    },
    /// The connection is over.
    Closed { reason: ClosedReason, message: String },
    /// A message was not done.
    Error {
        code: Code,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<Cow<'static, str>>,
    },
    /// To `ping`.
    Pong {},
    /// The peer is in a room.
    Joined { room: String, members: Vec<Member>, limit: usize, policy: Policy },
    /// The peer is in it no more.
    Left { room: String, reason: LeftReason },
    /// Somebody came.
    MemberJoined { room: String, member: Member },
    /// Somebody went.
    MemberLeft { room: String, peer: String, reason: LeftReason },
    /// Somebody was muted or unmuted, went away or came back.
    MemberChanged {
        room: String,
        member: Member,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// All rooms that the client may join.
    Rooms { rooms: Vec<RoomInfo> },
    /// Who is in a room.
    Members { room: String, members: Vec<Member> },
    /// Codecs that a room prefers from now on.
    Policy { room: String, video: Vec<String>, audio: Vec<String>, by: String },
    /// A session that the client began.
    Opened { session: String, peer: String, polite: bool },
    /// The callee has been asked.
    Inviting { session: String, to: String },
    /// Somebody calls.
    Invite { session: String, from: Member, media: Vec<Kind> },
    /// The callee's bell rings.
    Ringing { session: String },
    /// The call begins.
    Accepted { session: String, peer: String, polite: bool },
    /// A session is over.
    Ended {
        session: String,
        reason: EndedReason,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// An offer of the other end.
    Offer {
        session: String,
        from: String,
        sdp: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        collides: bool,
    },
    /// An answer of the other end.
    Answer { session: String, from: String, sdp: String },
    /// A provisional answer of the other end.
    Pranswer { session: String, from: String, sdp: String },
    /// A candidate of the other end.
    Candidate { session: String, from: String, candidate: Option<CandidateInit> },
    /// To a worker: somebody wants to give a stream.
    Publish { session: String, stream: String, from: Member },
    /// To a worker: somebody wants to get a stream.
    Play { session: String, stream: String, from: Member },
    /// To a worker: somebody wants its own media back.
    Loopback { session: String, from: Member },
    /// To a worker: what it serves from now on.
    Serving { streams: Vec<String> },
    /// The worker has begun.
    Init { session: String, stream: String, peer: String, polite: bool },
    /// Media flow.
    Ready { session: String },
}

/// A message on its way to a peer.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Envelope {
    /// Its number among those to this peer; 0 before there is one.
    #[serde(default)]
    pub seq: u64,
    /// The `ref` of the message that it answers.
    #[serde(default, rename = "ref")]
    pub reference: Option<String>,
    /// The message.
    #[serde(flatten)]
    pub message: ServerMessage,
}

impl Envelope {
    /// As it is sent.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Numbered<'a> {
            #[serde(flatten)]
            message: &'a ServerMessage,
            #[serde(skip_serializing_if = "is_zero")]
            seq: u64,
            #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
            reference: Option<&'a str>,
        }
        let numbered = Numbered { message: &self.message, seq: self.seq, reference: self.reference.as_deref() };
        serde_json::to_string(&numbered).unwrap_or_default()
    }
}

fn is_zero(seq: &u64) -> bool {
    *seq == 0
}
