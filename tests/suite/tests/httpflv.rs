//! HTTP-FLV with foreign programs: what is published plays in each of them, all frames and byte for byte.
//!
//! ffmpeg 9 says "Input/output error" at the end of every chunked FLV, whoever serves it; its frames are all there.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use millstream_core::{MessageKind, TimeDelta};
use millstream_runtime::{Bus, Runtime};
use millstream_testkit::fixture;
use millstream_testkit::media::workspace;
use millstream_tests::{elements, peers, sim};

/// How long a program may take for what it does in one or two seconds.
const PATIENCE: TimeDelta = TimeDelta::from_secs(60);

/// A program that ends with the test.
struct Program(Child);

impl Program {
    /// `URL`, `WSURL` and `OUT` stand in the command.
    fn start(command: &str, url: &str, out: &Path) -> Self {
        let mut words = command.split_ascii_whitespace();
        let program = words.next().expect("a program");
        let socket = url.replace("http://", "ws://");
        let fill =
            |word: &str| word.replace("WSURL", &socket).replace("URL", url).replace("OUT", &out.to_string_lossy());
        let mut command = Command::new(peers::need(program));
        command.args(words.map(fill)).current_dir(workspace()).stdin(Stdio::null());
        command.stdout(std::fs::File::create(out.with_extension("said")).expect("a file"));
        Self(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}")))
    }

    fn wait(mut self) {
        for _ in 0..PATIENCE.to_std().as_millis() / 20 {
            if let Some(status) = self.0.try_wait().expect("a child") {
                return assert!(status.success(), "{status}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("a program does not end");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn first_player(bus: &mut Bus) {
    loop {
        let message = bus.next().await.expect("the pipeline runs");
        if matches!(message.kind, MessageKind::Element { name: "players", .. }) {
            return;
        }
    }
}

/// Plays a clip from us, which begins when the player has come.
fn plays(player: &str, clip: &Path, out: &Path) {
    let listen = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port");
    let line = format!(
        "appsrc name=in caps=video/x-flv ! httpflvsink listen={listen} path=/live/cam.flv backlog=1h backlog-size=1GiB"
    );
    let graph = millstream_graph::load_launch(&line, &elements::registry()).expect("a graph").graph;
    let runtime = Runtime::new().expect("a runtime");
    let mut pipeline = runtime.start(&graph).expect("it starts");
    let mut bus = pipeline.bus().expect("the first to ask");
    let input: millstream_generic::AppSrcHandle = pipeline.handle("in").expect("the source");
    while std::net::TcpStream::connect(listen).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let player = Program::start(player, &format!("http://{listen}/live/cam.flv"), out);
    in_time(&runtime, first_player(&mut bus)).expect("the player comes");
    let clip = std::fs::read(clip).expect("the clip");
    in_time(&runtime, async {
        for block in clip.chunks(64 << 10) {
            let buffer = millstream_core::Buffer::new(bytes::Bytes::copy_from_slice(block));
            input.push(buffer).await.expect("the pipeline runs");
        }
        input.eos().await.expect("the pipeline runs");
        pipeline.wait().await
    })
    .expect("the pipeline ends with the clip")
    .expect("and well");
    player.wait();
}

fn in_time<T>(runtime: &Runtime, future: impl Future<Output = T>) -> Option<T> {
    let clock = &runtime.env().clock;
    runtime.block_on(async { sim::race(future, clock.sleep_until(clock.now() + PATIENCE)).await })
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
