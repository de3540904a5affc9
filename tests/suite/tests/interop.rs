//! The conversions that ship, over every whole FLV and TS file, judged by foreign programs: the coded frames and their times are those of
//! the input as ffmpeg reads both, and ffprobe, tsreport, flvmeta, mediainfo, GStreamer and media-doctor have no complaint.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use millstream_testkit::media::media_dir;
use millstream_tests::peers::{self, Frames, Input};
use millstream_tests::{root, run_args};

/// Largest difference of two presentation times: FLV counts milliseconds, and two roundings meet.
const ROUNDING: f64 = 0.002;

/// A conversion.
#[derive(Clone, Copy)]
struct Job {
    /// The shipped pipeline for H.264 and AAC.
    pipeline: &'static str,
    /// What reads the input.
    demuxer: &'static str,
    /// The launch text of what writes, for other codecs; `OUT` stands for the place.
    writer: &'static str,
    /// Codecs that the output may hold and ffmpeg reads in it.
    codecs: &'static [&'static str],
}

const TS_CODECS: &[&str] = &["h264", "hevc", "aac", "mp3", "mp2", "ac3", "eac3", "opus"];
const FLV_TO_TS: Job = Job {
    pipeline: "flv-to-ts",
    demuxer: "flvdemux",
    writer: "tsmux name=m ! filesink location=OUT",
    codecs: TS_CODECS,
};
const FLV_TO_HLS: Job = Job {
    pipeline: "flv-to-hls",
    demuxer: "flvdemux",
    writer: "hlssink name=m directory=OUT playlist-type=vod segment-duration=2s",
    ..FLV_TO_TS
};
const FLV_TO_FLV: Job = Job {
    pipeline: "flv-to-flv",
    demuxer: "flvdemux",
    writer: "",
    codecs: &[
        "h264",
        "hevc",
        "av1",
        "vp9",
        "flv",
        "aac",
        "mp3",
        "ac3",
        "opus",
        "speex",
        "nellymoser",
        "pcm_alaw",
        "adpcm_swf",
    ],
};
const TS_TO_FLV: Job = Job {
    pipeline: "ts-to-flv",
    demuxer: "tsdemux",
    writer: "flvmux name=m ! filesink location=OUT",
    codecs: &["h264", "hevc", "aac", "mp3", "ac3", "eac3", "opus"],
};

const TS_TO_TS: Job = Job { pipeline: "ts-repair", demuxer: "tsdemux", writer: FLV_TO_TS.writer, codecs: TS_CODECS };

fn parser(codec: &str) -> &'static str {
    match codec {
        "h264" => "h264parse",
        "hevc" => "h265parse",
        "aac" => "aacparse",
        "mp3" | "mp2" => "mpegaudioparse",
        "ac3" | "eac3" => "ac3parse",
        "opus" => "opusparse",
        other => panic!("no parser of {other}"),
    }
}

/// What came out.
struct Converted {
    _dir: tempfile::TempDir,
    out: PathBuf,
    input: Input,
    /// Codecs of what was written.
    video: String,
    audio: String,
}

impl Job {
    /// Whether the output can hold all of this file.
    fn takes(&self, input: &Input) -> bool {
        [input.video_codec(), input.audio_codec()].iter().all(|codec| codec.is_empty() || self.codecs.contains(codec))
    }

