//! Elements that are started and stopped again and again, in one process: nothing is left behind.

use std::net::TcpListener;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use millstream_core::{Item, Registry};
use millstream_generic::AppSinkHandle;
use millstream_graph::load_launch;
use millstream_runtime::{Pipeline, Runtime};

/// Cycles ahead of the count: threads that are started once, such as those of the runtime and GStreamer's pools, are there then.
const WARM_UP: usize = 5;
/// Cycles that must leave nothing behind. One thread a cycle would be seen.
const CYCLES: usize = 30;
/// Threads of pools may come and go.
const SLACK: usize = 6;
/// How long a pipeline may take for a state.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// Threads are counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

fn init() {
    gst::init().expect("GStreamer is there");
    gstmillstream::register().expect("registered once or again");
}

/// Starts `line`, waits for a sign of life, and stops it; again and again.
fn cycle(line: &str, alive: gst::MessageType) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    init();
    let pipeline = gst::parse::launch(line).expect("it is right").downcast::<gst::Pipeline>().expect("a pipeline");
    let bus = pipeline.bus().expect("it has one");
    let mut before = 0;
    for round in 0..WARM_UP + CYCLES {
        if round == WARM_UP {
            before = threads();
        }
        pipeline.set_state(gst::State::Playing).expect("it starts");
        let sign = bus.timed_pop_filtered(PATIENCE, &[alive, gst::MessageType::Error]).expect("it lives");
        if let gst::MessageView::Error(error) = sign.view() {
            panic!("round {round}: {} {:?}", error.error(), error.debug());
        }
        pipeline.set_state(gst::State::Null).expect("it stops");
        bus.set_flushing(true);
        bus.set_flushing(false);
    }
    let after = threads();
    assert!(after <= before + SLACK, "{before} threads became {after}");
}

