//! The server without sockets, against messages written by hand (RFC 8656).

#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;

use millstream_core::{Secret, Time, TimeDelta};
use millstream_server::relays::password_of;
use millstream_turn::credentials::{Credentials, long_term_key};
use millstream_turn::peers::Allowed;
use millstream_turn::server::{Client, Moment, Output, RelayId, Transport, TurnServer, TurnSettings};
use millstream_turn::stun::{ChannelData, Class, Message, Method, Writer, attr, write_channel};

const REALM: &str = "test";
const PEER: &str = "203.0.113.9:7000";

struct World {
    server: TurnServer,
    now: Time,
    nonce: Vec<u8>,
    user: String,
    password: String,
    transactions: u8,
    relays: Vec<RelayId>,
    outputs: Vec<Output>,
    refuse_sockets: bool,
}

fn client(n: u16) -> Client {
    Client { transport: Transport::Udp, address: SocketAddr::from(([198, 51, 100, 1], n)) }
}

fn settings() -> TurnSettings {
    TurnSettings {
        realm: REALM.into(),
        max_lifetime: 3600,
        nonce_seconds: 600,
        user_quota: 2,
        total_quota: 3,
        allowed: Vec::new(),
        families: vec![[192, 0, 2, 1].into()],
    }
}

/// An answer, taken apart.
#[derive(Debug)]
struct Answer {
    class: Class,
    code: u16,
    bytes: Vec<u8>,
}

impl Answer {
    fn get<T>(&self, read: impl FnOnce(&Message<'_>) -> T) -> T {
        read(&Message::read(&self.bytes).unwrap())
    }
}

impl World {
    fn new(settings: TurnSettings) -> Self {
        let users = [("alice", "pw"), ("bob", "pw"), ("carol", "pw")];
        let users = users.map(|(name, password)| (name.to_owned(), Secret::from(password)));
        let credentials = Credentials { users: users.into(), secrets: vec!["north".into()] };
        Self {
            server: TurnServer::new(settings, credentials, [5; 32]),
            now: Time::ZERO,
            nonce: Vec::new(),
            user: "alice".into(),
            password: "pw".into(),
            transactions: 0,
            relays: Vec::new(),
            outputs: Vec::new(),
            refuse_sockets: false,
        }
    }

    /// With an allocation of client 1.
    fn allocated() -> Self {
        let mut world = Self::new(settings());
        assert_eq!(world.allocate(1).class, Class::Success);
        world
    }

    fn at(&self) -> Moment {
        Moment { now: self.now, unix: 1_000_000 + self.now.nanos() / 1_000_000_000 }
    }

    fn pass(&mut self, seconds: i64) {
        self.now += TimeDelta::from_secs(seconds);
        self.server.advance(self.at());
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.server.poll_output() {
            if let Output::Bind(relay, wanted) = output {
                self.relays.push(relay);
                let port = 50_000 + relay.0 as u16 * 2;
                let address = (!self.refuse_sockets).then(|| ([192, 0, 2, 1], port).into());
                let next = wanted.next.map(|_| ([192, 0, 2, 1], port + 1).into());
                self.server.bound(self.at(), relay, address, next);
            } else {
                self.outputs.push(output);
            }
        }
    }

    fn raw(&mut self, from: Client, bytes: &[u8]) -> Vec<Output> {
        self.outputs.clear();
        self.server.receive(self.at(), from, bytes);
        self.drain();
        self.outputs.clone()
    }

    /// Sends a request as it is.
    fn exchange(&mut self, from: Client, bytes: &[u8]) -> Answer {
        let outputs = self.raw(from, bytes);
        let sent = outputs.iter().find_map(|output| match output {
            Output::Send(to, bytes) if *to == from => Some(bytes.clone()),
            _ => None,
        });
        let bytes = sent.unwrap_or_else(|| panic!("no answer but {outputs:?}"));
        let message = Message::read(&bytes).unwrap();
        let code = message.get(attr::ERROR_CODE).map_or(0, |value| u16::from(value[2]) * 100 + u16::from(value[3]));
        Answer { class: message.class, code, bytes: bytes.clone() }
    }

    fn writer(&mut self, method: Method) -> Writer {
        self.transactions += 1;
        Writer::new(method, Class::Request, [self.transactions; 12])
    }

