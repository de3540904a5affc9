//! Foreign programs as judges of what we wrote, and the files they are shown.
//!
//! A program that is not here fails the test: `cargo xtask test --no-peers` leaves out the tests that need one.

use std::path::{Path, PathBuf};

use millstream_testkit::media::media_dir;
use millstream_testkit::{Reading, find_program, fixture, manifest};
use serde_json::Value;

use crate::program::{Said, run};

/// Where a foreign program is.
///
/// # Panics
/// When it is not here; says what brings it.
pub fn need(name: &str) -> PathBuf {
    find_program(name).unwrap_or_else(|| panic!("the program {name} is missing: `cargo xtask setup` brings it"))
}

/// A file to convert, with what libavformat 62 reads in it.
#[derive(Clone, Debug)]
pub struct Input {
    /// Name in the manifest, or of the fixture.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Codec and packets of the first video track.
    pub video: Option<(String, u64)>,
    /// The same of the first audio track.
    pub audio: Option<(String, u64)>,
}

/// The fixtures that are whole, for machines without the corpus; the readings are those of `tests/fixtures/README.md`.
const FIXTURES: [Fixture; 7] = [
    ("h264b_aac48s_10s.flv", Some(("h264", 300)), Some(("aac", 470))),
    ("h264b_aac48s_10s.ts", Some(("h264", 300)), Some(("aac", 470))),
    ("audio_only_aac.flv", None, Some(("aac", 236))),
    ("video_only_h264.flv", Some(("h264", 125)), None),
    ("ehevc_aac.flv", Some(("hevc", 120)), Some(("aac", 189))),
    ("eav1_opus.flv", Some(("av1", 75)), Some(("opus", 151))),
    ("evp9_opus.flv", Some(("vp9", 100)), Some(("opus", 201))),
];

type Fixture = (&'static str, Option<(&'static str, u64)>, Option<(&'static str, u64)>);

/// All whole media files of one kind (`flv`, `ts`): those of the corpus, else the fixtures, which is said.
pub fn inputs(extension: &str) -> Vec<Input> {
    let all = if media_dir().is_some() { from_manifest() } else { from_fixtures() };
    all.into_iter().filter(|input| input.path.extension().is_some_and(|e| e == extension)).collect()
}

fn from_fixtures() -> Vec<Input> {
    eprintln!("the media corpus is not here: only the fixtures are converted");
    let owned = |track: Option<(&str, u64)>| track.map(|(codec, packets)| (codec.to_owned(), packets));
    let input = |(name, video, audio): Fixture| Input {
        name: name.to_owned(),
        path: fixture(name),
        video: owned(video),
        audio: owned(audio),
    };
    FIXTURES.into_iter().map(input).collect()
}

/// Rows of the folders of whole files that libavformat reads to the end.
fn from_manifest() -> Vec<Input> {
    let dir = media_dir().expect("the corpus is here");
    let whole = |name: &str| ["gen/", "flv/", "ts/", "hls/", "hls_shaka/"].iter().any(|f| name.starts_with(f));
    let rows = manifest().rows().iter().filter(|row| whole(&row.file));
    rows.filter(|row| matches!(row.lavf, Reading::Media { gave_up: None, .. }))
        .map(|row| {
            // A track without packets is announced and never comes.
            let track = |kind| {
                let found = row.lavf.tracks().iter().find(|t| t.kind == kind && t.packets > 0);
                found.map(|t| (t.codec.clone(), t.packets))
            };
            let (video, audio) = (track("video"), track("audio"));
            Input { name: row.file.clone(), path: dir.join(&row.file), video, audio }
        })
        .collect()
}

impl Input {
    /// Codec of the pictures; empty without.
    pub fn video_codec(&self) -> &str {
        self.video.as_ref().map_or("", |(codec, _)| codec)
    }

    /// Codec of the sound; empty without.
    pub fn audio_codec(&self) -> &str {
        self.audio.as_ref().map_or("", |(codec, _)| codec)
    }
}

/// The coded frames of one track, as the newer ffmpeg reads them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frames {
    /// MD5 of each frame, without what a container may put around it.
    pub hashes: Vec<String>,
    /// Presentation time of each frame, in seconds.
    pub seconds: Vec<f64>,
}

impl Frames {
    /// Leaves out so many frames at both ends.
    pub fn trim(&mut self, frames: usize) {
        let kept = frames..self.hashes.len().saturating_sub(frames).max(frames);
        self.hashes = self.hashes.get(kept.clone()).unwrap_or_default().to_vec();
        self.seconds = self.seconds.get(kept).unwrap_or_default().to_vec();
    }
}

