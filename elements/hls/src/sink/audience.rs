//! How many players there are, of a protocol in which nobody stays connected: those that lately asked for something.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use millstream_core::{Time, TimeDelta};

/// Target durations for which a player may ask for nothing. It reloads the playlist after each (RFC 8216, 6.3.4), and fetches what is new.
const PATIENCE: u32 = 3;

/// How often in that time it is looked who has gone.
const LOOKS: i64 = 12;

/// Most players that are told from each other; what is beyond is not counted. As many as a listener has connections.
const MAX_PLAYERS: usize = 20_000;

/// Who asked, and when last. Programs behind one address are told from each other by what they call themselves.
#[derive(Debug)]
pub(super) struct Audience {
    seen: HashMap<u64, Time>,
    patience: TimeDelta,
    /// When it was last looked who has gone. Each of thousands of requests would be too often.
    looked: Time,
}

impl Audience {
    /// Of a presentation with this target duration in seconds.
    pub(super) fn new(target_duration: u32) -> Self {
        let patience = TimeDelta::from_secs(i64::from(target_duration.max(1).saturating_mul(PATIENCE)));
        Self { seen: HashMap::new(), patience, looked: Time::ZERO }
    }

    /// Somebody asks for something.
    pub(super) fn asks(&mut self, address: IpAddr, agent: &[u8], now: Time) {
        let mut hasher = DefaultHasher::new();
        (address, agent).hash(&mut hasher);
        let who = hasher.finish();
        if self.seen.len() >= MAX_PLAYERS && !self.seen.contains_key(&who) {
            return;
        }
        self.seen.insert(who, now);
    }

    /// How many there are.
    pub(super) fn count(&mut self, now: Time) -> usize {
        if now.since(self.looked).nanos() >= self.patience.nanos() / LOOKS {
            self.looked = now;
            self.seen.retain(|_, last| now.since(*last) < self.patience);
        }
        self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn players_are_there_while_they_ask_within_three_target_durations() {
        let mut audience = Audience::new(2);
        let at = Time::from_millis;
        audience.asks(address(1), b"hls.js", at(0));
        audience.asks(address(1), b"VLC", at(1000));
        audience.asks(address(2), b"VLC", at(2000));
        audience.asks(address(2), b"VLC", at(3000));
        assert_eq!(audience.count(at(3000)), 3);
        assert_eq!(audience.count(at(6000)), 2, "the first asked for nothing in 6 s");
        audience.asks(address(1), b"VLC", at(6500));
        assert_eq!((audience.count(at(8500)), audience.count(at(9000))), (2, 1));
    }

    #[test]
    fn a_crowd_takes_no_memory_without_end() {
        let mut audience = Audience::new(1);
        let agents = (0..MAX_PLAYERS + 100).map(|number| number.to_string());
        agents.for_each(|agent| audience.asks(address(1), agent.as_bytes(), Time::ZERO));
        assert_eq!(audience.count(Time::ZERO), MAX_PLAYERS);
    }
}
