//! What clients and workers say.

use millstream_core::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{Code, Refusal};

/// Longest texts in bytes.
const MAX_IDENTITY: usize = 128;
const MAX_NAME: usize = 64;
const MAX_ROOM_CHARS: usize = 64;
const MAX_STREAM: usize = 256;
const MAX_TOKEN: usize = 4096;
const MAX_CANDIDATE: usize = 1024;
const MAX_ID: usize = 64;
/// Items of lists: codecs, patterns of streams.
const MAX_LIST: usize = 32;

/// A candidate (W3C WebRTC, 4.8.1.1: `RTCIceCandidateInit`).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateInit {
    /// The candidate attribute (RFC 8839, 5.1); empty at the end of a generation.
    pub candidate: String,
    /// The media section by its `mid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp_mid: Option<String>,
    /// The media section by its number.
    #[serde(default, rename = "sdpMLineIndex", skip_serializing_if = "Option::is_none")]
    pub sdp_m_line_index: Option<u16>,
    /// The generation by its user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_fragment: Option<String>,
}

/// Sound or pictures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// What a client wants of a worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To give it media.
    Publish,
    /// To get media.
    Play,
    /// To get back what it gives.
    Loopback,
}

/// Why a call is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RejectReason {
    /// The callee does not want it.
    #[default]
    Declined,
    /// The callee is busy elsewhere.
    Busy,
}

/// Who comes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct HelloFields {
    /// Version of the protocol: 1.
    pub version: u32,
    /// Who the client says it is.
    pub identity: Option<String>,
    /// What proves it.
    #[serde(serialize_with = "on_wire")]
    pub token: Option<Secret>,
    /// For people.
    pub name: Option<String>,
    /// The resume token of the last `welcome`.
    #[serde(serialize_with = "on_wire")]
    pub resume: Option<Secret>,
    /// The highest `seq` that has been heard of the server.
    pub last: Option<u64>,
}

/// What a client or worker says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are those of docs/spec/signaling.md, and mean the same in all of them")]
pub enum ClientMessage {
    /// The first message.
    Hello(HelloFields),
    /// A newer token of the same identity.
    Renew {
        #[serde(serialize_with = "on_wire")]
        token: Secret,
    },
    /// Asks for a `pong`.
    Ping {},
    /// Goes for good.
    Bye {},
    /// Enters a room.
    Join { room: String },
    /// Leaves a room.
    Leave { room: String },
    /// Asks for the rooms, or for the members of one.
    List { room: Option<String> },
    /// Throws somebody out.
    Kick { room: String, peer: String },
    /// Mutes or unmutes oneself or somebody.
    Mute { room: String, peer: Option<String>, kind: Kind, muted: bool },
    /// Says which codecs a room prefers.
    Policy { room: String, video: Option<Vec<String>>, audio: Option<Vec<String>> },
    /// Calls somebody.
    Invite { to: String, media: Option<Vec<Kind>> },
    /// The callee's bell rings.
    Ringing { session: String },
    /// Takes a call.
    Accept { session: String },
    /// Does not.
    Reject {
        session: String,
        #[serde(default)]
        reason: RejectReason,
    },
    /// Takes an invitation back.
    Cancel { session: String },
    /// Ends a session in any state.
    Hangup { session: String },
    /// An offer, in a session or to somebody.
    Offer { session: Option<String>, to: Option<String>, sdp: String },
    /// An answer.
    Answer { session: String, sdp: String },
    /// A provisional answer.
    Pranswer { session: String, sdp: String },
    /// A candidate; nothing at the end of candidates.
    Candidate { session: String, candidate: Option<CandidateInit> },
    /// Goes on with a session over a restart of the server.
    Reopen { session: String, with: String, polite: bool },
    /// Wants to give a stream.
    Publish { stream: String },
    /// Wants to get a stream.
    Play { stream: String },
    /// Wants to get back what it gives.
    Loopback {},
    /// Says what a worker serves.
    Worker { streams: Vec<String>, purposes: Vec<Purpose> },
    /// The worker has begun with a session.
    Init { session: String },
    /// Media flow.
    Ready { session: String },
    /// The worker cannot.
    Refuse { session: String, message: String },
}

