//! A recording that a message stream plays: a [`Playback`], and the file that it reads.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use millstream_core::env::{BoxFuture, ReadFile};
use millstream_core::{Env, Time, TimeDelta};

use crate::recording::{Answer, Playback, Span, Step};
use crate::server::feed::Content;
use crate::server::tags::content_of;

/// Bytes that are given to the socket at a time. More would be memory that waits for a slow player.
const WRITE_BUDGET: usize = 256 << 10;

type File = Box<dyn ReadFile>;
/// A file with what was read of it; nothing of a read that failed altogether.
type Reading = BoxFuture<'static, Option<(File, io::Result<Bytes>)>>;

/// A recording that is played.
pub(super) struct Recorded {
    pub(super) playback: Playback,
    /// Not here while it is read.
    file: Option<File>,
    reading: Option<Reading>,
    timer: Option<(Time, BoxFuture<'static, ()>)>,
    /// What comes behind the tags that were handed out.
    next: Option<Event>,
}

/// What a recording has for the client.
pub(super) enum Event {
    Answer(Answer),
    Send(Vec<Content>),
    End,
    /// It cannot be read any further.
    Broken(&'static str),
}

impl Recorded {
    pub(super) fn new(file: File, span: Span, ahead: TimeDelta, now: Time) -> Self {
        Self::playing(file, Playback::new(span, ahead, now))
    }

    pub(super) fn playing(file: File, playback: Playback) -> Self {
        Self { playback, file: Some(file), reading: None, timer: None, next: None }
    }

    /// Waits for what comes next.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, env: &Env) -> Poll<Event> {
        if let Some(event) = self.next.take() {
            return Poll::Ready(event);
        }
        let (mut contents, mut bytes) = (Vec::new(), 0);
        let mut end = None;
        while bytes < WRITE_BUDGET {
            match self.poll_step(cx, env) {
                Poll::Pending => break,
                Poll::Ready(Ok(content)) => {
                    bytes += content.body().len();
                    contents.push(content);
                }
                Poll::Ready(Err(event)) => {
                    end = Some(event);
                    break;
                }
            }
        }
        if contents.is_empty() {
            return end.map_or(Poll::Pending, Poll::Ready);
        }
        self.next = end;
        Poll::Ready(Event::Send(contents))
    }

    fn poll_step(&mut self, cx: &mut Context<'_>, env: &Env) -> Poll<Result<Content, Event>> {
        // Each turn reads or takes a step.
        loop {
            if let Some(reading) = &mut self.reading {
                let Poll::Ready(done) = reading.as_mut().poll(cx) else { return Poll::Pending };
                self.reading = None;
                match done {
                    Some((file, Ok(bytes))) => {
                        self.file = Some(file);
                        self.playback.supply(bytes);
                    }
                    Some((_, Err(error))) => {
                        tracing::warn!(%error, "a recording cannot be read");
                        return Poll::Ready(Err(Event::Broken("It cannot be read.")));
                    }
                    None => return Poll::Ready(Err(Event::Broken("It cannot be read."))),
                }
            }
            match self.playback.step(env.clock.now()) {
                Step::Read { offset, len } => match self.file.take() {
                    Some(file) => self.reading = Some(read(env, file, offset, len)),
                    None => return Poll::Pending,
                },
                Step::Send(tag) => {
                    if let Some(content) = content_of(tag) {
                        return Poll::Ready(Ok(content));
                    }
                }
                Step::Wait(until) => {
                    if self.poll_timer(cx, env, until).is_pending() {
                        return Poll::Pending;
                    }
                }
                Step::Idle => return Poll::Pending,
                Step::Answer(answer) => return Poll::Ready(Err(Event::Answer(answer))),
                Step::End => return Poll::Ready(Err(Event::End)),
                Step::Malformed => return Poll::Ready(Err(Event::Broken("It is no FLV."))),
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, env: &Env, until: Time) -> Poll<()> {
        if self.timer.as_ref().map(|(at, _)| *at) != Some(until) {
            self.timer = Some((until, env.clock.sleep_until(until)));
        }
        let Some((_, sleep)) = &mut self.timer else { return Poll::Pending };
        let slept = sleep.as_mut().poll(cx);
        if slept.is_ready() {
            self.timer = None;
        }
        slept
    }
}

fn read(env: &Env, mut file: File, offset: u64, len: usize) -> Reading {
    env.blocking(move || {
        let mut block = Vec::new();
        let read = file.seek(offset).and_then(|()| file.read(&mut block, len));
        (file, read.map(|_| block.into()))
    })
}
