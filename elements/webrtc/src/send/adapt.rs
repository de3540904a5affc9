//! What the ways to all viewers bear becomes one bitrate that is asked for upstream.

use std::collections::HashMap;

use millstream_core::{Time, TimeDelta};
use schemars::JsonSchema;
use serde::Deserialize;

/// Upstream is asked this often at most: encoders take some time to follow.
const EVERY: TimeDelta = TimeDelta::from_secs(1);

/// Of ten viewers one may be left behind.
const LEFT_BEHIND: usize = 10;

/// A wish that differs from the last by less than this part of it is none.
const SAME: u64 = 20;

/// Whose network decides which bitrate an encoder upstream is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Adapt {
    /// Nobody's: none is asked for.
    Off,
    /// That of nine viewers of ten: a slow one costs many others nothing. Of fewer than ten the slowest's.
    #[default]
    Most,
    /// That of the slowest.
    All,
}

/// What is known of the ways to viewers.
#[derive(Debug, Default)]
pub(super) struct Ways {
    adapt: Adapt,
    bear: HashMap<u64, u64>,
    is_changed: bool,
    /// What was asked for last, and when.
    asked: Option<(Time, u64)>,
}

impl Ways {
    pub(super) fn new(adapt: Adapt) -> Self {
        Self { adapt, ..Self::default() }
    }

    /// What the way to a viewer bears, in bits a second.
    pub(super) fn bears(&mut self, viewer: u64, bits: u64) {
        self.is_changed = true;
        self.bear.insert(viewer, bits);
    }

    /// A viewer has left.
    pub(super) fn left(&mut self, viewer: u64) {
        self.is_changed |= self.bear.remove(&viewer).is_some();
    }

    /// What is to be asked for now, if it is something new. What is not asked for for want of time is with the next estimate, which come each second.
    pub(super) fn wish(&mut self, now: Time) -> Option<u64> {
        let is_soon = self.asked.is_some_and(|(at, _)| now - at < EVERY);
        if self.adapt == Adapt::Off || is_soon || !std::mem::take(&mut self.is_changed) {
            return None;
        }
        let mut all: Vec<u64> = self.bear.values().copied().collect();
        all.sort_unstable();
        let behind = if self.adapt == Adapt::Most { all.len() / LEFT_BEHIND } else { 0 };
        let bits = *all.get(behind)?;
        if self.asked.is_some_and(|(_, asked)| asked.abs_diff(bits) < asked / SAME) {
            return None;
        }
        self.asked = Some((now, bits));
        Some(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(adapt: Adapt, viewers: &[u64]) -> Option<u64> {
        let mut ways = Ways::new(adapt);
        (0..).zip(viewers).for_each(|(viewer, bits)| ways.bears(viewer, *bits));
        ways.wish(Time::ZERO)
    }

    #[test]
    fn web_2_one_slow_viewer_of_many_decides_nothing_unless_it_is_wanted() {
        let mut viewers = [2_000_000; 12];
        viewers[3] = 100_000;
        assert_eq!(asked(Adapt::Most, &viewers), Some(2_000_000));
        assert_eq!(asked(Adapt::All, &viewers), Some(100_000));
        assert_eq!(asked(Adapt::Off, &viewers), None);
        assert_eq!(asked(Adapt::Most, &viewers[..4]), Some(100_000), "one of four is no exception");
        assert_eq!(asked(Adapt::All, &[]), None);
    }

    #[test]
    fn web_2_what_all_say_becomes_one_request_a_second_and_only_what_is_new() {
        let mut ways = Ways::new(Adapt::All);
        let at = Time::from_millis;
        ways.bears(1, 900_000);
        ways.bears(2, 500_000);
        assert_eq!((ways.wish(at(0)), ways.wish(at(2000))), (Some(500_000), None));
        ways.bears(2, 490_000);
        assert_eq!(ways.wish(at(3000)), None, "as good as the same");
        ways.bears(2, 200_000);
        assert_eq!(ways.wish(at(3100)), Some(200_000));
        ways.left(2);
        assert_eq!(ways.wish(at(3500)), None, "so soon again");
        assert_eq!(ways.wish(at(4200)), Some(900_000), "who has left is waited for no longer");
    }
}
