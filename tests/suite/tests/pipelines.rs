//! Every pipeline that ships does its job on the inputs it names. The counts of the bundled clip are those of its README (20 s of 30
//! pictures a second, a key frame every 2 s), those of the fixtures are libavformat's (tests/fixtures/README.md).

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use bytes::Bytes;
use millstream_rtmp::RtmpUrl;
use millstream_rtmp::command::PublishType;
use millstream_rtmp::session::client::{ClientSettings, Purpose};
use millstream_runtime::Runtime;
use millstream_testkit::fixture;
use millstream_tests::rtmp::Client;
use millstream_tests::webrtc::chromium;
use millstream_tests::{Said, millstream, root, run_args};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Runs a shipped pipeline from the root, as its comment says.
fn ship(name: &str, set: &[(&str, &Path)]) -> Said {
    let set: Vec<String> = set.iter().map(|(key, path)| format!("--set={key}={}", path.display())).collect();
    let file = format!("pipelines/{name}.yaml");
    let args: Vec<&str> = ["run", &file].into_iter().chain(set.iter().map(String::as_str)).collect();
    let said = run_args(&root(), &args);
    assert_eq!((said.code, said.errors()), (0, 0), "{name}: {}", said.err);
    said
}

/// Duration of a file in seconds, as ffprobe says it.
fn seconds(file: &Path) -> f64 {
    let said = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"])
        .arg(file)
        .output()
        .expect("ffprobe runs: `cargo xtask setup` installs it");
    String::from_utf8_lossy(&said.stdout).trim().parse().expect("a duration")
}

/// Pictures, sounds and key frames in a file, as ffprobe counts them.
fn counts(file: &Path) -> (u64, u64, u64) {
    let entries = "packet=codec_type,flags";
    let said = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", entries, "-of", "csv=p=0"])
        .arg(file)
        .output()
        .expect("ffprobe runs: `cargo xtask setup` installs it");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let text = String::from_utf8_lossy(&said.stdout);
    let count = |is: &dyn Fn(&str) -> bool| text.lines().filter(|line| is(line)).count() as u64;
    let video = |line: &str| line.starts_with("video");
    (count(&video), count(&|line| line.starts_with("audio")), count(&|line| video(line) && line.contains(",K")))
}

/// Pictures, sounds and key frames of the bundled clip.
fn clip() -> (u64, u64, u64) {
    let clip = counts(&root().join("pipelines/media/demo.flv"));
    assert_eq!((clip.0, clip.2), (600, 10), "20 s of 30 pictures a second, a key frame every 2 s");
    clip
}

/// Pictures, sounds and key frames of the fixtures of 10 s.
const FIXTURE: (u64, u64, u64) = (300, 470, 10);

fn is_transport_stream(file: &Path) {
    let ts = std::fs::read(file).expect("a file");
    assert!(!ts.is_empty() && ts.len().is_multiple_of(188) && ts.iter().step_by(188).all(|byte| *byte == 0x47));
}

/// Segment names in the playlist, all of them there; and its lines.
fn playlist(dir: &Path) -> (Vec<String>, String) {
    let text = std::fs::read_to_string(dir.join("index.m3u8")).expect("a playlist");
    let segments: Vec<String> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    segments.iter().for_each(|segment| is_transport_stream(&dir.join(segment)));
    (segments, text)
}

/// Pictures in the segments taken together.
fn pictures(dir: &Path, segments: &[String]) -> u64 {
    let whole: Vec<u8> = segments.iter().flat_map(|s| std::fs::read(dir.join(s)).expect("a segment")).collect();
    let joined = dir.join("joined.ts");
    std::fs::write(&joined, whole).expect("written");
    counts(&joined).0
}

/// What a program says on standard error until it has said so many lines with a word.
fn said_until(running: &mut Child, word: &str, lines: usize) -> String {
    let mut said = String::new();
    let mut reader = BufReader::new(running.stderr.take().expect("it is piped"));
    while said.lines().filter(|line| line.contains(word)).count() < lines {
        assert!(reader.read_line(&mut said).expect("text") > 0, "it ended: {said}");
    }
    // Nobody else reads it, and what is not read must not hold it up.
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    said
}

