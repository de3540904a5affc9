//! Whom a relay reaches: permissions and channels of the client (RFC 8656, 9 and 12).
//!
//! Both are asked for when there is something to send, and again when they are about to end and there still is. ICE sends to every peer some times
//! a minute (RFC 7675), so a peer without permission is one that nobody needs any more.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use millstream_core::{Time, TimeDelta};

use crate::stun::CHANNELS;

/// Permissions hold 300 s (RFC 8656, 9): they are renewed so long after they were given.
const RENEW_PERMISSION: TimeDelta = TimeDelta::from_secs(200);
const PERMISSION: TimeDelta = TimeDelta::from_secs(300);
/// Channels hold 600 s (RFC 8656, 12). Binding one anew renews the permission too, which is what it is needed for.
const RENEW_CHANNEL: TimeDelta = RENEW_PERMISSION;
const CHANNEL: TimeDelta = TimeDelta::from_secs(600);

/// A peer that the server refuses is not asked for again so soon.
const REFUSED: TimeDelta = TimeDelta::from_secs(60);

/// Peers at a time: some candidates of each of a thousand sessions.
const MAX_PEERS: usize = 4096;

/// Datagrams that wait for the permission of their peer: what ICE tries meanwhile.
const MAX_WAITING: usize = 8;

/// Datagrams to a peer until it gets a channel, which saves 32 bytes of each: ICE tries many that answer nothing.
const WORTH_A_CHANNEL: u32 = 8;

/// Last channel of RFC 8656; those behind it were RFC 5766's.
const LAST_CHANNEL: u16 = 0x4FFF;

/// Something that holds for a time and is asked for anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    /// It was asked for, and may hold from before.
    Asked(Option<Time>),
    /// Since then.
    Given(Time),
    /// The server has refused it then.
    Refused(Time),
}

impl Grant {
    fn holds(self, now: Time, lifetime: TimeDelta) -> bool {
        matches!(self, Self::Given(since) | Self::Asked(Some(since)) if now - since < lifetime)
    }

    /// Asks for it, if it is time; true if so.
    fn ask(&mut self, now: Time, renew: TimeDelta) -> bool {
        let asks = match *self {
            Self::Asked(_) => false,
            Self::Given(since) => now - since >= renew,
            Self::Refused(at) => now - at >= REFUSED,
        };
        if asks {
            *self = Self::Asked(if let Self::Given(since) = *self { Some(since) } else { None });
        }
        asks
    }
}

#[derive(Debug)]
struct Peer {
    used: Time,
    sent: u32,
    channel: Option<(u16, Grant)>,
    waiting: VecDeque<Vec<u8>>,
}

/// How something gets to a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// On this channel.
    Channel(u16),
    /// As an indication.
    Indication,
    /// It waits, or is lost.
    None,
}

/// What has to be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Need {
    Permission(IpAddr),
    Channel(u16, SocketAddr),
}

/// All peers of a relay.
#[derive(Debug)]
pub(super) struct Peers {
    permissions: HashMap<IpAddr, Grant>,
    peers: HashMap<SocketAddr, Peer>,
    channels: HashMap<u16, SocketAddr>,
    next: u16,
}

impl Peers {
    pub(super) fn new() -> Self {
        Self { permissions: HashMap::new(), peers: HashMap::new(), channels: HashMap::new(), next: *CHANNELS.start() }
    }

    /// How a datagram gets to a peer, and what is to be asked for first or meanwhile.
    pub(super) fn way(&mut self, now: Time, to: SocketAddr, data: &[u8]) -> (Way, Option<Need>) {
        self.make_room(now);
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&to) {
            return (Way::None, None);
        }
        let fresh = || Peer { used: now, sent: 0, channel: None, waiting: VecDeque::new() };
        let peer = self.peers.entry(to).or_insert_with(fresh);
        (peer.used, peer.sent) = (now, peer.sent.saturating_add(1));
        if let Some((channel, grant)) = &mut peer.channel {
            let need = grant.ask(now, RENEW_CHANNEL).then_some(Need::Channel(*channel, to));
            if grant.holds(now, CHANNEL) {
                return (Way::Channel(*channel), need);
            }
        }
        let permission = self.permissions.entry(to.ip());
        let is_new = matches!(permission, std::collections::hash_map::Entry::Vacant(_));
        let permission = permission.or_insert(Grant::Asked(None));
        let need = (is_new || permission.ask(now, RENEW_PERMISSION)).then_some(Need::Permission(to.ip()));
        if permission.holds(now, PERMISSION) {
            let bind = need.or_else(|| peer.bind(to, &mut self.next, &mut self.channels));
            return (Way::Indication, bind);
        }
        if matches!(permission, Grant::Asked(_)) {
            peer.waiting.push_back(data.to_vec());
            if peer.waiting.len() > MAX_WAITING {
                peer.waiting.pop_front();
            }
        }
        (Way::None, need)
    }

    /// The server has let peers of an address send: what waits for them.
    pub(super) fn permitted(&mut self, now: Time, ip: IpAddr) -> Vec<(SocketAddr, Vec<u8>)> {
        self.permissions.insert(ip, Grant::Given(now));
        let of_ip = self.peers.iter_mut().filter(|(peer, _)| peer.ip() == ip);
        of_ip.flat_map(|(to, peer)| peer.waiting.drain(..).map(|data| (*to, data)).collect::<Vec<_>>()).collect()
    }

    /// The server has not.
    pub(super) fn not_permitted(&mut self, now: Time, ip: IpAddr) {
        self.permissions.insert(ip, Grant::Refused(now));
        self.peers.iter_mut().filter(|(peer, _)| peer.ip() == ip).for_each(|(_, peer)| peer.waiting.clear());
    }

    /// A channel is bound, or not. Binding gives the permission too (RFC 8656, 12.2).
    pub(super) fn bound(&mut self, now: Time, to: SocketAddr, is_bound: bool) {
        if let Some(Peer { channel: Some((_, grant)), .. }) = self.peers.get_mut(&to) {
            *grant = if is_bound { Grant::Given(now) } else { Grant::Refused(now) };
        }
        if is_bound {
            self.permissions.insert(to.ip(), Grant::Given(now));
        }
    }

    /// Whose a channel is.
    pub(super) fn of_channel(&self, channel: u16) -> Option<SocketAddr> {
        self.channels.get(&channel).copied()
    }

    /// Forgets peers that nothing was sent to for as long as a channel holds.
    fn make_room(&mut self, now: Time) {
        if self.peers.len() < MAX_PEERS {
            return;
        }
        let channels = &mut self.channels;
        self.peers.retain(|_, peer| {
            let is_used = now - peer.used < CHANNEL;
            if let Some((channel, _)) = peer.channel.as_ref().filter(|_| !is_used) {
                channels.remove(channel);
            }
            is_used
        });
        let peers = &self.peers;
        self.permissions.retain(|ip, _| peers.keys().any(|peer| peer.ip() == *ip));
    }
}

impl Peer {
    /// A channel, once the peer is worth one.
    fn bind(&mut self, to: SocketAddr, next: &mut u16, channels: &mut HashMap<u16, SocketAddr>) -> Option<Need> {
        if self.channel.is_some() || self.sent < WORTH_A_CHANNEL || *next > LAST_CHANNEL {
            return None;
        }
        let channel = *next;
        *next += 1;
        self.channel = Some((channel, Grant::Asked(None)));
        channels.insert(channel, to);
        Some(Need::Channel(channel, to))
    }
}
