//! Publish, play and loopback: sessions with a worker.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::sessions::{Found, State};
use super::{Board, Done, Moment};
use crate::identity::{Role, fits};
use crate::message::{Code, EndedReason, Purpose, Refusal, ServerMessage};

/// What a worker serves.
#[derive(Debug)]
pub(super) struct Worker {
    streams: Vec<String>,
    purposes: BTreeSet<Purpose>,
}

/// What a client wants of a worker.
pub(super) enum Wish {
    Publish(String),
    Play(String),
    Loopback,
}

impl Wish {
    fn purpose(&self) -> Purpose {
        match self {
            Self::Publish(_) => Purpose::Publish,
            Self::Play(_) => Purpose::Play,
            Self::Loopback => Purpose::Loopback,
        }
    }

    fn stream(&self) -> &str {
        match self {
            Self::Publish(stream) | Self::Play(stream) => stream,
            Self::Loopback => "",
        }
    }
}

impl Worker {
    fn serves(&self, wish: &Wish) -> bool {
        let served = |pattern: &String| fits(pattern, wish.stream());
        self.purposes.contains(&wish.purpose()) && (matches!(wish, Wish::Loopback) || self.streams.iter().any(served))
    }
}

impl Board {
    pub(super) fn work(
        &mut self,
        id: &Arc<str>,
        reference: Option<String>,
        streams: Vec<String>,
        purposes: Vec<Purpose>,
    ) -> Done {
        let Some(peer) = self.peers.get_mut(id) else { return Ok(()) };
        if peer.who.role != Role::Worker {
            return Err(
                Refusal::new(Code::NotAllowed, "only workers serve streams").hint("its token needs the role `worker`")
            );
        }
        peer.worker = Some(Worker { streams: streams.clone(), purposes: purposes.into_iter().collect() });
        self.tell_with(id, reference, ServerMessage::Serving { streams });
        Ok(())
    }

    /// Asks the worker that has the least to do.
    pub(super) fn push(&mut self, at: Moment, id: &Arc<str>, wish: Wish) -> Done {
        let Some(peer) = self.peers.get(id) else { return Ok(()) };
        let allowed = match &wish {
            Wish::Publish(stream) => peer.who.publish.allow(stream),
            Wish::Play(stream) => peer.who.play.allow(stream),
            Wish::Loopback => true,
        };
        if !allowed {
            return Err(Refusal::new(Code::NotAllowed, "the token does not allow this stream"));
        }
        let serves = self.peers.iter().filter(|(other, peer)| {
            *other != id && peer.conn.is_some() && peer.worker.as_ref().is_some_and(|worker| worker.serves(&wish))
        });
        let worker = serves.min_by_key(|(_, peer)| peer.sessions.len()).map(|(worker, _)| worker.clone());
        let Some(worker) = worker else {
            return Err(Refusal::new(Code::NoWorker, "nobody here serves this stream"));
        };
        let Some(from) = self.described(id, Vec::new()) else { return Ok(()) };
        let session = self.begin([id, &worker], State::Asked(at.now + self.settings.init_time))?;
        if let Some(begun) = self.sessions.get_mut(&session) {
            // A worker has much to hold together: the client gives way.
            (begun.polite, begun.stream) = (0, wish.stream().to_owned());
        }
        let session = session.to_string();
        let message = match wish {
            Wish::Publish(stream) => ServerMessage::Publish { session, stream, from },
            Wish::Play(stream) => ServerMessage::Play { session, stream, from },
            Wish::Loopback => ServerMessage::Loopback { session, from },
        };
        self.tell(&worker, message);
        Ok(())
    }

    pub(super) fn init(&mut self, peer: &Arc<str>, session: &str) -> Done {
        let Found::There(id, end) = self.find(peer, session)? else { return Ok(()) };
        let Some(there) = self.sessions.get_mut(&id).filter(|one| end == 1 && matches!(one.state, State::Asked(_)))
        else {
            return Err(Refusal::new(Code::WrongState, "there is nothing to begin"));
        };
        there.state = State::Open;
        let (client, stream) = (there.ends[0].clone(), there.stream.clone());
        let (session, peer) = (id.to_string(), peer.to_string());
        self.tell(&client, ServerMessage::Init { session, stream, peer, polite: true });
        Ok(())
    }

    pub(super) fn ready(&mut self, peer: &Arc<str>, session: &str) -> Done {
        let Some((id, end)) = self.open(peer, session)? else { return Ok(()) };
        let Some(other) = self.sessions.get(&id).map(|there| there.ends[1 - end].clone()) else { return Ok(()) };
        self.tell(&other, ServerMessage::Ready { session: id.to_string() });
        Ok(())
    }

    pub(super) fn refuse_session(&mut self, peer: &Arc<str>, session: &str, message: String) -> Done {
        let Found::There(id, end) = self.find(peer, session)? else { return Ok(()) };
        if end != 1 || self.peers.get(peer).is_none_or(|peer| peer.worker.is_none()) {
            return Err(Refusal::new(Code::WrongState, "only a worker refuses; others hang up"));
        }
        self.end_session(&id, EndedReason::Refused, Some(message));
        Ok(())
    }
}
