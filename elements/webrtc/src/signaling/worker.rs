//! A worker of our signaling: speaks with those who come, and has their sessions made.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_core::{Env, Error, Result, TimeDelta};
use millstream_signaling::client::Credentials;
use millstream_signaling::identity::Role;
use millstream_signaling::message::{
    CandidateInit, ClientMessage, Code, Member, Purpose, RejectReason, ServerMessage, WelcomeState,
};
use millstream_signaling::shell::hubs::Hubs;
use millstream_signaling::shell::peer::Peer;
use millstream_signaling::shell::remote::RemotePeer;
use tokio::sync::{mpsc, oneshot};

use super::call::{Asks, Call};
use super::settings::{PATIENCE, Place, no_server};
use crate::control::{Control, Controls};
use crate::offer::Offer;

/// How long a stream that has not begun is waited for before members are offered it once more.
const AGAIN: TimeDelta = TimeDelta::from_millis(500);

/// Whoever makes sessions of offers.
pub(super) trait Host: Send + Sync {
    /// Whether somebody may come now, or why not.
    fn admits(&self) -> Result<(), String>;

    /// The answer to an offer, or why there is none; the session goes on by itself.
    fn open(&self, offer: &Offer, controls: Box<dyn Controls>) -> Result<String, String>;

    /// Whether a further offer in a session will do.
    fn goes_on(&self, offer: &Offer) -> Result<(), String>;

    /// An offer to somebody who was not asked, or why there is none now.
    fn offer(&self, _controls: Box<dyn Controls>) -> Result<String, String> {
        Err("Nothing is offered here.".to_owned())
    }
}

/// What a worker is.
pub(super) struct Work {
    /// Name of the kind of element.
    pub(super) element: &'static str,
    /// Where the server is found.
    pub(super) place: Place,
    /// What it serves.
    pub(super) stream: String,
    pub(super) purpose: Purpose,
    /// Only members of it may come.
    pub(super) room: Option<String>,
    /// All members are offered something.
    pub(super) offers: bool,
}

/// Serves a stream, as long as it is run.
pub(super) struct Worker {
    env: Env,
    work: Work,
    host: Arc<dyn Host>,
}

/// What is known at one server.
struct There {
    peer: Arc<Peer>,
    /// Sessions, and where each is asked for something.
    calls: HashMap<String, Live>,
    /// Who is in the room.
    members: HashSet<String>,
    /// The server has said that it sends those who come.
    serves: bool,
    /// Members who are to be offered something.
    unoffered: Vec<String>,
    /// Those who were, of whose sessions the server has not told yet.
    offered: HashMap<String, (Asks, String)>,
}

/// A session that goes on.
struct Live {
    asked: mpsc::Sender<Control>,
    /// The other end.
    with: String,
}

impl Drop for There {
    fn drop(&mut self) {
        // Those who are here hear at once that nobody serves them any more.
        self.peer.say(ClientMessage::Bye {});
    }
}

impl There {
    fn new(peer: Peer) -> Self {
        Self {
            peer: Arc::new(peer),
            calls: HashMap::new(),
            members: HashSet::new(),
            serves: false,
            unoffered: Vec::new(),
            offered: HashMap::new(),
        }
    }
}

impl Worker {
    pub(super) fn new(env: Env, work: Work, host: Arc<dyn Host>) -> Self {
        Self { env, work, host }
    }

    /// Speaks until the job is done. A server that goes is waited for; sessions go on meanwhile.
    ///
    /// # Errors
    /// Those of the job; when there is no server in this process at first, or one elsewhere will not do.
    pub(super) async fn run(&self, job: impl Future<Output = Result<()>>) -> Result<()> {
        let mut job = pin!(job);
        // Sessions of a server that has gone hear of nothing any more, but go on.
        let mut gone = Vec::new();
        let mut is_first = true;
        loop {
            let peer = tokio::select! {
                ended = &mut job => return ended,
                peer = self.find(std::mem::take(&mut is_first)) => peer?,
            };
            let mut there = There::new(peer);
            let ended = tokio::select! {
                ended = &mut job => Some(ended),
                spoken = self.speak(&mut there) => spoken.err().map(Err),
            };
            if let Some(ended) = ended {
                return self.leave(there, ended).await;
            }
            tracing::info!("the signaling server has gone; waits for it");
            gone.retain(|call: &mpsc::Sender<Control>| !call.is_closed());
            gone.extend(std::mem::take(&mut there.calls).into_values().map(|live| live.asked));
        }
    }

