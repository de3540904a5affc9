//! The client without sockets against the server without sockets, and against answers written by hand (RFC 8489, RFC 8656).

#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;

use millstream_core::{Time, TimeDelta};
use millstream_turn::client::{Binding, ClientError, ClientSettings, Event, Output as ClientOutput, Party, TurnClient};
use millstream_turn::credentials::Credentials;
use millstream_turn::server::{Client, Moment, Output, RelayId, Transport, TurnServer, TurnSettings};
use millstream_turn::stun::{Class, Message, Method, Writer, attr};
use proptest::prelude::*;

const RELAY: &str = "192.0.2.1:50000";
const PEER: &str = "203.0.113.9:7000";
const HERE: Client = Client {
    transport: Transport::Udp,
    address: SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::new(198, 51, 100, 1), 9)),
};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Which messages between the two get lost.
type Loss = Box<dyn FnMut() -> bool>;

struct World {
    server: TurnServer,
    client: TurnClient,
    here: Client,
    now: Time,
    loss: Loss,
    events: Vec<Event>,
    /// What went to the server.
    sent: Vec<Vec<u8>>,
    /// What came out of the relay.
    relayed: Vec<(SocketAddr, Vec<u8>)>,
    relay: Option<RelayId>,
}

fn settings() -> TurnSettings {
    TurnSettings {
        realm: "test".into(),
        max_lifetime: 3600,
        nonce_seconds: 600,
        user_quota: 1,
        total_quota: 3,
        allowed: Vec::new(),
        families: vec![[192, 0, 2, 1].into()],
    }
}

impl World {
    fn with(transport: Transport, login: Option<(&str, &str)>) -> Self {
        let users = [("alice".to_owned(), "pw".into())].into();
        let credentials = login.map(|(name, password)| (name.to_owned(), password.into()));
        Self {
            server: TurnServer::new(settings(), Credentials { users, secrets: Vec::new() }, [5; 32]),
            client: TurnClient::new(ClientSettings { transport, credentials, is_v6: false }, [6; 32]),
            here: Client { transport, ..HERE },
            now: Time::ZERO,
            loss: Box::new(|| false),
            events: Vec::new(),
            sent: Vec::new(),
            relayed: Vec::new(),
            relay: None,
        }
    }

    fn allocated(transport: Transport) -> Self {
        let mut world = Self::with(transport, Some(("alice", "pw")));
        world.client.start(world.now);
        world.turn();
        let mapped = Some(world.here.address);
        assert_eq!(world.take(), [Event::Allocated { relayed: address(RELAY), mapped }]);
        world
    }

    fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn at(&self) -> Moment {
        Moment { now: self.now, unix: 1_000_000 + self.now.nanos() / 1_000_000_000 }
    }

    /// Everything that goes on at this moment.
    fn turn(&mut self) {
        loop {
            if let Some(output) = self.client.poll_output() {
                match output {
                    ClientOutput::Send(bytes) => {
                        self.sent.push(bytes.clone());
                        if !(self.loss)() {
                            self.server.receive(self.at(), self.here, &bytes);
                        }
                    }
                    ClientOutput::Event(event) => self.events.push(event),
                }
            } else if let Some(output) = self.server.poll_output() {
                match output {
                    Output::Send(to, bytes) if to == self.here && !(self.loss)() => {
                        self.client.receive(self.now, &bytes);
                    }
                    Output::Bind(relay, _) => {
                        self.relay = Some(relay);
                        self.server.bound(self.at(), relay, Some(address(RELAY)), None);
                    }
                    Output::Relay(_, to, bytes) => self.relayed.push((to, bytes)),
                    _ => {}
                }
            } else {
                return;
            }
        }
    }

    /// Time passes, with everything that is due.
    fn pass(&mut self, time: TimeDelta) {
        let until = self.now + time;
        loop {
            let next = self.client.deadline().into_iter().chain(self.server.deadline()).min();
            self.now = next.filter(|next| *next < until).unwrap_or(until).max(self.now);
            self.client.advance(self.now);
            self.server.advance(self.at());
            self.turn();
            if self.now == until {
                return;
            }
        }
    }

    fn send(&mut self, to: &str, data: &[u8]) {
        self.client.send(self.now, address(to), data);
        self.turn();
    }

    fn peer_sends(&mut self, peer: &str, data: &[u8]) {
        self.server.relayed(self.at(), self.relay.unwrap(), address(peer), data);
        self.turn();
    }
}

fn data(peer: &str, bytes: &[u8]) -> Event {
    Event::Data { peer: address(peer), bytes: bytes.to_vec() }
}

