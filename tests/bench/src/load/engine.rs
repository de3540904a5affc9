//! Sockets, time, and who is served next: one thread and one epoll for all clients.

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket, sockopt};
use nix::sys::time::TimeValLike;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::Load;
use super::client::{Client, Measures, Stage};
use super::publisher::Publisher;
use super::report::{Look, Memory, Quantiles, Report};
use crate::process;

/// Bytes read at a time.
const BLOCK: usize = 256 << 10;
/// Events taken at a time.
const EVENTS: usize = 512;
/// How often slow players read.
const SLOW_TURN: u64 = 100_000_000;
/// Receive buffer of slow players: what they do not read is to wait at the server.
const SLOW_BUFFER: usize = 64 << 10;
/// Nanoseconds in a second.
const SECOND: f64 = 1e9;
/// Seconds for late pictures behind the window. What comes later counts as lost.
const DRAIN: f64 = 1.0;

/// Lets this process, and those that it starts, open as many files as they may.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn open_files() -> Result<u64> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("cannot raise the number of open files")?;
    Ok(most)
}

/// Puts the load on the server.
///
/// # Errors
/// When no publisher gets through, or this side has not enough of something.
pub(crate) fn run(load: &Load) -> Result<Report> {
    let mut engine = Engine::new(load)?;
    let mut memory = Memory { empty: engine.resident(), ..Memory::default() };
    engine.join_publishers()?;
    engine.spin(load.settle)?;
    memory.published = engine.resident();
    engine.join_players()?;
    engine.spin(load.warmup)?;
    engine.measure(memory)
}

struct Peer {
    client: Client,
    /// None when it is gone.
    socket: Option<TcpStream>,
    events: EpollFlags,
    publisher: Option<Publisher>,
}

struct Engine<'a> {
    load: &'a Load,
    epoll: Epoll,
    began: Instant,
    peers: Vec<Peer>,
    /// When which peer has something to do on its own.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    measures: Measures,
    errors: BTreeMap<String, usize>,
    block: Vec<u8>,
    /// Players that have not seen a picture yet.
    waiting: usize,
}

impl<'a> Engine<'a> {
    fn new(load: &'a Load) -> Result<Self> {
        Ok(Self {
            load,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            began: Instant::now(),
            peers: Vec::new(),
            due: BinaryHeap::new(),
            measures: Measures { window: (u64::MAX, u64::MAX), latencies: Vec::new() },
            errors: BTreeMap::new(),
            block: vec![0; BLOCK],
            waiting: 0,
        })
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn resident(&self) -> u64 {
        self.load.pid.map_or(0, |pid| process::usage(pid).resident)
    }

    fn join_publishers(&mut self) -> Result<()> {
        self.join(self.load.publishers, |engine, n| engine.open(true, n))?;
        if !self.peers.iter().any(|peer| peer.client.stage == Stage::Live) {
            bail!("no publisher gets through: {:?}", self.errors);
        }
        Ok(())
    }

    fn join_players(&mut self) -> Result<()> {
        let streams = self.load.publishers.max(1);
        self.join(self.load.players, |engine, n| engine.open(false, n % streams))
    }

    /// Opens so many, and goes on when all of them are where they want to be, or gone.
    fn join(&mut self, count: usize, mut open: impl FnMut(&mut Self, usize) -> Result<()>) -> Result<()> {
        let (begin, mut opened) = (self.now(), 0);
        let pause = (SECOND / self.load.joins) as u64;
        let until = begin + (self.load.patience * SECOND) as u64 + pause * count as u64;
        while (opened < count || self.waiting > 0) && self.now() < until {
            let turn = begin + opened as u64 * pause;
            let free = !self.load.one_by_one || self.waiting == 0;
            if opened < count && free && self.now() >= turn {
                open(self, opened)?;
                opened += 1;
                continue;
            }
            let soon = if opened < count && free { turn.min(until) } else { until };
            self.turn(soon)?;
        }
        self.waiting = 0;
        Ok(())
    }

    fn open(&mut self, publishes: bool, stream: usize) -> Result<()> {
        let id = self.peers.len();
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).context("cannot open a socket")?;
        let name = self.load.stream.replace("{i}", &stream.to_string());
        let mut client = Client::new(publishes, stream, name, self.now());
        client.slow = !publishes && self.peers.iter().filter(|peer| peer.client.slow).count() < self.load.slow_players;
        if client.slow {
            setsockopt(&socket, sockopt::RcvBuf, &SLOW_BUFFER)?;
        }
        match connect(socket.as_raw_fd(), &SockaddrIn::from(self.load.address)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => bail!("cannot connect to {}: {error}", self.load.address),
        }
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
        self.epoll.add(&socket, EpollEvent::new(events, id as u64))?;
        self.peers.push(Peer { client, socket: Some(socket), events, publisher: None });
        self.waiting += 1;
        Ok(())
    }

