//! Our client and our server against each other on a virtual clock: any segmentation, loss of the connection anywhere, silence,
//! floods, long times.

mod common;

use std::collections::VecDeque;

use bytes::Bytes;
use common::accept_all;
use millstream_core::{Time, TimeDelta};
use millstream_flv::wire::TimestampUnwrapper;
use millstream_rtmp::RtmpUrl;
use millstream_rtmp::chunk::{ChunkLimits, chunk_once};
use millstream_rtmp::command::{PlayStart, PublishType};
use millstream_rtmp::handshake::{ClientForm, Layout};
use millstream_rtmp::message::DataFrame;
use millstream_rtmp::session::client::{ClientEvent, ClientSession, ClientSettings, Purpose};
use millstream_rtmp::session::server::{PlayEnd, ServerEvent, ServerSession, ServerSettings};
use millstream_rtmp::session::{Media, MediaKind, SessionError};
use proptest::prelude::*;

const PUBLISH: Purpose = Purpose::Publish(PublishType::Live);
const PLAY: Purpose = Purpose::Play { start: PlayStart::Live, duration: None };
const META: &[u8] = b"\x02\0\x0AonMetaData\x08\0\0\0\0\0\0\x09";

/// How the network between the two behaves.
#[derive(Clone, Copy)]
struct Network {
    /// Bytes of a segment.
    segment: usize,
    /// Of each segment on its way.
    latency: TimeDelta,
    /// Bytes, of both directions together, after which nothing arrives any more.
    lost_after: usize,
}

const GOOD: Network = Network { segment: 1460, latency: TimeDelta::from_millis(20), lost_after: usize::MAX };

/// Two sessions, and what happened.
struct Pair {
    client: ClientSession,
    server: ServerSession,
    to_server: VecDeque<Bytes>,
    to_client: VecDeque<Bytes>,
    network: Network,
    delivered: usize,
    now: Time,
    client_events: Vec<ClientEvent>,
    server_events: Vec<ServerEvent>,
}

impl Pair {
    fn new(purpose: Purpose, network: Network) -> Self {
        let url = RtmpUrl::parse("rtmp://host/live/cam").expect("a URL");
        let settings =
            ClientSettings { form: ClientForm::Digest(Layout::KeyFirst), ..ClientSettings::new(url, purpose) };
        Self {
            client: ClientSession::new(settings, 1, Time::ZERO),
            server: ServerSession::new(ServerSettings::default(), 2, Time::ZERO),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            network,
            delivered: 0,
            now: Time::ZERO,
            client_events: Vec::new(),
            server_events: Vec::new(),
        }
    }

    /// Carries bytes until both have nothing to say, or the connection is lost. False if it is lost.
    fn run(&mut self) -> bool {
        loop {
            self.collect();
            let to_server = !self.to_server.is_empty();
            let Some(mut bytes) = (if to_server { &mut self.to_server } else { &mut self.to_client }).pop_front()
            else {
                return true;
            };
            bytes.truncate(bytes.len().min(self.network.lost_after - self.delivered));
            self.delivered += bytes.len();
            self.now += self.network.latency;
            if to_server {
                self.server.receive(bytes, self.now).expect("a client that speaks RTMP");
                self.server_events.extend(accept_all(&mut self.server).expect("a client that behaves"));
            } else {
                self.client.receive(bytes, self.now).expect("a server that speaks RTMP");
                while let Some(event) = self.client.next_event().expect("a server that agrees") {
                    self.client_events.push(event);
                }
            }
            if self.delivered >= self.network.lost_after {
                return false;
            }
        }
    }

    fn collect(&mut self) {
        let segment = self.network.segment;
        for (output, queue) in
            [(self.client.output(), &mut self.to_server), (self.server.output(), &mut self.to_client)]
        {
            for mut slice in output {
                while !slice.is_empty() {
                    queue.push_back(slice.split_to(segment.min(slice.len())));
                }
            }
        }
    }

