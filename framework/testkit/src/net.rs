//! A network in memory, on the clock of the test: delay, small segments, silence, and connections that break.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use millstream_core::env::BoxFuture;
use millstream_core::net::{DirectWrite, Net, NetDatagrams, NetListener, NetStream};
use millstream_core::{Clock, Time, TimeDelta};

use crate::datagrams::{Posts, Route, Socket};

/// Bytes under way in one direction before the writer waits, as the buffers of two kernels hold.
const WINDOW: usize = 256 << 10;

/// First of the ports that the network gives out for port 0, and to who connects.
const FIRST_PORT: u16 = 40_000;

/// How the network is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Time from one end to the other.
    pub delay: TimeDelta,
    /// Most bytes that arrive at a time.
    pub segment: usize,
    /// What is sent gets lost on the way, and nobody is told.
    pub silent: bool,
    /// Datagrams take up to this much longer, each for itself: more than the distance of two changes their order.
    pub jitter: TimeDelta,
    /// Datagrams of a thousand that get lost.
    pub loss: u16,
    /// Datagrams of a thousand that arrive twice.
    pub duplicates: u16,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            delay: TimeDelta::ZERO,
            segment: usize::MAX,
            silent: false,
            jitter: TimeDelta::ZERO,
            loss: 0,
            duplicates: 0,
        }
    }
}

/// A network of its own. Clones are the same network.
#[derive(Clone)]
pub struct SimNet {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    /// Where its connections come from; nothing for the machine that they go to.
    from: Option<IpAddr>,
}

#[derive(Default)]
struct State {
    weather: Weather,
    listeners: HashMap<SocketAddr, Arc<Mutex<Backlog>>>,
    /// Both directions of every connection that was made, for breaking them.
    lines: Vec<(SocketAddr, Arc<Mutex<Line>>)>,
    /// Addresses whose machines nothing reaches, and that nobody hears of.
    silent: HashSet<SocketAddr>,
    ports: u16,
    datagrams: Posts,
    hosts: HashMap<String, SocketAddr>,
}

#[derive(Default)]
struct Backlog {
    waiting: VecDeque<Box<dyn NetStream>>,
    waker: Option<Waker>,
    closed: bool,
}

/// One direction.
#[derive(Default)]
struct Line {
    under_way: VecDeque<(Time, Bytes)>,
    bytes: usize,
    ended: bool,
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl SimNet {
    /// A quiet network on this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default(), from: None }
    }

    /// Changes how the network is, for what is sent from now on.
    pub fn set_weather(&self, weather: Weather) {
        lock(&self.state).weather = weather;
    }

    /// The same network, to connect to from another machine.
    pub fn from(&self, machine: impl Into<IpAddr>) -> Self {
        Self { from: Some(machine.into()), ..self.clone() }
    }

    /// Gives a host a name.
    pub fn name(&self, host: &str, address: SocketAddr) {
        lock(&self.state).hosts.insert(host.to_owned(), address);
    }

    /// Breaks every connection to this address, as if its machine had lost power and come back.
    pub fn cut(&self, address: SocketAddr) {
        for (_, line) in lock(&self.state).lines.extract_if(.., |(to, _)| *to == address) {
            lock(&line).end(true);
        }
    }

    /// Makes the machine at this address a black hole: what is sent to it and from it is lost, and nobody is told.
    pub fn silence(&self, address: SocketAddr) {
        lock(&self.state).silent.insert(address);
    }

    /// The machine at this address is there again, without what was lost.
    pub fn restore(&self, address: SocketAddr) {
        lock(&self.state).silent.remove(&address);
    }

    /// From now on the datagrams of a socket come from another address, and those to that address reach it: its machine has changed the
    /// network, or the router before it has forgotten it.
    pub fn move_datagrams(&self, socket: SocketAddr, to: SocketAddr) {
        lock(&self.state).datagrams.move_to(socket, to);
    }

    /// Counts datagrams that got lost.
    pub fn lost_datagrams(&self) -> u64 {
        lock(&self.state).datagrams.lost()
    }

