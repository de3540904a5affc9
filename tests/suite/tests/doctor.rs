//! `millstream doctor webrtc`: what it says of servers that are well, and of each thing that stands in the way.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use millstream_runtime::{Pipeline, Runtime};
use millstream_testkit::fixture;
use millstream_tests::live::{self, Background, free_port, wait, wait_for_port};
use millstream_tests::{millstream, peers, root};
use serde_json::Value;

/// What it found of a URL, and its exit code.
fn doctor(url: &str, more: &[&str]) -> (Value, i32) {
    let mut command = millstream(&root());
    let output = command.args(["doctor", "webrtc", url, "--format", "json"]).args(more).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let value =
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    (value, output.status.code().expect("a code"))
}

fn text(url: &str, more: &[&str]) -> String {
    let output = millstream(&root()).args(["doctor", "webrtc", url]).args(more).output().expect("it runs");
    String::from_utf8(output.stdout).expect("text")
}

/// A stream of H.264 for viewers: its endpoint.
struct Shown {
    http: u16,
    udp: u16,
    _pipeline: Pipeline,
    _runtime: Runtime,
}

fn show(settings: &str) -> Shown {
    let (runtime, http, udp) = (Runtime::new().expect("a runtime"), free_port(), free_port());
    let clip = fixture("video_only_h264.flv");
    let line = format!(
        "filesrc location={} loop=true ! flvdemux ! h264parse ! clocksync ! w.video  \
         whepserversink name=w listen=127.0.0.1:{http} udp=127.0.0.1:{udp} stream=cam {settings}",
        clip.display()
    );
    let pipeline = live::start(&runtime, &line);
    wait_for_port(http);
    Shown { http, udp, _pipeline: pipeline, _runtime: runtime }
}

impl Shown {
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/whep/live/cam", self.http)
    }

    /// Once the stream has begun.
    fn found(&self, more: &[&str]) -> (Value, i32) {
        wait("the stream does not begin", || {
            let found = doctor(&self.url(), more);
            (found.0["reason"] != "busy").then_some(found)
        })
    }
}

#[test]
fn web_3_doctor_says_that_a_good_server_is_good() {
    let shown = show("");
    let (found, code) = shown.found(&[]);
    assert_eq!((code, &found["connected"], &found["reason"]), (0, &Value::Bool(true), &Value::Null), "{found:#}");
    assert_eq!(found["codecs"][0], serde_json::json!(["H264"]), "{found:#}");
    assert_eq!(found["pairs"][0]["answer"], "success", "{found:#}");
    assert_eq!(found["remote"][0]["address"], format!("127.0.0.1:{}", shown.udp), "{found:#}");
    let said = text(&shown.url(), &[]);
    assert!(said.contains("good      there is a connection: media could flow"), "{said}");
    // Nobody is left behind.
    let (again, _) = shown.found(&[]);
    assert_eq!(again["connected"], true, "{again:#}");
}

#[test]
fn web_3_doctor_says_that_no_codec_is_in_common() {
    let (found, code) = show("").found(&["--codecs", "vp8,opus"]);
    assert_eq!((code, &found["reason"], &found["status"]), (1, &"no-codec".into(), &406.into()), "{found:#}");
    assert!(found["text"].as_str().is_some_and(|text| text.contains("H264")), "{found:#}");
}

#[test]
fn web_3_doctor_says_that_a_token_is_missing() {
    let shown = show("keys=north");
    let (found, code) = shown.found(&[]);
    assert_eq!((code, &found["reason"], &found["status"]), (1, &"token".into(), &401.into()), "{found:#}");
    let (found, code) = shown.found(&["--token", "south"]);
    assert_eq!((code, &found["reason"], &found["status"]), (1, &"token".into(), &403.into()), "{found:#}");
    assert!(!found.to_string().contains("south"), "{found:#}");
    let (found, code) = shown.found(&["--token", "north"]);
    assert_eq!((code, &found["connected"]), (0, &Value::Bool(true)), "{found:#}");
}

