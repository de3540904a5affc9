//! One client's relay.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use millstream_core::{Time, TimeDelta};

use super::{Client, RelayId};

/// How long a permission holds (RFC 8656, 9).
pub(super) const PERMISSION: TimeDelta = TimeDelta::from_secs(300);
/// How long a channel is bound (RFC 8656, 12).
pub(super) const CHANNEL: TimeDelta = TimeDelta::from_secs(600);
/// How long a reserved port is kept (RFC 8656, 7.2).
pub(super) const RESERVATION: TimeDelta = TimeDelta::from_secs(30);

/// Permissions and channels of one allocation: a call tries some tens of addresses.
pub(super) const MAX_PEERS: usize = 128;

/// A relay of a client.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) relay: RelayId,
    /// As peers see it.
    pub(super) address: SocketAddr,
    pub(super) user: String,
    pub(super) expires: Time,
    /// Until when a peer may send.
    pub(super) permissions: HashMap<IpAddr, Time>,
    /// Peers by channel, and until when.
    pub(super) channels: HashMap<u16, (SocketAddr, Time)>,
    /// The request that made it, and its answer: it may be sent again.
    pub(super) transaction: [u8; 12],
    pub(super) answer: Vec<u8>,
}

/// An allocation whose socket is being opened.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) client: Client,
    pub(super) user: String,
    pub(super) key: [u8; 16],
    pub(super) lifetime: u32,
    pub(super) transaction: [u8; 12],
    /// The next port is kept under this number.
    pub(super) next: Option<RelayId>,
}

/// A port that is kept for an allocation to come.
#[derive(Debug)]
pub(super) struct Reserved {
    pub(super) relay: RelayId,
    pub(super) address: SocketAddr,
    pub(super) user: String,
    pub(super) until: Time,
}

impl Allocation {
    /// Whether a peer of this address may send, and be sent to.
    pub(super) fn permits(&self, peer: IpAddr, now: Time) -> bool {
        self.permissions.get(&peer).is_some_and(|until| *until > now)
    }

    /// Lets a peer send; false where there is no room.
    pub(super) fn permit(&mut self, peer: IpAddr, now: Time) -> bool {
        if self.permissions.len() >= MAX_PEERS && !self.permissions.contains_key(&peer) {
            self.permissions.retain(|_, until| *until > now);
            if self.permissions.len() >= MAX_PEERS {
                return false;
            }
        }
        self.permissions.insert(peer, now + PERMISSION);
        true
    }

    /// The channel of a peer.
    pub(super) fn channel_of(&self, peer: SocketAddr, now: Time) -> Option<u16> {
        let mut channels = self.channels.iter();
        channels.find(|(_, (of, until))| *of == peer && *until > now).map(|(channel, _)| *channel)
    }

    /// Binds a channel (RFC 8656, 12.2); false where either is bound otherwise, or there is no room.
    pub(super) fn bind(&mut self, channel: u16, peer: SocketAddr, now: Time) -> bool {
        self.channels.retain(|_, (_, until)| *until > now);
        let other = self.channels.iter().any(|(bound, (to, _))| (*bound == channel) != (*to == peer));
        let fits = !other && (self.channels.len() < MAX_PEERS || self.channels.contains_key(&channel));
        if fits {
            self.channels.insert(channel, (peer, now + CHANNEL));
        }
        fits
    }
}
