//! Two sessions of a protocol against each other, without sockets: on a virtual clock, over a network as bad as a test wants it.
//!
//! A session is anything that takes bytes and the time, and gives bytes, events and its next deadline; a test tells [`Pair`] how to use
//! its own by [`Session`]. Hours go by in as long as it takes to handle what happens in them.
//!
//! Each session is used as a shell would use it: its output is asked for only when the socket has room, its errors close the connection,
//! and whoever learns that the connection is gone is told so once.

use std::collections::VecDeque;
use std::fmt::Debug;

use bytes::Bytes;
use millstream_core::trace::Side;
use millstream_core::{Time, TimeDelta};

/// Bytes under way in one direction before the sender has to wait, as small buffers of two kernels hold.
const WINDOW: usize = 64 << 10;

/// Steps of one call of [`Pair::run`] and the like: two sessions that get beyond it answer each other without end.
const MAX_STEPS: usize = 20_000_000;

/// A protocol seen from one end. The methods are those of the session under test, where they are not said otherwise.
pub trait Session {
    /// What happened.
    type Event;
    /// Why it is over.
    type Error: Debug;

    /// Takes bytes.
    ///
    /// # Errors
    /// What ends the session.
    fn receive(&mut self, bytes: Bytes, now: Time) -> Result<(), Self::Error>;
    /// What happened next. Whatever asks for an answer is answered here.
    ///
    /// # Errors
    /// What ends the session.
    fn next_event(&mut self) -> Result<Option<Self::Event>, Self::Error>;
    /// Bytes to send.
    fn output(&mut self) -> Vec<Bytes>;
    /// When it wants to be told the time.
    fn deadline(&self) -> Option<Time>;
    /// Time went on.
    ///
    /// # Errors
    /// What ends the session.
    fn handle_timeout(&mut self, now: Time) -> Result<(), Self::Error>;
    /// The connection is gone.
    fn disconnected(&mut self) {}
}

/// How the network is, both ways.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Most bytes that arrive at a time.
    pub segment: usize,
    /// Time from one end to the other.
    pub latency: TimeDelta,
    /// Time between two segments of one direction.
    pub spacing: TimeDelta,
}

impl Default for Network {
    /// An ordinary one: full Ethernet frames, 20 ms.
    fn default() -> Self {
        Self { segment: 1460, latency: TimeDelta::from_millis(20), spacing: TimeDelta::ZERO }
    }
}

/// What becomes of a connection that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Both ends learn that it is gone; what was under way is lost.
    Broken,
    /// Nothing arrives any more, and nobody is told.
    Silent,
}

/// One end, and what became of it.
pub struct End<S: Session> {
    /// The session itself, for a test to look at and to talk through.
    pub session: S,
    /// What happened, in order.
    pub events: Vec<S::Event>,
    /// Why it ended itself, and when.
    pub error: Option<(Time, S::Error)>,
    /// Whether it reads its socket.
    pub reads: bool,
    gone: bool,
    sends: Line,
}

/// What one end sends.
#[derive(Debug, Default)]
struct Line {
    /// When it arrives; nothing is the end of the connection.
    under_way: VecDeque<(Time, Option<Bytes>)>,
    bytes: usize,
    /// Most that ever were under way.
    most: usize,
    arrived: u64,
    /// When the next segment may leave.
    free_at: Time,
}

/// Two ends of a connection.
pub struct Pair<C: Session, S: Session> {
    /// Who connected.
    pub client: End<C>,
    /// Who listened.
    pub server: End<S>,
    network: Network,
    now: Time,
    /// The direction, the bytes that still arrive there, and what becomes of the connection then.
    loss: Option<(Side, u64, Loss)>,
    /// Whether it is lost.
    lost: Option<Loss>,
    /// What arrived, if that is kept.
    wire: Option<Vec<(Side, Bytes)>>,
}

