//! Requests about allocations (RFC 8656, 7 to 12).

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit as _, Mac as _};
use millstream_core::TimeDelta;
use sha2::Sha256;

use super::allocation::{Allocation, Pending, RESERVATION, Reserved};
use super::{Client, Moment, Output, Refusal, RelayId, TurnServer, User, Wanted};
use crate::peers::may_reach;
use crate::stun::{CHANNELS, Class, Message, Method, Writer, attr};

/// Protocol number of UDP, the only one that is relayed.
const UDP: u8 = 17;

/// Lifetime where a client asks for none or a shorter one, in seconds (RFC 8656, 7.2).
const LIFETIME: u32 = 600;

/// Attributes that a request may have. DONT-FRAGMENT is not among them: datagrams go out as the system sends them.
pub(super) fn known(method: Method) -> Vec<u16> {
    let mut known = vec![attr::USERNAME, attr::REALM, attr::NONCE, attr::MESSAGE_INTEGRITY];
    known.extend_from_slice(match method {
        Method::Allocate => &[
            attr::REQUESTED_TRANSPORT,
            attr::LIFETIME,
            attr::EVEN_PORT,
            attr::RESERVATION_TOKEN,
            attr::REQUESTED_ADDRESS_FAMILY,
        ],
        Method::Refresh => &[attr::LIFETIME, attr::REQUESTED_ADDRESS_FAMILY],
        Method::CreatePermission => &[attr::XOR_PEER_ADDRESS],
        Method::ChannelBind => &[attr::XOR_PEER_ADDRESS, attr::CHANNEL_NUMBER],
        _ => &[],
    });
    known
}

type Done = Result<(), Refusal>;

const BAD: Refusal = Refusal(400, "Bad Request");
const MISMATCH: Refusal = Refusal(437, "Allocation Mismatch");
const FULL: Refusal = Refusal(508, "Insufficient Capacity");

impl TurnServer {
    pub(super) fn allocate(&mut self, at: Moment, client: Client, message: &Message<'_>, user: &User) -> Done {
        if let Some(there) = self.allocations.get(&client) {
            // The answer was lost on the way.
            if there.transaction != message.transaction {
                return Err(MISMATCH);
            }
            self.outputs.push_back(Output::Send(client, there.answer.clone()));
            return Ok(());
        }
        if self.pending.values().any(|pending| pending.client == client) {
            return Ok(());
        }
        match message.get(attr::REQUESTED_TRANSPORT) {
            Some([UDP, ..]) => {}
            Some(_) => return Err(Refusal(442, "Unsupported Transport Protocol")),
            None => return Err(BAD),
        }
        let wanted = self.wanted(message)?;
        let lifetime = self.lifetime(message);
        if self.users.get(&user.name).is_some_and(|count| *count >= self.settings.user_quota) {
            return Err(Refusal(486, "Allocation Quota Reached"));
        }
        if self.allocations.len() + self.pending.len() + self.reserved.len() >= self.settings.total_quota {
            return Err(FULL);
        }
        let (key, transaction) = (user.key, message.transaction);
        let pending = Pending { client, user: user.name.clone(), key, lifetime, transaction, next: wanted.next };
        if let Some(token) = message.get(attr::RESERVATION_TOKEN) {
            let kept = <[u8; 8]>::try_from(token).ok().filter(|token| self.is_kept_for(token, &user.name));
            let reserved = kept.and_then(|token| self.reserved.remove(&token)).ok_or(FULL)?;
            *self.users.entry(user.name.clone()).or_default() += 1;
            self.establish(at, reserved.relay, pending, reserved.address, None);
            return Ok(());
        }
        *self.users.entry(user.name.clone()).or_default() += 1;
        let relay = self.new_relay();
        self.pending.insert(relay, pending);
        self.outputs.push_back(Output::Bind(relay, wanted));
        Ok(())
    }

