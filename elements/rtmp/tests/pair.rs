//! Our client and our server against each other on a network that loses the connection: at every byte, and at every boundary of a message.

mod common;

use bytes::Bytes;
use common::HANDSHAKE;
use common::ends::{Conversation, META, PLAY, PUBLISH, Pair, both, client, client_settings, frames, play, publish};
use common::ends::{Server, pair, played, plays, published, publishes};
use millstream_core::trace::Side;
use millstream_core::{Time, TimeDelta};
use millstream_rtmp::chunk::ChunkReader;
use millstream_rtmp::message::{DataFrame, MessageType};
use millstream_rtmp::session::client::{ClientEvent, ClientSettings};
use millstream_rtmp::session::server::{ServerEvent, ServerSettings};
use millstream_rtmp::session::{Phase, SessionError};
use millstream_testkit::pair::{Loss, Network};

const CONVERSATIONS: [(&str, Conversation); 3] = [("publish", publish), ("play", play), ("both", both)];
const SIDES: [Side; 2] = [Side::Client, Side::Server];

fn segments(segment: usize) -> Network {
    Network { segment, ..Network::default() }
}

#[test]
fn rtmp_h2_publish_and_play_in_any_segmentation() {
    for segment in [1, 2, 97, 1460, 1 << 20] {
        let pair = publish(segments(segment), None);
        assert_eq!(published(&pair.server.events), frames(), "segments of {segment}");
        let kept = |event: &ServerEvent| matches!(event, ServerEvent::Data { data: DataFrame::Set(data), .. } if data.body == META);
        assert!(pair.server.events.iter().any(kept));
        assert_eq!(pair.server.events.last(), Some(&ServerEvent::Unpublish { stream: 1 }));
        let pair = play(segments(segment), None);
        assert_eq!(played(&pair.client.events), frames(), "segments of {segment}");
        let ended = pair.client.events.iter().filter(|event| matches!(event, ClientEvent::Ended { stream: 1 })).count();
        assert_eq!(ended, 1);
        for stats in [pair.client.session.stats(), pair.server.session.stats()] {
            assert_eq!((stats.malformed, stats.ignored), (0, 0));
        }
    }
}

/// Every byte of the chunks, and some of the handshake.
fn cuts(total: u64) -> impl Iterator<Item = u64> {
    let handshake = HANDSHAKE as u64;
    (1..handshake).step_by(61).chain(handshake..=total)
}

/// What is not told twice: each of these events begins what ends by another.
fn begun_and_ended(events: &[ServerEvent]) -> (Vec<u32>, Vec<u32>) {
    let begun = |event: &ServerEvent| match event {
        ServerEvent::Publish { stream, .. } | ServerEvent::Play { stream, .. } => Some(*stream),
        _ => None,
    };
    let ended = |event: &ServerEvent| match event {
        ServerEvent::Unpublish { stream } | ServerEvent::Stop { stream } => Some(*stream),
        _ => None,
    };
    (events.iter().filter_map(begun).collect(), events.iter().filter_map(ended).collect())
}

/// Both ends are through with this connection: nothing is held, waited for or still to be said.
fn assert_over(pair: &mut Pair, place: &str) {
    assert!(pair.client.is_gone() && pair.server.is_gone(), "{place}");
    let (client, server) = (&mut pair.client.session, &mut pair.server.session);
    assert_eq!((client.deadline(), server.deadline()), (None, None), "{place}");
    assert!(client.output().is_empty() && server.output().is_empty(), "{place}");
    assert_eq!((client.next_event(), server.next_event()), (Ok(None), Ok(None)), "{place}");
    for stats in [client.stats(), server.stats()] {
        assert_eq!((stats.held, stats.waiting, stats.malformed), (0, 0, 0), "{place}");
    }
    let (begun, ended) = begun_and_ended(&pair.server.events);
    assert_eq!(begun, ended, "{place}: what begins ends once");
}