/// Video and audio of a file, read by the newer ffmpeg and brought into one form: of H.264 and H.265 the slices only, since parameter
/// sets and delimiters come and go with the container; of AAC the raw frames.
///
/// The second value is what ffmpeg warned of, a line each.
///
/// # Panics
/// When ffmpeg fails.
pub fn coded(path: &Path, video: &str, audio: &str) -> ([Frames; 2], Vec<String>) {
    let mut args: Vec<String> = ["-nostdin", "-v", "warning", "-copyts", "-i"].map(str::to_owned).into();
    args.push(path.display().to_string());
    for (stream, codec) in [("v", video), ("a", audio)] {
        if !codec.is_empty() {
            args.extend(["-map".into(), format!("0:{stream}:0")]);
        }
        if let Some(filter) = plain(codec) {
            args.extend([format!("-bsf:{stream}"), filter.to_owned()]);
        }
    }
    args.extend(["-c", "copy", "-f", "framemd5", "-"].map(str::to_owned));
    let said = run(&need("ffmpeg9"), args);
    assert!(said.ok, "ffmpeg on {}: {}", path.display(), said.stderr);
    let [first, second] = frames(&said.stdout);
    let tracks = if video.is_empty() { [second, first] } else { [first, second] };
    (tracks, said.stderr.lines().map(without_address).collect())
}

/// `[flv @ 0x55d0] no` as `[flv] no`: the address differs from run to run.
fn without_address(line: &str) -> String {
    let start = line.find(" @ 0x");
    let end = start.and_then(|start| Some(start + line[start..].find(']')?));
    start.zip(end).map_or(line.to_owned(), |(start, end)| format!("{}{}", &line[..start], &line[end..]))
}

/// The bitstream filter that leaves what every container carries.
fn plain(codec: &str) -> Option<&'static str> {
    match codec {
        "h264" => Some("h264_mp4toannexb,filter_units=pass_types=1-5"),
        "hevc" => Some("hevc_mp4toannexb,filter_units=pass_types=0-31"),
        "aac" => Some("aac_adtstoasc"),
        _ => None,
    }
}

/// Reads what the framemd5 muxer wrote for up to two streams.
fn frames(text: &str) -> [Frames; 2] {
    let mut tracks = <[Frames; 2]>::default();
    let mut base = [0.0; 2];
    for line in text.lines() {
        if let Some(tb) = line.strip_prefix("#tb ") {
            let (stream, ratio) = tb.split_once(": ").expect("`stream: 1/90000`");
            let (num, den) = ratio.split_once('/').expect("a ratio");
            let number = |text: &str| text.parse::<f64>().expect("a number");
            base[stream.parse::<usize>().expect("a stream")] = number(num) / number(den);
        } else if !line.starts_with('#') {
            let columns: Vec<&str> = line.split(',').map(str::trim).collect();
            // The newer ffmpeg gives the MultichannelConfig of Enhanced FLV as an empty packet.
            if columns[4] == "0" {
                continue;
            }
            let stream: usize = columns[0].parse().expect("a stream");
            let pts: f64 = columns[2].parse().expect("a time");
            tracks[stream].seconds.push(pts * base[stream]);
            tracks[stream].hashes.push(columns[5].to_owned());
        }
    }
    tracks
}

/// MD5 of each decoded picture.
///
/// # Panics
/// When ffmpeg complains.
pub fn pictures(path: &Path) -> Vec<String> {
    let args = ["-nostdin", "-v", "error", "-i"].map(str::to_owned).into_iter().chain([path.display().to_string()]);
    let rest = ["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"].map(str::to_owned);
    let said = run(&need("ffmpeg9"), args.chain(rest));
    assert!(said.ok && said.stderr.is_empty(), "ffmpeg decoding {}: {}", path.display(), said.stderr);
    let [frames, _] = frames(&said.stdout);
    frames.hashes
}

/// What ffprobe 5.1 reads: `(codec type, codec, packets)` of each stream, and seconds.
///
/// # Panics
/// When it warns of anything.
pub fn ffprobe(path: &Path) -> (Vec<(String, String, u64)>, f64) {
    let entries = "stream=codec_type,codec_name,nb_read_packets:format=duration";
    let file = path.display().to_string();
    let args = ["-v", "warning", "-count_packets", "-show_entries", entries, "-of", "json", &file];
    let said = run(&need("ffprobe"), args);
    assert!(said.ok && said.stderr.is_empty(), "ffprobe on {file}: {}", said.stderr);
    let json: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let streams = json["streams"].as_array().expect("streams").iter().map(|stream| {
        let packets = text(&stream["nb_read_packets"]).parse().unwrap_or_default();
        (text(&stream["codec_type"]), text(&stream["codec_name"]), packets)
    });
    (streams.collect(), text(&json["format"]["duration"]).parse().unwrap_or_default())
}