#[test]
fn turn_1_client_logs_in_relays_and_gets_a_channel_for_who_is_talked_to() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = World::allocated(transport);
        world.send(PEER, b"first");
        assert_eq!(world.relayed, [(address(PEER), b"first".to_vec())], "it waited for the permission");
        world.peer_sends(PEER, b"back");
        assert_eq!(world.take(), [data(PEER, b"back")]);
        for number in 0..20 {
            world.send(PEER, &[number; 5]);
        }
        assert_eq!(world.relayed.len(), 21, "each once");
        // RFC 8656, 12.4: channel data begin with the channel, and are padded on a stream (12.5).
        let last = world.sent.last().unwrap();
        let padding = if transport == Transport::Tcp { 3 } else { 0 };
        assert_eq!((last[..4].to_vec(), last.len()), (vec![0x40, 0, 0, 5], 4 + 5 + padding));
        world.peer_sends(PEER, b"on the channel");
        assert_eq!(world.take(), [data(PEER, b"on the channel")]);
        world.client.close(world.now);
        world.turn();
        assert_eq!(world.server.allocations(), 0, "it was given back");
    }
}

#[test]
fn turn_1_client_keeps_relay_permission_and_channel_for_hours_with_nonces_that_grow_stale() {
    let mut world = World::allocated(Transport::Udp);
    for minute in 0..180_u8 {
        world.send(PEER, &[minute]);
        world.pass(TimeDelta::from_secs(60));
    }
    assert_eq!(world.relayed.len(), 180, "every one arrives");
    world.peer_sends(PEER, b"still");
    assert_eq!(world.take(), [data(PEER, b"still")]);
    // Nobody is sent to for an hour: no permission, but the relay is there.
    world.pass(TimeDelta::from_secs(3600));
    world.peer_sends(PEER, b"unasked");
    assert!(world.take().is_empty() && world.server.allocations() == 1);
    world.send(PEER, b"again");
    assert_eq!(world.relayed.last().unwrap().1, b"again");
}

#[test]
fn turn_1_client_says_whose_fault_it_is() {
    for (login, error, party) in [
        (None, ClientError::Wanted, Party::Settings),
        (Some(("alice", "wrong")), ClientError::Unauthorized, Party::Settings),
        (Some(("bob", "pw")), ClientError::Unauthorized, Party::Settings),
    ] {
        let mut world = World::with(Transport::Udp, login);
        world.client.start(world.now);
        world.turn();
        assert_eq!(world.take(), [Event::Failed(error.clone())]);
        assert_eq!((error.party(), world.client.deadline()), (party, None));
    }
    // The user has one already.
    let mut world = World::allocated(Transport::Udp);
    world.here.address.set_port(10);
    let credentials = Some(("alice".to_owned(), "pw".into()));
    world.client = TurnClient::new(ClientSettings { transport: Transport::Udp, credentials, is_v6: false }, [7; 32]);
    world.client.start(world.now);
    world.turn();
    assert_eq!(world.take(), [Event::Failed(ClientError::Quota)]);
    // Nobody is there.
    let mut world = World::with(Transport::Udp, None);
    world.loss = Box::new(|| true);
    world.client.start(world.now);
    world.pass(TimeDelta::from_millis(39_499));
    assert_eq!((world.sent.len(), world.take().len()), (7, 0));
    world.pass(TimeDelta::from_millis(1));
    assert_eq!(world.take(), [Event::Failed(ClientError::Silent)]);
}

#[test]
fn turn_1_client_is_told_of_peers_that_the_server_denies_and_leaves_them_alone() {
    let mut world = World::allocated(Transport::Udp);
    for _ in 0..5 {
        world.send("10.0.0.1:5", b"x");
    }
    let refused = world.take();
    let [Event::Refused { peer, error: ClientError::Refused { code: 403, .. } }] = &refused[..] else {
        panic!("once: {refused:?}")
    };
    assert_eq!(peer.to_string(), "10.0.0.1");
    assert!(world.relayed.is_empty());
    world.send(PEER, b"others are reached");
    assert_eq!(world.relayed.len(), 1);
    // What is of the other kind cannot be meant.
    let before = world.sent.len();
    world.send("[2001:db8::1]:5", b"x");
    assert_eq!(world.sent.len(), before);
}

#[test]
fn turn_1_client_hears_when_a_restarted_server_has_lost_the_relay() {
    let mut world = World::allocated(Transport::Udp);
    let users = [("alice".to_owned(), "pw".into())].into();
    world.server = TurnServer::new(settings(), Credentials { users, secrets: Vec::new() }, [9; 32]);
    world.send(PEER, b"x");
    assert_eq!(world.take(), [Event::Failed(ClientError::Lost)], "438 with another nonce, then 437");
}

