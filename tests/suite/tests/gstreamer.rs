//! Elements of GStreamer in our pipelines: media both ways, times, errors, requests, the end.

use bytes::Bytes;
use millstream_core::item::SeekTo;
use millstream_core::{
    Buffer, BufferFlags, Caps, Error, Item, MessageKind, Registry, Request, Segment, Time, TimeDelta,
};
use millstream_generic::{AppSinkHandle, AppSrcHandle};
use millstream_graph::load_launch;
use millstream_runtime::{Pipeline, Runtime};
use millstream_tests::plugins::{self, run_with};
use millstream_tests::{peers, root};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A folder with the plugin, and a registry with it.
fn plugin() -> (tempfile::TempDir, Registry) {
    peers::need("gst-launch-1.0");
    let dir = dir();
    plugins::gstreamer(dir.path());
    let registry = plugins::registry(dir.path());
    (dir, registry)
}

fn start(registry: &Registry, runtime: &Runtime, line: &str) -> Pipeline {
    let loaded = load_launch(line, registry).unwrap_or_else(|e| panic!("{e}"));
    runtime.start(&loaded.graph).unwrap_or_else(|e| panic!("{e}"))
}

/// Pushes items through a line with `in` and `out`; gives all that came out, and how it ended.
fn through(line: &str, caps: &str, items: Vec<Item>) -> (Vec<Item>, Result<(), Error>) {
    let (_dir, registry) = plugin();
    let runtime = Runtime::new().expect("threads");
    let mut pipeline =
        start(&registry, &runtime, &format!("appsrc name=in caps=\"{caps}\" ! {line} ! appsink name=out"));
    let input: AppSrcHandle = pipeline.handle("in").expect("an appsrc");
    let output: AppSinkHandle = pipeline.handle("out").expect("an appsink");
    let feeder = std::thread::spawn(move || {
        for item in items {
            if input.blocking_push(item).is_err() {
                return;
            }
        }
    });
    let mut all = Vec::new();
    while let Some(item) = output.blocking_next() {
        all.push(item);
    }
    feeder.join().expect("no panic");
    (all, runtime.block_on(pipeline.wait()))
}

fn buffers(items: &[Item]) -> Vec<&Buffer> {
    items.iter().filter_map(|item| if let Item::Buffer(buffer) = item { Some(&**buffer) } else { None }).collect()
}

fn media(ms: i64, bytes: &Bytes, flags: BufferFlags) -> Item {
    let time = Some(Time::from_millis(ms));
    let buffer = Buffer { duration: Some(TimeDelta::from_millis(40)), ..Buffer::new(bytes.clone()) };
    Item::buffer(buffer.with_times(time, time).with_flags(flags))
}

#[test]
fn media_crosses_both_ways_with_times_flags_and_codec_data_and_without_a_copy() {
    let bytes: Vec<Bytes> = (0..200_u8).map(|n| Bytes::from(vec![n; 5000])).collect();
    let segment = Segment { base: Time::from_millis(250), ..Segment::time(Time::from_millis(90_000)) };
    let mut items = vec![Item::Segment(segment.clone().into())];
    for (at, bytes) in bytes.iter().enumerate() {
        let flags = if at % 50 == 0 { BufferFlags::KEYFRAME } else { BufferFlags::empty() };
        items.push(media(90_000 + 40 * at as i64, bytes, flags));
    }
    let caps = "video/x-h264, alignment=au, codec_data=(buffer)0142c00d, height=180, parsed=true, stream-format=avc, width=320";
    let (all, ended) = through("gst pipeline=\"identity ! queue\"", caps, items);
    assert!(ended.is_ok(), "{ended:?}");
    let said: Vec<&Caps> =
        all.iter().filter_map(|i| if let Item::Caps(caps) = i { Some(caps) } else { None }).collect();
    assert_eq!(said.iter().map(ToString::to_string).collect::<Vec<_>>(), [caps]);
    let segments = all.iter().filter(|i| matches!(i, Item::Segment(s) if **s == segment)).count();
    assert_eq!(segments, 1, "{all:?}");
    let out = buffers(&all);
    assert_eq!(out.len(), bytes.len());
    for (at, (buffer, bytes)) in out.iter().zip(&bytes).enumerate() {
        let time = Some(Time::from_millis(90_000 + 40 * at as i64));
        assert_eq!((buffer.pts, buffer.dts, buffer.duration), (time, time, Some(TimeDelta::from_millis(40))));
        assert_eq!(buffer.is_keyframe(), at % 50 == 0);
        assert_eq!(buffer.payload.slices()[0].as_ptr(), bytes.as_ptr(), "the same bytes, not equal ones");
    }
    assert_eq!(millstream_plugin_host::copied_bytes(), 0);
}

