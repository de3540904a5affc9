//! A stream of the environment as hyper wants it, and its clock.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use millstream_core::env::BoxFuture;
use millstream_core::net::NetStream;
use millstream_core::{Env, Time, TimeDelta};

/// Bytes read at a time: a request has some hundred.
const READ_BLOCK: usize = 2 << 10;

/// How long a client may take no byte before it is given up: a minute of a stalled network is not yet its end.
const STALLED: TimeDelta = TimeDelta::from_secs(60);

/// A stream for hyper. What is read is copied once, which only requests are.
pub(super) struct Io {
    stream: Box<dyn NetStream>,
    input: BytesMut,
    env: Env,
    /// Runs while the client takes nothing.
    stalled: Option<BoxFuture<'static, ()>>,
}

impl Io {
    pub(super) fn new(stream: Box<dyn NetStream>, env: Env) -> Self {
        Self { stream, input: BytesMut::new(), env, stalled: None }
    }

    /// An error for what has been pending for too long.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let env = &self.env;
        let stalled = self.stalled.get_or_insert_with(|| env.clock.sleep_until(env.clock.now() + STALLED));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl Read for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.input.is_empty() {
            this.input.reserve(READ_BLOCK);
            ready!(this.stream.poll_read(cx, &mut this.input))?;
        }
        let count = this.input.len().min(into.remaining());
        into.put_slice(&this.input.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = this.stream.poll_write(cx, slices);
        this.in_time(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.stream.poll_flush(cx);
        this.in_time(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let done = this.stream.poll_shutdown(cx);
        this.in_time(cx, done)
    }
}

/// The clock of the environment for hyper, which counts in instants: `base` is when `start` was.
pub(super) struct EnvTimer {
    env: Env,
    base: Instant,
    start: Time,
}

impl EnvTimer {
    #[expect(
        clippy::disallowed_methods,
        reason = "no instant can be made otherwise; only differences to this one are used"
    )]
    pub(super) fn new(env: Env) -> Self {
        let (base, start) = (Instant::now(), env.clock.now());
        Self { env, base, start }
    }
}

impl Timer for EnvTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let delta = TimeDelta::from_nanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 2));
        let sleep = self.env.clock.sleep_until(self.env.clock.now() + delta);
        Box::pin(EnvSleep(Mutex::new(sleep)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        self.base + (self.env.clock.now() - self.start).to_std()
    }
}

/// A sleep that may be shared, which hyper asks for and never does.
struct EnvSleep(Mutex<BoxFuture<'static, ()>>);

impl Future for EnvSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(cx)
    }
}

impl Sleep for EnvSleep {}
