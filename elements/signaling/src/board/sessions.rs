//! How sessions begin and end.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use millstream_core::Time;

use super::{Board, Done, Moment, Timer};
use crate::message::{CandidateInit, Code, EndedReason, Kind, Refusal, RejectReason, ServerMessage};

/// Sessions of one peer at a time: a room of 16, and streams beside it.
const MAX_SESSIONS: usize = 64;

/// Sessions that are remembered as over, for what crosses their end.
const MAX_ENDED: usize = 4096;

/// One peer connection of two peers. End 0 began it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) ends: [Arc<str>; 2],
    pub(super) state: State,
    /// The end that gives way in a glare.
    pub(super) polite: usize,
    /// It ends when its ends share no room any more.
    pub(super) needs_room: bool,
    /// It is a call of people, who have one at a time.
    pub(super) is_call: bool,
    /// What it is for, with a worker.
    pub(super) stream: String,
    /// What each end has said.
    pub(super) sides: [Side; 2],
}

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// End 1 has been asked, until then.
    Invited(Time),
    /// Its bell rings.
    Ringing(Time),
    /// A worker, end 1, has been asked.
    Asked(Time),
    /// This end was here before the server was started anew, and waits for the other.
    Reopening(usize, Time),
    /// Both negotiate as they like.
    Open,
}

/// What one end of a session has said.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// It has an offer that is not answered.
    pub(super) offers: bool,
    /// It has said an offer or answer.
    pub(super) is_described: bool,
    /// Candidates that came before that.
    pub(super) held: Vec<Option<CandidateInit>>,
    /// Candidates since its last offer or answer.
    pub(super) seen: HashSet<Option<CandidateInit>>,
}

/// Sessions that are over.
#[derive(Debug, Default)]
pub(super) struct Ended {
    order: VecDeque<(Arc<str>, [Arc<str>; 2])>,
    ids: BTreeSet<Arc<str>>,
}

impl Ended {
    fn add(&mut self, id: Arc<str>, ends: [Arc<str>; 2]) {
        self.ids.insert(id.clone());
        self.order.push_back((id, ends));
        if self.order.len() > MAX_ENDED
            && let Some((id, _)) = self.order.pop_front()
        {
            self.ids.remove(&id);
        }
    }

    /// Whether it was a session of this peer.
    fn had(&self, id: &str, peer: &Arc<str>) -> bool {
        self.ids.contains(id) && self.order.iter().any(|(ended, ends)| **ended == *id && ends.contains(peer))
    }
}

impl Session {
    fn new(ends: [Arc<str>; 2], state: State) -> Self {
        let sides = Default::default();
        Self { ends, state, polite: 1, needs_room: false, is_call: false, stream: String::new(), sides }
    }

    fn rings(&self) -> bool {
        matches!(self.state, State::Invited(_) | State::Ringing(_))
    }
}

/// Whether the session is there for this peer.
pub(super) enum Found {
    /// It is, and the peer this end of it.
    There(Arc<str>, usize),
    /// It was: what comes now crossed its end.
    Over,
}

impl Board {
    /// # Errors
    /// When it never was one of this peer.
    pub(super) fn find(&self, peer: &Arc<str>, session: &str) -> Result<Found, Refusal> {
        let there = self.sessions.get_key_value(session);
        let there = there.and_then(|(id, one)| Some((id.clone(), one.ends.iter().position(|end| end == peer)?)));
        match there {
            Some((id, end)) => Ok(Found::There(id, end)),
            None if self.ended.had(session, peer) => Ok(Found::Over),
            None => Err(Refusal::new(Code::NoSession, "you have no such session")),
        }
    }

    /// A session that is there and of a kind; nothing for one that is over.
    fn expect(
        &self,
        peer: &Arc<str>,
        session: &str,
        fits: impl Fn(&Session, usize) -> bool,
        words: &str,
    ) -> Result<Option<Arc<str>>, Refusal> {
        match self.find(peer, session)? {
            Found::Over => Ok(None),
            Found::There(id, end) if self.sessions.get(&id).is_some_and(|one| fits(one, end)) => Ok(Some(id)),
            Found::There(..) => Err(Refusal::new(Code::WrongState, words)),
        }
    }

