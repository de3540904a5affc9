//! The client's end of a connection.
//!
//! With a [`Purpose`] it runs by itself up to [`ClientEvent::Publishing`] or [`ClientEvent::Playing`]:
//!
//! ```text
//! publish: connect → SetChunkSize → (result) WindowAcknowledgementSize, releaseStream, FCPublish, createStream → (result) publish
//! play:    connect → (result) WindowAcknowledgementSize, createStream → (result) SetBufferLength, play
//! ```
//!
//! Each row of messages between two answers is one write.

mod event;
mod flow;
mod settings;
mod status;
mod verbs;

use std::collections::VecDeque;

use bytes::Bytes;
use millstream_core::Time;

pub use event::ClientEvent;
pub use settings::{Attempt, ClientSettings, Purpose};

use super::link::{Incoming, Link};
use super::{LinkStats, Phase, SessionError};
use crate::command::Enhanced;
use crate::handshake::{ClientHandshake, Random};

/// What a message stream is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Idle,
    Publish { started: bool },
    Play { started: bool },
}

/// What a transaction id was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Connect,
    /// `createStream`, for what is the purpose of the session or for its owner.
    CreateStream,
    /// Something that must not fail.
    Needed,
    /// Something that servers may refuse: `releaseStream`, `FCPublish`, `FCSubscribe`.
    Optional,
    /// A call of the owner.
    Call,
}

/// A server's connection.
///
/// ```
/// use millstream_core::Time;
/// use millstream_rtmp::RtmpUrl;
/// use millstream_rtmp::command::PublishType;
/// use millstream_rtmp::session::client::{ClientSession, ClientSettings, Purpose};
/// let settings = ClientSettings::new(RtmpUrl::parse("rtmp://host/live/cam")?, Purpose::Publish(PublishType::Live));
/// let mut client = ClientSession::new(settings, 7, Time::ZERO);
/// assert_eq!(client.output().concat().len(), 1 + 1536, "C0 and C1");
/// # Ok::<(), millstream_rtmp::UrlError>(())
/// ```
#[derive(Debug)]
pub struct ClientSession {
    settings: ClientSettings,
    handshake: Option<ClientHandshake>,
    random: Random,
    link: Link,
    asked: Vec<(u32, Asked)>,
    last_transaction: u32,
    streams: Vec<(u32, Role)>,
    connected: bool,
    events: VecDeque<ClientEvent>,
    waiting: Option<(Phase, Time)>,
    heard_at: Time,
    server: Enhanced,
    closing: bool,
    now: Time,
}

impl ClientSession {
    /// A connection that has just been opened. Its first bytes wait in [`ClientSession::output`]. `seed` is for the random bytes of
    /// the handshake and of authentication.
    pub fn new(settings: ClientSettings, seed: u64, now: Time) -> Self {
        let mut handshake = ClientHandshake::new(settings.form, seed, now.millis() as u32);
        let mut link = Link::new(settings.limits);
        handshake.output().iter().for_each(|hello| link.send_raw(hello));
        Self {
            handshake: Some(handshake),
            random: Random::new(seed.rotate_left(32)),
            link,
            asked: Vec::new(),
            last_transaction: 0,
            streams: Vec::new(),
            connected: false,
            events: VecDeque::new(),
            waiting: Some((Phase::Handshake, now + settings.handshake_timeout)),
            heard_at: now,
            server: Enhanced::default(),
            closing: false,
            now,
            settings,
        }
    }

    /// Takes received bytes. [`ClientSession::next_event`] says what they meant.
    ///
    /// # Errors
    /// [`SessionError::Handshake`] when the server does not speak RTMP 3.
    pub fn receive(&mut self, mut data: Bytes, now: Time) -> Result<(), SessionError> {
        (self.now, self.heard_at) = (now, now);
        if let Some(handshake) = &mut self.handshake {
            let progress = handshake.receive(&data)?;
            let chunks = data.split_off(progress.consumed);
            self.link.handshake_received(data.len());
            if let Some(answer) = handshake.output() {
                self.link.send_raw(&answer);
            }
            if progress.done {
                self.handshake = None;
                self.connect();
            }
            data = chunks;
        }
        self.link.receive(data);
        Ok(())
    }

