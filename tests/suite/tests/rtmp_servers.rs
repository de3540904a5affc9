//! Foreign RTMP servers between our publisher and our player: every frame that goes in comes out, byte for byte.
//!
//! | server | of | keeps a group of pictures | tells players of the end |
//! | --- | --- | --- | --- |
//! | nginx with its RTMP module | Debian | no | on request |
//! | node-media-server | npm | yes | no |

use std::path::Path;
use std::sync::Arc;

use millstream_generic::AppSinkHandle;
use millstream_runtime::Runtime;
use millstream_testkit::fixture;
use millstream_tests::conversation::{Kept, PUBLISH, assert_said};
use millstream_tests::servers::Server;
use millstream_tests::{live, peers};

const CLIP: &str = "h264b_aac48s_10s.flv";
const CODECS: [&str; 2] = ["h264", "aac"];
/// Messages of its pictures and its sound, as libavformat counts them.
const FRAMES: usize = 300 + 470;

/// Whether a buffer of `video/x-flv` is a message with a picture or sound: no metadata, configuration or end of a sequence.
fn is_frame(tag: &[u8]) -> bool {
    match (tag.first(), tag.get(11..)) {
        // Enhanced: CodedFrames and CodedFramesX.
        (Some(9), Some([first, ..])) if first & 0x80 != 0 => [1, 3].contains(&(first & 15)),
        (Some(8 | 9), Some([_, kind, ..])) => *kind == 1,
        _ => false,
    }
}

/// Plays until so many frames have come, and one that is over or silent ends sooner. Calls `ready` when it plays.
fn play(runtime: &Runtime, url: &str, frames: usize, played: &Path, ready: impl FnOnce()) {
    let mut pipeline = live::start(runtime, &format!("rtmpsrc location={url} ! appsink name=out"));
    let (mut bus, out) = (pipeline.bus().expect("the first to ask"), pipeline.handle::<AppSinkHandle>("out"));
    let out = out.expect("the sink");
    live::in_time(runtime, live::posted(&mut bus, "connected")).expect("it plays");
    ready();
    let mut file = Vec::new();
    live::in_time(runtime, async {
        let mut count = 0;
        while count < frames
            && let Some(buffer) = out.next_buffer().await
        {
            let tag = buffer.payload.contiguous();
            count += usize::from(is_frame(&tag));
            file.extend_from_slice(&tag);
        }
    })
    .expect("every frame comes");
    std::fs::write(played, file).expect("a file");
}

/// Publishes a file to its end.
fn publish(runtime: &Runtime, clip: &Path, url: &str) {
    let line = format!("filesrc location={} ! rtmpsink location={url}", clip.display());
    let mut pipeline = live::start(runtime, &line);
    live::in_time(runtime, pipeline.wait()).expect("it ends").expect("and well");
}

/// The frames of two files, all of them and byte for byte.
fn same(clip: &Path, played: &Path, [video, audio]: [&str; 2]) {
    let (sent, _) = peers::coded(clip, video, audio);
    let (arrived, _) = peers::coded(played, video, audio);
    for (sent, arrived) in sent.iter().zip(&arrived) {
        assert!(!sent.hashes.is_empty());
        assert_eq!(sent.hashes.len(), arrived.hashes.len(), "{}", played.display());
        assert_eq!(sent.hashes, arrived.hashes, "{}", played.display());
    }
}

/// A player of ours waits at the server, a publisher of ours comes.
fn relays(server: &Server, clip: &Path, frames: usize, codecs: [&str; 2]) {
    let kept = Arc::new(Kept::default());
    let runtime = Runtime::new().expect("a runtime").with_trace(kept.clone());
    let played = server.dir().join("played.bin");
    let url = server.url("live/cam?key=a=b");
    play(&runtime, &url, frames, &played, || publish(&runtime, clip, &url));
    same(clip, &played, codecs);
    let conversations = kept.conversations();
    let [played, published, ..] = &conversations[..] else { panic!("two connections: {conversations:#?}") };
    for said in [played, published] {
        assert_said(said, &CONNECT);
        // The client is complete: it announces its window when the server has set its bandwidth.
        assert_said(said, &["server Set Peer Bandwidth", "client Window Acknowledgement Size"]);
    }
    assert_said(published, &PUBLISH);
    assert_said(played, &PLAY);
}

/// The conversations of the standard (RTMP 1.0, 7.2), as far as these servers keep to them.
const CONNECT: [&str; 7] = [
    "client C1",
    "server S1",
    "client C2",
    "client connect",
    "server Window Acknowledgement Size",
    "server _result of connect",
    "client createStream",
];
const PLAY: [&str; 5] = [
    "client createStream",
    "server _result of createStream",
    "client play",
    "server NetStream.Play.Start",
    "server media",
];

#[test]
fn rtmp_m15_nginx_relays_between_our_publisher_and_our_player() {
    let (server, clip) = (Server::nginx("publish_notify on;"), fixture(CLIP));
    relays(&server, &clip, FRAMES, CODECS);
    same(&clip, &server.recorded(), CODECS);
}

#[test]
fn rtmp_m15_we_play_a_recording_from_nginx() {
    let (server, clip) = (Server::nginx("record off;"), fixture(CLIP));
    std::fs::copy(&clip, server.dir().join("clip.flv")).expect("a copy");
    let runtime = Runtime::new().expect("a runtime");
    let played = server.dir().join("played.bin");
    play(&runtime, &server.url("vod/clip.flv"), FRAMES, &played, || ());
    same(&clip, &played, CODECS);
}

#[test]
fn rtmp_m15_node_media_server_relays_between_our_publisher_and_our_player() {
    relays(&Server::node_media_server(), &fixture(CLIP), FRAMES, CODECS);
}

/// It knows Enhanced RTMP. Frames as `tests/fixtures/README.md` counts them.
#[test]
fn ert_9_enhanced_codecs_pass_through_node_media_server() {
    relays(&Server::node_media_server(), &fixture("ehevc_aac.flv"), 120 + 189, ["hevc", "aac"]);
}
