//! One client of a server: its session, its socket, what it publishes or plays.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use millstream_core::env::BoxFuture;
use millstream_core::net::NetStream;
use millstream_core::{Env, Time, TimeDelta};
use smallvec::SmallVec;

use super::feed::{COMMON_STREAM, Content, Cursor, Entry, Feed};
use super::mounts::{Ingest, Mounts, Publication, Refusal, StreamName};
use super::tags::content_of_data;
use crate::command::code;
use crate::session::server::{PlayEnd, ServerEvent, ServerSession, ServerSettings};
use crate::session::{MediaKind, SessionError};

/// Bytes read at a time from a publisher: some frames, so that most messages lie whole in one block.
const PUBLISHER_BLOCK: usize = 64 << 10;
/// From whoever has not said what it wants.
const OTHER_BLOCK: usize = 2 << 10;
/// From players, which say little more than how much they have got. There may be thousands of them.
const PLAYER_BLOCK: usize = 128;
/// Bytes of a stream that a player is given at a time. More would be memory that waits for a slow one.
const WRITE_BUDGET: usize = 256 << 10;
/// Slices of one write: what Linux takes.
const MAX_SLICES: usize = 64;
/// How long a player may take no byte before it is given up: a minute of a stalled network is not yet its end.
const STALLED: TimeDelta = TimeDelta::from_secs(60);

/// How long a publisher may send nothing: more than any pause of an encoder. Then its stream is free for another.
const SILENT: TimeDelta = TimeDelta::from_secs(30);

/// How long a client may take to read to the end and close.
const FAREWELL: TimeDelta = TimeDelta::from_secs(2);

/// A connection.
pub(super) struct Connection {
    stream: Box<dyn NetStream>,
    session: ServerSession,
    mounts: Arc<Mounts>,
    env: Env,
    app: String,
    role: Role,
    input: BytesMut,
    output: VecDeque<Bytes>,
    taken: Vec<Arc<Entry>>,
    timer: Option<(Time, BoxFuture<'static, ()>)>,
    /// When the client last took something, or there was nothing to take.
    moved: Time,
    /// When something last came.
    heard: Time,
    /// What it came for is over: it is told, and that is all.
    leaving: bool,
}

enum Role {
    None,
    Publishes {
        stream: u32,
        publication: Publication,
    },
    /// Waits for a stream that is not there yet.
    Waits {
        stream: u32,
        name: StreamName,
    },
    Plays(Box<Playing>),
}

struct Playing {
    stream: u32,
    cursor: Cursor,
    audio: bool,
    video: bool,
    /// It wants nothing until it says so; what comes meanwhile is not kept, as the stream is live.
    paused: bool,
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
    Received,
    Closed,
    Sent,
    /// Messages of the stream are in `taken`; false at its end.
    Taken(bool),
    /// The stream that the client waits for is there.
    Found(Arc<Feed>),
    Timer,
}

impl Connection {
    pub(super) fn new(stream: Box<dyn NetStream>, mounts: Arc<Mounts>, env: Env) -> Self {
        let now = env.clock.now();
        let session = ServerSession::new(ServerSettings::default(), env.random(), now);
        Self {
            stream,
            session,
            mounts,
            env,
            app: String::new(),
            role: Role::None,
            input: BytesMut::new(),
            output: VecDeque::new(),
            taken: Vec::new(),
            timer: None,
            moved: now,
            heard: now,
            leaving: false,
        }
    }

    /// Serves the client until it leaves or has to.
    pub(super) async fn run(mut self) {
        let peer = self.stream.peer();
        tracing::debug!(%peer, "connected");
        let end = match self.serve().await {
            Ok(()) => End::Done,
            Err(end) => end,
        };
        // The name is free, and nothing waits for this player, however long the goodbye takes.
        self.role = Role::None;
        match end {
            End::Done => tracing::debug!(%peer, "left"),
            End::Io(error) => tracing::debug!(%peer, %error, "lost"),
            End::Session(error) => tracing::info!(%peer, %error, "closed: it did not keep to the protocol"),
            End::Stalled => tracing::info!(%peer, "closed: it took nothing for {} s", STALLED.to_std().as_secs()),
            End::Silent => tracing::info!(%peer, "closed: it sent nothing for {} s", SILENT.to_std().as_secs()),
        }
        self.farewell().await;
    }

    /// Ends the connection so that the client can read to its end: what it still sends must not meet a closed socket, which would take
    /// away what it has not read.
    async fn farewell(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let until = self.env.clock.now() + FAREWELL;
        loop {
            self.input.clear();
            tokio::select! {
                biased;
                received = self.stream.read(&mut self.input) => if !received.is_ok_and(|len| len > 0) { return },
                () = self.env.clock.sleep_until(until) => return,
            }
        }
    }

