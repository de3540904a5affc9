//! Elements that are started and stopped again and again, in one process: nothing is left behind.

use std::net::TcpListener;
use std::sync::Mutex;

use gstreamer as gst;
use gstreamer::prelude::*;
use millstream_core::Registry;
use millstream_graph::load_launch;
use millstream_runtime::Runtime;

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

/// A server of ours that takes any stream and throws it away.
fn server() -> (Runtime, u16) {
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).expect("a port").port();
    let mut registry = Registry::new();
    millstream_generic::register(&mut registry);
    millstream_rtmp::register(&mut registry);
    let line = format!("rtmpserversrc listen=127.0.0.1:{port} stream=cam ! fakesink");
    let runtime = Runtime::new().expect("threads");
    let graph = load_launch(&line, &registry).expect("it is right").graph;
    let mut pipeline = runtime.start(&graph).expect("it listens");
    std::thread::spawn(move || {
        // Until the end of the test.
        let runtime = Runtime::new().expect("threads");
        let _ = runtime.block_on(pipeline.wait());
    });
    (runtime, port)
}

#[test]
fn a_sink_that_is_stopped_and_started_again_leaves_nothing() {
    let (_runtime, port) = server();
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
