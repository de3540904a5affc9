//! Data both ways (RFC 8656, 11 and 12).

use std::net::SocketAddr;

use super::{Client, Moment, Output, RelayId, Transport, TurnServer};
use crate::peers::may_reach;
use crate::stun::{ChannelData, Class, Message, Method, Writer, attr, write_channel};

impl TurnServer {
    /// A Send indication.
    pub(super) fn send(&mut self, at: Moment, client: Client, message: &Message<'_>) {
        let known = [attr::XOR_PEER_ADDRESS, attr::DATA];
        let peers = message.addresses(attr::XOR_PEER_ADDRESS).unwrap_or_default();
        if let ([peer], Some(data), true) = (&peers[..], message.get(attr::DATA), message.unknown(&known).is_empty()) {
            self.relay(at, client, *peer, data);
        }
    }

    pub(super) fn channel_data(&mut self, at: Moment, client: Client, bytes: &[u8]) {
        let Some(ChannelData { channel, data }) = ChannelData::read(bytes) else { return };
        let bound = self.allocations.get(&client).and_then(|allocation| allocation.channels.get(&channel));
        if let Some((peer, _)) = bound.copied().filter(|(_, until)| *until > at.now) {
            self.relay(at, client, peer, data);
        }
    }

    /// From a client to a peer.
    fn relay(&mut self, at: Moment, client: Client, peer: SocketAddr, data: &[u8]) {
        let Some(allocation) = self.allocations.get(&client).filter(|one| one.permits(peer.ip(), at.now)) else {
            return;
        };
        let (relay, from) = (allocation.relay, allocation.address);
        if let Some(other) = self.addresses.get(&peer).copied() {
            // Another client of ours: no detour over the network, which may not lead back here.
            return self.deliver(at, other, from, data);
        }
        // A permission is for an address, of which only our relays' ports may be meant.
        if may_reach(peer.ip(), &self.settings.allowed) {
            self.outputs.push_back(Output::Relay(relay, peer, data.to_vec()));
        }
    }

    /// A datagram has come to a relay.
    pub fn relayed(&mut self, at: Moment, relay: RelayId, from: SocketAddr, data: &[u8]) {
        if let Some(client) = self.relays.get(&relay).copied() {
            self.deliver(at, client, from, data);
        }
    }

    /// From a peer to a client.
    fn deliver(&mut self, at: Moment, client: Client, from: SocketAddr, data: &[u8]) {
        let Some(allocation) = self.allocations.get(&client).filter(|one| one.permits(from.ip(), at.now)) else {
            return;
        };
        let bytes = match allocation.channel_of(from, at.now) {
            Some(channel) => write_channel(channel, data, client.transport == Transport::Tcp),
            None => {
                self.next += 1;
                let mut transaction = [0; 12];
                transaction[4..].copy_from_slice(&self.next.to_be_bytes());
                Writer::new(Method::Data, Class::Indication, transaction)
                    .address(attr::XOR_PEER_ADDRESS, from)
                    .add(attr::DATA, data)
                    .plain()
            }
        };
        self.outputs.push_back(Output::Send(client, bytes));
    }
}
