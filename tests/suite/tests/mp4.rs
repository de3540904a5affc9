//! MP4 files as others read them: the samples of every file lie where ffprobe finds them, at its times.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use millstream_mp4::fragment::Fragments;
use millstream_mp4::movie::{Movie, Sample, Track};
use millstream_mp4::wire::{BoxHeader, HeaderRead};
use millstream_testkit::fixture;
use millstream_testkit::media::{manifest, media};
use millstream_tests::peers::need;
use millstream_tests::{root, run_args};

/// Place, bytes, and times in ticks: of decoding and of composition.
type Row = (u64, u32, i64, i64);

/// The samples of each track of a file.
fn ours(file: &Bytes) -> Option<Vec<(Track, Vec<Sample>)>> {
    let (mut movie, mut fragments, mut at) = (None, Fragments::default(), 0);
    let mut tracks: BTreeMap<u32, Vec<Sample>> = BTreeMap::new();
    while let Ok(HeaderRead::Whole(header)) = BoxHeader::read(&file[at..], at as u64) {
        let end = header.end().map_or(file.len(), |end| end.min(file.len() as u64) as usize);
        let content = file.slice((header.content() as usize).min(end)..end);
        match &header.kind.0 {
            b"moov" => movie = Some(Movie::read(&content, header.content()).expect("a movie")),
            b"moof" => {
                let runs = fragments.read(movie.as_ref()?, &content, (header.offset, header.content())).expect("runs");
                runs.into_iter().for_each(|run| tracks.entry(run.track).or_default().extend(run.samples));
            }
            _ => {}
        }
        at = end;
    }
    let all = movie?.tracks.into_iter().map(|track| {
        let mut samples: Vec<Sample> = track.table.samples().collect();
        samples.extend(tracks.remove(&track.id).unwrap_or_default());
        (track, samples)
    });
    Some(all.collect())
}

/// What ffprobe reads of a track, which it knows by its number in the file; edit lists are not applied.
fn theirs(path: &Path, id: u32) -> Vec<Row> {
    let entries = "packet=pos,size,dts,pts";
    let said = Command::new(need("ffprobe"))
        .args([
            "-v",
            "error",
            "-ignore_editlist",
            "1",
            "-show_entries",
            entries,
            "-of",
            "compact=p=0",
            "-select_streams",
        ])
        .arg(format!("i:{id}"))
        .arg(path)
        .output()
        .expect("ffprobe runs");
    let number = |line: &str, name: &str| {
        line.split('|').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse::<i64>().ok()).unwrap_or(-1)
    };
    let row = |line: &str| {
        (number(line, "pos") as u64, number(line, "size") as u32, number(line, "dts"), number(line, "pts"))
    };
    String::from_utf8_lossy(&said.stdout).lines().map(row).collect()
}

