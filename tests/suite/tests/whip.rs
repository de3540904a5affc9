//! Foreign publishers over WHIP: Chromium, Firefox, aiortc and ffmpeg into files, whose frames ffmpeg counts and decodes.

use std::path::Path;
use std::process::Command;

use millstream_runtime::Runtime;
use millstream_tests::live::{self, Background, free_port, in_time, wait_for_port};
use millstream_tests::peers::{coded, need, pictures};
use millstream_tests::webrtc::{aiortc, chromium, firefox, ivf};
use millstream_tests::{millstream, root, world};

/// Publishes with `publish` into a file.
fn published(line: &str, port: u16, out: &Path, publish: impl FnOnce(&str)) {
    let runtime = Runtime::new().expect("a runtime");
    let line = format!(
        "whipserversrc name=w listen=127.0.0.1:{port} stream=cam eos-on-unpublish=true grace=0ms {line} ! filesink location={}",
        out.display()
    );
    let mut pipeline = live::start(&runtime, &line);
    wait_for_port(port);
    publish(&format!("http://127.0.0.1:{port}/whip/live/cam"));
    in_time(&runtime, pipeline.wait()).expect("it ends with its publisher").expect("and well");
}

/// Of the frames that were sent, nearly all arrive: the first ones may precede the key frame, the last ones the goodbye. All can be decoded.
fn assert_arrived(out: &Path, codec: &str, sent: u64) {
    let ([video, audio], _) = coded(out, codec, "opus");
    let frames = video.hashes.len() as u64;
    assert!((sent.saturating_sub(30)..=sent + 2).contains(&frames), "{frames} of {sent} frames of {codec}");
    assert!(audio.hashes.len() > 50, "{} packets of sound", audio.hashes.len());
    assert_eq!(pictures(out).len() as u64, frames, "{codec}");
}

#[test]
fn whip_1_chromium_publishes_h264_and_vp9_into_flv_and_ts() {
    let dir = tempfile::tempdir().expect("a folder");
    let into_flv = "w.video ! VIDEO m.video  w.audio ! opusparse ! m.audio  flvmux name=m";
    let into_ts = "w.video ! VIDEO m.video  w.audio ! opusparse ! m.audio  tsmux name=m";
    for (codec, parser, lines) in
        [("H264", "h264parse !", &[("flv", into_flv), ("ts", into_ts)][..]), ("VP9", "", &[("flv", into_flv)])]
    {
        for (extension, line) in lines {
            let out = dir.path().join(format!("{codec}.{extension}"));
            let mut seen = serde_json::Value::Null;
            let line = line.replace("VIDEO", parser);
            published(&line, free_port(), &out, |endpoint| seen = chromium("publish", endpoint, 4, codec, ""));
            assert_eq!((&seen["status"], &seen["deleted"]), (&201.into(), &200.into()), "{seen}");
            assert_eq!(seen["video"]["codec"], format!("video/{codec}"), "{seen}");
            let sent = seen["video"]["frames"].as_u64().expect("a count");
            assert!(sent > 20, "{seen}");
            assert_arrived(&out, &codec.to_lowercase(), sent);
        }
    }
}

/// VP8 of a publisher, of which nearly all frames arrive, and all that do can be decoded. It is received at `udp`.
fn assert_vp8(udp: &str, publish: impl FnOnce(&str) -> serde_json::Value) {
    let dir = tempfile::tempdir().expect("a folder");
    let (runtime, port) = (Runtime::new().expect("a runtime"), free_port());
    let line = format!(
        "whipserversrc name=w listen=127.0.0.1:{port} udp={udp}:{port} stream=cam eos-on-unpublish=true grace=0ms \
         w.video ! collect name=v  w.audio ! opusparse ! collect name=a"
    );
    let mut pipeline = live::start(&runtime, &line);
    wait_for_port(port);
    let seen = publish(&format!("http://127.0.0.1:{port}/whip/live/cam"));
    assert_eq!((&seen["status"], &seen["deleted"]), (&201.into(), &200.into()), "{seen}");
    assert_eq!(seen["video"]["codec"], "video/VP8", "{seen}");
    let [video, audio] = ["v", "a"].map(|name| world::collected(&mut pipeline, name));
    in_time(&runtime, pipeline.wait()).expect("it ends with its publisher").expect("and well");
    let (frames, packets) = (world::buffers(&video), world::buffers(&audio));
    let sent = seen["video"]["frames"].as_u64().expect("a count");
    assert!(
        sent > 20 && (sent.saturating_sub(30)..=sent + 2).contains(&(frames.len() as u64)),
        "{}: {seen}",
        frames.len()
    );
    assert!(packets.len() > 100, "{} packets", packets.len());
    let out = dir.path().join("vp8.ivf");
    std::fs::write(&out, ivf(&frames)).expect("a file");
    assert_eq!(pictures(&out).len(), frames.len());
}