    fn sign(&self, writer: Writer) -> Vec<u8> {
        let key = long_term_key(&self.user, REALM, &self.password);
        let writer = writer.add(attr::USERNAME, self.user.as_bytes()).add(attr::REALM, REALM.as_bytes());
        writer.add(attr::NONCE, &self.nonce).sign(&key).finish()
    }

    /// Sends a request with credentials; asks for a nonce first.
    fn request(&mut self, n: u16, method: Method, with: impl Fn(Writer) -> Writer) -> Answer {
        let bare = self.writer(method).finish();
        let challenge = self.exchange(client(n), &bare);
        assert_eq!(challenge.code, 401);
        self.nonce = challenge.get(|message| message.get(attr::NONCE).unwrap().to_vec());
        let writer = with(self.writer(method));
        let signed = self.sign(writer);
        self.exchange(client(n), &signed)
    }

    fn allocate(&mut self, n: u16) -> Answer {
        self.request(n, Method::Allocate, |writer| writer.number(attr::REQUESTED_TRANSPORT, 17 << 24))
    }

    fn permit(&mut self, n: u16, peer: &str) -> Answer {
        self.request(n, Method::CreatePermission, |writer| {
            writer.address(attr::XOR_PEER_ADDRESS, peer.parse().unwrap())
        })
    }

    fn bind_channel(&mut self, n: u16, channel: u16, peer: &str) -> Answer {
        self.request(n, Method::ChannelBind, |writer| {
            let writer = writer.number(attr::CHANNEL_NUMBER, u32::from(channel) << 16);
            writer.address(attr::XOR_PEER_ADDRESS, peer.parse().unwrap())
        })
    }

    fn refresh(&mut self, n: u16, lifetime: u32) -> Answer {
        self.request(n, Method::Refresh, |writer| writer.number(attr::LIFETIME, lifetime))
    }

    /// Data of a client to a peer, by an indication.
    fn send(&mut self, n: u16, peer: &str) -> Vec<Output> {
        let writer = Writer::new(Method::Send, Class::Indication, [0; 12]);
        let bytes = writer.address(attr::XOR_PEER_ADDRESS, peer.parse().unwrap()).add(attr::DATA, b"data").plain();
        self.raw(client(n), &bytes)
    }

