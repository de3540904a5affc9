//! Where a timeline lies on the clock.

use millstream_core::{Time, TimeDelta};

/// A timeline that falls behind the clock so far is placed anew: its publisher has paused, or come back.
const AWAY: TimeDelta = TimeDelta::from_millis(500);

/// Sound and pictures of a timeline keep their distance on the clock.
#[derive(Default)]
pub(super) struct Anchor {
    /// What is 0 on the timeline, on the clock.
    origin: Option<Time>,
}

impl Anchor {
    /// The moment of a timestamp. It is never later than now, for nothing is told of the future (RFC 3550, 6.4.1): what comes earlier than all
    /// before moves the timeline.
    pub(super) fn place(&mut self, pts: Time, now: Time) -> Time {
        let here = |origin: Time| origin + pts.since(Time::ZERO);
        match self.origin.map(here).filter(|at| now - *at < AWAY && *at <= now) {
            Some(at) => at,
            None => {
                self.origin = Some(now - pts.since(Time::ZERO));
                now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_picture_that_came_late_puts_nothing_into_the_future() {
        let (mut anchor, ms) = (Anchor::default(), Time::from_millis);
        assert_eq!(anchor.place(ms(0), ms(1300)), ms(1300));
        // What follows comes in time, 300 ms earlier than the first promised.
        assert_eq!(anchor.place(ms(40), ms(1040)), ms(1040));
        assert_eq!(anchor.place(ms(80), ms(1085)), ms(1080), "then the timeline lies where it is earliest");
        assert_eq!(anchor.place(ms(60), ms(1090)), ms(1060), "and sound on it, too");
    }

    #[test]
    fn a_publisher_that_comes_back_begins_a_new_timeline() {
        let (mut anchor, ms) = (Anchor::default(), Time::from_millis);
        anchor.place(ms(0), ms(1000));
        assert_eq!(anchor.place(ms(499), ms(1998)), ms(1499));
        assert_eq!(anchor.place(ms(500), ms(2100)), ms(2100));
        assert_eq!(anchor.place(ms(600), ms(2230)), ms(2200));
    }
}
