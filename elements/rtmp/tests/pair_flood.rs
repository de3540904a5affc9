//! Ends that flood, against ours: memory has a bound that is known beforehand, whatever the other end does or leaves.

mod common;

use bytes::Bytes;
use common::ends::{Client, PLAY, PUBLISH, Server, client, client_settings, pair};
use common::{command, invoke};
use millstream_core::trace::Side;
use millstream_core::{Time, TimeDelta};
use millstream_flv::wire::Slices;
use millstream_rtmp::chunk::{ChunkError, ChunkLimits, ChunkWriter};
use millstream_rtmp::message::{Control, Message, MessageType, PeerLimit, UserControl};
use millstream_rtmp::session::server::ServerSettings;
use millstream_rtmp::session::{Media, MediaKind, SessionError};
use millstream_testkit::pair::{Network, Pair, Session};

/// Bytes of answers that may wait for who does not read: what the documentation of sessions says, and one more answer.
const ANSWERS: usize = (64 << 10) + 512;

/// An end that says the same over and over, whatever it hears.
struct Flooder {
    /// Handshake and what comes before.
    first: Vec<u8>,
    message: Vec<u8>,
    times: usize,
    /// Whether it waits for something to be said before it goes on.
    waits: bool,
    heard: bool,
}

impl Flooder {
    /// Says this so often, behind these.
    fn new(before: &[Message], message: &Message, times: usize) -> Self {
        let (mut writer, mut out) = (ChunkWriter::new(), Slices::new());
        before.iter().for_each(|message| writer.write(message, &mut out));
        let mut first = [&[3][..], &[0; 2 * 1536]].concat();
        first.extend(out.take().concat());
        // With whole headers, that mean the same each time.
        let mut out = Slices::new();
        writer.write_alone(message, &mut out);
        Self { first, message: out.take().concat(), times, waits: false, heard: true }
    }
}

impl Session for Flooder {
    type Event = ();
    type Error = ();

    fn receive(&mut self, _: Bytes, _: Time) -> Result<(), ()> {
        self.heard = true;
        Ok(())
    }

    fn next_event(&mut self) -> Result<Option<()>, ()> {
        Ok(None)
    }

    fn output(&mut self) -> Vec<Bytes> {
        if !std::mem::replace(&mut self.heard, !self.waits) {
            return Vec::new();
        }
        // The answers to ten questions fit into a segment.
        let turn = self.times.min(if self.waits { 10 } else { 100 });
        self.times -= turn;
        let mut output = std::mem::take(&mut self.first);
        output.extend(self.message.repeat(turn));
        vec![output.into()]
    }

    fn deadline(&self) -> Option<Time> {
        None
    }

    fn handle_timeout(&mut self, _: Time) -> Result<(), ()> {
        Ok(())
    }
}

/// Each asks for an answer: an event of the connection, commands that are answered at once, and those that the owner answers.
fn questions() -> Vec<Message> {
    let ask = |name, arguments: Vec<millstream_amf::Value>| command(0, &invoke(name, 2.0, arguments));
    vec![
        UserControl::PingRequest(1).to_message(),
        ask("_checkbw", vec![]),
        ask("createStream", vec![]),
        ask("releaseStream", vec!["cam".into()]),
        ask("FCPublish", vec!["cam".into()]),
        ask("getStreamLength", vec!["cam".into()]),
    ]
}

/// Flooded by who reads nothing, or who reads and waits for answers, or who reads and does not.
fn flooded(message: &Message, times: usize, reads: bool, waits: bool) -> Pair<Flooder, Server> {
    let before = [command(0, &invoke("connect", 1.0, vec![]))];
    let flooder = Flooder { waits, ..Flooder::new(&before, message, times) };
    // No time passes, as who does not publish may stay for 30 s only.
    let network = Network { segment: 4096, latency: TimeDelta::ZERO, ..Network::default() };
    let mut pair = Pair::new(flooder, Server::new(ServerSettings::default()), network);
    pair.client.reads = reads;
    pair.run();
    pair
}

#[test]
fn who_asks_and_reads_no_answer_is_closed_by_a_server_that_keeps_little() {
    for question in questions() {
        let pair = flooded(&question, 100_000, false, false);
        let (_, error) = pair.server.error.as_ref().expect("an end of it");
        assert_eq!(*error, SessionError::Flood { limit: 64 << 10 }, "{question:?}");
        let (waiting, held) = pair.server.session.most;
        assert!(waiting <= ANSWERS && held <= 4096, "{waiting} {held}");
        assert!(pair.server.most_under_way() <= 2 * (64 << 10) + ANSWERS, "{}", pair.server.most_under_way());
        assert!(pair.server.is_gone() && pair.server.session.stats().waiting == 0);
    }
}

#[test]
fn who_asks_and_reads_gets_every_answer() {
    for question in questions() {
        let pair = flooded(&question, 100_000, true, true);
        assert!(pair.server.error.is_none(), "{:?} {question:?}", pair.server.error);
        let (waiting, held) = pair.server.session.most;
        assert!(waiting <= ANSWERS && held <= 4096, "{waiting} {held}");
        assert_eq!(pair.server.session.stats().reader.messages, 100_001, "{question:?}");
    }
}

