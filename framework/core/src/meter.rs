//! Counters of live streams. Elements count, and who shows numbers to people and machines reads: neither knows the other.
//!
//! A counter is an atomic with one writer, and reading keeps nobody waiting.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::env::{Clock, Env};
use crate::time::{Time, TimeDelta};

/// Rates are those of the last whole interval of this length: short enough to follow, long enough for streams of a picture a second.
const INTERVAL: TimeDelta = TimeDelta::from_secs(2);

/// A stream of which nothing has come for so long has gone. Encoders send sound or pictures many times a second; networks stall.
const GONE: TimeDelta = TimeDelta::from_secs(10);

/// Sound or pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// Counters of one stream at one element.
pub struct Meter {
    element: &'static str,
    stream: String,
    clock: Arc<dyn Clock>,
    bytes: AtomicU64,
    frames: AtomicU64,
    key_frames: AtomicU64,
    /// Milliseconds of media time between the last two key frames.
    key_distance: AtomicU32,
    /// Milliseconds of media time of the last key frame, and whether there was one.
    last_key: AtomicU64,
    players: AtomicU64,
    connections: AtomicU64,
    /// When anything came last, in nanoseconds; 0 before.
    last: AtomicU64,
    rates: Rates,
    words: Mutex<Words>,
}

/// What is being measured, and what was.
#[derive(Default)]
struct Rates {
    since: AtomicU64,
    bytes: AtomicU64,
    frames: AtomicU64,
    bits_per_second: AtomicU64,
    /// Thousandths.
    frames_per_second: AtomicU64,
}

#[derive(Default)]
struct Words {
    video: Option<String>,
    audio: Option<String>,
    drops: BTreeMap<&'static str, u64>,
}

/// What a meter says at a time.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reading {
    /// Bytes of media.
    pub bytes: u64,
    /// Pictures.
    pub frames: u64,
    /// Pictures with which one can begin.
    pub key_frames: u64,
    /// From the last key frame but one to the last; zero before there were two.
    pub key_distance: TimeDelta,
    /// Bits of media a second, lately.
    pub bits_per_second: u64,
    /// Pictures a second, lately.
    pub frames_per_second: f64,
    /// Players that are there.
    pub players: u64,
    /// Connections that were made; one less are reconnections.
    pub connections: u64,
    /// Whether media come.
    pub is_live: bool,
    /// Codec of the pictures.
    pub video: Option<String>,
    /// Codec of the sound.
    pub audio: Option<String>,
    /// What was left out, by reason.
    pub drops: BTreeMap<&'static str, u64>,
}

