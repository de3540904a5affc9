//! The server with its listener, relays and deadlines.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use millstream_core::Env;
use millstream_core::env::TaskHandle;
use millstream_core::net::NetDatagrams;
use tokio::sync::{Notify, mpsc};

use crate::server::{Client, Discovery, Moment, Output, RelayId, Transport, TurnServer, Wanted};

/// Frames that wait for a client over TCP. What is beyond is left out, as a network does with datagrams.
const MAX_WAITING: usize = 256;

/// Ports that are tried for a relay before there is none.
const TRIES: usize = 32;

/// Where relays are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Addresses of this machine on which relays are.
    pub(super) bind: Vec<IpAddr>,
    /// What peers see instead, behind a translation of addresses one to one.
    pub(super) external: Option<IpAddr>,
    /// First and last port.
    pub(super) ports: (u16, u16),
}

pub(super) struct Hub {
    env: Env,
    udp: Arc<dyn NetDatagrams>,
    /// A socket for each of its places, the first being `udp`.
    discovery: Option<(Discovery, [Socket; 4])>,
    places: Places,
    state: Mutex<State>,
    /// The next deadline is another.
    changed: Notify,
}

pub(super) type Socket = Arc<dyn NetDatagrams>;

struct State {
    server: TurnServer,
    relays: HashMap<RelayId, Relay>,
    streams: HashMap<SocketAddr, mpsc::Sender<Bytes>>,
}

/// An open socket.
struct Relay {
    socket: Arc<dyn NetDatagrams>,
    _task: TaskHandle,
}

