//! Who publishes, who watches, and when: one thread and one epoll for all.

use anyhow::{Context, Result, bail};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use str0m::rtp::RtpPacket;

use super::door::{self, Janus};
use super::peer::Peer;
use super::pictures::{stamp, stamped};
use super::{Load, Publish, Watch};
use crate::load::{Alone, Look, Memory, Quantiles, Report, Stamp};
use crate::process;

/// Events taken at a time.
const EVENTS: usize = 256;
/// Longest sleep.
const NAP: Duration = Duration::from_millis(5);
/// How long all may take to be connected and see a picture.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long late pictures may take behind the window. What comes later counts as lost.
const DRAIN: Duration = Duration::from_secs(1);
/// The number of the publisher among the sockets.
const PUBLISHER: u64 = u64::MAX;
/// Payload type and source of packets without protection, as Janus is told.
const PLAIN: [u8; 2] = [0x80, 96];

/// Puts the load on the server.
///
/// # Errors
/// When nobody can publish or watch.
pub(crate) fn run(load: &Load) -> Result<Report> {
    let mut engine = Engine::new(load)?;
    let mut memory = Memory { empty: process::usage(load.pid).resident, ..Memory::default() };
    engine.publish()?;
    engine.spin(Duration::from_secs(3))?;
    memory.published = process::usage(load.pid).resident;
    engine.join()?;
    engine.spin(Duration::from_secs_f64(load.warmup))?;
    engine.measure(memory)
}

/// Who sends the pictures.
enum Publisher {
    None,
    Whip(Box<Peer>),
    Rtmp(Box<Alone>),
    Plain { socket: UdpSocket, sent: u16 },
}

struct Viewer {
    peer: Peer,
    began: Instant,
    /// Nanoseconds until the first whole picture, from the offer on.
    first: Option<u64>,
    picture: Picture,
    /// Whole pictures of the window, and what they took, in microseconds.
    seen: u64,
    gone: Option<String>,
    /// Kept as long as the viewer: Janus ends those that nobody holds.
    _janus: Option<Janus>,
}

/// What is there of the picture that is coming.
#[derive(Clone, Copy, Default)]
struct Picture {
    ticks: u32,
    stamp: Option<Stamp>,
    next: u64,
    broken: bool,
}

struct Engine<'a> {
    load: &'a Load,
    epoll: Epoll,
    began: Instant,
    publisher: Publisher,
    viewers: Vec<Viewer>,
    /// Pictures published, and when the next is due.
    published: u32,
    /// Nanoseconds since the beginning between which pictures count, and those published then.
    window: (u64, u64),
    sent: u64,
    latencies: Vec<u32>,
}

impl<'a> Engine<'a> {
    fn new(load: &'a Load) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let (began, viewers) = (Instant::now(), Vec::with_capacity(load.viewers));
        let (publisher, published, window, sent, latencies) = (Publisher::None, 0, (u64::MAX, u64::MAX), 0, Vec::new());
        Ok(Self { load, epoll, began, publisher, viewers, published, window, sent, latencies })
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn publish(&mut self) -> Result<()> {
        self.began = Instant::now();
        self.publisher = match &self.load.publish {
            Publish::Whip(path) => Publisher::Whip(Box::new(self.whip(path)?)),
            Publish::Rtmp(load) => Publisher::Rtmp(Box::new(Alone::publish(load, self.now())?)),
            Publish::Plain(_) => Publisher::Plain { socket: UdpSocket::bind((*self.load.address.ip(), 0))?, sent: 0 },
        };
        self.began = Instant::now();
        Ok(())
    }

    fn whip(&self, path: &str) -> Result<Peer> {
        let mut peer = Peer::new(*self.load.address.ip())?;
        let (offer, pending) = peer.offer(true)?;
        peer.accept(pending, &door::offer(self.load.address, path, &offer)?)?;
        self.epoll.add(&peer.socket, EpollEvent::new(EpollFlags::EPOLLIN, PUBLISHER))?;
        let until = Instant::now() + PATIENCE;
        while !peer.connected && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
            peer.read(&mut |_| {})?;
            peer.wake(&mut |_| {})?;
        }
        if !peer.connected {
            bail!("the publisher is not connected");
        }
        Ok(peer)
    }

