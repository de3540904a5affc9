//! What a server says of itself, overheard on the connection.

use std::sync::{Mutex, PoisonError};

use millstream::core::trace::{Layer, Side, TraceEvent, TraceHead, TraceSink, TraceValue};
use millstream::prelude::Time;
use millstream::trace::to_json;
use serde_json::Value;

/// Fields of the answer to `connect` that say what the server is; others are of the protocol.
const OF_INTEREST: [&str; 8] =
    ["fmsVer", "capabilities", "mode", "version", "fourCcList", "audioFourCcInfoMap", "videoFourCcInfoMap", "capsEx"];

/// Bits of `capsEx` (Enhanced RTMP v2, "Enhancing NetConnection connect Command").
const CAPS_EX: [&str; 4] = ["reconnect", "multitrack", "ModEx", "nanosecond offsets"];

/// How far a connection got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Reached {
    /// No connection yet.
    #[default]
    Nothing,
    /// The other end took the connection.
    Connected,
    /// It speaks RTMP.
    ShookHands,
    /// It took `connect`.
    Accepted,
    /// It says that it plays.
    Plays,
}

/// What was overheard.
#[derive(Debug, Default)]
pub(super) struct Overheard(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The URL without what is secret.
    peer: Option<String>,
    reached: Reached,
    server: Vec<(String, Value)>,
}

impl Overheard {
    /// How far it got.
    pub(super) fn reached(&self) -> Reached {
        self.lock().reached
    }

    /// The URL without what is secret; none before there was a connection.
    pub(super) fn peer(&self) -> Option<String> {
        self.lock().peer.clone()
    }

    /// What the server is.
    pub(super) fn server(&self) -> Vec<(String, Value)> {
        self.lock().server.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TraceSink for Overheard {
    fn begin(&self, head: TraceHead) -> u64 {
        let mut inner = self.lock();
        inner.peer = Some(head.peer);
        inner.reached = Reached::Connected;
        0
    }

    fn event(&self, _: u64, event: TraceEvent) {
        let mut inner = self.lock();
        let reached = match (&*event.name, event.text("answers"), event.text("code")) {
            ("S2", ..) => Reached::ShookHands,
            ("_result", Some("connect"), _) => {
                inner.server = facts(&event);
                Reached::Accepted
            }
            ("onStatus", _, Some("NetStream.Play.Start")) => Reached::Plays,
            _ if event.layer == Layer::Media && event.from == Side::Server => Reached::Plays,
            _ => return,
        };
        inner.reached = inner.reached.max(reached);
    }

    fn end(&self, _: u64, _: Time) {}
}

/// Servers say some things twice, in the object and in the status: the first counts.
fn facts(event: &TraceEvent) -> Vec<(String, Value)> {
    let mut facts: Vec<(String, Value)> = Vec::new();
    for (name, value) in event.fields.iter().filter(|(name, _)| OF_INTEREST.contains(&&**name)) {
        if facts.iter().any(|(own, _)| own == name) {
            continue;
        }
        facts.push((name.to_string(), to_json(value)));
        if name == "capsEx"
            && let TraceValue::Number(bits) = value
        {
            let names = (0..).zip(CAPS_EX).filter(|(bit, _)| *bits as u32 >> bit & 1 == 1);
            facts.push(("enhanced".into(), names.map(|(_, name)| name.to_owned()).collect()));
        }
    }
    facts
}
