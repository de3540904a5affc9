//! What the world does to a running job: disks that fill up, inputs and readers that go away, signals. One clear error, exit code 1, what
//! was finished before stays valid, and nothing unfinished ever has a final name.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

use millstream_testkit::{MemFs, fixture};
use millstream_tests::sim::{Outcome, simulate};
use millstream_tests::{Said, finish, millstream, root, run_args, signal, until};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn clip() -> Vec<u8> {
    std::fs::read(fixture("h264b_aac48s_10s.flv")).expect("a fixture")
}

/// A disk with the clip on it.
fn disk() -> MemFs {
    let fs = MemFs::new();
    fs.insert("in.flv", clip());
    fs
}

const TO_TS: &str = "flvdemux name=d d.video ! h264parse ! m. d.audio ! aacparse ! m. tsmux name=m";
const TO_HLS: &str = "flvdemux name=d d.video ! h264parse ! h.video d.audio ! aacparse ! h.audio hlssink name=h directory=hls segment-duration=2s";

/// The one error of a job that failed.
fn error(outcome: &Outcome) -> String {
    outcome.result.as_ref().expect_err("it fails").to_string()
}

/// The segments that a playlist names, each of which must be there and whole.
fn listed(fs: &MemFs, playlist: &str) -> Vec<Vec<u8>> {
    let text = fs.get(playlist).map(|bytes| String::from_utf8(bytes).expect("text")).unwrap_or_default();
    let names = text.lines().filter(|line| !line.starts_with('#'));
    names.map(|name| fs.get(Path::new("hls").join(name)).unwrap_or_else(|| panic!("{name} is not there"))).collect()
}

fn is_transport_stream(bytes: &[u8]) {
    assert!(!bytes.is_empty() && bytes.len().is_multiple_of(188), "{} bytes", bytes.len());
    assert!(bytes.chunks(188).all(|packet| packet[0] == 0x47));
}

#[test]
fn a_full_disk_is_one_error_and_leaves_no_file_of_that_name() {
    for room in [0, 1000, 300_000, 900_000] {
        let fs = disk();
        fs.full_after(room);
        let outcome = simulate(&fs, &format!("filesrc location=in.flv ! {TO_TS} ! filesink location=out.ts"));
        let error = error(&outcome);
        assert!(error.contains("out.ts") && error.contains("no space"), "{room}: {error}");
        assert_eq!(fs.get("out.ts"), None, "{room}");
    }
}

#[test]
fn hls_10_a_full_disk_leaves_the_segments_before_it_playable() {
    let fs = disk();
    // Two segments of about 200 kB fit, and part of a third.
    fs.full_after(500_000);
    let outcome = simulate(&fs, &format!("filesrc location=in.flv ! {TO_HLS}"));
    assert!(error(&outcome).contains("no space"), "{}", error(&outcome));
    let segments = listed(&fs, "hls/index.m3u8");
    // The list of two cannot be written any more, as it is written beside the list of one.
    assert!((1..=2).contains(&segments.len()), "{}", segments.len());
    segments.iter().for_each(|segment| is_transport_stream(segment));
    let names: Vec<PathBuf> =
        fs.paths().into_iter().filter(|path| path.extension().is_some_and(|e| e == "ts")).collect();
    assert_eq!(names.len(), 2, "only whole segments have their names: {names:?}");
}

#[test]
fn a_directory_that_cannot_be_written_is_one_error() {
    for (line, folder) in [
        (format!("filesrc location=in.flv ! {TO_TS} ! filesink location=locked/out.ts"), "locked"),
        (format!("filesrc location=in.flv ! {TO_HLS}"), "hls"),
    ] {
        let fs = disk();
        fs.insert(format!("{folder}/other"), "");
        fs.make_unwritable(folder);
        let error = error(&simulate(&fs, &line));
        assert!(error.contains(folder) && error.contains("permission denied"), "{error}");
    }
}

