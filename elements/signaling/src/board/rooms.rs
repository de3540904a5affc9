//! Rooms: join, leave, list, kick, mute, policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Board, Done};
use crate::identity::Role;
use crate::message::{Code, EndedReason, Kind, LeftReason, Member, Policy, Presence, Refusal, RoomInfo, ServerMessage};

/// Rooms of one peer at a time: nobody talks in more.
pub(super) const MAX_ROOMS: usize = 8;

/// Identities that a room remembers as thrown out.
const MAX_KICKED: usize = 256;

/// Rooms that are listed at a time: more would not fit into a message.
const MAX_LISTED: usize = 256;

/// A room and who is in it.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// What of each member is muted, and whether a moderator did it.
    members: BTreeMap<Arc<str>, BTreeMap<Kind, bool>>,
    /// Identities that were thrown out.
    kicked: BTreeSet<String>,
    policy: Policy,
}

impl Board {
    pub(super) fn join(&mut self, id: &Arc<str>, reference: Option<String>, name: &str) -> Done {
        let limit = self.settings.room_size;
        let Some(peer) = self.peers.get_mut(id) else { return Ok(()) };
        if !peer.who.rooms.allow(name) {
            return Err(Refusal::new(Code::NotAllowed, "the token does not allow this room"));
        }
        let is_again = peer.rooms.contains(name);
        if peer.rooms.len() >= MAX_ROOMS && !is_again {
            return Err(Refusal::new(Code::TooManyRooms, format!("a peer is in at most {MAX_ROOMS} rooms")));
        }
        if let Some(room) = self.rooms.get(name) {
            if room.kicked.contains(&peer.who.identity) {
                return Err(Refusal::new(Code::RoomKicked, "you were thrown out of this room"));
            }
            if room.members.len() >= limit && !is_again {
                return Err(Refusal::new(Code::RoomFull, format!("there are {limit} in this room, as many as may be")));
            }
        }
        peer.rooms.insert(name.to_owned());
        let policy = self.settings.policy.clone();
        let room = self.rooms.entry(name.to_owned()).or_insert_with(|| Room { policy, ..Room::default() });
        room.members.entry(id.clone()).or_default();
        let (policy, members) = (room.policy.clone(), self.members(name));
        let joined = ServerMessage::Joined { room: name.to_owned(), members, limit, policy };
        self.tell_with(id, reference, joined);
        if let Some(member) = self.member(name, id).filter(|_| !is_again) {
            self.tell_room(name, Some(id), &ServerMessage::MemberJoined { room: name.to_owned(), member });
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, id: &Arc<str>, reference: Option<String>, name: &str) -> Done {
        self.room_of(id, name)?;
        self.take_out(id, name, LeftReason::Left);
        let left = ServerMessage::Left { room: name.to_owned(), reason: LeftReason::Left };
        self.tell_with(id, reference, left);
        Ok(())
    }

    pub(super) fn list(&mut self, id: &Arc<str>, reference: Option<String>, name: Option<&str>) -> Done {
        let message = match name {
            Some(name) => {
                self.room_of(id, name)?;
                ServerMessage::Members { room: name.to_owned(), members: self.members(name) }
            }
            None => ServerMessage::Rooms { rooms: self.rooms_for(id) },
        };
        self.tell_with(id, reference, message);
        Ok(())
    }

    pub(super) fn kick(&mut self, id: &Arc<str>, name: &str, whom: &str) -> Done {
        self.moderates(id, name, "throw others out")?;
        let whom = self.member_id(name, whom)?;
        let identity = self.peers.get(&whom).map(|peer| peer.who.identity.clone());
        if let Some((room, identity)) = self.rooms.get_mut(name).zip(identity) {
            if room.kicked.len() >= MAX_KICKED {
                room.kicked.pop_first();
            }
            room.kicked.insert(identity);
        }
        self.take_out(&whom, name, LeftReason::Kicked);
        self.tell(&whom, ServerMessage::Left { room: name.to_owned(), reason: LeftReason::Kicked });
        Ok(())
    }

    pub(super) fn mute(&mut self, id: &Arc<str>, name: &str, whom: Option<&str>, kind: Kind, muted: bool) -> Done {
        self.room_of(id, name)?;
        let whom = match whom.filter(|whom| *whom != &**id) {
            Some(whom) => {
                self.moderates(id, name, "mute others")?;
                self.member_id(name, whom)?
            }
            None => id.clone(),
        };
        let is_moderator = self.peers.get(id).is_some_and(|peer| peer.who.role == Role::Moderator);
        let Some(mutes) = self.rooms.get_mut(name).and_then(|room| room.members.get_mut(&whom)) else { return Ok(()) };
        match (mutes.get(&kind), muted) {
            (None, false) => return Ok(()),
            (Some(true), false) if !is_moderator => {
                return Err(Refusal::new(Code::NotAllowed, "a moderator muted you, and only one unmutes you"));
            }
            (Some(_), false) => drop(mutes.remove(&kind)),
            // Whom a moderator muted stays so when it mutes itself too.
            (by_moderator, true) => {
                let by_moderator = by_moderator.copied().unwrap_or(false) || whom != *id;
                mutes.insert(kind, by_moderator);
            }
        }
        self.member_changed(name, &whom, Some(id));
        Ok(())
    }

    pub(super) fn policy(
        &mut self,
        id: &Arc<str>,
        name: &str,
        video: Option<Vec<String>>,
        audio: Option<Vec<String>>,
    ) -> Done {
        self.moderates(id, name, "say which codecs are preferred")?;
        let Some(room) = self.rooms.get_mut(name) else { return Ok(()) };
        room.policy.video = video.unwrap_or_else(|| room.policy.video.clone());
        room.policy.audio = audio.unwrap_or_else(|| room.policy.audio.clone());
        let Policy { video, audio } = room.policy.clone();
        self.tell_room(name, None, &ServerMessage::Policy { room: name.to_owned(), video, audio, by: id.to_string() });
        Ok(())
    }

    /// Takes somebody out of a room, tells the others, and ends what it has with those whom it meets nowhere else.
    pub(super) fn take_out(&mut self, id: &Arc<str>, name: &str, reason: LeftReason) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        room.members.remove(id);
        if room.members.is_empty() {
            self.rooms.remove(name);
        }
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.rooms.remove(name);
        let sessions = peer.sessions.clone();
        let left = ServerMessage::MemberLeft { room: name.to_owned(), peer: id.to_string(), reason };
        self.tell_room(name, None, &left);
        for session in sessions {
            let apart = self.sessions.get(&session).is_some_and(|one| one.needs_room && !self.share_room(&one.ends));
            if apart {
                self.end_session(&session, EndedReason::Left, None);
            }
        }
    }

