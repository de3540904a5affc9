//! `play2`: a message stream that goes over to another rate of what it plays (RTMP 1.0, 7.2.2.2).
//!
//! What it plays goes on until the other has a key frame. Where both are on one timeline that is kept; else the other is put behind.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use millstream_core::Env;
use millstream_core::env::BoxFuture;
use millstream_flv::live::{Class, FeedEntry};
use millstream_flv::wire::TagKind;
use millstream_server::access::{Access, Admitted, Purpose};

use super::playing::{Awaited, Found, Opened, Opening, Player, Source};
use super::recorded::Recorded;
use super::{Connection, Role, Stream};
use crate::command::{Play, Play2, Status, code};
use crate::recording::Playback;
use crate::server::admission::Verdict;
use crate::server::feed::{Cursor, Entry, Feed};
use crate::server::mounts::StreamName;

/// Bytes of the other stream that are looked at at a time.
const LOOK_BUDGET: usize = 256 << 10;
/// A key frame that is further than this, in milliseconds, from what was sent last is on another timeline.
const SAME_TIMELINE_MS: i32 = 2000;
/// Milliseconds between two frames of different timelines.
const SEAM_MS: u32 = 20;

/// What a player is about to go over to.
pub(super) enum Switch {
    Opening(Box<Opening>),
    Asked(StreamName, Found, BoxFuture<'static, Verdict>),
    Live(Next),
    Recorded {
        recorded: Box<Recorded>,
        admitted: Option<Admitted>,
        /// What is played has been told where to end.
        is_ready: bool,
    },
}

/// A live stream whose next key frame is waited for.
pub(super) struct Next {
    feed: Arc<Feed>,
    cursor: Cursor,
    admitted: Option<Admitted>,
    /// Headers, and from the key frame on everything.
    entries: Vec<Arc<Entry>>,
}

/// How that got on.
pub(super) enum Turned {
    Opened(Opened),
    Answered(Verdict),
    /// The live stream has a key frame.
    AtKey,
    /// The recording has a key frame at this position.
    Ready(u32),
    /// It is gone, or has no further key frame.
    Lost,
}

impl Switch {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, env: &Env) -> Poll<Turned> {
        match self {
            Self::Opening(opening) => opening.file.as_mut().poll(cx).map(Turned::Opened),
            Self::Asked(_, _, verdict) => verdict.as_mut().poll(cx).map(Turned::Answered),
            Self::Live(next) => next.poll(cx),
            Self::Recorded { is_ready: true, .. } => Poll::Pending,
            Self::Recorded { recorded, is_ready, .. } => match recorded.poll(cx, env) {
                // Before it is joined it has nothing to say but its end.
                Poll::Ready(_) => Poll::Ready(Turned::Lost),
                Poll::Pending => match recorded.playback.joins_at() {
                    Some(position) => {
                        *is_ready = true;
                        Poll::Ready(Turned::Ready(position))
                    }
                    None => Poll::Pending,
                },
            },
        }
    }
}

impl Next {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turned> {
        let mut taken = Vec::new();
        // Each turn takes something off the stream.
        loop {
            match self.cursor.poll_take(cx, LOOK_BUDGET, &mut taken) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(false) => return Poll::Ready(Turned::Lost),
                Poll::Ready(true) => {}
            }
            let mut is_at_key = false;
            for entry in taken.drain(..) {
                match entry.class() {
                    Class::Head(_) => self.entries.retain(|other| is_at_key || other.class() != entry.class()),
                    Class::Key if entry.kind() == TagKind::Video => is_at_key = true,
                    _ => is_at_key |= !self.feed.has_video() && entry.kind() == TagKind::Audio,
                }
                if is_at_key || matches!(entry.class(), Class::Head(_)) {
                    self.entries.push(entry);
                }
            }
            if is_at_key {
                return Poll::Ready(Turned::AtKey);
            }
        }
    }

    /// Time of the key frame.
    fn begins(&self) -> u32 {
        let frame = self.entries.iter().find(|entry| !matches!(entry.class(), Class::Head(_)));
        frame.map_or(0, |frame| frame.timestamp())
    }
}