/// What mediainfo takes a file for: container, and the formats of its tracks.
///
/// # Panics
/// When mediainfo fails.
pub fn mediainfo(path: &Path) -> (String, Vec<String>) {
    let said = run(&need("mediainfo"), ["--Output=JSON", &path.display().to_string()]);
    assert!(said.ok, "mediainfo on {}: {}", path.display(), said.stderr);
    let json: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let tracks = json["media"]["track"].as_array().cloned().unwrap_or_default();
    let mut formats = tracks.iter().map(|track| track["Format"].as_str().unwrap_or_default().to_owned());
    (formats.next().unwrap_or_default(), formats.collect())
}

/// Fails unless flvmeta finds no error; the codes of its warnings.
///
/// # Panics
/// When it finds one.
pub fn flvmeta(path: &Path) -> Vec<String> {
    let said = run(&need("flvmeta"), ["-C", &path.display().to_string()]);
    assert!(said.ok && said.stdout.contains("0 error(s)"), "flvmeta on {}: {}", path.display(), said.stdout);
    let code = |line: &str| Some(line.split_once("warning ")?.1.split_once(':')?.0.to_owned());
    said.stdout.lines().filter_map(code).collect()
}

/// Fails unless tsreport reads every packet without complaint (tstools marks errors with `###`, warnings with `!!!`).
///
/// # Panics
/// When it complains.
pub fn tsreport(path: &Path) {
    let size = std::fs::metadata(path).expect("a file").len();
    let plain = run(&need("tsreport"), [path.display().to_string()]);
    let read = format!("Read {} TS packets", size / 188);
    assert!(plain.ok && plain.stdout.contains(&read), "{}: {}", path.display(), plain.stdout);
    let clocks = run(&need("tsreport"), ["-b".to_owned(), path.display().to_string()]);
    for said in [&plain, &clocks] {
        let complaint = said.stdout.contains("###") || said.stdout.contains("!!!") || !said.stderr.is_empty();
        assert!(said.ok && !complaint, "tsreport on {}: {}{}", path.display(), said.stdout, said.stderr);
    }
}

/// Fails unless GStreamer reads a file to its end through `tsdemux` or `flvdemux` and, for each codec, a parser.
///
/// # Panics
/// When it does not.
pub fn gstreamer(path: &Path, demuxer: &str, video: &str, audio: &str) {
    let mut line = format!("-q filesrc location={} ! {demuxer} name=d", path.display());
    for (kind, codec) in [("video", video), ("audio", audio)] {
        let parser = match codec {
            "" => continue,
            "h264" => "h264parse",
            "hevc" => "h265parse",
            "aac" => "aacparse",
            "mp3" | "mp2" => "mpegaudioparse",
            "ac3" | "eac3" => "ac3parse",
            "opus" => "opusparse",
            _ => "identity",
        };
        // The pads of its tsdemux are named by PID; there the parser's caps choose.
        let pad = if demuxer == "flvdemux" { kind } else { "" };
        let queue = "queue max-size-bytes=0 max-size-buffers=0 max-size-time=0";
        line.push_str(&format!(" d.{pad} ! {queue} ! {parser} ! fakesink async=false"));
    }
    let said = run(&need("gst-launch-1.0"), line.split(' '));
    assert!(clean(&said), "gst-launch-1.0 {line}: {}{}", said.stdout, said.stderr);
}

fn clean(said: &Said) -> bool {
    let complains = |text: &str| ["ERROR", "WARNING", "CRITICAL"].iter().any(|word| text.contains(word));
    said.ok && !complains(&said.stdout) && !complains(&said.stderr)
}

/// Findings of media-doctor about what the encoder wrote into the pictures, which a muxer does not change.
const OF_THE_ENCODER: [&str; 1] = ["[fps-cadence-mismatch]"];

/// Fails unless media-doctor finds nothing, where it is installed (`cargo xtask setup --all-peers`). `command` is `check` or `check-hls`.
///
/// # Panics
/// When it finds something.
pub fn media_doctor(command: &str, path: &Path) {
    let Some(program) = find_program("media-doctor") else { return };
    let said = run(&program, [command, "--input", &path.display().to_string()]);
    assert!(said.ok, "media-doctor {command} {}: {}{}", path.display(), said.stdout, said.stderr);
    let is_finding = |line: &&str| ["[error]", "[warning]"].iter().any(|mark| line.contains(mark));
    let findings = said.stdout.lines().chain(said.stderr.lines()).filter(is_finding);
    let ours: Vec<&str> = findings.filter(|line| !OF_THE_ENCODER.iter().any(|code| line.contains(code))).collect();
    assert!(ours.is_empty(), "media-doctor {command} {}: {ours:#?}", path.display());
}