    fn local(state: &mut State, address: SocketAddr) -> SocketAddr {
        if address.port() != 0 {
            return address;
        }
        state.ports += 1;
        SocketAddr::new(address.ip(), FIRST_PORT + state.ports)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Net for SimNet {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let known = lock(&self.state).hosts.get(host).copied();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let found = known.map(|address| address.ip()).or(literal).map(|ip| vec![SocketAddr::new(ip, port)]);
        let unknown = format!("{host} is not known on this network");
        Box::pin(std::future::ready(found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, unknown))))
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn NetStream>>> {
        let net = self.clone();
        Box::pin(async move {
            let delay = lock(&net.state).weather.delay;
            if delay > TimeDelta::ZERO {
                // There and back.
                net.clock.sleep_until(net.clock.now() + delay + delay).await;
            }
            if lock(&net.state).silent.contains(&address) {
                std::future::pending::<()>().await;
            }
            let mut state = lock(&net.state);
            let Some(backlog) = state.listeners.get(&address).cloned() else {
                return Err(io::ErrorKind::ConnectionRefused.into());
            };
            let from = Self::local(&mut state, SocketAddr::new(net.from.unwrap_or(address.ip()), 0));
            let lines = [Arc::<Mutex<Line>>::default(), Arc::default()];
            state.lines.extend(lines.iter().map(|line| (address, line.clone())));
            drop(state);
            let end = |read: usize, peer| Stream {
                net: net.clone(),
                read: lines[read].clone(),
                send: Arc::new(Outgoing { net: net.clone(), server: address, line: lines[1 - read].clone() }),
                peer,
                sleep: None,
            };
            let mut backlog = lock(&backlog);
            backlog.waiting.push_back(Box::new(end(0, from)));
            backlog.waker.take().into_iter().for_each(Waker::wake);
            Ok(Box::new(end(1, address)) as Box<dyn NetStream>)
        })
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn NetListener>> {
        let mut state = lock(&self.state);
        let local = Self::local(&mut state, address);
        if state.listeners.get(&local).is_some_and(|backlog| !lock(backlog).closed) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let backlog = Arc::<Mutex<Backlog>>::default();
        state.listeners.insert(local, backlog.clone());
        Ok(Box::new(Listener { net: self.clone(), backlog, local }))
    }

    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn NetDatagrams>> {
        let mut state = lock(&self.state);
        let local = Self::local(&mut state, address);
        let post = state.datagrams.open(local)?;
        let net = self.clone();
        let route: Route = Box::new(move |to, bytes| {
            let state = &mut *lock(&net.state);
            let gone = |address| state.silent.contains(&address);
            let silent = state.weather.silent || gone(local) || gone(to);
            state.datagrams.send(net.clock.now(), &state.weather, silent, (local, to), bytes);
        });
        Ok(Arc::new(Socket::new(self.clock.clone(), local, post, route)))
    }

    fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        Ok(vec![self.from.unwrap_or(IpAddr::from([127, 0, 0, 1]))])
    }
}

struct Listener {
    net: SimNet,
    backlog: Arc<Mutex<Backlog>>,
    local: SocketAddr,
}

impl NetListener for Listener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn NetStream>>> {
        let mut backlog = lock(&self.backlog);
        match backlog.waiting.pop_front() {
            Some(stream) => Poll::Ready(Ok(stream)),
            None => {
                backlog.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = lock(&self.net.state);
        lock(&self.backlog).closed = true;
        state.listeners.remove(&self.local);
    }
}

struct Stream {
    net: SimNet,
    read: Arc<Mutex<Line>>,
    send: Arc<Outgoing>,
    peer: SocketAddr,
    /// Until the first bytes arrive.
    sleep: Option<BoxFuture<'static, ()>>,
}

/// The direction of writing.
struct Outgoing {
    net: SimNet,
    server: SocketAddr,
    line: Arc<Mutex<Line>>,
}

impl DirectWrite for Outgoing {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let (weather, gone) = {
            let state = lock(&self.net.state);
            (state.weather, state.silent.contains(&self.server))
        };
        let mut line = lock(&self.line);
        if line.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut sent = 0;
        for slice in slices {
            let room = WINDOW - line.bytes.min(WINDOW);
            let piece = &slice[..slice.len().min(room)];
            if !piece.is_empty() {
                line.bytes += piece.len();
                sent += piece.len();
                let due = self.net.clock.now() + weather.delay;
                // What is lost stays in the window: nobody acknowledges it.
                if !(weather.silent || gone) {
                    line.under_way.push_back((due, Bytes::copy_from_slice(piece)));
                }
            }
        }
        if sent == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        line.reader.take().into_iter().for_each(Waker::wake);
        Ok(sent)
    }
}

