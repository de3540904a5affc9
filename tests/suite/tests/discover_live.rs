//! `discover rtmp://…`: what a live stream carries, and what is wrong where there is none.

use std::net::TcpListener;
use std::process::Child;

use millstream_testkit::fixture;
use millstream_tests::{root, run, spawn, until};
use serde_json::Value;

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// A server of ours that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Plays a clip at its pace.
    fn start() -> Self {
        let port = free_port();
        let line = format!(
            "launch -q filesrc location={} ! flvdemux name=d flvmux name=m streamable=true ! clocksync ! \
             rtmpserversink listen=127.0.0.1:{port} stream=cam backlog=1h d.video ! m.video d.audio ! m.audio",
            fixture("h264b_aac48s_10s.flv").display()
        );
        let child = spawn(&root(), &line);
        until("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_live_stream_is_measured_and_its_server_named() {
    let server = Server::start();
    let url = format!("rtmp://127.0.0.1:{}/live/cam?token=t0ken", server.port);
    let said = run(&root(), &format!("discover --json --duration 2s {url}"));
    assert_eq!((said.code, said.errors()), (0, 0), "{}", said.err);
    let found: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&found["live"], &found["container"]), (&true.into(), &"FLV".into()));
    assert_eq!(found["url"], format!("rtmp://127.0.0.1:{}/live", server.port));
    let tracks = found["tracks"].as_array().expect("tracks");
    let caps: Vec<&str> = tracks.iter().filter_map(|track| track["caps"].as_str()).collect();
    // What tests/fixtures/README.md says of the clip.
    for (caps, parts) in caps.iter().zip([
        &["video/x-h264", "width=640", "height=360", "profile=high", "level=\"3\""][..],
        &["audio/mpeg", "rate=48000", "channels=2"],
    ]) {
        assert!(parts.iter().all(|part| caps.contains(part)), "{parts:?} in {caps}");
    }
    let number = |value: &Value| value.as_f64().expect("a number");
    assert!((number(&tracks[0]["frame-rate"]) - 30.0).abs() < 0.5, "{found}");
    assert!((number(&tracks[0]["key-frames"]["longest-distance"]) - 1.0).abs() < 0.1, "{found}");
    assert!(number(&found["duration"]) >= 1.9 && number(&tracks[1]["bitrate"]) > 50_000.0, "{found}");
    assert_eq!((&found["metadata"]["width"], &found["metadata"]["height"]), (&640.into(), &360.into()));
    assert!(found["server"]["fmsVer"].as_str().is_some_and(|version| version.starts_with("FMS/")), "{found}");
    assert!(found["server"]["enhanced"].as_array().is_some_and(|caps| caps.contains(&"reconnect".into())), "{found}");
    assert!(!said.out.contains("t0ken") && !said.err.contains("t0ken"));
    let text = run(&root(), &format!("discover --duration 1s {url}")).out;
    for part in [": live FLV, ", "    fmsVer: FMS/", " fps\n", "s apart", "metadata:\n"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_stream_that_nobody_publishes_is_waited_for_and_then_said_to_be_missing() {
    let server = Server::start();
    let said = run(&root(), &format!("discover --timeout 300ms rtmp://127.0.0.1:{}/live/s3cret", server.port));
    assert_eq!((said.code, said.errors(), said.out.as_str()), (1, 1, ""), "{}", said.err);
    assert!(said.err.contains("nobody publishes the stream yet") && said.err.contains("--timeout"), "{}", said.err);
    assert!(!said.err.contains("s3cret"), "{}", said.err);
}

#[test]
fn what_is_no_server_is_told_apart() {
    let refused = free_port();
    let silent = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    for (url, code, parts) in [
        (format!("rtmp://127.0.0.1:{refused}/live/cam"), 1, ["refused", "is the server running"]),
        (format!("rtmp://127.0.0.1:{silent_port}/live/cam"), 1, ["says nothing in 0.3 s", "port of an RTMP server?"]),
        ("rmtp://127.0.0.1/live/cam".into(), 2, ["rmtp:// is not supported", "did you mean rtmp://?"]),
        ("rtsp://127.0.0.1/live/cam".into(), 2, ["rtsp:// is not supported", "rtmp://, rtmps://"]),
        ("rtmp:///live/cam".into(), 1, ["expected a host name", ""]),
    ] {
        let said = run(&root(), &format!("discover --timeout 300ms {url}"));
        assert_eq!((said.code, said.errors()), (code, 1), "{url}: {}", said.err);
        assert!(parts.iter().all(|part| said.err.contains(part)), "{parts:?}: {}", said.err);
    }
    let said = run(&root(), "discover --timeout 0s rtmp://127.0.0.1/live/cam");
    assert!(said.code == 2 && said.err.contains("above zero"), "{}", said.err);
}
