//! STUN and TURN: any datagrams and frames, from clients and peers, and from a server.

use std::net::SocketAddr;

use millstream_core::{Time, TimeDelta};
use millstream_turn::client::{Binding, ClientSettings, Output as ClientOutput, TurnClient};
use millstream_turn::credentials::{Credentials, long_term_key};
use millstream_turn::server::{Client, Moment, Output, RelayId, Transport, TurnServer, TurnSettings};
use millstream_turn::stun::{Class, MAGIC_COOKIE, Message, Method, Writer, attr, frame_len};

const REALM: &str = "fuzz";

/// Datagrams of a length that the byte in front says, to a server on which a client has an allocation.
pub fn server(data: &[u8]) {
    let _ = Message::read(data);
    let _ = frame_len(data);
    let settings = TurnSettings {
        realm: REALM.into(),
        max_lifetime: 3600,
        nonce_seconds: 600,
        user_quota: 4,
        total_quota: 8,
        allowed: Vec::new(),
        families: vec![[192, 0, 2, 1].into()],
    };
    let users = [("u".to_owned(), "p".into())].into();
    let mut server = TurnServer::new(settings, Credentials { users, secrets: Vec::new() }, [1; 32]);
    let client = Client { transport: Transport::Tcp, address: SocketAddr::from(([198, 51, 100, 1], 1)) };
    let mut at = Moment { now: Time::ZERO, unix: 0 };
    let nonce = server_nonce(&mut server, at, client);
    let key = long_term_key("u", REALM, "p");
    let mut rest = data;
    while let Some((len, after)) = rest.split_first() {
        let (datagram, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        at.now += TimeDelta::from_secs(i64::from(*len) / 16);
        server.receive(at, client, datagram);
        drain(&mut server, at);
        // The same bytes as attributes of a request that is signed.
        let method =
            [Method::Allocate, Method::Refresh, Method::CreatePermission, Method::ChannelBind][usize::from(*len % 4)];
        server.receive(at, client, &signed(method, datagram, &nonce, &key));
        drain(&mut server, at);
        server.relayed(at, RelayId(1), SocketAddr::from(([203, 0, 113, 9], 9)), datagram);
        server.advance(at);
        drain(&mut server, at);
    }
    server.gone(client);
    at.now += TimeDelta::from_secs(31);
    server.advance(at);
    drain(&mut server, at);
    assert_eq!((server.allocations(), server.deadline()), (0, None), "nothing stays");
}

fn server_nonce(server: &mut TurnServer, at: Moment, client: Client) -> Vec<u8> {
    server.receive(at, client, &Writer::new(Method::Allocate, Class::Request, [0; 12]).finish());
    let Some(Output::Send(_, bytes)) = server.poll_output() else { panic!("a challenge") };
    let message = Message::read(&bytes).expect("our own message");
    message.get(attr::NONCE).expect("a nonce").to_vec()
}

/// A request with attributes of a type, a length and a value each.
fn signed(method: Method, mut bytes: &[u8], nonce: &[u8], key: &[u8]) -> Vec<u8> {
    let mut transaction = [0; 12];
    transaction.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let mut writer = Writer::new(method, Class::Request, transaction);
    while let [kind, len, after @ ..] = bytes {
        let (value, after) = after.split_at(usize::from(*len % 24).min(after.len()));
        writer = writer.add(u16::from(*kind % 0x28), value);
        bytes = after;
    }
    writer.add(attr::USERNAME, b"u").add(attr::REALM, REALM.as_bytes()).add(attr::NONCE, nonce).sign(key).finish()
}

fn drain(server: &mut TurnServer, at: Moment) {
    while let Some(output) = server.poll_output() {
        match output {
            Output::Bind(relay, wanted) => {
                let address = |port: u64| SocketAddr::from(([192, 0, 2, 1], port as u16));
                let next = wanted.next.map(|next| address(50_000 + next.0));
                server.bound(at, relay, Some(address(50_000 + relay.0)), next);
            }
            Output::Relay(_, to, _) => assert!(millstream_turn::peers::may_reach(to.ip(), &[]), "relayed to {to}"),
            Output::Send(_, bytes) => assert!(bytes[0] >= 0x40 || bytes[4..8] == MAGIC_COOKIE.to_be_bytes()),
            Output::Unbind(_) => {}
        }
    }
}

/// Datagrams of a length that the byte in front says, from a server to a client, as they are and as attributes of the answer to its last request.
pub fn client(data: &[u8]) {
    let credentials = Some(("u".to_owned(), "p".into()));
    let mut client = TurnClient::new(ClientSettings { transport: Transport::Udp, credentials, is_v6: false }, [2; 32]);
    let (mut now, peer) = (Time::ZERO, SocketAddr::from(([203, 0, 113, 9], 9)));
    let key = long_term_key("u", REALM, "p");
    let _ = Binding::new([0; 12], 0, now).receive(data);
    client.start(now);
    let (mut last, mut rest) = (None, data);
    while let Some((len, after)) = rest.split_first() {
        let (datagram, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        while let Some(output) = client.poll_output() {
            let ClientOutput::Send(bytes) = output else { continue };
            let message = Message::read(&bytes).ok().map(|message| (message.method, message.transaction));
            assert!(message.is_some() || bytes[0] >= 0x40, "what is sent is STUN or channel data");
            last = message.or(last);
        }
        client.receive(now, datagram);
        if let Some((Some(method), transaction)) = last {
            let class = if len % 4 == 0 { Class::Error } else { Class::Success };
            client.receive(now, &answer(Writer::new(method, class, transaction), datagram).sign(&key).finish());
        }
        client.send(now, peer, datagram);
        now += TimeDelta::from_secs(i64::from(*len) / 16);
        client.advance(now);
        assert!(client.deadline().is_none_or(|deadline| deadline > now), "time goes on");
    }
    client.close(now);
    assert_eq!(client.deadline(), None, "nothing stays");
}

/// Attributes that answers have, with values of any length.
fn answer(mut writer: Writer, mut bytes: &[u8]) -> Writer {
    let kinds = [
        attr::ERROR_CODE,
        attr::REALM,
        attr::NONCE,
        attr::LIFETIME,
        attr::XOR_RELAYED_ADDRESS,
        attr::XOR_MAPPED_ADDRESS,
    ];
    while let [kind, len, after @ ..] = bytes {
        let (value, after) = after.split_at(usize::from(*len % 24).min(after.len()));
        writer = writer.add(kinds[usize::from(*kind) % kinds.len()], value);
        bytes = after;
    }
    writer
}