impl Line {
    fn end(&mut self, broken: bool) {
        self.ended = true;
        self.broken |= broken;
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    fn take(&mut self, into: &mut BytesMut, most: usize) -> usize {
        let Some((_, first)) = self.under_way.front_mut() else { return 0 };
        let piece = first.split_to(first.len().min(most));
        if first.is_empty() {
            self.under_way.pop_front();
        }
        self.bytes -= piece.len();
        into.put_slice(&piece);
        self.writer.take().into_iter().for_each(Waker::wake);
        piece.len()
    }
}

impl NetStream for Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        let room = match into.capacity() - into.len() {
            0 => usize::MAX,
            room => room,
        };
        let segment = lock(&self.net.state).weather.segment;
        loop {
            let due = {
                let mut line = lock(&self.read);
                if line.broken {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                match line.under_way.front() {
                    Some((due, _)) if *due <= self.net.clock.now() => {
                        self.sleep = None;
                        return Poll::Ready(Ok(line.take(into, room.min(segment))));
                    }
                    Some((due, _)) => *due,
                    None if line.ended => return Poll::Ready(Ok(0)),
                    None => {
                        line.reader = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                }
            };
            let sleep = self.sleep.get_or_insert_with(|| self.net.clock.sleep_until(due));
            if sleep.as_mut().poll(cx).is_pending() {
                lock(&self.read).reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.sleep = None;
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.send.try_write(slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                lock(&self.send.line).writer = Some(cx.waker().clone());
                Poll::Pending
            }
            sent => Poll::Ready(sent),
        }
    }

    fn direct(&self) -> Option<Arc<dyn DirectWrite>> {
        Some(self.send.clone())
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.send.line).end(false);
        Poll::Ready(Ok(()))
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        lock(&self.send.line).end(false);
        // Nobody reads what the other end still sends.
        lock(&self.read).end(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TestClock, block_on};

    const ADDRESS: ([u8; 4], u16) = ([10, 0, 0, 1], 1935);

    struct Pair {
        clock: TestClock,
        net: SimNet,
        client: Box<dyn NetStream>,
        server: Box<dyn NetStream>,
        _listener: Box<dyn NetListener>,
    }

    fn pair() -> Pair {
        let clock = TestClock::default();
        let net = SimNet::new(Arc::new(clock.clone()));
        let mut listener = net.listen(ADDRESS.into()).unwrap();
        let client = block_on(net.connect(ADDRESS.into())).unwrap();
        let server = block_on(listener.accept()).unwrap();
        Pair { clock, net, client, server, _listener: listener }
    }

    fn write_one(stream: &mut Box<dyn NetStream>) -> Poll<io::Result<usize>> {
        stream.poll_write(&mut Context::from_waker(Waker::noop()), &[IoSlice::new(&[1])])
    }

    fn read(stream: &mut Box<dyn NetStream>) -> Option<io::Result<Vec<u8>>> {
        let mut into = BytesMut::new();
        match stream.poll_read(&mut Context::from_waker(Waker::noop()), &mut into) {
            Poll::Ready(result) => Some(result.map(|_| into.to_vec())),
            Poll::Pending => None,
        }
    }

    #[test]
    fn bytes_arrive_after_the_delay_in_segments() {
        let mut pair = pair();
        pair.net.set_weather(Weather { delay: TimeDelta::from_millis(30), segment: 2, ..Weather::default() });
        block_on(pair.client.write_all(b"abc")).unwrap();
        assert!(read(&mut pair.server).is_none());
        pair.clock.advance(TimeDelta::from_millis(30));
        assert_eq!(read(&mut pair.server).unwrap().unwrap(), b"ab");
        assert_eq!(read(&mut pair.server).unwrap().unwrap(), b"c");
        drop(pair.client);
        assert_eq!(read(&mut pair.server).unwrap().unwrap(), b"");
    }

    #[test]
    fn a_reader_that_does_not_read_holds_the_writer_back() {
        let mut pair = pair();
        block_on(pair.client.write_all(&vec![0; WINDOW])).unwrap();
        assert!(write_one(&mut pair.client).is_pending());
        assert!(!read(&mut pair.server).unwrap().unwrap().is_empty());
        assert!(write_one(&mut pair.client).is_ready());
    }

    #[test]
    fn cut_connections_are_reset_and_others_live() {
        let mut pair = pair();
        pair.net.cut(([10, 0, 0, 2], 1935).into());
        block_on(pair.client.write_all(b"a")).unwrap();
        assert_eq!(read(&mut pair.server).unwrap().unwrap(), b"a");
        pair.net.cut(ADDRESS.into());
        assert_eq!(read(&mut pair.server).unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(block_on(pair.client.write_all(b"a")).is_err());
    }

    #[test]
    fn silence_takes_what_is_written_until_the_window_is_full() {
        let mut pair = pair();
        pair.net.set_weather(Weather { silent: true, ..Weather::default() });
        block_on(pair.client.write_all(&vec![0; WINDOW])).unwrap();
        assert!(write_one(&mut pair.client).is_pending());
        assert!(read(&mut pair.server).is_none());
    }

    #[test]
    fn nobody_at_an_address_refuses() {
        let net = SimNet::new(Arc::new(TestClock::default()));
        let refused = block_on(net.connect(ADDRESS.into())).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let _first = net.listen(ADDRESS.into()).unwrap();
        assert_eq!(net.listen(ADDRESS.into()).err().unwrap().kind(), io::ErrorKind::AddrInUse);
    }
}
