//! GStreamer's own WebRTC element against ours: it publishes over WHIP and plays over WHEP.

use std::path::{Path, PathBuf};

use millstream_runtime::Runtime;
use millstream_testkit::fixture;
use millstream_tests::live::{self, free_port, in_time, wait_for_port};
use millstream_tests::peers::{coded, pictures};
use millstream_tests::webrtc::webrtcbin;

/// An ECDSA certificate and its key.
fn certificate(dir: &Path) -> PathBuf {
    let made = rcgen::generate_simple_self_signed(vec!["webrtcbin".to_owned()]).expect("a certificate");
    let path = dir.join("webrtcbin.pem");
    std::fs::write(&path, made.cert.pem() + &made.signing_key.serialize_pem()).expect("written");
    path
}

#[test]
fn whip_1_gstreamers_webrtcbin_publishes_h264_and_opus() {
    let (dir, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let (runtime, out) = (Runtime::new().expect("a runtime"), dir.path().join("out.flv"));
    let line = format!(
        "whipserversrc name=w listen=127.0.0.1:{port} udp=0.0.0.0:{port} stream=cam eos-on-unpublish=true grace=0ms \
         w.video ! h264parse ! m.video  w.audio ! opusparse ! m.audio  flvmux name=m ! filesink location={}",
        out.display()
    );
    let mut pipeline = live::start(&runtime, &line);
    wait_for_port(port);
    let endpoint = format!("http://127.0.0.1:{port}/whip/live/cam");
    let seen = webrtcbin("publish", &endpoint, 3, "H264", &certificate(dir.path()));
    in_time(&runtime, pipeline.wait()).expect("it ends with its publisher").expect("and well");
    assert_eq!((&seen["status"], &seen["state"], &seen["deleted"]), (&201.into(), &"connected".into(), &200.into()));
    let sent = seen["video"]["frames"].as_u64().expect("a count");
    let ([video, audio], _) = coded(&out, "h264", "opus");
    let frames = video.hashes.len() as u64;
    // It begins to count when it is connected, and some frames may be ahead of the key frame or behind the goodbye.
    assert!(sent > 60 && frames + 45 >= sent, "{frames} of {sent} frames");
    assert!(audio.hashes.len() > 100, "{} packets of sound", audio.hashes.len());
    assert_eq!(pictures(&out).len() as u64, frames, "each is decoded");
}

#[test]
fn whep_1_gstreamers_webrtcbin_plays_vp9_and_opus() {
    let (dir, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let runtime = Runtime::new().expect("a runtime");
    let line = format!(
        "filesrc location={} loop=true ! flvdemux name=d  d.video ! clocksync ! w.video  d.audio ! clocksync ! w.audio  \
         whepserversink name=w listen=127.0.0.1:{port} udp=0.0.0.0:{port} stream=clip",
        fixture("evp9_opus.flv").display()
    );
    let _pipeline = live::start(&runtime, &line);
    wait_for_port(port);
    let endpoint = format!("http://127.0.0.1:{port}/whep/live/clip");
    let seen = webrtcbin("play", &endpoint, 3, "VP9", &certificate(dir.path()));
    assert_eq!((&seen["status"], &seen["state"], &seen["deleted"]), (&201.into(), &"connected".into(), &200.into()));
    // 25 pictures and 50 packets of sound a second.
    assert!(seen["video"]["frames"].as_u64().is_some_and(|frames| frames > 50), "{seen}");
    assert!(seen["audio"]["packets"].as_u64().is_some_and(|packets| packets > 100), "{seen}");
}
