//! Our elements in pipelines of GStreamer's: `gst-launch-1.0` and `gst-inspect-1.0` run them, ffmpeg reads what they wrote and takes what they publish.
//!
//! What is expected is what GStreamer's own muxer (`mp4mux`) makes of the same encoders, frame by frame.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use millstream_core::settings::Property;
use millstream_runtime::Runtime;
use millstream_tests::live::{self, Background};
use millstream_tests::peers::{self, Frames};
use millstream_tests::servers::Server;
use millstream_tests::{plugins, program};

/// Three seconds of pictures with B frames, so that decoding times differ from those of presentation.
const VIDEO: &str = "videotestsrc num-buffers=90 ! video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! \
                     x264enc key-int-max=30 bframes=2 b-adapt=false";
/// As many of sound.
const AUDIO: &str = "audiotestsrc num-buffers=130 ! audio/x-raw,rate=44100,channels=2 ! avenc_aac";
const KEY: &str = "live_8f3c0a55";

/// Programs of GStreamer that know our elements, and a folder for files.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().expect("a folder") };
        plugins::gst_export(bench.dir.path());
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The words ahead of a program that let it find the plugin, and nobody else's list of plugins.
    fn env(&self) -> [String; 3] {
        let dir = self.dir.path().display();
        let registry = format!("GST_REGISTRY={dir}/registry.bin");
        [format!("GST_PLUGIN_PATH={dir}"), registry, format!("GST_DEBUG_DUMP_DOT_DIR={dir}")]
    }

    fn run(&self, name: &str, words: &str) -> program::Said {
        let line = words.split_whitespace().map(str::to_owned);
        let program = peers::need(name).display().to_string();
        program::run(Path::new("env"), self.env().into_iter().chain([program]).chain(line))
    }

    /// Runs a pipeline that has to end well.
    fn launch(&self, line: &str) {
        let said = self.run("gst-launch-1.0", &format!("-q {line}"));
        assert!(said.ok && !said.stderr.contains("ERROR"), "{line}: {}{}", said.stdout, said.stderr);
    }

    /// Writes pictures and sound through a muxer, with something ahead of it where its formats need it.
    fn mux(&self, muxer: &str, tail: &str) {
        self.launch(&format!("{muxer} name=m ! {tail} {VIDEO} ! h264parse ! m. {AUDIO} ! aacparse ! m."));
    }

    /// What GStreamer's own muxer makes of the same.
    fn expected(&self) -> [Frames; 2] {
        let path = self.path("reference.mp4");
        self.mux("mp4mux", &format!("filesink location={}", path.display()));
        let (tracks, _) = peers::coded(&path, "h264", "aac");
        let counts = tracks.each_ref().map(|track| track.hashes.len());
        assert!(counts[0] == 90 && counts[1] >= 130, "what is compared with is whole: {counts:?}");
        tracks
    }

    /// Fails unless a file has the same frames as the reference, at the same distances.
    fn assert_same(&self, path: &Path, warnings: &[&str]) {
        let (tracks, said) = peers::coded(path, "h264", "aac");
        let unexpected: Vec<_> =
            said.iter().filter(|line| !warnings.iter().any(|known| line.contains(known))).collect();
        assert!(unexpected.is_empty(), "{unexpected:?}");
        for (ours, theirs) in tracks.iter().zip(self.expected()) {
            assert_eq!(ours.hashes.len(), theirs.hashes.len(), "{}", path.display());
            assert!(ours.hashes == theirs.hashes, "{}: frames differ", path.display());
            // FLV counts milliseconds, and rounds.
            let spans = |frames: &Frames| frames.seconds.iter().map(|at| at - frames.seconds[0]).collect::<Vec<_>>();
            let far = spans(ours).iter().zip(spans(&theirs)).position(|(a, b)| (a - b).abs() > 0.0015);
            assert_eq!(far, None, "{:?} {:?}", ours.seconds, theirs.seconds);
        }
    }
}

#[test]
fn msflvmux_writes_what_the_encoders_made_and_puts_the_head_right() {
    let bench = Bench::new();
    let path = bench.path("out.flv");
    bench.mux("msflvmux", &format!("filesink location={}", path.display()));
    bench.assert_same(&path, &[]);
    let (_, seconds) = peers::ffprobe(&path);
    assert!((3.0..3.2).contains(&seconds), "{seconds}");
    // Its warnings are those of any FLV of this encoder; an error fails.
    peers::flvmeta(&path);
    let bytes = std::fs::read(&path).expect("written");
    assert!(bytes.windows(13).any(|window| window == b"filepositions"), "an index was put in at the end");
}

