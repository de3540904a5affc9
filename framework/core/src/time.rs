//! Points and spans of time in signed nanoseconds.
//!
//! Media clocks tick at 90 kHz (MPEG-TS), 1 kHz (FLV, RTMP), 27 MHz (PCR) or a sample rate. [`Time::from_ticks`] and
//! [`Time::ticks`] round to the nearest nanosecond and tick, so that any clock slower than 500 MHz survives the way
//! there and back exactly.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

const NANOS: i64 = 1_000_000_000;

/// A point in time, in nanoseconds since an origin that the context names: the start of a runtime for clock readings,
/// the start of a segment for running time, a stream's own zero for timestamps. May be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

/// A signed distance between two [`Time`]s, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeDelta(i64);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// The latest point that can be written, about 292 years after the origin.
    pub const MAX: Self = Self(i64::MAX);
    /// The earliest point that can be written.
    pub const MIN: Self = Self(i64::MIN);

    /// A point `ns` nanoseconds after the origin.
    pub const fn from_nanos(ns: i64) -> Self {
        Self(ns)
    }

    /// A point `ms` milliseconds after the origin; saturates 292 years away.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// A point `ticks` ticks of a clock of `hz` ticks a second after the origin, to the nearest nanosecond.
    ///
    /// Saturates 292 years away. A clock of 0 Hz stands still: the result is the origin.
    pub const fn from_ticks(ticks: i64, hz: u32) -> Self {
        Self(ticks_to_nanos(ticks, hz))
    }

    /// Nanoseconds since the origin.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Milliseconds since the origin, to the nearest.
    pub const fn millis(self) -> i64 {
        nanos_to_ticks(self.0, 1000)
    }

    /// Ticks of a clock of `hz` ticks a second since the origin, to the nearest tick.
    pub const fn ticks(self, hz: u32) -> i64 {
        nanos_to_ticks(self.0, hz)
    }

    /// Seconds since the origin, for showing to a person.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / NANOS as f64
    }

    /// The distance from `earlier` to this point (negative when `earlier` is later); saturates.
    pub const fn since(self, earlier: Self) -> TimeDelta {
        TimeDelta(self.0.saturating_sub(earlier.0))
    }
}

impl TimeDelta {
    /// No distance.
    pub const ZERO: Self = Self(0);
    /// The longest distance that can be written.
    pub const MAX: Self = Self(i64::MAX);

    /// A distance of `ns` nanoseconds.
    pub const fn from_nanos(ns: i64) -> Self {
        Self(ns)
    }

    /// A distance of `ms` milliseconds; saturates.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// A distance of `s` seconds; saturates.
    pub const fn from_secs(s: i64) -> Self {
        Self(s.saturating_mul(NANOS))
    }

    /// A distance of `ticks` ticks at `hz` ticks a second, to the nearest nanosecond; saturates; 0 Hz gives 0.
    pub const fn from_ticks(ticks: i64, hz: u32) -> Self {
        Self(ticks_to_nanos(ticks, hz))
    }

    /// Nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Milliseconds, to the nearest.
    pub const fn millis(self) -> i64 {
        nanos_to_ticks(self.0, 1000)
    }

    /// Ticks at `hz` ticks a second, to the nearest.
    pub const fn ticks(self, hz: u32) -> i64 {
        nanos_to_ticks(self.0, hz)
    }

    /// Seconds, for showing to a person.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / NANOS as f64
    }

    /// The same distance for the standard library; a negative one becomes zero.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(if self.0 < 0 { 0 } else { self.0 as u64 })
    }
}

const fn ticks_to_nanos(ticks: i64, hz: u32) -> i64 {
    if hz == 0 {
        return 0;
    }
    let hz = hz as i64;
    let (secs, rem) = (ticks.div_euclid(hz), ticks.rem_euclid(hz));
    // rem < 2^32 and NANOS < 2^30, so the product stays below 2^62.
    secs.saturating_mul(NANOS).saturating_add((rem * NANOS + hz / 2) / hz)
}

const fn nanos_to_ticks(ns: i64, hz: u32) -> i64 {
    let hz = hz as i64;
    let (secs, rem) = (ns.div_euclid(NANOS), ns.rem_euclid(NANOS));
    secs.saturating_mul(hz).saturating_add((rem * hz + NANOS / 2) / NANOS)
}

impl Add<TimeDelta> for Time {
    type Output = Self;
    fn add(self, d: TimeDelta) -> Self {
        Self(self.0.saturating_add(d.0))
    }
}

impl Sub<TimeDelta> for Time {
    type Output = Self;
    fn sub(self, d: TimeDelta) -> Self {
        Self(self.0.saturating_sub(d.0))
    }
}

impl Sub for Time {
    type Output = TimeDelta;
    fn sub(self, earlier: Self) -> TimeDelta {
        self.since(earlier)
    }
}

impl Add for TimeDelta {
    type Output = Self;
    fn add(self, d: Self) -> Self {
        Self(self.0.saturating_add(d.0))
    }
}

impl Sub for TimeDelta {
    type Output = Self;
    fn sub(self, d: Self) -> Self {
        Self(self.0.saturating_sub(d.0))
    }
}

impl Neg for TimeDelta {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl AddAssign<TimeDelta> for Time {
    fn add_assign(&mut self, d: TimeDelta) {
        *self = *self + d;
    }
}

impl SubAssign<TimeDelta> for Time {
    fn sub_assign(&mut self, d: TimeDelta) {
        *self = *self - d;
    }
}

impl AddAssign for TimeDelta {
    fn add_assign(&mut self, d: Self) {
        *self = *self + d;
    }
}

impl From<std::time::Duration> for TimeDelta {
    fn from(d: std::time::Duration) -> Self {
        Self(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Time {
    /// GStreamer's form: `h:mm:ss.nnnnnnnnn`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, ns) = if self.0 < 0 { ("-", self.0.unsigned_abs()) } else { ("", self.0.unsigned_abs()) };
        let (secs, frac) = (ns / NANOS as u64, ns % NANOS as u64);
        write!(f, "{sign}{}:{:02}:{:02}.{frac:09}", secs / 3600, secs / 60 % 60, secs % 60)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TimeDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.seconds())
    }
}

impl fmt::Debug for TimeDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_clocks_survive_the_way_there_and_back() {
        for hz in [1000, 8000, 44_100, 48_000, 90_000, 27_000_000, 499_999_999] {
            for ticks in [-(1_i64 << 33), -1, 0, 1, 3003, (1 << 24) - 1, 1 << 32, (1 << 33) - 1, (1 << 33) + 1] {
                assert_eq!(Time::from_ticks(ticks, hz).ticks(hz), ticks, "{ticks} at {hz} Hz");
            }
        }
    }

    #[test]
    fn conversion_rounds_to_nearest() {
        assert_eq!(Time::from_ticks(1, 90_000).nanos(), 11_111);
        assert_eq!(Time::from_ticks(-1, 90_000).nanos(), -11_111);
        assert_eq!(Time::from_nanos(1_499_999).millis(), 1);
        assert_eq!(Time::from_nanos(1_500_000).millis(), 2);
    }

    #[test]
    fn far_away_saturates() {
        assert_eq!(Time::from_ticks(i64::MAX, 1), Time::MAX);
        assert_eq!(Time::from_ticks(5, 0), Time::ZERO);
        assert_eq!(Time::MAX + TimeDelta::from_secs(1), Time::MAX);
    }

    #[test]
    fn shown_as_gstreamer_shows_it() {
        assert_eq!(Time::from_millis(3_723_004).to_string(), "1:02:03.004000000");
    }
}
