//! Offers, answers and candidates of open sessions (W3C WebRTC, 10.7: perfect negotiation).

use std::sync::Arc;

use super::sessions::{Found, Session, Side, State};
use super::{Board, Done};
use crate::message::{CandidateInit, Code, Refusal, ServerMessage};

/// Candidates of an end that wait for its first description. A browser finds some 20.
const MAX_HELD: usize = 64;

/// Candidates of an end that are remembered since its last description. Those beyond are passed on, twice or not.
const MAX_SEEN: usize = 256;

impl Board {
    pub(super) fn offer(&mut self, peer: &Arc<str>, session: &str, sdp: String) -> Done {
        let Some((id, end)) = self.open(peer, session)? else { return Ok(()) };
        let Some(there) = self.sessions.get_mut(&id) else { return Ok(()) };
        let other = 1 - end;
        let meets = there.sides[other].offers;
        // The polite end gives way: its offer counts no more, or not at all.
        let collides = meets && end == there.polite;
        if !collides {
            there.sides[other].offers = false;
            there.sides[end].offers = true;
        }
        let (session, from) = (id.to_string(), peer.to_string());
        self.describe(&id, end, ServerMessage::Offer { session, from, sdp, collides });
        Ok(())
    }

    /// An offer to somebody with whom there is no session yet.
    pub(super) fn offer_to(&mut self, peer: &Arc<str>, reference: Option<String>, to: &str, sdp: String) -> Done {
        let other = self.fellow(peer, to)?;
        let id = self.begin([peer, &other], State::Open)?;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.needs_room = true;
        }
        let opened = ServerMessage::Opened { session: id.to_string(), peer: other.to_string(), polite: false };
        self.tell_with(peer, reference, opened);
        self.offer(peer, &id, sdp)
    }

    /// An answer, or a provisional one.
    pub(super) fn reply(&mut self, peer: &Arc<str>, session: &str, sdp: String, is_provisional: bool) -> Done {
        let Some((id, end)) = self.open(peer, session)? else { return Ok(()) };
        let Some(there) = self.sessions.get_mut(&id) else { return Ok(()) };
        if !there.sides[1 - end].offers {
            return Err(Refusal::new(Code::WrongState, "there is no offer to answer")
                .hint("it was answered, or an offer of the other end took its place"));
        }
        there.sides[1 - end].offers = is_provisional;
        let (session, from) = (id.to_string(), peer.to_string());
        let message = match is_provisional {
            true => ServerMessage::Pranswer { session, from, sdp },
            false => ServerMessage::Answer { session, from, sdp },
        };
        self.describe(&id, end, message);
        Ok(())
    }

    /// Passes a description on, and behind it the candidates that came too early.
    fn describe(&mut self, id: &Arc<str>, end: usize, message: ServerMessage) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let side = &mut session.sides[end];
        side.is_described = true;
        side.seen.clear();
        let held = std::mem::take(&mut side.held);
        let (from, to) = (session.ends[end].clone(), session.ends[1 - end].clone());
        self.tell(&to, message);
        for candidate in held {
            self.pass_on(id, end, &from, &to, candidate);
        }
    }

    pub(super) fn candidate(&mut self, peer: &Arc<str>, session: &str, candidate: Option<CandidateInit>) -> Done {
        let Some((id, end)) = self.open(peer, session)? else { return Ok(()) };
        let Some(there) = self.sessions.get_mut(&id) else { return Ok(()) };
        let Side { is_described, held, .. } = &mut there.sides[end];
        if !*is_described {
            if held.len() >= MAX_HELD {
                return Err(Refusal::new(Code::TooLarge, format!("{MAX_HELD} candidates wait for an offer or answer")));
            }
            held.push(candidate);
            return Ok(());
        }
        let to = there.ends[1 - end].clone();
        self.pass_on(&id, end, peer, &to, candidate);
        Ok(())
    }

    fn pass_on(&mut self, id: &Arc<str>, end: usize, from: &Arc<str>, to: &Arc<str>, candidate: Option<CandidateInit>) {
        let Some(seen) = self.sessions.get_mut(id).map(|session| &mut session.sides[end].seen) else { return };
        if seen.contains(&candidate) {
            return;
        }
        if seen.len() < MAX_SEEN {
            seen.insert(candidate.clone());
        }
        self.tell(to, ServerMessage::Candidate { session: id.to_string(), from: from.to_string(), candidate });
    }

    /// An open session, and which end of it the peer is; nothing for one that is over.
    pub(super) fn open(&self, peer: &Arc<str>, session: &str) -> Result<Option<(Arc<str>, usize)>, Refusal> {
        match self.find(peer, session)? {
            Found::Over => Ok(None),
            Found::There(id, end) if self.sessions.get(&id).is_some_and(Session::is_open) => Ok(Some((id, end))),
            Found::There(..) => Err(Refusal::new(Code::WrongState, "the session is not open yet")),
        }
    }
}

impl Session {
    fn is_open(&self) -> bool {
        self.state == State::Open
    }
}
