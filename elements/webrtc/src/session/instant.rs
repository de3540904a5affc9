//! The clock of the environment as str0m wants it.

use std::sync::LazyLock;
use std::time::Instant;

use millstream_core::Time;

/// Only distances from it count: the clock of a test begins here as well as any other.
#[expect(clippy::disallowed_methods, reason = "there is no other way to any `Instant`")]
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Longest time that is converted: what is later never comes.
const FAR: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

/// An instant for a time of the environment's clock. What was before its beginning is its beginning.
pub(super) fn instant(time: Time) -> Instant {
    let nanos = u64::try_from(time.nanos()).unwrap_or(0).min(FAR);
    ORIGIN.checked_add(std::time::Duration::from_nanos(nanos)).unwrap_or(*ORIGIN)
}

/// The time of an instant; [`Time::MAX`] for those that never come.
pub(super) fn time(instant: Instant) -> Time {
    let nanos = instant.saturating_duration_since(*ORIGIN).as_nanos();
    i64::try_from(nanos).map_or(Time::MAX, Time::from_nanos)
}
