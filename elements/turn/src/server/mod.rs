//! The server without sockets (RFC 8656): datagrams, frames and time go in; datagrams, frames, sockets to open and the next deadline come out.
//!
//! | module | what |
//! | --- | --- |
//! | `settings` | limits |
//! | `allocation` | one client's relay: permissions, channels, lifetime |
//! | `requests` | allocate, refresh, permissions, channels |
//! | `relay` | data both ways |
//! | `discovery` | answers from another address and port |

mod allocation;
mod discovery;
mod relay;
mod requests;
mod settings;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

use millstream_core::Time;

use self::allocation::{Allocation, Pending, Reserved};
pub use self::discovery::Discovery;
pub use self::settings::TurnSettings;
use crate::credentials::{Credentials, Nonces, long_term_key};
use crate::stun::{Class, Message, Method, Writer, attr};

/// How a client reaches the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
}

/// A client: one allocation at most.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Client {
    /// How it is reached.
    pub transport: Transport,
    /// Where it is.
    pub address: SocketAddr,
}

/// A socket on which the server relays, or may soon.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RelayId(pub u64);

/// When something happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// By the clock of the runtime.
    pub now: Time,
    /// Seconds since 1970.
    pub unix: i64,
}

/// What a relay's address is to be like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Of IPv6.
    pub is_v6: bool,
    /// Its port is even.
    pub is_even: bool,
    /// The next port is kept under this number.
    pub next: Option<RelayId>,
}

/// What the server wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send this to a client: a message, or channel data (padded on a stream).
    Send(Client, Vec<u8>),
    /// Open a socket, then call [`TurnServer::bound`].
    Bind(RelayId, Wanted),
    /// Send a datagram from a relay's socket.
    Relay(RelayId, SocketAddr, Vec<u8>),
    /// Close a socket.
    Unbind(RelayId),
}

/// All of it.
#[derive(Debug)]
pub struct TurnServer {
    settings: TurnSettings,
    credentials: Credentials,
    nonces: Nonces,
    allocations: HashMap<Client, Allocation>,
    relays: HashMap<RelayId, Client>,
    /// Relays by the address that peers see.
    addresses: HashMap<SocketAddr, Client>,
    pending: HashMap<RelayId, Pending>,
    reserved: HashMap<[u8; 8], Reserved>,
    users: HashMap<String, usize>,
    deadlines: BTreeSet<(Time, RelayId)>,
    outputs: VecDeque<Output>,
    next: u64,
    /// Makes reservation tokens.
    key: [u8; 32],
}

