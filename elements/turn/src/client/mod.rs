//! The client without sockets (RFC 8489, RFC 8656): what the server sends and the time go in; what is sent to it, what has happened and the next
//! deadline come out.
//!
//! ```text
//! start(now), close(now)                          ┌────────────┐ ──► Output::Send      a message or channel data for the server
//! send(now, peer, data)  ──►  permission, channel │ TurnClient │ ──► Output::Event     the relay is there, data, refusals
//! receive(now, bytes)    ──►                      └────────────┘     deadline()        when advance(now) is to be called
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | `exchange` | when a request is sent again |
//! | `peers` | permissions and channels |
//! | `binding` | asking for one's address only |
//! | `error` | what may go wrong, and whose affair it is |

mod binding;
mod error;
mod exchange;
mod peers;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit as _, Mac as _};
use millstream_core::{Secret, Time, TimeDelta};
use sha2::Sha256;

pub use self::binding::{Binding, CHANGE_IP, CHANGE_PORT, Seen};
pub use self::error::{ClientError, Party};
use self::exchange::{Exchange, Step};
use self::peers::{Need, Peers, Way};
use crate::credentials::long_term_key;
use crate::server::Transport;
use crate::stun::{ChannelData, Class, Message, Method, Writer, attr, write_channel};

/// REQUESTED-TRANSPORT (RFC 8656, 14.7): UDP.
const UDP: [u8; 4] = [17, 0, 0, 0];

/// How often a nonce may be stale in a row before the server is at fault.
const MAX_STALE: u8 = 3;

/// An allocation is refreshed so long before its end (RFC 8656, 3.2: a minute), or at half of its time if that is short.
const AHEAD: TimeDelta = TimeDelta::from_secs(60);

/// Shortest lifetime that is believed: a server that says less would be asked all the time.
const MIN_LIFETIME: u32 = 10;

/// What a client is told.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// How the server is reached.
    pub transport: Transport,
    /// User name and password.
    pub credentials: Option<(String, Secret)>,
    /// The relay has an address of IPv6 (RFC 8656, 14.6).
    pub is_v6: bool,
}

/// What a client wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send this to the server. Channel data on a stream are padded.
    Send(Vec<u8>),
    /// This has happened.
    Event(Event),
}

/// What has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// There is a relay.
    Allocated {
        /// Its address, as peers see it.
        relayed: SocketAddr,
        /// Our own, as the server sees it.
        mapped: Option<SocketAddr>,
    },
    /// Something has come from a peer.
    Data {
        /// From whom.
        peer: SocketAddr,
        /// A datagram.
        bytes: Vec<u8>,
    },
    /// The server lets nothing through to peers of an address.
    Refused {
        /// Theirs.
        peer: IpAddr,
        /// Why.
        error: ClientError,
    },
    /// There is no relay, or none any more. Nothing comes after this.
    Failed(ClientError),
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    Allocate,
    Refresh,
    Close,
    Need(Need),
}

#[derive(Debug)]
struct Request {
    exchange: Exchange,
    purpose: Purpose,
    is_signed: bool,
    stale: u8,
}

/// What the server told to sign with (RFC 8489, 9.2).
#[derive(Clone, Debug)]
struct Login {
    realm: String,
    nonce: Vec<u8>,
    key: [u8; 16],
}

/// One relay at one server.
#[derive(Debug)]
pub struct TurnClient {
    settings: ClientSettings,
    login: Option<Login>,
    requests: Vec<Request>,
    peers: Peers,
    /// Lifetime of the allocation, and when it is refreshed.
    refresh: Option<Time>,
    is_over: bool,
    outputs: VecDeque<Output>,
    /// Transaction numbers nobody can guess: an HMAC of a counter.
    key: [u8; 32],
    counter: u64,
}

impl TurnClient {
    /// One that has said nothing so far. `key` is random and new for each.
    pub fn new(settings: ClientSettings, key: [u8; 32]) -> Self {
        Self {
            settings,
            login: None,
            requests: Vec::new(),
            peers: Peers::new(),
            refresh: None,
            is_over: false,
            outputs: VecDeque::new(),
            key,
            counter: 0,
        }
    }

    /// Asks for the relay. The server's first answer is to name its realm (RFC 8489, 9.2.3.1).
    pub fn start(&mut self, now: Time) {
        self.ask(now, Purpose::Allocate, 0);
    }

    /// Gives the relay back. What the server says of it is of no interest.
    pub fn close(&mut self, now: Time) {
        if self.refresh.take().is_some() {
            self.ask(now, Purpose::Close, 0);
        }
        self.is_over = true;
        self.requests.clear();
    }