    fn join(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        for number in 0..self.load.viewers {
            self.open(number)?;
            while self.load.one_by_one && self.viewers[number].first.is_none() && Instant::now() < until {
                self.turn()?;
            }
            self.turn()?;
        }
        while self.viewers.iter().any(|viewer| viewer.first.is_none() && viewer.gone.is_none())
            && Instant::now() < until
        {
            self.turn()?;
        }
        if self.viewers.iter().all(|viewer| viewer.first.is_none()) && self.load.viewers > 0 {
            bail!("no viewer sees anything: {:?}", self.viewers.iter().find_map(|viewer| viewer.gone.clone()));
        }
        Ok(())
    }

    fn open(&mut self, number: usize) -> Result<()> {
        let mut peer = Peer::new(*self.load.address.ip())?;
        let began = Instant::now();
        let janus = match &self.load.watch {
            Watch::Whep(path) => {
                let (offer, pending) = peer.offer(false)?;
                peer.accept(pending, &door::offer(self.load.address, path, &offer)?)?;
                None
            }
            Watch::Janus => {
                let (janus, offer) = Janus::watch(self.load.address)?;
                janus.start(&peer.answer(&offer)?)?;
                Some(janus)
            }
        };
        peer.loses = number < self.load.lossy;
        self.epoll.add(&peer.socket, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        let picture = Picture::default();
        self.viewers.push(Viewer { peer, began, first: None, picture, seen: 0, gone: None, _janus: janus });
        Ok(())
    }

    fn spin(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.turn()?;
        }
        Ok(())
    }

    /// Publishes what is due, reads what has come, wakes who wants it.
    fn turn(&mut self) -> Result<()> {
        let next = self.publish_due()?;
        let wait = next.saturating_duration_since(Instant::now()).min(NAP);
        let mut events = [EpollEvent::empty(); EVENTS];
        let wait = EpollTimeout::try_from(wait.as_millis() as i32).unwrap_or(EpollTimeout::ZERO);
        let count = self.epoll.wait(&mut events, wait).context("epoll")?;
        for event in &events[..count] {
            self.serve(event.data(), true)?;
        }
        let now = Instant::now();
        for number in 0..self.viewers.len() {
            if self.viewers[number].peer.due <= now {
                self.serve(number as u64, false)?;
            }
        }
        if let Publisher::Whip(peer) = &mut self.publisher
            && peer.due <= now
        {
            peer.wake(&mut |_| {})?;
        }
        Ok(())
    }

    fn serve(&mut self, number: u64, read: bool) -> Result<()> {
        let now = self.now();
        let Some(Viewer { peer, began, first, picture, seen, gone, .. }) = self.viewers.get_mut(number as usize) else {
            return if let Publisher::Whip(peer) = &mut self.publisher { peer.read(&mut |_| {}) } else { Ok(()) };
        };
        if gone.is_some() {
            return Ok(());
        }
        let (window, latencies, loses) = (self.window, &mut self.latencies, peer.loses);
        let mut take = |packet: RtpPacket| {
            let Some(Stamp { at, .. }) = picture.take(&packet) else { return };
            first.get_or_insert_with(|| began.elapsed().as_nanos() as u64);
            if (window.0..window.1).contains(&at) {
                *seen += 1;
                if !loses {
                    latencies.push((now.saturating_sub(at) / 1000) as u32);
                }
            }
        };
        let done = if read { peer.read(&mut take) } else { peer.wake(&mut take) };
        if let Err(error) = done {
            *gone = Some(format!("{error:#}"));
        }
        Ok(())
    }

