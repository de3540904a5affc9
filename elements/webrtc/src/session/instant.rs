//! The clock of the environment as str0m wants it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use millstream_core::Time;

/// When the clock of the environment began, by the first time that is converted, which is the present one: str0m tells the other end the time
/// of day of an instant (RFC 3550, 4). The clock of a test begins here as well as any other.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// Longest time that is converted: what is later never comes.
const FAR: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

#[expect(clippy::disallowed_methods, reason = "there is no other way to any `Instant`")]
fn origin(since: Duration) -> Instant {
    *ORIGIN.get_or_init(|| {
        let now = Instant::now();
        now.checked_sub(since).unwrap_or(now)
    })
}

/// An instant for a time of the environment's clock. What was before its beginning is its beginning.
pub(super) fn instant(time: Time) -> Instant {
    let since = Duration::from_nanos(u64::try_from(time.nanos()).unwrap_or(0).min(FAR));
    let origin = origin(since);
    origin.checked_add(since).unwrap_or(origin)
}

/// The time of an instant; [`Time::MAX`] for those that never come.
pub(super) fn time(instant: Instant) -> Time {
    let nanos = instant.saturating_duration_since(origin(Duration::ZERO)).as_nanos();
    i64::try_from(nanos).map_or(Time::MAX, Time::from_nanos)
}
