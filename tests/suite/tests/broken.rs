//! Damaged input: whole frames before the damage come out, what is left out is counted with its reason, a fatal error is one clear error,
//! and nothing panics or hangs.

use std::path::Path;

use bytes::Bytes;
use millstream_core::{Buffer, Error, ErrorKind, Item};
use millstream_testkit::media::{media_bytes, media_dir};
use millstream_testkit::{MemFs, fixture, manifest, media};
use millstream_tests::random::{Random, damaged};
use millstream_tests::run_args;
use millstream_tests::sim::{Outcome, bytes_of, simulate};
use serde_json::Value;

/// What must come out of a broken file.
struct Broken {
    file: &'static str,
    /// Frames of video and audio: libavformat's (manifest), or those of the file before it was damaged.
    frames: (u64, u64),
    /// Reasons that must be told, each with how often.
    told: &'static [(&'static str, u64)],
}

const BROKEN: [Broken; 10] = [
    // Of 125 and 217 frames one lost its kind to a flip, another got the bit of encrypted tags.
    Broken {
        file: "broken/flv_200_bitflips.flv",
        frames: (124, 216),
        told: &[("audio tag that cannot be read", 1), ("encrypted tag", 1)],
    },
    // libavformat gives up here. The file is h264_aac44m.flv.
    Broken { file: "broken/flv_bad_prevtagsize.flv", frames: (125, 217), told: &[] },
    // libavformat counts the frame that is cut.
    Broken { file: "broken/flv_cut_midtag.flv", frames: (65, 110), told: &[("tag cut off at the end", 1)] },
    Broken {
        file: "broken/flv_media_before_headers.flv",
        frames: (0, 0),
        told: &[("frame ahead of its sequence header", 342)],
    },
    Broken { file: "broken/flv_unknown_tag_types.flv", frames: (125, 217), told: &[("tag of an unknown type", 230)] },
    Broken { file: "broken/flv_zero_size_tags.flv", frames: (125, 217), told: &[] },
    Broken { file: "broken/ts_cut_midpacket.ts", frames: (55, 65), told: &[("cut-packet", 1)] },
    // The file is h264_ac3.ts, as are the next two; libavformat takes some duplicates for new packets.
    Broken { file: "broken/ts_dup_packets.ts", frames: (100, 125), told: &[("duplicate", 21)] },
    Broken { file: "broken/ts_junk_between.ts", frames: (100, 125), told: &[("no-sync", 5)] },
    Broken { file: "broken/ts_lost_packets.ts", frames: (99, 120), told: &[("lost", 10)] },
];

fn discover(file: &Path) -> (i32, Value, String) {
    let said = run_args(Path::new("."), &["discover", "--json", &file.display().to_string()]);
    (said.code, serde_json::from_str(&said.out).unwrap_or(Value::Null), said.err)
}

fn buffers(found: &Value, pad: &str) -> u64 {
    let tracks = found["tracks"].as_array().map(Vec::as_slice).unwrap_or_default();
    tracks.iter().find(|track| track["pad"] == pad).and_then(|track| track["buffers"].as_u64()).unwrap_or_default()
}

#[test]
fn flv_1_ts_1_what_is_whole_comes_out_of_broken_files_and_what_is_not_is_told() {
    for broken in &BROKEN {
        let Some(path) = media(broken.file) else { continue };
        let (code, found, complaint) = discover(&path);
        assert_eq!((buffers(&found, "video"), buffers(&found, "audio")), broken.frames, "{}", broken.file);
        assert_eq!(code, i32::from(broken.frames == (0, 0)), "{}: {complaint}", broken.file);
        for (reason, times) in broken.told {
            let mut damage = found["damage"].as_array().expect("a list").iter();
            let told = damage.any(|d| d["reason"] == *reason && d["times"] == *times);
            assert!(told, "{}: {reason} in {}", broken.file, found["damage"]);
        }
    }
}

#[test]
fn flv_1_a_file_without_media_has_no_tracks() {
    let Some(path) = media("broken/flv_header_only.flv") else { return };
    let (code, _, complaint) = discover(&path);
    assert_eq!(code, 1);
    assert!(complaint.contains("has no tracks"), "{complaint}");
}