impl Hub {
    pub(super) fn new(
        env: Env,
        udp: Socket,
        discovery: Option<(Discovery, [Socket; 4])>,
        places: Places,
        server: TurnServer,
    ) -> Arc<Self> {
        let state = State { server, relays: HashMap::new(), streams: HashMap::new() };
        Arc::new(Self { env, udp, discovery, places, state: Mutex::new(state), changed: Notify::new() })
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    /// Serves clients over UDP, until the socket fails for good.
    pub(super) async fn serve_datagrams(self: Arc<Self>) {
        let udp = self.udp.clone();
        let mut datagram = BytesMut::new();
        loop {
            let from = self.next(&udp, &mut datagram).await;
            if !self.discover(0, from, &datagram) {
                let client = Client { transport: Transport::Udp, address: from };
                self.with(|server, at| server.receive(at, client, &datagram));
            }
        }
    }

    /// Answers what comes to one of the other places of a server that tells of translations.
    pub(super) async fn serve_place(self: Arc<Self>, place: usize) {
        let Some(socket) = self.discovery.as_ref().and_then(|(_, sockets)| sockets.get(place)).cloned() else { return };
        let mut datagram = BytesMut::new();
        loop {
            let from = self.next(&socket, &mut datagram).await;
            self.discover(place, from, &datagram);
        }
    }

    async fn next(&self, socket: &Socket, datagram: &mut BytesMut) -> SocketAddr {
        loop {
            datagram.clear();
            // An error is one of a datagram that was sent (a port that is closed), and concerns no other.
            if let Ok(from) = socket.receive(datagram).await {
                return from;
            }
            self.env.clock.sleep_until(self.env.clock.now() + millstream_core::TimeDelta::from_millis(1)).await;
        }
    }

    /// Whether a datagram was a request of RFC 5780, which is answered then.
    fn discover(&self, place: usize, from: SocketAddr, datagram: &[u8]) -> bool {
        let Some((discovery, sockets)) = &self.discovery else { return false };
        let Some((origin, answer)) = discovery.answer(place, from, datagram) else { return false };
        // A socket that is full loses datagrams, as any hop does.
        sockets.get(origin).map(|socket| socket.try_send(from, &answer)).is_some()
    }

    /// Keeps the deadlines.
    pub(super) async fn keep_time(self: Arc<Self>) {
        loop {
            let deadline = self.lock().server.deadline();
            let due = async {
                match deadline {
                    Some(deadline) => self.env.clock.sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.with(|server, at| server.advance(at)),
                () = self.changed.notified() => {}
            }
        }
    }

    /// A client over TCP is there: what it is sent.
    pub(super) fn enter(&self, address: SocketAddr) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        self.lock().streams.insert(address, sender);
        receiver
    }

    /// It has gone.
    pub(super) fn left(self: &Arc<Self>, address: SocketAddr) {
        self.lock().streams.remove(&address);
        self.with(|server, _| server.gone(Client { transport: Transport::Tcp, address }));
    }

    pub(super) fn has_allocation(&self, client: Client) -> bool {
        self.lock().server.has_allocation(client)
    }

    /// Does something with the server, and what it wants done then.
    pub(super) fn with(self: &Arc<Self>, act: impl FnOnce(&mut TurnServer, Moment)) {
        let at = Moment { now: self.env.clock.now(), unix: self.env.clock.wall().nanos() / 1_000_000_000 };
        let mut state = self.lock();
        let before = state.server.deadline();
        act(&mut state.server, at);
        while let Some(output) = state.server.poll_output() {
            self.carry_out(&mut state, at, output);
        }
        if state.server.deadline() != before {
            self.changed.notify_one();
        }
    }

    fn carry_out(self: &Arc<Self>, state: &mut State, at: Moment, output: Output) {
        match output {
            // A socket that is full loses datagrams, as any hop does.
            Output::Send(Client { transport: Transport::Udp, address }, bytes) => {
                drop(self.udp.try_send(address, &bytes))
            }
            Output::Send(Client { address, .. }, bytes) => {
                if let Some(stream) = state.streams.get(&address) {
                    let _ = stream.try_send(bytes.into());
                }
            }
            Output::Relay(relay, to, bytes) => {
                if let Some(relay) = state.relays.get(&relay) {
                    let _ = relay.socket.try_send(to, &bytes);
                }
            }
            Output::Unbind(relay) => drop(state.relays.remove(&relay)),
            Output::Bind(relay, wanted) => {
                let sockets = self.bind(wanted);
                let [address, next] = match sockets {
                    Ok((first, next)) => {
                        let next = wanted.next.zip(next).map(|(id, socket)| self.add(state, id, socket));
                        [Some(self.add(state, relay, first)), next]
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no socket for a relay");
                        [None, None]
                    }
                };
                state.server.bound(at, relay, address, next);
            }
        }
    }

    /// Serves an open socket; gives its address as peers see it.
    fn add(self: &Arc<Self>, state: &mut State, relay: RelayId, socket: Socket) -> SocketAddr {
        let mut address = socket.local();
        if let Some(external) = self.places.external.filter(|external| external.is_ipv4() == address.is_ipv4()) {
            address.set_ip(external);
        }
        // Weak: the task belongs to the hub, and goes with it.
        let (hub, receiver) = (Arc::downgrade(self), socket.clone());
        let task = self.env.tasks.spawn(Box::pin(async move {
            let mut datagram = BytesMut::new();
            loop {
                datagram.clear();
                let received = receiver.receive(&mut datagram).await;
                let Some(hub) = hub.upgrade() else { return };
                match received {
                    Ok(from) => hub.with(|server, at| server.relayed(at, relay, from, &datagram)),
                    Err(_) => {
                        hub.env
                            .clock
                            .sleep_until(hub.env.clock.now() + millstream_core::TimeDelta::from_millis(1))
                            .await
                    }
                }
            }
        }));
        state.relays.insert(relay, Relay { socket, _task: task });
        address
    }

    /// Opens a socket, and one on the next port if that is wanted and free.
    fn bind(&self, wanted: Wanted) -> io::Result<(Socket, Option<Socket>)> {
        let ip = self.places.bind.iter().copied().find(|ip| ip.is_ipv6() == wanted.is_v6);
        let ip = ip.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let (first, last) = self.places.ports;
        let count = u64::from(last - first) + 1;
        let mut error = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            // Below `count`, which is at most 65536.
            let offset = (self.env.random() % count) as u16;
            let mut port = first + offset;
            if wanted.is_even {
                port &= !1;
            }
            if port < first {
                continue;
            }
            match self.env.net.bind(SocketAddr::new(ip, port)) {
                Ok(socket) => {
                    let next = wanted.next.filter(|_| port < last);
                    let next = next.and_then(|_| self.env.net.bind(SocketAddr::new(ip, port + 1)).ok());
                    if wanted.next.is_none() || next.is_some() {
                        return Ok((socket, next));
                    }
                }
                Err(refused) => error = refused,
            }
        }
        Err(error)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
