//! An RTMP server that does what a test tells it: asks clients to move, redirects, refuses, asks for passwords, closes.
//!
//! It is our session on a stream of the simulated network, and what it takes and plays is written down.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use millstream_core::env::TaskHandle;
use millstream_core::net::NetStream;
use millstream_core::{Env, Time, TimeDelta};
use millstream_flv::wire::{FlvReader, TagKind};
use millstream_rtmp::command::{Connect, Enhanced, code};
use millstream_rtmp::session::server::{PlayEnd, ServerEvent, ServerSession, ServerSettings};
use millstream_rtmp::session::{Media, MediaKind};

/// How `connect` is answered.
pub enum Answer {
    /// Accepted.
    Accept,
    /// Refused with this description.
    Reject(String),
    /// Sent elsewhere.
    Redirect(String),
}

/// What a server does. The default accepts everything and plays nothing.
#[derive(Clone)]
pub struct Script {
    /// Answers `connect`.
    pub connect: Arc<dyn Fn(&Connect) -> Answer + Send + Sync>,
    /// What it says of Enhanced RTMP, if it is not that it takes everything.
    pub enhanced: Option<Enhanced>,
    /// Refuses to take streams, or to play.
    pub refuses: bool,
    /// Asks to move to this `tcUrl` when media with this time has come or was played, once a connection.
    pub move_at: Option<(u32, Option<String>)>,
    /// Closes the connection when media with this time has come or was played.
    pub close_at: Option<u32>,
    /// Plays this: in real time since the clock's start, and so much later.
    pub plays: Option<(Arc<Vec<Media>>, TimeDelta)>,
    /// Added to the times of what is played.
    pub base: u32,
    /// Gives who joins the group of pictures that has begun.
    pub cache: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            connect: Arc::new(|_| Answer::Accept),
            enhanced: None,
            refuses: false,
            move_at: None,
            close_at: None,
            plays: None,
            base: 0,
            cache: true,
        }
    }
}

/// What a server saw.
#[derive(Default)]
pub struct Log {
    /// `connect` commands.
    pub connects: Vec<Connect>,
    /// Names of streams that were published or played.
    pub names: Vec<String>,
    /// Everything that was published, connection after connection.
    pub media: Vec<Media>,
    /// Whether metadata came, for each publication.
    pub metadata: usize,
    /// Publications that ended in good order.
    pub unpublished: usize,
}

/// A server, as long as this lives.
pub struct Server {
    log: Arc<Mutex<Log>>,
    address: SocketAddr,
    _task: TaskHandle,
}

