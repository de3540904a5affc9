//! How long media is under way in a pipeline that cannot be held back.

use std::collections::VecDeque;

use gstreamer::ClockTime;
use millstream_plugin_sdk::prelude::{Time, TimeDelta};

/// What may be under way; beyond it the oldest is forgotten.
const MAX_UNDER_WAY: usize = 1024;
/// Delays beyond the declared latency that are no news: a picture and a half at 5 pictures a second.
const TOLERANCE: TimeDelta = TimeDelta::from_millis(300);

/// When media went in, by its running time.
#[derive(Default)]
pub(crate) struct Transit {
    under_way: VecDeque<(ClockTime, Time)>,
}

impl Transit {
    /// Media of this running time goes in.
    pub(crate) fn begins(&mut self, running: ClockTime, now: Time) {
        if self.under_way.len() == MAX_UNDER_WAY {
            self.under_way.pop_front();
        }
        self.under_way.push_back((running, now));
    }

    /// Media of this running time comes out: how much later than the pipeline has declared, if that is news.
    pub(crate) fn ends(&mut self, running: ClockTime, now: Time, declared: TimeDelta) -> Option<TimeDelta> {
        let mut began = None;
        while let Some((_, at)) = self.under_way.pop_front_if(|(of, _)| *of <= running) {
            began = Some(at);
        }
        let late = TimeDelta::from_nanos(now.since(began?).nanos().saturating_sub(declared.nanos()));
        (late > TOLERANCE).then_some(late)
    }

    /// What was under way is void.
    pub(crate) fn flush(&mut self) {
        self.under_way.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_longer_than_declared_is_late() {
        let mut transit = Transit::default();
        let at = |ms| (ClockTime::from_mseconds(ms), Time::from_millis(i64::try_from(ms).expect("small")));
        (0..10).for_each(|n| transit.begins(at(n * 40).0, at(n * 40).1));
        let declared = TimeDelta::from_millis(100);
        assert_eq!(transit.ends(at(0).0, Time::from_millis(390), declared), None);
        assert_eq!(transit.ends(at(80).0, Time::from_millis(980), declared), Some(TimeDelta::from_millis(800)));
        assert_eq!(transit.ends(at(80).0, Time::from_millis(2000), declared), None, "told once");
        transit.flush();
        assert_eq!(transit.ends(at(360).0, Time::from_millis(5000), declared), None);
    }
}
