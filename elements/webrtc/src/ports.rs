//! UDP sockets: one for each address of the machine, for all sessions of a port.
//!
//! A socket is bound to an address of an interface, never to all of them: what comes has to be answered from where it went to. A relay (TURN) is one
//! more socket, with the address that peers see.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use bytes::BytesMut;
use millstream_core::env::TaskHandle;
use millstream_core::net::{MAX_DATAGRAM, NetDatagrams};
use millstream_core::{Env, Error, TimeDelta};
use millstream_turn::client::{Binding, ClientError, Seen};
use millstream_turn::shell::relay::RelaySender;
use tokio::sync::{mpsc, oneshot};

use crate::demux::{Demux, asked_for};
use crate::session::Datagram;

/// Datagrams that wait for a session. At 10 Mbit/s these are a second; further ones are lost, as in any router.
const MAX_WAITING: usize = 1024;

/// How long a socket that fails waits before it tries again.
const RETRY: TimeDelta = TimeDelta::from_millis(100);

/// The sockets of a port.
pub struct Ports {
    sockets: Vec<Arc<dyn NetDatagrams>>,
    lines: Arc<Lines>,
    /// Relays, by the address that peers see.
    relays: RwLock<HashMap<SocketAddr, RelaySender>>,
    next: AtomicU64,
    unsent: AtomicU64,
    _tasks: Vec<TaskHandle>,
}

/// Every session's end of the line.
#[derive(Default)]
struct Lines(Mutex<Ends>);

#[derive(Default)]
struct Ends {
    demux: Demux<u64>,
    lines: HashMap<u64, mpsc::Sender<Datagram>>,
    /// Who waits for what a server of STUN says, by transaction.
    asked: HashMap<[u8; 12], oneshot::Sender<Datagram>>,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, datagram: Datagram) {
        let Ends { demux, lines, asked } = &mut *self.lock();
        if !asked.is_empty()
            && let Some(asker) = transaction_of_answer(&datagram.bytes).and_then(|id| asked.remove(&id))
        {
            // Who has asked may have gone.
            let _ = asker.send(datagram);
            return;
        }
        let key = demux.find(datagram.from, &datagram.bytes);
        if let Some(line) = key.and_then(|key| lines.get(&key)) {
            // A session that is behind loses what any network may lose.
            let _ = line.try_send(datagram);
        }
    }
}

/// What a runtime has open, by the address that was asked for.
#[derive(Default)]
struct Open(Mutex<HashMap<SocketAddr, Weak<Ports>>>);

impl Ports {
    /// The sockets of an address, which are opened if this is the first to ask. `0.0.0.0` and `[::]` stand for every address of the machine
    /// of that kind.
    ///
    /// # Errors
    /// When the port is taken by another program or the address does not exist.
    pub fn at(env: &Env, address: SocketAddr) -> millstream_core::Result<Arc<Self>> {
        let open = env.shared::<Open>();
        let mut open = open.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = open.get(&address).and_then(Weak::upgrade) {
            return Ok(there);
        }
        let ports = bind(env, address).map_err(|error| unbound(address, error))?;
        let ports = Arc::new(Self::of(env, ports));
        open.retain(|_, one| one.strong_count() > 0);
        open.insert(address, Arc::downgrade(&ports));
        Ok(ports)
    }

    /// Sockets of one's own at these addresses, for who calls others: what comes from a server then can only be for one session.
    ///
    /// # Errors
    /// As [`Ports::at`].
    pub fn own(env: &Env, addresses: &[SocketAddr]) -> millstream_core::Result<Arc<Self>> {
        let mut sockets = Vec::new();
        for address in addresses {
            sockets.extend(bind(env, *address).map_err(|error| unbound(*address, error))?);
        }
        Ok(Arc::new(Self::of(env, sockets)))
    }

    fn of(env: &Env, sockets: Vec<Arc<dyn NetDatagrams>>) -> Self {
        let lines = Arc::<Lines>::default();
        let receive = |socket: &Arc<dyn NetDatagrams>| {
            let (socket, lines, env) = (socket.clone(), lines.clone(), env.clone());
            env.clone().tasks.spawn(Box::pin(async move { receive(socket, &lines, &env).await }))
        };
        let tasks = sockets.iter().map(receive).collect();
        let (next, unsent) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { sockets, lines, relays: RwLock::default(), next, unsent, _tasks: tasks }
    }