    /// A peer of the server, which is waited for.
    async fn find(&self, is_first: bool) -> Result<Peer> {
        // Several workers may serve a stream.
        let identity = || format!("{}-{:016x}", self.work.element, self.env.random());
        match &self.work.place {
            Place::Here { listen, path } => {
                let patience = async {
                    match is_first {
                        true => self.env.clock.sleep_until(self.env.clock.now() + PATIENCE).await,
                        false => std::future::pending().await,
                    }
                };
                tokio::select! {
                    hub = Hubs::at(&self.env, *listen, path) => Ok(Peer::Local(hub.worker(&identity()))),
                    () = patience => Err(no_server(*listen, path)),
                }
            }
            Place::There { url, credentials } => {
                let named = credentials.identity.clone().or_else(|| Some(identity()));
                let credentials = Credentials { identity: named, token: credentials.token.clone() };
                Ok(Peer::Remote(RemotePeer::at(&self.env, url, credentials)))
            }
        }
    }

    /// Speaks until a server in this process has gone.
    async fn speak(&self, there: &mut There) -> Result<()> {
        let peer = there.peer.clone();
        loop {
            let again = async {
                match there.unoffered.is_empty() {
                    true => std::future::pending().await,
                    false => self.env.clock.sleep_until(self.env.clock.now() + AGAIN).await,
                }
            };
            tokio::select! {
                envelope = peer.hear() => match envelope? {
                    Some(envelope) => self.hear(there, &envelope.message)?,
                    None => return Ok(()),
                },
                () = again => self.offer_members(there),
            }
        }
    }

    /// Offers the stream to those who have not been offered it, if it has begun.
    fn offer_members(&self, there: &mut There) {
        for member in std::mem::take(&mut there.unoffered) {
            let (call, asks) = Call::new(&there.peer);
            match self.host.offer(Box::new(call)) {
                Ok(sdp) => {
                    there.peer.say(ClientMessage::Offer { session: None, to: Some(member.clone()), sdp: sdp.clone() });
                    there.offered.insert(member, (asks, sdp));
                }
                Err(_) => there.unoffered.push(member),
            }
        }
    }

    /// Somebody is in the room.
    fn member(&self, there: &mut There, member: &Member) {
        there.members.insert(member.peer.clone());
        if self.work.offers && member.role != Role::Worker {
            there.unoffered.push(member.peer.clone());
        }
    }

    /// A session that was offered is one: candidates follow, as from everybody who offers.
    fn opened(&self, there: &mut There, session: &str, with: &str) {
        let Some((asks, sdp)) = there.offered.remove(with) else { return };
        let _ = asks.session.set(session.to_owned());
        asks.answered.store(true, Ordering::Relaxed);
        let mid = sdp.lines().find_map(|line| line.strip_prefix("a=mid:")).map(|mid| mid.trim_end().to_owned());
        let lines =
            sdp.lines().filter_map(|line| line.strip_prefix("a=")).filter(|line| line.starts_with("candidate:"));
        let found = lines.map(|line| CandidateInit {
            candidate: line.trim_end().to_owned(),
            sdp_mid: mid.clone(),
            sdp_m_line_index: Some(0),
            username_fragment: None,
        });
        for candidate in found.map(Some).chain([None]) {
            there.peer.say(ClientMessage::Candidate { session: session.to_owned(), candidate });
        }
        there.calls.insert(session.to_owned(), Live { asked: asks.asked, with: with.to_owned() });
    }

    async fn leave<T>(&self, mut there: There, ended: T) -> T {
        // The sessions end with the job; who has them hears that from the server.
        there.calls.clear();
        let peer = there.peer.clone();
        drop(there);
        if let Some(peer) = Arc::into_inner(peer) {
            peer.leave().await;
        }
        ended
    }

    /// Says what it is, to a server that does not know it.
    fn introduce(&self, there: &mut There, state: WelcomeState) {
        if state == WelcomeState::Resumed {
            return;
        }
        there.serves = false;
        (there.members, there.unoffered, there.offered) = Default::default();
        let (streams, purposes) = (vec![self.work.stream.clone()], vec![self.work.purpose]);
        there.peer.say(ClientMessage::Worker { streams, purposes });
        if let Some(room) = self.work.room.clone() {
            there.peer.say(ClientMessage::Join { room });
        }
        there.calls.retain(|_, live| !live.asked.is_closed());
        if state == WelcomeState::Restored {
            for (session, live) in &there.calls {
                let (session, with) = (session.clone(), live.with.clone());
                there.peer.say(ClientMessage::Reopen { session, with, polite: false });
            }
        }
    }

    /// Something was not done.
    fn refused(&self, there: &There, code: Code, message: &str, hint: Option<&str>) -> Result<()> {
        let is_barred = matches!(code, Code::NotAllowed | Code::RoomFull | Code::RoomKicked | Code::TooManyRooms);
        let is_outside = self.work.room.is_some() && there.members.is_empty();
        if !is_barred || (there.serves && !is_outside) {
            tracing::debug!(message, "the signaling server did not do it");
            return Ok(());
        }
        let property = if there.serves { "room" } else { "token" };
        let error = Error::settings(format!("the signaling server refuses: {message}")).on_property(property);
        Err(error.hint(hint.unwrap_or("what the token of this element allows is for that server to say")))
    }