impl Server {
    /// Listens.
    ///
    /// # Panics
    /// When the address is taken.
    pub fn start(env: &Env, address: impl Into<SocketAddr>, script: Script) -> Self {
        let mut listener = env.net.listen(address.into()).expect("a free address");
        let address = listener.local();
        let log = Arc::<Mutex<Log>>::default();
        let (own, seen) = (env.clone(), log.clone());
        let task = env.tasks.spawn(Box::pin(async move {
            while let Ok(stream) = listener.accept().await {
                let connection = Connection::new(stream, own.clone(), script.clone(), seen.clone());
                own.tasks.spawn(Box::pin(connection.serve())).detach();
            }
        }));
        Self { log, address, _task: task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it saw.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Connection {
    stream: Box<dyn NetStream>,
    session: ServerSession,
    env: Env,
    script: Script,
    log: Arc<Mutex<Log>>,
    /// The message stream that plays, and the next of what is played.
    plays: Option<(u32, usize)>,
    asked: bool,
    closes: bool,
}

impl Connection {
    fn new(stream: Box<dyn NetStream>, env: Env, script: Script, log: Arc<Mutex<Log>>) -> Self {
        let mut settings = ServerSettings::default();
        settings.enhanced = script.enhanced.clone().unwrap_or(settings.enhanced);
        let session = ServerSession::new(settings, 1, env.clock.now());
        Self { stream, session, env, script, log, plays: None, asked: false, closes: false }
    }

    async fn serve(mut self) {
        loop {
            while let Some(event) = self.session.next_event().expect("a client that behaves") {
                self.event(event);
            }
            self.play();
            for bytes in self.session.output() {
                if self.stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            if self.closes || self.session.is_closing() {
                let _ = self.stream.shutdown().await;
                return;
            }
            let due = self.due().map(|due| self.env.clock.sleep_until(due));
            let mut input = BytesMut::with_capacity(1 << 16);
            let read = tokio::select! {
                read = self.stream.read(&mut input) => read,
                () = async { match due { Some(due) => due.await, None => std::future::pending().await } } => continue,
            };
            if !read.is_ok_and(|read| read > 0) {
                return;
            }
            self.session.receive(input.freeze(), self.env.clock.now()).expect("a client that speaks RTMP");
        }
    }

    fn event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Connect(connect) => {
                match (self.script.connect)(&connect) {
                    Answer::Accept => self.session.accept_connect(),
                    Answer::Reject(description) => self.session.reject_connect(&description),
                    Answer::Redirect(url) => self.session.redirect_connect(&url),
                }
                lock(&self.log).connects.push(*connect);
            }
            ServerEvent::Publish { stream, .. } if self.script.refuses => {
                self.session.refuse_publish(stream, code::PUBLISH_DENIED, "Not here.");
            }
            ServerEvent::Play { stream, .. } if self.script.refuses => {
                self.session.refuse_play(stream, code::PLAY_FAILED, "Not here.");
            }
            ServerEvent::Publish { stream, publish } => {
                lock(&self.log).names.push(publish.name.reveal().to_owned());
                self.session.accept_publish(stream);
            }
            ServerEvent::Play { stream, play } => {
                lock(&self.log).names.push(play.name.reveal().to_owned());
                self.session.accept_play(stream, false);
                self.begin(stream);
            }
            ServerEvent::Media { media, .. } => {
                let at = media.timestamp;
                lock(&self.log).media.push(media);
                self.act(at);
            }
            ServerEvent::Data { .. } => lock(&self.log).metadata += 1,
            ServerEvent::Unpublish { .. } => lock(&self.log).unpublished += 1,
            _ => {}
        }
    }

    fn act(&mut self, at: u32) {
        if let Some((when, url)) = self.script.move_at.clone().filter(|(when, _)| at >= *when && !self.asked) {
            assert!(self.session.request_reconnect(url.as_deref()), "the client said at {when} that it understands");
            self.asked = true;
        }
        self.closes |= self.script.close_at.is_some_and(|when| at >= when);
    }

    /// Configurations, and the first place at which the player can begin.
    fn begin(&mut self, stream: u32) {
        let Some((media, _)) = self.script.plays.clone() else { return };
        let now = self.position();
        let key = media.iter().rposition(|media| is_key(media) && i64::from(media.timestamp) <= now);
        let later = media.iter().position(|media| is_key(media) && i64::from(media.timestamp) > now);
        let begin = if self.script.cache { key.or(later) } else { later };
        for head in media.iter().filter(|media| media.payload.get(1) == Some(&0)) {
            self.send(stream, head);
        }
        self.plays = begin.map(|begin| (stream, begin));
    }

    /// How far what it plays has come, in its milliseconds.
    fn position(&self) -> i64 {
        let late = self.script.plays.as_ref().map_or(TimeDelta::ZERO, |(_, late)| *late);
        (self.env.clock.now() - late).millis()
    }

    fn due(&self) -> Option<Time> {
        let ((media, late), (_, at)) = (self.script.plays.as_ref()?, self.plays?);
        media.get(at).map(|media| Time::from_millis(i64::from(media.timestamp)) + *late)
    }

    fn play(&mut self) {
        let Some((media, _)) = self.script.plays.clone() else { return };
        let now = self.position();
        while let Some((stream, at)) = self.plays.filter(|_| !self.closes) {
            let Some(next) = media.get(at).filter(|media| i64::from(media.timestamp) <= now) else {
                if at >= media.len() {
                    self.plays = None;
                    self.session.end_play(stream, PlayEnd::Unpublished);
                }
                return;
            };
            if !is_head(next) {
                self.send(stream, next);
            }
            self.plays = Some((stream, at + 1));
            self.act(next.timestamp);
        }
    }

    fn send(&mut self, stream: u32, media: &Media) {
        let timestamp = media.timestamp.wrapping_add(self.script.base);
        self.session.send_media(stream, &Media { timestamp, ..media.clone() });
    }
}

/// Whether it is a configuration of H.264 or AAC (FLV 10.1, E.4.2.2 and E.4.3.1: a packet type of 0), or the end of a sequence (2).
pub fn is_head(media: &Media) -> bool {
    matches!(media.payload.get(1), Some(0 | 2))
}

/// Whether it is a key frame (FLV 10.1, E.4.3.1: frame type 1).
pub fn is_key(media: &Media) -> bool {
    media.kind == MediaKind::Video && media.payload.first().is_some_and(|byte| byte >> 4 == 1) && !is_head(media)
}

/// Audio and video of an FLV file, in its order.
///
/// # Panics
/// When it is none.
pub fn media_of(file: Vec<u8>) -> Vec<Media> {
    let mut reader = FlvReader::new();
    reader.push(file.into());
    let mut all = Vec::new();
    while let Some(tag) = reader.next().expect("an FLV file") {
        let kind = match tag.kind {
            TagKind::Audio => MediaKind::Audio,
            TagKind::Video => MediaKind::Video,
            _ => continue,
        };
        all.push(Media { kind, timestamp: tag.timestamp, payload: tag.body });
    }
    all
}
