//! HTTP-FLV with foreign programs: what is published plays in each of them, all frames and byte for byte.
//!
//! ffmpeg 9 says "Input/output error" at the end of every chunked FLV, whoever serves it; its frames are all there.

use std::path::Path;
use std::process::Command;

use millstream_runtime::Runtime;
use millstream_testkit::fixture;
use millstream_testkit::media::workspace;
use millstream_tests::live::{self, Background};
use millstream_tests::peers;

/// Starts a player. `URL`, `WSURL` and `OUT` stand in its command.
fn start(player: &str, url: &str, out: &Path) -> Background {
    let mut words = player.split_ascii_whitespace();
    let mut command = Command::new(peers::need(words.next().expect("a program")));
    let socket = url.replace("http://", "ws://");
    let fill = |word: &str| word.replace("WSURL", &socket).replace("URL", url).replace("OUT", &out.to_string_lossy());
    command.args(words.map(fill)).current_dir(workspace());
    Background::start_into(&mut command, std::fs::File::create(out.with_extension("said")).expect("a file"))
}

/// Plays a clip from us, which begins when the player has come.
fn plays(player: &str, clip: &Path, out: &Path) {
    let port = live::free_port();
    let line = format!(
        "appsrc name=in caps=video/x-flv ! \
         httpflvsink listen=127.0.0.1:{port} path=/live/cam.flv backlog=1h backlog-size=1GiB"
    );
    let runtime = Runtime::new().expect("a runtime");
    let mut pipeline = live::start(&runtime, &line);
    let mut bus = pipeline.bus().expect("the first to ask");
    live::wait_for_port(port);
    let mut program = start(player, &format!("http://127.0.0.1:{port}/live/cam.flv"), out);
    live::in_time(&runtime, live::posted(&mut bus, "players")).expect("the player comes");
    live::feed(&runtime, &mut pipeline, clip);
    assert!(program.wait(), "{player}");
}

/// Compares the frames that a player got with those of the clip.
fn passes(player: &str, clip: &str, [video, audio]: [&str; 2]) {
    let dir = tempfile::tempdir().expect("a folder");
    let (clip, played) = (fixture(clip), dir.path().join("played.flv"));
    plays(player, &clip, &played);
    let (sent, _) = peers::coded(&clip, video, audio);
    let (arrived, _) = peers::coded(&played, video, audio);
    for (sent, arrived) in sent.iter().zip(&arrived) {
        assert!(!sent.hashes.is_empty());
        assert_eq!(sent.hashes, arrived.hashes, "{player}");
    }
}

#[test]
fn flv_5_every_player_gets_every_frame() {
    for player in [
        "ffmpeg -v error -y -i URL -c copy -f flv OUT",
        "ffmpeg9 -v error -y -i URL -c copy -f flv OUT",
        "gst-launch-1.0 -q souphttpsrc location=URL ! filesink location=OUT",
        "curl -sS -o OUT URL",
        "curl -sS --http1.0 -o OUT URL",
    ] {
        passes(player, "h264b_aac48s_10s.flv", ["h264", "aac"]);
    }
}

#[test]
fn flv_5_enhanced_codecs_pass_through() {
    for (clip, codecs) in
        [("ehevc_aac.flv", ["hevc", "aac"]), ("eav1_opus.flv", ["av1", "opus"]), ("evp9_opus.flv", ["vp9", "opus"])]
    {
        passes("ffmpeg9 -v error -y -i URL -c copy -f flv OUT", clip, codecs);
    }
}

#[test]
fn flv_5_plays_over_a_websocket_in_a_browser_and_in_node() {
    let dir = tempfile::tempdir().expect("a folder");
    let clip = fixture("h264b_aac48s_10s.flv");
    let out = dir.path().join("seen.said");
    peers::need("chromium");
    plays("node tests/peers/play-flv.mjs target/peers/node WSURL", &clip, &out);
    let seen: serde_json::Value = serde_json::from_slice(&std::fs::read(out).expect("what was seen")).expect("JSON");
    assert_eq!((&seen["frames"], &seen["errors"]), (&300.into(), &serde_json::json!([])), "{seen}");
    passes(
        "node --experimental-websocket tests/peers/record-ws.mjs WSURL OUT",
        "h264b_aac48s_10s.flv",
        ["h264", "aac"],
    );
}

/// The page is of another origin, so this shows CORS too.
#[test]
fn flv_5_plays_in_a_browser_with_mpegts_js() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("seen.said");
    peers::need("chromium");
    let player = "node tests/peers/play-flv.mjs target/peers/node URL";
    plays(player, &fixture("h264b_aac48s_10s.flv"), &out);
    let seen: serde_json::Value = serde_json::from_slice(&std::fs::read(out).expect("what was seen")).expect("JSON");
    // The manifest says 300 pictures of 10 s; the end is where the last one begins or ends.
    assert_eq!((&seen["frames"], &seen["errors"]), (&300.into(), &serde_json::json!([])), "{seen}");
    assert!(seen["currentTime"].as_f64().is_some_and(|end| (9.9..10.1).contains(&end)), "{seen}");
    assert!(seen["audioBytes"].as_u64().is_some_and(|bytes| bytes > 0), "{seen}");
}
