//! Looking a little longer before sleeping.
//!
//! When two tasks exchange items at full speed, one of them runs dry again and again for less time than it takes the
//! kernel to put a thread to sleep and wake it. Then it pays to look for a few microseconds. When it does not pay, as
//! in every live stream, the spinner notices and all but stops.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How often a spinner looks before it gives up: some ten microseconds.
const LOOKS: u32 = 256;

/// After looking in vain, this many waits go to sleep at once.
const PATIENCE: u32 = 64;

/// Decides whether looking is worth it, from how it went before.
#[derive(Debug)]
pub(crate) struct Spinner {
    enabled: bool,
    skip: u32,
}

impl Spinner {
    /// `enabled` is false where nobody else can run meanwhile: in simulations and on one processor.
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled, skip: 0 }
    }

    /// Waits a little for a counter to move away from `seen`. True when it did.
    pub(crate) fn look(&mut self, counter: &AtomicUsize, seen: usize) -> bool {
        if !self.enabled {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        for _ in 0..LOOKS {
            if counter.load(Ordering::Relaxed) != seen {
                return true;
            }
            std::hint::spin_loop();
        }
        self.skip = PATIENCE;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_looking_when_it_does_not_pay() {
        let counter = AtomicUsize::new(0);
        let mut spinner = Spinner::new(true);
        assert!(spinner.look(&counter, 1));
        assert!(!spinner.look(&counter, 0), "nothing came");
        assert!(!spinner.look(&counter, 1), "no longer looks");
        (1..PATIENCE).for_each(|_| assert!(!spinner.look(&counter, 1)));
        assert!(spinner.look(&counter, 1), "tries again after a while");
        assert!(!Spinner::new(false).look(&counter, 1));
    }
}