    fn publishes(&self) -> Option<u32> {
        self.client_events.iter().find_map(|event| match event {
            ClientEvent::Publishing { stream } => Some(*stream),
            _ => None,
        })
    }

    fn plays(&self) -> Option<u32> {
        self.server_events.iter().find_map(|event| match event {
            ServerEvent::Play { stream, .. } => Some(*stream),
            _ => None,
        })
    }

    /// Lets time pass until a session gives up, or neither waits for anything.
    fn black_hole(&mut self) -> Vec<SessionError> {
        let mut errors = Vec::new();
        for _ in 0..100 {
            let deadlines = [self.client.deadline(), self.server.deadline()];
            let Some(deadline) = deadlines.into_iter().flatten().min() else { break };
            self.now = self.now.max(deadline);
            errors.extend(self.client.handle_timeout(self.now).err());
            errors.extend(self.server.handle_timeout(self.now).err());
            if !errors.is_empty() {
                break;
            }
        }
        errors
    }
}

fn frames() -> Vec<Media> {
    let frame = |(kind, timestamp, len)| Media { kind, timestamp, payload: vec![timestamp as u8; len].into() };
    [(MediaKind::Audio, 0, 7), (MediaKind::Video, 0, 900), (MediaKind::Audio, 21, 200), (MediaKind::Video, 40, 300)]
        .map(frame)
        .into()
}

/// Publishes, sends something, and closes.
fn publish(network: Network) -> (Pair, bool) {
    let mut pair = Pair::new(PUBLISH, network);
    let mut up = pair.run();
    if let (true, Some(stream)) = (up, pair.publishes()) {
        pair.client.send_metadata(stream, 0, META);
        frames().iter().for_each(|frame| pair.client.send_media(stream, frame));
        up = pair.run();
    }
    if up {
        pair.client.close();
        up = pair.run();
    }
    (pair, up)
}

/// Plays, hears something, and is told the end. Every other frame is chunked for all players at once.
fn play(network: Network) -> (Pair, bool) {
    let mut pair = Pair::new(PLAY, network);
    let mut up = pair.run();
    if let (true, Some(stream)) = (up, pair.plays()) {
        pair.server.send_data(stream, 0, &Bytes::from_static(META));
        pair.collect();
        for (place, frame) in frames().iter().enumerate() {
            if place % 2 == 0 {
                pair.server.send_media(stream, frame);
                pair.collect();
            } else {
                let shared =
                    chunk_once(&ServerSession::media_message(stream, frame), ServerSettings::default().chunk_size);
                pair.server.note_sent(shared.len());
                pair.to_client.extend(shared.slices().iter().cloned());
            }
        }
        pair.server.end_play(stream, PlayEnd::Complete);
        up = pair.run();
    }
    (pair, up)
}

fn published(events: &[ServerEvent]) -> Vec<Media> {
    let media = |event: &ServerEvent| match event {
        ServerEvent::Media { media, .. } => Some(media.clone()),
        _ => None,
    };
    events.iter().filter_map(media).collect()
}

fn played(events: &[ClientEvent]) -> Vec<Media> {
    let media = |event: &ClientEvent| match event {
        ClientEvent::Media { media, .. } => Some(media.clone()),
        _ => None,
    };
    events.iter().filter_map(media).collect()
}

#[test]
fn rtmp_h2_publish_and_play_in_any_segmentation() {
    for segment in [1, 2, 97, 1460, 1 << 20] {
        let network = Network { segment, ..GOOD };
        let (pair, _) = publish(network);
        assert_eq!(published(&pair.server_events), frames(), "segments of {segment}");
        let kept = |event: &ServerEvent| matches!(event, ServerEvent::Data { data: DataFrame::Set(data), .. } if data.body == META);
        assert!(pair.server_events.iter().any(kept));
        assert_eq!(pair.server_events.last(), Some(&ServerEvent::Unpublish { stream: 1 }));
        let (pair, _) = play(network);
        assert_eq!(played(&pair.client_events), frames(), "segments of {segment}");
        let ended = pair.client_events.iter().filter(|event| matches!(event, ClientEvent::Ended { stream: 1 })).count();
        assert_eq!(ended, 1);
        for stats in [pair.client.stats(), pair.server.stats()] {
            assert_eq!((stats.malformed, stats.ignored), (0, 0));
        }
    }
}

