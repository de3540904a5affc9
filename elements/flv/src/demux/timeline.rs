//! Timestamps of all tracks on one timeline, and what to do where they jump.

use crate::wire::TimestampUnwrapper;

/// A track that steps back further than this has been started anew. Smaller steps are the disorder of a careless writer: time
/// then stands still until it is caught up with.
const MAX_STEP_BACK_MS: i64 = 1000;
/// Distance between frames that is assumed while it is not known: that of 25 pictures a second.
const DEFAULT_INTERVAL_MS: i64 = 40;
/// A longer distance between two frames says nothing about the rate of a track.
const MAX_INTERVAL_MS: i64 = 1000;

/// Where one track stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    /// Decoding time of its last frame, as it went out.
    last: Option<i64>,
    /// Distance of its last two frames.
    interval: Option<i64>,
}

/// Wire timestamps to times.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    /// Jumps are closed.
    continuous: bool,
    /// A longer way forward is a jump.
    max_gap_ms: i64,
    unwrapper: TimestampUnwrapper,
    /// What is added to unwrapped timestamps since the last jump.
    shift: i64,
    /// The latest decoding time of all tracks that went out.
    newest: Option<i64>,
}

/// Where a frame stands on the timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    /// Decoding time in milliseconds.
    pub(super) dts_ms: i64,
    /// What a composition time counts from: where the frame itself says that it is, if that is earlier.
    pub(super) said_ms: i64,
    /// The timestamps jumped just ahead of it.
    pub(super) jumped: bool,
}

impl Timeline {
    pub(super) fn new(continuous: bool, max_gap_ms: i64) -> Self {
        Self { continuous, max_gap_ms, unwrapper: TimestampUnwrapper::default(), shift: 0, newest: None }
    }

    /// Places a frame of a track.
    pub(super) fn place(&mut self, wire: u32, track: &mut Position) -> Placed {
        let raw = self.unwrapper.unwrap(wire);
        let mut dts_ms = raw.saturating_add(self.shift);
        let allowed = if self.continuous { MAX_STEP_BACK_MS } else { 0 };
        let back = track.last.is_some_and(|last| dts_ms < last.saturating_sub(allowed));
        let ahead = self.newest.is_some_and(|newest| dts_ms > newest.saturating_add(self.max_gap_ms));
        let jumped = back || ahead;
        if jumped && self.continuous {
            let interval = track.interval.unwrap_or(DEFAULT_INTERVAL_MS);
            dts_ms = self.newest.unwrap_or(dts_ms).saturating_add(interval);
            self.shift = dts_ms.saturating_sub(raw);
        }
        let said_ms = dts_ms;
        if !jumped && let Some(last) = track.last {
            dts_ms = dts_ms.max(last);
            let interval = dts_ms.saturating_sub(last);
            track.interval = (1..=MAX_INTERVAL_MS).contains(&interval).then_some(interval).or(track.interval);
        }
        track.last = Some(dts_ms);
        // After a jump that is passed on, what was before does not count.
        self.newest = Some(if jumped { dts_ms } else { self.newest.map_or(dts_ms, |newest| newest.max(dts_ms)) });
        Placed { dts_ms, said_ms, jumped }
    }

    /// The time of something that is not a frame, such as a cue point. Has no influence on what follows.
    pub(super) fn glance(&self, wire: u32) -> i64 {
        let mut unwrapper = self.unwrapper;
        unwrapper.unwrap(wire).saturating_add(self.shift)
    }

    /// The latest decoding time of all tracks.
    pub(super) fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// Starts over, after a seek.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.continuous, self.max_gap_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(timeline: &mut Timeline, track: &mut Position, wire: &[u32]) -> Vec<(i64, bool)> {
        wire.iter().map(|wire| timeline.place(*wire, track)).map(|placed| (placed.dts_ms, placed.jumped)).collect()
    }

    #[test]
    fn rtmp_t_restart_goes_on_a_frame_later() {
        let (mut timeline, mut video, mut audio) =
            (Timeline::new(true, 10_000), Position::default(), Position::default());
        times(&mut timeline, &mut video, &[5000, 5033, 5066]);
        times(&mut timeline, &mut audio, &[5001, 5024, 5047, 5070]);
        assert_eq!(times(&mut timeline, &mut video, &[0, 33]), [(5103, true), (5136, false)]);
        assert_eq!(times(&mut timeline, &mut audio, &[0, 23]), [(5103, false), (5126, false)], "one jump for all");
    }

    #[test]
    fn a_jump_of_hours_is_closed_or_passed_on() {
        let mut track = Position::default();
        let wire = [0, 40, 7_200_000, 7_200_040, 3_000_000_000, 80];
        assert_eq!(
            times(&mut Timeline::new(true, 10_000), &mut track, &wire),
            [(0, false), (40, false), (80, true), (120, false), (160, true), (200, true)]
        );
        let mut track = Position::default();
        let passed = times(&mut Timeline::new(false, 10_000), &mut track, &wire);
        assert_eq!(passed[2..5], [(7_200_000, true), (7_200_040, false), (-1_294_967_296, true)]);
    }

    #[test]
    fn flv_2_wrap_and_small_disorder_are_no_jumps_and_never_go_back() {
        let (mut timeline, mut track) = (Timeline::new(true, 10_000), Position::default());
        let near = u32::MAX - 20;
        let placed = times(&mut timeline, &mut track, &[near, near + 20, 19, 10, 60]);
        let first = i64::from(near);
        assert_eq!(placed.iter().map(|(ms, _)| ms - first).collect::<Vec<_>>(), [0, 20, 40, 40, 81]);
        assert!(placed.iter().all(|(_, jumped)| !jumped));
        let (mut timeline, mut track) = (Timeline::new(false, 10_000), Position::default());
        assert_eq!(times(&mut timeline, &mut track, &[40, 31, 60]), [(40, false), (31, true), (60, false)], "original");
    }

    #[test]
    fn a_sparse_track_makes_no_jump() {
        let (mut timeline, mut video, mut sparse) =
            (Timeline::new(true, 10_000), Position::default(), Position::default());
        assert!(!timeline.place(0, &mut sparse).jumped);
        for second in 0..60 {
            assert!(!timeline.place(second * 1000, &mut video).jumped);
        }
        assert_eq!(timeline.place(59_500, &mut sparse), Placed { dts_ms: 59_500, said_ms: 59_500, jumped: false });
    }
}