impl Meter {
    /// The element that counts.
    pub fn element(&self) -> &'static str {
        self.element
    }

    /// The stream, as `APP/STREAM`. Comes from outside.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// A frame of so many bytes has come; `at` is its media time in milliseconds, which may wrap.
    pub fn frame(&self, kind: Kind, is_key: bool, bytes: usize, at: u32) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
        if kind == Kind::Video {
            self.frames.fetch_add(1, Relaxed);
        }
        if kind == Kind::Video && is_key {
            self.key(at);
        }
        self.rate();
    }

    /// So many bytes have come, of what nobody looks into.
    pub fn bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Relaxed);
        self.rate();
    }

    fn key(&self, at: u32) {
        let last = self.last_key.swap(u64::from(at) + 1, Relaxed);
        if let Some(last) = last.checked_sub(1) {
            self.key_distance.store(at.wrapping_sub(last as u32), Relaxed);
        }
        self.key_frames.fetch_add(1, Relaxed);
    }

    fn rate(&self) {
        let (now, rates) = (nanos(self.clock.now()), &self.rates);
        let (bytes, frames) = (self.bytes.load(Relaxed), self.frames.load(Relaxed));
        let idle = now.saturating_sub(self.last.swap(now, Relaxed)) > INTERVAL.nanos() as u64;
        let passed = now.saturating_sub(rates.since.load(Relaxed));
        if !idle && passed < INTERVAL.nanos() as u64 {
            return;
        }
        let per_second = |count: u64, unit: u64| {
            let whole = u128::from(count) * u128::from(unit) * 1_000_000_000 / u128::from(passed.max(1));
            u64::try_from(whole).unwrap_or(u64::MAX)
        };
        if !idle {
            rates.bits_per_second.store(per_second(bytes.saturating_sub(rates.bytes.load(Relaxed)), 8), Relaxed);
            rates.frames_per_second.store(per_second(frames.saturating_sub(rates.frames.load(Relaxed)), 1000), Relaxed);
        }
        rates.since.store(now, Relaxed);
        rates.bytes.store(bytes, Relaxed);
        rates.frames.store(frames, Relaxed);
    }

    /// So many players are there.
    pub fn players(&self, count: usize) {
        self.players.store(count as u64, Relaxed);
    }

    /// A connection that carries the stream was made.
    pub fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// So much was left out.
    pub fn dropped(&self, reason: &'static str, count: u64) {
        *self.words().drops.entry(reason).or_default() += count;
    }

    /// The codec of the pictures or the sound, for people.
    pub fn codec(&self, kind: Kind, name: &str) {
        let mut words = self.words();
        let known = match kind {
            Kind::Video => &mut words.video,
            Kind::Audio => &mut words.audio,
        };
        if known.as_deref() != Some(name) {
            *known = Some(name.to_owned());
        }
    }

    /// Whether a codec has been named.
    pub fn knows(&self, kind: Kind) -> bool {
        match kind {
            Kind::Video => self.words().video.is_some(),
            Kind::Audio => self.words().audio.is_some(),
        }
    }

    /// What it says now.
    pub fn read(&self) -> Reading {
        let (last, now) = (self.last.load(Relaxed), nanos(self.clock.now()));
        let within =
            |limit: TimeDelta| self.bytes.load(Relaxed) > 0 && now.saturating_sub(last) <= limit.nanos() as u64;
        let is_moving = within(INTERVAL);
        let rate = |rate: &AtomicU64| if is_moving { rate.load(Relaxed) } else { 0 };
        let words = self.words();
        Reading {
            bytes: self.bytes.load(Relaxed),
            frames: self.frames.load(Relaxed),
            key_frames: self.key_frames.load(Relaxed),
            key_distance: TimeDelta::from_millis(self.key_distance.load(Relaxed).into()),
            bits_per_second: rate(&self.rates.bits_per_second),
            frames_per_second: rate(&self.rates.frames_per_second) as f64 / 1000.0,
            players: self.players.load(Relaxed),
            connections: self.connections.load(Relaxed),
            is_live: within(GONE),
            video: words.video.clone(),
            audio: words.audio.clone(),
            drops: words.drops.clone(),
        }
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nanos(time: Time) -> u64 {
    u64::try_from(time.nanos()).unwrap_or(0)
}

/// All meters of a runtime, as long as their elements are there ([`Env::shared`]).
#[derive(Default)]
pub struct Meters(Mutex<Vec<Weak<Meter>>>);

impl Meters {
    /// A meter for a stream, which is there for all to read as long as somebody holds it.
    pub fn add(env: &Env, element: &'static str, stream: &str) -> Arc<Meter> {
        let meter = Arc::new(Meter {
            element,
            stream: stream.to_owned(),
            clock: env.clock.clone(),
            bytes: AtomicU64::default(),
            frames: AtomicU64::default(),
            key_frames: AtomicU64::default(),
            key_distance: AtomicU32::default(),
            last_key: AtomicU64::default(),
            players: AtomicU64::default(),
            connections: AtomicU64::default(),
            last: AtomicU64::default(),
            rates: Rates::default(),
            words: Mutex::default(),
        });
        let meters = env.shared::<Self>();
        let mut all = meters.lock();
        all.retain(|meter| meter.strong_count() > 0);
        all.push(Arc::downgrade(&meter));
        meter.clone()
    }

    /// Those that are there, in the order in which they came.
    pub fn all(&self) -> Vec<Arc<Meter>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Meter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