#[test]
fn ts_4_a_codec_that_changes_without_a_mark_is_one_error_behind_all_that_came_before() {
    let name = "broken/ts_discontinuity_unmarked.ts";
    let Some(bytes) = media_bytes(name) else { return };
    let fs = MemFs::new();
    fs.insert("in", bytes);
    let line = |parser: &str| {
        format!(
            "filesrc location=in ! tsdemux name=d d.video ! h264parse ! collect name=v d.audio {parser} ! collect name=a"
        )
    };
    // Whoever takes any format gets both: 125 frames of AC-3, then 201 packets of Opus, 100 pictures with each (manifest).
    let both = simulate(&fs, &line("")).ok(name);
    assert_eq!(both.buffers("v").len(), 200);
    let caps = both.items("a").iter().filter_map(|item| if let Item::Caps(caps) = item { Some(caps) } else { None });
    let mut formats: Vec<&str> = caps.map(|caps| caps.media()).collect();
    formats.dedup();
    assert_eq!(formats, ["audio/x-ac3", "audio/x-opus"]);
    // Whoever takes AC-3 alone gets it all before the error; of the pictures the last two are open in demuxer and parser then.
    let ac3 = simulate(&fs, &line("! ac3parse"));
    assert_eq!((ac3.buffers("v").len(), ac3.buffers("a").len()), (98, 125));
    let error = ac3.result.expect_err("Opus is no AC-3").to_string();
    assert!(error.contains("audio/x-ac3") && error.contains("audio/x-opus"), "{error}");
    let (code, found, complaint) = discover(&media(name).expect("it was read"));
    assert_eq!((code, buffers(&found, "video"), buffers(&found, "audio")), (1, 98, 125), "{complaint}");
}

/// Runs every broken file through every shipped pipeline that takes it.
#[test]
fn sec_every_shipped_pipeline_survives_every_broken_file() {
    let Some(dir) = media_dir() else { return };
    let root = millstream_tests::root();
    let mut seen = 0;
    for row in manifest().rows().iter().filter(|row| row.file.starts_with("broken/")) {
        let pipelines: &[&str] = match row.file.rsplit('.').next() {
            Some("flv") => &["flv-to-ts", "flv-to-hls", "flv-to-flv"],
            Some("ts") => &["ts-to-flv", "ts-to-hls", "ts-repair"],
            // The others are not of these formats at all.
            _ => &["flv-to-ts", "ts-to-flv", "ts-to-hls"],
        };
        for pipeline in pipelines {
            let out = tempfile::tempdir().expect("a directory");
            let set = format!("--set=input={}", dir.join(&row.file).display());
            let output = format!("--set=output={}", out.path().join("out").display());
            let said = run_args(&root, &["run", &format!("pipelines/{pipeline}.yaml"), &set, &output]);
            let what = format!("{} through {pipeline}: {}", row.file, said.err);
            assert!(said.code == 0 || said.code == 1, "{what}");
            assert_eq!(said.errors(), usize::from(said.code == 1), "{what}");
            assert!(!said.err.contains("panic"), "{what}");
            seen += 1;
        }
    }
    assert!(seen >= 50, "{seen}");
}

/// Takes bytes apart with each demuxer, as far as that goes.
fn apart(bytes: impl Into<Vec<u8>>, demuxer: &str) -> Outcome {
    let fs = MemFs::new();
    fs.insert("in", bytes);
    let line = format!(
        "filesrc location=in blocksize=4KiB ! {demuxer} name=d d.video ! collect name=video d.audio ! collect name=audio"
    );
    simulate(&fs, &line)
}

/// A panic is contained and would be a bug.
fn is_no_bug(result: &Result<(), Error>, what: &str) {
    if let Err(error) = result {
        assert!(error.kind() != ErrorKind::Bug, "{what}: {error}");
    }
}

#[test]
fn sec_no_file_of_the_media_set_breaks_a_demuxer() {
    /// What is read of each file: several read blocks, and the whole of nearly all fuzz inputs.
    const HEAD: usize = 64 << 10;
    let Some(dir) = media_dir() else { return };
    for row in manifest().rows() {
        let mut bytes = std::fs::read(dir.join(&row.file)).expect("a file");
        bytes.truncate(HEAD);
        for demuxer in ["flvdemux", "tsdemux"] {
            is_no_bug(&apart(bytes.clone(), demuxer).result, &format!("{} in {demuxer}", row.file));
        }
    }
    assert!(manifest().rows().len() >= 800);
}

#[test]
fn sec_random_damage_breaks_no_pipeline() {
    let cases = [
        (
            "h264b_aac48s_10s.flv",
            "flvdemux name=d d.video ! h264parse ! m. d.audio ! aacparse ! m. tsmux name=m ! collect name=out",
        ),
        ("ehevc_aac.flv", "flvdemux name=d d.video ! m.video d.audio ! m.audio flvmux name=m ! collect name=out"),
        (
            "h264b_aac48s_10s.ts",
            "tsdemux name=d d.video ! h264parse ! m.video d.audio ! aacparse ! m.audio flvmux name=m ! collect name=out",
        ),
        ("h264b_aac48s_10s.ts", "video/mpegts ! hlssink directory=hls"),
    ];
    for (file, line) in cases {
        let whole = std::fs::read(fixture(file)).expect("a fixture");
        let head = &whole[..whole.len().min(200_000)];
        for seed in 0..12 {
            let fs = MemFs::new();
            fs.insert("in", damaged(head, 1 << (4 + seed), &mut Random::new(seed)));
            let outcome = simulate(&fs, &format!("filesrc location=in ! {line}"));
            is_no_bug(&outcome.result, &format!("{file}, seed {seed}"));
        }
    }
}

