//! Our client and our server against each other for as long as encoders run: hours and weeks in seconds.

mod common;

use common::ends::{PUBLISH, Pair, Server, begin_both, client, client_settings, pair, played, published, send_both};
use millstream_core::{Time, TimeDelta};
use millstream_flv::wire::TimestampUnwrapper;
use millstream_rtmp::session::client::Purpose;
use millstream_rtmp::session::server::ServerSettings;
use millstream_rtmp::session::{Media, MediaKind};
use millstream_testkit::pair::Network;

fn unwrapped(media: &[Media]) -> Vec<i64> {
    let mut unwrapper = TimestampUnwrapper::default();
    media.iter().map(|media| unwrapper.unwrap(media.timestamp)).collect()
}

#[test]
fn rtmp_c5_49_days_and_the_24_bit_boundary_between_two_sessions() {
    for start in [0xFF_FFFF_u32 - 500, u32::MAX - 500] {
        for segment in [1, 1460] {
            let mut pair = pair(PUBLISH, Network { segment, ..Network::default() });
            pair.run();
            for step in 0..100 {
                for kind in [MediaKind::Audio, MediaKind::Video] {
                    let timestamp = start.wrapping_add(step * 20);
                    let len = if segment == 1 { 70 } else { 70_000 };
                    pair.client.session.send_media(1, &Media { kind, timestamp, payload: vec![1; len].into() });
                }
                pair.run();
            }
            let expected: Vec<i64> = (0..200).map(|step| i64::from(start) + step / 2 * 20).collect();
            assert_eq!(unwrapped(&published(&pair.server.events)), expected, "from {start}, segments of {segment}");
        }
    }
}

/// A frame each way every five minutes, and pings, for 60 days: beyond the 49.7 days of a timestamp.
#[test]
fn rtmp_c5_sixty_days_go_by_in_both_directions_on_one_timeline() {
    const STEP: TimeDelta = TimeDelta::from_secs(300);
    const STEPS: u32 = 60 * 24 * 12;
    let settings = ServerSettings { ping_interval: Some(TimeDelta::from_secs(600)), ..ServerSettings::default() };
    let mut pair = Pair::new(client(client_settings(Purpose::Connect)), Server::new(settings), Network::default());
    begin_both(&mut pair);
    let start = pair.now();
    for step in 0..STEPS {
        pair.run_until(start + TimeDelta::from_millis(i64::from(step) * STEP.millis()));
        let kind = if step % 2 == 0 { MediaKind::Video } else { MediaKind::Audio };
        let timestamp = step.wrapping_mul(STEP.millis() as u32);
        send_both(&mut pair, &Media { kind, timestamp, payload: vec![step as u8; 1000].into() });
    }
    assert!(pair.now() > start + TimeDelta::from_secs(59 * 24 * 3600));
    assert!(pair.client.error.is_none() && pair.server.error.is_none());
    let expected: Vec<i64> = (0..STEPS).map(|step| i64::from(step) * STEP.millis()).collect();
    assert!(expected.last().is_some_and(|last| *last > i64::from(u32::MAX)));
    for media in [published(&pair.server.events), played(&pair.client.events)] {
        assert_eq!(unwrapped(&media), expected);
        assert!(media.iter().enumerate().all(|(step, media)| media.payload[..] == [step as u8; 1000]));
    }
    // Each ping of the server had its answer: 20 bytes of chunk each way beside 17 MB of media.
    let (client, server) = (pair.client.session.stats(), pair.server.session.stats());
    assert_eq!((client.received, server.received), (server.sent, client.sent));
    let pings = u64::from(STEPS) / 2;
    assert!(server.reader.messages >= u64::from(STEPS) + pings - 2, "{}", server.reader.messages);
    for stats in [client, server] {
        assert!(stats.unacknowledged < 2_600_000, "{}", stats.unacknowledged);
        assert_eq!((stats.waiting, stats.held, stats.malformed, stats.ignored), (0, 0, 0, 0));
    }
}

/// As an encoder sends it: 30 pictures a second, for six hours.
#[test]
fn rtmp_c10_hours_of_media_are_acknowledged_and_nothing_piles_up() {
    const FRAMES: u32 = 6 * 3600 * 30;
    let mut pair = pair(PUBLISH, Network { segment: 4096, ..Network::default() });
    pair.run();
    let payload = bytes::Bytes::from(vec![7; 1500]);
    let mut received = 0;
    for frame in 0..FRAMES {
        let at = TimeDelta::from_ticks(frame.into(), 30);
        pair.run_until(Time::from_millis(1000) + at);
        let timestamp = at.millis() as u32;
        pair.client.session.send_media(1, &Media { kind: MediaKind::Video, timestamp, payload: payload.clone() });
        received += published(&std::mem::take(&mut pair.server.events)).len();
        let stats = pair.client.session.stats();
        assert!(stats.unacknowledged < 2_600_000, "{}", stats.unacknowledged);
    }
    pair.run();
    received += published(&pair.server.events).len();
    assert_eq!(received, FRAMES as usize);
    let (client, server) = (pair.client.session.stats(), pair.server.session.stats());
    assert_eq!(client.sent, server.received);
    assert_eq!((server.held, server.waiting, server.reader.aborted), (0, 0, 0));
    // Six hours, and nothing but acknowledgements came back: one a window of 2.5 MB.
    let acknowledgements = client.reader.messages;
    assert!((350..450).contains(&acknowledgements), "{acknowledgements}");
    assert!(pair.client.most_under_way() < 8 << 10, "{}", pair.client.most_under_way());
}