    /// Sends a datagram to a peer from the relay; without a relay it is lost, without permission it waits for that.
    pub fn send(&mut self, now: Time, peer: SocketAddr, data: &[u8]) {
        if self.refresh.is_none() || self.is_over || peer.is_ipv6() != self.settings.is_v6 {
            return;
        }
        let (way, need) = self.peers.way(now, peer, data);
        match way {
            Way::Channel(channel) => {
                let bytes = write_channel(channel, data, self.settings.transport == Transport::Tcp);
                self.outputs.push_back(Output::Send(bytes));
            }
            Way::Indication => self.indicate(peer, data),
            Way::None => {}
        }
        if let Some(need) = need {
            self.ask(now, Purpose::Need(need), 0);
        }
    }

    /// A datagram or a frame of the server. What is none of this client's is left out.
    pub fn receive(&mut self, now: Time, bytes: &[u8]) {
        if bytes.first().is_some_and(|first| first >> 6 == 1) {
            let Some(ChannelData { channel, data }) = ChannelData::read(bytes) else { return };
            if let Some(peer) = self.peers.of_channel(channel) {
                self.tell(Event::Data { peer, bytes: data.to_vec() });
            }
            return;
        }
        let Ok(message) = Message::read(bytes) else { return };
        match (message.class, message.method) {
            (Class::Indication, Some(Method::Data)) => self.data(&message),
            (Class::Success | Class::Error, Some(_)) => self.response(now, &message),
            _ => {}
        }
    }

    /// Does what is due.
    pub fn advance(&mut self, now: Time) {
        if self.refresh.is_some_and(|at| at <= now) {
            // The answer says when next.
            self.refresh = Some(Time::MAX);
            self.ask(now, Purpose::Refresh, 0);
        }
        let mut silent = Vec::new();
        let outputs = &mut self.outputs;
        self.requests.retain_mut(|request| match request.exchange.advance(now) {
            Step::Wait => true,
            Step::Again => {
                outputs.push_back(Output::Send(request.exchange.bytes.clone()));
                true
            }
            Step::Silent => {
                silent.push(request.purpose);
                false
            }
        });
        for purpose in silent {
            self.refused(now, purpose, ClientError::Silent);
        }
    }