    /// A new session between two peers, if both may have another.
    pub(super) fn begin(&mut self, ends: [&Arc<str>; 2], state: State) -> Result<Arc<str>, Refusal> {
        let count = |end: &Arc<str>| self.peers.get(end).map_or(0, |peer| peer.sessions.len());
        let full =
            |end: &Arc<str>| count(end) >= MAX_SESSIONS && self.peers.get(end).is_some_and(|p| p.worker.is_none());
        if full(ends[0]) || full(ends[1]) {
            return Err(Refusal::new(Code::TooManySessions, format!("a peer has at most {MAX_SESSIONS} sessions")));
        }
        let id = self.new_id();
        self.add_session(id.clone(), Session::new(ends.map(Arc::clone), state));
        Ok(id)
    }

    fn add_session(&mut self, id: Arc<str>, session: Session) {
        for end in &session.ends {
            if let Some(peer) = self.peers.get_mut(end) {
                peer.sessions.insert(id.clone());
            }
        }
        if let State::Invited(until) | State::Asked(until) | State::Reopening(_, until) = session.state {
            self.timers.insert((until, Timer::Session(id.clone())));
        }
        self.sessions.insert(id, session);
    }

    /// A session is over: both ends hear of it.
    pub(super) fn end_session(&mut self, id: &Arc<str>, reason: EndedReason, message: Option<String>) {
        let Some(session) = self.sessions.remove(id) else { return };
        for end in &session.ends {
            if self.peers.get_mut(end).is_some_and(|peer| peer.sessions.remove(id)) {
                self.tell(end, ServerMessage::Ended { session: id.to_string(), reason, message: message.clone() });
            }
        }
        self.ended.add(id.clone(), session.ends);
    }

    pub(super) fn session_is_due(&mut self, due: Time, id: &Arc<str>) {
        let reason = match self.sessions.get(id).map(|session| session.state) {
            Some(State::Invited(until) | State::Ringing(until) | State::Asked(until)) if until == due => {
                EndedReason::Timeout
            }
            Some(State::Reopening(_, until)) if until == due => EndedReason::Lost,
            _ => return,
        };
        self.end_session(id, reason, None);
    }

    fn in_call(&self, peer: &Arc<str>) -> bool {
        let sessions = self.peers.get(peer).into_iter().flat_map(|peer| &peer.sessions);
        sessions.filter_map(|id| self.sessions.get(id)).any(|session| session.is_call)
    }

    pub(super) fn invite(
        &mut self,
        at: Moment,
        peer: &Arc<str>,
        reference: Option<String>,
        to: &str,
        media: Vec<Kind>,
    ) -> Done {
        let callee = self.fellow(peer, to)?;
        let is_mutual = |session: &Session| session.rings() && session.ends == [callee.clone(), peer.clone()];
        if let Some(id) = self.sessions.iter().find(|(_, one)| is_mutual(one)).map(|(id, _)| id.clone()) {
            // Each invites the other: they are meant to talk.
            return self.accept(peer, reference, &id);
        }
        if self.in_call(peer) {
            return Err(Refusal::new(Code::WrongState, "you are in a call").hint("hang up first"));
        }
        let until = at.now + self.settings.ring_time;
        let is_busy = self.in_call(&callee);
        let from = self.described(peer, Vec::new());
        let id = self.begin([peer, &callee], State::Invited(until))?;
        if let Some(session) = self.sessions.get_mut(&id) {
            (session.needs_room, session.is_call) = (true, true);
        }
        self.tell_with(peer, reference, ServerMessage::Inviting { session: id.to_string(), to: to.to_owned() });
        if is_busy {
            // The callee is not told of it.
            if let Some(callee) = self.peers.get_mut(&callee) {
                callee.sessions.remove(&id);
            }
            self.end_session(&id, EndedReason::Busy, None);
        } else if let Some(from) = from {
            self.tell(&callee, ServerMessage::Invite { session: id.to_string(), from, media });
        }
        Ok(())
    }

