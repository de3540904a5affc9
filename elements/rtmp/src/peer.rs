//! A client's connection: a session and its socket.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use millstream_core::env::BoxFuture;
use millstream_core::net::NetStream;
use millstream_core::{Env, Error, ErrorKind, Time, TimeDelta};
use smallvec::SmallVec;

use crate::server::feed::{Content, Cursor, Entry};
use crate::session::SessionError;
use crate::session::client::{ClientEvent, ClientSession, ClientSettings};
use crate::{RtmpUrl, Scheme};

/// Bytes read at a time: some frames, so that most messages lie whole in one block.
const BLOCK: usize = 64 << 10;
/// Bytes of a stream that are handed to the socket at a time.
const WRITE_BUDGET: usize = 256 << 10;
/// Slices of one write: what Linux takes.
const MAX_SLICES: usize = 64;

/// How long a server may take to read to the end and close.
const FAREWELL: TimeDelta = TimeDelta::from_secs(2);

/// Why a connection could not be made, or did not last.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(io::Error),
    Session(SessionError),
    /// Nothing moved for so long.
    Stalled(TimeDelta),
    /// The server closed the connection.
    Closed,
    /// It cannot be done at all.
    Unsupported(&'static str),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl Failure {
    /// Whether it will be the same next time.
    pub(crate) fn is_final(&self) -> bool {
        use SessionError::{Authentication, Handshake, Redirect, Redirects};
        matches!(
            self,
            Self::Unsupported(_) | Self::Session(Authentication(_) | Handshake(_) | Redirect(_) | Redirects(_))
        )
    }

    /// As an error of the element. The URL is shown without stream, user and query.
    pub(crate) fn into_error(self, url: &RtmpUrl) -> Error {
        match self {
            Self::Io(error) => {
                let hint = match error.kind() {
                    io::ErrorKind::ConnectionRefused => "is the server running, and is the port right?",
                    io::ErrorKind::TimedOut => "is the host reachable, and does a firewall let the port through?",
                    _ => "is the URL right?",
                };
                Error::io(format!("{url}"), error).hint(hint)
            }
            Self::Session(error) => Error::new(ErrorKind::Peer, format!("{url}: {error}")),
            Self::Stalled(limit) => {
                Error::new(ErrorKind::Peer, format!("{url}: nothing moved for {} s", limit.to_std().as_secs()))
            }
            Self::Closed => Error::new(ErrorKind::Peer, format!("{url}: the server closed the connection")),
            Self::Unsupported(what) => Error::unsupported(format!("{url}: {what}")),
        }
    }
}

/// What woke a connection.
pub(crate) enum Turn {
    Event(Box<ClientEvent>),
    /// Messages of the stream were taken and are on their way.
    Taken,
    /// The stream has ended, and everything was sent.
    Ended,
}

