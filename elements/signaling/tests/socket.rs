//! `signalingserver` on a simulated network: WebSockets by hand.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;
use std::sync::Arc;

use millstream_core::{Env, Registry, TimeDelta};
use millstream_runtime::{Pipeline, Runtime};
use millstream_signaling::token::sign;
use millstream_testkit::http::Client;
use millstream_testkit::{MemFs, SimNet};
use serde_json::{Value, json};

/// 32 bytes.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn address() -> SocketAddr {
    ([127, 0, 0, 1], 8080).into()
}

fn machine() -> (Runtime, SimNet) {
    let runtime = Runtime::simulated(1, Arc::new(MemFs::new())).unwrap();
    let net = SimNet::new(runtime.env().clock.clone());
    let own = net.clone();
    (runtime.with_net(|_| Arc::new(own)), net)
}

fn serve(runtime: &Runtime, settings: &str) -> Pipeline {
    let mut registry = Registry::new();
    millstream_signaling::register(&mut registry);
    let graph = millstream_graph::load_launch(&format!("signalingserver {settings}"), &registry).unwrap().graph;
    runtime.start(&graph).unwrap()
}

/// Runs a test against a server.
fn with_server<T>(settings: &str, run: impl AsyncFnOnce(&Runtime, &SimNet) -> T) -> T {
    let (runtime, net) = machine();
    let _pipeline = serve(&runtime, settings);
    runtime.block_on(run(&runtime, &net))
}

async fn pass(env: &Env, time: TimeDelta) {
    env.clock.sleep_until(env.clock.now() + time).await;
}

/// A WebSocket.
struct Socket(Client);

impl Socket {
    async fn open(net: &SimNet, headers: &str) -> Self {
        let mut client = Client::connect(net, address()).await;
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let head = client.ask("GET", "/signal", &format!("{upgrade}{headers}")).await;
        assert_eq!(head.status(), 101, "{}", head.0);
        Self(client)
    }

    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            short @ ..126 => frame.push(0x80 | short as u8),
            len => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        // A mask of zeros leaves everything as it is.
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.0.stream.write_all(&frame).await.unwrap();
    }

    async fn say(&mut self, message: Value) {
        self.send(0x81, message.to_string().as_bytes()).await;
    }

    /// Opcode and payload of the next frame.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.0.take(2).await;
        let len = match head[1] {
            126 => self.0.take(2).await.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
            127 => self.0.take(8).await.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
            short => usize::from(short),
        };
        (head[0] & 15, self.0.take(len).await.to_vec())
    }

    async fn hear(&mut self) -> Value {
        let (opcode, payload) = self.frame().await;
        assert_eq!(opcode, 1, "{payload:?}");
        serde_json::from_slice(&payload).unwrap()
    }

    /// The next message of a type.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hear().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    async fn hello(net: &SimNet, fields: Value) -> (Self, Value) {
        let mut socket = Self::open(net, "").await;
        let mut hello = json!({ "type": "hello", "version": 1 });
        hello.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        socket.say(hello).await;
        let answer = socket.hear().await;
        (socket, answer)
    }
}

#[test]
fn sig_3_what_breaks_the_rules_over_the_network_is_refused_by_name() {
    with_server("", async |_, net| {
        let (mut socket, welcome) = Socket::hello(net, json!({})).await;
        assert!(welcome["identity"].as_str().unwrap().starts_with("guest-"), "{welcome}");
        for (bytes, code) in [
            (b"[".repeat(60_000), "too-deep"),
            (b"x".to_vec(), "not-json"),
            (format!("{{\"type\":\"ping\",\"x\":\"{}\"}}", "x".repeat(64 << 10)).into_bytes(), "too-large"),
        ] {
            socket.send(0x81, &bytes).await;
            assert_eq!(socket.until("error").await["code"], code);
        }
        socket.send(0x82, b"bytes").await;
        assert_eq!(socket.until("error").await["code"], "not-text");
        // A message in three frames, with a ping between them.
        socket.send(0x01, b"{\"type\":").await;
        socket.send(0x89, b"hi").await;
        socket.send(0x00, b"\"ping\",\"ref\":\"7").await;
        socket.send(0x80, b"\"}").await;
        assert_eq!(socket.frame().await, (10, b"hi".to_vec()));
        assert_eq!(socket.hear().await["ref"], "7");
        for (first, payload, status) in
            [(0x81, vec![0xFF, 0xFE], 1007_u16), (0x80, vec![b'x'], 1002), (0x81, vec![b' '; 70 << 10], 1009)]
        {
            let (mut socket, _) = Socket::hello(net, json!({})).await;
            socket.send(first, &payload).await;
            let (opcode, close) = socket.frame().await;
            assert_eq!((opcode, close), (8, status.to_be_bytes().to_vec()));
        }
        let mut client = Client::connect(net, address()).await;
        assert_eq!(client.ask("GET", "/signal", "").await.status(), 426);
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let mut client = Client::connect(net, address()).await;
        let head = client.ask("GET", "/signal", &format!("{upgrade}Origin: http://elsewhere\r\n")).await;
        assert_eq!(head.status(), 403);
        Socket::open(net, "Origin: http://localhost\r\n").await;
    });
}