impl ClientMessage {
    /// Looks at the lengths of texts and lists. What remains, the SDP, is as long as a message may be.
    ///
    /// # Errors
    /// With the field that is too long.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Hello(hello) => hello.check(),
            Self::Renew { token } => within("token", token.reveal(), MAX_TOKEN),
            Self::Join { room } | Self::Leave { room } => room_name(room),
            Self::List { room } => room.as_deref().map_or(Ok(()), room_name),
            Self::Kick { room, peer } => room_name(room).and_then(|()| within("peer", peer, MAX_ID)),
            Self::Mute { room, peer, .. } => {
                room_name(room).and_then(|()| within("peer", peer.as_deref().unwrap_or_default(), MAX_ID))
            }
            Self::Policy { room, video, audio } => {
                let codecs = [("video", video), ("audio", audio)];
                let mut lists = codecs.into_iter().filter_map(|(name, list)| Some((name, list.as_deref()?)));
                room_name(room).and_then(|()| lists.try_for_each(|(name, list)| words(name, list, MAX_NAME)))
            }
            Self::Invite { to, media } => {
                let kinds = media.as_ref().map_or(0, Vec::len);
                within("to", to, MAX_ID).and_then(|()| shorter("media", kinds, MAX_LIST))
            }
            Self::Offer { session, to, .. } => {
                let ids = [("session", session), ("to", to)];
                ids.into_iter().try_for_each(|(name, id)| within(name, id.as_deref().unwrap_or_default(), MAX_ID))
            }
            Self::Candidate { session, candidate } => {
                let candidate = candidate.as_ref().map_or(Ok(()), CandidateInit::check);
                within("session", session, MAX_ID).and(candidate)
            }
            Self::Reopen { session, with, .. } => {
                within("session", session, MAX_ID).and_then(|()| within("with", with, MAX_ID))
            }
            Self::Publish { stream } | Self::Play { stream } => within("stream", stream, MAX_STREAM),
            Self::Worker { streams, purposes } => {
                words("streams", streams, MAX_STREAM).and_then(|()| shorter("purposes", purposes.len(), MAX_LIST))
            }
            Self::Refuse { session, message } => {
                within("session", session, MAX_ID).and_then(|()| within("message", message, MAX_STREAM))
            }
            Self::Ringing { session }
            | Self::Accept { session }
            | Self::Reject { session, .. }
            | Self::Cancel { session }
            | Self::Hangup { session }
            | Self::Answer { session, .. }
            | Self::Pranswer { session, .. }
            | Self::Init { session }
            | Self::Ready { session } => within("session", session, MAX_ID),
            Self::Ping {} | Self::Bye {} | Self::Loopback {} => Ok(()),
        }
    }
}

impl HelloFields {
    fn check(&self) -> Result<(), Refusal> {
        let secrets = [("token", &self.token), ("resume", &self.resume)];
        let reveal = |secret: &Option<Secret>| secret.as_ref().map_or(0, |secret| secret.reveal().len());
        secrets.into_iter().try_for_each(|(name, secret)| shorter(name, reveal(secret), MAX_TOKEN))?;
        within("identity", self.identity.as_deref().unwrap_or_default(), MAX_IDENTITY)?;
        within("name", self.name.as_deref().unwrap_or_default(), MAX_NAME)
    }
}

impl CandidateInit {
    fn check(&self) -> Result<(), Refusal> {
        within("candidate", &self.candidate, MAX_CANDIDATE)?;
        within("sdpMid", self.sdp_mid.as_deref().unwrap_or_default(), MAX_NAME)?;
        within("usernameFragment", self.username_fragment.as_deref().unwrap_or_default(), MAX_STREAM)
    }
}

/// What is secret is shown to the server only.
trait OnWire {
    fn on_wire(&self) -> Option<&str>;
}

impl OnWire for Secret {
    fn on_wire(&self) -> Option<&str> {
        Some(self.reveal())
    }
}

impl OnWire for Option<Secret> {
    fn on_wire(&self) -> Option<&str> {
        self.as_ref().map(Secret::reveal)
    }
}

fn on_wire<S: Serializer>(secret: &impl OnWire, serializer: S) -> Result<S::Ok, S::Error> {
    secret.on_wire().serialize(serializer)
}

fn shorter(field: &str, len: usize, most: usize) -> Result<(), Refusal> {
    match len <= most {
        true => Ok(()),
        false => Err(Refusal::new(Code::TooLarge, format!("`{field}` is longer than {most}"))),
    }
}

/// No control characters either: these texts are shown to people and stand in logs.
fn within(field: &str, text: &str, most: usize) -> Result<(), Refusal> {
    shorter(field, text.len(), most)?;
    match text.chars().any(char::is_control) {
        true => Err(Refusal::new(Code::BadField, format!("`{field}` has control characters"))),
        false => Ok(()),
    }
}

fn words(field: &str, list: &[String], most: usize) -> Result<(), Refusal> {
    shorter(field, list.len(), MAX_LIST)?;
    list.iter().try_for_each(|word| within(field, word, most))
}

fn room_name(room: &str) -> Result<(), Refusal> {
    shorter("room", room.chars().count(), MAX_ROOM_CHARS)?;
    match room.is_empty() {
        true => Err(Refusal::new(Code::BadField, "`room` is empty")),
        false => within("room", room, MAX_ROOM_CHARS * 4),
    }
}
