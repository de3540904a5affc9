//! The conversations of connections, kept for tests of their order.

use std::sync::{Mutex, PoisonError};

use millstream_core::Time;
use millstream_core::trace::{TraceEvent, TraceHead, TraceSink};

/// Keeps what is said, in short: `client connect`, `server _result of connect`, `server NetStream.Publish.Start`.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Vec<Vec<String>>>);

impl Kept {
    /// What was said on each connection, in the order in which they were made.
    pub fn conversations(&self) -> Vec<Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl TraceSink for Kept {
    fn begin(&self, _: TraceHead) -> u64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(Vec::new());
        kept.len() as u64 - 1
    }

    fn event(&self, conversation: u64, event: TraceEvent) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept[conversation as usize].push(short(&event));
    }

    fn end(&self, _: u64, _: Time) {}
}

fn short(event: &TraceEvent) -> String {
    let (side, name) = (event.from.as_str(), &event.name);
    match &**name {
        "_result" => format!("{side} {name} of {}", event.text("answers").unwrap_or("nothing")),
        "onStatus" => format!("{side} {}", event.text("code").unwrap_or_default()),
        "User Control StreamBegin" => format!("{side} {name} {}", event.number("stream id").unwrap_or_default()),
        _ => format!("{side} {name}"),
    }
}

/// How a client that is connected publishes, up to its first frames (RTMP 1.0, 7.2.2.6).
pub const PUBLISH: [&str; 6] = [
    "client createStream",
    "server _result of createStream",
    "client publish",
    "server NetStream.Publish.Start",
    "client @setDataFrame onMetaData",
    "client media",
];

/// Each of these was said, in this order, with anything between.
///
/// # Panics
/// When one was not.
pub fn assert_said(said: &[String], expected: &[&str]) {
    let mut rest = said.iter();
    for text in expected {
        assert!(rest.any(|line| line == text), "{text}, in this place of {expected:#?}, in {said:#?}");
    }
}
