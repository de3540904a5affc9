//! Bytes of the input by their place in the file.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use millstream_core::Payload;

/// What has come of the file and not been taken, in one piece.
#[derive(Debug, Default)]
pub(super) struct Input {
    slices: VecDeque<Bytes>,
    /// Place of the first byte, and how many there are.
    at: u64,
    len: usize,
}

impl Input {
    /// Place of the next byte that can be taken.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes that are there.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets what there is: the next bytes lie at `at`.
    pub(super) fn reset(&mut self, at: u64) {
        *self = Self { at, ..Self::default() };
    }

    pub(super) fn push(&mut self, slice: Bytes) {
        if !slice.is_empty() {
            self.len += slice.len();
            self.slices.push_back(slice);
        }
    }

    /// The first bytes, as far as they are there, without taking them.
    pub(super) fn peek<const N: usize>(&self) -> ([u8; N], usize) {
        let (mut bytes, mut filled) = ([0; N], 0);
        for slice in &self.slices {
            let count = slice.len().min(N - filled);
            bytes[filled..filled + count].copy_from_slice(&slice[..count]);
            filled += count;
        }
        (bytes, filled)
    }

    /// Takes bytes as they are, shared; `None` as long as there are not so many.
    pub(super) fn take(&mut self, count: usize) -> Option<Payload> {
        if count > self.len {
            return None;
        }
        let (mut payload, mut left) = (Payload::new(), count);
        while left > 0 {
            let first = self.slices.front_mut()?;
            let part = first.split_to(left.min(first.len()));
            left -= part.len();
            if first.is_empty() {
                self.slices.pop_front();
            }
            payload.push(part);
        }
        (self.at, self.len) = (self.at.saturating_add(count as u64), self.len - count);
        Some(payload)
    }

    /// The same in one piece.
    pub(super) fn take_bytes(&mut self, count: usize) -> Option<Bytes> {
        let payload = self.take(count)?;
        Some(match payload.slices() {
            [one] => one.clone(),
            slices => slices
                .iter()
                .fold(BytesMut::with_capacity(count), |mut all, one| {
                    all.extend_from_slice(one);
                    all
                })
                .freeze(),
        })
    }

    /// Leaves out what lies ahead of `to`, as far as it is there.
    pub(super) fn skip_to(&mut self, to: u64) {
        let count = usize::try_from(to.saturating_sub(self.at)).unwrap_or(usize::MAX).min(self.len);
        self.take(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_over_the_ends_of_slices() {
        let mut input = Input::default();
        input.reset(100);
        [&b"abc"[..], b"", b"defg"].into_iter().for_each(|slice| input.push(Bytes::from_static(slice)));
        assert_eq!(input.peek::<5>(), (*b"abcde", 5));
        assert_eq!(input.take(8), None);
        assert_eq!(input.take_bytes(4).as_deref(), Some(&b"abcd"[..]));
        input.skip_to(105);
        assert_eq!((input.at(), input.len(), input.peek::<4>()), (105, 2, (*b"fg\0\0", 2)));
        input.skip_to(1000);
        assert_eq!((input.at(), input.len()), (107, 0));
    }
}
