//! Players that have taken everything and want all that comes: one loop writes to all of them.
//!
//! A player has a task, which hears what it says and knows what it has been sent. To wake a thousand of them for each picture costs more
//! than a third of what it costs to send it: tasks, buffers and sockets are all over the memory. So a player that has caught up *sits* with
//! others, and its task sleeps. Who does not take a write whole, or says something, *stands*: it goes on by itself, from where it is, and
//! sits again when it has caught up.

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use millstream_core::Env;
use millstream_core::net::DirectWrite;

use super::feed::group::{Batch, Group, Slot};
use super::{Class, Cursor, FeedEntry, Head};

/// Players of a loop. A turn of it takes some milliseconds; more loops run on more cores.
const SEATS: usize = 256;
/// Below so many players of a feed, their own tasks are as good.
const CROWD: usize = 8;
/// Bytes that a loop takes at a time.
const BUDGET: usize = 256 << 10;
/// Slices of one write.
const MAX_SLICES: usize = 64;

/// A tag that is sent to most players in the same form.
pub trait Wire: FeedEntry {
    /// That form, in order.
    fn wire(&self) -> &[Bytes];
}

/// The loops of a feed.
#[derive(Debug)]
pub(super) struct Herds<E>(Mutex<Vec<Arc<Herd>>>, std::marker::PhantomData<fn(E)>);

impl<E> Default for Herds<E> {
    fn default() -> Self {
        Self(Mutex::default(), std::marker::PhantomData)
    }
}

/// A loop.
#[derive(Debug)]
struct Herd {
    /// Of its group.
    slot: Slot,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    seats: Vec<Arc<Mutex<Seated>>>,
    /// The loop has ended.
    is_over: bool,
}

/// A player while it sits.
struct Seated {
    /// Where it is written to; nothing when it stands.
    to: Option<Arc<dyn DirectWrite>>,
    slot: Slot,
    /// It has, or `rest` has, everything before the entry with this number.
    at: u64,
    sent: u64,
    last: Option<u32>,
    rest: Vec<Bytes>,
    waker: Option<Waker>,
}

impl std::fmt::Debug for Seated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seated").field("at", &self.at).field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// A player's seat. Who drops it is written to no more.
#[derive(Debug)]
pub struct Seat(Arc<Mutex<Seated>>);

/// What a player that stands has to know.
#[derive(Debug, Default)]
pub struct Stood {
    /// What it is still to be sent of what was taken for it.
    pub rest: Vec<Bytes>,
    /// Bytes that it was sent since it sat down, or since [`Seat::take_sent`].
    pub sent: u64,
    /// Time of the last tag, in milliseconds.
    pub last: Option<u32>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seat {
    /// Ready when the player stands: it goes on with [`Cursor::stand_up`].
    pub fn poll_stands(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut seated = lock(&self.0);
        if seated.to.is_none() {
            return Poll::Ready(());
        }
        match &mut seated.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Bytes that it was sent since the last call.
    pub fn take_sent(&self) -> u64 {
        std::mem::take(&mut lock(&self.0).sent)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.0).to = None;
    }
}

impl<E: Wire + 'static> Cursor<E> {
    /// Sits down, if the player has caught up and there are enough others. Until it stands, nobody else writes to `to`.
    pub fn sit_down(
        &mut self,
        to: impl FnOnce() -> Option<Arc<dyn DirectWrite>>,
        env: &Env,
        waker: &Waker,
    ) -> Option<Seat> {
        if !self.is_plain() || !self.feed().is_crowded(CROWD) {
            return None;
        }
        let herd = self.herd(env);
        // While it writes it is not at the end either.
        let mut members = herd.members.try_lock().ok()?;
        if members.is_over {
            return None;
        }
        let to = Some(to()?);
        let (at, slot) = self.sit(herd.slot)?;
        let waker = Some(waker.clone());
        let seated = Arc::new(Mutex::new(Seated { to, slot, at, sent: 0, last: None, rest: Vec::new(), waker }));
        members.seats.push(seated.clone());
        Some(Seat(seated))
    }