/// Every byte of the chunks, and some of the handshake: so every boundary of a message is among them.
fn cuts(total: usize) -> impl Iterator<Item = usize> {
    let handshake = 2 * (1 + 2 * 1536);
    (1..handshake).step_by(61).chain(handshake..total)
}

#[test]
fn connection_lost_anywhere_while_publishing_releases_the_name() {
    let (whole, up) = publish(GOOD);
    assert!(up);
    for lost_after in cuts(whole.delivered) {
        let (mut pair, up) = publish(Network { lost_after, ..GOOD });
        assert!(!up);
        assert!(whole.server_events.starts_with(&pair.server_events), "lost after {lost_after}");
        assert!(whole.client_events.starts_with(&pair.client_events), "lost after {lost_after}");
        let begun = pair.server_events.iter().any(|event| matches!(event, ServerEvent::Publish { .. }));
        let ended = pair.server_events.iter().any(|event| matches!(event, ServerEvent::Unpublish { .. }));
        pair.server.disconnected();
        let told = pair.server.next_event().unwrap();
        let expected = (begun && !ended).then_some(ServerEvent::Unpublish { stream: 1 });
        assert_eq!(told, expected, "lost after {lost_after}");
        assert_eq!(pair.server.next_event(), Ok(None));
    }
}

#[test]
fn connection_lost_anywhere_while_playing_stops_the_player() {
    let (whole, up) = play(GOOD);
    assert!(up);
    for lost_after in cuts(whole.delivered) {
        let (mut pair, _) = play(Network { lost_after, ..GOOD });
        assert!(whole.client_events.starts_with(&pair.client_events), "lost after {lost_after}");
        pair.server.disconnected();
        let told = pair.server.next_event().unwrap();
        assert!(told.is_none() || told == Some(ServerEvent::Stop { stream: 1 }), "lost after {lost_after}");
    }
}

#[test]
fn rtmp_h6_a_black_hole_anywhere_before_publishing_is_noticed() {
    let (whole, _) = publish(GOOD);
    for lost_after in cuts(whole.delivered) {
        let (mut pair, _) = publish(Network { lost_after, ..GOOD });
        let errors = pair.black_hole();
        // Once both agree, silence is the shell's business: liveness is bytes that move.
        let agreed = pair.publishes().is_some() && pair.server.deadline().is_none();
        assert_eq!(errors.is_empty(), agreed, "lost after {lost_after}: {errors:?}");
        assert!(pair.now <= Time::from_millis(120_000));
    }
}

