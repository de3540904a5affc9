//! Pipelines that ship and encode anew, with elements of GStreamer. What comes out is read by ffprobe.

use std::path::Path;
use std::process::Command;

use millstream_tests::live::{Background, free_port, wait_for_port};
use millstream_tests::plugins;
use millstream_tests::{Said, peers, root};
use serde_json::Value;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The command line at the root, with the plugin of GStreamer in a folder: put there once, as a library that runs must not be written over.
fn command(folder: &Path) -> Command {
    if !folder.join(plugins::library("millstream_gstreamer")).is_file() {
        plugins::gstreamer(folder);
    }
    let mut command = plugins::command(folder);
    command.current_dir(root());
    command
}

/// Runs a shipped pipeline as its comment says.
fn ship(folder: &Path, name: &str, set: &[(&str, &str)]) -> Said {
    let mut command = command(folder);
    command.args(["run", "--quiet", &format!("pipelines/{name}.yaml")]);
    command.args(set.iter().map(|(key, value)| format!("--set={key}={value}")));
    let said: Said = command.output().expect("it starts").into();
    assert_eq!((said.code, said.errors()), (0, 0), "{name}: {}", said.err);
    said
}

/// Streams of a file, as ffprobe reads them when it decodes all of it.
fn streams(file: &Path) -> Vec<Value> {
    let args = ["-v", "error", "-count_frames", "-show_entries", "stream", "-of", "json"];
    let said = Command::new(peers::need("ffprobe")).args(args).arg(file).output().expect("it starts");
    assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    let json: Value = serde_json::from_slice(&said.stdout).expect("JSON");
    json["streams"].as_array().expect("streams").clone()
}

