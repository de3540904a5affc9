//! One client of a server: its session, its socket, what its message streams publish and play.
//!
//! | module | what |
//! | --- | --- |
//! | `asking` | a message stream that wants to: whether it may |
//! | `length` | a client that asks how long a recording is |
//! | `publishing` | a message stream that publishes |
//! | `playing` | a message stream that plays, or waits for what it is to play |
//! | `seated` | a player for which one loop writes, as for others |
//! | `recorded` | a recording that is played |
//! | `switching` | a message stream that goes over to another rate |
//!
//! A connection with a single player is what there are thousands of. What is rare is boxed.

mod asking;
mod length;
mod playing;
mod publishing;
mod recorded;
mod seated;
mod switching;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use millstream_core::net::NetStream;
use millstream_core::{Env, Time, TimeDelta};
use smallvec::SmallVec;

use self::asking::Asking;
use self::length::Measuring;
use self::playing::{Player, Progress};
use self::publishing::Publisher;
use super::Site;
use super::admission::{Guest, Verdict};
use super::feed::{Content, Entry};
use super::recorder::Note;
use super::tags::content_of_data;
use crate::Secret;
use crate::calls::Procedures;
use crate::command::Invoke;
use crate::session::server::{Request, ServerEvent, ServerSession};
use crate::session::{Phase, SessionError};
use crate::socket::Socket;

/// Most bytes read at a time from a publisher: what the network brings in between two turns of one that is as fast as it.
const PUBLISHER_BLOCK: usize = 256 << 10;
/// From whoever has not said what it wants.
const OTHER_BLOCK: usize = 2 << 10;
/// From players, which say little more than how much they have got. There may be thousands of them.
const PLAYER_BLOCK: usize = 128;

/// How long a client may take no byte before it is given up: a minute of a stalled network is not yet its end.
const STALLED: TimeDelta = TimeDelta::from_secs(60);

/// Turns of sending and taking before the connection is looked at as a whole, so that a stream as fast as the network does not keep it
/// from hearing what its player says.
const TURNS_OUT: usize = 16;

/// How long a publisher may send nothing: more than any pause of an encoder. Then its stream is free for another.
const SILENT: TimeDelta = TimeDelta::from_secs(30);

/// Bytes that are something although no message is whole: what trickles in more slowly, 4 kbit/s, is no stream.
const SOME_BYTES: u64 = 16 << 10;

/// A connection.
pub(super) struct Connection {
    socket: Socket,
    session: ServerSession,
    site: Arc<Site>,
    env: Env,
    guest: Guest,
    /// Application, and its query.
    app: (String, Secret),
    /// Message streams that do something. Most connections have one.
    streams: SmallVec<[Stream; 1]>,
    /// Whose turn to play it is next.
    turn: usize,
    /// Who waits for an answer; nothing more is heard until it is there.
    asking: Option<Box<Asking>>,
    /// The same for who asked how long something is.
    measuring: Option<Box<Measuring>>,
    /// What the client said last of how much it keeps ahead of a stream, maybe before it played anything.
    ahead: Option<(u32, TimeDelta)>,
    taken: Vec<Arc<Entry>>,
    /// When something last came: a message, or as many bytes of a long one that they are something.
    heard: Time,
    /// Messages and bytes that had come then.
    had: (u64, u64),
    /// What it came for is over: it is told, and that is all.
    leaving: bool,
    /// It listed the codecs that it takes.
    is_selective: bool,
}

/// What a message stream does.
struct Stream {
    id: u32,
    role: Role,
}

enum Role {
    Publishes(Box<Publisher>),
    Plays(Box<Player>),
}

/// Why a connection ends.
enum End {
    /// It was to.
    Done,
    Io(io::Error),
    Session(SessionError),
    Stalled,
    Silent,
}

