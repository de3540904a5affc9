//! Flushes and seeks through the muxers: what comes behind one is whole, and at the right time.

mod common;

use std::path::Path;
use std::process::Command;

use common::{PATIENCE, bytes, named, parse, pictures, pull};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

const PICTURES: &str =
    "videotestsrc ! video/x-raw,width=64,height=64,framerate=30/1 ! x264enc key-int-max=30 bframes=0 ! h264parse";
const SOUND: &str = "audiotestsrc ! audio/x-raw,rate=44100,channels=2 ! avenc_aac ! aacparse";

/// Jumps to a second, with an end.
fn seek(pipeline: &gst::Pipeline, from: u64, to: Option<u64>) {
    let stop = to.map_or(gst::SeekType::None, |_| gst::SeekType::Set);
    let seconds = gst::ClockTime::from_seconds;
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    pipeline.seek(1.0, flags, gst::SeekType::Set, seconds(from), stop, to.map(seconds)).expect("it seeks");
}

fn wait_for_end(pipeline: &gst::Pipeline) {
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().expect("it has one").timed_pop_filtered(PATIENCE, &ends).expect("it ends");
    if let gst::MessageView::Error(error) = end.view() {
        panic!("{} {:?}", error.error(), error.debug());
    }
}

/// Pictures and frames of sound of a file, all of which ffprobe decodes without a complaint.
fn counts(file: &Path) -> [u32; 2] {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args([
        "-v",
        "error",
        "-count_frames",
        "-show_entries",
        "stream=codec_type,nb_read_frames",
        "-of",
        "csv=p=0",
    ]);
    let said = ffprobe.arg(file).output().expect("ffprobe runs: `cargo xtask setup` installs it");
    assert!(said.status.success() && said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    ["video", "audio"].map(|kind| {
        let mut counts = text.lines().filter_map(|line| line.strip_prefix(kind)?.trim_matches(',').parse().ok());
        counts.next().unwrap_or_else(|| panic!("{kind}: {text}"))
    })
}

/// A file of two seconds, and behind the end a seek, after which it is one of a second.
fn seeks_in_a_file(muxer: &str) {
    let dir = std::env::temp_dir().join(format!("millstream-seek-{muxer}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let file = dir.join(muxer);
    let line = format!("{PICTURES} ! m. {SOUND} ! m. {muxer} name=m ! filesink location={}", file.display());
    let pipeline = parse(&line);
    pipeline.set_state(gst::State::Paused).expect("it pauses");
    pipeline.state(PATIENCE).0.expect("it has begun");
    let mut made = Vec::new();
    for (from, to) in [(0, 2), (1, 2)] {
        seek(&pipeline, from, Some(to));
        pipeline.set_state(gst::State::Playing).expect("it plays");
        wait_for_end(&pipeline);
        made.push(counts(&file));
    }
    pipeline.set_state(gst::State::Null).expect("it stops");
    std::fs::remove_dir_all(&dir).expect("removed");
    assert_eq!(made.iter().map(|[pictures, _]| *pictures).collect::<Vec<_>>(), [60, 30], "30 a second");
    // 44100 / 1024 frames a second, and up to three of the encoder's own.
    for ([_, sound], seconds) in made.iter().zip([2, 1]) {
        let least = seconds * 44_100 / 1024;
        assert!((least..=least + 4).contains(sound), "{made:?}");
    }
}

#[test]
fn a_file_begins_anew_behind_a_seek_and_behind_its_end() {
    seeks_in_a_file("msflvmux");
}

#[test]
fn a_transport_stream_is_whole_behind_a_seek_and_behind_its_end() {
    seeks_in_a_file("mstsmux");
}

/// Milliseconds of a tag of FLV (FLV 10.1, E.4.1).
fn timestamp(tag: &[u8]) -> u32 {
    u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]])
}

#[test]
fn a_stream_goes_on_behind_a_seek_and_is_shown_at_once() {
    let pipeline = parse(&format!("{PICTURES} ! msflvmux ! appsink name=out sync=false max-buffers=5"));
    let out: AppSink = named(&pipeline, "out");
    pipeline.set_state(gst::State::Playing).expect("it starts");
    let before = (0..100).map(|_| timestamp(&bytes(&pull(&out))[..])).skip(3).max().expect("tags");
    assert!(before > 2000, "three seconds of pictures: {before}");
    seek(&pipeline, 60, None);
    let behind: Vec<_> = (0..20).map(|_| pull(&out)).collect();
    pipeline.set_state(gst::State::Null).expect("it stops");
    let first = &behind[0];
    let segment =
        first.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>()).expect("of time").clone();
    let running = segment.to_running_time(first.buffer().expect("a buffer").pts()).expect("within the segment");
    assert!(running < gst::ClockTime::from_mseconds(100), "running time begins again with a flush: {running}");
    let times: Vec<_> = behind.iter().map(|sample| timestamp(&bytes(sample))).collect();
    assert!(times.is_sorted() && times[0] >= before && times[0] < before + 1000, "{before} {times:?}");
    // A key frame of AVC (FLV 10.1, E.4.3.1): decoding goes on there.
    let starts = behind.iter().map(bytes).find(|tag| tag[0] == 9).expect("pictures");
    assert_eq!(starts[11..13], [0x17, 1]);
    assert!(behind.iter().map(bytes).all(|tag| !tag.starts_with(b"FLV")));
}

/// Feeds a pad by hand, flushed between its format and its first buffer: the format is not told again.
#[test]
fn a_format_that_was_told_ahead_of_a_flush_is_known_behind_it() {
    let made = pictures("avc", 3);
    let pipeline = parse("msflvmux name=m ! appsink name=out sync=false");
    let mux: gst::Element = named(&pipeline, "m");
    let (source, sink) = (gst::Pad::new(gst::PadDirection::Src), mux.request_pad_simple("video").expect("a pad"));
    source.set_active(true).expect("active");
    source.link(&sink).expect("linked");
    pipeline.set_state(gst::State::Playing).expect("it starts");
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    let push = |event: gst::Event| assert!(source.push_event(event));
    push(gst::event::StreamStart::new("pictures"));
    push(gst::event::Caps::new(&made[0].caps_owned().expect("caps")));
    push(gst::event::Segment::new(&segment));
    push(gst::event::FlushStart::new());
    push(gst::event::FlushStop::new(true));
    push(gst::event::Segment::new(&segment));
    for sample in &made {
        source.push(sample.buffer_owned().expect("a buffer")).expect("it is taken");
    }
    push(gst::event::Eos::new());
    let out: AppSink = named(&pipeline, "out");
    let tags: Vec<_> = std::iter::from_fn(|| out.try_pull_sample(PATIENCE)).map(|sample| bytes(&sample)).collect();
    assert!(out.is_eos(), "the end behind a flush is one");
    pipeline.set_state(gst::State::Null).expect("it stops");
    let is = |start: &'static [u8]| move |tag: &&Vec<u8>| tag[0] == 9 && tag[11..].starts_with(start);
    assert_eq!(tags.iter().filter(is(&[0x17, 0])).count(), 1, "the sequence header");
    assert_eq!(tags.iter().filter(|tag| tag[0] == 9 && tag[12] == 1).count(), 3);
}
