//! Bytes that were pushed and not read yet.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

/// A queue of slices, none of them empty.
#[derive(Debug, Default)]
pub(super) struct Input {
    parts: VecDeque<Bytes>,
    len: usize,
}

impl Input {
    pub(super) fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.len += part.len();
            self.parts.push_back(part);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The next bytes: of the first slice where it has `room` of them, else gathered into `room`.
    #[inline]
    pub(super) fn peek<'a>(&'a self, room: &'a mut [u8]) -> &'a [u8] {
        match self.parts.front() {
            Some(front) if front.len() >= room.len() || self.parts.len() == 1 => {
                front.get(..room.len().min(front.len())).unwrap_or_default()
            }
            _ => self.gather(room),
        }
    }

    fn gather<'a>(&self, room: &'a mut [u8]) -> &'a [u8] {
        let mut filled = 0;
        for part in &self.parts {
            let free = &mut room[filled..];
            let len = free.len().min(part.len());
            free[..len].copy_from_slice(&part[..len]);
            filled += len;
        }
        &room[..filled]
    }

    /// Passes over bytes that were peeked at.
    pub(super) fn skip(&mut self, mut len: usize) {
        while let Some(front) = self.parts.front_mut().filter(|_| len > 0) {
            let step = len.min(front.len());
            front.advance(step);
            self.len -= step;
            len -= step;
            if front.is_empty() {
                self.parts.pop_front();
            }
        }
    }

    /// The next bytes that lie in one slice, `max` at most; none only if there are none.
    #[inline]
    pub(super) fn front(&self, max: usize) -> &[u8] {
        let front = self.parts.front().map(|front| &front[..]).unwrap_or_default();
        front.get(..max).unwrap_or(front)
    }

    /// Takes bytes of the first slice, shared; no more than [`Input::front`] gave.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        let Some(front) = self.parts.front_mut() else { return Bytes::new() };
        let taken = front.split_to(len.min(front.len()));
        self.len -= taken.len();
        if front.is_empty() {
            self.parts.pop_front();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peeking_crosses_slices_and_taking_does_not() {
        let mut input = Input::default();
        input.push(Bytes::from_static(b"ab"));
        input.push(Bytes::new());
        input.push(Bytes::from_static(b"cde"));
        assert_eq!((input.len(), input.peek(&mut [0; 4])), (5, &b"abcd"[..]));
        input.skip(1);
        assert_eq!((input.front(9), input.front(0)), (&b"b"[..], &b""[..]));
        assert_eq!(&input.take(9)[..], b"b");
        assert_eq!(input.peek(&mut [0; 9]), b"cde");
        input.skip(3);
        assert_eq!((input.len(), input.front(1)), (0, &b""[..]));
        assert_eq!(input.peek(&mut [0; 1]), b"");
    }
}