    fn is_kept_for(&self, token: &[u8; 8], user: &str) -> bool {
        self.reserved.get(token).is_some_and(|reserved| reserved.user == user)
    }

    fn wanted(&mut self, message: &Message<'_>) -> Result<Wanted, Refusal> {
        let family = message.get(attr::REQUESTED_ADDRESS_FAMILY);
        let even = message.get(attr::EVEN_PORT);
        if message.get(attr::RESERVATION_TOKEN).is_some() && (family.is_some() || even.is_some()) {
            return Err(BAD);
        }
        let is_v6 = match family {
            None | Some([1, ..]) => false,
            Some([2, ..]) => true,
            Some(_) => return Err(Refusal(440, "Address Family not Supported")),
        };
        if !self.settings.families.iter().any(|address| address.is_ipv6() == is_v6) {
            return Err(Refusal(440, "Address Family not Supported"));
        }
        let reserves = even.and_then(|even| even.first()).is_some_and(|bits| bits & 0x80 != 0);
        let next = reserves.then(|| self.new_relay());
        Ok(Wanted { is_v6, is_even: even.is_some(), next })
    }

    fn lifetime(&self, message: &Message<'_>) -> u32 {
        let asked = message.number(attr::LIFETIME).unwrap_or(LIFETIME);
        asked.max(LIFETIME).min(self.settings.max_lifetime)
    }

    /// The answer to [`Output::Bind`]: the address that peers see, and that of the next port if it was wanted and is kept.
    pub fn bound(&mut self, at: Moment, relay: RelayId, address: Option<SocketAddr>, next: Option<SocketAddr>) {
        let Some(pending) = self.pending.remove(&relay) else {
            return self.outputs.push_back(Output::Unbind(relay));
        };
        let Some(address) = address else {
            self.leave(&pending.user);
            let Refusal(code, reason) = FULL;
            let writer = Writer::new(Method::Allocate, Class::Error, pending.transaction).error(code, reason);
            let answer = writer.sign(&pending.key).finish();
            return self.outputs.push_back(Output::Send(pending.client, answer));
        };
        let token = pending.next.zip(next).map(|(relay, address)| self.reserve(at, relay, address, &pending.user));
        self.establish(at, relay, pending, address, token);
    }