/// The browser is in `watch.rs`.
#[test]
fn demo_shows_the_clip_at_once_over_rtmp_flv_hls_and_webrtc() {
    let (dir, rtmp, http) = (dir(), free_address(), free_address());
    let mut running = millstream(&root())
        .args(["run", "pipelines/demo.yaml", "--set", &format!("rtmp={rtmp}"), "--set", &format!("http={http}")])
        .args(["--set", &format!("output={}", dir.path().display())])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let said = said_until(&mut running, "play  ", 8);
    let flv = format!("http://{http}/live/demo.flv");
    assert!(said.contains(&flv) && said.contains(&format!("rtmp://{rtmp}/live/cam")), "{said}");
    let played = format!("rtmp://{rtmp}/live/demo");
    assert!(said.contains(&format!("play        {played}")), "{said}");
    for url in [played, flv, format!("http://{http}/live/demo/index.m3u8")] {
        // The first segment takes 2 s.
        let seen = (0..300).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            let seen = std::process::Command::new("ffprobe")
                .args(["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", &url])
                .output()
                .expect("ffprobe runs: `cargo xtask setup` installs it");
            seen.status.success().then(|| String::from_utf8_lossy(&seen.stdout).into_owned())
        });
        let seen = seen.expect("it can be played within half a minute");
        assert!(seen.contains("h264") && seen.contains("aac"), "{url}: {seen}");
    }
    let seen = chromium("play", &format!("http://{http}/whep/live/demo"), 2, "any", "");
    assert!(seen["video"]["frames"].as_u64().is_some_and(|frames| frames > 20), "{seen}");
    assert!(seen["audio"]["energy"].as_f64().is_some_and(|energy| energy > 0.0), "{seen}");
    let interrupt = std::process::Command::new("kill").args(["-INT", &running.id().to_string()]).status();
    assert!(interrupt.expect("kill runs").success());
    assert_eq!(running.wait().expect("a child").code(), Some(130), "interrupted, and nothing else");
}

#[test]
fn demo_says_which_port_is_taken_and_what_to_do() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let (dir, taken) = (dir(), taken.local_addr().map(|address| (taken, address)).expect("an address"));
    let output = format!("output={}", dir.path().display());
    let (rtmp, http) = (format!("rtmp={}", free_address()), format!("http={}", taken.1));
    let said = run_args(&root(), &["run", "pipelines/demo.yaml", "--set", &rtmp, "--set", &http, "--set", &output]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains(&format!("cannot listen at {}", taken.1)) && said.err.contains("--set"), "{}", said.err);
}

#[test]
fn flv_to_ts() {
    let dir = dir();
    let out = dir.path().join("out.ts");
    ship("flv-to-ts", &[("output", &out)]);
    is_transport_stream(&out);
    assert_eq!(counts(&out), clip());
}

#[test]
fn flv_to_hls() {
    let dir = dir();
    ship("flv-to-hls", &[("output", dir.path())]);
    let (segments, text) = playlist(dir.path());
    assert!(text.contains("#EXT-X-PLAYLIST-TYPE:VOD"), "{text}");
    assert_eq!(pictures(dir.path(), &segments), clip().0);
}

#[test]
fn mp4_to_hls() {
    let dir = dir();
    ship("mp4-to-hls", &[("output", dir.path())]);
    let (segments, text) = playlist(dir.path());
    assert!(text.contains("#EXT-X-PLAYLIST-TYPE:VOD"), "{text}");
    assert_eq!(pictures(dir.path(), &segments), 62, "as libavformat counts them in the fixture");
}

#[test]
fn flv_to_flv_writes_duration_and_index() {
    let dir = dir();
    let out = dir.path().join("out.flv");
    ship("flv-to-flv", &[("output", &out)]);
    assert_eq!(counts(&out), clip());
    let bytes = std::fs::read(&out).expect("a file");
    let has = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    assert!(has(b"duration") && has(b"keyframes") && has(b"filepositions"));
}

#[test]
fn ts_to_flv() {
    let dir = dir();
    let out = dir.path().join("out.flv");
    ship("ts-to-flv", &[("output", &out)]);
    assert_eq!(counts(&out), FIXTURE);
}

#[test]
fn ts_to_hls() {
    let dir = dir();
    ship("ts-to-hls", &[("output", dir.path())]);
    let (segments, _) = playlist(dir.path());
    assert_eq!(pictures(dir.path(), &segments), FIXTURE.0);
}