#[test]
fn an_input_that_goes_away_is_one_error_and_leaves_no_file_of_that_name() {
    let fs = disk();
    fs.fail_reads_at("in.flv", 400_000);
    let line = format!("filesrc location=in.flv blocksize=64KiB ! {TO_TS} ! filesink location=out.ts");
    let error = error(&simulate(&fs, &line));
    assert!(error.contains("in.flv"), "{error}");
    assert_eq!(fs.get("out.ts"), None);
}

#[test]
fn hls_10_an_input_that_goes_away_leaves_the_segments_before_it_playable() {
    let fs = disk();
    fs.fail_reads_at("in.flv", 600_000);
    let outcome = simulate(&fs, &format!("filesrc location=in.flv blocksize=64KiB ! {TO_HLS}"));
    assert!(error(&outcome).contains("in.flv"));
    let segments = listed(&fs, "hls/index.m3u8");
    // A playlist that grows faster than it plays is replaced twice a second only, and no time passes here.
    assert!((1..=3).contains(&segments.len()), "{}", segments.len());
    segments.iter().for_each(|segment| is_transport_stream(segment));
    let all = fs.paths().into_iter().filter(|path| path.extension().is_some_and(|e| e == "ts"));
    all.for_each(|path| is_transport_stream(&fs.get(path).expect("it is there")));
}

#[test]
fn a_pipe_that_closes_is_one_error_that_says_so() {
    let fs = disk();
    fs.pipe_closes_after(100_000);
    let outcome = simulate(&fs, &format!("filesrc location=in.flv ! {TO_TS} ! filesink location=-"));
    assert!(error(&outcome).contains("broken pipe"), "{}", error(&outcome));
    assert_eq!(fs.stdout().len(), 100_000);
}

// The same faults, and signals, as a process meets them.

