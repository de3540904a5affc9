//! Counting bytes both ways (RTMP 1.0, 5.4.3 and 5.4.4).

use super::DEFAULT_WINDOW;

/// What was received and acknowledged, and what was sent and acknowledged by the peer.
///
/// Sequence numbers are all bytes since the connection began, handshake included, modulo 2^32.
#[derive(Debug, Clone)]
pub(super) struct Acknowledgements {
    received: u64,
    /// Value of `received` in the last acknowledgement.
    told: u64,
    /// The peer wants to hear each time it has sent so many bytes.
    window: u32,
    sent: u64,
    /// Bytes sent that the peer said it received.
    heard: u64,
}

impl Acknowledgements {
    pub(super) fn new() -> Self {
        Self { received: 0, told: 0, window: DEFAULT_WINDOW, sent: 0, heard: 0 }
    }

    pub(super) fn received(&mut self, len: usize) {
        self.received += len as u64;
    }

    pub(super) fn sent(&mut self, len: usize) {
        self.sent += len as u64;
    }

    /// Bytes received since the beginning.
    pub(super) fn total_received(&self) -> u64 {
        self.received
    }

    /// Bytes sent since the beginning.
    pub(super) fn total_sent(&self) -> u64 {
        self.sent
    }

    /// The peer's Window Acknowledgement Size. Zero would mean without end; it is passed over.
    pub(super) fn set_window(&mut self, window: u32) {
        if window > 0 {
            self.window = window;
        }
    }

    /// The number to acknowledge, if it is time to; calling it is the promise to send it. However long that took, one
    /// number tells all.
    pub(super) fn due(&mut self) -> Option<u32> {
        if self.received - self.told < u64::from(self.window) {
            return None;
        }
        self.told = self.received;
        Some(self.received as u32)
    }

    /// The peer acknowledges. Some count otherwise (YouTube repeats a fixed step, others begin again at each
    /// acknowledgement), so a number that leads backwards or beyond what was sent is passed over.
    pub(super) fn acknowledged(&mut self, sequence: u32) {
        let step = u64::from(sequence.wrapping_sub(self.heard as u32));
        if let Some(heard) = self.heard.checked_add(step).filter(|heard| *heard <= self.sent) {
            self.heard = heard;
        }
    }

    /// Bytes sent that the peer has not acknowledged. Only to look at: peers that never acknowledge are common.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.sent - self.heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_c10_acknowledgement_is_cumulative_and_once_a_window() {
        let mut acks = Acknowledgements::new();
        acks.set_window(1000);
        acks.received(999);
        assert_eq!(acks.due(), None);
        acks.received(1);
        assert_eq!((acks.due(), acks.due()), (Some(1000), None));
        acks.received(5500);
        assert_eq!((acks.due(), acks.due()), (Some(6500), None));
        acks.set_window(0);
        acks.received(1000);
        assert_eq!(acks.due(), Some(7500));
    }

    #[test]
    fn rtmp_c10_sequence_wraps_at_32_bits_both_ways() {
        let mut acks = Acknowledgements { received: u64::from(u32::MAX) - 9, told: 0, ..Acknowledgements::new() };
        acks.due();
        acks.received(3_000_000);
        assert_eq!(acks.due(), Some(3_000_000 - 10));
        let before = u64::from(u32::MAX) - 9;
        let mut acks = Acknowledgements { sent: before + 100, heard: before, ..Acknowledgements::new() };
        acks.acknowledged(50);
        assert_eq!(acks.unacknowledged(), 40);
    }

    #[test]
    fn rtmp_c10_wrong_numbers_are_passed_over() {
        let mut acks = Acknowledgements::new();
        acks.sent(10_000);
        for sequence in [2500, 2500, 7000, 2500, 90_000, u32::MAX] {
            acks.acknowledged(sequence);
        }
        assert_eq!(acks.unacknowledged(), 3000);
    }
}