#[test]
fn msflvmux_writes_to_a_pipe_without_going_back() {
    let bench = Bench::new();
    let path = bench.path("out.flv");
    // With a second branch `tee` does not say that what is behind it can go back.
    bench.mux(
        "msflvmux streamable=true",
        &format!("tee name=t ! queue ! filesink location={} t. ! queue ! fakesink", path.display()),
    );
    bench.assert_same(&path, &["Estimating duration"]);
    let bytes = std::fs::read(&path).expect("written");
    assert!(!bytes.windows(13).any(|window| window == b"filepositions"), "there is no index");
}

#[test]
fn mstsmux_writes_what_the_encoders_made() {
    let bench = Bench::new();
    let path = bench.path("out.ts");
    bench.mux("mstsmux", &format!("filesink location={}", path.display()));
    bench.assert_same(&path, &[]);
    peers::tsreport(&path);
}

#[test]
fn settings_reach_the_muxer() {
    let bench = Bench::new();
    let path = bench.path("out.ts");
    let line = "mstsmux program-number=7 pmt-pid=500 first-pid=600 timestamp-offset=5000000000";
    bench.mux(line, &format!("filesink location={}", path.display()));
    let said = program::run(
        &peers::need("ffprobe"),
        ["-v", "error", "-show_programs", "-of", "json", &path.display().to_string()],
    );
    let json: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    let program = &json["programs"][0];
    assert_eq!((program["program_num"].as_i64(), program["pmt_pid"].as_i64()), (Some(7), Some(500)));
    assert_eq!(program["streams"][0]["id"], "0x258");
    assert_eq!(program["streams"][0]["start_time"], "5.000000");
}

/// The language of the sound in a file, as ffprobe reads it.
fn language(path: &Path) -> String {
    let args = ["-v", "error", "-select_streams", "a", "-show_entries", "stream_tags=language", "-of", "csv=p=0"];
    let path = path.display().to_string();
    program::run(&peers::need("ffprobe"), args.into_iter().chain([path.as_str()])).stdout.trim().to_owned()
}

/// GStreamer's own muxer says what is right: it makes the code of ISO 639-2 of that of ISO 639-1.
#[test]
fn the_language_of_a_stream_is_that_of_its_tags() {
    let bench = Bench::new();
    for (tag, expected) in [("de", "ger"), ("en", "eng"), ("ger", "ger")] {
        for muxer in ["mpegtsmux", "mstsmux"] {
            let path = bench.path(muxer);
            let sound = AUDIO.replace(" ! avenc_aac", &format!(" ! taginject tags=language-code={tag} ! avenc_aac"));
            bench.launch(&format!("{sound} ! aacparse ! {muxer} ! filesink location={}", path.display()));
            assert_eq!(language(&path), expected, "{muxer} {tag}");
        }
    }
}

/// Publishes to a location, with no more to say than the location.
fn publish(bench: &Bench, location: &str) {
    bench.mux("msflvmux", &format!("msrtmpsink location={location}"));
}

#[test]
fn msrtmpsink_publishes_to_a_server_of_ours() {
    let (bench, port) = (Bench::new(), live::free_port());
    let (runtime, path) = (Runtime::new().expect("threads"), bench.path("taken.flv"));
    let server = format!("rtmpserversrc listen=127.0.0.1:{port} stream={KEY} eos-on-unpublish=true");
    let mut pipeline = live::start(&runtime, &format!("{server} ! filesink location={}", path.display()));
    publish(&bench, &format!("rtmp://127.0.0.1:{port}/live/{KEY}"));
    live::in_time(&runtime, pipeline.wait()).expect("the end of the stream ends it").expect("well");
    bench.assert_same(&path, &["Estimating duration"]);
}

