//! Recorded clients against our server: OBS, ffmpeg, GStreamer, librtmp, in any segmentation.

mod common;

use bytes::Bytes;
use common::{Reader, accept_all, words};
use millstream_core::Time;
use millstream_rtmp::command::PublishType;
use millstream_rtmp::message::DataFrame;
use millstream_rtmp::session::server::{ServerEvent, ServerSession, ServerSettings};
use millstream_rtmp::session::{LinkStats, MediaKind};
use millstream_testkit::media::media_bytes;

/// What came of a recording.
struct Replay {
    events: Vec<ServerEvent>,
    sent: Vec<String>,
    stats: LinkStats,
}

fn replay(client: &Bytes, step: usize) -> Replay {
    let mut server = ServerSession::new(ServerSettings::default(), 7, Time::ZERO);
    let (mut events, mut sent, mut reader) = (Vec::new(), Vec::new(), Reader::default());
    for at in (0..client.len()).step_by(step) {
        server.receive(client.slice(at..client.len().min(at + step)), Time::ZERO).expect("a handshake");
        events.extend(accept_all(&mut server).expect("chunks"));
        sent.extend(words(&reader.read(server.output())));
    }
    Replay { events, sent, stats: server.stats() }
}

/// The events without media, in short.
fn story(events: &[ServerEvent]) -> Vec<String> {
    let tell = |event: &ServerEvent| match event {
        ServerEvent::Connect(connect) => Some(format!("connect {}", connect.app)),
        ServerEvent::Publish { stream, publish } => {
            assert_eq!(publish.kind, PublishType::Live);
            Some(format!("publish {} on {stream}", publish.name.reveal()))
        }
        ServerEvent::Play { stream, play } => Some(format!("play {} on {stream}", play.name.reveal())),
        ServerEvent::StreamLength { name, .. } => Some(format!("length of {}", name.reveal())),
        ServerEvent::BufferLength { milliseconds, .. } => Some(format!("buffer {milliseconds}")),
        ServerEvent::Unpublish { stream } => Some(format!("unpublish {stream}")),
        ServerEvent::Stop { stream } => Some(format!("stop {stream}")),
        ServerEvent::Media { .. } => None,
        ServerEvent::Data { data: DataFrame::Set(data), .. } => Some(data.name.clone()),
        other => Some(format!("{other:?}")),
    };
    let mut story: Vec<String> = events.iter().filter_map(tell).collect();
    // GStreamer sends metadata again and again.
    story.dedup();
    story
}

fn count(events: &[ServerEvent], wanted: MediaKind) -> usize {
    let is_wanted = |event: &&ServerEvent| matches!(event, ServerEvent::Media { media, .. } if media.kind == wanted);
    events.iter().filter(is_wanted).count()
}

/// A recording, its story, how much audio and video, and what the server says to it; in pieces of any size.
fn check(file: &str, expected: &[&str], video: usize, audio: usize, sent: &[&str]) {
    let Some(client) = media_bytes(file) else { return };
    // Single bytes of a long recording take long.
    let head = client.slice(..client.len().min(200_000));
    let all = replay(&client, client.len());
    assert_eq!(story(&all.events), expected, "{file}");
    assert_eq!((count(&all.events, MediaKind::Video), count(&all.events, MediaKind::Audio)), (video, audio), "{file}");
    assert_eq!(all.sent, sent, "{file}");
    assert_eq!((all.stats.malformed, all.stats.ignored), (0, 0), "{file}");
    let whole = replay(&head, head.len());
    for step in [1, 7, 1536, 4096] {
        let pieces = replay(&head, step);
        assert_eq!(pieces.events, whole.events, "{file} in pieces of {step}");
        assert_eq!(pieces.sent, whole.sent, "{file} in pieces of {step}");
    }
}

const CONNECTED: [&str; 5] =
    ["WindowAcknowledgementSize", "SetPeerBandwidth", "SetChunkSize", "StreamBegin(0)", "_result"];