    /// When [`TurnClient::advance`] is to be called next.
    pub fn deadline(&self) -> Option<Time> {
        let requests = self.requests.iter().map(|request| request.exchange.next());
        requests.chain(self.refresh).min().filter(|_| !self.is_over)
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn indicate(&mut self, peer: SocketAddr, data: &[u8]) {
        let message = Writer::new(Method::Send, Class::Indication, self.transaction())
            .address(attr::XOR_PEER_ADDRESS, peer)
            .add(attr::DATA, data);
        self.outputs.push_back(Output::Send(message.plain()));
    }

    fn transaction(&mut self) -> [u8; 12] {
        self.counter += 1;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(&self.counter.to_be_bytes());
        let mut id = [0; 12];
        id.copy_from_slice(&mac.finalize().into_bytes()[..12]);
        id
    }

    fn ask(&mut self, now: Time, purpose: Purpose, stale: u8) {
        let id = self.transaction();
        let family = if self.settings.is_v6 { [2, 0, 0, 0] } else { [1, 0, 0, 0] };
        let writer = |method| Writer::new(method, Class::Request, id);
        let mut writer = match purpose {
            Purpose::Allocate => {
                let plain = writer(Method::Allocate).add(attr::REQUESTED_TRANSPORT, &UDP);
                // IPv4 is what there is without being asked for, also at servers that know of nothing else.
                if self.settings.is_v6 { plain.add(attr::REQUESTED_ADDRESS_FAMILY, &family) } else { plain }
            }
            Purpose::Refresh => writer(Method::Refresh),
            Purpose::Close => writer(Method::Refresh).number(attr::LIFETIME, 0),
            Purpose::Need(Need::Permission(ip)) => {
                writer(Method::CreatePermission).address(attr::XOR_PEER_ADDRESS, SocketAddr::new(ip, 0))
            }
            Purpose::Need(Need::Channel(channel, peer)) => writer(Method::ChannelBind)
                .number(attr::CHANNEL_NUMBER, u32::from(channel) << 16)
                .address(attr::XOR_PEER_ADDRESS, peer),
        };
        let login = self.login.as_ref().zip(self.settings.credentials.as_ref());
        if let Some((login, (name, _))) = login {
            writer = writer
                .add(attr::USERNAME, name.as_bytes())
                .add(attr::REALM, login.realm.as_bytes())
                .add(attr::NONCE, &login.nonce)
                .sign(&login.key);
        }
        let bytes = writer.finish();
        self.outputs.push_back(Output::Send(bytes.clone()));
        let exchange = Exchange::new(id, bytes, self.settings.transport, now);
        self.requests.push(Request { exchange, purpose, is_signed: login.is_some(), stale });
    }

    /// RFC 8656, 11.4: something that a peer has sent.
    fn data(&mut self, message: &Message<'_>) {
        let peers = message.addresses(attr::XOR_PEER_ADDRESS).unwrap_or_default();
        if let ([peer], Some(data)) = (&peers[..], message.get(attr::DATA)) {
            self.tell(Event::Data { peer: *peer, bytes: data.to_vec() });
        }
    }

    fn response(&mut self, now: Time, message: &Message<'_>) {
        let Some(at) = self.requests.iter().position(|one| one.exchange.id == message.transaction) else { return };
        let is_signed = self.requests[at].is_signed;
        // RFC 8489, 9.2.5: what has no signature of ours is as if nothing had come. Servers do not sign every error.
        let is_genuine = self.login.as_ref().is_some_and(|login| message.is_signed_with(&login.key));
        let forged = is_signed && !is_genuine && (message.class == Class::Success || has_signature(message));
        if forged {
            return;
        }
        let Request { purpose, is_signed, stale, .. } = self.requests.swap_remove(at);
        if message.class == Class::Success {
            return self.granted(now, purpose, message);
        }
        let code = error::error_code(message).map(|(code, _)| code);
        let again = (code == Some(401) && !is_signed) || (code == Some(438) && stale < MAX_STALE);
        match again.then(|| self.log_in(message)).flatten() {
            Some(()) => self.ask(now, purpose, if code == Some(438) { stale + 1 } else { stale }),
            None => self.refused(now, purpose, ClientError::of(message, is_signed)),
        }
    }

    /// Takes realm and nonce of a challenge; nothing without credentials, or without a nonce.
    fn log_in(&mut self, message: &Message<'_>) -> Option<()> {
        let (name, password) = self.settings.credentials.as_ref()?;
        let before = self.login.as_ref().map(|login| login.realm.clone());
        let realm = message.text(attr::REALM).map(str::to_owned).or(before)?;
        let nonce = message.get(attr::NONCE)?.to_vec();
        let key = long_term_key(name, &realm, password.reveal());
        self.login = Some(Login { realm, nonce, key });
        Some(())
    }

    fn granted(&mut self, now: Time, purpose: Purpose, message: &Message<'_>) {
        match purpose {
            Purpose::Allocate => {
                let first = |kind| message.addresses(kind).and_then(|all| all.first().copied());
                let Some(relayed) = first(attr::XOR_RELAYED_ADDRESS) else {
                    return self.fail(ClientError::Malformed("a relay without an address"));
                };
                self.refresh_after(now, message);
                self.tell(Event::Allocated { relayed, mapped: first(attr::XOR_MAPPED_ADDRESS) });
            }
            Purpose::Refresh => self.refresh_after(now, message),
            Purpose::Close => {}
            Purpose::Need(Need::Permission(ip)) => {
                for (peer, data) in self.peers.permitted(now, ip) {
                    self.indicate(peer, &data);
                }
            }
            Purpose::Need(Need::Channel(_, peer)) => self.peers.bound(now, peer, true),
        }
    }

    fn refresh_after(&mut self, now: Time, message: &Message<'_>) {
        let seconds = message.number(attr::LIFETIME).unwrap_or_default().max(MIN_LIFETIME);
        let lifetime = TimeDelta::from_secs(seconds.into());
        let half = TimeDelta::from_nanos(lifetime.nanos() / 2);
        self.refresh = Some(now + half.max(lifetime - AHEAD));
    }

    fn refused(&mut self, now: Time, purpose: Purpose, error: ClientError) {
        match purpose {
            Purpose::Allocate | Purpose::Refresh => self.fail(error),
            Purpose::Close => {}
            // The allocation is gone, whatever was asked for.
            Purpose::Need(_) if error == ClientError::Lost => self.fail(error),
            Purpose::Need(Need::Permission(peer)) => {
                self.peers.not_permitted(now, peer);
                self.tell(Event::Refused { peer, error });
            }
            // Indications do without.
            Purpose::Need(Need::Channel(_, peer)) => self.peers.bound(now, peer, false),
        }
    }

    fn fail(&mut self, error: ClientError) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.requests.clear();
            self.refresh = None;
            self.tell(Event::Failed(error));
        }
    }
}

fn has_signature(message: &Message<'_>) -> bool {
    message.get(attr::MESSAGE_INTEGRITY).is_some()
}
