//! Set Peer Bandwidth, received (RTMP 1.0, 5.4.5).

use crate::message::PeerLimit;

/// The limit that the peer set, and the window that was announced to it.
#[derive(Debug, Clone, Default)]
pub(super) struct PeerBandwidth {
    limit: Option<u32>,
    hard: bool,
    announced: Option<u32>,
}

impl PeerBandwidth {
    /// The peer sets a limit. Returns the Window Acknowledgement Size to answer with, if it is another than the last one sent.
    pub(super) fn set(&mut self, window: u32, limit: PeerLimit) -> Option<u32> {
        match limit {
            PeerLimit::Hard => (self.limit, self.hard) = (Some(window), true),
            PeerLimit::Soft => {
                self.limit = Some(self.limit.map_or(window, |limit| limit.min(window)));
                self.hard = false;
            }
            PeerLimit::Dynamic if self.hard => self.limit = Some(window),
            PeerLimit::Dynamic => return None,
        }
        let limit = self.limit.filter(|limit| Some(*limit) != self.announced)?;
        self.announced = Some(limit);
        Some(limit)
    }

    /// Bytes that may be under way without acknowledgement; none if the peer set no limit.
    pub(super) fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Notes a Window Acknowledgement Size that is sent unasked; false if the peer knows it already.
    pub(super) fn announce(&mut self, window: u32) -> bool {
        self.announced.replace(window) != Some(window)
    }

    /// Whether any window was announced.
    pub(super) fn has_announced(&self) -> bool {
        self.announced.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PeerLimit::{Dynamic, Hard, Soft};

    /// The limits in effect after each of a row of messages.
    fn limits(steps: &[(u32, PeerLimit)]) -> Vec<Option<u32>> {
        let mut bandwidth = PeerBandwidth::default();
        let set = |(window, limit): &(u32, PeerLimit)| {
            bandwidth.set(*window, *limit);
            bandwidth.limit()
        };
        steps.iter().map(set).collect()
    }

    #[test]
    fn rtmp_c11_hard_soft_and_dynamic() {
        assert_eq!(limits(&[(100, Hard), (50, Hard), (200, Hard)]), [Some(100), Some(50), Some(200)]);
        assert_eq!(limits(&[(100, Soft), (50, Soft), (200, Soft)]), [Some(100), Some(50), Some(50)]);
        assert_eq!(limits(&[(100, Dynamic)]), [None], "nothing was set before");
        assert_eq!(limits(&[(100, Hard), (200, Dynamic), (300, Dynamic)]), [Some(100), Some(200), Some(300)]);
        assert_eq!(limits(&[(100, Soft), (200, Dynamic)]), [Some(100), Some(100)]);
        assert_eq!(limits(&[(100, Hard), (70, Soft), (200, Dynamic)]), [Some(100), Some(70), Some(70)]);
    }

    #[test]
    fn rtmp_c11_window_is_answered_only_when_it_changes() {
        let mut bandwidth = PeerBandwidth::default();
        assert_eq!(bandwidth.set(100, Hard), Some(100));
        assert_eq!(bandwidth.set(100, Hard), None);
        assert_eq!(bandwidth.set(200, Soft), None);
        assert_eq!(bandwidth.set(50, Soft), Some(50));
        assert!(!bandwidth.announce(50) && bandwidth.announce(60));
        assert_eq!(bandwidth.set(50, Soft), Some(50));
    }
}
