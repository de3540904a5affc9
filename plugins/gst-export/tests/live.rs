//! Live pipelines: a stream that falls silent holds up no other, and no block waits for what does not come.

mod common;

use common::{PATIENCE, bytes, named, parse, pictures, pull};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};

/// Pictures of a live source.
const PICTURES: &str =
    "videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=30/1 ! x264enc tune=zerolatency";
/// What an `appsrc` gives may be as late as what encoders give.
const LATE: &str = "min-latency=0 max-latency=1000000000";
/// A frame of silence of AAC LC in stereo, as ISO/IEC 14496-3 has it: two empty channels, then the end.
const SILENCE: [u8; 6] = [0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c];

#[test]
fn a_block_goes_out_when_it_has_waited_for_ms_latency_although_nothing_comes() {
    let pictures = pictures("byte-stream", 1);
    // A second would be a thousand pictures.
    let line = "appsrc name=in is-live=true format=time ! m.video mstsmux name=m ms-latency=20000000 ! appsink name=out sync=false";
    let pipeline = parse(line);
    let input: AppSrc = named(&pipeline, "in");
    pipeline.set_state(gst::State::Playing).expect("it starts");
    input.set_caps(pictures[0].caps_owned().as_ref());
    let mut buffer = pictures[0].buffer_owned().expect("a buffer");
    // The encoder begins at 1000 hours.
    buffer.make_mut().set_pts(gst::ClockTime::ZERO);
    buffer.make_mut().set_dts(gst::ClockTime::ZERO);
    input.push_buffer(buffer).expect("it is taken");
    let block = bytes(&pull(&named(&pipeline, "out")));
    pipeline.set_state(gst::State::Null).expect("it stops");
    assert!(block.len().is_multiple_of(188) && block.iter().step_by(188).all(|byte| *byte == 0x47));
    // PAT, PMT, and the picture.
    assert!(block.len() >= 3 * 188, "{}", block.len());
}

#[test]
fn the_latency_of_blocks_is_told_to_the_pipeline() {
    for (settings, expected) in [("ms-latency=70000000", 70), ("alignment=7", 0)] {
        let pipeline = parse(&format!("{PICTURES} ! m.video mstsmux name=m {settings} ! appsink name=out sync=false"));
        pipeline.set_state(gst::State::Playing).expect("it starts");
        pull(&named(&pipeline, "out"));
        let latency = |name: &str, pad: &str| {
            let mut query = gst::query::Latency::new();
            let pad = named::<gst::Element>(&pipeline, name).static_pad(pad).expect("a pad");
            assert!(if pad.direction() == gst::PadDirection::Src {
                pad.query(&mut query)
            } else {
                pad.peer_query(&mut query)
            });
            query.result().1
        };
        let own = latency("m", "src") - latency("m", "video");
        pipeline.set_state(gst::State::Null).expect("it stops");
        assert_eq!(own, gst::ClockTime::from_mseconds(expected), "{settings}");
    }
}

/// Whether a buffer of FLV is a tag with sound.
fn is_sound(sample: &gst::Sample) -> bool {
    bytes(sample).first() == Some(&8)
}

/// One frame of sound that is now.
fn say(input: &AppSrc) {
    let mut buffer = gst::Buffer::from_slice(SILENCE);
    buffer.make_mut().set_pts(input.current_running_time());
    input.push_buffer(buffer).expect("it is taken");
}

#[test]
fn sound_that_is_silent_holds_no_pictures_up_and_comes_when_it_does() {
    let sound = "audio/mpeg,mpegversion=4,stream-format=raw,codec_data=(buffer)1210,rate=44100,channels=2";
    let line = format!(
        "{PICTURES} ! m.video appsrc name=sound is-live=true {LATE} format=time caps={sound} ! m.audio msflvmux name=m ! appsink name=out sync=false"
    );
    let pipeline = parse(&line);
    let (input, out): (AppSrc, AppSink) = (named(&pipeline, "sound"), named(&pipeline, "out"));
    pipeline.set_state(gst::State::Playing).expect("it starts");
    // Nothing has ever come; then there is some, and it falls silent; and again.
    for _ in 0..2 {
        (0..30).for_each(|_| drop(pull(&out)));
        say(&input);
        let heard = (0..300).any(|_| is_sound(&pull(&out)));
        assert!(heard, "what is said is heard");
    }
    (0..30).for_each(|_| drop(pull(&out)));
    pipeline.set_state(gst::State::Null).expect("it stops");
    assert_eq!(pipeline.state(PATIENCE).1, gst::State::Null);
}

#[test]
fn pictures_that_are_silent_hold_no_sound_of_a_transport_stream_up() {
    let sound = "audiotestsrc is-live=true ! audio/x-raw,rate=44100,channels=2 ! avenc_aac ! aacparse";
    let caps = "video/x-h264,stream-format=byte-stream,alignment=au";
    let line = format!(
        "{sound} ! m.audio appsrc name=pictures is-live=true {LATE} format=time caps={caps} ! m.video mstsmux name=m ! appsink name=out sync=false"
    );
    let pipeline = parse(&line);
    pipeline.set_state(gst::State::Playing).expect("it starts");
    (0..10).for_each(|_| drop(pull(&named(&pipeline, "out"))));
    pipeline.set_state(gst::State::Null).expect("it stops");
}