/// First and last time of the packets of a kind, in seconds, and their number.
fn span(file: &Path, kind: &str) -> (f64, f64, usize) {
    let args = ["-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time", "-of", "csv=p=0"];
    let said = Command::new(peers::need("ffprobe")).args(args).arg(file).output().expect("it starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let times: Vec<f64> = text.lines().filter_map(|line| line.trim_matches(',').parse().ok()).collect();
    let first = times.iter().copied().fold(f64::MAX, f64::min);
    (first, times.iter().copied().fold(f64::MIN, f64::max), times.len())
}

#[test]
fn a_recording_becomes_a_smaller_one_with_the_same_times() {
    let dir = dir();
    let out = dir.path().join("out.flv");
    ship(dir.path(), "transcode-h264-aac", &[("output", &out.display().to_string())]);
    let streams = streams(&out);
    let field = |at: usize, name: &str| streams[at][name].clone();
    assert_eq!(
        (field(0, "codec_name"), field(0, "width"), field(0, "height")),
        ("h264".into(), 320.into(), 180.into())
    );
    assert_eq!(field(0, "nb_read_frames"), "600", "20 s of 30 pictures a second, each decoded");
    assert_eq!(
        (field(1, "codec_name"), field(1, "profile"), field(1, "sample_rate")),
        ("aac".into(), "LC".into(), "48000".into())
    );
    let clip = root().join("pipelines/media/demo.flv");
    let (before, after) = (span(&clip, "v"), span(&out, "v"));
    // x264 decodes two pictures ahead of the first that is shown: FLV knows no times below 0, so everything begins that much later.
    let later = after.0 - before.0;
    assert!((0.0..0.07).contains(&later) && (after.1 - before.1 - later).abs() < 0.002, "{before:?} {after:?}");
    let (before, after) = (span(&clip, "a"), span(&out, "a"));
    let off = (after.0 - before.0 - later, after.1 - before.1 - later);
    assert!(off.0.abs() < 0.05 && off.1.abs() < 0.1, "sound moves with the pictures: {before:?} {after:?}");
}

/// Key frames of the pictures of a presentation, in milliseconds.
fn keyframes(playlist: &Path) -> Vec<i64> {
    let args = ["-v", "error", "-select_streams", "v", "-skip_frame", "nokey", "-show_entries", "frame=pts_time"];
    let said = Command::new(peers::need("ffprobe")).args(args).args(["-of", "csv=p=0"]).arg(playlist).output();
    let text = String::from_utf8_lossy(&said.expect("it starts").stdout).into_owned();
    let time = |line: &str| Some((line.trim_matches(',').parse::<f64>().ok()? * 1000.0).round() as i64);
    text.lines().filter_map(time).collect()
}

#[test]
fn a_ladder_of_sizes_has_true_codecs_and_key_frames_at_the_same_times() {
    let dir = dir();
    let out = dir.path().join("hls");
    ship(dir.path(), "abr-ladder-hls", &[("output", &out.display().to_string())]);
    let list = std::fs::read_to_string(out.join("index.m3u8")).expect("a multivariant playlist");
    for part in ["RESOLUTION=640x360", "RESOLUTION=480x270", "RESOLUTION=320x180", "FRAME-RATE=30.000"] {
        assert!(list.contains(part), "{part} in {list}");
    }
    assert_eq!(list.matches(",mp4a.40.2\"").count(), 3, "{list}");
    let sizes = ["high", "middle", "low"].map(|name| out.join(name).join("index.m3u8"));
    let keys = sizes.each_ref().map(|playlist| keyframes(playlist));
    assert_eq!(keys[0].len(), 10, "one each 2 s: {keys:?}");
    assert!(keys[0] == keys[1] && keys[1] == keys[2], "{keys:?}");
    for (playlist, line) in sizes.iter().zip(list.lines().filter(|line| line.starts_with("#EXT-X-STREAM-INF"))) {
        // RFC 6381: profile, constraints and level as ffprobe finds them in the stream.
        let video = streams(playlist).into_iter().find(|stream| stream["codec_type"] == "video").expect("pictures");
        let level = video["level"].as_i64().expect("a level");
        assert!(line.contains(&format!("avc1.6400{level:02X}")), "{line}: {level}");
        assert_eq!(video["nb_read_frames"], "600");
    }
}

/// The mean difference of two areas of a picture of two files at a time, per pixel of 0 to 255: the bottom middle, and the middle of the left.
fn differences(a: &Path, b: &Path) -> [f64; 2] {
    let area = |file: &Path, crop: &str| -> Vec<u8> {
        let filter = format!("crop={crop},format=gray");
        let mut ffmpeg = Command::new(peers::need("ffmpeg"));
        ffmpeg.args(["-v", "error", "-ss", "5"]).arg("-i").arg(file);
        ffmpeg.args(["-frames:v", "1", "-vf", &filter, "-f", "rawvideo", "-"]).output().expect("it starts").stdout
    };
    ["200:40:220:310", "100:100:20:150"].map(|crop| {
        let (a, b) = (area(a, crop), area(b, crop));
        assert!(!a.is_empty() && a.len() == b.len());
        a.iter().zip(&b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
    })
}

#[test]
fn a_caption_is_burnt_in_where_it_belongs() {
    let dir = dir();
    let out = dir.path().join("out.flv");
    ship(dir.path(), "caption-overlay", &[("output", &out.display().to_string()), ("caption", "A caption, wide")]);
    let [caption, elsewhere] = differences(&root().join("pipelines/media/demo.flv"), &out);
    assert!(caption > 20.0 && elsewhere < 8.0, "{caption} {elsewhere}");
    assert_eq!(span(&out, "v").2, 600);
}

#[test]
fn every_few_seconds_become_a_small_jpeg() {
    let dir = dir();
    ship(dir.path(), "thumbnails", &[("output", &dir.path().display().to_string()), ("every", "4")]);
    let thumbs: Vec<_> = (0..5).map(|at| dir.path().join(format!("thumb-{at:03}.jpg"))).collect();
    for thumb in &thumbs {
        let picture = &streams(thumb)[0];
        assert_eq!((&picture["codec_name"], &picture["width"]), (&"mjpeg".into(), &160.into()));
    }
    assert_ne!(std::fs::read(&thumbs[0]).expect("one"), std::fs::read(&thumbs[3]).expect("another"));
}

#[test]
fn sound_alone_becomes_an_mp3() {
    let dir = dir();
    let out = dir.path().join("out.mp3");
    ship(dir.path(), "audio-only", &[("output", &out.display().to_string())]);
    let sound = &streams(&out)[0];
    assert_eq!((&sound["codec_name"], &sound["bit_rate"]), (&"mp3".into(), &"96000".into()));
    let (first, last, _) = span(&out, "a");
    assert!((19.0..21.0).contains(&(last - first)), "{first} {last}");
}

#[test]
fn h265_becomes_h264_with_every_picture() {
    let dir = dir();
    let out = dir.path().join("out.flv");
    ship(dir.path(), "hevc-to-h264", &[("output", &out.display().to_string())]);
    let streams = streams(&out);
    assert_eq!((&streams[0]["codec_name"], &streams[0]["nb_read_frames"]), (&"h264".into(), &"120".into()));
    assert_eq!(streams[1]["codec_name"], "aac");
}

/// Starts a shipped pipeline that listens, with the plugin in a folder.
fn listening(folder: &Path, name: &str, port: u16, set: &[(&str, &str)]) -> Background {
    let mut command = command(folder);
    command.args(["run", "--quiet", &format!("pipelines/{name}.yaml"), &format!("--set=listen=127.0.0.1:{port}")]);
    command.args(set.iter().map(|(key, value)| format!("--set={key}={value}")));
    let running = Background::start(&mut command);
    wait_for_port(port);
    running
}

#[test]
fn what_is_published_plays_at_a_smaller_size() {
    let dir = dir();
    let (port, out) = (free_port(), dir.path().join("out.flv"));
    let mut relay = listening(dir.path(), "rtmp-transcode-relay", port, &[("once", "true")]);
    let line = format!("rtmpsrc location=rtmp://127.0.0.1:{port}/live/small ! filesink location={}", out.display());
    let mut player = Background::start(command(dir.path()).args(["launch", "--quiet", &line]));
    // The player is there before the publisher, who waits for nobody.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let url = format!("rtmp://127.0.0.1:{port}/live/cam");
    let clip = millstream_testkit::fixture("h264b_aac48s_10s.flv").display().to_string();
    ship(dir.path(), "file-to-rtmp", &[("input", &clip), ("url", &url), ("paced", "false")]);
    assert!(relay.wait() && player.wait());
    let streams = streams(&out);
    assert_eq!((&streams[0]["codec_name"], &streams[0]["width"]), (&"h264".into(), &320.into()));
    assert_eq!(streams[0]["nb_read_frames"], "300", "none is lost");
    assert_eq!(streams[1]["codec_name"], "aac");
}

#[test]
fn a_camera_is_pushed_in_step_with_its_sound() {
    let dir = dir();
    let (port, out) = (free_port(), dir.path().join("out.flv"));
    let output = out.display().to_string();
    let mut recorder = listening(dir.path(), "record-flv", port, &[("output", &output), ("grace", "0s")]);
    let url = format!("rtmp://127.0.0.1:{port}/live/cam");
    let camera = "videotestsrc is-live=true pattern=ball num-buffers=60";
    let microphone = "audiotestsrc is-live=true num-buffers=88";
    ship(dir.path(), "camera-to-rtmp", &[("url", &url), ("camera", camera), ("microphone", microphone)]);
    assert!(recorder.wait());
    let streams = streams(&out);
    assert_eq!((&streams[0]["codec_name"], &streams[0]["height"]), (&"h264".into(), &360.into()));
    assert_eq!((&streams[1]["codec_name"], &streams[1]["sample_rate"]), (&"aac".into(), &"48000".into()));
    let (video, audio) = (span(&out, "v"), span(&out, "a"));
    assert!(video.2 >= 55 && audio.2 >= 80, "{video:?} {audio:?}");
    assert!((video.0 - audio.0).abs() < 0.5, "they begin together: {video:?} {audio:?}");
}