impl End {
    /// As a word of `/metrics`, unless the client wanted it so.
    fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Done => None,
            Self::Io(_) => Some("lost"),
            Self::Session(SessionError::Timeout(Phase::Handshake)) => Some("handshake took too long"),
            Self::Session(SessionError::Timeout(_)) => Some("asked for nothing"),
            Self::Session(_) => Some("broke the protocol"),
            Self::Stalled => Some("took nothing"),
            Self::Silent => Some("sent nothing"),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<SessionError> for End {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

/// What woke a connection.
enum Turn {
    /// Bytes, or nothing at the end.
    Received(Option<Bytes>),
    Sent,
    /// The player at this place goes on.
    Plays(usize, Progress),
    Answered(Verdict),
    Measured(Request, f64),
    /// What comes of a recording.
    Noted(u32, Note),
    Timer,
    /// Another publishes what this client did, or nothing takes it in any more.
    Lost,
}

impl Connection {
    pub(super) fn new(stream: Box<dyn NetStream>, site: Arc<Site>, env: Env) -> Self {
        let now = env.clock.now();
        let guest = Guest::new(stream.peer(), env.random());
        Self {
            socket: Socket::new(stream, env.clock.clone()),
            session: ServerSession::new(site.gate.settings(), env.random(), now),
            site,
            env,
            guest,
            app: Default::default(),
            streams: SmallVec::new(),
            turn: 0,
            asking: None,
            measuring: None,
            ahead: None,
            taken: Vec::new(),
            heard: now,
            had: (0, 0),
            leaving: false,
            is_selective: false,
        }
    }

    /// Serves the client until it leaves or has to.
    ///
    /// A task is as large as the largest thing that it may wait for, and mostly there are thousands of players: they, and what is rare, are
    /// in boxes.
    pub(super) async fn run(mut self: Box<Self>) {
        let peer = self.socket.peer();
        tracing::debug!(%peer, "connected");
        let end = match self.serve().await {
            Ok(()) => End::Done,
            Err(end) => end,
        };
        if let Some(reason) = end.reason() {
            self.site.gate.closed(reason);
        }
        // The names are free, and nothing waits for these players, however long the goodbye takes.
        self.streams.clear();
        match end {
            End::Done => tracing::debug!(%peer, "left"),
            End::Io(error) => tracing::debug!(%peer, %error, "lost"),
            End::Session(error) => tracing::info!(%peer, %error, "closed: it did not keep to the protocol"),
            End::Stalled => tracing::info!(%peer, "closed: it took nothing for {} s", STALLED.to_std().as_secs()),
            End::Silent => tracing::info!(%peer, "closed: it sent nothing for {} s", SILENT.to_std().as_secs()),
        }
        if let Err(error) = Box::pin(self.socket.farewell()).await {
            tracing::debug!(%peer, %error, "lost while leaving");
        }
    }

    async fn serve(&mut self) -> Result<(), End> {
        loop {
            while self.hears()
                && let Some(event) = self.session.next_event()?
            {
                match event {
                    ServerEvent::Media { stream, media } => self.ingest(stream, Content::Media(media)).await,
                    event => Box::pin(self.event(event)).await,
                }
            }
            self.note_progress();
            self.end_lost_publications();
            self.ask_to_move();
            let output = self.session.output();
            if !output.is_empty() || self.leaving || self.session.is_closing() {
                self.stand_up();
            }
            self.socket.send(output);
            if (self.leaving || self.session.is_closing()) && self.socket.is_idle() {
                return Ok(());
            }
            match poll_fn(|cx| self.poll_turn(cx)).await? {
                Turn::Received(None) => return Ok(()),
                Turn::Received(Some(bytes)) => {
                    self.note_seat();
                    self.session.receive(bytes, self.env.clock.now())?;
                }
                Turn::Sent | Turn::Lost => {}
                Turn::Plays(at, progress) => self.play_on(at, progress),
                Turn::Answered(verdict) => Box::pin(self.answered(verdict)).await,
                Turn::Measured(request, seconds) => self.session.answer_stream_length(request, seconds),
                Turn::Noted(stream, note) => self.noted(stream, note),
                Turn::Timer => self.timeout()?,
            }
        }
    }

    /// Who sends a byte now and then sends nothing.
    fn note_progress(&mut self) {
        let stats = self.session.stats();
        let (messages, bytes) = self.had;
        if stats.reader.messages != messages || stats.received.saturating_sub(bytes) >= SOME_BYTES {
            self.had = (stats.reader.messages, stats.received);
            self.heard = self.env.clock.now();
        }
    }

    /// Whether what the client says next may be looked at.
    fn hears(&self) -> bool {
        self.asking.is_none() && self.measuring.is_none()
    }

    /// Waits for whatever comes first. Sending comes before the streams, so that a slow client is given no more.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<Turn, End>> {
        if let Some(asking) = &mut self.asking
            && let Poll::Ready(verdict) = asking.verdict.as_mut().poll(cx)
        {
            return Poll::Ready(Ok(Turn::Answered(verdict)));
        }
        if let Poll::Ready((request, seconds)) = self.poll_length(cx) {
            return Poll::Ready(Ok(Turn::Measured(request, seconds)));
        }
        if let Poll::Ready(turn) = self.poll_out(cx) {
            return Poll::Ready(turn);
        }
        if self.hears()
            && let Poll::Ready(received) = self.socket.poll_receive(cx, self.block())
        {
            return Poll::Ready(received.map(Turn::Received).map_err(End::Io));
        }
        if self.poll_lost(cx) {
            return Poll::Ready(Ok(Turn::Lost));
        }
        if let Poll::Ready((stream, note)) = self.poll_notes(cx) {
            return Poll::Ready(Ok(Turn::Noted(stream, note)));
        }
        self.socket.poll_timer(cx, self.deadline()).map(|()| Ok(Turn::Timer))
    }

    /// Sends, and passes on what players take of live streams, until there is something else to do. With a thousand players this is what
    /// the server does.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<Turn, End>> {
        for _ in 0..TURNS_OUT {
            if !self.socket.is_idle() {
                if let Err(error) = ready!(self.socket.poll_send(cx)) {
                    return Poll::Ready(Err(End::Io(error)));
                }
                if !self.socket.is_idle() {
                    continue;
                }
                // What the session has to say may not wait behind a stream.
                if self.leaving || self.session.is_closing() || self.session.has_output() {
                    break;
                }
            }
            let Poll::Ready(turn) = self.poll_players(cx) else {
                self.sit_down(cx);
                return Poll::Pending;
            };
            match turn {
                Turn::Plays(at, Progress::Taken(true)) => self.pass_on(at, true),
                turn => return Poll::Ready(Ok(turn)),
            }
            if self.session.has_output() {
                break;
            }
        }
        Poll::Ready(Ok(Turn::Sent))
    }

