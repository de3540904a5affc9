//! Tests of herds.

use std::io;

use millstream_core::env::{BoxFuture, TaskHandle, Tasks};
use millstream_testkit::TestEnv;

use super::*;
use crate::live::{Feed, FeedLimits};
use crate::wire::TagKind;

const LIMITS: FeedLimits = FeedLimits { bytes: 1 << 20, backlog_ms: 1 << 20, gop_cache: false, waits: false };
/// Bytes of a tag.
const TAG: usize = 8;

/// A key frame with a number: eight bytes, in two slices.
struct Tag(u32, [Bytes; 2]);

fn tag(number: u32) -> Tag {
    let half = Bytes::copy_from_slice(&number.to_be_bytes());
    Tag(number, [half.clone(), half])
}

impl FeedEntry for Tag {
    fn class(&self) -> Class {
        Class::Key
    }

    fn kind(&self) -> TagKind {
        TagKind::Video
    }

    fn timestamp(&self) -> u32 {
        self.0
    }

    fn size(&self) -> usize {
        TAG
    }

    fn clears(&self) -> bool {
        false
    }

    fn at(&self, timestamp: u32) -> Self {
        tag(timestamp)
    }
}

impl Wire for Tag {
    fn wire(&self) -> &[Bytes] {
        &self.1
    }
}

/// Tasks that run when the test says so.
#[derive(Clone, Default)]
struct Pool(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl Tasks for Pool {
    fn spawn(&self, future: BoxFuture<'static, ()>) -> TaskHandle {
        lock(&self.0).push(future);
        TaskHandle::new(|| {})
    }
}

impl Pool {
    fn turn(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.0));
        tasks.retain_mut(|task| task.as_mut().poll(&mut noop()).is_pending());
        lock(&self.0).extend(tasks);
    }

    fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Keeps what it is written, as far as it has room.
struct Wall {
    got: Mutex<Vec<u8>>,
    room: Mutex<usize>,
}

impl DirectWrite for Wall {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut room = lock(&self.room);
        let mut sent = 0;
        for slice in slices {
            let len = slice.len().min(*room);
            lock(&self.got).extend_from_slice(&slice[..len]);
            *room -= len;
            sent += len;
        }
        if sent == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(sent) }
    }
}

/// A player with its socket, which does what a connection does.
struct Player {
    cursor: Cursor<Tag>,
    seat: Option<Seat>,
    wall: Arc<Wall>,
    /// It counts what it was sent.
    sent: u64,
    waiting: Vec<Bytes>,
}

impl Player {
    fn join(feed: &Arc<Feed<Tag>>) -> Self {
        let wall = Arc::new(Wall { got: Mutex::default(), room: Mutex::new(usize::MAX) });
        Self { cursor: feed.join(), seat: None, wall, sent: 0, waiting: Vec::new() }
    }

    fn stand(&mut self) {
        if let Some(seat) = self.seat.take() {
            let stood = self.cursor.stand_up(&seat);
            let rest: usize = stood.rest.iter().map(Bytes::len).sum();
            self.sent += stood.sent + rest as u64;
            self.waiting.extend(stood.rest);
        }
    }

    /// Takes and sends what there is, and sits when that is all.
    fn turn(&mut self, env: &Env) -> bool {
        if self.seat.as_ref().is_some_and(|seat| seat.poll_stands(&mut noop()).is_pending()) {
            return true;
        }
        self.stand();
        loop {
            while let Some(front) = self.waiting.first_mut() {
                let Ok(sent) = self.wall.try_write(&[IoSlice::new(front)]) else { return true };
                drop(front.split_to(sent));
                if front.is_empty() {
                    self.waiting.remove(0);
                }
            }
            let mut taken = Vec::new();
            match self.cursor.poll_take(&mut noop(), usize::MAX, &mut taken) {
                Poll::Ready(false) => return false,
                Poll::Ready(true) => {
                    self.waiting.extend(taken.iter().flat_map(|tag| tag.wire().to_vec()));
                    self.sent += (taken.len() * TAG) as u64;
                }
                Poll::Pending => break,
            }
        }
        let wall = self.wall.clone();
        self.seat = self.cursor.sit_down(|| Some(wall), env, Waker::noop());
        true
    }

    fn got(&self) -> Vec<u8> {
        lock(&self.wall.got).clone()
    }
}

