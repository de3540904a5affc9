//! Every whole file of the media set is read as libavformat 62 reads it, and a file that was taken apart and put together again
//! holds the same media.

use std::path::{Path, PathBuf};

use millstream_core::Buffer;
use millstream_testkit::media::media_dir;
use millstream_testkit::{MemFs, Reading, Row, fixture, manifest};
use millstream_tests::run_args;
use millstream_tests::sim::{Outcome, bytes_of, simulate};
use serde_json::Value;

/// A track: libavformat's name of its codec, and its packets.
type Count = (String, u64);

/// What we read otherwise, on purpose: libavformat counts the part of a frame at an end of a file as a packet, and reads every program of
/// a transport stream. `(file, codec, packets, bytes that are counted as dropped)`.
const OTHERWISE: [(&str, &str, u64, u64); 4] = [
    ("ts/gst__test.ts", "aac", 315, 149),
    ("ts/media__sample_ac3.ts", "ac3", 8, 1066),
    ("ts_psi/tsduck-test__test-137.ts", "hevc", 27, 30_801 + 38_078),
    // A frame that is cut off by the end of the file.
    ("ts/media__sample_with_sdt.ts", "ac3", 2, 148),
];

/// Runs `discover --json`: its exit code, what it found, and what it complained of.
fn discover(file: &Path) -> (i32, Value, String) {
    let said = run_args(Path::new("."), &["discover", "--json", &file.display().to_string()]);
    let found = serde_json::from_str(&said.out).unwrap_or(Value::Null);
    (said.code, found, said.err)
}

/// Pictures and sound that have packets, sorted.
fn tracks(found: &Value) -> Vec<Count> {
    let tracks = found["tracks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let count = |track: &Value| {
        let caps = track["caps"].as_str().unwrap_or_default();
        Some((codec(caps)?.to_owned(), track["buffers"].as_u64().filter(|n| *n > 0)?))
    };
    let mut counts: Vec<Count> = tracks.iter().filter_map(count).collect();
    counts.sort();
    counts
}

/// libavformat's name of what has these caps; `None` for what is no picture and no sound.
fn codec(caps: &str) -> Option<&'static str> {
    let media = caps.split(',').next().unwrap_or_default();
    Some(match media {
        "video/x-h264" => "h264",
        "video/x-h265" => "hevc",
        "video/x-av1" => "av1",
        "video/x-vp9" => "vp9",
        "video/x-flash-video" => "flv",
        "video/mpeg" => "mpeg2video",
        "audio/mpeg" if caps.contains("mpegversion=4") => "aac",
        "audio/mpeg" if caps.contains("layer=3") => "mp3",
        "audio/mpeg" => "mp2",
        "audio/x-ac3" => "ac3",
        "audio/x-eac3" => "eac3",
        "audio/x-opus" => "opus",
        "audio/x-speex" => "speex",
        "audio/x-nellymoser" => "nellymoser",
        "audio/x-alaw" => "pcm_alaw",
        "audio/x-adpcm" => "adpcm_swf",
        _ => return None,
    })
}

/// What libavformat 62 reads, sorted.
fn expected(row: &Row) -> Vec<Count> {
    let media = row.lavf.tracks().iter().filter(|t| ["video", "audio"].contains(&&*t.kind) && t.packets > 0);
    // We give AAC in LATM as what it is when it has been unpacked.
    let name = |codec: &str| codec.strip_suffix("_latm").unwrap_or(codec).to_owned();
    let mut counts: Vec<Count> = media.map(|track| (name(&track.codec), track.packets)).collect();
    counts.sort();
    // tsdemux reads one program.
    if row.file.ends_with("two_programs.ts") {
        counts.dedup();
    }
    if let Some((_, codec, packets, _)) = OTHERWISE.iter().find(|(file, ..)| *file == row.file) {
        counts.iter_mut().filter(|count| count.0 == *codec).for_each(|count| count.1 = *packets);
    }
    counts
}