    fn hear(&self, there: &mut There, message: &ServerMessage) -> Result<()> {
        match message {
            ServerMessage::Welcome { state, .. } => self.introduce(there, *state),
            ServerMessage::Serving { .. } => there.serves = true,
            ServerMessage::Publish { session, from, .. } | ServerMessage::Play { session, from, .. } => {
                let admitted = self.knows(there, &from.peer).and_then(|()| self.host.admits());
                there.peer.say(match admitted {
                    Ok(()) => ClientMessage::Init { session: session.clone() },
                    Err(message) => ClientMessage::Refuse { session: session.clone(), message },
                });
            }
            ServerMessage::Offer { session, from, sdp, collides: false } => self.offer(there, session, from, sdp),
            ServerMessage::Candidate { session, candidate: Some(candidate), .. } => {
                // The end of a generation is an empty one.
                let line = candidate.candidate.trim();
                if let Some(live) = there.calls.get(session).filter(|_| !line.is_empty()) {
                    let _ = live.asked.try_send(Control::Candidates(vec![line.to_owned()]));
                }
            }
            ServerMessage::Answer { session, sdp, .. } => {
                if let Some(live) = there.calls.get(session) {
                    let _ = live.asked.try_send(Control::Answer(sdp.clone()));
                }
            }
            ServerMessage::Opened { session, peer, .. } => self.opened(there, session, peer),
            ServerMessage::Ended { session, .. } => drop(there.calls.remove(session)),
            // It is nobody who talks.
            ServerMessage::Invite { session, .. } => {
                there.peer.say(ClientMessage::Reject { session: session.clone(), reason: RejectReason::Declined });
            }
            ServerMessage::Joined { members, .. } => {
                members.iter().for_each(|member| self.member(there, member));
                self.offer_members(there);
            }
            ServerMessage::MemberJoined { member, .. } => {
                self.member(there, member);
                self.offer_members(there);
            }
            ServerMessage::MemberLeft { peer, .. } => {
                there.members.remove(peer);
                there.offered.remove(peer);
                there.unoffered.retain(|member| member != peer);
            }
            ServerMessage::Error { code, message, hint } => self.refused(there, *code, message, hint.as_deref())?,
            _ => {}
        }
        Ok(())
    }

    /// Whether somebody is in the room, if it has to be.
    fn knows(&self, there: &There, peer: &str) -> Result<(), String> {
        match &self.work.room {
            Some(room) if !there.members.contains(peer) => Err(format!("Only members of the room {room} may come.")),
            _ => Ok(()),
        }
    }

    fn offer(&self, there: &mut There, session: &str, from: &str, sdp: &str) {
        let refuse = |message: String| ClientMessage::Refuse { session: session.to_owned(), message };
        let offer = match Offer::read(sdp) {
            Ok(offer) => offer,
            Err(refused) => return there.peer.say(refuse(refused.to_string())),
        };
        if let Some(live) = there.calls.get(session) {
            match self.host.goes_on(&offer) {
                Ok(()) => return self.offer_again(there, session, &live.asked, offer),
                Err(message) => return there.peer.say(refuse(message)),
            }
        }
        let (call, asks) = Call::new(&there.peer);
        let _ = asks.session.set(session.to_owned());
        match self.host.open(&offer, Box::new(call)) {
            Ok(sdp) => {
                asks.answered.store(true, Ordering::Relaxed);
                there.calls.insert(session.to_owned(), Live { asked: asks.asked, with: from.to_owned() });
                there.peer.say(ClientMessage::Answer { session: session.to_owned(), sdp });
            }
            Err(message) => there.peer.say(refuse(message)),
        }
    }

    /// ICE begins anew, or tracks and codecs change: the session that there is answers.
    fn offer_again(&self, there: &There, session: &str, call: &mpsc::Sender<Control>, offer: Offer) {
        let (answer, answered) = oneshot::channel();
        if call.try_send(Control::Offer { offer, answer }).is_err() {
            return there.peer.say(ClientMessage::Hangup { session: session.to_owned() });
        }
        let (peer, session) = (Arc::downgrade(&there.peer), session.to_owned());
        let answering = async move {
            let message = match answered.await {
                Ok(Ok(sdp)) => ClientMessage::Answer { session, sdp },
                Ok(Err(refused)) => ClientMessage::Refuse { session, message: refused.to_string() },
                // The session has ended meanwhile, and says so.
                Err(_) => return,
            };
            if let Some(peer) = peer.upgrade() {
                peer.say(message);
            }
        };
        self.env.tasks.spawn(Box::pin(answering)).detach();
    }
}
