//! A message of which some chunks came.

use bytes::{Bytes, BytesMut};

/// What is allocated for a message before any of its bytes came: a declared length is not yet a reason to take memory (RTMP-C9).
const FIRST_ROOM: usize = 16 << 10;

/// Gathers a message: one copy of its bytes, into room that is taken as bytes come.
#[derive(Debug)]
pub(super) struct Partial {
    bytes: BytesMut,
    len: usize,
}

impl Partial {
    /// A message of `len` bytes. `largest` is the longest message that came on the same chunk stream before: so much was
    /// really sent, so twice as much is believed, and in a steady stream nothing is copied twice.
    pub(super) fn new(len: usize, largest: usize) -> Self {
        let room = len.min(FIRST_ROOM.max(largest.saturating_mul(2)));
        Self { bytes: BytesMut::with_capacity(room), len }
    }

    /// Bytes still to come.
    pub(super) fn left(&self) -> usize {
        self.len - self.bytes.len()
    }

    /// Memory held.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends bytes, [`Partial::left`] at most.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            let room = self.len.min(self.bytes.capacity().saturating_mul(2)).max(self.bytes.len() + bytes.len());
            let mut larger = BytesMut::with_capacity(room);
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The whole message.
    pub(super) fn finish(self) -> Bytes {
        self.bytes.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_c9_room_is_taken_as_bytes_come() {
        let mut partial = Partial::new(16 << 20, 0);
        assert!(partial.held() <= FIRST_ROOM);
        let mut sent = 0;
        while sent < 1 << 20 {
            partial.append(&[0; 1000]);
            sent += 1000;
            assert!(partial.held() <= FIRST_ROOM.max(2 * sent));
        }
        assert_eq!(partial.left(), (16 << 20) - sent);
        // What came before is believed, so that the next one needs one allocation.
        assert_eq!(Partial::new(90_000, 50_000).held(), 90_000);
        assert_eq!(Partial::new(500_000, 50_000).held(), 100_000);
    }
}
