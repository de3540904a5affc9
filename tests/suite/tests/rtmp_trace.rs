//! The conversations of the standard with ffmpeg on the other end, in the order of the wire.

use std::sync::Arc;

use millstream_runtime::Runtime;
use millstream_testkit::fixture;
use millstream_tests::conversation::{Kept, PUBLISH, assert_said};
use millstream_tests::live::{self, Background, free_port};

/// Runs a launch line of ours beside a program, and gives what was said.
fn traced(line: &str, program: &str) -> Vec<String> {
    let kept = Arc::new(Kept::default());
    let runtime = Runtime::new().expect("a runtime").with_trace(kept.clone());
    let mut pipeline = live::start(&runtime, line);
    let _program = Background::words(&program.split_ascii_whitespace().collect::<Vec<_>>());
    live::in_time(&runtime, pipeline.wait()).expect("it ends").expect("and well");
    kept.conversations().pop().expect("a connection")
}

/// C2 answers S1, and may go out ahead of S2.
const HANDSHAKE: [&str; 5] = ["client C0", "client C1", "server S0", "server S1", "client C2"];

fn clip() -> String {
    fixture("h264b_aac48s_10s.flv").display().to_string()
}

#[test]
fn rtmp_m5_wire_order_of_ffmpeg_that_publishes_to_us() {
    let port = free_port();
    let said = traced(
        &format!("rtmpserversrc listen=127.0.0.1:{port} stream=cam eos-on-unpublish=true grace=0s ! fakesink"),
        &format!("ffmpeg -v error -i {} -c copy -f flv rtmp://127.0.0.1:{port}/live/cam", clip()),
    );
    assert_said(&said, &HANDSHAKE);
    assert_said(&said, &["server S1", "server S2", "client connect"]);
    let connect = [
        "client connect",
        "server Window Acknowledgement Size",
        "server Set Peer Bandwidth",
        "server User Control StreamBegin 0",
        "server _result of connect",
        "client createStream",
        "server _result of createStream",
        "client publish",
        "server User Control StreamBegin 1",
        "server NetStream.Publish.Start",
        "client @setDataFrame onMetaData",
        "client video sequence header",
        "client audio sequence header",
        "client media",
        "client FCUnpublish",
    ];
    assert_said(&said, &connect);
    assert!(!said.iter().any(|line| line == "client Window Acknowledgement Size"), "ffmpeg sends none: {said:#?}");
}

#[test]
fn rtmp_m5_wire_order_of_ffmpeg_that_plays_from_us() {
    let port = free_port();
    let said = traced(
        &format!(
            "filesrc location={} ! flvdemux name=d flvmux name=m streamable=true ! clocksync ! \
             rtmpserversink listen=127.0.0.1:{port} stream=cam backlog=1h d.video ! m.video d.audio ! m.audio",
            clip()
        ),
        &format!("ffmpeg -v error -i rtmp://127.0.0.1:{port}/live/cam -c copy -f null -"),
    );
    assert_said(&said, &HANDSHAKE);
    assert_said(&said, &["server S1", "server S2", "client connect"]);
    let play = [
        "client connect",
        "server Window Acknowledgement Size",
        "server _result of connect",
        "client createStream",
        "server _result of createStream",
        "client play",
        "server Set Chunk Size",
        "server User Control StreamBegin 1",
        "server NetStream.Play.Reset",
        "server NetStream.Play.Start",
        "server onMetaData",
        "server media",
        "server User Control StreamEOF",
    ];
    assert_said(&said, &play);
}

#[test]
fn rtmp_m5_wire_order_of_us_publishing_to_ffmpeg() {
    let port = free_port();
    let said = traced(
        &format!("filesrc location={} ! rtmpsink retries=10 location=rtmp://127.0.0.1:{port}/live/cam", clip()),
        &format!("ffmpeg -v error -listen 1 -i rtmp://127.0.0.1:{port}/live/cam -c copy -f null -"),
    );
    assert_said(&said, &HANDSHAKE);
    assert_said(&said, &["server S1", "server S2", "client connect"]);
    let publish = [
        "client connect",
        "client Set Chunk Size",
        "server Window Acknowledgement Size",
        "server _result of connect",
        "client createStream",
    ];
    assert_said(&said, &publish);
    assert_said(&said, &PUBLISH);
    assert_said(&said, &["client media", "client FCUnpublish", "client deleteStream"]);
    assert_said(&said, &["server Set Peer Bandwidth", "client Window Acknowledgement Size"]);
}

#[test]
fn rtmp_m5_wire_order_of_us_playing_from_ffmpeg() {
    let port = free_port();
    let said = traced(
        &format!("rtmpsrc retries=10 location=rtmp://127.0.0.1:{port}/live/cam ! fakesink"),
        &format!("ffmpeg -v error -i {} -c copy -f flv -listen 1 rtmp://127.0.0.1:{port}/live/cam", clip()),
    );
    assert_said(&said, &HANDSHAKE);
    assert_said(&said, &["server S1", "server S2", "client connect"]);
    let play = [
        "client connect",
        "server _result of connect",
        "client createStream",
        "server _result of createStream",
        "client User Control SetBufferLength",
        "client play",
        "server NetStream.Play.Start",
        "server media",
    ];
    assert_said(&said, &play);
}
