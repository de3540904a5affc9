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
    /// Slices that lie elsewhere, too.
    Shared(Slices),
    /// So many bytes, as they come. With fewer the connection breaks off, so that the client knows.
    Counted(u64, Box<dyn Live>),
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
            Self::Shared(slices) if slices.bytes == 0 => Poll::Ready(None),
            Self::Shared(slices) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(slices))))),
            Self::Counted(0, _) => Poll::Ready(None),
            Self::Live(live) => live.poll_next(cx).map(|slices| slices.map(|slices| Ok(Frame::data(slices)))),
            Self::Counted(left, live) => live.poll_next(cx).map(|slices| {
                let mut slices = slices?;
                slices.cut(0, usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= slices.bytes as u64;
                Some(Ok(Frame::data(slices)))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Shared(slices) => slices.bytes == 0,
            Self::Counted(left, _) => *left == 0,
            Self::Live(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Shared(slices) => SizeHint::with_exact(slices.bytes as u64),
            Self::Counted(left, _) => SizeHint::with_exact(*left),
            Self::Live(_) => SizeHint::default(),
        }
    }
}

/// Shared slices in a row, which are sent as they are.
#[derive(Clone, Debug, Default)]
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

impl Slices {
    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds all of others.
    pub fn append(&mut self, mut others: Self) {
        self.bytes += others.bytes;
        self.slices.append(&mut others.slices);
    }

    /// Leaves `len` bytes from `start` on, or what there is of them.
    pub fn cut(&mut self, start: usize, len: usize) {
        self.advance(start.min(self.bytes));
        while let Some(beyond) = self.bytes.checked_sub(len).filter(|beyond| *beyond > 0) {
            let Some(back) = self.slices.back_mut() else { return };
            let keep = back.len().saturating_sub(beyond);
            self.bytes -= back.len() - keep;
            match keep {
                0 => drop(self.slices.pop_back()),
                keep => back.truncate(keep),
            }
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
    fn any_part_can_be_cut_out() {
        let mut whole = Slices::default();
        [&b"abc"[..], b"d", b"efg"].into_iter().for_each(|slice| whole.push(Bytes::from_static(slice)));
        for start in 0..9 {
            for len in 0..9 {
                let mut part = whole.clone();
                part.cut(start, len);
                let expected: Vec<u8> = b"abcdefg".iter().copied().skip(start).take(len).collect();
                assert_eq!(part.len(), expected.len());
                assert_eq!(part.copy_to_bytes(part.len()), expected, "{len} from {start}");
            }
        }
    }

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
