//! A worker of our signaling: speaks with those who come, and has their sessions made.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_core::{Env, Result};
use millstream_signaling::message::{ClientMessage, Purpose, RejectReason, ServerMessage};
use millstream_signaling::shell::hub::LocalPeer;
use millstream_signaling::shell::hubs::Hubs;
use tokio::sync::{mpsc, oneshot};

use super::call::Call;
use super::settings::{PATIENCE, no_server};
use crate::control::{Control, Controls};
use crate::offer::Offer;

/// Whoever makes sessions of offers.
pub(super) trait Host: Send + Sync {
    /// Whether somebody may come now, or why not.
    fn admits(&self) -> Result<(), String>;

    /// The answer to an offer, or why there is none; the session goes on by itself.
    fn open(&self, offer: &Offer, controls: Box<dyn Controls>) -> Result<String, String>;
}

/// What a worker is.
pub(super) struct Work {
    /// Name of the kind of element.
    pub(super) element: &'static str,
    /// Where the server is found.
    pub(super) listen: SocketAddr,
    pub(super) path: String,
    /// What it serves.
    pub(super) stream: String,
    pub(super) purpose: Purpose,
    /// Only members of it may come.
    pub(super) room: Option<String>,
}

/// Serves a stream, as long as it is run.
pub(super) struct Worker {
    env: Env,
    work: Work,
    host: Arc<dyn Host>,
}

/// What is known at one server.
struct There {
    peer: Arc<LocalPeer>,
    /// Sessions, and where each is asked for something.
    calls: HashMap<String, mpsc::Sender<Control>>,
    /// Who is in the room.
    members: HashSet<String>,
}

impl Drop for There {
    fn drop(&mut self) {
        // Those who are here hear at once that nobody serves them any more.
        self.peer.say(ClientMessage::Bye {});
    }
}

impl Worker {
    pub(super) fn new(env: Env, work: Work, host: Arc<dyn Host>) -> Self {
        Self { env, work, host }
    }

    /// Speaks until the end of time. A server that goes is waited for; sessions go on meanwhile.
    ///
    /// # Errors
    /// When there is no server at first.
    pub(super) async fn run(&self) -> Result<()> {
        let Work { listen, path, .. } = &self.work;
        let mut hub = tokio::select! {
            hub = Hubs::at(&self.env, *listen, path) => hub,
            () = self.env.clock.sleep_until(self.env.clock.now() + PATIENCE) => return Err(no_server(*listen, path)),
        };
        // Sessions of a server that has gone hear of nothing any more, but go on.
        let mut gone = Vec::new();
        loop {
            // Several workers may serve a stream.
            let identity = format!("{}-{:016x}", self.work.element, self.env.random());
            let peer = Arc::new(hub.worker(&identity));
            drop(hub);
            let mut there = There { peer, calls: HashMap::new(), members: HashSet::new() };
            self.introduce(&there);
            while let Some(envelope) = there.peer.hear().await {
                self.hear(&mut there, &envelope.message);
            }
            tracing::info!("the signaling server has gone; waits for it");
            gone.retain(|call: &mpsc::Sender<Control>| !call.is_closed());
            gone.extend(std::mem::take(&mut there.calls).into_values());
            drop(there);
            hub = Hubs::at(&self.env, *listen, path).await;
        }
    }

    fn introduce(&self, there: &There) {
        let (streams, purposes) = (vec![self.work.stream.clone()], vec![self.work.purpose]);
        there.peer.say(ClientMessage::Worker { streams, purposes });
        if let Some(room) = self.work.room.clone() {
            there.peer.say(ClientMessage::Join { room });
        }
    }

    fn hear(&self, there: &mut There, message: &ServerMessage) {
        match message {
            ServerMessage::Publish { session, from, .. } | ServerMessage::Play { session, from, .. } => {
                let admitted = self.knows(there, &from.peer).and_then(|()| self.host.admits());
                there.peer.say(match admitted {
                    Ok(()) => ClientMessage::Init { session: session.clone() },
                    Err(message) => ClientMessage::Refuse { session: session.clone(), message },
                });
            }
            ServerMessage::Offer { session, sdp, collides: false, .. } => self.offer(there, session, sdp),
            ServerMessage::Candidate { session, candidate: Some(candidate), .. } => {
                // The end of a generation is an empty one.
                let line = candidate.candidate.trim();
                if let Some(call) = there.calls.get(session).filter(|_| !line.is_empty()) {
                    let _ = call.try_send(Control::Candidates(vec![line.to_owned()]));
                }
            }
            ServerMessage::Ended { session, .. } => drop(there.calls.remove(session)),
            // It is nobody who talks.
            ServerMessage::Invite { session, .. } => {
                there.peer.say(ClientMessage::Reject { session: session.clone(), reason: RejectReason::Declined });
            }
            ServerMessage::Joined { members, .. } => {
                there.members = members.iter().map(|member| member.peer.clone()).collect();
            }
            ServerMessage::MemberJoined { member, .. } => drop(there.members.insert(member.peer.clone())),
            ServerMessage::MemberLeft { peer, .. } => drop(there.members.remove(peer)),
            ServerMessage::Error { message, .. } => tracing::debug!(message, "the signaling server did not do it"),
            _ => {}
        }
    }

    /// Whether somebody is in the room, if it has to be.
    fn knows(&self, there: &There, peer: &str) -> Result<(), String> {
        match &self.work.room {
            Some(room) if !there.members.contains(peer) => Err(format!("Only members of the room {room} may come.")),
            _ => Ok(()),
        }
    }

    fn offer(&self, there: &mut There, session: &str, sdp: &str) {
        let refuse = |message: String| ClientMessage::Refuse { session: session.to_owned(), message };
        let offer = match Offer::read(sdp) {
            Ok(offer) => offer,
            Err(refused) => return there.peer.say(refuse(refused.to_string())),
        };
        if let Some(call) = there.calls.get(session) {
            return self.offer_again(there, session, call, offer);
        }
        let (call, sender, answered) = Call::new(&there.peer, session);
        match self.host.open(&offer, Box::new(call)) {
            Ok(sdp) => {
                answered.store(true, Ordering::Relaxed);
                there.calls.insert(session.to_owned(), sender);
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