fn env(pool: &Pool) -> Env {
    let mut env = TestEnv::new().env;
    env.tasks = Arc::new(pool.clone());
    env
}

fn wire(numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers.flat_map(|number| tag(number).wire().concat()).collect()
}

#[test]
fn all_who_sit_are_written_what_comes_until_the_end() {
    let (pool, feed) = (Pool::default(), Feed::new(LIMITS));
    let env = env(&pool);
    let mut players: Vec<_> = (0..SEATS + 9).map(|_| Player::join(&feed)).collect();
    players.iter_mut().for_each(|player| assert!(player.turn(&env)));
    assert!(
        players.iter().all(|player| player.seat.is_none()),
        "before the first key frame each has something of its own"
    );
    feed.push(tag(0), false);
    players.iter_mut().for_each(|player| assert!(player.turn(&env)));
    assert!(players.iter().all(|player| player.seat.is_some()));
    assert_eq!(lock(&pool.0).len(), 2, "one loop has so many seats");
    for number in 1..50 {
        feed.push(tag(number), false);
        if number % 3 == 0 {
            pool.turn();
        }
    }
    pool.turn();
    assert_eq!(feed.players(), players.len(), "a loop is no player");
    for player in &mut players {
        assert_eq!(player.got(), wire(0..50));
        assert_eq!(player.seat.as_ref().map(Seat::take_sent), Some(49 * TAG as u64));
    }
    feed.end();
    pool.turn();
    assert!(pool.is_empty(), "the loops end with the stream");
    players.iter_mut().for_each(|player| assert!(!player.turn(&env), "each sees the end itself"));
}

#[test]
fn who_takes_part_of_a_write_stands_with_the_rest_and_misses_nothing() {
    let (pool, feed) = (Pool::default(), Feed::new(LIMITS));
    let env = env(&pool);
    let mut players: Vec<_> = (0..CROWD).map(|_| Player::join(&feed)).collect();
    feed.push(tag(0), false);
    players.iter_mut().for_each(|player| assert!(player.turn(&env)));
    *lock(&players[3].wall.room) = 5;
    feed.push(tag(1), false);
    pool.turn();
    // What comes now is kept for nobody else.
    feed.push(tag(2), false);
    pool.turn();
    feed.push(tag(3), false);
    pool.turn();
    let slow = &mut players[3];
    assert!(slow.seat.as_ref().is_some_and(|seat| seat.poll_stands(&mut noop()).is_ready()));
    assert_eq!(slow.got(), wire(0..2)[..TAG + 5]);
    *lock(&slow.wall.room) = usize::MAX;
    assert!(slow.turn(&env) && slow.seat.is_some(), "it has caught up");
    assert_eq!(slow.sent, 4 * TAG as u64);
    feed.push(tag(4), false);
    pool.turn();
    players.iter().for_each(|player| assert_eq!(player.got(), wire(0..5)));
}

#[test]
fn a_few_players_need_no_loop() {
    let (pool, feed) = (Pool::default(), Feed::new(LIMITS));
    let mut player = Player::join(&feed);
    feed.push(tag(0), false);
    assert!(player.turn(&env(&pool)) && player.seat.is_none() && pool.is_empty());
}

#[test]
fn whoever_sits_and_stands_at_any_time_gets_every_tag_once_and_in_order() {
    for seed in 0..200 {
        let mut state: u64 = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (pool, feed) = (Pool::default(), Feed::new(LIMITS));
        let env = env(&pool);
        let mut players: Vec<_> = (0..CROWD + 4).map(|_| Player::join(&feed)).collect();
        let mut pushed = 0;
        for _ in 0..300 {
            let one = random(players.len() as u64) as usize;
            match random(6) {
                0 | 1 => {
                    feed.push(tag(pushed), false);
                    pushed += 1;
                }
                2 => pool.turn(),
                3 => players[one].stand(),
                4 => *lock(&players[one].wall.room) = random(40) as usize,
                _ => assert!(players[one].turn(&env)),
            }
        }
        for player in &mut players {
            *lock(&player.wall.room) = usize::MAX;
        }
        for _ in 0..2 {
            pool.turn();
            players.iter_mut().for_each(|player| assert!(player.turn(&env)));
        }
        for player in &mut players {
            player.stand();
            assert_eq!((player.got(), player.sent), (wire(0..pushed), u64::from(pushed) * TAG as u64), "seed {seed}");
        }
    }
}
