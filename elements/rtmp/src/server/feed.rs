//! One stream for many players: messages are chunked once and kept in a ring; a player is a cursor into it.
//!
//! The ring keeps what the slowest player has not taken, within limits, and the group of pictures for whoever joins. A player that
//! falls behind the ring goes on at the next key frame, and what it missed is counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

use super::tags::{Class, classify};
use crate::chunk::{SharedChunks, chunk_once};
use crate::message::Message;
use crate::session::server::ServerSession;
use crate::session::{DEFAULT_CHUNK_SIZE, Media, MediaKind};

/// The message stream that nearly every player has: what is chunked once is chunked for this one.
pub(super) const COMMON_STREAM: u32 = 1;

/// Limits of a [`Feed`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedLimits {
    /// Most bytes that wait for slow players, and that a group of pictures may have to be kept for those who join.
    pub(crate) bytes: usize,
    /// Most milliseconds between the newest message and one that a slow player has not taken.
    pub(crate) backlog_ms: u32,
    /// Whether who joins begins with the group of pictures that has begun, instead of the next one.
    pub(crate) gop_cache: bool,
}

/// What a message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Audio or video.
    Media(Media),
    /// A script body, and its time in milliseconds.
    Data(u32, Bytes),
}

impl Content {
    fn timestamp(&self) -> u32 {
        match self {
            Self::Media(media) => media.timestamp,
            Self::Data(timestamp, _) => *timestamp,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Media(media) => media.payload.len(),
            Self::Data(_, body) => body.len(),
        }
    }

    /// The message for a player's stream.
    pub(crate) fn message(&self, stream: u32) -> Message {
        match self {
            Self::Media(media) => ServerSession::media_message(stream, media),
            Self::Data(timestamp, body) => ServerSession::data_message(stream, *timestamp, body.clone()),
        }
    }
}

/// A message in the ring.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) content: Content,
    /// For [`COMMON_STREAM`] and the default chunk size.
    pub(crate) chunks: SharedChunks,
    class: Class,
}

impl Entry {
    fn new(content: Content) -> Self {
        let chunks = chunk_once(&content.message(COMMON_STREAM), DEFAULT_CHUNK_SIZE);
        let class = classify(&content);
        Self { content, chunks, class }
    }

    fn is_video(&self) -> bool {
        matches!(&self.content, Content::Media(media) if media.kind == MediaKind::Video)
    }
}

/// A stream that players follow.
#[derive(Debug)]
pub(crate) struct Feed {
    ring: Mutex<Ring>,
    /// Somebody joined or left.
    news: Notify,
}

#[derive(Debug)]
struct Ring {
    limits: FeedLimits,
    entries: VecDeque<Arc<Entry>>,
    /// Number of the first entry.
    first: u64,
    bytes: usize,
    /// Metadata and sequence headers that are in force, in the order in which they came.
    heads: Vec<Arc<Entry>>,
    /// Where the newest group of pictures begins.
    gop: Option<u64>,
    has_video: bool,
    players: Vec<Option<Player>>,
    dropped: u64,
    ended: bool,
}

#[derive(Debug)]
struct Player {
    at: u64,
    waker: Option<Waker>,
}

impl Feed {
    pub(crate) fn new(limits: FeedLimits) -> Arc<Self> {
        let ring = Ring {
            limits,
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            heads: Vec::new(),
            gop: None,
            has_video: false,
            players: Vec::new(),
            dropped: 0,
            ended: false,
        };
        Arc::new(Self { ring: Mutex::new(ring), news: Notify::new() })
    }

