//! What foreign programs read, beside what `tsdemux` reads; and what they say of the output of `tsmux`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test gives its files to foreign programs")]

mod harness;

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use harness::{clip, demux_file, frames, mux_items, valid_files};
use millstream_core::{Buffer, Time};
use millstream_testkit::{media::media, peers::peer};

/// Runs a program and gives what it printed; it has to succeed.
fn run(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{} {args:?}: {}", program.display(), text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

fn written(name: &str, bytes: &Bytes) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Presentation time, decoding time and key flag, in ticks of 90 kHz.
type Stamp = (Option<i64>, Option<i64>, bool);

/// The packets of a stream as ffprobe reads them.
fn ffprobe(program: &Path, file: &Path, stream: &str) -> Vec<Stamp> {
    let entries = ["-v", "fatal", "-select_streams", stream, "-show_entries", "packet=pts,dts,flags", "-of", "csv=p=0"];
    let text = run(program, &[&entries[..], &[file.to_str().unwrap()]].concat());
    let lines = text.lines().filter(|line| line.contains(','));
    let stamp = |line: &str| {
        let mut fields = line.split(',');
        let mut number = || fields.next().and_then(|field| field.parse().ok());
        let (pts, dts) = (number(), number());
        (pts, dts, line.contains(",K"))
    };
    lines.map(stamp).collect()
}

fn stamps(buffers: &[Buffer]) -> Vec<Stamp> {
    let ticks = |time: Option<Time>| time.map(|time| time.ticks(90_000));
    buffers.iter().map(|buffer| (ticks(buffer.pts), ticks(buffer.dts), buffer.is_keyframe())).collect()
}

/// The same on the 33-bit clock, to the rounding of interpolated times.
fn agree(ours: &Stamp, theirs: &Stamp) -> bool {
    let near = |a: Option<i64>, b: Option<i64>| match (a, b) {
        (Some(a), Some(b)) => (a - b + 1).rem_euclid(1 << 33) <= 2,
        (a, b) => a == b,
    };
    near(ours.0, theirs.0) && near(ours.1, theirs.1) && ours.2 == theirs.2
}

#[test]
fn ts_15_times_and_key_frames_equal_ffprobe() {
    let Some(program) = peer("ffprobe") else { return };
    let mut wrong = Vec::new();
    for (row, file) in valid_files() {
        for (pad, stream) in [("video", "v:0"), ("audio", "a:0")] {
            // It gives the time of a PES packet to the rest of a frame that began before, not to the first frame that begins in it.
            if row.lavf.packets(pad).is_none_or(|packets| packets == 0) || row.file.ends_with("sample_ac3.ts") {
                continue;
            }
            let ours = stamps(&frames(&mut demux_file(&file, &[pad], "", 1 << 20), pad));
            let theirs = ffprobe(&program, &media(&row.file).unwrap(), stream);
            // The first packet of this one is no frame.
            let skipped = usize::from(row.file.ends_with("gst__test.ts") && pad == "audio");
            let mut pairs = ours.iter().zip(theirs.iter().skip(skipped)).enumerate();
            if let Some((at, (ours, theirs))) = pairs.find(|(_, (ours, theirs))| !agree(ours, theirs)) {
                wrong.push(format!("{} {pad} at {at}: {ours:?}, not {theirs:?}", row.file));
            }
            assert_eq!(ours.len() + skipped, theirs.len(), "{}", row.file);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Without the access unit delimiter that `tsmux` puts ahead of H.264 units which have none.
fn without_delimiter(data: &Bytes) -> Bytes {
    data.strip_prefix(b"\0\0\0\x01\x09\xF0").map_or_else(|| data.clone(), |rest| data.slice_ref(rest))
}

#[test]
fn ts_15_round_trips_are_equal_to_the_byte() {
    for (row, file) in valid_files() {
        let pads: Vec<&str> = ["video", "audio"].into_iter().filter(|pad| row.lavf.packets(pad) > Some(0)).collect();
        let mut before = demux_file(&file, &pads, "", 1 << 20);
        let mut after = demux_file(&mux_items(&before, &pads, ""), &pads, "", 1 << 20);
        assert!(after.drops.is_empty(), "{}: {:?}", row.file, after.drops);
        let (mut first, mut shift) = (None, None);
        for pad in pads {
            let (before, after) = (frames(&mut before, pad), frames(&mut after, pad));
            assert_eq!(before.len(), after.len(), "{} {pad}", row.file);
            // What is before the first frame of this one goes into a PES packet with that, which gets its time.
            let times = !(row.file.ends_with("gst__test.ts") && pad == "audio");
            for (a, b) in before.iter().zip(&after) {
                let bytes = [a, b].map(|buffer| without_delimiter(&buffer.payload.contiguous()));
                assert!(bytes[0] == bytes[1], "{} {pad} at {:?}", row.file, a.pts);
                let (Some(a), Some(b)) = (a.dts_or_pts().filter(|_| times), b.dts_or_pts()) else { continue };
                let ticks = b.ticks(90_000) - a.ticks(90_000);
                let expected = *shift.get_or_insert(ticks);
                first = first.or(Some(pad));
                assert!(ticks.abs_diff(expected) <= 1, "{} {pad}: moved by {ticks}, {first:?} by {expected}", row.file);
            }
        }
    }
}

/// The number behind each of some words, in ticks of 90 kHz.
fn numbers(text: &str, word: &str) -> Vec<i64> {
    let number = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
        rest[..end].parse().unwrap()
    };
    text.split(word).skip(1).map(|rest| number(rest.trim_start())).collect()
}

#[test]
fn ts_2_ts_5_tsreport_finds_nothing_wrong_with_what_tsmux_writes() {
    let Some(program) = peer("tsreport") else { return };
    for (name, settings) in [("vbr.ts", ""), ("cbr.ts", "bitrate=2000000")] {
        let pads = ["video", "audio"];
        let path = written(name, &mux_items(&demux_file(&clip(), &pads, "", 1 << 20), &pads, settings));
        let text = run(&program, &["-b", path.to_str().unwrap()]);
        assert!(!text.contains("###"), "{name}: {text}");
        assert_eq!(numbers(&text, "Bad (>.1s) gaps:"), [0]);
        assert!(numbers(&text, "Max gap:")[0] <= 40 * 90, "{text}");
        assert_eq!(numbers(&text, "duplicate packets:"), [0, 0]);
        let ahead = numbers(&text, "Minimum difference was");
        assert!(ahead.len() == 3 && ahead.iter().all(|ticks| *ticks > 0), "PCR is never ahead of DTS: {text}");
        if name == "cbr.ts" {
            let errors = [numbers(&text, "errors: min="), numbers(&text, "t, max=")].concat();
            assert!(errors[..2].iter().all(|ticks| ticks.abs() <= 1), "a constant rate is a straight line: {text}");
        }
    }
}

#[test]
fn ts_15_gstreamer_reads_every_frame_that_tsmux_wrote() {
    let Some(program) = peer("gst-launch-1.0") else { return };
    let muxed = mux_items(&demux_file(&clip(), &["video", "audio"], "", 1 << 20), &["video", "audio"], "");
    let path = written("gst.ts", &muxed);
    for (branch, count) in [("video/x-h264 ! h264parse", 300), ("audio/mpeg ! aacparse", 470)] {
        let line =
            format!("filesrc location={} ! tsdemux ! {branch} ! identity silent=false ! fakesink", path.display());
        let args: Vec<&str> = ["-v"].into_iter().chain(line.split(' ')).collect();
        let text = run(&program, &args);
        assert_eq!(text.matches("chain   *******").count(), count, "{branch}");
        assert!(!text.contains("WARN"), "{text}");
    }
}