#[test]
fn rtmp_c5_49_days_and_the_24_bit_boundary_between_two_sessions() {
    for start in [0xFF_FFFF_u32 - 500, u32::MAX - 500] {
        let mut pair = Pair::new(PUBLISH, GOOD);
        pair.run();
        let times: Vec<u32> = (0..100).map(|step| start.wrapping_add(step * 20)).collect();
        for time in &times {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                pair.client.send_media(1, &Media { kind, timestamp: *time, payload: vec![1; 70_000].into() });
            }
            pair.run();
        }
        let mut unwrapper = TimestampUnwrapper::default();
        let found: Vec<i64> =
            published(&pair.server_events).iter().map(|media| unwrapper.unwrap(media.timestamp)).collect();
        let expected: Vec<i64> = (0..200).map(|step| i64::from(start) + step / 2 * 20).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn rtmp_c10_an_hour_of_media_is_acknowledged_and_nothing_piles_up() {
    let mut pair = Pair::new(PUBLISH, Network { segment: 4096, latency: TimeDelta::ZERO, ..GOOD });
    pair.run();
    let payload = Bytes::from(vec![7; 1500]);
    for frame in 0..3600 * 30_u32 {
        pair.client.send_media(1, &Media { kind: MediaKind::Video, timestamp: frame * 33, payload: payload.clone() });
        pair.run();
        pair.server_events.clear();
    }
    let (client, server) = (pair.client.stats(), pair.server.stats());
    assert_eq!(client.sent, server.received);
    assert!(server.received > 3600 * 30 * 1500);
    assert!(client.unacknowledged < 2_600_000, "{}", client.unacknowledged);
    assert_eq!(server.reader.aborted, 0);
}

#[test]
fn rtmp_c7_a_new_connection_begins_with_chunks_of_128_again() {
    for _ in 0..2 {
        let (pair, _) = publish(GOOD);
        assert_eq!(published(&pair.server_events), frames());
    }
}

/// A server and a client behind their handshakes.
fn open_server() -> ServerSession {
    let mut server = ServerSession::new(ServerSettings::default(), 1, Time::ZERO);
    server.receive([&[3][..], &[0; 2 * 1536]].concat().into(), Time::ZERO).expect("a handshake");
    server
}

fn open_client(purpose: Purpose) -> ClientSession {
    let url = RtmpUrl::parse("rtmp://host/live/cam").expect("a URL");
    let limits = ChunkLimits { held: 1 << 20, ..ChunkLimits::default() };
    let mut client = ClientSession::new(ClientSettings { limits, ..ClientSettings::new(url, purpose) }, 1, Time::ZERO);
    client.receive([&[3][..], &[0; 2 * 1536]].concat().into(), Time::ZERO).expect("a handshake");
    client
}

proptest! {
    #[test]
    fn any_bytes_never_panic_a_session(bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1..40_usize) {
        let (mut server, mut client) = (open_server(), open_client(PLAY));
        for piece in bytes.chunks(step) {
            let _ = server.receive(Bytes::copy_from_slice(piece), Time::ZERO);
            let _ = accept_all(&mut server);
            let _ = client.receive(Bytes::copy_from_slice(piece), Time::ZERO);
            while let Ok(Some(_)) = client.next_event() {}
        }
    }

    #[test]
    fn a_damaged_conversation_never_panics(at in 0..1500_usize, flip in 1..=255_u8, step in 1..200_usize) {
        // What each side of a whole conversation sent, with one byte changed.
        for purpose in [PUBLISH, PLAY] {
            let mut pair = Pair::new(purpose, GOOD);
            let mut sent: [Vec<u8>; 2] = Default::default();
            pair.collect();
            for _ in 0..6 {
                let (up, down) = (pair.to_server.drain(..).collect::<Vec<_>>().concat(), pair.to_client.drain(..).collect::<Vec<_>>().concat());
                pair.server.receive(up.clone().into(), Time::ZERO).unwrap();
                accept_all(&mut pair.server).unwrap();
                pair.client.receive(down.clone().into(), Time::ZERO).unwrap();
                while let Some(_event) = pair.client.next_event().unwrap() {}
                sent[0].extend(up);
                sent[1].extend(down);
                pair.collect();
            }
            let [up, down] = &mut sent;
            for bytes in [&mut *up, down] {
                let place = 1 + 2 * 1536 + at % (bytes.len() - 1 - 2 * 1536).max(1);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= flip;
                }
            }
            let (mut server, mut client) = (open_server(), open_client(purpose));
            for piece in up[1 + 2 * 1536..].chunks(step) {
                let _ = server.receive(Bytes::copy_from_slice(piece), Time::ZERO);
                let _ = accept_all(&mut server);
            }
            for piece in down[1 + 2 * 1536..].chunks(step) {
                let _ = client.receive(Bytes::copy_from_slice(piece), Time::ZERO);
                while let Ok(Some(_)) = client.next_event() {}
            }
        }
    }
}
