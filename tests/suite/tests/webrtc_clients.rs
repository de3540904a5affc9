//! `whipsink` and `whepsrc` with foreign servers, which are aiortc's, and with our own; and aiortc as player of ours.

use std::path::Path;
use std::process::{Command, Stdio};

use millstream_runtime::Runtime;
use millstream_tests::live::{self, Background, free_port, in_time, wait_for_port};
use millstream_tests::peers::{coded, need, pictures};
use millstream_tests::webrtc::aiortc;
use millstream_tests::{millstream, root, run_args, world};
use serde_json::Value;

/// A server of aiortc that serves one session, at a port.
struct Server {
    endpoint: String,
    running: std::thread::JoinHandle<Value>,
}

fn server(mode: &'static str, seconds: u32, codec: &'static str) -> Server {
    let port = free_port();
    let endpoint = format!("http://127.0.0.1:{port}/of/it");
    let at = endpoint.clone();
    let running = std::thread::spawn(move || aiortc(mode, &at, seconds, codec));
    wait_for_port(port);
    Server { endpoint, running }
}

impl Server {
    /// What it has seen, once its session is over.
    fn seen(self) -> Value {
        self.running.join().expect("it ends")
    }
}

/// A clip of 4 s at 25 pictures a second without B-frames, with Opus.
fn clip(dir: &Path) -> String {
    let clip = dir.join("clip.flv");
    let status = Command::new(need("ffmpeg9"))
        .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-f", "lavfi"])
        .args(["-i", "sine=r=48000", "-t", "4", "-c:v", "libx264", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p"])
        .args(["-c:a", "libopus", "-ac", "2", "-f", "flv"])
        .arg(&clip)
        .status();
    assert!(status.expect("ffmpeg").success());
    clip.display().to_string()
}

/// Launch line from a clip to a sink `w`, at its own pace.
fn paced(clip: &str) -> String {
    format!(
        "filesrc location={clip} ! flvdemux name=d  d.video ! h264parse ! clocksync ! w.video  d.audio ! clocksync ! w.audio"
    )
}

fn count(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_default()
}

#[test]
fn whip_1_whip_6_aiortc_takes_what_whipsink_publishes_with_a_token_and_without_it_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let (line, server) = (paced(&clip(dir.path())), server("take", 1, "H264"));
    let refused =
        run_args(dir.path(), &["launch", "-q", &format!("{line} whipsink name=w location={}", server.endpoint)]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("401") && refused.err.contains("Only with the token"), "{}", refused.err);
    let line = format!("{line} whipsink name=w location={} token=s3cret", server.endpoint);
    let said = run_args(dir.path(), &["launch", "-q", &line]);
    assert_eq!(said.code, 0, "{}", said.err);
    let seen = server.seen();
    assert_eq!((&seen["status"], &seen["deleted"]), (&201.into(), &200.into()), "{seen}");
    // 100 pictures and 201 packets; its jitter buffer keeps the last ones.
    assert!(count(&seen["video"], "frames") >= 95 && count(&seen["audio"], "packets") >= 180, "{seen}");
}

/// Plays from a server of aiortc; VP8 and Opus, nearly all of which arrive and can be decoded.
fn plays(mode: &'static str, status: u32) {
    let server = server(mode, 3, "VP8");
    let runtime = Runtime::new().expect("a runtime");
    let line = format!(
        "whepsrc name=w location={} token=s3cret  w.video ! collect name=v  w.audio ! collect name=a",
        server.endpoint
    );
    let mut pipeline = live::start(&runtime, &line);
    let [video, audio] = ["v", "a"].map(|name| world::collected(&mut pipeline, name));
    in_time(&runtime, pipeline.wait()).expect("it ends with its server").expect("and well");
    let seen = server.seen();
    assert_eq!((&seen["status"], &seen["deleted"]), (&status.into(), &200.into()), "{seen}");
    let (frames, packets) = (world::buffers(&video), world::buffers(&audio));
    let (sent, spoken) = (count(&seen["video"], "frames"), count(&seen["audio"], "packets"));
    assert!(
        sent > 60 && (sent.saturating_sub(20)..=sent + 1).contains(&(frames.len() as u64)),
        "{}: {seen}",
        frames.len()
    );
    assert!((spoken.saturating_sub(20)..=spoken + 1).contains(&(packets.len() as u64)), "{}: {seen}", packets.len());
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("vp8.ivf");
    std::fs::write(&out, millstream_tests::webrtc::ivf(&frames)).expect("a file");
    assert_eq!(pictures(&out).len(), frames.len());
}

#[test]
fn whep_1_whepsrc_plays_vp8_and_opus_of_aiortc() {
    plays("give", 201);
}

#[test]
fn whep_1_whepsrc_answers_the_offer_that_a_server_makes_instead() {
    plays("counter", 406);
}

#[test]
fn whep_1_aiortc_plays_h264_and_opus_of_whepserversink() {
    let dir = tempfile::tempdir().expect("a folder");
    let (port, clip) = (free_port(), clip(dir.path()));
    let runtime = Runtime::new().expect("a runtime");
    let line = format!(
        "{} whepserversink name=w listen=127.0.0.1:{port} stream=cam",
        paced(&clip).replace(".flv", ".flv loop=true")
    );
    let pipeline = live::start(&runtime, &line);
    wait_for_port(port);
    let seen = aiortc("play", &format!("http://127.0.0.1:{port}/whep/live/cam"), 3, "H264");
    assert_eq!((&seen["status"], &seen["deleted"]), (&201.into(), &200.into()), "{seen}");
    assert!(count(&seen["video"], "frames") >= 60 && count(&seen["audio"], "packets") >= 120, "{seen}");
    drop(pipeline);
}

/// RTMP to WHIP, WHIP to WHEP, WHEP to HLS: nothing but ours between ffmpeg and the playlist.
#[test]
fn rtmp_to_whip_and_whep_to_hls_do_what_they_say() {
    let dir = tempfile::tempdir().expect("a folder");
    let (rtmp, http, hls) = (free_port(), free_port(), free_port());
    let runtime = Runtime::new().expect("a runtime");
    let line = format!(
        "whipserversrc name=i listen=127.0.0.1:{http} stream=cam keys=s3cret eos-on-unpublish=true grace=0ms  i.video ! w.video  i.audio ! w.audio \
         whepserversink name=w listen=127.0.0.1:{http} stream=cam keys=s3cret"
    );
    let mut middle = live::start(&runtime, &line);
    wait_for_port(http);
    let ship = |name: &str, set: &[String]| {
        let mut command = millstream(&root());
        command.args(["run", &format!("pipelines/{name}.yaml"), "--set=token=s3cret"]).stderr(Stdio::inherit());
        command.args(set.iter().map(|set| format!("--set={set}")));
        Background::start(&mut command)
    };
    let mut player = ship(
        "whep-to-hls",
        &[
            format!("url=http://127.0.0.1:{http}/whep/live/cam"),
            format!("http=127.0.0.1:{hls}"),
            format!("output={}", dir.path().display()),
        ],
    );
    let mut relay = ship(
        "rtmp-to-whip",
        &[
            format!("listen=127.0.0.1:{rtmp}"),
            format!("url=http://127.0.0.1:{http}/whip/live/cam"),
            "once=true".to_owned(),
        ],
    );
    wait_for_port(rtmp);
    let published = Command::new(need("ffmpeg9"))
        .args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-f", "lavfi"])
        .args(["-i", "sine=r=48000", "-t", "8", "-c:v", "libx264", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p"])
        .args(["-c:a", "aac", "-ac", "2", "-f", "flv", &format!("rtmp://127.0.0.1:{rtmp}/live/cam")])
        .status();
    assert!(published.expect("ffmpeg").success());
    assert!(relay.wait(), "the relay ends with its publisher");
    in_time(&runtime, middle.wait()).expect("the server ends with its publisher").expect("and well");
    assert!(player.wait(), "the player ends with the stream");
    let segments = (0..).map(|number| dir.path().join(format!("seg{number:05}.ts")));
    let whole: Vec<u8> = segments.map_while(|file| std::fs::read(file).ok()).flatten().collect();
    let joined = dir.path().join("joined.ts");
    std::fs::write(&joined, whole).expect("a file");
    let ([video, audio], _) = coded(&joined, "h264", "opus");
    // 200 pictures were published; the player joins when there is something to see, and asks in between for up to some seconds.
    assert!(video.hashes.len() > 75, "{} pictures", video.hashes.len());
    assert!(audio.hashes.len() > 150, "{} packets", audio.hashes.len());
    assert_eq!(pictures(&joined).len(), video.hashes.len());
}

#[test]
fn sec_settings_that_cannot_be_are_refused_with_their_name_and_without_secrets() {
    let (sink, src) = ("whipsink", "whepsrc");
    for (element, settings, property, why) in [
        (src, "location=rtmp://127.0.0.1/live/s3cret", "location", "`rtmp`"),
        (src, "location=http://joe:s3cret@127.0.0.1/", "location", "a password"),
        (src, "location=http://h/x token=\"s3cret two\"", "token", "bearer token"),
        (src, "location=http://h/x timeout=0s", "timeout", "is 0"),
        (src, "location=http://h/x ice-transport=relay", "ice-transport", "there is none"),
        (sink, "location=http://h/x token=\"\"", "token", "bearer token"),
    ] {
        let line = match element {
            "whepsrc" => format!("whepsrc {settings} name=w  w.video ! fakesink"),
            _ => format!("whepsrc location=http://h/ name=i  i.video ! w.video  whipsink {settings} name=w"),
        };
        let said = run_args(&root(), &["launch", "-q", &line]);
        assert_eq!(said.code, 2, "{line}: {}", said.err);
        assert!(said.err.contains(why) && said.err.contains(property), "{line}: {}", said.err);
        assert!(!said.err.contains("s3cret"), "{}", said.err);
    }
}