/// Why a request is refused.
struct Refusal(u16, &'static str);

/// Somebody who has proved who it is.
struct User {
    name: String,
    key: [u8; 16],
}

impl TurnServer {
    /// A server without allocations. `key` signs nonces and is new for each.
    pub fn new(settings: TurnSettings, credentials: Credentials, key: [u8; 32]) -> Self {
        let nonces = Nonces::new(key, settings.nonce_seconds);
        Self {
            settings,
            credentials,
            nonces,
            allocations: HashMap::new(),
            relays: HashMap::new(),
            addresses: HashMap::new(),
            pending: HashMap::new(),
            reserved: HashMap::new(),
            users: HashMap::new(),
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
            next: 0,
            key,
        }
    }

    /// A client has sent a datagram or a frame. What is neither a message nor channel data is left out: nobody answers noise.
    pub fn receive(&mut self, at: Moment, client: Client, bytes: &[u8]) {
        if bytes.first().is_some_and(|first| first >> 6 == 1) {
            return self.channel_data(at, client, bytes);
        }
        let Ok(message) = Message::read(bytes) else { return };
        match (message.class, message.method) {
            (Class::Request, Some(Method::Binding)) => self.binding(client, &message),
            (Class::Request, Some(method)) => self.request(at, client, method, &message),
            (Class::Indication, Some(Method::Send)) => self.send(at, client, &message),
            // Indications to keep a mapping alive, answers to what nobody asked.
            _ => {}
        }
    }

    /// A client's stream is over, and so is its allocation.
    pub fn gone(&mut self, client: Client) {
        self.release(client);
        let waiting = self.pending.iter().find(|(_, pending)| pending.client == client).map(|(relay, _)| *relay);
        if let Some(pending) = waiting.and_then(|relay| self.pending.remove(&relay)) {
            self.leave(&pending.user);
        }
    }

    /// Whether a client has an allocation.
    pub fn has_allocation(&self, client: Client) -> bool {
        self.allocations.contains_key(&client)
    }

    /// Allocations at the moment.
    pub fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// Ends what has expired.
    pub fn advance(&mut self, at: Moment) {
        while let Some((due, relay)) = self.deadlines.first().copied().filter(|(due, _)| *due <= at.now) {
            self.deadlines.pop_first();
            let expired = self.relays.get(&relay).copied();
            if let Some(client) = expired.filter(|client| self.allocations[client].expires == due) {
                self.release(client);
            }
            self.give_up_reservation(relay, due);
        }
    }

    /// When [`TurnServer::advance`] is to be called next.
    pub fn deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// RFC 8489, 6.3.1 with XOR-MAPPED-ADDRESS: needs no credentials.
    fn binding(&mut self, client: Client, message: &Message<'_>) {
        let unknown = message.unknown(&[attr::USERNAME, attr::MESSAGE_INTEGRITY, attr::REALM, attr::NONCE]);
        let writer = if unknown.is_empty() {
            Writer::new(Method::Binding, Class::Success, message.transaction)
                .address(attr::XOR_MAPPED_ADDRESS, client.address)
        } else {
            let writer = Writer::new(Method::Binding, Class::Error, message.transaction);
            list_unknown(writer.error(420, "Unknown Attribute"), &unknown)
        };
        self.outputs.push_back(Output::Send(client, writer.finish()));
    }

    fn request(&mut self, at: Moment, client: Client, method: Method, message: &Message<'_>) {
        let user = match self.authenticate(at, client, message) {
            Ok(user) => user,
            Err(refusal) => return self.challenge(at, client, method, message, &refusal),
        };
        let unknown = message.unknown(&requests::known(method));
        if !unknown.is_empty() {
            let writer = Writer::new(method, Class::Error, message.transaction).error(420, "Unknown Attribute");
            return self.answer(client, list_unknown(writer, &unknown), &user);
        }
        let owner = self.allocations.get(&client).map(|allocation| &allocation.user);
        let done = match method {
            _ if owner.is_some_and(|owner| *owner != user.name) => Err(Refusal(441, "Wrong Credentials")),
            Method::Allocate => self.allocate(at, client, message, &user),
            Method::Refresh => self.refresh(at, client, message, &user),
            Method::CreatePermission => self.create_permission(at, client, message, &user),
            Method::ChannelBind => self.bind_channel(at, client, message, &user),
            // As requests there are none of these.
            Method::Binding | Method::Send | Method::Data => Err(Refusal(400, "Bad Request")),
        };
        if let Err(Refusal(code, reason)) = done {
            let writer = Writer::new(method, Class::Error, message.transaction).error(code, reason);
            self.answer(client, writer, &user);
        }
    }

    /// RFC 8489, 9.2.4.
    fn authenticate(&self, at: Moment, client: Client, message: &Message<'_>) -> Result<User, Refusal> {
        if message.get(attr::MESSAGE_INTEGRITY).is_none() {
            return Err(Refusal(401, "Unauthorized"));
        }
        let fields = [attr::USERNAME, attr::REALM, attr::NONCE].map(|kind| message.text(kind));
        let [Some(name), Some(realm), Some(nonce)] = fields else { return Err(Refusal(400, "Bad Request")) };
        if !self.nonces.is_good(nonce, &tell_apart(client), at.unix) {
            return Err(Refusal(438, "Stale Nonce"));
        }
        let passwords = self.credentials.passwords(name, at.unix);
        let mut keys = passwords.iter().map(|password| long_term_key(name, &self.settings.realm, password));
        match keys.find(|key| message.is_signed_with(key)).filter(|_| realm == self.settings.realm) {
            Some(key) => Ok(User { name: name.to_owned(), key }),
            None => Err(Refusal(401, "Unauthorized")),
        }
    }

    /// A refusal of somebody who has not proved who it is: not signed, with what a proof needs.
    fn challenge(&mut self, at: Moment, client: Client, method: Method, message: &Message<'_>, refusal: &Refusal) {
        let mut writer = Writer::new(method, Class::Error, message.transaction).error(refusal.0, refusal.1);
        if refusal.0 != 400 {
            let nonce = self.nonces.make(&tell_apart(client), at.unix);
            writer = writer.add(attr::REALM, self.settings.realm.as_bytes()).add(attr::NONCE, nonce.as_bytes());
        }
        self.outputs.push_back(Output::Send(client, writer.finish()));
    }

    fn answer(&mut self, client: Client, writer: Writer, user: &User) {
        self.outputs.push_back(Output::Send(client, writer.sign(&user.key).finish()));
    }

    fn new_relay(&mut self) -> RelayId {
        self.next += 1;
        RelayId(self.next)
    }

    /// An allocation ends: its socket closes, its user may have another.
    fn release(&mut self, client: Client) {
        let Some(allocation) = self.allocations.remove(&client) else { return };
        self.relays.remove(&allocation.relay);
        self.addresses.remove(&allocation.address);
        self.deadlines.remove(&(allocation.expires, allocation.relay));
        self.leave(&allocation.user);
        self.outputs.push_back(Output::Unbind(allocation.relay));
    }

    /// A user has one allocation less.
    fn leave(&mut self, user: &str) {
        if let Some(count) = self.users.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(user);
            }
        }
    }
}

/// What tells a client from others in its nonces.
fn tell_apart(client: Client) -> String {
    format!("{:?} {}", client.transport, client.address)
}

/// UNKNOWN-ATTRIBUTES (RFC 8489, 14.13).
fn list_unknown(writer: Writer, unknown: &[u16]) -> Writer {
    let types: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    writer.add(attr::UNKNOWN_ATTRIBUTES, &types)
}