#[test]
fn msrtmpsink_publishes_to_ffmpeg() {
    let (bench, port) = (Bench::new(), live::free_port());
    let (location, path) = (format!("rtmp://127.0.0.1:{port}/live/{KEY}"), bench.path("taken.flv"));
    let mut command = Command::new(peers::need("ffmpeg"));
    command.args(["-nostdin", "-v", "error", "-listen", "1", "-i", &location, "-c", "copy", "-y"]).arg(&path);
    let mut server = Background::start(&mut command);
    // A connection to see whether it listens would be the one that it waits for: the element tries again instead.
    bench.mux("msflvmux", &format!("msrtmpsink retries=20 location={location}"));
    assert!(server.wait(), "ffmpeg is content");
    bench.assert_same(&path, &[]);
}

#[test]
fn msrtmpsink_publishes_to_nginx_which_records_it_and_makes_hls_of_it() {
    let (bench, server) = (Bench::new(), Server::cdn());
    publish(&bench, &server.url("live/cam"));
    // The last segment is there when the publisher is gone.
    let segments = live::wait("the presentation is not whole", || {
        let segments = server.segments("cam");
        (segments.len() == 3).then_some(segments)
    });
    bench.assert_same(&server.recorded(), &["Estimating duration"]);
    let whole: Vec<u8> = segments.iter().flat_map(|segment| std::fs::read(segment).expect("a segment")).collect();
    let path = bench.path("hls.ts");
    std::fs::write(&path, whole).expect("a file");
    let ([pictures, sound], said) = peers::coded(&path, "h264", "aac");
    let expected = bench.expected();
    assert!(said.is_empty() && pictures.hashes == expected[0].hashes, "{said:?}");
    // nginx-rtmp leaves out the sound that waits for a packet to be full when the publisher goes: of one by ffmpeg it leaves out as much.
    let count = sound.hashes.len();
    assert!(count > 120 && expected[1].hashes.starts_with(&sound.hashes), "{count} frames of sound");
    for segment in segments {
        let (streams, seconds) = peers::ffprobe(&segment);
        let kinds: Vec<_> = streams.iter().map(|(kind, codec, _)| format!("{kind} {codec}")).collect();
        assert_eq!(kinds, ["video h264", "audio aac"], "{}", segment.display());
        assert!(streams[0].2 == 30 && (0.9..1.2).contains(&seconds), "a key frame each second: {streams:?} {seconds}");
    }
}

#[test]
fn a_location_that_cannot_be_says_what_to_write() {
    let bench = Bench::new();
    for (location, expected) in [
        ("", "property `location` is missing"),
        ("location=rtmp://127.0.0.1/", "hint: write rtmp://HOST/APP/STREAM"),
        ("location=http://127.0.0.1/live/cam", "rtmp"),
    ] {
        let said = bench.run("gst-launch-1.0", &format!("-q {VIDEO} ! msflvmux ! msrtmpsink {location}"));
        assert!(!said.ok && said.stderr.contains("MsRtmpSink:msrtmpsink0: "), "{}", said.stderr);
        assert!(said.stderr.contains(expected), "{expected}: {}", said.stderr);
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error_without_the_key() {
    let (bench, port) = (Bench::new(), live::free_port());
    let location = format!("rtmp://127.0.0.1:{port}/live/{KEY}?token=7d1c");
    let said =
        bench.run("gst-launch-1.0", &format!("-v {VIDEO} ! msflvmux ! msrtmpsink retries=0 location={location}"));
    let expected = "Connection refused (os error 111); hint: is the server running, and is the port right?";
    assert!(!said.ok && said.stderr.contains(expected), "{}", said.stderr);
    for text in [&said.stdout, &said.stderr] {
        assert!(!text.contains(KEY) && !text.contains("7d1c"), "{text}");
    }
    // Drawings of the pipeline have every property that is not as it was.
    let drawings: Vec<_> = std::fs::read_dir(bench.dir.path()).expect("a folder").filter_map(Result::ok).collect();
    let drawings: Vec<_> = drawings.iter().filter(|file| file.path().extension().is_some_and(|e| e == "dot")).collect();
    assert!(!drawings.is_empty());
    for drawing in drawings {
        let text = std::fs::read_to_string(drawing.path()).expect("text");
        assert!(!text.contains(KEY) && !text.contains("7d1c"), "{}", drawing.path().display());
    }
}

#[test]
fn media_that_a_muxer_cannot_take_is_refused_before_it_runs() {
    let bench = Bench::new();
    let said = bench.run("gst-launch-1.0", "-q audiotestsrc num-buffers=2 ! flacenc ! mstsmux ! fakesink");
    assert!(!said.ok && said.stderr.contains("could not link"), "{}", said.stderr);
}

/// Properties of an element as gst-inspect-1.0 shows them: the lines of each.
fn inspected(bench: &Bench, element: &str) -> BTreeMap<String, String> {
    let said = bench.run("gst-inspect-1.0", element);
    assert!(said.ok, "{}", said.stderr);
    let (_, text) = said.stdout.split_once("Element Properties:").expect("it has properties");
    let mut found = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        let begins = line.strip_prefix("  ").filter(|line| !line.starts_with(' '));
        if let Some((word, _)) = begins.and_then(|line| line.split_once(':')) {
            name = word.trim().to_owned();
        }
        let lines: &mut String = found.entry(name.clone()).or_default();
        lines.push_str(line.trim());
        lines.push('\n');
    }
    found
}

/// The type that GStreamer has for a property of ours.
fn expected_type(property: &Property) -> &'static str {
    let optional = property.default.is_none() && !property.required;
    match property.type_text.as_str() {
        "boolean" => "Boolean.",
        "enum" => "Enum \"Ms",
        "text" => "String.",
        _ if optional => "Integer64. Range: -1 - ",
        "integer" => "Integer. Range: ",
        _ => "Unsigned Integer64. Range: ",
    }
}