#[test]
fn a_pipeline_without_inputs_is_a_source_and_ends_by_itself() {
    let (_dir, registry) = plugin();
    let runtime = Runtime::new().expect("threads");
    let line = "gst pipeline=\"videotestsrc num-buffers=25 ! video/x-raw,width=64,height=32,framerate=25/1,format=I420\" ! appsink name=out";
    let mut pipeline = start(&registry, &runtime, line);
    let output: AppSinkHandle = pipeline.handle("out").expect("an appsink");
    let mut seen = Vec::new();
    while let Some(buffer) = output.blocking_next_buffer() {
        seen.push((buffer.pts.expect("a time").millis(), buffer.payload.len()));
    }
    runtime.block_on(pipeline.wait()).expect("it ends well");
    assert_eq!(output.caps().and_then(|caps| caps.size()), Some((64, 32)));
    let expected: Vec<_> = (0..25).map(|n| (40 * n, 64 * 32 * 3 / 2)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn streams_are_told_apart_where_the_pipeline_finds_out_what_there_is() {
    let (dir, _) = plugin();
    let clip = root().join("pipelines/media/demo.flv");
    let line = |more: &str| {
        format!("launch --quiet filesrc location={} ! gst pipeline=decodebin name=d {more}", clip.display())
    };
    let counts = "d.audio ! capsfilter caps=audio/x-raw ! fakesink d.video ! capsfilter caps=video/x-raw ! fakesink";
    let said = run_with(dir.path(), &line(counts));
    assert_eq!((said.code, said.errors()), (0, 0), "{}", said.err);
    // One that nobody asked for, and one that is not there.
    let said = run_with(dir.path(), &line("d.video ! fakesink d.text ! fakesink"));
    assert_eq!(said.code, 0, "{}", said.err);
}

fn fails(line: &str) -> String {
    let (dir, _) = plugin();
    let mut command = plugins::command(dir.path());
    let output = command.args(["launch", "--quiet", line]).output().expect("it starts");
    assert!(!output.status.success(), "{line}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn errors_of_gstreamer_name_the_element_the_cause_and_the_package() {
    let said = fails("gst pipeline=\"filesrc location=/nowhere/a.flv ! flvdemux\" ! fakesink");
    for part in ["`filesrc0` of GStreamer", "No such file", "/nowhere/a.flv"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let said = fails("gst pipeline=\"videotestsrc ! gtksink2\" ! fakesink");
    assert!(said.contains("no element \"gtksink2\"") && said.contains("gst-inspect-1.0"), "{said}");
    let said = fails("gst pipeline=\"videotestsrc ! wpesrc\" ! fakesink");
    assert!(said.contains("apt-get install gstreamer1.0-wpe"), "{said}");
    let said = fails("gst pipeline=\"videotestsrc ! \" ! fakesink");
    assert!(said.contains("pipeline"), "{said}");
    let said = fails("fakesrc ! gst pipeline=\"videotestsrc\" ! fakesink");
    assert!(said.contains("no free pad that takes"), "{said}");
}

#[test]
fn media_that_does_not_decode_fails_the_element_and_says_so() {
    let items = (0..400).map(|at| media(at * 40, &Bytes::from(vec![0xff_u8; 64]), BufferFlags::KEYFRAME)).collect();
    let (_, ended) = through("gst pipeline=pngdec", "image/png", items);
    let error = ended.expect_err("no PNG");
    assert!(error.to_string().contains("streaming stopped, reason error"), "{error}");
}

#[test]
fn an_encoder_makes_a_key_frame_and_changes_its_bitrate_when_it_is_asked() {
    let (_dir, registry) = plugin();
    let runtime = Runtime::new().expect("threads");
    let line = "appsrc name=in caps=\"video/x-raw, format=I420, width=320, height=240, framerate=25/1\" ! \
                gst pipeline=\"x264enc tune=zerolatency speed-preset=ultrafast key-int-max=1000 bitrate=2000\" name=enc ! \
                appsink name=out";
    let mut pipeline = start(&registry, &runtime, line);
    let input: AppSrcHandle = pipeline.handle("in").expect("an appsrc");
    let output: AppSinkHandle = pipeline.handle("out").expect("an appsink");
    let mut noise = 1_u32;
    let mut picture = || -> Bytes {
        let pixel = |_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        };
        (0..320 * 240 * 3 / 2).map(pixel).collect()
    };
    let mut frame = |at: i64| -> Buffer {
        input.blocking_push(media(at * 40, &picture(), BufferFlags::KEYFRAME)).expect("it takes it");
        output.blocking_next_buffer().expect("one comes out")
    };
    let plain: Vec<Buffer> = (0..20).map(&mut frame).collect();
    assert_eq!(plain.iter().filter(|b| b.is_keyframe()).count(), 1, "the first");
    pipeline.request("enc", Request::KeyFrame).expect("sent");
    pipeline.request("enc", Request::Bitrate(100_000)).expect("sent");
    let asked: Vec<Buffer> = (20..100).map(&mut frame).collect();
    assert_eq!(asked.iter().filter(|b| b.is_keyframe()).count(), 1, "the one that was asked for");
    let size = |all: &[Buffer]| all.iter().map(|b| b.payload.len()).sum::<usize>() / all.len();
    assert!(size(&asked[60..]) * 3 < size(&plain[5..]), "{} of {}", size(&asked[60..]), size(&plain[5..]));
}

#[test]
fn neighbours_are_one_bin_and_keep_their_names() {
    let (_dir, registry) = plugin();
    let runtime = Runtime::new().expect("threads");
    let line = "videotestsrc name=s num-buffers=50 ! video/x-raw,width=64,height=48 ! videoconvert name=c ! \
                x264enc name=e tune=zerolatency key-int-max=1000 bitrate=100 ! appsink name=out";
    let mut pipeline = start(&registry, &runtime, line);
    let links: Vec<(String, String)> = pipeline.links().into_iter().map(|link| (link.from, link.to)).collect();
    assert_eq!(links, [("s+c+e.e.src".to_owned(), "out.sink".to_owned())], "raw pictures do not leave GStreamer");
    pipeline.request("e", Request::KeyFrame).expect("the name still leads to it");
    let output: AppSinkHandle = pipeline.handle("out").expect("an appsink");
    let count = std::iter::from_fn(|| output.blocking_next_buffer()).count();
    runtime.block_on(pipeline.wait()).expect("it ends well");
    assert_eq!((count, output.caps().and_then(|caps| caps.size())), (50, Some((64, 48))), "the caps in the link hold");
}

#[test]
fn streams_that_appear_within_a_bin_are_linked_there() {
    let (dir, _) = plugin();
    let clip = root().join("pipelines/media/demo.flv");
    let line = format!(
        "launch --quiet filesrc location={} ! decodebin name=d d.src_0 ! videoconvert ! jpegenc ! fakesink d.src_1 ! audioconvert ! fakesink",
        clip.display()
    );
    let said = run_with(dir.path(), &line);
    assert_eq!((said.code, said.errors()), (0, 0), "{}", said.err);
}

#[test]
fn installed_elements_have_their_properties_in_inspect_check_and_schema() {
    let (dir, _) = plugin();
    let page = run_with(dir.path(), "inspect gst/x264enc").out;
    for part in [
        "class: Codec/Encoder/Video",
        "bitrate  (integer; from 1 to 2048000; default 2048)",
        "sink  (sink, always)\n      video/x-raw",
        "veryfast",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(run_with(dir.path(), "inspect x264enc").out, page, "the short name");
    let own = run_with(dir.path(), "inspect flvdemux").out;
    assert!(!own.contains("GStreamer's plugin"), "a native element comes first");
    let said = fails("videotestsrc ! x264enc bitrat=9 ! fakesink");
    assert!(said.contains("no property `bitrat`") && said.contains("did you mean `bitrate`"), "{said}");
    let said = fails("videotestsrc ! x264enc bitrate=0 ! fakesink");
    assert!(said.contains("1 to 2048000"), "{said}");
    let said = fails("videotestsrc ! gst/x264enc speed-preset=fastest ! fakesink");
    assert!(said.contains("veryfast"), "{said}");
    let said = fails("videotestsrc ! avenc_aac ! fakesink");
    assert!(said.contains("video/x-raw") && said.contains("audio/x-raw"), "found before anything runs: {said}");
}

#[test]
fn an_element_that_is_too_slow_for_a_live_source_is_told_of() {
    let (_dir, registry) = plugin();
    let runtime = Runtime::new().expect("threads");
    let line = "gst live=true pipeline=\"videotestsrc is-live=true num-buffers=20\" ! gst name=slow pipeline=\"identity sleep-time=100000\" ! fakesink";
    let mut pipeline = start(&registry, &runtime, line);
    let mut bus = pipeline.bus().expect("the first to ask");
    runtime.block_on(pipeline.wait()).expect("it ends well");
    let late = std::iter::from_fn(|| bus.try_next()).find(|message| {
        &*message.element == "slow" && matches!(message.kind, MessageKind::Element { name: "late", .. })
    });
    assert!(late.is_some());
}

/// What `gst-launch-1.0` makes of the latencies of its elements, in nanoseconds.
fn latency_of_gst_launch(pipeline: &str) -> i64 {
    let mut launch = std::process::Command::new(peers::need("gst-launch-1.0"));
    launch.args(pipeline.split_whitespace()).env("GST_DEBUG", "bin:5").env("GST_DEBUG_NO_COLOR", "1");
    let said = launch.output().expect("it starts");
    let said = String::from_utf8_lossy(&said.stderr);
    let last = said.rsplit("configured latency of ").next().expect("one part at least");
    let time: Vec<i64> =
        last.split(|c: char| !c.is_ascii_digit()).take(4).map(|n| n.parse().expect("a number")).collect();
    ((time[0] * 60 + time[1]) * 60 + time[2]) * 1_000_000_000 + time[3]
}

#[test]
fn the_latency_of_a_pipeline_is_what_gstreamer_makes_of_the_same_elements() {
    let camera = "videotestsrc is-live=true num-buffers=60 ! video/x-raw,framerate=25/1,width=64,height=48,format=I420";
    let encoder = "x264enc bframes=2 rc-lookahead=10 sync-lookahead=0 threads=1";
    let expected = latency_of_gst_launch(&format!("{camera} ! {encoder} ! fakesink sync=true processing-deadline=0"));
    assert!(expected > 400_000_000, "ten pictures ahead at 25 a second: {expected}");
    let (_dir, registry) = plugin();
    let runtime = Runtime::new().expect("threads");
    let line = format!("gst live=true pipeline=\"{camera}\" ! gst pipeline=\"{encoder}\" ! fakesink");
    let mut pipeline = start(&registry, &runtime, &line);
    runtime.block_on(pipeline.wait()).expect("it ends well");
    assert_eq!(pipeline.latency().nanos(), expected);
}

/// Runs a line to its end: what its elements left out by reason, and its warnings.
fn losses(line: &str) -> (Pipeline, u64, Vec<String>) {
    let (_dir, registry) = plugin();
    let runtime = Runtime::new().expect("threads");
    let mut pipeline = start(&registry, &runtime, line);
    let mut bus = pipeline.bus().expect("the first to ask");
    runtime.block_on(pipeline.wait()).expect("it ends well");
    let drops = pipeline.drops();
    let lost = drops.values().flatten().map(|(_, count)| count.times).sum();
    let warning = |message: millstream_core::Message| match message.kind {
        MessageKind::Warning(error) => Some(error.to_string()),
        _ => None,
    };
    (pipeline, lost, std::iter::from_fn(|| bus.try_next()).filter_map(warning).collect())
}

#[test]
fn what_a_leaky_queue_before_a_slow_element_leaves_out_is_counted_and_told_of_with_the_reason() {
    for leaky in ["downstream", "upstream"] {
        let line = format!(
            "gst live=true name=camera pipeline=\"videotestsrc is-live=true num-buffers=60 ! video/x-raw,framerate=100/1,width=64,height=48 ! \
             queue name=waiting leaky={leaky} max-size-buffers=2 ! identity sleep-time=40000\" ! fakesink"
        );
        let (pipeline, lost, warnings) = losses(&line);
        let passed = pipeline.links()[0].buffers;
        assert!(lost > 0 && warnings.len() >= 2, "{lost} {warnings:?}");
        assert_eq!(lost + passed, 60, "nothing is hidden: {lost} of 60 are lost, and {passed} come out");
        let last = format!(
            "`waiting` of GStreamer left out {lost} of 60 buffers, which found it full, since what follows is too slow"
        );
        assert_eq!(warnings.last(), Some(&last), "{warnings:?}");
    }
}

#[test]
fn what_a_sink_of_gstreamer_is_given_too_late_is_counted_and_told_of() {
    let line = "gst live=true name=screen pipeline=\"videotestsrc is-live=true num-buffers=40 ! video/x-raw,framerate=50/1,width=64,height=48 ! tee name=t ! \
                identity sleep-time=60000 ! fakesink name=shown sync=true qos=true max-lateness=20000000 t. ! queue\" ! fakesink";
    let (_, lost, warnings) = losses(line);
    assert!(lost > 0, "{warnings:?}");
    let last = warnings.last().expect("told");
    assert!(last.starts_with(&format!("`shown` of GStreamer left out {lost} of ")), "{last}");
    assert!(last.contains("which came too late, by up to "), "{last}");
}

/// Plays a line with `out`, and seeks at element `to` after a few buffers: what a whole run gives, and what comes behind the flush.
fn sought(line: &str, to: &str, time: Time) -> [Vec<Item>; 2] {
    let (_dir, registry) = plugin();
    let runtime = Runtime::new().expect("threads");
    let play = |seek: bool| {
        let mut pipeline = start(&registry, &runtime, line);
        let output: AppSinkHandle = pipeline.handle("out").expect("an appsink");
        let (mut all, mut buffers) = (Vec::new(), 0);
        while let Some(item) = output.blocking_next() {
            buffers += u64::from(matches!(item, Item::Buffer(_)));
            all.push(item);
            if seek && buffers == 5 {
                buffers += 1;
                pipeline.request(to, Request::Seek { to: SeekTo::Time(time), epoch: 9 }).expect("sent");
            }
        }
        runtime.block_on(pipeline.wait()).expect("it ends well");
        all
    };
    let (whole, mut all) = (play(false), play(true));
    let flush = all.iter().position(|item| matches!(item, Item::Flush(9))).expect("the flush of that seek");
    [whole, all.split_off(flush + 1)]
}

/// The demo's pictures in a file that says where its key frames are.
fn indexed() -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".flv").tempfile().expect("a file");
    let demo = root().join("pipelines/media/demo.flv");
    let line = format!(
        "launch --quiet filesrc location={} ! flvdemux name=d d.video ! h264parse ! flvmux ! filesink location={}",
        demo.display(),
        file.path().display()
    );
    let said = run_with(dir().path(), &line);
    assert_eq!(said.code, 0, "{}", said.err);
    file
}

/// What came behind a flush is the end of the whole, from the last key frame before 4.5 s on, on its old timeline.
fn goes_on_at_the_key_frame([whole, rest]: [Vec<Item>; 2], from: Time) {
    let times = |items: &[Item]| buffers(items).iter().map(|buffer| buffer.pts.expect("a time")).collect::<Vec<_>>();
    let first = buffers(&rest)[0];
    assert_eq!(first.pts, Some(from));
    assert!(first.is_keyframe() && first.flags.contains(BufferFlags::DISCONT), "{:?}", first.flags);
    let segment = rest.iter().take_while(|item| !matches!(item, Item::Buffer(_)));
    assert_eq!(segment.filter(|item| matches!(item, Item::Segment(_))).count(), 1, "before the first buffer");
    let (whole, rest) = (times(&whole), times(&rest));
    assert_eq!(whole.len(), 600);
    assert_eq!(rest, whole[whole.len() - rest.len()..]);
    assert!(rest.len() > 400, "{}", rest.len());
}

#[test]
fn a_source_of_gstreamer_is_sought_and_goes_on_at_the_key_frame_before() {
    let clip = indexed();
    let line = format!(
        "gst name=in pipeline=\"filesrc location={} ! flvdemux ! h264parse\" ! appsink name=out",
        clip.path().display()
    );
    goes_on_at_the_key_frame(sought(&line, "in", Time::from_millis(4500)), Time::from_millis(4000));
}

#[test]
fn a_seek_crosses_elements_of_gstreamer_and_what_they_held_is_void() {
    let clip = indexed();
    for within in ["avdec_h264", "avdec_h264 ! x264enc tune=zerolatency speed-preset=ultrafast"] {
        let line = format!(
            "filesrc location={} ! flvdemux name=d d.video ! h264parse ! queue max-size-buffers=8 ! \
             gst name=within pipeline=\"{within}\" ! appsink name=out",
            clip.path().display()
        );
        goes_on_at_the_key_frame(sought(&line, "within", Time::from_millis(4500)), Time::from_millis(4000));
    }
}

#[test]
fn a_pipeline_that_never_ends_is_stopped_in_time() {
    let (_dir, registry) = plugin();
    let runtime = Runtime::new().expect("threads");
    let line = "gst live=true pipeline=\"videotestsrc is-live=true\" ! fakesink";
    let mut pipeline = start(&registry, &runtime, line);
    pipeline.stop();
    runtime.block_on(pipeline.wait()).expect("it ends well");
    // Blocked on an output that nobody reads: cancelled.
    let line = "gst pipeline=\"videotestsrc\" ! appsink name=out";
    let pipeline = start(&registry, &runtime, line);
    drop(pipeline);
}

/// `docs/guide/gstreamer.md`: what it says to type is typed, one after the other.
#[test]
fn the_guide_does_what_it_says() {
    let (dir, _) = plugin();
    let guide = std::fs::read_to_string(root().join("docs/guide/gstreamer.md")).expect("the page is there");
    let lines: Vec<&str> =
        guide.split("\n```sh run\n").skip(1).filter_map(|block| block.split("\n```").next()).collect();
    assert!(lines.len() >= 4, "{lines:?}");
    let program = plugins::command(dir.path()).get_program().to_owned();
    let program = std::path::Path::new(&program).parent().expect("in a folder").display().to_string();
    for line in lines {
        let mut bash = std::process::Command::new("bash");
        bash.args(["-ec", &format!("PATH={program}:$PATH\n{line}")]).current_dir(dir.path());
        bash.env("MILLSTREAM_PLUGIN_PATH", dir.path()).env("XDG_CACHE_HOME", dir.path().join("cache"));
        let said = bash.output().expect("bash is there");
        assert!(said.status.success(), "{line}\n{}", String::from_utf8_lossy(&said.stderr));
    }
    let (streams, _) = peers::ffprobe(&dir.path().join("small.flv"));
    assert_eq!(streams, [("video".to_owned(), "h264".to_owned(), 50)]);
}
