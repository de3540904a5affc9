//! What WebRTC cannot carry goes another way than what it can.

use millstream_tests::world::{World, buffers, collected};

/// Buffers of each way of a stream of the fixture.
fn ways(file: &str, stream: &str) -> (usize, usize) {
    let world = World::new(millstream_testkit::Weather::default());
    world.fs.insert("in.flv", std::fs::read(millstream_testkit::fixture(file)).expect("the fixture"));
    let line = format!(
        "filesrc location=in.flv ! flvdemux name=d  d.{stream} ! repairgate name=g  g.pass ! collect name=p  g.repair ! collect name=r"
    );
    let mut pipeline = world.start(&line);
    let [pass, repair] = ["p", "r"].map(|name| collected(&mut pipeline, name));
    world.end(pipeline);
    (buffers(&pass).len(), buffers(&repair).len())
}

#[test]
fn web_1_the_gate_parts_b_frames_and_aac_from_what_can_be_sent() {
    // Counts of the README of the fixtures.
    assert_eq!(ways("h264b_aac48s_10s.flv", "video ! h264parse"), (0, 300), "B-frames");
    assert_eq!(ways("video_only_h264.flv", "video ! h264parse"), (125, 0), "none");
    assert_eq!(ways("ehevc_aac.flv", "video ! h265parse"), (0, 120));
    assert_eq!(ways("eav1_opus.flv", "video ! av1parse"), (75, 0));
    assert_eq!(ways("h264b_aac48s_10s.flv", "audio ! aacparse"), (0, 470));
    assert_eq!(ways("eav1_opus.flv", "audio ! opusparse"), (151, 0));
}
