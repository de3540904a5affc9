//! Enhanced RTMP with ffmpeg 9, in every direction: HEVC, AV1, VP9, Opus, FLAC, AC-3 and several tracks, every frame of every track and byte
//! for byte.
//!
//! | from | to | |
//! | --- | --- | --- |
//! | ffmpeg 9 | our server, ffmpeg 9 | `rtmpserversrc ! rtmpserversink` |
//! | our `rtmpsink` | ffmpeg 9 as server | |
//! | ffmpeg 9 as server | our `rtmpsrc` | |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use millstream_core::MessageKind;
use millstream_runtime::Runtime;
use millstream_testkit::fixture;
use millstream_tests::live::{self, Background};
use millstream_tests::peers;
use millstream_tests::program::run;

/// ffmpeg 9 with these words; `CLIP`, `OUT` and `URL` stand for what they say.
fn ffmpeg(words: &str, places: &[(&str, &str)]) -> Background {
    let fill = |word: &str| places.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value));
    let mut command = Command::new(peers::need("ffmpeg9"));
    command.args(["-nostdin", "-v", "error", "-y"]).args(words.split_ascii_whitespace().map(fill));
    Background::start(&mut command)
}

/// A clip, and how many tracks it has.
type Clip = (PathBuf, usize);

/// What ffmpeg 9 makes of a fixture.
fn made(dir: &Path, name: &str, from: &str, words: &str) -> PathBuf {
    let (clip, out) = (fixture(from), dir.join(name));
    let places = [("CLIP", &*clip.to_string_lossy()), ("OUT", &*out.to_string_lossy())].map(|(n, v)| (n, v.to_owned()));
    let places = places.each_ref().map(|(name, value)| (*name, &**value));
    assert!(ffmpeg(&format!("-i CLIP {words} -f flv OUT"), &places).wait(), "{words}");
    out
}

/// Clips of all the codecs. Two of them have a second audio track, one of these as a codec of its own.
fn clips(dir: &Path) -> Vec<Clip> {
    let enhanced = ["ehevc_aac.flv", "eav1_opus.flv", "evp9_opus.flv"].map(|name| (fixture(name), 2));
    let of_h264 = |name, words| made(dir, name, "h264b_aac48s_10s.flv", words);
    let more = [
        (of_h264("flac.flv", "-t 3 -c:v copy -c:a flac"), 2),
        (of_h264("ac3.flv", "-t 3 -c:v copy -c:a ac3"), 2),
        (of_h264("two.flv", "-t 3 -map 0:v -map 0:a -map 0:a -c copy"), 3),
        (made(dir, "two_hevc.flv", "ehevc_aac.flv", "-map 0:v -map 0:a -map 0:a -c:v copy -c:a:0 copy -c:a:1 flac"), 3),
    ];
    enhanced.into_iter().chain(more).collect()
}

/// The frames of each track: codec and sizes as ffmpeg sees them, and an MD5 of each frame.
fn tracks(file: &Path) -> BTreeMap<String, Vec<String>> {
    let path = file.display().to_string();
    let said = run(
        &peers::need("ffmpeg9"),
        ["-nostdin", "-v", "error", "-i", &path, "-map", "0", "-c", "copy", "-f", "framemd5", "-"],
    );
    // At the end of a chunked or cut stream it may complain; what counts are the frames.
    assert!(said.ok, "{path}: {}", said.stderr);
    let mut codecs = BTreeMap::new();
    let mut tracks = BTreeMap::<String, Vec<String>>::new();
    for line in said.stdout.lines() {
        if let Some((stream, codec)) = line.strip_prefix("#codec_id ").and_then(|rest| rest.split_once(": ")) {
            codecs.insert(stream.to_owned(), codec.to_owned());
        } else if !line.starts_with('#') {
            let columns: Vec<&str> = line.split(',').map(str::trim).collect();
            // The newer ffmpeg gives the MultichannelConfig of Enhanced FLV as an empty packet.
            if columns[4] != "0" {
                let name = format!("{} {}", columns[0], codecs[columns[0]]);
                tracks.entry(name).or_default().push(columns[5].to_owned());
            }
        }
    }
    tracks
}

