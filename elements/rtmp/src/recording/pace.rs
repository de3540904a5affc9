//! When what of a recording is due.

use millstream_core::{Time, TimeDelta};

/// Ties positions of a recording to the clock: the client shows what it gets at the speed of time, and keeps so much ahead.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// The client stands at this position (in milliseconds) at this time.
    origin: (Time, u32),
    ahead: TimeDelta,
}

impl Pace {
    pub(super) fn new(now: Time, ahead: TimeDelta) -> Self {
        Self { origin: (now, 0), ahead }
    }

    /// The client begins to show what is at `position`.
    pub(super) fn begin(&mut self, now: Time, position: u32) {
        self.origin = (now, position);
    }

    /// How much the client keeps ahead of what it shows.
    pub(super) fn set_ahead(&mut self, ahead: TimeDelta) {
        self.ahead = ahead;
    }

    /// When what is at `position` is to be sent; maybe long ago.
    pub(super) fn due(&self, position: u32) -> Time {
        let (began, from) = self.origin;
        began + TimeDelta::from_millis(i64::from(position) - i64::from(from)) - self.ahead
    }
}
