//! A message stream that plays, or waits for what it is to play.

use std::sync::Arc;
use std::task::{Context, Poll};

use millstream_core::env::BoxFuture;
use millstream_server::access::{Access, Admitted, Purpose};

use super::{Connection, Role, Stream};
use crate::Secret;
use crate::command::code;
use crate::server::admission::Verdict;
use crate::server::feed::{COMMON_STREAM, Content, Cursor, Entry, Feed};
use crate::server::mounts::{Mounts, StreamName};
use crate::session::MediaKind;
use crate::session::server::PlayEnd;

/// Bytes of a stream that a player is given at a time. More would be memory that waits for a slow one.
const WRITE_BUDGET: usize = 256 << 10;

/// What a message stream needs to play.
pub(super) struct Player {
    source: Source,
    audio: bool,
    video: bool,
    /// It wants nothing until it says so; what comes meanwhile is not kept, as the stream is live.
    paused: bool,
    /// Its end is told when this goes.
    admitted: Option<Admitted>,
}

enum Source {
    /// A stream that is not there yet, and the query behind its name.
    Awaited(Box<(StreamName, Secret)>),
    /// A stream that it may perhaps not play.
    Asked(Box<Asked>),
    Live(Cursor),
}

struct Asked {
    name: StreamName,
    feed: Arc<Feed>,
    verdict: BoxFuture<'static, Verdict>,
}

/// How a player got on.
pub(super) enum Progress {
    /// The stream that it waits for is there, and perhaps somebody who says who may play it.
    Found(Arc<Feed>, Option<Arc<Access>>),
    /// Whether it may.
    Answered(Verdict),
    /// Messages of the stream were taken; false at its end.
    Taken(bool),
}

impl Player {
    pub(super) fn new(name: StreamName, query: Secret) -> Self {
        let source = Source::Awaited(Box::new((name, query)));
        Self { source, audio: true, video: true, paused: false, admitted: None }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mounts: &Mounts,
        taken: &mut Vec<Arc<Entry>>,
    ) -> Poll<Progress> {
        match &mut self.source {
            Source::Awaited(name) => mounts.poll_feed(&name.0, cx).map(|(feed, access)| Progress::Found(feed, access)),
            Source::Asked(asked) => asked.verdict.as_mut().poll(cx).map(Progress::Answered),
            Source::Live(cursor) => cursor.poll_take(cx, WRITE_BUDGET, taken).map(Progress::Taken),
        }
    }

    /// It says what it wants. Video that it wants again begins at a key frame.
    pub(super) fn receive(&mut self, audio: bool, video: bool) {
        if video && !self.video {
            self.resume_at_key();
        }
        (self.audio, self.video) = (audio, video);
    }

    pub(super) fn pause(&mut self, pause: bool) {
        self.paused = pause;
        self.resume_at_key();
    }

    fn resume_at_key(&mut self) {
        if let Source::Live(cursor) = &mut self.source {
            cursor.resume_at_key();
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
}

impl Connection {
    pub(super) fn play_on(&mut self, at: usize, progress: Progress) {
        match progress {
            Progress::Found(feed, None) => self.start(at, &feed),
            Progress::Found(feed, Some(access)) => self.ask_about(at, feed, access),
            Progress::Answered(verdict) => self.play_if(at, verdict),
            Progress::Taken(more) => self.pass_on(at, more),
        }
    }

    fn ask_about(&mut self, at: usize, feed: Arc<Feed>, access: Arc<Access>) {
        let Some(Stream { role: Role::Plays(player), .. }) = self.streams.get_mut(at) else { return };
        let Source::Awaited(awaited) = &player.source else { return };
        let (name, query) = &**awaited;
        let verdict = self.guest.ask(&self.env, access, Purpose::Play, name, query);
        player.source = Source::Asked(Box::new(Asked { name: name.clone(), feed, verdict }));
    }

    fn play_if(&mut self, at: usize, verdict: Verdict) {
        let Some(Stream { id, role: Role::Plays(player) }) = self.streams.get_mut(at) else { return };
        let Source::Asked(asked) = &player.source else { return };
        match verdict {
            Ok(admitted) => {
                let feed = asked.feed.clone();
                player.admitted = admitted;
                self.start(at, &feed);
            }
            Err(denied) => {
                let (id, name) = (*id, asked.name.clone());
                self.warn_of(&name, "play", denied);
                self.leave(id);
                self.session.refuse_play(id, code::PLAY_FAILED, &denied.to_string());
                self.leave_if_idle();
            }
        }
    }

    fn start(&mut self, at: usize, feed: &Arc<Feed>) {
        let Some(Stream { id, role: Role::Plays(player) }) = self.streams.get_mut(at) else { return };
        match &player.source {
            Source::Awaited(awaited) => tracing::info!(peer = %self.socket.peer(), stream = %awaited.0, "plays"),
            Source::Asked(asked) => tracing::info!(peer = %self.socket.peer(), stream = %asked.name, "plays"),
            Source::Live(_) => return,
        }
        player.source = Source::Live(feed.join());
        self.session.accept_play(*id, false);
        self.socket.shrink();
    }

    /// Queues what was taken from a stream, or its end.
    fn pass_on(&mut self, at: usize, more: bool) {
        let Some(Stream { id, role: Role::Plays(player) }) = self.streams.get(at) else { return };
        let id = *id;
        let queue = self.socket.queue();
        for entry in self.taken.drain(..).filter(|entry| player.wants(&entry.content)) {
            if id == COMMON_STREAM {
                self.session.note_sent(entry.chunks.len());
                queue.extend(entry.chunks.slices().iter().cloned());
                continue;
            }
            match &entry.content {
                Content::Media(media) => self.session.send_media(id, media),
                Content::Data(timestamp, body) => self.session.send_data(id, *timestamp, body),
            }
        }
        if !more {
            self.leave(id);
            self.session.end_play(id, PlayEnd::Unpublished);
            self.leave_if_idle();
        }
    }
}
