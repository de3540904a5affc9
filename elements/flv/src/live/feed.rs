//! One stream for many players: entries are made once and kept in a ring; a player is a cursor into it.
//!
//! The ring keeps what the slowest player has not taken, within limits, and the group of pictures for whoever joins. A player that
//! is somewhat behind is spared pictures that no other needs; one that falls behind the ring goes on at the newest key frame. What it
//! missed is counted, and headers are never missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use millstream_core::Time;
use millstream_core::settings::units::{ByteSize, DurationSetting};
use tokio::sync::Notify;

use super::{Class, Head};
use crate::wire::TagKind;

/// A player that is behind by this part of what it may be is spared pictures that no other needs.
const THIN_PART: u32 = 4;

/// Limits of a [`Feed`].
#[derive(Clone, Copy, Debug)]
pub struct FeedLimits {
    /// Most bytes that wait for slow players, and that a group of pictures may have to be kept for those who join.
    pub bytes: usize,
    /// Most milliseconds between the newest message and one that a slow player has not taken.
    pub backlog_ms: u32,
    /// Whether who joins begins with the group of pictures that has begun, instead of the next one.
    pub gop_cache: bool,
}

impl FeedLimits {
    /// As settings say them.
    pub fn new(bytes: ByteSize, backlog: DurationSetting, gop_cache: bool) -> Self {
        Self {
            bytes: usize::try_from(bytes.0).unwrap_or(usize::MAX),
            backlog_ms: u32::try_from(Time::from_nanos(backlog.as_nanos()).millis()).unwrap_or(u32::MAX),
            gop_cache,
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
    /// Somebody joined or left.
    news: Notify,
    /// Somebody took something.
    taken: Notify,
}

#[derive(Debug)]
struct Ring<E> {
    limits: FeedLimits,
    entries: VecDeque<Arc<E>>,
    /// Number of the first entry.
    first: u64,
    bytes: usize,
    /// Metadata and sequence headers that are in force, in the order in which they came.
    heads: Vec<Arc<E>>,
    /// Where the newest group of pictures begins.
    gop: Option<u64>,
    has_video: bool,
    has_audio: bool,
    players: Vec<Option<Player>>,
    missed: Missed,
    /// Number of the newest header.
    last_head: Option<u64>,
    ended: bool,
    /// Players are asked to move there when they have taken everything.
    moving: Option<Arc<str>>,
    /// Somebody waits for players to take something.
    room_wanted: bool,
}

#[derive(Debug)]
struct Player {
    at: u64,
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
            missed: Missed::default(),
            last_head: None,
            ended: false,
            moving: None,
            room_wanted: false,
        };
        Arc::new(Self { ring: Mutex::new(ring), news: Notify::new(), taken: Notify::new() })
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

    /// Waits until somebody joins or leaves.
    pub async fn news(&self) {
        self.news.notified().await;
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

    /// How many players there are.
    pub fn players(&self) -> usize {
        self.lock().players.iter().flatten().count()
    }

    /// Whether there is video.
    pub fn has_video(&self) -> bool {
        self.lock().has_video
    }

    /// Whether there is audio.
    pub fn has_audio(&self) -> bool {
        self.lock().has_audio
    }

    /// Tags that players missed since the last call.
    pub fn take_missed(&self) -> Missed {
        std::mem::take(&mut self.lock().missed)
    }

    /// A new player, which begins with the headers and the group of pictures.
    pub fn join(self: &Arc<Self>) -> Cursor<E> {
        let mut ring = self.lock();
        let end = ring.end();
        let gop = ring.gop.filter(|_| ring.limits.gop_cache);
        // Without video there is nothing to wait for.
        let at = gop.unwrap_or(end);
        let player = Some(Player { at, waker: None });
        let slot = match ring.players.iter().position(Option::is_none) {
            Some(free) => {
                ring.players[free] = player;
                free
            }
            None => {
                ring.players.push(player);
                ring.players.len() - 1
            }
        };
        let heads = ring.heads.clone();
        drop(ring);
        self.news.notify_one();
        Cursor { feed: self.clone(), slot, heads, needs_key: true, asked: false, moves: None }
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
                self.heads.retain(|head| head.class() != Class::Head(name));
                if entry.clears() {
                    return;
                }
                self.heads.push(entry.clone());
                self.last_head = Some(self.end());
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
        let slowest = self.players.iter().flatten().map(|player| player.at).min();
        let kept = self.gop.filter(|_| self.limits.gop_cache);
        let needed = [slowest, kept].into_iter().flatten().min().unwrap_or_else(|| self.end());
        let newest = self.entries.back().map_or(0, |entry| entry.timestamp());
        while let Some(front) = self.entries.front() {
            let age = newest.wrapping_sub(front.timestamp());
            // A timestamp that jumped back looks like a great age.
            let too_old = age > self.limits.backlog_ms && age < 1 << 31 && Some(self.first) < self.gop;
            if self.first >= needed && self.bytes <= self.limits.bytes && !too_old {
                break;
            }
            if self.first < needed || self.bytes > self.limits.bytes || too_old {
                self.bytes -= front.size();
                self.entries.pop_front();
                self.first += 1;
            }
        }
        self.gop = self.gop.filter(|gop| *gop >= self.first);
    }

    /// Who takes what is older than this is behind by more than a part of what it may be.
    fn thinned_before(&self) -> Option<u32> {
        Some(self.entries.back()?.timestamp().wrapping_sub(self.limits.backlog_ms / THIN_PART))
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
    /// It was told where to move.
    asked: bool,
    /// Where, until somebody asks.
    moves: Option<Arc<str>>,
}

impl<E: FeedEntry> Cursor<E> {
    /// Takes what there is, up to some `budget` of bytes. False at the end of the stream. Nothing is taken where the player is to be asked
    /// to move.
    ///
    /// Headers to begin with come with the first frame, and at its time (metadata at 0), so that a player's timeline begins with that frame.
    pub fn poll_take(&mut self, cx: &mut Context<'_>, budget: usize, into: &mut Vec<Arc<E>>) -> Poll<bool> {
        let start = into.len();
        let mut ring = self.feed.lock();
        let Some(Some(player)) = ring.players.get(self.slot) else { return Poll::Ready(false) };
        let mut at = player.at;
        if at < ring.first {
            // What came meanwhile is of no use before it.
            let newest = ring.gop.unwrap_or(ring.first);
            ring.missed.skipped += newest - at;
            if ring.last_head.is_some_and(|head| (at..newest).contains(&head)) {
                self.heads.clone_from(&ring.heads);
            }
            at = newest;
            self.needs_key = true;
        }
        let thinned_before = ring.thinned_before();
        let mut thinned = 0;
        let mut bytes = 0;
        while bytes < budget
            && let Some(entry) = ring.entries.get((at - ring.first) as usize)
        {
            at += 1;
            if self.needs_key && entry.kind() == TagKind::Video {
                match entry.class() {
                    Class::Key => self.needs_key = false,
                    Class::Head(_) => {}
                    Class::Frame => continue,
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
        let (ended, caught_up) = (ring.ended, at == ring.end());
        let moves = ring.moving.clone().filter(|_| caught_up && !self.asked);
        let Some(Some(player)) = ring.players.get_mut(self.slot) else { return Poll::Ready(false) };
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
            return Poll::Ready(true);
        }
        if ended && caught_up {
            return Poll::Ready(false);
        }
        if moves.is_some() {
            (self.moves, self.asked) = (moves, true);
            return Poll::Ready(true);
        }
        player.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The player begins anew, on another connection: with the headers, and with a key frame. `skip` leaves out what waits for it but the
    /// newest group of pictures, and counts it.
    pub fn begin_anew(&mut self, skip: bool) {
        let mut guard = self.feed.lock();
        let ring = &mut *guard;
        (self.heads, self.needs_key) = (ring.heads.clone(), true);
        let newest = ring.gop.filter(|_| ring.limits.gop_cache).unwrap_or_else(|| ring.end());
        if let (true, Some(Some(player))) = (skip, ring.players.get_mut(self.slot)) {
            ring.missed.skipped += newest.saturating_sub(player.at);
            player.at = player.at.max(newest);
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
        if let Some(slot) = self.feed.lock().players.get_mut(self.slot) {
            *slot = None;
        }
        self.feed.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FeedLimits = FeedLimits { bytes: 10_000, backlog_ms: 5000, gop_cache: true };

    /// A tag of 100 bytes. Metadata at 404 is none.
    struct Entry(TagKind, Class, u32);

    impl FeedEntry for Entry {
        fn class(&self) -> Class {
            self.1
        }

        fn kind(&self) -> TagKind {
            self.0
        }

        fn timestamp(&self) -> u32 {
            self.2
        }

        fn size(&self) -> usize {
            100
        }

        fn is_disposable(&self) -> bool {
            self.0 == TagKind::Video && self.2 % 100 == 1
        }

        fn clears(&self) -> bool {
            self.2 == 404
        }

        fn at(&self, timestamp: u32) -> Self {
            Self(self.0, self.1, timestamp)
        }
    }

    fn config() -> Entry {
        Entry(TagKind::Video, Class::Head(Head::Video(0)), 0)
    }

    fn key(timestamp: u32) -> Entry {
        Entry(TagKind::Video, Class::Key, timestamp)
    }

    fn inter(timestamp: u32) -> Entry {
        Entry(TagKind::Video, Class::Frame, timestamp)
    }

    fn audio(timestamp: u32) -> Entry {
        Entry(TagKind::Audio, Class::Frame, timestamp)
    }

    fn take(cursor: &mut Cursor<Entry>) -> Vec<u32> {
        let mut into = Vec::new();
        let _ = cursor.poll_take(&mut Context::from_waker(Waker::noop()), usize::MAX, &mut into);
        into.iter().map(|entry| entry.timestamp()).collect()
    }

    #[test]
    fn rtmp_v5_who_joins_gets_headers_and_the_group_of_pictures() {
        let feed = Feed::new(LIMITS);
        for content in [config(), key(10), inter(20), audio(25), key(30), audio(35), inter(40)] {
            feed.push(content, false);
        }
        let mut cursor = feed.join();
        assert_eq!(take(&mut cursor), [30, 30, 35, 40], "the header has the time of what it is for");
        feed.push(inter(50), false);
        assert_eq!(take(&mut cursor), [50]);
        assert_eq!(feed.lock().entries.len(), 4, "the group is kept, and nothing before it");
        let mut late = Feed::<Entry>::new(FeedLimits { gop_cache: false, ..LIMITS }).join();
        assert!(take(&mut late).is_empty());
    }

    #[test]
    fn rtmp_v5_headers_come_with_the_first_frame_and_at_its_time() {
        let feed = Feed::new(LIMITS);
        feed.push(config(), false);
        let mut cursor = feed.join();
        assert!(take(&mut cursor).is_empty());
        feed.push(audio(5000), false);
        assert_eq!(take(&mut cursor), [5000, 5000]);
        // Without any frame they come at the end.
        let mut late = feed.join();
        assert!(take(&mut late).is_empty());
        feed.end();
        assert_eq!(take(&mut late), [0]);
    }

    #[test]
    fn rtmp_m11_metadata_that_was_cleared_is_not_given_to_who_joins() {
        let feed = Feed::new(LIMITS);
        let metadata = |timestamp| Entry(TagKind::Script, Class::Head(Head::MetaData), timestamp);
        for entry in [metadata(0), config(), key(10), metadata(404), key(500)] {
            feed.push(entry, false);
        }
        assert_eq!(take(&mut feed.join()), [500, 500], "the configuration and the key frame");
        feed.push(metadata(600), false);
        feed.push(key(700), false);
        assert_eq!(take(&mut feed.join()), [700, 0, 700], "configuration, metadata, key frame");
    }

    #[test]
    fn without_a_cache_a_player_begins_at_the_next_key_frame() {
        let feed = Feed::new(FeedLimits { gop_cache: false, ..LIMITS });
        [config(), key(10), inter(20)].into_iter().for_each(|content| feed.push(content, false));
        assert!(feed.lock().entries.is_empty(), "nobody needs it");
        let mut cursor = feed.join();
        [inter(30), audio(35), key(40), inter(50)].into_iter().for_each(|content| feed.push(content, false));
        assert_eq!(take(&mut cursor), [35, 35, 40, 50]);
    }

    #[test]
    fn rtmp_v6_a_slow_player_loses_the_oldest_and_goes_on_at_a_key_frame() {
        let feed = Feed::new(FeedLimits { bytes: 1000, ..LIMITS });
        [config(), key(5)].into_iter().for_each(|entry| feed.push(entry, false));
        let (mut slow, mut quick) = (feed.join(), feed.join());
        assert_eq!((take(&mut slow), take(&mut quick)), (vec![5, 5], vec![5, 5]));
        let mut seen = 0;
        for at in 1..=24 {
            feed.push(if at % 8 == 1 { key(at * 10) } else { inter(at * 10) }, false);
            seen += take(&mut quick).len();
        }
        assert_eq!((seen, feed.take_missed().total()), (24, 0));
        let got = take(&mut slow);
        assert_eq!(got.first(), Some(&170), "key frames are 10, 90 and 170; ten messages fit");
        assert_eq!(got.len(), 8);
        assert_eq!(feed.take_missed(), Missed { thinned: 0, skipped: 16 });
    }

    #[test]
    fn rtmp_v6_who_is_somewhat_behind_is_spared_pictures_that_no_other_needs() {
        let feed = Feed::new(FeedLimits { backlog_ms: 4000, ..LIMITS });
        let (mut slow, mut quick) = (feed.join(), feed.join());
        for at in 0..=30 {
            // Each second picture is not needed.
            feed.push(if at % 15 == 0 { key(at * 100) } else { inter(at * 100 + at % 2) }, false);
            feed.push(audio(at * 100), false);
            assert_eq!(take(&mut quick).len(), 2);
        }
        let got = take(&mut slow);
        // Behind by 3 s; what is younger than 1 s is whole.
        let spared = (0..20).filter(|at| at % 15 != 0 && at % 2 == 1).count();
        assert_eq!(feed.take_missed(), Missed { thinned: spared as u64, skipped: 0 });
        assert_eq!(got.len() + spared, 62);
        assert!(got.iter().filter(|time| *time % 100 == 1).all(|time| *time > 2000), "{got:?}");
        assert!(is_before(u32::MAX, 5) && !is_before(5, u32::MAX) && !is_before(5, 5));
    }

    #[test]
    fn rtmp_v6_headers_that_changed_while_a_player_was_behind_are_not_missed() {
        let feed = Feed::new(FeedLimits { bytes: 1000, ..LIMITS });
        feed.push(config(), false);
        feed.push(key(10), false);
        let mut slow = feed.join();
        assert_eq!(take(&mut slow), [10, 10]);
        feed.push(Entry(TagKind::Video, Class::Head(Head::Video(0)), 20), false);
        (3..30).for_each(|at| feed.push(if at % 8 == 0 { key(at * 10) } else { inter(at * 10) }, false));
        assert_eq!(take(&mut slow)[..2], [240, 240], "the new header, at the time of the key frame");
        assert_eq!(feed.take_missed().skipped, 22);
    }

    #[test]
    fn a_player_that_left_holds_nothing_back_and_its_place_is_used_again() {
        let feed = Feed::new(LIMITS);
        let first = feed.join();
        feed.push(key(0), false);
        drop(first);
        feed.push(key(10), false);
        assert_eq!(feed.players(), 0);
        assert_eq!(feed.lock().entries.len(), 1);
        let _second = feed.join();
        assert_eq!(feed.players(), 1);
        assert_eq!(feed.lock().players.len(), 1);
    }

    #[test]
    fn the_end_comes_behind_the_last_message() {
        let feed = Feed::new(LIMITS);
        let mut cursor = feed.join();
        feed.push(key(0), false);
        feed.end();
        let mut cx = Context::from_waker(Waker::noop());
        let mut into = Vec::new();
        assert_eq!(cursor.poll_take(&mut cx, 1, &mut into), Poll::Ready(true));
        into.clear();
        assert_eq!(cursor.poll_take(&mut cx, 1, &mut into), Poll::Ready(false));
    }

    #[test]
    fn who_waits_for_room_hears_when_there_is_some_and_never_waits_for_nothing() {
        let feed = Feed::new(FeedLimits { bytes: 1000, gop_cache: false, ..LIMITS });
        let mut cursor = feed.join();
        (0..4).for_each(|at| feed.push(key(at), false));
        assert!(feed.has_room());
        feed.push(key(4), false);
        assert!(!feed.has_room());
        assert_eq!(take(&mut cursor).len(), 5);
        let mut taken = std::pin::pin!(feed.taken());
        assert!(taken.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert!(feed.has_room());
        (5..10).for_each(|at| feed.push(key(at), false));
        assert_eq!(take(&mut cursor).len(), 5, "nobody asked for room yet");
        assert!(feed.has_room(), "all of it was taken, and nothing would come to say so");
    }
}
