//! A connection's socket: bytes that wait to be sent, blocks to receive into, one timer, and an end at which nothing gets lost.
//!
//! It belongs to a session that is polled by hand: whoever owns both says what comes first.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use millstream_core::env::{Clock, Timer};
use millstream_core::net::{DirectWrite, NetStream};
use millstream_core::{Time, TimeDelta};
use smallvec::SmallVec;

/// Slices of one write: what Linux takes.
const MAX_SLICES: usize = 64;

/// Bytes of the first block that is received into, and of those for streams that are slow.
const LEAST_BLOCK: usize = 4 << 10;

/// How long the other end may take to read to the end and close.
const FAREWELL: TimeDelta = TimeDelta::from_secs(2);

/// A stream of bytes with what waits for it.
pub(crate) struct Socket {
    stream: Box<dyn NetStream>,
    clock: Arc<dyn Clock>,
    input: BytesMut,
    /// Bytes of the next block to receive into.
    block: usize,
    output: VecDeque<Bytes>,
    timer: Timer,
    /// When the other end last took something, or began to have something to take.
    moved: Time,
}

impl Socket {
    pub(crate) fn new(stream: Box<dyn NetStream>, clock: Arc<dyn Clock>) -> Self {
        let moved = clock.now();
        Self {
            stream,
            clock,
            input: BytesMut::new(),
            block: LEAST_BLOCK,
            output: VecDeque::new(),
            timer: Timer::default(),
            moved,
        }
    }

    /// Address of the other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.stream.peer()
    }

    /// Another way to write to it. See [`NetStream::direct`].
    pub(crate) fn direct(&self) -> Option<Arc<dyn DirectWrite>> {
        self.stream.direct()
    }

    /// Time on the clock of its timer.
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// What waits to be sent, to put more behind it.
    pub(crate) fn queue(&mut self) -> &mut VecDeque<Bytes> {
        if self.output.is_empty() {
            self.moved = self.clock.now();
        }
        &mut self.output
    }

    /// Puts bytes behind what waits to be sent.
    pub(crate) fn send(&mut self, bytes: Vec<Bytes>) {
        if !bytes.is_empty() {
            self.queue().extend(bytes);
        }
    }

    /// Whether everything was sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.output.is_empty()
    }

    /// When an other end that takes nothing for so long is to be given up; never while nothing waits for it.
    pub(crate) fn stalled_at(&self, patience: TimeDelta) -> Option<Time> {
        (!self.output.is_empty()).then(|| self.moved + patience)
    }

    /// Sends some of what waits.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let slices: SmallVec<[IoSlice<'_>; MAX_SLICES]> =
            self.output.iter().take(MAX_SLICES).map(|bytes| IoSlice::new(bytes)).collect();
        let sent = self.stream.poll_write(cx, &slices);
        drop(slices);
        sent.map(|sent| match sent? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            sent => {
                self.moved = self.clock.now();
                self.forget(sent);
                Ok(())
            }
        })
    }

    /// So many bytes have been sent.
    fn forget(&mut self, mut sent: usize) {
        while let Some(front) = self.output.front_mut() {
            if sent < front.len() {
                return front.advance(sent);
            }
            sent -= front.len();
            self.output.pop_front();
        }
        // The next allocation of any other connection is this room, still in the cache of the processor: with a thousand players that
        // is quicker than a room for each, and less.
        self.output = VecDeque::new();
    }

    /// What has come, nothing at the end.
    ///
    /// Blocks have at most `most` bytes. They begin small, become larger while what comes fills them, and smaller while it does not: what is
    /// kept of a stream keeps its blocks, and there may be thousands of slow streams, but one that is as fast as the network wants few reads.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<Option<Bytes>>> {
        let block = self.block.min(most);
        // Below a quarter the rest of a block is too small to read into.
        if self.input.capacity() - self.input.len() < block / 4 {
            self.input = BytesMut::with_capacity(block);
        }
        let room = self.input.capacity() - self.input.len();
        let received = self.stream.poll_read(cx, &mut self.input);
        received.map(|received| {
            let received = received?;
            if received >= room {
                self.block = block.saturating_mul(2).min(most).max(LEAST_BLOCK);
            } else if received < self.block / 8 {
                self.block = (self.block / 2).max(LEAST_BLOCK);
            }
            Ok((received > 0).then(|| self.input.split().freeze()))
        })
    }

    /// Lets go of the block that is received into: from now on less is expected.
    pub(crate) fn shrink(&mut self) {
        self.input = BytesMut::new();
    }

    /// Waits for a deadline; for ever without one.
    pub(crate) fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Option<Time>) -> Poll<()> {
        self.timer.poll_until(deadline, &*self.clock, cx)
    }

    /// Ends the connection so that the other end can read to the end: what it still sends must not meet a closed socket, which would
    /// take away what it has not read.
    ///
    /// # Errors
    /// When the end could not be sent.
    pub(crate) async fn farewell(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let until = self.clock.now() + FAREWELL;
        loop {
            self.input.clear();
            tokio::select! {
                biased;
                received = self.stream.read(&mut self.input) => {
                    if !received.is_ok_and(|len| len > 0) {
                        return Ok(());
                    }
                }
                () = self.clock.sleep_until(until) => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use millstream_testkit::env::TestClock;

    use super::*;

    /// Brings so many bytes with each read, as far as there is room.
    struct Brings(usize);

    impl NetStream for Brings {
        fn poll_read(&mut self, _: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
            let len = self.0.min(into.capacity() - into.len());
            into.resize(into.len() + len, 0);
            Poll::Ready(Ok(len))
        }

        fn poll_write(&mut self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn peer(&self) -> SocketAddr {
            ([127, 0, 0, 1], 1).into()
        }
    }

    fn received(socket: &mut Socket, most: usize) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match socket.poll_receive(&mut cx, most) {
            Poll::Ready(Ok(Some(bytes))) => bytes.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn blocks_become_larger_while_they_are_filled_and_small_again_behind_it() {
        let mut fast = Socket::new(Box::new(Brings(usize::MAX)), Arc::new(TestClock::new()));
        let lens: Vec<_> = (0..8).map(|_| received(&mut fast, 64 << 10)).collect();
        assert_eq!(lens, [4096, 8192, 16_384, 32_768, 65_536, 65_536, 65_536, 65_536]);

        fast.stream = Box::new(Brings(100));
        (0..10).for_each(|_| assert_eq!(received(&mut fast, 64 << 10), 100));
        assert_eq!(fast.block, LEAST_BLOCK);
    }

    #[test]
    fn whoever_is_given_less_room_is_read_in_smaller_blocks() {
        let mut player = Socket::new(Box::new(Brings(usize::MAX)), Arc::new(TestClock::new()));
        assert_eq!((received(&mut player, 128), received(&mut player, 128)), (128, 128));
    }
}
