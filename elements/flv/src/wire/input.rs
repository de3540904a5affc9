//! Pushed bytes seen as one run, copied only where a unit straddles two pushes.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Room that is reserved at once for a unit whose header declares its size. Larger units grow as their bytes arrive,
/// so that a lying header costs nothing.
const MAX_RESERVE: usize = 1 << 20;

/// A queue of shared slices with a contiguous view of its front.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// A unit that straddles pushes, gathered so far. If not empty, the view is this.
    gathered: BytesMut,
    /// The rest of the oldest push, behind `gathered`.
    front: Bytes,
    /// Younger pushes.
    queue: VecDeque<Bytes>,
    /// Offset of the first unread byte.
    offset: u64,
}

impl Input {
    /// An empty queue whose first byte will have this offset.
    pub(super) fn at(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }

    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.front.is_empty() {
            self.front = bytes;
        } else if !bytes.is_empty() {
            self.queue.push_back(bytes);
        }
    }

    /// Offset of the first unread byte from the first pushed one.
    #[inline]
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The unread bytes that are contiguous.
    #[inline]
    pub(super) fn view(&self) -> &[u8] {
        if self.gathered.is_empty() { &self.front } else { &self.gathered }
    }

    /// Makes the view at least `len` bytes long, if so many bytes are there. What was gathered stays gathered, so that
    /// asking again after each push costs no more than the new bytes.
    #[inline]
    pub(super) fn want(&mut self, len: usize) -> bool {
        self.view().len() >= len || self.gather(len)
    }

    /// Makes the view longer by at least a byte and up to `step` bytes, if there is any.
    pub(super) fn want_more(&mut self, step: usize) -> bool {
        let have = self.view().len();
        self.gather(have.saturating_add(step));
        self.view().len() > have
    }

    /// Drops `len` bytes of the view.
    pub(super) fn skip(&mut self, len: usize) {
        let len = len.min(self.view().len());
        self.offset += len as u64;
        if self.gathered.is_empty() {
            self.front.advance(len);
        } else {
            self.gathered.advance(len);
        }
        self.next_front();
    }

    /// Takes `total` bytes of the view and returns `len` of them, from `start` on, without a copy.
    #[inline]
    pub(super) fn take(&mut self, start: usize, len: usize, total: usize) -> Bytes {
        debug_assert!(start + len <= total && total <= self.view().len());
        self.offset += total as u64;
        let taken = if self.gathered.is_empty() {
            let taken = self.front.slice(start..start + len);
            self.front.advance(total);
            taken
        } else {
            let mut taken = self.gathered.split_to(total).freeze();
            taken.advance(start);
            taken.truncate(len);
            taken
        };
        self.next_front();
        taken
    }

    #[cold]
    fn gather(&mut self, len: usize) -> bool {
        while self.gathered.len() < len && !self.front.is_empty() {
            if self.gathered.is_empty() {
                // A fresh block: the old one may be shared with bodies that were handed out.
                self.gathered = BytesMut::with_capacity(len.min(MAX_RESERVE));
            }
            let part = self.front.len().min(len - self.gathered.len());
            self.gathered.extend_from_slice(&self.front[..part]);
            self.front.advance(part);
            self.next_front();
        }
        self.gathered.len() >= len
    }

    #[inline]
    fn next_front(&mut self) {
        if self.front.is_empty()
            && let Some(next) = self.queue.pop_front()
        {
            self.front = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_units_are_slices_of_the_push() {
        let push = Bytes::from_static(b"0123456789");
        let mut input = Input::default();
        input.push(push.clone());
        assert!(input.want(4));
        let taken = input.take(1, 2, 4);
        assert_eq!(taken, "12");
        assert_eq!(taken.as_ptr(), push[1..].as_ptr());
        assert_eq!(input.offset(), 4);
        assert_eq!(input.view(), b"456789");
    }

    #[test]
    fn straddling_unit_is_gathered_and_the_rest_is_not() {
        let mut input = Input::default();
        input.push(Bytes::from_static(b"01"));
        assert!(!input.want(3));
        let second = Bytes::from_static(b"23456");
        input.push(second.clone());
        assert!(input.want(3));
        assert_eq!(input.view(), b"012");
        assert_eq!(input.take(0, 3, 3), "012");
        assert_eq!(input.view().as_ptr(), second[1..].as_ptr());
    }

    #[test]
    fn single_bytes_and_several_pushes_before_reading() {
        let mut input = Input::default();
        for byte in 0..20 {
            input.push(Bytes::copy_from_slice(&[byte]));
        }
        assert!(input.want(20));
        assert!(!input.want(21));
        input.skip(5);
        assert_eq!((input.offset(), input.view()[0]), (5, 5));
        assert_eq!(input.take(0, 15, 15).len(), 15);
        assert!(!input.want_more(10));
    }
}
