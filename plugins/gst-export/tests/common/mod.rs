//! What the tests of muxers share.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

/// How long a pipeline may take for anything.
pub(crate) const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(30);

/// A pipeline that is not started.
pub(crate) fn parse(line: &str) -> gst::Pipeline {
    gst::init().expect("GStreamer is there");
    gstmillstream::register().expect("registered once or again");
    gst::parse::launch(line).expect("it is right").downcast().expect("a pipeline")
}

/// The element of a name.
pub(crate) fn named<T: IsA<gst::Object>>(pipeline: &gst::Pipeline, name: &str) -> T {
    pipeline.by_name(name).expect("it is named").dynamic_cast().unwrap_or_else(|_| panic!("{name} is another type"))
}

/// What encoders make, with its format: pictures of H.264 as `stream-format` has it.
pub(crate) fn pictures(format: &str, count: u32) -> Vec<gst::Sample> {
    let source = format!("videotestsrc num-buffers={count} ! video/x-raw,width=64,height=64,framerate=30/1");
    let caps = format!("video/x-h264,stream-format={format},alignment=au");
    let pipeline = parse(&format!("{source} ! x264enc tune=zerolatency ! {caps} ! appsink name=out sync=false"));
    pipeline.set_state(gst::State::Playing).expect("it starts");
    let made: Vec<_> = std::iter::from_fn(|| named::<AppSink>(&pipeline, "out").pull_sample().ok()).collect();
    pipeline.set_state(gst::State::Null).expect("it stops");
    assert_eq!(made.len(), count as usize);
    made
}

/// The next that comes out.
pub(crate) fn pull(out: &AppSink) -> gst::Sample {
    out.try_pull_sample(PATIENCE).expect("something comes in time")
}

/// The bytes of what came out.
pub(crate) fn bytes(sample: &gst::Sample) -> Vec<u8> {
    sample.buffer().expect("a buffer").map_readable().expect("mapped").to_vec()
}