/// Rows of whole FLV and TS files, those that libavformat reads to the end.
fn whole() -> impl Iterator<Item = &'static Row> {
    let folders = ["gen", "flv", "ts", "hls", "hls_shaka", "ts_psi"];
    let rows = manifest().rows().iter();
    rows.filter(move |row| {
        let folder = row.file.split('/').next().unwrap_or_default();
        let kind = [".flv", ".ts"].iter().any(|end| row.file.ends_with(end));
        kind && folders.contains(&folder) && matches!(row.lavf, Reading::Media { gave_up: None, .. })
    })
}

#[test]
fn flv_4_ts_10_every_whole_file_has_the_packets_that_libavformat_reads() {
    let Some(dir) = media_dir() else { return fixtures_have_the_packets_of_their_page() };
    let mut wrong = Vec::new();
    let mut seen = 0;
    for row in whole().filter(|row| !expected(row).is_empty() && !TABLES_ONLY.contains(&&*row.file)) {
        let (code, found, complaint) = discover(&dir.join(&row.file));
        let counts = tracks(&found);
        let dropped: u64 = found["damage"].as_array().into_iter().flatten().filter_map(|d| d["bytes"].as_u64()).sum();
        let may_drop = OTHERWISE.iter().find(|(file, ..)| *file == row.file).map_or(0, |(.., bytes)| *bytes);
        if code != 0 || counts != expected(row) || dropped != may_drop {
            wrong.push(format!(
                "{}: {code} {counts:?}, not {:?}; dropped {dropped}; {complaint}",
                row.file,
                expected(row)
            ));
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 60, "only {seen} files");
}

/// Packets without a PAT and a PMT, whose codec libavformat guesses from the bytes.
const TABLES_ONLY: [&str; 2] = ["ts_psi/tsduck-test__test-125.ts", "ts_psi/tsduck-test__test-171.1.ts"];

/// The same for the fixtures that every clone has; their page says what libavformat counts.
fn fixtures_have_the_packets_of_their_page() {
    let page = include_str!("../../fixtures/README.md");
    let mut seen = 0;
    for line in
        page.lines().filter(|line| line.contains(" | h264 ") || line.contains(" | aac ") || line.contains(" | hevc "))
    {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (name, counts) = (cells[1], cells[cells.len() - 2]);
        if name.starts_with("flv_cut") || name.starts_with("ts_lost") {
            continue;
        }
        let (code, found, complaint) = discover(&fixture(name));
        let mut told: Vec<String> = counts.split(", ").map(str::to_owned).collect();
        told.sort();
        let read: Vec<String> = tracks(&found).iter().map(|(codec, packets)| format!("{codec} {packets}")).collect();
        assert_eq!((code, read), (0, told), "{name}: {complaint}");
        seen += 1;
    }
    assert!(seen >= 4, "{seen}");
}

#[test]
fn the_fixtures_are_read_as_their_page_says() {
    fixtures_have_the_packets_of_their_page();
}

#[test]
fn ts_4_packets_without_tables_are_refused_with_a_reason() {
    let Some(dir) = media_dir() else { return };
    let mut seen = 0;
    for row in manifest().rows().iter().filter(|row| row.file.starts_with("ts_psi/")) {
        let (code, found, complaint) = discover(&dir.join(&row.file));
        if tracks(&found).is_empty() && code != 0 {
            let reasons = ["no PAT and PMT", "no known container", "no MPEG transport stream"];
            assert!(code == 1 && reasons.iter().any(|reason| complaint.contains(reason)), "{}: {complaint}", row.file);
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}

#[test]
fn a_playlist_is_no_container() {
    let Some(dir) = media_dir() else { return };
    let (code, _, complaint) = discover(&dir.join("gen/hls_ts/index.m3u8"));
    assert_eq!(code, 1);
    assert!(complaint.contains("no known container"), "{complaint}");
}

/// Takes a file apart.
fn apart(fs: &MemFs, file: &str, demuxer: &str) -> Outcome {
    let line =
        format!("filesrc location={file} ! {demuxer} name=d d.video ! collect name=video d.audio ! collect name=audio");
    simulate(fs, &line).ok(file)
}

/// Presentation times, decoding times and bytes of a track; times count from the earliest of the file.
fn media(outcome: &Outcome, pad: &str) -> Vec<(Option<i64>, Option<i64>, Vec<u8>)> {
    let first = ["video", "audio"].iter().flat_map(|pad| outcome.buffers(pad)).filter_map(|b| b.dts_or_pts()).min();
    let ms = |time: Option<millstream_core::Time>| Some((time? - first?).millis());
    let one = |buffer: &&Buffer| (ms(buffer.pts), ms(buffer.dts), bytes_of([*buffer]).to_vec());
    outcome.buffers(pad).iter().map(one).collect()
}

fn files(extension: &str) -> Vec<PathBuf> {
    match media_dir() {
        Some(dir) => {
            let folders = |row: &&Row| !row.file.starts_with("ts_psi/") && row.file.ends_with(extension);
            whole().filter(folders).map(|row| dir.join(&row.file)).collect()
        }
        None => vec![fixture(&format!("h264b_aac48s_10s.{extension}"))],
    }
}

#[test]
fn flv_6_a_file_put_together_again_holds_the_same_media_at_the_same_times() {
    let files = files("flv");
    for path in &files {
        let fs = MemFs::default();
        fs.insert("in.flv", std::fs::read(path).expect("a file"));
        let before = apart(&fs, "in.flv", "flvdemux");
        let line = "filesrc location=in.flv ! flvdemux name=d d.video ! m.video d.audio ! m.audio flvmux name=m ! filesink location=out.flv";
        simulate(&fs, line).ok("remux");
        let after = apart(&fs, "out.flv", "flvdemux");
        for pad in ["video", "audio"] {
            let (before, after) = (media(&before, pad), media(&after, pad));
            assert_eq!(before.len(), after.len(), "{}: {pad}", path.display());
            let differs = before.iter().zip(&after).position(|(before, after)| before != after);
            assert_eq!(differs, None, "{}: first frame of {pad} that differs", path.display());
        }
    }
    assert!(media_dir().is_none() || files.len() >= 30, "{}", files.len());
}

#[test]
fn flv_2_ts_6_times_go_on_where_counters_begin_anew() {
    let cases = [
        ("gen/flv_ts_wrap24.flv", "flvdemux", ""),
        ("gen/flv_ts_wrap32.flv", "flvdemux", ""),
        ("gen/h264_pts_wrap33.ts", "tsdemux", "! aacparse"),
    ];
    for (name, demuxer, parser) in cases {
        let Some(bytes) = millstream_testkit::media::media_bytes(name) else { continue };
        let fs = MemFs::default();
        fs.insert("in", bytes);
        let line = format!(
            "filesrc location=in ! {demuxer} name=d d.video ! collect name=video d.audio {parser} ! collect name=audio"
        );
        let outcome = simulate(&fs, &line).ok(name);
        // 30 pictures a second, and 1024 samples of 48 kHz; FLV counts milliseconds.
        for (pad, count, step) in [("video", 300, 33.33), ("audio", 470, 21.33)] {
            let media = media(&outcome, pad);
            let times: Vec<i64> = media.iter().filter_map(|(_, dts, _)| *dts).collect();
            assert_eq!(times.len(), count, "{name} {pad}");
            let even = times.windows(2).all(|pair| ((pair[1] - pair[0]) as f64 - step).abs() <= 2.0);
            assert!(even, "{name} {pad}: {times:?}");
        }
        // Both tracks wrap at the same moment of the timeline.
        let first = |pad| media(&outcome, pad)[0].1;
        assert!(first("video").zip(first("audio")).is_some_and(|(v, a)| (v - a).abs() < 200), "{name}");
    }
}
