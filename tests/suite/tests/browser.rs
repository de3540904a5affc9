//! Our HLS in Chromium with hls.js: every presentation plays to its end, every picture is decoded, and the duration is right.

use std::path::{Path, PathBuf};

use millstream_testkit::media::{media, media_dir, workspace};
use millstream_tests::peers::need;
use millstream_tests::program::run;
use millstream_tests::{root, run_args};
use serde_json::Value;

/// A presentation to make and play.
struct Show {
    name: &'static str,
    input: &'static str,
    /// Launch text between the file and the end; `hlssink` is named `h` and gets its directory behind it.
    line: &'static str,
    /// Pictures, and seconds of the longer track (manifest: libavformat 62).
    frames: u64,
    seconds: f64,
}

const AVC_AAC: &str = "flvdemux name=d d.video ! h264parse ! h.video d.audio ! aacparse ! h.audio hlssink name=h playlist-type=vod segment-duration=2s";
const TS_AVC_AAC: &str = "tsdemux name=d d.video ! h264parse ! h.video d.audio ! aacparse ! h.audio hlssink name=h playlist-type=vod segment-duration=2s";

const SHOWS: [Show; 15] = [
    Show { name: "baseline", input: "gen/h264b_aac48s_10s.flv", line: AVC_AAC, frames: 300, seconds: 10.0 },
    Show {
        name: "from-transport-stream",
        input: "gen/h264b_aac48s_10s.ts",
        line: "video/mpegts ! hlssink name=h playlist-type=vod segment-duration=2s",
        frames: 300,
        seconds: 10.0,
    },
    Show {
        name: "video-only",
        input: "gen/video_only_h264.flv",
        line: "flvdemux name=d d.video ! h264parse ! hlssink name=h segment-duration=1s",
        frames: 125,
        seconds: 5.0,
    },
    Show {
        name: "audio-only",
        input: "gen/audio_only_aac.flv",
        line: "flvdemux name=d d.audio ! aacparse ! hlssink name=h segment-duration=2s",
        frames: 0,
        seconds: 5.02,
    },
    Show { name: "variable-rate", input: "gen/h264_vfr.flv", line: AVC_AAC, frames: 140, seconds: 8.03 },
    Show { name: "b-pyramid", input: "gen/h264_2997_bpyr.ts", line: TS_AVC_AAC, frames: 120, seconds: 4.02 },
    Show {
        name: "mp3",
        input: "gen/h264_mp3_44s.flv",
        line: "flvdemux name=d d.video ! h264parse ! h.video d.audio ! mpegaudioparse ! h.audio hlssink name=h segment-duration=2s",
        frames: 125,
        seconds: 5.03,
    },
    Show { name: "mono-44100", input: "gen/h264_aac44m.flv", line: AVC_AAC, frames: 125, seconds: 5.03 },
    Show { name: "1080p", input: "gen/h264_1080p_aac_5s.flv", line: AVC_AAC, frames: 150, seconds: 5.02 },
    Show { name: "change-of-size", input: "gen/flv_sps_change.flv", line: AVC_AAC, frames: 425, seconds: 15.05 },
    Show { name: "wrap-of-33-bits", input: "gen/h264_pts_wrap33.ts", line: TS_AVC_AAC, frames: 300, seconds: 10.02 },
    Show { name: "constant-rate", input: "gen/h264_noaud_cbr.ts", line: TS_AVC_AAC, frames: 100, seconds: 4.02 },
    // One group of pictures of 6 s: segments begin without a key frame.
    Show { name: "long-group", input: "ts/gst__test.ts", line: TS_AVC_AAC, frames: 187, seconds: 7.33 },
    Show { name: "publisher-returns", input: "gen/flv_ts_restart.flv", line: AVC_AAC, frames: 600, seconds: 20.1 },
    Show {
        name: "real-file",
        input: "ts/shaka-packager__bear-640x360.ts",
        line: TS_AVC_AAC,
        frames: 82,
        seconds: 2.76,
    },
];

/// Largest difference of durations, in seconds: sound ends some frames before or after the picture.
const SKEW: f64 = 0.1;

/// Pictures that may be decoded twice where hls.js seeks to the first one after it began to play: what a busy machine shows meanwhile, at
/// most a segment. Where it did not seek, each picture is decoded once.
const TWICE: u64 = 60;

/// What hls.js says when it does.
const SEEKS: &str = "seeking from 0 to 0.1";

/// What says nothing about the presentation. hls.js leaps over the time before the first picture, where sound begins earlier (it does so with
/// the HLS of ffmpeg, too), and a busy machine makes it stall for a moment.
fn is_harmless(error: &Value) -> bool {
    let what = error["what"].as_str().unwrap_or_default();
    error["fatal"] == false && (what.contains(SEEKS) || what.starts_with("bufferStalledError"))
}

fn make(show: &Show, dir: &Path) -> Option<PathBuf> {
    let input = media(show.input)?;
    let out = dir.join(show.name);
    let line = format!("filesrc location={} ! {} directory={}", input.display(), show.line, out.display());
    let said = run_args(&root(), &["launch", &line]);
    assert_eq!((said.code, said.errors()), (0, 0), "{}: {}", show.name, said.err);
    Some(out.join("index.m3u8"))
}

#[test]
fn hls_5_hls_11_a_dozen_presentations_play_to_their_ends_in_a_browser() {
    let dir = tempfile::tempdir().expect("a directory");
    let made: Vec<(&Show, PathBuf)> = SHOWS.iter().filter_map(|show| Some((show, make(show, dir.path())?))).collect();
    assert!(media_dir().is_none() || made.len() == SHOWS.len(), "only {} presentations", made.len());
    let mut args = vec![root().join("tests/peers/play-hls.mjs"), workspace().join("target/peers/node")];
    args.extend(["--rate", "2"].map(PathBuf::from));
    if let Some(file) = std::env::var_os("MILLSTREAM_SCREENSHOT") {
        args.extend([PathBuf::from("--screenshot"), file.into()]);
    }
    args.extend(made.iter().map(|(_, playlist)| playlist.clone()));
    need("chromium");
    let said = run(&need("node"), args);
    let seen: Vec<Value> = said.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(seen.len(), made.len(), "`cargo xtask setup` brings hls.js and puppeteer-core: {}", said.stderr);
    let bad: Vec<String> = made.iter().zip(&seen).filter_map(|((show, _), seen)| wrong(show, seen)).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// What is wrong with what was seen, if anything.
fn wrong(show: &Show, seen: &Value) -> Option<String> {
    let near = |value: &Value| value.as_f64().is_some_and(|seconds| (seconds - show.seconds).abs() < SKEW);
    let frames = seen["frames"].as_u64().unwrap_or_default();
    let errors = || seen["errors"].as_array().into_iter().flatten();
    let sought = errors().any(|error| error["what"].as_str().is_some_and(|what| what.contains(SEEKS)));
    let most = show.frames + if sought { TWICE } else { 0 };
    let fine = seen["ended"] == true
        && near(&seen["duration"])
        && near(&seen["currentTime"])
        && (show.frames..=most).contains(&frames)
        && errors().all(is_harmless);
    (!fine).then(|| format!("{}, of {} frames and {} s: {seen}", show.name, show.frames, show.seconds))
}