/// A connection.
pub(crate) struct Peer {
    stream: Box<dyn NetStream>,
    session: ClientSession,
    env: Env,
    input: BytesMut,
    output: VecDeque<Bytes>,
    taken: Vec<Arc<Entry>>,
    timer: Option<(Time, BoxFuture<'static, ()>)>,
    /// When the server last took something, or there was nothing to take.
    moved: Time,
    patience: TimeDelta,
    /// The message stream that is published.
    publishing: Option<u32>,
}

/// What a poll of the socket brought.
enum Step {
    Received,
    Sent,
    Taken(bool),
    Timer,
}

impl Peer {
    /// Connects. `patience` is how long that may take, and later how long the server may take nothing.
    pub(crate) async fn connect(env: &Env, settings: ClientSettings, patience: TimeDelta) -> Result<Self, Failure> {
        if settings.url.scheme == Scheme::Rtmps {
            return Err(Failure::Unsupported("RTMP over TLS is not supported yet"));
        }
        let connecting = env.net.connect_host(&settings.url.host, settings.url.port);
        let stream = tokio::select! {
            biased;
            stream = connecting => stream?,
            () = env.clock.sleep_until(env.clock.now() + patience) => {
                return Err(Failure::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer")));
            }
        };
        let now = env.clock.now();
        Ok(Self {
            stream,
            session: ClientSession::new(settings, env.random(), now),
            env: env.clone(),
            input: BytesMut::new(),
            output: VecDeque::new(),
            taken: Vec::new(),
            timer: None,
            moved: now,
            patience,
            publishing: None,
        })
    }

    /// Waits for what comes next. With a cursor, which is used once the server takes what is published, sends what that gives.
    pub(crate) async fn turn(&mut self, mut feed: Option<&mut Cursor>) -> Result<Turn, Failure> {
        loop {
            if let Some(event) = self.session.next_event()? {
                if let ClientEvent::Publishing { stream } = event {
                    self.publishing = Some(stream);
                }
                return Ok(Turn::Event(Box::new(event)));
            }
            if self.output.is_empty() {
                self.output.extend(self.session.output());
            }
            let step = poll_fn(|cx| self.poll_step(feed.as_deref_mut(), cx)).await?;
            match step {
                Step::Received => {
                    let received = self.input.split().freeze();
                    self.session.receive(received, self.env.clock.now())?;
                }
                Step::Sent => self.moved = self.env.clock.now(),
                Step::Taken(true) => {
                    self.publish();
                    return Ok(Turn::Taken);
                }
                Step::Taken(false) => return Ok(Turn::Ended),
                Step::Timer => self.timeout()?,
            }
        }
    }

    /// Says goodbye and sends what is left, within its time.
    pub(crate) async fn close(mut self) -> Result<(), Failure> {
        self.session.close();
        self.output.extend(self.session.output());
        while !self.output.is_empty() {
            match poll_fn(|cx| self.poll_step(None, cx)).await? {
                Step::Sent => self.moved = self.env.clock.now(),
                Step::Received => self.input.clear(),
                Step::Timer => self.timeout()?,
                Step::Taken(_) => {}
            }
        }
        self.stream.shutdown().await?;
        // What the server still sends must not meet a closed socket, which would take away what it has not read.
        let until = self.env.clock.now() + FAREWELL;
        loop {
            self.input.clear();
            tokio::select! {
                biased;
                received = self.stream.read(&mut self.input) => if !received.is_ok_and(|len| len > 0) { return Ok(()) },
                () = self.env.clock.sleep_until(until) => return Ok(()),
            }
        }
    }

    fn poll_step(&mut self, feed: Option<&mut Cursor>, cx: &mut Context<'_>) -> Poll<Result<Step, Failure>> {
        if !self.output.is_empty() {
            if let Poll::Ready(sent) = self.poll_send(cx) {
                return Poll::Ready(sent.map(|()| Step::Sent).map_err(Failure::Io));
            }
        } else {
            self.moved = self.env.clock.now();
            if let (Some(cursor), Some(_)) = (feed, self.publishing)
                && let Poll::Ready(more) = cursor.poll_take(cx, WRITE_BUDGET, &mut self.taken)
            {
                return Poll::Ready(Ok(Step::Taken(more)));
            }
        }
        if self.input.capacity() - self.input.len() < BLOCK / 4 {
            self.input = BytesMut::with_capacity(BLOCK);
        }
        if let Poll::Ready(received) = self.stream.poll_read(cx, &mut self.input) {
            return Poll::Ready(match received? {
                0 => Err(Failure::Closed),
                _ => Ok(Step::Received),
            });
        }
        self.poll_timer(cx).map(|()| Ok(Step::Timer))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let slices: SmallVec<[IoSlice<'_>; MAX_SLICES]> =
            self.output.iter().take(MAX_SLICES).map(|bytes| IoSlice::new(bytes)).collect();
        let sent = self.stream.poll_write(cx, &slices);
        drop(slices);
        sent.map(|sent| match sent? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            mut sent => {
                while let Some(front) = self.output.front_mut() {
                    if sent < front.len() {
                        front.advance(sent);
                        break;
                    }
                    sent -= front.len();
                    self.output.pop_front();
                }
                Ok(())
            }
        })
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stalled = (!self.output.is_empty()).then(|| self.moved + self.patience);
        let Some(at) = [self.session.deadline(), stalled].into_iter().flatten().min() else {
            self.timer = None;
            return Poll::Pending;
        };
        if self.timer.as_ref().map(|(at, _)| *at) != Some(at) {
            self.timer = Some((at, self.env.clock.sleep_until(at)));
        }
        let Some((_, sleep)) = &mut self.timer else { return Poll::Pending };
        let slept = sleep.as_mut().poll(cx);
        if slept.is_ready() {
            self.timer = None;
        }
        slept
    }

    fn timeout(&mut self) -> Result<(), Failure> {
        let now = self.env.clock.now();
        if !self.output.is_empty() && self.moved + self.patience <= now {
            return Err(Failure::Stalled(self.patience));
        }
        Ok(self.session.handle_timeout(now)?)
    }

    /// Queues what was taken from the feed.
    fn publish(&mut self) {
        let Some(stream) = self.publishing else { return };
        for entry in self.taken.drain(..) {
            match &entry.content {
                Content::Media(media) => self.session.send_media(stream, media),
                Content::Data(timestamp, body) if entry.is_metadata() => {
                    self.session.send_metadata(stream, *timestamp, body);
                }
                Content::Data(timestamp, body) => self.session.send_data(stream, *timestamp, body.clone()),
            }
        }
        self.output.extend(self.session.output());
    }
}

/// Waits longer and longer between attempts, so that a server that comes back is not overrun.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

/// Before the second attempt.
const FIRST_WAIT: TimeDelta = TimeDelta::from_millis(500);
/// Between attempts, at most.
const MAX_WAIT: TimeDelta = TimeDelta::from_secs(30);

impl Backoff {
    /// A connection lasted.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Attempts that failed in a row.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// An attempt failed: how long to wait for the next. Doubles each time, less a random quarter.
    pub(crate) fn next(&mut self, env: &Env) -> TimeDelta {
        let doubled = FIRST_WAIT.nanos().saturating_mul(1 << self.attempts.min(16)).min(MAX_WAIT.nanos());
        self.attempts = self.attempts.saturating_add(1);
        let jitter = (env.random() % 1024) as i64;
        TimeDelta::from_nanos(doubled - doubled / 4096 * jitter)
    }
}