    /// Adds a message. Players hear of it at once, or with the next that is not `quiet`.
    pub(crate) fn push(&self, content: Content, quiet: bool) {
        let entry = Arc::new(Entry::new(content));
        let woken = {
            let mut ring = self.lock();
            ring.push(entry);
            if quiet { Vec::new() } else { ring.wake() }
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Tells players of what was added quietly.
    pub(crate) fn wake(&self) {
        let woken = self.lock().wake();
        woken.into_iter().for_each(Waker::wake);
    }

    /// No more messages come.
    pub(crate) fn end(&self) {
        let woken = {
            let mut ring = self.lock();
            ring.ended = true;
            ring.wake()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Waits until somebody joins or leaves.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// How many players there are.
    pub(crate) fn players(&self) -> usize {
        self.lock().players.iter().flatten().count()
    }

    /// Whether there is video.
    pub(crate) fn has_video(&self) -> bool {
        self.lock().has_video
    }

    /// Messages that players missed since the last call.
    pub(crate) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.lock().dropped)
    }

    /// A new player, which begins with the headers and the group of pictures.
    pub(crate) fn join(self: &Arc<Self>) -> Cursor {
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
        Cursor { feed: self.clone(), slot, heads, needs_key: true }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn push(&mut self, entry: Arc<Entry>) {
        match &entry.class {
            Class::Head(name) => {
                self.heads.retain(|head| head.class != Class::Head(*name));
                self.heads.push(entry.clone());
            }
            Class::Key if entry.is_video() => self.gop = Some(self.end()),
            Class::Key | Class::Frame => {}
        }
        self.has_video |= entry.is_video();
        self.bytes += entry.content.len();
        self.entries.push_back(entry);
        self.prune();
    }

    /// Lets go of what nobody needs, and of what slow players had too long for.
    fn prune(&mut self) {
        let slowest = self.players.iter().flatten().map(|player| player.at).min();
        let kept = self.gop.filter(|_| self.limits.gop_cache);
        let needed = [slowest, kept].into_iter().flatten().min().unwrap_or_else(|| self.end());
        let newest = self.entries.back().map_or(0, |entry| entry.content.timestamp());
        while let Some(front) = self.entries.front() {
            let age = newest.wrapping_sub(front.content.timestamp());
            // A timestamp that jumped back looks like a great age.
            let too_old = age > self.limits.backlog_ms && age < 1 << 31 && Some(self.first) < self.gop;
            if self.first >= needed && self.bytes <= self.limits.bytes && !too_old {
                break;
            }
            if self.first < needed || self.bytes > self.limits.bytes || too_old {
                self.bytes -= front.content.len();
                self.entries.pop_front();
                self.first += 1;
            }
        }
        self.gop = self.gop.filter(|gop| *gop >= self.first);
    }

    fn wake(&mut self) -> Vec<Waker> {
        self.players.iter_mut().flatten().filter_map(|player| player.waker.take()).collect()
    }
}

/// Where a player is in a feed.
#[derive(Debug)]
pub(crate) struct Cursor {
    feed: Arc<Feed>,
    slot: usize,
    /// Headers to begin with.
    heads: Vec<Arc<Entry>>,
    /// Video goes on at the next key frame.
    needs_key: bool,
}

impl Cursor {
    /// Takes what there is, up to some `budget` of bytes. False at the end of the stream.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>, budget: usize, into: &mut Vec<Arc<Entry>>) -> Poll<bool> {
        into.append(&mut self.heads);
        let mut ring = self.feed.lock();
        let Some(Some(player)) = ring.players.get(self.slot) else { return Poll::Ready(false) };
        let mut at = player.at;
        if at < ring.first {
            ring.dropped += ring.first - at;
            at = ring.first;
            self.needs_key = true;
        }
        let mut bytes = 0;
        while bytes < budget
            && let Some(entry) = ring.entries.get((at - ring.first) as usize)
        {
            at += 1;
            if self.needs_key && entry.is_video() {
                match entry.class {
                    Class::Key => self.needs_key = false,
                    Class::Head(_) => {}
                    Class::Frame => continue,
                }
            }
            bytes += entry.content.len();
            into.push(entry.clone());
        }
        let (ended, caught_up) = (ring.ended, at == ring.end());
        let Some(Some(player)) = ring.players.get_mut(self.slot) else { return Poll::Ready(false) };
        player.at = at;
        if !into.is_empty() {
            return Poll::Ready(true);
        }
        if ended && caught_up {
            return Poll::Ready(false);
        }
        player.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Video goes on at the next key frame: the player did not want any for a while.
    pub(crate) fn resume_at_key(&mut self) {
        self.needs_key = true;
    }
}

impl Drop for Cursor {
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

    fn video(timestamp: u32, head: [u8; 2]) -> Content {
        let payload = [&head[..], &[0, 0, 0], &[7; 95]].concat().into();
        Content::Media(Media { kind: MediaKind::Video, timestamp, payload })
    }

    fn config() -> Content {
        video(0, [0x17, 0])
    }

    fn key(timestamp: u32) -> Content {
        video(timestamp, [0x17, 1])
    }

    fn inter(timestamp: u32) -> Content {
        video(timestamp, [0x27, 1])
    }

    fn audio(timestamp: u32) -> Content {
        let payload = Bytes::from_static(&[0xAF, 1, 2, 3]);
        Content::Media(Media { kind: MediaKind::Audio, timestamp, payload })
    }

    fn take(cursor: &mut Cursor) -> Vec<u32> {
        let mut into = Vec::new();
        let _ = cursor.poll_take(&mut Context::from_waker(Waker::noop()), usize::MAX, &mut into);
        into.iter().map(|entry| entry.content.timestamp()).collect()
    }

    #[test]
    fn rtmp_v5_who_joins_gets_headers_and_the_group_of_pictures() {
        let feed = Feed::new(LIMITS);
        for content in [config(), key(10), inter(20), audio(25), key(30), audio(35), inter(40)] {
            feed.push(content, false);
        }
        let mut cursor = feed.join();
        assert_eq!(take(&mut cursor), [0, 30, 35, 40]);
        feed.push(inter(50), false);
        assert_eq!(take(&mut cursor), [50]);
        assert_eq!(feed.lock().entries.len(), 4, "the group is kept, and nothing before it");
        let mut late = Feed::new(FeedLimits { gop_cache: false, ..LIMITS }).join();
        assert!(take(&mut late).is_empty());
    }

    #[test]
    fn without_a_cache_a_player_begins_at_the_next_key_frame() {
        let feed = Feed::new(FeedLimits { gop_cache: false, ..LIMITS });
        [config(), key(10), inter(20)].into_iter().for_each(|content| feed.push(content, false));
        assert!(feed.lock().entries.is_empty(), "nobody needs it");
        let mut cursor = feed.join();
        [inter(30), audio(35), key(40), inter(50)].into_iter().for_each(|content| feed.push(content, false));
        assert_eq!(take(&mut cursor), [0, 35, 40, 50]);
    }

    #[test]
    fn rtmp_v6_a_slow_player_loses_the_oldest_and_goes_on_at_a_key_frame() {
        let feed = Feed::new(FeedLimits { bytes: 1000, ..LIMITS });
        feed.push(config(), false);
        let (mut slow, mut quick) = (feed.join(), feed.join());
        assert_eq!((take(&mut slow), take(&mut quick)), (vec![0], vec![0]));
        let mut seen = 0;
        for at in 1..=24 {
            feed.push(if at % 8 == 1 { key(at * 10) } else { inter(at * 10) }, false);
            seen += take(&mut quick).len();
        }
        assert_eq!((seen, feed.take_dropped()), (24, 0));
        let got = take(&mut slow);
        assert_eq!(got.first(), Some(&170), "key frames are 10, 90 and 170; ten messages fit");
        assert_eq!(got.len(), 8);
        assert_eq!(feed.take_dropped(), 14);
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
}
