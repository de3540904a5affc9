//! Tests of the feed.

use super::*;
use crate::live::Head;

const LIMITS: FeedLimits = FeedLimits { bytes: 10_000, backlog_ms: 5000, gop_cache: true, waits: false };

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
    feed.push(config(), false);
    feed.push(key(0), false);
    assert_eq!((take(&mut slow), take(&mut quick)), (vec![0, 0], vec![0, 0]));
    for at in 1..=38 {
        // Each second picture is not needed.
        feed.push(if at % 15 == 0 { key(at * 100) } else { inter(at * 100 + at % 2) }, false);
        feed.push(audio(at * 100), false);
        assert_eq!(take(&mut quick).len(), 2);
    }
    let got = take(&mut slow);
    // Behind by 3.7 s of 4; what is younger than 1 s is whole.
    let spared = (1..28).filter(|at| at % 15 != 0 && at % 2 == 1).count();
    assert_eq!(feed.take_missed(), Missed { thinned: spared as u64, skipped: 0 });
    assert_eq!(got.len() + spared, 76);
    assert!(got.iter().filter(|time| *time % 100 == 1).all(|time| *time > 2800), "{got:?}");
    assert!(is_before(u32::MAX, 5) && !is_before(5, u32::MAX) && !is_before(5, 5));
}

#[test]
fn rtmp_v6_a_burst_and_the_group_of_who_joins_are_given_whole() {
    let burst = |limits| {
        let feed = Feed::new(limits);
        let mut first = feed.join();
        (0..=60).for_each(|at| feed.push(if at == 0 { key(0) } else { inter(at * 100 + at % 2) }, false));
        (take(&mut first).len(), take(&mut feed.join()).len(), feed.take_missed().total())
    };
    // 6 s at once are no sign of a slow player where 10 s may wait.
    assert_eq!(burst(FeedLimits { backlog_ms: 10_000, ..LIMITS }), (61, 61, 0));
    // Where the stream waits for who takes it, nobody is slow.
    assert_eq!(burst(FeedLimits { backlog_ms: 7000, waits: true, ..LIMITS }), (61, 61, 0));
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
fn ert_11_a_cursor_stops_at_a_key_frame_and_another_connection_goes_on_with_it() {
    let feed = Feed::new(LIMITS);
    let mut cursor = feed.join();
    for content in [config(), key(10), inter(20), audio(25), key(30), audio(35)] {
        feed.push(content, false);
    }
    assert_eq!(take(&mut cursor), [0, 10, 20, 25, 30, 35]);
    let to_key = |cursor: &mut Cursor<Entry>| {
        let mut into = Vec::new();
        let taken = cursor.poll_take_to_key(&mut Context::from_waker(Waker::noop()), usize::MAX, &mut into);
        (taken, into.iter().map(|entry| entry.timestamp()).collect::<Vec<_>>())
    };
    assert_eq!(to_key(&mut cursor), (Poll::Pending, vec![]));
    [inter(40), audio(45), key(50), inter(60)].into_iter().for_each(|content| feed.push(content, false));
    assert!(feed.is_behind());
    assert_eq!(to_key(&mut cursor), (Poll::Ready(Taken::Some), vec![40, 45]));
    assert_eq!(to_key(&mut cursor), (Poll::Ready(Taken::AtKey), vec![]));
    cursor.begin_anew(false);
    assert_eq!(take(&mut cursor), [50, 50, 60], "headers, the key frame and what follows");
    assert!(!feed.is_behind());
    assert_eq!(feed.take_missed().total(), 0);
    feed.end();
    assert_eq!(to_key(&mut cursor).0, Poll::Ready(Taken::End));
    let sound = Feed::new(LIMITS);
    let mut cursor = sound.join();
    sound.push(audio(5), false);
    assert_eq!(to_key(&mut cursor).0, Poll::Ready(Taken::AtKey), "any place is as good");
}

#[test]
fn what_a_player_misses_up_to_the_key_frame_at_which_it_goes_on_is_counted() {
    let feed = Feed::new(FeedLimits { gop_cache: false, ..LIMITS });
    let mut cursor = feed.join();
    [inter(10), key(20), inter(30)].into_iter().for_each(|content| feed.push(content, false));
    assert_eq!(take(&mut cursor), [20, 30]);
    assert_eq!(feed.take_missed().total(), 0, "who joins misses nothing");
    [inter(40), inter(50), key(60)].into_iter().for_each(|content| feed.push(content, false));
    cursor.begin_anew(false);
    assert_eq!(take(&mut cursor), [60]);
    assert_eq!(feed.take_missed().total(), 2);
}

#[test]
fn headers_that_wait_come_once() {
    let feed = Feed::new(LIMITS);
    let mut cursor = feed.join();
    [config(), key(10), inter(20)].into_iter().for_each(|content| feed.push(content, false));
    cursor.begin_anew(false);
    assert_eq!(take(&mut cursor), [0, 10, 20]);
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

/// Takes what waits, so much at a time at most.
fn take_some(cursor: &mut Cursor<Entry>, budget: usize) -> Vec<Arc<Entry>> {
    let mut into = Vec::new();
    let _ = cursor.poll_take(&mut Context::from_waker(Waker::noop()), budget, &mut into);
    into
}

proptest::proptest! {
    /// However a stream comes and is taken, and whenever its connection is lost: none gives a header twice, or pictures before it.
    #[test]
    fn no_connection_gives_a_header_twice(
        steps in proptest::collection::vec((0..6_u8, 1..400_usize), 1..80),
        waits: bool,
        gop_cache: bool,
        early: bool,
        bytes in 300..3000_usize,
    ) {
        let feed = Feed::new(FeedLimits { bytes, gop_cache, waits, ..LIMITS });
        let heads = [Head::MetaData, Head::Video(0), Head::Audio(0)];
        let kind = |head| match head {
            Head::MetaData => TagKind::Script,
            Head::Video(_) => TagKind::Video,
            Head::Audio(_) => TagKind::Audio,
        };
        let mut tags = heads.map(|head| Entry(kind(head), Class::Head(head), 0)).into_iter().chain(
            (0..40).flat_map(|at| [if at % 8 == 0 { key(at * 10) } else { inter(at * 10) }, audio(at * 10 + 5)]),
        );
        if !early {
            tags.by_ref().take(5).for_each(|tag| feed.push(tag, false));
        }
        let mut cursor = feed.join();
        let mut given: Vec<Class> = Vec::new();
        for (step, budget) in steps {
            match step {
                0..=2 => tags.by_ref().take(1 + budget / 200).for_each(|tag| feed.push(tag, false)),
                3 | 4 => given.extend(take_some(&mut cursor, budget).iter().map(|entry| entry.class())),
                _ => {
                    cursor.begin_anew(!waits);
                    given.clear();
                }
            }
            let count = |head| given.iter().filter(|class| **class == Class::Head(head)).count();
            for head in heads {
                proptest::prop_assert!(count(head) <= 1, "{:?} twice: {:?}", head, given);
            }
            if given.contains(&Class::Key) {
                proptest::prop_assert_eq!(count(Head::Video(0)), 1, "a picture without its header: {:?}", given);
            }
        }
    }
}
