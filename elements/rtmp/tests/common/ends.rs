//! Our client and our server as the two ends of a [`Pair`](millstream_testkit::pair::Pair), and what they do together.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use millstream_core::Time;
use millstream_core::trace::Side;
use millstream_rtmp::RtmpUrl;
use millstream_rtmp::chunk::chunk_once;
use millstream_rtmp::command::{Play, PlayStart, Publish, PublishType};
use millstream_rtmp::session::client::{ClientEvent, ClientSession, ClientSettings, Purpose};
use millstream_rtmp::session::server::{PlayEnd, ServerEvent, ServerSession, ServerSettings};
use millstream_rtmp::session::{LinkStats, Media, MediaKind, SessionError};
use millstream_testkit::pair::{Loss, Network, Session};

use super::accept_next;

pub(crate) const PUBLISH: Purpose = Purpose::Publish(PublishType::Live);
pub(crate) const PLAY: Purpose = Purpose::Play { start: PlayStart::Live, duration: None };
pub(crate) const META: &[u8] = b"\x02\0\x0AonMetaData\x08\0\0\0\0\0\0\x09";

/// Message streams of [`both`]: published on the one, played on the other.
const UP: u32 = 1;
const DOWN: u32 = 3;

/// Our client.
pub(crate) struct Client(pub(crate) ClientSession);

/// Our server, which accepts everything.
pub(crate) struct Server {
    session: ServerSession,
    /// Whether streams that are played are recordings.
    pub(crate) recorded: bool,
    /// Bytes for sending that the shell wrote by itself.
    shared: Vec<Bytes>,
    /// Most bytes that ever waited to be sent, and most that unfinished messages ever took.
    pub(crate) most: (usize, usize),
}

pub(crate) type Pair = millstream_testkit::pair::Pair<Client, Server>;

impl Deref for Client {
    type Target = ClientSession;

    fn deref(&self) -> &ClientSession {
        &self.0
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut ClientSession {
        &mut self.0
    }
}

impl Deref for Server {
    type Target = ServerSession;

    fn deref(&self) -> &ServerSession {
        &self.session
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut ServerSession {
        &mut self.session
    }
}

impl Server {
    pub(crate) fn new(settings: ServerSettings) -> Self {
        let session = ServerSession::new(settings, 2, Time::ZERO);
        Self { session, recorded: false, shared: Vec::new(), most: (0, 0) }
    }

    /// Sends a frame to a player as it is chunked once for all of them.
    fn share(&mut self, stream: u32, frame: &Media) {
        self.shared.extend(self.session.output());
        let chunks = chunk_once(&ServerSession::media_message(stream, frame), ServerSettings::default().chunk_size);
        self.session.note_sent(chunks.len());
        self.shared.extend(chunks.slices().iter().cloned());
    }
}

impl Session for Client {
    type Event = ClientEvent;
    type Error = SessionError;

    fn receive(&mut self, bytes: Bytes, now: Time) -> Result<(), SessionError> {
        self.0.receive(bytes, now)
    }

    fn next_event(&mut self) -> Result<Option<ClientEvent>, SessionError> {
        self.0.next_event()
    }

    fn output(&mut self) -> Vec<Bytes> {
        self.0.output()
    }

    fn deadline(&self) -> Option<Time> {
        self.0.deadline()
    }

    fn handle_timeout(&mut self, now: Time) -> Result<(), SessionError> {
        self.0.handle_timeout(now)
    }

    fn disconnected(&mut self) {
        self.0.disconnected();
    }
}

impl Session for Server {
    type Event = ServerEvent;
    type Error = SessionError;

    fn receive(&mut self, bytes: Bytes, now: Time) -> Result<(), SessionError> {
        self.session.receive(bytes, now)
    }

    fn next_event(&mut self) -> Result<Option<ServerEvent>, SessionError> {
        let event = accept_next(&mut self.session, self.recorded);
        let LinkStats { waiting, held, .. } = self.session.stats();
        self.most = (self.most.0.max(waiting), self.most.1.max(held));
        event
    }

    fn output(&mut self) -> Vec<Bytes> {
        let mut output = std::mem::take(&mut self.shared);
        output.extend(self.session.output());
        output
    }

    fn deadline(&self) -> Option<Time> {
        self.session.deadline()
    }

    fn handle_timeout(&mut self, now: Time) -> Result<(), SessionError> {
        self.session.handle_timeout(now)
    }

