//! A client's connection: a session and its socket.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use millstream_core::net::NetStream;
use millstream_core::{Env, Error, ErrorKind, TimeDelta};
use millstream_flv::live::Taken;

use crate::calls::Procedures;
use crate::codecs::{Unlisted, unlisted};
use crate::leash::Astray;
use crate::liveness::Pulse;
use crate::server::feed::{Content, Cursor, Entry};
use crate::session::SessionError;
use crate::session::client::{ClientEvent, ClientSession, ClientSettings};
use crate::socket::Socket;
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
    /// The server listed other codecs than one of the stream.
    Codec(Unlisted, String),
    /// The server leads to where it may not.
    Astray(Astray),
    /// There is no TLS with the server, or not with these settings.
    Secure(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Astray> for Failure {
    fn from(astray: Astray) -> Self {
        Self::Astray(astray)
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
            Self::Astray(_) | Self::Codec(..) => true,
            Self::Io(_) | Self::Stalled(_) | Self::Closed => false,
        }
    }

    /// Whether it is about the stream that is sent: it will be the same however well the connection was made.
    pub(crate) fn is_of_stream(&self) -> bool {
        matches!(self, Self::Codec(..))
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
            Self::Codec(codec, instead) => {
                let text = format!("{url}: the server does not take {codec}: it says that it takes {instead}");
                Error::new(ErrorKind::Peer, text)
                    .hint("encode the stream with one of these, or send it to another server")
            }
            Self::Astray(astray) => {
                let error = Error::new(ErrorKind::Peer, format!("{url}: {astray}")).on_property("redirect");
                error.hint(
                    "write the URL that is meant as `location`, or `redirect: any` if the server may lead anywhere",
                )
            }
            Self::Secure(error) => error,
        }
    }
}

/// What woke a connection.
pub(crate) enum Turn {
    Event(Box<ClientEvent>),
    /// Messages of the stream were taken and are on their way.
    Taken,
    /// A key frame is next, and everything before it was sent.
    AtKey,
    /// The stream has ended, and everything was sent.
    Ended,
}

/// Where a connection gets what it publishes.
pub(crate) struct FeedUntil<'a> {
    pub(crate) cursor: &'a mut Cursor,
    /// Stop before the next key frame.
    pub(crate) key: bool,
}

impl FeedUntil<'_> {
    fn poll_take(&mut self, cx: &mut Context<'_>, into: &mut Vec<Arc<Entry>>) -> Poll<Taken> {
        match self.key {
            true => self.cursor.poll_take_to_key(cx, WRITE_BUDGET, into),
            false => {
                self.cursor.poll_take(cx, WRITE_BUDGET, into).map(|more| if more { Taken::Some } else { Taken::End })
            }
        }
    }
}

/// A connection.
pub(crate) struct Peer {
    socket: Socket,
    session: ClientSession,
    taken: Vec<Arc<Entry>>,
    stall: TimeDelta,
    /// The message stream that is published.
    publishing: Option<u32>,
    procedures: Arc<Procedures>,
    app: String,
    /// What comes before anything that the session tells.
    early: VecDeque<Box<ClientEvent>>,
    pulse: Option<Arc<Pulse>>,
}

/// What a poll of the socket brought.
enum Step {
    Received(Bytes),
    Sent,
    Taken(Taken),
    Timer,
}

impl Peer {
    /// On a stream that was opened to where the settings say. `stall` is how long the server may take nothing.
    pub(crate) fn new(
        env: &Env,
        mut stream: Box<dyn NetStream>,
        settings: ClientSettings,
        stall: TimeDelta,
    ) -> Result<Self, Failure> {
        stream.give_up_after(stall)?;
        Ok(Self {
            app: settings.url.app.clone(),
            procedures: Procedures::of(env),
            socket: Socket::new(stream, env.clock.clone()),
            session: ClientSession::new(settings, env.random(), env.clock.now()),
            taken: Vec::new(),
            stall,
            publishing: None,
            early: VecDeque::new(),
            pulse: None,
        })
    }

    /// Tells a pulse of what of the stream is sent.
    pub(crate) fn feel(&mut self, pulse: Arc<Pulse>) {
        self.pulse = Some(pulse);
    }

    /// The settings that it was opened with in the end.
    pub(crate) fn settings(&self) -> &ClientSettings {
        self.session.settings()
    }

    /// An event that was looked at, to be told again.
    pub(crate) fn keep(&mut self, event: Box<ClientEvent>) {
        self.early.push_back(event);
    }

    /// Waits for what comes next. With a feed, which is used once the server takes what is published, sends what that gives. Nothing is
    /// lost when the future is dropped.
    pub(crate) async fn turn(&mut self, mut feed: Option<FeedUntil<'_>>) -> Result<Turn, Failure> {
        if let Some(event) = self.early.pop_front() {
            return Ok(Turn::Event(event));
        }
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
            let step = poll_fn(|cx| self.poll_step(feed.as_mut(), cx)).await?;
            match step {
                Step::Received(received) => self.session.receive(received, self.socket.now())?,
                Step::Sent => {}
                Step::Taken(Taken::Some) => {
                    self.publish()?;
                    return Ok(Turn::Taken);
                }
                Step::Taken(Taken::AtKey) => return Ok(Turn::AtKey),
                Step::Taken(Taken::End) => return Ok(Turn::Ended),
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

    fn poll_step(&mut self, feed: Option<&mut FeedUntil<'_>>, cx: &mut Context<'_>) -> Poll<Result<Step, Failure>> {
        if !self.socket.is_idle() {
            if let Poll::Ready(sent) = self.socket.poll_send(cx) {
                return Poll::Ready(self.sent(sent));
            }
        } else if let (Some(feed), Some(_)) = (feed, self.publishing)
            && let Poll::Ready(taken) = feed.poll_take(cx, &mut self.taken)
        {
            return Poll::Ready(Ok(Step::Taken(taken)));
        }
        if let Poll::Ready(received) = self.socket.poll_receive(cx, BLOCK) {
            return Poll::Ready(received?.map(Step::Received).ok_or(Failure::Closed));
        }
        let deadline = [self.session.deadline(), self.socket.stalled_at(self.stall)].into_iter().flatten().min();
        self.socket.poll_timer(cx, deadline).map(|()| Ok(Step::Timer))
    }

    fn sent(&self, sent: io::Result<()>) -> Result<Step, Failure> {
        match sent {
            Ok(()) => {
                if let (Some(pulse), Some(_)) = (&self.pulse, self.publishing) {
                    pulse.beat(self.socket.now());
                }
                Ok(Step::Sent)
            }
            // The system knows better than the queue: it took bytes that nobody acknowledged.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Failure::Stalled(self.stall)),
            Err(error) => Err(Failure::Io(error)),
        }
    }

    fn timeout(&mut self) -> Result<(), Failure> {
        let now = self.socket.now();
        if self.socket.stalled_at(self.stall).is_some_and(|at| at <= now) {
            return Err(Failure::Stalled(self.stall));
        }
        Ok(self.session.handle_timeout(now)?)
    }

    /// Queues what was taken from the feed.
    fn publish(&mut self) -> Result<(), Failure> {
        let Some(stream) = self.publishing else { return Ok(()) };
        let said = self.session.enhanced();
        if said.is_selective()
            && let Some(codec) = self.taken.iter().find_map(|entry| unlisted(said, &entry.content))
        {
            return Err(Failure::Codec(codec, codec.instead(said)));
        }
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
        Ok(())
    }
}