#[test]
fn mp4_samples_lie_where_ffprobe_finds_them_at_its_times() {
    let (mut compared, mut wrong) = (0, Vec::new());
    for name in manifest().rows().iter().map(|row| &row.file).filter(|name| name.starts_with("mp4/")) {
        let Some(path) = media(name) else { continue };
        let file = Bytes::from(std::fs::read(&path).expect("a listed file exists"));
        for (track, samples) in ours(&file).unwrap_or_default() {
            if track.entries.iter().all(|entry| entry.codec.is_none()) {
                continue;
            }
            // What is behind the end of a file that was cut nobody reads.
            let is_there = |one: &&Sample| one.offset + u64::from(one.size) <= file.len() as u64;
            let rows: Vec<Row> =
                samples.iter().filter(is_there).map(|one| (one.offset, one.size, one.dts, one.cts)).collect();
            let expected = theirs(&path, track.id);
            compared += 1;
            if rows != expected {
                let at = rows.iter().zip(&expected).position(|(ours, theirs)| ours != theirs);
                let at = at.unwrap_or(rows.len().min(expected.len()));
                wrong.push(format!(
                    "{name} track {} {:?}: {} of {} rows; {at}: {:?} {:?}",
                    track.id,
                    track.entries[0].codec,
                    rows.len(),
                    expected.len(),
                    rows.get(at),
                    expected.get(at)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared == 0 || compared > 40, "{compared}");
}

/// What ffmpeg reads of a track: checksum of each packet, and its times of decoding and composition in ms since the first of decoding.
fn packets(path: &Path, track: &str) -> (Vec<String>, Vec<(i64, i64)>) {
    let said = Command::new(need("ffmpeg"))
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", track, "-c", "copy", "-f", "framemd5", "-"])
        .output()
        .expect("ffmpeg runs");
    let text = String::from_utf8_lossy(&said.stdout);
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: 1/")?.parse::<i64>().ok()).expect("a time base");
    // Stream, dts, pts, duration, size, checksum.
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        Some(((*fields.get(5)?).to_owned(), (fields[1].parse::<i64>().ok()?, fields[2].parse::<i64>().ok()?)))
    };
    let (sums, times): (_, Vec<_>) = text.lines().filter(|line| !line.starts_with('#')).filter_map(row).unzip();
    let first = times.first().map_or(0, |time| time.0);
    let ms = |ticks: i64| ((ticks - first) * 1000 + base / 2).div_euclid(base);
    (sums, times.iter().map(|time| (ms(time.0), ms(time.1))).collect())
}

#[test]
fn mp4_of_any_layout_goes_into_flv_packet_for_packet() {
    let dir = tempfile::tempdir().expect("a folder");
    for layout in ["plain", "faststart", "frag"] {
        let (input, out) =
            (fixture(&format!("h264b_aac48s_2s_{layout}.mp4")), dir.path().join(format!("{layout}.flv")));
        let line = format!(
            "filesrc location={} blocksize=4096 ! mp4demux name=d  d.video ! m.video  d.audio ! m.audio  flvmux name=m ! filesink location={}",
            input.display(),
            out.display(),
        );
        let said = run_args(&root(), &[vec!["launch"], line.split_whitespace().collect()].concat());
        assert_eq!(said.code, 0, "{}", said.err);
        for track in ["0:v", "0:a"] {
            let (bytes, times) = packets(&input, track);
            assert!(bytes.len() > 60, "{} packets", bytes.len());
            let (ours, seen) = packets(&out, track);
            assert!(bytes == ours, "{layout} {track}: {} packets of {}", ours.len(), bytes.len());
            let off = times.iter().zip(&seen).find(|(a, b)| (a.0 - b.0).abs() > 1 || (a.1 - b.1).abs() > 1);
            assert_eq!(off, None, "{layout} {track}");
        }
    }
}

#[test]
fn mp4_that_is_cut_gives_what_is_whole_and_says_what_is_missing() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = std::fs::read(fixture("h264b_aac48s_2s_faststart.mp4")).expect("the fixture");
    let cut = dir.path().join("cut.mp4");
    std::fs::write(&cut, &file[..file.len() / 2]).expect("written");
    let out = dir.path().join("out.flv");
    let (from, to) = (format!("location={}", cut.display()), format!("location={}", out.display()));
    let launch =
        ["launch", "filesrc", &from, "!", "mp4demux", "name=d", "d.video", "!", "flvmux", "!", "filesink", &to];
    let said = run_args(&root(), &launch);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("the file is cut") && said.err.contains("`video`"), "{}", said.err);
    let whole = packets(&cut, "0:v").0.len();
    assert!(whole > 10 && packets(&out, "0:v").0.len().abs_diff(whole) <= 1, "libavformat gives half a packet, too");
}

#[test]
fn mp4_that_cannot_be_read_is_refused_with_its_byte() {
    let dir = tempfile::tempdir().expect("a folder");
    let plain = std::fs::read(fixture("h264b_aac48s_2s_plain.mp4")).expect("the fixture");
    for (name, bytes, why) in [
        ("flv.mp4", std::fs::read(fixture("video_only_h264.flv")).expect("the fixture"), "the input is not MP4"),
        ("empty.mp4", Vec::new(), "the input is empty"),
        ("half.mp4", plain[..plain.len() / 2].to_vec(), "ends before its `moov`"),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let from = format!("location={}", path.display());
        let said =
            run_args(&root(), &["launch", "filesrc", &from, "!", "mp4demux", "name=d", "d.video", "!", "fakesink"]);
        assert_eq!(said.code, 1, "{name}: {}", said.err);
        assert!(said.err.contains(why), "{name}: {}", said.err);
    }
}
