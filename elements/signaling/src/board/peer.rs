//! One peer, and what was said to it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use millstream_core::Time;

use super::ConnId;
use super::workers::Worker;
use crate::identity::Who;
use crate::message::{Envelope, ServerMessage};

/// What is kept for a resume. An offer has some KiB: a call that begins while somebody is away fits many times.
const MAX_KEPT: usize = 256;
const MAX_KEPT_BYTES: usize = 512 << 10;

/// Somebody who is there, or may come back.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) who: Who,
    pub(super) name: String,
    /// Nothing while it is away.
    pub(super) conn: Option<ConnId>,
    /// Until when it may be away.
    pub(super) away_until: Option<Time>,
    pub(super) rooms: BTreeSet<String>,
    pub(super) sessions: BTreeSet<Arc<str>>,
    pub(super) worker: Option<Worker>,
    /// Number of its resume token: each welcome has another.
    pub(super) serial: u64,
    /// It has been told that its identity expires.
    pub(super) is_warned: bool,
    heard: u64,
    said: u64,
    kept: VecDeque<(Arc<Envelope>, usize)>,
    kept_bytes: usize,
}

impl Peer {
    pub(super) fn new(who: Who, name: String, conn: ConnId) -> Self {
        Self {
            who,
            name,
            conn: Some(conn),
            away_until: None,
            rooms: BTreeSet::new(),
            sessions: BTreeSet::new(),
            worker: None,
            serial: 0,
            is_warned: false,
            heard: 0,
            said: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
        }
    }

    /// Whether a message of this number was done. One without a number was not.
    pub(super) fn heard_before(&mut self, seq: Option<u64>) -> bool {
        match seq {
            Some(seq) if seq <= self.heard => true,
            Some(seq) => {
                self.heard = seq;
                false
            }
            None => false,
        }
    }

    /// The highest number that was done.
    pub(super) fn heard(&self) -> u64 {
        self.heard
    }

    /// Numbers a message, and keeps it for a resume.
    pub(super) fn number(&mut self, reference: Option<String>, message: ServerMessage) -> Arc<Envelope> {
        self.said += 1;
        let envelope = Arc::new(Envelope { seq: self.said, reference, message });
        let size = envelope.to_json().len();
        self.kept.push_back((envelope.clone(), size));
        self.kept_bytes += size;
        while self.kept.len() > MAX_KEPT || self.kept_bytes > MAX_KEPT_BYTES {
            let Some((_, size)) = self.kept.pop_front() else { break };
            self.kept_bytes -= size;
        }
        envelope
    }

    /// What was said behind this number; nothing if some of it is kept no more, or was never said.
    pub(super) fn said_since(&self, last: u64) -> Option<Vec<Arc<Envelope>>> {
        let oldest = self.kept.front().map_or(self.said + 1, |(envelope, _)| envelope.seq);
        if last + 1 < oldest || last > self.said {
            return None;
        }
        Some(
            self.kept
                .iter()
                .filter(|(envelope, _)| envelope.seq > last)
                .map(|(envelope, _)| envelope.clone())
                .collect(),
        )
    }
}