/// All tracks are there, each with all of its frames.
fn same(clip: &Clip, played: &Path, what: &str) {
    let (sent, arrived) = (tracks(&clip.0), tracks(played));
    let name = clip.0.display();
    assert_eq!(sent.len(), clip.1, "{name} itself");
    assert_eq!(sent.keys().collect::<Vec<_>>(), arrived.keys().collect::<Vec<_>>(), "{what}: tracks of {name}");
    for (track, frames) in &sent {
        assert_eq!(frames.len(), arrived[track].len(), "{what}: frames of {track} of {name}");
        assert_eq!(frames, &arrived[track], "{what}: {track} of {name}");
    }
}

#[test]
fn ert_7_ert_9_ffmpeg_publishes_to_us_and_plays_from_us() {
    let dir = tempfile::tempdir().expect("a folder");
    for clip in clips(dir.path()) {
        let (port, played) = (live::free_port(), dir.path().join("played.flv"));
        let runtime = Runtime::new().expect("a runtime");
        let line = format!(
            "rtmpserversrc listen=127.0.0.1:{port} stream=cam eos-on-unpublish=true grace=0s ! \
             rtmpserversink listen=127.0.0.1:{port} stream=cam backlog=1h backlog-size=1GiB"
        );
        let mut pipeline = live::start(&runtime, &line);
        let mut bus = pipeline.bus().expect("the first to ask");
        live::wait_for_port(port);
        let (url, input, out) =
            (format!("rtmp://127.0.0.1:{port}/live/cam"), clip.0.to_string_lossy(), played.to_string_lossy());
        let places = [("CLIP", &*input), ("OUT", &*out), ("URL", &*url)];
        let mut player = ffmpeg("-i URL -map 0 -c copy -f flv OUT", &places);
        live::in_time(&runtime, players(&mut bus)).expect("it joins");
        let mut publisher = ffmpeg("-i CLIP -map 0 -c copy -f flv URL", &places);
        live::in_time(&runtime, pipeline.wait()).expect("it ends with the publication").expect("and well");
        publisher.wait();
        player.wait();
        same(&clip, &played, "ffmpeg to us to ffmpeg");
    }
}

/// Waits for the first player; who asked whether the port is open does not count.
async fn players(bus: &mut millstream_runtime::Bus) {
    loop {
        let message = bus.next().await.expect("the pipeline runs");
        if let MessageKind::Element { name: "players", fields } = message.kind
            && fields.iter().any(|(_, value)| value == "1")
        {
            return;
        }
    }
}

/// Our client tries again until ffmpeg listens.
#[test]
fn ert_7_ert_9_we_publish_to_ffmpeg() {
    let dir = tempfile::tempdir().expect("a folder");
    for clip in clips(dir.path()) {
        let (url, played) = (format!("rtmp://127.0.0.1:{}/live/cam", live::free_port()), dir.path().join("played.flv"));
        let mut server =
            ffmpeg("-listen 1 -i URL -map 0 -c copy -f flv OUT", &[("URL", &url), ("OUT", &played.to_string_lossy())]);
        launch(&format!("filesrc location={} ! rtmpsink retries=20 location={url}", clip.0.display()));
        assert!(server.wait(), "{}", clip.0.display());
        same(&clip, &played, "we to ffmpeg");
    }
}

#[test]
fn ert_7_ert_9_we_play_from_ffmpeg() {
    let dir = tempfile::tempdir().expect("a folder");
    for clip in clips(dir.path()) {
        let (url, played) = (format!("rtmp://127.0.0.1:{}/live/cam", live::free_port()), dir.path().join("played.flv"));
        let places = [("URL", &*url), ("CLIP", &*clip.0.to_string_lossy())].map(|(n, v)| (n, v.to_owned()));
        let places = places.each_ref().map(|(name, value)| (*name, &**value));
        let mut server = ffmpeg("-i CLIP -map 0 -c copy -f flv -listen 1 URL", &places);
        launch(&format!("rtmpsrc retries=20 location={url} ! filesink location={}", played.display()));
        server.wait();
        same(&clip, &played, "ffmpeg to us");
    }
}

/// Runs a launch line of ours to its end.
fn launch(line: &str) {
    let runtime = Runtime::new().expect("a runtime");
    let mut pipeline = live::start(&runtime, line);
    live::in_time(&runtime, pipeline.wait()).expect("it ends").expect("and well");
}