    fn reserve(&mut self, at: Moment, relay: RelayId, address: SocketAddr, user: &str) -> [u8; 8] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(b"reserved");
        mac.update(&relay.0.to_be_bytes());
        let mut token = [0; 8];
        token.copy_from_slice(&mac.finalize().into_bytes()[..8]);
        let until = at.now + RESERVATION;
        self.reserved.insert(token, Reserved { relay, address, user: user.to_owned(), until });
        self.deadlines.insert((until, relay));
        token
    }

    pub(super) fn give_up_reservation(&mut self, relay: RelayId, due: millstream_core::Time) {
        let outputs = &mut self.outputs;
        self.reserved.retain(|_, reserved| {
            let over = reserved.relay == relay && reserved.until == due;
            if over {
                outputs.push_back(Output::Unbind(relay));
            }
            !over
        });
    }

    fn establish(&mut self, at: Moment, relay: RelayId, pending: Pending, address: SocketAddr, token: Option<[u8; 8]>) {
        let Pending { client, user, key, lifetime, transaction, .. } = pending;
        let mut writer = Writer::new(Method::Allocate, Class::Success, transaction)
            .address(attr::XOR_RELAYED_ADDRESS, address)
            .number(attr::LIFETIME, lifetime)
            .address(attr::XOR_MAPPED_ADDRESS, client.address);
        if let Some(token) = token {
            writer = writer.add(attr::RESERVATION_TOKEN, &token);
        }
        let answer = writer.sign(&key).finish();
        let expires = at.now + TimeDelta::from_secs(lifetime.into());
        let allocation = Allocation {
            relay,
            address,
            user,
            expires,
            permissions: Default::default(),
            channels: Default::default(),
            transaction,
            answer: answer.clone(),
        };
        self.allocations.insert(client, allocation);
        self.relays.insert(relay, client);
        self.addresses.insert(address, client);
        self.deadlines.insert((expires, relay));
        self.outputs.push_back(Output::Send(client, answer));
    }

    pub(super) fn refresh(&mut self, at: Moment, client: Client, message: &Message<'_>, user: &User) -> Done {
        let lifetime = match message.number(attr::LIFETIME) {
            Some(0) => 0,
            _ => self.lifetime(message),
        };
        let allocation = self.allocations.get_mut(&client).ok_or(MISMATCH)?;
        let family = message.get(attr::REQUESTED_ADDRESS_FAMILY).and_then(|family| family.first());
        if family.is_some_and(|family| (*family == 2) != allocation.address.is_ipv6()) {
            return Err(Refusal(443, "Peer Address Family Mismatch"));
        }
        if lifetime == 0 {
            self.release(client);
        } else {
            let relay = allocation.relay;
            let before = std::mem::replace(&mut allocation.expires, at.now + TimeDelta::from_secs(lifetime.into()));
            let expires = allocation.expires;
            self.deadlines.remove(&(before, relay));
            self.deadlines.insert((expires, relay));
        }
        let writer = Writer::new(Method::Refresh, Class::Success, message.transaction);
        self.answer(client, writer.number(attr::LIFETIME, lifetime), user);
        Ok(())
    }

    pub(super) fn create_permission(&mut self, at: Moment, client: Client, message: &Message<'_>, user: &User) -> Done {
        let peers = message.addresses(attr::XOR_PEER_ADDRESS).filter(|peers| !peers.is_empty()).ok_or(BAD)?;
        for peer in &peers {
            self.check_peer(client, *peer)?;
        }
        let allocation = self.allocations.get_mut(&client).ok_or(MISMATCH)?;
        for peer in &peers {
            if !allocation.permit(peer.ip(), at.now) {
                return Err(FULL);
            }
        }
        self.answer(client, Writer::new(Method::CreatePermission, Class::Success, message.transaction), user);
        Ok(())
    }

    pub(super) fn bind_channel(&mut self, at: Moment, client: Client, message: &Message<'_>, user: &User) -> Done {
        let channel = match message.get(attr::CHANNEL_NUMBER) {
            Some([high, low, ..]) => u16::from_be_bytes([*high, *low]),
            _ => return Err(BAD),
        };
        let peers = message.addresses(attr::XOR_PEER_ADDRESS).ok_or(BAD)?;
        let [peer] = peers[..] else { return Err(BAD) };
        self.check_peer(client, peer)?;
        let allocation = self.allocations.get_mut(&client).ok_or(MISMATCH)?;
        if !CHANNELS.contains(&channel) || !allocation.bind(channel, peer, at.now) {
            return Err(BAD);
        }
        if !allocation.permit(peer.ip(), at.now) {
            return Err(FULL);
        }
        self.answer(client, Writer::new(Method::ChannelBind, Class::Success, message.transaction), user);
        Ok(())
    }

    fn check_peer(&self, client: Client, peer: SocketAddr) -> Done {
        let allocation = self.allocations.get(&client).ok_or(MISMATCH)?;
        if allocation.address.is_ipv6() != peer.is_ipv6() {
            return Err(Refusal(443, "Peer Address Family Mismatch"));
        }
        match self.may_reach(peer.ip()) {
            true => Ok(()),
            false => Err(Refusal(403, "Forbidden")),
        }
    }

    /// Whether a permission may be had. That of a relay's own address reaches other relays there, and nothing else: see `relay`.
    fn may_reach(&self, peer: IpAddr) -> bool {
        may_reach(peer, &self.settings.allowed) || self.addresses.keys().any(|address| address.ip() == peer)
    }
}
