//! The server's end of a connection.
//!
//! A server waits for nothing that is optional: it answers each command when it comes, takes media that comes early, and asks no
//! client to announce a window. What needs a decision comes as an [event](ServerEvent) and is answered by a method:
//!
//! | event | answered by |
//! | --- | --- |
//! | [`ServerEvent::Connect`] | [`accept_connect`](ServerSession::accept_connect), [`reject_connect`](ServerSession::reject_connect), [`redirect_connect`](ServerSession::redirect_connect) |
//! | [`ServerEvent::Publish`] | [`accept_publish`](ServerSession::accept_publish), [`refuse_publish`](ServerSession::refuse_publish) |
//! | [`ServerEvent::Play`] | [`accept_play`](ServerSession::accept_play), [`refuse_play`](ServerSession::refuse_play), or nothing until the stream is there |
//! | [`ServerEvent::Seek`], [`ServerEvent::Pause`] | [`answer_seek`](ServerSession::answer_seek), [`answer_pause`](ServerSession::answer_pause) |
//! | [`ServerEvent::StreamLength`] | [`answer_stream_length`](ServerSession::answer_stream_length) |
//! | [`ServerEvent::Call`] | [`answer_call`](ServerSession::answer_call), if it has a request |
//!
//! Events come one by one, and nothing behind an event is read before the next is asked for. Media of a publisher that is not accepted
//! yet comes too: a shell that needs time for the decision stops asking for events until it has it.

mod answers;
mod commands;
mod event;
mod settings;
mod stream;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::Time;

pub use answers::PlayEnd;
pub use event::{Request, ServerEvent};
pub use settings::ServerSettings;

use self::stream::Streams;
use super::link::{Incoming, Link};
use super::{LinkStats, Phase, SessionError};
use crate::command::Enhanced;
use crate::handshake::ServerHandshake;
use crate::message::{DataFrame, UserControl};

/// A client's connection.
#[derive(Debug)]
pub struct ServerSession {
    settings: Arc<ServerSettings>,
    handshake: Option<Box<ServerHandshake>>,
    link: Link,
    connected: Connected,
    streams: Streams,
    events: VecDeque<ServerEvent>,
    /// What is waited for, and until when.
    waiting: Option<(Phase, Time)>,
    ping_at: Option<Time>,
    /// What the client said of Enhanced RTMP.
    enhanced: Enhanced,
    calls: u32,
    closing: bool,
    now: Time,
}

/// How far `connect` got.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Connected {
    No,
    /// It came with this transaction id, and is not answered.
    Asked(f64, crate::command::ObjectEncoding),
    Yes,
}

impl ServerSession {
    /// A client that has just connected. `seed` is for the random bytes of the handshake. Sessions may share their settings.
    pub fn new(settings: impl Into<Arc<ServerSettings>>, seed: u64, now: Time) -> Self {
        let settings = settings.into();
        let time = now.millis() as u32;
        Self {
            handshake: Some(Box::new(ServerHandshake::new(seed, time))),
            link: Link::new(settings.limits),
            connected: Connected::No,
            streams: Streams::default(),
            events: VecDeque::new(),
            waiting: Some((Phase::Handshake, now + settings.handshake_timeout)),
            ping_at: None,
            enhanced: Enhanced::default(),
            calls: 0,
            closing: false,
            now,
            settings,
        }
    }

    /// Takes received bytes. [`ServerSession::next_event`] says what they meant.
    ///
    /// # Errors
    /// [`SessionError::Handshake`] when the client does not speak RTMP.
    pub fn receive(&mut self, mut data: Bytes, now: Time) -> Result<(), SessionError> {
        self.now = now;
        if let Some(handshake) = &mut self.handshake {
            let progress = handshake.receive(&data)?;
            let chunks = data.split_off(progress.consumed);
            self.link.handshake_received(data.len());
            if let Some(answer) = handshake.output() {
                self.link.send_raw(&answer);
            }
            if progress.done {
                self.handshake = None;
                self.waiting = Some((Phase::Connect, now + self.settings.request_timeout));
                self.ping_at = self.settings.ping_interval.map(|interval| now + interval);
            }
            data = chunks;
        }
        self.link.receive(data);
        Ok(())
    }

