//! When players hear of a tag: at once, with the next picture, or when a window is over.

use millstream_core::{Time, TimeDelta};

/// Decides it. Reads no clock.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    audio: TimeDelta,
    window: TimeDelta,
    /// When players hear of what waits.
    due: Option<Time>,
}

impl Hold {
    /// Sound waits up to `audio` for a picture; everything waits until `window` is over, if that is not 0.
    pub fn new(audio: TimeDelta, window: TimeDelta) -> Self {
        Self { audio, window, due: None }
    }

    /// A tag is added at `now`, to a stream with or without pictures. True when players do not hear of it yet.
    pub fn holds(&mut self, is_audio: bool, has_video: bool, now: Time) -> bool {
        let wait = match (self.window > TimeDelta::ZERO, is_audio && has_video) {
            (true, _) => self.window,
            (false, true) => self.audio,
            (false, false) => TimeDelta::ZERO,
        };
        let holds = wait > TimeDelta::ZERO;
        self.due = if holds { self.due.or(Some(now + wait)) } else { None };
        holds
    }

    /// When players are to be told of what waits.
    pub fn due(&self) -> Option<Time> {
        self.due
    }

    /// They were told.
    pub fn told(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn sound_rides_with_the_next_picture_or_goes_alone_in_time() {
        let mut hold = Hold::new(TimeDelta::from_millis(25), TimeDelta::ZERO);
        assert!(!hold.holds(true, false, at(0)), "without pictures there is nothing to ride with");
        assert!(hold.holds(true, true, at(10)) && hold.holds(true, true, at(20)));
        assert_eq!(hold.due(), Some(at(35)));
        assert!(!hold.holds(false, true, at(30)));
        assert_eq!(hold.due(), None, "it rode along");
        assert!(!Hold::new(TimeDelta::ZERO, TimeDelta::ZERO).holds(true, true, at(0)));
    }

    #[test]
    fn a_window_gathers_pictures_and_sound() {
        let mut hold = Hold::new(TimeDelta::from_millis(25), TimeDelta::from_millis(350));
        for ms in [0, 100, 349] {
            assert!(hold.holds(ms == 100, true, at(ms)));
        }
        assert_eq!(hold.due(), Some(at(350)));
        hold.told();
        assert!(hold.holds(false, true, at(360)));
        assert_eq!(hold.due(), Some(at(710)));
    }
}