#[test]
fn whip_1_chromium_publishes_vp8_whose_frames_can_all_be_decoded() {
    assert_vp8("127.0.0.1", |endpoint| chromium("publish", endpoint, 4, "VP8", ""));
}

#[test]
fn whip_1_firefox_publishes_vp8_whose_frames_can_all_be_decoded() {
    // Firefox sends nothing to 127.0.0.1: it pairs addresses of the loopback with each other only (nICEr), and offers none of them.
    assert_vp8("0.0.0.0", |endpoint| firefox("publish", endpoint, 4, "VP8", ""));
}

#[test]
fn whip_1_aiortc_publishes_vp8_whose_frames_can_all_be_decoded() {
    assert_vp8("127.0.0.1", |endpoint| aiortc("publish", endpoint, 3, "VP8"));
}

#[test]
fn whip_1_aiortc_publishes_h264_and_opus() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("aiortc.flv");
    let line = "w.video ! h264parse ! m.video  w.audio ! opusparse ! m.audio  flvmux name=m";
    let mut seen = serde_json::Value::Null;
    published(line, free_port(), &out, |endpoint| seen = aiortc("publish", endpoint, 3, "H264"));
    assert_eq!((&seen["status"], &seen["deleted"]), (&201.into(), &200.into()), "{seen}");
    assert_arrived(&out, "h264", seen["video"]["frames"].as_u64().expect("a count"));
}

/// Publishes 4 s of a test picture with ffmpeg: 100 pictures.
fn ffmpeg(endpoint: &str) {
    let status = Command::new(need("ffmpeg9"))
        .args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25"])
        .args(["-f", "lavfi", "-i", "sine=r=48000", "-t", "4", "-c:v", "libx264", "-profile:v", "baseline", "-bf", "0"])
        .args(["-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "libopus", "-ac", "2"])
        .args(["-f", "whip", endpoint])
        .status();
    assert!(status.expect("ffmpeg").success());
}

#[test]
fn whip_1_ffmpeg_publishes_h264_and_opus() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("ffmpeg.flv");
    let line = "w.video ! h264parse ! m.video  w.audio ! opusparse ! m.audio  flvmux name=m";
    published(line, free_port(), &out, ffmpeg);
    assert_arrived(&out, "h264", 100);
}

/// Runs a shipped pipeline until its publisher, who is ffmpeg, has left.
fn ship(name: &str, set: &[String]) {
    let (port, file) = (free_port(), format!("pipelines/{name}.yaml"));
    let mut running = millstream(&root());
    running.args(["run", &file, &format!("--set=http=127.0.0.1:{port}"), "--set=once=true"]);
    running.args(set.iter().map(|set| format!("--set={set}")));
    let mut running = Background::start(&mut running);
    wait_for_port(port);
    ffmpeg(&format!("http://127.0.0.1:{port}/whip/live/cam"));
    assert!(running.wait(), "{name} ends well");
}

#[test]
fn whip_to_hls_and_whip_to_rtmp_do_what_they_say() {
    let dir = tempfile::tempdir().expect("a folder");
    ship("whip-to-hls", &[format!("output={}", dir.path().display())]);
    let segments = (0..).map(|number| dir.path().join(format!("seg{number:05}.ts")));
    let whole: Vec<u8> = segments.map_while(|file| std::fs::read(file).ok()).flatten().collect();
    let joined = dir.path().join("joined.ts");
    std::fs::write(&joined, whole).expect("a file");
    assert_arrived(&joined, "h264", 100);

    let (port, out) = (free_port(), dir.path().join("relayed.flv"));
    let runtime = Runtime::new().expect("a runtime");
    let line = format!(
        "rtmpserversrc listen=127.0.0.1:{port} stream=cam eos-on-unpublish=true grace=1s ! filesink location={}",
        out.display()
    );
    let mut server = live::start(&runtime, &line);
    wait_for_port(port);
    ship("whip-to-rtmp", &[format!("url=rtmp://127.0.0.1:{port}/live/cam")]);
    in_time(&runtime, server.wait()).expect("it ends with its publisher").expect("and well");
    assert_arrived(&out, "h264", 100);
}
