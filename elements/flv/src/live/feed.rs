//! One stream for many players: entries are made once and kept in a ring; a player is a cursor into it.
//!
//! The ring keeps what the slowest player has not taken, within limits, and the group of pictures for whoever joins. A player that
//! is somewhat behind is spared pictures that no other needs; one that falls behind the ring goes on at the newest key frame. What it
//! missed is counted, and headers are never missed.

pub(super) mod group;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use millstream_core::Time;
use millstream_core::settings::units::{ByteSize, DurationSetting};
use tokio::sync::Notify;

use super::herd::Herds;
use super::{Class, Head};
use crate::wire::TagKind;

/// A player that is behind by more than so many quarters of what it may be is about to lose everything up to a key frame. It is spared
/// pictures that no other needs, up to the last quarter. Less says nothing: a publisher that is faster than time, and the group of pictures
/// that who joins begins with, put players behind who take all they are given.
const BEHIND_QUARTERS: u32 = 3;

/// Limits of a [`Feed`].
#[derive(Clone, Copy, Debug)]
pub struct FeedLimits {
    /// Most bytes that wait for slow players, and that a group of pictures may have to be kept for those who join.
    pub bytes: usize,
    /// Most milliseconds between the newest message and one that a slow player has not taken.
    pub backlog_ms: u32,
    /// Whether who joins begins with the group of pictures that has begun, instead of the next one.
    pub gop_cache: bool,
    /// The stream waits for who takes it, by [`Feed::has_room`]: nothing is left out of what was not taken, and `bytes` is when to wait.
    pub waits: bool,
}

impl FeedLimits {
    /// As settings say them.
    pub fn new(bytes: ByteSize, backlog: DurationSetting, gop_cache: bool) -> Self {
        Self {
            bytes: usize::try_from(bytes.0).unwrap_or(usize::MAX),
            backlog_ms: u32::try_from(Time::from_nanos(backlog.as_nanos()).millis()).unwrap_or(u32::MAX),
            gop_cache,
            waits: false,
        }
    }
}

/// Tags that players missed, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Pictures that no other needs, of who was somewhat behind.
    pub thinned: u64,
    /// Everything up to the newest key frame, of who was too far behind.
    pub skipped: u64,
}

impl Missed {
    /// All of them.
    pub fn total(self) -> u64 {
        self.thinned.saturating_add(self.skipped)
    }
}

/// A tag as a server keeps it for its players.
pub trait FeedEntry: Send + Sync {
    /// What players need it for.
    fn class(&self) -> Class;
    /// What it carries.
    fn kind(&self) -> TagKind;
    /// Time in milliseconds, modulo 2^32.
    fn timestamp(&self) -> u32;
    /// Bytes of its body.
    fn size(&self) -> usize;
    /// Whether it is a picture that no other needs. Asked only where a player is behind.
    fn is_disposable(&self) -> bool {
        false
    }
    /// Whether it takes the header of its kind out of force, and is for nobody: see [`CLEARED_METADATA`](super::CLEARED_METADATA).
    fn clears(&self) -> bool;
    /// The same at another time: headers that are older than what a player begins with.
    #[must_use]
    fn at(&self, timestamp: u32) -> Self;
}

/// A stream that players follow.
#[derive(Debug)]
pub struct Feed<E> {
    ring: Mutex<Ring<E>>,
    /// Somebody took something.
    taken: Notify,
    /// Players that one loop writes to.
    pub(super) herds: Herds<E>,
}

#[derive(Debug)]
struct Ring<E> {
    limits: FeedLimits,
    entries: VecDeque<Arc<E>>,
    /// Number of the first entry.
    first: u64,
    bytes: usize,
    /// Metadata and sequence headers that are in force, in the order in which they came, with their numbers.
    heads: Vec<(u64, Arc<E>)>,
    /// Where the newest group of pictures begins.
    gop: Option<u64>,
    has_video: bool,
    has_audio: bool,
    players: Vec<Option<Player>>,
    /// Somebody joined or left.
    news: bool,
    /// Who waits for that.
    newsreader: Option<Waker>,
    missed: Missed,
    ended: bool,
    /// Players are asked to move there when they have taken everything.
    moving: Option<Arc<str>>,
    /// Somebody waits for players to take something.
    room_wanted: bool,
}