#[test]
fn turn_1_client_takes_no_answer_that_the_server_has_not_signed() {
    let mut world = World::with(Transport::Udp, Some(("alice", "pw")));
    world.client.start(world.now);
    let Some(ClientOutput::Send(asked)) = world.client.poll_output() else { panic!("it asks") };
    let id = Message::read(&asked).unwrap().transaction;
    let challenge = Writer::new(Method::Allocate, Class::Error, id).error(401, "Unauthorized");
    world.client.receive(world.now, &challenge.add(attr::REALM, b"test").add(attr::NONCE, b"n").finish());
    let Some(ClientOutput::Send(asked)) = world.client.poll_output() else { panic!("it asks again, signed") };
    let message = Message::read(&asked).unwrap();
    // RFC 8489, 9.2.2: the key is MD5 of name, realm and password.
    assert!(message.is_signed_with(&millstream_turn::credentials::long_term_key("alice", "test", "pw")));
    let answer = Writer::new(Method::Allocate, Class::Success, message.transaction);
    let answer = answer.address(attr::XOR_RELAYED_ADDRESS, address("198.51.100.66:6")).number(attr::LIFETIME, 600);
    for forged in [answer.clone().finish(), answer.sign(b"another key").finish()] {
        world.client.receive(world.now, &forged);
        assert_eq!(world.client.poll_output(), None);
    }
}

#[test]
fn turn_1_binding_reads_addresses_of_old_and_new_servers() {
    let binding = Binding::new([3; 12], 0, Time::ZERO);
    let request = Message::read(binding.bytes()).unwrap();
    assert_eq!((request.method, request.class), (Some(Method::Binding), Class::Request));
    let answer = || Writer::new(Method::Binding, Class::Success, [3; 12]);
    let new =
        answer().address(attr::XOR_MAPPED_ADDRESS, address(PEER)).plain_address(attr::OTHER_ADDRESS, address(RELAY));
    let seen = binding.receive(&new.finish()).unwrap().unwrap();
    assert_eq!((seen.mapped, seen.other), (address(PEER), Some(address(RELAY))));
    let old = answer().plain_address(attr::MAPPED_ADDRESS, address(PEER));
    assert_eq!(binding.receive(&old.plain()).unwrap().unwrap().mapped, address(PEER));
    assert!(matches!(binding.receive(&answer().finish()), Some(Err(ClientError::Malformed(_)))));
    let refused = Writer::new(Method::Binding, Class::Error, [3; 12]).error(420, "Unknown").finish();
    assert!(matches!(binding.receive(&refused), Some(Err(ClientError::Refused { code: 420, .. }))));
    let other = Writer::new(Method::Binding, Class::Success, [4; 12]).address(attr::XOR_MAPPED_ADDRESS, address(PEER));
    assert_eq!(binding.receive(&other.finish()), None, "that of another request");
}

proptest! {
    /// Whatever gets lost: there is a relay or the server was silent, what is sent arrives at most once and unchanged, and nothing goes on for ever.
    #[test]
    fn turn_1_client_survives_any_loss(lost in prop::collection::vec(any::<bool>(), 0..64), sends in prop::collection::vec(0..4_u16, 0..40)) {
        let mut world = World::with(Transport::Udp, Some(("alice", "pw")));
        let mut lost = lost.into_iter();
        world.loss = Box::new(move || lost.next().unwrap_or(false));
        world.client.start(world.now);
        world.turn();
        for (number, peer) in sends.iter().enumerate() {
            world.send(&format!("203.0.113.9:{}", 7000 + peer), &(number as u32).to_be_bytes());
            world.pass(TimeDelta::from_millis(700));
        }
        // The challenge and the answer may take 39.5 s each.
        world.pass(TimeDelta::from_secs(120));
        let there = world.events.iter().any(|event| matches!(event, Event::Allocated { .. }));
        let failed = world.events.iter().any(|event| matches!(event, Event::Failed(_)));
        prop_assert!(there || failed);
        let mut numbers: Vec<_> = world.relayed.iter().map(|(_, bytes)| bytes.clone()).collect();
        let all = numbers.len();
        numbers.sort();
        numbers.dedup();
        prop_assert_eq!(numbers.len(), all);
        for (to, bytes) in &world.relayed {
            let number = u32::from_be_bytes(bytes[..].try_into().unwrap()) as usize;
            prop_assert_eq!(to.port(), 7000 + sends[number]);
        }
    }

    #[test]
    fn turn_1_client_never_panics(inputs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)) {
        let mut world = World::allocated(Transport::Udp);
        world.send(PEER, b"x");
        for bytes in inputs {
            world.client.receive(world.now, &bytes);
            world.turn();
        }
    }
}
