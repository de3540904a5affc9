//! What foreign programs say of the files that flvmux writes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test gives its files to foreign programs")]

mod harness;

use std::ffi::OsStr;
use std::process::{Command, Output};

use bytes::Bytes;
use harness::{copy_of, demux_file, mux_items, pads_of, valid_files, written};
use millstream_testkit::{media::media_bytes, peers::peer};
use tempfile::{NamedTempFile, TempPath};

/// Files of the old codecs, which programs of 2022 can read.
const CLASSIC: [&str; 9] = [
    "gen/h264b_aac48s_10s.flv",
    "gen/h264_aac44m.flv",
    "gen/h264_mp3_44s.flv",
    "gen/flv1_mp3_22k.flv",
    "gen/video_only_h264.flv",
    "gen/audio_only_aac.flv",
    "gen/flv_ts_wrap32.flv",
    "gen/flv_ts_restart.flv",
    "flv/scuffle__avc_aac.flv",
];

fn on_disk(file: &Bytes) -> TempPath {
    let temporary = NamedTempFile::with_suffix(".flv").unwrap().into_temp_path();
    std::fs::write(&temporary, file).unwrap();
    temporary
}

/// Runs a program; `None` where tests do without it.
fn run(name: &str, words: &[&str], file: &TempPath) -> Option<Output> {
    let program = peer(name)?;
    let words = words.iter().map(|word| if *word == "FILE" { file.as_os_str() } else { OsStr::new(word) });
    Some(Command::new(program).args(words).output().unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The copies of the classic files, with those of the originals' pads that have media.
fn copies() -> impl Iterator<Item = (&'static str, Bytes, TempPath)> {
    CLASSIC.into_iter().filter_map(|name| {
        let file = media_bytes(name)?;
        let copy = on_disk(&copy_of(&file, ""));
        Some((name, file, copy))
    })
}

/// True for warnings of `flvmeta -C` about things that it sees otherwise than the standard does.
///
/// - The rate and the channels of AAC and Speex: it takes them from the tag's flags, which say nothing there (FLV 10.1 E.4.2.1).
/// - Data rates: it counts the bytes ahead of each frame too, and makes the length of the file up from the time of the last tag and
///   the distance of the first two sound tags. Within a tenth is good.
/// - The number of key frames: it counts the H.264 end of sequence, which libavformat too writes as a key frame.
/// - The frame rate, if the source's own metadata said so.
/// - That there is no video or no audio.
fn is_explained(warning: &str) -> bool {
    let near = || {
        let numbers: Vec<f64> = warning.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
        matches!(numbers[..], [should, got] if (should - got).abs() / should < 0.1)
    };
    let known = [
        "audiosamplerate should",
        "stereo should",
        "framerate should",
        "header signals the file does not contain",
        "W60079",
    ];
    known.iter().any(|known| warning.contains(known))
        || warning.contains("datarate should") && near()
        || warning.contains("W81071: invalid keyframes arrays length")
}

#[test]
fn flv_6_flvmeta_finds_no_error() {
    for (name, _, copy) in copies() {
        let Some(output) = run("flvmeta", &["-C", "FILE"], &copy) else { return };
        let report = text(&output.stdout);
        assert!(report.contains("0 error(s)"), "{name}: {report}");
        for line in report.lines().filter(|line| line.contains("warning W")) {
            let sound = name.contains("audio_only") && line.contains("unable to determine video resolution");
            assert!(sound || is_explained(line), "{name}: {line}");
        }
    }
}

#[test]
fn flv_6_ffprobe_counts_all_packets_and_warns_of_nothing() {
    let words =
        ["-v", "warning", "-of", "csv=p=0", "-count_packets", "-show_entries", "stream=nb_read_packets", "FILE"];
    for (name, file, copy) in copies() {
        let Some(output) = run("ffprobe", &words, &copy) else { return };
        assert_eq!(text(&output.stderr), "", "{name}");
        let mut demuxed = demux_file(&file, &pads_of(&file), "", 1 << 20);
        let expected: Vec<_> = pads_of(&file).iter().map(|pad| demuxed.take_buffers(pad).len().to_string()).collect();
        // Streams are in the order in which they begin.
        assert_eq!(sorted(lines(&output)), sorted(expected), "{name}");
    }
}

#[test]
fn flv_6_ffprobe_reads_duration_and_times() {
    let words = ["-v", "warning", "-of", "csv=p=0", "-show_entries", "packet=stream_index,dts,pts,flags", "FILE"];
    for (name, file, copy) in copies().filter(|(name, ..)| !name.contains("flv_ts_") && !name.contains("scuffle")) {
        let Some(ours) = run("ffprobe", &words, &copy) else { return };
        let source = run("ffprobe", &words, &on_disk(&file)).unwrap();
        assert_eq!(sorted(lines(&ours)), sorted(lines(&source)), "{name}");
        let duration = ["-v", "warning", "-of", "csv=p=0", "-show_entries", "format=duration", "FILE"];
        let seconds = |file: &TempPath| -> f64 { lines(&run("ffprobe", &duration, file).unwrap())[0].parse().unwrap() };
        let (ours, source) = (seconds(&copy), seconds(&on_disk(&file)));
        assert!((ours - source).abs() < 0.1, "{name}: {ours} and {source}");
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn lines(output: &Output) -> Vec<String> {
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn flv_6_ffprobe_reads_what_cannot_be_rewritten() {
    for (name, file, _) in copies() {
        let pads = pads_of(&file);
        let streamed = on_disk(&written(&mux_items(&demux_file(&file, &pads, "", 1 << 20), &pads, "", false)));
        let Some(output) = run("ffprobe", &["-v", "warning", "-show_packets", "FILE"], &streamed) else { return };
        assert_eq!(text(&output.stderr), "", "{name}");
    }
}

#[test]
fn flv_6_gstreamer_demuxes_every_frame() {
    for (name, file, copy) in copies() {
        let pads = pads_of(&file);
        let location = format!("location={}", copy.display());
        let mut words = vec!["-v", "filesrc", &location, "!", "flvdemux", "name=d"];
        for (branch, sink) in [("d.video", "name=video"), ("d.audio", "name=audio")] {
            if pads.contains(&&branch[2..]) {
                words.extend([branch, "!", "fakesink", sink, "silent=false", "sync=false", "async=false"]);
            }
        }
        let Some(output) = run("gst-launch-1.0", &words, &copy) else { return };
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let report = text(&output.stdout);
        let mut demuxed = demux_file(&file, &pads, "", 1 << 20);
        for pad in pads {
            let chain = format!("GstFakeSink:{pad}: last-message = chain");
            assert_eq!(report.matches(&chain).count(), demuxed.take_buffers(pad).len(), "{name} {pad}");
        }
    }
}

#[test]
fn flv_6_mediainfo_reads_tracks_and_shows_no_filler() {
    for (name, file, copy) in copies() {
        let Some(output) = run("mediainfo", &["FILE"], &copy) else { return };
        let report = text(&output.stdout);
        assert!(report.contains("Format                                   : Flash Video"), "{name}: {report}");
        for (pad, title) in [("video", "Video"), ("audio", "Audio")] {
            assert_eq!(report.lines().any(|line| line == title), pads_of(&file).contains(&pad), "{name} {pad}");
        }
        assert!(!report.contains("filler") && report.lines().all(|line| line.len() < 2000), "{name}: {report}");
    }
}

/// Counts packets of each stream as a libavformat new enough for Enhanced FLV does.
const COUNT: &str = "import av,collections,sys
c=av.open(sys.argv[1])
n=collections.Counter(p.stream.index for p in c.demux() if p.size)
print([n[s.index] for s in c.streams if s.type in ('video','audio')])";

#[test]
fn ert_9_libavformat_62_reads_enhanced_flv() {
    for (row, file) in valid_files().filter(|(row, _)| row.file.starts_with("gen/e")) {
        for settings in ["", "headers=enhanced", "nanoseconds=true"] {
            let copy = on_disk(&copy_of(&file, settings));
            let Some(python) = python_with_av() else { return };
            let output = Command::new(python).args(["-c", COUNT]).arg(copy.as_os_str()).output().unwrap();
            let mut demuxed = demux_file(&file, &pads_of(&file), "", 1 << 20);
            let counts: Vec<_> = pads_of(&file).iter().map(|pad| demuxed.take_buffers(pad).len()).collect();
            let said = text(&output.stdout);
            assert_eq!(said.trim(), format!("{counts:?}"), "{} {settings}: {}", row.file, text(&output.stderr));
        }
    }
}

/// The Python of the peers, which has PyAV.
fn python_with_av() -> Option<std::path::PathBuf> {
    let python = peer("pyav")?.with_file_name("python");
    let has = Command::new(&python).args(["-c", "import av"]).output().unwrap().status.success();
    assert!(has || !millstream_testkit::peers::peers_required(), "{} has no PyAV", python.display());
    has.then_some(python)
}