    async fn serve(&mut self) -> Result<(), End> {
        loop {
            while let Some(event) = self.session.next_event()? {
                self.event(event).await;
            }
            self.output.extend(self.session.output());
            if (self.leaving || self.session.is_closing()) && self.output.is_empty() {
                return Ok(());
            }
            if matches!(&self.role, Role::Publishes { publication, .. } if publication.is_over()) {
                return Ok(());
            }
            match poll_fn(|cx| self.poll_turn(cx)).await? {
                Turn::Received => {
                    let now = self.env.clock.now();
                    self.heard = now;
                    let received = self.input.split().freeze();
                    self.session.receive(received, now)?;
                }
                Turn::Closed => return Ok(()),
                Turn::Sent => self.moved = self.env.clock.now(),
                Turn::Taken(more) => self.taken(more),
                Turn::Found(feed) => self.start(&feed),
                Turn::Timer => self.timeout()?,
            }
        }
    }

    /// Waits for whatever comes first. Sending comes before the stream, so that a slow client is given no more.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<Turn, End>> {
        if self.output.is_empty() {
            match &mut self.role {
                Role::Plays(playing) => {
                    if let Poll::Ready(more) = playing.cursor.poll_take(cx, WRITE_BUDGET, &mut self.taken) {
                        return Poll::Ready(Ok(Turn::Taken(more)));
                    }
                    self.moved = self.env.clock.now();
                }
                Role::Waits { name, .. } => {
                    if let Poll::Ready(feed) = self.mounts.poll_feed(name, cx) {
                        return Poll::Ready(Ok(Turn::Found(feed)));
                    }
                }
                Role::None | Role::Publishes { .. } => {}
            }
        } else if let Poll::Ready(sent) = self.poll_send(cx) {
            return Poll::Ready(sent.map(|()| Turn::Sent).map_err(End::Io));
        }
        if let Poll::Ready(received) = self.poll_receive(cx) {
            return Poll::Ready(match received {
                Ok(0) => Ok(Turn::Closed),
                Ok(_) => Ok(Turn::Received),
                Err(error) => Err(End::Io(error)),
            });
        }
        self.poll_timer(cx).map(|()| Ok(Turn::Timer))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let slices: SmallVec<[IoSlice<'_>; MAX_SLICES]> =
            self.output.iter().take(MAX_SLICES).map(|bytes| IoSlice::new(bytes)).collect();
        let sent = self.stream.poll_write(cx, &slices);
        drop(slices);
        sent.map(|sent| match sent? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            sent => {
                self.forget(sent);
                Ok(())
            }
        })
    }

