//! Several `hlssink` that are renditions of one presentation: what their Multivariant Playlist says, by ffprobe and by their own files.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use millstream_hls::playlist::read_media_playlist;
use millstream_runtime::Runtime;
use millstream_testkit::fixture;
use millstream_tests::{live, peers, run};

/// A rendition with sound and one without, and what more each sink is told.
fn line(more: &str) -> String {
    let [high, low] = ["h264b_aac48s_10s.flv", "video_only_h264.flv"].map(|name| fixture(name).display().to_string());
    format!(
        "filesrc location={high} ! flvdemux name=d  d.video ! h264parse ! h.video  d.audio ! aacparse ! h.audio  \
         hlssink name=h directory=out/high multivariant=out/index.m3u8 segment-duration=1s {more}  \
         filesrc location={low} ! flvdemux name=e  e.video ! h264parse ! l.video  \
         hlssink name=l directory=out/low multivariant=out/index.m3u8 segment-duration=1s {more}"
    )
}

/// The attributes of each EXT-X-STREAM-INF, and the URI below it.
fn variants(playlist: &str) -> Vec<(BTreeMap<String, String>, String)> {
    let mut lines = playlist.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(attributes) = line.strip_prefix("#EXT-X-STREAM-INF:") else { continue };
        let mut quoted = false;
        let words = attributes.split(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let named = words.filter_map(|word| word.split_once('=')).map(|(name, value)| (name.into(), value.into()));
        found.push((named.collect(), lines.next().expect("a URI").to_owned()));
    }
    found
}