#[derive(Debug)]
struct Player {
    /// Number of the next entry; [`group::SITS`] while a group takes for it.
    at: u64,
    /// It takes for others, and is no player itself.
    is_group: bool,
    waker: Option<Waker>,
}

impl<E: FeedEntry> Feed<E> {
    /// A stream of which nothing has come.
    pub fn new(limits: FeedLimits) -> Arc<Self> {
        let ring = Ring {
            limits,
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            heads: Vec::new(),
            gop: None,
            has_video: false,
            has_audio: false,
            players: Vec::new(),
            news: false,
            newsreader: None,
            missed: Missed::default(),
            ended: false,
            moving: None,
            room_wanted: false,
        };
        Arc::new(Self { ring: Mutex::new(ring), taken: Notify::new(), herds: Herds::default() })
    }

    /// Adds a tag. Players hear of it at once, or with the next that is not `quiet`.
    pub fn push(&self, entry: E, quiet: bool) {
        let entry = Arc::new(entry);
        let woken = {
            let mut ring = self.lock();
            ring.push(entry);
            if quiet { Vec::new() } else { ring.wake() }
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Tells players of what was added quietly.
    pub fn wake(&self) {
        let woken = self.lock().wake();
        woken.into_iter().for_each(Waker::wake);
    }

    /// No more tags come.
    pub fn end(&self) {
        let woken = {
            let mut ring = self.lock();
            ring.ended = true;
            ring.wake()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// No more tags come here, but elsewhere: players are asked to move there when they have taken everything. See [`Cursor::moves`].
    pub fn move_on(&self, to: &str) {
        let woken = {
            let mut ring = self.lock();
            ring.moving = Some(to.into());
            ring.wake()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Ready when somebody has joined or left since this was ready. For one who asks.
    pub fn poll_news(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ring = self.lock();
        if std::mem::take(&mut ring.news) {
            return Poll::Ready(());
        }
        match &mut ring.newsreader {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Whether less waits for the slowest player than half of what the feed may keep. Where it does not, [`Feed::taken`] says when to look
    /// again.
    pub fn has_room(&self) -> bool {
        let mut ring = self.lock();
        let enough = ring.limits.bytes / 2;
        if ring.bytes >= enough {
            // What was taken since the last push is still counted.
            ring.prune();
        }
        ring.room_wanted = ring.bytes >= enough;
        !ring.room_wanted
    }

    /// Waits until a player takes something.
    pub async fn taken(&self) {
        self.taken.notified().await;
    }

    /// Whether no more tags come.
    pub fn is_ended(&self) -> bool {
        self.lock().ended
    }

    /// Whether something waits for a player.
    pub fn is_behind(&self) -> bool {
        let ring = self.lock();
        ring.players.iter().flatten().any(|player| player.at < ring.end())
    }

    /// How many tags wait for the player that is furthest behind.
    pub fn waiting(&self) -> u64 {
        let ring = self.lock();
        ring.players.iter().flatten().map(|player| ring.end().saturating_sub(player.at)).max().unwrap_or(0)
    }

    /// How many players there are.
    pub fn players(&self) -> usize {
        self.lock().players.iter().flatten().filter(|player| !player.is_group).count()
    }

    /// Whether there is video.
    pub fn has_video(&self) -> bool {
        self.lock().has_video
    }

    /// Whether there is audio.
    pub fn has_audio(&self) -> bool {
        self.lock().has_audio
    }

    /// Headers that are in force: those with which a player begins.
    pub fn heads(&self) -> Vec<Arc<E>> {
        self.lock().heads.iter().map(|(_, head)| head.clone()).collect()
    }

    /// Tags that players missed since the last call.
    pub fn take_missed(&self) -> Missed {
        std::mem::take(&mut self.lock().missed)
    }

    /// A new player, which begins with the headers and the group of pictures.
    pub fn join(self: &Arc<Self>) -> Cursor<E> {
        self.join_from(true)
    }

    /// A player of another stream that goes over to this: it begins with the headers and the next key frame.
    pub fn join_next(self: &Arc<Self>) -> Cursor<E> {
        self.join_from(false)
    }

    fn join_from(self: &Arc<Self>, cached: bool) -> Cursor<E> {
        let mut ring = self.lock();
        let end = ring.end();
        let gop = ring.gop.filter(|_| cached && ring.limits.gop_cache);
        // Without video there is nothing to wait for.
        let at = gop.unwrap_or(end);
        let slot = ring.add(Player { at, is_group: false, waker: None });
        let heads = ring.heads.iter().map(|(_, head)| head.clone()).collect();
        let newsreader = ring.tell_news();
        drop(ring);
        newsreader.into_iter().for_each(Waker::wake);
        Cursor { feed: self.clone(), slot, heads, needs_key: true, counts: false, asked: false, moves: None }
    }
}

impl<E> Ring<E> {
    fn add(&mut self, player: Player) -> usize {
        match self.players.iter().position(Option::is_none) {
            Some(free) => {
                self.players[free] = Some(player);
                free
            }
            None => {
                self.players.push(Some(player));
                self.players.len() - 1
            }
        }
    }

    /// Somebody joined or left: gives who is to be woken for it.
    fn tell_news(&mut self) -> Option<Waker> {
        self.news = true;
        self.newsreader.take()
    }
}

impl<E> Feed<E> {
    fn lock(&self) -> MutexGuard<'_, Ring<E>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: FeedEntry> Ring<E> {
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn push(&mut self, entry: Arc<E>) {
        match entry.class() {
            Class::Head(name) => {
                self.heads.retain(|(_, head)| head.class() != Class::Head(name));
                if entry.clears() {
                    return;
                }
                self.heads.push((self.end(), entry.clone()));
            }
            Class::Key if entry.kind() == TagKind::Video => self.gop = Some(self.end()),
            Class::Key | Class::Frame => {}
        }
        self.has_video |= entry.kind() == TagKind::Video;
        self.has_audio |= entry.kind() == TagKind::Audio;
        self.bytes += entry.size();
        self.entries.push_back(entry);
        self.prune();
    }

    /// Lets go of what nobody needs, and of what slow players had too long for.
    fn prune(&mut self) {
        let slowest = self.players.iter().flatten().map(|player| player.at).filter(|at| *at != group::SITS).min();
        let kept = self.gop.filter(|_| self.limits.gop_cache);
        let needed = [slowest, kept].into_iter().flatten().min().unwrap_or_else(|| self.end());
        let newest = self.entries.back().map_or(0, |entry| entry.timestamp());
        while let Some(front) = self.entries.front() {
            let age = newest.wrapping_sub(front.timestamp());
            // A timestamp that jumped back looks like a great age.
            let too_old = age > self.limits.backlog_ms && age < 1 << 31 && Some(self.first) < self.gop;
            let too_much = self.bytes > self.limits.bytes || too_old;
            if self.first >= needed && (self.limits.waits || !too_much) {
                break;
            }
            self.bytes -= front.size();
            self.entries.pop_front();
            self.first += 1;
        }
        self.gop = self.gop.filter(|gop| *gop >= self.first);
    }

    /// Pictures that no other needs and that are older than this are not given to a player at this place, which is behind.
    fn thinned_before(&self, at: u64) -> Option<u32> {
        let quarter = self.limits.backlog_ms / 4;
        let (next, newest) =
            (self.entries.get((at - self.first) as usize)?.timestamp(), self.entries.back()?.timestamp());
        let is_behind = is_before(next, newest.wrapping_sub(quarter.saturating_mul(BEHIND_QUARTERS)));
        // Where timestamps have begun anew, what is left of those before says nothing.
        (!self.limits.waits && is_behind && is_before(next, newest)).then(|| newest.wrapping_sub(quarter))
    }

    fn wake(&mut self) -> Vec<Waker> {
        self.players.iter_mut().flatten().filter_map(|player| player.waker.take()).collect()
    }
}

/// Whether a time is before another, both modulo 2^32.
fn is_before(time: u32, other: u32) -> bool {
    other.wrapping_sub(time).wrapping_sub(1) < 1 << 31
}

/// Where a player is in a feed.
#[derive(Debug)]
pub struct Cursor<E> {
    feed: Arc<Feed<E>>,
    slot: usize,
    /// Headers to begin with.
    heads: Vec<Arc<E>>,
    /// Video goes on at the next key frame.
    needs_key: bool,
    /// What is left out until then is missed: the player had begun before.
    counts: bool,
    /// It was told where to move.
    asked: bool,
    /// Where, until somebody asks.
    moves: Option<Arc<str>>,
}

/// What a [`Cursor`] that stops at a key frame came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Tags were taken.
    Some,
    /// A key frame is next, and another connection may go on with it.
    AtKey,
    /// The stream is over.
    End,
}

impl<E: FeedEntry> Cursor<E> {
    /// Takes what there is, up to some `budget` of bytes. False at the end of the stream. Nothing is taken where the player is to be asked
    /// to move.
    ///
    /// Headers to begin with come with the first frame, and at its time (metadata at 0), so that a player's timeline begins with that frame.
    pub fn poll_take(&mut self, cx: &mut Context<'_>, budget: usize, into: &mut Vec<Arc<E>>) -> Poll<bool> {
        self.poll_until(cx, budget, into, |_| false).map(|taken| taken == Taken::Some)
    }

    /// The same up to the next key frame, which it does not take. Where there is no video, any tag is as good.
    pub fn poll_take_to_key(&mut self, cx: &mut Context<'_>, budget: usize, into: &mut Vec<Arc<E>>) -> Poll<Taken> {
        if !self.feed.has_video() {
            return Poll::Ready(Taken::AtKey);
        }
        self.poll_until(cx, budget, into, |entry| entry.class() == Class::Key && entry.kind() == TagKind::Video)
    }

    fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        into: &mut Vec<Arc<E>>,
        stop: impl Fn(&E) -> bool,
    ) -> Poll<Taken> {
        let start = into.len();
        let mut ring = self.feed.lock();
        let Some(Some(player)) = ring.players.get(self.slot) else { return Poll::Ready(Taken::End) };
        let mut at = player.at;
        if at < ring.first {
            // What came meanwhile is of no use before it.
            let newest = ring.gop.unwrap_or(ring.first);
            ring.missed.skipped += newest - at;
            // Those that it has, and those that are still to come, it needs no second time.
            for (_, head) in ring.heads.iter().filter(|(number, _)| (at..newest).contains(number)) {
                self.heads.retain(|other| other.class() != head.class());
                self.heads.push(head.clone());
            }
            at = newest;
            (self.needs_key, self.counts) = (true, true);
        }
        let thinned_before = ring.thinned_before(at).filter(|_| self.heads.is_empty());
        let (mut bytes, mut thinned, mut skipped, mut stopped) = (0, 0, 0, false);
        while bytes < budget
            && let Some(entry) = ring.entries.get((at - ring.first) as usize)
        {
            if stop(entry) {
                stopped = true;
                break;
            }
            at += 1;
            if self.needs_key && entry.kind() == TagKind::Video {
                match entry.class() {
                    Class::Key => (self.needs_key, self.counts) = (false, false),
                    Class::Head(_) => {}
                    Class::Frame => {
                        skipped += u64::from(self.counts);
                        continue;
                    }
                }
            }
            if thinned_before.is_some_and(|time| is_before(entry.timestamp(), time)) && entry.is_disposable() {
                thinned += 1;
                continue;
            }
            bytes += entry.size();
            into.push(entry.clone());
        }
        ring.missed.thinned += thinned;
        ring.missed.skipped += skipped;
        let (ended, caught_up) = (ring.ended, at == ring.end());
        let moves = ring.moving.clone().filter(|_| caught_up && !self.asked);
        let Some(Some(player)) = ring.players.get_mut(self.slot) else { return Poll::Ready(Taken::End) };
        player.at = at;
        if !self.heads.is_empty() && (into.len() > start || (ended && caught_up)) {
            let is_frame = |entry: &&Arc<E>| !matches!(entry.class(), Class::Head(_));
            let begins = into.iter().skip(start).find(is_frame).map(|entry| entry.timestamp());
            let in_time = |head: Arc<E>| match (head.class(), begins) {
                // Metadata at any other time is a stream of subtitles to ffmpeg.
                (Class::Head(Head::MetaData), _) if head.timestamp() != 0 => Arc::new(head.at(0)),
                (Class::Head(Head::Video(_) | Head::Audio(_)), Some(time)) => Arc::new(head.at(time)),
                _ => head,
            };
            into.splice(start..start, self.heads.drain(..).map(in_time));
        }
        if !into.is_empty() {
            // Only for who waits for room: with a thousand players, each of their turns would look at all of them.
            if std::mem::take(&mut ring.room_wanted) {
                ring.prune();
                self.feed.taken.notify_one();
            }
            return Poll::Ready(Taken::Some);
        }
        if stopped {
            return Poll::Ready(Taken::AtKey);
        }
        if ended && caught_up {
            return Poll::Ready(Taken::End);
        }
        if moves.is_some() {
            (self.moves, self.asked) = (moves, true);
            return Poll::Ready(Taken::Some);
        }
        player.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The player begins anew, on another connection: with the headers, and with a key frame. `skip` leaves out what waits for it but the
    /// newest group of pictures, and counts it, as it does what it leaves out up to the key frame.
    pub fn begin_anew(&mut self, skip: bool) {
        let mut guard = self.feed.lock();
        let ring = &mut *guard;
        // Of who had not begun nothing is missed.
        self.counts = !self.needs_key || self.counts;
        self.needs_key = true;
        let newest = ring.gop.filter(|_| ring.limits.gop_cache).unwrap_or_else(|| ring.end());
        let Some(Some(player)) = ring.players.get_mut(self.slot) else { return };
        if skip {
            ring.missed.skipped += newest.saturating_sub(player.at);
            player.at = player.at.max(newest);
        }
        // Headers that still wait in the ring come at their place.
        let at = player.at.max(ring.first);
        self.heads = ring.heads.iter().filter(|(number, _)| *number < at).map(|(_, head)| head.clone()).collect();
    }

    /// The player takes no more: what still waits for it is missed.
    pub fn give_up(&mut self) {
        let mut guard = self.feed.lock();
        let ring = &mut *guard;
        let end = ring.end();
        if let Some(Some(player)) = ring.players.get_mut(self.slot) {
            ring.missed.skipped += end.saturating_sub(player.at);
            player.at = end;
        }
    }

    /// Where the player is to move, once: empty for where it is. It has taken everything then.
    pub fn moves(&mut self) -> Option<Arc<str>> {
        self.moves.take()
    }

    /// Video goes on at the next key frame: the player did not want any for a while.
    pub fn resume_at_key(&mut self) {
        self.needs_key = true;
    }
}

impl<E> Drop for Cursor<E> {
    fn drop(&mut self) {
        let mut ring = self.feed.lock();
        if let Some(slot) = ring.players.get_mut(self.slot) {
            *slot = None;
        }
        let newsreader = ring.tell_news();
        drop(ring);
        newsreader.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests;
