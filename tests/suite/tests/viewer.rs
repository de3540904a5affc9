//! The whole chain: a camera with a caption is pushed to nginx, the CDN, whose HLS a browser plays. What a viewer sees is compared with what GStreamer
//! draws by itself, so a caption that is missing, cut off or another one fails.

use std::path::{Path, PathBuf};

use millstream_testkit::media::workspace;
use millstream_tests::live::{self, Background};
use millstream_tests::peers::need;
use millstream_tests::program::run;
use millstream_tests::servers::Server;
use millstream_tests::{plugins, root};
use serde_json::Value;

/// Stands in for the camera: pictures that do not move, so that each of them can be compared with.
const CAMERA: &str = "videotestsrc is-live=true pattern=smpte75";
const CAPTION: &str = "Hall 2, live from millstream";
const SIZE: [usize; 2] = [640, 360];
/// Where the caption is: left, top, width, height.
const BELOW: [usize; 4] = [120, 300, 400, 50];
/// Where none is.
const ABOVE: [usize; 4] = [120, 20, 400, 240];

/// A file among the output of the tests, where it can be looked at afterwards.
fn output(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Pixels of a picture in grey, from 0 to 255.
fn grey(picture: &Path) -> Vec<u8> {
    let file = picture.display().to_string();
    let mut ffmpeg = std::process::Command::new(need("ffmpeg"));
    ffmpeg.args(["-nostdin", "-v", "error", "-i", &file, "-vf", "format=gray", "-f", "rawvideo", "-"]);
    let pixels = ffmpeg.output().expect("it starts").stdout;
    assert_eq!(pixels.len(), SIZE[0] * SIZE[1], "{file} has the size of the pictures");
    pixels
}

/// The mean difference of two pictures in an area, per pixel.
fn difference(a: &[u8], b: &[u8], [left, top, width, height]: [usize; 4]) -> f64 {
    let rows = (top..top + height).map(|row| row * SIZE[0] + left);
    let sum: u64 = rows.flat_map(|at| at..at + width).map(|at| u64::from(a[at].abs_diff(b[at]))).sum();
    sum as f64 / (width * height) as f64
}

/// What the camera gives, drawn by GStreamer alone.
fn drawn(caption: Option<&str>, name: &str) -> Vec<u8> {
    let file = output(name);
    let overlay = caption.map(|caption| format!("text=\"{caption}\""));
    let font = ["valignment=bottom", "shaded-background=true", "font-desc=\"Sans Bold 20\""];
    let size = format!("video/x-raw,format=I420,width={},height={}", SIZE[0], SIZE[1]);
    let mut words = vec!["-q", "videotestsrc", "pattern=smpte75", "num-buffers=1", "!", &size, "!"];
    if let Some(overlay) = &overlay {
        words.extend(["textoverlay", overlay].into_iter().chain(font).chain(["!"]));
    }
    let location = format!("location={}", file.display());
    words.extend(["videoconvert", "!", "pngenc", "!", "filesink", &location]);
    let said = run(&need("gst-launch-1.0"), words);
    assert!(said.ok, "{}{}", said.stdout, said.stderr);
    grey(&file)
}

/// What a browser sees of a live presentation, and how it looks after some seconds.
fn watch(playlist: &str, seconds: u32, screenshot: &Path) -> Value {
    need("chromium");
    let script = root().join("tests/peers/play-hls.mjs").display().to_string();
    let modules = workspace().join("target/peers/node").display().to_string();
    let (seconds, screenshot) = (seconds.to_string(), screenshot.display().to_string());
    let said = run(&need("node"), [&script, &modules, "--live", &seconds, "--screenshot", &screenshot, playlist]);
    serde_json::from_str(&said.stdout)
        .unwrap_or_else(|_| panic!("`cargo xtask setup` brings hls.js and puppeteer-core: {}", said.stderr))
}

/// Publishes the camera with the caption for as long as it is kept.
fn publish(folder: &Path, url: &str) -> Background {
    plugins::gstreamer(folder);
    let mut command = plugins::command(folder);
    command.current_dir(root()).args(["run", "--quiet", "pipelines/camera-to-viewer.yaml"]);
    let set = [("camera", CAMERA), ("caption", CAPTION), ("url", url), ("key-frames", "30")];
    command.args(set.iter().map(|(key, value)| format!("--set={key}={value}")));
    Background::start(&mut command)
}

/// Waits until a playlist of the CDN has so many segments: a browser does not ask for one that is not there again and again.
fn wait_for_segments(cdn: &Server, stream: &str, count: usize) {
    live::wait("no presentation comes", || (cdn.segments(stream).len() >= count).then_some(()));
}

#[test]
fn a_viewer_in_a_browser_sees_the_caption_of_a_camera() {
    let folder = tempfile::tempdir().expect("a folder");
    let cdn = Server::cdn();
    let _camera = publish(folder.path(), &cdn.url("live/cam"));
    wait_for_segments(&cdn, "cam", 4);
    let screenshot = output("camera-to-viewer.png");
    let seen = watch(&cdn.playlist("cam"), 4, &screenshot);
    assert!(seen["frames"].as_u64().is_some_and(|frames| frames > 4 * 10), "30 a second, some left out: {seen}");
    assert_eq!((&seen["width"], &seen["height"]), (&SIZE[0].into(), &SIZE[1].into()), "{seen}");
    let fatal = seen["errors"].as_array().into_iter().flatten().find(|error| error["fatal"] == true);
    assert_eq!(fatal, None, "{seen}");

    let picture = grey(&screenshot);
    let with = drawn(Some(CAPTION), "camera-to-viewer-expected.png");
    let without = drawn(None, "camera-to-viewer-bare.png");
    let other = drawn(Some("Hall 7, dead from millstream"), "camera-to-viewer-other.png");
    let below = [&with, &without, &other].map(|drawn| difference(&picture, drawn, BELOW));
    let above = difference(&picture, &with, ABOVE);
    // What H.264 loses of bars and letters is a few of 255.
    assert!(above < 8.0, "the pictures are the camera's: {above}, see {}", screenshot.display());
    assert!(below[0] < 10.0, "the caption is to be seen: {below:?}, see {}", screenshot.display());
    assert!(below[1] > 30.0 && below[2] > 20.0, "what is compared with differs: {below:?}");
}