    /// Data of a peer to the relay of the first allocation.
    fn relayed(&mut self, peer: &str) -> Vec<Output> {
        self.outputs.clear();
        self.server.relayed(self.at(), self.relays[0], peer.parse().unwrap(), b"answer");
        self.drain();
        self.outputs.clone()
    }
}

#[test]
fn turn_1_binding_tells_a_client_its_address() {
    let mut world = World::new(settings());
    let bytes = world.writer(Method::Binding).finish();
    let answer = world.exchange(client(4), &bytes);
    let mapped = answer.get(|message| message.addresses(attr::XOR_MAPPED_ADDRESS).unwrap());
    assert_eq!((answer.class, &mapped[..]), (Class::Success, &[client(4).address][..]));
    let odd = world.writer(Method::Binding).add(0x7777, b"").finish();
    let answer = world.exchange(client(4), &odd);
    assert_eq!(
        (answer.code, answer.get(|m| m.get(attr::UNKNOWN_ATTRIBUTES).unwrap().to_vec())),
        (420, vec![0x77, 0x77])
    );
    for noise in [&b""[..], b"\x00", b"GET / HTTP/1.1\r\n\r\n", &[0; 20], &[0x40; 3]] {
        assert!(world.raw(client(4), noise).is_empty(), "{noise:?}");
    }
}

#[test]
fn turn_1_long_term_credentials_and_stale_nonces() {
    let mut world = World::new(settings());
    assert_eq!(world.allocate(1).class, Class::Success);
    let transport = |writer: Writer| writer.number(attr::REQUESTED_TRANSPORT, 17 << 24);
    for (user, password) in [("alice", "wrong"), ("nobody", "pw"), ("alice", "")] {
        (world.user, world.password) = (user.into(), password.into());
        assert_eq!(world.request(2, Method::Allocate, transport).code, 401, "{user}");
    }
    (world.user, world.password) = ("alice".into(), "pw".into());
    // A nonce is for its client and for a time.
    let stolen = transport(world.writer(Method::Allocate));
    let stolen = world.sign(stolen);
    assert_eq!(world.exchange(client(3), &stolen).code, 438);
    world.pass(601);
    let stale = world.writer(Method::Refresh);
    let stale = world.sign(stale);
    let answer = world.exchange(client(2), &stale);
    assert_eq!(answer.code, 438);
    assert!(answer.get(|message| message.get(attr::NONCE).is_some() && message.get(attr::REALM).is_some()));
    let half = world.writer(Method::Allocate).add(attr::USERNAME, b"alice").sign(b"k").finish();
    assert_eq!(world.exchange(client(2), &half).code, 400);
}

#[test]
fn turn_1_names_of_a_time_open_until_then_and_for_their_own_allocation_only() {
    let mut world = World::new(settings());
    world.user = "1000100:alice".into();
    world.password = password_of(&"north".into(), &world.user);
    assert_eq!(world.allocate(1).class, Class::Success);
    world.user = "1000200:mallory".into();
    world.password = password_of(&"north".into(), &world.user);
    assert_eq!(world.refresh(1, 600).code, 441);
    world.pass(150);
    world.user = "1000100:alice".into();
    world.password = password_of(&"north".into(), &world.user);
    assert_eq!(world.refresh(1, 600).code, 401, "it is over");
}

#[test]
fn turn_1_an_allocation_has_an_address_a_lifetime_and_an_end() {
    let mut world = World::new(settings());
    let answer = world.allocate(1);
    answer.get(|message| {
        assert_eq!(message.number(attr::LIFETIME), Some(600));
        assert_eq!(message.addresses(attr::XOR_RELAYED_ADDRESS).unwrap(), ["192.0.2.1:50002".parse().unwrap()]);
        assert_eq!(message.addresses(attr::XOR_MAPPED_ADDRESS).unwrap(), [client(1).address]);
        assert!(message.is_signed_with(&long_term_key("alice", REALM, "pw")));
    });
    // The same request again has the same answer; another one does not fit.
    let last = [world.transactions; 12];
    let again =
        world.sign(Writer::new(Method::Allocate, Class::Request, last).number(attr::REQUESTED_TRANSPORT, 17 << 24));
    assert_eq!(world.exchange(client(1), &again).bytes, answer.bytes);
    assert_eq!(world.allocate(1).code, 437);
    for (asked, given) in [(0x7FFF_FFFF, 3600), (700, 700), (1, 600)] {
        assert_eq!(world.refresh(1, asked).get(|message| message.number(attr::LIFETIME)), Some(given));
    }
    world.pass(599);
    assert_eq!(world.server.allocations(), 1);
    world.pass(1);
    assert_eq!((world.server.allocations(), world.server.deadline()), (0, None));
    assert!(world.outputs.contains(&Output::Unbind(world.relays[0])));
    assert_eq!(world.refresh(1, 600).code, 437);
    assert_eq!(world.allocate(1).class, Class::Success);
    assert_eq!(world.refresh(1, 0).get(|message| message.number(attr::LIFETIME)), Some(0));
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn turn_1_what_is_not_served_is_refused_by_its_code() {
    let mut world = World::new(settings());
    let number = |kind: u16, value: u32| {
        move |writer: Writer| writer.number(attr::REQUESTED_TRANSPORT, 17 << 24).number(kind, value)
    };
    assert_eq!(world.request(1, Method::Allocate, |writer| writer).code, 400);
    assert_eq!(
        world.request(1, Method::Allocate, |writer| writer.number(attr::REQUESTED_TRANSPORT, 6 << 24)).code,
        442
    );
    assert_eq!(world.request(1, Method::Allocate, number(attr::REQUESTED_ADDRESS_FAMILY, 2 << 24)).code, 440);
    assert_eq!(world.request(1, Method::Allocate, number(attr::REQUESTED_ADDRESS_FAMILY, 9 << 24)).code, 440);
    assert_eq!(world.request(1, Method::Allocate, number(attr::DONT_FRAGMENT, 0)).code, 420);
    assert_eq!(
        world.request(1, Method::Allocate, |w| number(attr::RESERVATION_TOKEN, 0)(w).add(attr::EVEN_PORT, &[0])).code,
        400
    );
    assert_eq!(
        world
            .request(1, Method::Allocate, |w| number(attr::LIFETIME, 600)(w).add(attr::RESERVATION_TOKEN, &[0; 8]))
            .code,
        508
    );
    assert_eq!(world.permit(1, PEER).code, 437);
    world.refuse_sockets = true;
    assert_eq!(world.allocate(1).code, 508);
    world.refuse_sockets = false;
    assert_eq!(world.allocate(1).class, Class::Success);
    assert_eq!(world.permit(1, "[2001:db8::1]:1").code, 443);
    assert_eq!(world.request(1, Method::CreatePermission, |writer| writer).code, 400);
    for (channel, code) in [(0x3FFF, 400), (0x8000, 400), (0x4000, 0), (0x4FFF, 400)] {
        assert_eq!(world.bind_channel(1, channel, PEER).code, code, "{channel:x}");
    }
    assert_eq!(world.bind_channel(1, 0x4000, "203.0.113.9:7001").code, 400, "it is another peer's");
}

#[test]
fn turn_1_users_and_the_server_have_quotas() {
    let mut world = World::new(settings());
    assert_eq!([1, 2, 3].map(|n| world.allocate(n).code), [0, 0, 486]);
    world.user = "bob".into();
    assert_eq!([4, 5].map(|n| world.allocate(n).code), [0, 508]);
    world.user = "alice".into();
    world.refresh(1, 0);
    assert_eq!(world.allocate(3).code, 0);
    // A client whose stream has gone gives its place back.
    world.server.gone(client(3));
    assert_eq!(world.allocate(1).code, 0);
}

#[test]
fn turn_1_a_peer_needs_a_permission_for_its_address_which_ends() {
    let mut world = World::allocated();
    assert!(world.send(1, PEER).is_empty() && world.relayed(PEER).is_empty());
    assert_eq!(world.permit(1, "203.0.113.9:1").class, Class::Success);
    let sent = world.send(1, PEER);
    assert_eq!(sent, [Output::Relay(world.relays[0], PEER.parse().unwrap(), b"data".to_vec())]);
    let [Output::Send(to, bytes)] = &world.relayed("203.0.113.9:4242")[..] else { panic!("any port of it") };
    let message = Message::read(bytes).unwrap();
    assert_eq!((*to, message.class, message.method), (client(1), Class::Indication, Some(Method::Data)));
    assert_eq!(message.get(attr::DATA), Some(&b"answer"[..]));
    assert_eq!(message.addresses(attr::XOR_PEER_ADDRESS).unwrap(), ["203.0.113.9:4242".parse().unwrap()]);
    assert!(world.relayed("203.0.113.10:4242").is_empty());
    world.pass(299);
    assert_eq!(world.relayed(PEER).len(), 1);
    world.pass(1);
    assert!(world.relayed(PEER).is_empty() && world.send(1, PEER).is_empty());
}

#[test]
fn turn_1_channels_carry_data_both_ways_and_end() {
    let mut world = World::allocated();
    assert_eq!(world.bind_channel(1, 0x4001, PEER).class, Class::Success);
    let data = write_channel(0x4001, b"data", false);
    assert_eq!(world.raw(client(1), &data), [Output::Relay(world.relays[0], PEER.parse().unwrap(), b"data".to_vec())]);
    let [Output::Send(_, bytes)] = &world.relayed(PEER)[..] else { panic!("channel data") };
    assert_eq!(ChannelData::read(bytes), Some(ChannelData { channel: 0x4001, data: b"answer" }));
    assert!(world.raw(client(1), &write_channel(0x4002, b"data", false)).is_empty());
    assert!(world.raw(client(2), &data).is_empty(), "somebody else's");
    // The permission is shorter than the channel.
    world.pass(301);
    assert!(world.raw(client(1), &data).is_empty());
    assert_eq!(world.bind_channel(1, 0x4001, PEER).class, Class::Success);
    assert_eq!(world.raw(client(1), &data).len(), 1);
}

#[test]
fn turn_1_even_ports_and_the_next_one_kept() {
    let mut world = World::new(settings());
    let even = |bits: u8| {
        move |writer: Writer| writer.number(attr::REQUESTED_TRANSPORT, 17 << 24).add(attr::EVEN_PORT, &[bits])
    };
    let answer = world.request(1, Method::Allocate, even(0x80));
    let token = answer.get(|message| message.get(attr::RESERVATION_TOKEN).unwrap().to_vec());
    let first = answer.get(|message| message.addresses(attr::XOR_RELAYED_ADDRESS).unwrap()[0]);
    let with_token = |token: Vec<u8>| {
        move |writer: Writer| writer.number(attr::REQUESTED_TRANSPORT, 17 << 24).add(attr::RESERVATION_TOKEN, &token)
    };
    world.user = "bob".into();
    assert_eq!(world.request(2, Method::Allocate, with_token(token.clone())).code, 508, "it is kept for alice");
    world.user = "alice".into();
    let second = world
        .request(2, Method::Allocate, with_token(token))
        .get(|message| message.addresses(attr::XOR_RELAYED_ADDRESS).unwrap()[0]);
    assert_eq!((first.port() % 2, second.port()), (0, first.port() + 1));
    // One that nobody comes for is given up.
    world.user = "carol".into();
    let answer = world.request(3, Method::Allocate, even(0x80));
    let token = answer.get(|message| message.get(attr::RESERVATION_TOKEN).unwrap().to_vec());
    world.pass(30);
    assert!(world.outputs.iter().any(|output| matches!(output, Output::Unbind(_))));
    world.refresh(1, 0);
    assert_eq!(world.request(4, Method::Allocate, with_token(token)).code, 508);
}

#[test]
fn turn_1_nothing_but_public_addresses_is_relayed_to() {
    let inside = [
        "127.0.0.1",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ];
    let mut world = World::allocated();
    for peer in inside {
        let peer = format!("{peer}:80");
        assert_eq!(world.permit(1, &peer).code, 403, "{peer}");
        assert_eq!(world.bind_channel(1, 0x4000, &peer).code, 403, "{peer}");
        assert!(world.send(1, &peer).is_empty(), "{peer}");
    }
    let v6 = TurnSettings { families: vec!["2001:db8::1".parse().unwrap()], ..settings() };
    for peer in [
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "ff02::1",
    ] {
        let mut world = World::new(v6.clone());
        world.relays.clear();
        let answer = world.request(1, Method::Allocate, |writer| {
            writer.number(attr::REQUESTED_TRANSPORT, 17 << 24).number(attr::REQUESTED_ADDRESS_FAMILY, 2 << 24)
        });
        // The socket of the test is one of IPv4, so the family does not fit either: both refuse.
        assert_eq!(answer.class, Class::Success);
        assert!([403, 443].contains(&world.permit(1, &format!("[{peer}]:80")).code), "{peer}");
        assert!(!millstream_turn::peers::may_reach(peer.parse().unwrap(), &[]), "{peer}");
    }
    let mut world = World::new(TurnSettings { allowed: vec![Allowed::Loopback], ..settings() });
    world.allocate(1);
    assert_eq!(world.permit(1, "127.0.0.1:80").class, Class::Success);
    assert_eq!(world.permit(1, "10.0.0.1:80").code, 403);
}

#[test]
fn turn_1_relays_of_one_server_reach_each_other_and_no_other_port_there() {
    // On an address that is not to be reached.
    let mut world = World::new(TurnSettings { families: vec![[127, 0, 0, 1].into()], ..settings() });
    let relayed = |answer: &Answer| answer.get(|message| message.addresses(attr::XOR_RELAYED_ADDRESS).unwrap()[0]);
    let addresses = [1, 2].map(|n| {
        let bare = world.writer(Method::Allocate).finish();
        let challenge = world.exchange(client(n), &bare);
        world.nonce = challenge.get(|message| message.get(attr::NONCE).unwrap().to_vec());
        let writer = world.writer(Method::Allocate).number(attr::REQUESTED_TRANSPORT, 17 << 24);
        let signed = world.sign(writer);
        world.server.receive(world.at(), client(n), &signed);
        let Some(Output::Bind(relay, _)) = world.server.poll_output() else { panic!("a socket") };
        world.server.bound(world.at(), relay, Some(([127, 0, 0, 1], 50_000 + n).into()), None);
        let Some(Output::Send(_, bytes)) = world.server.poll_output() else { panic!("an answer") };
        relayed(&Answer { class: Class::Success, code: 0, bytes })
    });
    let [a, b] = addresses.map(|address| address.to_string());
    assert_eq!(world.permit(1, &b).class, Class::Success);
    assert!(world.send(1, &b).is_empty(), "the other has to permit it too");
    assert_eq!(world.permit(2, &a).class, Class::Success);
    let [Output::Send(to, bytes)] = &world.send(1, &b)[..] else { panic!("data") };
    let from = Message::read(bytes).unwrap().addresses(attr::XOR_PEER_ADDRESS).unwrap();
    assert_eq!((*to, from[0].to_string()), (client(2), a));
    assert!(world.send(1, "127.0.0.1:22").is_empty(), "nothing else of this machine");
    assert_eq!(world.permit(1, "127.0.0.2:22").code, 403);
}