    /// What happened next; nothing until more bytes come.
    ///
    /// # Errors
    /// [`SessionError`], after which the connection is to be closed.
    pub fn next_event(&mut self) -> Result<Option<ClientEvent>, SessionError> {
        // Each turn takes an event or a message, or ends.
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.closing || self.handshake.is_some() {
                return Ok(None);
            }
            let Some(incoming) = self.link.next()? else { return Ok(None) };
            self.handle(incoming)?;
        }
    }

    /// Bytes to send, in order. To be asked again when these were taken by the socket.
    pub fn output(&mut self) -> Vec<Bytes> {
        self.link.output(self.handshake.is_none() && !self.closing)
    }

    /// Whether there is anything to send but acknowledgements.
    pub fn has_output(&self) -> bool {
        self.link.has_output()
    }

    /// When [`ClientSession::handle_timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Time> {
        let waiting = self.waiting.map(|(_, until)| until);
        waiting.into_iter().chain(self.silent_at()).min()
    }

    /// Time went on.
    ///
    /// # Errors
    /// [`SessionError::Timeout`] when the server did not get on with the handshake or an answer, [`SessionError::Silent`] when nothing
    /// came for too long while it played.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), SessionError> {
        self.now = now;
        if let Some((phase, _)) = self.waiting.filter(|(_, until)| *until <= now) {
            return Err(SessionError::Timeout(phase));
        }
        if self.silent_at().is_some_and(|at| at <= now) { Err(SessionError::Silent) } else { Ok(()) }
    }

    /// The connection is gone, in whatever way: nothing is kept or waited for, and no event comes any more.
    pub fn disconnected(&mut self) {
        self.events.clear();
        self.asked.clear();
        self.streams.clear();
        self.link.release();
        self.waiting = None;
        self.closing = true;
    }

    /// Whether this connection is to be closed when the output is sent.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// The settings it runs with.
    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// What the server said of Enhanced RTMP.
    pub fn enhanced(&self) -> &Enhanced {
        &self.server
    }

    /// What was counted.
    pub fn stats(&self) -> LinkStats {
        self.link.stats()
    }

    fn silent_at(&self) -> Option<Time> {
        let plays = self.streams.iter().any(|(_, role)| *role == Role::Play { started: true });
        self.settings.silence_timeout.filter(|_| plays).map(|timeout| self.heard_at + timeout)
    }

    fn handle(&mut self, incoming: Incoming) -> Result<(), SessionError> {
        match incoming {
            Incoming::Command(stream, command, transaction) => return self.command(stream, command, transaction),
            Incoming::Media(stream, media) => match self.playing(stream) {
                Some(stream) => self.events.push_back(ClientEvent::Media { stream, media }),
                None => self.link.ignore(),
            },
            Incoming::Data(stream, timestamp, data) => self.data(stream, timestamp, data),
            Incoming::UserControl(event) => self.user_control(event),
            // The answer of the standard, once, though the limit may be one that means nothing yet.
            Incoming::Bandwidth if !self.link.has_announced_window() => self.link.announce_window(self.settings.window),
            Incoming::Bandwidth => {}
        }
        Ok(())
    }

    /// The stream that plays on `id`, or else the only one that plays: servers send media on stream 0 too.
    fn playing(&mut self, id: u32) -> Option<u32> {
        let plays = |(_, role): &&(u32, Role)| matches!(role, Role::Play { .. });
        let exact = self.streams.iter().filter(plays).find(|(own, _)| *own == id);
        let mut playing = self.streams.iter().filter(plays);
        let only = || playing.next().filter(|_| playing.next().is_none());
        let id = exact.or_else(only).map(|(id, _)| *id)?;
        self.started(id);
        Some(id)
    }

    /// Media and the status say the same: it plays. Not every server says the status.
    fn started(&mut self, id: u32) {
        let role = self.streams.iter_mut().find(|(own, _)| *own == id).map(|(_, role)| role);
        match role {
            Some(Role::Play { started: started @ false }) => {
                *started = true;
                self.events.push_back(ClientEvent::Playing { stream: id });
            }
            Some(Role::Publish { started: started @ false }) => {
                *started = true;
                self.events.push_back(ClientEvent::Publishing { stream: id });
            }
            _ => return,
        }
        self.waiting = None;
    }
}
