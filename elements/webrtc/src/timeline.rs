//! When what a peer sends is to be shown.
//!
//! Each track has a clock of its own. Until the peer has said how they belong together (sender reports, RFC 3550 6.4.1), a track begins when
//! its first packet came; from then on it moves to where the reports say, a little with each frame, so that nobody hears or sees it.

use std::collections::BTreeMap;

use millstream_core::{Time, TimeDelta};

use crate::session::{Codec, Frame, SenderReport, TrackId};

/// Of the time that passes in a track, so much (a twentieth) it may be moved by.
const SLEW: i64 = 20;

/// A track that has just begun is moved at once: nobody has got used to it.
const YOUNG: TimeDelta = TimeDelta::from_secs(2);

/// Moves beyond this are no drift but nonsense: a peer whose clocks have nothing to do with each other.
const MOST: TimeDelta = TimeDelta::from_secs(10);

/// The timeline of one publisher.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The clock's time that is 0 on the timeline.
    origin: Time,
    tracks: BTreeMap<TrackId, Track>,
    /// What the peer's clock says is so much less on the timeline, by the first track that told.
    wall: Option<(TrackId, TimeDelta)>,
}

#[derive(Debug)]
struct Track {
    first_ticks: i64,
    base: Time,
    moved: TimeDelta,
    last_raw: Time,
    last: Option<Time>,
}

impl Timeline {
    pub(crate) fn new(origin: Time) -> Self {
        Self { origin, tracks: BTreeMap::new(), wall: None }
    }

    /// A publisher has come: what it sends has nothing to do with what was before, and goes on behind it.
    pub(crate) fn begin(&mut self) {
        self.wall = None;
        self.tracks.clear();
    }

    /// The time of a frame; never before that of the one before it on its track.
    pub(crate) fn place(&mut self, frame: &Frame, after: Option<Time>) -> Time {
        let track = self.tracks.entry(frame.track).or_insert_with(|| {
            let base = Time::ZERO + (frame.received - self.origin);
            Track { first_ticks: frame.ticks, base, moved: TimeDelta::ZERO, last_raw: base, last: after }
        });
        let raw = track.base + TimeDelta::from_ticks(frame.ticks.saturating_sub(track.first_ticks), frame.codec.rate());
        if let Some(report) = frame.report {
            let peer = wall_of(report, frame.ticks, frame.codec);
            let here = raw.since(Time::ZERO) + track.moved;
            match self.wall {
                Some((leader, wall)) if leader != frame.track => track.move_to(raw, peer - wall - here),
                Some(_) => {}
                None => self.wall = Some((frame.track, peer - here)),
            }
        }
        track.last_raw = raw;
        let placed = raw + track.moved;
        let placed = track.last.map_or(placed, |last| placed.max(last + TimeDelta::from_nanos(1)));
        track.last = Some(placed);
        placed
    }
}

impl Track {
    fn move_to(&mut self, raw: Time, by: TimeDelta) {
        if by > MOST || by < -MOST {
            return;
        }
        let most = TimeDelta::from_nanos((raw - self.last_raw).nanos().max(0) / SLEW);
        self.moved += match raw - self.base < YOUNG {
            true => by,
            false => by.clamp(-most, most),
        };
    }
}

/// What the peer's clock said at these ticks.
fn wall_of(report: SenderReport, ticks: i64, codec: Codec) -> TimeDelta {
    report.wall + TimeDelta::from_ticks(ticks.saturating_sub(report.ticks), codec.rate())
}