    /// The player goes on by itself.
    pub fn stand_up(&mut self, seat: &Seat) -> Stood {
        // As long as this is locked, the group keeps what has not been written here.
        let mut seated = lock(&seat.0);
        seated.to = None;
        self.stand(seated.at);
        Stood { rest: std::mem::take(&mut seated.rest), sent: std::mem::take(&mut seated.sent), last: seated.last }
    }

    /// A loop with a free seat.
    fn herd(&self, env: &Env) -> Arc<Herd> {
        let mut herds = lock(&self.feed().herds.0);
        herds.retain(|herd| herd.members.try_lock().map_or(true, |members| !members.is_over));
        let has_room = |herd: &&Arc<Herd>| herd.members.try_lock().is_ok_and(|members| members.seats.len() < SEATS);
        if let Some(herd) = herds.iter().find(has_room) {
            return herd.clone();
        }
        let group = Group::new(self.feed());
        let herd = Arc::new(Herd { slot: group.slot(), members: Mutex::default() });
        herds.push(herd.clone());
        env.tasks.spawn(Box::pin(herd.clone().run(group))).detach();
        herd
    }
}

impl Herd {
    async fn run<E: Wire>(self: Arc<Self>, mut group: Group<E>) {
        loop {
            let mut taken = Vec::new();
            let batch = poll_fn(|cx| group.poll_batch(cx, BUDGET, &mut taken)).await;
            let mut members = lock(&self.members);
            let mut released = Vec::new();
            match batch {
                Batch::Taken(end) => {
                    let batch = Written::new(&taken, end);
                    members.seats.retain(|seat| batch.write_to(seat, &mut released));
                    group.commit(end, &released.iter().map(|(slot, _)| *slot).collect::<Vec<_>>());
                    members.is_over = members.seats.is_empty();
                }
                Batch::Over(at) => {
                    members.seats.drain(..).for_each(|seat| release(&mut lock(&seat), &mut released));
                    group.commit(at, &released.iter().map(|(slot, _)| *slot).collect::<Vec<_>>());
                    members.is_over = true;
                }
            }
            let is_over = members.is_over;
            drop(members);
            released.into_iter().filter_map(|(_, waker)| waker).for_each(Waker::wake);
            if is_over {
                return;
            }
        }
    }
}

/// Those who stand, and whom to wake for it.
type Released = Vec<(Slot, Option<Waker>)>;

fn release(seated: &mut Seated, released: &mut Released) {
    if seated.to.take().is_some() {
        released.push((seated.slot, seated.waker.take()));
    }
}

/// What every player is written.
struct Written<'a> {
    pieces: Vec<&'a Bytes>,
    slices: Vec<IoSlice<'a>>,
    len: usize,
    end: u64,
    last: Option<u32>,
}

impl<'a> Written<'a> {
    fn new<E: Wire>(taken: &'a [Arc<E>], end: u64) -> Self {
        let pieces: Vec<_> = taken.iter().flat_map(|entry| entry.wire()).collect();
        let slices = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let is_timed = |entry: &&Arc<E>| entry.class() != Class::Head(Head::MetaData);
        let last = taken.iter().rev().find(is_timed).map(|entry| entry.timestamp());
        let len = pieces.iter().map(|piece| piece.len()).sum();
        Self { pieces, slices, len, end, last }
    }

    /// False when the player does not sit any more.
    fn write_to(&self, seat: &Mutex<Seated>, released: &mut Released) -> bool {
        let mut seated = lock(seat);
        let Some(to) = &seated.to else { return false };
        let mut sent = 0;
        for slices in self.slices.chunks(MAX_SLICES) {
            let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
            // What is wrong with it its owner will meet as well.
            let taken = to.try_write(slices).unwrap_or(0);
            sent += taken;
            if taken < wanted {
                break;
            }
        }
        seated.at = self.end;
        seated.sent += sent as u64;
        seated.last = self.last.or(seated.last);
        if sent == self.len {
            return true;
        }
        seated.rest = self.behind(sent);
        release(&mut seated, released);
        false
    }

    /// All but so many bytes.
    fn behind(&self, mut sent: usize) -> Vec<Bytes> {
        let mut rest = Vec::new();
        for piece in &self.pieces {
            let skipped = sent.min(piece.len());
            sent -= skipped;
            if skipped < piece.len() {
                rest.push(piece.slice(skipped..));
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests;
