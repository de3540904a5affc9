//! A message stream that plays, or waits for what it is to play.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use millstream_core::env::{BoxFuture, ReadFile};
use millstream_core::{Env, TimeDelta};
use millstream_flv::live::{Class, FeedEntry, Seat};
use millstream_server::access::{Access, Admitted, Purpose};

use super::recorded::{Event, Recorded};
use super::switching::{Switch, Turned};
use super::{Connection, Role, Stream};
use crate::Secret;
use crate::codecs::{Unlisted, unlisted};
use crate::command::{Play, PlayStart, Status, code};
use crate::recording::{Answer, Span, file_name};
use crate::server::Site;
use crate::server::admission::{Verdict, query_of};
use crate::server::feed::{COMMON_STREAM, Content, Cursor, Entry, Feed};
use crate::server::mounts::StreamName;
use crate::server::recordings;
use crate::session::MediaKind;
use crate::session::server::PlayEnd;

/// Bytes of a stream that a player is given at a time. More would be memory that waits for a slow one.
const WRITE_BUDGET: usize = 256 << 10;

/// Streams that wait on the playlist of a message stream. Each is a name.
const MAX_PLAYLIST: usize = 64;

/// Milliseconds between the last frame of one of a playlist and the first of the next.
const ITEM_GAP_MS: u32 = 20;

/// What a client keeps ahead that does not say: what ffmpeg says by default.
const DEFAULT_AHEAD: TimeDelta = TimeDelta::from_secs(3);

/// What a message stream needs to play.
pub(super) struct Player {
    pub(super) source: Source,
    /// Others write for it.
    pub(super) seat: Option<Seat>,
    audio: bool,
    video: bool,
    /// It wants nothing until it says so; what comes meanwhile of a live stream is not kept.
    paused: bool,
    /// How much of a recording the client keeps ahead.
    ahead: TimeDelta,
    /// Where a live stream ends for it.
    limit: Option<Box<Limit>>,
    /// The rest of the playlist.
    pub(super) playlist: VecDeque<Play>,
    /// What it is about to go over to.
    pub(super) switch: Option<Box<Switch>>,
    /// Timestamp that was sent last.
    pub(super) last: Option<u32>,
    /// What timestamps of the live stream need added, modulo 2^32.
    pub(super) shift: u32,
    /// All that was asked for has been sent.
    over: bool,
    /// Its end is told when this goes.
    pub(super) admitted: Option<Admitted>,
}

pub(super) enum Source {
    /// Nothing, or nothing any more.
    None,
    /// A stream that is not there yet.
    Awaited(Box<Awaited>),
    /// What it may perhaps not play.
    Asked(Box<Asked>),
    Live(Cursor),
    Opening(Box<Opening>),
    Recorded(Box<Recorded>),
}

/// A directory of recordings, and who may play them.
type Shelf = (Arc<Path>, Option<Arc<Access>>);
pub(super) type Opened = Option<io::Result<Box<dyn ReadFile>>>;

pub(super) struct Awaited {
    pub(super) name: StreamName,
    /// What stood behind it.
    pub(super) query: Secret,
}

/// A recording that is looked for.
pub(super) struct Opening {
    pub(super) file: BoxFuture<'static, Opened>,
    pub(super) awaited: Awaited,
    pub(super) span: Span,
    /// Without it a live stream of the name will do.
    or_live: bool,
    pub(super) access: Option<Arc<Access>>,
}

pub(super) struct Asked {
    name: StreamName,
    found: Found,
    verdict: BoxFuture<'static, Verdict>,
}

/// What there is to play.
pub(super) enum Found {
    Live(Arc<Feed>),
    Recorded(Box<dyn ReadFile>, Span),
}

/// How much of a live stream is wanted.
struct Limit {
    milliseconds: u32,
    /// Timestamp of the first frame.
    first: Option<u32>,
}

/// How a player got on.
pub(super) enum Progress {
    /// The stream that it waits for is there, and perhaps somebody who says who may play it.
    Found(Arc<Feed>, Option<Arc<Access>>),
    /// It sat, and goes on by itself.
    Stands,
    /// Whether it may.
    Answered(Verdict),
    /// Messages of the stream were taken; false at its end.
    Taken(bool),
    /// A recording was opened, or not.
    Opened(Opened),
    Recorded(Event),
    /// What it is about to go over to got on.
    Turned(Turned),
}

