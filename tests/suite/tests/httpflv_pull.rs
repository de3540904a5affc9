//! `httpflvsrc` from foreign servers: a file of Python's web server, a stream of node-media-server, and our own `httpflvsink` on to RTMP.

use std::path::Path;
use std::process::Command;

use millstream_generic::AppSinkHandle;
use millstream_runtime::Runtime;
use millstream_testkit::fixture;
use millstream_testkit::media::workspace;
use millstream_tests::live::{self, Background};
use millstream_tests::{peers, run_args};

const CLIP: &str = "h264b_aac48s_10s.flv";

/// Frames of a clip and of what came of it.
fn frames(clip: &Path, played: &Path) -> [(Vec<String>, Vec<String>); 2] {
    let (sent, _) = peers::coded(clip, "h264", "aac");
    let (arrived, _) = peers::coded(played, "h264", "aac");
    let [sent_video, sent_audio] = sent.map(|frames| frames.hashes);
    let [video, audio] = arrived.map(|frames| frames.hashes);
    [(sent_video, video), (sent_audio, audio)]
}

#[test]
fn flv_5_a_file_of_a_web_server_is_played_whole() {
    let (dir, port) = (tempfile::tempdir().expect("a folder"), live::free_port());
    let clip = fixture(CLIP);
    let mut server = Command::new(peers::need("python3"));
    server.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string(), "--directory"]);
    let _server = Background::start(server.arg(clip.parent().expect("a folder")));
    live::wait_for_port(port);
    let out = dir.path().join("out.flv");
    let line = format!("httpflvsrc location=http://127.0.0.1:{port}/{CLIP} ! filesink location={}", out.display());
    let said = run_args(dir.path(), &["launch", "-q", &line]);
    assert_eq!(said.code, 0, "{}", said.err);
    for (sent, arrived) in frames(&clip, &out) {
        assert!(!sent.is_empty());
        assert_eq!(sent, arrived);
    }
}

#[test]
fn flv_5_node_media_server_is_played_from_where_its_group_of_pictures_begins() {
    let (dir, rtmp, http) = (tempfile::tempdir().expect("a folder"), live::free_port(), live::free_port());
    let app = workspace().join("target/peers/node/node_modules/node-media-server/bin/app.js");
    assert!(app.is_file(), "node-media-server is missing: `cargo xtask setup` brings it");
    let config = serde_json::json!({
        "bind": "127.0.0.1", "rtmp": { "port": rtmp }, "http": { "port": http }, "store": { "path": "data" },
        "record": { "path": "record" }, "auth": { "play": false, "publish": false, "secret": "none" }, "webadmin": { "enable": false },
    });
    let file = dir.path().join("config.json");
    std::fs::write(&file, config.to_string()).expect("a file");
    let mut server = Command::new(peers::need("node"));
    let _server = Background::start(server.arg(app).arg("-c").arg(file));
    live::wait_for_port(rtmp);
    live::wait_for_port(http);
    let clip = fixture(CLIP);
    let mut publisher = Command::new(peers::need("ffmpeg"));
    publisher.args(["-nostdin", "-v", "error", "-re", "-i"]).arg(&clip);
    let url = format!("rtmp://127.0.0.1:{rtmp}/live/cam");
    let _publisher = Background::start(publisher.args(["-c", "copy", "-f", "flv", &url]));
    let runtime = Runtime::new().expect("a runtime");
    let line = format!("httpflvsrc location=http://127.0.0.1:{http}/live/cam.flv ! appsink name=out");
    let mut pipeline = live::start(&runtime, &line);
    let out: AppSinkHandle = pipeline.handle("out").expect("the sink");
    let played = dir.path().join("played.flv");
    let mut file = Vec::new();
    live::in_time(&runtime, async {
        for _ in 0..300 {
            let buffer = out.next_buffer().await.expect("the stream goes on");
            file.extend_from_slice(&buffer.payload.contiguous());
        }
    })
    .expect("300 tags of 770 come");
    std::fs::write(&played, file).expect("a file");
    for (sent, arrived) in frames(&clip, &played) {
        assert!(arrived.len() > 50, "{} frames", arrived.len());
        let start = sent.iter().position(|hash| *hash == arrived[0]).expect("its first frame is one of the clip");
        assert_eq!(sent[start..start + arrived.len()], arrived[..]);
    }
}
