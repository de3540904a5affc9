//! When a PCR is due and what it says. Times are 27 MHz ticks that neither wrap nor need be positive.
//!
//! Without a bit rate the clock is the DTS of what is sent less the delay. With one, it is the number of bytes sent, and a frame waits
//! behind null packets until the clock has come to its DTS less the delay.

use super::settings::TsMuxerSettings;
use crate::packet::PACKET_SIZE;
use crate::timestamp::{PCR_HZ, PCR_PER_PTS};

/// The last bit of the PCR base is in this byte of its packet: the PCR tells when that byte arrives (ISO/IEC 13818-1, 2.4.2.2).
const PCR_BYTE: u64 = 10;

/// A longer gap in the DTS is marked as a discontinuity instead of being filled with PCRs: 10 s, 250 packets at 40 ms.
const MAX_GAP: i64 = 10 * PCR_HZ;

/// Packets of PAT and PMT that may come between a check whether a PCR is due and the next one.
const TABLE_PACKETS: u64 = 7;

/// The clock of the program.
#[derive(Debug)]
pub(super) struct Clock {
    interval: i64,
    delay: i64,
    bitrate: Option<u64>,
    /// The last PCR sent.
    last: Option<i64>,
    /// With a bit rate: time and byte count where the schedule begins.
    origin: Option<(i64, u64)>,
    /// With a bit rate: byte count of the packet with the last PCR, and most bytes until the next.
    last_at: u64,
    every: u64,
}

/// What to do about the clock before a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The time line jumps here: a PCR with discontinuity_indicator.
    Jump,
    /// It goes on.
    Go,
}

impl Clock {
    pub(super) fn new(settings: &TsMuxerSettings) -> Self {
        let bits = settings.bitrate.map_or(0, u128::from) * settings.pcr_interval.max(1).unsigned_abs() as u128;
        let packets = u64::try_from(bits / (90_000 * 8 * PACKET_SIZE as u128)).unwrap_or(u64::MAX);
        // A packet of media, at least, follows each PCR: there is progress at any rate.
        let every = (packets - TABLE_PACKETS.min(packets / 2)).max(2);
        Self {
            interval: settings.pcr_interval.saturating_mul(PCR_PER_PTS),
            delay: settings.pcr_delay.saturating_mul(PCR_PER_PTS),
            bitrate: settings.bitrate,
            last: None,
            origin: None,
            last_at: 0,
            every,
        }
    }

    /// The clock at which a frame of this DTS (90 kHz) is sent.
    pub(super) const fn target(&self, dts: i64) -> i64 {
        dts.saturating_mul(PCR_PER_PTS).saturating_sub(self.delay)
    }

    /// Whether the time line jumps with a frame of this target; `leads` says that the frame is of the PCR's own stream. If so, the clock
    /// starts anew there, `sent` bytes into the stream.
    pub(super) fn step(&mut self, target: i64, leads: bool, sent: u64) -> Step {
        let now = if self.bitrate.is_some() { self.scheduled(sent) } else { self.last };
        let first = now.is_none();
        let jumps = now.is_some_and(|now| {
            let ahead = target.saturating_sub(now);
            leads && (ahead > MAX_GAP || ahead < -self.delay.max(MAX_GAP))
        });
        if first || jumps {
            self.origin = Some((target, sent));
            self.last = None;
        }
        if jumps { Step::Jump } else { Step::Go }
    }

    /// Whether the clock can be brought to `target` with PCRs and null packets. A frame of another stream than the PCR's own may be ahead
    /// by more: the clock does not follow it.
    pub(super) fn reaches(&self, target: i64, sent: u64) -> bool {
        self.now(sent).is_none_or(|now| target.saturating_sub(now) <= MAX_GAP)
    }

    /// Without a bit rate: the PCR that must be sent before one of `target` is, because the distance would be too long.
    pub(super) fn overdue(&self, target: i64) -> Option<i64> {
        let last = self.last?;
        let next = last.saturating_add(self.interval);
        (self.bitrate.is_none() && next < target).then_some(next)
    }

    /// Without a bit rate: the PCR for a frame of the PCR's own stream, unless the last is so near that the next frame will do.
    pub(super) fn on_frame(&self, target: i64, must: bool) -> Option<i64> {
        match self.last {
            None => Some(target),
            Some(last) if target <= last => None,
            Some(last) => (must || target - last >= self.interval / 2).then_some(target),
        }
    }

    /// With a bit rate: how many packets may be sent at `sent` bytes before one with a PCR must be.
    pub(super) const fn packets_until_due(&self, sent: u64) -> usize {
        if self.bitrate.is_none() {
            return usize::MAX;
        }
        if self.last.is_none() {
            return 0;
        }
        let gone = sent.saturating_sub(self.last_at) / PACKET_SIZE as u64;
        self.every.saturating_sub(gone) as usize
    }

    /// With a bit rate: the PCR of a packet that begins at `sent` bytes.
    pub(super) fn at_byte(&self, sent: u64) -> Option<i64> {
        self.scheduled(sent.saturating_add(PCR_BYTE))
    }

    /// With a bit rate: the time at which byte `sent` goes out.
    pub(super) fn scheduled(&self, sent: u64) -> Option<i64> {
        let (start, from) = self.origin?;
        let bits = u128::from(sent.saturating_sub(from)) * 8;
        let ticks = bits * PCR_HZ as u128 / u128::from(self.bitrate?.max(1));
        Some(start.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX)))
    }

    /// Notes that a PCR went out in the packet at `sent` bytes.
    pub(super) const fn sent(&mut self, pcr: i64, sent: u64) {
        self.last = Some(pcr);
        self.last_at = sent;
    }

    /// The last PCR, or where the clock stands with a bit rate.
    pub(super) fn now(&self, sent: u64) -> Option<i64> {
        self.scheduled(sent).filter(|_| self.bitrate.is_some()).or(self.last)
    }

    /// Whether a bit rate is kept.
    pub(super) const fn is_constant(&self) -> bool {
        self.bitrate.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_runs_away_does_not_take_the_clock_along() {
        for bitrate in [None, Some(1_000_000)] {
            let mut clock = Clock::new(&TsMuxerSettings { bitrate, ..TsMuxerSettings::default() });
            assert_eq!(clock.step(0, true, 0), Step::Go);
            clock.sent(0, 0);
            for (ahead, reaches) in [(MAX_GAP, true), (MAX_GAP + PCR_HZ, false), (i64::MAX, false)] {
                assert_eq!(clock.step(ahead, false, 0), Step::Go, "only the PCR's own stream moves it");
                assert_eq!(clock.reaches(ahead, 0), reaches, "{bitrate:?}");
            }
        }
    }
}
