//! Browsers that publish and play through our signaling: `webrtcsrc` and `webrtcsink` with Chromium, whose frames ffmpeg counts and decodes, and the order of what is said.

use std::path::Path;
use std::process::{Child, Stdio};

use millstream_runtime::{Pipeline, Runtime};
use millstream_testkit::media::workspace;
use millstream_tests::live::{self, free_port, in_time, wait_for_port};
use millstream_tests::peers::{coded, need, pictures};
use millstream_tests::program::run_with;
use millstream_tests::{finish, millstream, root, signal};
use serde_json::{Value, json};

/// What headless Chromium sees and says: see `tests/peers/signaled.mjs`.
fn chromium(mode: &str, port: u16, codec: &str, set: &[(&str, &str)]) -> Value {
    need("chromium");
    let mut args = vec![root().join("tests/peers/signaled.mjs"), workspace().join("target/peers/node")];
    args.extend([mode, &format!("http://127.0.0.1:{port}"), "cam", "4", codec].map(Into::into));
    let said = run_with(&need("node"), args.iter().map(|arg| arg.display().to_string()), set);
    serde_json::from_str(&said.stdout)
        .unwrap_or_else(|_| panic!("`cargo xtask setup` brings puppeteer-core: {}{}", said.stdout, said.stderr))
}

/// What the browser said (`>`) and heard (`<`), without candidates, which come at any time.
fn order(seen: &Value) -> Vec<&str> {
    let said = seen["said"].as_array().unwrap_or_else(|| panic!("a list: {seen:#}"));
    said.iter().filter_map(Value::as_str).filter(|one| !one.ends_with("candidate")).collect()
}

/// The push conversation, as `docs/spec/signaling.md` has it, with what is before and behind.
const PUSH: [&str; 12] = [
    "> hello",
    "< welcome",
    "> publish",
    "< init",
    "> offer",
    "< answer",
    "< ready",
    "> hangup",
    "< ended",
    "> bye",
    "< closed",
    "",
];

fn push() -> Vec<&'static str> {
    PUSH.into_iter().filter(|one| !one.is_empty()).collect()
}

fn start(runtime: &Runtime, port: u16, settings: &str, rest: &str, out: &Path) -> Pipeline {
    let line = format!(
        "signalingserver listen=127.0.0.1:{port} \
         webrtcsrc name=w listen=127.0.0.1:{port} stream=cam eos-on-unpublish=true grace=0ms {settings} {rest} ! filesink location={}",
        out.display()
    );
    let pipeline = live::start(runtime, &line);
    wait_for_port(port);
    pipeline
}

/// The server never ends; the file has when its publisher has left.
fn stop(runtime: &Runtime, mut pipeline: Pipeline) {
    pipeline.stop();
    in_time(runtime, pipeline.wait()).expect("it stops").expect("and well");
}

const INTO_FLV: &str = "w.video ! h264parse ! m.video  w.audio ! opusparse ! m.audio  flvmux name=m";

/// Of the frames that were sent, nearly all arrive: the first ones may precede the key frame, the last ones the goodbye. All can be decoded.
fn assert_arrived(out: &Path, seen: &Value, lost: u64) {
    let sent = seen["frames"].as_u64().unwrap_or_else(|| panic!("a count: {seen:#}"));
    let ([video, audio], _) = coded(out, "h264", "opus");
    let frames = video.hashes.len() as u64;
    assert!(
        sent > 20 && (sent.saturating_sub(lost)..=sent + 2).contains(&frames),
        "{frames} of {sent} frames: {seen:#}"
    );
    assert!(audio.hashes.len() > 50, "{} packets of sound", audio.hashes.len());
    assert_eq!(pictures(out).len() as u64, frames);
}

