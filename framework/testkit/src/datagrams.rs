//! Datagrams on the network in memory: they are late, lost, doubled and overtaken as the weather says.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use millstream_core::env::Timer;
use millstream_core::net::{MAX_DATAGRAM, NetDatagrams};
use millstream_core::{Clock, Time, TimeDelta};

use crate::Weather;

/// Of so many datagrams the weather counts.
const THOUSAND: u64 = 1000;

/// Every socket of a network, and what happens to what they send.
#[derive(Default)]
pub(crate) struct Posts {
    open: HashMap<SocketAddr, Arc<Mutex<Post>>>,
    /// Sockets that are seen at another address.
    moved: HashMap<SocketAddr, SocketAddr>,
    sent: u64,
    lost: u64,
    dice: u64,
}

/// Datagrams under way to one socket, by the time of their arrival.
#[derive(Default)]
pub(crate) struct Post {
    under_way: BTreeMap<(Time, u64), (SocketAddr, Bytes)>,
    reader: Option<Waker>,
}

impl Posts {
    pub(crate) fn open(&mut self, local: SocketAddr) -> io::Result<Arc<Mutex<Post>>> {
        // A socket that was dropped has left its post here, for itself.
        if self.open.get(&local).is_some_and(|post| Arc::strong_count(post) > 1) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let post = Arc::<Mutex<Post>>::default();
        self.open.insert(local, post.clone());
        Ok(post)
    }

    pub(crate) fn move_to(&mut self, socket: SocketAddr, seen: SocketAddr) {
        self.moved.insert(socket, seen);
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    pub(crate) fn send(
        &mut self,
        now: Time,
        weather: &Weather,
        silent: bool,
        way: (SocketAddr, SocketAddr),
        bytes: &[u8],
    ) {
        let from = self.moved.get(&way.0).copied().unwrap_or(way.0);
        // Who was seen elsewhere is not reached any more where it is no longer.
        let to = match self.moved.iter().find(|(_, seen)| **seen == way.1) {
            Some((socket, _)) => Some(*socket),
            None => Some(way.1).filter(|to| !self.moved.contains_key(to)),
        };
        let copies = 1 + usize::from(self.roll() < u64::from(weather.duplicates));
        for _ in 0..copies {
            let is_lost = silent || self.roll() < u64::from(weather.loss);
            let late = self.roll().cast_signed().saturating_mul(weather.jitter.nanos() / THOUSAND.cast_signed());
            let Some(post) = to.and_then(|to| self.open.get(&to)).filter(|_| !is_lost) else {
                self.lost += 1;
                continue;
            };
            self.sent += 1;
            let due = now + weather.delay + TimeDelta::from_nanos(late);
            let mut post = post.lock().unwrap_or_else(PoisonError::into_inner);
            post.under_way.insert((due, self.sent), (from, Bytes::copy_from_slice(bytes)));
            post.reader.take().into_iter().for_each(Waker::wake);
        }
    }

    /// 0 to 999, the same row in every run (Knuth's MMIX generator).
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % THOUSAND
    }
}

/// Brings a datagram on its way.
pub(crate) type Route = Box<dyn Fn(SocketAddr, &[u8]) + Send + Sync>;

/// A socket for datagrams.
pub(crate) struct Socket {
    clock: Arc<dyn Clock>,
    local: SocketAddr,
    post: Arc<Mutex<Post>>,
    route: Route,
    timer: Mutex<Timer>,
}

impl Socket {
    pub(crate) fn new(clock: Arc<dyn Clock>, local: SocketAddr, post: Arc<Mutex<Post>>, route: Route) -> Self {
        Self { clock, local, post, route, timer: Mutex::default() }
    }
}

impl NetDatagrams for Socket {
    fn poll_receive(&self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<SocketAddr>> {
        let mut timer = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let due = {
                let mut post = self.post.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(first) = post.under_way.first_entry().filter(|first| first.key().0 <= self.clock.now()) {
                    let (from, bytes) = first.remove();
                    into.put_slice(bytes.get(..MAX_DATAGRAM).unwrap_or(&bytes));
                    return Poll::Ready(Ok(from));
                }
                post.reader = Some(cx.waker().clone());
                post.under_way.first_key_value().map(|((due, _), _)| *due)
            };
            if timer.poll_until(due, &*self.clock, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn try_send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        (self.route)(to, bytes);
        Ok(())
    }

    fn local(&self) -> SocketAddr {
        self.local
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::net::Net;

    use super::*;
    use crate::{SimNet, TestClock};

    const A: ([u8; 4], u16) = ([10, 0, 0, 1], 5000);
    const B: ([u8; 4], u16) = ([10, 0, 0, 2], 6000);

    fn received(socket: &Arc<dyn NetDatagrams>) -> Vec<(SocketAddr, Vec<u8>)> {
        std::iter::from_fn(|| {
            let mut into = BytesMut::new();
            match socket.poll_receive(&mut Context::from_waker(Waker::noop()), &mut into) {
                Poll::Ready(from) => Some((from.unwrap(), into.to_vec())),
                Poll::Pending => None,
            }
        })
        .collect()
    }

    #[test]
    fn datagrams_are_late_lost_doubled_and_overtaken() {
        let clock = TestClock::default();
        let net = SimNet::new(Arc::new(clock.clone()));
        let [a, b] = [A, B].map(|address| net.bind(address.into()).unwrap());
        assert!(net.bind(A.into()).is_err());
        let (delay, jitter) = (TimeDelta::from_millis(20), TimeDelta::from_millis(50));
        net.set_weather(Weather { delay, jitter, loss: 100, duplicates: 100, ..Weather::default() });
        (0..=255).for_each(|number| a.try_send(B.into(), &[number]).unwrap());
        assert!(received(&b).is_empty());
        clock.advance(delay + jitter);
        let numbers: Vec<u8> = received(&b).iter().map(|(_, bytes)| bytes[0]).collect();
        let mut unique = numbers.clone();
        unique.sort_unstable();
        assert_ne!(numbers, unique, "some have overtaken others");
        unique.dedup();
        assert!((200..256).contains(&unique.len()), "{} of 256", unique.len());
        assert!(numbers.len() > unique.len() && net.lost_datagrams() > 0);
    }

    #[test]
    fn who_has_moved_is_seen_elsewhere_and_reached_there_only() {
        let net = SimNet::new(Arc::new(TestClock::default()));
        let [a, b] = [A, B].map(|address| net.bind(address.into()).unwrap());
        let elsewhere = SocketAddr::from(([10, 0, 0, 9], 7000));
        net.move_datagrams(A.into(), elsewhere);
        a.try_send(B.into(), b"x").unwrap();
        assert_eq!(received(&b), [(elsewhere, b"x".to_vec())]);
        b.try_send(elsewhere, b"y").unwrap();
        b.try_send(A.into(), b"z").unwrap();
        assert_eq!(received(&a), [(B.into(), b"y".to_vec())]);
    }
}