#[test]
fn a_muxer_that_is_stopped_and_started_again_leaves_nothing() {
    let source = "videotestsrc num-buffers=5 ! video/x-raw,width=64,height=64 ! x264enc ! ";
    cycle(&format!("{source} msflvmux ! fakesink"), gst::MessageType::Eos);
    cycle(&format!("{source} mstsmux ! fakesink"), gst::MessageType::Eos);
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// A server of ours for one stream after the other, which goes to `sink`.
fn server(runtime: &Runtime, port: u16, sink: &str) -> Pipeline {
    let mut registry = Registry::new();
    millstream_generic::register(&mut registry);
    millstream_rtmp::register(&mut registry);
    let line = format!("rtmpserversrc listen=127.0.0.1:{port} stream=cam ! {sink}");
    let graph = load_launch(&line, &registry).expect("it is right").graph;
    runtime.start(&graph).expect("it listens")
}

/// Waits until a server has been given this many pictures, of which decoding can start at the first.
fn wait_for_pictures(server: &mut Pipeline, wanted: usize) {
    let taken: AppSinkHandle = server.handle("out").expect("an appsink");
    let (mut pictures, begun) = (0, Instant::now());
    while pictures < wanted {
        assert!(begun.elapsed() < Duration::from_secs(60), "{pictures} pictures came");
        match taken.try_next() {
            Some(Item::Buffer(buffer)) => pictures += usize::from(pictures > 0 || buffer.is_keyframe()),
            Some(_) => {}
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[test]
fn a_server_that_comes_back_is_sent_a_key_frame_at_once() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    init();
    let (runtime, port) = (Runtime::new().expect("threads"), free_port());
    let mut first = server(&runtime, port, "appsink name=out");
    // The encoder makes no key frame but the first, unless it is asked for one.
    let line = "videotestsrc is-live=true ! video/x-raw,width=64,height=64 ! x264enc tune=zerolatency key-int-max=100000 ! \
                msflvmux ! msrtmpsink";
    let pipeline =
        gst::parse::launch(&format!("{line} location=rtmp://127.0.0.1:{port}/live/cam")).expect("it is right");
    pipeline.set_state(gst::State::Playing).expect("it starts");
    wait_for_pictures(&mut first, 10);
    first.stopper().cancel();
    let _ = runtime.block_on(first.wait());
    drop(first);
    let mut second = server(&runtime, port, "appsink name=out");
    wait_for_pictures(&mut second, 10);
    pipeline.set_state(gst::State::Null).expect("it stops");
}

#[test]
fn the_caps_repeat_what_a_player_needs_first() {
    init();
    let line = "videotestsrc num-buffers=5 ! video/x-raw,width=64,height=64 ! x264enc ! msflvmux ! fakesink name=out";
    let pipeline = gst::parse::launch(line).expect("it is right").downcast::<gst::Pipeline>().expect("a pipeline");
    pipeline.set_state(gst::State::Playing).expect("it starts");
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().expect("it has one").timed_pop_filtered(PATIENCE, &ends).expect("it ends");
    assert_eq!(end.type_(), gst::MessageType::Eos);
    let pad = pipeline.by_name("out").and_then(|sink| sink.static_pad("sink")).expect("a sink");
    let caps = pad.current_caps().expect("caps came");
    let headers = caps.structure(0).and_then(|structure| structure.get::<gst::Array>("streamheader").ok());
    let headers: Vec<Vec<u8>> = headers.expect("there are headers").as_slice().iter().map(bytes).collect();
    pipeline.set_state(gst::State::Null).expect("it stops");
    // FLV 10.1, E.2: the signature; E.4.1: 18 is script data, 9 video; E.4.3.1: a key frame of AVC, whose packet 0 is the sequence header.
    assert!(headers.iter().flatten().copied().collect::<Vec<_>>().starts_with(b"FLV\x01"));
    let has = |tag: u8, body: &[u8]| {
        headers
            .iter()
            .any(|header| header.first() == Some(&tag) && header.get(11..).is_some_and(|b| b.starts_with(body)))
    };
    assert!(has(9, &[0x17, 0]), "{headers:02x?}");
}

fn bytes(value: &gst::glib::SendValue) -> Vec<u8> {
    value.get::<gst::Buffer>().expect("a buffer").map_readable().expect("mapped").to_vec()
}

#[test]
fn a_sink_that_is_stopped_and_started_again_leaves_nothing() {
    let (runtime, port) = (Runtime::new().expect("threads"), free_port());
    let _server = server(&runtime, port, "fakesink");
    let live = "videotestsrc is-live=true ! video/x-raw,width=64,height=64 ! x264enc tune=zerolatency ! msflvmux ! ";
    cycle(&format!("{live} msrtmpsink location=rtmp://127.0.0.1:{port}/live/cam"), gst::MessageType::Element);
}

#[test]
fn a_server_that_takes_nothing_does_not_hold_up_a_stop() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    init();
    // It accepts, and never says a word.
    let mute = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let location = format!("rtmp://{}/live/cam", mute.local_addr().expect("it listens"));
    // A file: the sink waits for the server, and the streaming thread for the sink.
    let source = "videotestsrc ! video/x-raw,width=64,height=64 ! x264enc ! msflvmux ! ";
    let line = format!("{source} msrtmpsink sync=false backlog-size=20000 location={location}");
    let pipeline = gst::parse::launch(&line).expect("it is right");
    pipeline.set_state(gst::State::Playing).expect("it starts");
    let (connected, _) = mute.accept().expect("it connects");
    pipeline.set_state(gst::State::Paused).expect("it pauses");
    pipeline.set_state(gst::State::Playing).expect("it goes on");
    pipeline.set_state(gst::State::Null).expect("it stops");
    assert_eq!(pipeline.state(PATIENCE).1, gst::State::Null);
    drop(connected);
}

#[test]
fn properties_keep_what_is_set_and_the_key_stays_inside() {
    init();
    let mux = gst::ElementFactory::make("mstsmux").property("pmt-pid", 300_i32).build().expect("it is there");
    assert_eq!(mux.property::<i32>("pmt-pid"), 300);
    assert_eq!(mux.property::<u64>("pcr-interval"), 40_000_000, "the default");
    assert_eq!(mux.property::<i64>("bitrate"), -1, "not set");
    let mux =
        gst::ElementFactory::make("msflvmux").property_from_str("timestamps", "keep").build().expect("it is there");
    let value = mux.property_value("timestamps").serialize().expect("text");
    assert_eq!(value, "keep");
    let sink = gst::ElementFactory::make("msrtmpsink").build().expect("it is there");
    assert_eq!(sink.property::<Option<String>>("location"), None);
    sink.set_property("location", "rtmp://me:pw@example.org/live/KEY?token=T");
    assert_eq!(sink.property::<String>("location"), "rtmp://example.org/live");
}

#[test]
fn pads_are_named_by_medium_and_number() {
    init();
    let mux = gst::ElementFactory::make("mstsmux").build().expect("it is there");
    let names = ["video", "video", "audio_%u", "sink_%u", "sink_%u", "private_%u"];
    let pads = names.map(|name| {
        let template = mux.pad_template(name).expect("there is one");
        mux.request_pad(&template, None, None).expect("a pad").name().to_string()
    });
    assert_eq!(pads, ["video", "video_1", "audio_1", "sink_0", "sink_1", "private_0"]);
    assert_eq!(mux.request_pad_simple("audio_7").expect("a pad").name(), "audio_7");
}
