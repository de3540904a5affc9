//! RTMP with foreign programs: each publishes to our server, each plays from it, and what arrives is what was sent.
//!
//! | program | publishes | plays |
//! | --- | --- | --- |
//! | ffmpeg 5.1 | yes | yes |
//! | ffmpeg 9 | yes, Enhanced RTMP too | yes |
//! | GStreamer `rtmp2sink`, `rtmp2src` | yes | yes |
//! | GStreamer `rtmpsink` (librtmp) | yes | |
//! | rtmpdump (librtmp) | | yes |

use std::path::Path;

use millstream_core::MessageKind;
use millstream_runtime::{Bus, Runtime};
use millstream_testkit::fixture;
use millstream_tests::live::{self, Background};
use millstream_tests::peers;

fn words(line: &str, places: &[(&str, &str)]) -> Vec<String> {
    let fill = |word: &str| places.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value));
    line.split_ascii_whitespace().map(fill).collect()
}

async fn until_played(bus: &mut Bus) {
    loop {
        let message = bus.next().await.expect("the pipeline runs");
        if let MessageKind::Element { name: "players", fields } = &message.kind
            && fields.iter().any(|(_, count)| count == "1")
        {
            return;
        }
    }
}

/// Relays one publication to one player, at an address with these settings. `PORT`, `CLIP` and `OUT` stand in the commands. How programs
/// end is their affair: what they wrote is looked at.
fn relay(settings: &str, publisher: &str, player: &str, clip: &Path, out: &Path) {
    let port = live::free_port();
    let line = format!(
        "rtmpserversrc listen=127.0.0.1:{port} {settings} stream=cam eos-on-unpublish=true grace=0s ! \
         rtmpserversink listen=127.0.0.1:{port} {settings} stream=cam backlog=1h backlog-size=1GiB"
    );
    let runtime = Runtime::new().expect("a runtime");
    let mut pipeline = live::start(&runtime, &line);
    let mut bus = pipeline.bus().expect("the first to ask");
    let (clip, file) = (clip.to_string_lossy(), out.to_string_lossy());
    let text = port.to_string();
    let places = [("PORT", &*text), ("CLIP", &*clip), ("OUT", &*file)];
    live::wait_for_port(port);
    let mut player = Background::words(&words(player, &places));
    live::in_time(&runtime, until_played(&mut bus)).expect("the player joins");
    let mut publisher = Background::words(&words(publisher, &places));
    live::in_time(&runtime, pipeline.wait()).expect("the pipeline ends with the publication").expect("and well");
    publisher.wait();
    player.wait();
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

/// What OBS calls a stream key, said by a foreign encoder and a foreign player: without it neither gets in.
#[test]
fn rtmp_m5_ffmpeg_publishes_and_plays_with_its_key_and_is_refused_with_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let keys = dir.path().join("keys.txt");
    std::fs::write(&keys, "cam s3cret-of-cam\nother s3cret-of-other\n").expect("a file");
    let (clip, played) = (fixture("h264b_aac48s_10s.flv"), dir.path().join("played.flv"));
    let settings = format!("keys-file={}", keys.display());
    let with = |line: &str, key: &str| {
        let line = line.replace("cam?key=a=b", "cam");
        line.replace("/live/cam", &format!("/live/cam?key={key}"))
    };
    for program in ["ffmpeg", "ffmpeg9"] {
        let [publish, play] = [PUBLISH_FFMPEG, PLAY_FFMPEG].map(|line| line.replace("ffmpeg", program));
        relay(&settings, &with(&publish, "s3cret-of-cam"), &with(&play, "s3cret-of-cam"), &clip, &played);
        same(&clip, &played, ["h264", "aac"], program);
    }
    let port = live::free_port();
    let runtime = Runtime::new().expect("a runtime");
    let mut pipeline = live::start(
        &runtime,
        &format!(
            "rtmpserversrc listen=127.0.0.1:{port} {settings} stream=cam ! rtmpserversink listen=127.0.0.1:{port} {settings} stream=cam"
        ),
    );
    let mut bus = pipeline.bus().expect("the first to ask");
    live::wait_for_port(port);
    let (port, refused) = (port.to_string(), dir.path().join("refused.flv"));
    let (clip, out) = (clip.to_string_lossy(), refused.to_string_lossy());
    let places = [("PORT", &*port), ("CLIP", &*clip), ("OUT", &*out)];
    for key in ["s3cret-of-other", "wrong"] {
        for line in [PUBLISH_FFMPEG, PLAY_FFMPEG] {
            let line = with(&line.replace("ffmpeg -v error", "ffmpeg -v quiet"), key);
            assert!(!Background::words(&words(&line, &places)).wait(), "{line}");
        }
    }
    pipeline.stop();
    live::in_time(&runtime, pipeline.wait()).expect("it ends").expect("and well");
    let told: Vec<_> = std::iter::from_fn(|| bus.try_next()).collect();
    let came =
        told.iter().any(|message| matches!(message.kind, MessageKind::Element { name: "published" | "players", .. }));
    assert!(!came && !refused.exists(), "{told:?}");
}

/// Runs a launch line of ours to its end.
fn launch(line: &str) {
    let runtime = Runtime::new().expect("a runtime");
    let mut pipeline = live::start(&runtime, line);
    live::in_time(&runtime, pipeline.wait()).expect("it ends").expect("and well");
}

/// Our client tries again until ffmpeg listens.
#[test]
fn rtmp_m15_we_publish_to_ffmpeg() {
    for program in ["ffmpeg", "ffmpeg9"] {
        let dir = tempfile::tempdir().expect("a folder");
        let (clip, played) = (fixture("h264b_aac48s_10s.flv"), dir.path().join("played.flv"));
        let port = live::free_port().to_string();
        let server = "PROGRAM -v error -y -listen 1 -i rtmp://127.0.0.1:PORT/live/cam -c copy -f flv OUT";
        let out = played.to_string_lossy();
        let mut server = Background::words(&words(server, &[("PROGRAM", program), ("PORT", &port), ("OUT", &out)]));
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
        let port = live::free_port().to_string();
        let server = "PROGRAM -v error -i CLIP -c copy -f flv -listen 1 rtmp://127.0.0.1:PORT/live/cam";
        let input = clip.to_string_lossy();
        let mut server = Background::words(&words(server, &[("PROGRAM", program), ("PORT", &port), ("CLIP", &input)]));
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
        let ports = [live::free_port().to_string(), live::free_port().to_string()];
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
        let mut server = Background::words(&words(command, &places));
        let mut proxy = Background::words(&words("python3 PROXY CERT KEY SECURE PORT", &places));
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