fn start(dir: &Path, line: &str) -> Child {
    let mut command = millstream(dir);
    command.args(["launch", "-e", line]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

#[test]
fn a_reader_that_goes_away_in_the_middle_of_media_is_one_error() {
    let dir = dir();
    let line =
        format!("filesrc location={} ! {TO_TS} ! filesink location=-", fixture("h264b_aac48s_10s.flv").display());
    let mut child = start(dir.path(), &line);
    let mut some = [0; 188];
    child.stdout.take().expect("piped").read_exact(&mut some).expect("media");
    let said = finish(child);
    assert_eq!((said.code, said.errors(), some[0]), (1, 1, 0x47), "{}", said.err);
    assert!(said.err.to_lowercase().contains("broken pipe"), "{}", said.err);
}

#[test]
fn a_slow_reader_gets_everything() {
    let dir = dir();
    let file = fixture("h264b_aac48s_10s.flv");
    let line = |to: &str| format!("filesrc location={} ! {TO_TS} ! filesink location={to}", file.display());
    assert_eq!(run_args(dir.path(), &["launch", "-q", &line("whole.ts")]).code, 0);
    let mut child = start(dir.path(), &line("-"));
    let mut out = child.stdout.take().expect("piped");
    let (mut read, mut block) = (Vec::new(), [0; 16_000]);
    while let Ok(n @ 1..) = out.read(&mut block) {
        read.extend_from_slice(&block[..n]);
        // Long enough for the pipe to be full when we come back.
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(finish(child).code, 0);
    assert!(read == std::fs::read(dir.path().join("whole.ts")).expect("a file"), "{} bytes", read.len());
}

/// A job that reads the clip from a pipe which stays open, and has taken all of it: what it does next is up to a signal.
fn waiting(dir: &Path, line: &str, begun: &str) -> (Child, ChildStdin) {
    let mut child = start(dir, &format!("filesrc location=- blocksize=64KiB ! {line}"));
    let mut pipe = child.stdin.take().expect("piped");
    pipe.write_all(&clip()).expect("it reads");
    until(begun, || dir.join(begun).exists());
    (child, pipe)
}

/// What `discover` says of a file.
fn discover(file: &Path) -> Value {
    let said = run_args(&root(), &["discover", "--json", &file.display().to_string()]);
    assert_eq!(said.code, 0, "{}", said.err);
    serde_json::from_str(&said.out).expect("JSON")
}

fn buffers(file: &Path) -> Vec<u64> {
    let found = discover(file);
    found["tracks"].as_array().expect("tracks").iter().filter_map(|track| track["buffers"].as_u64()).collect()
}

/// Sends a signal, and ends the input once it has been heard: a read that waits for a pipe ends when the pipe does.
fn interrupted(mut child: Child, pipe: ChildStdin, name: &str) -> Said {
    signal(&child, name);
    let mut err = child.stderr.take().expect("piped");
    let (mut said, mut byte) = (String::new(), [0]);
    while !said.contains("interrupt again") {
        assert_eq!(err.read(&mut byte).expect("text"), 1, "{said}");
        said.push(byte[0].into());
    }
    drop(pipe);
    finish(child)
}

#[test]
fn signals_finish_files_in_the_middle() {
    for name in ["INT", "TERM"] {
        let dir = dir();
        let out = dir.path().join("out.ts");
        let (child, pipe) = waiting(dir.path(), &format!("{TO_TS} ! filesink location=out.ts"), "out.ts.part");
        let said = interrupted(child, pipe, name);
        assert_eq!(said.code, 130, "{name}: {}", said.err);
        is_transport_stream(&std::fs::read(&out).expect("the file has its name"));
        assert!(!dir.path().join("out.ts.part").exists());
        assert!(buffers(&out).iter().all(|n| *n > 0), "{name}: it has pictures and sound");
    }
}

#[test]
fn flv_6_signals_leave_a_file_with_duration_and_index() {
    let dir = dir();
    let line = "flvdemux name=d d.video ! m.video d.audio ! m.audio flvmux name=m ! filesink location=out.flv";
    let (child, pipe) = waiting(dir.path(), line, "out.flv.part");
    assert_eq!(interrupted(child, pipe, "INT").code, 130);
    let bytes = std::fs::read(dir.path().join("out.flv")).expect("the file has its name");
    let at = bytes.windows(8).position(|window| window == b"duration").expect("a duration") + 9;
    let seconds = f64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    assert!(seconds > 1.0 && seconds < 10.2, "{seconds}");
    assert!(bytes.windows(13).any(|window| window == b"filepositions"));
}

#[test]
fn hls_9_signals_end_the_playlist() {
    let dir = dir();
    let (child, pipe) = waiting(dir.path(), TO_HLS, "hls/index.m3u8");
    assert_eq!(interrupted(child, pipe, "TERM").code, 130);
    let text = std::fs::read_to_string(dir.path().join("hls/index.m3u8")).expect("a playlist");
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    assert_eq!(whole_segments(&dir.path().join("hls"), &text), segment_files(&dir.path().join("hls")));
}

/// The segments that a playlist names, in order; each is a whole transport stream.
fn whole_segments(dir: &Path, text: &str) -> Vec<String> {
    let names: Vec<String> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    names.iter().for_each(|name| is_transport_stream(&std::fs::read(dir.join(name)).expect("a segment")));
    names
}

/// All segments under final names.
fn segment_files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".ts")).collect();
    names.sort();
    names
}

fn kill(mut child: Child) {
    child.kill().expect("the child is ours");
    assert!(child.wait().is_ok_and(|status| !status.success()));
}

#[test]
fn a_killed_job_leaves_no_file_of_that_name() {
    let dir = dir();
    let (child, pipe) = waiting(dir.path(), &format!("{TO_TS} ! filesink location=out.ts"), "out.ts.part");
    kill(child);
    drop(pipe);
    assert!(!dir.path().join("out.ts").exists(), "an unfinished file has no final name");
}