fn same(a: &Buffer, b: &Buffer) -> bool {
    a.pts == b.pts && bytes_of([a]) == bytes_of([b])
}

/// Frames of a whole FLV file that end before a byte: video, audio. Tags are walked by their sizes (FLV 10.1, E.4.1); sequence headers have
/// packet type 0.
fn flv_frames_before(file: &[u8], cut: usize) -> [usize; 2] {
    let mut counts = [0; 2];
    let mut at = 13;
    while let Some(head) = file.get(at..at + 13) {
        let size = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
        let (kind, is_frame) = (head[0], head[12] != 0);
        at += 11 + size + 4;
        // The size behind the tag tells nothing new.
        if at - 4 <= cut && is_frame {
            match kind {
                9 => counts[0] += 1,
                8 => counts[1] += 1,
                _ => {}
            }
        }
    }
    counts
}

#[test]
fn flv_1_a_file_cut_anywhere_delivers_every_whole_frame() {
    let file = std::fs::read(fixture("h264b_aac48s_10s.flv")).expect("a fixture");
    let whole = apart(file.clone(), "flvdemux");
    let mut random = Random::new(1);
    for _ in 0..60 {
        let cut = random.below(file.len() as u64) as usize;
        let outcome = apart(&file[..cut], "flvdemux");
        for (pad, frames) in ["video", "audio"].into_iter().zip(flv_frames_before(&file, cut)) {
            let (all, some) = (whole.buffers(pad), outcome.buffers(pad));
            assert_eq!(some.len(), frames, "{pad}, cut at {cut}");
            assert!(some.iter().zip(&all).all(|(a, b)| same(a, b)), "{pad}, cut at {cut}");
        }
    }
}

/// Packets before a byte that begin a PES packet, for the PIDs of ffmpeg's muxer: 0x100 video, 0x101 audio.
fn pes_begun_before(file: &[u8], cut: usize) -> [usize; 2] {
    let mut counts = [0; 2];
    for packet in file[..cut].chunks_exact(188) {
        let pid = u16::from(packet[1] & 0x1F) << 8 | u16::from(packet[2]);
        let begins = packet[1] & 0x40 != 0;
        counts[0] += usize::from(begins && pid == 0x100);
        counts[1] += usize::from(begins && pid == 0x101);
    }
    counts
}

#[test]
fn ts_7_a_stream_cut_anywhere_delivers_every_whole_pes_packet() {
    let file = std::fs::read(fixture("h264b_aac48s_10s.ts")).expect("a fixture");
    let whole = apart(file.clone(), "tsdemux");
    let mut random = Random::new(2);
    for _ in 0..60 {
        let cut = 1000 + random.below(file.len() as u64 - 1000) as usize;
        let outcome = apart(&file[..cut], "tsdemux");
        for (pad, begun) in ["video", "audio"].into_iter().zip(pes_begun_before(&file, cut)) {
            let (all, some) = (whole.buffers(pad), outcome.buffers(pad));
            // The last one is cut, or ends just here.
            let complete = begun.saturating_sub(1);
            assert!((complete..=begun).contains(&some.len()), "{pad}, cut at {cut}: {} of {begun}", some.len());
            assert!(some.iter().zip(&all).take(complete).all(|(a, b)| same(a, b)), "{pad}, cut at {cut}");
        }
    }
}

#[test]
fn flv_1_junk_between_tags_costs_what_it_hits_and_is_counted() {
    let file = Bytes::from(std::fs::read(fixture("h264b_aac48s_10s.flv")).expect("a fixture"));
    let middle = file.len() / 2;
    let mut broken = file[..middle].to_vec();
    broken.extend_from_slice(&[0xA5; 5000]);
    broken.extend_from_slice(&file[middle..]);
    let (whole, outcome) = (apart(file, "flvdemux"), apart(broken, "flvdemux"));
    let lost = whole.buffers("video").len() + whole.buffers("audio").len()
        - outcome.buffers("video").len()
        - outcome.buffers("audio").len();
    // The junk lies in one tag, and reading starts again at one of the next.
    assert!(lost <= 4, "{lost} frames");
    assert!(outcome.dropped_bytes() >= 5000, "{:?}", outcome.drops);
    assert!(outcome.buffers("audio").last().is_some_and(|last| same(last, whole.buffers("audio")[469])));
}
