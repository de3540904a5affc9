//! Which pairs of candidates were tried (RFC 8445, 7), read off the datagrams of a session: whoever does ICE says nothing of it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use millstream_turn::stun::{Class, Message, Method, attr};
use serde::Serialize;

use crate::session::Datagram;

/// Pairs that are kept of a session: browsers find some 10 candidates, and we have a few.
const MAX_PAIRS: usize = 64;

/// Requests whose answers are waited for.
const MAX_ASKED: usize = 256;

/// Longest reason of the other end that is told on.
const MAX_REASON: usize = 80;

/// What the other end answered to a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// Nothing.
    None,
    /// This port is closed: its machine has said so (ICMP).
    Refused,
    /// An error of STUN.
    Error {
        /// Its code (RFC 8489, 14.8).
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// It was reached, and sees this end here.
    Success {
        /// As the other end sees it.
        seen: Option<SocketAddr>,
    },
}

/// A pair of candidates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Of this end: the socket, or the relay.
    pub local: SocketAddr,
    /// Of the other end.
    pub remote: SocketAddr,
    /// Checks that were sent.
    pub asked: u32,
    /// What the last of them was answered.
    #[serde(flatten)]
    pub answer: Answer,
    /// Checks that came.
    pub was_asked: u32,
}

/// The pairs of a session.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    pairs: Vec<Pair>,
    /// Requests by transaction, with the index of their pair.
    asked: VecDeque<([u8; 12], usize)>,
    /// The other end was reached: nothing is noted any more.
    is_settled: bool,
}

impl Checks {
    /// Takes note of a datagram that goes out.
    pub fn sent(&mut self, datagram: &Datagram) {
        let Some(message) = self.check(datagram).filter(|message| message.class == Class::Request) else { return };
        let Some(index) = self.index(datagram.from, datagram.to) else { return };
        self.pairs[index].asked = self.pairs[index].asked.saturating_add(1);
        if !self.asked.iter().any(|(id, _)| *id == message.transaction) {
            self.asked.push_back((message.transaction, index));
        }
        if self.asked.len() > MAX_ASKED {
            self.asked.pop_front();
        }
    }

    /// Takes note of a datagram that comes in.
    pub fn received(&mut self, datagram: &Datagram) {
        let Some(message) = self.check(datagram) else { return };
        match message.class {
            Class::Request => {
                if let Some(index) = self.index(datagram.to, datagram.from) {
                    self.pairs[index].was_asked = self.pairs[index].was_asked.saturating_add(1);
                }
            }
            Class::Success | Class::Error => {
                let known = self.asked.iter().find(|(id, _)| *id == message.transaction);
                if let Some((_, index)) = known {
                    self.pairs[*index].answer = answer(&message);
                }
            }
            Class::Indication => {}
        }
    }

    /// The other end was reached: what is sent from now on is of no interest.
    pub fn settle(&mut self) {
        self.is_settled = true;
        self.asked = VecDeque::new();
        self.pairs.shrink_to_fit();
    }

    /// Whether it was.
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The pairs so far, in the order in which they were tried.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// A datagram that is a message of ICE and worth a note.
    fn check<'a>(&self, datagram: &'a Datagram) -> Option<Message<'a>> {
        // Of everything else the first byte says so (RFC 7983).
        datagram.bytes.first().filter(|first| **first < 4 && !self.is_settled)?;
        Message::read(&datagram.bytes).ok().filter(|message| message.method == Some(Method::Binding))
    }

    fn index(&mut self, local: SocketAddr, remote: SocketAddr) -> Option<usize> {
        if let Some(index) = self.pairs.iter().position(|pair| pair.local == local && pair.remote == remote) {
            return Some(index);
        }
        if self.pairs.len() >= MAX_PAIRS {
            return None;
        }
        self.pairs.push(Pair { local, remote, asked: 0, answer: Answer::None, was_asked: 0 });
        Some(self.pairs.len() - 1)
    }
}

fn answer(message: &Message<'_>) -> Answer {
    if message.class == Class::Success {
        let seen = message.addresses(attr::XOR_MAPPED_ADDRESS).and_then(|all| all.first().copied());
        return Answer::Success { seen };
    }
    let value = message.get(attr::ERROR_CODE).unwrap_or_default();
    let code = value.get(2..4).map_or(0, |two| u16::from(two[0] & 7) * 100 + u16::from(two[1]));
    let reason = String::from_utf8_lossy(value.get(4..).unwrap_or_default());
    let reason = reason.chars().filter(|letter| !letter.is_control()).take(MAX_REASON).collect();
    Answer::Error { code, reason }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}: ", self.local, self.remote)?;
        match (&self.answer, self.asked) {
            (Answer::None, 0) => write!(f, "asked {} times by the other end", self.was_asked),
            (Answer::None, asked) => write!(f, "no answer to {asked} checks"),
            (Answer::Refused, _) => write!(f, "the port is closed (ICMP)"),
            (Answer::Error { code, reason }, _) => write!(f, "refused: {code} {reason}"),
            (Answer::Success { seen: Some(seen) }, _) if *seen != self.local => write!(f, "answered, seen as {seen}"),
            (Answer::Success { .. }, _) => write!(f, "answered"),
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_turn::stun::Writer;

    use super::*;

    fn datagram(from: u16, to: u16, bytes: Vec<u8>) -> Datagram {
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        Datagram { from: at(from), to: at(to), bytes }
    }

    #[test]
    fn web_3_pairs_are_read_off_the_wire_with_what_each_answered() {
        let message = |class, id: u8| Writer::new(Method::Binding, class, [id; 12]);
        let mut checks = Checks::default();
        for (to, id) in [(5, 1), (5, 1), (6, 2), (7, 3)] {
            checks.sent(&datagram(1, to, message(Class::Request, id).finish()));
        }
        let seen = SocketAddr::from(([203, 0, 113, 9], 9));
        checks.received(&datagram(5, 1, message(Class::Success, 1).address(attr::XOR_MAPPED_ADDRESS, seen).finish()));
        checks.received(&datagram(6, 1, message(Class::Error, 2).error(487, "Role Conflict").finish()));
        // What nobody asked for, and what is none.
        checks.received(&datagram(7, 1, message(Class::Success, 9).finish()));
        checks.received(&datagram(7, 1, vec![0x80; 40]));
        checks.received(&datagram(8, 1, message(Class::Request, 4).finish()));
        let said: Vec<String> = checks.pairs().iter().map(Pair::to_string).collect();
        assert_eq!(
            said,
            [
                "10.0.0.1:1 -> 10.0.0.1:5: answered, seen as 203.0.113.9:9",
                "10.0.0.1:1 -> 10.0.0.1:6: refused: 487 Role Conflict",
                "10.0.0.1:1 -> 10.0.0.1:7: no answer to 1 checks",
                "10.0.0.1:1 -> 10.0.0.1:8: asked 1 times by the other end",
            ]
        );
        assert_eq!(checks.pairs()[0].asked, 2, "a check that is repeated");
    }
}