    fn disconnected(&mut self) {
        self.shared.clear();
        self.session.disconnected();
    }
}

pub(crate) fn client_settings(purpose: Purpose) -> ClientSettings {
    ClientSettings::new(RtmpUrl::parse("rtmp://host/live/cam").expect("a URL"), purpose)
}

pub(crate) fn client(settings: ClientSettings) -> Client {
    Client(ClientSession::new(settings, 1, Time::ZERO))
}

pub(crate) fn pair(purpose: Purpose, network: Network) -> Pair {
    Pair::new(client(client_settings(purpose)), Server::new(ServerSettings::default()), network)
}

/// What two ends do, on a network, with a connection that may be lost when so many bytes of one of them have arrived.
pub(crate) type Conversation = fn(Network, Option<(Side, u64, Loss)>) -> Pair;

fn new_pair(purpose: Purpose, network: Network, loss: Option<(Side, u64, Loss)>) -> Pair {
    let pair = pair(purpose, network).keep_wire();
    match loss {
        Some((side, bytes, loss)) => pair.lose(side, bytes, loss),
        None => pair,
    }
}

pub(crate) fn frames() -> Vec<Media> {
    let frame = |(kind, timestamp, len)| Media { kind, timestamp, payload: vec![timestamp as u8; len].into() };
    [(MediaKind::Audio, 0, 7), (MediaKind::Video, 0, 900), (MediaKind::Audio, 21, 200), (MediaKind::Video, 40, 300)]
        .map(frame)
        .into()
}

/// Publishes, sends something, and closes.
pub(crate) fn publish(network: Network, loss: Option<(Side, u64, Loss)>) -> Pair {
    let mut pair = new_pair(PUBLISH, network, loss);
    pair.run();
    if let Some(stream) = publishes(&pair).filter(|_| !pair.is_lost()) {
        pair.client.session.send_metadata(stream, 0, META);
        frames().iter().for_each(|frame| pair.client.session.send_media(stream, frame));
        pair.run();
    }
    leave(&mut pair);
    pair
}

/// Plays, hears something, and is told the end. Every other frame is chunked for all players at once.
pub(crate) fn play(network: Network, loss: Option<(Side, u64, Loss)>) -> Pair {
    let mut pair = new_pair(PLAY, network, loss);
    pair.run();
    if let Some(stream) = plays(&pair).filter(|_| !pair.is_lost()) {
        let server = &mut pair.server.session;
        server.send_data(stream, 0, &Bytes::from_static(META));
        for (place, frame) in frames().iter().enumerate() {
            match place % 2 {
                0 => server.send_media(stream, frame),
                _ => server.share(stream, frame),
            }
        }
        server.end_play(stream, PlayEnd::Complete);
        pair.run();
    }
    leave(&mut pair);
    pair
}

/// Publishes on one message stream and plays on another, at the same time.
pub(crate) fn both(network: Network, loss: Option<(Side, u64, Loss)>) -> Pair {
    let mut pair = new_pair(Purpose::Connect, network, loss);
    begin_both(&mut pair);
    frames().iter().for_each(|frame| send_both(&mut pair, frame));
    leave(&mut pair);
    pair
}

pub(crate) fn begin_both(pair: &mut Pair) {
    let publish = Publish { name: "up".into(), kind: PublishType::Live, extra: Vec::new() };
    let steps: [&dyn Fn(&mut ClientSession); 4] = [
        &|client| client.create_stream(),
        &|client| client.create_stream(),
        &|client| client.publish(UP, publish.clone()),
        &|client| client.play(DOWN, Play::new("down")),
    ];
    pair.run();
    for step in steps {
        if !pair.is_lost() {
            step(&mut pair.client.session);
            pair.run();
        }
    }
}

/// A frame each way.
pub(crate) fn send_both(pair: &mut Pair, frame: &Media) {
    if !pair.is_lost() {
        pair.client.session.send_media(UP, frame);
        pair.server.session.send_media(DOWN, frame);
        pair.run();
    }
}

fn leave(pair: &mut Pair) {
    if !pair.is_lost() {
        pair.client.session.close();
        pair.run();
    }
    if !pair.is_lost() {
        pair.hang_up(Side::Client);
        pair.run();
    }
}

pub(crate) fn publishes(pair: &Pair) -> Option<u32> {
    pair.client.events.iter().find_map(|event| match event {
        ClientEvent::Publishing { stream } => Some(*stream),
        _ => None,
    })
}

pub(crate) fn plays(pair: &Pair) -> Option<u32> {
    pair.server.events.iter().find_map(|event| match event {
        ServerEvent::Play { stream, .. } => Some(*stream),
        _ => None,
    })
}

pub(crate) fn published(events: &[ServerEvent]) -> Vec<Media> {
    let media = |event: &ServerEvent| match event {
        ServerEvent::Media { media, .. } => Some(media.clone()),
        _ => None,
    };
    events.iter().filter_map(media).collect()
}

pub(crate) fn played(events: &[ClientEvent]) -> Vec<Media> {
    let media = |event: &ClientEvent| match event {
        ClientEvent::Media { media, .. } => Some(media.clone()),
        _ => None,
    };
    events.iter().filter_map(media).collect()
}