    /// Tells all rooms of a peer that it went away or came back.
    pub(super) fn presence_changed(&mut self, id: &Arc<str>) {
        let rooms = self.peers.get(id).map(|peer| peer.rooms.clone()).unwrap_or_default();
        rooms.iter().for_each(|room| self.member_changed(room, id, None));
    }

    fn member_changed(&mut self, name: &str, id: &Arc<str>, by: Option<&Arc<str>>) {
        let Some(member) = self.member(name, id) else { return };
        let by = by.map(ToString::to_string);
        // Of its own presence nobody needs to hear.
        let except = by.is_none().then_some(id);
        self.tell_room(name, except, &ServerMessage::MemberChanged { room: name.to_owned(), member, by });
    }

    fn tell_room(&mut self, name: &str, except: Option<&Arc<str>>, message: &ServerMessage) {
        let members: Vec<Arc<str>> =
            self.rooms.get(name).into_iter().flat_map(|room| room.members.keys().cloned()).collect();
        for member in members.iter().filter(|member| Some(*member) != except) {
            self.tell(member, message.clone());
        }
    }

    pub(super) fn share_room(&self, ends: &[Arc<str>; 2]) -> bool {
        let rooms = ends.each_ref().map(|end| self.peers.get(end).map(|peer| &peer.rooms));
        matches!(rooms, [Some(a), Some(b)] if !a.is_disjoint(b))
    }

    /// Somebody whom this peer may know of.
    pub(super) fn fellow(&self, id: &Arc<str>, whom: &str) -> Result<Arc<str>, Refusal> {
        let there = self.peers.get_key_value(whom).map(|(whom, _)| whom.clone());
        let fellow = there.filter(|whom| whom != id && self.share_room(&[id.clone(), whom.clone()]));
        fellow.ok_or_else(|| {
            Refusal::new(Code::NoPeer, "there is nobody of this address in your rooms")
                .hint("join a room with it first")
        })
    }

    /// Somebody as others see it.
    pub(super) fn described(&self, id: &Arc<str>, muted: Vec<Kind>) -> Option<Member> {
        let peer = self.peers.get(id)?;
        let presence = if peer.conn.is_some() { Presence::Here } else { Presence::Away };
        let (identity, name) = (peer.who.identity.clone(), peer.name.clone());
        Some(Member { peer: id.to_string(), identity, name, role: peer.who.role, presence, muted })
    }

    fn member(&self, name: &str, id: &Arc<str>) -> Option<Member> {
        let muted = self.rooms.get(name)?.members.get(id)?.keys().copied().collect();
        self.described(id, muted)
    }

    fn members(&self, name: &str) -> Vec<Member> {
        let members = self.rooms.get(name).into_iter().flat_map(|room| room.members.keys());
        members.filter_map(|id| self.member(name, id)).collect()
    }

    fn rooms_for(&self, id: &Arc<str>) -> Vec<RoomInfo> {
        let Some(peer) = self.peers.get(id) else { return Vec::new() };
        let open = self.rooms.iter().filter(|(name, _)| peer.who.rooms.allow(name)).take(MAX_LISTED);
        let limit = self.settings.room_size;
        open.map(|(name, room)| RoomInfo { room: name.clone(), members: room.members.len(), limit }).collect()
    }

    /// Whether a peer is in a room. A room that is not there and one that it is not in look alike.
    fn room_of(&self, id: &Arc<str>, name: &str) -> Done {
        match self.rooms.get(name).is_some_and(|room| room.members.contains_key(id)) {
            true => Ok(()),
            false => Err(Refusal::new(Code::NoRoom, "you are not in this room")),
        }
    }

    fn moderates(&self, id: &Arc<str>, name: &str, what: &str) -> Done {
        self.room_of(id, name)?;
        match self.peers.get(id).is_some_and(|peer| peer.who.role == Role::Moderator) {
            true => Ok(()),
            false => Err(Refusal::new(Code::NotAllowed, format!("only moderators {what}"))),
        }
    }

    fn member_id(&self, name: &str, whom: &str) -> Result<Arc<str>, Refusal> {
        let member = self.rooms.get(name).and_then(|room| room.members.get_key_value(whom));
        member
            .map(|(id, _)| id.clone())
            .ok_or_else(|| Refusal::new(Code::NoPeer, "there is nobody of this address in the room"))
    }
}