    /// What happened next; nothing until more bytes come.
    ///
    /// # Errors
    /// [`SessionError`], after which the connection is to be closed; [`ServerSession::disconnected`] gives back what it held.
    pub fn next_event(&mut self) -> Result<Option<ServerEvent>, SessionError> {
        // Each turn takes an event or a message, or ends.
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.closing || self.handshake.is_some() {
                return Ok(None);
            }
            let Some(incoming) = self.link.next()? else { return Ok(None) };
            self.handle(incoming);
        }
    }

    /// Bytes to send, in order; an acknowledgement that is due comes with them. To be asked again when these were taken by
    /// the socket.
    pub fn output(&mut self) -> Vec<Bytes> {
        self.link.output(self.handshake.is_none() && !self.closing)
    }

    /// Whether there is anything to send but acknowledgements.
    pub fn has_output(&self) -> bool {
        self.link.has_output()
    }

    /// Notes bytes that the shell sent by itself, such as [`SharedChunks`](crate::chunk::SharedChunks).
    pub fn note_sent(&mut self, len: usize) {
        self.link.note_sent(len);
    }

    /// When [`ServerSession::handle_timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Time> {
        let waiting = self.waiting.map(|(_, until)| until);
        waiting.into_iter().chain(self.ping_at).min()
    }

    /// Time went on.
    ///
    /// # Errors
    /// [`SessionError::Timeout`] when the client did not get on with the handshake, `connect`, or `publish` and `play`. Publishers and
    /// players are not timed here, and no ping needs an answer: OBS reads none while it publishes.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), SessionError> {
        self.now = now;
        if let Some((phase, _)) = self.waiting.filter(|(_, until)| *until <= now) {
            return Err(SessionError::Timeout(phase));
        }
        if let (Some(at), Some(interval)) = (self.ping_at, self.settings.ping_interval)
            && at <= now
        {
            self.ping_at = Some(now + interval);
            // A client that has not read the last one needs no other.
            if !self.link.has_output() {
                self.link.send(&UserControl::PingRequest(now.millis() as u32).to_message());
            }
        }
        Ok(())
    }

    /// Whether the client was refused: the connection is to be closed when the output is sent.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// The connection is gone, in whatever way: the events that are left end what it published and played. Nothing else is kept or
    /// waited for.
    pub fn disconnected(&mut self) {
        self.events.clear();
        self.end_all();
        self.link.release();
        (self.waiting, self.ping_at) = (None, None);
        self.closing = true;
    }

    /// What the client said of Enhanced RTMP; OBS says nothing.
    pub fn enhanced(&self) -> &Enhanced {
        &self.enhanced
    }

    /// What was counted.
    pub fn stats(&self) -> LinkStats {
        self.link.stats()
    }

    fn handle(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Command(stream, command, transaction) => self.command(stream, command, transaction),
            Incoming::Media(stream, media) => match self.streams.publishing(stream) {
                Some(stream) => self.events.push_back(ServerEvent::Media { stream, media }),
                None => self.link.ignore(),
            },
            Incoming::Data(stream, timestamp, data) => self.data(stream, timestamp, data),
            Incoming::UserControl(UserControl::SetBufferLength { stream_id, milliseconds }) => {
                self.events.push_back(ServerEvent::BufferLength { stream: stream_id, milliseconds });
            }
            Incoming::UserControl(_) | Incoming::Bandwidth => {}
        }
    }

    fn data(&mut self, stream: u32, timestamp: u32, data: DataFrame) {
        match self.streams.publishing(stream) {
            Some(stream) => self.events.push_back(ServerEvent::Data { stream, timestamp, data }),
            None => self.link.ignore(),
        }
    }
}