#[test]
fn web_3_doctor_says_that_there_is_nobody_and_nothing() {
    let port = free_port();
    let (found, code) = doctor(&format!("http://127.0.0.1:{port}/whep/live/cam"), &[]);
    assert_eq!((code, &found["reason"]), (1, &"unreachable".into()), "{found:#}");
    let shown = show("");
    let (found, code) = doctor(&format!("http://127.0.0.1:{}/whep/live/other", shown.http), &[]);
    assert_eq!((code, &found["reason"]), (1, &"no-endpoint".into()), "{found:#}");
    let output = millstream(&root()).args(["doctor", "webrtc", "rtmp://127.0.0.1/live"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn web_3_doctor_asks_a_signaling_server_for_a_stream() {
    let (runtime, port) = (Runtime::new().expect("a runtime"), free_port());
    let clip = fixture("video_only_h264.flv");
    let line = format!(
        "signalingserver listen=127.0.0.1:{port}  filesrc location={} loop=true ! flvdemux ! h264parse ! clocksync ! w.video  \
         webrtcsink name=w listen=127.0.0.1:{port} stream=cam",
        clip.display()
    );
    let _pipeline = live::start(&runtime, &line);
    wait_for_port(port);
    let url = format!("ws://127.0.0.1:{port}/signal");
    let found = wait("the stream does not begin", || {
        let (found, code) = doctor(&url, &["--stream", "cam"]);
        (found["reason"] != "busy").then_some((found, code))
    });
    assert_eq!((found.1, &found.0["connected"]), (0, &Value::Bool(true)), "{:#}", found.0);
    assert_eq!(found.0["pairs"][0]["answer"], "success", "{:#}", found.0);
    let (found, code) = doctor(&url, &["--stream", "cam", "--codecs", "vp8"]);
    assert_eq!((code, &found["reason"]), (1, &"no-codec".into()), "{found:#}");
    let (found, code) = doctor(&url, &["--stream", "other"]);
    assert_eq!((code, &found["reason"]), (1, &"busy".into()), "{found:#}");
}

#[test]
fn web_3_doctor_takes_leave_so_that_the_next_publisher_comes_at_once() {
    let (runtime, port) = (Runtime::new().expect("a runtime"), free_port());
    let line =
        format!("whipserversrc name=w listen=127.0.0.1:{port} stream=cam  w.video ! fakesink  w.audio ! fakesink");
    let _pipeline = live::start(&runtime, &line);
    wait_for_port(port);
    for _ in 0..2 {
        let url = format!("http://127.0.0.1:{port}/whip/live/cam");
        let (found, code) = doctor(&url, &["--codecs", "h264,opus"]);
        assert_eq!((code, &found["connected"]), (0, &Value::Bool(true)), "{found:#}");
    }
}

/// Passes requests on to a port, and names another port for media in what comes back. Both have five digits.
fn with_another_port(http: u16, udp: u16, instead: u16) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let mut client = client;
            let mut server = TcpStream::connect(("127.0.0.1", http)).expect("it listens");
            let (mut from, mut to) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            let mut block = [0; 16 << 10];
            while let Ok(len @ 1..) = server.read(&mut block) {
                let text =
                    String::from_utf8_lossy(&block[..len]).replace(&format!(" {udp} typ"), &format!(" {instead} typ"));
                let _ = client.write_all(text.as_bytes());
            }
        }
    });
    port
}

#[test]
fn web_3_doctor_says_that_the_udp_port_is_closed() {
    let shown = show("");
    shown.found(&[]);
    let closed = free_port();
    let port = with_another_port(shown.http, shown.udp, closed);
    let (found, code) = doctor(&format!("http://127.0.0.1:{port}/whep/live/cam"), &["--timeout", "4s"]);
    assert_eq!((code, &found["reason"]), (1, &"port-closed".into()), "{found:#}");
    assert_eq!(found["remote"][0]["address"], format!("127.0.0.1:{closed}"), "{found:#}");
    assert_eq!(found["pairs"][0]["answer"], "refused", "{found:#}");
}

#[test]
fn turn_1_doctor_tries_coturn() {
    let port = free_port();
    let listen = format!("--listening-port={port}");
    let mut command = Command::new(peers::need("turnserver"));
    command.args([
        "-n",
        "--listening-ip=127.0.0.1",
        &listen,
        "--relay-ip=127.0.0.1",
        "--lt-cred-mech",
        "--user=alice:pw",
    ]);
    command.args(["--realm=test", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout"]);
    let _coturn = Background::start(&mut command);
    wait_for_port(port);
    let (found, code) = doctor(&format!("stun:127.0.0.1:{port}"), &[]);
    assert_eq!((code, &found["nat"]["mapping"]), (0, &"none".into()), "{found:#}");
    assert_eq!(found["mapped"], found["local"], "{found:#}");
    for transport in ["udp", "tcp"] {
        let url = format!("turn:127.0.0.1:{port}?transport={transport}");
        let (found, code) = doctor(&url, &["--username", "alice", "--credential", "pw"]);
        assert_eq!(code, 0, "{found:#}");
        assert!(found["relay"].as_str().is_some_and(|relay| relay.starts_with("127.0.0.1:")), "{found:#}");
        let (found, code) = doctor(&url, &["--username", "alice", "--credential", "south"]);
        assert_eq!((code, &found["reason"]), (1, &"server".into()), "{found:#}");
        assert!(found["details"]["error"].as_str().is_some_and(|error| error.contains("(401)")), "{found:#}");
        let (found, code) = doctor(&url, &[]);
        assert_eq!(code, 1, "{found:#}");
        assert!(found["hint"].as_str().is_some_and(|hint| hint.contains("`credential`")), "{found:#}");
    }
    let (found, code) = doctor(&format!("stun:127.0.0.1:{}", free_port()), &["--timeout", "1s"]);
    assert_eq!((code, &found["reason"]), (1, &"server".into()), "{found:#}");
}
