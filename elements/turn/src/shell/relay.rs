//! A relay at a server: the client on a socket or stream of its own, which begins anew when it loses the relay.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::BytesMut;
use millstream_core::env::TaskHandle;
use millstream_core::net::{MAX_DATAGRAM, NetDatagrams, NetStream};
use millstream_core::{Env, Secret, Time, TimeDelta};
use tokio::sync::mpsc;

use super::stream::next_frame;
use crate::client::{ClientError, ClientSettings, Event, Output, TurnClient};
use crate::server::Transport;
use crate::uri::Uri;

/// Datagrams that wait to be sent. At 10 Mbit/s these are a second; further ones are lost, as in any router.
const MAX_WAITING: usize = 1024;

/// How long a server that has failed is left alone: first, and at most.
const RETRY: TimeDelta = TimeDelta::from_secs(2);
const MAX_RETRY: TimeDelta = TimeDelta::from_secs(60);

/// How long a connection over TCP may take.
const CONNECT: TimeDelta = TimeDelta::from_secs(10);

/// Bytes that are read at a time.
const READ_BLOCK: usize = 16 << 10;

/// Bytes that wait for a stream. What is beyond is left out, as a network does with datagrams.
const MAX_BUFFERED: usize = 512 << 10;

/// Which relay is wanted.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// The server.
    pub uri: Uri,
    /// User name and password.
    pub credentials: Option<(String, Secret)>,
    /// Addresses of this machine to ask from: the first that fits the server is taken.
    pub from: Vec<IpAddr>,
    /// The relay has an address of IPv6.
    pub is_v6: bool,
}

/// What is told of a relay. Called on its task: it must not wait.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// A relay, as long as this lives. It is given back then.
pub struct Relay {
    outgoing: mpsc::Sender<(SocketAddr, Vec<u8>)>,
    _task: TaskHandle,
}

impl Relay {
    /// Asks for one. What is lost is asked for again, by and by less often, so that [`Event::Failed`] may be followed by [`Event::Allocated`].
    pub fn open(env: &Env, settings: RelaySettings, listener: Listener) -> Self {
        let (outgoing, waiting) = mpsc::channel(MAX_WAITING);
        let worker = Worker { env: env.clone(), settings, listener, waiting };
        Self { outgoing, _task: env.tasks.spawn(Box::pin(worker.run())) }
    }

    /// A way to send through it.
    pub fn sender(&self) -> RelaySender {
        RelaySender(self.outgoing.clone())
    }
}

/// Sends datagrams through a relay.
#[derive(Clone, Debug)]
pub struct RelaySender(mpsc::Sender<(SocketAddr, Vec<u8>)>);

impl RelaySender {
    /// Sends one; false where there is no room for it.
    pub fn try_send(&self, to: SocketAddr, bytes: &[u8]) -> bool {
        self.0.try_send((to, bytes.to_vec())).is_ok()
    }
}

struct Worker {
    env: Env,
    settings: RelaySettings,
    listener: Listener,
    waiting: mpsc::Receiver<(SocketAddr, Vec<u8>)>,
}

/// The way to the server.
enum Way {
    Udp(Arc<dyn NetDatagrams>, SocketAddr),
    Tcp(Box<dyn NetStream>),
}

impl Worker {
    async fn run(mut self) {
        let mut pause = RETRY;
        loop {
            let (error, was_there) = match self.reach().await {
                Ok((way, key)) => self.serve(way, key).await,
                Err(error) => (unreachable(&error), false),
            };
            (self.listener)(Event::Failed(error));
            pause = if was_there { RETRY } else { pause };
            self.rest(pause).await;
            pause = MAX_RETRY.min(pause + pause);
        }
    }

    /// Lets a time pass; what is to be sent meanwhile is lost.
    async fn rest(&mut self, pause: TimeDelta) {
        let until = self.env.clock.now() + pause;
        loop {
            tokio::select! {
                () = self.env.clock.sleep_until(until) => return,
                lost = self.waiting.recv() => if lost.is_none() { std::future::pending::<()>().await },
            }
        }
    }

