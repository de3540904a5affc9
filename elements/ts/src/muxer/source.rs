//! The payload of a PES packet as a row of slices that is read from the front.

use bytes::Bytes;

/// What is left of the slices.
pub(super) struct Source<'a> {
    front: &'a [u8],
    rest: std::slice::Iter<'a, Bytes>,
}

impl<'a> Source<'a> {
    pub(super) fn new(slices: &'a [Bytes]) -> Self {
        Self { front: &[], rest: slices.iter() }
    }

    /// The next bytes that are in one piece; empty at the end.
    pub(super) fn front(&mut self) -> &'a [u8] {
        while self.front.is_empty() {
            match self.rest.next() {
                Some(slice) => self.front = slice,
                None => break,
            }
        }
        self.front
    }

    /// Drops bytes of [`Self::front`].
    pub(super) fn advance(&mut self, count: usize) {
        self.front = self.front.get(count..).unwrap_or_default();
    }

    /// Fills `out`, or as much of it as there are bytes.
    pub(super) fn copy_to(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            let front = self.front();
            let count = front.len().min(out.len());
            if count == 0 {
                return;
            }
            let (now, later) = out.split_at_mut(count);
            now.copy_from_slice(&front[..count]);
            self.advance(count);
            out = later;
        }
    }
}