/// What ffprobe says of a stream of a file.
fn probed(file: &Path, stream: &str, entries: &str) -> BTreeMap<String, String> {
    let output = Command::new(peers::need("ffprobe"))
        .args(["-v", "error", "-select_streams", stream, "-of", "default=nw=1", "-show_entries"])
        .arg(format!("stream={entries}"))
        .arg(file)
        .output()
        .expect("it runs");
    let said = String::from_utf8(output.stdout).expect("text");
    said.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

/// The codec string of H.264 of RFC 6381 from what ffprobe says: it tells the constraints in the profile's name.
fn avc1(probed: &BTreeMap<String, String>) -> String {
    let profile = match &*probed["profile"] {
        "High" => "6400",
        "Main" => "4d40",
        "Constrained Baseline" => "42c0",
        other => panic!("{other}"),
    };
    format!("avc1.{profile}{:02x}", probed["level"].parse::<u8>().expect("a number"))
}

/// Bits a second of each run of segments that lasts half to one and a half target durations, the largest; and of all of them.
fn rates(playlist: &Path) -> (f64, f64) {
    let list = read_media_playlist(&std::fs::read_to_string(playlist).expect("it is there")).expect("a playlist");
    let size =
        |uri: &str| std::fs::metadata(playlist.with_file_name(uri)).expect("listed, so there").len() as f64 * 8.0;
    let segments: Vec<_> = list.segments().iter().map(|one| (size(&one.uri), one.duration.seconds())).collect();
    let sum = |run: &[(f64, f64)]| run.iter().fold((0.0, 0.0), |(bits, time), one| (bits + one.0, time + one.1));
    let target = f64::from(u32::try_from(list.target_duration()).expect("seconds"));
    let runs = (0..segments.len()).flat_map(|from| (from + 1..=segments.len()).map(move |to| from..to));
    let rates = runs.map(|run| sum(&segments[run])).filter(|(_, time)| (0.5 * target..=1.5 * target).contains(time));
    let (bits, time) = sum(&segments);
    (rates.map(|(bits, time)| bits / time).fold(0.0, f64::max), bits / time)
}

#[test]
fn hls_7_renditions_are_listed_with_codecs_size_and_rates_that_hold() {
    let dir = tempfile::tempdir().expect("a directory");
    let said = run(dir.path(), &format!("launch {}", line("playlist-type=vod")));
    assert_eq!(said.code, 0, "{}", said.err);
    let master = dir.path().join("out/index.m3u8");
    let text = std::fs::read_to_string(&master).expect("it was written");
    let variants = variants(&text);
    assert_eq!(
        variants.iter().map(|(_, uri)| &**uri).collect::<Vec<_>>(),
        ["high/index.m3u8", "low/index.m3u8"],
        "{text}"
    );
    for ((attributes, uri), sound) in variants.iter().zip([true, false]) {
        let own = master.with_file_name(uri);
        let video = probed(&own, "v:0", "profile,level,width,height,avg_frame_rate");
        let sound = if sound { ",mp4a.40.2" } else { "" };
        let codecs = attributes["CODECS"].to_ascii_lowercase();
        assert_eq!(codecs, format!("\"{}{sound}\"", avc1(&video)), "{uri}");
        assert_eq!(attributes["RESOLUTION"], format!("{}x{}", video["width"], video["height"]), "{uri}");
        let (n, d) = video["avg_frame_rate"].split_once('/').expect("a fraction");
        let [n, d] = [n, d].map(|word| word.parse::<f64>().expect("a number"));
        assert!((attributes["FRAME-RATE"].parse::<f64>().expect("a number") - n / d).abs() < 0.01, "{attributes:?}");
        let (peak, average) = rates(&own);
        for (name, rate) in [("BANDWIDTH", peak), ("AVERAGE-BANDWIDTH", average)] {
            let told = attributes[name].parse::<f64>().expect("a number");
            // Playlists round durations to a microsecond.
            assert!((told / rate - 1.0).abs() < 1e-4, "{uri}: {name} is {told}, and its files say {rate}");
        }
    }
    assert_eq!(programs(&master.display().to_string()), 2);
}

/// How many programs ffprobe finds there: each rendition of a Multivariant Playlist is one.
fn programs(url: &str) -> usize {
    let mut command = Command::new(peers::need("ffprobe"));
    let output = command.args(["-v", "error", "-show_entries", "program=program_id", "-of", "csv=p=0", url]).output();
    let said = String::from_utf8(output.expect("it runs").stdout).expect("text");
    said.lines().filter(|line| !line.trim_matches(',').is_empty()).count()
}

#[test]
fn hls_7_renditions_are_served_below_their_playlist_and_for_a_while_after_the_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = Runtime::new().expect("a runtime");
    let port = live::free_port();
    let more = format!("serve=127.0.0.1:{port}");
    let line = line(&more).replace("=out/", &format!("={}/", dir.path().join("cam").display()));
    let mut pipeline = live::start(&runtime, &line);
    live::in_time(&runtime, pipeline.wait()).expect("it ends with its files").expect("and well");
    assert_eq!(programs(&format!("http://127.0.0.1:{port}/cam/index.m3u8")), 2);
}

#[test]
fn what_no_player_could_find_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let source = format!(
        "filesrc location={} ! tsdemux name=d  d.video ! h264parse !",
        fixture("h264b_aac48s_10s.ts").display()
    );
    for (settings, expected) in [
        ("directory=elsewhere multivariant=out/index.m3u8", "not below the folder"),
        ("directory=out multivariant=out/index.m3u8", "rendition's own playlist"),
        ("directory=out/a multivariant=out/index.m3u8 serve=127.0.0.1:0 path=/live/b", "its path ends in that"),
    ] {
        let said = run(dir.path(), &format!("launch {source} h.video  hlssink name=h {settings}"));
        assert!(said.err.contains(expected), "{settings}: {}", said.err);
    }
    let transport = format!(
        "launch filesrc location={} ! h.sink  hlssink name=h directory=out/a multivariant=out/index.m3u8",
        fixture("h264b_aac48s_10s.ts").display()
    );
    let said = run(dir.path(), &transport);
    assert!(said.err.contains("transport stream is not looked at"), "{}", said.err);
}