impl Player {
    fn new(ahead: TimeDelta) -> Self {
        let playlist = VecDeque::new();
        Self {
            source: Source::None,
            seat: None,
            audio: true,
            video: true,
            paused: false,
            ahead,
            limit: None,
            playlist,
            switch: None,
            shift: 0,
            last: None,
            over: true,
            admitted: None,
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        site: &Site,
        env: &Env,
        taken: &mut Vec<Arc<Entry>>,
    ) -> Poll<Progress> {
        if let Some(switch) = &mut self.switch
            && let Poll::Ready(turned) = switch.poll(cx, env)
        {
            return Poll::Ready(Progress::Turned(turned));
        }
        match &mut self.source {
            Source::None => Poll::Pending,
            Source::Awaited(awaited) => {
                site.mounts.poll_feed(&awaited.name, cx).map(|(feed, access)| Progress::Found(feed, access))
            }
            Source::Asked(asked) => asked.verdict.as_mut().poll(cx).map(Progress::Answered),
            Source::Live(_) if let Some(seat) = &self.seat => seat.poll_stands(cx).map(|()| Progress::Stands),
            Source::Live(cursor) => cursor.poll_take(cx, WRITE_BUDGET, taken).map(Progress::Taken),
            Source::Opening(opening) => opening.file.as_mut().poll(cx).map(Progress::Opened),
            Source::Recorded(recorded) => recorded.poll(cx, env).map(Progress::Recorded),
        }
    }

    /// It says what it wants. Video that it wants again begins at a key frame.
    pub(super) fn receive(&mut self, audio: bool, video: bool) {
        match &mut self.source {
            Source::Recorded(recorded) => recorded.playback.receive(audio, video),
            Source::Live(cursor) if video && !self.video => cursor.resume_at_key(),
            _ => {}
        }
        (self.audio, self.video) = (audio, video);
    }

    pub(super) fn set_ahead(&mut self, ahead: TimeDelta) {
        self.ahead = ahead;
        if let Source::Recorded(recorded) = &mut self.source {
            recorded.playback.set_ahead(ahead);
        }
    }

    fn wants(&self, content: &Content) -> bool {
        match content {
            Content::Media(_) if self.paused => false,
            Content::Media(media) if media.kind == MediaKind::Audio => self.audio,
            Content::Media(_) => self.video,
            Content::Data(..) => true,
        }
    }

    /// Whether it is sent a live stream as it is.
    pub(super) fn wants_all(&self) -> bool {
        let is_whole = self.audio && self.video && !self.paused && self.limit.is_none();
        is_whole && self.shift == 0 && self.switch.is_none() && self.seat.is_none()
    }

    /// Whether it has nothing to play so far.
    pub(super) fn is_waiting(&self) -> bool {
        !matches!(self.source, Source::Live(_) | Source::Recorded(_))
    }

    /// Whether a frame of a live stream lies behind what is wanted of it.
    fn is_beyond(&mut self, entry: &Entry) -> bool {
        let Some(limit) = &mut self.limit else { return false };
        if matches!(entry.class(), Class::Head(_)) {
            return false;
        }
        let is_first = limit.first.is_none();
        let first = *limit.first.get_or_insert(entry.timestamp());
        let since = entry.timestamp().wrapping_sub(first);
        !is_first && since >= limit.milliseconds && since < 1 << 31
    }
}

impl Opening {
    pub(super) fn new(env: &Env, shelf: Shelf, app: &str, play: &Play, timestamp: u32) -> Self {
        let awaited = Awaited::new(app, &play.name);
        let (fs, app, key, (dir, access)) = (env.fs.clone(), app.to_owned(), play.name.clone(), shelf);
        let file = env.blocking(move || recordings::open(&*fs, &dir, &app, key.reveal()));
        // `as` saturates.
        let start = if let PlayStart::Recorded(start) = play.start { start as u32 } else { 0 };
        let span = Span { start, duration: play.duration.map(|duration| duration as u32), timestamp };
        Self { file, awaited, span, or_live: play.start == PlayStart::LiveOrRecorded, access }
    }
}

impl Awaited {
    pub(super) fn new(app: &str, asked: &Secret) -> Self {
        Self { name: StreamName::new(app, asked.reveal()), query: query_of(asked) }
    }
}

impl Connection {
    /// The client may play this: at once, or behind what it plays.
    pub(super) fn play(&mut self, stream: u32, play: Play) {
        let ahead = self.ahead.filter(|(id, _)| *id == stream).map_or(DEFAULT_AHEAD, |(_, ahead)| ahead);
        if self.player(stream).is_none() {
            self.set_role(stream, Role::Plays(Box::new(Player::new(ahead))));
        }
        let Some(player) = self.player(stream) else { return };
        if play.reset || player.over {
            return self.begin(stream, &play);
        }
        if player.playlist.len() >= MAX_PLAYLIST {
            let full = Status::error(code::PLAY_FAILED, "The playlist is full.");
            return self.session.notify(stream, &full);
        }
        player.playlist.push_back(play);
    }