    /// Publishes the pictures whose time has come; says when the next one's does.
    fn publish_due(&mut self) -> Result<Instant> {
        let load = self.load;
        let count = load.pictures.list.len();
        loop {
            let (turn, at) = (self.published as usize / count, self.published as usize % count);
            let (time, packets) = &load.pictures.list[at];
            let millis = turn as u32 * load.pictures.span + time;
            let due = self.began + Duration::from_millis(millis.into());
            if matches!(self.publisher, Publisher::None) {
                return Ok(Instant::now() + NAP);
            }
            if let Publisher::Rtmp(alone) = &mut self.publisher {
                let due = alone.feed(self.began.elapsed().as_nanos() as u64, self.window)?;
                self.sent = alone.sent();
                return Ok(self.began + Duration::from_nanos(due));
            }
            if due > Instant::now() {
                return Ok(due);
            }
            let stamp = Stamp { at: self.now(), number: self.published };
            self.sent += u64::from((self.window.0..self.window.1).contains(&stamp.at));
            for (number, packet) in packets.iter().enumerate() {
                let payload = if number == 0 { stamped(packet, stamp) } else { packet.payload.clone() };
                match &mut self.publisher {
                    Publisher::Whip(peer) => peer.send(millis, packet.marker, payload)?,
                    Publisher::Plain { socket, sent } => {
                        let Publish::Plain(to) = load.publish else { continue };
                        let marker = PLAIN[1] | u8::from(packet.marker) << 7;
                        let mut datagram = vec![PLAIN[0], marker];
                        datagram.extend_from_slice(&sent.to_be_bytes());
                        datagram.extend_from_slice(&millis.wrapping_mul(90).to_be_bytes());
                        datagram.extend_from_slice(b"load");
                        datagram.extend_from_slice(&payload);
                        *sent = sent.wrapping_add(1);
                        socket.send_to(&datagram, to).context("cannot publish")?;
                    }
                    Publisher::None | Publisher::Rtmp(_) => {}
                }
            }
            self.published += 1;
        }
    }

    fn look(&self) -> Result<Look> {
        let used = getrusage(UsageWho::RUSAGE_SELF)?;
        let client = (used.user_time() + used.system_time()).num_microseconds() as f64 / 1e6;
        Ok(Look { server: process::usage(self.load.pid), client, machine: process::machine_cpu() })
    }

    fn measure(mut self, memory: Memory) -> Result<Report> {
        let (before, began) = (self.look()?, Instant::now());
        let from = self.now();
        self.window = (from, from + (self.load.window * 1e9) as u64);
        self.spin(Duration::from_secs_f64(self.load.window))?;
        let (after, wall) = (self.look()?, began.elapsed().as_secs_f64());
        self.spin(DRAIN)?;
        let mut report =
            Report { memory, players: self.load.viewers, publishers: 1, sent: self.sent, ..Report::default() };
        report.enter_usage(&[before, after], wall);
        for viewer in &self.viewers {
            match &viewer.gone {
                Some(why) => *report.errors.entry(why.clone()).or_default() += 1,
                None => report.players_left += 1,
            }
            if !viewer.peer.loses {
                report.seen += viewer.seen;
                report.missed += self.sent.saturating_sub(viewer.seen);
            }
        }
        let whole = |viewer: &&Viewer| viewer.peer.loses || viewer.seen as f64 >= self.sent as f64 * 0.99;
        report.sustained = self.viewers.iter().filter(whole).count() == self.load.viewers;
        report.latency = Quantiles::of_thousandths(std::mem::take(&mut self.latencies));
        let firsts = self.viewers.iter().filter_map(|viewer| Some((viewer.first? / 1000) as u32));
        report.key = Quantiles::of_thousandths(firsts.collect());
        Ok(report)
    }
}

impl Picture {
    /// Takes a packet in; gives the stamp of the picture that is whole with it.
    fn take(&mut self, packet: &RtpPacket) -> Option<Stamp> {
        let (number, ticks) = (*packet.seq_no, packet.header.timestamp);
        if packet.payload.is_empty() {
            self.next = self.next.max(number + 1); // a probe
            return None;
        }
        if self.ticks != ticks || self.next == 0 {
            *self = Self { ticks, next: number, ..Self::default() };
        }
        self.broken |= number != self.next;
        self.next = number + 1;
        self.stamp = self.stamp.or_else(|| stamp(&packet.payload));
        let whole = packet.header.marker && !self.broken;
        self.stamp.filter(|_| whole)
    }
}