#[test]
fn ts_repair() {
    let dir = dir();
    let out = dir.path().join("out.ts");
    ship("ts-repair", &[("output", &out)]);
    assert_eq!(counts(&out), FIXTURE);
}

#[test]
fn tee_record() {
    let dir = dir();
    ship("tee-record", &[("output", &dir.path().join("both"))]);
    assert_eq!(counts(&dir.path().join("both.ts")), clip());
    assert_eq!(counts(&dir.path().join("both.flv")), clip());
}

#[test]
fn paced_playout_keeps_a_window() {
    let dir = dir();
    ship("paced-playout", &[("output", dir.path()), ("paced", Path::new("false")), ("window", Path::new("6s"))]);
    let (segments, text) = playlist(dir.path());
    assert!(segments.len() < 10 && !text.contains("MEDIA-SEQUENCE:0\n"), "{text}");
}

#[test]
fn split_audio() {
    let dir = dir();
    let out = dir.path().join("out.aac");
    ship("split-audio", &[("output", &out)]);
    // Each ADTS frame begins with 12 set bits and says its own length (ISO/IEC 14496-3, 1.A.2.2).
    let bytes = std::fs::read(&out).expect("a file");
    let (mut at, mut frames) = (0, 0);
    while let Some(header) = bytes.get(at..at + 7) {
        assert!(header[0] == 0xFF && header[1] & 0xF0 == 0xF0, "frame {frames}");
        at += usize::from(header[3] & 3) << 11 | usize::from(header[4]) << 3 | usize::from(header[5]) >> 5;
        frames += 1;
    }
    assert_eq!((at, frames), (bytes.len(), clip().1));
}

#[test]
fn concat() {
    let dir = dir();
    let out = dir.path().join("out.ts");
    ship("concat", &[("output", &out)]);
    let clip = clip();
    assert_eq!(counts(&out), (clip.0 + FIXTURE.0, clip.1 + FIXTURE.1, clip.2 + FIXTURE.2));
    let duration = seconds(&out);
    assert!((29.9..30.2).contains(&duration), "20 s and 10 s: {duration}");
}

#[test]
fn filter_stdin() {
    let dir = dir();
    let clip_file = std::fs::File::open(root().join("pipelines/media/demo.flv")).expect("the clip");
    let output = millstream(&root())
        .args(["run", "pipelines/filter-stdin.yaml"])
        .stdin(clip_file)
        .stderr(Stdio::null())
        .output()
        .expect("it starts");
    assert!(output.status.success());
    let out = dir.path().join("out.ts");
    std::fs::write(&out, output.stdout).expect("written");
    is_transport_stream(&out);
    assert_eq!(counts(&out), clip());
}