#[test]
fn hls_10_a_killed_job_leaves_a_playlist_of_whole_segments() {
    let dir = dir();
    let (child, pipe) = waiting(dir.path(), TO_HLS, "hls/seg00001.ts");
    kill(child);
    drop(pipe);
    let hls = dir.path().join("hls");
    let text = std::fs::read_to_string(hls.join("index.m3u8")).expect("a playlist");
    assert!(text.starts_with("#EXTM3U\n") && !text.contains("ENDLIST"), "{text}");
    assert!(!whole_segments(&hls, &text).is_empty());
    segment_files(&hls).iter().for_each(|name| is_transport_stream(&std::fs::read(hls.join(name)).expect("a segment")));
}

/// Writes the clip again and again, each time later by its length, as one stream.
fn pump(pipe: &mut ChildStdin, rounds: u32) {
    /// Length of the clip (manifest), in ms.
    const LENGTH: u32 = 10_067;
    let clip = clip();
    pipe.write_all(&clip[..13]).expect("it reads");
    for round in 0..rounds {
        let mut block = Vec::with_capacity(clip.len());
        let mut at = 13;
        while let Some(head) = clip.get(at..at + 13) {
            let size = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
            let time = u32::from_be_bytes([head[7], head[4], head[5], head[6]]) + round * LENGTH;
            let [high, a, b, c] = time.to_be_bytes();
            // Metadata and sequence headers (packet type 0) are for the first round.
            if round == 0 || (head[0] != 18 && head[12] != 0) {
                block.extend_from_slice(&head[..4]);
                block.extend_from_slice(&[a, b, c, high]);
                block.extend_from_slice(&clip[at + 8..at + 11 + size + 4]);
            }
            at += 11 + size + 4;
        }
        pipe.write_all(&block).expect("it reads");
    }
}

/// Peak memory of the children so far, in bytes. nextest gives each test a process, so these are those of this test.
fn peak() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).expect("it is counted").max_rss() * 1024
}

/// What a job may need however long it is, more than one that does nothing: the pages of the program are its size, not the job's.
const MEMORY: i64 = 8 << 20;
/// Without the pages of the program and its libraries.
const OWN_MEMORY: u64 = 4 << 20;

/// Memory of a child that no file is behind, in bytes.
fn own_memory(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn memory_is_small_and_does_not_grow_with_the_length() {
    let dir = dir();
    let nothing = finish(start(dir.path(), "fakesrc num-buffers=1 ! fakesink"));
    assert_eq!(nothing.code, 0, "{}", nothing.err);
    let program = peak();
    for to in [
        format!("{TO_TS} ! filesink location=/dev/null"),
        "flvdemux name=d d.video ! m.video d.audio ! m.audio flvmux name=m ! filesink location=/dev/null".to_owned(),
        format!("{TO_HLS} window=6s"),
    ] {
        let mut peaks = [0; 2];
        for (index, rounds) in [4, 60].into_iter().enumerate() {
            let mut child = start(dir.path(), &format!("filesrc location=- ! {to}"));
            let mut pipe = child.stdin.take().expect("piped");
            pump(&mut pipe, rounds);
            let own = own_memory(&child);
            assert!(own <= OWN_MEMORY, "{to}: {} KiB after {rounds} clips", own >> 10);
            drop(pipe);
            let said = finish(child);
            assert_eq!(said.code, 0, "{to}: {}", said.err);
            peaks[index] = peak();
        }
        assert!(peaks[1] - program <= MEMORY, "{to}: {} KiB of {}", (peaks[1] - program) >> 10, peaks[1] >> 10);
        // Fifteen times as long: what grows is the index of key frames, and chance.
        assert!(peaks[1] - peaks[0] <= 1 << 20, "{to}: from {} to {} KiB", peaks[0] >> 10, peaks[1] >> 10);
    }
}
