//! A client's connection: a session and its socket.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use millstream_core::{Env, Error, ErrorKind, Time, TimeDelta};

use crate::calls::Procedures;
use crate::server::feed::{Content, Cursor, Entry};
use crate::session::SessionError;
use crate::session::client::{ClientEvent, ClientSession, ClientSettings};
use crate::socket::Socket;
use crate::tls::Trust;
use crate::{RtmpUrl, Scheme};

/// Bytes read at a time: some frames, so that most messages lie whole in one block.
const BLOCK: usize = 64 << 10;
/// Bytes of a stream that are handed to the socket at a time.
const WRITE_BUDGET: usize = 256 << 10;

/// Why a connection could not be made, or did not last.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(io::Error),
    Session(SessionError),
    /// Nothing moved for so long.
    Stalled(TimeDelta),
    /// The server closed the connection.
    Closed,
    /// There is no TLS with the server, or not with these settings.
    Secure(Error),
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
        match self {
            Self::Session(error) => matches!(error, Authentication(_) | Handshake(_) | Redirect(_) | Redirects(_)),
            // Of the network, and not of what either end is.
            Self::Secure(error) => error.kind() != ErrorKind::Io,
            Self::Io(_) | Self::Stalled(_) | Self::Closed => false,
        }
    }

    /// As an error of the element. The URL is shown without stream, user and query.
    pub(crate) fn into_error(self, url: &RtmpUrl) -> Error {
        match self {
            Self::Io(error) => {
                let hint = match error.kind() {
                    io::ErrorKind::TimedOut if url.scheme == Scheme::Rtmps => {
                        "is the host reachable, and does it speak TLS at this port?"
                    }
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
            Self::Secure(error) => error,
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
    socket: Socket,
    session: ClientSession,
    taken: Vec<Arc<Entry>>,
    patience: TimeDelta,
    /// The message stream that is published.
    publishing: Option<u32>,
    procedures: Arc<Procedures>,
    app: String,
}

/// What a poll of the socket brought.
enum Step {
    Received(Bytes),
    Sent,
    Taken(bool),
    Timer,
}

impl Peer {
    /// Connects. `patience` is how long that may take, and later how long the server may take nothing.
    pub(crate) async fn connect(
        env: &Env,
        settings: ClientSettings,
        trust: &Trust,
        patience: TimeDelta,
    ) -> Result<Self, Failure> {
        let late = |why| Failure::Io(io::Error::new(io::ErrorKind::TimedOut, why));
        let deadline = env.clock.now() + patience;
        let connecting = env.net.connect_host(&settings.url.host, settings.url.port);
        let mut stream = within(env, deadline, connecting).await.ok_or_else(|| late("no answer"))??;
        if settings.url.scheme == Scheme::Rtmps {
            let securing = trust.connect(env, stream, &settings.url.host);
            let secured = within(env, deadline, securing).await.ok_or_else(|| late("no answer in TLS"))?;
            stream = secured.map_err(Failure::Secure)?;
        }
        let stream = crate::trace::traced_client(stream, env, &settings.url);
        Ok(Self {
            app: settings.url.app.clone(),
            procedures: Procedures::of(env),
            socket: Socket::new(stream, env.clock.clone()),
            session: ClientSession::new(settings, env.random(), env.clock.now()),
            taken: Vec::new(),
            patience,
            publishing: None,
        })
    }

    /// Waits for what comes next. With a cursor, which is used once the server takes what is published, sends what that gives.
    pub(crate) async fn turn(&mut self, mut feed: Option<&mut Cursor>) -> Result<Turn, Failure> {
        loop {
            if let Some(event) = self.session.next_event()? {
                match &event {
                    ClientEvent::Publishing { stream } => self.publishing = Some(*stream),
                    ClientEvent::Call(invoke) => {
                        let answer = self.procedures.call(self.socket.peer(), &self.app, invoke);
                        self.session.answer_call(invoke.transaction, answer.as_ref().cloned());
                        continue;
                    }
                    _ => {}
                }
                return Ok(Turn::Event(Box::new(event)));
            }
            if self.socket.is_idle() {
                self.socket.send(self.session.output());
            }
            let step = poll_fn(|cx| self.poll_step(feed.as_deref_mut(), cx)).await?;
            match step {
                Step::Received(received) => self.session.receive(received, self.socket.now())?,
                Step::Sent => {}
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
        self.socket.send(self.session.output());
        while !self.socket.is_idle() {
            match poll_fn(|cx| self.poll_step(None, cx)).await? {
                Step::Timer => self.timeout()?,
                // What the server says now is not heard.
                Step::Sent | Step::Received(_) | Step::Taken(_) => {}
            }
        }
        Ok(self.socket.farewell().await?)
    }

    fn poll_step(&mut self, feed: Option<&mut Cursor>, cx: &mut Context<'_>) -> Poll<Result<Step, Failure>> {
        if !self.socket.is_idle() {
            if let Poll::Ready(sent) = self.socket.poll_send(cx) {
                return Poll::Ready(sent.map(|()| Step::Sent).map_err(Failure::Io));
            }
        } else if let (Some(cursor), Some(_)) = (feed, self.publishing)
            && let Poll::Ready(more) = cursor.poll_take(cx, WRITE_BUDGET, &mut self.taken)
        {
            return Poll::Ready(Ok(Step::Taken(more)));
        }
        if let Poll::Ready(received) = self.socket.poll_receive(cx, BLOCK) {
            return Poll::Ready(received?.map(Step::Received).ok_or(Failure::Closed));
        }
        let deadline = [self.session.deadline(), self.socket.stalled_at(self.patience)].into_iter().flatten().min();
        self.socket.poll_timer(cx, deadline).map(|()| Ok(Step::Timer))
    }

    fn timeout(&mut self) -> Result<(), Failure> {
        let now = self.socket.now();
        if self.socket.stalled_at(self.patience).is_some_and(|at| at <= now) {
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
        self.socket.send(self.session.output());
    }
}

/// What a future gives, or nothing when the deadline comes first.
async fn within<T>(env: &Env, deadline: Time, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        result = future => Some(result),
        () = env.clock.sleep_until(deadline) => None,
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