#[test]
fn sig_3_chromium_publishes_by_push_and_the_order_is_that_of_the_spec() {
    let (dir, runtime, port) =
        (tempfile::tempdir().expect("a folder"), Runtime::new().expect("a runtime"), free_port());
    let out = dir.path().join("pushed.flv");
    let pipeline = start(&runtime, port, "", INTO_FLV, &out);
    let seen = chromium("publish", port, "H264", &[]);
    stop(&runtime, pipeline);
    assert_eq!(order(&seen), push(), "{seen:#}");
    assert_eq!((&seen["ended"], &seen["error"]), (&json!(["hung-up", null]), &Value::Null), "{seen:#}");
    // The worker's candidates are inside its answer, and those of the client follow its offer.
    let said: Vec<&str> = seen["said"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(!seen["candidates"].as_array().expect("a list").is_empty() && !said.contains(&"< candidate"), "{seen:#}");
    assert!(said.contains(&"> candidate"), "{seen:#}");
    assert_arrived(&out, &seen["publish"], 30);
}

#[test]
fn sig_3_ice_begins_anew_and_signaling_is_lost_and_resumed_while_media_flow() {
    let (dir, runtime, port) =
        (tempfile::tempdir().expect("a folder"), Runtime::new().expect("a runtime"), free_port());
    let out = dir.path().join("resumed.flv");
    let pipeline = start(&runtime, port, "", INTO_FLV, &out);
    let seen = chromium("publish", port, "H264", &[("RESTART", "1"), ("LOSE", "1")]);
    stop(&runtime, pipeline);
    // The second offer is that of the restart; nothing of the first half is said again behind the resume.
    let mut expected = push();
    expected.splice(7..7, ["> offer", "< answer", "> hello", "< welcome"]);
    assert_eq!(order(&seen), expected, "{seen:#}");
    assert!(seen["publish"]["generations"].as_u64().is_some_and(|count| count >= 2), "{seen:#}");
    assert_eq!(seen["publish"]["state"], "connected", "{seen:#}");
    assert_arrived(&out, &seen["publish"], 30);
}

#[test]
fn sig_3_who_cannot_publish_is_told_why() {
    let (dir, runtime, port) =
        (tempfile::tempdir().expect("a folder"), Runtime::new().expect("a runtime"), free_port());
    let pipeline = start(&runtime, port, "room=studio", INTO_FLV, &dir.path().join("none.flv"));
    let outside = chromium("publish", port, "H264", &[]);
    assert_eq!(outside["ended"], json!(["refused", "Only members of the room studio may come."]), "{outside:#}");
    let inside = [("ROOM", "studio")];
    let codec = chromium("publish", port, "VP9", &inside);
    let why = "There is no codec for the video that both sides have. Here there are H264, opus.";
    assert_eq!(codec["ended"], json!(["refused", why]), "{codec:#}");
    let garbled = chromium("publish", port, "H264", &[("ROOM", "studio"), ("GARBLE", "1")]);
    assert_eq!(garbled["ended"][0], "refused", "{garbled:#}");
    assert_eq!(garbled["ended"][1], "This is no session description: line 2 is no `letter=value`.", "{garbled:#}");
    drop(pipeline);
}

#[test]
fn sig_3_a_member_offers_to_the_recorder_of_a_room_with_the_shipped_pipeline() {
    let (dir, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let out = dir.path().join("room.flv");
    let set = [format!("output={}", out.display()), "once=true".to_owned()];
    let running = shipped("webrtc-room-record", port, &set);
    let seen = chromium("offer", port, "H264", &[("ROOM", "lobby")]);
    interrupt(running);
    // Pull: the member offers, the recorder answers.
    let said = order(&seen);
    let from = said.iter().position(|one| *one == "> offer").expect("an offer");
    assert_eq!(said[from..from + 4], ["> offer", "< opened", "< answer", "< ready"], "{seen:#}");
    assert_arrived(&out, &seen["offer"], 30);
}

/// A shipped pipeline that runs until it is interrupted.
fn shipped(name: &str, port: u16, set: &[String]) -> Child {
    let mut command = millstream(&root());
    command.args(["run", &format!("pipelines/{name}.yaml"), "--set", &format!("listen=127.0.0.1:{port}")]);
    command.args(set.iter().map(|set| format!("--set={set}")));
    let running = command.stderr(Stdio::piped()).spawn().expect("it starts");
    wait_for_port(port);
    running
}

fn interrupt(running: Child) {
    signal(&running, "INT");
    assert_eq!(finish(running).code, 130, "as every job that is interrupted");
}

#[test]
fn sig_3_a_browser_plays_what_it_publishes_with_the_shipped_loopback() {
    let port = free_port();
    let running = shipped("webrtc-loopback", port, &["stream=cam".to_owned()]);
    for codec in ["VP8", "H264"] {
        let seen = chromium("both", port, codec, &[]);
        // Each session has the order of the spec, for `play` as for `publish`.
        let mut expected = vec!["> hello", "< welcome"];
        for kind in ["> publish", "> play"] {
            expected.extend([kind, "< init", "> offer", "< answer", "< ready"]);
        }
        expected.extend(["> hangup", "< ended", "> hangup", "< ended", "> bye", "< closed"]);
        assert_eq!(order(&seen), expected, "{seen:#}");
        let (sent, played) = (&seen["publish"], &seen["play"]);
        assert_eq!((&sent["codec"], &played["codec"]), (&json!(format!("video/{codec}")), &sent["codec"]), "{seen:#}");
        assert!(played["frames"].as_u64().is_some_and(|decoded| decoded >= 30), "{seen:#}");
        assert!(played["energy"].as_f64().is_some_and(|energy| energy > 0.0), "{seen:#}");
    }
    interrupt(running);
}

#[test]
fn sig_3_who_plays_what_has_not_begun_is_told_so() {
    let port = free_port();
    let running = shipped("webrtc-loopback", port, &["stream=cam".to_owned()]);
    let seen = chromium("play", port, "any", &[]);
    assert_eq!(seen["ended"], json!(["refused", "The stream has not begun."]), "{seen:#}");
    interrupt(running);
}