impl<S: Session> End<S> {
    fn new(session: S) -> Self {
        Self { session, events: Vec::new(), error: None, reads: true, gone: false, sends: Line::default() }
    }

    /// Whether the connection is over for this end, in whatever way.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Bytes of this end that arrived at the other.
    pub fn arrived(&self) -> u64 {
        self.sends.arrived
    }

    /// Most bytes that this end ever had under way.
    pub fn most_under_way(&self) -> usize {
        self.sends.most
    }

    fn collect(&mut self, network: &Network, now: Time, is_lost: bool) {
        let line = &mut self.sends;
        if self.gone || line.bytes >= WINDOW {
            return;
        }
        for mut slice in self.session.output() {
            while !slice.is_empty() && !is_lost {
                let segment = slice.split_to(network.segment.min(slice.len()));
                line.free_at = line.free_at.max(now);
                line.bytes += segment.len();
                line.under_way.push_back((line.free_at + network.latency, Some(segment)));
                line.free_at += network.spacing;
            }
        }
        line.most = line.most.max(line.bytes);
    }

    /// Ends if this was an error: the other end is told, behind what is under way.
    fn settle(&mut self, result: Result<(), S::Error>, now: Time, network: &Network) {
        let result = result.and_then(|()| self.listen());
        if let Err(error) = result {
            self.error = Some((now, error));
            self.hang_up(now, network);
        }
    }

    fn hang_up(&mut self, now: Time, network: &Network) {
        let last = self.sends.under_way.back().map_or(now + network.latency, |(at, _)| *at);
        self.sends.under_way.push_back((last, None));
        self.disconnect();
    }

    fn listen(&mut self) -> Result<(), S::Error> {
        while let Some(event) = self.session.next_event()? {
            self.events.push(event);
        }
        Ok(())
    }

    fn disconnect(&mut self) {
        if !std::mem::replace(&mut self.gone, true) {
            self.session.disconnected();
            if let Err(error) = self.listen() {
                panic!("a session that was told of its end says: {error:?}");
            }
        }
    }
}

/// What happens next.
enum Next {
    Arrives(Side),
    Deadline(Side),
}

impl<C: Session, S: Session> Pair<C, S> {
    /// Two sessions that have just been connected, at [`Time::ZERO`].
    pub fn new(client: C, server: S, network: Network) -> Self {
        let (client, server) = (End::new(client), End::new(server));
        Self { client, server, network, now: Time::ZERO, loss: None, lost: None, wire: None }
    }

    /// Loses the connection when so many bytes of one end have arrived, counted from its beginning.
    #[must_use]
    pub fn lose(mut self, from: Side, bytes: u64, loss: Loss) -> Self {
        self.loss = Some((from, bytes, loss));
        self
    }

    /// Keeps what arrives for [`Pair::take_wire`].
    #[must_use]
    pub fn keep_wire(mut self) -> Self {
        self.wire = Some(Vec::new());
        self
    }