fn assert_lost(whole: &Pair, mut pair: Pair, place: &str) {
    assert!(pair.is_lost(), "{place}");
    assert!(pair.client.error.is_none() && pair.server.error.is_none(), "{place}");
    assert!(whole.client.events.starts_with(&pair.client.events), "{place}");
    let (_, ended) = begun_and_ended(&pair.server.events);
    let heard = &pair.server.events[..pair.server.events.len() - ended.len()];
    assert!(whole.server.events.starts_with(heard), "{place}");
    assert_over(&mut pair, place);
}

#[test]
fn connection_lost_anywhere_while_publishing_releases_the_name() {
    let whole = publish(Network::default(), None);
    for (side, total) in [(Side::Client, whole.client.arrived()), (Side::Server, whole.server.arrived())] {
        for bytes in cuts(total) {
            let pair = publish(Network::default(), Some((side, bytes, Loss::Broken)));
            assert_lost(&whole, pair, &format!("lost behind {bytes} of {side:?}"));
        }
    }
}

#[test]
fn connection_lost_anywhere_while_playing_stops_the_player() {
    let whole = play(Network::default(), None);
    for (side, total) in [(Side::Client, whole.client.arrived()), (Side::Server, whole.server.arrived())] {
        for bytes in cuts(total) {
            let pair = play(Network::default(), Some((side, bytes, Loss::Broken)));
            assert_lost(&whole, pair, &format!("lost behind {bytes} of {side:?}"));
        }
    }
}

/// Where the parts of the handshake and the messages of one side end, and the messages.
fn boundaries(wire: &[(Side, Bytes)], side: Side) -> Vec<(u64, Option<MessageType>)> {
    let bytes = wire.iter().filter(|(from, _)| *from == side).map(|(_, bytes)| bytes).cloned();
    let bytes = Bytes::from(bytes.collect::<Vec<_>>().concat());
    let mut ends: Vec<_> = [1, 1 + 1536, HANDSHAKE].map(|end| (end as u64, None)).into();
    let mut reader = ChunkReader::default();
    for at in HANDSHAKE..bytes.len() {
        reader.push(bytes.slice(at..=at));
        let message = reader.next_message().expect("chunks that can be read");
        ends.extend(message.map(|message| (at as u64 + 1, Some(message.kind))));
    }
    assert_eq!(ends.last().map(|(end, _)| *end), Some(bytes.len() as u64), "nothing behind the last message");
    ends
}

/// What a side was given of what the other sent.
fn heard(pair: &Pair, from: Side) -> (u64, usize) {
    match from {
        Side::Client => (pair.server.session.stats().reader.messages, published(&pair.server.events).len()),
        Side::Server => (pair.client.session.stats().reader.messages, played(&pair.client.events).len()),
    }
}

#[test]
fn connection_lost_at_every_message_boundary_delivers_what_was_whole() {
    for (name, conversation) in CONVERSATIONS {
        let mut whole = conversation(Network::default(), None);
        let wire = whole.take_wire();
        for side in SIDES {
            let ends = boundaries(&wire, side);
            assert!(ends.len() > 8, "{name}: {} of {side:?}", ends.len());
            // Who has closed reads no more.
            let read = heard(&whole, side).0;
            let (mut messages, mut media) = (0, 0);
            for (end, kind) in ends {
                messages += u64::from(kind.is_some());
                let is_media = matches!(kind, Some(MessageType::Audio | MessageType::Video));
                media += usize::from(is_media);
                let missing = (messages - u64::from(kind.is_some()), media - usize::from(is_media));
                for (bytes, expected) in [(end - 1, missing), (end, (messages, media))] {
                    for segment in [1, 1460] {
                        // A connection that is lost before its first byte is none.
                        let Some(bytes) = (bytes > 0).then_some(bytes) else { continue };
                        let pair = conversation(segments(segment), Some((side, bytes, Loss::Broken)));
                        let place = format!("{name}: lost behind {bytes} of {side:?}, segments of {segment}");
                        assert_eq!(heard(&pair, side), (expected.0.min(read), expected.1), "{place}");
                        assert_lost(&whole, pair, &place);
                    }
                }
            }
            assert_eq!(media, if name == "both" || (name == "publish") == (side == Side::Client) { 4 } else { 0 });
        }
    }
}