#[test]
fn gst_inspect_shows_every_setting_with_type_range_and_words() {
    let bench = Bench::new();
    let registry = millstream_elements::registry();
    for (theirs, ours) in [("msflvmux", "flvmux"), ("mstsmux", "tsmux"), ("msrtmpsink", "rtmpsink")] {
        let factory = registry.get(ours).expect("it ships");
        let shown = inspected(&bench, theirs);
        for property in factory.settings.properties() {
            // `latency` is a property that all aggregators have.
            let name = if property.name == "latency" { "ms-latency" } else { property.name.as_str() };
            let text = shown.get(name).unwrap_or_else(|| panic!("{theirs} has no property {name}: {shown:?}"));
            assert!(text.contains(expected_type(&property)), "{theirs} {name}: {text}");
            let words = property.description.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(&words), "{theirs} {name}: {text}");
            for value in &property.values {
                assert!(text.contains(&format!("): {}", value.name)), "{theirs} {name}: {text}");
            }
        }
    }
    let shown = inspected(&bench, "mstsmux");
    for (name, range) in [
        ("pcr-interval", "Range: 1000000 - 100000000 Default: 40000000"),
        ("pmt-pid", "Range: 16 - 8190 Default: 4096"),
        ("block-size", "Range: 188 - 67108864 Default: 262144"),
        ("bitrate", "Default: -1"),
    ] {
        assert!(shown[name].contains(range), "{}", shown[name]);
    }
}

#[test]
fn the_guide_to_our_elements_in_gstreamer_can_be_followed() {
    let (bench, port) = (Bench::new(), live::free_port());
    let runtime = Runtime::new().expect("threads");
    let path = bench.path("taken.flv");
    let server = format!("rtmpserversrc listen=127.0.0.1:{port} stream=cam eos-on-unpublish=true");
    let mut pipeline = live::start(&runtime, &format!("{server} ! filesink location={}", path.display()));
    let page =
        std::fs::read_to_string(millstream_tests::root().join("docs/guide/gst-export.md")).expect("the page is there");
    let blocks: Vec<_> = page.split("```sh run\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        let block = block.replace(":1935", &format!(":{port}"));
        let script = format!("cd {} && {block}", bench.dir.path().display());
        let said = program::run(Path::new("env"), bench.env().into_iter().chain(["bash".into(), "-ec".into(), script]));
        assert!(said.ok, "{block}: {}{}", said.stdout, said.stderr);
    }
    live::in_time(&runtime, pipeline.wait()).expect("the end of the stream ends it").expect("well");
    for (name, container) in [("talk.flv", "flv"), ("talk.ts", "mpegts"), ("taken.flv", "flv")] {
        let (streams, _) = peers::ffprobe(&bench.path(name));
        let kinds: Vec<_> = streams.iter().map(|(kind, codec, _)| format!("{kind} {codec}")).collect();
        assert_eq!(kinds, ["video h264", "audio aac"], "{container} {name}");
        assert_eq!(streams[0].2, 90, "{name}");
    }
}