/// Limits of the peer's bandwidth that change each time want an answer each.
#[test]
fn windows_that_change_over_and_over_are_bounded_too() {
    let bandwidth = |window| Control::SetPeerBandwidth { window, limit: PeerLimit::Hard }.to_message();
    let mut flooder = Flooder::new(&[], &bandwidth(100_000), 50_000);
    let mut other = Slices::new();
    ChunkWriter::new().write_alone(&bandwidth(200_000), &mut other);
    flooder.message.extend(other.take().concat());
    let mut pair = Pair::new(flooder, Server::new(ServerSettings::default()), Network::default());
    pair.client.reads = false;
    pair.run();
    assert!(matches!(pair.server.error, Some((_, SessionError::Flood { .. }))), "{:?}", pair.server.error);
    assert!(pair.server.session.most.0 <= ANSWERS);
}

#[test]
fn a_server_that_asks_and_reads_no_answer_is_left_by_our_client() {
    for purpose in [PUBLISH, PLAY] {
        let ping = UserControl::PingRequest(1).to_message();
        let mut pair: Pair<Client, Flooder> =
            Pair::new(client(client_settings(purpose)), Flooder::new(&[], &ping, 100_000), Network::default());
        pair.server.reads = false;
        pair.run();
        let (_, error) = pair.client.error.as_ref().expect("an end of it");
        assert_eq!(*error, SessionError::Flood { limit: 64 << 10 });
        assert!(pair.client.most_under_way() <= 2 * (64 << 10) + ANSWERS, "{}", pair.client.most_under_way());
    }
}

/// Long messages begun on one chunk stream after the other, and none of them ended.
#[test]
fn rtmp_c9_messages_that_are_begun_and_not_ended_are_held_up_to_the_limit() {
    const HELD: usize = 1 << 20;
    let mut chunks = [&[3][..], &[0; 2 * 1536]].concat();
    for chunk_stream in 4..64 {
        // Format 0, one chunk of 128 bytes of a message of 16 MB: then another chunk of it, 1000 times.
        chunks.extend([chunk_stream, 0, 0, 0, 0xFF, 0xFF, 0xFF, 9, 1, 0, 0, 0]);
        chunks.extend([7; 128]);
        chunks.extend([&[0xC0 | chunk_stream][..], &[7; 128]].concat().repeat(1000));
    }
    let flooder = Flooder { first: chunks, message: Vec::new(), times: 0, waits: false, heard: true };
    let limits = ChunkLimits { held: HELD, ..ChunkLimits::default() };
    let settings = ServerSettings { limits, ..ServerSettings::default() };
    let mut pair = Pair::new(flooder, Server::new(settings), Network::default());
    pair.run();
    let Some((_, SessionError::Chunk(ChunkError::TooMuchHeld { limit, .. }))) = &pair.server.error else {
        panic!("{:?}", pair.server.error)
    };
    assert_eq!(*limit, HELD);
    // Room for a message grows by as much as there is of it, and the last time is one too many.
    assert!(pair.server.session.most.1 <= HELD + (128 << 10), "{}", pair.server.session.most.1);
    assert_eq!(pair.server.session.stats().held, 0, "given back at the end");
}

/// Media without end, published by who reads nothing, as OBS does.
#[test]
fn acknowledgements_for_who_reads_nothing_do_not_pile_up() {
    let mut pair = pair(PUBLISH, Network { segment: 64 << 10, ..Network::default() });
    pair.run();
    let before = pair.server.arrived();
    pair.client.reads = false;
    let payload = Bytes::from(vec![7; 60_000]);
    for frame in 0..5_000 {
        let kind = if frame % 2 == 0 { MediaKind::Video } else { MediaKind::Audio };
        pair.client.session.send_media(1, &Media { kind, timestamp: frame * 10, payload: payload.clone() });
        pair.run();
        pair.server.events.clear();
    }
    let stats = pair.server.session.stats();
    assert!(stats.received > 5_000 * 60_000 && pair.server.error.is_none());
    assert_eq!((stats.waiting, pair.server.arrived()), (0, before));
    // 120 windows of 2.5 MB, each told by a message of 16 bytes at the most.
    assert!(pair.server.most_under_way() < 120 * 16 + 4096, "{}", pair.server.most_under_way());
    assert_eq!(stats.reader.aborted, 0);
}

/// A server that sends more than its player reads: the network is full, and the session holds no more than it was given.
#[test]
fn who_does_not_read_slows_its_own_connection_only() {
    let mut pair = pair(PLAY, Network::default());
    pair.run();
    pair.client.reads = false;
    let frame = Media { kind: MediaKind::Video, timestamp: 0, payload: vec![7; 30_000].into() };
    let mut given = 0;
    // As a shell does: the next frame when the socket took the last.
    while pair.server.session.stats().waiting == 0 && given < 1000 {
        pair.server.session.send_media(1, &frame);
        pair.run();
        given += 1;
    }
    assert!(given < 10, "{given}");
    assert!(pair.server.most_under_way() < 3 * (64 << 10));
    pair.client.reads = true;
    pair.run();
    assert_eq!(common::ends::played(&pair.client.events).len(), given);
    pair.hang_up(Side::Client);
    pair.run();
    assert!(pair.server.is_gone());
}

#[test]
fn media_of_nobody_is_passed_over_without_a_trace() {
    let video = Message {
        chunk_stream: 6,
        kind: MessageType::Video,
        timestamp: 0,
        stream_id: 1,
        payload: vec![0x17; 100].into(),
    };
    let pair = flooded(&video, 100_000, true, false);
    assert!(pair.server.error.is_none());
    assert_eq!(pair.server.session.stats().ignored, 100_000);
    // What was said to `connect`, with the handshake.
    let waiting = pair.server.session.most.0;
    assert!(waiting < 4096 && pair.server.events.len() == 1, "{waiting}");
}
