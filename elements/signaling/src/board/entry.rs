//! How peers come, come back, and go.

use std::sync::Arc;

use millstream_core::{Secret, Time, TimeDelta};
use serde::{Deserialize, Serialize};

use super::pace::PER_SECOND;
use super::peer::Peer;
use super::rooms::MAX_ROOMS;
use super::{Board, ConnId, Done, Duplicates, Moment, Output, Stage, Timer};
use crate::identity::Who;
use crate::message::{
    ClosedReason, Code, EndedReason, Envelope, HelloFields, LeftReason, LimitsInfo, MAX_MESSAGE, Refusal,
    ServerMessage, WelcomeState,
};
use crate::token::{sign, verify};

/// How long a resume token holds, in seconds: a laptop that slept through a meeting.
const RESUME_TOKEN_TIME: i64 = 3600;

/// How long before its end an identity is told of it, in seconds.
const WARN_TIME: i64 = 10;

/// Resume tokens that are remembered as void. Those beyond belong to peers that left long ago, by the thousand.
const MAX_REVOKED: usize = 20_000;

/// What a resume token says. `exp` is the token's own.
#[derive(Serialize, Deserialize)]
struct Resume {
    id: String,
    name: String,
    serial: u64,
    exp: i64,
    who: Who,
}

impl Board {
    pub(super) fn hello(
        &mut self,
        at: Moment,
        conn: ConnId,
        reference: Option<String>,
        mut hello: HelloFields,
    ) -> Done {
        if hello.version != 1 {
            let refusal = Refusal::new(Code::Version, "only version 1 is spoken");
            self.turn_away(conn, reference, refusal, ClosedReason::Protocol);
            return Ok(());
        }
        if let Some(resume) = hello.resume.take() {
            match self.resume(at, conn, &resume, hello.last.unwrap_or(0)) {
                true => return Ok(()),
                // With a token it can still come as somebody new.
                false if hello.token.is_none() => {
                    let refusal = Refusal::new(Code::NotAllowed, "the resume token holds no more")
                        .hint("say `hello` with a token");
                    self.turn_away(conn, reference, refusal, ClosedReason::NotAllowed);
                    return Ok(());
                }
                false => {}
            }
        }
        let (identity, token) = (hello.identity.clone(), hello.token.clone());
        self.set_stage(conn, Stage::Asking(hello));
        self.outputs.push_back(Output::Authenticate { conn, identity, token, is_here: false });
        Ok(())
    }

    pub(super) fn renew(&mut self, conn: ConnId, peer: &Arc<str>, reference: Option<String>, token: Secret) -> Done {
        let identity = self.peers.get(peer).map(|peer| peer.who.identity.clone());
        self.set_stage(conn, Stage::Renewing(peer.clone(), reference));
        self.outputs.push_back(Output::Authenticate { conn, identity, token: Some(token), is_here: true });
        Ok(())
    }

    /// The answer to [`Output::Authenticate`]. Gives the peer that the connection is now, if it is one that was not there.
    pub fn admitted(&mut self, at: Moment, conn: ConnId, who: Result<Who, Refusal>) -> Option<Arc<str>> {
        let stage = std::mem::replace(&mut self.conns.get_mut(&conn)?.stage, Stage::New);
        match (stage, who) {
            (Stage::Asking(hello), Ok(who)) => match self.may_come(at, &who) {
                Ok(()) => return Some(self.enter(at, conn, who, hello)),
                Err(refusal) => self.turn_away(conn, None, refusal, ClosedReason::NotAllowed),
            },
            (Stage::Asking(_), Err(refusal)) => self.turn_away(conn, None, refusal, ClosedReason::NotAllowed),
            (Stage::Renewing(id, reference), who) => {
                self.set_stage(conn, Stage::In(id.clone()));
                match who {
                    Ok(who) => self.renewed(at, conn, &id, reference, who),
                    Err(refusal) => self.refuse(conn, reference, refusal),
                }
            }
            (stage, _) => self.set_stage(conn, stage),
        }
        None
    }