    pub(super) fn ringing(&mut self, peer: &Arc<str>, session: &str) -> Done {
        let Some(id) =
            self.expect(peer, session, |one, end| one.rings() && end == 1, "there is nothing to ring for")?
        else {
            return Ok(());
        };
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        if let State::Invited(until) = session.state {
            session.state = State::Ringing(until);
            let caller = session.ends[0].clone();
            self.tell(&caller, ServerMessage::Ringing { session: id.to_string() });
        }
        Ok(())
    }

    pub(super) fn accept(&mut self, peer: &Arc<str>, reference: Option<String>, session: &str) -> Done {
        let Some(id) = self.expect(peer, session, |one, end| one.rings() && end == 1, "there is nothing to accept")?
        else {
            return Ok(());
        };
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        session.state = State::Open;
        let [caller, callee] = session.ends.clone();
        let accepted = |peer: &Arc<str>, polite| ServerMessage::Accepted {
            session: id.to_string(),
            peer: peer.to_string(),
            polite,
        };
        self.tell(&caller, accepted(&callee, false));
        self.tell_with(&callee, reference, accepted(&caller, true));
        Ok(())
    }

    pub(super) fn reject(&mut self, peer: &Arc<str>, session: &str, reason: RejectReason) -> Done {
        let id = self.expect(peer, session, |one, end| one.rings() && end == 1, "there is nothing to reject")?;
        let reason = match reason {
            RejectReason::Declined => EndedReason::Rejected,
            RejectReason::Busy => EndedReason::Busy,
        };
        id.into_iter().for_each(|id| self.end_session(&id, reason, None));
        Ok(())
    }

    pub(super) fn cancel(&mut self, peer: &Arc<str>, session: &str) -> Done {
        let id = self.expect(peer, session, |one, end| one.rings() && end == 0, "there is nothing to cancel")?;
        id.into_iter().for_each(|id| self.end_session(&id, EndedReason::Cancelled, None));
        Ok(())
    }

    pub(super) fn hang_up(&mut self, peer: &Arc<str>, session: &str) -> Done {
        let Found::There(id, end) = self.find(peer, session)? else { return Ok(()) };
        let rings = self.sessions.get(&id).is_some_and(Session::rings);
        let reason = match (rings, end) {
            (true, 0) => EndedReason::Cancelled,
            (true, _) => EndedReason::Rejected,
            (false, _) => EndedReason::HungUp,
        };
        self.end_session(&id, reason, None);
        Ok(())
    }

    /// Goes on with a session of a server that is no more, once both ends ask for it.
    pub(super) fn reopen(&mut self, at: Moment, peer: &Arc<str>, session: &str, with: &str, polite: bool) -> Done {
        if let Some(there) = self.sessions.get_mut(session) {
            let other = usize::from(there.ends[0] == *peer);
            let fits = there.ends[1 - other] == *peer && *there.ends[other] == *with;
            match there.state {
                State::Reopening(first, _) if fits && first == other => {}
                // It was here all the time, or asks twice.
                State::Open | State::Reopening(..) if fits => return Ok(()),
                _ => return Err(Refusal::new(Code::NoSession, "you have no such session")),
            }
            there.state = State::Open;
            let (id, ends, polite) = (session.to_owned(), there.ends.clone(), there.polite);
            for (end, other) in [(0, 1), (1, 0)] {
                let (session, peer) = (id.clone(), ends[other].to_string());
                self.tell(&ends[end], ServerMessage::Opened { session, peer, polite: end == polite });
            }
            return Ok(());
        }
        if self.ended.ids.contains(session) || with == &**peer {
            return Err(Refusal::new(Code::NoSession, "you have no such session"));
        }
        let mine = self.peers.get(peer).map_or(0, |peer| peer.sessions.len());
        if mine >= MAX_SESSIONS {
            return Err(Refusal::new(Code::TooManySessions, format!("a peer has at most {MAX_SESSIONS} sessions")));
        }
        let state = State::Reopening(0, at.now + self.settings.resume_time);
        let mut reopened = Session::new([peer.clone(), with.into()], state);
        reopened.polite = usize::from(!polite);
        reopened.sides.iter_mut().for_each(|side| side.is_described = true);
        self.add_session(session.into(), reopened);
        Ok(())
    }
}
