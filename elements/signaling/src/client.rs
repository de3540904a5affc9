//! A client's end of the protocol, without sockets, clock and tasks: what programs of ours are that take part from elsewhere.
//!
//! What is said while the connection is away is kept and said when it is back, nothing twice; the token that a `welcome` gives is what the client comes
//! back with, also to a server that was started anew.

use std::collections::VecDeque;

use millstream_core::Secret;
use serde::Serialize;

use crate::message::{ClientMessage, ClosedReason, Envelope, HelloFields, ServerMessage, WelcomeState};

/// What is kept until the server is known to have heard it. Beyond it nothing can be resumed.
const MAX_KEPT: usize = 1024;

/// After so many messages the server is asked whether it has heard them.
const ASK_AFTER: u64 = 64;

/// Who the client says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Its identity; made up by the server without one.
    pub identity: Option<String>,
    /// What proves it.
    pub token: Option<Secret>,
}

/// What the connection came to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signaling server has ended the connection: {message}")]
pub struct Ended {
    /// For programs.
    pub reason: ClosedReason,
    /// For people.
    pub message: String,
}

/// One end of a conversation with a server.
#[derive(Debug, Default)]
pub struct Client {
    credentials: Credentials,
    resume: Option<Secret>,
    is_open: bool,
    /// A server has known it.
    was_here: bool,
    /// The highest number of what was heard, and of what was said.
    last: u64,
    said: u64,
    /// What the server may not have heard.
    kept: VecDeque<(u64, String)>,
    output: VecDeque<String>,
}

#[derive(Serialize)]
struct Numbered<'a> {
    #[serde(flatten)]
    message: &'a ClientMessage,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
}

fn json(message: &ClientMessage, seq: Option<u64>, reference: Option<String>) -> String {
    serde_json::to_string(&Numbered { message, seq, reference }).unwrap_or_default()
}

impl Client {
    /// One that has no connection so far.
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, ..Self::default() }
    }

    /// A connection is there: it begins with `hello`.
    pub fn connected(&mut self) {
        self.output.clear();
        let Credentials { identity, token } = self.credentials.clone();
        let resume = self.resume.clone();
        let last = resume.is_some().then_some(self.last);
        let hello = HelloFields { version: 1, identity, token, name: None, resume, last };
        self.output.push_back(json(&ClientMessage::Hello(hello), None, None));
    }

    /// The connection is lost.
    pub fn lost(&mut self) {
        self.is_open = false;
        self.output.clear();
    }

    /// Whether there is somebody who hears what is said now.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Says something, now or when the connection is back.
    pub fn say(&mut self, message: &ClientMessage) {
        self.add(message);
        if self.said.is_multiple_of(ASK_AFTER) {
            self.add(&ClientMessage::Ping {});
        }
    }

    fn add(&mut self, message: &ClientMessage) {
        self.said += 1;
        let reference = matches!(message, ClientMessage::Ping {}).then(|| self.said.to_string());
        let text = json(message, Some(self.said), reference);
        if self.is_open {
            self.output.push_back(text.clone());
        }
        self.kept.push_back((self.said, text));
        if self.kept.len() > MAX_KEPT {
            self.resume = None;
            self.kept.pop_front();
        }
    }

    /// What is to be sent next.
    pub fn poll_output(&mut self) -> Option<String> {
        self.output.pop_front()
    }

    /// A text has come: what it says, if it is for whoever uses this. After a `welcome` that is not `resumed` the server knows of nothing that
    /// was before it.
    ///
    /// # Errors
    /// When the server has ended the connection for good.
    pub fn hear(&mut self, text: &str) -> Result<Option<Envelope>, Ended> {
        // What newer servers say is left out.
        let Ok(envelope) = serde_json::from_str::<Envelope>(text) else { return Ok(None) };
        if envelope.seq > 0 && envelope.seq <= self.last {
            return Ok(None);
        }
        self.last = self.last.max(envelope.seq);
        match &envelope.message {
            ServerMessage::Welcome { state, resume, heard, .. } => self.welcome(*state, resume, *heard),
            ServerMessage::Pong {} => {
                let heard = envelope.reference.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
                self.kept.retain(|(seq, _)| *seq > heard);
                return Ok(None);
            }
            ServerMessage::Closed { reason, message } => {
                return self.closed(*reason, message).map(|()| None);
            }
            _ => {}
        }
        Ok(Some(envelope))
    }

    fn welcome(&mut self, state: WelcomeState, resume: &str, heard: u64) {
        if state == WelcomeState::Resumed {
            self.kept.retain(|(seq, _)| *seq > heard);
        } else {
            self.last = 0;
            // What was said to a server that knows nothing of it is of no use to it. Before the first one nothing was.
            if self.was_here {
                self.kept.clear();
            }
        }
        self.was_here = true;
        self.resume = Some(resume.into());
        self.is_open = true;
        self.output.extend(self.kept.iter().map(|(_, text)| text.clone()));
    }

    /// `docs/spec/signaling.md`, errors: after some reasons one may come back.
    fn closed(&mut self, reason: ClosedReason, message: &str) -> Result<(), Ended> {
        self.lost();
        match reason {
            ClosedReason::ServerEnds | ClosedReason::TooSlow => Ok(()),
            // Another server signs otherwise: the client comes as somebody new.
            ClosedReason::NotAllowed if self.resume.take().is_some() => Ok(()),
            reason => Err(Ended { reason, message: message.to_owned() }),
        }
    }
}
