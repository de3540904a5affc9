//! A connection's socket: bytes that wait to be sent, blocks to receive into, one timer, and an end at which nothing gets lost.
//!
//! It belongs to a session that is polled by hand: whoever owns both says what comes first.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use millstream_core::env::{BoxFuture, Clock};
use millstream_core::net::NetStream;
use millstream_core::{Time, TimeDelta};
use smallvec::SmallVec;

/// Slices of one write: what Linux takes.
const MAX_SLICES: usize = 64;

/// How long the other end may take to read to the end and close.
const FAREWELL: TimeDelta = TimeDelta::from_secs(2);

/// A stream of bytes with what waits for it.
pub(crate) struct Socket {
    stream: Box<dyn NetStream>,
    clock: Arc<dyn Clock>,
    input: BytesMut,
    output: VecDeque<Bytes>,
    timer: Option<(Time, BoxFuture<'static, ()>)>,
    /// When the other end last took something, or began to have something to take.
    moved: Time,
}

impl Socket {
    pub(crate) fn new(stream: Box<dyn NetStream>, clock: Arc<dyn Clock>) -> Self {
        let moved = clock.now();
        Self { stream, clock, input: BytesMut::new(), output: VecDeque::new(), timer: None, moved }
    }

    /// Address of the other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.stream.peer()
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

    /// What has come, nothing at the end. `block` is how many bytes to make room for at a time.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>, block: usize) -> Poll<io::Result<Option<Bytes>>> {
        // Below a quarter the rest of a block is too small to read into.
        if self.input.capacity() - self.input.len() < block / 4 {
            self.input = BytesMut::with_capacity(block);
        }
        let received = self.stream.poll_read(cx, &mut self.input);
        received.map(|received| Ok((received? > 0).then(|| self.input.split().freeze())))
    }

    /// Lets go of the block that is received into: from now on less is expected.
    pub(crate) fn shrink(&mut self) {
        self.input = BytesMut::new();
    }

    /// Waits for a deadline; for ever without one.
    pub(crate) fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Option<Time>) -> Poll<()> {
        let Some(at) = deadline else {
            self.timer = None;
            return Poll::Pending;
        };
        if self.timer.as_ref().map(|(at, _)| *at) != Some(at) {
            self.timer = Some((at, self.clock.sleep_until(at)));
        }
        let Some((_, sleep)) = &mut self.timer else { return Poll::Pending };
        let slept = sleep.as_mut().poll(cx);
        if slept.is_ready() {
            self.timer = None;
        }
        slept
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
