//! RTMP with foreign programs: each publishes to our server, each plays from it, and what arrives is what was sent.
//!
//! | program | publishes | plays |
//! | --- | --- | --- |
//! | ffmpeg 5.1 | yes | yes |
//! | ffmpeg 9 | yes, Enhanced RTMP too | yes |
//! | GStreamer `rtmp2sink`, `rtmp2src` | yes | yes |
//! | GStreamer `rtmpsink` (librtmp) | yes | |
//! | rtmpdump (librtmp) | | yes |

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use millstream_core::{MessageKind, TimeDelta};
use millstream_runtime::{Bus, Runtime};
use millstream_testkit::fixture;
use millstream_tests::{elements, peers, sim};

/// How long a program may take for what it does in one or two seconds.
const PATIENCE: TimeDelta = TimeDelta::from_secs(60);

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// A program that ends with the test.
struct Program(Child);

impl Program {
    fn start(command: &[String]) -> Self {
        let (program, arguments) = command.split_first().expect("a command");
        let mut command = Command::new(peers::need(program));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}")))
    }

    fn wait(mut self) {
        for _ in 0..PATIENCE.to_std().as_millis() / 20 {
            if self.0.try_wait().expect("a child").is_some() {
                return;
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

fn words(line: &str, places: &[(&str, &str)]) -> Vec<String> {
    let fill = |word: &str| places.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value));
    line.split_ascii_whitespace().map(fill).collect()
}

async fn until(bus: &mut Bus, name: &str, value: Option<&str>) {
    loop {
        let message = bus.next().await.expect("the pipeline runs");
        if let MessageKind::Element { name: found, fields } = &message.kind
            && *found == name
            && value.is_none_or(|value| fields.iter().any(|(_, field)| field == value))
        {
            return;
        }
    }
}

/// Relays one publication to one player, at an address with these settings. `PORT`, `CLIP` and `OUT` stand in the commands.
fn relay(settings: &str, publisher: &str, player: &str, clip: &Path, out: &Path) {
    let port = free_port().to_string();
    let line = format!(
        "rtmpserversrc listen=127.0.0.1:{port} {settings} stream=cam eos-on-unpublish=true grace=0s ! \
         rtmpserversink listen=127.0.0.1:{port} {settings} stream=cam backlog=1h backlog-size=1GiB"
    );
    let graph = millstream_graph::load_launch(&line, &elements::registry()).expect("a graph").graph;
    let runtime = Runtime::new().expect("a runtime");
    let mut pipeline = runtime.start(&graph).expect("it starts");
    let mut bus = pipeline.bus().expect("the first to ask");
    let (clip, file) = (clip.to_string_lossy(), out.to_string_lossy());
    let places = [("PORT", &*port), ("CLIP", &*clip), ("OUT", &*file)];
    // The listener is there when the elements run: players that come first try again.
    wait_for_port(&port);
    let player = Program::start(&words(player, &places));
    in_time(&runtime, until(&mut bus, "players", Some("1"))).expect("the player joins");
    let publisher = Program::start(&words(publisher, &places));
    in_time(&runtime, pipeline.wait()).expect("the pipeline ends with the publication").expect("and well");
    publisher.wait();
    player.wait();
}

fn in_time<T>(runtime: &Runtime, future: impl Future<Output = T>) -> Option<T> {
    let clock = &runtime.env().clock;
    runtime.block_on(async { sim::race(future, clock.sleep_until(clock.now() + PATIENCE)).await })
}

fn wait_for_port(port: &str) {
    for _ in 0..500 {
        if std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing listens at port {port}");
}

const PUBLISH_FFMPEG: &str = "ffmpeg -v error -i CLIP -c copy -f flv rtmp://127.0.0.1:PORT/live/cam?key=a=b";
const PLAY_FFMPEG: &str = "ffmpeg -v error -y -i rtmp://127.0.0.1:PORT/live/cam -c copy -f flv OUT";
const PUBLISH_GSTREAMER: &str = "gst-launch-1.0 -q filesrc location=CLIP ! flvdemux name=d flvmux name=m streamable=true ! \
                                 SINK location=rtmp://127.0.0.1:PORT/live/cam \
                                 d.video ! queue ! h264parse ! m.video d.audio ! queue ! aacparse ! m.audio";

/// Sends a clip from one program through us to another, and compares its frames, all of them and byte for byte.
fn passes(publisher: &str, player: &str, clip: &str, codecs: [&str; 2]) {
    let dir = tempfile::tempdir().expect("a folder");
    let (clip, played) = (fixture(clip), dir.path().join("played.flv"));
    relay("", publisher, player, &clip, &played);
    same(&clip, &played, codecs, &format!("{publisher} to {player}"));
}

/// The frames of two files, all of them and byte for byte.
fn same(clip: &Path, played: &Path, [video, audio]: [&str; 2], what: &str) {
    // It stops when it hears of the end, with the message before that still in its hands.
    let tail = usize::from(what.contains("rtmp2src"));
    let (sent, _) = peers::coded(clip, video, audio);
    let (arrived, _) = peers::coded(played, video, audio);
    for (sent, arrived) in sent.iter().zip(&arrived) {
        assert!(!sent.hashes.is_empty());
        let (count, arrived) = (sent.hashes.len(), &arrived.hashes);
        assert!((count - tail..=count).contains(&arrived.len()), "{what}: {} of {count}", arrived.len());
        assert!(sent.hashes.starts_with(arrived), "{what}: frames differ");
    }
}

#[test]
fn rtmp_m15_every_publisher_is_understood() {
    for publisher in [
        PUBLISH_FFMPEG.to_owned(),
        PUBLISH_FFMPEG.replace("ffmpeg", "ffmpeg9"),
        PUBLISH_GSTREAMER.replace("SINK", "rtmp2sink"),
        PUBLISH_GSTREAMER.replace("SINK", "rtmpsink"),
    ] {
        passes(&publisher, PLAY_FFMPEG, "h264b_aac48s_10s.flv", ["h264", "aac"]);
    }
}

#[test]
fn rtmp_m15_every_player_is_understood() {
    for player in [
        PLAY_FFMPEG.replace("ffmpeg", "ffmpeg9"),
        "rtmpdump -q --live -r rtmp://127.0.0.1:PORT/live/cam -o OUT".to_owned(),
        "gst-launch-1.0 -q rtmp2src location=rtmp://127.0.0.1:PORT/live/cam ! filesink location=OUT".to_owned(),
    ] {
        passes(PUBLISH_FFMPEG, &player, "h264b_aac48s_10s.flv", ["h264", "aac"]);
    }
}

#[test]
fn ert_9_enhanced_codecs_pass_through() {
    let nine = |line: &str| line.replace("ffmpeg", "ffmpeg9");
    for (clip, codecs) in
        [("ehevc_aac.flv", ["hevc", "aac"]), ("eav1_opus.flv", ["av1", "opus"]), ("evp9_opus.flv", ["vp9", "opus"])]
    {
        passes(&nine(PUBLISH_FFMPEG), &nine(PLAY_FFMPEG), clip, codecs);
    }
}

/// Runs a launch line of ours to its end.
fn launch(line: &str) {
    let graph = millstream_graph::load_launch(line, &elements::registry()).expect("a graph").graph;
    let runtime = Runtime::new().expect("a runtime");
    let mut pipeline = runtime.start(&graph).expect("it starts");
    in_time(&runtime, pipeline.wait()).expect("it ends").expect("and well");
}

/// Our client tries again until ffmpeg listens.
#[test]
fn rtmp_m15_we_publish_to_ffmpeg() {
    for program in ["ffmpeg", "ffmpeg9"] {
        let dir = tempfile::tempdir().expect("a folder");
        let (clip, played) = (fixture("h264b_aac48s_10s.flv"), dir.path().join("played.flv"));
        let port = free_port().to_string();
        let server = "PROGRAM -v error -y -listen 1 -i rtmp://127.0.0.1:PORT/live/cam -c copy -f flv OUT";
        let out = played.to_string_lossy();
        let server = Program::start(&words(server, &[("PROGRAM", program), ("PORT", &port), ("OUT", &out)]));
        launch(&format!(
            "filesrc location={} ! rtmpsink retries=10 location=rtmp://127.0.0.1:{port}/live/cam",
            clip.display()
        ));
        server.wait();
        same(&clip, &played, ["h264", "aac"], program);
    }
}

#[test]
fn rtmp_m15_we_play_from_ffmpeg() {
    for program in ["ffmpeg", "ffmpeg9"] {
        let dir = tempfile::tempdir().expect("a folder");
        let (clip, played) = (fixture("h264b_aac48s_10s.flv"), dir.path().join("played.flv"));
        let port = free_port().to_string();
        let server = "PROGRAM -v error -i CLIP -c copy -f flv -listen 1 rtmp://127.0.0.1:PORT/live/cam";
        let input = clip.to_string_lossy();
        let server = Program::start(&words(server, &[("PROGRAM", program), ("PORT", &port), ("CLIP", &input)]));
        launch(&format!(
            "rtmpsrc retries=10 location=rtmp://127.0.0.1:{port}/live/cam ! filesink location={}",
            played.display()
        ));
        server.wait();
        same(&clip, &played, ["h264", "aac"], program);
    }
}

/// A certificate for `localhost` and 127.0.0.1 that signs itself, and its key, in a folder.
fn certify(dir: &Path) -> [String; 2] {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let files = ["chain.pem", "key.pem"].map(|name| dir.join(name));
    std::fs::write(&files[0], made.cert.pem()).expect("a file");
    std::fs::write(&files[1], made.signing_key.serialize_pem()).expect("a file");
    files.map(|file| file.display().to_string())
}

/// GnuTLS in ffmpeg 5.1, OpenSSL or mbedTLS in ffmpeg 9, and what GLib has in GStreamer.
#[test]
fn rtmp_h7_others_publish_to_us_and_play_from_us_by_rtmps() {
    let secure = |line: &str| line.replace("rtmp:", "rtmps:");
    let trusting = |line: &str| {
        let line = secure(line)
            .replace("-f flv rtmps:", "-f flv -tls_verify 0 rtmps:")
            .replace("-i rtmps:", "-tls_verify 0 -i rtmps:");
        secure(&line)
    };
    let nine = |line: &str| trusting(line).replace("ffmpeg", "ffmpeg9");
    let publish_gstreamer = secure(PUBLISH_GSTREAMER).replace("SINK", "rtmp2sink tls-validation-flags=0");
    for (publisher, player) in [
        (trusting(PUBLISH_FFMPEG), nine(PLAY_FFMPEG)),
        (nine(PUBLISH_FFMPEG), trusting(PLAY_FFMPEG)),
        (publish_gstreamer, trusting(PLAY_FFMPEG)),
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        let [chain, key] = certify(dir.path());
        let (clip, played) = (fixture("h264b_aac48s_10s.flv"), dir.path().join("played.flv"));
        relay(&format!("tls-cert={chain} tls-key={key}"), &publisher, &player, &clip, &played);
        same(&clip, &played, ["h264", "aac"], &format!("{publisher} to {player}"));
    }
}

/// Another program's TLS in front of another program's RTMP.
#[test]
fn rtmp_h7_we_publish_and_play_by_rtmps_through_openssl() {
    let proxy = millstream_tests::root().join("tests/peers/tls-proxy.py").display().to_string();
    let behind_tls = |command: &str, ours: &str, clip: &Path, out: &Path| {
        let dir = tempfile::tempdir().expect("a folder");
        let [chain, key] = certify(dir.path());
        let ports = [free_port().to_string(), free_port().to_string()];
        let (input, output) = (clip.to_string_lossy(), out.to_string_lossy());
        let places = [
            ("PROXY", &*proxy),
            ("CERT", &*chain),
            ("KEY", &*key),
            ("SECURE", &*ports[0]),
            ("PORT", &*ports[1]),
            ("CLIP", &*input),
            ("OUT", &*output),
        ];
        let server = Program::start(&words(command, &places));
        let proxy = Program::start(&words("python3 PROXY CERT KEY SECURE PORT", &places));
        launch(&words(ours, &places).join(" "));
        proxy.wait();
        server.wait();
    };
    let dir = tempfile::tempdir().expect("a folder");
    let (clip, played) = (fixture("h264b_aac48s_10s.flv"), dir.path().join("played.flv"));
    behind_tls(
        "ffmpeg -v error -y -listen 1 -i rtmp://127.0.0.1:PORT/live/cam -c copy -f flv OUT",
        "filesrc location=CLIP ! rtmpsink retries=10 ca-file=CERT location=rtmps://localhost:SECURE/live/cam",
        &clip,
        &played,
    );
    same(&clip, &played, ["h264", "aac"], "to ffmpeg");
    behind_tls(
        "ffmpeg -v error -i CLIP -c copy -f flv -listen 1 rtmp://127.0.0.1:PORT/live/cam",
        "rtmpsrc retries=10 ca-file=CERT location=rtmps://127.0.0.1:SECURE/live/cam ! filesink location=OUT",
        &clip,
        &played,
    );
    same(&clip, &played, ["h264", "aac"], "from ffmpeg");
}