#[test]
fn an_end_that_hangs_up_at_any_time_ends_the_other() {
    for side in SIDES {
        for steps in 0..12 {
            let mut pair = pair(PUBLISH, Network::default());
            pair.run_until(Time::from_millis(steps * 20));
            pair.hang_up(side);
            pair.run();
            assert!(pair.client.error.is_none() && pair.server.error.is_none());
            assert_over(&mut pair, &format!("{side:?} after {steps} steps"));
        }
    }
}

/// The limit of the phase that the ends are in, and no session says anything behind its end.
#[test]
fn rtmp_h6_a_black_hole_anywhere_before_publishing_is_noticed() {
    let whole = publish(Network::default(), None);
    for (side, total) in [(Side::Client, whole.client.arrived()), (Side::Server, whole.server.arrived())] {
        for bytes in cuts(total) {
            let mut pair = publish(Network::default(), Some((side, bytes, Loss::Silent)));
            let lost_at = pair.now();
            // Once both agree, silence is the shell's business: liveness is bytes that move.
            let agreed = publishes(&pair).is_some() && pair.server.session.deadline().is_none();
            pair.wait();
            let errors: Vec<_> = [&pair.client.error, &pair.server.error].into_iter().flatten().collect();
            let place = format!("lost behind {bytes} of {side:?}: {errors:?}");
            assert_eq!(errors.is_empty(), agreed, "{place}");
            for (at, error) in errors {
                assert!(matches!(error, SessionError::Timeout(_)), "{place}");
                assert!(*at <= lost_at + TimeDelta::from_secs(30), "{place}");
            }
        }
    }
}

#[test]
fn rtmp_h6_a_server_that_falls_silent_while_it_plays_is_noticed_by_the_limit() {
    let silence_timeout = Some(TimeDelta::from_secs(15));
    let settings = ClientSettings { silence_timeout, ..client_settings(PLAY) };
    let mut pair = Pair::new(client(settings), Server::new(ServerSettings::default()), Network::default());
    pair.run();
    let stream = plays(&pair).expect("a player");
    // A frame each ten seconds is no silence.
    for frame in frames().iter().cycle().take(100) {
        pair.server.session.send_media(stream, frame);
        pair.run_until(pair.now() + TimeDelta::from_secs(10));
    }
    assert_eq!((played(&pair.client.events).len(), &pair.client.error), (100, &None));
    let last = pair.now() - TimeDelta::from_secs(10) + Network::default().latency;
    pair.lose_now(Loss::Silent);
    pair.wait();
    assert_eq!(pair.client.error, Some((last + TimeDelta::from_secs(15), SessionError::Silent)));
    assert!(!pair.server.is_gone(), "nobody told it");
}

#[test]
fn rtmp_h6_a_network_that_gives_a_byte_now_and_then_is_used_or_given_up_by_the_whole() {
    let slow = |millis| Network { segment: 1, spacing: TimeDelta::from_millis(millis), ..Network::default() };
    let mut patient = pair(PUBLISH, slow(1));
    patient.run();
    assert_eq!(publishes(&patient), Some(1), "6 s of handshake");
    let mut tired = pair(PUBLISH, slow(10));
    tired.wait();
    let late = Some((Time::from_millis(10_000), SessionError::Timeout(Phase::Handshake)));
    assert_eq!(tired.client.error, late, "it was being sent bytes all the time");
    tired.wait();
    tired.run_until(Time::from_millis(11_000));
    assert_eq!(tired.server.error, late);
    assert!(tired.server.events.is_empty());
}

#[test]
fn rtmp_c7_a_new_connection_begins_with_chunks_of_128_again() {
    for _ in 0..2 {
        let pair = publish(Network::default(), None);
        assert_eq!(published(&pair.server.events), frames());
    }
}