/// What timestamps of another stream need added to go on behind `last`, when those before needed `shift`.
fn shift_behind(last: Option<u32>, shift: u32, first: u32) -> u32 {
    let Some(last) = last else { return shift };
    let gap = first.wrapping_add(shift).wrapping_sub(last) as i32;
    if (1..SAME_TIMELINE_MS).contains(&gap) { shift } else { last.wrapping_add(SEAM_MS).wrapping_sub(first) }
}

impl Connection {
    pub(super) fn play2(&mut self, stream: u32, play2: Play2) {
        let Some(player) = self.player(stream) else { return };
        let (name, old) = (play2.name.clone(), play2.old_name.reveal());
        let play = Play { start: play2.start, duration: play2.duration, reset: true, ..Play::new(name.reveal()) };
        match &*play2.transition {
            "append" | "appendAndWait" => self.play(stream, Play { reset: false, ..play }),
            "reset" | "resetStart" => {
                player.playlist.clear();
                self.session.reset_play(stream);
                self.begin(stream, &play);
            }
            "stop" => {
                player.playlist.clear();
                player.switch = None;
                self.end_item(stream);
            }
            "swap" if player.playlist.iter().any(|queued| queued.name.reveal() == old) => {
                player.playlist.iter_mut().filter(|queued| queued.name.reveal() == old).for_each(|queued| {
                    queued.name = name.clone();
                });
            }
            "" | "switch" | "swap" => self.switch(stream, &play),
            _ => self.not_switched(stream, "This kind of transition is not known."),
        }
    }

    fn switch(&mut self, stream: u32, play: &Play) {
        let app = self.app.0.clone();
        let Some(player) = self.player(stream) else { return };
        match player.source {
            Source::Live(_) => {
                let awaited = Awaited::new(&app, &play.name);
                let mut cx = Context::from_waker(Waker::noop());
                match self.site.mounts.poll_feed(&awaited.name, &mut cx) {
                    Poll::Ready((feed, access)) => self.prepare(stream, awaited, Found::Live(feed), access),
                    Poll::Pending => self.not_switched(stream, "There is no such stream."),
                }
            }
            Source::Recorded(_) => match self.site.recordings.of(&app) {
                Some(shelf) => {
                    let opening = Opening::new(&self.env, shelf, &app, play, 0);
                    if let Some(player) = self.player(stream) {
                        player.switch = Some(Box::new(Switch::Opening(Box::new(opening))));
                    }
                }
                None => self.not_switched(stream, "There is no such recording."),
            },
            // Nothing plays that it could take the place of.
            _ => self.begin(stream, play),
        }
    }

    /// What it plays goes on.
    fn not_switched(&mut self, stream: u32, reason: &str) {
        self.session.notify(stream, &Status::error(code::PLAY_FAILED, reason));
    }

    fn prepare(&mut self, stream: u32, awaited: Awaited, found: Found, access: Option<Arc<Access>>) {
        let Awaited { name, query } = awaited;
        let Some(access) = access else { return self.prepared(stream, &name, found, None) };
        let verdict = self.guest.ask(&self.env, access, Purpose::Play, &name, &query);
        if let Some(player) = self.player(stream) {
            player.switch = Some(Box::new(Switch::Asked(name, found, verdict)));
        }
    }

    /// There is another, and the client may play it.
    fn prepared(&mut self, stream: u32, name: &StreamName, found: Found, admitted: Option<Admitted>) {
        tracing::info!(peer = %self.socket.peer(), stream = %name, "goes over to it");
        let Some(player) = self.player(stream) else { return };
        let switch = match (found, &player.source) {
            (Found::Live(feed), _) => {
                let cursor = feed.join_next();
                Switch::Live(Next { feed, cursor, admitted, entries: Vec::new() })
            }
            (Found::Recorded(file, _), Source::Recorded(old)) => {
                let recorded = Box::new(Recorded::playing(file, Playback::behind(&old.playback)));
                Switch::Recorded { recorded, admitted, is_ready: false }
            }
            (Found::Recorded(..), _) => return,
        };
        player.switch = Some(Box::new(switch));
        self.session.notify(stream, &Status::new(code::PLAY_TRANSITION, "Going over to another stream."));
    }