    /// What arrived since the last time: from which end, in the order of arrival.
    pub fn take_wire(&mut self) -> Vec<(Side, Bytes)> {
        self.wire.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Whether the connection was lost as [`Pair::lose`] said.
    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Loses the connection now.
    pub fn lose_now(&mut self, loss: Loss) {
        self.lost = Some(loss);
        for line in [&mut self.client.sends, &mut self.server.sends] {
            line.under_way.clear();
            line.bytes = 0;
        }
        if loss == Loss::Broken {
            self.client.disconnect();
            self.server.disconnect();
        }
    }

    /// An end hangs up behind what it has to say.
    pub fn hang_up(&mut self, end: Side) {
        self.collect();
        match end {
            Side::Client => self.client.hang_up(self.now, &self.network),
            Side::Server => self.server.hang_up(self.now, &self.network),
        }
    }

    /// Carries bytes until neither end has anything to say that the other would read. Deadlines that come meanwhile are kept.
    pub fn run(&mut self) {
        self.steps(None, |pair| pair.arrival().is_some());
    }

    /// Lets time pass until then, with all that happens meanwhile.
    pub fn run_until(&mut self, time: Time) {
        self.steps(Some(time), |_| true);
        self.now = self.now.max(time);
    }

    /// Lets time pass until either end gives up, or nobody waits for anything.
    pub fn wait(&mut self) {
        self.steps(None, |pair| pair.client.error.is_none() && pair.server.error.is_none());
    }

    fn steps(&mut self, until: Option<Time>, goes_on: impl Fn(&Self) -> bool) {
        for _ in 0..MAX_STEPS {
            self.collect();
            let next = self.next().filter(|(at, _)| until.is_none_or(|until| *at <= until) && goes_on(self));
            let Some((at, next)) = next else { return };
            self.now = self.now.max(at);
            match next {
                Next::Arrives(from) => self.deliver(from),
                Next::Deadline(Side::Client) => {
                    let result = self.client.session.handle_timeout(self.now);
                    self.client.settle(result, self.now, &self.network);
                }
                Next::Deadline(Side::Server) => {
                    let result = self.server.session.handle_timeout(self.now);
                    self.server.settle(result, self.now, &self.network);
                }
            }
        }
        panic!("no end of what two sessions have to do, at {:?}", self.now);
    }

    /// Takes what either end has to say, as far as its socket has room.
    fn collect(&mut self) {
        let is_lost = self.lost.is_some();
        self.client.collect(&self.network, self.now, is_lost);
        self.server.collect(&self.network, self.now, is_lost);
    }

    /// What arrives next, and from which end.
    fn arrival(&self) -> Option<(Time, Side)> {
        let head = |line: &Line, reads: bool| line.under_way.front().filter(|_| reads).map(|(at, _)| *at);
        let client = head(&self.client.sends, self.server.reads || self.server.gone).map(|at| (at, Side::Client));
        let server = head(&self.server.sends, self.client.reads || self.client.gone).map(|at| (at, Side::Server));
        [client, server].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Bytes before deadlines of the same time.
    fn next(&self) -> Option<(Time, Next)> {
        let deadline = |at: Option<Time>, gone: bool, side| at.filter(|_| !gone).map(|at| (at, Next::Deadline(side)));
        let client = deadline(self.client.session.deadline(), self.client.gone, Side::Client);
        let server = deadline(self.server.session.deadline(), self.server.gone, Side::Server);
        let arrival = self.arrival().map(|(at, from)| (at, Next::Arrives(from)));
        [arrival, client, server].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn deliver(&mut self, from: Side) {
        let now = self.now;
        let line = match from {
            Side::Client => &mut self.client.sends,
            Side::Server => &mut self.server.sends,
        };
        let Some((_, segment)) = line.under_way.pop_front().filter(|_| self.lost.is_none()) else { return };
        let Some(mut bytes) = segment else {
            match from {
                Side::Client => self.server.disconnect(),
                Side::Server => self.client.disconnect(),
            }
            return;
        };
        line.bytes -= bytes.len();
        let loss = self.loss.filter(|(side, ..)| *side == from);
        if let Some((_, last, _)) = loss {
            bytes.truncate(usize::try_from(last - line.arrived).unwrap_or(usize::MAX));
        }
        line.arrived += bytes.len() as u64;
        let arrived = line.arrived;
        if let Some(wire) = &mut self.wire {
            wire.push((from, bytes.clone()));
        }
        match from {
            Side::Client if !self.server.gone => {
                let result = self.server.session.receive(bytes, now);
                self.server.settle(result, now, &self.network);
            }
            Side::Server if !self.client.gone => {
                let result = self.client.session.receive(bytes, now);
                self.client.settle(result, now, &self.network);
            }
            _ => {}
        }
        if let Some((_, _, loss)) = loss.filter(|(_, last, _)| *last == arrived) {
            self.lose_now(loss);
        }
    }
}