    /// These many bytes have been sent.
    fn forget(&mut self, mut sent: usize) {
        while let Some(front) = self.output.front_mut() {
            if sent < front.len() {
                return front.advance(sent);
            }
            sent -= front.len();
            self.output.pop_front();
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let block = match self.role {
            Role::Publishes { .. } => PUBLISHER_BLOCK,
            Role::Plays(_) => PLAYER_BLOCK,
            Role::None | Role::Waits { .. } => OTHER_BLOCK,
        };
        // Below a quarter the rest of a block is too small to read into.
        if self.input.capacity() - self.input.len() < block / 4 {
            self.input = BytesMut::with_capacity(block);
        }
        self.stream.poll_read(cx, &mut self.input)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stalled = if self.output.is_empty() { None } else { Some(self.moved + STALLED) };
        let silent = matches!(self.role, Role::Publishes { .. }).then(|| self.heard + SILENT);
        let Some(at) = [self.session.deadline(), stalled, silent].into_iter().flatten().min() else {
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

    fn timeout(&mut self) -> Result<(), End> {
        let now = self.env.clock.now();
        if !self.output.is_empty() && self.moved + STALLED <= now {
            return Err(End::Stalled);
        }
        if matches!(self.role, Role::Publishes { .. }) && self.heard + SILENT <= now {
            return Err(End::Silent);
        }
        Ok(self.session.handle_timeout(now)?)
    }

    async fn event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Connect(connect) => {
                connect.app_name().clone_into(&mut self.app);
                self.session.accept_connect();
            }
            ServerEvent::Publish { stream, publish } => self.publish(stream, publish.name.reveal()).await,
            ServerEvent::Play { stream, play } => {
                self.role = Role::Waits { stream, name: StreamName::new(&self.app, play.name.reveal()) };
            }
            ServerEvent::Media { stream, media } => self.ingest(stream, Content::Media(media)).await,
            ServerEvent::Data { stream, timestamp, data } => {
                if let Some(content) = content_of_data(timestamp, data) {
                    self.ingest(stream, content).await;
                }
            }
            ServerEvent::Unpublish { stream } => {
                if matches!(self.role, Role::Publishes { stream: published, .. } if published == stream) {
                    self.role = Role::None;
                }
            }
            ServerEvent::Stop { stream } => {
                let stops = match &self.role {
                    Role::Plays(playing) => playing.stream == stream,
                    Role::Waits { stream: waiting, .. } => *waiting == stream,
                    _ => false,
                };
                if stops {
                    self.role = Role::None;
                }
            }
            ServerEvent::Receive { audio, video, .. } => {
                if let Role::Plays(playing) = &mut self.role {
                    if video && !playing.video {
                        playing.cursor.resume_at_key();
                    }
                    (playing.audio, playing.video) = (audio, video);
                }
            }
            ServerEvent::Seek { stream, .. } => self.session.answer_seek(stream, false),
            ServerEvent::Pause { stream, pause, .. } => {
                if let Role::Plays(playing) = &mut self.role {
                    playing.paused = pause;
                    playing.cursor.resume_at_key();
                }
                self.session.answer_pause(stream, pause);
            }
            ServerEvent::StreamLength { request, .. } => self.session.answer_stream_length(request, 0.0),
            ServerEvent::Call { request: Some(request), .. } => {
                let unknown = crate::command::Status::error(code::CALL_FAILED, "There is no such procedure.");
                self.session.answer_call(request, Err(&unknown));
            }
            ServerEvent::Play2 { .. }
            | ServerEvent::BufferLength { .. }
            | ServerEvent::Call { .. }
            | ServerEvent::Answer(_)
            | ServerEvent::Close => {}
        }
    }

    async fn publish(&mut self, stream: u32, key: &str) {
        let name = StreamName::new(&self.app, key);
        if matches!(self.role, Role::Publishes { .. }) {
            tracing::info!(peer = %self.stream.peer(), stream = %name, "refused: its connection publishes another");
            return self.session.refuse_publish(stream, code::PUBLISH_DENIED, "One stream a connection.");
        }
        match self.mounts.publish(&name) {
            Ok(mut publication) => {
                tracing::info!(peer = %self.stream.peer(), stream = %name, "publishes");
                publication.begin().await;
                self.session.accept_publish(stream);
                self.role = Role::Publishes { stream, publication };
            }
            Err(Refusal::Taken) => {
                tracing::info!(peer = %self.stream.peer(), stream = %name, "refused: it has a publisher");
                self.session.refuse_publish(stream, code::PUBLISH_BAD_NAME, "The stream has a publisher.");
            }
            Err(Refusal::Unknown) => {
                tracing::info!(peer = %self.stream.peer(), stream = %name, "refused: nothing takes it in");
                self.session.refuse_publish(stream, code::PUBLISH_DENIED, "Nothing takes this stream in.");
            }
        }
    }

    /// Media that comes ahead of the answer, or of a publisher that was refused, has nowhere to go.
    async fn ingest(&mut self, stream: u32, content: Content) {
        if let Role::Publishes { stream: published, publication } = &mut self.role
            && *published == stream
        {
            publication.send(Ingest::Content(content)).await;
        }
    }

    fn start(&mut self, feed: &Arc<Feed>) {
        let Role::Waits { stream, name } = &self.role else { return };
        tracing::info!(peer = %self.stream.peer(), stream = %name, "plays");
        let stream = *stream;
        self.input = BytesMut::new();
        self.session.accept_play(stream, false);
        let cursor = feed.join();
        self.role = Role::Plays(Box::new(Playing { stream, cursor, audio: true, video: true, paused: false }));
    }

    /// Queues what was taken from the stream, or its end.
    fn taken(&mut self, more: bool) {
        let Role::Plays(playing) = &mut self.role else { return };
        for entry in self.taken.drain(..) {
            let wanted = match &entry.content {
                Content::Media(_) if playing.paused => false,
                Content::Media(media) if media.kind == MediaKind::Audio => playing.audio,
                Content::Media(_) => playing.video,
                Content::Data(..) => true,
            };
            if !wanted {
                continue;
            }
            if playing.stream == COMMON_STREAM {
                self.session.note_sent(entry.chunks.len());
                self.output.extend(entry.chunks.slices().iter().cloned());
            } else {
                match &entry.content {
                    Content::Media(media) => self.session.send_media(playing.stream, media),
                    Content::Data(timestamp, body) => self.session.send_data(playing.stream, *timestamp, body),
                }
            }
        }
        if !more {
            let stream = playing.stream;
            self.session.end_play(stream, PlayEnd::Unpublished);
            (self.role, self.leaving) = (Role::None, true);
        }
    }
}