    fn convert(&self, input: &Input, name: &str) -> Converted {
        let dir = tempfile::tempdir().expect("a directory");
        let out = dir.path().join(name);
        let (video, audio) = (input.video_codec().to_owned(), input.audio_codec().to_owned());
        let shipped =
            self.writer.is_empty() || (["", "h264"].contains(&video.as_str()) && ["", "aac"].contains(&audio.as_str()));
        let args: Vec<String> = if shipped {
            let set = |key: &str, path: &Path| format!("--set={key}={}", path.display());
            let pipeline = format!("pipelines/{}.yaml", self.pipeline);
            vec!["run".into(), pipeline, set("input", &input.path), set("output", &out)]
        } else {
            let mut line = format!("filesrc location={} ! {} name=d ", input.path.display(), self.demuxer);
            for (kind, codec) in [("video", &video), ("audio", &audio)] {
                if !codec.is_empty() {
                    line.push_str(&format!("d.{kind} ! {} ! m.{kind} ", parser(codec)));
                }
            }
            vec!["launch".into(), line + &self.writer.replace("OUT", &out.display().to_string())]
        };
        let said = run_args(&root(), &args.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((said.code, said.errors()), (0, 0), "{}: {}: {}", self.pipeline, input.name, said.err);
        Converted { _dir: dir, out, input: input.clone(), video, audio }
    }
}

/// Files of which only the frames can be compared, and not their times.
const UNTIMED: [&str; 3] = [
    // Its timestamps start anew in the middle, which flvdemux closes and ffmpeg does not.
    "gen/flv_ts_restart.flv",
    // Another sample rate begins within a PES packet, where ffmpeg goes on counting with the first.
    "gen/flv_sps_change.flv",
    // ffmpeg gives the time of the first whole frame to the part before it.
    "ts/media__sample_ac3.ts",
];

/// Sound that begins or ends in the middle of a frame, which libavformat counts as a packet and we as dropped: frames that ffmpeg gives us
/// too many at either end, and packets in all.
const PARTS: [(&str, usize, u64); 2] = [("ts/media__sample_ac3.ts", 1, 2), ("ts/gst__test.ts", 0, 1)];

impl Converted {
    /// The frames in `file` are those of the input, in order and at the same times, and ffmpeg has no new complaint.
    fn has_the_frames_of_its_input(&self, file: &Path) {
        let (mut before, known) = peers::coded(&self.input.path, &self.video, &self.audio);
        let (after, complaints) = peers::coded(file, &self.video, &self.audio);
        let new: Vec<&String> = complaints.iter().filter(|line| !known.contains(line)).collect();
        assert!(new.is_empty(), "ffmpeg: {new:?}");
        if let Some((_, parts, _)) = PARTS.iter().find(|(name, ..)| *name == self.input.name) {
            before[1].trim(*parts);
        }
        for (kind, before, after) in [("video", &before[0], &after[0]), ("audio", &before[1], &after[1])] {
            assert_eq!(after.hashes.len(), before.hashes.len(), "{kind} frames");
            let differs = before.hashes.iter().zip(&after.hashes).position(|(before, after)| before != after);
            assert_eq!(differs, None, "first {kind} frame that differs");
        }
        if !UNTIMED.contains(&&*self.input.name) {
            same_times(&times(&before), &times(&after));
        }
    }
}

fn same_times(before: &[f64], after: &[f64]) {
    let off = before.iter().zip(after).position(|(before, after)| (before - after).abs() > ROUNDING);
    assert!(off.is_none(), "frame, time before and after: {:?}", off.map(|at| (at, before[at], after[at])));
}

/// Times of all frames, counted from the earliest.
fn times(tracks: &[Frames; 2]) -> Vec<f64> {
    let all = || tracks.iter().flat_map(|track| track.seconds.iter().copied());
    let first = all().fold(f64::INFINITY, f64::min);
    all().map(|time| time - first).collect()
}

/// Converts every file that a job takes, and fails naming all that a judge did not like.
fn judge(job: Job, name: &str, least: usize, judge: impl Fn(&Converted)) {
    let extension = if job.demuxer == "flvdemux" { "flv" } else { "ts" };
    let inputs: Vec<Input> = peers::inputs(extension).into_iter().filter(|input| job.takes(input)).collect();
    assert!(media_dir().is_none() || inputs.len() >= least, "only {} files", inputs.len());
    let bad: Vec<String> = inputs
        .iter()
        .filter_map(|input| {
            let why = catch_unwind(AssertUnwindSafe(|| judge(&job.convert(input, name)))).err()?;
            Some(format!("{}: {}", input.name, why.downcast_ref::<String>().map_or("", |why| why)))
        })
        .collect();
    assert!(bad.is_empty(), "{} of {} files:\n{}", bad.len(), inputs.len(), bad.join("\n"));
}

#[test]
fn ts_15_flv_to_ts_keeps_every_frame_and_pleases_every_reader() {
    judge(FLV_TO_TS, "out.ts", 20, |done| {
        is_a_clean_transport_stream(done);
        done.has_the_frames_of_its_input(&done.out);
    });
}

#[test]
fn ts_15_ts_to_ts_keeps_every_frame_and_pleases_every_reader() {
    judge(TS_TO_TS, "out.ts", 20, |done| {
        is_a_clean_transport_stream(done);
        done.has_the_frames_of_its_input(&done.out);
    });
}

#[test]
fn ts_15_flv_to_hls_keeps_every_frame_and_pleases_every_reader() {
    judge(FLV_TO_HLS, "hls", 20, |done| {
        let playlist = done.out.join("index.m3u8");
        peers::media_doctor("check-hls", &playlist);
        // The HLS reader of ffmpeg gives the first frames of sound alone the time of the first; its reader of files does not.
        let whole = if done.video.is_empty() { joined(&done.out) } else { playlist };
        done.has_the_frames_of_its_input(&whole);
    });
}

#[test]
fn flv_6_flv_to_flv_keeps_every_frame_and_pleases_every_reader() {
    judge(FLV_TO_FLV, "out.flv", 25, |done| {
        is_a_clean_flv(done);
        done.has_the_frames_of_its_input(&done.out);
    });
}

#[test]
fn flv_6_ts_to_flv_keeps_every_frame_and_pleases_every_reader() {
    judge(TS_TO_FLV, "out.flv", 15, |done| {
        is_a_clean_flv(done);
        done.has_the_frames_of_its_input(&done.out);
    });
}

#[test]
fn ts_15_decoders_see_the_same_pictures_in_other_containers() {
    let cases = [
        (FLV_TO_TS, "out.ts", "h264b_aac48s_10s.flv"),
        (FLV_TO_TS, "out.ts", "flv_sps_change.flv"),
        (FLV_TO_TS, "out.ts", "ehevc_aac.flv"),
        (FLV_TO_FLV, "out.flv", "evp9_opus.flv"),
        (TS_TO_FLV, "out.flv", "h264_2997_bpyr.ts"),
        (TS_TO_FLV, "out.flv", "hevc_aac.ts"),
    ];
    let inputs: Vec<Input> = ["flv", "ts"].into_iter().flat_map(peers::inputs).collect();
    let mut seen = 0;
    for (job, name, file) in cases {
        let Some(input) = inputs.iter().find(|input| input.name.ends_with(file)) else { continue };
        let before = peers::pictures(&input.path);
        assert!(before.len() >= 100, "{file}: {}", before.len());
        assert!(peers::pictures(&job.convert(input, name).out) == before, "{file}");
        seen += 1;
    }
    assert!(seen >= 3, "{seen}");
}

/// All segments in one file.
fn joined(dir: &Path) -> PathBuf {
    let text = std::fs::read_to_string(dir.join("index.m3u8")).expect("a playlist");
    let segments = text.lines().filter(|line| !line.starts_with('#'));
    let whole: Vec<u8> = segments.flat_map(|name| std::fs::read(dir.join(name)).expect("a segment")).collect();
    let file = dir.join("joined.ts");
    std::fs::write(&file, whole).expect("written");
    file
}

fn is_a_clean_transport_stream(done: &Converted) {
    let (streams, _) = peers::ffprobe(&done.out);
    let mut named: Vec<(&str, u64)> = streams.iter().map(|(_, codec, packets)| (&**codec, *packets)).collect();
    let tracks = [&done.input.video, &done.input.audio].into_iter().flatten();
    let mut expected: Vec<(&str, u64)> = tracks.map(|(codec, packets)| (&**codec, *packets)).collect();
    let parts = PARTS.iter().find(|(name, ..)| *name == done.input.name).map_or(0, |(_, _, parts)| *parts);
    expected.iter_mut().filter(|(codec, _)| *codec == done.audio).for_each(|(_, packets)| *packets -= parts);
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected, "ffprobe");
    assert_eq!(peers::mediainfo(&done.out).0, "MPEG-TS");
    peers::tsreport(&done.out);
    peers::gstreamer(&done.out, "tsdemux", &done.video, &done.audio);
    peers::media_doctor("check", &done.out);
}

/// FLV's codecs of old, which is what flvmeta, ffmpeg 5.1 and GStreamer 1.22 know.
const CLASSIC: [&str; 9] = ["h264", "flv", "aac", "mp3", "speex", "nellymoser", "pcm_alaw", "adpcm_swf", ""];

fn is_a_clean_flv(done: &Converted) {
    if [&*done.video, &*done.audio].iter().all(|codec| CLASSIC.contains(codec)) {
        let (streams, seconds) = peers::ffprobe(&done.out);
        let mut kinds: Vec<(&str, u64)> = streams.iter().map(|(kind, _, packets)| (&**kind, *packets)).collect();
        kinds.sort_by_key(|(kind, _)| std::cmp::Reverse(*kind));
        assert!(seconds > 0.0 && !kinds.is_empty(), "ffprobe: {kinds:?}");
        assert_eq!(peers::mediainfo(&done.out).0, "Flash Video");
        peers::flvmeta(&done.out);
        peers::gstreamer(&done.out, "flvdemux", &done.video, &done.audio);
    }
}
