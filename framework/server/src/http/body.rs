//! What a response carries.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Frame, SizeHint};

/// A stream of bytes whose length nobody knows.
pub trait Live: Send {
    /// The next bytes; nothing at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Slices>>;
}

/// What a response carries.
pub enum Body {
    /// These bytes.
    Full(Bytes),
    /// Bytes as they come: in chunks for HTTP/1.1, up to the end of the connection for HTTP/1.0.
    Live(Box<dyn Live>),
}

impl hyper::body::Body for Body {
    type Data = Slices;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Slices>, Infallible>>> {
        match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes).into())))),
            Self::Live(live) => live.poll_next(cx).map(|slices| slices.map(|slices| Ok(Frame::data(slices)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Live(_) => SizeHint::default(),
        }
    }
}

/// Shared slices in a row, which are sent as they are.
#[derive(Debug, Default)]
pub struct Slices {
    slices: VecDeque<Bytes>,
    bytes: usize,
}

impl Slices {
    /// Adds one.
    pub fn push(&mut self, slice: Bytes) {
        if !slice.is_empty() {
            self.bytes += slice.len();
            self.slices.push_back(slice);
        }
    }
}

impl From<Bytes> for Slices {
    fn from(bytes: Bytes) -> Self {
        let mut slices = Self::default();
        slices.push(bytes);
        slices
    }
}

impl Buf for Slices {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn chunk(&self) -> &[u8] {
        self.slices.front().map_or(&[], |slice| slice)
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let places = into.iter_mut().zip(&self.slices);
        places.map(|(place, slice)| *place = IoSlice::new(slice)).count()
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.bytes, "advanced beyond the end, which `Buf` forbids");
        self.bytes -= count;
        while let Some(front) = self.slices.front_mut().filter(|_| count > 0) {
            let step = count.min(front.len());
            front.advance(step);
            count -= step;
            if front.is_empty() {
                self.slices.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_read_in_order_by_any_step() {
        for step in 1..8 {
            let mut slices = Slices::default();
            [&b"abc"[..], b"", b"d", b"efg"].into_iter().for_each(|slice| slices.push(Bytes::from_static(slice)));
            let mut places = [IoSlice::new(&[]); 8];
            assert_eq!((slices.chunks_vectored(&mut places), slices.remaining()), (3, 7));
            let mut read = Vec::new();
            while slices.has_remaining() {
                let take = step.min(slices.chunk().len());
                read.extend_from_slice(&slices.chunk()[..take]);
                slices.advance(take);
            }
            assert_eq!(read, b"abcdefg");
        }
        let mut slices = Slices::from(Bytes::from_static(b"abc"));
        slices.push(Bytes::from_static(b"de"));
        slices.advance(4);
        assert_eq!((slices.chunk(), slices.remaining()), (&b"e"[..], 1));
    }
}