    pub(super) fn turned(&mut self, at: usize, turned: Turned) {
        let Some(Stream { id, role: Role::Plays(player) }) = self.streams.get_mut(at) else { return };
        let id = *id;
        if let (Turned::Ready(position), Source::Recorded(old)) = (&turned, &mut player.source) {
            // The other begins where this ends.
            return old.playback.end_at(*position);
        }
        let Some(switch) = player.switch.take() else { return };
        match (turned, *switch) {
            (Turned::Opened(Some(Ok(file))), Switch::Opening(opening)) => {
                let Opening { awaited, span, access, .. } = *opening;
                self.prepare(id, awaited, Found::Recorded(file, span), access);
            }
            (Turned::Answered(Ok(admitted)), Switch::Asked(name, found, _)) => {
                self.prepared(id, &name, found, admitted)
            }
            (Turned::Answered(Err(denied)), Switch::Asked(name, ..)) => {
                self.warn_of(&name, "play", denied);
                self.not_switched(id, &denied.to_string());
            }
            (Turned::AtKey, Switch::Live(next)) => self.switch_live(at, next),
            _ => {
                self.not_switched(id, "The other stream has nothing to go over to.");
                self.end_if_nothing_plays(at);
            }
        }
    }

    fn switch_live(&mut self, at: usize, next: Next) {
        let Some(Stream { id, role: Role::Plays(player) }) = self.streams.get_mut(at) else { return };
        player.shift = shift_behind(player.last, player.shift, next.begins());
        player.source = Source::Live(next.cursor);
        player.admitted = next.admitted;
        self.session.play_status(*id, &complete());
        // In order: what follows goes past the session.
        self.socket.send(self.session.output());
        self.taken = next.entries;
        self.pass_on(at, true);
    }

    /// A recording has ended. True if another was to take its place, which with `at_once` it does wherever it is.
    pub(super) fn switch_recorded(&mut self, stream: u32, at_once: bool) -> bool {
        let Some(player) = self.player(stream) else { return false };
        let Some(Switch::Recorded { is_ready, .. }) = player.switch.as_deref() else { return false };
        if !is_ready && !at_once {
            return false;
        }
        let (Some(switch), Source::Recorded(old)) = (player.switch.take(), &player.source) else { return false };
        let Switch::Recorded { mut recorded, admitted, .. } = *switch else { return false };
        recorded.playback.join(&old.playback);
        (player.source, player.admitted) = (Source::Recorded(recorded), admitted);
        self.session.play_status(stream, &complete());
        true
    }

    /// What was played has ended meanwhile.
    fn end_if_nothing_plays(&mut self, at: usize) {
        if let Some(Stream { role: Role::Plays(player), .. }) = self.streams.get(at)
            && player.is_waiting()
        {
            self.pass_on(at, false);
        }
    }
}

impl Player {
    /// What is played has ended. Whether it is to be waited for another.
    pub(super) fn awaits_switch(&mut self) -> bool {
        let awaits = matches!(self.switch.as_deref(), Some(Switch::Live(_)));
        if awaits {
            self.source = Source::None;
        }
        awaits
    }
}

fn complete() -> Status {
    Status::new(code::PLAY_TRANSITION_COMPLETE, "The transition is complete.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m6_one_timeline_is_kept_and_another_is_put_behind() {
        assert_eq!(shift_behind(Some(5000), 0, 5040), 0);
        assert_eq!(shift_behind(Some(5000), 300, 4740), 300, "the timeline that was shifted before");
        assert_eq!(shift_behind(Some(5000), 0, 100), 4920, "a stream that has just begun");
        assert_eq!(shift_behind(Some(5000), 0, 4900), 120, "a stream that lags a little");
        assert_eq!(shift_behind(Some(u32::MAX - 9), 0, 30), 0, "over the wrap");
        assert_eq!(shift_behind(None, 0, 77), 0);
    }
}