/// Runs a shipped pipeline that listens, and publishes the fixture to it with ffmpeg.
fn ship_published(name: &str, set: &[(&str, &Path)]) {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let listen = free.local_addr().expect("an address");
    drop(free);
    let file = format!("pipelines/{name}.yaml");
    let mut args = vec!["run".to_owned(), "--quiet".into(), file, "--set".into(), format!("listen={listen}")];
    args.extend(set.iter().flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={}", value.display())]));
    let mut running = millstream(&root()).args(&args).spawn().expect("it starts");
    while std::net::TcpStream::connect(listen).is_err() {
        assert!(running.try_wait().expect("a child").is_none(), "{name} ended before it listened");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let url = format!("rtmp://{listen}/live/cam");
    let published = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(fixture("h264b_aac48s_10s.flv"))
        .args(["-c", "copy", "-f", "flv", &url])
        .output()
        .expect("ffmpeg runs: `cargo xtask setup` installs it");
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    assert!(running.wait().expect("a child").success(), "{name}");
}

#[test]
fn record_flv() {
    let dir = dir();
    let out = dir.path().join("out.flv");
    ship_published("record-flv", &[("output", &out), ("grace", Path::new("0s"))]);
    assert_eq!(counts(&out), FIXTURE);
}

/// Players are in `hls_http.rs`.
#[test]
fn rtmp_to_hls() {
    let dir = dir();
    let set = [("output", dir.path()), ("http", Path::new("127.0.0.1:0")), ("window", Path::new("0s"))];
    ship_published("rtmp-to-hls", &[&set[..], &[("once", Path::new("true"))]].concat());
    let (segments, _) = playlist(dir.path());
    assert_eq!(pictures(dir.path(), &segments), FIXTURE.0);
}

/// Players are in `rtmp.rs`.
#[test]
fn rtmp_relay() {
    ship_published("rtmp-relay", &[("once", Path::new("true"))]);
}

/// Players are in `httpflv.rs`.
#[test]
fn rtmp_to_httpflv() {
    ship_published("rtmp-to-httpflv", &[("http", Path::new("127.0.0.1:0")), ("once", Path::new("true"))]);
}

fn free_address() -> SocketAddr {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    free.local_addr().expect("an address")
}

/// A shipped pipeline that listens, once it does.
fn listening(name: &str, listen: SocketAddr, set: &[(&str, &str)]) -> Child {
    let mut args = vec!["run".to_owned(), "--quiet".into(), format!("pipelines/{name}.yaml")];
    args.extend(["--set".into(), format!("listen={listen}")]);
    args.extend(set.iter().flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")]));
    let mut running = millstream(&root()).args(&args).spawn().expect("it starts");
    while std::net::TcpStream::connect(listen).is_err() {
        assert!(running.try_wait().expect("a child").is_none(), "{name} ended before it listened");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    running
}

/// Sends the fixture with the shipped pipeline, at its own pace or as fast as it is taken.
fn publish_to(listen: SocketAddr, paced: &str) {
    let clip = fixture("h264b_aac48s_10s.flv");
    let url = format!("rtmp://{listen}/live/cam");
    ship("file-to-rtmp", &[("input", &clip), ("url", Path::new(&url)), ("paced", Path::new(paced))]);
}

#[test]
fn file_to_rtmp_and_relay_fanout() {
    let dir = dir();
    let outs = ["a.flv", "b.flv"].map(|name| dir.path().join(name));
    let addresses = [free_address(), free_address()];
    let recorders: Vec<_> = addresses
        .iter()
        .zip(&outs)
        .map(|(listen, out)| listening("record-flv", *listen, &[("output", &out.to_string_lossy()), ("grace", "0s")]))
        .collect();
    let [first, second] = addresses.map(|address| format!("rtmp://{address}/live/cam"));
    let listen = free_address();
    let targets = [("first", &*first), ("second", &*second), ("once", "true")];
    let relay = listening("rtmp-relay-fanout", listen, &targets);
    // Faster than time, a live fan-out would leave out what the targets do not take at once.
    publish_to(listen, "true");
    for mut running in recorders.into_iter().chain([relay]) {
        assert!(running.wait().expect("a child").success());
    }
    outs.iter().for_each(|out| assert_eq!(counts(out), FIXTURE));
}

/// What is published at one place can be played at the other, and both relays end with it.
fn relayed(published_at: SocketAddr, played_at: SocketAddr, relays: [Child; 2]) {
    let dir = dir();
    let out = dir.path().join("out.flv");
    let line = format!("rtmpsrc location=rtmp://{played_at}/live/cam ! filesink location={}", out.display());
    let player = millstream(&root()).args(["launch", "--quiet", &line]).spawn().expect("it starts");
    // Both players are there before the publisher, who waits for nobody.
    std::thread::sleep(std::time::Duration::from_secs(1));
    publish_to(published_at, "false");
    for mut running in relays.into_iter().chain([player]) {
        assert!(running.wait().expect("a child").success());
    }
    assert_eq!(counts(&out), FIXTURE);
}

#[test]
fn rtmp_pull_relay() {
    let (origin, listen) = (free_address(), free_address());
    let origin_relay = listening("rtmp-relay", origin, &[("once", "true")]);
    let url = format!("rtmp://{origin}/live/cam");
    let relay = listening("rtmp-pull-relay", listen, &[("url", &url), ("once", "true")]);
    relayed(origin, listen, [origin_relay, relay]);
}

/// Publishes the fixture with ffmpeg, at its own pace.
fn ffmpeg_publishes(url: &str) -> Child {
    std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-re", "-i"])
        .arg(fixture("h264b_aac48s_10s.flv"))
        .args(["-c", "copy", "-f", "flv", url])
        .spawn()
        .expect("ffmpeg runs: `cargo xtask setup` installs it")
}

/// Saves what a URL plays, until it ends or as long as is said.
fn ffmpeg_plays(url: &str, out: &Path, how_long: &[&str]) -> Child {
    std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i", url])
        .args(how_long)
        .args(["-c", "copy", "-bsf:a", "aac_adtstoasc", "-f", "flv"])
        .arg(out)
        .spawn()
        .expect("ffmpeg runs: `cargo xtask setup` installs it")
}

#[test]
fn live_server_takes_two_streams_at_once_and_serves_each_as_rtmp_http_flv_and_hls() {
    let dir = dir();
    let (listen, http) = (free_address(), free_address());
    let set = [
        ("http", http.to_string()),
        ("output", dir.path().display().to_string()),
        ("window", "0s".into()),
        ("grace", "1s".into()),
    ];
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = listening("live-server", listen, &set);
    let names = ["north", "south"];
    let publishers = names.map(|name| ffmpeg_publishes(&format!("rtmp://{listen}/live/{name}")));
    // Players of HTTP come to what is there.
    for name in names {
        let playlist = dir.path().join(format!("live/{name}/index.m3u8"));
        while !playlist.exists() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    let saved = |name: &str, how: &str| dir.path().join(format!("{name}-{how}.flv"));
    let players: Vec<_> = names
        .iter()
        .flat_map(|name| {
            [
                ffmpeg_plays(&format!("rtmp://{listen}/live/{name}"), &saved(name, "rtmp"), &[]),
                ffmpeg_plays(&format!("http://{http}/live/{name}.flv"), &saved(name, "http"), &[]),
                ffmpeg_plays(&format!("http://{http}/live/{name}/index.m3u8"), &saved(name, "hls"), &["-t", "3"]),
            ]
        })
        .collect();
    for mut child in publishers.into_iter().chain(players) {
        assert!(child.wait().expect("a child").success());
    }
    for name in names {
        let hls = dir.path().join("live").join(name);
        // The last player has ended with the instance, and the playlist with it.
        let (segments, text) = playlist(&hls);
        assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
        assert_eq!(pictures(&hls, &segments), FIXTURE.0, "{name}");
        for how in ["rtmp", "http", "hls"] {
            let (pictures, sounds, keys) = counts(&saved(name, how));
            // They joined at the second key frame or later, with the group of pictures before them.
            assert!(pictures > 60 && pictures < FIXTURE.0 && sounds > 60 && keys > 1, "{name} {how}: {pictures}");
        }
    }
    interrupt(server);
}

/// Ends a server as Ctrl-C does.
fn interrupt(mut running: Child) {
    millstream_tests::signal(&running, "INT");
    assert_eq!(running.wait().expect("a child").code(), Some(130));
}

/// Saves what `rtmpsrc` plays from a URL with these settings.
fn rtmpsrc_plays(url: &str, settings: &str, out: &Path) {
    let line = format!("rtmpsrc location={url} {settings} ! filesink location={}", out.display());
    let said = run_args(&root(), &["launch", "--quiet", &line]);
    assert_eq!((said.code, said.errors()), (0, 0), "{line}: {}", said.err);
}

/// Seeking and pausing are in `rtmp_vod.rs`.
#[test]
fn vod() {
    let (dir, listen) = (dir(), free_address());
    std::fs::create_dir(dir.path().join("live")).expect("a folder");
    std::fs::copy(fixture("h264b_aac48s_10s.flv"), dir.path().join("live/talk.flv")).expect("a copy");
    let server = listening("vod", listen, &[("directory", &dir.path().to_string_lossy())]);
    let (url, [whole, part]) =
        (format!("rtmp://{listen}/live/talk"), ["whole.flv", "part.flv"].map(|name| dir.path().join(name)));
    let mut player = ffmpeg_plays(&url, &whole, &[]);
    rtmpsrc_plays(&url, "start=5s", &part);
    assert!(player.wait().expect("a child").success());
    assert_eq!(counts(&whole), FIXTURE);
    let (pictures, _, keys) = counts(&part);
    assert_eq!((pictures, keys), (150, 5), "a key frame on each second");
    interrupt(server);
}

/// No foreign encoder publishes as `record`.
#[test]
fn record() {
    let (dir, listen) = (dir(), free_address());
    let server = listening("record", listen, &[("directory", &dir.path().to_string_lossy())]);
    let url = format!("rtmp://{listen}/live/cam");
    let runtime = Runtime::new().expect("a runtime");
    let clip: Bytes = std::fs::read(fixture("h264b_aac48s_10s.flv")).expect("the fixture").into();
    for (kind, times) in [(PublishType::Record, 1), (PublishType::Append, 2), (PublishType::Record, 1)] {
        let settings = ClientSettings::new(RtmpUrl::parse(&url).expect("a URL"), Purpose::Publish(kind));
        let address = ([127, 0, 0, 1], listen.port());
        runtime.block_on(async {
            Client::connect_to(runtime.env(), address, settings).await.publish(clip.clone()).await;
        });
        let file = dir.path().join("live/cam.flv");
        millstream_tests::until("the recording is whole", || file.exists() && counts(&file).0 == times * FIXTURE.0);
        let again = dir.path().join("again.flv");
        rtmpsrc_plays(&url, "start=0s stop=2s", &again);
        assert_eq!(counts(&again).0, 60);
    }
    interrupt(server);
}

/// The order of inputs is in `failover.rs`; here a foreign publisher goes away and the bundled clip takes its place.
#[test]
fn failover() {
    let dir = dir();
    let out = dir.path().join("out.flv");
    let listen = free_address();
    let switching = listening("failover", listen, &[("stable", "0s")]);
    let line = format!("rtmpsrc location=rtmp://{listen}/live/out ! filesink location={}", out.display());
    let player = millstream(&root()).args(["launch", "--quiet", &line]).spawn().expect("it starts");
    let published = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-re", "-t", "3", "-i"])
        .arg(fixture("h264b_aac48s_10s.flv"))
        .args(["-c", "copy", "-f", "flv", &format!("rtmp://{listen}/live/primary")])
        .output()
        .expect("ffmpeg runs: `cargo xtask setup` installs it");
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    // The clip comes at its own pace; what was played so far is in a part file.
    let part = dir.path().join("out.flv.part");
    let before = std::fs::metadata(&part).map_or(0, |meta| meta.len());
    millstream_tests::until("the slate is played", || {
        std::fs::metadata(&part).is_ok_and(|meta| meta.len() > before + 500_000)
    });
    millstream_tests::signal(&switching, "INT");
    let codes = [switching, player].map(|mut running| running.wait().expect("a child").code());
    assert_eq!(codes, [Some(130), Some(0)], "interrupted, and the end of the stream");
    let (pictures, sounds, keys) = counts(&out);
    assert!(pictures > 90 && sounds > 90 && keys >= 4, "{pictures} {sounds} {keys}");
    assert!(seconds(&out) > 3.0, "{}", seconds(&out));
}

#[test]
fn httpflv_pull() {
    let (origin, http, listen) = (free_address(), free_address(), free_address());
    let at = http.to_string();
    let origin_relay = listening("rtmp-to-httpflv", origin, &[("http", &at), ("once", "true")]);
    let url = format!("http://{http}/live/cam.flv");
    let relay = listening("httpflv-pull", listen, &[("url", &url), ("once", "true")]);
    relayed(origin, listen, [origin_relay, relay]);
}

#[test]
fn every_shipped_pipeline_is_tested_and_says_its_use_case() {
    let files = std::fs::read_dir(root().join("tests/suite/tests")).expect("a folder");
    let sources = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
    let tests: String = sources.collect();
    let folder = std::fs::read_dir(root().join("pipelines")).expect("a folder");
    let mut seen = 0;
    for path in
        folder.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == "yaml"))
    {
        let text = std::fs::read_to_string(&path).expect("text");
        let name = path.file_stem().expect("a name").to_string_lossy();
        assert!(
            text.starts_with("# ") && text.contains(&format!("run pipelines/{name}.yaml")),
            "{name}: use case on top"
        );
        assert!(text.contains(&format!("\nname: {name}\n")), "{name}: its name is that of the file");
        assert!(
            tests.contains(&format!("\"{name}\"")) || tests.contains(&format!("pipelines/{name}.yaml\"")),
            "{name}: no test"
        );
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}