fn published(end: &[&'static str]) -> Vec<&'static str> {
    let answers =
        ["_result", "_result", "onFCPublish", "_result", "StreamBegin(1)", "onStatus NetStream.Publish.Start"];
    [&CONNECTED[..], &answers, end].concat()
}

const UNPUBLISHED: [&str; 2] = ["_result", "onStatus NetStream.Unpublish.Success"];

#[test]
fn rtmp_m2_recorded_obs_publishes_and_ends_abruptly() {
    let story = ["connect live", "publish obs29 on 1", "onMetaData"];
    check("rtmp/obs29_publish.c2s.bin", &story, 705, 1101, &published(&[]));
}

#[test]
fn rtmp_m2_recorded_ffmpeg_publishes() {
    let story = ["connect live", "publish ff51 on 1", "onMetaData", "unpublish 1"];
    check("rtmp/ffmpeg51_publish_h264_aac.c2s.bin", &story, 79, 131, &published(&UNPUBLISHED));
}

#[test]
fn rtmp_m2_recorded_ffmpeg_9_publishes_enhanced() {
    let story = ["connect live", "publish ff9hevc on 1", "onMetaData", "unpublish 1"];
    check("rtmp/ffmpeg9_publish_hevc_aac.c2s.bin", &story, 94, 143, &published(&UNPUBLISHED));
}

#[test]
fn rtmp_m2_recorded_gstreamer_publishes_with_transaction_ids_of_zero() {
    let story = ["connect live", "publish gst2 on 1", "onMetaData", "unpublish 1"];
    // It waits for no answer to releaseStream, FCPublish and FCUnpublish, and gets none.
    let answers = ["onFCPublish", "_result", "StreamBegin(1)", "onStatus NetStream.Publish.Start"];
    let sent = [&CONNECTED[..], &answers, &["onStatus NetStream.Unpublish.Success"]].concat();
    check("rtmp/gst_rtmp2sink_publish.c2s.bin", &story, 77, 142, &sent);
}

const PLAYING: [&str; 4] =
    ["SetChunkSize", "StreamBegin(1)", "onStatus NetStream.Play.Reset", "onStatus NetStream.Play.Start"];

#[test]
fn rtmp_m3_recorded_ffmpeg_plays() {
    let story = ["connect live", "length of pub", "play pub on 1", "buffer 3000", "stop 1"];
    let sent = [&CONNECTED[..], &["_result", "_result"], &PLAYING].concat();
    check("rtmp/ffmpeg51_play.c2s.bin", &story, 0, 0, &sent);
}

#[test]
fn rtmp_m3_recorded_ffmpeg_plays_with_a_bandwidth_check() {
    let story = ["connect test_stream", "length of ", "play  on 1", "buffer 3000", "stop 1"];
    let sent = [&CONNECTED[..], &["_result", "_result", "_result"], &PLAYING].concat();
    check("rtmp/fq__ffmpeg_client_stream.bin", &story, 0, 0, &sent);
}

#[test]
fn rtmp_m3_recorded_librtmp_plays() {
    let story = ["connect live", "buffer 300", "play pub on 1", "buffer 36000000", "stop 1"];
    let sent = [&CONNECTED[..], &["_result", "_result", "onFCSubscribe"], &PLAYING].concat();
    check("rtmp/rtmpdump_play.c2s.bin", &story, 0, 0, &sent);
}

#[test]
fn rtmp_h6_recordings_that_are_cut_time_out() {
    use millstream_rtmp::session::{Phase, SessionError};
    for (file, phase) in [("rtmp_cut_in_handshake", Phase::Handshake), ("rtmp_cut_in_connect", Phase::Connect)] {
        let Some(client) = media_bytes(&format!("broken/{file}.c2s.bin")) else { return };
        let mut server = ServerSession::new(ServerSettings::default(), 7, Time::ZERO);
        server.receive(client, Time::from_millis(500)).unwrap();
        assert_eq!(server.next_event(), Ok(None));
        let deadline = server.deadline().expect("a deadline");
        assert_eq!(server.handle_timeout(deadline - millstream_core::TimeDelta::from_nanos(1)), Ok(()));
        assert_eq!(server.handle_timeout(deadline), Err(SessionError::Timeout(phase)));
    }
}

#[test]
fn rtmp_h1_recorded_bad_version_ends_the_session() {
    let Some(client) = media_bytes("broken/rtmp_bad_version.c2s.bin") else { return };
    assert!(ServerSession::new(ServerSettings::default(), 7, Time::ZERO).receive(client, Time::ZERO).is_err());
}