    fn spin(&mut self, seconds: f64) -> Result<()> {
        let until = self.now() + (seconds * SECOND) as u64;
        while self.now() < until {
            self.turn(until)?;
        }
        Ok(())
    }

    /// Serves who is due and who has something, waiting no longer than `until`.
    fn turn(&mut self, until: u64) -> Result<()> {
        self.serve_due();
        let now = self.now();
        let next = self.due.peek().map_or(until, |Reverse((at, _))| until.min(*at));
        let wait = Duration::from_nanos(next.saturating_sub(now)).as_millis().min(10) as u16;
        // Rounded up, else it would spin through the last millisecond.
        let wait = if next > now { wait + 1 } else { 0 };
        let mut events = [EpollEvent::empty(); EVENTS];
        let count = self.epoll.wait(&mut events, EpollTimeout::from(wait))?;
        for event in events.iter().take(count) {
            let (id, flags) = (event.data() as usize, event.events());
            if flags.intersects(EpollFlags::EPOLLOUT) {
                self.writable(id);
            }
            if flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
                self.readable(id, BLOCK);
            }
        }
        if self.load.coalesce_ms > 0 && count < EVENTS {
            std::thread::sleep(Duration::from_millis(self.load.coalesce_ms));
        }
        Ok(())
    }

    fn serve_due(&mut self) {
        let now = self.now();
        while let Some(Reverse((at, id))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            let peer = &mut self.peers[id];
            if peer.client.slow && peer.socket.is_some() {
                self.due.push(Reverse((now + SLOW_TURN, id)));
                let share = self.load.clip.rate * self.load.speed / 2.0 * SLOW_TURN as f64 / SECOND;
                self.readable(id, (share as usize).clamp(1, BLOCK));
            } else if let Some(publisher) = &mut peer.publisher {
                let now = self.began.elapsed().as_nanos() as u64;
                let next = publisher.feed(&mut peer.client, now, self.measures.window);
                self.due.push(Reverse((next, id)));
                self.flush(id);
            }
        }
    }

    fn writable(&mut self, id: usize) {
        if self.peers[id].client.stage == Stage::Connecting {
            match self.peers[id].socket.as_ref().map(TcpStream::take_error) {
                Some(Ok(None)) => self.peers[id].client.connected(),
                _ => return self.gone(id, "refused"),
            }
        }
        self.flush(id);
    }

    /// Writes what there is, and asks to hear when the rest can go.
    fn flush(&mut self, id: usize) {
        let peer = &mut self.peers[id];
        let Some(socket) = &peer.socket else { return };
        if peer.client.stage == Stage::Connecting {
            return;
        }
        let mut outcome = peer.client.write_to(socket);
        if let (Ok(true), Some(publisher)) = (&outcome, &mut peer.publisher)
            && self.load.flat_out
        {
            outcome = publisher.pour(socket);
        }
        let wants = match outcome {
            Ok(all) => !all,
            Err(error) => return self.gone(id, &format!("cannot write: {}", error.kind())),
        };
        self.listen(id, EpollFlags::EPOLLOUT, wants);
    }

    fn listen(&mut self, id: usize, flag: EpollFlags, wanted: bool) {
        let peer = &mut self.peers[id];
        let mut events = peer.events;
        events.set(flag, wanted);
        if events != peer.events
            && let Some(socket) = &peer.socket
            && self.epoll.modify(socket, &mut EpollEvent::new(events, id as u64)).is_ok()
        {
            peer.events = events;
        }
    }

    fn readable(&mut self, id: usize, most: usize) {
        let peer = &mut self.peers[id];
        let Some(socket) = &mut peer.socket else { return };
        let length = match socket.read(&mut self.block[..most]) {
            Ok(0) => return self.gone(id, "closed by the server"),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => return self.gone(id, &format!("cannot read: {}", error.kind())),
        };
        let now = self.began.elapsed().as_nanos() as u64;
        let (before, had_key) = (peer.client.stage, peer.client.key.is_some());
        let outcome = peer.client.received(&self.block[..length], now, &self.load.app, &mut self.measures);
        let (client, pending) = (&peer.client, peer.client.written < peer.client.out.len());
        let (goes_live, sees) =
            (before != client.stage && client.stage == Stage::Live, !had_key && client.key.is_some());
        if let Err(reason) = outcome {
            return self.gone(id, &reason);
        }
        if goes_live {
            self.live(id, now);
        }
        self.waiting = self.waiting.saturating_sub(usize::from(sees));
        if pending {
            self.flush(id);
        }
    }

    /// It has been let.
    fn live(&mut self, id: usize, now: u64) {
        let peer = &mut self.peers[id];
        if peer.client.slow {
            self.due.push(Reverse((now, id)));
            self.listen(id, EpollFlags::EPOLLIN, false);
        } else if peer.client.publishes {
            self.waiting = self.waiting.saturating_sub(1);
            peer.publisher = Some(Publisher::new(self.load, peer.client.stream_id, now));
            if self.load.flat_out {
                self.listen(id, EpollFlags::EPOLLOUT, true);
            } else {
                self.due.push(Reverse((now, id)));
            }
        }
    }

    fn gone(&mut self, id: usize, reason: &str) {
        let Peer { client, socket, .. } = &mut self.peers[id];
        if socket.take().is_none() {
            return;
        }
        let what = if client.publishes { "publisher" } else { "player" };
        *self.errors.entry(format!("{what} {reason} ({:?})", client.stage)).or_default() += 1;
        let waits = if client.publishes { client.stage != Stage::Live } else { client.key.is_none() };
        client.stage = Stage::Gone;
        self.waiting = self.waiting.saturating_sub(usize::from(waits));
    }

    fn measure(mut self, memory: Memory) -> Result<Report> {
        let (begin, poured) = (self.now(), self.written());
        let before = self.look()?;
        self.measures.window = (begin, begin + (self.load.window * SECOND) as u64);
        self.spin(self.load.window)?;
        let after = self.look()?;
        let wall = (self.now() - begin) as f64 / SECOND;
        let poured = self.written() - poured;
        self.spin(DRAIN)?;
        let mut report = self.report();
        report.memory = memory;
        report.sent_gbps = poured as f64 * 8.0 / 1e9 / wall;
        report.enter_usage(&[before, after], wall);
        Ok(report)
    }

    fn look(&self) -> Result<Look> {
        let server = self.load.pid.map(process::usage).unwrap_or_default();
        Ok(Look { server, client: own_cpu()?, machine: process::machine_cpu() })
    }

    /// Bytes that publishers have written.
    fn written(&self) -> u64 {
        self.peers.iter().filter_map(|peer| Some(peer.publisher.as_ref()?.bytes)).sum()
    }

    fn report(&mut self) -> Report {
        let (players, publishers): (Vec<_>, Vec<_>) = self.peers.iter().partition(|peer| !peer.client.publishes);
        let mut sent = vec![0; self.load.publishers.max(1)];
        publishers.iter().for_each(|peer| sent[peer.client.stream] += peer.client.sent_in_window);
        let (slow, quick): (Vec<_>, Vec<_>) = players.iter().map(|peer| &peer.client).partition(|player| player.slow);
        let sum = |players: &[&Client], count: fn(&Client) -> u64| players.iter().map(|player| count(player)).sum();
        let expected: u64 = quick.iter().map(|player| sent[player.stream]).sum();
        let seen = sum(&quick, |player| player.seen.pictures);
        let had_all = |player: &&Client| player.seen.pictures as f64 >= 0.99 * sent[player.stream] as f64;
        let alive = |peers: &[&Peer]| peers.iter().filter(|peer| peer.socket.is_some()).count();
        let keys = quick.iter().filter_map(|player| Some(((player.key? - player.began) / 1000) as u32));
        Report {
            players: self.load.players,
            publishers: self.load.publishers,
            players_left: alive(&players),
            publishers_left: alive(&publishers),
            sent: sent.iter().sum(),
            seen,
            missed: expected.saturating_sub(seen),
            sustained: quick.len() + slow.len() == self.load.players && quick.iter().all(had_all),
            latency: Quantiles::of_thousandths(std::mem::take(&mut self.measures.latencies)),
            key: Quantiles::of_thousandths(keys.collect()),
            slow_lost: sum(&slow, |player| player.seen.lost),
            slow_broken: sum(&slow, |player| player.seen.broken),
            errors: self.errors.clone(),
            ..Report::default()
        }
    }
}

/// Seconds of user and system time of this process.
fn own_cpu() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}