    /// Looks for what is to be played.
    ///
    /// A live stream that is there has precedence over a recording, and a recording over waiting. Where no recordings are played, a
    /// position to begin at means nothing.
    pub(super) fn begin(&mut self, stream: u32, play: &Play) {
        let awaited = Awaited::new(&self.app.0, &play.name);
        // One of a playlist goes on behind the one before.
        let last = self.player(stream).and_then(|player| player.last);
        let timestamp = last.map_or(0, |last| last.wrapping_add(ITEM_GAP_MS));
        let mut cx = Context::from_waker(Waker::noop());
        let mut is_live = || self.site.mounts.poll_feed(&awaited.name, &mut cx).is_ready();
        let shelf = match play.start {
            PlayStart::Live => None,
            PlayStart::LiveOrRecorded if is_live() => None,
            _ => self.site.recordings.of(&self.app.0),
        };
        let source = match shelf {
            Some(shelf) => Source::Opening(Box::new(Opening::new(&self.env, shelf, &self.app.0, play, timestamp))),
            None => Source::Awaited(Box::new(awaited)),
        };
        let Some(player) = self.player(stream) else { return };
        let limit = play.duration.map(|duration| Box::new(Limit { milliseconds: duration as u32, first: None }));
        (player.source, player.limit, player.paused, player.over) = (source, limit, false, false);
        (player.switch, player.shift) = (None, 0);
    }

    pub(super) fn play_on(&mut self, at: usize, progress: Progress) {
        match progress {
            Progress::Found(feed, access) => self.found(at, feed, access),
            Progress::Answered(verdict) => self.play_if(at, verdict),
            Progress::Stands => self.stand_up(),
            Progress::Taken(more) => self.pass_on(at, more),
            Progress::Opened(file) => self.opened(at, file),
            Progress::Recorded(event) => self.recorded(at, event),
            Progress::Turned(turned) => self.turned(at, turned),
        }
    }

    /// A live stream is there.
    fn found(&mut self, at: usize, feed: Arc<Feed>, access: Option<Arc<Access>>) {
        let Some(Stream { role: Role::Plays(player), .. }) = self.streams.get_mut(at) else { return };
        if let Source::Awaited(awaited) = std::mem::replace(&mut player.source, Source::None) {
            self.ask_about(at, *awaited, Found::Live(feed), access);
        }
    }