#[test]
fn sig_3_keys_and_signed_tokens_let_in_over_the_network() {
    let settings = format!("secret={SECRET} keys=k1 moderators=alice");
    with_server(&settings, async |runtime, net| {
        let now = runtime.env().clock.wall().nanos() / 1_000_000_000;
        let signed = |claims: Value| sign(SECRET.as_bytes(), &claims);
        for (hello, expected) in [
            (json!({ "identity": "alice", "token": "k1" }), Ok(("alice", "moderator"))),
            (json!({ "identity": "bob", "token": "k1" }), Ok(("bob", "guest"))),
            (json!({ "identity": "alice", "token": "k2" }), Err("the token is missing or wrong")),
            (json!({ "identity": "alice" }), Err("the token is missing or wrong")),
            (
                json!({ "identity": "bob", "token": signed(json!({ "sub": "carol", "exp": now + 60, "role": "worker" })) }),
                Ok(("carol", "worker")),
            ),
            (json!({ "token": signed(json!({ "sub": "carol", "exp": now - 60 })) }), Err("the token has expired")),
            (
                json!({ "token": signed(json!({ "exp": now + 60 })) }),
                Err("the token has no `exp`, no `sub`, or a claim of another shape"),
            ),
            (
                json!({ "token": sign(b"else", &json!({ "sub": "x", "exp": now + 60 })) }),
                Err("the signature of the token is wrong"),
            ),
        ] {
            let (mut socket, answer) = Socket::hello(net, hello.clone()).await;
            match expected {
                Ok((identity, role)) => {
                    assert_eq!((&answer["identity"], &answer["role"]), (&json!(identity), &json!(role)), "{hello}")
                }
                Err(message) => {
                    assert_eq!(
                        (&answer["code"], &answer["message"]),
                        (&json!("not-allowed"), &json!(message)),
                        "{hello}"
                    );
                    assert_eq!(socket.hear().await["reason"], "not-allowed");
                    assert_eq!(socket.frame().await.1[..2], 4000_u16.to_be_bytes());
                }
            }
        }
    });
}

#[test]
fn sig_1_a_lost_socket_is_noticed_and_resumed_over_the_network() {
    with_server("", async |runtime, net| {
        let (mut alice, _) = Socket::hello(net, json!({ "identity": "alice" })).await;
        alice.say(json!({ "type": "join", "room": "r" })).await;
        alice.until("joined").await;
        let (mut bob, welcome) = Socket::hello(net, json!({ "identity": "bob" })).await;
        bob.say(json!({ "type": "join", "room": "r" })).await;
        let last = bob.until("joined").await["seq"].clone();
        drop(bob);
        assert_eq!(alice.until("member-changed").await["member"]["presence"], "away");
        alice.say(json!({ "type": "invite", "to": welcome["id"] })).await;
        alice.until("inviting").await;
        let (mut bob, again) = Socket::hello(net, json!({ "resume": welcome["resume"], "last": last })).await;
        assert_eq!((&again["state"], &again["id"]), (&json!("resumed"), &welcome["id"]));
        assert_eq!(bob.until("invite").await["from"]["identity"], "alice");
        // One that is silent is asked, then given up.
        pass(runtime.env(), TimeDelta::from_secs(21)).await;
        assert_eq!(bob.frame().await.0, 9);
        alice.say(json!({ "type": "ping" })).await;
        pass(runtime.env(), TimeDelta::from_secs(20)).await;
        alice.say(json!({ "type": "ping" })).await;
        // The call has not been answered meanwhile.
        assert_eq!(bob.until("ended").await["reason"], "timeout");
        assert_eq!(bob.frame().await.0, 8);
    });
}

#[test]
fn sig_1_a_server_that_stops_says_so_and_lets_its_clients_come_back() {
    let (runtime, net) = machine();
    let settings = format!("secret={SECRET} keys=k");
    let mut pipeline = serve(&runtime, &settings);
    let hello = json!({ "identity": "a", "token": "k" });
    let (resume, id) = runtime.block_on(async {
        let (mut socket, welcome) = Socket::hello(&net, hello).await;
        pipeline.stop();
        let closed = socket.until("closed").await;
        assert_eq!(closed["reason"], "server-ends");
        assert!(pipeline.wait().await.is_ok());
        (welcome["resume"].clone(), welcome["id"].clone())
    });
    let _again = serve(&runtime, &settings);
    runtime.block_on(async {
        let (_, welcome) = Socket::hello(&net, json!({ "resume": resume })).await;
        assert_eq!((&welcome["state"], &welcome["id"], &welcome["identity"]), (&json!("restored"), &id, &json!("a")));
    });
}

#[test]
fn sig_3_a_callback_is_asked_and_told() {
    use millstream_core::net::Net as _;
    let settings = "on-connect=http://10.0.0.9:80/c on-disconnect=http://10.0.0.9:80/d";
    with_server(settings, async |runtime, net| {
        let mut listener = net.listen(([10, 0, 0, 9], 80).into()).unwrap();
        let ask = async |status: &str, listener: &mut Box<dyn millstream_core::net::NetListener>| {
            let mut stream = listener.accept().await.unwrap();
            let mut said = bytes::BytesMut::new();
            while !said.windows(4).any(|four| four == b"\r\n\r\n") || !said.ends_with(b"key=t") {
                stream.read(&mut said).await.unwrap();
            }
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
            String::from_utf8(said.to_vec()).unwrap()
        };
        let come = |identity: &str| json!({ "type": "hello", "version": 1, "identity": identity, "token": "t" });
        let mut refused = Socket::open(net, "").await;
        refused.say(come("eve")).await;
        ask("403 No", &mut listener).await;
        assert_eq!(refused.hear().await["code"], "not-allowed");
        let mut socket = Socket::open(net, "").await;
        socket.say(come("alice")).await;
        let asked = ask("200 OK", &mut listener).await;
        assert!(asked.starts_with("POST /c ") && asked.contains("call=connect&app=signal&name=alice"), "{asked}");
        assert_eq!(socket.hear().await["identity"], "alice");
        socket.say(json!({ "type": "bye" })).await;
        let told = ask("200 OK", &mut listener).await;
        assert!(told.starts_with("POST /d ") && told.contains("call=disconnect"), "{told}");
        pass(runtime.env(), TimeDelta::from_secs(1)).await;
    });
}
