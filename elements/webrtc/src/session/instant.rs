//! The clock of the environment as str0m wants it.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use millstream_core::Time;

/// When the clock of the environment began, by the first time that is converted, which is the present one: str0m tells the other end the time
/// of day of an instant (RFC 3550, 4). The clock of a test begins here as well as any other.
static ORIGIN: OnceLock<(Instant, SystemTime)> = OnceLock::new();

/// Longest time that is converted: what is later never comes.
const FAR: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

#[expect(clippy::disallowed_methods, reason = "there is no other way to any `Instant`")]
fn origin(since: Duration) -> (Instant, SystemTime) {
    *ORIGIN.get_or_init(|| {
        let (now, wall) = (Instant::now(), SystemTime::now());
        (now.checked_sub(since).unwrap_or(now), wall.checked_sub(since).unwrap_or(wall))
    })
}

fn since(time: Time) -> Duration {
    Duration::from_nanos(u64::try_from(time.nanos()).unwrap_or(0).min(FAR))
}

/// An instant for a time of the environment's clock. What was before its beginning is its beginning.
pub(super) fn instant(time: Time) -> Instant {
    let since = since(time);
    let (origin, _) = origin(since);
    origin.checked_add(since).unwrap_or(origin)
}

/// The time of day of a time of the environment's clock.
pub(super) fn time_of_day(time: Time) -> SystemTime {
    let since = since(time);
    let (_, origin) = origin(since);
    origin.checked_add(since).unwrap_or(origin)
}

/// The time of an instant; [`Time::MAX`] for those that never come.
pub(super) fn time(instant: Instant) -> Time {
    let nanos = instant.saturating_duration_since(origin(Duration::ZERO).0).as_nanos();
    i64::try_from(nanos).map_or(Time::MAX, Time::from_nanos)
}