    /// A recording was looked for.
    fn opened(&mut self, at: usize, file: Opened) {
        let Some(Stream { id, role: Role::Plays(player) }) = self.streams.get_mut(at) else { return };
        let Source::Opening(opening) = std::mem::replace(&mut player.source, Source::None) else { return };
        let Opening { awaited, span, or_live, access, .. } = *opening;
        let (id, name, peer) = (*id, &awaited.name, self.socket.peer());
        match file {
            Some(Ok(file)) => self.ask_about(at, awaited, Found::Recorded(file, span), access),
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%peer, stream = %name, %error, "its recording cannot be opened");
                self.not_played(id, code::PLAY_STREAM_NOT_FOUND, "The recording cannot be opened.");
            }
            // A name that could lead elsewhere is not waited for either.
            _ if or_live && file_name(name.app(), name.stream()).is_some() => {
                player.source = Source::Awaited(Box::new(awaited));
            }
            _ => {
                tracing::info!(%peer, stream = %name, "refused: there is no such recording");
                self.not_played(id, code::PLAY_STREAM_NOT_FOUND, "There is no such recording.");
            }
        }
    }

    fn ask_about(&mut self, at: usize, awaited: Awaited, found: Found, access: Option<Arc<Access>>) {
        let Awaited { name, query } = awaited;
        let Some(access) = access else { return self.start(at, &name, found, None) };
        let verdict = self.guest.ask(&self.env, access, Purpose::Play, &name, &query);
        if let Some(Stream { role: Role::Plays(player), .. }) = self.streams.get_mut(at) {
            player.source = Source::Asked(Box::new(Asked { name, found, verdict }));
        }
    }

    fn play_if(&mut self, at: usize, verdict: Verdict) {
        let Some(Stream { id, role: Role::Plays(player) }) = self.streams.get_mut(at) else { return };
        let Source::Asked(asked) = std::mem::replace(&mut player.source, Source::None) else { return };
        let (id, Asked { name, found, .. }) = (*id, *asked);
        match verdict {
            Ok(admitted) => self.start(at, &name, found, admitted),
            Err(denied) => {
                self.warn_of(&name, "play", denied);
                self.not_played(id, code::PLAY_FAILED, &denied.to_string());
                self.leave_if_idle();
            }
        }
    }

    fn start(&mut self, at: usize, name: &StreamName, found: Found, admitted: Option<Admitted>) {
        if let Found::Live(feed) = &found
            && let Some(codec) = self.unlisted(at, feed.heads().iter().map(|entry| &entry.content))
        {
            return self.lacks(at, codec);
        }
        let Some(Stream { id, role: Role::Plays(player) }) = self.streams.get_mut(at) else { return };
        tracing::info!(peer = %self.socket.peer(), stream = %name, "plays");
        self.socket.shrink();
        player.admitted = admitted;
        player.source = match found {
            Found::Live(feed) => {
                self.session.accept_play(*id, false);
                Source::Live(feed.join())
            }
            // Accepted when its start is found.
            Found::Recorded(file, span) => {
                let mut recorded = Recorded::new(file, span, player.ahead, self.env.clock.now());
                recorded.playback.receive(player.audio, player.video);
                Source::Recorded(Box::new(recorded))
            }
        };
    }

    /// What comes next on the playlist is tried, if anything does. What plays already goes on.
    pub(super) fn not_played(&mut self, stream: u32, code: &str, reason: &str) {
        let refused = Status::error(code, reason);
        match self.player(stream) {
            Some(player) if !player.is_waiting() => self.session.notify(stream, &refused),
            Some(player) if !player.playlist.is_empty() => {
                let next = player.playlist.pop_front();
                self.session.notify(stream, &refused);
                next.into_iter().for_each(|next| self.begin(stream, &next));
            }
            _ => {
                self.leave(stream);
                self.session.refuse_play(stream, code, reason);
            }
        }
    }

    /// What the client said that it takes leaves out a codec of this.
    fn unlisted<'a>(&self, at: usize, contents: impl Iterator<Item = &'a Content>) -> Option<Unlisted> {
        let Some(Stream { role: Role::Plays(player), .. }) = self.streams.get(at) else { return None };
        let said = self.is_selective.then(|| self.session.enhanced())?;
        contents.filter(|content| player.wants(content)).find_map(|content| unlisted(said, content))
    }

    /// Half a stream is not what was asked for, and nobody would know why: it is told.
    fn lacks(&mut self, at: usize, codec: Unlisted) {
        let Some(Stream { id, role: Role::Plays(player) }) = self.streams.get_mut(at) else { return };
        let (id, said) = (*id, self.session.enhanced());
        player.source = Source::None;
        let instead = codec.instead(said);
        tracing::info!(peer = %self.socket.peer(), %codec, %instead, "refused: the player does not list a codec of the stream");
        self.site.gate.closed("codec not listed");
        self.not_played(id, code::PLAY_FAILED, &format!("The stream has {codec}, which the client does not list."));
        self.leave_if_idle();
    }

    fn recorded(&mut self, at: usize, event: Event) {
        if let Event::Send(contents) = &event
            && let Some(codec) = self.unlisted(at, contents.iter())
        {
            return self.lacks(at, codec);
        }
        let Some(Stream { id, role: Role::Plays(player) }) = self.streams.get_mut(at) else { return };
        let id = *id;
        match event {
            Event::Answer(Answer::Started) => self.session.accept_play(id, true),
            Event::Answer(Answer::Sought(success)) => {
                player.over &= !success;
                self.session.answer_seek(id, success);
            }
            Event::Answer(Answer::Resumed) => self.session.answer_pause(id, false),
            Event::Send(contents) => {
                for content in contents {
                    player.last = Some(content.timestamp());
                    match &content {
                        Content::Media(media) => self.session.send_media(id, media),
                        Content::Data(timestamp, body) => self.session.send_data(id, *timestamp, body),
                    }
                }
            }
            Event::End => {
                if !self.switch_recorded(id, false) {
                    self.end_item(id);
                }
            }
            Event::Broken(reason) => {
                player.source = Source::None;
                self.not_played(id, code::PLAY_FAILED, reason);
            }
        }
    }

    /// The client got all that it wanted of one; the next of its playlist follows.
    pub(super) fn end_item(&mut self, stream: u32) {
        let Some(player) = self.player(stream) else { return };
        match player.playlist.pop_front() {
            Some(next) => {
                self.session.end_of_item(stream);
                self.begin(stream, &next);
            }
            None => {
                player.over = true;
                // A recording stays, to be sought in.
                if !matches!(player.source, Source::Recorded(_)) {
                    player.source = Source::None;
                }
                self.session.end_play(stream, PlayEnd::Complete);
            }
        }
    }

    pub(super) fn pause(&mut self, stream: u32, pause: bool, milliseconds: f64) {
        let now = self.env.clock.now();
        let Some(player) = self.player(stream) else { return };
        player.paused = pause;
        match &mut player.source {
            Source::Recorded(recorded) if pause => recorded.playback.pause(),
            // Answered when the position is found.
            Source::Recorded(recorded) => return recorded.playback.resume(milliseconds as u32, now),
            Source::Live(cursor) => cursor.resume_at_key(),
            _ => {}
        }
        self.session.answer_pause(stream, pause);
    }

    pub(super) fn seek(&mut self, stream: u32, milliseconds: f64) {
        // Where it was to go over means nothing any more.
        self.switch_recorded(stream, true);
        match self.player(stream).map(|player| &mut player.source) {
            // Answered when the position is found.
            Some(Source::Recorded(recorded)) => recorded.playback.seek(milliseconds as u32),
            _ => self.session.answer_seek(stream, false),
        }
    }

    pub(super) fn set_ahead(&mut self, stream: u32, ahead: TimeDelta) {
        self.ahead = Some((stream, ahead));
        if let Some(player) = self.player(stream) {
            player.set_ahead(ahead);
        }
    }

    /// Queues what was taken from a stream, or its end.
    pub(super) fn pass_on(&mut self, at: usize, more: bool) {
        if self.is_selective
            && let Some(codec) = self.unlisted(at, self.taken.iter().map(|entry| &entry.content))
        {
            self.taken.clear();
            return self.lacks(at, codec);
        }
        let Some(Stream { id, role: Role::Plays(player) }) = self.streams.get_mut(at) else { return };
        let id = *id;
        let (queue, session) = (self.socket.queue(), &mut self.session);
        let mut is_complete = false;
        for entry in std::mem::take(&mut self.taken) {
            is_complete |= player.is_beyond(&entry);
            if is_complete || !player.wants(&entry.content) {
                continue;
            }
            let timestamp = entry.timestamp().wrapping_add(player.shift);
            if !entry.is_metadata() {
                player.last = Some(timestamp);
            }
            if id == COMMON_STREAM && player.shift == 0 {
                session.note_sent(entry.chunks.len());
                queue.extend(entry.chunks.slices().iter().cloned());
                continue;
            }
            match entry.content.at(if entry.is_metadata() { 0 } else { timestamp }) {
                Content::Media(media) => session.send_media(id, &media),
                Content::Data(timestamp, body) => session.send_data(id, timestamp, &body),
            }
        }
        // Who does not understand is told of the end instead.
        let to = if let Source::Live(cursor) = &mut player.source { cursor.moves() } else { None };
        let asked = to.map(|to| session.request_reconnect(Some(&*to).filter(|to| !to.is_empty())));
        let stays = asked.unwrap_or(true);
        let has_next = !player.playlist.is_empty();
        if asked == Some(true) && !has_next {
            // It has all that comes from here, and need not wait for more before it moves.
            session.end_play(id, PlayEnd::Unpublished);
        }
        if !more && player.awaits_switch() {
            return;
        }
        if is_complete || (!more && has_next) {
            self.end_item(id);
        } else if !more || !stays {
            self.leave(id);
            self.session.end_play(id, PlayEnd::Unpublished);
            self.leave_if_idle();
        }
    }
}
