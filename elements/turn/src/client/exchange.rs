//! A request and when it is sent again (RFC 8489, 6.2.1).
//!
//! ```text
//! sent at     0   500  1500  3500  7500  15500  31500 ms; nobody has answered after 39500 ms
//! ```

use millstream_core::{Time, TimeDelta};

use crate::server::Transport;

/// First distance of two attempts: nothing is known of the way.
const RTO: TimeDelta = TimeDelta::from_millis(500);
/// Rc: how often a request is sent.
const ATTEMPTS: u32 = 7;
/// Rm: how many `RTO` the last attempt is waited for.
const LAST: i64 = 16;
/// Ti: how long a stream, which loses nothing, is waited for.
const RELIABLE: TimeDelta = TimeDelta::from_millis(39_500);

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) id: [u8; 12],
    pub(super) bytes: Vec<u8>,
    attempts: u32,
    distance: TimeDelta,
    next: Time,
}

/// What is to be done with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Nothing so far.
    Wait,
    /// It is to be sent again.
    Again,
    /// Nobody answers.
    Silent,
}

impl Exchange {
    /// A request that is being sent for the first time.
    pub(super) fn new(id: [u8; 12], bytes: Vec<u8>, transport: Transport, now: Time) -> Self {
        let (attempts, wait) = match transport {
            Transport::Udp => (1, RTO),
            Transport::Tcp => (ATTEMPTS, RELIABLE),
        };
        Self { id, bytes, attempts, distance: RTO, next: now + wait }
    }

    /// When [`Exchange::advance`] has something to do.
    pub(super) fn next(&self) -> Time {
        self.next
    }

    pub(super) fn advance(&mut self, now: Time) -> Step {
        if now < self.next {
            return Step::Wait;
        }
        if self.attempts >= ATTEMPTS {
            return Step::Silent;
        }
        self.attempts += 1;
        self.distance = TimeDelta::from_nanos(self.distance.nanos().saturating_mul(2));
        let wait = if self.attempts == ATTEMPTS { TimeDelta::from_nanos(RTO.nanos() * LAST) } else { self.distance };
        self.next = now + wait;
        Step::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(transport: Transport) -> (Vec<i64>, i64) {
        let mut exchange = Exchange::new([0; 12], Vec::new(), transport, Time::ZERO);
        let mut sent = vec![0];
        loop {
            let now = exchange.next();
            assert_eq!(exchange.advance(now - TimeDelta::from_millis(1)), Step::Wait);
            match exchange.advance(now) {
                Step::Again => sent.push(now.millis()),
                Step::Silent => return (sent, now.millis()),
                Step::Wait => panic!("its time has come"),
            }
        }
    }

    #[test]
    fn turn_1_requests_are_repeated_as_rfc_8489_says() {
        // RFC 8489, 6.2.1: the example for an RTO of 500 ms.
        assert_eq!(times(Transport::Udp), (vec![0, 500, 1500, 3500, 7500, 15_500, 31_500], 39_500));
        // 6.2.2
        assert_eq!(times(Transport::Tcp), (vec![0], 39_500));
    }
}