    async fn reach(&self) -> io::Result<(Way, [u8; 32])> {
        let Uri { host, port, transport, .. } = &self.settings.uri;
        let all = self.env.net.resolve(host, *port).await?;
        let key = self.env.key()?;
        if *transport == Transport::Udp {
            let (socket, server) = bind_for(&self.env, &self.settings.from, &all)?;
            return Ok((Way::Udp(socket, server), key));
        }
        let late = self.env.clock.now() + CONNECT;
        tokio::select! {
            stream = self.env.net.connect_any(host, &all) => Ok((Way::Tcp(stream?), key)),
            () = self.env.clock.sleep_until(late) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Has a relay until it fails: why, and whether it was there.
    async fn serve(&mut self, way: Way, key: [u8; 32]) -> (ClientError, bool) {
        let Uri { transport, .. } = self.settings.uri;
        let RelaySettings { credentials, is_v6, .. } = self.settings.clone();
        let client = TurnClient::new(ClientSettings { transport, credentials, is_v6 }, key);
        let mut link = Link {
            env: self.env.clone(),
            client,
            way,
            buffered: VecDeque::new(),
            listener: self.listener.clone(),
            was_there: false,
        };
        link.client.start(self.env.clock.now());
        let mut input = BytesMut::new();
        loop {
            if let Some(error) = link.drain() {
                return (error, link.was_there);
            }
            let until = link.client.deadline().unwrap_or(Time::MAX);
            let heard = tokio::select! {
                biased;
                heard = link.hear(&mut input) => heard,
                Some((to, bytes)) = self.waiting.recv() => {
                    link.client.send(self.env.clock.now(), to, &bytes);
                    Ok(())
                }
                () = self.env.clock.sleep_until(until) => {
                    link.client.advance(self.env.clock.now());
                    Ok(())
                }
            };
            if let Err(error) = heard {
                return (unreachable(&error), link.was_there);
            }
        }
    }
}

fn unreachable(error: &io::Error) -> ClientError {
    ClientError::Unreachable(error.to_string())
}

/// A socket from which one of the addresses of a server is reached, and that address. `from` are addresses of this machine.
///
/// # Errors
/// Those of the network.
pub fn bind_for(env: &Env, from: &[IpAddr], server: &[SocketAddr]) -> io::Result<(Arc<dyn NetDatagrams>, SocketAddr)> {
    let fits = |ip: &IpAddr, server: &SocketAddr| {
        ip.is_ipv4() == server.is_ipv4() && ip.is_loopback() == server.ip().is_loopback()
    };
    let of = |server: &SocketAddr| from.iter().find(|ip| fits(ip, server)).map(|ip| (*ip, *server));
    let any = |server: &SocketAddr| {
        let ip: IpAddr = if server.is_ipv4() { [0, 0, 0, 0].into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
        (ip, *server)
    };
    let way = server.iter().find_map(of).or_else(|| server.first().map(any));
    let (ip, server) = way.ok_or(io::ErrorKind::NotFound)?;
    Ok((env.net.bind(SocketAddr::new(ip, 0))?, server))
}

/// The client and its way to the server.
struct Link {
    env: Env,
    client: TurnClient,
    way: Way,
    /// What waits for a stream.
    buffered: VecDeque<u8>,
    listener: Listener,
    was_there: bool,
}

impl Link {
    /// Does what the client wants; gives the error that ended it.
    fn drain(&mut self) -> Option<ClientError> {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Send(bytes) => self.send(&bytes),
                Output::Event(Event::Failed(error)) => return Some(error),
                Output::Event(event) => {
                    self.was_there |= matches!(event, Event::Allocated { .. });
                    (self.listener)(event);
                }
            }
        }
        None
    }

    fn send(&mut self, bytes: &[u8]) {
        match &self.way {
            // A socket that is full loses datagrams, as any hop does.
            Way::Udp(socket, server) => drop(socket.try_send(*server, bytes)),
            Way::Tcp(_) if self.buffered.len() + bytes.len() <= MAX_BUFFERED => self.buffered.extend(bytes),
            Way::Tcp(_) => {}
        }
    }

    /// Takes what the server sends, and writes what waits. Nothing is lost when the future is dropped.
    async fn hear(&mut self, input: &mut BytesMut) -> io::Result<()> {
        let Self { way, buffered, client, env, .. } = self;
        match way {
            Way::Udp(socket, server) => {
                input.clear();
                input.reserve(MAX_DATAGRAM);
                let from = socket.receive(input).await?;
                if from == *server {
                    client.receive(env.clock.now(), input);
                }
            }
            Way::Tcp(stream) => {
                let read = std::future::poll_fn(|cx| exchange(stream.as_mut(), buffered, input, cx)).await?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                while let Some(frame) = next_frame(input)? {
                    client.receive(env.clock.now(), &frame);
                }
            }
        }
        Ok(())
    }
}

/// Writes what waits, as much as goes, and reads: the number of bytes that came, 0 at the end.
fn exchange(
    stream: &mut dyn NetStream,
    buffered: &mut VecDeque<u8>,
    input: &mut BytesMut,
    cx: &mut std::task::Context<'_>,
) -> std::task::Poll<io::Result<usize>> {
    use std::task::Poll;
    while !buffered.is_empty() {
        let (first, second) = buffered.as_slices();
        let Poll::Ready(sent) = stream.poll_write(cx, &[io::IoSlice::new(first), io::IoSlice::new(second)]) else {
            break;
        };
        match sent? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            sent => drop(buffered.drain(..sent.min(buffered.len()))),
        }
    }
    // What is written may wait in a layer between here and the network.
    if let Poll::Ready(Err(error)) = stream.poll_flush(cx) {
        return Poll::Ready(Err(error));
    }
    input.reserve(READ_BLOCK);
    stream.poll_read(cx, input)
}

impl Drop for Link {
    fn drop(&mut self) {
        // A server that hears of the end has the relay free for others; over TCP it hears it anyway.
        self.client.close(self.env.clock.now());
        if matches!(self.way, Way::Udp(..)) {
            let _ = self.drain();
        }
    }
}