    /// The addresses of the sockets: the host candidates of every session.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|socket| socket.local()).collect()
    }

    /// Datagrams that could not be sent, for want of room mostly.
    pub fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }

    /// A line for a session that is asked for by this name.
    pub fn line(self: &Arc<Self>, ufrag: &str) -> Line {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, inbox) = mpsc::channel(MAX_WAITING);
        let Ends { demux, lines, .. } = &mut *self.lines.lock();
        demux.add(ufrag, key);
        lines.insert(key, sender);
        Line { ports: self.clone(), key, inbox }
    }

    /// Asks a server of STUN what it sees of a socket. `change` is that of [`Binding::new`].
    ///
    /// # Errors
    /// When nobody answers in time, or with an error.
    pub async fn ask(&self, env: &Env, base: SocketAddr, server: SocketAddr, change: u32) -> Result<Seen, ClientError> {
        let unreachable = |error: io::Error| ClientError::Unreachable(error.to_string());
        let key = env.key().map_err(unreachable)?;
        let id = *key.first_chunk().expect("a key is longer than the number of a transaction");
        let mut binding = Binding::new(id, change, env.clock.now());
        let (sender, mut answer) = oneshot::channel();
        self.lines.lock().asked.insert(id, sender);
        let _asked = Asked(&self.lines, id);
        let socket = self.socket(base).ok_or(ClientError::Silent)?;
        // A socket that is full loses datagrams, as any hop does.
        let send = |binding: &Binding| match socket.try_send(server, binding.bytes()) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(unreachable(error)),
            _ => Ok(()),
        };
        send(&binding)?;
        loop {
            tokio::select! {
                Ok(datagram) = &mut answer => {
                    let seen = binding.receive(&datagram.bytes);
                    return seen.unwrap_or(Err(ClientError::Malformed("another kind of message")));
                }
                () = env.clock.sleep_until(binding.deadline()) => if binding.advance(env.clock.now())? {
                    send(&binding)?;
                },
            }
        }
    }

    fn socket(&self, local: SocketAddr) -> Option<&Arc<dyn NetDatagrams>> {
        self.sockets.iter().find(|socket| socket.local() == local)
    }

    /// Datagrams from this address go through a relay from now on.
    pub(crate) fn add_relay(&self, address: SocketAddr, relay: RelaySender) {
        self.relays.write().unwrap_or_else(PoisonError::into_inner).insert(address, relay);
    }

    /// There is no such relay any more.
    pub(crate) fn remove_relay(&self, address: SocketAddr) {
        self.relays.write().unwrap_or_else(PoisonError::into_inner).remove(&address);
    }

    /// Something has come to a relay.
    pub(crate) fn relayed(&self, relay: SocketAddr, from: SocketAddr, bytes: Vec<u8>) {
        self.lines.deliver(Datagram { from, to: relay, bytes });
    }

    fn send_relayed(&self, datagram: &Datagram) -> bool {
        let relays = self.relays.read().unwrap_or_else(PoisonError::into_inner);
        relays.get(&datagram.from).is_some_and(|relay| relay.try_send(datagram.to, &datagram.bytes))
    }

    fn send(&self, datagram: &Datagram) {
        let sent = match self.socket(datagram.from) {
            Some(socket) => socket.try_send(datagram.to, &datagram.bytes).is_ok(),
            None => self.send_relayed(datagram),
        };
        if !sent {
            self.unsent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Waits for an answer as long as this lives.
struct Asked<'a>(&'a Lines, [u8; 12]);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.lock().asked.remove(&self.1);
    }
}

/// The transaction of an answer to a binding request (RFC 8489, 5): 0x0101 or 0x0111.
fn transaction_of_answer(datagram: &[u8]) -> Option<[u8; 12]> {
    let is_answer = matches!(datagram, [1, 0x01 | 0x11, ..]);
    datagram.get(8..20).filter(|_| is_answer)?.try_into().ok()
}

fn unbound(address: SocketAddr, error: io::Error) -> Error {
    Error::io(format!("cannot receive datagrams at {address}"), error)
        .hint("another program has this UDP port, or this is no address of this machine: choose another `udp`")
}

fn bind(env: &Env, address: SocketAddr) -> io::Result<Vec<Arc<dyn NetDatagrams>>> {
    if !address.ip().is_unspecified() {
        return Ok(vec![env.net.bind(address)?]);
    }
    let mut all: Vec<IpAddr> = env.net.addresses()?;
    all.retain(|ip| ip.is_ipv4() == address.is_ipv4());
    // Nobody else reaches the loopback.
    if all.iter().any(|ip| !ip.is_loopback()) {
        all.retain(|ip| !ip.is_loopback());
    }
    let mut port = address.port();
    let mut sockets = Vec::new();
    for ip in all {
        let socket = env.net.bind(SocketAddr::new(ip, port))?;
        // The first chooses for all.
        port = socket.local().port();
        sockets.push(socket);
    }
    match sockets.is_empty() {
        true => Err(io::ErrorKind::AddrNotAvailable.into()),
        false => Ok(sockets),
    }
}

async fn receive(socket: Arc<dyn NetDatagrams>, lines: &Lines, env: &Env) {
    let mut bytes = BytesMut::with_capacity(MAX_DATAGRAM);
    let to = socket.local();
    loop {
        bytes.clear();
        match socket.receive(&mut bytes).await {
            Ok(from) => lines.deliver(Datagram { from, to, bytes: bytes.to_vec() }),
            // The system tells here that somebody was not there to whom something was sent.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => {
                tracing::warn!(%error, "datagrams cannot be received");
                env.clock.sleep_until(env.clock.now() + RETRY).await;
            }
        }
    }
}

/// A session's way to the sockets.
pub struct Line {
    ports: Arc<Ports>,
    key: u64,
    inbox: mpsc::Receiver<Datagram>,
}

impl Line {
    /// The next datagram for the session.
    pub async fn receive(&mut self) -> Datagram {
        match self.inbox.recv().await {
            Some(datagram) => datagram,
            // It is there as long as the line.
            None => std::future::pending().await,
        }
    }

    /// A datagram that has come already.
    pub fn try_receive(&mut self) -> Option<Datagram> {
        self.inbox.try_recv().ok()
    }

    /// Sends a datagram.
    pub fn send(&self, datagram: &Datagram) {
        // Who asks somebody is answered from there, without a name.
        if asked_for(&datagram.bytes).is_some() {
            self.ports.lines.lock().demux.expect(datagram.to, self.key);
        }
        self.ports.send(datagram);
    }

    /// The session is asked for by another name from now on, and for a while by the one of before too.
    pub fn rename(&self, ufrag: &str) {
        self.ports.lines.lock().demux.add(ufrag, self.key);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Ends { demux, lines, .. } = &mut *self.ports.lines.lock();
        demux.remove(self.key);
        lines.remove(&self.key);
    }
}