    /// Who of several players is asked first changes, so that none keeps the others from playing.
    fn poll_players(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let count = self.streams.len();
        for at in (0..count).map(|step| (self.turn + step) % count) {
            if let Some(Stream { role: Role::Plays(player), .. }) = self.streams.get_mut(at)
                && let Poll::Ready(progress) = player.poll(cx, &self.site, &self.env, &mut self.taken)
            {
                self.turn = at + 1;
                return Poll::Ready(Turn::Plays(at, progress));
            }
        }
        Poll::Pending
    }

    fn block(&self) -> usize {
        match &self.streams[..] {
            [] => OTHER_BLOCK,
            streams if streams.iter().any(|stream| matches!(stream.role, Role::Publishes(_))) => PUBLISHER_BLOCK,
            _ => PLAYER_BLOCK,
        }
    }

    fn silent_at(&self) -> Option<Time> {
        let publishes = self.streams.iter().any(|stream| matches!(stream.role, Role::Publishes(_)));
        (publishes && self.hears()).then(|| self.heard + SILENT)
    }

    fn deadline(&self) -> Option<Time> {
        let deadlines = [self.session.deadline(), self.socket.stalled_at(STALLED), self.silent_at()];
        deadlines.into_iter().flatten().min()
    }

    fn timeout(&mut self) -> Result<(), End> {
        let now = self.env.clock.now();
        let is_over = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if is_over(self.socket.stalled_at(STALLED)) {
            return Err(End::Stalled);
        }
        if is_over(self.silent_at()) {
            return Err(End::Silent);
        }
        Ok(self.session.handle_timeout(now)?)
    }

    async fn event(&mut self, event: ServerEvent) {
        // What it says may change what it gets.
        self.stand_up();
        match event {
            ServerEvent::Connect(connect) => {
                self.app = (connect.app_name().to_owned(), connect.app_query().into());
                self.guest.connects(&connect);
                self.is_selective = connect.enhanced.is_selective();
                self.session.accept_connect();
            }
            ServerEvent::Publish { stream, publish } => self.ask_to_publish(stream, publish).await,
            ServerEvent::Play { stream, play } => self.ask_to_play(stream, play),
            ServerEvent::Data { stream, timestamp, data } => {
                if let Some(content) = content_of_data(timestamp, data) {
                    self.ingest(stream, content).await;
                }
            }
            ServerEvent::Unpublish { stream } => {
                self.end_recording(stream);
                self.leave(stream);
            }
            ServerEvent::Stop { stream } => self.leave(stream),
            ServerEvent::Receive { stream, audio, video } => {
                if let Some(player) = self.player(stream) {
                    player.receive(audio, video);
                }
            }
            ServerEvent::Seek { stream, milliseconds } => self.seek(stream, milliseconds),
            ServerEvent::Pause { stream, pause, milliseconds } => self.pause(stream, pause, milliseconds),
            ServerEvent::BufferLength { stream, milliseconds } => {
                self.set_ahead(stream, TimeDelta::from_millis(milliseconds.into()));
            }
            ServerEvent::StreamLength { request, name } => self.ask_length(request, &name),
            ServerEvent::Call { request, invoke, .. } => self.call(request, &invoke),
            ServerEvent::Play2 { stream, play } => self.play2(stream, *play),
            ServerEvent::Media { .. } | ServerEvent::Answer(_) | ServerEvent::Close => {}
        }
    }

    fn call(&mut self, request: Option<Request>, invoke: &Invoke) {
        let answer = Procedures::of(&self.env).call(self.socket.peer(), &self.app.0, invoke);
        if let Some(request) = request {
            self.session.answer_call(request, answer.as_ref().cloned());
        }
    }

    fn set_role(&mut self, stream: u32, role: Role) {
        self.leave(stream);
        self.streams.push(Stream { id: stream, role });
    }

    /// A message stream does nothing any more.
    fn leave(&mut self, stream: u32) {
        self.streams.retain(|other| other.id != stream);
    }

    /// The stream that played this, or published it, was the last with a purpose.
    fn leave_if_idle(&mut self) {
        self.leaving |= self.streams.is_empty();
    }

    fn player(&mut self, stream: u32) -> Option<&mut Player> {
        self.streams.iter_mut().find(|own| own.id == stream).and_then(|own| match &mut own.role {
            Role::Plays(player) => Some(&mut **player),
            Role::Publishes(_) => None,
        })
    }
}
