//! Pipelines that ship and encode anew, with elements of GStreamer. What comes out is read by ffprobe.

use std::path::Path;
use std::process::Command;

use millstream_tests::plugins;
use millstream_tests::{Said, peers, root};
use serde_json::Value;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The command line at the root, with the plugin of GStreamer in a folder.
fn command(folder: &Path) -> Command {
    let mut command = plugins::command(folder);
    command.current_dir(root());
    command
}

/// Runs a shipped pipeline as its comment says.
fn ship(folder: &Path, name: &str, set: &[(&str, &str)]) -> Said {
    plugins::gstreamer(folder);
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
    assert!((before.0 - after.0).abs() < 0.002 && (before.1 - after.1).abs() < 0.002, "{before:?} {after:?}");
    let (before, after) = (span(&clip, "a"), span(&out, "a"));
    assert!((before.0 - after.0).abs() < 0.05 && (before.1 - after.1).abs() < 0.1, "{before:?} {after:?}");
}