    fn renewed(&mut self, at: Moment, conn: ConnId, id: &Arc<str>, reference: Option<String>, who: Who) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        if peer.who.identity != who.identity {
            let refusal = Refusal::new(Code::NotAllowed, "the token is somebody else's");
            return self.refuse(conn, reference, refusal);
        }
        peer.who = who;
        peer.is_warned = false;
        self.tell_with(id, reference, ServerMessage::Renewed {});
        self.watch_expiry(at, id);
    }

    fn may_come(&mut self, at: Moment, who: &Who) -> Done {
        let mut same = self.peers.iter().filter(|(_, peer)| peer.who.identity == who.identity);
        let older = same.next().map(|(id, _)| id.clone());
        match (self.settings.duplicates, older) {
            (Duplicates::Refuse, Some(_)) => {
                let refusal = Refusal::new(Code::IdentityTaken, "somebody of this identity is there");
                return Err(refusal.hint("resume, or leave with the other one"));
            }
            (Duplicates::Replace, Some(older)) => {
                self.say_closed(&older, ClosedReason::Replaced, "somebody of the same identity came");
                self.remove(at, &older, LeftReason::Replaced, EndedReason::Lost);
            }
            _ => {}
        }
        match self.peers.len() < self.settings.max_peers {
            true => Ok(()),
            false => Err(Refusal::new(Code::TooManyPeers, "as many as may be are here")),
        }
    }

    fn enter(&mut self, at: Moment, conn: ConnId, who: Who, hello: HelloFields) -> Arc<str> {
        let id = self.new_id();
        let name = who.name.clone().or(hello.name).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| who.identity.clone());
        self.peers.insert(id.clone(), Peer::new(who, name, conn));
        self.set_stage(conn, Stage::In(id.clone()));
        self.welcome(at, &id, WelcomeState::New);
        self.watch_expiry(at, &id);
        id
    }

    /// Whether the token holds, and the connection is that peer's now.
    fn resume(&mut self, at: Moment, conn: ConnId, token: &Secret, last: u64) -> bool {
        let Ok(resume) = verify::<Resume>(&self.resume_key, token.reveal(), at.unix()) else { return false };
        let id: Arc<str> = resume.id.as_str().into();
        let expired = resume.who.expires.is_some_and(|expires| expires <= at.unix());
        if expired || self.revoked.iter().any(|(revoked, _)| *revoked == id) {
            return false;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return self.restore(at, conn, id, resume) };
        // The last but one too: the welcome with the last may have been lost with its connection.
        if resume.serial + 1 < peer.serial {
            return false;
        }
        let Some(missed) = peer.said_since(last) else {
            self.remove(at, &id, LeftReason::Lost, EndedReason::Lost);
            self.revoked.retain(|(revoked, _)| *revoked != id);
            return self.restore(at, conn, id, resume);
        };
        let before = peer.conn.replace(conn);
        peer.away_until = None;
        if let Some(before) = before.filter(|before| *before != conn) {
            // The network has forgotten it, we not yet.
            self.conns.remove(&before);
            self.outputs.push_back(Output::Close(before, ClosedReason::Replaced));
        }
        self.set_stage(conn, Stage::In(id.clone()));
        self.welcome(at, &id, WelcomeState::Resumed);
        // Before the welcome in number, behind it on the wire: the client knows its place first.
        missed.into_iter().for_each(|envelope| self.outputs.push_back(Output::Send(conn, envelope)));
        if before.is_none() {
            self.presence_changed(&id);
        }
        true
    }

    /// Somebody whom only the token knows.
    fn restore(&mut self, at: Moment, conn: ConnId, id: Arc<str>, resume: Resume) -> bool {
        if self.may_come(at, &resume.who).is_err() {
            return false;
        }
        let mut peer = Peer::new(resume.who, resume.name, conn);
        peer.serial = resume.serial;
        self.peers.insert(id.clone(), peer);
        self.set_stage(conn, Stage::In(id.clone()));
        self.welcome(at, &id, WelcomeState::Restored);
        self.watch_expiry(at, &id);
        true
    }

    fn welcome(&mut self, at: Moment, id: &Arc<str>, state: WelcomeState) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.serial += 1;
        let (serial, exp) = (peer.serial, at.unix() + RESUME_TOKEN_TIME);
        let resume = Resume { id: id.to_string(), name: peer.name.clone(), serial, exp, who: peer.who.clone() };
        let mut ice_servers = self.settings.ice_servers.clone();
        ice_servers.extend(self.settings.relays.for_whom(&peer.who.identity, at.unix()));
        let message = ServerMessage::Welcome {
            version: 1,
            id: id.to_string(),
            identity: peer.who.identity.clone(),
            name: peer.name.clone(),
            role: peer.who.role,
            state,
            resume: sign(&self.resume_key, &resume),
            resume_for: self.settings.resume_time.nanos() / 1_000_000_000,
            heard: peer.heard(),
            ice_servers,
            limits: LimitsInfo { message: MAX_MESSAGE, messages_per_second: PER_SECOND, rooms: MAX_ROOMS },
        };
        // It has no number of its own: what was missed follows it.
        let envelope = Arc::new(Envelope { seq: 0, reference: None, message });
        if let Some(conn) = peer.conn {
            self.outputs.push_back(Output::Send(conn, envelope));
        }
    }

    fn turn_away(&mut self, conn: ConnId, reference: Option<String>, refusal: Refusal, reason: ClosedReason) {
        let message = refusal.message.clone();
        self.refuse(conn, reference, refusal);
        self.close(conn, reason, &message);
        self.conns.remove(&conn);
    }

    pub(super) fn hello_is_due(&mut self, conn: ConnId) {
        if self.conns.get(&conn).is_some_and(|conn| matches!(conn.stage, Stage::New)) {
            self.close(conn, ClosedReason::HelloTimeout, "there was no `hello`");
            self.conns.remove(&conn);
        }
    }

    /// A connection of a peer is gone.
    pub(super) fn away(&mut self, at: Moment, id: &Arc<str>, conn: ConnId) {
        let until = at.now + self.settings.resume_time;
        let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.conn == Some(conn)) else { return };
        peer.conn = None;
        peer.away_until = Some(until);
        self.timers.insert((until, Timer::Away(id.clone())));
        self.presence_changed(id);
    }

    pub(super) fn away_is_over(&mut self, at: Moment, due: Time, id: &Arc<str>) {
        if self.peers.get(id).is_some_and(|peer| peer.away_until == Some(due)) {
            self.remove(at, id, LeftReason::Lost, EndedReason::Lost);
            // It may still come back as whom its token says.
            self.revoked.retain(|(revoked, _)| revoked != id);
        }
    }

    pub(super) fn bye(&mut self, at: Moment, id: &Arc<str>) {
        self.say_closed(id, ClosedReason::Bye, "good-bye");
        self.remove(at, id, LeftReason::Bye, EndedReason::HungUp);
    }

    fn watch_expiry(&mut self, at: Moment, id: &Arc<str>) {
        let Some(expires) = self.peers.get(id).and_then(|peer| peer.who.expires) else { return };
        let left = expires.saturating_sub(at.unix());
        let warned = self.peers.get(id).is_some_and(|peer| peer.is_warned);
        let wait = if warned { left } else { left.saturating_sub(WARN_TIME) };
        // Longer than a year is for ever, and stays within the clock.
        let wait = TimeDelta::from_secs(wait.clamp(0, 365 * 24 * 3600));
        self.timers.insert((at.now + wait, Timer::Expiry(id.clone())));
    }

    pub(super) fn expiry(&mut self, at: Moment, id: &Arc<str>) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let Some(left) = peer.who.expires.map(|expires| expires.saturating_sub(at.unix())) else { return };
        if left <= 0 {
            self.say_closed(id, ClosedReason::Expired, "the identity has expired");
            return self.remove(at, id, LeftReason::Expired, EndedReason::Lost);
        }
        if left <= WARN_TIME && !std::mem::replace(&mut peer.is_warned, true) {
            self.tell(id, ServerMessage::Expiring { seconds: left });
        }
        self.watch_expiry(at, id);
    }

    fn say_closed(&mut self, id: &Arc<str>, reason: ClosedReason, message: &str) {
        if let Some(conn) = self.peers.get(id).and_then(|peer| peer.conn) {
            self.close(conn, reason, message);
            self.conns.remove(&conn);
        }
    }

    /// A peer goes for good: out of its rooms, its sessions over, its resume token void.
    fn remove(&mut self, at: Moment, id: &Arc<str>, left: LeftReason, ended: EndedReason) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        // Whatever is said from here on is not for it.
        peer.conn = None;
        let (rooms, sessions) = (peer.rooms.clone(), peer.sessions.clone());
        sessions.iter().for_each(|session| self.end_session(session, ended, None));
        rooms.iter().for_each(|room| self.take_out(id, room, left));
        self.peers.remove(id);
        while self.revoked.len() >= MAX_REVOKED || self.revoked.front().is_some_and(|(_, until)| *until < at.unix()) {
            self.revoked.pop_front();
        }
        self.revoked.push_back((id.clone(), at.unix() + RESUME_TOKEN_TIME));
        self.outputs.push_back(Output::Gone(id.clone()));
    }

    fn set_stage(&mut self, conn: ConnId, stage: Stage) {
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.stage = stage;
        }
    }
}
