//! Two browsers in a call through `signalingserver`: the page signals, sound and pictures go from browser to browser.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use millstream_runtime::{Pipeline, Runtime};
use millstream_testkit::media::workspace;
use millstream_tests::program::run_with;
use millstream_tests::{elements, finish, millstream, peers, root, signal};
use serde_json::Value;

fn serve(runtime: &Runtime, settings: &str) -> (Pipeline, SocketAddr) {
    let listen = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port");
    let line = format!("signalingserver listen={listen} {settings}");
    let graph = millstream_graph::load_launch(&line, &elements::registry()).expect("a graph").graph;
    let pipeline = runtime.start(&graph).expect("it starts");
    while std::net::TcpStream::connect(listen).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    (pipeline, listen)
}

/// What both people saw of a call of so many pictures on a server with these settings.
fn call(settings: &str, set: &[(&str, &str)], frames: u32) -> Value {
    let runtime = Runtime::new().expect("a runtime");
    let (_pipeline, listen) = serve(&runtime, settings);
    call_at(listen, set, frames)
}

fn call_at(listen: SocketAddr, set: &[(&str, &str)], frames: u32) -> Value {
    peers::need("chromium");
    let modules = workspace().join("target/peers/node").display().to_string();
    let script = root().join("tests/peers/call.mjs").display().to_string();
    let mut args = vec![script, modules, format!("http://{listen}/call"), frames.to_string()];
    args.extend(std::env::var("MILLSTREAM_SCREENSHOT").ok());
    let said = run_with(&peers::need("node"), args, set);
    let seen: Value = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|_| panic!("`cargo xtask setup` brings puppeteer-core: {}", said.stderr));
    assert_eq!(seen["error"], Value::Null, "{seen:#}");
    seen
}

fn assert_talks(seen: &Value, frames: u64) {
    for name in ["alice", "bob"] {
        let one = &seen[name];
        assert!(one["frames"].as_u64().is_some_and(|decoded| decoded >= frames), "{name}: {seen:#}");
        assert!(one["audioPackets"].as_u64().is_some_and(|packets| packets > 0), "{name}: {seen:#}");
        // The two states are shown apart.
        assert_eq!((&one["server"], &one["ice"]), (&"connected".into(), &"connected".into()), "{name}: {seen:#}");
        assert_eq!((&one["connection"], &one["trouble"]), (&"connected".into(), &"".into()), "{name}: {seen:#}");
        assert_eq!(one["errors"], serde_json::json!([]), "{name}: {seen:#}");
        assert_eq!(seen["after"][name], "The call is over.", "{seen:#}");
    }
}

#[test]
fn sig_2_turn_1_two_browsers_see_and_hear_each_other_directly_and_over_the_relay_only() {
    let listen = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port");
    let mut command = millstream(&root());
    let relay = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port");
    let set = [format!("listen={listen}"), format!("turn={relay}")];
    command.args(["run", "pipelines/call-server.yaml", "--set", &set[0], "--set", &set[1]]);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = String::new();
    let mut reader = BufReader::new(running.stderr.take().expect("it is piped"));
    while !said.contains(&format!("call        http://{listen}/call")) {
        assert!(reader.read_line(&mut said).expect("text") > 0, "it ended: {said}");
    }
    assert_talks(&call_at(listen, &[], 60), 60);
    // The same over the relay and nothing else; its address is this machine's, to which it relays nothing else.
    let seen = call_at(listen, &[("RELAY", "1")], 30);
    assert_talks(&seen, 30);
    for name in ["alice", "bob"] {
        assert_eq!((&seen[name]["local"], &seen[name]["remote"]), (&"relay".into(), &"relay".into()), "{seen:#}");
    }
    signal(&running, "INT");
    assert_eq!(finish(running).code, 130, "as every job that is interrupted");
}

#[test]
fn sig_2_chromium_and_firefox_see_and_hear_each_other() {
    peers::need("firefox-esr");
    assert_talks(&call("", &[("BOB", "firefox")], 30), 30);
}

#[test]
fn sig_3_a_call_goes_over_from_vp8_to_h264_and_outlives_the_loss_of_its_signaling() {
    let settings = "video-codecs=VP8 keys=secret moderators=Bob";
    let seen = call(settings, &[("POLICY", "H264"), ("LOSE", "1"), ("KEY", "secret")], 30);
    assert_talks(&seen, 30);
    assert_eq!(seen["alice"]["codec"], "video/H264", "{seen:#}");
}
